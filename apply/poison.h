/*
 * Poison: the transaction a lane stands at because the target cannot take it, recorded in switchback.poison
 * with the reason and the change, so that an operator can mend the cause and resume, or skip the *whole*
 * transaction by a recorded command. A skip leaves debts: the keys it left undone, which reconcile must
 * clear.
 */
#ifndef SB_APPLY_POISON_H
#define SB_APPLY_POISON_H

#include "apply/exact.h"
#include "apply/progress.h"

struct sb_poison {
    bool present;
    uint64_t commit_lsn, xid;
    char skipped_by[64]; /* who asked for it to be skipped; empty: nobody did */
    char skip_reason[256];
};

/* Of the lane that progress is of; so below. */
int sb_poison_read(struct sb_conn *conn, const struct sb_progress *progress, struct sb_poison *ret_poison,
    struct sb_err *err);
/* Record why the lane stops, in a target transaction of its own, and complete err: where, and what to do.
 * failed may be NULL. Keeps a skip request for the same transaction. If it cannot be recorded the reason is
 * still in err. */
void sb_poison_record(struct sb_writer *writer, const struct sb_progress *progress, uint64_t commit_lsn,
    uint64_t xid, const struct sb_batch_change *failed, struct sb_err *err);
/* The lane has passed the transaction: in the open target transaction, forget it. */
int sb_poison_clear(struct sb_writer *writer, const struct sb_progress *progress, struct sb_err *err);
/* Skip: a debt for every change (two where a key changes), in the open target transaction. */
int sb_poison_debts(struct sb_writer *writer, const char *migration, const char *direction,
    const struct sb_poison *poison, const struct sb_batch_change *changes, size_t count, struct sb_err *err);

#endif
