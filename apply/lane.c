#include "apply/lane.h"

#include "apply/copied.h"
#include "apply/exact.h"
#include "apply/poison.h"
#include "apply/sets.h"
#include "apply/target.h"
#include "apply/touched.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/map.h"
#include "core/metrics.h"
#include "schemas/codec.h"
#include "schemas/digest.h"
#include "stream/parts.h"

#include <stdlib.h>
#include <string.h>

enum {
    RELATIONS_MAX = 100000,
    RELATION_ARENA_BYTES = 512 * 1024 * 1024,
};
/* One row may have a gigabyte, and is held as record, as decoded and as planned. */
#define ROW_MAX_BYTES (INT64_C(1) << 30)

struct sb_lane {
    const struct sb_config *config;
    const char *direction;
    struct sb_conn *conn;
    struct sb_writer *writer;
    struct sb_codec *codec;
    struct sb_proof *proof;
    struct sb_joiner *joiner;
    struct sb_arena *relations; /* lifetime: the lane */
    struct sb_arena *scratch;   /* lifetime: a record that is not gathered */
    struct sb_map *rels;        /* schema id -> struct sb_apply_rel */
    struct sb_batch batch;
    struct sb_progress progress; /* as committed */
    struct sb_poison poison;
    struct sb_stamps *stamps; /* of the initial copy; NULL: there are none in force */
    bool judges;              /* commits are not beyond them yet */
    uint64_t taken;
    /* the transaction in flight */
    uint64_t flight_lsn, flight_xid;
    bool large; /* part of it stands in an open target transaction */
    uint64_t large_conflicts;
    struct sb_touched touched;  /* tables of the changes that are being written */
    struct sb_touched suspects; /* of the large transaction: to be looked at whole when it ends */
};

/* -- life
 * ---------------------------------------------------------------------------------------------------- */

