/*
 * Comparing one table: chunk by chunk, then the keys that were touched meanwhile, until each is decided.
 *
 * A chunk is a range of keys and a slice of their digests; one that does not fit into memory is halved and
 * read again, so that a table of any size and any key is compared in bounded memory. Its rows are tallied,
 * then the stream is read past H and P, and only then the rest is judged: a key that is not dirty is a proven
 * difference. Dirty keys, equal or not, are read again in small batches under stamps of their own; whatever a
 * batch's cut splits is decided by the stream (reconcile/verdict), and what it cannot decide either is read
 * again: each round has a newer progress, and a key that is written without end has steps at it. Rounds are
 * bounded; what is left then is said to be undecided.
 *
 * A table that was emptied between the two cuts of a chunk is read again.
 */
#ifndef SB_RECONCILE_COMPARE_H
#define SB_RECONCILE_COMPARE_H

#include "reconcile/chunk_record.h"
#include "reconcile/finding.h"
#include "reconcile/follow.h"
#include "reconcile/frontier.h"
#include "reconcile/report.h"
#include "reconcile/sides.h"

typedef int sb_compare_judged_fn(
    void *arg, struct sb_verify_result *result, const struct sb_chunk_record *record, struct sb_err *err);

struct sb_compare_options {
    size_t tally_max_bytes;
    int64_t stream_wait_ms; /* for the stream to get past the stamp's horizon */
    int64_t age_max_ms;     /* of a snapshot */
    bool sums;              /* ask the servers for sums first (reconcile/sums) */
    sb_finding_fn *found;   /* each difference, when it is proven; NULL: nobody */
    void *found_arg;
    sb_compare_judged_fn *judged; /* each chunk, when it is judged; NULL: nobody */
    void *judged_arg;
};

struct sb_compare;

/* Sides, follower, window and arena are the caller's; what is kept of differences lives in arena. */
int sb_compare_new(const struct sb_compare_options *options, struct sb_sides *sides, struct sb_follow *follow,
    struct sb_window *window, struct sb_arena *arena, struct sb_compare **ret_compare, struct sb_err *err);
void sb_compare_free(struct sb_compare *compare); /* NULL is fine */

/* The table's chunks. Fills ret_result, whose table is set; its dirty keys wait for sb_compare_resolve. */
int sb_compare_table(struct sb_compare *compare, struct sb_verify_result *ret_result, struct sb_err *err);
/* Decide the dirty keys of all tables, and end with their results what sb_compare_conclude then reads. */
int sb_compare_resolve(struct sb_compare *compare, struct sb_err *err);
/* What became of a key that was asked about: equal or not. Of one that is not decided nothing is said. */
typedef int sb_compare_key_fn(
    void *arg, const struct sb_digest *key, enum sb_verdict_is is, struct sb_err *err);
/* Compare these keys of one table alone, by the same rule: as they are at the progress that the target has
 * now, or later. ret_result's table is set; no other keys wait. It says why, if the table could not be
 * compared. */
int sb_compare_keys(struct sb_compare *compare, struct sb_verify_result *ret_result,
    const struct sb_view *keys, size_t count, sb_compare_key_fn *fn, void *arg, struct sb_err *err);

/* -- for who knows by itself which keys are dirty (reconcile/frontier), and comes again for them ------------
 */

/* One range of the table, with patience for nothing. */
int sb_compare_range(struct sb_compare *compare, struct sb_verify_result *ret_result,
    const struct sb_key_range *range, struct sb_err *err);
enum { SB_COMPARE_KEYS_MAX = 300 };
/* Some keys of the table, so many at most, once under one pair of stamps. What is not decided is counted. */
int sb_compare_look(struct sb_compare *compare, struct sb_verify_result *ret_result,
    const struct sb_frontier_key *keys, size_t count, sb_compare_key_fn *fn, void *arg, struct sb_err *err);
/* Under which the newest chunk or batch was judged; valid in what is called back meanwhile. */
const struct sb_stamp *sb_compare_stamp(const struct sb_compare *compare);

void sb_compare_conclude(struct sb_verify_result *result);
/* Of the first stamp; 0: none was taken. */
uint64_t sb_compare_first_applied(const struct sb_compare *compare, int64_t *ret_applied_us);
size_t sb_compare_tally_peak_bytes(const struct sb_compare *compare);

#endif
