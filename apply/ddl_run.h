/* Running a command of the source on the target, in the session's open transaction, and what the target's
 * tables are before and behind it. */
#ifndef SB_APPLY_DDL_RUN_H
#define SB_APPLY_DDL_RUN_H

#include "pg/catalog.h"
#include "schemas/ddl.h"

/* The target's tables of the same names: ddl->table_count of them, NULL where there is none. In arena. */
int sb_ddl_before(struct sb_conn *conn, const struct sb_ddl *ddl, struct sb_arena *arena,
    const struct sb_cat_table *const **ret_before, struct sb_err *err);

/* With its names looked up where the source looked them up. An error is the server's, with its SQLSTATE. */
int sb_ddl_run(struct sb_conn *conn, const struct sb_ddl *ddl, struct sb_err *err);

/* Did it do here what it did on the source? Columns that it added must have the same type and default. The
 * first that has not; empty: it did. In arena. */
int sb_ddl_differs(struct sb_conn *conn, const struct sb_ddl *ddl, const struct sb_cat_table *const *before,
    struct sb_arena *arena, struct sb_view *ret_column, struct sb_err *err);

#endif
