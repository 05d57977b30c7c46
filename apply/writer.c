#include "apply/writer.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/map.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATEMENTS_MAX = 2000, /* prepared at a time; then all are dropped and prepared again on use */
    ONE_PARAMS_MAX = 2 * SB_COLS_MAX + 2, /* new values and the whole old row */
    COPY_CHUNK_BYTES = 64 * 1024,
    ORIGIN_SQL_BYTES = 256,
    AT_ONCE_MS = 1, /* what is answered so soon is waited for and nothing else */
};
#define ARRAYS_MAX_BYTES (INT64_C(3) << 30)

struct sb_writer {
    struct sb_conn *conn;
    PGconn *raw;
    struct sb_map *statements; /* SQL -> its number + 1 */
    size_t statement_next;
    bool in_transaction;
    char origin_sql[ORIGIN_SQL_BYTES]; /* goes before COMMIT, in one round trip with it; empty: none */
    PGresult *fetched;
    bool (*meanwhile)(void *arg); /* NULL: just wait */
    void *meanwhile_arg;
    /* arrays: one growing buffer; each column's array begins at starts[i] */
    struct sb_buf arrays;
    size_t *starts;
    size_t array_count, array_cap;
    struct sb_buf copy;
};

static int writer_error(
    struct sb_writer *writer, const PGresult *result, const char *what, struct sb_err *err)
{
    return sb_conn_error(writer->conn, result, SB_E_POISON, what, err);
}

static int exec_simple(struct sb_writer *writer, const char *sql, const char *what, struct sb_err *err)
{
    PGresult *result = PQexec(writer->raw, sql);
    ExecStatusType status = PQresultStatus(result);
    int rc =
        status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0 : writer_error(writer, result, what, err);
    PQclear(result);
    return rc;
}

static int setup_session(
    struct sb_writer *writer, const char *origin, bool replica, int64_t lock_timeout_ms, struct sb_err *err)
{
    char sql[512];
    snprintf(sql, sizeof sql,
        "%sSET synchronous_commit = off; SET enable_hashjoin = off; "
        "SET "
        "enable_mergejoin = off; SET enable_seqscan = off; SET jit = off; SET plan_cache_mode = "
        "force_generic_plan; SET "
        "lock_timeout = %" PRId64,
        replica ? "SET session_replication_role = replica; " : "", lock_timeout_ms);
    if (exec_simple(writer, sql, "could not set up the session that applies", err) != 0) {
        if (strcmp(err->sqlstate, "42501") == 0)
            sb_err_hint(err,
                "On the target, as a superuser: GRANT SET ON PARAMETER session_replication_role TO the role "
                "of "
                "target.dsn (PostgreSQL 15 and newer; before that the role must be a superuser).");
        return -1;
    }
    const char *params[1] = {origin};
    PGresult *result = PQexecParams(writer->raw, "SELECT pg_catalog.pg_replication_origin_session_setup($1)",
        1, NULL, params, NULL, NULL, 0);
    int rc = PQresultStatus(result) == PGRES_TUPLES_OK
                 ? 0
                 : writer_error(writer, result, "could not take the replication origin", err);
    PQclear(result);
    if (rc != 0)
        return rc;
    /* Stays until it is set again: no transaction of the session is without a date. */
    return exec_simple(writer,
        "SELECT pg_catalog.pg_replication_origin_xact_setup('0/0', pg_catalog.clock_timestamp())",
        "could not set up the replication origin", err);
}

int sb_writer_new(struct sb_conn *conn, const char *origin, bool replica, int64_t lock_timeout_ms,
    struct sb_writer **ret_writer, struct sb_err *err)
{
    struct sb_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL || (writer->statements = sb_map_new(STATEMENTS_MAX)) == NULL) {
        free(writer);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the target session");
    }
    writer->conn = conn;
    writer->raw = sb_conn_raw(conn);
    sb_buf_init(&writer->arrays, ARRAYS_MAX_BYTES);
    sb_buf_init(&writer->copy, ARRAYS_MAX_BYTES);
    if (setup_session(writer, origin, replica, lock_timeout_ms, err) != 0) {
        sb_writer_free(writer);
        return -1;
    }
    *ret_writer = writer;
    return 0;
}

