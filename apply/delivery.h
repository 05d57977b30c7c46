/*
 * Delivery: gathered changes -> target transactions. Writes the whole transactions of its batch in sets or,
 * where that does not come out as planned, one by one and exactly; a transaction larger than a batch as it
 * comes, in one open target transaction; and moves the progress row with them. What cannot be written is
 * recorded (poison, held conflicts) and is the end: free it and begin anew from progress.
 *
 * Where the target owns the data it writes nothing of the stream's changes: they are the observer's
 * (apply/observer), and progress moves over them.
 *
 * Knows nothing of the stream: what is given to it is proven already (apply/lane).
 */
#ifndef SB_APPLY_DELIVERY_H
#define SB_APPLY_DELIVERY_H

#include "apply/batch.h"
#include "apply/progress.h"
#include "config/wiring.h"

/* One row may have a gigabyte, and is held as record, as decoded and as planned. */
#define SB_ROW_MAX_BYTES (INT64_C(1) << 30)

struct sb_delivery;

struct sb_flight { /* the transaction whose commit has not come */
    uint64_t commit_lsn, xid;
};

/* Over an open target session (the caller's). Reads progress and poison, takes the lane's replication origin.
 */
int sb_delivery_new(const struct sb_config *config, enum sb_direction direction, enum sb_lane_number number,
    struct sb_conn *conn, struct sb_delivery **ret_delivery, struct sb_err *err);
void sb_delivery_free(struct sb_delivery *delivery); /* rolls back what is open */

const struct sb_progress *sb_delivery_progress(const struct sb_delivery *delivery); /* as committed */
struct sb_batch *sb_delivery_batch(struct sb_delivery *delivery);                   /* to add changes to */
struct sb_writer *sb_delivery_writer(struct sb_delivery *delivery);
/* A target transaction is open for the one in flight. */
bool sb_delivery_is_large(const struct sb_delivery *delivery);
/* The target owns: changes are observed, and need no table of the target's (rel may be NULL). */
bool sb_delivery_observes(const struct sb_delivery *delivery);
/* An operator wants this transaction left out. */
bool sb_delivery_skips(const struct sb_delivery *delivery, uint64_t commit_lsn, uint64_t xid);

/* Write the whole transactions gathered so far; nothing if there are none. */
int sb_delivery_flush(struct sb_delivery *delivery, struct sb_err *err);
/* The batch is full and its last transaction is not whole yet: write what is whole, then the beginning of
 * that one. */
int sb_delivery_grow(struct sb_delivery *delivery, const struct sb_flight *flight, struct sb_err *err);
/* The large transaction is whole and proven. */
int sb_delivery_commit_large(struct sb_delivery *delivery, const struct sb_flight *flight,
    const struct sb_batch_txn *txn, struct sb_err *err);
/* The transaction in flight will never commit. */
void sb_delivery_abandon(struct sb_delivery *delivery);
/* A change of the transaction in flight cannot be gathered, err says why: what came before is written, then
 * it stops there. Always -1. */
int sb_delivery_stop(struct sb_delivery *delivery, const struct sb_flight *flight,
    const struct sb_batch_change *change, struct sb_err *err);

/* Come to stand before the transaction in flight: what came before is written, what is open rolled back, then
 * record is called in a target transaction of its own. 0: it is recorded, and the delivery is at its end. */
int sb_delivery_stand(struct sb_delivery *delivery, int (*record)(void *arg, struct sb_err *err), void *arg,
    struct sb_err *err);

#endif
