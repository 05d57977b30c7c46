#include "capture/walsender.h"

#include "core/clock.h"
#include "core/log.h"
#include "pg/ident.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

enum { COMMAND_MAX_BYTES = 8192, STATUS_BYTES = 1 + 8 + 8 + 8 + 8 + 1 };

struct sb_walsender {
    struct sb_conn *conn;
    PGconn *pg;
    bool streaming;
    char *frame; /* of libpq, the one handed out last */
};

static void result_freep(PGresult **result)
{
    PQclear(*result);
}

int sb_walsender_open(const struct sb_endpoint *endpoint, const char *purpose,
    struct sb_walsender **ret_sender, struct sb_err *err)
{
    struct sb_walsender *sender = calloc(1, sizeof *sender);
    if (sender == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a replication session");
    if (sb_conn_open(endpoint, purpose, SB_CONN_REPLICATION, &sender->conn, err) != 0) {
        free(sender);
        return sb_err_add(err, "replication session");
    }
    sender->pg = sb_conn_raw(sender->conn);
    *ret_sender = sender;
    return 0;
}

void sb_walsender_close(struct sb_walsender *sender)
{
    if (sender == NULL)
        return;
    PQfreemem(sender->frame);
    sb_conn_close(sender->conn);
    free(sender);
}

int sb_walsender_fd(const struct sb_walsender *sender)
{
    return PQsocket(sender->pg);
}

int sb_walsender_backend_pid(const struct sb_walsender *sender)
{
    return sb_conn_backend_pid(sender->conn);
}

/* -- errors ------------------------------------------------------------------------------------------------
 */

/* What a server's error means to somebody who reads a slot. docs: errcodes-appendix. Words may be translated,
 * so they are not looked at; elog()'s never are, so the one that is looked for is safe to look for. */
static enum sb_code meaning_of(const struct sb_walsender *sender, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (sqlstate == NULL || message == NULL)
        return SB_E_SOURCE_UNAVAILABLE;
    if (strcmp(sqlstate, "42704") == 0) /* undefined_object: publications are looked up by the first change */
        return sender->streaming ? SB_E_PUBLICATION : SB_E_SLOT_LOST;
    if (strcmp(sqlstate, "55000") == 0 || /* object_not_in_prerequisite_state: the slot was invalidated */
        strcmp(sqlstate, "58P01") == 0)   /* undefined_file: a WAL segment was removed */
        return SB_E_SLOT_LOST;
    if (strcmp(sqlstate, "22021") == 0 || /* character_not_in_repertoire */
        strcmp(sqlstate, "22P05") == 0)   /* untranslatable_character: it has no place in UTF-8 */
        return SB_E_ENCODING;
    if (strcmp(sqlstate, "54000") == 0 || /* program_limit_exceeded */
        strstr(message, "invalid memory alloc request size") != NULL)
        return SB_E_VALUE_TOO_LARGE;
    return SB_E_SOURCE_UNAVAILABLE;
}

static int failed(struct sb_walsender *sender, const PGresult *result, const char *what, struct sb_err *err)
{
    return sb_conn_error(sender->conn, result, meaning_of(sender, result), what, err);
}

/* -- starting ----------------------------------------------------------------------------------------------
 */

/* The list is one literal that holds identifiers: '"a","b"'. */
static void put_publications(struct sb_buf *sql, const struct sb_walsender_options *options)
{
    struct sb_buf list;
    sb_buf_init(&list, COMMAND_MAX_BYTES);
    for (size_t i = 0; i < options->publication_count; i++) {
        if (i > 0)
            sb_buf_put_str(&list, ",");
        sb_ident_put(&list, sb_view_str(options->publications[i]));
    }
    sb_literal_put(sql, sb_buf_view(&list));
    sql->failed = sql->failed || list.failed;
    sb_buf_clear(&list);
}

int sb_walsender_start(
    struct sb_walsender *sender, const struct sb_walsender_options *options, struct sb_err *err)
{
    struct sb_buf sql;
    sb_buf_init(&sql, COMMAND_MAX_BYTES);
    sb_buf_put_str(&sql, "START_REPLICATION SLOT ");
    sb_ident_put(&sql, sb_view_str(options->slot));
    sb_buf_put_str(&sql, " LOGICAL 0/0 (proto_version '1', publication_names ");
    put_publications(&sql, options);
    sb_buf_put_str(&sql, ", messages 'true')");
    if (sql.failed) {
        sb_buf_clear(&sql);
        return sb_err_set(err, SB_E_INTERNAL, "the replication command does not fit its buffer");
    }
    SB_CLEANUP(result_freep)
    PGresult *result = PQexec(sender->pg, sb_buf_str(&sql));
    sb_buf_clear(&sql);
    if (PQresultStatus(result) != PGRES_COPY_BOTH)
        return failed(sender, result, "could not start replication", err);
    if (PQsetnonblocking(sender->pg, 1) != 0)
        return failed(sender, NULL, "could not make the session non-blocking", err);
    sender->streaming = true;
    return 0;
}

/* -- receiving ---------------------------------------------------------------------------------------------
 */

/* The server left COPY mode: with an error, or because it shuts down. */
static int ended(struct sb_walsender *sender, struct sb_err *err)
{
    SB_CLEANUP(result_freep)
    PGresult *result = PQgetResult(sender->pg);
    if (result != NULL && PQresultStatus(result) == PGRES_FATAL_ERROR) {
        /* 'slot "x", output plugin "pgoutput", in the change callback, associated LSN 0/1234' */
        const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
        failed(sender, result, "replication failed", err);
        return context == NULL ? -1 : sb_err_add(err, "%.200s", context);
    }
    return sb_err_set(err, SB_E_SOURCE_UNAVAILABLE, "the source ended the replication stream");
}

static int parse_frame(struct sb_view bytes, struct sb_walsender_frame *frame, struct sb_err *err)
{
    struct sb_cursor cur = sb_cursor(bytes);
    uint8_t kind = sb_cursor_u8(&cur);
    frame->bytes = bytes.len;
    if (kind == 'w') {
        frame->kind = SB_WALSENDER_DATA;
        frame->lsn = sb_cursor_u64(&cur);
        frame->end_lsn = sb_cursor_u64(&cur);
        sb_cursor_u64(&cur);
        frame->payload = sb_cursor_bytes(&cur, sb_cursor_left(&cur));
    } else if (kind == 'k') {
        frame->kind = SB_WALSENDER_KEEPALIVE;
        frame->end_lsn = sb_cursor_u64(&cur);
        sb_cursor_u64(&cur);
        frame->reply_wanted = sb_cursor_u8(&cur) != 0;
    } else {
        return sb_err_set(
            err, SB_E_PROTOCOL, "the source sent a replication frame of unknown kind 0x%02x", kind);
    }
    if (!sb_cursor_done(&cur))
        return sb_err_set(err, SB_E_PROTOCOL, "the source sent a replication frame of wrong length");
    return 0;
}

int sb_walsender_next(struct sb_walsender *sender, struct sb_walsender_frame *ret_frame, struct sb_err *err)
{
    PQfreemem(sender->frame);
    sender->frame = NULL;
    int len = PQgetCopyData(sender->pg, &sender->frame, 1);
    if (len == 0) {
        if (PQconsumeInput(sender->pg) == 0)
            return failed(sender, NULL, "could not read from the replication session", err);
        len = PQgetCopyData(sender->pg, &sender->frame, 1);
    }
    if (len == 0)
        return SB_WALSENDER_EMPTY;
    if (len == -1)
        return ended(sender, err);
    if (len < 0)
        return failed(sender, NULL, "could not read from the replication session", err);
    struct sb_walsender_frame frame = {0};
    if (parse_frame(sb_view(sender->frame, (size_t)len), &frame, err) != 0)
        return -1;
    *ret_frame = frame;
    return 0;
}

/* -- status ------------------------------------------------------------------------------------------------
 */

int sb_walsender_status(
    struct sb_walsender *sender, uint64_t confirmed_lsn, bool reply_wanted, struct sb_err *err)
{
    struct sb_buf message;
    sb_buf_init(&message, STATUS_BYTES);
    sb_buf_put_u8(&message, 'r');
    for (int i = 0; i < 3; i++) /* written, flushed, applied */
        sb_buf_put_u64(&message, confirmed_lsn);
    sb_buf_put_u64(&message, (uint64_t)(sb_clock_wall_us() - SB_PG_EPOCH_US));
    sb_buf_put_u8(&message, reply_wanted);
    int done = message.failed ? sb_err_set(err, SB_E_NO_MEMORY, "no memory for a status message") : 0;
    if (done == 0 && PQputCopyData(sender->pg, message.ptr, (int)message.len) != 1)
        done = failed(sender, NULL, "could not send a status", err);
    sb_buf_clear(&message);
    return done;
}

int sb_walsender_flush(struct sb_walsender *sender, struct sb_err *err)
{
    int left = PQflush(sender->pg);
    if (left < 0)
        return failed(sender, NULL, "could not send a status", err);
    return left == 0 ? 0 : SB_WALSENDER_PENDING;
}
