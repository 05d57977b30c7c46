#include "config/nearest.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

START_TEST(nearest_counts_letters)
{
    ck_assert_uint_eq(sb_nearest_distance("", ""), 0);
    ck_assert_uint_eq(sb_nearest_distance("ack", "ack"), 0);
    ck_assert_uint_eq(sb_nearest_distance("akc", "ack"), 1);
    ck_assert_uint_eq(sb_nearest_distance("kitten", "sitting"), 3);
    ck_assert_uint_eq(sb_nearest_distance("", "abc"), 3);
    ck_assert_uint_eq(sb_nearest_distance("ca", "abc"), 3);
    char longer[SB_NEAREST_BYTES + 2];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ck_assert_uint_eq(sb_nearest_distance(longer, "a"), SIZE_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nearest");
    TCase *tests = tcase_create("nearest");
    tcase_add_test(tests, nearest_counts_letters);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
