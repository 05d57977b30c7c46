/* switchback run, capture, apply: the stages, supervised or alone. */
#include "cli/stages.h"
#include "cli/verbs.h"
#include "ops/supervisor.h"

int sb_verb_run(const struct sb_cli *cli, struct sb_err *err)
{
    struct sb_stage_spec specs[SB_SUPERVISOR_CHILDREN_MAX] = {sb_cli_stage(true, SB_FORWARD),
        sb_cli_stage(false, SB_FORWARD), sb_cli_copy(SB_FORWARD), sb_cli_sequences()};
    size_t count = 4;
    if (cli->config->reconcile.enabled)
        specs[count++] = sb_cli_reconcile();
    if (cli->config->reverse.enabled) {
        specs[count++] = sb_cli_stage(true, SB_REVERSE);
        specs[count++] = sb_cli_stage(false, SB_REVERSE);
    }
    return sb_supervise(cli->config, specs, count, err);
}

static int alone(bool capture, const struct sb_cli *cli, struct sb_err *err)
{
    enum sb_direction direction;
    if (sb_cli_direction(cli, &direction, err) != 0)
        return -1;
    struct sb_stage_spec spec = sb_cli_stage(capture, direction);
    return sb_stage_alone(&spec, cli->config, err);
}

int sb_verb_capture(const struct sb_cli *cli, struct sb_err *err)
{
    return alone(true, cli, err);
}

int sb_verb_reconcile(const struct sb_cli *cli, struct sb_err *err)
{
    struct sb_stage_spec spec = sb_cli_reconcile();
    return sb_stage_alone(&spec, cli->config, err);
}

int sb_verb_apply(const struct sb_cli *cli, struct sb_err *err)
{
    return alone(false, cli, err);
}
