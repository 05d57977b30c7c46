#include "reconcile/anchor.h"

#include "core/clock.h"
#include "pg/snapshot.h"
#include "schemas/codec.h"
#include "stream/tail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ARENA_MAX_BYTES = 4 * 1024 * 1024,
    PATIENCE_MS = 300, /* most transactions end meanwhile, and nothing has to be looked for */
    PAUSE_US = 20000,
};

struct anchoring {
    struct sb_conn *source;
    struct sb_stream *stream;
    struct sb_codec *codec;
    struct sb_arena *arena;
    uint64_t barrier;           /* B */
    struct sb_snapshot running; /* xids that a snapshot does not show; those below B count */
};

static int barrier_take(struct anchoring *anchoring, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(
            anchoring->source, "SELECT pg_catalog.pg_current_xact_id()::text", 0, NULL, &rows, err) != 0)
        return -1;
    anchoring->barrier = sb_rows_u64(rows, 0, 0);
    return 0;
}

static int snapshot_take(struct anchoring *anchoring, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    sb_arena_reset(anchoring->arena);
    if (sb_conn_query(anchoring->source,
            "SELECT pg_catalog.pg_current_snapshot()::text, pg_catalog.pg_is_in_recovery()", 0, NULL, &rows,
            err) != 0)
        return -1;
    if (sb_rows_bool(rows, 0, 1))
        return sb_err_set(err, SB_E_STAMP_FROM_STANDBY, "the source is in recovery: it is a standby");
    if (!sb_snapshot_parse(sb_rows_get(rows, 0, 0), anchoring->arena, &anchoring->running) ||
        anchoring->running.xmax <= anchoring->barrier)
        return sb_err_set(err, SB_E_PROTOCOL, "the source gave no snapshot that can be read");
    return 0;
}

static bool is_awaited(const struct anchoring *anchoring, uint64_t xid)
{
    return xid < anchoring->barrier && !sb_snapshot_sees(&anchoring->running, xid);
}

static bool anybody_awaited(const struct anchoring *anchoring)
{
    return anchoring->running.xip_count > 0 && anchoring->running.xip[0] < anchoring->barrier;
}

/* -- in the stream --------------------------------------------------------------------------------------- */

struct search {
    struct sb_position before; /* the newest commit read */
    bool any;                  /* there was one, or the stream's very beginning was read */
    bool whole;                /* the stream is retained from its beginning */
    uint64_t found;            /* xid */
    uint64_t highest_epoch;
};

static int commit_take(
    struct anchoring *anchoring, const struct sb_record *record, struct search *search, struct sb_err *err)
{
    struct sb_commit commit;
    if (is_awaited(anchoring, record->frame.xid)) {
        search->found = record->frame.xid;
        return 0;
    }
    if (sb_codec_read_commit(anchoring->codec, record->body, &commit, err) != 0)
        return sb_err_add(err, "stream offset %" PRId64, record->offset);
    search->before = (struct sb_position){.epoch = record->frame.epoch,
        .sequence = record->frame.sequence,
        .commit_lsn = record->frame.commit_lsn,
        .chain = commit.chain};
    search->any = true;
    return 0;
}

/* From the oldest record on, up to the progress. */
static int search_stream(struct anchoring *anchoring, const struct sb_position *progress, int64_t limit,
    struct search *search, struct sb_err *err)
{
    struct sb_stream_bounds bounds;
    struct sb_record record = {.offset = -1};
    bool first = true;
    if (sb_stream_bounds(anchoring->stream, &bounds, err) != 0 ||
        sb_stream_seek(anchoring->stream, bounds.oldest, err) != 0)
        return -1;
    while (search->found == 0 && record.offset + 1 < limit) {
        int rc = sb_stream_read(anchoring->stream, &record, err);
        if (rc < 0)
            return -1;
        if (rc == SB_STREAM_END) {
            usleep(PAUSE_US); /* it is there, and on its way */
            continue;
        }
        if (first)
            search->whole = search->any = record.frame.sequence == 1;
        first = false;
        if (record.frame.epoch < search->highest_epoch)
            continue;
        search->highest_epoch = record.frame.epoch;
        if (record.frame.kind == SB_KIND_COMMIT && record.frame.commit_lsn <= progress->commit_lsn &&
            commit_take(anchoring, &record, search, err) != 0)
            return -1;
    }
    return 0;
}

