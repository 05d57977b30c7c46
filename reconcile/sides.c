#include "reconcile/sides.h"

#include "core/clock.h"
#include "core/fault.h"
#include "core/loop.h"
#include "schemas/digest.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum {
    SQL_MAX_BYTES = 16 * 1024 * 1024,
    STAMP_MAX_BYTES = 1024 * 1024,
    LOCK_TIMEOUT_MS = 5000,
    TURN_ROWS = 256,   /* before the other side gets its turn */
    AHEAD_ROWS = 4000, /* further than this no side gets */
    POLL_MS = 200,     /* the age is looked at as often */
};

struct sb_sides {
    struct sb_sides_options options;
    struct sb_conn *source, *target;
    struct sb_server_id id;
    struct sb_arena *stamp;
    struct sb_buf sql;
    int64_t begun_ms; /* of the open transactions; 0: none */
    int64_t oldest_ms;
    int64_t rows, bytes;
};

/* -- life ------------------------------------------------------------------------------------------------ */

static int refuse_standby(const struct sb_rows *rows, int col, struct sb_err *err)
{
    return sb_rows_bool(rows, 0, col)
               ? sb_err_set(err, SB_E_STAMP_FROM_STANDBY, "the source is in recovery: it is a standby")
               : 0;
}

/* Before anything else is asked of it: a standby would fail at a statement that says nothing of why. */
static int is_no_standby(struct sb_sides *sides, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(sides->source, "SELECT pg_catalog.pg_is_in_recovery()", 0, NULL, &rows, err) != 0)
        return -1;
    return refuse_standby(rows, 0, err);
}

