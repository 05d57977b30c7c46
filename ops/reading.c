#include "ops/reading.h"

#include "core/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STAT_BYTES = 128 };

/* The program name of a process, as the kernel cuts it to 15 characters, in brackets; empty if there is no
 * such process, or only its body: one that waits to be reaped does so for ever where process 1 is not init.
 * /proc/PID/stat reads "4711 (switchback) S 1 ..." (proc(5)). */
static void name_of(const char *proc, char out[STAT_BYTES])
{
    char path[64], line[STAT_BYTES];
    out[0] = '\0';
    snprintf(path, sizeof path, "%s/stat", proc);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t len = read(fd, line, sizeof line - 1);
    close(fd);
    line[len > 0 ? len : 0] = '\0';
    char *from = strchr(line, '('), *to = strrchr(line, ')');
    if (from == NULL || to == NULL || to < from || to[1] == '\0' || to[2] == 'Z' || to[2] == 'X')
        return;
    to[1] = '\0';
    memcpy(out, from, strlen(from) + 1);
}

bool sb_process_is(int32_t pid, enum sb_stage stage)
{
    char proc[32], theirs[STAT_BYTES], expected[STAT_BYTES];
    struct stat st;
    if (pid <= 1)
        return false;
    snprintf(proc, sizeof proc, "/proc/%d", (int)pid);
    if (stat(proc, &st) != 0 || st.st_uid != geteuid())
        return false;
    name_of(proc, theirs);
    if (stage == SB_STAGE_SUPERVISOR)
        name_of("/proc/self", expected);
    else
        snprintf(expected, sizeof expected, "(%.15s)", sb_stage_name(stage));
    return theirs[0] != '\0' && strcmp(theirs, expected) == 0;
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
        one->alive = sb_process_is(one->report.pid, (enum sb_stage)stage);
    }
}
