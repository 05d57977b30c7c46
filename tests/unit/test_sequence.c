/* How far a sequence is moved: never back, never beyond what it can count, never so that a value comes twice.
 */
#include "cutover/sequence.h"

#include <check.h>
#include <stdlib.h>

static const struct sb_sequence_rules bigint_rules = {.increment = 1, .min = 1, .max = INT64_MAX, .cache = 1};
static const struct sb_sequence_rules smallint_rules = {
    .increment = 1, .min = 1, .max = INT16_MAX, .cache = 1};

static struct sb_sequence_place at(int64_t last)
{
    return (struct sb_sequence_place){.last = last, .called = true};
}

static struct sb_sequence_answer judged(const struct sb_sequence_rules *rules, struct sb_sequence_place owner,
    struct sb_sequence_place twin, int64_t need)
{
    return sb_sequence_judge(rules, &owner, rules, &twin, need);
}

START_TEST(far_enough_ahead_stays_where_it_is)
{
    struct sb_sequence_answer answer = judged(&bigint_rules, at(1000), at(1100), 100);
    ck_assert_int_eq(answer.verdict, SB_SEQUENCE_FINE);
    ck_assert_int_eq(answer.ahead, 100);
    ck_assert(!answer.tight);
}
END_TEST

START_TEST(one_that_is_behind_is_moved_twice_as_far_as_needed)
{
    struct sb_sequence_answer answer = judged(&bigint_rules, at(1000), at(1099), 100);
    ck_assert_int_eq(answer.verdict, SB_SEQUENCE_MOVE);
    ck_assert_int_eq(answer.value, 1200);
    ck_assert(answer.called);
    ck_assert_int_eq(answer.ahead, 200);
}
END_TEST

START_TEST(one_that_was_never_called_gives_out_its_last_value_first)
{
    struct sb_sequence_place fresh = {.last = 1, .called = false};
    struct sb_sequence_answer answer = judged(&bigint_rules, fresh, fresh, 10);
    ck_assert_int_eq(answer.verdict, SB_SEQUENCE_MOVE);
    ck_assert_int_eq(answer.value, 20);
    ck_assert_int_eq(answer.ahead, 20);
}
END_TEST

START_TEST(a_twin_keeps_to_its_own_steps)
{
    struct sb_sequence_rules owner = bigint_rules, twin = bigint_rules;
    struct sb_sequence_place owner_place = at(1000), twin_place = at(7);
    twin.increment = 10;
    struct sb_sequence_answer answer = sb_sequence_judge(&owner, &owner_place, &twin, &twin_place, 100);
    ck_assert_int_eq(answer.verdict, SB_SEQUENCE_MOVE);
    ck_assert_int_eq(answer.value % 10, 7);
    ck_assert_int_ge(answer.value + 10, 1001 + 200);
}
END_TEST

START_TEST(downwards_is_upwards_in_a_mirror)
{
    struct sb_sequence_rules rules = {.increment = -2, .min = INT32_MIN, .max = -1, .cache = 1};
    struct sb_sequence_answer answer = judged(&rules, at(-101), at(-1), 10);
    ck_assert_int_eq(answer.verdict, SB_SEQUENCE_MOVE);
    ck_assert_int_eq(answer.value, -141);
    ck_assert_int_eq(answer.ahead, 20);
}
END_TEST

START_TEST(near_the_end_it_takes_a_part_of_what_is_left)
{
    struct sb_sequence_answer answer = judged(&smallint_rules, at(INT16_MAX - 80), at(5), 100000);
    ck_assert_int_eq(answer.verdict, SB_SEQUENCE_MOVE);
    ck_assert_int_eq(answer.ahead, 20);
    ck_assert_int_eq(answer.headroom, 60);
    ck_assert(answer.tight);
}
END_TEST

