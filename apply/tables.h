/*
 * The target's tables that a lane has met: for each shape of a table in the stream (its schema id), that
 * shape joined with the target's catalog. Read when first met, kept for the life of an incarnation; the stamp
 * in each (apply/target) says when one is out of date.
 */
#ifndef SB_APPLY_TABLES_H
#define SB_APPLY_TABLES_H

#include "apply/relation.h"
#include "apply/writer.h"

struct sb_tables;

/* conn and writer are the caller's and live longer. */
/* watch: a table of another shape than before is looked at (apply/shape_change). */
int sb_tables_new(struct sb_conn *conn, struct sb_writer *writer, bool watch, struct sb_tables **ret_tables,
    struct sb_err *err);
void sb_tables_free(struct sb_tables *tables); /* NULL is fine */

/* The target's tables may be others now: they are read anew when met again. What was given out stays. */
int sb_tables_forget(struct sb_tables *tables, struct sb_err *err);

/* SB-TARGET-STRUCTURE if the target has no such table or lacks a column; SB-RELATION-CHANGED if the table had
 * another shape before, and the target's does not fit (apply/shape_change); SB-LIMIT. Belongs to tables. */
int sb_tables_of(struct sb_tables *tables, const struct sb_relation *rel, const struct sb_apply_rel **ret_rel,
    struct sb_err *err);

/* The next relation met is one that apply stood at because of its shape: with what it had before no longer
 * known, every difference counts; or an operator wants it taken as it is. */
void sb_tables_next(struct sb_tables *tables, bool as_it_is);

#endif
