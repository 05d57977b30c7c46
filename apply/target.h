/*
 * What apply must know of a target table beyond its columns: how its key compares, which constraints the
 * server leaves unchecked in the replica role, and whether all that still holds.
 *
 * The stamp is made of the catalog rows that describe the table. A writing transaction keeps everybody from
 * altering what it has written to, so a stamp that is the same *behind* the writes proves that they were
 * planned for this table, and not for one that had another column, constraint or trigger. A stamp too old is
 * answered by reading everything anew.
 */
#ifndef SB_APPLY_TARGET_H
#define SB_APPLY_TARGET_H

#include "apply/relation.h"
#include "apply/writer.h"

/* A deferrable unique or exclusion constraint, as the parts of a query over pairs of rows x and y. */
struct sb_deferrable {
    struct sb_view name;
    struct sb_view columns; /* "(slot) AS e1, (lower(note)) AS e2", over the table as t */
    struct sb_view filter;  /* " WHERE ..." of a partial one, or empty */
    struct sb_view clash;   /* "x.e1 OPERATOR(pg_catalog.=) y.e1 AND ..." */
};

struct sb_target_stamp {
    struct sb_view oid; /* as text, NUL-terminated; empty: there is no such table */
    struct sb_view text;
};
/* Before the table's catalog is read, so that whatever changes in between shows. */
int sb_target_stamp(struct sb_conn *conn, struct sb_view schema, struct sb_view name, struct sb_arena *arena,
    struct sb_target_stamp *ret_stamp, struct sb_err *err);
/* Complete rel (made by sb_apply_rel_make): operators, deferrable constraints, whether its key is unique. */
int sb_target_read(struct sb_conn *conn, const struct sb_target_stamp *stamp, struct sb_arena *arena,
    struct sb_apply_rel *rel, struct sb_err *err);
/* Behind the writes to these tables, in their transaction. SB-TARGET-UNAVAILABLE (retry) if one of them is
 * not what it was. */
int sb_target_same(
    struct sb_writer *writer, const struct sb_apply_rel *const *rels, size_t count, struct sb_err *err);
/* Complete err of a lock time-out or deadlock by who holds locks on these tables. Outside of a transaction;
 * best effort. */
void sb_target_name_holder(
    struct sb_conn *conn, const struct sb_apply_rel *const *rels, size_t count, struct sb_err *err);
/* Complete err of a value that the server refused by the column whose type does not take it: servers do not
 * say. Outside of a transaction; best effort. */
void sb_target_name_column(
    struct sb_conn *conn, const struct sb_apply_rel *rel, const struct sb_value *row, struct sb_err *err);

#endif
