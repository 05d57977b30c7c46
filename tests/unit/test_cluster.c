/* What differences have in common, and what two texts have. */
#include "reconcile/cluster.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct sb_value value(const char *text)
{
    return (struct sb_value){.state = text == NULL ? SB_COL_NULL : SB_COL_TEXT, .text = sb_view_str(text)};
}

static const struct {
    const char *source, *target, *says;
    int64_t hours;
} pairs[] = {
    {"a", "a  ", "trailing blanks", 0},
    {"1.0", "1.000", "the same number, spelled otherwise", 0},
    {"0", "-0", "the same number, spelled otherwise", 0},
    {"1.5", "1.05", "", 0},
    {"10", "1", "", 0},
    {"", NULL, "NULL against the empty string", 0},
    {"x", NULL, "NULL on one side", 0},
    {NULL, "x", "NULL on one side", 0},
    {"2026-01-31 23:30:00.5+00", "2026-02-01 01:30:00.5+00", "whole hours apart: a time zone", 2},
    {"2026-01-31 23:30:00", "2026-01-31 22:30:00", "whole hours apart: a time zone", -1},
    {"2026-01-31 23:30:00", "2026-01-31 22:31:00", "", 0},
    {"2026-01-31 23:30:00", "2026-03-31 23:30:00", "", 0},
    {"Ab", "aB", "upper and lower case", 0},
    {"a longer text", "a longer", "the target's is cut short", 0},
    {"one", "two", "", 0},
    {"x", "", "", 0},
};

START_TEST(two_texts_have_a_name_for_it)
{
    struct sb_value source = value(pairs[_i].source), target = value(pairs[_i].target);
    int64_t hours = 99;
    const char *says = sb_cluster_values(&source, &target, &hours);
    ck_assert_str_eq(says, pairs[_i].says);
    if (strcmp(says, "whole hours apart: a time zone") == 0)
        ck_assert_int_eq(hours, pairs[_i].hours);
}
END_TEST

static const struct {
    struct sb_cluster cluster;
    const char *says;
} clusters[] = {
    {{.kind = "changed",
         .fault = "unknown",
         .columns = 1,
         .count = 9,
         .of_kind = 9,
         .of_table = 12,
         .of_missing = 3},
        "every changed row differs in this column alone"},
    {{.kind = "changed", .fault = "unknown", .columns = 1, .count = 9, .of_kind = 10, .of_table = 12}, ""},
    {{.kind = "changed", .fault = "unknown", .columns = 2, .count = 9, .of_kind = 9, .of_table = 9}, ""},
    {{.kind = "changed", .fault = "foreign", .columns = 1, .count = 9, .of_kind = 9, .of_table = 9},
        "somebody else"},
    {{.kind = "missing", .fault = "unknown", .count = 5, .of_kind = 5, .of_table = 5, .of_missing = 5},
        "the target lacks rows"},
    {{.kind = "missing", .fault = "unknown", .count = 5, .of_kind = 5, .of_table = 6, .of_missing = 5}, ""},
    {{.kind = "extra", .fault = "unknown", .count = 5, .of_kind = 5, .of_table = 5, .of_extra = 5},
        "the target has more rows"},
    {{.kind = "extra",
         .fault = "unknown",
         .count = 5,
         .of_kind = 5,
         .of_table = 10,
         .of_missing = 5,
         .of_extra = 5},
        "as many rows are missing"},
    {{.kind = "missing", .fault = "capture", .count = 1}, "the stream lacks"},
    {{.kind = "changed", .fault = "copy", .count = 1}, "the initial copy"},
    {{.kind = "missing", .fault = "apply", .count = 1, .of_kind = 1}, "a transaction was skipped"},
};

START_TEST(clusters_hint_at_a_cause)
{
    const char *says = sb_cluster_cause(&clusters[_i].cluster);
    if (clusters[_i].says[0] == '\0')
        ck_assert_str_eq(says, "");
    else
        ck_assert_msg(
            strstr(says, clusters[_i].says) != NULL, "\"%s\" lacks \"%s\"", says, clusters[_i].says);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cluster");
    TCase *tcase = tcase_create("cluster");
    tcase_add_loop_test(tcase, two_texts_have_a_name_for_it, 0, (int)(sizeof pairs / sizeof pairs[0]));
    tcase_add_loop_test(tcase, clusters_hint_at_a_cause, 0, (int)(sizeof clusters / sizeof clusters[0]));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
