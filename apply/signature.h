/*
 * Is a message that asks apply for something really from the truth side? The follower keeps a copy of its key
 * (switchback.signature, made by prepare); the server compares, so that the key never leaves it.
 */
#ifndef SB_APPLY_SIGNATURE_H
#define SB_APPLY_SIGNATURE_H

#include "core/bytes.h"
#include "pg/conn.h"

/* signature: hex digits. False where there is no copy of the key. */
int sb_signature_verify(struct sb_conn *conn, const char *migration, const char *direction,
    struct sb_view signature, struct sb_view content, bool *ret_signed, struct sb_err *err);

#endif
