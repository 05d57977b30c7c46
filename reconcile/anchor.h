/*
 * The anchor: where the window begins, so that everything before it is visible in every snapshot taken from
 * here on, and applied at every progress read from here on.
 *
 * Progress only moves on, so behind the progress P0 that the target has now everything is applied. But not
 * everything applied at P0 is visible: a commit that waits for a synchronous standby may be in the stream,
 * applied, and in no snapshot (docs/RECONCILE.md). So: read P0, then let the source give out an xid B, then
 * take a snapshot. What had committed up to P0 has an xid below B, and so what of it the snapshot does not
 * show is among the few xids that it lists as running below B. They are looked for in the retained stream:
 * the anchor is before the first one found. One that is not found has not committed up to P0 (its commit is
 * behind the anchor, when it comes), unless its commit is older than the oldest record retained. Then its
 * session would wait for the standby still; if it does, or has no session that could be asked, the compare is
 * refused (SB-LOG-GAP).
 */
#ifndef SB_RECONCILE_ANCHOR_H
#define SB_RECONCILE_ANCHOR_H

#include "pg/conn.h"
#include "stream/proof.h"
#include "stream/stream.h"

struct sb_anchor {
    struct sb_position position; /* the reader begins behind this commit */
    int64_t hint;                /* of its offset, for sb_tail_locate_position; -1: none */
    uint64_t held_back_by;       /* the transaction before which the anchor was set; 0: none */
};
/* progress: of the target, read just before. */
int sb_anchor_find(struct sb_conn *source, struct sb_stream *stream, const struct sb_position *progress,
    int64_t hint, struct sb_anchor *ret_anchor, struct sb_err *err);

#endif
