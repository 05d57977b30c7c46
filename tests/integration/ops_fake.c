/*
 * `switchback run`, `capture` and `status` with stages that only pretend: what tests/integration/test_http.py
 * and test_supervisor.py drive. No database, no stream.
 *
 *     ops_fake run STATE_DIR LISTEN CAPTURE APPLY     the supervisor; LISTEN "" for no HTTP
 *     ops_fake alone STATE_DIR APPLY                  apply as a single stage
 *     ops_fake status STATE_DIR                       JSON, as `switchback status --json`
 *
 * CAPTURE and APPLY say how a stage behaves: follow, halt (until resumed, then follows), retry, fatal, quit
 * (returns 0 unasked), deaf (never reads its signals), stuck (hangs once told to stop), sour (fails once
 * told).
 */
#include "core/loop.h"
#include "ops/render.h"
#include "ops/supervisor.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct fake {
    struct sb_loop *loop;
    const char *manner;
    int64_t lsn;
};

static const char *capture_manner = "follow", *apply_manner = "follow";

static void hang(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    sigdelset(&all, SIGALRM); /* of the watchdog; everything else stays blocked */
    for (;;)
        sigsuspend(&all);
}

static void on_signal(void *arg, int signo)
{
    struct fake *fake = arg;
    struct sb_err err;
    (void)signo;
    if (strcmp(fake->manner, "stuck") == 0)
        hang();
    if (strcmp(fake->manner, "sour") == 0) {
        sb_err_set(&err, SB_E_STREAM_UNAVAILABLE, "the broker went away while draining");
        sb_loop_stop(fake->loop, &err);
    } else {
        sb_loop_stop(fake->loop, NULL);
    }
}

static void on_tick(void *arg)
{
    struct fake *fake = arg;
    fake->lsn += 4096;
    sb_metric_set(SB_M_SOURCE_WAL_LSN, fake->lsn);
    sb_metric_set(SB_M_CAPTURE_RECEIVED_LSN, fake->lsn);
    sb_metric_set(SB_M_CAPTURE_STORED_LSN, fake->lsn);
    sb_metric_set(SB_M_CAPTURE_STORED_TIME_US, fake->lsn);
    sb_metric_set(SB_M_APPLY_LSN, fake->lsn);
    sb_metric_set(SB_M_APPLY_TIME_US, fake->lsn);
    sb_metric_add(SB_M_APPLY_COMMITS, 1);
}

static int follow(const char *manner, struct sb_err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, 0};
    struct fake fake = {.manner = manner, .lsn = 0x100000};
    fake.loop = sb_loop_new(err);
    if (fake.loop == NULL)
        return -1;
    int result = -1;
    if (sb_loop_signals(fake.loop, signals, on_signal, &fake, err) == 0 &&
        sb_loop_timer(fake.loop, 50, on_tick, &fake, err) != NULL) {
        sb_report_state(SB_STATE_RUNNING, NULL);
        result = sb_loop_run(fake.loop, err);
    }
    sb_loop_free(fake.loop);
    return result;
}

static int behave(const char *manner, struct sb_err *err)
{
    static int incarnations;
    incarnations++;
    if (strcmp(manner, "retry") == 0)
        return sb_err_set(err, SB_E_TARGET_UNAVAILABLE, "could not connect to the target: refused");
    if (strcmp(manner, "fatal") == 0)
        return sb_err_set(err, SB_E_IO, "the disk under the fake is gone");
    if (strcmp(manner, "halt") == 0 && incarnations == 1)
        return sb_err_set(err, SB_E_POISON, "table \"public\".\"t\": a row will not go in");
    if (strcmp(manner, "quit") == 0)
        return 0;
    if (strcmp(manner, "deaf") == 0) {
        sb_report_state(SB_STATE_RUNNING, NULL);
        hang();
    }
    return follow(manner, err);
}

static int fake_capture(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    (void)config, (void)direction;
    return behave(capture_manner, err);
}

static int fake_apply(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    (void)config, (void)direction;
    return behave(apply_manner, err);
}

static int run(const struct sb_config *config, struct sb_err *err)
{
    const struct sb_stage_spec specs[] = {
        {.stage = SB_STAGE_CAPTURE_FORWARD, .direction = SB_FORWARD, .run = fake_capture},
        {.stage = SB_STAGE_APPLY_FORWARD, .direction = SB_FORWARD, .run = fake_apply},
    };
    return sb_supervise(config, specs, 2, err);
}

static int alone(const struct sb_config *config, struct sb_err *err)
{
    const struct sb_stage_spec spec = {
        .stage = SB_STAGE_APPLY_FORWARD, .direction = SB_FORWARD, .run = fake_apply};
    return sb_stage_alone(&spec, config, err);
}

static int status(const struct sb_config *config, struct sb_err *err)
{
    char path[SB_PATH_BYTES];
    struct sb_page *page;
    struct sb_reading now;
    struct sb_status model;
    struct sb_buf out;
    sb_wiring_page_path(config, path);
    if (sb_page_open(path, false, &page, err) != 0)
        return -1;
    sb_reading_take(page, &now);
    sb_status_compute(NULL, &now, config->insecure, &model);
    sb_buf_init(&out, 1024 * 1024);
    sb_render_json(&model, &out);
    fputs(sb_buf_str(&out), stdout);
    sb_buf_clear(&out);
    sb_page_close(page);
    return 0;
}

int main(int argc, char **argv)
{
    struct sb_err err = {.code = SB_OK};
    struct sb_config config = {.migration = "fake",
        .state_dir = argc > 2 ? argv[2] : "",
        .insecure = true,
        .log = {.level = "debug"}};
    int result = 64;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* of the test */
    if (argc == 6 && strcmp(argv[1], "run") == 0) {
        config.http.listen = argv[3];
        capture_manner = argv[4];
        apply_manner = argv[5];
        result = run(&config, &err);
    } else if (argc == 4 && strcmp(argv[1], "alone") == 0) {
        apply_manner = argv[3];
        result = alone(&config, &err);
    } else if (argc == 3 && strcmp(argv[1], "status") == 0) {
        result = status(&config, &err);
    }
    if (result >= 0)
        return result;
    fprintf(stderr, "ops_fake: %s: %s\n", sb_err_id(&err), err.text);
    return sb_err_info(err.code)->exit_code;
}
