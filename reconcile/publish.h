/*
 * What the stage says of itself: the metrics of the frontier, of the tables and of the work that was done.
 */
#ifndef SB_RECONCILE_PUBLISH_H
#define SB_RECONCILE_PUBLISH_H

#include "reconcile/item.h"
#include "reconcile/sides.h"

struct sb_published_work { /* said already, for counters */
    int64_t rows, overflows;
};

void sb_publish(struct sb_published_work *done, const struct sb_item *items, size_t count,
    struct sb_frontier *frontier, const struct sb_sides *sides);

#endif
