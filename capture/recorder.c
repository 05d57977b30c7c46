#include "capture/recorder.h"

#include "core/clock.h"
#include "core/fault.h"
#include "core/map.h"
#include "schemas/digest.h"
#include "stream/parts.h"
#include "stream/tail.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SCHEMAS_MAX = 1 << 20,
    CONTROL_MAX_BYTES = 1 << 16,
    KEY_BYTES = 32,
    OPEN_RETRY_MS = 20,
    RECENT_SLOTS = 64
};

struct sb_recorder {
    struct sb_stream *stream;
    struct sb_codec *codec;
    struct sb_digester *digester;
    struct sb_map *sent;           /* schema ids this incarnation has sent; values mean nothing */
    uint32_t recent[RECENT_SLOTS]; /* some of them, by their low bits: most changes are of few tables */
    size_t record_max;
    struct sb_frame base; /* what all frames of this incarnation have in common; epoch 0: mute */
    uint64_t sequence;
    uint64_t ticket;
    struct sb_digest chain;
    /* The transaction. */
    uint64_t commit_lsn;
    uint64_t xid;
    int64_t commit_us;
    uint64_t count;
    /* The record being appended, while the stream is busy. */
    uint32_t part_next;
    uint64_t whole_hash;
    uint32_t control_id; /* schema id last put into the control table */
    bool encoded;        /* key and body hold the change or message, and it is in the digest */
    struct sb_view key;
    struct sb_view body;
};

