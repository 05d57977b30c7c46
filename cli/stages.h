/* The stages this program has, and the words verbs share about them. */
#ifndef SB_CLI_STAGES_H
#define SB_CLI_STAGES_H

#include "cli/verbs.h"
#include "ops/stage.h"

struct sb_stage_spec sb_cli_stage(bool capture, enum sb_direction direction);
struct sb_stage_spec sb_cli_copy(enum sb_direction direction);
struct sb_stage_spec sb_cli_sequences(void);
struct sb_stage_spec sb_cli_reconcile(void);
/* What --direction says (sb_opts_direction), forward if nothing; SB-USAGE. */
int sb_cli_direction(const struct sb_cli *cli, enum sb_direction *ret_direction, struct sb_err *err);

/* Halted stages of this machine try again; how many. No page: none are here. */
int sb_cli_wake(const struct sb_config *config);

#endif
