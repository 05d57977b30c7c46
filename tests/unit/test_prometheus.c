#include "ops/http.h"
#include "ops/prometheus.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct sb_reading now;
static struct sb_status status;
static struct sb_buf out;

static void setup(void)
{
    memset(&now, 0, sizeof now);
    for (int stage = SB_STAGE_SUPERVISOR; stage <= SB_STAGE_APPLY_FORWARD; stage++) {
        now.stages[stage].report.state = SB_STATE_RUNNING;
        now.stages[stage].report.pid = 10 + stage;
        now.stages[stage].alive = true;
    }
    sb_buf_init(&out, 256 * 1024);
}

static void teardown(void)
{
    sb_buf_clear(&out);
}

static const char *put(void)
{
    sb_buf_reset(&out);
    sb_status_compute(NULL, &now, false, &status);
    sb_prometheus_put(&now, &status, &out);
    ck_assert(!out.failed);
    return sb_buf_str(&out);
}

START_TEST(labels_are_escaped)
{
    sb_prometheus_put_label(&out, "version", "a\\b\"c\nd");
    ck_assert_str_eq(sb_buf_str(&out), "version=\"a\\\\b\\\"c\\nd\"");
}
END_TEST

START_TEST(every_metric_has_help_and_type_once)
{
    const char *text = put();
    for (int metric = 0; metric < SB_METRIC_COUNT; metric++) {
        const struct sb_metric_info *info = sb_metric_info((enum sb_metric)metric);
        char head[512];
        snprintf(head, sizeof head, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help, info->name,
            info->type);
        const char *first = strstr(text, head);
        ck_assert_msg(first != NULL, "%s", head);
        ck_assert_ptr_null(strstr(first + 1, head));
    }
}
END_TEST

START_TEST(counters_are_named_as_counters)
{
    for (int metric = 0; metric < SB_METRIC_COUNT; metric++) {
        const struct sb_metric_info *info = sb_metric_info((enum sb_metric)metric);
        size_t len = strlen(info->name);
        bool total = len > 6 && strcmp(info->name + len - 6, "_total") == 0;
        ck_assert_msg(total == (strcmp(info->type, "counter") == 0), "%s", info->name);
        ck_assert_msg(strspn(info->name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len, "%s", info->name);
    }
}
END_TEST

START_TEST(values_stand_in_their_stage)
{
    now.stages[SB_STAGE_APPLY_FORWARD].values[SB_M_APPLY_COMMITS] = INT64_MAX;
    now.stages[SB_STAGE_CAPTURE_FORWARD].values[SB_M_APPLY_COMMITS] = 5; /* not its own */
    const char *text = put();
    ck_assert_ptr_nonnull(strstr(text,
        "\nswitchback_apply_commits_total{stage=\"apply\",direction=\"forward\"} 9223372036854775807\n"));
    ck_assert_ptr_null(strstr(text, "switchback_apply_commits_total{stage=\"capture\""));
    ck_assert_ptr_nonnull(strstr(text, "\nswitchback_log_dropped_lines_total{stage=\"supervisor\"} 0\n"));
}
END_TEST

START_TEST(what_is_not_known_is_left_out)
{
    const char *text = put();
    ck_assert_ptr_null(strstr(text, "switchback_lag_bytes{"));
    ck_assert_ptr_null(strstr(text, "switchback_apply_commit_lsn{"));
    ck_assert_ptr_null(strstr(text, "switchback_slot_safe_bytes{"));
    ck_assert_ptr_null(strstr(text, "reverse"));
    now.stages[SB_STAGE_CAPTURE_FORWARD].values[SB_M_SOURCE_WAL_LSN] = 1000;
    now.stages[SB_STAGE_CAPTURE_FORWARD].values[SB_M_CAPTURE_STORED_LSN] = 900;
    now.stages[SB_STAGE_CAPTURE_FORWARD].values[SB_M_SLOT_SAFE_BYTES] = -1;
    now.stages[SB_STAGE_APPLY_FORWARD].values[SB_M_APPLY_LSN] = 700;
    text = put();
    ck_assert_ptr_nonnull(strstr(text, "\nswitchback_lag_bytes{direction=\"forward\"} 300\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nswitchback_apply_lag_bytes{direction=\"forward\"} 200\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\nswitchback_slot_safe_bytes{stage=\"capture\",direction=\"forward\"} -1\n"));
    ck_assert_ptr_null(strstr(text, "switchback_lag_seconds{"));
}
END_TEST

START_TEST(one_state_is_one)
{
    now.stages[SB_STAGE_APPLY_FORWARD].report.state = SB_STATE_HALTED;
    const char *text = put();
    int ones = 0;
    for (const char *at = text; (at = strstr(at, "switchback_stage_state{stage=\"apply\"")) != NULL; at++)
        ones += strncmp(strstr(at, "} "), "} 1\n", 4) == 0;
    ck_assert_int_eq(ones, 1);
    ck_assert_ptr_nonnull(strstr(text, "state=\"halted\"} 1\n"));
}
END_TEST

/* docs/OPERATING.md holds the table between two marks. With SB_REGENERATE=1 this test writes it. */
START_TEST(the_page_lists_what_there_is)
{
    static const char begin[] = "<!-- metrics: begin -->\n", end[] = "<!-- metrics: end -->\n";
    char *page = calloc(1, 1 << 20);
    FILE *file = fopen(SB_SOURCE_DIR "/docs/OPERATING.md", "r+");
    ck_assert_ptr_nonnull(file);
    size_t len = fread(page, 1, (1 << 20) - 1, file);
    char *from = strstr(page, begin), *to = strstr(page, end);
    ck_assert(len > 0 && from != NULL && to != NULL);
    from += strlen(begin);
    sb_prometheus_docs(&out);
    const char *regenerate = getenv("SB_REGENERATE");
    if (regenerate != NULL && strcmp(regenerate, "1") == 0) {
        sb_buf_put_str(&out, to);
        rewind(file);
        fwrite(page, 1, (size_t)(from - page), file);
        fwrite(out.ptr, 1, out.len, file);
        ck_assert_int_eq(ftruncate(fileno(file), ftell(file)), 0);
    } else {
        ck_assert_msg((size_t)(to - from) == out.len && memcmp(from, out.ptr, out.len) == 0,
            "docs/OPERATING.md is stale; run SB_REGENERATE=1 test_prometheus");
    }
    fclose(file);
    free(page);
}
END_TEST

/* -- addresses of the HTTP server ---------------------------------------------------------------------------
 */

START_TEST(listen_addresses_are_read_exactly)
{
    char host[SB_HTTP_HOST_BYTES], longest[400];
    unsigned port = 0;
    static const char *const wrong[] = {"", ":", ":80", "80", "localhost", "localhost:", "localhost:x",
        "localhost:65536", "localhost:-1", "localhost:+1", "localhost: 1", "localhost:000080", "::1:80",
        "[::1]", "[::1]80", "[::1:80", "[]:80", "a:b:1"};
    ck_assert(sb_http_split("127.0.0.1:9187", host, &port) && port == 9187);
    ck_assert_str_eq(host, "127.0.0.1");
    ck_assert(sb_http_split("[::1]:0", host, &port) && port == 0);
    ck_assert_str_eq(host, "::1");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!sb_http_split(wrong[i], host, &port), "\"%s\"", wrong[i]);
    memset(longest, 'a', sizeof longest);
    memcpy(longest + 380, ":80", 4);
    ck_assert(!sb_http_split(longest, host, &port));
}
END_TEST

