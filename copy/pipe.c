#include "copy/pipe.h"

#include "core/fault.h"
#include "core/log.h"
#include "core/loop.h"
#include "pg/origin.h"
#include "pg/snapshot.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SQL_MAX_BYTES = 4 * 1024 * 1024,
    STAMP_MAX_BYTES = 1024 * 1024,
    FLUSH_EVERY_BYTES = 64 * 1024,
    STEP_BYTES = 4 * 1024 * 1024, /* before another pipe gets its turn */
};

enum stage {
    IDLE,
    STAMP_ASK,
    STAMP,
    GIVE_BACK,
    CLAIM,
    COPY_IN,
    COPY_OUT,
    PUMP,
    COPY_IN_END,
    SOURCE_COMMIT,
    LEDGER,
    FLUSH,
    COMMIT,
};

struct sb_pipe {
    struct sb_pipe_options options;
    struct sb_conn *source, *target;
    PGconn *out, *in;
    enum stage stage;
    const struct sb_copy_job *job;
    struct sb_arena *stamp; /* of this chunk */
    char *snapshot;
    uint64_t h;
    struct sb_hasher *hasher;
    int64_t rows, source_rows, target_rows;
    int64_t bytes;
    size_t unflushed; /* bytes put since the last flush */
    bool early;       /* its last snapshot was too old */
    bool blocked;     /* the target takes no more for now */
    bool ended;       /* the source's rows are all there */
    bool end_sent;
    struct sb_buf sql;
};

/* -- life ------------------------------------------------------------------------------------------------ */

static int set_up_target(struct sb_pipe *pipe, struct sb_err *err)
{
    if (sb_conn_exec(pipe->target,
            "SET session_replication_role = replica; SET synchronous_commit = off; SET lock_timeout = 0",
            err) == 0)
        return sb_copy_take_origin(pipe->options.claim, pipe->target, pipe->options.origin, err);
    if (strcmp(err->sqlstate, "42501") == 0)
        sb_err_hint(err,
            "On the target, as a superuser: GRANT SET ON PARAMETER session_replication_role TO the role of "
            "target.dsn (PostgreSQL 15 and newer; before that the role must be a superuser).");
    return -1;
}

