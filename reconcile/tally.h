/*
 * The tally: the rows of both sides, in any order, until they cancel. Pure.
 *
 * The truth's rows count up, the follower's down; a row that both have leaves nothing. What is left are the
 * rows that one side has and the other has not, as multisets: nothing is assumed about keys being unique, and
 * no collation is asked. If both sides give their rows in about the same order, only as much is held as they
 * are apart.
 */
#ifndef SB_RECONCILE_TALLY_H
#define SB_RECONCILE_TALLY_H

#include "reconcile/sum.h"
#include "schemas/change.h"

struct sb_tally;

struct sb_tally *sb_tally_new(size_t max_bytes); /* NULL: no memory */
void sb_tally_free(struct sb_tally *tally);      /* NULL is fine */
void sb_tally_reset(struct sb_tally *tally);

enum { SB_TALLY_FULL = 1 };
/* by: +n for n rows of the truth, -n of the follower. Key bytes are copied; a table without a key gives the
 * row's digest as key, and no bytes. 0, SB_TALLY_FULL (the row is not taken), or -1: no memory. */
int sb_tally_add(struct sb_tally *tally, const struct sb_digest *key, const struct sb_digest *row,
    struct sb_view key_bytes, int64_t by);

/* Rows that are equal by a rule only: aside is whatever tells such rows apart, of one length. Where a row of
 * one side meets one of the other, fn is told both, if they are not the same. */
typedef void sb_tally_met_fn(void *arg, struct sb_view one, struct sb_view other);
void sb_tally_watch(struct sb_tally *tally, sb_tally_met_fn *fn, void *arg);
/* line: the digest of what the row was read as. */
int sb_tally_add_line(struct sb_tally *tally, const struct sb_digest *key, const struct sb_digest *row,
    struct sb_view key_bytes, struct sb_view aside, const struct sb_digest *line, int64_t by);
/* By how much the sums of lines of rows that cancelled are apart: 0, unless some were equal by a rule only.
 */
sb_sum sb_tally_met_sum(const struct sb_tally *tally);

/* What is left of one key. changed: both counts are above 0. */
struct sb_tally_rest {
    struct sb_digest key;
    struct sb_view key_bytes;                   /* until the tally changes */
    int64_t truth, follower;                    /* rows that the other side has not */
    struct sb_digest truth_row, follower_row;   /* one of them, where there are any */
    struct sb_view truth_aside, follower_aside; /* what it came with */
    sb_sum truth_sum, follower_sum;             /* of their lines' digests */
};
typedef int sb_tally_fn(void *arg, const struct sb_tally_rest *rest);
/* In the order of the keys' digests. 0, fn's first other answer, or -1: no memory. */
int sb_tally_each(const struct sb_tally *tally, sb_tally_fn *fn, void *arg);
size_t sb_tally_count(const struct sb_tally *tally); /* different rows that are left */
size_t sb_tally_peak_bytes(const struct sb_tally *tally);

#endif
