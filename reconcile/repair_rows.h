/*
 * Rows of a table by the bytes of their keys, of a few items of a repair at a time: the truth's for images,
 * and the follower's where a guard has to be taken anew.
 */
#ifndef SB_RECONCILE_REPAIR_ROWS_H
#define SB_RECONCILE_REPAIR_ROWS_H

#include "reconcile/repair_book.h"
#include "reconcile/table.h"

enum { SB_REPAIR_ROWS_STEP = 16 }; /* asked for at once: so many rows may be large */

struct sb_repair_rows {
    const struct sb_verify_table *table;
    struct sb_rows *rows;
    struct sb_buf sql, key; /* scratch */
};
void sb_repair_rows_init(struct sb_repair_rows *rows, const struct sb_verify_table *table);
void sb_repair_rows_clear(struct sb_repair_rows *rows);
/* At most SB_REPAIR_ROWS_STEP items. Whatever was there is let go of. */
int sb_repair_rows_ask(struct sb_repair_rows *rows, struct sb_conn *conn, enum sb_side side,
    const struct sb_repair_item *const *items, size_t count, struct sb_err *err);
/* The values of the row with that key, as views that live until the next ask; ret_found false if there is
 * none. Keys that SQL calls equal and that are spelled otherwise are other keys. SB-NO-IDENTITY: two rows
 * have it. */
int sb_repair_rows_find(struct sb_repair_rows *rows, struct sb_view key, struct sb_value *ret_values,
    bool *ret_found, struct sb_err *err);

/* What verify has found was digested under the rules of verify.accept; apply asks for the bytes. So, where a
 * table has rules: read the follower's rows, and where one still is what was found, let its guard be that of
 * its bytes. */
int sb_repair_rows_guard(const struct sb_verify_table *table, struct sb_conn *follower,
    struct sb_repair_item *items, size_t count, struct sb_err *err);

#endif
