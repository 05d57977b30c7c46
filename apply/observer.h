/*
 * The observer: what becomes of changes whose source side does not own the data. Whoever made them on that
 * side was not us (capture drops what is ours) and should not have: they are rogue writes. They are recorded
 * with both versions in the owner's control schema (switchback.conflict, kind rogue_write), in the target
 * transaction that moves progress past them, counted, logged once a transaction as SB-ROGUE-WRITE, and never
 * applied.
 *
 * Bounded: of a transaction at most SB_ROGUE_ROWS_MAX changes are recorded and of a direction at most
 * SB_ROGUE_TOTAL_MAX; a row's image larger than SB_ROGUE_ROW_MAX_BYTES is left out. Everything is counted
 * (switchback.progress). A row that cannot be read on the owner's side (no right, no such table) or whose
 * text cannot be stored there is recorded without it: the observer needs no rights on the owner's tables.
 */
#ifndef SB_APPLY_OBSERVER_H
#define SB_APPLY_OBSERVER_H

#include "apply/batch.h"
#include "apply/writer.h"

enum {
    SB_ROGUE_ROWS_MAX = 1000,
    SB_ROGUE_TOTAL_MAX = 100000,
    SB_ROGUE_ROW_MAX_BYTES = 64 * 1024,
};

struct sb_observer;

/* writer and names are the caller's and live longer. conn only for reading how many are recorded already. */
int sb_observer_new(struct sb_conn *conn, struct sb_writer *writer, const char *migration,
    const char *direction, struct sb_observer **ret_observer, struct sb_err *err);
void sb_observer_free(struct sb_observer *observer); /* NULL is fine */

/* Changes of one transaction, or the next ones of it, in the open target transaction. */
int sb_observer_take(struct sb_observer *observer, uint64_t commit_lsn, uint64_t xid,
    const struct sb_batch_change *changes, size_t count, struct sb_err *err);
/* That transaction is whole. */
void sb_observer_whole(struct sb_observer *observer, int64_t commit_us);

/* What was taken since the last time: how many changes, of how many whole transactions. */
struct sb_observed {
    uint64_t writes, transactions;
};
struct sb_observed sb_observer_sum(const struct sb_observer *observer);
/* The target transaction has committed: say what was found. Or it was rolled back: forget it. */
void sb_observer_committed(struct sb_observer *observer);
void sb_observer_forget(struct sb_observer *observer);

#endif
