/*
 * Is a progress row to be believed? Pure. It may be edited, or be of a past that this source does not have,
 * while capture runs: then it names a commit behind the end of the source's WAL, and to confirm on its word
 * would let go of what was never applied.
 *
 * Compared with what the source itself has shown, not with what this capture has recorded: a predecessor's
 * records may be applied before we have read as far. What is ahead of that is held until the source was asked
 * again: at the second pulse behind it the question was certainly sent later.
 */
#ifndef SB_CAPTURE_DOUBT_H
#define SB_CAPTURE_DOUBT_H

#include "capture/target.h"

struct sb_doubt {            /* zeroed at the start of an incarnation */
    uint64_t shown_lsn;      /* the furthest end of WAL that the source has told of */
    int pulses;              /* since it is held; 0: nothing is */
    struct sb_progress held; /* the oldest that is ahead */
};

enum { SB_DOUBT_BELIEVED = 1 };
/* The source has told of this end of its WAL. */
void sb_doubt_shown(struct sb_doubt *doubt, uint64_t wal_lsn);
/* BELIEVED, or 0: it is held, or another one is. */
int sb_doubt_weigh(struct sb_doubt *doubt, const struct sb_progress *progress);
/* A pulse of the source. BELIEVED with the one that was held, 0, or -1 with SB-SOURCE-REWOUND. */
int sb_doubt_pulse(
    struct sb_doubt *doubt, uint64_t wal_lsn, struct sb_progress *ret_progress, struct sb_err *err);

#endif
