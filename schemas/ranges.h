/*
 * Ranges of a table's keys: which are finished, what is left, and how what is left is cut into chunks. Pure.
 *
 * Half open, the first open below and the last open above, so that together they hold every key there is or
 * will be; finished ranges never overlap.
 */
#ifndef SB_SCHEMAS_RANGES_H
#define SB_SCHEMAS_RANGES_H

#include "core/arena.h"
#include "core/err.h"
#include "schemas/key.h"

struct sb_ranges {
    struct sb_key_range *items;
    size_t count;
};

/* The complement of done, in order; done is sorted in place. Bounds are views into done's. SB-STATE-FORMAT if
 * finished ranges overlap: two processes have written the ledger. */
int sb_ranges_missing(struct sb_key_range *done, size_t done_count, struct sb_arena *arena,
    struct sb_ranges *ret_missing, struct sb_err *err);
/* Cut ranges at the boundaries (ascending, views that live as long as the result) that lie inside them. */
int sb_ranges_cut(const struct sb_ranges *ranges, const struct sb_view *boundaries, size_t boundary_count,
    struct sb_arena *arena, struct sb_ranges *ret_cut, struct sb_err *err);
/* From a sample of keys (sorted in place) at most chunks - 1 boundaries, ascending and different from one
 * another, that divide it evenly; ret_boundaries has room for chunks. Returns how many. */
size_t sb_ranges_boundaries(
    struct sb_view *sample, size_t sample_count, size_t chunks, struct sb_view *ret_boundaries);

#endif
