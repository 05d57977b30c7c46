#include "cli/options.h"

#include "config/nearest.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_VALUE = 256 }; /* what getopt_long returns for known[i] is FIRST_VALUE + i */

void sb_opts_add(struct sb_opts *opts, const struct sb_opt *table)
{
    for (; table != NULL && table->name != NULL; table++) {
        assert(opts->count < SB_OPTS_MAX);
        opts->known[opts->count++] = table;
    }
}

/* -- parsing -----------------------------------------------------------------------------------------------
 */

static int fail_unknown(const struct sb_opts *opts, const char *whose, const char *word, struct sb_err *err)
{
    char name[64] = "";
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    strncat(name, word + strspn(word, "-"), sizeof name - 1);
    name[strcspn(name, "=")] = '\0';
    for (size_t i = 0; i < opts->count; i++) {
        size_t distance = sb_nearest_distance(name, opts->known[i]->name);
        if (distance <= sb_nearest_limit(name) && distance < best && strlen(name) > 1) {
            best = distance;
            nearest = opts->known[i]->name;
        }
    }
    if (nearest != NULL)
        return sb_err_set(
            err, SB_E_USAGE, "%.80s is not an option of `%s`; did you mean --%s?", word, whose, nearest);
    return sb_err_set(err, SB_E_USAGE, "%.80s is not an option of `%s`", word, whose);
}

static int take(struct sb_opts *opts, size_t index, const char *value, struct sb_err *err)
{
    if (opts->values[index] != NULL)
        return sb_err_set(err, SB_E_USAGE, "--%s is given twice", opts->known[index]->name);
    opts->values[index] = value == NULL ? "" : value;
    return 0;
}

/* getopt_long returned a letter or FIRST_VALUE + index. */
static size_t index_of(const struct sb_opts *opts, int found)
{
    if (found >= FIRST_VALUE)
        return (size_t)(found - FIRST_VALUE);
    size_t i = 0;
    while (opts->known[i]->letter != found)
        i++;
    return i;
}

static void fill_tables(
    const struct sb_opts *opts, bool stop, struct option *longs, char letters[2 * SB_OPTS_MAX + 3])
{
    size_t len = 0;
    if (stop)
        letters[len++] = '+';
    letters[len++] = ':'; /* tell a missing value from an unknown option */
    for (size_t i = 0; i < opts->count; i++) {
        const struct sb_opt *opt = opts->known[i];
        longs[i] = (struct option){.name = opt->name,
            .has_arg = opt->arg == NULL ? no_argument : required_argument,
            .val = FIRST_VALUE + (int)i};
        if (opt->letter != 0) {
            letters[len++] = opt->letter;
            if (opt->arg != NULL)
                letters[len++] = ':';
        }
    }
    letters[len] = '\0';
}

static int parse_one(struct sb_opts *opts, const char *whose, int found, char **argv, struct sb_err *err)
{
    const char *word = argv[optind - 1];
    if (found == ':') {
        const struct sb_opt *opt = opts->known[index_of(opts, optopt)];
        return sb_err_set(err, SB_E_USAGE, "--%s needs a value: %s", opt->name, opt->arg);
    }
    if (found == '?' && optopt >= FIRST_VALUE)
        return sb_err_set(err, SB_E_USAGE, "--%s takes no value", opts->known[index_of(opts, optopt)]->name);
    if (found == '?' && optopt != 0) {
        char letter[3] = {'-', isprint(optopt) ? (char)optopt : '?', '\0'};
        return fail_unknown(opts, whose, letter, err);
    }
    if (found == '?')
        return fail_unknown(opts, whose, word, err);
    return take(opts, index_of(opts, found), optarg, err);
}

int sb_opts_parse(struct sb_opts *opts, const char *whose, int argc, char **argv, bool stop, int *ret_rest,
    struct sb_err *err)
{
    struct option longs[SB_OPTS_MAX + 1] = {{.name = NULL}};
    char letters[2 * SB_OPTS_MAX + 3];
    fill_tables(opts, stop, longs, letters);
    opterr = 0;
    optind = 0; /* begin anew, GNU's way */
    for (;;) {
        int found = getopt_long(argc, argv, letters, longs, NULL);
        if (found == -1)
            break;
        if (parse_one(opts, whose, found, argv, err) < 0)
            return -1;
    }
    *ret_rest = optind;
    return 0;
}

/* -- asking ------------------------------------------------------------------------------------------------
 */

bool sb_opt_has_sub(const struct sb_opt *opt, const char *sub)
{
    if (opt->subs == NULL)
        return true;
    if (sub == NULL)
        return false;
    size_t len = strlen(sub);
    for (const char *word = opt->subs; *word != '\0'; word += strspn(word, " ")) {
        size_t word_len = strcspn(word, " ");
        if (word_len == len && strncmp(word, sub, len) == 0)
            return true;
        word += word_len;
    }
    return false;
}

int sb_opts_check_sub(const struct sb_opts *opts, const char *sub, struct sb_err *err)
{
    for (size_t i = 0; i < opts->count; i++) {
        if (opts->values[i] != NULL && !sb_opt_has_sub(opts->known[i], sub))
            return sb_err_set(
                err, SB_E_USAGE, "--%s belongs to %s", opts->known[i]->name, opts->known[i]->subs);
    }
    return 0;
}

const char *sb_opts_value(const struct sb_opts *opts, const char *name)
{
    for (size_t i = 0; i < opts->count; i++) {
        if (strcmp(opts->known[i]->name, name) == 0)
            return opts->values[i];
    }
    return NULL;
}

bool sb_opts_flag(const struct sb_opts *opts, const char *name)
{
    return sb_opts_value(opts, name) != NULL;
}

int sb_opts_number(const struct sb_opts *opts, const char *name, int64_t min, int64_t max,
    int64_t *ret_number, struct sb_err *err)
{
    const char *text = sb_opts_value(opts, name);
    if (text == NULL)
        return 0;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)text[text[0] == '-']) || *end != '\0' || errno != 0 || number < min ||
        number > max)
        return sb_err_set(
            err, SB_E_USAGE, "--%s must be a whole number from %" PRId64 " to %" PRId64, name, min, max);
    *ret_number = number;
    return 0;
}
