/* Rows that cancel, and rows as they come out of COPY. */
#include "reconcile/tally.h"
#include "schemas/digest.h"
#include "schemas/rowform.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 200, ROUNDS = 300 };

static struct sb_digest digest_of(int number)
{
    return sb_hash128(sb_view(&number, sizeof number));
}

/* -- the tally against plain arithmetic ------------------------------------------------------------------ */

struct balance {
    int truth[KEYS], follower[KEYS]; /* the version of the row; 0: none */
    int seen;
};

static int check_rest(void *arg, const struct sb_tally_rest *rest)
{
    struct balance *balance = arg;
    int key;
    ck_assert_uint_eq(rest->key_bytes.len, sizeof key);
    memcpy(&key, rest->key_bytes.ptr, sizeof key);
    ck_assert_int_ne(balance->truth[key], balance->follower[key]);
    ck_assert_int_eq(rest->truth, balance->truth[key] != 0);
    ck_assert_int_eq(rest->follower, balance->follower[key] != 0);
    balance->seen++;
    return 0;
}

static void add(struct sb_tally *tally, int key, int version, int by)
{
    struct sb_digest name = digest_of(key), row = digest_of(1000 + version);
    if (version != 0)
        ck_assert_int_eq(sb_tally_add(tally, &name, &row, sb_view(&key, sizeof key), by), 0);
}

START_TEST(what_is_left_is_what_differs)
{
    struct sb_tally *tally = sb_tally_new(1 << 20);
    for (int round = 0; round < ROUNDS; round++) {
        struct balance balance = {.seen = 0};
        int different = 0;
        sb_tally_reset(tally);
        for (int key = 0; key < KEYS; key++) {
            balance.truth[key] = rand() % 3;
            balance.follower[key] = rand() % 3;
            different += balance.truth[key] != balance.follower[key];
            add(tally, key, balance.truth[key], 1);
        }
        for (int key = KEYS - 1; key >= 0; key--)
            add(tally, key, balance.follower[key], -1);
        ck_assert_int_eq(sb_tally_each(tally, check_rest, &balance), 0);
        ck_assert_int_eq(balance.seen, different);
    }
    sb_tally_free(tally);
}
END_TEST

static int sum_rest(void *arg, const struct sb_tally_rest *rest)
{
    int64_t *sums = arg;
    sums[0] += rest->truth;
    sums[1] += rest->follower;
    return 0;
}

/* Two equal rows and one are not the same, whatever a hash of hashes says. */
START_TEST(equal_rows_are_counted)
{
    struct sb_tally *tally = sb_tally_new(1 << 20);
    struct sb_digest row = digest_of(5);
    int64_t sums[2] = {0, 0};
    for (int i = 0; i < 5; i++)
        sb_tally_add(tally, &row, &row, sb_view(NULL, 0), 1);
    for (int i = 0; i < 3; i++)
        sb_tally_add(tally, &row, &row, sb_view(NULL, 0), -1);
    ck_assert_uint_eq(sb_tally_count(tally), 1);
    sb_tally_each(tally, sum_rest, sums);
    ck_assert_int_eq(sums[0], 2);
    ck_assert_int_eq(sums[1], 0);
    sb_tally_free(tally);
}
END_TEST

START_TEST(memory_is_bounded_and_comes_back)
{
    struct sb_tally *tally = sb_tally_new(64 * 1024);
    int taken = 0;
    while (taken < 100000) {
        struct sb_digest row = digest_of(taken);
        if (sb_tally_add(tally, &row, &row, sb_view(&taken, sizeof taken), 1) == SB_TALLY_FULL)
            break;
        taken++;
    }
    ck_assert_int_gt(taken, 100);
    ck_assert_int_lt(taken, 10000);
    ck_assert_uint_le(sb_tally_peak_bytes(tally), 64 * 1024);
    for (int i = 0; i < taken; i++) {
        struct sb_digest row = digest_of(i);
        ck_assert_int_eq(sb_tally_add(tally, &row, &row, sb_view(&i, sizeof i), -1), 0);
    }
    ck_assert_uint_eq(sb_tally_count(tally), 0);
    struct sb_digest again = digest_of(0);
    ck_assert_int_eq(sb_tally_add(tally, &again, &again, sb_view(NULL, 0), 1), 0);
    sb_tally_free(tally);
}
END_TEST

/* -- rows ------------------------------------------------------------------------------------------------ */

static void split(const char *line, size_t count, bool fine, struct sb_value values[4], char room[64])
{
    size_t len = strlen(line);
    memcpy(room, line, len);
    ck_assert_int_eq(sb_rowform_split(room, len, values, count), fine);
}

