#include "schemas/key.h"

#include "schemas/twin.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sb_buf canonical, again;

static void setup(void)
{
    sb_buf_init(&canonical, 1 << 16);
    sb_buf_init(&again, 1 << 16);
}

static void teardown(void)
{
    sb_buf_clear(&canonical);
    sb_buf_clear(&again);
}

/* The canonical bytes, which must read back as the text. */
static struct sb_view key(enum sb_key_kind kind, const char *text)
{
    size_t before = canonical.len;
    ck_assert_msg(sb_key_put(kind, sb_view_str(text), &canonical), "%s is refused", text);
    struct sb_view bytes = sb_view(canonical.ptr + before, canonical.len - before);
    sb_buf_reset(&again);
    ck_assert(sb_key_put_text(kind, bytes, &again));
    ck_assert_str_eq(sb_buf_str(&again), text);
    return bytes;
}

static void in_order(enum sb_key_kind kind, const char *const *texts)
{
    sb_buf_reset(&canonical);
    sb_buf_put(&canonical, "", 0);
    for (size_t i = 1; texts[i] != NULL; i++) {
        char left[256], right[256];
        struct sb_view one = key(kind, texts[i - 1]);
        memcpy(left, one.ptr, one.len);
        struct sb_view two = key(kind, texts[i]);
        memcpy(right, two.ptr, two.len);
        ck_assert_msg(sb_view_cmp(sb_view(left, one.len), sb_view(right, two.len)) < 0, "%s before %s",
            texts[i - 1], texts[i]);
    }
}

START_TEST(the_order_is_the_server_s)
{
    in_order(SB_KEY_INT, (const char *const[]){"-9223372036854775808", "-2147483649", "-10", "-9", "-1", "0",
                             "1", "9", "10", "4294967296", "9223372036854775807", NULL});
    in_order(SB_KEY_UUID,
        (const char *const[]){"00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-0000000000ff",
            "0a000000-0000-0000-0000-000000000000", "f0000000-0000-0000-0000-000000000000", NULL});
    in_order(SB_KEY_BYTEA,
        (const char *const[]){"\\x", "\\x00", "\\x0000", "\\x01", "\\x7f", "\\x80", "\\xff", NULL});
    in_order(SB_KEY_DATE, (const char *const[]){"-infinity", "4713-01-01 BC", "0044-03-15 BC",
                              "0044-03-16 BC", "0001-12-31 BC", "0001-01-01", "1999-12-31", "2000-01-01",
                              "9999-12-31", "10000-01-01", "5874897-12-31", "infinity", NULL});
    in_order(
        SB_KEY_TIMESTAMP, (const char *const[]){"-infinity", "0044-03-15 23:59:59.999999 BC",
                              "0043-03-15 00:00:00 BC", "2020-01-01 00:00:00", "2020-01-01 00:00:00.000001",
                              "2020-01-01 00:00:00.1", "2020-01-01 00:00:00.12", "2020-01-01 00:00:00.2",
                              "2020-01-01 00:00:01", "294276-12-31 23:59:59.999999", "infinity", NULL});
    in_order(SB_KEY_TIMESTAMPTZ, (const char *const[]){"-infinity", "0044-03-15 23:59:59+00 BC",
                                     "2020-01-01 00:00:00+00", "2020-01-01 00:00:00.5+00", "infinity", NULL});
    in_order(SB_KEY_TEXT, (const char *const[]){"", "A", "Z", "a", "aa", "b", "\xc3\xa9", NULL});
}
END_TEST

START_TEST(random_numbers_keep_their_order)
{
    srandom(7);
    for (int i = 0; i < 50000; i++) {
        int64_t a = (int64_t)((uint64_t)random() << 33 ^ (uint64_t)random()) >> (random() % 63), b;
        b = random() % 2 ? a + random() % 3 - 1 : -a;
        char left[24], right[24];
        snprintf(left, sizeof left, "%" PRId64, a);
        snprintf(right, sizeof right, "%" PRId64, b);
        sb_buf_reset(&canonical);
        ck_assert(sb_key_put(SB_KEY_INT, sb_view_str(left), &canonical));
        ck_assert(sb_key_put(SB_KEY_INT, sb_view_str(right), &canonical));
        int order = memcmp(canonical.ptr, canonical.ptr + 8, 8);
        ck_assert_int_eq((order > 0) - (order < 0), (a > b) - (a < b));
    }
}
END_TEST

