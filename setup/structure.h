/*
 * Can a target table hold what the stream brings of a source table? Pure: two catalog tables in, mismatches
 * out, each with the statement that mends it on the target.
 *
 * Columns match by name. A column may be wider on the target (smallint -> bigint, varchar(10) -> text) but
 * not narrower and not of another type. Columns only the target has must be able to stay unset. Generated
 * columns do not travel.
 */
#ifndef SB_SETUP_STRUCTURE_H
#define SB_SETUP_STRUCTURE_H

#include "pg/catalog.h"

enum sb_mismatch {
    SB_MISMATCH_TABLE_KIND, /* a view or foreign table */
    SB_MISMATCH_UNLOGGED,   /* rows that a crash of the target would empty */
    SB_MISMATCH_MISSING,    /* the column is not there */
    SB_MISMATCH_TYPE,       /* another or a narrower type */
    SB_MISMATCH_GENERATED,  /* the target computes what the stream brings */
    SB_MISMATCH_NOT_NULL,   /* NULL fits on the source only */
    SB_MISMATCH_EXTRA,      /* only there, NOT NULL and without a default */
    SB_MISMATCH_UNFILLED,   /* generated on the source, ordinary there: stays NULL. A warning */
};
bool sb_mismatch_is_fatal(enum sb_mismatch mismatch);

/* evidence and statement are valid during the call. 0 to go on, -1 to stop. */
typedef int sb_structure_fn(
    void *arg, enum sb_mismatch mismatch, const char *evidence, const char *statement, struct sb_err *err);
int sb_structure_compare(const struct sb_cat_table *source, const struct sb_cat_table *target,
    sb_structure_fn *fn, void *arg, struct sb_err *err);

/* CREATE TABLE for a target without it: columns, NOT NULL, primary key. */
void sb_structure_create(struct sb_buf *sql, const struct sb_cat_table *source);

#endif
