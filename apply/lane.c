#include "apply/lane.h"

#include "apply/copied.h"
#include "apply/ddl.h"
#include "apply/delivery.h"
#include "apply/judge.h"
#include "apply/recopy.h"
#include "apply/repair.h"
#include "apply/strangers.h"
#include "apply/tables.h"
#include "core/log.h"
#include "core/metrics.h"
#include "pg/ident.h"
#include "schemas/codec.h"
#include "schemas/digest.h"
#include "schemas/signal.h"
#include "stream/parts.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 8192 };

struct sb_lane {
    const struct sb_config *config;
    enum sb_direction direction;
    enum sb_lane_number number;
    struct sb_conn *conn; /* the caller's */
    struct sb_aside *aside;
    struct sb_delivery *delivery;
    struct sb_batch *batch; /* the delivery's */
    struct sb_tables *tables;
    struct sb_ddl_desk *ddl;
    struct sb_repair_desk *repair;
    struct sb_judge judge;
    struct sb_codec *codec;
    struct sb_proof *proof;
    struct sb_joiner *joiner;
    struct sb_arena *scratch; /* lifetime: a record that is not gathered */
    struct sb_flight flight;
    struct sb_canary canary;      /* of the transaction in flight */
    struct sb_suspects *suspects; /* NULL: none was met */
    bool forked;                  /* what the stamps show may be lost */
    struct sb_strangers *strangers;
    struct sb_buf stranger; /* a table that was met and is to be copied first; empty: none */
    bool passed;            /* the stamps, and it is written down */
    uint64_t newest_lsn;    /* of the commit that the newest record belongs to */
    uint64_t taken;
};

/* -- life
 * ---------------------------------------------------------------------------------------------------- */

