#include "config/dsn.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const char *param(const char *dsn, const char *name)
{
    static char value[256];
    struct sb_arena *arena = sb_arena_new("test", 1 << 20);
    struct sb_dsn parsed;
    const char *why = sb_dsn_parse(dsn, arena, &parsed);
    ck_assert_msg(why == NULL, "%s: %s", dsn, why);
    const struct sb_dsn_param *found = sb_dsn_find(&parsed, name);
    snprintf(value, sizeof value, "%s", found == NULL ? "(none)" : found->value);
    sb_arena_free(arena);
    return value;
}

START_TEST(both_forms_of_connection_strings_are_read_as_libpq_reads_them)
{
    ck_assert_str_eq(param("", "host"), "(none)");
    ck_assert_str_eq(param(" host = a  port=1 ", "host"), "a");
    ck_assert_str_eq(param("user='it\\'s \\\\' host=b", "user"), "it's \\");
    ck_assert_str_eq(param("user=a\\ b host=c", "user"), "a b");
    ck_assert_str_eq(param("postgresql://", "host"), "(none)");
    ck_assert_str_eq(param("postgresql:///db", "dbname"), "db");
    ck_assert_str_eq(param("postgresql://u%40x@h1:1,h2:2,[::1]:3/db?sslmode=require", "host"), "h1,h2,::1");
    ck_assert_str_eq(param("postgresql://u%40x@h/db", "user"), "u@x");
    ck_assert_str_eq(param("postgresql://%2Ftmp/db", "host"), "/tmp");
    ck_assert_str_eq(param("postgresql://h?a=1&b=2", "b"), "2");
    ck_assert_str_eq(param("postgresql://u:@h/db", "password"), "(none)");
}
END_TEST

/* Every parameter's place: without it the rest is a connection string that does not give it. */
START_TEST(a_parameter_can_be_cut_out_wherever_it_stands)
{
    static const char *const dsns[] = {"password=x", "password=x host=a", "host=a password=x",
        "a=1 password='x y' b=2", "postgresql://u:x@h/d", "postgresql://:x@/d", "postgresql://h?password=x",
        "postgresql://h?password=x&b=2", "postgresql://h?a=1&password=x",
        "postgresql://h?a=1&password=x&b=2"};
    struct sb_arena *arena = sb_arena_new("test", 1 << 20);
    for (size_t i = 0; i < sizeof dsns / sizeof *dsns; i++) {
        struct sb_dsn dsn, rest;
        char text[128];
        ck_assert_ptr_null(sb_dsn_parse(dsns[i], arena, &dsn));
        const struct sb_dsn_param *password = sb_dsn_find(&dsn, "password");
        ck_assert_msg(password != NULL, "%s", dsns[i]);
        snprintf(text, sizeof text, "%.*s%s", (int)password->from, dsns[i], dsns[i] + password->to);
        const char *why = sb_dsn_parse(text, arena, &rest);
        ck_assert_msg(why == NULL, "%s: %s", text, why);
        ck_assert_ptr_null(sb_dsn_find(&rest, "password"));
        ck_assert_uint_eq(rest.count, dsn.count - 1);
    }
    sb_arena_free(arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dsn");
    TCase *tests = tcase_create("dsn");
    tcase_add_test(tests, both_forms_of_connection_strings_are_read_as_libpq_reads_them);
    tcase_add_test(tests, a_parameter_can_be_cut_out_wherever_it_stands);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
