/*
 * The verbs: one row each in cli/verbs.c, one file each (cli/verb_<name>.c). From the table come dispatch,
 * `help` and completion. To add a verb, write its file, its prototype here and its row there.
 *
 * A verb gets the configuration (NULL if its row does not need one) and its own words, argv[0] being its
 * name; it parses its options itself, by getopt_long. It returns the exit code: 0 yes, 1 the answer is no, or
 * -1 with err, which main prints and turns into the error's own exit code. stdout is for data, stderr for
 * words.
 */
#ifndef SB_CLI_VERBS_H
#define SB_CLI_VERBS_H

#include "config/config.h"

typedef int sb_verb_fn(const struct sb_config *config, int argc, char **argv, struct sb_err *err);

sb_verb_fn sb_verb_apply, sb_verb_capture, sb_verb_check, sb_verb_completion, sb_verb_config,
    sb_verb_conflicts, sb_verb_explain, sb_verb_help, sb_verb_pause, sb_verb_poison, sb_verb_prepare,
    sb_verb_remove, sb_verb_resume, sb_verb_run, sb_verb_status, sb_verb_stream, sb_verb_version;

enum {
    SB_VERB_CONFIG = 1, /* needs the configuration */
    SB_VERB_ROOT = 2,   /* may be run as root: touches no server and writes nothing */
};

struct sb_verb {
    const char *name;
    sb_verb_fn *run;
    unsigned flags;
    const char *words; /* what may follow: "[--json]" */
    const char *help;  /* one line */
    const char *more;  /* for `help VERB`; NULL: nothing more to say */
};

extern const struct sb_verb sb_verbs[];
extern const size_t sb_verbs_count;

const struct sb_verb *sb_verb_find(const char *name); /* NULL if there is none */
/* "usage: switchback status [--json] [--watch]" as SB-USAGE; returns -1. */
int sb_verb_usage(const char *name, struct sb_err *err);
/* The file that -c or SWITCHBACK_CONFIG names, for verbs that load it themselves. */
const char *sb_cli_config_path(void);

#endif
