/*
 * One stage's life: incarnations, and what happens between them.
 *
 *     the run function returns   the stage                                        page
 *     0                          ends, exit code 0                                stopped (done, if it
 *                                                                                 finishes and was not told
 * to) error of class retry       waits 0.2 s, doubling to 5 s, and runs again     backoff error of class data
 * waits for SIGUSR1 (resume: runs again)           halted error of class fatal       ends with the error's
 * exit code                  stopped
 *
 * SIGTERM and SIGINT end it from every state. The waits start anew at 0.2 s once an incarnation has lived ten
 * seconds. SIGUSR1 also cuts a wait short; one that came while the stage was running means nothing. Each
 * failure is logged exactly once, here: run functions return their errors and do not log them. An outage is
 * one line when it begins or changes its text, and one a minute while it lasts.
 */
#ifndef SB_OPS_STAGE_H
#define SB_OPS_STAGE_H

#include "config/wiring.h"
#include "core/metrics.h"

/* One incarnation, see capture/capture.h and apply/apply.h. */
typedef int sb_stage_fn(const struct sb_config *config, enum sb_direction direction, struct sb_err *err);

struct sb_stage_spec {
    enum sb_stage stage;
    enum sb_direction direction;
    sb_stage_fn *run;
    bool finishes; /* comes to an end by itself: 0 without having been told to stop is done */
};

/* The log of this process, as the configuration wants it; name stands in every line and must outlive the log.
 */
void sb_stage_log(const struct sb_config *config, const char *name);

/* Capture, apply or copy of a direction, as the page calls it. */
enum sb_stage sb_stage_of(bool capture, enum sb_direction direction);
enum sb_stage sb_stage_copy(enum sb_direction direction);
enum sb_direction sb_stage_direction(enum sb_stage stage);

/* The longest that a stage may take to stop; the supervisor and the watchdog kill it then. Ten seconds are
 * promised for the whole; the rest is for a process to end on a machine whose disk is busy. */
enum { SB_STAGE_STOP_MS = 8000 };

/* Blocks SIGTERM, SIGINT, SIGUSR1 and SIGHUP, ignores SIGPIPE, names the process after the stage
 * ("apply-forward" in ps and /proc/PID/comm), and lives. The page is attached already. Returns the exit code;
 * everything there is to say was logged. */
int sb_stage_live(const struct sb_stage_spec *spec, const struct sb_config *config);

/* `switchback capture|apply`: log, state directory, lock, page, watchdog, then sb_stage_live. -1 with err if
 * it did not come to that, else the exit code. */
int sb_stage_alone(const struct sb_stage_spec *spec, const struct sb_config *config, struct sb_err *err);

#endif
