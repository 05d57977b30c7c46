/*
 * The stage `reconcile`: keeps on proving that the target is what the source is (docs/RECONCILE.md, "The
 * frontier"). One process, no loop: it reads both sides, the stream, and waits.
 *
 * A turn: look at both sides (what is visible, what is applied); read the stream up to there; judge the keys
 * that it changed, the oldest first; and then one chunk of a pass, if a table needs one. So after the first
 * pass its cost follows the rate of changes. Tables that appear or are altered are planned again: the
 * incarnation ends with what it has saved, and another goes on.
 *
 * Runs until it is told to stop (SB-SHUTDOWN). -1: see the error; crash-only: what is proven is saved with
 * every chunk and every few seconds.
 */
#ifndef SB_RECONCILE_RECONCILE_H
#define SB_RECONCILE_RECONCILE_H

#include "config/wiring.h"

int sb_reconcile_run(const struct sb_config *config, enum sb_direction direction, struct sb_err *err);

#endif
