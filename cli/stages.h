/* The stages this program has, and the words verbs share about them. */
#ifndef SB_CLI_STAGES_H
#define SB_CLI_STAGES_H

#include "ops/stage.h"

struct sb_stage_spec sb_cli_stage(bool capture, enum sb_direction direction);
/* The common option --direction forward|reverse and nothing else; SB-USAGE with the verb's usage. */
int sb_cli_direction(int argc, char **argv, enum sb_direction *ret_direction, struct sb_err *err);

#endif
