/*
 * Witnesses: asking both servers who wrote what differs, after a run, and writing the answer down with the
 * difference. For a bounded number of them a table; the evidence of the others stays empty.
 */
#ifndef SB_RECONCILE_WITNESS_H
#define SB_RECONCILE_WITNESS_H

#include "config/wiring.h"
#include "reconcile/report.h"

enum { SB_WITNESS_MAX = 10000 /* differences of a table */ };

struct sb_witness_options { /* everything outlives the call */
    const struct sb_config *config;
    enum sb_direction direction;
    struct sb_conn *source, *target; /* in no transaction */
    int64_t run;                     /* switchback.verify_run */
    struct sb_arena *arena;          /* of the result */
    bool way_back_late;              /* as sb_witness_await found it */
};
/* Foreign writes are recorded by the way back, a moment after they were made: until it has passed all that
 * the target has now, 10 s at most. ret_late: it has not. Nothing to wait for, if there is no way back. */
int sb_witness_await(const struct sb_witness_options *options, bool *ret_late, struct sb_err *err);
/* Of one table. What is kept of its differences is told, too. */
int sb_witness_ask(
    const struct sb_witness_options *options, struct sb_verify_result *result, struct sb_err *err);

#endif