static int lane_build(
    struct sb_lane *lane, enum sb_direction direction, struct sb_conn *conn, struct sb_err *err)
{
    if (sb_aside_read(conn, lane->config->migration, sb_direction_name(direction), lane->number, &lane->aside,
            err) != 0 ||
        sb_delivery_new(lane->config, direction, lane->number, conn, &lane->delivery, err) != 0)
        return -1;
    const struct sb_progress *progress = sb_delivery_progress(lane->delivery);
    lane->batch = sb_delivery_batch(lane->delivery);
    lane->newest_lsn = progress->position.commit_lsn;
    sb_buf_init(&lane->stranger, NAME_MAX_BYTES);
    if (sb_judge_init(&lane->judge, conn, progress, lane->aside, err) != 0 ||
        (lane->number == SB_LANE_MAIN && sb_strangers_new(conn, progress, &lane->strangers, err) != 0) ||
        sb_tables_new(conn, sb_delivery_writer(lane->delivery), lane->config->ddl.policy != SB_DDL_IGNORE,
            &lane->tables, err) != 0 ||
        sb_ddl_desk_new(
            lane->config, direction, lane->delivery, lane->tables, lane->aside, conn, &lane->ddl, err) != 0 ||
        sb_repair_desk_new(lane->config, direction, lane->delivery, lane->aside, conn, &lane->repair, err) !=
            0 ||
        sb_codec_new(&lane->codec, err) != 0)
        return -1;
    lane->proof = sb_proof_new(&progress->stream, 0, &progress->position, err);
    if (lane->proof == NULL)
        return -1;
    lane->joiner = sb_joiner_new(SB_ROW_MAX_BYTES * 2);
    lane->scratch = sb_arena_new("record", 3 * SB_ROW_MAX_BYTES);
    if (lane->joiner == NULL || lane->scratch == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a lane");
    return 0;
}

int sb_lane_new(const struct sb_config *config, enum sb_direction direction, enum sb_lane_number number,
    struct sb_conn *conn, struct sb_lane **ret_lane, struct sb_err *err)
{
    struct sb_lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a lane");
    lane->config = config;
    lane->direction = direction;
    lane->number = number;
    lane->conn = conn;
    if (lane_build(lane, direction, conn, err) != 0) {
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
    sb_aside_free(lane->aside);
    sb_ddl_desk_free(lane->ddl);
    sb_repair_desk_free(lane->repair);
    sb_tables_free(lane->tables);
    sb_delivery_free(lane->delivery);
    sb_judge_clear(&lane->judge);
    sb_proof_free(lane->proof);
    sb_joiner_free(lane->joiner);
    sb_codec_free(lane->codec);
    sb_arena_free(lane->scratch);
    sb_suspects_free(lane->suspects);
    sb_strangers_free(lane->strangers);
    sb_buf_clear(&lane->stranger);
    free(lane);
}

const struct sb_progress *sb_lane_progress(const struct sb_lane *lane)
{
    return sb_delivery_progress(lane->delivery);
}

bool sb_lane_stops_for_copy(const struct sb_lane *lane)
{
    return sb_ddl_desk_wishes(lane->ddl) && !sb_delivery_is_large(lane->delivery);
}

bool sb_lane_stands(const struct sb_lane *lane)
{
    return sb_ddl_desk_stands(lane->ddl);
}

size_t sb_lane_aside(const struct sb_lane *lane)
{
    return sb_aside_count(lane->aside);
}

bool sb_lane_observes(const struct sb_lane *lane)
{
    return sb_delivery_observes(lane->delivery);
}

bool sb_lane_is_still(const struct sb_lane *lane)
{
    return !sb_delivery_is_large(lane->delivery) && lane->batch->change_count == 0 &&
           lane->batch->txn_count == 0;
}

bool sb_lane_has_whole(const struct sb_lane *lane)
{
    return lane->batch->txn_count > 0;
}

bool sb_lane_is_large(const struct sb_lane *lane)
{
    return sb_delivery_is_large(lane->delivery);
}

uint64_t sb_lane_gathered_lsn(const struct sb_lane *lane)
{
    const struct sb_batch *batch = lane->batch;
    return batch->txn_count == 0 ? sb_lane_progress(lane)->position.commit_lsn
                                 : batch->txns[batch->txn_count - 1].position.commit_lsn;
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
    const struct sb_position *position = &sb_lane_progress(lane)->position;
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
    sb_writer_meanwhile(sb_delivery_writer(lane->delivery), fn, arg);
}

int sb_lane_flush(struct sb_lane *lane, struct sb_err *err)
{
    return sb_delivery_flush(lane->delivery, err);
}

/* -- target tables
 * ------------------------------------------------------------------------------------------- */

static int truncated_relations(struct sb_lane *lane, struct sb_batch_change *change, struct sb_err *err)
{
    uint16_t count = change->chg.truncated_count;
    const struct sb_apply_rel **rels = sb_arena_alloc(lane->batch->arena, (count + 1u) * sizeof(void *));
    if (rels == NULL)
        return sb_err_set(err, SB_E_LIMIT, "the batch arena is full");
    for (uint16_t i = 0; i < count; i++)
        if (sb_tables_of(lane->tables, change->chg.truncated[i], &rels[i], err) != 0)
            return -1;
    change->truncated_rels = rels;
    return 0;
}

/* An observer looks the owner's row up where it can; where there is no such table there is no row. */
static int observed_relation(struct sb_lane *lane, struct sb_batch_change *change, struct sb_err *err)
{
    if (change->chg.op == SB_OP_TRUNCATE ||
        sb_tables_of(lane->tables, change->chg.rel, &change->rel, err) == 0)
        return 0;
    return sb_err_class(err) == SB_CLASS_DATA ? 0 : -1;
}

/* The target's tables of a change, and room in them; a transaction that is to be skipped needs none. */
static int change_relations(struct sb_lane *lane, struct sb_batch_change *change, struct sb_err *err)
{
    if (sb_delivery_observes(lane->delivery))
        return observed_relation(lane, change, err);
    if (sb_delivery_skips(lane->delivery, lane->flight.commit_lsn, lane->flight.xid))
        return 0;
    if (change->chg.op == SB_OP_TRUNCATE)
        return truncated_relations(lane, change, err);
    const struct sb_ddl_at at = {.flight = &lane->flight, .ordinal = change->ordinal, .rel = change->chg.rel};
    if (sb_ddl_stood_at(lane->ddl, &at) && sb_ddl_look_again(lane->ddl, &at, err) != 0)
        return -1;
    if (sb_tables_of(lane->tables, change->chg.rel, &change->rel, err) != 0)
        return -1;
    return sb_apply_holds(change->rel, change->chg.after, err);
}

/* The target's table is not one that could take the change. */
static int stop_at_relation(struct sb_lane *lane, const struct sb_batch_change *change, struct sb_err *err)
{
    const struct sb_ddl_at at = {.flight = &lane->flight,
        .ordinal = change->ordinal,
        .rel = change->chg.rel != NULL ? change->chg.rel : change->chg.truncated[0]};
    return err->code == SB_E_RELATION_CHANGED ? sb_ddl_changed(lane->ddl, &at, err)
                                              : sb_delivery_stop(lane->delivery, &lane->flight, change, err);
}

static bool batch_is_full(const struct sb_lane *lane)
{
    return sb_arena_used(lane->batch->arena) >= (size_t)lane->config->apply.batch_max_bytes ||
           lane->batch->change_count >= (size_t)lane->config->apply.batch_max_rows;
}

/* -- the survey ------------------------------------------------------------------------------------------ */

bool sb_lane_surveys(const struct sb_lane *lane)
{
    return lane->suspects != NULL;
}

bool sb_lane_survey_is_over(const struct sb_lane *lane)
{
    return lane->forked || lane->stranger.len > 0 || sb_suspects_count(lane->suspects) == SB_SUSPECTS_MAX;
}

int sb_lane_pass(struct sb_lane *lane, struct sb_err *err)
{
    const struct sb_progress *progress = sb_lane_progress(lane);
    if (lane->passed || lane->judge.stamps == NULL || lane->judge.active ||
        sb_delivery_is_large(lane->delivery) ||
        !sb_stamps_passed(lane->judge.stamps, progress->position.commit_lsn, progress->timeline))
        return 0;
    lane->passed = true;
    return sb_copied_pass(lane->conn, progress, lane->aside, err);
}

int sb_lane_follow_repair(struct sb_lane *lane, struct sb_err *err)
{
    return sb_repair_desk_follow(lane->repair, lane->newest_lsn, err);
}

int sb_lane_ask_again(struct sb_lane *lane, struct sb_err *err)
{
    if (lane->forked) {
        SB_WARN("the source failed over before all that was copied had been passed; it is copied again");
        return sb_recopy_ask_unpassed(lane->conn, sb_lane_progress(lane), lane->aside, err);
    }
    if (lane->stranger.len > 0)
        return sb_recopy_ask_table(lane->conn, sb_lane_progress(lane), sb_buf_str(&lane->stranger), err);
    SB_INFO("rows moved between chunks with values that did not travel; they are copied again",
        SB_NUM("keys", sb_suspects_count(lane->suspects)));
    return sb_recopy_ask(lane->conn, sb_lane_progress(lane), lane->suspects, err);
}

/* What came before this transaction is written; of it nothing is. chg: NULL where there is no key to look
 * for.
 */
static int survey_begin(
    struct sb_lane *lane, const struct sb_frame *frame, const struct sb_change *chg, struct sb_err *err)
{
    lane->suspects = sb_suspects_new();
    if (lane->suspects == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the keys of rows to be read again");
    if ((chg != NULL && sb_judge_survey(&lane->judge, frame, chg, lane->suspects, err) != 0) ||
        (!sb_delivery_is_large(lane->delivery) && sb_lane_flush(lane, err) != 0))
        return -1;
    sb_delivery_abandon(lane->delivery);
    return 0;
}

/* -- records
 * ------------------------------------------------------------------------------------------------- */

/* What came before is written, then the lane stops here. */
static int stop_unjudged(struct sb_lane *lane, struct sb_err *err)
{
    struct sb_err flush_err;
    if (!sb_delivery_is_large(lane->delivery) && sb_lane_flush(lane, &flush_err) != 0)
        *err = flush_err;
    return -1;
}

/* The first change of a table that was published when the copy was complete: its rows come first. */
static int meets_stranger(struct sb_lane *lane, const struct sb_change *chg, struct sb_err *err)
{
    uint16_t count = chg->op == SB_OP_TRUNCATE ? chg->truncated_count : 1;
    for (uint16_t i = 0; i < count && lane->stranger.len == 0; i++) {
        const struct sb_relation *rel = chg->op == SB_OP_TRUNCATE ? chg->truncated[i] : chg->rel;
        bool is = false;
        if (sb_strangers_is(lane->strangers, rel, &is, err) != 0)
            return -1;
        if (is)
            sb_ident_put_table(&lane->stranger, rel->schema, rel->name);
    }
    return 0;
}

static struct sb_ring_at ring_at(const struct sb_frame *frame)
{
    return (struct sb_ring_at){
        .commit_lsn = frame->commit_lsn, .xid = frame->xid, .timeline = frame->timeline};
}

static int take_change(struct sb_lane *lane, const struct sb_record *whole, bool repeat, struct sb_err *err)
{
    struct sb_batch_change change = {.ordinal = whole->frame.ordinal};
    bool kept = !repeat && lane->suspects == NULL;
    struct sb_arena *arena = kept ? lane->batch->arena : lane->scratch;
    if (!kept)
        sb_arena_reset(arena);
    if (sb_codec_read_change(lane->codec, whole->body, arena, &change.chg, NULL, err) != 0 ||
        sb_proof_change(lane->proof, &whole->frame, &change.chg, err) != 0)
        return -1;
    if (repeat)
        return 0;
    const struct sb_ring_at place = ring_at(&whole->frame);
    lane->newest_lsn = place.commit_lsn;
    sb_repair_desk_note(lane->repair, &place, &change.chg);
    if (lane->suspects != NULL && sb_lane_survey_is_over(lane))
        return 0;
    if (lane->suspects != NULL)
        return sb_judge_survey(&lane->judge, &whole->frame, &change.chg, lane->suspects, err);
    lane->flight = (struct sb_flight){.commit_lsn = whole->frame.commit_lsn, .xid = whole->frame.xid};
    enum sb_judged judged;
    bool others = false; /* an observer writes nothing: it looks at everything */
    if (!sb_delivery_observes(lane->delivery) &&
        sb_aside_leaves_out(lane->aside, &change.chg, lane->batch->arena, &others, &change.split, err) != 0)
        return -1;
    if (others)
        return batch_is_full(lane) ? sb_delivery_grow(lane->delivery, &lane->flight, err) : 0;
    if (meets_stranger(lane, &change.chg, err) != 0)
        return -1;
    lane->forked = sb_judge_is_forked(&lane->judge, &whole->frame);
    if (lane->forked || lane->stranger.len > 0)
        return survey_begin(lane, &whole->frame, NULL, err);
    sb_judge_pass(&lane->judge, &whole->frame);
    if (sb_judge_change(&lane->judge, &whole->frame, &change, lane->batch->arena, &judged, err) != 0)
        return stop_unjudged(lane, err);
    if (judged == SB_JUDGED_SUSPECT)
        return survey_begin(lane, &whole->frame, &change.chg, err);
    if (judged == SB_JUDGED_SKIP)
        sb_metric_add(SB_M_APPLY_COPIED, 1);
    else if (change_relations(lane, &change, err) != 0)
        return stop_at_relation(lane, &change, err);
    else if (sb_batch_add(lane->batch, &change, err) != 0)
        return -1;
    const struct sb_ddl_at at = {.flight = &lane->flight, .ordinal = change.ordinal, .rel = change.chg.rel};
    if (sb_ddl_stood_at(lane->ddl, &at))
        return sb_ddl_passes(lane->ddl, &at, err);
    return batch_is_full(lane) ? sb_delivery_grow(lane->delivery, &lane->flight, err) : 0;
}

static void note_canary(struct sb_lane *lane, const struct sb_signal *signal)
{
    if (signal->kind == SB_SIGNAL_CANARY && lane->number == SB_LANE_MAIN &&
        sb_view_eq_str(signal->migration, lane->config->migration) &&
        sb_view_eq_str(signal->direction, sb_direction_name(lane->direction)))
        lane->canary = (struct sb_canary){signal->epoch, signal->number, signal->sent_us};
}

/* Before the transaction in flight. */
static int stand(struct sb_lane *lane, struct sb_err *err)
{
    if (!sb_delivery_is_large(lane->delivery) && sb_lane_flush(lane, err) != 0)
        return -1;
    sb_delivery_abandon(lane->delivery);
    return 0;
}

/* A message that asks for something, of the transaction in flight. */
static int obey(
    struct sb_lane *lane, const struct sb_frame *frame, const struct sb_signal *signal, struct sb_err *err)
{
    const struct sb_ring_at place = ring_at(frame);
    lane->flight = (struct sb_flight){.commit_lsn = frame->commit_lsn, .xid = frame->xid};
    if (signal->kind == SB_SIGNAL_IMAGE) {
        if (!sb_judge_is_forked(&lane->judge, frame))
            sb_judge_pass(&lane->judge, frame);
        return sb_repair_take(lane->repair, &place, signal->body, !lane->judge.active, lane->scratch, err);
    }
    sb_repair_desk_note(lane->repair, &place, NULL);
    if (sb_delivery_observes(lane->delivery))
        return 0;
    if (sb_ddl_take(lane->ddl, &lane->flight, frame->ordinal, signal->body, lane->scratch, err) != 0)
        return -1;
    return sb_lane_stands(lane) ? stand(lane, err) : 0;
}

static int take_message(struct sb_lane *lane, const struct sb_record *whole, bool repeat, struct sb_err *err)
{
    struct sb_message msg;
    sb_arena_reset(lane->scratch);
    if (sb_codec_read_message(lane->codec, whole->body, lane->scratch, &msg, err) != 0)
        return -1;
    if (sb_proof_message(lane->proof, &whole->frame, &msg, err) != 0)
        return -1;
    struct sb_signal signal = sb_signal_read(&msg);
    if (repeat)
        return 0;
    note_canary(lane, &signal);
    lane->newest_lsn = whole->frame.commit_lsn;
    if (lane->suspects != NULL || lane->number != SB_LANE_MAIN ||
        (signal.kind != SB_SIGNAL_DDL && signal.kind != SB_SIGNAL_IMAGE))
        return 0;
    return obey(lane, &whole->frame, &signal, err);
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
        sb_batch_abandon(lane->batch);
        return 0;
    }
    lane->newest_lsn = commit.commit_lsn;
    if (lane->suspects == NULL && sb_judge_is_forked(&lane->judge, &whole->frame)) {
        lane->forked = true;
        return survey_begin(lane, &whole->frame, NULL, err);
    }
    if (lane->suspects != NULL)
        return 0;
    sb_judge_pass(&lane->judge, &whole->frame);
    struct sb_batch_txn txn = {.xid = commit.xid,
        .commit_us = commit.commit_us,
        .timeline = whole->frame.timeline,
        .position = sb_proof_position(lane->proof),
        .next_offset = whole->offset + 1,
        .canary = lane->canary};
    lane->canary = (struct sb_canary){0};
    if (sb_delivery_is_large(lane->delivery))
        return sb_delivery_commit_large(lane->delivery, &lane->flight, &txn, err);
    if (sb_batch_commit(lane->batch, &txn, err) != 0)
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
        return take_message(lane, whole, repeat, err);
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
    if (verdict == SB_VERDICT_ABANDON) {
        sb_joiner_reset(lane->joiner);
        lane->canary = (struct sb_canary){0};
        sb_delivery_abandon(lane->delivery);
    }
    int rc = sb_joiner_feed(lane->joiner, record, &whole, err);
    if (rc == SB_JOINER_MORE)
        return 0;
    if (rc == 0)
        rc = take_whole(lane, &whole, verdict == SB_VERDICT_REPEAT, err);
    return rc == 0 ? 0 : sb_err_add(err, "stream offset %lld", (long long)record->offset);
}
