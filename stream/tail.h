/*
 * Finding places in the log, over any store: the tail a new capture incarnation goes on from, and the offset
 * of a position, an LSN or a time. All by reading records and trusting frames only; bodies are decoded for
 * `open` and `commit` alone. A record of another stream uuid is SB-LOG-FOREIGN.
 *
 * Every function moves the handle's read position: seek before the next read.
 */
#ifndef SB_STREAM_TAIL_H
#define SB_STREAM_TAIL_H

#include "schemas/codec.h"
#include "stream/proof.h"
#include "stream/stream.h"

struct sb_tail {
    bool empty;                 /* no open record was ever written, as far as the store knows */
    uint64_t highest_epoch;     /* seen in the log or in its control table */
    struct sb_uuid incarnation; /* of the highest epoch's `open`; zero if neither knows it any more */
    struct sb_position
        position; /* behind the newest commit of the log's highest epoch, or that epoch's base if it has
                     none (its epoch is then the open's own; a base at the beginning is all zero) */
    bool position_known; /* false: retention took the records that would tell; see below */
    int64_t offset;      /* of that commit record; -1 if it is not retained */
};

/* The control key under which the writer puts each `open` it has written: value = offset as u64, then the
 * open's body. */
#define SB_CONTROL_OPEN "open"
/* Schemas: key "schema/" and the id in decimal; value = body of the `schema` record. */
#define SB_CONTROL_SCHEMA "schema/"

/*
 * The tail: what a new incarnation may take as its base. Records of lower epochs behind a higher epoch's open
 * (a zombie's) are ignored, and so is a transaction without its commit, and everything behind a hole in the
 * highest epoch's sequence (a store that forgot records it had acknowledged), its open included. Read in
 * windows from the end backwards until the highest epoch's newest commit or its open is found, so that the
 * cost does not grow with the log; the first window (SB_TAIL_WINDOW records) is more than a zombie's queue
 * holds.
 *
 * The control table is only a hint, for it is written after the log:
 *  - an open in the log that control does not know (a crash between the two): the log rules;
 *  - control put back by a zombie to its own, lower epoch: the log rules;
 *  - control knows an epoch of which the log has nothing: the log lost its end. highest_epoch and incarnation
 *    are then control's, so that nobody claims that epoch again; position is where the log as it stands ends.
 *  - neither the newest commit nor the open is retained (retention passed them, or the log was emptied):
 *    position_known is false, position is the open's base as control has it, or all zero: a lower
 *    bound. Such a log cannot say where it ends: go on from the target's progress as behind
 * a hole that begins at that base, or, where progress is not ahead of the slot, not at all.
 */
enum { SB_TAIL_WINDOW = 1 << 17 };
int sb_tail_find(
    struct sb_stream *stream, struct sb_codec *codec, struct sb_tail *ret_tail, struct sb_err *err);

/*
 * Where a reader at this position goes on. Offset right behind its commit record (epoch, sequence, commit
 * LSN), or that of the record that followed it if retention took no more than that, or, if the log lost that
 * record and was written anew, of the first open of a higher epoch, from where the proof finds the position
 * again. hint is what this function or the reader once had (the offset of that commit record or the one
 * behind it; -1: none) and is verified before it is believed; without it the log is read from its oldest
 * record. Neither there: SB-LOG-GAP, or SB-LOG-TRUNCATED if the log ends before the position (it lost its
 * end). All-zero position: the oldest offset, which must be the stream's very first record (else SB-LOG-GAP).
 */
int sb_tail_locate_position(struct sb_stream *stream, const struct sb_position *position, int64_t hint,
    int64_t *ret_offset, struct sb_err *err);
/*
 * For a reader that has met a hole in the epoch it reads, after from: the first open of a higher epoch, at or
 * behind from, that goes back to the reader's position or to before it. Its incarnation read the tail, found
 * the hole as well and wrote anew what is missing; the proof begins at that open. SB-LOG-GAP if there is none
 * so far.
 */
int sb_tail_locate_superseding(struct sb_stream *stream, const struct sb_position *position, int64_t from,
    int64_t *ret_offset, struct sb_err *err);
/* Offset of the first record whose commit LSN is >= lsn / that was appended at or after wall_ms; the next
 * offset if none. By halving: exact as long as what a later incarnation wrote again (and the clock went back
 * over) is less than SB_TAIL_WINDOW records. */
int sb_tail_locate_lsn(struct sb_stream *stream, uint64_t lsn, int64_t *ret_offset, struct sb_err *err);
int sb_tail_locate_time(struct sb_stream *stream, int64_t wall_ms, int64_t *ret_offset, struct sb_err *err);

#endif
