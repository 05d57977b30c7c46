/*
 * A watchdog for a stage that runs alone: told to stop (SIGTERM, SIGINT) and still here after limit_s, the
 * process kills itself. It sees both ways of hanging: the signal still pending because the loop does not
 * turn, and the signal taken but the drain not coming to an end. A supervised stage needs none: its
 * supervisor counts.
 *
 * One timer signal a second (SIGALRM, SA_RESTART), handled in the process: no thread, no second process.
 */
#ifndef SB_OPS_WATCHDOG_H
#define SB_OPS_WATCHDOG_H

#include "core/err.h"

int sb_watchdog_start(int limit_s, struct sb_err *err);
void sb_watchdog_stop(void);

#endif
