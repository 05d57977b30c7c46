#include "core/clock.h"
#include "ops/render.h"
#include "ops/status.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MIB (INT64_C(1024) * 1024)
#define AT  INT64_C(0x100000000) /* some position */

static struct sb_reading before, now;
static struct sb_status status;

static void set_state(struct sb_reading *reading, enum sb_stage stage, enum sb_stage_state state, int32_t pid)
{
    reading->stages[stage].report.state = state;
    reading->stages[stage].report.pid = pid;
    reading->stages[stage].alive = pid > 0;
}

static void set_text(char *out, size_t cap, const char *text)
{
    snprintf(out, cap, "%s", text);
}

static void set_positions(
    struct sb_reading *reading, int64_t source, int64_t stored, int64_t applied, int64_t seconds_behind)
{
    int64_t *capture = reading->stages[SB_STAGE_CAPTURE_FORWARD].values;
    int64_t *apply = reading->stages[SB_STAGE_APPLY_FORWARD].values;
    capture[SB_M_SOURCE_WAL_LSN] = capture[SB_M_CAPTURE_RECEIVED_LSN] = source;
    capture[SB_M_CAPTURE_STORED_LSN] = stored;
    capture[SB_M_CAPTURE_STORED_TIME_US] = INT64_C(1700000000000000);
    apply[SB_M_APPLY_LSN] = applied;
    apply[SB_M_APPLY_TIME_US] = INT64_C(1700000000000000) - seconds_behind * 1000000;
}

/* Two readings, ten seconds apart, of two stages that run. */
static void setup(void)
{
    memset(&before, 0, sizeof before);
    set_state(&before, SB_STAGE_SUPERVISOR, SB_STATE_RUNNING, 100);
    set_state(&before, SB_STAGE_CAPTURE_FORWARD, SB_STATE_RUNNING, 101);
    set_state(&before, SB_STAGE_APPLY_FORWARD, SB_STATE_RUNNING, 102);
    before.mono_us = 1000000;
    before.wall_us = INT64_C(1700000100000000);
    set_positions(&before, AT, AT, AT, 0);
    now = before;
    now.mono_us += 10000000;
    now.wall_us += 10000000;
}

static const struct sb_status_direction *compute(void)
{
    sb_status_compute(&before, &now, false, &status);
    return &status.directions[0];
}

/* -- lag, rate, end ---------------------------------------------------------------------------------------
 */

START_TEST(in_step_with_an_idle_source)
{
    const struct sb_status_direction *dir = compute();
    ck_assert_int_eq(dir->lag_bytes, 0);
    ck_assert_int_eq(dir->lag_us, 0);
    ck_assert_int_eq(dir->eta, SB_ETA_FOLLOWING);
    ck_assert_str_eq(dir->why, "in step with the source");
    ck_assert(dir->healthy && status.runs && sb_status_standing(&status) && sb_status_ready(&status));
}
END_TEST

START_TEST(lag_is_split_where_the_stream_is)
{
    set_positions(&now, AT + 100 * MIB, AT + 60 * MIB, AT + 10 * MIB, 30);
    const struct sb_status_direction *dir = compute();
    ck_assert_int_eq(dir->capture_lag_bytes, 40 * MIB);
    ck_assert_int_eq(dir->apply_lag_bytes, 50 * MIB);
    ck_assert_int_eq(dir->lag_bytes, 90 * MIB);
    ck_assert_int_eq(dir->lag_us, 30000000);
    ck_assert_ptr_nonnull(strstr(dir->why, "apply works through"));
}
END_TEST

START_TEST(the_slower_half_is_named)
{
    set_positions(&now, AT + 100 * MIB, AT + 20 * MIB, AT + 10 * MIB, 30);
    ck_assert_ptr_nonnull(strstr(compute()->why, "capture still reads older WAL"));
}
END_TEST

