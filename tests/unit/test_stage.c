/* The policy of ops/stage.h, with run functions that only pretend. Each stage is a forked child with a page.
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/loop.h"
#include "ops/stage.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WAIT_MS = 10000 };

static struct sb_page *page;
static char path[64];
static pid_t child;
static int calls[2];  /* a pipe: one byte an incarnation */
static int errors[2]; /* a pipe: the child's stderr */

static void setup(void)
{
    struct sb_err err;
    snprintf(path, sizeof path, "/tmp/sb-stage-XXXXXX");
    close(mkstemp(path));
    ck_assert_int_eq(sb_page_create(path, &page, &err), 0);
    ck_assert_int_eq(pipe(calls), 0);
    ck_assert_int_eq(pipe(errors), 0);
}

static void teardown(void)
{
    if (child > 0 && waitpid(child, NULL, WNOHANG) == 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    sb_page_close(page);
    unlink(path);
}

static void start(sb_stage_fn *run)
{
    static struct sb_config config;
    const struct sb_stage_spec spec = {.stage = SB_STAGE_APPLY_FORWARD, .direction = SB_FORWARD, .run = run};
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(errors[1], STDERR_FILENO);
    sb_log_init(SB_LOG_LOGFMT, SB_LOG_DEBUG, "apply-forward");
    sb_metrics_attach(page, SB_STAGE_APPLY_FORWARD);
    _exit(sb_stage_live(&spec, &config));
}

static void called(void)
{
    ck_assert_int_eq(write(calls[1], "!", 1), 1);
}

static void await_calls(int count)
{
    char byte;
    while (count-- > 0) {
        struct pollfd ready = {.fd = calls[0], .events = POLLIN};
        ck_assert_int_eq(poll(&ready, 1, WAIT_MS), 1);
        ck_assert_int_eq(read(calls[0], &byte, 1), 1);
    }
}

static bool more_calls(int within_ms)
{
    struct pollfd ready = {.fd = calls[0], .events = POLLIN};
    return poll(&ready, 1, within_ms) == 1;
}

static struct sb_stage_report await_state(enum sb_stage_state state)
{
    struct sb_stage_report report;
    int64_t until_ms = sb_clock_mono_ms() + WAIT_MS;
    do {
        sb_page_report(page, SB_STAGE_APPLY_FORWARD, &report);
        if (report.state == state && report.pid == child)
            return report;
        poll(NULL, 0, 5);
    } while (sb_clock_mono_ms() < until_ms);
    ck_abort_msg("the stage is %s, not %s", sb_stage_state_name(report.state), sb_stage_state_name(state));
}

static int await_exit(void)
{
    int status = 0;
    int64_t until_ms = sb_clock_mono_ms() + WAIT_MS;
    while (waitpid(child, &status, WNOHANG) == 0) {
        ck_assert_msg(sb_clock_mono_ms() < until_ms, "the stage did not end");
        poll(NULL, 0, 5);
    }
    child = 0;
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* How often the child's log has said it, once the child has ended. */
static int logged(const char *what)
{
    static char text[65536];
    int count = 0;
    close(errors[1]);
    size_t len = 0;
    ssize_t got;
    while (len < sizeof text - 1 && (got = read(errors[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

/* -- run functions ----------------------------------------------------------------------------------------
 */

static int run_well(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    (void)config, (void)direction, (void)err;
    called();
    return 0;
}

static int run_retry(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    (void)config, (void)direction;
    called();
    return sb_err_set(err, SB_E_TARGET_UNAVAILABLE, "nobody there");
}

static int run_fatal(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    (void)config, (void)direction;
    called();
    return sb_err_set(err, SB_E_STREAM_IO, "disk gone");
}

static int run_silent(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    (void)config, (void)direction, (void)err;
    called();
    return -1;
}

/* Halts twice, then is well. */
static int run_poisoned(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    static int times;
    (void)config, (void)direction;
    called();
    if (++times > 2)
        return 0;
    return sb_err_set(err, SB_E_POISON, "will not go in");
}

static struct sb_loop *stop_loop;
static enum sb_code stop_code;

static void on_stop(void *arg, int signo)
{
    struct sb_err err;
    (void)arg, (void)signo;
    sb_err_set(&err, stop_code, "the way down failed");
    sb_loop_stop(stop_loop, &err);
}

static int run_sour(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, 0};
    (void)config, (void)direction;
    stop_loop = sb_loop_new(err);
    sb_loop_signals(stop_loop, signals, on_stop, NULL, err);
    sb_report_state(SB_STATE_RUNNING, NULL);
    called();
    int result = sb_loop_run(stop_loop, err);
    sb_loop_free(stop_loop);
    return result;
}

/* -- promises ---------------------------------------------------------------------------------------------
 */

START_TEST(a_clean_return_ends_it)
{
    start(run_well);
    ck_assert_int_eq(await_exit(), 0);
    await_calls(1);
    ck_assert(!more_calls(0));
}
END_TEST

START_TEST(retry_waits_longer_each_time)
{
    int64_t began_ms = sb_clock_mono_ms();
    start(run_retry);
    await_calls(4); /* 0.2 + 0.4 + 0.8 s between them */
    ck_assert_int_ge(sb_clock_mono_ms() - began_ms, 1350);
    struct sb_stage_report report = await_state(SB_STATE_BACKOFF);
    ck_assert_str_eq(report.err_id, "SB-TARGET-UNAVAILABLE");
    kill(child, SIGTERM);
    ck_assert_int_eq(await_exit(), 0);
    ck_assert_int_eq(logged("nobody there"), 1);
}
END_TEST

START_TEST(resume_cuts_a_wait_short)
{
    start(run_retry);
    await_calls(4);
    int64_t began_ms = sb_clock_mono_ms();
    await_state(SB_STATE_BACKOFF); /* of 1.6 s */
    kill(child, SIGUSR1);
    await_calls(1);
    ck_assert_int_lt(sb_clock_mono_ms() - began_ms, 1500);
}
END_TEST

START_TEST(data_halts_until_resumed)
{
    start(run_poisoned);
    await_calls(1);
    struct sb_stage_report report = await_state(SB_STATE_HALTED);
    ck_assert_str_eq(report.err_id, "SB-POISON");
    ck_assert_str_eq(report.err_text, "will not go in");
    ck_assert_int_ne(report.err_hint[0], '\0');
    kill(child, SIGHUP);
    ck_assert_msg(!more_calls(700), "it went on by itself");
    kill(child, SIGUSR1);
    await_calls(1);
    await_state(SB_STATE_HALTED);
    kill(child, SIGUSR1);
    await_calls(1);
    ck_assert_int_eq(await_exit(), 0);
    ck_assert_int_eq(logged("msg=\"will not go in\""), 2);
}
END_TEST

START_TEST(halted_and_told_to_stop)
{
    start(run_poisoned);
    await_state(SB_STATE_HALTED);
    kill(child, SIGINT);
    ck_assert_int_eq(await_exit(), 0);
    struct sb_stage_report report;
    sb_page_report(page, SB_STAGE_APPLY_FORWARD, &report);
    ck_assert_int_eq(report.state, SB_STATE_STOPPED);
    ck_assert_str_eq(report.err_id, "");
}
END_TEST

START_TEST(fatal_ends_with_its_exit_code)
{
    start(run_fatal);
    ck_assert_int_eq(await_exit(), 74);
    struct sb_stage_report report;
    sb_page_report(page, SB_STAGE_APPLY_FORWARD, &report);
    ck_assert_str_eq(report.err_id, "SB-STREAM-IO");
    await_calls(1);
    ck_assert(!more_calls(0));
    ck_assert_int_eq(logged("disk gone"), 1);
}
END_TEST

START_TEST(a_failure_without_reason_is_a_bug_and_says_so)
{
    start(run_silent);
    ck_assert_int_eq(await_exit(), 70);
    ck_assert_int_eq(logged("without saying why"), 1);
}
END_TEST

START_TEST(an_error_on_the_way_down_is_no_new_start)
{
    stop_code = SB_E_STREAM_UNAVAILABLE;
    start(run_sour);
    await_calls(1);
    kill(child, SIGTERM);
    ck_assert_int_eq(await_exit(), 0);
    ck_assert(!more_calls(0));
    ck_assert_int_eq(logged("the way down failed"), 1);
}
END_TEST

START_TEST(a_fatal_error_on_the_way_down_is_told)
{
    stop_code = SB_E_STREAM_IO;
    start(run_sour);
    await_calls(1);
    kill(child, SIGTERM);
    ck_assert_int_eq(await_exit(), 74);
}
END_TEST

START_TEST(stages_and_directions_agree)
{
    static const enum sb_direction directions[] = {SB_FORWARD, SB_REVERSE};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(sb_stage_direction(sb_stage_of(true, directions[i])), directions[i]);
        ck_assert_int_eq(sb_stage_direction(sb_stage_of(false, directions[i])), directions[i]);
        ck_assert_int_ne(sb_stage_of(true, directions[i]), sb_stage_of(false, directions[i]));
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("stage");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_clean_return_ends_it);
    tcase_add_test(tc, retry_waits_longer_each_time);
    tcase_add_test(tc, resume_cuts_a_wait_short);
    tcase_add_test(tc, data_halts_until_resumed);
    tcase_add_test(tc, halted_and_told_to_stop);
    tcase_add_test(tc, fatal_ends_with_its_exit_code);
    tcase_add_test(tc, a_failure_without_reason_is_a_bug_and_says_so);
    tcase_add_test(tc, an_error_on_the_way_down_is_no_new_start);
    tcase_add_test(tc, a_fatal_error_on_the_way_down_is_told);
    tcase_add_test(tc, stages_and_directions_agree);
    Suite *suite = suite_create("stage");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
