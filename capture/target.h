/*
 * The SQL session with the target: how far it is, and whether that is on its disk. Progress counts only once
 * the target's flush position has passed its insert position as read *after* the progress row: apply may
 * commit asynchronously, and what a crash of the target would take back must not be confirmed to the slot.
 *
 * A target that is down is no error here: it is said once, the session is tried again with growing pauses,
 * and capture goes on. What makes an error: another database than the prepared one (SB-TARGET-IDENTITY), a
 * progress row that is missing or of another stream (SB-PROGRESS-LOST), a newer capture at work
 * (SB-EPOCH-STALE).
 */
#ifndef SB_CAPTURE_TARGET_H
#define SB_CAPTURE_TARGET_H

#include "config/wiring.h"
#include "schemas/change.h"

struct sb_needed { /* a commit that a reader stands at: the stream may forget what lies before it */
    uint64_t epoch;
    uint64_t sequence;
    uint64_t commit_lsn;   /* 0: nothing was applied yet */
    int64_t stream_offset; /* a hint: behind the commit record; -1: none */
};

struct sb_progress {
    uint64_t epoch;
    uint64_t sequence;
    uint32_t timeline;
    uint64_t commit_lsn; /* 0: nothing was applied yet */
    struct sb_digest chain;
    int64_t stream_offset;   /* a hint: behind the commit record; -1: none */
    bool copying;            /* the initial copy is pending: nothing is applied until it is complete */
    struct sb_needed needed; /* by the lane that is furthest behind: this one, or apply's side reader */
};

struct sb_target_options { /* strings belong to the caller */
    struct sb_endpoint endpoint;
    const char *purpose;
    const char *migration;
    const char *direction;
    struct sb_uuid stream_uuid;
    struct sb_uuid source_uuid;
    struct sb_uuid target_uuid;
    int64_t interval_ms; /* how often to ask */
};

struct sb_target;

/* Does not connect yet. NULL: no memory. */
struct sb_target *sb_target_new(const struct sb_target_options *options);
void sb_target_free(struct sb_target *target); /* NULL is fine */

/* Before the loop runs: connect and ask, waiting a few seconds at most. 0 with ret_known: false if the target
 * cannot be asked now. -1 for the errors above. */
int sb_target_ask(
    struct sb_target *target, struct sb_progress *ret_progress, bool *ret_known, struct sb_err *err);

enum { SB_TARGET_PROGRESS = 1 };
/* Turn: polls what is under way, sends what is due, opens the session again when its time has come. 0,
 * SB_TARGET_PROGRESS with a progress that is flushed, or -1. */
int sb_target_turn(
    struct sb_target *target, int64_t now_ms, struct sb_progress *ret_progress, struct sb_err *err);

#endif
