#include "cli/verbs.h"

#include <string.h>

const struct sb_verb sb_verbs[] = {
    {"check", sb_verb_check, SB_VERB_CONFIG, "[--json]",
        "say what each server and the stream still need, with the statement to run", NULL},
    {"prepare", sb_verb_prepare, SB_VERB_CONFIG, "[--dry-run] [--json]",
        "make publications, slot, control schemas, origin and stream",
        "Running it again changes nothing. --dry-run prints every statement, its impact and the rights it "
        "needs, and touches "
        "nothing."},
    {"remove", sb_verb_remove, SB_VERB_CONFIG, "[--yes] [--dry-run] [--json]",
        "take away everything switchback made, slots first",
        "Both servers are left as they were. The retained stream is deleted, too."},
    {"run", sb_verb_run, SB_VERB_CONFIG, "", "capture and apply, supervised, until told to stop",
        "SIGTERM or SIGINT stops within 10 s; SIGUSR1 makes halted stages try again."},
    {"capture", sb_verb_capture, SB_VERB_CONFIG, "[--direction forward]",
        "only capture: source to stream, in this process", NULL},
    {"apply", sb_verb_apply, SB_VERB_CONFIG, "[--direction forward]",
        "only apply: stream to target, in this process", NULL},
    {"status", sb_verb_status, SB_VERB_CONFIG, "[--json] [--watch]",
        "positions, lag, rate, time to catch up and why it waits",
        "Exit code 1 if a stage is halted or not there."},
    {"pause", sb_verb_pause, SB_VERB_CONFIG, "[--direction forward]", "let apply wait; capture goes on",
        NULL},
    {"resume", sb_verb_resume, SB_VERB_CONFIG, "[--direction forward]",
        "let apply go on, and halted stages try again", NULL},
    {"conflicts", sb_verb_conflicts, SB_VERB_CONFIG, "list [--json] [--limit N]",
        "rows found other than expected, with both versions", NULL},
    {"poison", sb_verb_poison, SB_VERB_CONFIG, "show [--json] | skip --lsn LSN --reason TEXT",
        "the transaction apply stands at, and leaving it out",
        "skip leaves out the *whole* transaction, records who asked and why, and leaves a debt of its keys. "
        "`switchback resume` "
        "then goes on."},
    {"stream", sb_verb_stream, SB_VERB_CONFIG,
        "show [selection] [--follow] | verify [--from PLACE] [--to PLACE] [--json]",
        "show the log's records, or verify that it is whole",
        "A PLACE is @OFFSET, an LSN or a time (UTC). show prints a JSON line a record, with row values: "
        "--from PLACE, "
        "--to PLACE, --table PATTERN, --key COLUMN=VALUE (again for more columns), --limit N. verify ends "
        "with 1 if "
        "the log is not whole, and names every break."},
    {"config", sb_verb_config, SB_VERB_ROOT, "check | show [--json] | docs | example",
        "check and show the configuration", NULL},
    {"explain", sb_verb_explain, SB_VERB_ROOT, "CODE | --all [--markdown|--json]",
        "what an error id means and what to do", NULL},
    {"completion", sb_verb_completion, SB_VERB_ROOT, "bash", "a completion script", NULL},
    {"version", sb_verb_version, SB_VERB_ROOT, "", "versions of switchback and its libraries", NULL},
    {"help", sb_verb_help, SB_VERB_ROOT, "[VERB]", "this list, or more about a verb", NULL},
};
const size_t sb_verbs_count = sizeof sb_verbs / sizeof *sb_verbs;

const struct sb_verb *sb_verb_find(const char *name)
{
    for (size_t i = 0; i < sb_verbs_count; i++)
        if (strcmp(sb_verbs[i].name, name) == 0)
            return &sb_verbs[i];
    return NULL;
}

int sb_verb_usage(const char *name, struct sb_err *err)
{
    const struct sb_verb *verb = sb_verb_find(name);
    return sb_err_set(
        err, SB_E_USAGE, "usage: switchback [-c FILE] %s %s", name, verb == NULL ? "" : verb->words);
}