START_TEST(at_the_very_end_nothing_is_given_twice)
{
    struct sb_sequence_answer answer = judged(&smallint_rules, at(INT16_MAX), at(5), 10);
    ck_assert_int_eq(answer.verdict, SB_SEQUENCE_MOVE);
    ck_assert_int_eq(answer.value, INT16_MAX);
    ck_assert(answer.called);
    ck_assert_int_eq(answer.headroom, 0);
    answer = judged(&smallint_rules, at(INT16_MAX), at(INT16_MAX), 10);
    ck_assert_int_eq(answer.verdict, SB_SEQUENCE_SPENT);
    answer = judged(&bigint_rules, at(INT64_MAX), at(1), 10);
    ck_assert_int_eq(answer.verdict, SB_SEQUENCE_MOVE);
    ck_assert(answer.value == INT64_MAX);
}
END_TEST

START_TEST(what_a_column_holds_is_taken_for_used)
{
    struct sb_sequence_place owner = at(10), twin = at(10);
    owner.edge_known = true;
    owner.edge = 5000;
    struct sb_sequence_answer answer = judged(&bigint_rules, owner, twin, 100);
    ck_assert_int_eq(answer.value, 5200);
    twin.edge_known = true;
    twin.edge = 6000;
    answer = judged(&bigint_rules, owner, twin, 100);
    ck_assert_int_eq(answer.value, 6200);
}
END_TEST

START_TEST(one_odd_row_near_the_end_does_not_spend_the_rest)
{
    struct sb_sequence_rules rules = {.increment = 1, .min = 1, .max = INT32_MAX, .cache = 1};
    struct sb_sequence_place owner = at(10);
    owner.edge_known = true;
    owner.edge = INT32_MAX;
    struct sb_sequence_answer answer = judged(&rules, owner, at(10), 100);
    ck_assert_int_eq(answer.value, 210);
    ck_assert(answer.edge_left);
}
END_TEST

START_TEST(without_an_owner_the_columns_decide)
{
    struct sb_sequence_place twin = {.last = 1, .called = false, .edge_known = true, .edge = 700};
    struct sb_sequence_answer answer = sb_sequence_judge(NULL, &twin, &bigint_rules, &twin, 50);
    ck_assert_int_eq(answer.verdict, SB_SEQUENCE_MOVE);
    ck_assert_int_eq(answer.value, 800);
}
END_TEST

START_TEST(a_cycle_is_ahead_by_up_to_half_of_it)
{
    struct sb_sequence_rules rules = {.increment = 1, .min = 1, .max = 100, .cache = 1, .cycle = true};
    struct sb_sequence_answer answer = judged(&rules, at(90), at(92), 10);
    ck_assert_int_eq(answer.verdict, SB_SEQUENCE_MOVE);
    ck_assert_int_eq(answer.value, 11); /* the next ones are 91 to 100, and 1 to 10 */
    ck_assert(!answer.called);
    answer = judged(&rules, at(95), (struct sb_sequence_place){.last = 11, .called = false}, 10);
    ck_assert_int_eq(answer.verdict, SB_SEQUENCE_FINE);
    ck_assert_int_eq(answer.ahead, 15);
    answer = judged(&rules, at(20), at(15), 10); /* overtaken */
    ck_assert_int_eq(answer.value, 41);
}
END_TEST

START_TEST(contrary_ones_are_left_alone)
{
    struct sb_sequence_rules down = {.increment = -1, .min = INT64_MIN, .max = -1, .cache = 1};
    struct sb_sequence_rules cycle = bigint_rules;
    struct sb_sequence_place place = at(5), below = at(-5);
    cycle.cycle = true;
    ck_assert_int_eq(
        sb_sequence_judge(&bigint_rules, &place, &down, &below, 10).verdict, SB_SEQUENCE_CONTRARY);
    ck_assert_int_eq(
        sb_sequence_judge(&bigint_rules, &place, &cycle, &place, 10).verdict, SB_SEQUENCE_CONTRARY);
}
END_TEST

START_TEST(used_values_are_counted)
{
    struct sb_sequence_rules cycle = {.increment = 1, .min = 1, .max = 100, .cache = 1, .cycle = true};
    struct sb_sequence_place before = {.last = 1, .called = false}, now = at(10), last = at(98),
                             first = at(3);
    ck_assert_int_eq(sb_sequence_used(&bigint_rules, &before, &now), 10);
    ck_assert_int_eq(sb_sequence_used(&bigint_rules, &now, &before), -10);
    ck_assert_int_eq(sb_sequence_used(&cycle, &last, &first), 5);
}
END_TEST