START_TEST(the_end_is_distance_by_the_difference_of_speeds)
{
    set_positions(&before, AT, AT, AT - 200 * MIB, 100);
    set_positions(&now, AT + 20 * MIB, AT + 20 * MIB, AT - 80 * MIB, 50); /* 2 and 12 MiB/s, 100 MiB apart */
    const struct sb_status_direction *dir = compute();
    ck_assert_double_eq_tol(dir->source_rate, 2.0 * (double)MIB, 1);
    ck_assert_double_eq_tol(dir->apply_rate, 12.0 * (double)MIB, 1);
    ck_assert_int_eq(dir->eta, SB_ETA_SECONDS);
    ck_assert_int_eq(dir->eta_s, 10);
}
END_TEST

START_TEST(a_source_as_fast_as_apply_is_never_reached)
{
    set_positions(&before, AT, AT, AT - 200 * MIB, 100);
    set_positions(&now, AT + 20 * MIB, AT + 20 * MIB, AT - 180 * MIB, 100);
    const struct sb_status_direction *dir = compute();
    ck_assert_int_eq(dir->eta, SB_ETA_NEVER);
    ck_assert_int_eq(dir->eta_s, SB_UNKNOWN);
    ck_assert_ptr_nonnull(strstr(dir->why, "does not catch up"));
}
END_TEST

START_TEST(zero_rate_is_no_division)
{
    set_positions(&before, AT, AT, AT - 200 * MIB, 100);
    set_positions(&now, AT, AT, AT - 200 * MIB, 100);
    const struct sb_status_direction *dir = compute();
    ck_assert_int_eq(dir->eta, SB_ETA_NEVER);
    ck_assert_str_eq(dir->why, "nothing was applied within the last 10 s");
}
END_TEST

START_TEST(one_reading_has_no_rate_and_no_end)
{
    set_positions(&now, AT, AT, AT - 200 * MIB, 100);
    sb_status_compute(NULL, &now, false, &status);
    const struct sb_status_direction *dir = &status.directions[0];
    ck_assert_double_eq(dir->rate_seconds, 0);
    ck_assert_int_eq(dir->eta, SB_ETA_UNKNOWN);
    ck_assert_int_eq(dir->lag_bytes, 200 * MIB);
}
END_TEST

START_TEST(two_readings_of_the_same_moment_have_no_rate)
{
    now.mono_us = before.mono_us;
    ck_assert_double_eq(compute()->rate_seconds, 0);
}
END_TEST

START_TEST(a_page_made_anew_has_no_negative_rate)
{
    set_positions(&before, AT + 500 * MIB, AT + 500 * MIB, AT + 500 * MIB, 0);
    before.stages[SB_STAGE_APPLY_FORWARD].values[SB_M_APPLY_COMMITS] = 1000000;
    const struct sb_status_direction *dir = compute();
    ck_assert_double_eq(dir->source_rate, 0);
    ck_assert_double_eq(dir->commit_rate, 0);
}
END_TEST

START_TEST(a_first_position_is_no_rate)
{
    set_positions(&before, 0, 0, 0, 0);
    const struct sb_status_direction *dir = compute();
    ck_assert_double_eq(dir->source_rate, 0);
    ck_assert_double_eq(dir->apply_rate, 0);
}
END_TEST

START_TEST(commit_times_out_of_order_are_no_negative_lag)
{
    set_positions(&now, AT, AT, AT, -5);
    ck_assert_int_eq(compute()->lag_us, 0);
}
END_TEST

START_TEST(the_newest_transaction_applied_is_no_lag)
{
    set_positions(
        &now, AT, AT, AT - 120, 0); /* apply names the start of the commit record, capture its end */
    ck_assert_int_eq(compute()->apply_lag_bytes, 0);
}
END_TEST

START_TEST(positions_ahead_of_each_other_are_no_negative_lag)
{
    set_positions(&now, AT, AT + 5, AT + 10, 0);
    const struct sb_status_direction *dir = compute();
    ck_assert_int_eq(dir->lag_bytes, 0);
    ck_assert_int_eq(dir->capture_lag_bytes, 0);
}
END_TEST

