/*
 * PostgreSQL names as Avro names, reversibly. Avro allows [A-Za-z_][A-Za-z0-9_]*; PostgreSQL allows anything.
 * Every other byte becomes _xHH (two lower-case hex digits), as do a digit in front and an underscore that
 * stands before an x, so that two names never meet: first_name stays, "a b" is a_x20b, "a_x" is a_x5fx,
 * "1st" is _x31st. The empty name is _x.
 */
#ifndef SB_SCHEMAS_AVRO_NAME_H
#define SB_SCHEMAS_AVRO_NAME_H

#include "core/bytes.h"

void sb_avro_name_put(struct sb_buf *buf, struct sb_view name);
/* The name that was mangled. False, with buf as it was, if text is not what sb_avro_name_put makes. */
bool sb_avro_name_read(struct sb_view text, struct sb_buf *buf);

#endif
