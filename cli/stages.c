#include "cli/stages.h"

#include "apply/apply.h"
#include "capture/capture.h"
#include "copy/copy.h"
#include "cutover/sequences.h"
#include "ops/arming.h"
#include "ops/control.h"
#include "reconcile/reconcile.h"

/* Forward begins at once; reverse when it has been armed. */
static int run_capture(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    int rc = direction == SB_REVERSE ? sb_arming_capture(config, err) : 0;
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    return sb_capture_run(config, direction, err);
}

static int run_apply(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    int rc = direction == SB_REVERSE ? sb_arming_apply(config, err) : 0;
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    return sb_apply_run(config, direction, err);
}

struct sb_stage_spec sb_cli_stage(bool capture, enum sb_direction direction)
{
    return (struct sb_stage_spec){.stage = sb_stage_of(capture, direction),
        .direction = direction,
        .run = capture ? run_capture : run_apply};
}

struct sb_stage_spec sb_cli_copy(enum sb_direction direction)
{
    return (struct sb_stage_spec){
        .stage = sb_stage_copy(direction), .direction = direction, .run = sb_copy_run, .finishes = true};
}

struct sb_stage_spec sb_cli_sequences(void)
{
    return (struct sb_stage_spec){
        .stage = SB_STAGE_SEQUENCES, .direction = SB_FORWARD, .run = sb_sequences_run, .finishes = true};
}

struct sb_stage_spec sb_cli_reconcile(void)
{
    return (struct sb_stage_spec){
        .stage = SB_STAGE_RECONCILE, .direction = SB_FORWARD, .run = sb_reconcile_run};
}

const struct sb_opt sb_opts_direction[] = {
    {"direction", 0, "forward|reverse", NULL, "forward unless given"},
    {.name = NULL},
};

int sb_cli_direction(const struct sb_cli *cli, enum sb_direction *ret_direction, struct sb_err *err)
{
    const char *text = sb_opts_value(cli->opts, "direction");
    enum sb_direction direction = SB_FORWARD;
    if (text != NULL && !sb_direction_parse(text, &direction))
        return sb_err_set(err, SB_E_USAGE, "--direction is forward or reverse");
    *ret_direction = direction;
    return 0;
}

int sb_cli_wake(const struct sb_config *config)
{
    char path[SB_PATH_BYTES];
    struct sb_page *page;
    struct sb_reading now;
    struct sb_err ignored;
    sb_wiring_page_path(config, path);
    if (sb_page_open(path, false, &page, &ignored) < 0)
        return 0;
    sb_reading_take(page, &now);
    sb_page_close(page);
    return sb_control_wake(&now);
}
