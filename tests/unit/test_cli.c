#include "cli/verbs.h"
#include "config/nearest.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct sb_opt table[] = {
    {"json", 'j', NULL, "show list", "print JSON"},
    {"limit", 'n', "N", NULL, "at most so many"},
    {"verbose", 0, NULL, NULL, "more words"},
    {.name = NULL},
};

static int parse(struct sb_opts *opts, bool stop, int *ret_rest, struct sb_err *err, const char *words)
{
    static char text[256];
    static char *argv[32];
    int argc = 0;
    *opts = (struct sb_opts){.count = 0};
    strncpy(text, words, sizeof text - 1);
    char *rest;
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    argv[argc] = NULL;
    sb_opts_add(opts, table);
    return sb_opts_parse(opts, "switchback verb", argc, argv, stop, ret_rest, err);
}

static void accept(struct sb_opts *opts, int rest, const char *words)
{
    struct sb_err err;
    int got;
    ck_assert_msg(parse(opts, false, &got, &err, words) == 0, "%s: %s", words, err.text);
    ck_assert_int_eq(got, rest);
}

static void refuse(const char *words, const char *why)
{
    struct sb_opts opts;
    struct sb_err err;
    int rest;
    ck_assert_msg(parse(&opts, false, &rest, &err, words) == -1, "%s was taken", words);
    ck_assert_int_eq(err.code, SB_E_USAGE);
    ck_assert_msg(strstr(err.text, why) != NULL, "%s: \"%s\" does not say \"%s\"", words, err.text, why);
}

START_TEST(options_are_found_wherever_they_stand)
{
    struct sb_opts opts;
    accept(&opts, 1, "verb");
    ck_assert(!sb_opts_flag(&opts, "json"));
    ck_assert_ptr_null(sb_opts_value(&opts, "limit"));
    accept(&opts, 3, "verb word --json --limit=5");
    ck_assert(sb_opts_flag(&opts, "json"));
    ck_assert_str_eq(sb_opts_value(&opts, "limit"), "5");
    accept(&opts, 4, "verb -j -n 5 word");
    ck_assert_str_eq(sb_opts_value(&opts, "limit"), "5");
    accept(&opts, 2, "verb -jn5");
    accept(&opts, 2, "verb -- --json");
    ck_assert(!sb_opts_flag(&opts, "json"));
    accept(&opts, 1, "verb");
    ck_assert(!sb_opts_flag(&opts, "no such option"));
}
END_TEST

START_TEST(options_before_a_verb_end_at_it)
{
    struct sb_opts opts;
    struct sb_err err;
    int rest;
    ck_assert_int_eq(parse(&opts, true, &rest, &err, "switchback -j verb --nonsense"), 0);
    ck_assert_int_eq(rest, 2);
}
END_TEST

START_TEST(wrong_options_are_usage_errors_that_help)
{
    refuse("verb --jsn", "--jsn is not an option of `switchback verb`; did you mean --json?");
    refuse("verb --zzzzzz", "--zzzzzz is not an option");
    refuse("verb -x", "-x is not an option");
    refuse("verb --json --json", "--json is given twice");
    refuse("verb -j --json", "--json is given twice");
    refuse("verb --limit", "--limit needs a value: N");
    refuse("verb -n", "--limit needs a value: N");
    refuse("verb --json=yes", "--json takes no value");
    refuse("verb -\x01", "-? is not an option");
}
END_TEST

START_TEST(numbers_have_bounds)
{
    static const char *const bad[] = {"0", "11", "x", "5x", "-", "9223372036854775808", "+5", "0x5"};
    struct sb_opts opts;
    struct sb_err err;
    int64_t number = 7;
    accept(&opts, 1, "verb");
    ck_assert_int_eq(sb_opts_number(&opts, "limit", 1, 10, &number, &err), 0);
    ck_assert_int_eq(number, 7);
    accept(&opts, 2, "verb --limit=10");
    ck_assert_int_eq(sb_opts_number(&opts, "limit", 1, 10, &number, &err), 0);
    ck_assert_int_eq(number, 10);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        opts.values[1] = bad[i];
        ck_assert_msg(sb_opts_number(&opts, "limit", 1, 10, &number, &err) == -1, "%s was taken", bad[i]);
        ck_assert_int_eq(err.code, SB_E_USAGE);
        ck_assert_int_eq(number, 10);
    }
}
END_TEST

