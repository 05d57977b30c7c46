/*
 * The record of a run: its row in switchback.verify_run on the target, from its start on, so that what it
 * finds can name it. As long as the run lives its session holds an advisory lock, by which everybody can tell
 * it from one that died; the next run marks those.
 */
#ifndef SB_RECONCILE_RUN_ROW_H
#define SB_RECONCILE_RUN_ROW_H

#include "pg/conn.h"
#include "reconcile/report.h"

struct sb_run_row {
    struct sb_conn *target;
    const char *migration, *direction;
    const char *pattern; /* of tables; NULL: all */
    int64_t id;          /* 0: the row is not there */
};

/* The other members are the caller's and set. */
int sb_run_row_begin(struct sb_run_row *row, size_t tables, struct sb_err *err);
int sb_run_row_end(const struct sb_run_row *row, const struct sb_verify_outcome *outcome, struct sb_err *err);
/* It came to nothing, because of cause. If the target is not there the row stays as that of a run that died.
 */
void sb_run_row_fail(const struct sb_run_row *row, const struct sb_err *cause);

#endif
