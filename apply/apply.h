/*
 * The apply stage: stream -> target. One process, one loop: read records, give them to the lane, flush when
 * the stream has nothing more (so that an idle stream means one transaction a batch, and a busy one large
 * batches), every second ask whether an operator wants a pause.
 *
 * Runs one incarnation, from the progress row until SIGTERM or SIGINT (0) or an error (-1); ops/stage decides
 * what follows an error. Crash-only: nothing needs to be done before it dies.
 */
#ifndef SB_APPLY_APPLY_H
#define SB_APPLY_APPLY_H

#include "config/wiring.h"

int sb_apply_run(const struct sb_config *config, enum sb_direction direction, struct sb_err *err);

#endif