START_TEST(options_belong_to_their_sub_verbs)
{
    struct sb_opts opts;
    struct sb_err err;
    accept(&opts, 2, "verb --json");
    ck_assert_int_eq(sb_opts_check_sub(&opts, "show", &err), 0);
    ck_assert_int_eq(sb_opts_check_sub(&opts, "list", &err), 0);
    ck_assert_int_eq(sb_opts_check_sub(&opts, "sho", &err), -1);
    ck_assert_int_eq(sb_opts_check_sub(&opts, "check", &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "--json belongs to show list"));
}
END_TEST

START_TEST(words_are_counted_by_the_usage)
{
    struct sb_err err;
    ck_assert_int_eq(sb_verb_check_args("", 0, &err), 0);
    ck_assert_int_eq(sb_verb_check_args("", 1, &err), -1);
    ck_assert_int_eq(sb_verb_check_args("A", 0, &err), -1);
    ck_assert_int_eq(sb_verb_check_args("A", 1, &err), 0);
    ck_assert_int_eq(sb_verb_check_args("A [B]", 0, &err), -1);
    ck_assert_int_eq(sb_verb_check_args("A [B]", 1, &err), 0);
    ck_assert_int_eq(sb_verb_check_args("A [B]", 2, &err), 0);
    ck_assert_int_eq(sb_verb_check_args("A [B]", 3, &err), -1);
    ck_assert_int_eq(err.code, SB_E_USAGE);
}
END_TEST

START_TEST(root_runs_only_what_touches_nothing)
{
    static const char *const harmless[] = {
        "certificate", "config", "explain", "completion", "version", "help"};
    for (const struct sb_verb *verb = sb_verbs; verb->name != NULL; verb++) {
        struct sb_err err;
        bool may = false;
        for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
            may = may || strcmp(verb->name, harmless[i]) == 0;
        ck_assert_msg(sb_verb_check_user(verb, 0, &err) == (may ? 0 : -1), "%s", verb->name);
        ck_assert(may || err.code == SB_E_INSECURE);
        ck_assert_int_eq(sb_verb_check_user(verb, 1000, &err), 0);
    }
}
END_TEST

START_TEST(the_table_is_whole)
{
    for (const struct sb_verb *verb = sb_verbs; verb->name != NULL; verb++) {
        struct sb_opts opts = {.count = 0};
        ck_assert_ptr_nonnull(verb->run);
        ck_assert_ptr_eq(sb_verb_find(verb->name), verb);
        ck_assert_msg(verb->help[0] >= 'a' && verb->help[strlen(verb->help) - 1] != '.', "%s", verb->name);
        ck_assert_msg(
            verb->subs == NULL || verb->args[0] == '\0', "%s: its sub-verbs have the words", verb->name);
        sb_opts_add(&opts, verb->options);
        sb_opts_add(&opts, sb_opts_any_verb);
        for (size_t i = 0; i < opts.count; i++) {
            const struct sb_opt *opt = opts.known[i];
            for (size_t j = 0; j < i; j++)
                ck_assert_msg(strcmp(opt->name, opts.known[j]->name) != 0 &&
                                  (opt->letter == 0 || opt->letter != opts.known[j]->letter),
                    "%s: --%s", verb->name, opt->name);
            bool of_a_sub = opt->subs == NULL;
            for (const struct sb_sub *sub = verb->subs; sub != NULL && sub->name != NULL; sub++)
                of_a_sub = of_a_sub || sb_opt_has_sub(opt, sub->name);
            ck_assert_msg(of_a_sub, "%s: --%s belongs to nothing", verb->name, opt->name);
        }
    }
    ck_assert_str_eq(sb_verb_nearest("confg"), "config");
    ck_assert_ptr_null(sb_verb_nearest("abracadabra"));
    ck_assert_ptr_null(sb_verb_find("abracadabra"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    TCase *tests = tcase_create("cli");
    tcase_add_test(tests, options_are_found_wherever_they_stand);
    tcase_add_test(tests, options_before_a_verb_end_at_it);
    tcase_add_test(tests, wrong_options_are_usage_errors_that_help);
    tcase_add_test(tests, numbers_have_bounds);
    tcase_add_test(tests, options_belong_to_their_sub_verbs);
    tcase_add_test(tests, words_are_counted_by_the_usage);
    tcase_add_test(tests, root_runs_only_what_touches_nothing);
    tcase_add_test(tests, the_table_is_whole);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
