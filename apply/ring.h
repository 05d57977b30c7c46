/*
 * The ring of touched keys: which keys passed through apply, in which commit, of which transaction. An image
 * of a row that was read under snapshot S and comes at commit L is still the truth there unless a transaction
 * that S does not show has touched its key at or before L. Positions cannot say that (docs/RECONCILE.md); the
 * ring can, as far as it reaches.
 *
 * Whole from a position on: every key that a commit behind it touched is remembered. The oldest entries go
 * when it is full, and the position rises. Everything of the stream up to L must have been put in before L is
 * asked about, what is gathered and not written yet and what is in flight included; too much is safe.
 *
 * Keys are compared as bytes of their text, under the columns' names in byte order, so that it does not
 * matter in which order the stream and an image have them. What is unclear touches every key of its table:
 * TRUNCATE, a table whose shape differs from the one before, a replica identity that is FULL or none, a key
 * column that did not travel.
 *
 * Pure. Bounded by its bytes; never fails, but for birth.
 */
#ifndef SB_APPLY_RING_H
#define SB_APPLY_RING_H

#include "pg/snapshot.h"
#include "schemas/image.h"

struct sb_ring;

struct sb_ring_at { /* a transaction of the stream */
    uint64_t commit_lsn, xid;
    uint32_t timeline;
};

/* whole_from: everything behind it will be put in. NULL if there is no memory. */
struct sb_ring *sb_ring_new(size_t max_bytes, uint64_t whole_from);
void sb_ring_free(struct sb_ring *ring); /* NULL is fine */
uint64_t sb_ring_whole_from(const struct sb_ring *ring);

/* A change, in the order of the stream. Relations must live as long as the ring. */
void sb_ring_change(struct sb_ring *ring, const struct sb_ring_at *at, const struct sb_change *chg);
/* Every key of every table: DDL. */
void sb_ring_everything(struct sb_ring *ring, const struct sb_ring_at *at);

enum sb_ring_verdict {
    SB_RING_GOOD,  /* the row is the truth at the place where the image stands */
    SB_RING_NEWER, /* something that its snapshot does not show may have touched the key */
    SB_RING_SHORT, /* too much is forgotten to say */
};
/* Of a stamped image, which stands at `at`; ret_verdicts: one a row. ring NULL: all short. SB-LIMIT if
 * scratch is full. */
int sb_ring_judge(struct sb_ring *ring, const struct sb_ring_at *at, const struct sb_image *image,
    const struct sb_snapshot *snapshot, struct sb_arena *scratch, enum sb_ring_verdict *ret_verdicts,
    struct sb_err *err);

#endif
