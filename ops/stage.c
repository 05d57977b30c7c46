#include "ops/stage.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/loop.h"
#include "ops/state.h"
#include "ops/watchdog.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

enum { BACKOFF_LEAST_MS = 200, BACKOFF_MOST_MS = 5000, LIVED_MS = 10000, REMIND_MS = 60000 };

struct life {
    const struct sb_stage_spec *spec;
    const struct sb_config *config;
    sigset_t signals;
    int64_t backoff_ms;
    int attempts;         /* failed ones in a row */
    int64_t logged_at_ms; /* the last line about this outage */
    char logged[SB_ERR_TEXT_BYTES];
};

void sb_stage_log(const struct sb_config *config, const char *name)
{
    sb_log_init(sb_wiring_log_format(config), sb_wiring_log_level(config), name);
}

enum sb_stage sb_stage_of(bool capture, enum sb_direction direction)
{
    if (capture)
        return direction == SB_FORWARD ? SB_STAGE_CAPTURE_FORWARD : SB_STAGE_CAPTURE_REVERSE;
    return direction == SB_FORWARD ? SB_STAGE_APPLY_FORWARD : SB_STAGE_APPLY_REVERSE;
}

enum sb_stage sb_stage_copy(enum sb_direction direction)
{
    return direction == SB_FORWARD ? SB_STAGE_COPY_FORWARD : SB_STAGE_COPY_REVERSE;
}

enum sb_direction sb_stage_direction(enum sb_stage stage)
{
    bool reverse = stage == SB_STAGE_CAPTURE_REVERSE || stage == SB_STAGE_APPLY_REVERSE ||
                   stage == SB_STAGE_COPY_REVERSE;
    return reverse ? SB_REVERSE : SB_FORWARD;
}

/* -- signals --------------------------------------------------------------------------------------------- */

