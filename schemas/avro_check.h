/*
 * Does a body hold exactly one value of a schema? A walk over untrusted bytes that allocates nothing: avro-c
 * believes lengths and counts before it looks for the bytes, so nothing reaches its reader that has not
 * passed here.
 */
#ifndef SB_SCHEMAS_AVRO_CHECK_H
#define SB_SCHEMAS_AVRO_CHECK_H

#include "core/bytes.h"

struct avro_obj_t; /* avro-c's schema */

/* The schemas checked are ours: not recursive, and without array items that take no bytes. */
bool sb_avro_check(const struct avro_obj_t *schema, struct sb_view body);

#endif
