#include "capture/target.h"

#include "core/clock.h"
#include "core/log.h"
#include "schemas/digest.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_LEAST_MS = 500,
    RETRY_MOST_MS = 15000,
    PING_EVERY_MS = 2000,
    ANSWER_MAX_MS = 30000, /* a session that is silent for so long is given up */
    SILENT_MS = 1000,
    ASK_MAX_MS = 3000,
    ASK_POLL_MS = 10,
    STUCK_MS = 100, /* a flush that has not moved for so long does not move by itself */
};

/* A progress row and the position that must be flushed before it counts. */
struct reading {
    struct sb_progress progress;
    uint64_t insert_lsn;
    uint64_t flush_lsn;
};

struct sb_target {
    struct sb_target_options options;
    struct sb_conn *conn; /* NULL: down */
    bool asked;
    int64_t asked_ms;
    int64_t next_ask_ms;
    int64_t next_ping_ms;
    int64_t next_open_ms;
    int64_t retry_ms;
    bool waiting;       /* for the flush of `pending` */
    int64_t waiting_ms; /* since when */
    bool stuck;         /* it has not moved by itself */
    bool nudging;       /* what was asked is that it move */
    struct reading pending;
    bool down_said;
    bool has_copy; /* the control schema has a table of copies */
};

struct sb_target *sb_target_new(const struct sb_target_options *options)
{
    struct sb_target *target = calloc(1, sizeof *target);
    if (target != NULL) {
        target->options = *options;
        target->retry_ms = RETRY_LEAST_MS;
    }
    return target;
}

static void hang_up(struct sb_target *target)
{
    sb_conn_close(target->conn);
    target->conn = NULL;
    target->asked = false;
    target->waiting = target->stuck = target->nudging = false;
}

void sb_target_free(struct sb_target *target)
{
    if (target == NULL)
        return;
    hang_up(target);
    free(target);
}

/* -- up and down -------------------------------------------------------------------------------------------
 */

/* What would make it wrong to go on. Everything else (down, full, a password that changed) is for apply to
 * raise: capture goes on storing. */
static bool must_raise(enum sb_code code)
{
    return code == SB_E_TARGET_IDENTITY || code == SB_E_PROGRESS_LOST || code == SB_E_NOT_PREPARED ||
           code == SB_E_STATE_FORMAT || code == SB_E_NO_MEMORY;
}

/* 0 if it is lived with, -1 if it is the stage's. */
static int trouble(struct sb_target *target, int64_t now_ms, struct sb_err *err)
{
    hang_up(target);
    if (must_raise(err->code))
        return -1;
    if (!target->down_said)
        sb_log_err(SB_LOG_WARNING, err, "capture goes on; the slot keeps what the target has not applied");
    target->down_said = true;
    target->next_open_ms = now_ms + target->retry_ms;
    target->retry_ms = target->retry_ms * 2 < RETRY_MOST_MS ? target->retry_ms * 2 : RETRY_MOST_MS;
    return 0;
}

static int check_identity(struct sb_target *target, struct sb_err *err)
{
    struct sb_uuid uuid;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(target->conn,
            "SELECT uuid, pg_catalog.to_regclass('switchback.copy') IS NOT NULL FROM switchback.identity", 0,
            NULL, &rows, err) != 0)
        return sb_err_add(err, "asking who the target is");
    target->has_copy = sb_rows_count(rows) > 0 && sb_rows_bool(rows, 0, 1);
    const char *text = sb_rows_count(rows) > 0 ? sb_rows_get(rows, 0, 0) : NULL;
    if (text == NULL || !sb_uuid_parse(text, &uuid) || !sb_uuid_eq(&uuid, &target->options.target_uuid))
        return sb_err_set(err, SB_E_TARGET_IDENTITY,
            "the database behind the target's address is not the one that was prepared");
    return 0;
}

/* Pinged first: a silent address would hold the loop for the whole connect time-out. */
static int call_up(struct sb_target *target, struct sb_err *err)
{
    if (sb_conn_ping(&target->options.endpoint) != SB_PING_UP)
        return sb_err_set(err, SB_E_TARGET_UNAVAILABLE, "the target does not accept connections");
    if (sb_conn_open(&target->options.endpoint, target->options.purpose, SB_CONN_LOCAL_COMMIT, &target->conn,
            err) != 0 ||
        check_identity(target, err) != 0)
        return -1;
    if (target->down_said)
        SB_INFO("the target is back");
    target->down_said = false;
    target->retry_ms = RETRY_LEAST_MS;
    target->next_ask_ms = 0;
    target->next_ping_ms = sb_clock_mono_ms() + PING_EVERY_MS;
    return 0;
}

