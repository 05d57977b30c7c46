#include "cli/stages.h"

#include "apply/apply.h"
#include "capture/capture.h"
#include "cli/verbs.h"

#include <getopt.h>

struct sb_stage_spec sb_cli_stage(bool capture, enum sb_direction direction)
{
    return (struct sb_stage_spec){.stage = sb_stage_of(capture, direction),
        .direction = direction,
        .run = capture ? sb_capture_run : sb_apply_run};
}

int sb_cli_direction(int argc, char **argv, enum sb_direction *ret_direction, struct sb_err *err)
{
    static const struct option options[] = {{"direction", required_argument, NULL, 'd'}, {NULL, 0, NULL, 0}};
    enum sb_direction direction = SB_FORWARD;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (option != 'd' || !sb_direction_parse(optarg, &direction))
            return sb_verb_usage(argv[0], err);
    if (optind < argc)
        return sb_verb_usage(argv[0], err);
    *ret_direction = direction;
    return 0;
}
