/* `switchback pause` and `switchback resume`. */
#include "cli/stages.h"
#include "cli/verbs.h"
#include "ops/control.h"

#include <stdio.h>

int sb_verb_pause(const struct sb_cli *cli, struct sb_err *err)
{
    enum sb_direction direction;
    bool changed;
    if (sb_cli_direction(cli, &direction, err) < 0 ||
        sb_control_pause(cli->config, direction, true, &changed, err) < 0)
        return -1;
    fprintf(stderr, "%s: %s\n", sb_direction_name(direction),
        changed ? "paused; apply stops behind its present batch, the copy behind its present chunks; capture "
                  "goes on"
                : "was paused already");
    return 0;
}

int sb_verb_resume(const struct sb_cli *cli, struct sb_err *err)
{
    enum sb_direction direction;
    bool changed;
    if (sb_cli_direction(cli, &direction, err) < 0)
        return -1;
    /* First those that need no target: it may be the one that is away. */
    int woken = sb_cli_wake(cli->config);
    if (woken > 0)
        fprintf(stderr, "%d halted stage%s told to try again\n", woken, woken == 1 ? " was" : "s were");
    if (sb_control_pause(cli->config, direction, false, &changed, err) < 0)
        return -1;
    if (changed)
        fprintf(stderr, "%s: not paused any more\n", sb_direction_name(direction));
    else if (woken == 0)
        fprintf(stderr, "%s: was not paused, and no stage is halted here\n", sb_direction_name(direction));
    return 0;
}
