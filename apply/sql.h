/*
 * The SQL that apply writes with, as text. Pure. Two families:
 *
 * In sets: every column travels as one text[] parameter and is cast in the select list, because unnest
 * flattens arrays of arrays and a text value is what must arrive. Parameters: first the key columns, then the
 * values.
 *
 * One by one (exact mode): parameters take the columns' own types, by assignment or, where they are compared,
 * by a cast (an operator of another type might take them: regclass has none of its own), so that the type's
 * input function reads the text. Rows without a key are matched whole, by their server text, exactly one row
 * a change.
 *
 * Identifiers go through pg/ident; nothing of a row's content is ever part of a statement.
 */
#ifndef SB_APPLY_SQL_H
#define SB_APPLY_SQL_H

#include "apply/batch.h"
#include "apply/target.h"

enum { SB_SQL_MAX_BYTES = 4 * 1024 * 1024 }; /* 1,600 columns with the longest names, quoted and compared */

/* What was put together, for the writer; empty if it did not fit, which the writer refuses (SB-LIMIT). */
struct sb_view sb_sql_view(const struct sb_buf *sql);

/* SELECT count(*) of the key list's rows that exist. $1.. key arrays. */
void sb_sql_set_count(const struct sb_apply_rel *rel, struct sb_buf *sql);
void sb_sql_set_delete(const struct sb_apply_rel *rel, struct sb_buf *sql);
/* Sets the key and the settable columns that are present; false and nothing written if there are none to set.
 * $1.. key arrays, then arrays of those columns in order. */
bool sb_sql_set_update(const struct sb_apply_rel *rel, const bool *present, struct sb_buf *sql);
bool sb_sql_in_set(
    const struct sb_apply_rel *rel, const bool *present, uint16_t col); /* is col in that SET list? */
/* $1.. arrays of all written columns. */
void sb_sql_set_insert(const struct sb_apply_rel *rel, struct sb_buf *sql);
void sb_sql_copy(
    const struct sb_apply_rel *rel, struct sb_buf *sql); /* COPY ... FROM STDIN, written columns in order */

/* $1.. written columns; ON CONFLICT DO NOTHING, so 0 rows means insert_exists. (Not where the server refuses
 * that clause, no_on_conflict: there a conflict is an error.) */
void sb_sql_one_insert(const struct sb_apply_rel *rel, struct sb_buf *sql);
/* SET present columns (with_key: key columns too), then WHERE. $1.. set columns, then the key columns, or,
 * without a key, every column of the old row. False if there is nothing to set: then it is a SELECT 1 of the
 * row, same parameters. */
bool sb_sql_one_update(const struct sb_apply_rel *rel, const bool *present, struct sb_buf *sql);
/* Does the row differ in a column that is written but cannot be set (identity ALWAYS)? A row if so. $1.. as
 * one_delete, then those columns (sb_sql_is_fixed). False: `after` has none, do not ask. */
bool sb_sql_one_fixed(const struct sb_apply_rel *rel, const struct sb_value *after, struct sb_buf *sql);
bool sb_sql_is_fixed(const struct sb_apply_rel *rel, const struct sb_value *after, uint16_t col);
void sb_sql_one_delete(const struct sb_apply_rel *rel, struct sb_buf *sql);
/* The written columns of the row by key, which is locked. $1.. as one_delete. */
void sb_sql_one_read(const struct sb_apply_rel *rel, struct sb_buf *sql);
/* Whole row as json by key (or whole), for the conflict record. */
void sb_sql_one_json(const struct sb_apply_rel *rel, struct sb_buf *sql);
/* Columns of the old row that one_update, one_delete and one_json match by: the key, or all written ones. */
bool sb_sql_matches_by(const struct sb_apply_rel *rel, uint16_t col);

/* DELETE of a TRUNCATE's range of that number. Literals, which are no row's content but bounds of ours. */
void sb_sql_cut(const struct sb_batch_cut *cut, size_t range, struct sb_buf *sql);
/* Two rows that a deferrable constraint forbids side by side: (which of the keys, the other row as JSON).
 * by_key: one of the two is found by the key arrays $1..; else any two of the table, no parameters. */
void sb_sql_probe(
    const struct sb_apply_rel *rel, const struct sb_deferrable *constraint, bool by_key, struct sb_buf *sql);

void sb_sql_truncate(const struct sb_apply_rel *const *rels, uint16_t count, bool cascade,
    bool restart_identity, struct sb_buf *sql);

#endif
