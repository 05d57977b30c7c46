#include "pg/conn.h"

#include "core/bytes.h"
#include "core/clock.h"
#include "core/log.h"

#include <errno.h>
#include <libpq-fe.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_TIMEOUT_S = 10 };

struct sb_conn {
    PGconn *pg;
    enum sb_side side;
    unsigned flags;
    PGresult *answer; /* of sb_conn_send, the newest result while more are to come */
};

/* A result is libpq's own object under our name, so that nobody else needs libpq's header. */
static struct sb_rows *rows_of(PGresult *result)
{
    return (struct sb_rows *)result;
}

static const PGresult *result_of(const struct sb_rows *rows)
{
    return (const PGresult *)rows;
}

static void result_freep(PGresult **result)
{
    PQclear(*result);
}

const char *sb_side_name(enum sb_side side)
{
    return side == SB_SIDE_SOURCE ? "source" : "target";
}

/* -- errors ---------------------------------------------------------------------------------------------- */

static enum sb_code code_unavailable(enum sb_side side)
{
    return side == SB_SIDE_SOURCE ? SB_E_SOURCE_UNAVAILABLE : SB_E_TARGET_UNAVAILABLE;
}

static bool state_is(const char *sqlstate, const char *prefix)
{
    return strncmp(sqlstate, prefix, strlen(prefix)) == 0;
}

/* docs: errcodes-appendix. */
static enum sb_code code_of(enum sb_side side, const char *sqlstate, const char *message, enum sb_code other)
{
    static const char *const passing[] = {"08", "57", "40", "55P03", "25006"};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        if (state_is(sqlstate, passing[i]))
            return code_unavailable(side);
    }
    if (state_is(sqlstate, "53"))
        return side == SB_SIDE_SOURCE ? SB_E_SOURCE_UNAVAILABLE : SB_E_TARGET_FULL;
    if (state_is(sqlstate, "55006"))
        return side == SB_SIDE_SOURCE ? SB_E_SLOT_BUSY : SB_E_TARGET_UNAVAILABLE;
    if (state_is(sqlstate, "42501") && strstr(message, "row-level security") != NULL)
        return SB_E_RLS;
    if (state_is(sqlstate, "28") || state_is(sqlstate, "42501"))
        return SB_E_ACCESS;
    if (state_is(sqlstate, "3D000"))
        return SB_E_CONFIG;
    if ((state_is(sqlstate, "42P01") || state_is(sqlstate, "3F000")) && strstr(message, "switchback") != NULL)
        return SB_E_NOT_PREPARED;
    return other;
}

/* One line without the blanks libpq and servers put at the end. */
static void line_copy(char *out, size_t cap, const char *text)
{
    size_t len = 0;
    for (; *text != '\0' && len + 1 < cap; text++)
        out[len++] = (unsigned char)*text < 0x20 ? ' ' : *text;
    while (len > 0 && out[len - 1] == ' ')
        len--;
    out[len] = '\0';
}

/* What may be shown of a server's error. Data exceptions (22) and exceptions raised by functions (P0) quote
 * the values they are about, so of them only the place is named. */
static void message_put(const PGresult *result, const char *sqlstate, char *out, size_t cap)
{
    if (!state_is(sqlstate, "22") && !state_is(sqlstate, "P0")) {
        line_copy(out, cap, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
        return;
    }
    static const struct {
        int field;
        const char *noun;
    } places[] = {{PG_DIAG_SCHEMA_NAME, "schema"}, {PG_DIAG_TABLE_NAME, "table"},
        {PG_DIAG_COLUMN_NAME, "column"}, {PG_DIAG_DATATYPE_NAME, "type"},
        {PG_DIAG_CONSTRAINT_NAME, "constraint"}};
    int used = snprintf(out, cap, "%s",
        state_is(sqlstate, "22") ? "the server refused a value"
                                 : "a function of the database raised an exception (its words are in the "
                                   "server's log)");
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *name = PQresultErrorField(result, places[i].field);
        if (name != NULL && (size_t)used < cap)
            used += snprintf(out + used, cap - (size_t)used, ", %s \"%s\"", places[i].noun, name);
    }
}

/* Has the other end closed it? The status alone does not tell: where a write failed while the server's last
 * words (a warning that it stops at once) were still unread, libpq reports the failure and leaves the status
 * at "ok" until the next read. */
