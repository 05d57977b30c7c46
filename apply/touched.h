/* The tables that some changes touch, each once. */
#ifndef SB_APPLY_TOUCHED_H
#define SB_APPLY_TOUCHED_H

#include "apply/batch.h"

struct sb_touched { /* zeroed to begin with */
    const struct sb_apply_rel **rels;
    size_t count, cap;
};

void sb_touched_clear(struct sb_touched *touched);
bool sb_touched_has(const struct sb_touched *touched, const struct sb_apply_rel *rel);
int sb_touched_add(struct sb_touched *touched, const struct sb_apply_rel *rel, struct sb_err *err);
/* Forget what is there and take the tables of these changes. TRUNCATE and what is skipped have none. */
int sb_touched_collect(
    struct sb_touched *touched, const struct sb_batch_change *changes, size_t count, struct sb_err *err);

#endif
