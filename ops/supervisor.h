/*
 * `switchback run`: one process a stage, and this one above them.
 *
 * The supervisor owns no data and decides nothing about it. It takes the state directory's lock, makes the
 * metrics page, listens for HTTP, forks the stages, and then only reacts:
 *
 *     a child ends              it is forked again after 0.2 s, doubling to 30 s, anew at 0.2 s once it has
 *                               lived for a minute; counted in the page
 *     a child has finished      (a stage that finishes, and says it is done) it is not forked again, but for
 *                               SIGUSR1: it finds out whether there is more to do
 *     SIGTERM, SIGINT           children get SIGTERM; after SB_STAGE_STOP_MS what is left gets SIGKILL; ends
 *     SIGUSR1                   forwarded: halted stages try again
 *     SIGHUP                    ignored, with a log line: the configuration is read at start
 *     its own death             the kernel kills the children (PR_SET_PDEATHSIG); they recover on the next
 * start
 *
 * Children inherit stderr, so there is one log stream; each line names its stage. What a stage does about its
 * own errors is ops/stage.h; a child that ends has had a fatal one, was killed, or was told to by somebody.
 */
#ifndef SB_OPS_SUPERVISOR_H
#define SB_OPS_SUPERVISOR_H

#include "ops/stage.h"

enum { SB_SUPERVISOR_CHILDREN_MAX = 8 };

/* Sets up the log, too. Until told to stop. Errors are those of the start (SB-STATE-LOCKED, SB-CONFIG, SB-IO,
 * SB-INSECURE, SB-NO-MEMORY) and of the loop itself. */
int sb_supervise(
    const struct sb_config *config, const struct sb_stage_spec *specs, size_t count, struct sb_err *err);

#endif