static bool conn_gone(const PGconn *pg)
{
    struct pollfd peer = {.fd = PQsocket(pg), .events = POLLRDHUP};
    return PQstatus(pg) == CONNECTION_BAD || peer.fd < 0 || poll(&peer, 1, 0) > 0;
}

int sb_conn_error(struct sb_conn *conn, const struct pg_result *result, enum sb_code other, const char *what,
    struct sb_err *err)
{
    char message[512];
    const char *sqlstate = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (sqlstate == NULL || PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) == NULL) {
        /* libpq's own words: the connection is gone, or it was misused. */
        line_copy(message, sizeof message, PQerrorMessage(conn->pg));
        enum sb_code code = conn_gone(conn->pg) ? code_unavailable(conn->side) : other;
        return sb_err_set(err, code, "%s on the %s: %s", what, sb_side_name(conn->side),
            message[0] == '\0' ? "the connection was lost" : message);
    }
    message_put(result, sqlstate, message, sizeof message);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    sb_err_set(err, code_of(conn->side, sqlstate, primary, other), "%s on the %s: %s", what,
        sb_side_name(conn->side), message);
    snprintf(err->sqlstate, sizeof err->sqlstate, "%s", sqlstate);
    return -1;
}

/* While connecting there is no result: in verbose form libpq's text reads "FATAL:  28P01: words\nLOCATION:
 * ...", the first word in the server's language. */
static int open_error(PGconn *pg, const struct sb_endpoint *endpoint, struct sb_err *err)
{
    const char *text = PQerrorMessage(pg);
    char sqlstate[6] = "", message[512];
    for (const char *at = strstr(text, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':' && at[9] == ' ') {
            memcpy(sqlstate, at + 3, 5);
            text = at + 10;
            break;
        }
    }
    size_t len = sqlstate[0] == '\0' ? strlen(text) : strcspn(text, "\n");
    char *line = strndup(text, len);
    line_copy(message, sizeof message, line == NULL ? "" : line);
    free(line);
    enum sb_code code = code_of(endpoint->side, sqlstate, message, code_unavailable(endpoint->side));
    sb_err_set(err, code, "could not connect to the %s: %s", sb_side_name(endpoint->side), message);
    snprintf(err->sqlstate, sizeof err->sqlstate, "%s", sqlstate);
    return -1;
}

/* -- opening --------------------------------------------------------------------------------------------- */

enum { KEYWORD_MAX = 96 };
struct keywords {
    const char *names[KEYWORD_MAX + 1];
    const char *values[KEYWORD_MAX + 1];
    size_t count;
};

static const char *keywords_get(const struct keywords *words, const char *name)
{
    for (size_t i = 0; i < words->count; i++) {
        if (strcmp(words->names[i], name) == 0)
            return words->values[i];
    }
    return NULL;
}

static void keywords_set(struct keywords *words, const char *name, const char *value)
{
    for (size_t i = 0; i < words->count; i++) {
        if (strcmp(words->names[i], name) == 0) {
            words->values[i] = value;
            return;
        }
    }
    if (words->count < KEYWORD_MAX) {
        words->names[words->count] = name;
        words->values[words->count++] = value;
    }
}

static void keywords_default(struct keywords *words, const char *name, const char *value)
{
    if (keywords_get(words, name) == NULL)
        keywords_set(words, name, value);
}

/* Does the connection stay on this machine? */
static bool host_is_local(const struct keywords *words)
{
    const char *host = keywords_get(words, "hostaddr");
    if (host == NULL)
        host = keywords_get(words, "host");
    return host == NULL || host[0] == '/' || host[0] == '@' || strcmp(host, "localhost") == 0 ||
           strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0;
}

/* The strings stay those of endpoint and options. ret_options is freed by the caller. */
static int keywords_fill(const struct sb_endpoint *endpoint, struct keywords *words,
    PQconninfoOption **ret_options, struct sb_err *err)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(endpoint->dsn, &why);
    if (options == NULL) {
        char message[256];
        line_copy(message, sizeof message, why == NULL ? "out of memory" : why);
        PQfreemem(why);
        return sb_err_set(
            err, SB_E_CONFIG, "%s.dsn is not a connection string: %s", sb_side_name(endpoint->side), message);
    }
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (option->val != NULL && option->val[0] != '\0')
            keywords_set(words, option->keyword, option->val);
    }
    if (endpoint->password != NULL)
        keywords_set(words, "password", endpoint->password);
    keywords_set(words, "client_encoding", "UTF8");
    keywords_default(words, "sslmode", host_is_local(words) ? "prefer" : "verify-full");
    keywords_default(words, "ssl_min_protocol_version", "TLSv1.2");
    keywords_default(words, "gssencmode", "disable");
    /* A peer that vanished without a word is noticed within half a minute. */
    keywords_default(words, "keepalives_idle", "10");
    keywords_default(words, "keepalives_interval", "5");
    keywords_default(words, "keepalives_count", "3");
    keywords_default(words, "tcp_user_timeout", "30000");
    *ret_options = options;
    return 0;
}

