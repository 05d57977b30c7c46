#include "cli/stages.h"

#include "apply/apply.h"
#include "capture/capture.h"
#include "copy/copy.h"
#include "cutover/sequences.h"

struct sb_stage_spec sb_cli_stage(bool capture, enum sb_direction direction)
{
    return (struct sb_stage_spec){.stage = sb_stage_of(capture, direction),
        .direction = direction,
        .run = capture ? sb_capture_run : sb_apply_run};
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