START_TEST(what_is_not_known_is_not_zero)
{
    memset(now.stages[SB_STAGE_APPLY_FORWARD].values, 0, sizeof now.stages[0].values);
    const struct sb_status_direction *dir = compute();
    ck_assert_int_eq(dir->lag_bytes, SB_UNKNOWN);
    ck_assert_int_eq(dir->apply_lag_bytes, SB_UNKNOWN);
    ck_assert_int_eq(dir->lag_us, SB_UNKNOWN);
    ck_assert_int_eq(dir->eta, SB_ETA_UNKNOWN);
    ck_assert_str_eq(dir->why, "nothing has been applied yet");
    memset(now.stages[SB_STAGE_CAPTURE_FORWARD].values, 0, sizeof now.stages[0].values);
    dir = compute();
    ck_assert_str_eq(dir->why, "nothing has been captured yet");
    ck_assert_int_eq(dir->slot_retained_bytes, SB_UNKNOWN);
}
END_TEST

/* -- states -----------------------------------------------------------------------------------------------
 */

START_TEST(never_started_is_said)
{
    memset(&now, 0, sizeof now);
    sb_status_compute(NULL, &now, false, &status);
    ck_assert(!status.runs && !sb_status_standing(&status) && !sb_status_ready(&status));
    ck_assert_uint_eq(status.count, 1);
    ck_assert_str_eq(
        status.directions[0].why, "capture-forward was never started; apply-forward was never started");
}
END_TEST

START_TEST(a_halted_stage_is_named_with_its_error)
{
    struct sb_stage_report *report = &now.stages[SB_STAGE_APPLY_FORWARD].report;
    report->state = SB_STATE_HALTED;
    set_text(report->err_id, sizeof report->err_id, "SB-POISON");
    set_text(report->err_text, sizeof report->err_text, "table \"t\" will not");
    ck_assert_str_eq(compute()->why, "apply-forward is halted by SB-POISON: table \"t\" will not");
    ck_assert(status.runs && !sb_status_standing(&status) && !sb_status_ready(&status));
}
END_TEST

START_TEST(a_waiting_stage_is_in_order)
{
    struct sb_stage_report *report = &now.stages[SB_STAGE_APPLY_FORWARD].report;
    report->state = SB_STATE_WAITING;
    set_text(report->why, sizeof report->why, "paused by an operator");
    ck_assert_str_eq(compute()->why, "apply-forward waits: paused by an operator");
    ck_assert(sb_status_standing(&status) && sb_status_ready(&status));
}
END_TEST

START_TEST(a_starting_or_retrying_stage_stands_but_is_not_ready)
{
    set_state(&now, SB_STAGE_APPLY_FORWARD, SB_STATE_STARTING, 102);
    compute();
    ck_assert(sb_status_standing(&status) && !sb_status_ready(&status));
    set_state(&now, SB_STAGE_APPLY_FORWARD, SB_STATE_BACKOFF, 102);
    compute();
    ck_assert(sb_status_standing(&status) && !sb_status_ready(&status));
}
END_TEST

START_TEST(a_stage_whose_process_is_gone_is_absent)
{
    now.stages[SB_STAGE_APPLY_FORWARD].alive = false;
    const struct sb_status_direction *dir = compute();
    ck_assert_int_eq(dir->apply.state, SB_STATE_ABSENT);
    ck_assert(dir->apply.gone && !sb_status_standing(&status));
    ck_assert_str_eq(dir->why, "apply-forward is gone: its process 102 is not there any more");
}
END_TEST

