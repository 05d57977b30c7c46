/*
 * Which chunks of a plan a sample compares, and what it came to (reconcile/sample.h). Pure.
 */
#ifndef SB_RECONCILE_DRAW_H
#define SB_RECONCILE_DRAW_H

#include "reconcile/report.h"

/* Draws among the chunks of all tables that can be compared, and leaves only those in the tables' ranges; a
 * table of which none is drawn has no range then. */
void sb_draw_chunks(
    struct sb_verify_plan *plan, int64_t percent, uint64_t seed, struct sb_verify_sample *ret_sample);
/* Counts the bad ones, and the bound. ret_words: what that says, in arena. */
void sb_draw_conclude(const struct sb_verify_result *results, size_t count, struct sb_arena *arena,
    struct sb_verify_sample *sample, const char **ret_words);

#endif