/* -- asking ------------------------------------------------------------------------------------------------
 */

static int ask(struct sb_target *target, int64_t now_ms, struct sb_err *err)
{
    /* The snapshot is taken before the functions run: the row's commit lies before insert_lsn. */
    static const char sql[] =
        "SELECT p.stream_uuid, p.source_uuid, p.epoch, p.sequence, p.timeline, p.commit_lsn,"
        " pg_catalog.encode(p.chain, 'hex'), p.stream_offset, pg_catalog.pg_is_in_recovery(),"
        " CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_wal_insert_lsn() END,"
        " CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_wal_flush_lsn() END,"
        " %s, n.epoch, n.sequence, n.commit_lsn, n.stream_offset"
        " FROM switchback.progress p CROSS JOIN LATERAL (SELECT n.epoch, n.sequence, n.commit_lsn, "
        "n.stream_offset FROM switchback.progress n WHERE n.migration = p.migration AND n.direction = "
        "p.direction ORDER BY n.commit_lsn LIMIT 1) n WHERE p.migration = $1 AND p.direction = $2 AND p.lane "
        "= 0";
    /* What was prepared before there was a copy has no such table. */
    static const char copying[] =
        "EXISTS (SELECT FROM switchback.copy c WHERE c.migration = $1 AND c.direction = $2"
        " AND c.state = 'pending' AND coalesce(pg_catalog.to_jsonb(c) ->> 'beside', 'false') = 'false')";
    char text[2048];
    const char *params[] = {target->options.migration, target->options.direction};
    snprintf(text, sizeof text, sql, target->has_copy ? copying : "false");
    target->asked = true;
    target->asked_ms = now_ms;
    return sb_conn_send(target->conn, text, 2, params, err);
}

/* An idle server leaves the last page of its WAL unflushed for as long as it likes. A commit of our own,
 * written locally and synchronously, flushes all that lies before it. */
static int nudge(struct sb_target *target, int64_t now_ms, struct sb_err *err)
{
    target->stuck = false;
    target->waiting_ms = now_ms;
    target->nudging = target->asked = true;
    target->asked_ms = now_ms;
    return sb_conn_send(target->conn,
        "SELECT pg_catalog.pg_logical_emit_message(true, 'switchback.flush', '')", 0, NULL, err);
}

static bool uuid_is(const struct sb_rows *rows, int col, const struct sb_uuid *want)
{
    struct sb_uuid uuid;
    const char *text = sb_rows_get(rows, 0, col);
    return text != NULL && sb_uuid_parse(text, &uuid) && sb_uuid_eq(&uuid, want);
}

static int read_answer(const struct sb_target *target, const struct sb_rows *rows,
    struct reading *ret_reading, struct sb_err *err)
{
    if (sb_rows_count(rows) == 0)
        return sb_err_set(err, SB_E_PROGRESS_LOST,
            "the target has no progress row for migration \"%s\", direction %s", target->options.migration,
            target->options.direction);
    if (!uuid_is(rows, 0, &target->options.stream_uuid) || !uuid_is(rows, 1, &target->options.source_uuid))
        return sb_err_set(err, SB_E_PROGRESS_LOST,
            "the target's progress row for migration \"%s\" is of another stream or source",
            target->options.migration);
    if (sb_rows_bool(rows, 0, 8))
        return sb_err_set(err, SB_E_TARGET_UNAVAILABLE, "the target is in recovery: it is a standby");
    struct reading reading = {.progress = {.epoch = sb_rows_u64(rows, 0, 2),
                                  .sequence = sb_rows_u64(rows, 0, 3),
                                  .timeline = (uint32_t)sb_rows_u64(rows, 0, 4),
                                  .commit_lsn = sb_rows_lsn(rows, 0, 5),
                                  .stream_offset = sb_rows_i64(rows, 0, 7),
                                  .copying = sb_rows_bool(rows, 0, 11),
                                  .needed = {.epoch = sb_rows_u64(rows, 0, 12),
                                      .sequence = sb_rows_u64(rows, 0, 13),
                                      .commit_lsn = sb_rows_lsn(rows, 0, 14),
                                      .stream_offset = sb_rows_i64(rows, 0, 15)}},
        .insert_lsn = sb_rows_lsn(rows, 0, 9),
        .flush_lsn = sb_rows_lsn(rows, 0, 10)};
    struct sb_digest *chain = &reading.progress.chain;
    if (!sb_hex_decode(sb_view_str(sb_rows_get(rows, 0, 6)), chain->bytes, sizeof chain->bytes))
        return sb_err_set(err, SB_E_PROGRESS_LOST, "the target's progress row holds a malformed chain");
    *ret_reading = reading;
    return 0;
}