START_TEST(hosts_are_loopback_or_ours)
{
    ck_assert(sb_http_host_ok("localhost", "127.0.0.1"));
    ck_assert(sb_http_host_ok("127.0.0.1:9187", "127.0.0.1"));
    ck_assert(sb_http_host_ok("[::1]:9187", "127.0.0.1"));
    ck_assert(sb_http_host_ok("db1.example:9187", "DB1.example"));
    ck_assert(sb_http_host_ok("10.0.0.7", "10.0.0.7"));
    ck_assert(!sb_http_host_ok("10.0.0.7", "10.0.0.8"));
    ck_assert(!sb_http_host_ok("db1.example", "127.0.0.1"));
    ck_assert(!sb_http_host_ok("", "127.0.0.1"));
    ck_assert(!sb_http_host_ok(":80", "127.0.0.1"));
    ck_assert(!sb_http_host_ok("localhost:x", "127.0.0.1"));
    ck_assert(!sb_http_host_ok("localhost.", "127.0.0.1"));
    ck_assert(!sb_http_host_ok("127.1", "127.0.0.1"));
    /* everywhere: any address, no name */
    ck_assert(sb_http_host_ok("10.0.0.7:9187", "0.0.0.0"));
    ck_assert(sb_http_host_ok("[fe80::1]:9187", "::"));
    ck_assert(!sb_http_host_ok("evil.example", "0.0.0.0"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("prometheus");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, labels_are_escaped);
    tcase_add_test(tc, every_metric_has_help_and_type_once);
    tcase_add_test(tc, counters_are_named_as_counters);
    tcase_add_test(tc, values_stand_in_their_stage);
    tcase_add_test(tc, what_is_not_known_is_left_out);
    tcase_add_test(tc, one_state_is_one);
    tcase_add_test(tc, the_page_lists_what_there_is);
    tcase_add_test(tc, listen_addresses_are_read_exactly);
    tcase_add_test(tc, hosts_are_loopback_or_ours);
    Suite *suite = suite_create("prometheus");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
