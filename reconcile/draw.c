#include "reconcile/draw.h"

#include "reconcile/sample.h"

#include <inttypes.h>
#include <stdio.h>

enum { WORDS_BYTES = 384 };

void sb_draw_chunks(
    struct sb_verify_plan *plan, int64_t percent, uint64_t seed, struct sb_verify_sample *ret_sample)
{
    struct sb_verify_sample sample = {.taken = true, .seed = seed};
    struct sb_sample_draw draw = sb_sample_begin(seed);
    for (size_t i = 0; i < plan->table_count; i++)
        if (plan->tables[i].strategy != SB_STRATEGY_NONE)
            sample.population += (int64_t)plan->tables[i].ranges.count;
    int64_t wanted = sb_sample_size(sample.population, (double)percent), left = sample.population;
    for (size_t i = 0; i < plan->table_count; i++) {
        struct sb_ranges *ranges = &plan->tables[i].ranges;
        size_t kept = 0;
        if (plan->tables[i].strategy == SB_STRATEGY_NONE)
            continue;
        for (size_t r = 0; r < ranges->count; r++, left--)
            if (sb_sample_next(&draw, left, wanted - sample.drawn)) {
                ranges->items[kept++] = ranges->items[r];
                sample.drawn++;
            }
        ranges->count = kept;
    }
    *ret_sample = sample;
}

/* What could not be decided counts as bad: the bound must hold. */
static int64_t bad_of(const struct sb_verify_result *result)
{
    bool open = result->state == SB_TABLE_UNDECIDED || result->state == SB_TABLE_NOT_COMPARED;
    int64_t bad = 0;
    if (result->table->strategy == SB_STRATEGY_NONE)
        return 0; /* none of it was drawn from */
    for (size_t r = 0; r < result->table->ranges.count; r++)
        bad += open || result->bad[r];
    return bad;
}

void sb_draw_conclude(const struct sb_verify_result *results, size_t count, struct sb_arena *arena,
    struct sb_verify_sample *sample, const char **ret_words)
{
    char words[WORDS_BYTES];
    for (size_t i = 0; i < count; i++)
        sample->bad += bad_of(&results[i]);
    sample->bound =
        sb_sample_bound(sample->population, sample->drawn, sample->bad, SB_VERIFY_SAMPLE_CONFIDENCE);
    snprintf(words, sizeof words,
        "a sample of %" PRId64 " of %" PRId64 " chunks (seed %" PRIu64 "), of which %" PRId64
        " differ or could not be decided: at most %" PRId64
        " of all do, with 95 %% confidence; that says nothing of single rows, which the full pass finds",
        sample->drawn, sample->population, sample->seed, sample->bad, sample->bound);
    const char *kept = sb_arena_str(arena, sb_view_str(words));
    *ret_words = kept != NULL ? kept : "a sample";
}
