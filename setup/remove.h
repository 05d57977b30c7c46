/*
 * Takes away everything this migration ever made: the slot first (a forgotten one fills the source's disk),
 * then publications, origin, control rows, the control schema when no other migration uses it, and the
 * stream. Both directions are looked at. What is not there is fine; a side that does not answer is left for
 * the next time, and the other side is done all the same.
 */
#ifndef SB_SETUP_REMOVE_H
#define SB_SETUP_REMOVE_H

#include "config/wiring.h"
#include "setup/script.h"

/* script as in sb_prepare: dry_run only gathers. -1 when something is left; err is the first reason. */
int sb_remove(const struct sb_config *config, struct sb_script *script, struct sb_err *err);

#endif