void sb_writer_free(struct sb_writer *writer)
{
    if (writer == NULL)
        return;
    PQclear(writer->fetched);
    sb_map_free(writer->statements);
    sb_buf_clear(&writer->arrays);
    sb_buf_clear(&writer->copy);
    free(writer->starts);
    free(writer);
}

void sb_writer_meanwhile(struct sb_writer *writer, bool (*fn)(void *arg), void *arg)
{
    writer->meanwhile = fn;
    writer->meanwhile_arg = arg;
}

/* -- transactions
 * -------------------------------------------------------------------------------------------- */

int sb_writer_begin(struct sb_writer *writer, struct sb_err *err)
{
    if (exec_simple(
            writer, "BEGIN ISOLATION LEVEL READ COMMITTED", "could not begin a target transaction", err) != 0)
        return -1;
    writer->in_transaction = true;
    writer->origin_sql[0] = '\0';
    return 0;
}

int sb_writer_commit(struct sb_writer *writer, struct sb_err *err)
{
    char sql[ORIGIN_SQL_BYTES + sizeof "COMMIT"];
    snprintf(sql, sizeof sql, "%sCOMMIT", writer->origin_sql);
    PGresult *result = PQexec(writer->raw, sql);
    int rc = 0;
    /* Still in one if the origin's position was refused: then COMMIT was not looked at. */
    writer->in_transaction = PQtransactionStatus(writer->raw) != PQTRANS_IDLE;
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        rc = writer_error(writer, result, "could not commit on the target", err);
    else if (strcmp(PQcmdStatus(result), "COMMIT") !=
             0) /* COMMIT of a failed transaction says ROLLBACK and succeeds */
        rc = sb_err_set(err, SB_E_INTERNAL, "the target answered COMMIT with %s", PQcmdStatus(result));
    PQclear(result);
    return rc;
}

void sb_writer_rollback(struct sb_writer *writer)
{
    if (writer->in_transaction)
        PQclear(PQexec(writer->raw, "ROLLBACK"));
    writer->in_transaction = false;
}

int sb_writer_savepoint(struct sb_writer *writer, struct sb_err *err)
{
    return exec_simple(writer, "SAVEPOINT sb", "could not set a savepoint", err);
}

int sb_writer_release(struct sb_writer *writer, struct sb_err *err)
{
    return exec_simple(writer, "RELEASE SAVEPOINT sb", "could not release a savepoint", err);
}

int sb_writer_rollback_to(struct sb_writer *writer, struct sb_err *err)
{
    return exec_simple(
        writer, "ROLLBACK TO SAVEPOINT sb; RELEASE SAVEPOINT sb", "could not roll back to a savepoint", err);
}

void sb_writer_origin(struct sb_writer *writer, uint64_t lsn, int64_t commit_us)
{
    char lsn_text[SB_LSN_TEXT_BYTES], at[SB_TIME_TEXT_BYTES];
    snprintf(writer->origin_sql, sizeof writer->origin_sql,
        "SELECT pg_catalog.pg_replication_origin_xact_setup('%s', '%s'); ", sb_lsn_text(lsn, lsn_text),
        sb_clock_text(commit_us, at));
}

/* -- prepared statements
 * ------------------------------------------------------------------------------------- */

