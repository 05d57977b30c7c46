/* Pause and resume: an operator's wishes to apply, kept on the target, and a nudge to halted stages here. */
#ifndef SB_OPS_CONTROL_H
#define SB_OPS_CONTROL_H

#include "config/wiring.h"
#include "ops/reading.h"

/* Write the wish into the target's control schema; apply reads it between batches. ret_changed: it was not
 * so already. SB-NOT-PREPARED if there is no control schema. */
int sb_control_pause(const struct sb_config *config, enum sb_direction direction, bool paused,
    bool *ret_changed, struct sb_err *err);

/* SIGUSR1 to every halted stage of the reading whose process is really that stage; how many. */
int sb_control_wake(const struct sb_reading *now);

#endif
