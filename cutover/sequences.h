/*
 * The stage `sequences` of `switchback run`: a round of the keeper every sequences.interval_ms.
 *
 * It holds no data and no position, and nothing waits for it. Between rounds it has no session, so no server
 * that shuts down waits for it.
 */
#ifndef SB_CUTOVER_SEQUENCES_H
#define SB_CUTOVER_SEQUENCES_H

#include "config/wiring.h"

/* 0: told to stop, or sequences.keep_ahead is false. -1: see the error. direction is not used. */
int sb_sequences_run(const struct sb_config *config, enum sb_direction direction, struct sb_err *err);

#endif