START_TEST(a_stage_between_two_processes_is_its_supervisors)
{
    set_state(&now, SB_STAGE_APPLY_FORWARD, SB_STATE_BACKOFF, 0);
    ck_assert_int_eq(compute()->apply.state, SB_STATE_BACKOFF);
    now.stages[SB_STAGE_SUPERVISOR].alive = false;
    ck_assert_int_eq(compute()->apply.state, SB_STATE_ABSENT);
}
END_TEST

START_TEST(reverse_is_shown_once_it_was_started)
{
    set_state(&now, SB_STAGE_CAPTURE_REVERSE, SB_STATE_RUNNING, 103);
    compute();
    ck_assert_uint_eq(status.count, 2);
    ck_assert_int_eq(status.directions[1].direction, SB_REVERSE);
    ck_assert_int_eq(status.directions[1].lag_bytes, SB_UNKNOWN);
    ck_assert(!sb_status_standing(&status)); /* its apply is missing */
}
END_TEST

START_TEST(long_reasons_are_cut_and_nothing_else)
{
    for (int stage = SB_STAGE_CAPTURE_FORWARD; stage <= SB_STAGE_APPLY_FORWARD; stage++) {
        struct sb_stage_report *report = &now.stages[stage].report;
        report->state = SB_STATE_HALTED;
        memset(report->err_text, 'x', sizeof report->err_text - 1);
        memset(report->err_id, 'y', sizeof report->err_id - 1);
    }
    ck_assert_uint_lt(strlen(compute()->why), SB_STATUS_WHY_BYTES);
}
END_TEST

/* -- rendering --------------------------------------------------------------------------------------------
 */

START_TEST(figures_are_for_people)
{
    char out[SB_FIGURE_BYTES];
    ck_assert_str_eq(sb_render_bytes(0, out), "0 B");
    ck_assert_str_eq(sb_render_bytes(1023, out), "1023 B");
    ck_assert_str_eq(sb_render_bytes(1536, out), "1.5 KiB");
    ck_assert_str_eq(sb_render_bytes(INT64_MAX, out), "8192.0 PiB");
    ck_assert_str_eq(sb_render_bytes(-1, out), "unknown");
    ck_assert_str_eq(sb_render_seconds(0.31, out), "0.3 s");
    ck_assert_str_eq(sb_render_seconds(245, out), "4 min 05 s");
    ck_assert_str_eq(sb_render_seconds(7380, out), "2 h 03 min");
    ck_assert_str_eq(sb_render_seconds(200000, out), "2 d 07 h");
    ck_assert_str_eq(sb_render_seconds(-1, out), "unknown");
    ck_assert_str_eq(sb_render_seconds(1e300, out), "unknown");
}
END_TEST

START_TEST(text_says_what_to_do)
{
    struct sb_buf out;
    struct sb_stage_report *report = &now.stages[SB_STAGE_APPLY_FORWARD].report;
    sb_buf_init(&out, 65536);
    report->state = SB_STATE_HALTED;
    report->restarts = 3;
    set_text(report->err_hint, sizeof report->err_hint, "Mend the row.");
    sb_status_compute(&before, &now, true, &status);
    sb_render_text(&status, &out);
    ck_assert_ptr_nonnull(strstr(sb_buf_str(&out), "WARNING: `insecure: true`"));
    ck_assert_ptr_nonnull(strstr(sb_buf_str(&out), "what to do: Mend the row."));
    ck_assert_ptr_nonnull(strstr(sb_buf_str(&out), "restarted 3 times"));
    ck_assert_ptr_nonnull(strstr(sb_buf_str(&out), "1/0"));
    sb_buf_clear(&out);
}
END_TEST

