/*
 * The verbs. Each is a row of sb_verbs (cli/verbs.c) and a function in cli/verb_<name>.c; main parses the
 * command line by the row, loads the configuration if the row asks for it, and calls the function. Help, the
 * manual page, docs/CLI.md and the completion are made from the rows.
 *
 * To add one: a prototype (and its tables) below, a line in cli/verbs.c, its file in cli/CMakeLists.txt, and
 * `cmake --build --preset dev --target pages`.
 */
#ifndef SB_CLI_VERBS_H
#define SB_CLI_VERBS_H

#include "cli/options.h"
#include "config/config.h"
#include "core/bytes.h"

struct sb_cli {
    const struct sb_verb *verb;
    const struct sb_config *config; /* NULL unless the row has SB_VERB_CONFIG */
    const char *config_path;        /* -c, SWITCHBACK_CONFIG or ./switchback.yaml */
    const char *sub;                /* the sub-verb; NULL if the verb has none */
    int argc;                       /* words behind verb and sub-verb, as many as the row allows */
    char **argv;
    const struct sb_opts *opts; /* the options given; ask with sb_opts_flag and the like */
    bool json;                  /* --json was given */
    bool terminal;              /* stdout is one */
};

/* 0: yes; 1: the answer is no (a check failed), or another code that the verb documents; -1 with err. Data
 * goes to stdout, words to stderr; main flushes stdout and says so if that fails. */
typedef int sb_verb_fn(const struct sb_cli *cli, struct sb_err *err);

enum {
    SB_VERB_CONFIG = 1, /* needs a configuration */
    SB_VERB_ROOT = 2,   /* touches nothing, so root may run it */
};

struct sb_sub { /* NULL name ends a table */
    const char *name;
    const char *args; /* as in struct sb_verb */
    const char *help; /* one line, lower case, no full stop */
};

struct sb_verb { /* NULL name ends the table */
    const char *name;
    sb_verb_fn *run;
    const struct sb_sub *subs;    /* NULL: none; else one of them must be given */
    const struct sb_opt *options; /* besides -c and --help; NULL: none */
    unsigned flags;
    const char *args; /* words that follow, for people and counted: "CODE" must, "[CODE]" may; "" none */
    const char *help; /* one line, lower case, no full stop */
    const char *more; /* sentences for `help VERB`; NULL: nothing more to say */
};

extern const struct sb_verb sb_verbs[];
extern const struct sb_opt sb_opts_global[];   /* before a verb */
extern const struct sb_opt sb_opts_any_verb[]; /* behind every verb */

const struct sb_verb *sb_verb_find(const char *name); /* NULL if there is none */
const char *sb_verb_nearest(const char *name);        /* the name of one that may be meant, or NULL */
const struct sb_sub *sb_verb_sub(const struct sb_verb *verb, const char *name);
/* SB-USAGE unless the words are as many as args says. */
int sb_verb_check_args(const char *args, int argc, struct sb_err *err);
/* SB-INSECURE if this user may not run it. */
int sb_verb_check_user(const struct sb_verb *verb, unsigned uid, struct sb_err *err);

/* cli/help.c: what the rows say, for people. */
void sb_help_all(struct sb_buf *out);
void sb_help_verb(const struct sb_verb *verb, struct sb_buf *out);
void sb_help_markdown(struct sb_buf *out); /* docs/CLI.md */
void sb_help_man(struct sb_buf *out);      /* docs/switchback.1 */

/* To stdout; SB-NO-MEMORY if the buffer failed. */
int sb_cli_print(const struct sb_buf *out, struct sb_err *err);

sb_verb_fn sb_verb_apply, sb_verb_capture, sb_verb_certificate, sb_verb_check, sb_verb_completion,
    sb_verb_config, sb_verb_conflicts, sb_verb_copy, sb_verb_ddl, sb_verb_diff, sb_verb_explain, sb_verb_help,
    sb_verb_pause, sb_verb_poison, sb_verb_prepare, sb_verb_reconcile, sb_verb_remove, sb_verb_repair,
    sb_verb_resume, sb_verb_run, sb_verb_status, sb_verb_stream, sb_verb_verify, sb_verb_version;

extern const struct sb_sub sb_subs_certificate[], sb_subs_completion[], sb_subs_config[], sb_subs_conflicts[],
    sb_subs_ddl[], sb_subs_diff[], sb_subs_poison[], sb_subs_repair[], sb_subs_stream[];
extern const struct sb_opt sb_opts_certificate[], sb_opts_check[], sb_opts_config[], sb_opts_conflicts[],
    sb_opts_copy[], sb_opts_ddl[], sb_opts_diff[], sb_opts_direction[], sb_opts_explain[], sb_opts_help[],
    sb_opts_poison[], sb_opts_prepare[], sb_opts_remove[], sb_opts_repair[], sb_opts_status[],
    sb_opts_stream[], sb_opts_verify[], sb_opts_version[];

#endif
