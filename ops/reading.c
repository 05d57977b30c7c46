#include "ops/reading.h"

#include "core/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COMM_BYTES = 32 };

/* The kernel's name of a process, 15 characters at most; false if there is no such process. */
static bool comm_of(const char *proc, char out[COMM_BYTES])
{
    char path[64];
    snprintf(path, sizeof path, "%s/comm", proc);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, out, COMM_BYTES - 1);
    close(fd);
    out[len > 0 ? len : 0] = '\0';
    return len > 0;
}

bool sb_process_is_ours(int32_t pid)
{
    char proc[32], theirs[COMM_BYTES], ours[COMM_BYTES];
    struct stat st;
    if (pid <= 1)
        return false;
    snprintf(proc, sizeof proc, "/proc/%d", (int)pid);
    return stat(proc, &st) == 0 && st.st_uid == geteuid() && comm_of(proc, theirs) &&
           comm_of("/proc/self", ours) && strcmp(theirs, ours) == 0;
}

void sb_reading_take(const struct sb_page *page, struct sb_reading *ret_reading)
{
    ret_reading->mono_us = sb_clock_mono_us();
    ret_reading->wall_us = sb_clock_wall_us();
    for (int stage = 0; stage < SB_STAGE_COUNT; stage++) {
        struct sb_reading_stage *one = &ret_reading->stages[stage];
        sb_page_report(page, (enum sb_stage)stage, &one->report);
        for (int metric = 0; metric < SB_METRIC_COUNT; metric++)
            one->values[metric] = sb_page_metric(page, (enum sb_stage)stage, (enum sb_metric)metric);
        one->alive = sb_process_is_ours(one->report.pid);
    }
}
