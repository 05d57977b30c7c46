/*
 * Domain invariants: the user's own queries, evaluated on both sides behind a barrier (reconcile/barrier), so
 * that a sum over rows that are always written is exact.
 */
#ifndef SB_RECONCILE_INVARIANT_H
#define SB_RECONCILE_INVARIANT_H

#include "reconcile/barrier.h"
#include "reconcile/report.h"

/* Evaluate all that are configured. Results live in arena. A query that fails, takes too long or gives too
 * much was not evaluated, and says why; so were all of them, if there was no barrier. */
int sb_invariants_evaluate(
    struct sb_scene *scene, struct sb_arena *arena, struct sb_invariants *ret_invariants, struct sb_err *err);

#endif