START_TEST(a_row_of_copy)
{
    struct sb_value values[4];
    char room[64];
    split("1\t\\N\t\ta\\tb\\\\c\\nd\n", 4, true, values, room);
    ck_assert(sb_view_eq_str(values[0].text, "1"));
    ck_assert_int_eq((int)values[1].state, SB_COL_NULL);
    ck_assert_int_eq((int)values[2].state, SB_COL_TEXT);
    ck_assert_uint_eq(values[2].text.len, 0);
    ck_assert(sb_view_eq_str(values[3].text, "a\tb\\c\nd"));
    split("\\\\N\n", 1, true, values, room);
    ck_assert(sb_view_eq_str(values[0].text, "\\N"));
    split("1\t2\n", 1, false, values, room);
    split("1\n", 2, false, values, room);
    split("\n", 0, true, values, room);
    split("\n", 1, true, values, room);
    ck_assert_uint_eq(values[0].text.len, 0);
    split("x\\", 1, true, values, room);
    ck_assert(sb_view_eq_str(values[0].text, "x\\"));
}
END_TEST

static struct sb_digest row_of(const char *line, size_t count)
{
    struct sb_value values[4];
    struct sb_digest fields[4];
    char room[64];
    split(line, count, true, values, room);
    for (size_t i = 0; i < count; i++)
        fields[i] = sb_rowform_field(&values[i]);
    return sb_rowform_row(fields, count);
}

START_TEST(rows_that_look_alike_are_not)
{
    static const char *const lines[] = {"12\t3", "1\t23", "\t123", "123\t", "\\N\t", "\t\\N", "\\N\t\\N",
        "\t", "NULL\t", "1.0\t3", "1.00\t3", "-0\t3", "0\t3", "0 \t3"};
    enum { COUNT = sizeof lines / sizeof lines[0] };
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < COUNT; j++) {
            struct sb_digest a = row_of(lines[i], 2), b = row_of(lines[j], 2);
            ck_assert_int_eq(sb_digest_eq(&a, &b), i == j);
        }
    const struct sb_value unchanged = {.state = SB_COL_UNCHANGED}, null = {.state = SB_COL_NULL};
    struct sb_digest unknown = sb_rowform_field(&unchanged), known = sb_rowform_field(&null);
    ck_assert(!sb_rowform_is_known(&unknown) && sb_rowform_is_known(&known));
}
END_TEST

START_TEST(a_key_comes_back)
{
    static const uint16_t key_cols[] = {2, 0};
    struct sb_value values[4];
    struct sb_view texts[2];
    struct sb_buf key;
    char room[64];
    sb_buf_init(&key, 1024);
    split("1\tno\tx\\ty", 3, true, values, room);
    ck_assert(sb_rowform_put_key(values, key_cols, 2, &key));
    ck_assert(sb_rowform_key_texts(sb_buf_view(&key), texts, 2));
    ck_assert(sb_view_eq_str(texts[0], "x\ty") && sb_view_eq_str(texts[1], "1"));
    ck_assert(!sb_rowform_key_texts(sb_buf_view(&key), texts, 1));
    split("\\N\tno\tx", 3, true, values, room);
    ck_assert(!sb_rowform_put_key(values, key_cols, 2, &key));
    sb_buf_clear(&key);
}
END_TEST

static int take_rest(void *arg, const struct sb_tally_rest *rest)
{
    *(struct sb_tally_rest *)arg = *rest;
    return 0;
}

/* What is left and what cancelled under a rule explain together by how much the lines' sums are apart. */
START_TEST(lines_add_up)
{
    struct sb_tally *tally = sb_tally_new(1 << 20);
    struct sb_digest key = digest_of(1), row = digest_of(2), other = digest_of(3);
    struct sb_digest one = digest_of(4), two = digest_of(5);
    struct sb_tally_rest rest = {.truth = 0};
    sb_tally_add_line(tally, &key, &row, sb_view("k", 1), sb_view(NULL, 0), &one, 1);
    sb_tally_add_line(tally, &key, &row, sb_view("k", 1), sb_view(NULL, 0), &one, -1);
    ck_assert(sb_tally_met_sum(tally) == 0);
    sb_tally_add_line(tally, &key, &row, sb_view("k", 1), sb_view(NULL, 0), &one, 1);
    sb_tally_add_line(tally, &key, &row, sb_view("k", 1), sb_view(NULL, 0), &two, -1);
    ck_assert(sb_tally_met_sum(tally) == sb_sum_of(&one) - sb_sum_of(&two));
    sb_tally_add_line(tally, &key, &row, sb_view("k", 1), sb_view(NULL, 0), &one, 2);
    sb_tally_add_line(tally, &key, &other, sb_view("k", 1), sb_view(NULL, 0), &two, -1);
    ck_assert_int_eq(sb_tally_each(tally, take_rest, &rest), 0);
    ck_assert(rest.truth_sum == 2 * sb_sum_of(&one) && rest.follower_sum == sb_sum_of(&two));
    sb_tally_reset(tally);
    ck_assert(sb_tally_met_sum(tally) == 0);
    sb_tally_free(tally);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tally");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, what_is_left_is_what_differs);
    tcase_add_test(tests, equal_rows_are_counted);
    tcase_add_test(tests, memory_is_bounded_and_comes_back);
    tcase_add_test(tests, a_row_of_copy);
    tcase_add_test(tests, rows_that_look_alike_are_not);
    tcase_add_test(tests, a_key_comes_back);
    tcase_add_test(tests, lines_add_up);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
