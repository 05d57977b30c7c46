/*
 * What the initial copy still has to make of the target's structure (switchback.copy_step), made: step by
 * step, each in a transaction of its own that also says that it is done, and holds the claim
 * (copy/control.h). So a kill costs the steps under way and nothing else, and whoever comes next does what is
 * left.
 *
 * Waits for its sessions; asks every 100 ms whether to go on.
 */
#ifndef SB_COPY_STEPS_H
#define SB_COPY_STEPS_H

#include "copy/control.h"
#include "copy/toc.h"

struct sb_steps_sight { /* of one phase */
    enum sb_toc_phase phase;
    int64_t done, total;
};
struct sb_steps {
    const struct sb_copy_claim *claim;
    const struct sb_config *config;
    enum sb_direction direction;
    /* Not 0: no more; err says why. Called often. */
    int (*turn)(void *arg, const struct sb_steps_sight *sight, struct sb_err *err);
    void *arg;
};

/* "keys": how the column has it. */
const char *sb_steps_phase_name(enum sb_toc_phase phase);
/* "schema: indexes 3 of 12" */
void sb_steps_put_words(const struct sb_steps_sight *sight, struct sb_buf *out);

/* Everything of this phase that is not done. SB-TARGET-STRUCTURE names a step that the target refuses. */
int sb_steps_run(const struct sb_steps *steps, enum sb_toc_phase phase, struct sb_err *err);

#endif
