/* A reading: everything the metrics page says at one moment, and which of its processes really live. */
#ifndef SB_OPS_READING_H
#define SB_OPS_READING_H

#include "core/metrics.h"

struct sb_reading_stage {
    struct sb_stage_report report;
    int64_t values[SB_METRIC_COUNT];
    bool alive; /* report.pid is a process, of our user, of that name */
};

struct sb_reading {
    int64_t mono_us; /* when it was taken */
    int64_t wall_us;
    struct sb_reading_stage stages[SB_STAGE_COUNT];
};

void sb_reading_take(const struct sb_page *page, struct sb_reading *ret_reading);

/* Is this pid that stage, of our user? A pid that was given to somebody else since it was written down is
 * not. Stages bear their names (ops/stage.h); the supervisor has that of this program. */
bool sb_process_is(int32_t pid, enum sb_stage stage);

#endif
