/* pg/type: what fits is never altered, and what the server would alter without a word is known. */
#include "pg/type.h"

#include <check.h>

enum {
    INT4 = 23,
    INT8 = 20,
    TEXT = 25,
    FLOAT4 = 700,
    FLOAT8 = 701,
    BPCHAR = 1042,
    VARCHAR = 1043,
    DATE = 1082,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184,
    INTERVAL = 1186,
    NUMERIC = 1700,
    JSON = 114,
    JSONB = 3802,
    CITEXT = 16400,
    MOOD = 16500,
    MOOD_THERE = 16600
};

#define NUMERIC_OF(precision, scale) ((precision) << 16 | (scale)) + 4

struct pair {
    struct sb_cat_column from, to;
    bool fits, alters;
};

static struct sb_cat_column column(uint32_t oid, int32_t typmod)
{
    const char *name = oid == CITEXT ? "citext" : oid == MOOD ? "public.mood" : "other.mood";
    return (struct sb_cat_column){.type_oid = oid, .typmod = typmod, .type_name = sb_view_str(name)};
}

START_TEST(domains_are_what_they_are_made_of)
{
    struct sb_cat_column from = column(MOOD, -1), to = column(MOOD_THERE, -1);
    from.domain = to.domain = true;
    from.base_oid = to.base_oid = NUMERIC;
    from.base_typmod = to.base_typmod = NUMERIC_OF(10, 2);
    ck_assert(sb_type_fits(&from, &to));
    to.base_typmod = NUMERIC_OF(10, 4);
    ck_assert(!sb_type_fits(&from, &to));
    to.base_typmod = -1;
    ck_assert(sb_type_fits(&from, &to));
    to.base_oid = TEXT;
    ck_assert(!sb_type_fits(&from, &to));
}
END_TEST

START_TEST(pairs_of_types)
{
    const struct pair pairs[] = {
        {column(INT4, -1), column(INT8, -1), true, false},
        {column(INT8, -1), column(INT4, -1), false, false}, /* too large a number is refused */
        {column(INT8, -1), column(NUMERIC, -1), true, false},
        {column(INT8, -1), column(FLOAT8, -1), false, true},
        {column(NUMERIC, NUMERIC_OF(6, 2)), column(NUMERIC, NUMERIC_OF(8, 2)), true, false},
        {column(NUMERIC, NUMERIC_OF(6, 2)), column(NUMERIC, NUMERIC_OF(8, 3)), false, true},
        {column(NUMERIC, -1), column(NUMERIC, NUMERIC_OF(8, 3)), false, true},
        {column(FLOAT8, -1), column(FLOAT4, -1), false, true},
        {column(FLOAT8, -1), column(NUMERIC, -1), false, true},
        {column(TIMESTAMP, 3), column(TIMESTAMP, -1), true, false},
        {column(TIMESTAMP, -1), column(TIMESTAMP, 6), true, false},
        {column(TIMESTAMP, -1), column(TIMESTAMP, 3), false, true},
        {column(TIMESTAMPTZ, -1), column(TIMESTAMP, -1), false, true},
        {column(TIMESTAMP, -1), column(DATE, -1), false, true},
        {column(INTERVAL, -1), column(INTERVAL, 0x7fff0000), false, true},
        {column(JSON, -1), column(JSONB, -1), false, true},
        {column(JSONB, -1), column(JSONB, -1), true, false},
        {column(VARCHAR, 8), column(VARCHAR, 7), false, false}, /* too long a text is refused */
        {column(VARCHAR, 8), column(TEXT, -1), true, false},
        {column(BPCHAR, 8), column(BPCHAR, 9), false, true}, /* padded anew */
        {column(MOOD, -1), column(MOOD_THERE, -1), true, false},
        {column(MOOD, -1), column(CITEXT, -1), false, false},
    };
    const struct pair *pair = &pairs[_i];
    ck_assert_uint_lt((unsigned)_i, sizeof pairs / sizeof *pairs);
    ck_assert_int_eq(sb_type_fits(&pair->from, &pair->to), pair->fits);
    ck_assert_int_eq(sb_type_alters(&pair->from, &pair->to), pair->alters);
}
END_TEST

START_TEST(what_does_not_fit_is_known_before_the_server_is_asked)
{
    struct sb_cat_column narrow = column(VARCHAR, 4 + 3), smaller = column(INT4, -1);
    struct sb_cat_column bits = column(1560, 4), most = column(1562, 4);
    ck_assert(sb_type_holds(&narrow, sb_view_str("abc")));
    ck_assert(sb_type_holds(&narrow, sb_view_str("\xc3\xa4\xc3\xb6\xc3\xbc")));
    ck_assert(!sb_type_holds(&narrow, sb_view_str("abc "))); /* the server would cut the blank */
    ck_assert(sb_type_holds(&smaller, sb_view_str("-2147483648")));
    ck_assert(!sb_type_holds(&smaller, sb_view_str("2147483648")));
    ck_assert(!sb_type_holds(&smaller, sb_view_str("123456789012345678901234567890")));
    ck_assert(!sb_type_holds(&bits, sb_view_str("111")) && sb_type_holds(&bits, sb_view_str("1111")));
    ck_assert(sb_type_holds(&most, sb_view_str("111")) && !sb_type_holds(&most, sb_view_str("11111")));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("type");
    TCase *tc = tcase_create("type");
    tcase_add_test(tc, domains_are_what_they_are_made_of);
    tcase_add_test(tc, what_does_not_fit_is_known_before_the_server_is_asked);
    tcase_add_loop_test(tc, pairs_of_types, 0, 22);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
