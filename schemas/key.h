/*
 * Keys in order: the leading column of a table's replica identity as bytes whose memcmp order is the order of
 * the server's ranges. Copy cuts a table into key ranges with it, apply finds the range of a change with it,
 * and neither has to ask a server. Pure.
 *
 *     kind          of the types                     canonical bytes
 *     int           int2 int4 int8                   8, big-endian, sign bit flipped
 *     uuid          uuid                             its 16
 *     bytea         bytea                            itself
 *     date          date                             era (0 -infinity, 1 BC, 2 AD, 3 infinity); unless
 * infinite timestamp     timestamp                        the year as u32 (BC: inverted) and the text behind
 * it timestamptz   timestamptz (at +00)             same text          text, varchar in collation "C" itself,
 * as UTF-8
 *
 * The text is the server's own, under the pinned settings of pg/conn. Equal values of these types have one
 * text and so one canonical form; that is why numeric, float, citext and nondeterministic collations are not
 * among them. Types of other orders (a locale's) are not either: nobody but the server knows that order, and
 * it may change with the server's libraries.
 *
 * Kind names are stored in switchback.copy_table, canonical bytes in switchback.chunk: frozen in format 1.
 */
#ifndef SB_SCHEMAS_KEY_H
#define SB_SCHEMAS_KEY_H

#include "core/bytes.h"

enum sb_key_kind {
    SB_KEY_NONE, /* not orderable: the table has one range, which is open on both sides */
    SB_KEY_INT,
    SB_KEY_UUID,
    SB_KEY_BYTEA,
    SB_KEY_DATE,
    SB_KEY_TIMESTAMP,
    SB_KEY_TIMESTAMPTZ,
    SB_KEY_TEXT,
    SB_KEY_KIND_COUNT
};

/* byte_order: the column's collation compares bytes ("C", "POSIX") and the database's encoding is UTF-8. */
enum sb_key_kind sb_key_kind_of(uint32_t type_oid, bool byte_order);
const char *sb_key_kind_name(enum sb_key_kind kind);
bool sb_key_kind_find(const char *name, enum sb_key_kind *ret_kind);

/* Append the canonical bytes of the server's text. False, with out as it was, if it is no such text. */
bool sb_key_put(enum sb_key_kind kind, struct sb_view text, struct sb_buf *out);
/* Append the text again; false if these are no canonical bytes. */
bool sb_key_put_text(enum sb_key_kind kind, struct sb_view canonical, struct sb_buf *out);
/* Append canonical bytes beyond these, as near as is told without a calendar; false if that is not told: then
 * what lies beyond has to bound a range that is to hold this key. */
bool sb_key_put_next(enum sb_key_kind kind, struct sb_view canonical, struct sb_buf *out);

/* A half-open range of canonical keys. A side that is open has no bound. */
struct sb_key_range {
    bool lower_open, upper_open;
    struct sb_view lower; /* inclusive */
    struct sb_view upper; /* exclusive */
};

bool sb_key_range_has(const struct sb_key_range *range, struct sb_view canonical);
/* By lower bound: <0, 0, >0. */
int sb_key_range_cmp(const struct sb_key_range *a, const struct sb_key_range *b);
/* `col >= 'a'::type AND col < 'b'::type`, or `true`: the range as a condition on a column. */
void sb_key_range_put_sql(
    const struct sb_key_range *range, enum sb_key_kind kind, struct sb_view column, struct sb_buf *sql);

#endif
