/*
 * What differences have in common, and what that hints at, in words. Pure. A hint is where to look first, and
 * never a verdict: who is at fault is said by reconcile/attribution.
 */
#ifndef SB_RECONCILE_CLUSTER_H
#define SB_RECONCILE_CLUSTER_H

#include "schemas/change.h"

#include <stdint.h>

struct sb_cluster { /* differences of one table of one kind, in the same columns, by the same fault */
    const char *kind, *fault;
    int64_t columns; /* that differ; 0: not known, or not changed */
    int64_t count;
    int64_t of_kind, of_table;    /* differences of the table of this kind, and in all */
    int64_t of_missing, of_extra; /* of the table */
};
/* "": nothing comes to mind. */
const char *sb_cluster_cause(const struct sb_cluster *cluster);

/* Two texts of one value that differ: how. ret_hours is set if they are times so many whole hours apart. "":
 * in no way that has a name. */
const char *sb_cluster_values(
    const struct sb_value *source, const struct sb_value *target, int64_t *ret_hours);

#endif
