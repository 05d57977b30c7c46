/*
 * The reader's proof: that what it was given is the log, whole, in order, of this migration. Pure: it sees
 * frames, `open` and `commit` records, and the digests of changes, and answers what may be done with each
 * record.
 *
 * The rules (argued in docs/STREAM-FORMAT.md):
 *  - a frame of another stream uuid or lane is SB-LOG-FOREIGN;
 *  - a frame of a lower epoch than the highest seen is a zombie's late append: DROP;
 *  - within an epoch the sequence goes up by exactly one: an equal or lower one with the same epoch is a
 * repeat (Kafka's at-least-once): DROP if below or at the newest, a hole is SB-LOG-GAP;
 *  - a higher epoch begins with an `open`, which may cut off a partial transaction (its commit will never
 * come: ABANDON) and states its base. Its own sequence is the base's plus one: what it cuts off has its
 * sequences used again. Another `open` of the same epoch is SB-EPOCH-CLASH. A base at our position continues.
 * A base behind our position repeats commits: they are REPEAT until one lands exactly on (our commit LSN, our
 * chain), else SB-SOURCE-REWOUND. A base ahead of our position is SB-LOG-GAP (unless a declared hole begins
 * at or before our position and ends at the base *and* our position is the base: a hole before us is of no
 * concern);
 *  - a transaction takes effect only with its commit record: same LSN and xid as its changes, ordinals
 * gapless from 1, count, digest and chain as computed here; else SB-LOG-CORRUPT.
 *  - records before the first `open` or commit a reader starts at: the reader starts right behind a commit it
 * has applied (its position), or at the stream's very beginning (position all zero), never elsewhere.
 */
#ifndef SB_STREAM_PROOF_H
#define SB_STREAM_PROOF_H

#include "core/err.h"
#include "schemas/digest.h"
#include "schemas/frame.h"

/* Where a reader stands: behind a commit. All zero: before everything. */
struct sb_position {
    uint64_t epoch;
    uint64_t sequence;
    uint64_t commit_lsn;
    struct sb_digest chain;
};

enum sb_verdict {
    SB_VERDICT_TAKE,    /* next in order: decode it, and give it to the matching sb_proof_* function */
    SB_VERDICT_DROP,    /* a zombie's or a repeat: do not even decode it */
    SB_VERDICT_ABANDON, /* an open that cuts off the transaction in flight: forget its changes, then as TAKE
                         */
    SB_VERDICT_REPEAT,  /* TAKE it for the proof, but its transaction is already behind our position: do not
                           apply */
};

struct sb_proof; /* one a reader */

struct sb_proof *sb_proof_new(
    const struct sb_uuid *stream, uint16_t lane, const struct sb_position *start, struct sb_err *err);
void sb_proof_free(struct sb_proof *proof);

/* Judge a frame before anything of its body is read. 0 with ret_verdict, or -1. Parts are judged one by one;
 * the functions below are called once for a record, when it is whole, before the next frame is judged. (There
 * is none for `schema`: give it to the codec. Images are SB-LOG-FORMAT until something writes them.) After a
 * failure the proof is finished: begin anew at the position. */
int sb_proof_frame(
    struct sb_proof *proof, const struct sb_frame *frame, enum sb_verdict *ret_verdict, struct sb_err *err);
int sb_proof_open(
    struct sb_proof *proof, const struct sb_frame *frame, const struct sb_open *open, struct sb_err *err);
int sb_proof_change(
    struct sb_proof *proof, const struct sb_frame *frame, const struct sb_change *chg, struct sb_err *err);
int sb_proof_message(
    struct sb_proof *proof, const struct sb_frame *frame, const struct sb_message *msg, struct sb_err *err);
/* ret_repeat: the transaction is proven but lies at or behind the start position: do not apply it. */
int sb_proof_commit(struct sb_proof *proof, const struct sb_frame *frame, const struct sb_commit *commit,
    bool *ret_repeat, struct sb_err *err);

/* Behind the newest commit proven (not below the start position). */
struct sb_position sb_proof_position(const struct sb_proof *proof);
/* Changes seen of a transaction whose commit has not come. */
uint64_t sb_proof_in_flight(const struct sb_proof *proof);

#endif
