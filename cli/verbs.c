#include "cli/verbs.h"

#include "config/nearest.h"

#include <stdio.h>
#include <string.h>

/* In the order of help: what is done first comes first. */
const struct sb_verb sb_verbs[] = {
    {"check", sb_verb_check, NULL, sb_opts_check, SB_VERB_CONFIG, "",
        "say what each server and the stream still need, with the statement to run",
        "Nothing is changed. Exit code 1 if a check failed."},
    {"prepare", sb_verb_prepare, NULL, sb_opts_prepare, SB_VERB_CONFIG, "",
        "make publications, slot, control schemas, origin and stream",
        "Running it again changes nothing. Exit code 1, and nothing made, if a check failed."},
    {"remove", sb_verb_remove, NULL, sb_opts_remove, SB_VERB_CONFIG, "",
        "take away everything switchback made, slots first",
        "Both servers are left as they were. The retained stream is deleted, too."},
    {"run", sb_verb_run, NULL, NULL, SB_VERB_CONFIG, "", "capture and apply, supervised, until told to stop",
        "SIGTERM or SIGINT stops within 10 s; SIGUSR1 makes halted stages try again."},
    {"capture", sb_verb_capture, NULL, sb_opts_direction, SB_VERB_CONFIG, "",
        "only capture: source to stream, in this process", NULL},
    {"apply", sb_verb_apply, NULL, sb_opts_direction, SB_VERB_CONFIG, "",
        "only apply: stream to target, in this process", NULL},
    {"reconcile", sb_verb_reconcile, NULL, NULL, SB_VERB_CONFIG, "",
        "only the stage that keeps on proving that both sides are equal, in this process",
        "`switchback run` has it where reconcile.enabled says so."},
    {"copy", sb_verb_copy, NULL, sb_opts_copy, SB_VERB_CONFIG, "",
        "only the initial copy: source to target, in this process",
        "Ends when it is complete. Finished chunks stay "
        "when it is stopped or killed. `run` does it by itself."},
    {"status", sb_verb_status, NULL, sb_opts_status, SB_VERB_CONFIG, "",
        "positions, lag, rate, time to catch up and why it waits",
        "Exit code 1 if a stage is halted or not there."},
    {"verify", sb_verb_verify, NULL, sb_opts_verify, SB_VERB_CONFIG, "",
        "compare every row of both sides while they take writes",
        "Exit code 0 if all is proven equal, 4 if a difference is proven, 8 if something could not be "
        "compared or "
        "decided, or not one row was read. Keys of rows that differ are printed, values are not. `run` must "
        "be at "
        "work. See docs/RECONCILE.md."},
    {"certificate", sb_verb_certificate, sb_subs_certificate, sb_opts_certificate, SB_VERB_ROOT, "",
        "adding up what `verify --certificate` wrote",
        "Needs the file alone: no server and no configuration. It finds every byte that was changed, and "
        "every count or sum "
        "that does not follow from the others; it does not know who wrote the file."},
    {"diff", sb_verb_diff, sb_subs_diff, sb_opts_diff, SB_VERB_CONFIG, "",
        "the differences that `verify` has proven",
        "Exit code 4 if one of those shown is not closed (open, repairing or held). Values are printed with "
        "--values only. "
        "`diff show` reads both sides one after the other: what is being written may look different. See "
        "docs/RECONCILE.md."},
    {"repair", sb_verb_repair, sb_subs_repair, sb_opts_repair, SB_VERB_CONFIG, "",
        "make rows of the target equal that `verify` has proven to differ",
        "`repair run` plans and repairs inside the budget of the configuration, or does the plan with that "
        "ID; rows are "
        "read on the source and written by apply, which goes on, and are compared again. Exit code 0 if all "
        "of them "
        "compare equal (or there was nothing to do), 4 if some do not, 8 if the plan is over its budget or "
        "one cause "
        "explains most of it. `repair undo` puts back what a repair has replaced. `repair audit` exits with "
        "1 if the "
        "record of what was changed was altered. `run` must be at work. See docs/RECONCILE.md."},
    {"pause", sb_verb_pause, NULL, sb_opts_direction, SB_VERB_CONFIG, "", "let apply wait; capture goes on",
        NULL},
    {"resume", sb_verb_resume, NULL, sb_opts_direction, SB_VERB_CONFIG, "",
        "let apply go on, and halted stages try again", NULL},
    {"conflicts", sb_verb_conflicts, sb_subs_conflicts, sb_opts_conflicts, SB_VERB_CONFIG, "",
        "rows found other than expected, with both versions", NULL},
    {"poison", sb_verb_poison, sb_subs_poison, sb_opts_poison, SB_VERB_CONFIG, "",
        "the transaction apply stands at, and leaving it out",
        "`poison skip` leaves out the whole transaction, records who asked and why, and leaves a debt of its "
        "keys. `switchback resume` then goes on."},
    {"ddl", sb_verb_ddl, sb_subs_ddl, sb_opts_ddl, SB_VERB_CONFIG, "",
        "what became of the source's DDL, and which of it apply stands at",
        "`ddl approve` lets apply run the statement at its place; `ddl skip` goes on without it, because you "
        "ran it by "
        "hand or do not want it. Both record who decided and why, and wake a halted apply."},
    {"stream", sb_verb_stream, sb_subs_stream, sb_opts_stream, SB_VERB_CONFIG, "",
        "show the log's records, or verify that it is whole",
        "A PLACE is @OFFSET, an LSN, or a time in UTC. `stream show` prints row values. `stream verify` "
        "exits with 1 "
        "and names every break if the log is not whole."},
    {"config", sb_verb_config, sb_subs_config, sb_opts_config, SB_VERB_ROOT, "",
        "check, show and describe the configuration", NULL},
    {"explain", sb_verb_explain, NULL, sb_opts_explain, SB_VERB_ROOT, "[ID]",
        "say what an error means and what to do about it", NULL},
    {"completion", sb_verb_completion, sb_subs_completion, NULL, SB_VERB_ROOT, "",
        "print the completion script of a shell", NULL},
    {"version", sb_verb_version, NULL, sb_opts_version, SB_VERB_ROOT, "", "print the version", NULL},
    {"help", sb_verb_help, NULL, sb_opts_help, SB_VERB_ROOT, "[VERB]", "list the verbs, or describe one",
        NULL},
    {.name = NULL},
};

