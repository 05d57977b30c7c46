/* A reading: everything the metrics page says at one moment, and which of its processes really live. */
#ifndef SB_OPS_READING_H
#define SB_OPS_READING_H

#include "core/metrics.h"

struct sb_reading_stage {
    struct sb_stage_report report;
    int64_t values[SB_METRIC_COUNT];
    bool alive; /* report.pid is a process, of our user, with our name */
};

struct sb_reading {
    int64_t mono_us; /* when it was taken */
    int64_t wall_us;
    struct sb_reading_stage stages[SB_STAGE_COUNT];
};

void sb_reading_take(const struct sb_page *page, struct sb_reading *ret_reading);

/* Is this pid a switchback of ours? Same user and same program name; a pid that was given to somebody else
 * since it was written down is not. */
bool sb_process_is_ours(int32_t pid);

#endif
