/*
 * The copy stage: the rows that the source's tables hold already -> the target. One process, one loop,
 * copy.jobs pipes; the joint with the stream is the stamp of each chunk (copy/pipe.h, apply/stamps.h,
 * docs/COPY.md).
 *
 * Runs one incarnation: reads whether a copy is pending, claims it, plans what the ledger has not
 * (copy/plan), copies, plans once more, and when nothing is missing says so in switchback.copy. Where the
 * structure is the copy's business, too (copy/schema), the tables are made before that, and the rest of it
 * once apply has passed the copy. 0: the copy is complete, or there is none, or the stage was told to stop
 * (sb_loop_stop_signal). -1: see the error; crash-only, nothing needs to be done before it dies.
 */
#ifndef SB_COPY_COPY_H
#define SB_COPY_COPY_H

#include "config/wiring.h"

int sb_copy_run(const struct sb_config *config, enum sb_direction direction, struct sb_err *err);

/* What this process has seen of the copy, for a progress bar. fn is called about twice a second. */
struct sb_copy_sight {
    int64_t tables, tables_done;
    int64_t rows, rows_estimated;
    int64_t bytes;
    double rows_s;      /* lately; 0: not known */
    const char *schema; /* what is made of the structure: "schema: indexes 3 of 12"; NULL: rows are copied */
};
typedef void sb_copy_sight_fn(void *arg, const struct sb_copy_sight *sight);
/* Before sb_copy_run, in this process. NULL: nobody looks. */
void sb_copy_watch(sb_copy_sight_fn *fn, void *arg);

#endif
