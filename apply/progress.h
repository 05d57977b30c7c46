/*
 * Progress: the row in the target that says which source transactions are in effect there. It moves in the
 * same target transaction as the data, by compare-and-set on the previous position, as the last statement
 * before COMMIT, and is the only thing that decides what is applied next. A second applier, a zombie, an
 * ambiguous commit: all are answered by this row.
 *
 * Each lane has a row. Lane 0 is there always; lane 1 is the side reader's (apply/beside), there as long as
 * tables are set aside, and counts what it has written alone: lane 0 counts these transactions as well.
 *
 * It also holds the ownership epoch under which it is moved. A hand-off raises that in the transaction that
 * decides it (together with switchback.ownership), so that an applier which does not know of it yet moves
 * nothing any more, and its transaction is undone. Who owns is read with the row, once an incarnation.
 */
#ifndef SB_APPLY_PROGRESS_H
#define SB_APPLY_PROGRESS_H

#include "apply/writer.h"
#include "stream/proof.h"

enum sb_lane_number { SB_LANE_MAIN, SB_LANE_SIDE };

struct sb_progress {
    const char *migration; /* belong to the caller */
    const char *direction;
    enum sb_lane_number lane;
    struct sb_uuid stream;
    struct sb_uuid source;
    struct sb_position position;
    uint32_t timeline;
    int64_t offset; /* a hint: of the stream, right behind the commit record; -1 unknown */
    int64_t commit_us;
    uint64_t transactions, changes, conflicts; /* totals */
    uint64_t rogue_writes, rogue_transactions; /* of them not applied, for the source did not own */
    uint64_t ownership_epoch;                  /* part of what is compared */
    bool observes; /* the target owns the data: nothing of the stream is written */
};

/* SB-NOT-PREPARED without the control schema or an owner, SB-PROGRESS-LOST without the row or where it is of
 * another ownership epoch than the owner's row, SB-STATE-FORMAT if it does not parse. */
int sb_progress_read(struct sb_conn *conn, const char *migration, const char *direction,
    enum sb_lane_number lane, struct sb_progress *ret_progress, struct sb_err *err);
/* Behind the same commit of the same history? Where a log was written anew they may have other epochs. */
bool sb_progress_same(const struct sb_position *a, const struct sb_position *b);
/* Move from one position to the next, in the open transaction. SB-EPOCH-STALE if the row is not where we left
 * it. */
int sb_progress_write(struct sb_writer *writer, const struct sb_progress *from, const struct sb_progress *to,
    struct sb_err *err);

#endif
