#include "schemas/rule.h"

#include "core/arena.h"
#include "schemas/jsonform.h"
#include "schemas/rowform.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sb_arena *arena;
static struct sb_buf scratch;
static struct sb_err err;

static void setup(void)
{
    arena = sb_arena_new("rules", 1 << 20);
    sb_buf_init(&scratch, 1 << 20);
}

static void teardown(void)
{
    sb_arena_free(arena);
    sb_buf_clear(&scratch);
}

static struct sb_rule rule(const char *text)
{
    struct sb_rule parsed;
    ck_assert_msg(sb_rule_parse(text, arena, &parsed, &err) == 0, "%s", err.text);
    return parsed;
}

/* What a rule sees lies in the middle of other bytes. */
static struct sb_digest field(const struct sb_rule *by, const char *text)
{
    char *copy = sb_arena_alloc(arena, strlen(text) + 3);
    snprintf(copy, strlen(text) + 3, "%s07", text);
    const struct sb_value value = {.state = SB_COL_TEXT, .text = sb_view(copy, strlen(text))};
    return sb_rule_field(by, &value, &scratch);
}

static bool same(const struct sb_rule *by, const char *a, const char *b)
{
    struct sb_digest left = field(by, a), right = field(by, b);
    return sb_rule_equal(by, &left, &right);
}

struct pair {
    const char *a, *b;
    bool equal;
};

static void check_pairs(const char *text, const struct pair *pairs, size_t count)
{
    struct sb_rule by = rule(text);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(same(&by, pairs[i].a, pairs[i].b) == pairs[i].equal, "%s: '%s', '%s'", text, pairs[i].a,
            pairs[i].b);
        ck_assert(same(&by, pairs[i].b, pairs[i].a) == pairs[i].equal);
        ck_assert(same(&by, pairs[i].a, pairs[i].a));
        ck_assert(same(NULL, pairs[i].a, pairs[i].b) == (strcmp(pairs[i].a, pairs[i].b) == 0));
    }
}
#define CHECK_PAIRS(text, ...)                                                                               \
    do {                                                                                                     \
        const struct pair pairs[] = {__VA_ARGS__};                                                           \
        check_pairs(text, pairs, sizeof pairs / sizeof *pairs);                                              \
    } while (0)

START_TEST(numeric_scale)
{
    CHECK_PAIRS("p.t c: numeric-scale", {"1.0", "1.00", true}, {"1", "1.000", true}, {"1", "10", false},
        {"100", "1", false}, {"-0.0", "0", true}, {"-0", "0.000", true}, {"-1.50", "-1.5", true},
        {"1.01", "1.1", false}, {"NaN", "NaN", true}, {"Infinity", "-Infinity", false}, {"", "0", false},
        {"0.10", "0.1", true}, {"-10", "-1", false});
}
END_TEST

START_TEST(char_padding)
{
    CHECK_PAIRS("p.t c: char-padding", {"a", "a  ", true}, {"", "   ", true}, {" a", "a", false},
        {"a b", "a  b", false}, {"a\t", "a", false});
}
END_TEST

START_TEST(timestamp_digits)
{
    CHECK_PAIRS("p.t c: timestamp-digits 3", {"2024-01-01 10:00:00.123", "2024-01-01 10:00:00.1234", true},
        {"2024-01-01 10:00:00.1235", "2024-01-01 10:00:00.124", true},
        {"2023-12-31 23:59:59.9996", "2024-01-01 00:00:00", true},
        {"2024-01-01 10:00:00.123", "2024-01-01 10:00:00.124", false},
        {"1999-12-31 23:59:59.9995", "1999-12-31 23:59:59.999", true},
        {"2024-01-01 10:00:00.123+00", "2024-01-01 10:00:00.12345+00", true},
        {"infinity", "-infinity", false}, {"infinity", "infinity", true});
    CHECK_PAIRS("p.t c: timestamp-digits 0", {"2024-01-01 10:00:00.4", "2024-01-01 10:00:00", true},
        {"2024-01-01 10:00:00.5", "2024-01-01 10:00:01", true});
}
END_TEST