START_TEST(the_initial_copy_is_shown_while_there_is_one)
{
    struct sb_buf out;
    sb_buf_init(&out, 65536);
    sb_status_compute(&before, &now, false, &status);
    sb_render_text(&status, &out);
    ck_assert_ptr_null(strstr(sb_buf_str(&out), "initial copy"));
    set_state(&now, SB_STAGE_COPY_FORWARD, SB_STATE_RUNNING, 103);
    int64_t *copy = now.stages[SB_STAGE_COPY_FORWARD].values;
    copy[SB_M_COPY_TABLES] = 10;
    copy[SB_M_COPY_TABLES_DONE] = 3;
    copy[SB_M_COPY_CHUNKS] = 40;
    copy[SB_M_COPY_CHUNKS_DONE] = 12;
    copy[SB_M_COPY_ROWS] = 2000;
    copy[SB_M_COPY_ROWS_ESTIMATED] = 5000;
    before.stages[SB_STAGE_COPY_FORWARD].values[SB_M_COPY_ROWS] = 1000;
    sb_status_compute(&before, &now, false, &status);
    ck_assert_int_eq(status.directions[0].copy.left_s, 30);
    sb_buf_reset(&out);
    sb_render_text(&status, &out);
    ck_assert_ptr_nonnull(
        strstr(sb_buf_str(&out), "3 of 10 tables, 12 of 40 chunks, 2000 of about 5000 rows, 100 "
                                 "rows/s, 30.0 s left"));
    sb_buf_reset(&out);
    sb_render_json(&status, &out);
    ck_assert_ptr_nonnull(strstr(sb_buf_str(&out), "\"rows_estimated\": 5000"));
    ck_assert(sb_status_standing(&status));
    now.stages[SB_STAGE_COPY_FORWARD].report.state = SB_STATE_DONE;
    now.stages[SB_STAGE_COPY_FORWARD].alive = false;
    sb_status_compute(&before, &now, false, &status);
    ck_assert(sb_status_standing(&status) && !status.directions[0].copy.stage.gone);
    set_state(&now, SB_STAGE_COPY_FORWARD, SB_STATE_HALTED, 103);
    set_text(now.stages[SB_STAGE_COPY_FORWARD].report.err_id, 32, "SB-TARGET-NOT-EMPTY");
    sb_status_compute(&before, &now, false, &status);
    ck_assert(!sb_status_standing(&status));
    ck_assert_ptr_nonnull(strstr(status.directions[0].why, "copy-forward is halted by SB-TARGET-NOT-EMPTY"));
    sb_buf_clear(&out);
}
END_TEST

