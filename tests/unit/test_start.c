/* capture/start: every case of where to go on, and that none of them is "just start". */
#include "capture/start.h"

#include <check.h>
#include <string.h>

static const struct {
    const char *what;
    struct sb_start_facts facts; /* slot_began, confirmed, tail, recorded, progress_known, progress */
    enum sb_start want;
} cases[] = {
    {"nothing ever happened", {100, 100, 0, 0, true, 0}, SB_START_FRESH},
    {"the same, target down", {100, 100, 0, 0, false, 0}, SB_START_FRESH},
    {"the stream was wiped, nothing confirmed", {100, 100, 0, 300, true, 300}, SB_START_FRESH},
    {"ordinary restart, ack stream", {100, 300, 300, 300, true, 200}, SB_START_VERIFY},
    {"ordinary restart, ack target", {100, 200, 300, 200, true, 250}, SB_START_VERIFY},
    {"nothing confirmed yet", {100, 100, 300, 0, true, 0}, SB_START_VERIFY},
    {"the target is down", {100, 200, 300, 200, false, 0}, SB_START_VERIFY},
    {"the slot went back after a crash", {100, 150, 300, 300, true, 300}, SB_START_VERIFY},
    {"the stream lost its end, the target has more", {100, 200, 300, 500, true, 500}, SB_START_VERIFY},
    {"the stream lost what was confirmed, the target has it", {100, 400, 300, 500, true, 500}, SB_START_HOLE},
    {"the same, to the very commit", {100, 500, 300, 500, true, 500}, SB_START_HOLE},
    {"all of the stream is lost", {100, 400, 0, 500, true, 500}, SB_START_HOLE},
    {"hole or loss, the target is down", {100, 400, 300, 500, false, 0}, SB_START_WAIT},
    {"moved or lost, the target is down", {100, 400, 0, 0, false, 0}, SB_START_WAIT},
    {"the stream lost what it had acknowledged", {100, 400, 300, 400, true, 350}, SB_START_TRUNCATED},
    {"somebody advanced the slot", {100, 400, 300, 300, true, 300}, SB_START_MOVED},
    {"somebody advanced a slot never read", {100, 400, 0, 0, true, 0}, SB_START_MOVED},
    {"an older slot under the name", {100, 50, 300, 300, true, 300}, SB_START_MOVED},
    {"an older slot, and nothing captured", {100, 50, 0, 0, true, 0}, SB_START_MOVED},
};
enum { CASES = sizeof cases / sizeof cases[0] };

START_TEST(every_case_has_its_verdict)
{
    enum sb_start got = sb_start_decide(&cases[_i].facts);
    ck_assert_msg(got == cases[_i].want, "%s: %s", cases[_i].what, sb_start_name(got));
}
END_TEST

START_TEST(halts_have_their_ids)
{
    static const struct {
        enum sb_start start;
        enum sb_code code;
    } halts[] = {{SB_START_WAIT, SB_E_TARGET_UNAVAILABLE}, {SB_START_TRUNCATED, SB_E_LOG_TRUNCATED},
        {SB_START_MOVED, SB_E_SLOT_MOVED}};
    struct sb_start_facts facts = {.slot_began = 100, .confirmed = 0x1234, .tail = 0x300};
    for (size_t i = 0; i < sizeof halts / sizeof halts[0]; i++) {
        struct sb_err err = {0};
        ck_assert_int_eq(sb_start_error(halts[i].start, &facts, "the_slot", &err), -1);
        ck_assert_int_eq(err.code, halts[i].code);
        ck_assert_ptr_nonnull(strstr(err.text, "0/1234"));
        ck_assert_ptr_nonnull(strstr(err.text, "the_slot"));
    }
}
END_TEST

/* Whatever the numbers: nothing is skipped silently. The start is either at or below everything the stream
 * lacks, or the target has what is skipped, or it is a halt. */
START_TEST(no_start_skips_what_nobody_has)
{
    for (uint64_t c = 1; c < 6; c++)
        for (uint64_t t = 0; t < 6; t++)
            for (uint64_t p = 0; p < 6; p++)
                for (int known = 0; known < 2; known++) {
                    struct sb_start_facts facts = {.slot_began = 1,
                        .confirmed = c,
                        .tail = t,
                        .progress_known = known == 1,
                        .progress = p};
                    enum sb_start start = sb_start_decide(&facts);
                    if (start == SB_START_FRESH)
                        ck_assert(t == 0 && c == 1);
                    else if (start == SB_START_VERIFY)
                        ck_assert(c <= t);
                    else if (start == SB_START_HOLE)
                        ck_assert(known == 1 && t < c && c <= p);
                }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("start");
    TCase *tc = tcase_create("start");
    tcase_add_loop_test(tc, every_case_has_its_verdict, 0, CASES);
    tcase_add_test(tc, halts_have_their_ids);
    tcase_add_test(tc, no_start_skips_what_nobody_has);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