START_TEST(random_times_keep_their_order)
{
    srandom(8);
    for (int i = 0; i < 50000; i++) {
        int64_t span = INT64_C(4000) * 365 * 86400 * 1000000;
        int64_t a = (int64_t)(((uint64_t)random() << 31 ^ (uint64_t)random()) % (uint64_t)span);
        int64_t b = random() % 2 ? a + random() % 2000003 : a + random() % 5;
        char left[SB_TWIN_TEXT_BYTES + 1], right[SB_TWIN_TEXT_BYTES + 1];
        size_t left_len = sb_twin_format_long(SB_TWIN_TIMESTAMP, a, left);
        size_t right_len = sb_twin_format_long(SB_TWIN_TIMESTAMP, b, right);
        sb_buf_reset(&canonical);
        ck_assert(sb_key_put(SB_KEY_TIMESTAMP, sb_view(left, left_len), &canonical));
        size_t middle = canonical.len;
        ck_assert(sb_key_put(SB_KEY_TIMESTAMP, sb_view(right, right_len), &canonical));
        int order = sb_view_cmp(
            sb_view(canonical.ptr, middle), sb_view(canonical.ptr + middle, canonical.len - middle));
        ck_assert_int_eq((order > 0) - (order < 0), (a > b) - (a < b));
    }
}
END_TEST

START_TEST(what_is_no_such_text_is_refused)
{
    static const struct {
        enum sb_key_kind kind;
        const char *text;
    } wrong[] = {{SB_KEY_INT, ""}, {SB_KEY_INT, "1.0"}, {SB_KEY_INT, "01"},
        {SB_KEY_INT, "9223372036854775808"}, {SB_KEY_UUID, "00000000-0000-0000-0000-00000000000"},
        {SB_KEY_UUID, "A0000000-0000-0000-0000-000000000000"}, {SB_KEY_BYTEA, "x00"}, {SB_KEY_BYTEA, "\\x0"},
        {SB_KEY_BYTEA, "\\xzz"}, {SB_KEY_DATE, "1-1-1"}, {SB_KEY_DATE, "2020-01-01 00:00:00"},
        {SB_KEY_DATE, "0000-01-01"}, {SB_KEY_TIMESTAMP, "2020-01-01"},
        {SB_KEY_TIMESTAMP, "2020-01-01 00:00:00.10"}, {SB_KEY_TIMESTAMP, "2020-01-01 00:00:00+00"},
        {SB_KEY_TIMESTAMPTZ, "2020-01-01 00:00:00"}, {SB_KEY_TIMESTAMPTZ, "2020-01-01 00:00:00+01"},
        {SB_KEY_NONE, "1"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sb_buf_reset(&canonical);
        sb_buf_put_str(&canonical, "before");
        ck_assert_msg(
            !sb_key_put(wrong[i].kind, sb_view_str(wrong[i].text), &canonical), "%s", wrong[i].text);
        ck_assert_str_eq(sb_buf_str(&canonical), "before");
    }
    ck_assert(!sb_key_put_text(SB_KEY_INT, sb_view("1234567", 7), &again));
    ck_assert(!sb_key_put_text(SB_KEY_UUID, sb_view("1234567", 7), &again));
    ck_assert(!sb_key_put_text(SB_KEY_DATE, sb_view("\x02\x00\x00\x00\x01x", 6), &again));
    ck_assert(!sb_key_put_text(SB_KEY_NONE, sb_view("1", 1), &again));
}
END_TEST

START_TEST(ranges_are_half_open_and_become_conditions)
{
    struct sb_key_range range = {.lower = key(SB_KEY_TEXT, "a'"), .upper_open = true};
    struct sb_buf sql;
    sb_buf_init(&sql, 4096);
    ck_assert(sb_key_range_has(&range, sb_view_str("a'")));
    ck_assert(!sb_key_range_has(&range, sb_view_str("a")));
    sb_key_range_put_sql(&range, SB_KEY_TEXT, sb_view_str("K"), &sql);
    ck_assert_str_eq(
        sb_buf_str(&sql), "\"K\" COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.>=) 'a'''::pg_catalog.text");
    struct sb_key_range both = {
        .lower = sb_view("\x80\0\0\0\0\0\0\x05", 8), .upper = sb_view("\x80\0\0\0\0\0\0\x09", 8)};
    ck_assert(sb_key_range_has(&both, sb_view("\x80\0\0\0\0\0\0\x05", 8)));
    ck_assert(!sb_key_range_has(&both, both.upper));
    sb_buf_reset(&sql);
    sb_key_range_put_sql(&both, SB_KEY_INT, sb_view_str("id"), &sql);
    ck_assert_str_eq(sb_buf_str(&sql), "\"id\" OPERATOR(pg_catalog.>=) '5'::pg_catalog.int8 AND \"id\" "
                                       "OPERATOR(pg_catalog.<) '9'::pg_catalog.int8");
    sb_buf_clear(&sql);
}
END_TEST

/* Beyond the key, and nothing of what matters in between: the range from one to the other has that key alone.
 */
static void next_is(enum sb_key_kind kind, const char *text, const char *wanted)
{
    struct sb_buf next SB_CLEANUP(sb_buf_clear), said SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&next, 1 << 16);
    sb_buf_init(&said, 1 << 16);
    sb_buf_reset(&canonical);
    struct sb_view one = key(kind, text);
    bool found = sb_key_put_next(kind, one, &next);
    ck_assert_msg(found == (wanted != NULL), "after %s", text);
    ck_assert_uint_eq(next.len > 0, found);
    if (!found)
        return;
    ck_assert_int_lt(sb_view_cmp(one, sb_buf_view(&next)), 0);
    ck_assert(sb_key_put_text(kind, sb_buf_view(&next), &said));
    ck_assert_str_eq(sb_buf_str(&said), wanted);
}