START_TEST(json_is_whole_and_unknown_is_null)
{
    struct sb_buf out;
    sb_buf_init(&out, 65536);
    memset(now.stages[SB_STAGE_APPLY_FORWARD].values, 0, sizeof now.stages[0].values);
    set_text(now.stages[SB_STAGE_APPLY_FORWARD].report.why, 256, "quote \" backslash \\ \xff broken");
    compute();
    sb_render_json(&status, &out);
    ck_assert(!out.failed);
    json_t *root = json_loads(sb_buf_str(&out), JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(root);
    json_t *dir = json_array_get(json_object_get(root, "directions"), 0);
    ck_assert(json_is_null(json_object_get(json_object_get(dir, "lag"), "bytes")));
    ck_assert(json_is_null(json_object_get(json_object_get(dir, "positions"), "applied_lsn")));
    ck_assert_str_eq(
        json_string_value(json_object_get(json_object_get(dir, "positions"), "source_lsn")), "1/0");
    json_decref(root);
    sb_buf_clear(&out);
}
END_TEST

START_TEST(json_that_does_not_fit_fails)
{
    struct sb_buf out;
    sb_buf_init(&out, 200);
    compute();
    sb_render_json(&status, &out);
    ck_assert(out.failed);
    sb_buf_clear(&out);
}
END_TEST

/* -- readings ---------------------------------------------------------------------------------------------
 */

START_TEST(only_processes_of_the_right_name_count)
{
    ck_assert(sb_process_is(getpid(), SB_STAGE_SUPERVISOR));
    ck_assert(!sb_process_is(getpid(), SB_STAGE_APPLY_FORWARD));
    prctl(PR_SET_NAME, "apply-forward");
    ck_assert(sb_process_is(getpid(), SB_STAGE_APPLY_FORWARD));
    ck_assert(!sb_process_is(getpid(), SB_STAGE_CAPTURE_FORWARD));
    ck_assert(!sb_process_is(0, SB_STAGE_SUPERVISOR));
    ck_assert(!sb_process_is(-1, SB_STAGE_SUPERVISOR));
    ck_assert(!sb_process_is(1, SB_STAGE_SUPERVISOR));
    ck_assert(!sb_process_is(INT32_MAX, SB_STAGE_SUPERVISOR));
}
END_TEST

START_TEST(a_reading_is_what_the_page_says)
{
    struct sb_err err;
    struct sb_page *page;
    char path[] = "/tmp/sb-reading-XXXXXX";
    close(mkstemp(path));
    ck_assert_int_eq(sb_page_create(path, &page, &err), 0);
    sb_metrics_attach(page, SB_STAGE_APPLY_FORWARD);
    sb_metric_set(SB_M_APPLY_LSN, 77);
    sb_report_state(SB_STATE_RUNNING, NULL);
    prctl(PR_SET_NAME, "apply-forward");
    sb_reading_take(page, &now);
    ck_assert_int_eq(now.stages[SB_STAGE_APPLY_FORWARD].values[SB_M_APPLY_LSN], 77);
    ck_assert(now.stages[SB_STAGE_APPLY_FORWARD].alive);
    ck_assert(!now.stages[SB_STAGE_CAPTURE_FORWARD].alive);
    ck_assert_int_gt(now.wall_us, SB_PG_EPOCH_US);
    sb_metrics_attach(NULL, SB_STAGE_APPLY_FORWARD);
    sb_page_close(page);
    unlink(path);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("status");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, in_step_with_an_idle_source);
    tcase_add_test(tc, lag_is_split_where_the_stream_is);
    tcase_add_test(tc, the_slower_half_is_named);
    tcase_add_test(tc, the_end_is_distance_by_the_difference_of_speeds);
    tcase_add_test(tc, a_source_as_fast_as_apply_is_never_reached);
    tcase_add_test(tc, zero_rate_is_no_division);
    tcase_add_test(tc, one_reading_has_no_rate_and_no_end);
    tcase_add_test(tc, two_readings_of_the_same_moment_have_no_rate);
    tcase_add_test(tc, a_page_made_anew_has_no_negative_rate);
    tcase_add_test(tc, a_first_position_is_no_rate);
    tcase_add_test(tc, commit_times_out_of_order_are_no_negative_lag);
    tcase_add_test(tc, the_newest_transaction_applied_is_no_lag);
    tcase_add_test(tc, positions_ahead_of_each_other_are_no_negative_lag);
    tcase_add_test(tc, what_is_not_known_is_not_zero);
    tcase_add_test(tc, never_started_is_said);
    tcase_add_test(tc, a_halted_stage_is_named_with_its_error);
    tcase_add_test(tc, a_waiting_stage_is_in_order);
    tcase_add_test(tc, a_starting_or_retrying_stage_stands_but_is_not_ready);
    tcase_add_test(tc, a_stage_whose_process_is_gone_is_absent);
    tcase_add_test(tc, a_stage_between_two_processes_is_its_supervisors);
    tcase_add_test(tc, reverse_is_shown_once_it_was_started);
    tcase_add_test(tc, long_reasons_are_cut_and_nothing_else);
    tcase_add_test(tc, figures_are_for_people);
    tcase_add_test(tc, text_says_what_to_do);
    tcase_add_test(tc, the_initial_copy_is_shown_while_there_is_one);
    tcase_add_test(tc, json_is_whole_and_unknown_is_null);
    tcase_add_test(tc, json_that_does_not_fit_fails);
    tcase_add_test(tc, only_processes_of_the_right_name_count);
    tcase_add_test(tc, a_reading_is_what_the_page_says);
    Suite *suite = suite_create("status");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
