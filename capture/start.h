/*
 * Where a capture incarnation goes on. Pure: positions in, a verdict out.
 *
 * The slot cannot be asked: ahead of its confirmed position the server silently skips, behind it it silently
 * starts at the confirmed one. So the start is proven from downstream, from what the stream holds and what
 * the target has applied, and disagreement is a halt, never a start. With
 *
 *     S  where the slot began, written down by prepare     T  newest commit in the stream (0: none)
 *     C  what the slot says is confirmed                    P  newest commit applied and flushed at the
 * target R  highest commit that the stream is known to have held durably, written down before it was
 * confirmed
 *
 * the cases are
 *
 *     T = 0, C = S       FRESH      nothing was ever confirmed: everything comes from the beginning
 *     S <= C <= T        VERIFY     the source delivers C..T again; that must be the stream's own history
 *     T < C <= P         HOLE       the stream lost commits that the target has; declared, chain taken from P
 *     C > T, C > P       TRUNCATED  if C <= R: the stream had it once and lost it
 *                        MOVED      otherwise: this migration never confirmed that position
 *     C > T, P unknown   WAIT       only the target can say whether this is a hole or a loss
 *     C < S              MOVED      an older slot under the same name
 *
 * C may be lower than what was confirmed last: after a crash, and even after a clean stop, the server goes
 * back to an earlier confirmed position. That is VERIFY with a longer overlap, and normal.
 */
#ifndef SB_CAPTURE_START_H
#define SB_CAPTURE_START_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

struct sb_start_facts {
    uint64_t slot_began; /* S */
    uint64_t confirmed;  /* C */
    uint64_t tail;       /* T */
    uint64_t recorded;   /* R */
    bool progress_known; /* could the target be asked? */
    uint64_t progress;   /* P */
};

enum sb_start {
    SB_START_FRESH,
    SB_START_VERIFY,
    SB_START_HOLE,
    SB_START_WAIT,
    SB_START_TRUNCATED,
    SB_START_MOVED,
};

enum sb_start sb_start_decide(const struct sb_start_facts *facts);
const char *sb_start_name(enum sb_start start); /* "verify" */
/* The error of the last three; slot is its name. Returns -1. */
int sb_start_error(
    enum sb_start start, const struct sb_start_facts *facts, const char *slot, struct sb_err *err);

#endif
