/*
 * Keeps the sequences of the side that does not own the data ahead of the owner's (docs/SEQUENCES.md).
 *
 * A round reads who owns, where the sequences of both sides stand, judges each pair (cutover/sequence.h) and
 * moves those that are not far enough ahead. Pairs are found by name, and by the column that a sequence
 * feeds: an identity column's may be called otherwise on either side.
 *
 * What is moved is written down first, in switchback.sequence on the side that it is moved on: a sequence
 * found beyond what is written there was used by somebody on the side that does not own. That is counted and
 * said, never put right: what was given out is given out.
 *
 * A move holds the side's ownership row FOR SHARE and asks again who owns, so that no hand-off comes in
 * between, and it moves a sequence only from where it was seen to stand.
 *
 * `switchback run` has one of these in the stage `sequences`; a hand-off may have one of its own for a last
 * round behind the fence.
 */
#ifndef SB_CUTOVER_KEEPER_H
#define SB_CUTOVER_KEEPER_H

#include "config/config.h"
#include "pg/conn.h"

struct sb_keeper;

struct sb_keeper_result {
    bool new_owns;
    bool waits;       /* nothing was looked at: the initial copy has not made the new side's structure yet */
    int64_t kept;     /* sequences ahead, or moved there */
    int64_t moved;    /* of them in this round */
    int64_t missing;  /* the other side has none */
    int64_t unkept;   /* no right, another direction, spent */
    int64_t tight;    /* ahead, but little is left for the other side */
    int64_t rogue;    /* values used on the side that does not own, since it does not */
    int64_t ahead;    /* of the one that is least ahead; INT64_MAX: there is none */
    int64_t headroom; /* of the one that has least left; INT64_MAX: there is none */
    char why[256];    /* one sentence that names the first that is not as it should be; empty: all are */
};

int sb_keeper_new(const struct sb_config *config, struct sb_keeper **ret_keeper, struct sb_err *err);
void sb_keeper_free(struct sb_keeper *keeper); /* NULL is fine */

/* Opens a session on either side, does one round, and closes them. What is wrong with single sequences is in
 * the result and logged once; errors are those of servers that do not answer or were not prepared. */
int sb_keeper_round(struct sb_keeper *keeper, struct sb_keeper_result *ret_result, struct sb_err *err);

#endif
