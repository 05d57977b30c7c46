#include "pg/ident.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static void quoted(const char *text, const char *as_ident, const char *as_literal)
{
    struct sb_buf sql;
    sb_buf_init(&sql, 1024);
    sb_ident_put(&sql, sb_view_str(text));
    ck_assert_str_eq(sb_buf_str(&sql), as_ident);
    sb_buf_reset(&sql);
    sb_literal_put(&sql, sb_view_str(text));
    ck_assert_str_eq(sb_buf_str(&sql), as_literal);
    sb_buf_clear(&sql);
}

START_TEST(no_name_leaves_its_quotes)
{
    quoted("orders", "\"orders\"", "'orders'");
    quoted("Odd \"One\"", "\"Odd \"\"One\"\"\"", "'Odd \"One\"'");
    quoted("it's", "\"it's\"", "'it''s'");
    quoted("a\\b'c", "\"a\\b'c\"", "E'a\\\\b''c'");
    quoted("\"; drop table x; --", "\"\"\"; drop table x; --\"", "'\"; drop table x; --'");
    quoted("$$\n\x1b[31m", "\"$$\n\x1b[31m\"", "'$$\n\x1b[31m'");
    quoted("tür😀", "\"tür😀\"", "'tür😀'");
}
END_TEST

START_TEST(table_names_have_both_halves_quoted)
{
    struct sb_buf sql;
    sb_buf_init(&sql, 64);
    sb_ident_put_table(&sql, sb_view_str("a.b"), sb_view_str("c\"d"));
    ck_assert_str_eq(sb_buf_str(&sql), "\"a.b\".\"c\"\"d\"");
    sb_buf_clear(&sql);
}
END_TEST

/* A byte that begins a longer character than there is could swallow the closing quote. */
START_TEST(what_is_no_utf8_never_gets_into_a_statement)
{
    const struct sb_view bad[] = {sb_view("a\xc3", 2), sb_view("\xff", 1), sb_view("a\0b", 3),
        sb_view("\xc0\xaf", 2), sb_view("\xed\xa0\x80", 3), sb_view("\xf4\x90\x80\x80", 4),
        sb_view("\xe2\x82", 2), sb_view("\x80", 1), sb_view("\xf0\x8f\xbf\xbf", 4)};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sb_buf sql;
        sb_buf_init(&sql, 64);
        ck_assert_msg(!sb_utf8_valid(bad[i]), "%zu", i);
        sb_ident_put(&sql, bad[i]);
        ck_assert(sql.failed);
        sb_buf_reset(&sql);
        sb_literal_put(&sql, bad[i]);
        ck_assert(sql.failed);
        sb_buf_clear(&sql);
    }
    ck_assert(sb_utf8_valid(sb_view_str("")));
    ck_assert(sb_utf8_valid(sb_view_str("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"
                                        "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")));
}
END_TEST

static bool match(const char *pattern, const char *schema, const char *name)
{
    return sb_pattern_match(pattern, sb_view_str(schema), sb_view_str(name));
}

START_TEST(patterns_choose_what_they_say)
{
    ck_assert(match("public.*", "public", "orders"));
    ck_assert(!match("public.*", "public2", "orders"));
    ck_assert(!match("public.orders", "public", "Orders"));
    ck_assert(match("app_?.orders", "app_1", "orders"));
    ck_assert(!match("app_?.orders", "app_12", "orders"));
    ck_assert(match("app_?.orders", "app_ü", "orders")); /* one character, two bytes */
    ck_assert(match("*.*", "a", "b"));
    ck_assert(match("*.a*b*c", "s", "aXbYbZc"));
    ck_assert(!match("*.a*b*c", "s", "aXbYbZ"));
    ck_assert(match("*.*a?c", "s", "abcabc"));
    ck_assert(match("\"Odd.Schema\".\"t*ble\"", "Odd.Schema", "t*ble"));
    ck_assert(!match("\"Odd.Schema\".\"t*ble\"", "Odd.Schema", "table"));
    ck_assert(match("\"a\"\"b\".*", "a\"b", "x"));
    ck_assert(!match("\"a\"\"b\".*", "a\"\"b", "x"));
    ck_assert(!match("\"ab\".*", "a", "x"));
    ck_assert(match("public.\"*\"", "public", "*"));
}
END_TEST

START_TEST(malformed_patterns_are_refused)
{
    const char *const bad[] = {"", "orders", ".", "a.", ".b", "a.b.c", "\"a.b", "\"a\"b.c", "a.\"b\"x",
        "a\"b\".c", "\"\".a", "a.\"\"", "\"a\"", "a.b\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(!sb_pattern_valid(bad[i]), "%s", bad[i]);
        ck_assert(i == sizeof bad / sizeof bad[0] - 1 || !match(bad[i], "a", "b"));
    }
    ck_assert(sb_pattern_valid("public.*"));
    ck_assert(sb_pattern_valid("\"a.b\".\"c\"\"d\""));
}
END_TEST

/* Oracle: the obvious recursive definition. */
static bool glob_oracle(const char *pattern, const char *text)
{
    if (*pattern == '\0')
        return *text == '\0';
    if (*pattern == '*')
        return glob_oracle(pattern + 1, text) || (*text != '\0' && glob_oracle(pattern, text + 1));
    return *text != '\0' && (*pattern == '?' || *pattern == *text) && glob_oracle(pattern + 1, text + 1);
}

START_TEST(globs_agree_with_their_definition)
{
    srandom(4711);
    for (int round = 0; round < 200000; round++) {
        char pattern[10] = "s.", text[9];
        size_t pattern_len = 1 + (size_t)random() % 6, text_len = (size_t)random() % 8;
        for (size_t i = 0; i < pattern_len; i++)
            pattern[2 + i] = "ab*?"[random() % 4];
        for (size_t i = 0; i < text_len; i++)
            text[i] = "ab"[random() % 2];
        pattern[2 + pattern_len] = text[text_len] = '\0';
        ck_assert_msg(match(pattern, "s", text) == glob_oracle(pattern + 2, text), "%s on %s", pattern, text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ident");
    TCase *tcase = tcase_create("ident");
    tcase_add_test(tcase, no_name_leaves_its_quotes);
    tcase_add_test(tcase, table_names_have_both_halves_quoted);
    tcase_add_test(tcase, what_is_no_utf8_never_gets_into_a_statement);
    tcase_add_test(tcase, patterns_choose_what_they_say);
    tcase_add_test(tcase, malformed_patterns_are_refused);
    tcase_add_test(tcase, globs_agree_with_their_definition);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