START_TEST(what_comes_next)
{
    next_is(SB_KEY_INT, "-1", "0");
    next_is(SB_KEY_INT, "255", "256");
    next_is(SB_KEY_INT, "9223372036854775807", NULL);
    next_is(SB_KEY_UUID, "00000000-0000-0000-0000-0000000000ff", "00000000-0000-0000-0000-000000000100");
    next_is(SB_KEY_UUID, "ffffffff-ffff-ffff-ffff-ffffffffffff", NULL);
    next_is(SB_KEY_BYTEA, "\\x", "\\x00");
    next_is(SB_KEY_BYTEA, "\\xff", "\\xff00");
    next_is(SB_KEY_TEXT, "", "\x01");
    next_is(SB_KEY_TEXT, "a", "a\x01");
    next_is(SB_KEY_DATE, "1999-12-27", "1999-12-28");
    next_is(SB_KEY_DATE, "0044-03-15 BC", "0044-03-16 BC");
    next_is(SB_KEY_DATE, "1999-12-28", NULL);
    next_is(SB_KEY_DATE, "infinity", NULL);
    next_is(SB_KEY_DATE, "-infinity", NULL);
    next_is(SB_KEY_TIMESTAMP, "2020-01-01 00:00:00", "2020-01-01 00:00:00.000001");
    next_is(SB_KEY_TIMESTAMP, "2020-01-01 00:00:00.1", "2020-01-01 00:00:00.100001");
    next_is(SB_KEY_TIMESTAMP, "2020-01-01 00:00:00.099999", "2020-01-01 00:00:00.1");
    next_is(SB_KEY_TIMESTAMP, "2020-01-01 00:00:00.999999", NULL);
    next_is(SB_KEY_TIMESTAMPTZ, "0044-03-15 23:59:59+00 BC", "0044-03-15 23:59:59.000001+00 BC");
}
END_TEST

START_TEST(kinds_have_names)
{
    for (int kind = 0; kind < SB_KEY_KIND_COUNT; kind++) {
        enum sb_key_kind found;
        ck_assert(sb_key_kind_find(sb_key_kind_name((enum sb_key_kind)kind), &found));
        ck_assert_int_eq((int)found, kind);
    }
    enum sb_key_kind found;
    ck_assert(!sb_key_kind_find("numeric", &found));
    ck_assert_int_eq(sb_key_kind_of(1700, true), SB_KEY_NONE);
    ck_assert_int_eq(sb_key_kind_of(25, false), SB_KEY_NONE);
    ck_assert_int_eq(sb_key_kind_of(1043, true), SB_KEY_TEXT);
    ck_assert_int_eq(sb_key_kind_of(1042, true), SB_KEY_NONE); /* bpchar: blanks at the end do not count */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("key");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_order_is_the_server_s);
    tcase_add_test(tests, random_numbers_keep_their_order);
    tcase_add_test(tests, random_times_keep_their_order);
    tcase_add_test(tests, what_is_no_such_text_is_refused);
    tcase_add_test(tests, ranges_are_half_open_and_become_conditions);
    tcase_add_test(tests, what_comes_next);
    tcase_add_test(tests, kinds_have_names);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
