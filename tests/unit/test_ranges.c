#include "schemas/ranges.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Keys are one byte; a mark per key says what was claimed for it. */
enum { KEYS = 256 };

static struct sb_arena *arena;
static char bytes[KEYS];
static struct sb_err err;

static void setup(void)
{
    arena = sb_arena_new("ranges", 1 << 22);
    for (int i = 0; i < KEYS; i++)
        bytes[i] = (char)i;
}

static void teardown(void)
{
    sb_arena_free(arena);
}

static struct sb_view one(int key)
{
    return sb_view(&bytes[key], 1);
}

static struct sb_key_range range(int lower, int upper) /* 0 and KEYS: open */
{
    return (struct sb_key_range){.lower_open = lower == 0,
        .upper_open = upper == KEYS,
        .lower = lower == 0 ? (struct sb_view){0} : one(lower),
        .upper = upper == KEYS ? (struct sb_view){0} : one(upper)};
}

static void mark(const struct sb_key_range *items, size_t count, int marks[KEYS])
{
    for (size_t i = 0; i < count; i++)
        for (int key = 0; key < KEYS; key++)
            marks[key] += sb_key_range_has(&items[i], one(key));
}

static void shuffle(struct sb_key_range *items, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)random() % i;
        struct sb_key_range keep = items[j];
        items[j] = items[i - 1];
        items[i - 1] = keep;
    }
}

START_TEST(finished_and_missing_hold_every_key_once)
{
    srandom(11);
    for (int round = 0; round < 300; round++) {
        struct sb_key_range done[KEYS];
        struct sb_ranges missing, cut;
        struct sb_view boundaries[KEYS];
        int marks[KEYS] = {0}, again[KEYS] = {0};
        size_t count = 0, boundary_count = 0;
        sb_arena_reset(arena);
        for (int from = 0; from < KEYS;) { /* neighbours, some of them finished */
            int to = from + 1 + (int)(random() % 60);
            to = to > KEYS ? KEYS : to;
            if (random() % 2)
                done[count++] = range(from, to);
            from = to;
        }
        shuffle(done, count);
        ck_assert_int_eq(sb_ranges_missing(done, count, arena, &missing, &err), 0);
        mark(done, count, marks);
        mark(missing.items, missing.count, marks);
        for (int key = 1; key < KEYS; key += 1 + (int)(random() % 20))
            boundaries[boundary_count++] = one(key);
        ck_assert_int_eq(sb_ranges_cut(&missing, boundaries, boundary_count, arena, &cut, &err), 0);
        ck_assert_uint_ge(cut.count, missing.count);
        mark(done, count, again);
        mark(cut.items, cut.count, again);
        for (int key = 0; key < KEYS; key++) {
            ck_assert_int_eq(marks[key], 1);
            ck_assert_int_eq(again[key], 1);
        }
        for (size_t b = 0; b < boundary_count; b++) /* no piece has a boundary inside */
            for (size_t i = 0; i < cut.count; i++)
                ck_assert(!sb_key_range_has(&cut.items[i], boundaries[b]) ||
                          (!cut.items[i].lower_open && sb_view_eq(cut.items[i].lower, boundaries[b])));
    }
}
END_TEST

START_TEST(overlapping_ranges_are_an_error)
{
    struct sb_ranges missing;
    struct sb_key_range twice[] = {range(0, 10), range(0, 10)}, across[] = {range(5, 20), range(10, 30)},
                        behind[] = {range(5, KEYS), range(10, 30)}, all[] = {range(0, KEYS), range(10, 30)};
    ck_assert_int_eq(sb_ranges_missing(twice, 2, arena, &missing, &err), -1);
    ck_assert_int_eq(sb_ranges_missing(across, 2, arena, &missing, &err), -1);
    ck_assert_int_eq(sb_ranges_missing(behind, 2, arena, &missing, &err), -1);
    ck_assert_int_eq(sb_ranges_missing(all, 2, arena, &missing, &err), -1);
    ck_assert_int_eq((int)err.code, SB_E_STATE_FORMAT);
}
END_TEST

START_TEST(nothing_finished_is_one_range_and_everything_finished_is_none)
{
    struct sb_ranges missing;
    struct sb_key_range all[] = {range(0, 100), range(100, KEYS)};
    ck_assert_int_eq(sb_ranges_missing(NULL, 0, arena, &missing, &err), 0);
    ck_assert_uint_eq(missing.count, 1);
    ck_assert(missing.items[0].lower_open && missing.items[0].upper_open);
    ck_assert_int_eq(sb_ranges_missing(all, 2, arena, &missing, &err), 0);
    ck_assert_uint_eq(missing.count, 0);
}
END_TEST

START_TEST(boundaries_ascend_and_divide_evenly)
{
    struct sb_view sample[KEYS], boundaries[KEYS];
    srandom(12);
    for (int i = 0; i < KEYS; i++)
        sample[i] = one((int)(random() % KEYS));
    size_t count = sb_ranges_boundaries(sample, KEYS, 8, boundaries);
    ck_assert_uint_eq(count, 7);
    for (size_t i = 1; i < count; i++)
        ck_assert_int_lt(sb_view_cmp(boundaries[i - 1], boundaries[i]), 0);
    for (int i = 0; i < KEYS; i++)
        sample[i] = one(7); /* one key has all the rows: it cannot be cut */
    ck_assert_uint_eq(sb_ranges_boundaries(sample, KEYS, 8, boundaries), 0);
    ck_assert_uint_eq(sb_ranges_boundaries(sample, 0, 8, boundaries), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ranges");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, finished_and_missing_hold_every_key_once);
    tcase_add_test(tests, overlapping_ranges_are_an_error);
    tcase_add_test(tests, nothing_finished_is_one_range_and_everything_finished_is_none);
    tcase_add_test(tests, boundaries_ascend_and_divide_evenly);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
