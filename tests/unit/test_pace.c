/* The pace of passes: limits hold on average, and a server that is busy is given time. */
#include "reconcile/pace.h"

#include <check.h>
#include <stdlib.h>

START_TEST(limits_hold_on_average)
{
    struct sb_pace pace = {.max_rate_rows_s = 1000};
    ck_assert_int_eq(sb_pace_pause_ms(&pace, 500, 0, 100), 400);
    ck_assert_int_eq(sb_pace_pause_ms(&pace, 500, 0, 600), 0);
    pace = (struct sb_pace){.max_rate_bytes_s = 1000000};
    ck_assert_int_eq(sb_pace_pause_ms(&pace, 500, 3000000, 1000), 2000);
    pace = (struct sb_pace){.max_rate_rows_s = 1000, .max_rate_bytes_s = 1000000};
    ck_assert_int_eq(sb_pace_pause_ms(&pace, 5000, 3000000, 1000), 4000);
    pace = (struct sb_pace){.max_rate_rows_s = 0};
    ck_assert_int_eq(sb_pace_pause_ms(&pace, 1000000, 1000000000, 1000), 0);
}
END_TEST

START_TEST(a_busy_server_is_given_time)
{
    struct sb_pace pace = {.max_rate_rows_s = 0};
    ck_assert_int_eq(sb_pace_pause_ms(&pace, 100000, 0, 1000), 0);
    ck_assert_int_eq(sb_pace_pause_ms(&pace, 100000, 0, 1900), 0);
    int64_t busy_ms = sb_pace_pause_ms(&pace, 100000, 0, 4000);
    ck_assert_int_gt(busy_ms, 1500);
    ck_assert_int_lt(busy_ms, 2500);
    ck_assert_int_le(sb_pace_pause_ms(&pace, 100000, 0, 1000000), SB_PACE_PAUSE_MAX_MS);
    ck_assert_int_eq(sb_pace_pause_ms(&pace, 10, 0, 4000), 0); /* too few rows to tell */
    ck_assert_int_eq(sb_pace_pause_ms(&pace, 100000, 0, 1000), 0);
}
END_TEST

START_TEST(a_server_that_has_become_slower_is_one_in_the_end)
{
    struct sb_pace pace = {.max_rate_rows_s = 0};
    int64_t pause_ms = 0;
    ck_assert_int_eq(sb_pace_pause_ms(&pace, 100000, 0, 100), 0);
    for (int i = 0; i < 300; i++)
        pause_ms = sb_pace_pause_ms(&pace, 100000, 0, 1000);
    ck_assert_int_eq(pause_ms, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pace");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, limits_hold_on_average);
    tcase_add_test(tests, a_busy_server_is_given_time);
    tcase_add_test(tests, a_server_that_has_become_slower_is_one_in_the_end);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
