/*
 * Arming the way back: what capture and apply of the reverse direction wait for before they begin.
 *
 *     capture-reverse   waits until the new side is whole (the initial copy is complete), looks whether both
 *                       sides can do what the way back needs (the checks way_back.*), makes it (sb_prepare of
 *                       the reverse direction, which is idempotent), and begins. Where it was made before it
 *                       begins at once: the old side need not be there, and capture proves what it finds
 *     apply-reverse     waits until that was made, and begins
 *
 * The slot is made only when the copy is complete, so that the copied rows do not travel back. Nothing of it
 * concerns the forward direction: what cannot be had halts these two stages with its name.
 */
#ifndef SB_OPS_ARMING_H
#define SB_OPS_ARMING_H

#include "config/wiring.h"

/* 0: armed. 1: told to stop (SIGTERM or SIGINT, which the caller has blocked). -1: error; what a check found
 * missing has the check's statement as its hint. Reports to the attached page what it waits for. */
enum { SB_ARMING_STOPPED = 1 };
int sb_arming_capture(const struct sb_config *config, struct sb_err *err);
int sb_arming_apply(const struct sb_config *config, struct sb_err *err);

/* Was it armed once? Then `prepare` keeps its publications in order with forward's. */
int sb_arming_made(const struct sb_config *config, bool *ret_made, struct sb_err *err);

#endif
