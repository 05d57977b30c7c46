/*
 * Exact mode: every change on its own, in order, counted. The fallback when the net effect does not come out
 * as planned, and the oracle that the net effect is tested against.
 *
 * What the target should have had and has not is a conflict: recorded, and resolved for the owner of the rows
 * (the stream), or held. What cannot be resolved row by row (a unique constraint another row blocks, a
 * missing row whose unchanged TOAST columns did not travel) is an error that stops the lane: SB-CONFLICT or
 * SB-POISON.
 */
#ifndef SB_APPLY_EXACT_H
#define SB_APPLY_EXACT_H

#include "apply/conflict.h"
#include "apply/probe.h"

struct sb_exact { /* whose transaction it is, and the rule for conflicts */
    struct sb_writer *writer;
    const char *migration;
    const char *direction;
    bool hold_conflicts; /* apply.conflict is hold: a conflict is an error */
    uint64_t commit_lsn, xid;
    uint64_t conflicts;                   /* counted here */
    const struct sb_batch_change *failed; /* the change of the last error */
    bool held;                            /* that error is a conflict: */
    enum sb_conflict_kind held_kind;
    char *held_row; /* the target's version as JSON, or NULL; the caller frees it */
};

/* All changes in the open target transaction. -1: roll back; exact->failed is where, exact->held what to
 * record then. */
int sb_exact_write(
    struct sb_exact *exact, const struct sb_batch_change *changes, size_t count, struct sb_err *err);
/* What a probe has found is a conflict that is always held. Takes hit->other_row; always -1. */
int sb_exact_forbidden(struct sb_exact *exact, struct sb_probe_hit *hit, struct sb_err *err);

#endif
