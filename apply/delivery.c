#include "apply/delivery.h"

#include "apply/exact.h"
#include "apply/observer.h"
#include "apply/poison.h"
#include "apply/sets.h"
#include "apply/target.h"
#include "apply/touched.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/metrics.h"

#include <stdlib.h>

struct sb_delivery {
    const struct sb_config *config;
    const char *direction;
    struct sb_conn *conn;
    struct sb_writer *writer;
    struct sb_observer *observer; /* NULL: the source owns, its changes are written */
    struct sb_batch batch;
    struct sb_progress progress; /* as committed */
    struct sb_poison poison;
    bool large; /* part of the transaction in flight stands in an open target transaction */
    uint64_t large_conflicts;
    struct sb_touched touched;  /* tables of the changes that are being written */
    struct sb_touched suspects; /* of the large transaction: to be looked at whole when it ends */
};

/* -- life ------------------------------------------------------------------------------------------------ */

static void count_rogues(const struct sb_delivery *delivery)
{
    sb_metric_set(SB_M_APPLY_ROGUE_WRITES, (int64_t)delivery->progress.rogue_writes);
    sb_metric_set(SB_M_APPLY_ROGUE_TRANSACTIONS, (int64_t)delivery->progress.rogue_transactions);
}

static int build(
    struct sb_delivery *delivery, enum sb_direction direction, enum sb_lane_number number, struct sb_err *err)
{
    const struct sb_config *config = delivery->config;
    struct sb_names names;
    sb_wiring_names(config, direction, &names);
    if (sb_progress_read(
            delivery->conn, config->migration, delivery->direction, number, &delivery->progress, err) != 0 ||
        sb_poison_read(delivery->conn, &delivery->progress, &delivery->poison, err) != 0 ||
        sb_writer_new(delivery->conn, number == SB_LANE_MAIN ? names.origin : names.origin_side,
            !delivery->progress.observes, config->apply.lock_timeout_ms, &delivery->writer, err) != 0)
        return -1;
    if (delivery->progress.observes && sb_observer_new(delivery->conn, delivery->writer, config->migration,
                                           delivery->direction, &delivery->observer, err) != 0)
        return -1;
    if (number == SB_LANE_MAIN) {
        sb_metric_set(SB_M_APPLY_OBSERVES, delivery->progress.observes);
        sb_metric_set(SB_M_APPLY_OWNERSHIP_EPOCH, (int64_t)delivery->progress.ownership_epoch);
        count_rogues(delivery);
    }
    return sb_batch_init(
        &delivery->batch, (size_t)(config->apply.batch_max_bytes * 8 + 3 * SB_ROW_MAX_BYTES), err);
}