static void signals_block(sigset_t *ret_signals)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGTERM);
    sigaddset(ret_signals, SIGINT);
    sigaddset(ret_signals, SIGUSR1);
    sigaddset(ret_signals, SIGHUP);
    sigprocmask(SIG_BLOCK, ret_signals, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* A resume that was meant for an earlier halt. */
static void forget_resume(void)
{
    const struct timespec at_once = {0};
    sigset_t resume;
    sigemptyset(&resume);
    sigaddset(&resume, SIGUSR1);
    while (sigtimedwait(&resume, NULL, &at_once) > 0) {
    }
}

enum wake { WAKE_STOP, WAKE_RESUME, WAKE_TIME };

/* Until told to stop or to resume, or wait_ms are over; negative: no end. */
static enum wake wait_for_signal(const sigset_t *signals, int64_t wait_ms)
{
    int64_t until_ms = sb_clock_mono_ms() + wait_ms;
    for (;;) {
        int64_t left_ms = wait_ms < 0 ? REMIND_MS : until_ms - sb_clock_mono_ms();
        if (left_ms <= 0)
            return WAKE_TIME;
        struct timespec left = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
        switch (sigtimedwait(signals, NULL, &left)) {
        case SIGTERM:
        case SIGINT:
            return WAKE_STOP;
        case SIGUSR1:
            return WAKE_RESUME;
        case SIGHUP:
            SB_INFO("SIGHUP ignored: the configuration is read at start only");
            break;
        default: /* the time is over, or another signal's handler ran */
            break;
        }
    }
}

/* -- between incarnations ---------------------------------------------------------------------------------
 */

static void log_outage(struct life *life, const struct sb_err *err)
{
    char then[96];
    int64_t now_ms = sb_clock_mono_ms();
    if (strcmp(life->logged, err->text) == 0 && now_ms - life->logged_at_ms < REMIND_MS)
        return;
    snprintf(then, sizeof then, "tries again in %.1f s, failed attempts so far: %d",
        (double)life->backoff_ms / 1000, life->attempts);
    sb_log_err(SB_LOG_WARNING, err, then);
    life->logged_at_ms = now_ms;
    memcpy(life->logged, err->text, sizeof life->logged);
}

static enum wake back_off(struct life *life, const struct sb_err *err, int64_t lived_ms)
{
    bool fresh = lived_ms >= LIVED_MS || life->attempts == 0;
    life->attempts = fresh ? 1 : life->attempts + 1;
    life->backoff_ms = fresh ? BACKOFF_LEAST_MS : life->backoff_ms * 2;
    if (life->backoff_ms > BACKOFF_MOST_MS)
        life->backoff_ms = BACKOFF_MOST_MS;
    if (fresh)
        life->logged[0] = '\0';
    log_outage(life, err);
    forget_resume();
    sb_report_err(SB_STATE_BACKOFF, err);
    return wait_for_signal(&life->signals, life->backoff_ms);
}

static enum wake halt(struct life *life, const struct sb_err *err)
{
    life->attempts = 0;
    sb_log_err(SB_LOG_ERROR, err, "halted until `switchback resume`");
    forget_resume();
    sb_report_err(SB_STATE_HALTED, err);
    enum wake wake = wait_for_signal(&life->signals, -1);
    if (wake == WAKE_RESUME)
        SB_INFO("resumes: an operator said so", SB_STR("after", sb_err_id(err)));
    return wake;
}

static int end_stopped(void)
{
    sb_report_state(SB_STATE_STOPPED, "told to stop");
    SB_INFO("stopped");
    return 0;
}

static int end_done(void)
{
    sb_report_state(SB_STATE_DONE, NULL);
    SB_INFO("done");
    return 0;
}

static int end_failed(const struct sb_err *err)
{
    sb_log_err(SB_LOG_ERROR, err, "the process ends");
    sb_report_err(SB_STATE_STOPPED, err);
    return sb_err_info(err->code)->exit_code;
}

/* Told to stop, but the way down did not go well. What can be tried again is tried at the next start. */
static int end_badly(const struct sb_err *err)
{
    if (sb_err_class(err) != SB_CLASS_RETRY)
        return end_failed(err);
    if (err->code != SB_E_SHUTDOWN)
        sb_log_err(SB_LOG_WARNING, err, "told to stop: the next start recovers");
    return end_stopped();
}

static int run_once(const struct life *life, struct sb_err *err)
{
    sb_err_clear(err);
    sb_report_state(SB_STATE_STARTING, NULL);
    int result = life->spec->run(life->config, life->spec->direction, err);
    sb_metric_set(SB_M_LOG_DROPPED, (int64_t)sb_log_dropped());
    if (result < 0 && sb_err_class(err) == SB_CLASS_NONE)
        sb_err_set(err, SB_E_INTERNAL, "%s failed without saying why", sb_stage_name(life->spec->stage));
    return result;
}

int sb_stage_live(const struct sb_stage_spec *spec, const struct sb_config *config)
{
    struct life life = {.spec = spec, .config = config};
    signals_block(&life.signals);
    prctl(PR_SET_NAME, sb_stage_name(spec->stage)); /* for ps, and for ops/reading.h */
    for (;;) {
        struct sb_err err;
        int64_t began_ms = sb_clock_mono_ms();
        if (run_once(&life, &err) == 0)
            return spec->finishes && sb_loop_stop_signal() == 0 ? end_done() : end_stopped();
        /* While it starts there is no loop yet, and SB-SHUTDOWN says that a signal waits. */
        if (sb_loop_stop_signal() != 0 || err.code == SB_E_SHUTDOWN)
            return end_badly(&err);
        enum wake wake = WAKE_STOP;
        switch (sb_err_class(&err)) {
        case SB_CLASS_RETRY:
            wake = back_off(&life, &err, sb_clock_mono_ms() - began_ms);
            break;
        case SB_CLASS_DATA:
            wake = halt(&life, &err);
            break;
        case SB_CLASS_NONE:
        case SB_CLASS_FATAL:
            return end_failed(&err);
        }
        if (wake == WAKE_STOP)
            return end_stopped();
    }
}

int sb_stage_alone(const struct sb_stage_spec *spec, const struct sb_config *config, struct sb_err *err)
{
    char path[SB_PATH_BYTES];
    struct sb_state_lock lock;
    struct sb_page *page = NULL;
    sb_stage_log(config, sb_stage_name(spec->stage));
    sb_wiring_page_path(config, path);
    if (sb_state_dir(config->state_dir, err) != 0 ||
        sb_state_lock(config->state_dir, spec->stage, &lock, err) != 0)
        return -1;
    int result = -1;
    if (sb_state_page(config->state_dir, path, &page, err) == 0 &&
        sb_watchdog_start(SB_STAGE_STOP_MS / 1000, err) == 0) {
        sb_metrics_attach(page, spec->stage);
        SB_INFO("starts alone");
        result = sb_stage_live(spec, config);
        sb_watchdog_stop();
    }
    sb_metrics_attach(NULL, spec->stage);
    sb_page_close(page);
    sb_state_unlock(&lock);
    return result;
}
