/*
 * The row form: what two rows are compared by. Pure.
 *
 * A value is the server's own text under the pinned settings of pg/conn, the same on both sides and in the
 * stream, and never what SQL calls equal: 1.0 and 1.000, -0 and 0, NULL and '' are different here. A field is
 * the XXH3-128 of that text; a row is the XXH3-128 of its fields in the order of the compared columns. Fields
 * have one length, so
 * ('12', '3') and ('1', '23') differ. XXH3 is for faults, not for forgery.
 */
#ifndef SB_SCHEMAS_ROWFORM_H
#define SB_SCHEMAS_ROWFORM_H

#include "schemas/change.h"

/* One row of COPY ... TO STDOUT in text, unescaped in place: values are views into line, whose newline may be
 * there or not. False unless it has exactly count columns. */
bool sb_rowform_split(char *line, size_t len, struct sb_value *ret_values, size_t count);

/* All zero: not known (the value did not travel). No text has that digest, and none has NULL's. */
struct sb_digest sb_rowform_field(const struct sb_value *value);
bool sb_rowform_is_known(const struct sb_digest *field);
/* Of fields that are all known. */
struct sb_digest sb_rowform_row(const struct sb_digest *fields, size_t count);
/* Which columns a row's digest is over: that of a row of their names. At most SB_COLS_MAX. */
struct sb_digest sb_rowform_column_set(const struct sb_view *columns, size_t count);

/* A key as bytes: of each column a 32-bit length and its text. False if one of them is no text. */
bool sb_rowform_put_key(
    const struct sb_value *row, const uint16_t *key_cols, size_t key_count, struct sb_buf *out);
/* The text of each column again; false if these are not the bytes of so many columns. */
bool sb_rowform_key_texts(struct sb_view key, struct sb_view *ret_texts, size_t key_count);

#endif
