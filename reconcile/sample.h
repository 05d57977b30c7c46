/*
 * A sample of chunks: which ones are drawn, and what the outcome says of all of them. Pure.
 *
 * The unit is the chunk, a range of keys that is read on both sides: rows drawn from one side could never
 * show what only the other has. Chunks are drawn without putting back, so the number of bad ones among those
 * drawn follows the hypergeometric distribution. With k bad of n drawn from N, the bound is the largest B for
 * which drawing k or fewer bad ones still has a probability of at least 1 - confidence (Clopper and Pearson's
 * upper limit, for a finite population). For k = 0 and a small share it is about 3 N / n at 95 %.
 *
 * A sample bounds chunks, never rows: one wrong row in a chunk makes it bad, and a few single wrong rows in a
 * large table are most likely missed. The full pass finds them.
 */
#ifndef SB_RECONCILE_SAMPLE_H
#define SB_RECONCILE_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

/* How many of so many are percent of them: at least one, if there is one. */
int64_t sb_sample_size(int64_t population, double percent);

/* Draws one after another: does the next of those left (of the population, this one counted) belong to the
 * sample, of which so many are still to be drawn? Asked for each in turn it draws exactly as many as wanted,
 * every set with the same probability. The same seed draws the same. */
struct sb_sample_draw {
    uint64_t state;
};
struct sb_sample_draw sb_sample_begin(uint64_t seed);
bool sb_sample_next(struct sb_sample_draw *draw, int64_t left, int64_t wanted);

/* The bound: 0 <= bad <= drawn <= population; confidence within (0, 1). */
int64_t sb_sample_bound(int64_t population, int64_t drawn, int64_t bad, double confidence);

#endif
