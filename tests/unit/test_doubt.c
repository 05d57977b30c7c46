/* A progress row is believed as far as the source's WAL goes, and no further. */
#include "capture/doubt.h"

#include <check.h>
#include <stdlib.h>

static struct sb_progress at(uint64_t lsn)
{
    return (struct sb_progress){.commit_lsn = lsn};
}

START_TEST(what_the_source_has_shown_is_believed_at_once)
{
    struct sb_doubt doubt = {0};
    struct sb_progress progress = at(90), nothing = at(0);
    ck_assert_int_eq(sb_doubt_weigh(&doubt, &nothing), SB_DOUBT_BELIEVED);
    sb_doubt_shown(&doubt, 100);
    sb_doubt_shown(&doubt, 50);
    ck_assert_int_eq(sb_doubt_weigh(&doubt, &progress), SB_DOUBT_BELIEVED);
}
END_TEST

START_TEST(what_is_ahead_waits_for_the_source_and_is_believed_then)
{
    struct sb_doubt doubt = {.shown_lsn = 100};
    struct sb_progress ahead = at(110), further = at(120), held;
    struct sb_err err;
    ck_assert_int_eq(sb_doubt_weigh(&doubt, &ahead), 0);
    ck_assert_int_eq(sb_doubt_weigh(&doubt, &further), 0);
    ck_assert_int_eq(sb_doubt_pulse(&doubt, 105, &held, &err), 0); /* asked before, perhaps */
    ck_assert_int_eq(sb_doubt_pulse(&doubt, 115, &held, &err), SB_DOUBT_BELIEVED);
    ck_assert_uint_eq(held.commit_lsn, 110);
    ck_assert_int_eq(sb_doubt_pulse(&doubt, 115, &held, &err), 0);
    ck_assert_int_eq(sb_doubt_weigh(&doubt, &further), 0);
}
END_TEST

START_TEST(what_the_source_does_not_have_is_not_believed)
{
    struct sb_doubt doubt = {.shown_lsn = 100};
    struct sb_progress ahead = at(UINT64_C(7) << 32), held;
    struct sb_err err;
    ck_assert_int_eq(sb_doubt_weigh(&doubt, &ahead), 0);
    ck_assert_int_eq(sb_doubt_pulse(&doubt, 150, &held, &err), 0);
    ck_assert_int_eq(sb_doubt_pulse(&doubt, 200, &held, &err), -1);
    ck_assert_int_eq(err.code, SB_E_SOURCE_REWOUND);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("doubt");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, what_the_source_has_shown_is_believed_at_once);
    tcase_add_test(tests, what_is_ahead_waits_for_the_source_and_is_believed_then);
    tcase_add_test(tests, what_the_source_does_not_have_is_not_believed);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
