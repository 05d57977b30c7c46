/*
 * An undo: the items of a repair's own kind that put back what another repair has replaced, and the rows for
 * it, which its audit has (switchback.repair_audit). Items go the other way round.
 */
#ifndef SB_RECONCILE_REPAIR_UNDO_H
#define SB_RECONCILE_REPAIR_UNDO_H

#include "reconcile/plan.h"
#include "reconcile/repair_book.h"

/* The table of a relation, if it can be repaired; NULL otherwise. */
const struct sb_verify_table *sb_repair_table_find(const struct sb_verify_plan *plan, const char *relation);

struct sb_undo_options {
    int64_t undoes;
    uint64_t ownership_epoch;
    const char *reason, *asked_by;
};
/* Writes switchback.repair and its items, whose guards are what the repair has made of the rows. ret_id 0: it
 * has changed nothing. SB-REPAIR-VOID if a table has other columns now. */
int sb_undo_write(const struct sb_repair_book *book, const struct sb_undo_options *options,
    const struct sb_verify_plan *plan, int64_t *ret_id, struct sb_err *err);
/* The rows that items are to be again: ret_rows[i] of items[i], which follow one another; NULL: there was
 * none. */
int sb_undo_rows(const struct sb_repair_book *book, int64_t undoes, const struct sb_verify_table *table,
    const struct sb_repair_item *const *items, size_t count, struct sb_arena *arena,
    const struct sb_value **ret_rows, struct sb_err *err);

#endif