static int connect_wait(PGconn *pg, int64_t timeout_ms)
{
    int64_t deadline = sb_clock_mono_ms() + timeout_ms;
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
        int64_t left = deadline - sb_clock_mono_ms();
        struct pollfd file = {
            .fd = PQsocket(pg), .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int ready = left <= 0 ? 0 : poll(&file, 1, (int)left);
        if (ready == 0)
            return 1;
        if (ready > 0)
            status = PQconnectPoll(pg);
        else if (errno != EINTR)
            return 1;
    }
    return status == PGRES_POLLING_OK ? 0 : -1;
}

static void notice_ignore(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

/* The pins: names and values. Settings that this version of the server does not know are left out. */
static const char pins_sql[] =
    "SELECT pg_catalog.set_config(pin.name, pin.value, false) FROM (VALUES"
    " ('timezone', 'UTC'), ('datestyle', 'ISO, YMD'), ('intervalstyle', 'postgres'),"
    " ('extra_float_digits', '3'), ('bytea_output', 'hex'), ('lc_monetary', 'C'), ('xmloption', 'content'),"
    " ('array_nulls', 'on'), ('standard_conforming_strings', 'on'), ('row_security', 'off'),"
    " ('search_path', ''), ('statement_timeout', '0'), ('lock_timeout', '0'),"
    " ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'), ('transaction_timeout', "
    "'0'),"
    " ('default_transaction_isolation', 'read committed'), ('default_transaction_deferrable', 'off'),"
    " ('quote_all_identifiers', 'off')%s%s"
    ") AS pin (name, value)"
    " WHERE pg_catalog.current_setting(pin.name, true) IS NOT NULL"
    " AND pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) %d";

/* A pooling proxy hands out cancel keys of its own, so the process that answers is not the one that greeted
 * us. Then nothing is pinned: the setting would stay behind in somebody else's session. */
static int conn_pin(struct sb_conn *conn, struct sb_err *err)
{
    char sql[4096];
    bool local = (conn->flags & SB_CONN_LOCAL_COMMIT) != 0;
    const char *encoding = PQparameterStatus(conn->pg, "server_encoding");
    bool bytes = encoding != NULL && strcmp(encoding, "SQL_ASCII") == 0;
    snprintf(sql, sizeof sql, pins_sql, local ? ", ('synchronous_commit', 'local')" : "",
        bytes ? ", ('client_encoding', 'SQL_ASCII')" : "", PQbackendPID(conn->pg));
    SB_CLEANUP(result_freep)
    PGresult *result = PQexec(conn->pg, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return sb_conn_error(conn, result, SB_E_INTERNAL, "could not set up the session", err);
    if (PQntuples(result) > 0)
        return 0;
    enum sb_code code = conn->side == SB_SIDE_SOURCE ? SB_E_SOURCE_CONFIG : SB_E_TARGET_POOLED;
    sb_err_set(err, code, "%s.dsn leads to a connection pool, where a session has no state of its own",
        sb_side_name(conn->side));
    return sb_err_hint(err, "Point %s.dsn at the server itself.", sb_side_name(conn->side));
}

static int conn_connect(struct sb_conn *conn, const struct sb_endpoint *endpoint,
    const struct keywords *words, struct sb_err *err)
{
    const char *configured = keywords_get(words, "connect_timeout");
    long timeout_s = configured == NULL ? 0 : strtol(configured, NULL, 10);
    if (timeout_s <= 0 || timeout_s > INT_MAX) /* no number, or what libpq takes for "for ever" */
        timeout_s = CONNECT_TIMEOUT_S;
    conn->pg = PQconnectStartParams(words->names, words->values, 0);
    if (conn->pg == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a connection");
    PQsetNoticeReceiver(conn->pg, notice_ignore, NULL);
    PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);
    int waited =
        PQstatus(conn->pg) == CONNECTION_BAD ? -1 : connect_wait(conn->pg, timeout_s * INT64_C(1000));
    if (waited < 0)
        return open_error(conn->pg, endpoint, err);
    if (waited > 0)
        return sb_err_set(err, code_unavailable(endpoint->side),
            "could not connect to the %s: no answer within %ld seconds", sb_side_name(endpoint->side),
            timeout_s);
    PQsetErrorVerbosity(conn->pg, PQERRORS_DEFAULT);
    return conn_pin(conn, err);
}

int sb_conn_open(const struct sb_endpoint *endpoint, const char *purpose, unsigned flags,
    struct sb_conn **ret_conn, struct sb_err *err)
{
    struct keywords words = {.count = 0};
    PQconninfoOption *options = NULL;
    if (keywords_fill(endpoint, &words, &options, err) < 0)
        return -1;
    keywords_set(&words, "application_name", purpose);
    if (flags & SB_CONN_REPLICATION)
        keywords_set(&words, "replication", "database");

    struct sb_conn *conn = calloc(1, sizeof *conn);
    int done = -1;
    if (conn == NULL) {
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for a connection");
    } else {
        conn->side = endpoint->side;
        conn->flags = flags;
        done = conn_connect(conn, endpoint, &words, err);
    }
    PQconninfoFree(options);
    if (done < 0) {
        sb_conn_close(conn);
        return -1;
    }
    *ret_conn = conn;
    return 0;
}

static void word_put(struct sb_buf *out, const char *name, const char *value)
{
    sb_buf_putf(out, "%s%s='", out->len == 0 ? "" : " ", name);
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            sb_buf_put_str(out, "\\");
        sb_buf_put(out, value, 1);
    }
    sb_buf_put_str(out, "'");
}

int sb_conn_words(
    const struct sb_endpoint *endpoint, const char *purpose, struct sb_buf *out, struct sb_err *err)
{
    struct keywords words = {.count = 0};
    PQconninfoOption *options = NULL;
    if (keywords_fill(endpoint, &words, &options, err) < 0)
        return -1;
    keywords_set(&words, "application_name", purpose);
    for (size_t i = 0; i < words.count; i++) {
        /* The program chooses its own encoding. */
        if (strcmp(words.names[i], "password") != 0 && strcmp(words.names[i], "client_encoding") != 0)
            word_put(out, words.names[i], words.values[i]);
    }
    PQconninfoFree(options);
    return out->failed ? sb_err_set(err, SB_E_LIMIT, "%s.dsn is too long", sb_side_name(endpoint->side)) : 0;
}

void sb_conn_close(struct sb_conn *conn)
{
    if (conn == NULL)
        return;
    PQclear(conn->answer);
    PQfinish(conn->pg);
    free(conn);
}

struct pg_conn *sb_conn_raw(struct sb_conn *conn)
{
    return conn->pg;
}

enum sb_side sb_conn_side(const struct sb_conn *conn)
{
    return conn->side;
}

int sb_conn_version(const struct sb_conn *conn)
{
    return PQserverVersion(conn->pg);
}

int sb_conn_backend_pid(const struct sb_conn *conn)
{
    return PQbackendPID(conn->pg);
}

int sb_conn_fd(const struct sb_conn *conn)
{
    return PQsocket(conn->pg);
}

bool sb_conn_in_transaction(const struct sb_conn *conn)
{
    PGTransactionStatusType status = PQtransactionStatus(conn->pg);
    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

enum sb_ping sb_conn_ping(const struct sb_endpoint *endpoint)
{
    struct keywords words = {.count = 0};
    PQconninfoOption *options = NULL;
    struct sb_err ignored;
    if (keywords_fill(endpoint, &words, &options, &ignored) < 0)
        return SB_PING_SILENT;
    keywords_set(&words, "connect_timeout", "2");
    PGPing answer = PQpingParams(words.names, words.values, 0);
    PQconninfoFree(options);
    return answer == PQPING_OK ? SB_PING_UP : answer == PQPING_REJECT ? SB_PING_REFUSING : SB_PING_SILENT;
}

/* -- rows ------------------------------------------------------------------------------------------------ */

void sb_rows_free(struct sb_rows *rows)
{
    PQclear((PGresult *)rows);
}

void sb_rows_freep(struct sb_rows **rows)
{
    sb_rows_free(*rows);
}

int sb_rows_count(const struct sb_rows *rows)
{
    return PQntuples(result_of(rows));
}

int64_t sb_rows_affected(const struct sb_rows *rows)
{
    return strtoll(PQcmdTuples((PGresult *)rows), NULL, 10);
}

const char *sb_rows_get(const struct sb_rows *rows, int row, int col)
{
    return PQgetisnull(result_of(rows), row, col) ? NULL : PQgetvalue(result_of(rows), row, col);
}

static const char *rows_text(const struct sb_rows *rows, int row, int col)
{
    const char *text = sb_rows_get(rows, row, col);
    return text == NULL ? "" : text;
}

bool sb_rows_bool(const struct sb_rows *rows, int row, int col)
{
    return rows_text(rows, row, col)[0] == 't';
}

int64_t sb_rows_i64(const struct sb_rows *rows, int row, int col)
{
    return strtoll(rows_text(rows, row, col), NULL, 10);
}

uint64_t sb_rows_u64(const struct sb_rows *rows, int row, int col)
{
    return strtoull(rows_text(rows, row, col), NULL, 10);
}

uint64_t sb_rows_lsn(const struct sb_rows *rows, int row, int col)
{
    uint64_t lsn = 0;
    sb_lsn_parse(rows_text(rows, row, col), &lsn);
    return lsn;
}

/* -- statements ------------------------------------------------------------------------------------------ */

static bool result_fine(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY;
}

/* Hand the result over, or turn it into an error. */
static int result_give(struct sb_conn *conn, PGresult *result, struct sb_rows **ret_rows, struct sb_err *err)
{
    if (!result_fine(result)) {
        sb_conn_error(conn, result, SB_E_INTERNAL, "a statement failed", err);
        PQclear(result);
        return -1;
    }
    if (ret_rows != NULL)
        *ret_rows = rows_of(result);
    else
        PQclear(result);
    return 0;
}

int sb_conn_query(struct sb_conn *conn, const char *sql, int param_count, const char *const *params,
    struct sb_rows **ret_rows, struct sb_err *err)
{
    /* A replication session speaks the simple protocol only. */
    PGresult *result = (conn->flags & SB_CONN_REPLICATION) != 0 && param_count == 0
                           ? PQexec(conn->pg, sql)
                           : PQexecParams(conn->pg, sql, param_count, NULL, params, NULL, NULL, 0);
    return result_give(conn, result, ret_rows, err);
}

int sb_conn_exec(struct sb_conn *conn, const char *sql, struct sb_err *err)
{
    return result_give(conn, PQexec(conn->pg, sql), NULL, err);
}

int sb_conn_send(
    struct sb_conn *conn, const char *sql, int param_count, const char *const *params, struct sb_err *err)
{
    bool simple = (conn->flags & SB_CONN_REPLICATION) != 0 && param_count == 0;
    int sent = simple ? PQsendQuery(conn->pg, sql)
                      : PQsendQueryParams(conn->pg, sql, param_count, NULL, params, NULL, NULL, 0);
    return sent == 1 ? 0 : sb_conn_error(conn, NULL, SB_E_INTERNAL, "could not send a statement", err);
}

int sb_conn_send_script(struct sb_conn *conn, const char *sql, struct sb_err *err)
{
    if (PQsendQuery(conn->pg, sql) == 1)
        return 0;
    return sb_conn_error(conn, NULL, SB_E_INTERNAL, "could not send statements", err);
}

int sb_conn_poll(struct sb_conn *conn, struct sb_rows **ret_rows, struct sb_err *err)
{
    if (PQconsumeInput(conn->pg) == 0)
        return sb_conn_error(conn, NULL, SB_E_INTERNAL, "could not read an answer", err);
    while (!PQisBusy(conn->pg)) {
        PGresult *result = PQgetResult(conn->pg);
        if (result == NULL) {
            PGresult *answer = conn->answer;
            conn->answer = NULL;
            return answer == NULL ? sb_err_set(err, SB_E_INTERNAL, "no statement is under way")
                                  : result_give(conn, answer, ret_rows, err);
        }
        /* The first failure is the answer, otherwise the newest result. */
        bool keep_old = conn->answer != NULL && !result_fine(conn->answer);
        PQclear(keep_old ? result : conn->answer);
        conn->answer = keep_old ? conn->answer : result;
    }
    return SB_CONN_PENDING;
}

int sb_conn_check(struct sb_conn *conn, struct sb_err *err)
{
    /* The server's last words are read first, the end of the connection by a later call. */
    if (PQconsumeInput(conn->pg) == 0 || PQisBusy(conn->pg))
        return sb_conn_error(conn, NULL, SB_E_INTERNAL, "the session was ended", err);
    return 0;
}
