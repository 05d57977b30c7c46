#include "schemas/ranges.h"

#include <stdlib.h>

static int range_order(const void *a, const void *b)
{
    return sb_key_range_cmp(a, b);
}

static int view_order(const void *a, const void *b)
{
    return sb_view_cmp(*(const struct sb_view *)a, *(const struct sb_view *)b);
}

static int room(struct sb_arena *arena, size_t count, struct sb_ranges *ret_ranges, struct sb_err *err)
{
    ret_ranges->count = 0;
    ret_ranges->items = sb_arena_alloc(arena, count * sizeof *ret_ranges->items);
    if (ret_ranges->items != NULL)
        return 0;
    return sb_err_set(
        err, SB_E_LIMIT, "%zu key ranges do not fit into arena \"%s\"", count, sb_arena_name(arena));
}

static int overlap(struct sb_err *err)
{
    return sb_err_set(err, SB_E_STATE_FORMAT, "finished key ranges in switchback.chunk overlap");
}

int sb_ranges_missing(struct sb_key_range *done, size_t done_count, struct sb_arena *arena,
    struct sb_ranges *ret_missing, struct sb_err *err)
{
    struct sb_key_range gap = {.lower_open = true}; /* what begins behind the last finished one */
    bool ended = false;
    if (room(arena, done_count + 1, ret_missing, err) != 0)
        return -1;
    if (done_count > 0)
        qsort(done, done_count, sizeof *done, range_order);
    for (size_t i = 0; i < done_count; i++) {
        if (ended)
            return overlap(err);
        int from = gap.lower_open       ? (done[i].lower_open ? 0 : 1)
                   : done[i].lower_open ? -1
                                        : sb_view_cmp(done[i].lower, gap.lower);
        if (from < 0)
            return overlap(err);
        if (from > 0) {
            gap.upper = done[i].lower;
            ret_missing->items[ret_missing->count++] = gap;
        }
        ended = done[i].upper_open;
        gap = (struct sb_key_range){.lower = done[i].upper};
    }
    if (!ended) {
        gap.upper_open = true;
        ret_missing->items[ret_missing->count++] = gap;
    }
    return 0;
}

int sb_ranges_cut(const struct sb_ranges *ranges, const struct sb_view *boundaries, size_t boundary_count,
    struct sb_arena *arena, struct sb_ranges *ret_cut, struct sb_err *err)
{
    size_t next = 0;
    if (room(arena, ranges->count + boundary_count, ret_cut, err) != 0)
        return -1;
    for (size_t i = 0; i < ranges->count; i++) {
        struct sb_key_range left = ranges->items[i];
        for (; next < boundary_count; next++) {
            if (!left.lower_open && sb_view_cmp(boundaries[next], left.lower) <= 0)
                continue;
            if (!left.upper_open && sb_view_cmp(boundaries[next], left.upper) >= 0)
                break;
            struct sb_key_range piece = left;
            piece.upper_open = false;
            piece.upper = boundaries[next];
            ret_cut->items[ret_cut->count++] = piece;
            left.lower_open = false;
            left.lower = boundaries[next];
        }
        ret_cut->items[ret_cut->count++] = left;
    }
    return 0;
}

size_t sb_ranges_boundaries(
    struct sb_view *sample, size_t sample_count, size_t chunks, struct sb_view *ret_boundaries)
{
    size_t count = 0;
    if (sample_count == 0)
        return 0;
    qsort(sample, sample_count, sizeof *sample, view_order);
    for (size_t i = 1; i < chunks; i++) {
        struct sb_view at = sample[i * sample_count / chunks];
        if (count == 0 ? sb_view_cmp(at, sample[0]) > 0 : sb_view_cmp(at, ret_boundaries[count - 1]) > 0)
            ret_boundaries[count++] = at;
    }
    return count;
}