int sb_recorder_new(
    struct sb_stream *stream, struct sb_codec *codec, struct sb_recorder **ret_recorder, struct sb_err *err)
{
    struct sb_recorder *rec = calloc(1, sizeof *rec);
    if (rec == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the recorder");
    rec->stream = stream;
    rec->codec = codec;
    rec->record_max = sb_stream_record_max(stream);
    rec->digester = sb_digester_new();
    rec->sent = sb_map_new(SCHEMAS_MAX);
    if (rec->digester == NULL || rec->sent == NULL) {
        sb_recorder_free(rec);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the recorder");
    }
    *ret_recorder = rec;
    return 0;
}

void sb_recorder_free(struct sb_recorder *rec)
{
    if (rec == NULL)
        return;
    sb_digester_free(rec->digester);
    sb_map_free(rec->sent);
    free(rec);
}

bool sb_recorder_is_open(const struct sb_recorder *rec)
{
    return rec->base.epoch != 0;
}

uint64_t sb_recorder_count(const struct sb_recorder *rec)
{
    return rec->count;
}

uint64_t sb_recorder_sequence(const struct sb_recorder *rec)
{
    return rec->sequence;
}

uint64_t sb_recorder_ticket(const struct sb_recorder *rec)
{
    return rec->ticket;
}

/* -- appending ---------------------------------------------------------------------------------------------
 */

/* One record, whole or in parts. Sequence moves once all of it is taken. */
static int put(struct sb_recorder *rec, struct sb_frame *frame, struct sb_view key, struct sb_view body,
    struct sb_err *err)
{
    uint32_t count = sb_parts_count(body.len, rec->record_max);
    if (rec->part_next == 0 && count > 1)
        rec->whole_hash = sb_hash64(body);
    frame->sequence = rec->sequence + 1;
    frame->whole_hash = count > 1 ? rec->whole_hash : 0;
    for (; rec->part_next < count; rec->part_next++) {
        struct sb_record record;
        sb_parts_make(frame, key, body, rec->record_max, rec->part_next, &record);
        SB_FAULT("capture-before-append");
        int rc = sb_stream_append(rec->stream, &record, &rec->ticket, err);
        if (rc != 0)
            return rc;
        SB_FAULT("capture-after-append");
    }
    rec->part_next = 0;
    rec->sequence += count;
    return 0;
}

static struct sb_frame frame_of(const struct sb_recorder *rec, enum sb_kind kind, uint64_t ordinal)
{
    struct sb_frame frame = rec->base;
    frame.kind = kind;
    frame.commit_lsn = rec->commit_lsn;
    frame.xid = rec->xid;
    frame.ordinal = ordinal;
    return frame;
}

/* -- opening -----------------------------------------------------------------------------------------------
 */

static void wait_a_little(void)
{
    poll(NULL, 0, OPEN_RETRY_MS);
}

/* The store may be full, or still sending what the incarnation before left: give it time. */
static int put_patiently(struct sb_recorder *rec, struct sb_frame *frame, struct sb_view body,
    int64_t deadline_ms, struct sb_err *err)
{
    for (;;) {
        int rc = put(rec, frame, sb_view(NULL, 0), body, err);
        if (rc != SB_STREAM_BUSY)
            return rc;
        if (sb_clock_mono_ms() >= deadline_ms)
            return sb_err_set(
                err, SB_E_STREAM_FULL, "the stream takes no record, not even the `open` of this epoch");
        if (sb_stream_service(rec->stream, err) != 0)
            return -1;
        wait_a_little();
    }
}

static int control_open(struct sb_recorder *rec, int64_t offset, struct sb_view body, struct sb_err *err)
{
    struct sb_buf value;
    sb_buf_init(&value, CONTROL_MAX_BYTES);
    sb_buf_put_u64(&value, (uint64_t)offset);
    sb_buf_put_view(&value, body);
    int rc = value.failed
                 ? sb_err_set(err, SB_E_LIMIT, "an open record of %zu bytes", body.len)
                 : sb_stream_control_put(rec->stream, sb_view_str(SB_CONTROL_OPEN), sb_buf_view(&value), err);
    sb_buf_clear(&value);
    return rc;
}

int sb_recorder_open(
    struct sb_recorder *rec, const struct sb_open *open, int64_t timeout_ms, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + timeout_ms;
    struct sb_stream_bounds bounds;
    struct sb_view body;
    if (sb_stream_bounds(rec->stream, &bounds, err) != 0 || sb_codec_open(rec->codec, open, &body, err) != 0)
        return sb_err_add(err, "opening epoch %" PRIu64, open->epoch);
    rec->base = (struct sb_frame){
        .stream = sb_stream_uuid(rec->stream), .epoch = open->epoch, .timeline = open->timeline};
    rec->sequence = open->base_sequence;
    rec->chain = open->base_chain;
    rec->part_next = 0;
    rec->commit_lsn = rec->xid = 0;
    struct sb_frame frame = frame_of(rec, SB_KIND_OPEN, 0);
    SB_FAULT("capture-before-open");
    if (put_patiently(rec, &frame, body, deadline_ms, err) != 0 ||
        sb_stream_flush(rec->stream, timeout_ms, err) != 0)
        return sb_err_add(err, "opening epoch %" PRIu64, open->epoch);
    SB_FAULT("capture-after-open");
    if (control_open(rec, bounds.next, body, err) != 0)
        return sb_err_add(err, "opening epoch %" PRIu64, open->epoch);
    return 0;
}

/* -- relations ---------------------------------------------------------------------------------------------
 */

static int control_schema(struct sb_recorder *rec, uint32_t id, struct sb_view body, struct sb_err *err)
{
    if (rec->control_id == id)
        return 0;
    char key[KEY_BYTES];
    snprintf(key, sizeof key, SB_CONTROL_SCHEMA "%" PRIu32, id);
    if (sb_stream_control_put(rec->stream, sb_view_str(key), body, err) != 0)
        return sb_err_add(err, "schema %" PRIu32, id);
    rec->control_id = id;
    return 0;
}

/* rel's schema travels before its first row in this incarnation. */
static int send_schema(struct sb_recorder *rec, struct sb_relation *rel, struct sb_err *err)
{
    if (rel->schema_id != 0 && sb_map_get(rec->sent, sb_map_key_u32(&rel->schema_id)) != NULL)
        return 0;
    struct sb_view body;
    if (sb_codec_relation(rec->codec, rel, &body, err) != 0)
        return sb_err_add(
            err, "table %.*s.%.*s", (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr);
    if (sb_map_get(rec->sent, sb_map_key_u32(&rel->schema_id)) != NULL)
        return 0; /* described anew, but as before */
    if (control_schema(rec, rel->schema_id, body, err) != 0)
        return -1;
    struct sb_frame frame = frame_of(rec, SB_KIND_SCHEMA, 0);
    int rc = put(rec, &frame, sb_view(NULL, 0), body, err);
    if (rc == 0 && !sb_map_put(rec->sent, sb_map_key_u32(&rel->schema_id), rec, NULL))
        return sb_err_set(err, SB_E_LIMIT, "more than %d schemas in one incarnation", SCHEMAS_MAX);
    return rc;
}

static int send_schemas(struct sb_recorder *rec, const struct sb_pgoutput *decoder,
    const struct sb_change *chg, struct sb_err *err)
{
    if (chg->op != SB_OP_TRUNCATE) {
        uint32_t *recent = &rec->recent[chg->rel->schema_id % RECENT_SLOTS];
        if (*recent == chg->rel->schema_id && *recent != 0)
            return 0;
        int rc = send_schema(rec, sb_pgoutput_relation(decoder, chg->rel->oid), err);
        if (rc == 0)
            *recent = chg->rel->schema_id;
        return rc;
    }
    for (uint16_t i = 0; i < chg->truncated_count; i++) {
        int rc = send_schema(rec, sb_pgoutput_relation(decoder, chg->truncated[i]->oid), err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* -- transactions ------------------------------------------------------------------------------------------
 */

void sb_recorder_begin(struct sb_recorder *rec, uint64_t commit_lsn, uint64_t xid, int64_t commit_us)
{
    rec->commit_lsn = commit_lsn;
    rec->xid = xid;
    rec->commit_us = commit_us;
    rec->count = 0;
    rec->encoded = false;
    sb_digester_reset(rec->digester);
}

/* What was encoded becomes the next of its transaction. */
static int put_encoded(struct sb_recorder *rec, enum sb_kind kind, struct sb_err *err)
{
    struct sb_frame frame = frame_of(rec, kind, rec->count + 1);
    int rc = put(rec, &frame, rec->key, rec->body, err);
    if (rc == 0) {
        rec->encoded = false;
        rec->count++;
    }
    return rc;
}

int sb_recorder_change(struct sb_recorder *rec, const struct sb_pgoutput *decoder,
    const struct sb_change *chg, uint64_t lsn, struct sb_err *err)
{
    if (!sb_recorder_is_open(rec)) {
        sb_digester_change(rec->digester, ++rec->count, chg);
        return 0;
    }
    if (!rec->encoded) {
        int rc = send_schemas(rec, decoder, chg, err);
        if (rc != 0)
            return rc;
        struct sb_change_meta meta = {.lsn = lsn, .xid = rec->xid, .commit_us = rec->commit_us};
        if (sb_codec_change(rec->codec, chg, &meta, &rec->key, &rec->body, err) != 0)
            return -1;
        sb_digester_change(rec->digester, rec->count + 1, chg);
        rec->encoded = true;
    }
    return put_encoded(rec, SB_KIND_CHANGE, err);
}

int sb_recorder_message(struct sb_recorder *rec, const struct sb_message *msg, struct sb_err *err)
{
    if (!sb_recorder_is_open(rec)) {
        sb_digester_message(rec->digester, ++rec->count, msg);
        return 0;
    }
    if (!rec->encoded) {
        if (sb_codec_message(rec->codec, msg, &rec->body, err) != 0)
            return -1;
        rec->key = sb_view(NULL, 0);
        sb_digester_message(rec->digester, rec->count + 1, msg);
        rec->encoded = true;
    }
    return put_encoded(rec, SB_KIND_MESSAGE, err);
}

int sb_recorder_commit(struct sb_recorder *rec, uint64_t end_lsn, struct sb_commit *ret_commit,
    uint64_t *ret_ticket, struct sb_err *err)
{
    struct sb_commit commit = {.commit_lsn = rec->commit_lsn,
        .end_lsn = end_lsn,
        .xid = rec->xid,
        .commit_us = rec->commit_us,
        .count = rec->count,
        .digest = sb_digester_result(rec->digester)};
    uint64_t ticket = 0;
    if (sb_recorder_is_open(rec) && commit.count > 0) {
        struct sb_view body;
        struct sb_frame frame = frame_of(rec, SB_KIND_COMMIT, 0);
        frame.end_lsn = end_lsn;
        commit.chain = sb_digest_chain(&rec->chain, &commit);
        if (sb_codec_commit(rec->codec, &commit, &body, err) != 0)
            return -1;
        SB_FAULT("capture-before-commit-record");
        int rc = put(rec, &frame, sb_view(NULL, 0), body, err);
        if (rc != 0)
            return rc;
        rec->chain = commit.chain;
        ticket = rec->ticket;
    }
    *ret_commit = commit;
    *ret_ticket = ticket;
    return 0;
}
