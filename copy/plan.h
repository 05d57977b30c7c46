/*
 * The plan of an initial copy: every published table, joined with the target's, what is finished of it, and
 * the rest cut into chunks. Made anew at each start from the catalogs and the ledger, so that resuming is
 * planning: finished chunks stay, everything else is read under new snapshots.
 *
 * A table is cut into key ranges if the leading column of its replica identity has an order we compute
 * ourselves (schemas/key) on both sides, and the target has no unique or exclusion constraint that rows of
 * two stamps could violate together: one whose columns do not contain the identity's. Else it is one chunk.
 * So it is, too, once keys of it had to be read again some times because rows with large values keep moving
 * between its chunks: each time is right, but as long as rows go on moving there would be a next one.
 *
 * A table begins anew (its rows and chunks are deleted) if its shape on the source has changed since it was
 * planned, or if chunks of it were read on another timeline of the source and apply has not passed them: the
 * source failed over, and may have lost what they show.
 *
 * Beside an apply that goes on only the tables set aside are planned (switchback.aside): what is there of one
 * from before is deleted first; one that is published no more is nobody's business any longer, aside or not.
 *
 * Asks both servers and waits for the answers: before the loop runs.
 */
#ifndef SB_COPY_PLAN_H
#define SB_COPY_PLAN_H

#include "copy/control.h"

struct sb_copy_plan {
    struct sb_copy_table *tables;
    size_t table_count;
    struct sb_copy_job *jobs; /* large tables first */
    size_t job_count;
    size_t chunks_done;
    int64_t rows_done; /* of finished chunks */
    int64_t rows_estimated;
};

/* beside: the tables set aside, and no others. SB-TARGET-NOT-EMPTY, SB-TARGET-STRUCTURE, SB-RLS before
 * anything is written. stop is asked between tables. Everything lives in arena. */
int sb_copy_plan_make(const struct sb_copy_claim *claim, struct sb_conn *source,
    const struct sb_config *config, const struct sb_names *names, bool beside, bool (*stop)(void),
    struct sb_arena *arena, struct sb_copy_plan *ret_plan, struct sb_err *err);

#endif
