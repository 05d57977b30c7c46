/*
 * Following the stream for a compare: a reader of its own, from the anchor on, that proves what it reads and
 * tells the window which keys were touched.
 */
#ifndef SB_RECONCILE_FOLLOW_H
#define SB_RECONCILE_FOLLOW_H

#include "reconcile/anchor.h"
#include "reconcile/frontier.h"
#include "reconcile/plan.h"
#include "reconcile/window.h"
#include "stream/stream.h"

struct sb_follow;

/* The stream is read by nobody else from here on; plan and window outlive the follower. */
int sb_follow_new(struct sb_stream *stream, const struct sb_anchor *anchor, uint32_t timeline,
    const struct sb_verify_plan *plan, struct sb_window *window, struct sb_follow **ret_follow,
    struct sb_err *err);
void sb_follow_free(struct sb_follow *follow); /* NULL is fine */
/* Tell this ledger, too, what is read from here on; it outlives the follower. */
void sb_follow_report(struct sb_follow *follow, struct sb_frontier *frontier);

enum { SB_FOLLOW_LATE = 1 };
/* Until everything that committed below lsn is in the window: 0, LATE if nothing beyond it came within
 * timeout_ms, or -1 with the proof's or the window's error; SB-SOURCE-REWOUND if the source's timeline is
 * another; SB-SHUTDOWN when told to stop. */
int sb_follow_until(struct sb_follow *follow, uint64_t lsn, int64_t timeout_ms, struct sb_err *err);
/* The same without waiting, and so many records at most. LATE: it is not there yet. */
int sb_follow_some(struct sb_follow *follow, uint64_t lsn, size_t records_max, struct sb_err *err);
uint64_t sb_follow_transactions(const struct sb_follow *follow);

#endif
