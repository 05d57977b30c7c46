/*
 * The canary's arrival: a row in the target's control schema, and its echo, a transactional message that
 * capture of the other direction finds inside a transaction of ours and drops (capture/flow). Both are
 * written in the target transaction that moves progress past the canary, so an echo says: everything up to
 * here went there, under our origin.
 */
#ifndef SB_APPLY_CANARY_H
#define SB_APPLY_CANARY_H

#include "apply/writer.h"
#include "schemas/signal.h"

struct sb_canary {
    uint64_t epoch;
    uint64_t number; /* 0: there is none */
    int64_t sent_us;
};

/* In the open transaction. */
int sb_canary_write(struct sb_writer *writer, const char *migration, const char *direction,
    const struct sb_canary *canary, struct sb_err *err);

#endif
