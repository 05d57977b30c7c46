/*
 * The overlap: what the source delivers again after a connect, compared commit by commit with what the stream
 * already holds of it. Passing it proves that the source still has the history that was captured, which no
 * position alone can prove: a restored backup or a failover may have grown past it.
 *
 * The slot is confirmed at the start of a known commit C, so the server begins with C itself. From there to
 * the stream's tail T every commit delivered must be the stream's own: position, xid, count, digest, and the
 * chain they make. What does not fit is
 *
 *     SB-SLOT-MOVED       the slot stands where the stream, which holds that stretch, has no commit
 *     SB-SOURCE-REWOUND   the source leaves out a commit of the stream, has one more, or tells another story
 *     SB-LOG-CORRUPT      the stream's own commits do not make the chain they state
 *
 * Stretches that the stream does not hold (deleted by retention, or a declared hole) can only be passed over;
 * their last commit must be delivered. The stream is read by a second handle, in step with the source.
 */
#ifndef SB_CAPTURE_OVERLAP_H
#define SB_CAPTURE_OVERLAP_H

#include "schemas/codec.h"
#include "stream/stream.h"

struct sb_overlap;

struct sb_overlap_facts {
    uint64_t slot_began; /* S: where the slot was made; no commit is expected exactly there */
    uint64_t confirmed;  /* C */
    uint64_t until;      /* T: the commit that ends the overlap */
    struct sb_digest until_chain;
};

/* With stream NULL the whole overlap is a hole: nothing to compare, but C and T must be delivered. Options,
 * codec and what they point to outlive the overlap. */
int sb_overlap_new(const struct sb_stream_options *stream, struct sb_codec *codec,
    const struct sb_overlap_facts *facts, struct sb_overlap **ret_overlap, struct sb_err *err);
void sb_overlap_free(struct sb_overlap *overlap); /* NULL is fine */

/* The source delivered this commit. ret_chain: the stream's chain after it, and ret_known whether the stream
 * said so. ret_done: it was the last of the overlap. */
int sb_overlap_commit(struct sb_overlap *overlap, const struct sb_commit *commit, struct sb_digest *ret_chain,
    bool *ret_known, bool *ret_done, struct sb_err *err);
/* The source says that it has read its WAL up to here and sent what was in it. */
int sb_overlap_reached(const struct sb_overlap *overlap, uint64_t wal_lsn, struct sb_err *err);
uint64_t sb_overlap_compared(const struct sb_overlap *overlap); /* commits found equal */

#endif
