/*
 * Probes: in the replica role the server does not check deferrable unique and exclusion constraints, neither
 * at the statement nor at commit. So what a transaction has written under one is looked up before it commits,
 * in the same target transaction: two rows that the constraint forbids side by side are found here, or
 * nowhere.
 *
 * A pair that stands at the end of a transaction was completed by the later of its two writes, so looking up
 * what was written is enough; what was there before is not looked at. In the middle of a transaction a pair
 * may be legal (that is what deferrable means): a chunk of a large one that finds a pair only says that the
 * whole table must be looked at when it ends. Tables without a key are always looked at whole: their rows
 * cannot be found again.
 */
#ifndef SB_APPLY_PROBE_H
#define SB_APPLY_PROBE_H

#include "apply/batch.h"
#include "apply/target.h"
#include "apply/writer.h"

struct sb_probe_hit {
    const struct sb_batch_change *change; /* that wrote one of the two rows; NULL: nothing was found */
    struct sb_view constraint;
    char *other_row; /* the row in its way, as JSON; the caller frees it */
};

/* rel->deferrable_count is not 0. Changes of other tables are passed over. */
int sb_probe_changes(struct sb_writer *writer, const struct sb_apply_rel *rel,
    const struct sb_batch_change *changes, size_t count, struct sb_probe_hit *ret_hit, struct sb_err *err);
/* Every pair of rows of the table; ret_hit->change is then a change without rows, made in arena. */
int sb_probe_table(struct sb_writer *writer, const struct sb_apply_rel *rel, struct sb_arena *arena,
    struct sb_probe_hit *ret_hit, struct sb_err *err);

#endif
