/* switchback remove [--yes] [--dry-run] [--json]: take away everything this migration made. */
#include "cli/steps.h"
#include "cli/verbs.h"
#include "ops/state.h"
#include "setup/remove.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct sb_opt sb_opts_remove[] = {
    {"yes", 0, NULL, NULL, "do not ask"},
    {"dry-run", 0, NULL, NULL, "show what would be done and change nothing"},
    {"json", 0, NULL, NULL, "print JSON"},
    {.name = NULL},
};

enum { ARENA_MAX_BYTES = 64 * 1024 * 1024 };

struct removing {
    const struct sb_config *config;
    struct sb_arena *arena;
    bool yes;
    bool dry_run;
    bool json;
};

/* 0 sure, 1 not. What would be done is shown before the question. */
static int confirm(const struct removing *removing, struct sb_err *err)
{
    struct sb_script script;
    char answer[64] = "";
    if (!isatty(STDIN_FILENO))
        return sb_err_set(err, SB_E_USAGE, "`remove` cannot be undone: say --yes where nobody can be asked");
    sb_script_init(&script, removing->arena, true);
    script.on_step = sb_steps_print;
    if (sb_remove(removing->config, &script, err) < 0)
        return -1;
    fprintf(stderr, "This cannot be undone. Type the name of the migration to go on: ");
    if (fgets(answer, sizeof answer, stdin) != NULL)
        answer[strcspn(answer, "\n")] = '\0';
    if (strcmp(answer, removing->config->migration) == 0)
        return 0;
    fprintf(stderr, "nothing was removed\n");
    return 1;
}

static int remove_run(const struct removing *removing, struct sb_err *err)
{
    struct sb_script script;
    sb_script_init(&script, removing->arena, removing->dry_run);
    script.on_step = removing->json ? NULL : sb_steps_print;
    int done = sb_remove(removing->config, &script, err);
    if (removing->json) {
        /* What was done is told also when something is left; then err stays the reason. */
        struct sb_err of_answer;
        json_t *answer = json_pack("{s:b, s:b, s:o}", "ok", done == 0, "dry_run", removing->dry_run, "steps",
            sb_steps_json(&script));
        if (sb_steps_dump(answer, &of_answer) < 0 && done == 0) {
            *err = of_answer;
            done = -1;
        }
    } else if (done == 0 && script.count == 0) {
        printf("nothing is there: nothing %s changed\n", removing->dry_run ? "would be" : "was");
    } else if (done == 0 && !removing->dry_run) {
        printf("removed\n");
    }
    return done;
}

/* No stage may be at work meanwhile: it would lose its stream from under it. */
static int remove_alone(const struct removing *removing, struct sb_err *err)
{
    const char *dir = removing->config->state_dir;
    struct sb_state_lock lock;
    if (removing->dry_run || !sb_state_used(dir))
        return remove_run(removing, err);
    if (sb_state_lock(dir, SB_STAGE_SUPERVISOR, &lock, err) < 0)
        return sb_err_hint(err, "Stop `switchback run` (or the single stages) of this migration first.");
    int done = remove_run(removing, err);
    sb_state_unlock(&lock);
    return done;
}

int sb_verb_remove(const struct sb_cli *cli, struct sb_err *err)
{
    struct removing removing = {.config = cli->config,
        .yes = sb_opts_flag(cli->opts, "yes"),
        .dry_run = sb_opts_flag(cli->opts, "dry-run"),
        .json = cli->json};
    removing.arena = sb_arena_new("remove", ARENA_MAX_BYTES);
    if (removing.arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for an arena");
    int done = removing.yes || removing.dry_run ? 0 : confirm(&removing, err);
    if (done == 0)
        done = remove_alone(&removing, err);
    sb_arena_free(removing.arena);
    return done;
}
