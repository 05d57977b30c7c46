/* capture/guard: the alarm comes in time, once, and the forecast is one. */
#include "capture/guard.h"

#include <check.h>

enum { MIB = 1 << 20 };

START_TEST(without_a_limit_there_is_no_forecast)
{
    struct sb_guard guard = {0};
    struct sb_guard_facts facts = {
        .now_ms = 1000, .wal_lsn = 900 * MIB, .restart_lsn = 100 * MIB, .safe_bytes = -1};
    ck_assert_int_eq(sb_guard_feed(&guard, &facts), SB_GUARD_QUIET);
    ck_assert_int_eq(guard.retained_bytes, INT64_C(800) * MIB);
    ck_assert_int_eq(guard.safe_bytes, -1);
    ck_assert_int_eq(guard.loss_seconds, -1);
}
END_TEST

START_TEST(the_forecast_follows_the_rate)
{
    struct sb_guard guard = {0};
    struct sb_guard_facts facts = {.now_ms = 1000, .wal_lsn = 100 * MIB, .restart_lsn = 100 * MIB};
    for (int i = 0; i < 300; i++) { /* 10 MiB/s */
        facts.safe_bytes = INT64_C(4000) * MIB - i * 10 * (int64_t)MIB;
        sb_guard_feed(&guard, &facts);
        facts.now_ms += 1000;
        facts.wal_lsn += 10 * MIB;
    }
    ck_assert_int_ge(guard.loss_seconds, 100); /* 1010 MiB left at 10 MiB/s */
    ck_assert_int_le(guard.loss_seconds, 102);
}
END_TEST

START_TEST(the_alarm_is_raised_and_cleared_once)
{
    struct sb_guard guard = {0};
    int raised = 0, cleared = 0;
    for (int phase = 0; phase < 2; phase++) {
        for (int i = 0; i <= 100; i++) { /* the slot falls behind by a limit of 100 MiB, then catches up */
            int used = phase == 0 ? i : 100 - i;
            struct sb_guard_facts facts = {.now_ms = 1000 * (phase * 101 + i + 1),
                .wal_lsn = 1000 * (uint64_t)MIB,
                .restart_lsn = (uint64_t)(1000 - used) * MIB,
                .safe_bytes = (int64_t)(100 - used) * MIB};
            enum sb_guard_alarm alarm = sb_guard_feed(&guard, &facts);
            raised += alarm == SB_GUARD_RAISED;
            cleared += alarm == SB_GUARD_CLEARED;
            ck_assert(alarm != SB_GUARD_RAISED || (phase == 0 && used == 50));
            ck_assert(alarm != SB_GUARD_CLEARED || (phase == 1 && used == 39));
        }
    }
    ck_assert_int_eq(raised, 1);
    ck_assert_int_eq(cleared, 1);
}
END_TEST

START_TEST(an_unreserved_slot_is_lost_any_moment)
{
    struct sb_guard guard = {0};
    struct sb_guard_facts facts = {
        .now_ms = 1000, .wal_lsn = 10 * MIB, .restart_lsn = 9 * MIB, .safe_bytes = 5, .unreserved = true};
    ck_assert_int_eq(sb_guard_feed(&guard, &facts), SB_GUARD_RAISED);
    ck_assert_int_eq(guard.loss_seconds, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("guard");
    TCase *tc = tcase_create("guard");
    tcase_add_test(tc, without_a_limit_there_is_no_forecast);
    tcase_add_test(tc, the_forecast_follows_the_rate);
    tcase_add_test(tc, the_alarm_is_raised_and_cleared_once);
    tcase_add_test(tc, an_unreserved_slot_is_lost_any_moment);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
