/*
 * A session with a PostgreSQL server: the door to libpq. (capture/walsender and apply/writer speak libpq
 * themselves, for the replication protocol and for COPY and binary arrays; they open their sessions here.)
 *
 * Every session is pinned the same way, so that a value has one text: client_encoding UTF8, TimeZone UTC,
 * DateStyle ISO, IntervalStyle postgres, extra_float_digits 3, bytea_output hex, lc_monetary C, xmloption
 * content, array_nulls on, standard_conforming_strings on, row_security off, empty search_path, no time-outs
 * of the role's. Only a database that is SQL_ASCII, where nobody knows what its bytes mean, is spoken to in
 * SQL_ASCII: they come and go as they are. Values go as parameters only; identifiers through pg/ident.
 *
 * Errors carry the SQLSTATE and are classed by it: 08, 57P0x -> ..-UNAVAILABLE; 40, 55P03 -> ..-UNAVAILABLE
 * (retry); 53 -> TARGET-FULL / SOURCE-UNAVAILABLE; 28, 42501 -> ACCESS; anything else as the caller says.
 */
#ifndef SB_PG_CONN_H
#define SB_PG_CONN_H

#include "core/bytes.h"
#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

struct pg_conn; /* libpq's PGconn */

enum sb_side { SB_SIDE_SOURCE, SB_SIDE_TARGET };
const char *sb_side_name(enum sb_side side); /* "source" */

struct sb_endpoint { /* strings belong to the caller and outlive the sessions */
    enum sb_side side;
    const char *dsn;      /* a libpq connection string without password */
    const char *password; /* NULL: none */
};

enum {
    SB_CONN_REPLICATION = 1, /* a walsender session: replication=database */
    SB_CONN_LOCAL_COMMIT = 2
}; /* synchronous_commit=local: our own small writes never wait for a standby */

struct sb_conn;
/* purpose becomes application_name: "switchback shop capture". Waits at most connect_timeout of the dsn
 * (default 10 s). A connection pool in between is refused: SB-TARGET-POOLED, SB-SOURCE-CONFIG. Without an
 * sslmode in the dsn, other machines are spoken to with verify-full. */
int sb_conn_open(const struct sb_endpoint *endpoint, const char *purpose, unsigned flags,
    struct sb_conn **ret_conn, struct sb_err *err);
void sb_conn_close(struct sb_conn *conn); /* NULL is fine */
struct pg_conn *sb_conn_raw(struct sb_conn *conn);
enum sb_side sb_conn_side(const struct sb_conn *conn);
int sb_conn_version(const struct sb_conn *conn); /* 150020 */
int sb_conn_backend_pid(const struct sb_conn *conn);
int sb_conn_fd(const struct sb_conn *conn);
bool sb_conn_in_transaction(const struct sb_conn *conn); /* also in a failed one */

struct sb_rows;                            /* a result, owned by the caller */
void sb_rows_free(struct sb_rows *rows);   /* NULL is fine */
void sb_rows_freep(struct sb_rows **rows); /* for SB_CLEANUP */
int sb_rows_count(const struct sb_rows *rows);
int64_t sb_rows_affected(const struct sb_rows *rows);
/* NULL for SQL NULL; valid until the rows are freed. */
const char *sb_rows_get(const struct sb_rows *rows, int row, int col);
bool sb_rows_bool(const struct sb_rows *rows, int row, int col);
int64_t sb_rows_i64(const struct sb_rows *rows, int row, int col); /* 0 for NULL */
uint64_t sb_rows_u64(const struct sb_rows *rows, int row, int col);
uint64_t sb_rows_lsn(const struct sb_rows *rows, int row, int col); /* 0 for NULL */

/* One statement; params are text, NULL for SQL NULL; types by the server. ret_rows may be NULL. */
int sb_conn_query(struct sb_conn *conn, const char *sql, int param_count, const char *const *params,
    struct sb_rows **ret_rows, struct sb_err *err);
/* Several statements without parameters, results thrown away (control schema, BEGIN, COMMIT). */
int sb_conn_exec(struct sb_conn *conn, const char *sql, struct sb_err *err);

/* The same without waiting: send, then poll whenever the descriptor is readable (or a timer fires). */
int sb_conn_send(
    struct sb_conn *conn, const char *sql, int param_count, const char *const *params, struct sb_err *err);
/* Several statements without parameters: the answer is the first failure, or the last result. */
int sb_conn_send_script(struct sb_conn *conn, const char *sql, struct sb_err *err);
enum { SB_CONN_PENDING = 1 };
int sb_conn_poll(
    struct sb_conn *conn, struct sb_rows **ret_rows, struct sb_err *err); /* 0: answer is here; PENDING; -1 */

/* Between two statements: 0 if the session is there, -1 (..-UNAVAILABLE) if the server has ended it. Does not
 * wait. */
int sb_conn_check(struct sb_conn *conn, struct sb_err *err);
/* The connection string that a program of PostgreSQL's own takes to open the same session, with our defaults
 * and without the password, which goes as PGPASSWORD. */
int sb_conn_words(
    const struct sb_endpoint *endpoint, const char *purpose, struct sb_buf *out, struct sb_err *err);

/* Fill err from the session's last failure or from a result; for walsender and writer. other: the code for
 * errors that belong to no class above. what: "could not start replication". */
struct pg_result;
int sb_conn_error(struct sb_conn *conn, const struct pg_result *result, enum sb_code other, const char *what,
    struct sb_err *err);

enum sb_ping { SB_PING_UP, SB_PING_REFUSING, /* starting up, shutting down, in recovery */ SB_PING_SILENT };
enum sb_ping sb_conn_ping(const struct sb_endpoint *endpoint); /* at most 2 s */

#endif
