/*
 * Twins: the Avro value that may stand for a server's text, and the text again. Pure.
 *
 * A twin is used only if formatting it gives the identical text; parse checks exactly that, so a value never
 * changes by travelling. What has no twin (an infinite or BC date, a year beyond 9999, "+05" at a
 * timestamptz, a float in another spelling) travels as text.
 *
 *     name         type          Avro                               the text that has one
 *     text         any other     string                             -
 *     bool         16            boolean                            t, f
 *     int2 int4    21 23         int                                decimal, no needless signs or zeros
 *     int8         20            long                               same
 *     float4       700           float                              shortest form, NaN, Infinity, -0
 *     float8       701           double                             same
 *     bytea        17            bytes                              \x and lower-case hex
 *     date         1082          int, date                          0001-01-01 to 9999-12-31
 *     timestamp    1114          long, local-timestamp-micros       same years, up to six decimals
 *     timestamptz  1184          long, timestamp-micros             same, at +00
 *     uuid         2950          string, uuid                       lower-case 8-4-4-4-12
 *
 * Names are frozen in format 1 (the `schema` record states the twin of each column), more may be added.
 *
 * Floats: PostgreSQL prints the shortest digits that read back as the same value, in C's %g layout with
 * exponents from 1e+15 (float8) or 1e+06 (float4) on (src/backend/utils/adt/float.c, src/common/d2s.c). The
 * same is made here without Ryu: up to 15 (6) digits are unique, so m / 10^k with the smallest k is them,
 * found by a few divisions; else printf is tried at 15 to 17 (6 to 9) digits.
 */
#ifndef SB_SCHEMAS_TWIN_H
#define SB_SCHEMAS_TWIN_H

#include "core/bytes.h"

enum sb_twin {
    SB_TWIN_TEXT, /* none: text travels */
    SB_TWIN_BOOL,
    SB_TWIN_INT2,
    SB_TWIN_INT4,
    SB_TWIN_INT8,
    SB_TWIN_FLOAT4,
    SB_TWIN_FLOAT8,
    SB_TWIN_BYTEA,
    SB_TWIN_DATE,
    SB_TWIN_TIMESTAMP,
    SB_TWIN_TIMESTAMPTZ,
    SB_TWIN_UUID,
    SB_TWIN_COUNT
};

const char *sb_twin_name(enum sb_twin twin);
const char *sb_twin_avro(enum sb_twin twin); /* its Avro schema as JSON */
enum sb_twin sb_twin_of_type(uint32_t type_oid);
/* False if there is no twin of this name. */
bool sb_twin_find(struct sb_view name, enum sb_twin *ret_twin);

/* Booleans (0, 1), integers, days and microseconds since 1970. */
bool sb_twin_parse_long(enum sb_twin twin, struct sb_view text, int64_t *ret_value);
/* float4 too: a double holds it exactly. */
bool sb_twin_parse_double(enum sb_twin twin, struct sb_view text, double *ret_value);
/* out takes (text.len - 2) / 2 bytes, which is the result's length; writes to out even when it fails. */
bool sb_twin_parse_bytea(struct sb_view text, unsigned char *out);
bool sb_twin_is_uuid(struct sb_view text);

enum { SB_TWIN_TEXT_BYTES = 40 }; /* longest formatted scalar, without NUL */

/* Length of the text; 0 if the value is outside the twin's range, which no writer of ours produces. */
size_t sb_twin_format_long(enum sb_twin twin, int64_t value, char out[SB_TWIN_TEXT_BYTES]);
size_t sb_twin_format_double(enum sb_twin twin, double value, char out[SB_TWIN_TEXT_BYTES]);
/* out takes 2 + 2 * bytes.len characters. */
void sb_twin_format_bytea(struct sb_view bytes, char *out);

#endif
