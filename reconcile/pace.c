#include "reconcile/pace.h"

/* Fewer rows say nothing about the servers. A row may take twice as long as at best before that means a
 * thing. */
enum { TELLING_ROWS = 1000, TELLING_MS = 20, PATIENCE = 2 };

static int64_t limit_pause_ms(int64_t count, int64_t max_per_s, int64_t took_ms)
{
    if (max_per_s == 0)
        return 0;
    int64_t least_ms = (int64_t)((double)count * 1000 / (double)max_per_s);
    return least_ms > took_ms ? least_ms - took_ms : 0;
}

static int64_t load_pause_ms(struct sb_pace *pace, int64_t rows, int64_t took_ms)
{
    if (rows < TELLING_ROWS || took_ms < TELLING_MS)
        return 0;
    double us_per_row = (double)took_ms * 1000 / (double)rows;
    double best =
        pace->best_us_per_row * 1.01; /* so that a server that has become slower is one, in the end */
    pace->best_us_per_row = pace->best_us_per_row == 0 || us_per_row < best ? us_per_row : best;
    double too_long_ms = (double)took_ms * (1 - PATIENCE * pace->best_us_per_row / us_per_row);
    if (too_long_ms <= 0)
        return 0;
    return too_long_ms < SB_PACE_PAUSE_MAX_MS ? (int64_t)too_long_ms : SB_PACE_PAUSE_MAX_MS;
}

int64_t sb_pace_pause_ms(struct sb_pace *pace, int64_t rows, int64_t bytes, int64_t took_ms)
{
    int64_t pauses[] = {limit_pause_ms(rows, pace->max_rate_rows_s, took_ms),
        limit_pause_ms(bytes, pace->max_rate_bytes_s, took_ms), load_pause_ms(pace, rows, took_ms)};
    int64_t longest = 0;
    for (int i = 0; i < 3; i++)
        longest = pauses[i] > longest ? pauses[i] : longest;
    return longest;
}
