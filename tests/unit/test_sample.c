#include "reconcile/sample.h"

#include <check.h>
#include <stdlib.h>

static double choose(int64_t n, int64_t k)
{
    double product = 1;
    if (k < 0 || k > n)
        return 0;
    for (int64_t i = 1; i <= k; i++)
        product = product * (double)(n - k + i) / (double)i;
    return product;
}

/* By counting, for what fits into a double. */
static int64_t bound_counted(int64_t population, int64_t drawn, int64_t bad, double confidence)
{
    int64_t bound = bad;
    for (int64_t all = bad; all <= population - (drawn - bad); all++) {
        double sum = 0;
        for (int64_t k = 0; k <= bad; k++)
            sum += choose(all, k) * choose(population - all, drawn - k);
        if (sum / choose(population, drawn) >= 1 - confidence - 1e-9)
            bound = all;
    }
    return bound;
}

START_TEST(the_bound_is_the_one_that_is_counted)
{
    for (int64_t population = 1; population <= 30; population++)
        for (int64_t drawn = 0; drawn <= population; drawn++)
            for (int64_t bad = 0; bad <= drawn && bad < 6; bad++)
                ck_assert_int_eq(sb_sample_bound(population, drawn, bad, 0.95),
                    bound_counted(population, drawn, bad, 0.95));
}
END_TEST

START_TEST(what_it_says_at_the_ends)
{
    ck_assert_int_eq(sb_sample_bound(1000, 1000, 0, 0.95), 0); /* all of them: no doubt is left */
    ck_assert_int_eq(sb_sample_bound(1000, 1000, 7, 0.95), 7);
    ck_assert_int_eq(sb_sample_bound(1000, 0, 0, 0.95), 1000); /* none: nothing is known */
    ck_assert_int_eq(sb_sample_bound(0, 0, 0, 0.95), 0);
    int64_t of_many = sb_sample_bound(100000, 1000, 0, 0.95); /* three in n */
    ck_assert(of_many > 280 && of_many < 300);
}
END_TEST

static int64_t draw(int64_t population, int64_t wanted, int64_t bad, uint64_t seed)
{
    struct sb_sample_draw sample = sb_sample_begin(seed);
    int64_t drawn = 0, found = 0;
    for (int64_t i = 0; i < population; i++)
        if (sb_sample_next(&sample, population - i, wanted - drawn)) {
            drawn++;
            found += i % 7 == 3 && i / 7 < bad;
        }
    ck_assert_int_eq(drawn, wanted);
    return found;
}

START_TEST(the_bound_holds_as_often_as_it_says)
{
    int held = 0, rounds = 4000;
    for (int round = 0; round < rounds; round++) {
        int64_t bad = round % 40, wanted = 5 + round % 90;
        int64_t found = draw(300, wanted, bad, (uint64_t)round * 7919);
        held += sb_sample_bound(300, wanted, found, 0.95) >= bad;
    }
    ck_assert_int_ge(held, rounds * 95 / 100);
}
END_TEST

START_TEST(every_chunk_is_drawn_as_often)
{
    int times[20] = {0}, rounds = 20000;
    for (int round = 0; round < rounds; round++) {
        struct sb_sample_draw sample = sb_sample_begin((uint64_t)round);
        int64_t drawn = 0;
        for (int i = 0; i < 20; i++)
            if (sb_sample_next(&sample, 20 - i, 5 - drawn)) {
                drawn++;
                times[i]++;
            }
    }
    for (int i = 0; i < 20; i++) /* a quarter, within six deviations */
        ck_assert_int_lt(abs(times[i] - rounds / 4), 6 * 62);
}
END_TEST

START_TEST(the_same_seed_draws_the_same)
{
    struct sb_sample_draw one = sb_sample_begin(42), other = sb_sample_begin(42);
    for (int64_t left = 1000; left > 0; left--)
        ck_assert_int_eq(sb_sample_next(&one, left, left / 3), sb_sample_next(&other, left, left / 3));
}
END_TEST

START_TEST(a_share_is_at_least_one)
{
    ck_assert_int_eq(sb_sample_size(0, 10), 0);
    ck_assert_int_eq(sb_sample_size(3, 0.001), 1);
    ck_assert_int_eq(sb_sample_size(1000, 1), 10);
    ck_assert_int_eq(sb_sample_size(1001, 1), 11);
    ck_assert_int_eq(sb_sample_size(50, 100), 50);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("sample");
    tcase_add_test(tcase, the_bound_is_the_one_that_is_counted);
    tcase_add_test(tcase, what_it_says_at_the_ends);
    tcase_add_test(tcase, the_bound_holds_as_often_as_it_says);
    tcase_add_test(tcase, every_chunk_is_drawn_as_often);
    tcase_add_test(tcase, the_same_seed_draws_the_same);
    tcase_add_test(tcase, a_share_is_at_least_one);
    Suite *suite = suite_create("sample");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
