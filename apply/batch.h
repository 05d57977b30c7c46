/*
 * A batch: changes of consecutive whole transactions, in the order of the stream, and at its end perhaps the
 * beginning of one whose commit has not come. Pure memory: everything lives in the batch's arena (lifetime
 * "batch").
 */
#ifndef SB_APPLY_BATCH_H
#define SB_APPLY_BATCH_H

#include "apply/canary.h"
#include "apply/relation.h"
#include "apply/stamps.h"
#include "stream/proof.h"

/* What a TRUNCATE has to delete of a table, where the initial copy read some of its rows behind it, or where
 * it is not truncated together with the others. */
struct sb_batch_cut {
    struct sb_stamp_cut stamp;
    bool parted; /* the target's table is partitioned */
};

struct sb_batch_change {
    struct sb_change chg;
    const struct sb_batch_cut *cuts; /* of a TRUNCATE: chg.truncated_count of them; NULL: as it is */
    const struct sb_apply_rel *rel;  /* NULL for TRUNCATE */
    const struct sb_apply_rel *const *truncated_rels; /* chg.truncated_count of them */
    uint64_t ordinal;
    bool split; /* of a TRUNCATE: others of its tables are the other lane's, and may refer to these */
};

struct sb_batch_txn {
    uint64_t xid;
    int64_t commit_us;
    uint32_t timeline;
    struct sb_position position; /* behind its commit record: what progress becomes */
    int64_t next_offset;         /* of the stream, right behind the commit record */
    struct sb_canary canary;     /* that it carried; number 0: none */
    size_t first;                /* into changes */
    size_t count;
};

struct sb_batch {
    struct sb_arena *arena;
    struct sb_batch_change *changes;
    size_t change_count, change_cap;
    struct sb_batch_txn *txns;
    size_t txn_count, txn_cap;
    size_t open_first;     /* changes from here on belong to the transaction in flight */
    uint64_t source_count; /* changes of the transaction in flight written earlier (a large one), beside those
                              here */
};

int sb_batch_init(struct sb_batch *batch, size_t arena_max_bytes, struct sb_err *err);
void sb_batch_clear(struct sb_batch *batch);
/* Forget everything; keeps the memory. */
void sb_batch_reset(struct sb_batch *batch);
/* The change's values must live in batch->arena. */
int sb_batch_add(struct sb_batch *batch, const struct sb_batch_change *change, struct sb_err *err);
/* The transaction in flight is whole: txn->first and ->count are filled in here. */
int sb_batch_commit(struct sb_batch *batch, const struct sb_batch_txn *txn, struct sb_err *err);
/* The transaction in flight will never commit: forget its changes. */
void sb_batch_abandon(struct sb_batch *batch);
/* The whole transactions were written; what is left is the transaction in flight (its memory stays until
 * reset). */
void sb_batch_drop_whole(struct sb_batch *batch);
static inline size_t sb_batch_in_flight(const struct sb_batch *batch)
{
    return batch->change_count - batch->open_first;
}

#endif
