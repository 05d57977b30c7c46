/*
 * The pace of passes: how long to pause behind a chunk. Pure.
 *
 * So long that the limits hold on average. And where rows take longer to read than they did at best, the
 * servers have other work to do: then as much longer as the chunk took too long.
 */
#ifndef SB_RECONCILE_PACE_H
#define SB_RECONCILE_PACE_H

#include <stdint.h>

struct sb_pace {
    int64_t max_rate_rows_s, max_rate_bytes_s; /* 0: no limit */
    double best_us_per_row;                    /* 0: not known yet; forgets slowly */
};

enum { SB_PACE_PAUSE_MAX_MS = 30000 /* for the servers' sake; the limits have no end */ };

int64_t sb_pace_pause_ms(struct sb_pace *pace, int64_t rows, int64_t bytes, int64_t took_ms);

#endif
