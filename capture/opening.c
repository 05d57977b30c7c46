#include "capture/opening.h"

#include "capture/holder.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"
#include "schemas/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OPEN_ARENA_BYTES = 1 << 16 };

/* -- the stream --------------------------------------------------------------------------------------------
 */

static int read_recorded(void *arg, struct sb_view key, struct sb_view value, struct sb_err *err)
{
    uint64_t *recorded = arg;
    struct sb_cursor cur = sb_cursor(value);
    if (!sb_view_eq_str(key, SB_CONTROL_RECORDED))
        return 0;
    *recorded = sb_cursor_u64(&cur);
    return sb_cursor_done(&cur) ? 0
                                : sb_err_set(err, SB_E_LOG_CORRUPT,
                                      "the control entry \"" SB_CONTROL_RECORDED "\" is malformed");
}

/* Every incarnation says in its `open` from which server it captures; the newest lies beside the log. */
static int read_known_source(void *arg, struct sb_view key, struct sb_view value, struct sb_err *err)
{
    struct sb_opening *op = arg;
    struct sb_cursor cur = sb_cursor(value);
    struct sb_open open;
    if (!sb_view_eq_str(key, SB_CONTROL_OPEN))
        return 0;
    struct sb_arena *arena = sb_arena_new("known source", OPEN_ARENA_BYTES);
    if (arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory to read a control entry");
    sb_cursor_u64(&cur); /* its offset */
    int rc = sb_codec_read_open(op->codec, sb_cursor_bytes(&cur, sb_cursor_left(&cur)), arena, &open, err);
    if (rc == 0)
        op->known_source = (struct sb_known_source){open.system_identifier, open.database_oid};
    sb_arena_free(arena);
    return rc;
}

static int open_stream(struct sb_opening *op, struct sb_err *err)
{
    if (sb_stream_open(&op->stream_options, SB_STREAM_WRITE, &op->stream, err) != 0 ||
        sb_codec_new(&op->codec, err) != 0 ||
        sb_stream_control_each(op->stream, sb_view_str(SB_CONTROL_OPEN), read_known_source, op, err) != 0)
        return -1;
    return 0;
}

/* -- source and target -------------------------------------------------------------------------------------
 */

static int check_stream_is_ours(const struct sb_opening *op, struct sb_err *err)
{
    struct sb_uuid uuid = sb_stream_uuid(op->stream);
    const struct sb_capture_row *row = &op->identity.row;
    char ours[SB_UUID_TEXT_BYTES], theirs[SB_UUID_TEXT_BYTES];
    if (!sb_uuid_eq(&uuid, &row->stream_uuid))
        return sb_err_set(err, SB_E_LOG_FOREIGN, "the stream is %s; the source was prepared for %s",
            sb_uuid_text(&uuid, theirs), sb_uuid_text(&row->stream_uuid, ours));
    bool named = op->tail.highest_epoch == row->epoch && row->epoch != 0;
    static const struct sb_uuid nobody;
    if (named && !sb_uuid_eq(&op->tail.incarnation, &nobody) &&
        !sb_uuid_eq(&op->tail.incarnation, &row->incarnation))
        return sb_err_set(err, SB_E_EPOCH_CLASH,
            "epoch %" PRIu64
            " was claimed by one incarnation on the source and opened by another in the stream",
            row->epoch);
    return 0;
}

static int open_source(struct sb_opening *op, struct sb_err *err)
{
    struct sb_conn *conn = NULL;
    if (sb_conn_open(&op->source_endpoint, op->purpose_sql, SB_CONN_LOCAL_COMMIT, &conn, err) != 0)
        return -1;
    if (sb_identity_prove(conn, op->config->migration, op->direction, &op->names, &op->known_source,
            &op->identity, err) != 0) {
        sb_conn_close(conn);
        return -1;
    }
    if (sb_source_new(conn, op->config->migration, op->direction, &op->names, &op->source, err) != 0)
        return -1;
    return 0;
}

/* Where the stream ends. Not before the slot is free: until then whoever holds it may append. */
static int read_stream(struct sb_opening *op, struct sb_err *err)
{
    if (sb_tail_find(op->stream, op->codec, &op->tail, err) != 0 ||
        sb_stream_control_each(
            op->stream, sb_view_str(SB_CONTROL_RECORDED), read_recorded, &op->recorded_lsn, err) != 0)
        return -1;
    return check_stream_is_ours(op, err);
}

static int ask_target(struct sb_opening *op, enum sb_direction direction, struct sb_err *err)
{
    struct sb_target_options options = {.endpoint = sb_wiring_target(op->config, direction),
        .purpose = op->purpose_sql,
        .migration = op->config->migration,
        .direction = op->direction,
        .stream_uuid = op->identity.row.stream_uuid,
        .source_uuid = op->identity.source_uuid,
        .target_uuid = op->identity.row.target_uuid,
        .interval_ms = op->config->capture.feedback_interval_ms};
    op->target = sb_target_new(&options);
    if (op->target == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the session with the target");
    return sb_target_ask(op->target, &op->progress, &op->progress_known, err);
}

/* -- the slot ----------------------------------------------------------------------------------------------
 */

static int start_sender(struct sb_opening *op, struct sb_err *err)
{
    struct sb_walsender_options options = {.slot = op->names.slot,
        .publications = op->identity.publications,
        .publication_count = op->identity.publication_count};
    if (sb_walsender_open(&op->source_endpoint, op->purpose, &op->sender, err) != 0)
        return -1;
    return sb_walsender_start(op->sender, &options, err);
}

static int wait_for_slot(struct sb_opening *op, bool (*stop)(void), struct sb_err *err)
{
    struct sb_conn *conn = sb_source_conn(op->source);
    if (sb_identity_slot(conn, op->names.slot, &op->slot, err) != 0)
        return -1;
    return op->slot.active_pid == 0 ? 0 : sb_holder_wait(conn, op->names.slot, op->purpose, stop, err);
}

/* Position and health are read again while the slot is ours, for only then can nobody move it; and nobody
 * must have had it since the stream and the target were asked. */
static int hold_slot(struct sb_opening *op, struct sb_err *err)
{
    struct sb_conn *conn = sb_source_conn(op->source);
    const char *slot = op->names.slot;
    if (start_sender(op, err) != 0 || sb_identity_slot(conn, slot, &op->slot, err) != 0)
        return -1;
    int pid = sb_walsender_backend_pid(op->sender);
    if (op->slot.active_pid != pid)
        return sb_err_set(err, SB_E_SLOT_BUSY, "slot \"%s\" is in use by process %d, not by our %d", slot,
            op->slot.active_pid, pid);
    return sb_identity_refresh(conn, op->config->migration, op->direction, &op->identity, err);
}

/* -- where to go on ----------------------------------------------------------------------------------------
 */

static int check_not_behind(const struct sb_opening *op, uint64_t lsn, const char *who, struct sb_err *err)
{
    char end[SB_LSN_TEXT_BYTES], have[SB_LSN_TEXT_BYTES];
    if (lsn <= op->identity.insert_lsn)
        return 0;
    return sb_err_set(err, SB_E_SOURCE_REWOUND, "the source's WAL ends at %s, but %s has its commit at %s",
        sb_lsn_text(op->identity.insert_lsn, end), who, sb_lsn_text(lsn, have));
}

static int decide(struct sb_opening *op, struct sb_err *err)
{
    struct sb_start_facts facts = {.slot_began = op->identity.row.start_lsn,
        .confirmed = op->slot.confirmed_lsn,
        .tail = op->tail.position.commit_lsn,
        .recorded = op->recorded_lsn,
        .progress_known = op->progress_known,
        .progress = op->progress.commit_lsn};
    if (check_not_behind(op, facts.tail, "the stream", err) != 0 ||
        (facts.progress_known && check_not_behind(op, facts.progress, "the target", err) != 0))
        return -1;
    op->start = sb_start_decide(&facts);
    if (op->start >= SB_START_WAIT)
        return sb_start_error(op->start, &facts, op->names.slot, err);
    if (op->start == SB_START_HOLE && op->progress.timeline != op->identity.server.timeline)
        return sb_err_set(err, SB_E_SOURCE_REWOUND,
            "the stream lost commits that the target has, and the source has changed to timeline %u since "
            "(it was "
            "%u): that it still has them cannot be proven",
            op->identity.server.timeline, op->progress.timeline);
    return 0;
}

static uint64_t highest_epoch(const struct sb_opening *op)
{
    uint64_t epoch = op->identity.row.epoch;
    if (op->tail.highest_epoch > epoch)
        epoch = op->tail.highest_epoch;
    if (op->progress_known && op->progress.epoch > epoch)
        epoch = op->progress.epoch;
    return epoch;
}

static void say_base(struct sb_opening *op)
{
    struct sb_open *open = &op->open;
    const struct sb_position *tail = &op->tail.position;
    if (op->start == SB_START_HOLE) {
        open->base_commit_lsn = op->progress.commit_lsn;
        open->base_sequence = op->progress.sequence;
        open->base_chain = op->progress.chain;
        /* 0 would say that there is no hole; the slot began before anything was lost. */
        open->hole_from_lsn = tail->commit_lsn != 0 ? tail->commit_lsn : op->identity.row.start_lsn;
    } else {
        open->base_commit_lsn = tail->commit_lsn;
        open->base_sequence = tail->sequence;
        open->base_chain = tail->chain;
    }
}

static int claim(struct sb_opening *op, struct sb_err *err)
{
    struct sb_open *open = &op->open;
    *open = (struct sb_open){.epoch = highest_epoch(op) + 1,
        .start_lsn = op->slot.confirmed_lsn,
        .system_identifier = op->identity.server.system_identifier,
        .timeline = op->identity.server.timeline,
        .database_oid = op->identity.server.database_oid,
        .source_uuid = op->identity.source_uuid,
        .server_version_num = (uint32_t)op->identity.server_version,
        .program = sb_view_str("switchback " SB_VERSION)};
    say_base(op);
    if (!sb_uuid_random(&open->incarnation))
        return sb_err_set(err, SB_E_IO, "the kernel gave no random bytes");
    SB_FAULT("capture-before-claim");
    if (sb_identity_claim(sb_source_conn(op->source), op->config->migration, op->direction,
            op->identity.row.epoch, open->epoch, &open->incarnation, err) != 0)
        return -1;
    SB_FAULT("capture-after-claim");
    return 0;
}

static int begin_overlap(struct sb_opening *op, struct sb_err *err)
{
    bool hole = op->start == SB_START_HOLE;
    struct sb_overlap_facts facts = {.slot_began = op->identity.row.start_lsn,
        .confirmed = op->slot.confirmed_lsn,
        .until = op->open.base_commit_lsn,
        .until_chain = op->open.base_chain};
    if (op->start == SB_START_FRESH)
        return 0;
    return sb_overlap_new(hole ? NULL : &op->stream_options, op->codec, &facts, &op->overlap, err);
}

/* -- all of it ---------------------------------------------------------------------------------------------
 */

static void log_start(const struct sb_opening *op)
{
    char uuid[SB_UUID_TEXT_BYTES];
    SB_INFO("capture holds the slot", SB_STR("start", sb_start_name(op->start)),
        SB_NUM("epoch", op->open.epoch), SB_LSN("confirmed", op->slot.confirmed_lsn),
        SB_LSN("tail", op->tail.position.commit_lsn),
        SB_LSN("progress", op->progress_known ? op->progress.commit_lsn : 0),
        SB_STR("stream", sb_uuid_text(&op->identity.row.stream_uuid, uuid)),
        SB_NUM("server_version", op->identity.server_version));
}

static int check_stop(bool (*stop)(void), struct sb_err *err)
{
    return stop() ? sb_err_set(err, SB_E_SHUTDOWN, "told to stop while starting") : 0;
}

static int run(struct sb_opening *op, enum sb_direction direction, bool (*stop)(void), struct sb_err *err)
{
    if (open_stream(op, err) != 0 || check_stop(stop, err) != 0 || open_source(op, err) != 0 ||
        check_stop(stop, err) != 0 || wait_for_slot(op, stop, err) != 0 || check_stop(stop, err) != 0 ||
        read_stream(op, err) != 0 || ask_target(op, direction, err) != 0 || check_stop(stop, err) != 0 ||
        hold_slot(op, err) != 0 || decide(op, err) != 0 || claim(op, err) != 0 || begin_overlap(op, err) != 0)
        return -1;
    log_start(op);
    return 0;
}

int sb_opening_run(struct sb_opening *op, const struct sb_config *config, enum sb_direction direction,
    bool (*stop)(void), struct sb_err *err)
{
    memset(op, 0, sizeof *op);
    op->config = config;
    op->direction = sb_direction_name(direction);
    op->source_endpoint = sb_wiring_source(config, direction);
    sb_wiring_names(config, direction, &op->names);
    sb_wiring_stream(config, direction, op->path, &op->stream_options);
    snprintf(op->purpose, sizeof op->purpose, "switchback %s capture %s", config->migration, op->direction);
    snprintf(op->purpose_sql, sizeof op->purpose_sql, "%.59s sql", op->purpose);
    if (run(op, direction, stop, err) == 0)
        return 0;
    sb_opening_clear(op);
    return -1;
}

void sb_opening_clear(struct sb_opening *op)
{
    sb_walsender_close(op->sender);
    sb_source_free(op->source);
    sb_target_free(op->target);
    sb_overlap_free(op->overlap);
    sb_codec_free(op->codec);
    sb_stream_close(op->stream);
    memset(op, 0, sizeof *op);
}