START_TEST(json_order)
{
    CHECK_PAIRS("p.t c: json-order", {"{\"a\":1,\"b\":2}", "{ \"b\" : 2,\n\"a\":1 }", true},
        {"[1,2]", "[2,1]", false}, {"[1, 2]", "[1,2]", true}, {"{\"a\":1.0}", "{\"a\":1.00}", false},
        {"{\"a\":{\"x\":1,\"y\":[{\"q\":1,\"p\":2}]}}", "{\"a\":{\"y\":[{\"p\":2,\"q\":1}],\"x\":1}}", true},
        {"{\"a\":1,\"a\":2}", "{\"a\":2,\"a\":1}", false}, {"{\"a\":\"}\\\"\"}", "{\"a\": \"}\\\"\"}", true},
        {"{}", "[]", false}, {"{\"ab\":1,\"a\":2}", "{\"a\":2,\"ab\":1}", true}, {"null", " null", true},
        {"\"a b\"", "\"ab\"", false}, {"{\"a\":", "{\"a\": ", false});
}
END_TEST

START_TEST(float_tolerance)
{
    CHECK_PAIRS("p.t c: float-tolerance 1e-6", {"1.0000001", "1.0000002", true}, {"1.00001", "1", false},
        {"0", "-0", true}, {"1e300", "1.0000000001e300", true}, {"1", "-1", false}, {"NaN", "NaN", true},
        {"NaN", "1", false}, {"Infinity", "1e308", false}, {"0", "1e-300", false});
}
END_TEST

START_TEST(null_is_never_accepted)
{
    const struct sb_value null = {.state = SB_COL_NULL}, unknown = {.state = SB_COL_UNCHANGED};
    static const char *const all[] = {"p.t c: numeric-scale", "p.t c: char-padding",
        "p.t c: timestamp-digits 3", "p.t c: json-order", "p.t c: float-tolerance 1e-9"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct sb_rule by = rule(all[i]);
        struct sb_digest of_null = sb_rule_field(&by, &null, &scratch), empty = field(&by, ""),
                         zero = field(&by, "0"), open = sb_rule_field(&by, &unknown, &scratch);
        ck_assert(!sb_rule_equal(&by, &of_null, &empty));
        ck_assert(!sb_rule_equal(&by, &of_null, &zero));
        ck_assert(!sb_rowform_is_known(&open));
        ck_assert(sb_rowform_is_known(&zero));
    }
}
END_TEST

START_TEST(rules_as_they_are_written)
{
    struct sb_rule by = rule("public.\"odd table\" \"a \"\": b\" :  float-tolerance 1e-3");
    ck_assert_str_eq(by.pattern, "public.\"odd table\"");
    ck_assert(sb_view_eq_str(by.column, "a \": b"));
    ck_assert(by.kind == SB_RULE_FLOAT_TOLERANCE && by.tolerance == 1e-3);
    ck_assert(sb_rule_takes(&by, 701) && !sb_rule_takes(&by, 25));
    static const char *const wrong[] = {"", "p.t", "p.t c", "p.t c:", "p.t : numeric-scale",
        "t c: numeric-scale", "p.t c: numeric", "p.t c: numeric-scale 2", "p.t c: timestamp-digits",
        "p.t c: timestamp-digits 6", "p.t c: timestamp-digits 1.5", "p.t c: float-tolerance 0",
        "p.t c: float-tolerance 0.5", "p.t c: float-tolerance nan", "p.t \"c: json-order",
        "p.t c\"d: json-order", ":", "\"", " : x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sb_rule parsed;
        ck_assert_msg(sb_rule_parse(wrong[i], arena, &parsed, &err) != 0, "%s", wrong[i]);
        ck_assert_int_eq(err.code, SB_E_CONFIG);
    }
}
END_TEST

/* Whatever the bytes are, it ends and stays within them. */
START_TEST(rubbish_is_no_json)
{
    static const char letters[] = "{}[]\",:\\ 1a";
    srandom(3);
    for (int round = 0; round < 200000; round++) {
        char text[16];
        size_t len = (size_t)random() % sizeof text;
        for (size_t i = 0; i < len; i++)
            text[i] = letters[(size_t)random() % (sizeof letters - 1)];
        char *exact = malloc(len + 1);
        memcpy(exact, text, len);
        sb_buf_reset(&scratch);
        sb_jsonform_put(sb_view(exact, len), &scratch);
        free(exact);
    }
    char deep[2000];
    memset(deep, '[', sizeof deep);
    ck_assert(!sb_jsonform_put(sb_view(deep, sizeof deep), &scratch));
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("rule");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, numeric_scale);
    tcase_add_test(tcase, char_padding);
    tcase_add_test(tcase, timestamp_digits);
    tcase_add_test(tcase, json_order);
    tcase_add_test(tcase, float_tolerance);
    tcase_add_test(tcase, null_is_never_accepted);
    tcase_add_test(tcase, rules_as_they_are_written);
    tcase_add_test(tcase, rubbish_is_no_json);
    Suite *suite = suite_create("rule");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