static int lane_build(struct sb_lane *lane, enum sb_direction direction, struct sb_err *err)
{
    const struct sb_config *config = lane->config;
    struct sb_names names;
    sb_wiring_names(config, direction, &names);
    if (sb_progress_read(lane->conn, config->migration, lane->direction, &lane->progress, err) != 0 ||
        sb_poison_read(lane->conn, config->migration, lane->direction, &lane->poison, err) != 0 ||
        sb_copied_stamps(lane->conn, &lane->progress, &lane->stamps, err) != 0 ||
        sb_writer_new(lane->conn, names.origin, config->apply.lock_timeout_ms, &lane->writer, err) != 0 ||
        sb_codec_new(&lane->codec, err) != 0 ||
        sb_batch_init(&lane->batch, (size_t)(config->apply.batch_max_bytes * 8 + 3 * ROW_MAX_BYTES), err) !=
            0)
        return -1;
    lane->judges = lane->stamps != NULL;
    lane->proof = sb_proof_new(&lane->progress.stream, 0, &lane->progress.position, err);
    if (lane->proof == NULL)
        return -1;
    lane->joiner = sb_joiner_new(ROW_MAX_BYTES * 2);
    lane->relations = sb_arena_new("target tables", RELATION_ARENA_BYTES);
    lane->scratch = sb_arena_new("record", 3 * ROW_MAX_BYTES);
    lane->rels = sb_map_new(RELATIONS_MAX);
    if (lane->joiner == NULL || lane->relations == NULL || lane->scratch == NULL || lane->rels == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a lane");
    return 0;
}

int sb_lane_new(const struct sb_config *config, enum sb_direction direction, struct sb_conn *conn,
    struct sb_lane **ret_lane, struct sb_err *err)
{
    struct sb_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a lane");
    lane->config = config;
    lane->direction = sb_direction_name(direction);
    lane->conn = conn;
    if (lane_build(lane, direction, err) != 0) {
        sb_lane_free(lane);
        return -1;
    }
    *ret_lane = lane;
    return 0;
}

void sb_lane_free(struct sb_lane *lane)
{
    if (lane == NULL)
        return;
    if (lane->writer != NULL)
        sb_writer_rollback(lane->writer);
    sb_writer_free(lane->writer);
    sb_proof_free(lane->proof);
    sb_joiner_free(lane->joiner);
    sb_codec_free(lane->codec);
    sb_map_free(lane->rels);
    sb_batch_clear(&lane->batch);
    sb_stamps_free(lane->stamps);
    sb_touched_clear(&lane->touched);
    sb_touched_clear(&lane->suspects);
    sb_arena_free(lane->relations);
    sb_arena_free(lane->scratch);
    free(lane);
}

const struct sb_progress *sb_lane_progress(const struct sb_lane *lane)
{
    return &lane->progress;
}

bool sb_lane_has_whole(const struct sb_lane *lane)
{
    return lane->batch.txn_count > 0;
}

bool sb_lane_is_large(const struct sb_lane *lane)
{
    return lane->large;
}

uint64_t sb_lane_taken(const struct sb_lane *lane)
{
    return lane->taken;
}

int sb_lane_learn(struct sb_lane *lane, struct sb_view body, struct sb_err *err)
{
    return sb_codec_learn(lane->codec, body, NULL, err);
}

int sb_lane_prove(struct sb_lane *lane, const struct sb_record *before, struct sb_err *err)
{
    const struct sb_position *position = &lane->progress.position;
    char lsn[SB_LSN_TEXT_BYTES];
    struct sb_commit commit;
    if (before->frame.kind != SB_KIND_COMMIT || before->frame.commit_lsn != position->commit_lsn ||
        before->frame.sequence != position->sequence)
        return 0;
    if (sb_codec_read_commit(lane->codec, before->body, &commit, err) != 0)
        return sb_err_add(err, "stream offset %lld", (long long)before->offset);
    if (memcmp(&commit.chain, &position->chain, sizeof commit.chain) == 0)
        return 0;
    return sb_err_set(err, SB_E_PROGRESS_LOST,
        "the progress row of migration \"%s\" is at commit %s, but with another chain than the stream's: it "
        "was "
        "edited, or belongs to another past",
        lane->config->migration, sb_lsn_text(position->commit_lsn, lsn));
}

void sb_lane_meanwhile(struct sb_lane *lane, bool (*fn)(void *arg), void *arg)
{
    sb_writer_meanwhile(lane->writer, fn, arg);
}

/* -- target tables
 * ------------------------------------------------------------------------------------------- */

static int relation_make(
    struct sb_lane *lane, const struct sb_relation *rel, struct sb_apply_rel **ret_rel, struct sb_err *err)
{
    struct sb_target_stamp stamp;
    struct sb_cat_table table;
    bool found;
    if (sb_writer_forget(lane->writer, err) != 0 ||
        sb_target_stamp(lane->conn, rel->schema, rel->name, lane->relations, &stamp, err) != 0 ||
        sb_catalog_table(lane->conn, rel->schema, rel->name, lane->relations, &table, &found, err) != 0)
        return -1;
    if (!found || stamp.oid.len == 0 || (table.kind != 'r' && table.kind != 'p'))
        return sb_err_set(err, SB_E_TARGET_STRUCTURE, "the target has no table \"%.*s.%.*s\"",
            (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr);
    struct sb_apply_rel *made;
    if (sb_apply_rel_make(rel, &table, lane->relations, &made, err) != 0 ||
        sb_target_read(lane->conn, &stamp, lane->relations, made, err) != 0)
        return -1;
    *ret_rel = made;
    return 0;
}

static int relation_of(struct sb_lane *lane, const struct sb_relation *rel,
    const struct sb_apply_rel **ret_rel, struct sb_err *err)
{
    uint32_t id = rel->schema_id;
    struct sb_apply_rel *made = sb_map_get(lane->rels, sb_map_key_u32(&id));
    if (made == NULL) {
        if (relation_make(lane, rel, &made, err) != 0)
            return -1;
        if (!sb_map_put(lane->rels, sb_map_key_u32(&id), made, NULL))
            return sb_err_set(err, SB_E_LIMIT, "the stream has more than %d table shapes", RELATIONS_MAX);
    }
    *ret_rel = made;
    return 0;
}

static int truncated_relations(struct sb_lane *lane, struct sb_batch_change *change, struct sb_err *err)
{
    uint16_t count = change->chg.truncated_count;
    const struct sb_apply_rel **rels = sb_arena_alloc(lane->batch.arena, (count + 1u) * sizeof(void *));
    if (rels == NULL)
        return sb_err_set(err, SB_E_LIMIT, "the batch arena is full");
    for (uint16_t i = 0; i < count; i++)
        if (relation_of(lane, change->chg.truncated[i], &rels[i], err) != 0)
            return -1;
    change->truncated_rels = rels;
    return 0;
}

static bool skips(const struct sb_lane *lane, uint64_t commit_lsn, uint64_t xid)
{
    return lane->poison.present && lane->poison.skipped_by[0] != '\0' &&
           lane->poison.commit_lsn == commit_lsn && lane->poison.xid == xid;
}

/* The target's tables of a change; a transaction that is to be skipped needs none. */
static int change_relations(struct sb_lane *lane, struct sb_batch_change *change, struct sb_err *err)
{
    if (skips(lane, lane->flight_lsn, lane->flight_xid))
        return 0;
    return change->chg.op == SB_OP_TRUNCATE ? truncated_relations(lane, change, err)
                                            : relation_of(lane, change->chg.rel, &change->rel, err);
}

/* -- writing
 * ------------------------------------------------------------------------------------------------- */

static bool may_go_exact(const struct sb_err *err)
{
    return sb_err_class(err) == SB_CLASS_DATA;
}

static void count_done(const struct sb_lane *lane, uint64_t commits, uint64_t changes, uint64_t conflicts)
{
    sb_metric_add(SB_M_APPLY_BATCHES, 1);
    sb_metric_add(SB_M_APPLY_COMMITS, (int64_t)commits);
    sb_metric_add(SB_M_APPLY_CHANGES, (int64_t)changes);
    sb_metric_add(SB_M_APPLY_CONFLICTS, (int64_t)conflicts);
    sb_metric_set(SB_M_APPLY_LSN, (int64_t)lane->progress.position.commit_lsn);
    sb_metric_set(SB_M_APPLY_TIME_US, lane->progress.commit_us);
    sb_metric_set(SB_M_APPLY_OFFSET, lane->progress.offset);
    sb_metric_set(SB_M_STREAM_EPOCH, (int64_t)lane->progress.position.epoch);
    sb_metric_set(SB_M_STREAM_SEQUENCE, (int64_t)lane->progress.position.sequence);
}

/* Move progress behind txn and commit: the end of every target transaction that carries data. */
static int finish(struct sb_lane *lane, const struct sb_batch_txn *txn, uint64_t commits, uint64_t changes,
    uint64_t conflicts, struct sb_err *err)
{
    struct sb_progress next = lane->progress;
    next.position = txn->position;
    next.timeline = txn->timeline;
    next.offset = txn->next_offset;
    next.commit_us = txn->commit_us;
    next.transactions += commits;
    next.changes += changes;
    next.conflicts += conflicts;
    bool passes_poison = lane->poison.present && lane->poison.commit_lsn <= txn->position.commit_lsn;
    sb_writer_origin(lane->writer, txn->position.commit_lsn, txn->commit_us);
    if (passes_poison && sb_poison_clear(lane->writer, lane->config->migration, lane->direction, err) != 0)
        return -1;
    SB_FAULT("apply-before-progress");
    if (sb_progress_write(lane->writer, &lane->progress, &next, err) != 0)
        return -1;
    SB_FAULT("apply-after-progress");
    SB_FAULT("apply-before-commit");
    if (sb_writer_commit(lane->writer, err) != 0)
        return -1;
    SB_FAULT("apply-after-commit");
    lane->progress = next;
    if (passes_poison)
        lane->poison.present = false;
    count_done(lane, commits, changes, conflicts);
    return 0;
}

/* Was it written for a table that is another one by now? Then err says so, and it is tried again. */
static bool was_outdated(struct sb_lane *lane, struct sb_err *err)
{
    struct sb_err now;
    if (lane->touched.count == 0 ||
        sb_target_same(lane->writer, lane->touched.rels, lane->touched.count, &now) == 0 ||
        may_go_exact(&now))
        return false;
    *err = now;
    return true;
}

/* A halt: undo, record why, and say so. Errors that pass by themselves are handed on as they are. */
static int stop_at(struct sb_lane *lane, uint64_t commit_lsn, uint64_t xid,
    const struct sb_batch_change *failed, struct sb_err *err)
{
    sb_writer_rollback(lane->writer);
    lane->large = false;
    sb_target_name_holder(lane->conn, lane->touched.rels, lane->touched.count, err);
    if (may_go_exact(err) && !was_outdated(lane, err))
        sb_poison_record(
            lane->writer, lane->config->migration, lane->direction, commit_lsn, xid, failed, err);
    return -1;
}

/* A conflict that stops the lane is recorded all the same, in a target transaction of its own. */
static void record_held(struct sb_lane *lane, struct sb_exact *exact)
{
    struct sb_err err;
    struct sb_conflict record = {.kind = exact->held_kind,
        .change = exact->failed,
        .target_row = exact->held_row,
        .resolution = "hold",
        .commit_lsn = exact->commit_lsn,
        .xid = exact->xid};
    sb_writer_rollback(lane->writer);
    if (sb_writer_begin(lane->writer, &err) != 0 ||
        sb_conflict_record(lane->writer, exact->migration, exact->direction, &record, &err) != 0 ||
        sb_writer_commit(lane->writer, &err) != 0) {
        sb_writer_rollback(lane->writer);
        sb_log_err(SB_LOG_WARNING, &err, "the conflict is only in this log");
    } else {
        sb_metric_add(SB_M_APPLY_CONFLICTS, 1);
    }
    free(exact->held_row);
}

static struct sb_exact exact_of(struct sb_lane *lane, uint64_t commit_lsn, uint64_t xid)
{
    return (struct sb_exact){.writer = lane->writer,
        .migration = lane->config->migration,
        .direction = lane->direction,
        .hold_conflicts = lane->config->apply.conflict == SB_CONFLICT_HOLD,
        .commit_lsn = commit_lsn,
        .xid = xid};
}

static int stop_at_conflict(struct sb_lane *lane, struct sb_exact *exact, struct sb_err *err)
{
    if (exact->held)
        record_held(lane, exact);
    return stop_at(lane, exact->commit_lsn, exact->xid, exact->failed, err);
}

/* Behind the writes, before their transaction commits: are the tables what they were planned for? */
static int check_tables(struct sb_lane *lane, struct sb_err *err)
{
    return lane->touched.count == 0
               ? 0
               : sb_target_same(lane->writer, lane->touched.rels, lane->touched.count, err);
}

/* Does what these changes have written break a constraint that the server does not check? */
static int probe(struct sb_lane *lane, const struct sb_batch_change *changes, size_t count,
    struct sb_probe_hit *ret_hit, struct sb_err *err)
{
    *ret_hit = (struct sb_probe_hit){0};
    for (size_t i = 0; i < lane->touched.count && ret_hit->change == NULL; i++) {
        const struct sb_apply_rel *rel = lane->touched.rels[i];
        if (rel->deferrable_count > 0 &&
            sb_probe_changes(lane->writer, rel, changes, count, ret_hit, err) != 0)
            return -1;
    }
    return 0;
}

/* Changes of one source transaction, one by one (or as debts, if it is to be skipped), in the open target
 * transaction. */
static int write_exactly(struct sb_lane *lane, struct sb_exact *exact, const struct sb_batch_change *changes,
    size_t count, struct sb_err *err)
{
    int rc = skips(lane, exact->commit_lsn, exact->xid)
                 ? sb_poison_debts(
                       lane->writer, exact->migration, exact->direction, &lane->poison, changes, count, err)
                 : sb_exact_write(exact, changes, count, err);
    return rc == 0 ? 0 : stop_at_conflict(lane, exact, err);
}

static int flush_one_exactly(struct sb_lane *lane, const struct sb_batch_txn *txn, struct sb_err *err)
{
    const struct sb_batch_change *changes = lane->batch.changes + txn->first;
    struct sb_exact exact = exact_of(lane, txn->position.commit_lsn, txn->xid);
    struct sb_probe_hit hit;
    if (sb_touched_collect(&lane->touched, changes, txn->count, err) != 0 ||
        sb_writer_begin(lane->writer, err) != 0 || write_exactly(lane, &exact, changes, txn->count, err) != 0)
        return -1;
    if (check_tables(lane, err) != 0 || probe(lane, changes, txn->count, &hit, err) != 0)
        return stop_at(lane, exact.commit_lsn, exact.xid, NULL, err);
    if (hit.change != NULL) {
        sb_exact_forbidden(&exact, &hit, err);
        return stop_at_conflict(lane, &exact, err);
    }
    return finish(lane, txn, 1, txn->count, exact.conflicts, err) == 0
               ? 0
               : stop_at(lane, exact.commit_lsn, exact.xid, NULL, err);
}

static int flush_exactly(struct sb_lane *lane, struct sb_err *err)
{
    struct sb_batch *batch = &lane->batch;
    sb_metric_add(SB_M_APPLY_EXACT_BATCHES, 1);
    for (size_t t = 0; t < batch->txn_count; t++) {
        const struct sb_batch_txn *txn = &batch->txns[t];
        bool skipped = skips(lane, txn->position.commit_lsn, txn->xid);
        if (flush_one_exactly(lane, txn, err) != 0)
            return -1;
        if (skipped) {
            sb_metric_add(SB_M_APPLY_SKIPPED, 1);
            SB_WARN("transaction skipped by operator", SB_LSN("commit_lsn", txn->position.commit_lsn),
                SB_NUM("xid", txn->xid), SB_STR("by", lane->poison.skipped_by), SB_NUM("debts", txn->count));
        }
    }
    return 0;
}

/* Behind sb_sets_write, with its results. */
static int prove_sets(struct sb_lane *lane, const struct sb_batch_change *changes, size_t count,
    const char **ret_reason, struct sb_err *err)
{
    struct sb_probe_hit hit;
    if (check_tables(lane, err) != 0 || probe(lane, changes, count, &hit, err) != 0)
        return -1;
    if (hit.change == NULL)
        return 0;
    free(hit.other_row);
    *ret_reason = "a deferrable constraint does not hold";
    return SB_SETS_EXACT;
}

/* The whole batch as one target transaction; SB_SETS_EXACT if it has to go the other way (nothing is open
 * then). */
static int flush_in_sets(struct sb_lane *lane, struct sb_err *err)
{
    struct sb_batch *batch = &lane->batch;
    const struct sb_batch_txn *last = &batch->txns[batch->txn_count - 1];
    const char *reason = NULL;
    if (sb_touched_collect(&lane->touched, batch->changes, batch->open_first, err) != 0 ||
        sb_writer_begin(lane->writer, err) != 0)
        return -1;
    int rc = sb_sets_write(lane->writer, batch->changes, batch->open_first, batch->arena, &reason, err);
    if (rc == 0)
        rc = prove_sets(lane, batch->changes, batch->open_first, &reason, err);
    if (rc == 0)
        rc = finish(lane, last, batch->txn_count, batch->open_first, 0, err);
    if (rc == 0) {
        SB_DEBUG("batch written in sets", SB_NUM("transactions", batch->txn_count),
            SB_NUM("changes", batch->open_first));
        return 0;
    }
    sb_writer_rollback(lane->writer);
    if (rc < 0 && !may_go_exact(err)) {
        sb_target_name_holder(lane->conn, lane->touched.rels, lane->touched.count, err);
        return -1;
    }
    SB_DEBUG("batch goes exact", SB_STR("reason", rc < 0 ? err->text : reason),
        SB_NUM("transactions", batch->txn_count));
    return SB_SETS_EXACT;
}

int sb_lane_flush(struct sb_lane *lane, struct sb_err *err)
{
    struct sb_batch *batch = &lane->batch;
    if (batch->txn_count == 0)
        return 0;
    bool exactly = lane->config->apply.mode == SB_MODE_EXACT;
    for (size_t t = 0; t < batch->txn_count && !exactly; t++)
        exactly = skips(lane, batch->txns[t].position.commit_lsn, batch->txns[t].xid);
    int rc = exactly ? SB_SETS_EXACT : flush_in_sets(lane, err);
    if (rc == SB_SETS_EXACT)
        rc = flush_exactly(lane, err);
    if (rc != 0)
        return -1;
    sb_batch_drop_whole(batch);
    return 0;
}

/* -- a transaction larger than a batch
 * ----------------------------------------------------------------------- */

/* In the middle of a transaction two rows may well break a deferrable constraint: then its end decides. */
static int suspect(
    struct sb_lane *lane, const struct sb_batch_change *changes, size_t count, struct sb_err *err)
{
    for (size_t i = 0; i < lane->touched.count; i++) {
        const struct sb_apply_rel *rel = lane->touched.rels[i];
        struct sb_probe_hit hit = {0};
        if (rel->deferrable_count == 0 || sb_touched_has(&lane->suspects, rel))
            continue;
        if (rel->key_count > 0 && sb_probe_changes(lane->writer, rel, changes, count, &hit, err) != 0)
            return -1;
        free(hit.other_row);
        if ((rel->key_count == 0 || hit.change != NULL) && sb_touched_add(&lane->suspects, rel, err) != 0)
            return -1;
    }
    return 0;
}

static int write_chunk_in_sets(struct sb_lane *lane, const struct sb_batch_change *changes, size_t count,
    bool *ret_written, struct sb_err *err)
{
    const char *reason;
    *ret_written = false;
    if (sb_writer_savepoint(lane->writer, err) != 0)
        return -1;
    int rc = sb_sets_write(lane->writer, changes, count, lane->batch.arena, &reason, err);
    *ret_written = rc == 0;
    if (rc == 0)
        return sb_writer_release(lane->writer, err);
    return rc < 0 && !may_go_exact(err) ? -1 : sb_writer_rollback_to(lane->writer, err);
}

static int write_chunk(struct sb_lane *lane, struct sb_err *err)
{
    struct sb_batch *batch = &lane->batch;
    const struct sb_batch_change *changes = batch->changes + batch->open_first;
    size_t count = sb_batch_in_flight(batch);
    struct sb_exact exact = exact_of(lane, lane->flight_lsn, lane->flight_xid);
    bool written = false,
         exactly = lane->config->apply.mode == SB_MODE_EXACT || skips(lane, exact.commit_lsn, exact.xid);
    if (sb_touched_collect(&lane->touched, changes, count, err) != 0)
        return -1;
    if (!exactly && write_chunk_in_sets(lane, changes, count, &written, err) != 0)
        return stop_at(lane, exact.commit_lsn, exact.xid, NULL, err);
    if (!written && write_exactly(lane, &exact, changes, count, err) != 0)
        return -1;
    lane->large_conflicts += exact.conflicts;
    if (check_tables(lane, err) != 0 || suspect(lane, changes, count, err) != 0)
        return stop_at(lane, exact.commit_lsn, exact.xid, NULL, err);
    uint64_t rows = batch->source_count + count;
    sb_batch_reset(batch);
    batch->source_count = rows;
    sb_metric_set(SB_M_APPLY_OPEN_TXN_ROWS, (int64_t)rows);
    SB_FAULT("apply-large-chunk");
    return 0;
}

/* The tables where a chunk left a pair behind. */
static int look_at_suspects(struct sb_lane *lane, struct sb_err *err)
{
    struct sb_exact exact = exact_of(lane, lane->flight_lsn, lane->flight_xid);
    for (size_t i = 0; i < lane->suspects.count; i++) {
        struct sb_probe_hit hit;
        if (sb_probe_table(lane->writer, lane->suspects.rels[i], lane->batch.arena, &hit, err) != 0)
            return stop_at(lane, exact.commit_lsn, exact.xid, NULL, err);
        if (hit.change != NULL) {
            sb_exact_forbidden(&exact, &hit, err);
            return stop_at_conflict(lane, &exact, err);
        }
    }
    return 0;
}

/* The batch is full and its last transaction is not whole yet: write what is whole, then the beginning of
 * that one. */
static int grow_large(struct sb_lane *lane, struct sb_err *err)
{
    if (!lane->large) {
        if (sb_lane_flush(lane, err) != 0 || sb_writer_begin(lane->writer, err) != 0)
            return -1;
        lane->large = true;
        lane->large_conflicts = 0;
        lane->suspects.count = 0;
    }
    return write_chunk(lane, err);
}

static int commit_large(struct sb_lane *lane, const struct sb_batch_txn *txn, struct sb_err *err)
{
    if (write_chunk(lane, err) != 0 || look_at_suspects(lane, err) != 0)
        return -1;
    uint64_t changes = lane->batch.source_count;
    lane->large = false;
    sb_batch_reset(&lane->batch);
    sb_metric_set(SB_M_APPLY_OPEN_TXN_ROWS, 0);
    if (skips(lane, lane->flight_lsn, lane->flight_xid))
        sb_metric_add(SB_M_APPLY_SKIPPED, 1);
    return finish(lane, txn, 1, changes, lane->large_conflicts, err) == 0
               ? 0
               : stop_at(lane, lane->flight_lsn, lane->flight_xid, NULL, err);
}

static void abandon(struct sb_lane *lane)
{
    sb_batch_abandon(&lane->batch);
    sb_joiner_reset(lane->joiner);
    if (lane->large) {
        sb_writer_rollback(lane->writer);
        sb_metric_set(SB_M_APPLY_OPEN_TXN_ROWS, 0);
    }
    lane->large = false;
}

static bool batch_is_full(const struct sb_lane *lane)
{
    return sb_arena_used(lane->batch.arena) >= (size_t)lane->config->apply.batch_max_bytes ||
           lane->batch.change_count >= (size_t)lane->config->apply.batch_max_rows;
}

/* -- the initial copy
 * ---------------------------------------------------------------------------------------- */

/* From the first commit beyond all stamps on everything is newer. They stay in memory: TRUNCATEs in the batch
 * point to their bounds. */
static void pass_stamps(struct sb_lane *lane, const struct sb_frame *frame)
{
    if (!lane->judges || !sb_stamps_passed(lane->stamps, frame->commit_lsn, frame->timeline))
        return;
    lane->judges = false;
    SB_INFO("all that follows is newer than the initial copy", SB_LSN("commit_lsn", frame->commit_lsn));
}

/* Only the new key's half is newer: the row must have travelled whole, for no chunk has its old values. */
static int insert_new_half(const struct sb_change *chg, struct sb_err *err)
{
    struct sb_buf key SB_CLEANUP(sb_buf_clear);
    const struct sb_relation *rel = chg->rel;
    bool whole = true;
    sb_buf_init(&key, ROW_MAX_BYTES);
    for (uint16_t i = 0; i < rel->col_count; i++) {
        whole = whole && chg->after[i].state != SB_COL_UNCHANGED;
        if (rel->cols[i].key)
            sb_buf_put_view(&key, chg->after[i].text);
    }
    if (whole)
        return 0;
    sb_err_set(err, SB_E_COPY_INCOMPLETE,
        "table \"%.*s\".\"%.*s\": the row whose key hashes to %016llx moved from a chunk that has it no more "
        "to one "
        "that has it not yet, with values that did not travel",
        (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr,
        (unsigned long long)sb_hash64(sb_buf_view(&key)));
    return sb_err_hint(err,
        "Copy the table again: switchback copy --again '\"%.*s\".\"%.*s\"', then `switchback resume`.",
        (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr);
}

static int judge_row(struct sb_lane *lane, const struct sb_frame *frame, struct sb_change *chg,
    bool *ret_skip, struct sb_err *err)
{
    enum sb_stamp_verdict verdict;
    if (sb_stamps_judge(lane->stamps, chg, frame->xid, frame->timeline, &verdict, err) != 0)
        return -1;
    *ret_skip = verdict == SB_STAMP_SEEN;
    if (verdict == SB_STAMP_OLD_HALF) {
        chg->op = SB_OP_DELETE;
        chg->after = NULL;
    } else if (verdict == SB_STAMP_NEW_HALF) {
        chg->op = SB_OP_INSERT;
        chg->before = NULL;
        chg->old_is_key = false;
        return insert_new_half(chg, err);
    }
    return 0;
}

static int judge_truncate(struct sb_lane *lane, const struct sb_frame *frame, struct sb_batch_change *change,
    bool *ret_skip, struct sb_err *err)
{
    uint16_t count = change->chg.truncated_count;
    struct sb_arena *arena = lane->batch.arena;
    struct sb_batch_cut *cuts = sb_arena_zalloc(arena, (count + 1u) * sizeof *cuts);
    bool whole = true, nothing = true;
    if (cuts == NULL)
        return sb_err_set(err, SB_E_LIMIT, "the batch arena is full");
    for (uint16_t i = 0; i < count; i++) {
        const struct sb_relation *rel = change->chg.truncated[i];
        struct sb_cat_table table;
        bool found;
        if (sb_stamps_truncate(lane->stamps, rel, frame->xid, frame->timeline, arena, &cuts[i].stamp, err) !=
                0 ||
            sb_catalog_table(lane->conn, rel->schema, rel->name, arena, &table, &found, err) != 0)
            return -1;
        cuts[i].parted = found && table.kind == 'p';
        whole = whole && cuts[i].stamp.whole;
        nothing = nothing && cuts[i].stamp.count == 0;
    }
    *ret_skip = nothing && count > 0;
    change->cuts = whole ? NULL : cuts;
    return 0;
}

/* Is the change newer than the copied rows? What is only partly so becomes what is. Cannot be judged: what
 * came before is written, then the lane stops here. */
static int judge(struct sb_lane *lane, const struct sb_frame *frame, struct sb_batch_change *change,
    bool *ret_skip, struct sb_err *err)
{
    struct sb_err flush_err;
    int rc = change->chg.op == SB_OP_TRUNCATE ? judge_truncate(lane, frame, change, ret_skip, err)
                                              : judge_row(lane, frame, &change->chg, ret_skip, err);
    if (rc == 0 || lane->large || sb_lane_flush(lane, &flush_err) == 0)
        return rc;
    *err = flush_err;
    return -1;
}

/* -- records
 * ------------------------------------------------------------------------------------------------- */

/* The target's structure does not fit: what came before is written, then the lane stops here. */
static int stop_at_structure(struct sb_lane *lane, const struct sb_batch_change *change, struct sb_err *err)
{
    struct sb_err flush_err;
    if (!may_go_exact(err))
        return -1;
    if (!lane->large && sb_lane_flush(lane, &flush_err) != 0) {
        *err = flush_err;
        return -1;
    }
    return stop_at(lane, lane->flight_lsn, lane->flight_xid, change, err);
}

static int take_change(struct sb_lane *lane, const struct sb_record *whole, bool repeat, struct sb_err *err)
{
    struct sb_batch_change change = {.ordinal = whole->frame.ordinal};
    struct sb_arena *arena = repeat ? lane->scratch : lane->batch.arena;
    if (repeat)
        sb_arena_reset(arena);
    if (sb_codec_read_change(lane->codec, whole->body, arena, &change.chg, NULL, err) != 0 ||
        sb_proof_change(lane->proof, &whole->frame, &change.chg, err) != 0)
        return -1;
    if (repeat)
        return 0;
    lane->flight_lsn = whole->frame.commit_lsn;
    lane->flight_xid = whole->frame.xid;
    bool skip = false;
    pass_stamps(lane, &whole->frame);
    if (lane->judges && judge(lane, &whole->frame, &change, &skip, err) != 0)
        return -1;
    if (skip) {
        sb_metric_add(SB_M_APPLY_COPIED, 1);
        return batch_is_full(lane) ? grow_large(lane, err) : 0;
    }
    if (change_relations(lane, &change, err) != 0)
        return stop_at_structure(lane, &change, err);
    if (sb_batch_add(&lane->batch, &change, err) != 0)
        return -1;
    return batch_is_full(lane) ? grow_large(lane, err) : 0;
}

static int take_message(struct sb_lane *lane, const struct sb_record *whole, struct sb_err *err)
{
    struct sb_message msg;
    sb_arena_reset(lane->scratch);
    if (sb_codec_read_message(lane->codec, whole->body, lane->scratch, &msg, err) != 0)
        return -1;
    return sb_proof_message(lane->proof, &whole->frame, &msg, err);
}

static int take_open(struct sb_lane *lane, const struct sb_record *whole, struct sb_err *err)
{
    struct sb_open open;
    sb_arena_reset(lane->scratch);
    if (sb_codec_read_open(lane->codec, whole->body, lane->scratch, &open, err) != 0 ||
        sb_proof_open(lane->proof, &whole->frame, &open, err) != 0)
        return -1;
    SB_INFO("stream epoch begins", SB_NUM("epoch", open.epoch), SB_LSN("base", open.base_commit_lsn));
    return 0;
}

static int take_commit(struct sb_lane *lane, const struct sb_record *whole, struct sb_err *err)
{
    struct sb_commit commit;
    bool repeat;
    if (sb_codec_read_commit(lane->codec, whole->body, &commit, err) != 0 ||
        sb_proof_commit(lane->proof, &whole->frame, &commit, &repeat, err) != 0)
        return -1;
    if (repeat) {
        sb_batch_abandon(&lane->batch);
        return 0;
    }
    pass_stamps(lane, &whole->frame);
    struct sb_batch_txn txn = {.xid = commit.xid,
        .commit_us = commit.commit_us,
        .timeline = whole->frame.timeline,
        .position = sb_proof_position(lane->proof),
        .next_offset = whole->offset + 1};
    if (lane->large)
        return commit_large(lane, &txn, err);
    if (sb_batch_commit(&lane->batch, &txn, err) != 0)
        return -1;
    return batch_is_full(lane) ? sb_lane_flush(lane, err) : 0;
}

static int take_whole(struct sb_lane *lane, const struct sb_record *whole, bool repeat, struct sb_err *err)
{
    switch (whole->frame.kind) {
    case SB_KIND_OPEN:
        return take_open(lane, whole, err);
    case SB_KIND_SCHEMA:
        return sb_codec_learn(lane->codec, whole->body, NULL, err);
    case SB_KIND_CHANGE:
        return take_change(lane, whole, repeat, err);
    case SB_KIND_MESSAGE:
        return take_message(lane, whole, err);
    case SB_KIND_COMMIT:
        return take_commit(lane, whole, err);
    case SB_KIND_IMAGE:
    case SB_KIND_PART:
        break;
    }
    return sb_err_set(err, SB_E_LOG_FORMAT, "a record of kind \"%s\" is not known to this version",
        sb_kind_name(whole->frame.kind));
}

int sb_lane_take(struct sb_lane *lane, const struct sb_record *record, struct sb_err *err)
{
    struct sb_record whole;
    enum sb_verdict verdict;
    lane->taken++;
    if (sb_proof_frame(lane->proof, &record->frame, &verdict, err) != 0)
        return sb_err_add(err, "stream offset %lld", (long long)record->offset);
    if (verdict == SB_VERDICT_DROP) {
        sb_metric_add(SB_M_APPLY_DROPPED, 1);
        return 0;
    }
    if (verdict == SB_VERDICT_ABANDON)
        abandon(lane);
    int rc = sb_joiner_feed(lane->joiner, record, &whole, err);
    if (rc == SB_JOINER_MORE)
        return 0;
    if (rc == 0)
        rc = take_whole(lane, &whole, verdict == SB_VERDICT_REPEAT, err);
    return rc == 0 ? 0 : sb_err_add(err, "stream offset %lld", (long long)record->offset);
}
