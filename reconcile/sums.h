/*
 * Sums: a range of rows compared without its rows crossing the network, for links where bandwidth is what is
 * scarce.
 *
 * Each server counts its rows and sums two 64-bit hashes of what it would print of them. Equal counts and
 * sums mean equal rows, so the range is compared; what was touched meanwhile is read again as always.
 * Different ones mean nothing yet (a write may be on one side only): the range is read as without sums. So a
 * server that hashes otherwise, or prints a value otherwise, costs time and never a verdict. Sums, not XOR:
 * two equal rows must not cancel.
 *
 * hashtextextended under collation "C" is a function of bytes alone (src/backend/access/hash/hashfunc.c), and
 * the same in all versions that we know; format's %L prints by the type's own output function, as COPY does,
 * and tells NULL from 'NULL'.
 */
#ifndef SB_RECONCILE_SUMS_H
#define SB_RECONCILE_SUMS_H

#include "reconcile/sides.h"

/* One row: count, sum, sum. */
void sb_sums_put(const struct sb_verify_table *table, enum sb_side side, const struct sb_key_range *range,
    struct sb_buf *sql);
/* Both sides at the same time, in their open transactions; ret_rows: counted, if they are equal. */
int sb_sums_compare(struct sb_sides *sides, const char *source_sql, const char *target_sql, bool *ret_equal,
    int64_t *ret_rows, struct sb_err *err);

#endif