int sb_delivery_new(const struct sb_config *config, enum sb_direction direction, enum sb_lane_number number,
    struct sb_conn *conn, struct sb_delivery **ret_delivery, struct sb_err *err)
{
    struct sb_delivery *delivery = calloc(1, sizeof *delivery);
    if (delivery == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a lane");
    delivery->config = config;
    delivery->direction = sb_direction_name(direction);
    delivery->conn = conn;
    if (build(delivery, direction, number, err) != 0) {
        sb_delivery_free(delivery);
        return -1;
    }
    *ret_delivery = delivery;
    return 0;
}

void sb_delivery_free(struct sb_delivery *delivery)
{
    if (delivery == NULL)
        return;
    if (delivery->writer != NULL)
        sb_writer_rollback(delivery->writer);
    sb_observer_free(delivery->observer);
    sb_writer_free(delivery->writer);
    sb_batch_clear(&delivery->batch);
    sb_touched_clear(&delivery->touched);
    sb_touched_clear(&delivery->suspects);
    free(delivery);
}

const struct sb_progress *sb_delivery_progress(const struct sb_delivery *delivery)
{
    return &delivery->progress;
}

struct sb_batch *sb_delivery_batch(struct sb_delivery *delivery)
{
    return &delivery->batch;
}

struct sb_writer *sb_delivery_writer(struct sb_delivery *delivery)
{
    return delivery->writer;
}

bool sb_delivery_is_large(const struct sb_delivery *delivery)
{
    return delivery->large;
}

bool sb_delivery_observes(const struct sb_delivery *delivery)
{
    return delivery->observer != NULL;
}

bool sb_delivery_skips(const struct sb_delivery *delivery, uint64_t commit_lsn, uint64_t xid)
{
    return delivery->poison.present && delivery->poison.skipped_by[0] != '\0' &&
           delivery->poison.commit_lsn == commit_lsn && delivery->poison.xid == xid;
}

static bool may_go_exact(const struct sb_err *err)
{
    return sb_err_class(err) == SB_CLASS_DATA;
}

/* What a target transaction holds. */
struct tally {
    uint64_t commits, changes, conflicts;
    struct sb_canary canary; /* the newest; number 0: none */
};

/* Where apply is, and what it has passed, is said by the main lane: it is never behind the other. */
static void count_done(const struct sb_delivery *delivery, const struct tally *tally)
{
    sb_metric_add(SB_M_APPLY_BATCHES, 1);
    if (delivery->observer == NULL)
        sb_metric_add(SB_M_APPLY_CHANGES, (int64_t)tally->changes);
    sb_metric_add(SB_M_APPLY_CONFLICTS, (int64_t)tally->conflicts);
    if (delivery->progress.lane != SB_LANE_MAIN)
        return;
    sb_metric_add(SB_M_APPLY_COMMITS, (int64_t)tally->commits);
    sb_metric_set(SB_M_APPLY_LSN, (int64_t)delivery->progress.position.commit_lsn);
    sb_metric_set(SB_M_APPLY_TIME_US, delivery->progress.commit_us);
    sb_metric_set(SB_M_APPLY_OFFSET, delivery->progress.offset);
    sb_metric_set(SB_M_STREAM_EPOCH, (int64_t)delivery->progress.position.epoch);
    sb_metric_set(SB_M_STREAM_SEQUENCE, (int64_t)delivery->progress.position.sequence);
    if (tally->canary.number > 0)
        sb_metric_set(SB_M_APPLY_CANARY_TIME_US, sb_clock_wall_us());
}

static struct sb_progress progress_behind(
    const struct sb_delivery *delivery, const struct sb_batch_txn *txn, const struct tally *tally)
{
    struct sb_progress next = delivery->progress;
    next.position = txn->position;
    next.timeline = txn->timeline;
    next.offset = txn->next_offset;
    next.commit_us = txn->commit_us;
    next.transactions += tally->commits;
    next.conflicts += tally->conflicts;
    if (delivery->observer == NULL) {
        next.changes += tally->changes;
        return next;
    }
    struct sb_observed observed = sb_observer_sum(delivery->observer);
    next.rogue_writes += observed.writes;
    next.rogue_transactions += observed.transactions;
    return next;
}

static void note_observed(struct sb_delivery *delivery)
{
    if (delivery->observer == NULL)
        return;
    sb_observer_committed(delivery->observer);
    count_rogues(delivery);
}

/* Move progress behind txn and commit: the end of every target transaction that carries data. */
static int finish(struct sb_delivery *delivery, const struct sb_batch_txn *txn, const struct tally *tally,
    struct sb_err *err)
{
    struct sb_progress next = progress_behind(delivery, txn, tally);
    bool passes_poison = delivery->poison.present && delivery->poison.commit_lsn <= txn->position.commit_lsn;
    sb_writer_origin(delivery->writer, txn->position.commit_lsn, txn->commit_us);
    if (passes_poison && sb_poison_clear(delivery->writer, &delivery->progress, err) != 0)
        return -1;
    if (tally->canary.number > 0 && sb_canary_write(delivery->writer, delivery->config->migration,
                                        delivery->direction, &tally->canary, err) != 0)
        return -1;
    SB_FAULT("apply-before-progress");
    if (sb_progress_write(delivery->writer, &delivery->progress, &next, err) != 0)
        return -1;
    SB_FAULT("apply-after-progress");
    SB_FAULT("apply-before-commit");
    if (sb_writer_commit(delivery->writer, err) != 0)
        return -1;
    SB_FAULT("apply-after-commit");
    delivery->progress = next;
    if (passes_poison)
        delivery->poison.present = false;
    count_done(delivery, tally);
    note_observed(delivery);
    return 0;
}

/* Was it written for a table that is another one by now? Then err says so, and it is tried again. */
static bool was_outdated(struct sb_delivery *delivery, struct sb_err *err)
{
    struct sb_err now;
    if (delivery->touched.count == 0 ||
        sb_target_same(delivery->writer, delivery->touched.rels, delivery->touched.count, &now) == 0 ||
        may_go_exact(&now))
        return false;
    *err = now;
    return true;
}

/* A halt: undo, record why, and say so. Errors that pass by themselves are handed on as they are. */
static int stop_at(struct sb_delivery *delivery, uint64_t commit_lsn, uint64_t xid,
    const struct sb_batch_change *failed, struct sb_err *err)
{
    sb_writer_rollback(delivery->writer);
    delivery->large = false;
    sb_target_name_holder(delivery->conn, delivery->touched.rels, delivery->touched.count, err);
    if (!may_go_exact(err) || was_outdated(delivery, err))
        return -1;
    if (failed != NULL && failed->rel != NULL)
        sb_target_name_column(delivery->conn, failed->rel, failed->chg.after, err);
    sb_poison_record(delivery->writer, &delivery->progress, commit_lsn, xid, failed, err);
    return -1;
}

/* A conflict that stops the lane is recorded all the same, in a target transaction of its own. */
static void record_held(struct sb_delivery *delivery, struct sb_exact *exact)
{
    struct sb_err err;
    struct sb_conflict record = {.kind = exact->held_kind,
        .change = exact->failed,
        .target_row = exact->held_row,
        .resolution = "hold",
        .commit_lsn = exact->commit_lsn,
        .xid = exact->xid};
    sb_writer_rollback(delivery->writer);
    if (sb_writer_begin(delivery->writer, &err) != 0 ||
        sb_conflict_record(delivery->writer, exact->migration, exact->direction, &record, &err) != 0 ||
        sb_writer_commit(delivery->writer, &err) != 0) {
        sb_writer_rollback(delivery->writer);
        sb_log_err(SB_LOG_WARNING, &err, "the conflict is only in this log");
    } else {
        sb_metric_add(SB_M_APPLY_CONFLICTS, 1);
    }
    free(exact->held_row);
}

static struct sb_exact exact_of(struct sb_delivery *delivery, uint64_t commit_lsn, uint64_t xid)
{
    return (struct sb_exact){.writer = delivery->writer,
        .migration = delivery->config->migration,
        .direction = delivery->direction,
        .hold_conflicts = delivery->config->apply.conflict == SB_CONFLICT_HOLD,
        .commit_lsn = commit_lsn,
        .xid = xid};
}

static int stop_at_conflict(struct sb_delivery *delivery, struct sb_exact *exact, struct sb_err *err)
{
    if (exact->held)
        record_held(delivery, exact);
    return stop_at(delivery, exact->commit_lsn, exact->xid, exact->failed, err);
}

/* Behind the writes, before their transaction commits: are the tables what they were planned for? */
static int check_tables(struct sb_delivery *delivery, struct sb_err *err)
{
    return delivery->touched.count == 0
               ? 0
               : sb_target_same(delivery->writer, delivery->touched.rels, delivery->touched.count, err);
}

/* Does what these changes have written break a constraint that the server does not check? */
static int probe(struct sb_delivery *delivery, const struct sb_batch_change *changes, size_t count,
    struct sb_probe_hit *ret_hit, struct sb_err *err)
{
    *ret_hit = (struct sb_probe_hit){0};
    for (size_t i = 0; i < delivery->touched.count && ret_hit->change == NULL; i++) {
        const struct sb_apply_rel *rel = delivery->touched.rels[i];
        if (rel->deferrable_count > 0 &&
            sb_probe_changes(delivery->writer, rel, changes, count, ret_hit, err) != 0)
            return -1;
    }
    return 0;
}

/* Changes of one source transaction, one by one (or as debts, if it is to be skipped), in the open target
 * transaction. */
static int write_exactly(struct sb_delivery *delivery, struct sb_exact *exact,
    const struct sb_batch_change *changes, size_t count, struct sb_err *err)
{
    int rc = sb_delivery_skips(delivery, exact->commit_lsn, exact->xid)
                 ? sb_poison_debts(delivery->writer, exact->migration, exact->direction, &delivery->poison,
                       changes, count, err)
                 : sb_exact_write(exact, changes, count, err);
    return rc == 0 ? 0 : stop_at_conflict(delivery, exact, err);
}

static int flush_one_exactly(struct sb_delivery *delivery, const struct sb_batch_txn *txn, struct sb_err *err)
{
    const struct sb_batch_change *changes = delivery->batch.changes + txn->first;
    struct sb_exact exact = exact_of(delivery, txn->position.commit_lsn, txn->xid);
    struct sb_probe_hit hit;
    if (sb_touched_collect(&delivery->touched, changes, txn->count, err) != 0 ||
        sb_writer_begin(delivery->writer, err) != 0 ||
        write_exactly(delivery, &exact, changes, txn->count, err) != 0)
        return -1;
    if (check_tables(delivery, err) != 0 || probe(delivery, changes, txn->count, &hit, err) != 0)
        return stop_at(delivery, exact.commit_lsn, exact.xid, NULL, err);
    if (hit.change != NULL) {
        sb_exact_forbidden(&exact, &hit, err);
        return stop_at_conflict(delivery, &exact, err);
    }
    struct tally tally = {1, txn->count, exact.conflicts, txn->canary};
    return finish(delivery, txn, &tally, err) == 0
               ? 0
               : stop_at(delivery, exact.commit_lsn, exact.xid, NULL, err);
}

static int flush_exactly(struct sb_delivery *delivery, struct sb_err *err)
{
    struct sb_batch *batch = &delivery->batch;
    sb_metric_add(SB_M_APPLY_EXACT_BATCHES, 1);
    for (size_t t = 0; t < batch->txn_count; t++) {
        const struct sb_batch_txn *txn = &batch->txns[t];
        bool skipped = sb_delivery_skips(delivery, txn->position.commit_lsn, txn->xid);
        if (flush_one_exactly(delivery, txn, err) != 0)
            return -1;
        if (skipped) {
            sb_metric_add(SB_M_APPLY_SKIPPED, 1);
            SB_WARN("transaction skipped by operator", SB_LSN("commit_lsn", txn->position.commit_lsn),
                SB_NUM("xid", txn->xid), SB_STR("by", delivery->poison.skipped_by),
                SB_NUM("debts", txn->count));
        }
    }
    return 0;
}

/* Behind sb_sets_write, with its results. */
static int prove_sets(struct sb_delivery *delivery, const struct sb_batch_change *changes, size_t count,
    const char **ret_reason, struct sb_err *err)
{
    struct sb_probe_hit hit;
    if (check_tables(delivery, err) != 0 || probe(delivery, changes, count, &hit, err) != 0)
        return -1;
    if (hit.change == NULL)
        return 0;
    free(hit.other_row);
    *ret_reason = "a deferrable constraint does not hold";
    return SB_SETS_EXACT;
}

static struct tally tally_of(const struct sb_batch *batch)
{
    struct tally tally = {.commits = batch->txn_count, .changes = batch->open_first};
    for (size_t t = 0; t < batch->txn_count; t++)
        if (batch->txns[t].canary.number > 0)
            tally.canary = batch->txns[t].canary;
    return tally;
}

/* The whole batch as one target transaction; SB_SETS_EXACT if it has to go the other way (nothing is open
 * then). */
static int flush_in_sets(struct sb_delivery *delivery, struct sb_err *err)
{
    struct sb_batch *batch = &delivery->batch;
    const struct sb_batch_txn *last = &batch->txns[batch->txn_count - 1];
    const char *reason = NULL;
    if (sb_touched_collect(&delivery->touched, batch->changes, batch->open_first, err) != 0 ||
        sb_writer_begin(delivery->writer, err) != 0)
        return -1;
    int rc = sb_sets_write(delivery->writer, batch->changes, batch->open_first, batch->arena, &reason, err);
    if (rc == 0)
        rc = prove_sets(delivery, batch->changes, batch->open_first, &reason, err);
    struct tally tally = tally_of(batch);
    if (rc == 0)
        rc = finish(delivery, last, &tally, err);
    if (rc == 0) {
        SB_DEBUG("batch written in sets", SB_NUM("transactions", batch->txn_count),
            SB_NUM("changes", batch->open_first));
        return 0;
    }
    sb_writer_rollback(delivery->writer);
    if (rc < 0 && !may_go_exact(err)) {
        sb_target_name_holder(delivery->conn, delivery->touched.rels, delivery->touched.count, err);
        return -1;
    }
    SB_DEBUG("batch goes exact", SB_STR("reason", rc < 0 ? err->text : reason),
        SB_NUM("transactions", batch->txn_count));
    return SB_SETS_EXACT;
}

/* Undone; there is nothing to record about it. */
static int stop_observing(struct sb_delivery *delivery)
{
    sb_writer_rollback(delivery->writer);
    sb_observer_forget(delivery->observer);
    delivery->large = false;
    return -1;
}

static int flush_observed(struct sb_delivery *delivery, struct sb_err *err)
{
    const struct sb_batch *batch = &delivery->batch;
    struct tally tally = tally_of(batch);
    if (sb_writer_begin(delivery->writer, err) != 0)
        return -1;
    for (size_t t = 0; t < batch->txn_count; t++) {
        const struct sb_batch_txn *txn = &batch->txns[t];
        if (sb_observer_take(delivery->observer, txn->position.commit_lsn, txn->xid,
                batch->changes + txn->first, txn->count, err) != 0)
            return stop_observing(delivery);
        sb_observer_whole(delivery->observer, txn->commit_us);
    }
    return finish(delivery, &batch->txns[batch->txn_count - 1], &tally, err) == 0 ? 0
                                                                                  : stop_observing(delivery);
}

static int flush_written(struct sb_delivery *delivery, struct sb_err *err)
{
    struct sb_batch *batch = &delivery->batch;
    bool exactly = delivery->config->apply.mode == SB_MODE_EXACT;
    for (size_t t = 0; t < batch->txn_count && !exactly; t++)
        exactly = sb_delivery_skips(delivery, batch->txns[t].position.commit_lsn, batch->txns[t].xid);
    int rc = exactly ? SB_SETS_EXACT : flush_in_sets(delivery, err);
    return rc == SB_SETS_EXACT ? flush_exactly(delivery, err) : rc;
}

int sb_delivery_flush(struct sb_delivery *delivery, struct sb_err *err)
{
    struct sb_batch *batch = &delivery->batch;
    if (batch->txn_count == 0)
        return 0;
    if ((delivery->observer != NULL ? flush_observed(delivery, err) : flush_written(delivery, err)) != 0)
        return -1;
    sb_batch_drop_whole(batch);
    return 0;
}

/* -- a transaction larger than a batch --------------------------------------------------------------------
 */

/* In the middle of a transaction two rows may well break a deferrable constraint: then its end decides. */
static int suspect(
    struct sb_delivery *delivery, const struct sb_batch_change *changes, size_t count, struct sb_err *err)
{
    for (size_t i = 0; i < delivery->touched.count; i++) {
        const struct sb_apply_rel *rel = delivery->touched.rels[i];
        struct sb_probe_hit hit = {0};
        if (rel->deferrable_count == 0 || sb_touched_has(&delivery->suspects, rel))
            continue;
        if (rel->key_count > 0 && sb_probe_changes(delivery->writer, rel, changes, count, &hit, err) != 0)
            return -1;
        free(hit.other_row);
        if ((rel->key_count == 0 || hit.change != NULL) && sb_touched_add(&delivery->suspects, rel, err) != 0)
            return -1;
    }
    return 0;
}

static int write_chunk_in_sets(struct sb_delivery *delivery, const struct sb_batch_change *changes,
    size_t count, bool *ret_written, struct sb_err *err)
{
    const char *reason;
    *ret_written = false;
    if (sb_writer_savepoint(delivery->writer, err) != 0)
        return -1;
    int rc = sb_sets_write(delivery->writer, changes, count, delivery->batch.arena, &reason, err);
    *ret_written = rc == 0;
    if (rc == 0)
        return sb_writer_release(delivery->writer, err);
    return rc < 0 && !may_go_exact(err) ? -1 : sb_writer_rollback_to(delivery->writer, err);
}

/* The chunk is in the target transaction; make room for the next one. */
static void chunk_done(struct sb_delivery *delivery, size_t count)
{
    struct sb_batch *batch = &delivery->batch;
    uint64_t rows = batch->source_count + count;
    sb_batch_reset(batch);
    batch->source_count = rows;
    sb_metric_set(SB_M_APPLY_OPEN_TXN_ROWS, (int64_t)rows);
    SB_FAULT("apply-large-chunk");
}

static int observe_chunk(struct sb_delivery *delivery, const struct sb_flight *flight, struct sb_err *err)
{
    const struct sb_batch *batch = &delivery->batch;
    size_t count = sb_batch_in_flight(batch);
    if (sb_observer_take(delivery->observer, flight->commit_lsn, flight->xid,
            batch->changes + batch->open_first, count, err) != 0)
        return stop_observing(delivery);
    chunk_done(delivery, count);
    return 0;
}

static int write_chunk(struct sb_delivery *delivery, const struct sb_flight *flight, struct sb_err *err)
{
    if (delivery->observer != NULL)
        return observe_chunk(delivery, flight, err);
    struct sb_batch *batch = &delivery->batch;
    const struct sb_batch_change *changes = batch->changes + batch->open_first;
    size_t count = sb_batch_in_flight(batch);
    struct sb_exact exact = exact_of(delivery, flight->commit_lsn, flight->xid);
    bool written = false, exactly = delivery->config->apply.mode == SB_MODE_EXACT ||
                                    sb_delivery_skips(delivery, exact.commit_lsn, exact.xid);
    if (sb_touched_collect(&delivery->touched, changes, count, err) != 0)
        return -1;
    if (!exactly && write_chunk_in_sets(delivery, changes, count, &written, err) != 0)
        return stop_at(delivery, exact.commit_lsn, exact.xid, NULL, err);
    if (!written && write_exactly(delivery, &exact, changes, count, err) != 0)
        return -1;
    delivery->large_conflicts += exact.conflicts;
    if (check_tables(delivery, err) != 0 || suspect(delivery, changes, count, err) != 0)
        return stop_at(delivery, exact.commit_lsn, exact.xid, NULL, err);
    chunk_done(delivery, count);
    return 0;
}

/* The tables where a chunk left a pair behind. */
static int look_at_suspects(struct sb_delivery *delivery, const struct sb_flight *flight, struct sb_err *err)
{
    struct sb_exact exact = exact_of(delivery, flight->commit_lsn, flight->xid);
    for (size_t i = 0; i < delivery->suspects.count; i++) {
        struct sb_probe_hit hit;
        if (sb_probe_table(delivery->writer, delivery->suspects.rels[i], delivery->batch.arena, &hit, err) !=
            0)
            return stop_at(delivery, exact.commit_lsn, exact.xid, NULL, err);
        if (hit.change != NULL) {
            sb_exact_forbidden(&exact, &hit, err);
            return stop_at_conflict(delivery, &exact, err);
        }
    }
    return 0;
}

int sb_delivery_grow(struct sb_delivery *delivery, const struct sb_flight *flight, struct sb_err *err)
{
    if (!delivery->large) {
        if (sb_delivery_flush(delivery, err) != 0 || sb_writer_begin(delivery->writer, err) != 0)
            return -1;
        delivery->large = true;
        delivery->large_conflicts = 0;
        delivery->suspects.count = 0;
    }
    return write_chunk(delivery, flight, err);
}

int sb_delivery_commit_large(struct sb_delivery *delivery, const struct sb_flight *flight,
    const struct sb_batch_txn *txn, struct sb_err *err)
{
    if (write_chunk(delivery, flight, err) != 0 || look_at_suspects(delivery, flight, err) != 0)
        return -1;
    uint64_t changes = delivery->batch.source_count;
    delivery->large = false;
    sb_batch_reset(&delivery->batch);
    sb_metric_set(SB_M_APPLY_OPEN_TXN_ROWS, 0);
    if (sb_delivery_skips(delivery, flight->commit_lsn, flight->xid))
        sb_metric_add(SB_M_APPLY_SKIPPED, 1);
    if (delivery->observer != NULL)
        sb_observer_whole(delivery->observer, txn->commit_us);
    struct tally tally = {1, changes, delivery->large_conflicts, txn->canary};
    if (finish(delivery, txn, &tally, err) == 0)
        return 0;
    return delivery->observer != NULL ? stop_observing(delivery)
                                      : stop_at(delivery, flight->commit_lsn, flight->xid, NULL, err);
}

void sb_delivery_abandon(struct sb_delivery *delivery)
{
    sb_batch_abandon(&delivery->batch);
    if (delivery->large && delivery->observer != NULL)
        sb_observer_forget(delivery->observer);
    if (delivery->large) {
        sb_writer_rollback(delivery->writer);
        sb_metric_set(SB_M_APPLY_OPEN_TXN_ROWS, 0);
    }
    delivery->large = false;
}

int sb_delivery_stop(struct sb_delivery *delivery, const struct sb_flight *flight,
    const struct sb_batch_change *change, struct sb_err *err)
{
    struct sb_err flush_err;
    if (!may_go_exact(err))
        return -1;
    if (!delivery->large && sb_delivery_flush(delivery, &flush_err) != 0) {
        *err = flush_err;
        return -1;
    }
    return stop_at(delivery, flight->commit_lsn, flight->xid, change, err);
}

int sb_delivery_stand(
    struct sb_delivery *delivery, int (*record)(void *arg, struct sb_err *err), void *arg, struct sb_err *err)
{
    if (!delivery->large && sb_delivery_flush(delivery, err) != 0)
        return -1;
    sb_delivery_abandon(delivery);
    if (sb_writer_begin(delivery->writer, err) != 0)
        return -1;
    if (record(arg, err) == 0 && sb_writer_commit(delivery->writer, err) == 0)
        return 0;
    sb_writer_rollback(delivery->writer);
    return -1;
}
