/*
 * One pass of a compare: every row of every table of the migration, on both sides, while both take writes.
 * See docs/RECONCILE.md for what a verdict means and why it may be trusted.
 */
#ifndef SB_RECONCILE_VERIFY_H
#define SB_RECONCILE_VERIFY_H

#include "config/wiring.h"
#include "reconcile/report.h"

struct sb_verify_options {
    enum sb_direction direction;
    const char *pattern;    /* of tables; NULL: all */
    bool plan_only;         /* results say the tables alone */
    bool self_test;         /* first prove that the compare can find */
    bool records;           /* they have the chunks, too */
    int64_t sample_percent; /* of the chunks; 0: all of them are compared */
    uint64_t seed;          /* of the sample */
};
/* Everything of the outcome lives in arena. 0 with it, whatever it says; -1: the compare could not be made.
 */
int sb_verify_run(const struct sb_config *config, const struct sb_verify_options *options,
    struct sb_arena *arena, struct sb_verify_outcome *ret_outcome, struct sb_err *err);

#endif