static int weigh(
    struct sb_target *target, const struct reading *now, int64_t now_ms, struct sb_progress *ret_progress)
{
    if (now->flush_lsn >= now->insert_lsn) {
        target->waiting = target->stuck = false;
        *ret_progress = now->progress;
        return SB_TARGET_PROGRESS;
    }
    /* One waits at a time, the oldest: under load the newest would never be found flushed. */
    bool flushed = target->waiting && now->flush_lsn >= target->pending.insert_lsn;
    if (flushed)
        *ret_progress = target->pending.progress;
    if (flushed || !target->waiting) {
        target->pending = *now;
        target->waiting_ms = now_ms;
    }
    target->waiting = true;
    target->stuck = now_ms - target->waiting_ms >= STUCK_MS;
    return flushed ? SB_TARGET_PROGRESS : 0;
}

static int take_answer(
    struct sb_target *target, int64_t now_ms, struct sb_progress *ret_progress, struct sb_err *err)
{
    struct reading reading;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int rc = sb_conn_poll(target->conn, &rows, err);
    if (rc == SB_CONN_PENDING) {
        if (now_ms - target->asked_ms < ANSWER_MAX_MS)
            return 0;
        return sb_err_set(
            err, SB_E_TARGET_UNAVAILABLE, "the target gave no answer for %d s", ANSWER_MAX_MS / 1000);
    }
    target->asked = false;
    if (target->nudging) { /* refused or not: the next answer tells */
        target->nudging = false;
        target->next_ask_ms = now_ms;
        return 0;
    }
    target->next_ask_ms = now_ms + target->options.interval_ms;
    if (rc != 0 || read_answer(target, rows, &reading, err) != 0)
        return -1;
    return weigh(target, &reading, now_ms, ret_progress);
}

/* A target that is shutting down, smartly, waits for every session to leave: ours goes at once. */
static int look_up(struct sb_target *target, int64_t now_ms, struct sb_err *err)
{
    bool silent =
        target->asked && now_ms - target->asked_ms > SILENT_MS; /* then a ping would only wait too */
    if (now_ms < target->next_ping_ms || silent)
        return 0;
    target->next_ping_ms = now_ms + PING_EVERY_MS;
    if (sb_conn_ping(&target->options.endpoint) == SB_PING_REFUSING)
        return sb_err_set(err, SB_E_TARGET_UNAVAILABLE, "the target is shutting down");
    return 0;
}

static int turn_up(
    struct sb_target *target, int64_t now_ms, struct sb_progress *ret_progress, struct sb_err *err)
{
    if (look_up(target, now_ms, err) != 0)
        return -1;
    if (target->asked)
        return take_answer(target, now_ms, ret_progress, err);
    if (now_ms < target->next_ask_ms)
        return 0;
    return target->stuck ? nudge(target, now_ms, err) : ask(target, now_ms, err);
}

int sb_target_turn(
    struct sb_target *target, int64_t now_ms, struct sb_progress *ret_progress, struct sb_err *err)
{
    int rc = 0;
    if (target->conn == NULL && now_ms >= target->next_open_ms)
        rc = call_up(target, err);
    if (rc == 0 && target->conn != NULL)
        rc = turn_up(target, now_ms, ret_progress, err);
    return rc < 0 ? trouble(target, now_ms, err) : rc;
}

int sb_target_ask(
    struct sb_target *target, struct sb_progress *ret_progress, bool *ret_known, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + ASK_MAX_MS;
    *ret_known = false;
    do {
        int rc = sb_target_turn(target, sb_clock_mono_ms(), ret_progress, err);
        if (rc < 0)
            return -1;
        if (rc == SB_TARGET_PROGRESS) {
            *ret_known = true;
            return 0;
        }
        target->next_ask_ms = 0; /* not at leisure */
        poll(NULL, 0, ASK_POLL_MS);
    } while (target->conn != NULL && sb_clock_mono_ms() < deadline_ms);
    return 0;
}