START_TEST(need_follows_the_rate_and_the_cache)
{
    ck_assert_int_eq(sb_sequence_need(0, 300, 1, 1000), 1000);
    ck_assert_int_eq(sb_sequence_need(50, 300, 1, 1000), 15000);
    ck_assert_int_ge(sb_sequence_need(0, 300, 20, 1000), 1000 + 20);
    ck_assert_int_gt(sb_sequence_need(1e300, 86400, INT64_MAX, 1), 0);
}
END_TEST

static int64_t between(int64_t low, int64_t high)
{
    uint64_t width = (uint64_t)high - (uint64_t)low, chance = 0;
    for (int i = 0; i < 5; i++)
        chance = chance << 15 ^ (uint64_t)rand();
    return (int64_t)((uint64_t)low + (width == UINT64_MAX ? chance : chance % (width + 1)));
}

static void check_one(void)
{
    static const int64_t ends[] = {100, INT16_MAX, INT32_MAX, INT64_MAX};
    int64_t end = ends[rand() % 4];
    bool down = rand() % 2 == 0;
    struct sb_sequence_rules owner = {.increment = between(1, 20), .min = 1, .max = end, .cache = 1};
    struct sb_sequence_rules twin = owner;
    twin.increment = rand() % 2 == 0 ? owner.increment : between(1, 20);
    struct sb_sequence_place here = {.last = between(1, end), .called = rand() % 2 == 0};
    struct sb_sequence_place there = {.last = between(1, end), .called = rand() % 2 == 0};
    int64_t used = here.called ? here.last : here.last - owner.increment;
    if (down) {
        owner.increment = -owner.increment, twin.increment = -twin.increment;
        owner.min = twin.min = -end, owner.max = twin.max = -1;
        here.last = -here.last, there.last = -there.last;
    }
    struct sb_sequence_answer answer = sb_sequence_judge(&owner, &here, &twin, &there, between(1, 1000000));
    __int128 sign = down ? -1 : 1;
    if (answer.verdict == SB_SEQUENCE_MOVE) {
        ck_assert_int_ge(sign * answer.value, sign * there.last);
        ck_assert(answer.value >= twin.min && answer.value <= twin.max);
        there = (struct sb_sequence_place){.last = answer.value, .called = answer.called};
    }
    __int128 next = sign * there.last + (there.called ? sign * twin.increment : 0);
    ck_assert(next > used || next > end);
    ck_assert(sb_sequence_judge(&owner, &here, &twin, &there, 1).verdict != SB_SEQUENCE_MOVE);
}

START_TEST(whatever_the_places_no_value_comes_twice)
{
    srand(1);
    for (int i = 0; i < 200000; i++)
        check_one();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sequence");
    TCase *tcase = tcase_create("judge");
    tcase_add_test(tcase, far_enough_ahead_stays_where_it_is);
    tcase_add_test(tcase, one_that_is_behind_is_moved_twice_as_far_as_needed);
    tcase_add_test(tcase, one_that_was_never_called_gives_out_its_last_value_first);
    tcase_add_test(tcase, a_twin_keeps_to_its_own_steps);
    tcase_add_test(tcase, downwards_is_upwards_in_a_mirror);
    tcase_add_test(tcase, near_the_end_it_takes_a_part_of_what_is_left);
    tcase_add_test(tcase, at_the_very_end_nothing_is_given_twice);
    tcase_add_test(tcase, what_a_column_holds_is_taken_for_used);
    tcase_add_test(tcase, one_odd_row_near_the_end_does_not_spend_the_rest);
    tcase_add_test(tcase, without_an_owner_the_columns_decide);
    tcase_add_test(tcase, a_cycle_is_ahead_by_up_to_half_of_it);
    tcase_add_test(tcase, contrary_ones_are_left_alone);
    tcase_add_test(tcase, used_values_are_counted);
    tcase_add_test(tcase, need_follows_the_rate_and_the_cache);
    tcase_add_test(tcase, whatever_the_places_no_value_comes_twice);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