int sb_writer_forget(struct sb_writer *writer, struct sb_err *err)
{
    if (sb_map_count(writer->statements) == 0)
        return 0;
    struct sb_map *empty = sb_map_new(STATEMENTS_MAX);
    if (empty == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for prepared statements");
    sb_map_free(writer->statements);
    writer->statements = empty;
    return exec_simple(writer, "DEALLOCATE ALL", "could not drop prepared statements", err);
}

static int statement_too_large(struct sb_err *err)
{
    return sb_err_set(
        err, SB_E_LIMIT, "a statement for a table with so many and such long names does not fit");
}

/* Prepare on first use. With arrays every parameter is text[] by its cast; otherwise the server infers the
 * columns' types. */
static int prepared(struct sb_writer *writer, struct sb_view sql, char ret_name[24], struct sb_err *err)
{
    if (sql.ptr == NULL)
        return statement_too_large(err);
    size_t number = (size_t)(uintptr_t)sb_map_get(writer->statements, sql);
    if (number == 0) {
        if (sb_map_count(writer->statements) >= STATEMENTS_MAX && sb_writer_forget(writer, err) != 0)
            return -1;
        number = ++writer->statement_next;
        snprintf(ret_name, 24, "s%zu", number);
        PGresult *result =
            PQprepare(writer->raw, ret_name, sql.ptr, 0, NULL); /* sql is NUL-terminated: sb_buf's */
        int rc = PQresultStatus(result) == PGRES_COMMAND_OK
                     ? 0
                     : writer_error(writer, result, "could not prepare a statement", err);
        PQclear(result);
        if (rc != 0)
            return -1;
        if (!sb_map_put(writer->statements, sql, (void *)(uintptr_t)number, NULL))
            return sb_err_set(err, SB_E_NO_MEMORY, "no memory for prepared statements");
        return 0;
    }
    snprintf(ret_name, 24, "s%zu", number);
    return 0;
}

static PGresult *run_one(struct sb_writer *writer, struct sb_view sql, const struct sb_value *const *values,
    int count, struct sb_err *err)
{
    const char *params[ONE_PARAMS_MAX];
    char name[24];
    if (count > ONE_PARAMS_MAX) {
        sb_err_set(err, SB_E_LIMIT, "a statement has %d parameters, more than %d", count, ONE_PARAMS_MAX);
        return NULL;
    }
    for (int i = 0; i < count; i++)
        params[i] = values[i]->state == SB_COL_TEXT ? values[i]->text.ptr : NULL;
    if (prepared(writer, sql, name, err) != 0)
        return NULL;
    PGresult *result = PQexecPrepared(writer->raw, name, count, params, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return result;
    writer_error(writer, result, "could not write a row", err);
    PQclear(result);
    return NULL;
}

static int64_t affected(const PGresult *result)
{
    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        return PQntuples(result);
    return strtoll(PQcmdTuples((PGresult *)result), NULL, 10);
}

int sb_writer_one(struct sb_writer *writer, struct sb_view sql, const struct sb_value *const *values,
    int count, int64_t *ret_affected, struct sb_err *err)
{
    PGresult *result = run_one(writer, sql, values, count, err);
    if (result == NULL)
        return -1;
    *ret_affected = affected(result);
    PQclear(result);
    return 0;
}

int sb_writer_fetch(struct sb_writer *writer, struct sb_view sql, const struct sb_value *const *values,
    int count, const char **ret_text, struct sb_err *err)
{
    PGresult *result = run_one(writer, sql, values, count, err);
    if (result == NULL)
        return -1;
    PQclear(writer->fetched);
    writer->fetched = result;
    *ret_text = PQntuples(result) == 0 || PQgetisnull(result, 0, 0) ? NULL : PQgetvalue(result, 0, 0);
    return 0;
}

/* -- arrays
 * -------------------------------------------------------------------------------------------------- */

void sb_writer_arrays_begin(struct sb_writer *writer)
{
    sb_buf_reset(&writer->arrays);
    writer->array_count = 0;
}

/* A one-dimensional text[] in binary form: dimensions, has-nulls flag, element type, length, lower bound,
 * elements (PostgreSQL, src/backend/utils/adt/arrayfuncs.c, array_recv). */
void sb_writer_array(struct sb_writer *writer, size_t rows)
{
    enum { TEXT_OID = 25 };
    if (writer->array_count == writer->array_cap) {
        size_t cap = writer->array_cap == 0 ? 32 : writer->array_cap * 2;
        size_t *starts = realloc(writer->starts, cap * sizeof *starts);
        if (starts == NULL) {
            writer->arrays.failed = true;
            return;
        }
        writer->starts = starts;
        writer->array_cap = cap;
    }
    writer->starts[writer->array_count++] = writer->arrays.len;
    sb_buf_put_u32(&writer->arrays, 1);
    sb_buf_put_u32(&writer->arrays, 1);
    sb_buf_put_u32(&writer->arrays, TEXT_OID);
    sb_buf_put_u32(&writer->arrays, (uint32_t)rows);
    sb_buf_put_u32(&writer->arrays, 1);
}

void sb_writer_array_put(struct sb_writer *writer, const struct sb_value *value)
{
    if (value->state != SB_COL_TEXT) {
        sb_buf_put_u32(&writer->arrays, UINT32_MAX); /* NULL */
        return;
    }
    sb_buf_put_u32(&writer->arrays, (uint32_t)value->text.len);
    sb_buf_put_view(&writer->arrays, value->text);
}

static bool socket_is(const struct sb_writer *writer, short events, int wait_ms)
{
    struct pollfd file = {.fd = PQsocket(writer->raw), .events = events};
    return poll(&file, 1, wait_ms) != 0;
}

static bool work_meanwhile(const struct sb_writer *writer)
{
    return writer->meanwhile != NULL && writer->meanwhile(writer->meanwhile_arg);
}

/* Until the server's answer begins to come; PQgetResult takes it from there, or says what is wrong. */
static void wait_for_answer(struct sb_writer *writer)
{
    if (PQflush(writer->raw) != 0)
        return;
    for (int wait_ms = AT_ONCE_MS; !socket_is(writer, POLLIN, wait_ms); wait_ms = 0)
        if (!work_meanwhile(writer))
            return;
}

static PGresult *run_arrays(struct sb_writer *writer, struct sb_view sql, struct sb_err *err)
{
    const char *params[2 * SB_COLS_MAX];
    int lengths[2 * SB_COLS_MAX], formats[2 * SB_COLS_MAX];
    char name[24];
    int count = (int)writer->array_count;
    if (writer->arrays.failed || count > 2 * SB_COLS_MAX) {
        sb_err_set(
            err, SB_E_LIMIT, "the columns of a batch do not fit into %" PRId64 " bytes", ARRAYS_MAX_BYTES);
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        size_t end = i + 1 < count ? writer->starts[i + 1] : writer->arrays.len;
        params[i] = writer->arrays.ptr + writer->starts[i];
        lengths[i] = (int)(end - writer->starts[i]);
        formats[i] = 1;
    }
    if (prepared(writer, sql, name, err) != 0)
        return NULL;
    PGresult *result = NULL;
    if (PQsendQueryPrepared(writer->raw, name, count, params, lengths, formats, 0) == 1) {
        wait_for_answer(writer);
        result = PQgetResult(writer->raw);
        for (PGresult *rest; (rest = PQgetResult(writer->raw)) != NULL;)
            PQclear(rest);
    }
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return result;
    writer_error(writer, result, "could not write a set of rows", err);
    PQclear(result);
    return NULL;
}

int sb_writer_arrays_run(
    struct sb_writer *writer, struct sb_view sql, int64_t *ret_affected, struct sb_err *err)
{
    PGresult *result = run_arrays(writer, sql, err);
    if (result == NULL)
        return -1;
    *ret_affected = affected(result);
    PQclear(result);
    return 0;
}

int sb_writer_arrays_count(
    struct sb_writer *writer, struct sb_view sql, int64_t *ret_count, struct sb_err *err)
{
    PGresult *result = run_arrays(writer, sql, err);
    if (result == NULL)
        return -1;
    *ret_count = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return 0;
}

int sb_writer_arrays_fetch(
    struct sb_writer *writer, struct sb_view sql, const char **ret_texts, int count, struct sb_err *err)
{
    PGresult *result = run_arrays(writer, sql, err);
    if (result == NULL)
        return -1;
    PQclear(writer->fetched);
    writer->fetched = result;
    for (int i = 0; i < count; i++)
        ret_texts[i] = PQntuples(result) == 0 || PQgetisnull(result, 0, i) ? NULL : PQgetvalue(result, 0, i);
    return 0;
}

/* -- COPY
 * ---------------------------------------------------------------------------------------------------- */

int sb_writer_copy_begin(struct sb_writer *writer, struct sb_view sql, struct sb_err *err)
{
    if (sql.ptr == NULL)
        return statement_too_large(err);
    PGresult *result = PQexec(writer->raw, sql.ptr);
    int rc = PQresultStatus(result) == PGRES_COPY_IN
                 ? 0
                 : writer_error(writer, result, "could not begin COPY", err);
    PQclear(result);
    sb_buf_reset(&writer->copy);
    return rc;
}

/* COPY's text format: backslash, tab, newline and carriage return are escaped (docs: COPY, Text Format). */
static void put_escaped(struct sb_buf *out, struct sb_view text)
{
    char *room = sb_buf_grow(out, text.len);
    if (room == NULL)
        return;
    size_t clean = 0;
    while (clean < text.len && text.ptr[clean] != '\\' && text.ptr[clean] != '\t' &&
           text.ptr[clean] != '\n' && text.ptr[clean] != '\r')
        clean++;
    if (clean > 0)
        memcpy(room, text.ptr, clean);
    if (clean == text.len)
        return;
    out->len -= text.len - clean;
    for (size_t i = clean; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\\' || c == '\t' || c == '\n' || c == '\r') {
            char pair[2] = {'\\', c == '\t' ? 't' : c == '\n' ? 'n' : c == '\r' ? 'r' : '\\'};
            sb_buf_put(out, pair, 2);
        } else {
            sb_buf_put_u8(out, (uint8_t)c);
        }
    }
}

void sb_writer_copy_put(struct sb_writer *writer, const struct sb_value *value, bool first)
{
    if (!first)
        sb_buf_put(&writer->copy, "\t", 1);
    if (value->state == SB_COL_TEXT)
        put_escaped(&writer->copy, value->text);
    else
        sb_buf_put(&writer->copy, "\\N", 2);
}

static int copy_send(struct sb_writer *writer, struct sb_err *err)
{
    if (writer->copy.failed)
        return sb_err_set(err, SB_E_LIMIT, "a row does not fit into %" PRId64 " bytes", ARRAYS_MAX_BYTES);
    while (!socket_is(writer, POLLOUT, 0) && work_meanwhile(writer))
        ;
    if (writer->copy.len > 0 && PQputCopyData(writer->raw, writer->copy.ptr, (int)writer->copy.len) != 1)
        return writer_error(writer, NULL, "could not send rows to COPY", err);
    sb_buf_reset(&writer->copy);
    return 0;
}

int sb_writer_copy_row(struct sb_writer *writer, struct sb_err *err)
{
    sb_buf_put(&writer->copy, "\n", 1);
    return writer->copy.len < COPY_CHUNK_BYTES && !writer->copy.failed ? 0 : copy_send(writer, err);
}

int sb_writer_copy_end(struct sb_writer *writer, int64_t *ret_rows, struct sb_err *err)
{
    if (copy_send(writer, err) != 0)
        return -1;
    if (PQputCopyEnd(writer->raw, NULL) != 1)
        return writer_error(writer, NULL, "could not end COPY", err);
    int rc = -1;
    wait_for_answer(writer);
    PGresult *result = PQgetResult(writer->raw);
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        *ret_rows = affected(result);
        rc = 0;
    } else {
        writer_error(writer, result, "could not write rows by COPY", err);
    }
    PQclear(result);
    for (PGresult *rest; (rest = PQgetResult(writer->raw)) != NULL;)
        PQclear(rest);
    return rc;
}
