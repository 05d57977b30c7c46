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
};
/* Of one table. What is kept of its differences is told, too. */
int sb_witness_ask(
    const struct sb_witness_options *options, struct sb_verify_result *result, struct sb_err *err);

#endif