static int pipe_open(struct sb_pipe *pipe, struct sb_err *err)
{
    const struct sb_pipe_options *options = &pipe->options;
    sb_buf_init(&pipe->sql, SQL_MAX_BYTES);
    pipe->stamp = sb_arena_new("stamp", STAMP_MAX_BYTES);
    pipe->hasher = sb_hasher_new();
    if (pipe->stamp == NULL || pipe->hasher == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a copy's sessions");
    if (sb_conn_open(&options->source, options->claim->purpose, 0, &pipe->source, err) != 0 ||
        sb_conn_open(&options->target, options->claim->purpose, 0, &pipe->target, err) != 0)
        return -1;
    pipe->out = sb_conn_raw(pipe->source);
    pipe->in = sb_conn_raw(pipe->target);
    return set_up_target(pipe, err);
}

int sb_pipe_open(const struct sb_pipe_options *options, struct sb_pipe **ret_pipe, struct sb_err *err)
{
    struct sb_pipe *pipe = calloc(1, sizeof *pipe);
    if (pipe == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a copy's sessions");
    pipe->options = *options;
    if (pipe_open(pipe, err) != 0) {
        sb_pipe_close(pipe);
        return -1;
    }
    *ret_pipe = pipe;
    return 0;
}

void sb_pipe_close(struct sb_pipe *pipe)
{
    if (pipe == NULL)
        return;
    sb_conn_close(pipe->source);
    sb_conn_close(pipe->target);
    sb_hasher_free(pipe->hasher);
    sb_arena_free(pipe->stamp);
    sb_buf_clear(&pipe->sql);
    free(pipe);
}

void sb_pipe_begin(struct sb_pipe *pipe, const struct sb_copy_job *job)
{
    pipe->job = job;
    pipe->stage = STAMP_ASK;
    pipe->rows = 0;
}

const struct sb_copy_job *sb_pipe_job(const struct sb_pipe *pipe)
{
    return pipe->job;
}

uint64_t sb_pipe_flush_lsn(const struct sb_pipe *pipe)
{
    return pipe->h;
}

bool sb_pipe_is_early(const struct sb_pipe *pipe)
{
    return pipe->early;
}

int64_t sb_pipe_rows(const struct sb_pipe *pipe)
{
    return pipe->rows;
}

int64_t sb_pipe_bytes(const struct sb_pipe *pipe)
{
    return pipe->bytes;
}

int sb_pipe_fd(const struct sb_pipe *pipe, enum sb_side side)
{
    return sb_conn_fd(side == SB_SIDE_SOURCE ? pipe->source : pipe->target);
}

unsigned sb_pipe_events(const struct sb_pipe *pipe, enum sb_side side)
{
    if (side == SB_SIDE_SOURCE) /* while the target is full, or there is no budget, what comes may wait */
        return pipe->stage == STAMP || pipe->stage == GIVE_BACK || pipe->stage == COPY_OUT ||
                       pipe->stage == SOURCE_COMMIT || (pipe->stage == PUMP && !pipe->blocked && !pipe->ended)
                   ? SB_LOOP_READ
                   : 0;
    if (pipe->blocked)
        return SB_LOOP_READ | SB_LOOP_WRITE;
    return pipe->stage == CLAIM || pipe->stage == COPY_IN || pipe->stage == COPY_IN_END ||
                   pipe->stage == LEDGER || pipe->stage == COMMIT
               ? SB_LOOP_READ
               : 0;
}

/* -- statements ------------------------------------------------------------------------------------------ */

static int send(struct sb_pipe *pipe, struct sb_conn *conn, const char *what, struct sb_err *err)
{
    if (pipe->sql.failed)
        return sb_err_set(err, SB_E_LIMIT, "table %s: a statement of the copy is larger than %d bytes",
            pipe->job->table->relation, SQL_MAX_BYTES);
    if (PQsendQuery(sb_conn_raw(conn), sb_buf_str(&pipe->sql)) == 1)
        return 0;
    return sb_conn_error(conn, NULL, SB_E_INTERNAL, what, err);
}

static int send_text(struct sb_pipe *pipe, struct sb_conn *conn, const char *sql, struct sb_err *err)
{
    sb_buf_reset(&pipe->sql);
    sb_buf_put_str(&pipe->sql, sql);
    return send(pipe, conn, "could not send a statement", err);
}

/* The one result of a COPY that begins, of the other kind: 0 with it, SB_PIPE_IO, or -1. */
static int copy_begun(
    struct sb_pipe *pipe, struct sb_conn *conn, ExecStatusType wanted, const char *what, struct sb_err *err)
{
    PGconn *pg = sb_conn_raw(conn);
    if (PQconsumeInput(pg) == 0)
        return sb_conn_error(conn, NULL, SB_E_INTERNAL, what, err);
    if (PQisBusy(pg))
        return SB_PIPE_IO;
    PGresult *result = PQgetResult(pg);
    int rc = 0;
    if (PQresultStatus(result) != wanted) {
        sb_conn_error(conn, result, SB_E_TARGET_STRUCTURE, what, err);
        rc = sb_err_add(err, "table %s", pipe->job->table->relation);
    }
    PQclear(result);
    return rc;
}

/* -- the stamp ------------------------------------------------------------------------------------------- */

static int ask_stamp(struct sb_pipe *pipe, struct sb_err *err)
{
    sb_buf_reset(&pipe->sql);
    sb_copy_table_put_stamp(pipe->job->table, &pipe->sql);
    pipe->stage = STAMP;
    return send(pipe, pipe->source, "could not ask for a snapshot", err);
}

static int check_stamp(struct sb_pipe *pipe, const struct sb_rows *rows, bool *ret_early, struct sb_err *err)
{
    const struct sb_copy_table *table = pipe->job->table;
    struct sb_snapshot snapshot;
    if (sb_rows_bool(rows, 0, 0))
        return sb_err_set(err, SB_E_STAMP_FROM_STANDBY, "the source is in recovery: it is a standby");
    const char *shape = sb_rows_get(rows, 0, 3);
    if (shape == NULL || strcmp(shape, table->shape) != 0)
        return sb_err_set(err, SB_E_SOURCE_UNAVAILABLE,
            "table %s was altered or made anew while it was copied; its copy begins anew", table->relation);
    sb_arena_reset(pipe->stamp);
    pipe->snapshot = sb_arena_str(pipe->stamp, sb_view_str(sb_rows_get(rows, 0, 1)));
    pipe->h = sb_rows_lsn(rows, 0, 2);
    if (pipe->snapshot == NULL || pipe->h == 0 || !sb_snapshot_parse(pipe->snapshot, pipe->stamp, &snapshot))
        return sb_err_set(err, SB_E_PROTOCOL, "the source gave no snapshot that can be read");
    *ret_early = snapshot.xmin <= pipe->options.barrier;
    return 0;
}

static int take_stamp(struct sb_pipe *pipe, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    bool early = false;
    int rc = sb_conn_poll(pipe->source, &rows, err);
    if (rc == SB_CONN_PENDING)
        return SB_PIPE_IO;
    if (rc != 0)
        return sb_err_add(err, "table %s", pipe->job->table->relation);
    if (check_stamp(pipe, rows, &early, err) != 0)
        return -1;
    pipe->early = early;
    if (early) {
        pipe->stage = GIVE_BACK;
        return send_text(pipe, pipe->source, "ROLLBACK", err);
    }
    SB_FAULT("copy-after-stamp");
    sb_buf_reset(&pipe->sql);
    sb_copy_put_begin(pipe->options.claim, &pipe->sql);
    pipe->stage = CLAIM;
    return send(pipe, pipe->target, "could not begin a chunk", err);
}

static int give_back(struct sb_pipe *pipe, struct sb_err *err)
{
    int rc = sb_conn_poll(pipe->source, NULL, err);
    if (rc != 0)
        return rc == SB_CONN_PENDING ? SB_PIPE_IO : -1;
    pipe->stage = STAMP_ASK;
    return SB_PIPE_EARLY;
}

/* -- the rows -------------------------------------------------------------------------------------------- */

static int claimed(struct sb_pipe *pipe, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int rc = sb_conn_poll(pipe->target, &rows, err);
    if (rc != 0)
        return rc == SB_CONN_PENDING ? SB_PIPE_IO : -1;
    if (sb_rows_count(rows) != 1)
        return sb_err_set(err, SB_E_EPOCH_STALE, "another copy has taken over");
    sb_buf_reset(&pipe->sql);
    sb_copy_table_put_in(pipe->job->table, &pipe->sql);
    pipe->stage = COPY_IN;
    return send(pipe, pipe->target, "could not begin COPY", err);
}

static int copy_in_begun(struct sb_pipe *pipe, struct sb_err *err)
{
    int rc = copy_begun(pipe, pipe->target, PGRES_COPY_IN, "could not begin COPY", err);
    if (rc != 0)
        return rc;
    sb_buf_reset(&pipe->sql);
    sb_copy_table_put_out(pipe->job, &pipe->sql);
    pipe->stage = COPY_OUT;
    return send(pipe, pipe->source, "could not begin COPY", err);
}

static int copy_out_begun(struct sb_pipe *pipe, struct sb_err *err)
{
    int rc = copy_begun(pipe, pipe->source, PGRES_COPY_OUT, "could not read the table", err);
    if (rc != 0)
        return rc;
    if (PQsetnonblocking(pipe->in, 1) != 0)
        return sb_conn_error(pipe->target, NULL, SB_E_INTERNAL, "could not set up COPY", err);
    sb_hasher_reset(pipe->hasher);
    pipe->rows = 0;
    pipe->unflushed = 0;
    pipe->blocked = pipe->ended = pipe->end_sent = false;
    pipe->stage = PUMP;
    return 0;
}

/* Everything put is on its way: 0; SB_PIPE_IO: the target has to take some first. */
static int flush_in(struct sb_pipe *pipe, struct sb_err *err)
{
    if (pipe->blocked && PQconsumeInput(pipe->in) == 0) /* an error may be why it takes no more */
        return sb_conn_error(pipe->target, NULL, SB_E_INTERNAL, "could not send rows to COPY", err);
    int rc = PQflush(pipe->in);
    if (rc < 0)
        return sb_conn_error(pipe->target, NULL, SB_E_INTERNAL, "could not send rows to COPY", err);
    pipe->blocked = rc == 1;
    pipe->unflushed = 0;
    return pipe->blocked ? SB_PIPE_IO : 0;
}

static int put_row(struct sb_pipe *pipe, const char *row, int len, struct sb_err *err)
{
    sb_hasher_put(pipe->hasher, sb_view(row, (size_t)len));
    pipe->rows++;
    pipe->bytes += len;
    pipe->unflushed += (size_t)len;
    if (PQputCopyData(pipe->in, row, len) == 1)
        return 0;
    return sb_conn_error(pipe->target, NULL, SB_E_INTERNAL, "could not send rows to COPY", err);
}

/* One row: its bytes' count, 0 for the end of them all, -SB_PIPE_IO for none yet. */
static int get_row(struct sb_pipe *pipe, char **ret_row, struct sb_err *err)
{
    int len = PQgetCopyData(pipe->out, ret_row, 1);
    if (len == 0) {
        if (PQconsumeInput(pipe->out) == 0)
            return sb_conn_error(pipe->source, NULL, SB_E_INTERNAL, "could not read rows", err);
        len = PQgetCopyData(pipe->out, ret_row, 1);
    }
    if (len == -2)
        return sb_conn_error(pipe->source, NULL, SB_E_INTERNAL, "could not read rows", err);
    return len > 0 ? len : len == -1 ? 0 : -1 - SB_PIPE_IO;
}

static int source_ended(struct sb_pipe *pipe, struct sb_err *err)
{
    PGresult *result = PQgetResult(pipe->out);
    int rc = 0;
    if (PQresultStatus(result) == PGRES_COMMAND_OK)
        pipe->source_rows = strtoll(PQcmdTuples(result), NULL, 10);
    else
        rc = sb_conn_error(pipe->source, result, SB_E_INTERNAL, "could not read the table", err);
    PQclear(result);
    while (rc == 0 && (result = PQgetResult(pipe->out)) != NULL)
        PQclear(result);
    pipe->ended = true;
    return rc;
}

static int pump(struct sb_pipe *pipe, const struct sb_pipe_world *world, struct sb_err *err)
{
    int64_t before = pipe->bytes;
    if (pipe->blocked) {
        int rc = flush_in(pipe, err);
        if (rc != 0)
            return rc;
    }
    while (!pipe->ended) {
        char *row = NULL;
        if (world->budget_bytes != NULL && *world->budget_bytes <= 0)
            return SB_PIPE_BUDGET;
        if (pipe->bytes - before > STEP_BYTES)
            return SB_PIPE_MORE;
        int len = get_row(pipe, &row, err);
        if (len == -1 - SB_PIPE_IO) {
            int rc = flush_in(pipe, err);
            return rc != 0 ? rc : SB_PIPE_IO;
        }
        if (len < 0)
            return -1;
        int rc = len == 0 ? source_ended(pipe, err) : put_row(pipe, row, len, err);
        PQfreemem(row);
        if (rc != 0)
            return -1;
        if (world->budget_bytes != NULL)
            *world->budget_bytes -= len;
        if (pipe->unflushed >= FLUSH_EVERY_BYTES && (rc = flush_in(pipe, err)) != 0)
            return rc;
    }
    SB_FAULT("copy-after-rows");
    pipe->stage = COPY_IN_END;
    return 0;
}

static int copy_in_ended(struct sb_pipe *pipe, struct sb_err *err)
{
    if (!pipe->end_sent) {
        int rc = PQputCopyEnd(pipe->in, NULL);
        if (rc < 0)
            return sb_conn_error(pipe->target, NULL, SB_E_INTERNAL, "could not end COPY", err);
        pipe->blocked = rc == 0;
        if (rc == 0)
            return SB_PIPE_IO;
        pipe->end_sent = true;
    }
    int rc = flush_in(pipe, err);
    if (rc != 0)
        return rc;
    if (PQconsumeInput(pipe->in) == 0)
        return sb_conn_error(pipe->target, NULL, SB_E_INTERNAL, "could not end COPY", err);
    if (PQisBusy(pipe->in))
        return SB_PIPE_IO;
    PGresult *result = PQgetResult(pipe->in);
    rc = 0;
    if (PQresultStatus(result) == PGRES_COMMAND_OK)
        pipe->target_rows = strtoll(PQcmdTuples(result), NULL, 10);
    else
        rc = sb_conn_error(pipe->target, result, SB_E_POISON, "could not write rows by COPY", err);
    PQclear(result);
    while (rc == 0 && (result = PQgetResult(pipe->in)) != NULL)
        PQclear(result);
    if (rc != 0)
        return sb_err_add(err, "table %s", pipe->job->table->relation);
    if (PQsetnonblocking(pipe->in, 0) != 0)
        return sb_conn_error(pipe->target, NULL, SB_E_INTERNAL, "could not end COPY", err);
    if (pipe->source_rows != pipe->target_rows)
        return sb_err_set(err, SB_E_INTERNAL, "table %s: %" PRId64 " rows were read and %" PRId64 " written",
            pipe->job->table->relation, pipe->source_rows, pipe->target_rows);
    pipe->rows = pipe->target_rows;
    pipe->stage = SOURCE_COMMIT;
    return send_text(pipe, pipe->source, "COMMIT", err);
}

/* -- the ledger ------------------------------------------------------------------------------------------ */

static const char *bound_hex(bool open, struct sb_view bound, struct sb_buf *hex)
{
    sb_buf_init(hex, SQL_MAX_BYTES);
    char *room = open ? NULL : sb_buf_grow(hex, 2 * bound.len + 1);
    if (room == NULL)
        return NULL;
    sb_hex_encode(bound.ptr, bound.len, room);
    return room;
}

static int send_ledger(struct sb_pipe *pipe, struct sb_err *err)
{
    const struct sb_copy_job *job = pipe->job;
    struct sb_buf lower SB_CLEANUP(sb_buf_clear), upper SB_CLEANUP(sb_buf_clear);
    char h[SB_LSN_TEXT_BYTES], timeline[16], rows[24], digest_text[SB_DIGEST_TEXT_BYTES];
    struct sb_digest digest = sb_hasher_result(pipe->hasher);
    const char *lower_hex = bound_hex(job->range.lower_open, job->range.lower, &lower);
    const char *upper_hex = bound_hex(job->range.upper_open, job->range.upper, &upper);
    if (lower.failed || upper.failed)
        return sb_err_set(err, SB_E_LIMIT, "table %s: a bound is too long", job->table->relation);
    snprintf(timeline, sizeof timeline, "%" PRIu32, pipe->options.timeline);
    snprintf(rows, sizeof rows, "%" PRId64, pipe->target_rows);
    const char *params[] = {pipe->options.claim->migration, pipe->options.claim->direction,
        job->table->relation, lower_hex, upper_hex, pipe->snapshot, sb_lsn_text(pipe->h, h), timeline, rows,
        sb_digest_text(&digest, digest_text)};
    return sb_conn_send(pipe->target,
        "INSERT INTO switchback.chunk (migration, direction, relation, lower_bound, upper_bound, snapshot, "
        "flushed_past, timeline, rows, digest, schema_id) VALUES ($1, $2, $3, pg_catalog.decode($4, 'hex'), "
        "pg_catalog.decode($5, 'hex'), $6, $7, $8, $9, pg_catalog.decode($10, 'hex'), 0)",
        10, params, err);
}

static int source_committed(struct sb_pipe *pipe, struct sb_err *err)
{
    int rc = sb_conn_poll(pipe->source, NULL, err);
    if (rc != 0)
        return rc == SB_CONN_PENDING ? SB_PIPE_IO : -1;
    pipe->stage = LEDGER;
    return send_ledger(pipe, err);
}

static int ledger_written(struct sb_pipe *pipe, struct sb_err *err)
{
    int rc = sb_conn_poll(pipe->target, NULL, err);
    if (rc != 0)
        return rc == SB_CONN_PENDING ? SB_PIPE_IO : -1;
    SB_FAULT("copy-after-ledger");
    pipe->stage = FLUSH;
    return 0;
}

static int commit_if_flushed(struct sb_pipe *pipe, const struct sb_pipe_world *world, struct sb_err *err)
{
    if (world->flushed_lsn < pipe->h)
        return SB_PIPE_FLUSH;
    SB_FAULT("copy-before-commit");
    pipe->stage = COMMIT;
    sb_buf_reset(&pipe->sql);
    sb_origin_put_commit(pipe->h, &pipe->sql);
    return send(pipe, pipe->target, "could not commit a chunk", err);
}

static int committed(struct sb_pipe *pipe, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int rc = sb_conn_poll(pipe->target, &rows, err);
    if (rc != 0)
        return rc == SB_CONN_PENDING ? SB_PIPE_IO : -1;
    const char *tag = PQcmdStatus((PGresult *)rows);
    if (strcmp(tag, "COMMIT") != 0) /* COMMIT of a failed transaction says ROLLBACK and succeeds */
        return sb_err_set(err, SB_E_INTERNAL, "the target answered COMMIT with %s", tag);
    SB_FAULT("copy-after-commit");
    pipe->job->table->chunks_left--;
    pipe->stage = IDLE;
    pipe->job = NULL;
    return 0;
}

static int step_once(struct sb_pipe *pipe, const struct sb_pipe_world *world, struct sb_err *err)
{
    switch (pipe->stage) {
    case IDLE:
        return SB_PIPE_IDLE;
    case STAMP_ASK:
        return ask_stamp(pipe, err);
    case STAMP:
        return take_stamp(pipe, err);
    case GIVE_BACK:
        return give_back(pipe, err);
    case CLAIM:
        return claimed(pipe, err);
    case COPY_IN:
        return copy_in_begun(pipe, err);
    case COPY_OUT:
        return copy_out_begun(pipe, err);
    case PUMP:
        return pump(pipe, world, err);
    case COPY_IN_END:
        return copy_in_ended(pipe, err);
    case SOURCE_COMMIT:
        return source_committed(pipe, err);
    case LEDGER:
        return ledger_written(pipe, err);
    case FLUSH:
        return commit_if_flushed(pipe, world, err);
    case COMMIT:
        return committed(pipe, err);
    }
    return sb_err_set(err, SB_E_INTERNAL, "a pipe in stage %d", (int)pipe->stage);
}

int sb_pipe_step(struct sb_pipe *pipe, const struct sb_pipe_world *world, struct sb_err *err)
{
    for (;;) { /* 0 from a step: go on; it is IDLE's too */
        int rc = step_once(pipe, world, err);
        if (rc != 0 || pipe->stage == IDLE)
            return rc;
    }
}
