/* Who is at fault, from facts; and nobody without one. */
#include "reconcile/attribution.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 1024 };

struct expected {
    struct sb_attribution_facts facts;
    enum sb_fault_of fault;
    const char *says; /* in the evidence */
};

/* clang-format off */
static const struct expected table[] = {
    {{.has_key = true, .row_there = true}, SB_FAULT_OF_UNKNOWN, "track_commit_timestamp is off"},
    {{.has_key = true, .row_there = true}, SB_FAULT_OF_UNKNOWN, "reverse.enabled"},
    {{.has_key = true, .row_there = true, .timestamps = true}, SB_FAULT_OF_UNKNOWN, "older than"},
    {{.has_key = true, .timestamps = true}, SB_FAULT_OF_UNKNOWN, "no such row"},
    {{.row_there = false}, SB_FAULT_OF_UNKNOWN, "no key"},
    {{.has_key = true, .source_differs = true, .row_there = true, .writer = SB_WRITER_NONE, .written_at = "t"},
        SB_FAULT_OF_CAPTURE, "what the stream says"},
    {{.has_key = true, .skipped_lsn = "0/5", .row_there = true, .writer = SB_WRITER_APPLY, .written_at = "t"},
        SB_FAULT_OF_APPLY, "0/5"},
    {{.has_key = true, .row_there = true, .writer = SB_WRITER_NONE, .written_at = "noon"}, SB_FAULT_OF_FOREIGN,
        "at noon by a session without a replication origin"},
    {{.has_key = true, .row_there = true, .writer = SB_WRITER_OTHER, .origin = "theirs", .written_at = "noon"},
        SB_FAULT_OF_FOREIGN, "\"theirs\""},
    {{.has_key = true, .row_there = true, .way_back = true, .way_back_late = true}, SB_FAULT_OF_UNKNOWN,
        "has not seen all"},
    {{.has_key = true, .rogue_op = "delete", .rogue_lsn = "0/7", .rogue_at = "noon", .way_back = true},
        SB_FAULT_OF_FOREIGN, "a foreign delete on the target at noon (0/7)"},
    {{.has_key = true, .row_there = true, .writer = SB_WRITER_APPLY, .written_at = "noon"}, SB_FAULT_OF_APPLY,
        "apply wrote the target's row last, at noon"},
    {{.has_key = true, .row_there = true, .copied_at = "noon", .copy_saw = true}, SB_FAULT_OF_COPY,
        "the source's row is older"},
    {{.has_key = true, .row_there = true, .copied_at = "noon", .change_lsn = "0/9"}, SB_FAULT_OF_APPLY, "a change of it at 0/9"},
    {{.has_key = true, .row_there = true, .copied_at = "noon"}, SB_FAULT_OF_UNKNOWN, "apply lost it"},
    {{.has_key = true, .row_there = true, .writer = SB_WRITER_COPY, .written_at = "noon"}, SB_FAULT_OF_COPY,
        "the initial copy wrote"},
};
/* clang-format on */

START_TEST(facts_name_the_fault)
{
    const struct expected *expected = &table[_i];
    struct sb_buf evidence;
    sb_buf_init(&evidence, TEXT_BYTES);
    enum sb_fault_of fault = sb_attribution_judge(&expected->facts, &evidence);
    ck_assert_str_eq(sb_fault_of_name(fault), sb_fault_of_name(expected->fault));
    ck_assert_msg(strstr(sb_buf_str(&evidence), expected->says) != NULL, "\"%s\" does not say \"%s\"",
        sb_buf_str(&evidence), expected->says);
    sb_buf_clear(&evidence);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attribution");
    TCase *tcase = tcase_create("attribution");
    tcase_add_loop_test(tcase, facts_name_the_fault, 0, (int)(sizeof table / sizeof table[0]));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
