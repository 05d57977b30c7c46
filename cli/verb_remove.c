/* switchback remove [--yes] [--json]: take away everything this migration made. */
#include "cli/steps.h"
#include "cli/verbs.h"
#include "setup/remove.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ARENA_MAX_BYTES = 64 * 1024 * 1024 };

/* What would be done is shown before the question. */
static int confirm(const struct sb_config *config, struct sb_arena *arena, bool *ret_sure, struct sb_err *err)
{
    struct sb_plan plan;
    char answer[64] = "";
    sb_plan_init(&plan, arena, true);
    plan.on_step = sb_steps_print;
    if (!isatty(STDIN_FILENO))
        return sb_err_set(err, SB_E_USAGE, "`remove` cannot be undone: say --yes where nobody can be asked");
    if (sb_remove(config, &plan, err) < 0)
        return -1;
    fprintf(stderr, "This cannot be undone. Type the name of the migration to go on: ");
    if (fgets(answer, sizeof answer, stdin) != NULL)
        answer[strcspn(answer, "\n")] = '\0';
    *ret_sure = strcmp(answer, config->migration) == 0;
    return 0;
}

static int remove_run(
    const struct sb_config *config, struct sb_arena *arena, bool yes, bool json, struct sb_err *err)
{
    if (!yes && confirm(config, arena, &yes, err) < 0)
        return -1;
    if (!yes) {
        fprintf(stderr, "nothing was removed\n");
        return 1;
    }
    struct sb_plan plan;
    sb_plan_init(&plan, arena, false);
    plan.on_step = json ? NULL : sb_steps_print;
    int done = sb_remove(config, &plan, err);
    if (json && sb_steps_dump(json_pack("{s:b, s:o}", "ok", done == 0, "steps", sb_steps_json(&plan)),
                    done == 0 ? err : &(struct sb_err){0}) < 0)
        return -1;
    if (!json && done == 0)
        printf("%s", plan.count == 0 ? "nothing was there: nothing was changed\n" : "removed\n");
    return done;
}

int sb_verb_remove(const struct sb_config *config, int argc, char **argv, struct sb_err *err)
{
    static const struct option options[] = {
        {"yes", no_argument, NULL, 'y'}, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    bool yes = false, json = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option != 'y' && option != 'j')
            return sb_err_set(err, SB_E_USAGE, "usage: switchback remove [--yes] [--json]");
        yes = yes || option == 'y';
        json = json || option == 'j';
    }
    struct sb_arena *arena = sb_arena_new("remove", ARENA_MAX_BYTES);
    if (arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for an arena");
    int done = remove_run(config, arena, yes, json, err);
    sb_arena_free(arena);
    return done;
}
