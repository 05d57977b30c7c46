/*
 * Everything a migration needs on its servers and in its stream, made in an order in which a crash at any
 * point can be mended by running it again:
 *
 *   1 control schema and identity row on the target, then on the source; on both, who owns the data (the
 *     old side)
 *   2 the two publications on the source          (before the slot: a later one cannot be decoded)
 *   3 replication origin on the target
 *   4 progress row on the target                  (holds the stream's uuid from here on), and whether there
 *     is an initial copy
 *   5 the stream's store, with that uuid
 *   6 the slot on the source                      (last: from here on the source keeps WAL)
 *   7 capture row on the source                   (there: prepared)
 *
 * A slot without capture row was never read: it is dropped and made anew, behind the publications. What
 * exists and is right is left alone; what exists and contradicts (another stream, a lost slot, a recreated
 * publication) is an error, never mended silently.
 */
#ifndef SB_SETUP_PREPARE_H
#define SB_SETUP_PREPARE_H

#include "config/wiring.h"
#include "setup/script.h"

/* script->dry_run: gathers the steps and touches nothing. Otherwise script has the steps that were done;
 * none: it was all there. Run the checks first (setup/check.h). */
int sb_prepare(const struct sb_config *config, enum sb_direction direction, struct sb_script *script,
    struct sb_err *err);

#endif
