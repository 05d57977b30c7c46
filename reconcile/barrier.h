/*
 * A barrier: two transactions, one on each side, that show exactly the same commits, while both sides are
 * written to.
 *
 * A snapshot S of the truth shows some commits, and mostly they are a beginning of the stream's order. Then
 * the follower is brought to exactly the last of them, and its snapshot is taken there:
 *
 *  1. apply is asked to hold, and stands behind a commit P (switchback.apply_hold);
 *  2. S is taken, with its horizon H, and the stream read past H. If what S shows is not a beginning of the
 * order that has P in it (a commit may be visible before one that is logged earlier, docs/RECONCILE.md), it
 * is let go and another one taken;
 *  3. apply goes on to the last commit that S shows, and holds there;
 *  4. the follower's snapshot is taken, and its progress must be that commit;
 *  5. apply is let go. It was held for as long as the stream is late, and some moments.
 *
 * All tables of the plan are locked ACCESS SHARE on both sides before the snapshots: what is emptied is
 * emptied in both, or waits. If whoever asked dies, apply goes on by itself after invariants.hold_max_s.
 */
#ifndef SB_RECONCILE_BARRIER_H
#define SB_RECONCILE_BARRIER_H

#include "reconcile/scene.h"

struct sb_barrier {
    struct sb_sides *sides; /* of its own, each in a read-only transaction */
    uint64_t commit_lsn;    /* both show everything up to it, and nothing else */
    int64_t snapshots;      /* that were taken until one was good */
    int64_t held_ms;        /* apply stood still for so long */
};

/* The scene follows the stream, and its plan has all tables. ret_why: NULL, or why there is no barrier now,
 * in words. Whatever it answers, sb_barrier_end is to follow. */
int sb_barrier_take(
    struct sb_scene *scene, struct sb_barrier *ret_barrier, const char **ret_why, struct sb_err *err);
void sb_barrier_end(struct sb_barrier *barrier);

#endif