/* -- on the source --------------------------------------------------------------------------------------- */

static int unknown(uint64_t xid, struct sb_err *err)
{
    sb_err_set(err, SB_E_LOG_GAP,
        "transaction %" PRIu64
        " of the source is not visible yet, and may have committed before the oldest record "
        "that the stream retains",
        xid);
    return sb_err_hint(err,
        "Wait until that transaction has ended, or end it: a synchronous standby may not answer, or "
        "it is a prepared one (pg_prepared_xacts).");
}

/* A transaction that the stream does not have: its session must be there, and wait for no standby. */
static int ask_session(struct anchoring *anchoring, uint64_t xid, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char text[24];
    snprintf(text, sizeof text, "%" PRIu32, (uint32_t)xid);
    const char *params[] = {text};
    if (sb_conn_query(anchoring->source,
            "SELECT coalesce(wait_event, '') = 'SyncRep' FROM pg_catalog.pg_stat_activity WHERE backend_xid "
            "= "
            "$1::text::xid",
            1, params, &rows, err) != 0)
        return -1;
    return sb_rows_count(rows) == 1 && !sb_rows_bool(rows, 0, 0) ? 0 : unknown(xid, err);
}

static int ask_sessions(struct anchoring *anchoring, struct sb_err *err)
{
    for (size_t i = 0; i < anchoring->running.xip_count; i++)
        if (anchoring->running.xip[i] < anchoring->barrier &&
            ask_session(anchoring, anchoring->running.xip[i], err) != 0)
            return -1;
    return 0;
}

/* -- all of it ------------------------------------------------------------------------------------------- */

static int look_back(struct anchoring *anchoring, const struct sb_position *progress, int64_t hint,
    struct sb_anchor *ret_anchor, struct sb_err *err)
{
    struct search search = {.found = 0};
    int64_t limit;
    if (sb_tail_locate_position(anchoring->stream, progress, hint, &limit, err) != 0 ||
        search_stream(anchoring, progress, limit, &search, err) != 0)
        return -1;
    if (search.found == 0)
        return search.whole ? 0 : ask_sessions(anchoring, err);
    if (!search.any)
        return unknown(search.found, err);
    *ret_anchor = (struct sb_anchor){.position = search.before, .hint = -1, .held_back_by = search.found};
    return 0;
}

static int find(struct anchoring *anchoring, const struct sb_position *progress, int64_t hint,
    struct sb_anchor *ret_anchor, struct sb_err *err)
{
    int64_t until_ms = sb_clock_mono_ms() + PATIENCE_MS;
    *ret_anchor = (struct sb_anchor){.position = *progress, .hint = hint};
    if (barrier_take(anchoring, err) != 0 || snapshot_take(anchoring, err) != 0)
        return -1;
    while (anybody_awaited(anchoring) && sb_clock_mono_ms() < until_ms) {
        usleep(PAUSE_US);
        if (snapshot_take(anchoring, err) != 0)
            return -1;
    }
    return anybody_awaited(anchoring) ? look_back(anchoring, progress, hint, ret_anchor, err) : 0;
}

int sb_anchor_find(struct sb_conn *source, struct sb_stream *stream, const struct sb_position *progress,
    int64_t hint, struct sb_anchor *ret_anchor, struct sb_err *err)
{
    struct anchoring anchoring = {.source = source, .stream = stream};
    int rc = -1;
    anchoring.arena = sb_arena_new("running transactions", ARENA_MAX_BYTES);
    if (anchoring.arena == NULL)
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for the running transactions");
    else if (sb_codec_new(&anchoring.codec, err) == 0)
        rc = find(&anchoring, progress, hint, ret_anchor, err);
    sb_codec_free(anchoring.codec);
    sb_arena_free(anchoring.arena);
    return rc;
}