static int sides_open(struct sb_sides *sides, struct sb_err *err)
{
    const struct sb_sides_options *options = &sides->options;
    sb_buf_init(&sides->sql, SQL_MAX_BYTES);
    sides->stamp = sb_arena_new("stamp", STAMP_MAX_BYTES);
    if (sides->stamp == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a compare's sessions");
    if (sb_conn_open(&options->source, options->purpose, SB_CONN_LOCAL_COMMIT, &sides->source, err) != 0 ||
        sb_conn_open(&options->target, options->purpose, 0, &sides->target, err) != 0)
        return -1;
    if (is_no_standby(sides, err) != 0)
        return -1;
    return sb_catalog_server_id(sides->source, &sides->id, err);
}

int sb_sides_open(const struct sb_sides_options *options, struct sb_sides **ret_sides, struct sb_err *err)
{
    struct sb_sides *sides = calloc(1, sizeof *sides);
    if (sides == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a compare's sessions");
    sides->options = *options;
    if (sides_open(sides, err) != 0) {
        sb_sides_close(sides);
        return -1;
    }
    *ret_sides = sides;
    return 0;
}

void sb_sides_close(struct sb_sides *sides)
{
    if (sides == NULL)
        return;
    sb_conn_close(sides->source);
    sb_conn_close(sides->target);
    sb_arena_free(sides->stamp);
    sb_buf_clear(&sides->sql);
    free(sides);
}

struct sb_conn *sb_sides_conn(struct sb_sides *sides, enum sb_side side)
{
    return side == SB_SIDE_SOURCE ? sides->source : sides->target;
}

const struct sb_server_id *sb_sides_source_id(const struct sb_sides *sides)
{
    return &sides->id;
}

int64_t sb_sides_rows(const struct sb_sides *sides)
{
    return sides->rows;
}

int64_t sb_sides_bytes(const struct sb_sides *sides)
{
    return sides->bytes;
}

int64_t sb_sides_oldest_ms(const struct sb_sides *sides)
{
    return sides->oldest_ms;
}

/* -- stamps ---------------------------------------------------------------------------------------------- */

static int begin(
    struct sb_sides *sides, enum sb_side side, const struct sb_verify_table *table, struct sb_err *err)
{
    sb_buf_reset(&sides->sql);
    sb_verify_put_begin(table, side, LOCK_TIMEOUT_MS, &sides->sql);
    if (sb_conn_exec(sb_sides_conn(sides, side), sb_buf_str(&sides->sql), err) == 0)
        return 0;
    if (strcmp(err->sqlstate, "55P03") == 0)
        return SB_SIDES_LOCKED;
    return strcmp(err->sqlstate, "42P01") == 0 ? SB_SIDES_ALTERED : -1;
}

static int ask(struct sb_sides *sides, enum sb_side side, struct sb_rows **ret_rows, struct sb_err *err)
{
    if (sides->sql.failed)
        return sb_err_set(
            err, SB_E_LIMIT, "a statement of the compare is larger than %d bytes", SQL_MAX_BYTES);
    return sb_conn_query(sb_sides_conn(sides, side), sb_buf_str(&sides->sql), 0, NULL, ret_rows, err);
}

static bool has_shape(const struct sb_rows *rows, int col, const char *shape)
{
    const char *now = sb_rows_get(rows, 0, col);
    return now != NULL && strcmp(now, shape) == 0;
}

static int source_stamp(
    struct sb_sides *sides, const struct sb_verify_table *table, struct sb_stamp *stamp, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int rc = begin(sides, SB_SIDE_SOURCE, table, err);
    if (rc != 0)
        return rc;
    sides->begun_ms = sb_clock_mono_ms();
    sb_buf_reset(&sides->sql);
    sb_verify_put_source_stamp(table, &sides->sql);
    if (ask(sides, SB_SIDE_SOURCE, &rows, err) != 0)
        return -1;
    if (refuse_standby(rows, 0, err) != 0)
        return -1;
    if (!has_shape(rows, 3, table->source_shape))
        return SB_SIDES_ALTERED;
    sb_arena_reset(sides->stamp);
    stamp->h = sb_rows_lsn(rows, 0, 2);
    if (stamp->h == 0 || !sb_snapshot_parse(sb_rows_get(rows, 0, 1), sides->stamp, &stamp->cut.snapshot))
        return sb_err_set(err, SB_E_PROTOCOL, "the source gave no snapshot that can be read");
    return 0;
}

static int target_stamp(
    struct sb_sides *sides, const struct sb_verify_table *table, struct sb_stamp *stamp, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int rc = begin(sides, SB_SIDE_TARGET, table, err);
    if (rc != 0)
        return rc;
    sb_buf_reset(&sides->sql);
    sb_verify_put_target_stamp(table, sides->options.migration, sides->options.direction, &sides->sql);
    if (ask(sides, SB_SIDE_TARGET, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        return sb_err_set(err, SB_E_PROGRESS_LOST,
            "the target has no progress row for migration \"%s\", direction %s", sides->options.migration,
            sides->options.direction);
    if (strcmp(sb_rows_get(rows, 0, 4), sides->id.uuid) != 0)
        return sb_err_set(err, SB_E_SOURCE_IDENTITY, "the target's progress is that of another source");
    if (sb_rows_bool(rows, 0, 6))
        return SB_SIDES_COPYING;
    if (!has_shape(rows, 5, table->target_shape))
        return SB_SIDES_ALTERED;
    stamp->cut.applied_lsn = sb_rows_lsn(rows, 0, 0);
    stamp->applied_us = sb_rows_i64(rows, 0, 2);
    return 0;
}

static int end_side(struct sb_conn *conn, struct sb_err *err)
{
    return sb_conn_in_transaction(conn) ? sb_conn_exec(conn, "ROLLBACK", err) : 0;
}

int sb_sides_end(struct sb_sides *sides, struct sb_err *err)
{
    int source = end_side(sides->source, err);
    int target = source == 0 ? end_side(sides->target, err) : -1;
    if (sides->begun_ms != 0 && sb_clock_mono_ms() - sides->begun_ms > sides->oldest_ms)
        sides->oldest_ms = sb_clock_mono_ms() - sides->begun_ms;
    sides->begun_ms = 0;
    return target;
}

int sb_sides_begin(struct sb_sides *sides, const struct sb_verify_table *table, struct sb_stamp *ret_stamp,
    struct sb_err *err)
{
    int rc = source_stamp(sides, table, ret_stamp, err);
    SB_FAULT("reconcile-between-stamps");
    if (rc == 0)
        rc = target_stamp(sides, table, ret_stamp, err);
    if (rc > 0 && sb_sides_end(sides, err) != 0)
        return -1;
    return rc;
}

int sb_sides_mark(struct sb_sides *sides, struct sb_err *err)
{
    return sb_conn_query(sides->source,
        "SELECT pg_catalog.pg_logical_emit_message(true, 'switchback.verify', '')", 0, NULL, NULL, err);
}

/* -- rows ------------------------------------------------------------------------------------------------ */

struct half {
    struct sb_conn *conn;
    PGconn *pg;
    enum sb_side side;
    bool ended;
    int64_t rows;
};

struct reading {
    struct sb_sides *sides;
    int64_t age_max_ms;
    sb_sides_line_fn *fn;
    void *arg;
    struct half halves[2];
};

static int copy_error(struct half *half, PGresult *result, struct sb_err *err)
{
    sb_conn_error(half->conn, result, SB_E_INTERNAL, "could not read a table", err);
    PQclear(result);
    return -1;
}

static int copy_begin(struct half *half, const char *sql, struct sb_err *err)
{
    half->pg = sb_conn_raw(half->conn);
    PGresult *result = PQexec(half->pg, sql);
    if (PQresultStatus(result) != PGRES_COPY_OUT)
        return copy_error(half, result, err);
    PQclear(result);
    return 0;
}

static int copy_end(struct half *half, struct sb_err *err)
{
    PGresult *result = PQgetResult(half->pg);
    half->ended = true;
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        return copy_error(half, result, err);
    PQclear(result);
    PQclear(PQgetResult(half->pg));
    return 0;
}

enum { PUMP_DRY = -2 };

/* Some rows of one side: 0, PUMP_DRY if there is none now, what fn said, or -1. */
static int pump(struct reading *reading, struct half *half, struct sb_err *err)
{
    for (int i = 0; i < TURN_ROWS; i++) {
        char *line = NULL;
        int len = PQgetCopyData(half->pg, &line, 1);
        if (len == 0)
            return PUMP_DRY;
        if (len == -1)
            return copy_end(half, err);
        if (len < 0)
            return copy_error(half, NULL, err);
        half->rows++;
        reading->sides->rows += half->side == SB_SIDE_SOURCE;
        reading->sides->bytes += len;
        int rc = reading->fn(reading->arg, half->side, line, (size_t)len, err);
        PQfreemem(line);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Its rows can wait: the other side is behind, and not at its end. */
static bool is_ahead(const struct half *half, const struct half *other)
{
    return !other->ended && half->rows > other->rows + AHEAD_ROWS;
}

static int wait_for(struct reading *reading, const bool wanted[2], struct sb_err *err)
{
    struct pollfd files[2];
    int count = 0;
    for (int i = 0; i < 2; i++)
        if (wanted[i])
            files[count++] = (struct pollfd){.fd = PQsocket(reading->halves[i].pg), .events = POLLIN};
    if (poll(files, (nfds_t)count, POLL_MS) < 0 && errno != EINTR)
        return sb_err_errno(err, SB_E_IO, "could not wait for rows");
    for (int i = 0; i < 2; i++)
        if (wanted[i] && PQconsumeInput(reading->halves[i].pg) == 0)
            return copy_error(&reading->halves[i], NULL, err);
    return 0;
}

static int turn(struct reading *reading, struct sb_err *err)
{
    bool dry[2] = {false, false}, moved = false;
    for (int i = 0; i < 2; i++) {
        struct half *half = &reading->halves[i];
        if (half->ended || is_ahead(half, &reading->halves[1 - i]))
            continue;
        int rc = pump(reading, half, err);
        dry[i] = rc == PUMP_DRY;
        moved = moved || rc == 0;
        if (rc != 0 && rc != PUMP_DRY)
            return rc;
    }
    return moved ? 0 : wait_for(reading, dry, err);
}

/* What is left of a COPY that nobody wants any more. Its transaction is good for nothing then. */
static int give_up(struct half *half, struct sb_err *err)
{
    char words[256];
    PGcancel *cancel = half->ended ? NULL : PQgetCancel(half->pg);
    if (cancel != NULL)
        PQcancel(cancel, words, (int)sizeof words);
    PQfreeCancel(cancel);
    while (!half->ended) {
        char *line = NULL;
        int len = PQgetCopyData(half->pg, &line, 0);
        if (len > 0)
            PQfreemem(line);
        half->ended = len < 0;
        if (len == -2)
            return copy_error(half, NULL, err);
    }
    for (PGresult *result = PQgetResult(half->pg); result != NULL; result = PQgetResult(half->pg))
        PQclear(result);
    return 0;
}

int sb_sides_read(struct sb_sides *sides, const char *source_sql, const char *target_sql, int64_t age_max_ms,
    sb_sides_line_fn *fn, void *arg, struct sb_err *err)
{
    struct reading reading = {.sides = sides,
        .fn = fn,
        .arg = arg,
        .halves = {{.conn = sides->source, .side = SB_SIDE_SOURCE},
            {.conn = sides->target, .side = SB_SIDE_TARGET}}};
    SB_FAULT("reconcile-before-rows");
    if (copy_begin(&reading.halves[0], source_sql, err) != 0 ||
        copy_begin(&reading.halves[1], target_sql, err) != 0)
        return -1;
    int rc = 0;
    while (rc == 0 && (!reading.halves[0].ended || !reading.halves[1].ended)) {
        rc = turn(&reading, err);
        if (rc == 0 && sb_clock_mono_ms() - sides->begun_ms > age_max_ms)
            rc = SB_SIDES_LATE;
        if (rc == 0 && sb_loop_stop_pending())
            rc = sb_err_set(err, SB_E_SHUTDOWN, "told to stop");
    }
    if (rc > 0 && (give_up(&reading.halves[0], err) != 0 || give_up(&reading.halves[1], err) != 0))
        return -1;
    return rc;
}