const struct sb_opt sb_opts_global[] = {
    {"config", 'c', "FILE", NULL, "the configuration; else $SWITCHBACK_CONFIG, else ./switchback.yaml"},
    {"help", 'h', NULL, NULL, "list the verbs"},
    {"version", 'V', NULL, NULL, "print the version"},
    {.name = NULL},
};

const struct sb_opt sb_opts_any_verb[] = {
    {"config", 'c', "FILE", NULL, "the configuration; else $SWITCHBACK_CONFIG, else ./switchback.yaml"},
    {"help", 'h', NULL, NULL, "describe this verb"},
    {.name = NULL},
};

const struct sb_verb *sb_verb_find(const char *name)
{
    for (const struct sb_verb *verb = sb_verbs; verb->name != NULL; verb++) {
        if (strcmp(verb->name, name) == 0)
            return verb;
    }
    return NULL;
}

const char *sb_verb_nearest(const char *name)
{
    const char *nearest = NULL;
    size_t best = sb_nearest_limit(name) + 1;
    for (const struct sb_verb *verb = sb_verbs; verb->name != NULL; verb++) {
        size_t distance = sb_nearest_distance(name, verb->name);
        if (distance < best) {
            best = distance;
            nearest = verb->name;
        }
    }
    return nearest;
}

const struct sb_sub *sb_verb_sub(const struct sb_verb *verb, const char *name)
{
    for (const struct sb_sub *sub = verb->subs; sub != NULL && sub->name != NULL; sub++) {
        if (strcmp(sub->name, name) == 0)
            return sub;
    }
    return NULL;
}

int sb_verb_check_args(const char *args, int argc, struct sb_err *err)
{
    int least = 0, most = 0;
    for (const char *word = args; *word != '\0'; word += strcspn(word, " ")) {
        word += strspn(word, " ");
        least += *word != '[';
        most++;
    }
    if (argc < least)
        return sb_err_set(err, SB_E_USAGE, "something is missing: %s", args);
    if (argc > most)
        return most == 0 ? sb_err_set(err, SB_E_USAGE, "nothing was expected behind it")
                         : sb_err_set(err, SB_E_USAGE, "nothing was expected behind %s", args);
    return 0;
}

int sb_verb_check_user(const struct sb_verb *verb, unsigned uid, struct sb_err *err)
{
    if (uid != 0 || (verb->flags & SB_VERB_ROOT) != 0)
        return 0;
    sb_err_set(err, SB_E_INSECURE, "`switchback %s` does not run as root", verb->name);
    return sb_err_hint(err,
        "Run it as an ordinary user who owns the state directory: runuser -u USER -- switchback %s",
        verb->name);
}

int sb_cli_print(const struct sb_buf *out, struct sb_err *err)
{
    if (out->failed)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for what is to be printed");
    if (out->len > 0)
        fwrite(out->ptr, 1, out->len, stdout); /* main looks at ferror */
    return 0;
}
