/*
 * Options of the command line: each verb declares its own as a table beside its code; getopt_long reads them,
 * and help, manual and completion are made from the same tables. Values are views into argv.
 */
#ifndef SB_CLI_OPTIONS_H
#define SB_CLI_OPTIONS_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

struct sb_opt {
    const char *name; /* "json" for --json; NULL ends a table */
    char letter;      /* 'j' for -j; 0: none */
    const char *arg;  /* "FILE"; NULL: a flag */
    const char *subs; /* of these sub-verbs alone, "show verify"; NULL: of all */
    const char *help; /* one line, lower case, no full stop */
};

enum { SB_OPTS_MAX = 32 };
struct sb_opts {
    size_t count;
    const struct sb_opt *known[SB_OPTS_MAX];
    const char *values[SB_OPTS_MAX]; /* NULL: not given; a flag that is given has "" */
};

void sb_opts_add(struct sb_opts *opts, const struct sb_opt *table); /* NULL is fine */
/*
 * Read argv[1..argc-1]; words that are no options are moved to the end, ret_rest is the index of the first.
 * With stop, the first such word ends the options (global ones, before a verb). SB-USAGE: unknown, given
 * twice, a value missing or too many. whose is named in errors: "switchback config".
 */
int sb_opts_parse(struct sb_opts *opts, const char *whose, int argc, char **argv, bool stop, int *ret_rest,
    struct sb_err *err);
/* SB-USAGE if an option was given that sub does not have. */
int sb_opts_check_sub(const struct sb_opts *opts, const char *sub, struct sb_err *err);
bool sb_opt_has_sub(const struct sb_opt *opt, const char *sub);

bool sb_opts_flag(const struct sb_opts *opts, const char *name);         /* also: was it given? */
const char *sb_opts_value(const struct sb_opts *opts, const char *name); /* NULL: not given */
/* 0 with ret_number untouched if it was not given; SB-USAGE unless it is a number from min to max. */
int sb_opts_number(const struct sb_opts *opts, const char *name, int64_t min, int64_t max,
    int64_t *ret_number, struct sb_err *err);

#endif
