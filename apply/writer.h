/*
 * The session that writes to the target: statements prepared once, parameters bound as text, arrays or COPY.
 * With pg/conn and capture/walsender one of the three doors to libpq.
 *
 * The session is set up by sb_writer_new: replica role, our replication origin, asynchronous commit (what is
 * confirmed to the slot is what is *flushed*; capture sees to that), index paths pinned for set joins, lock
 * time-out.
 *
 * Errors: those that pass by themselves (connection, deadlock, lock time-out, resources) have class retry.
 * Everything else the server says about data or structure is SB-POISON with its SQLSTATE: the caller decides
 * whether exact mode, a conflict or a halt follows. After any error the target transaction is gone: roll
 * back.
 */
#ifndef SB_APPLY_WRITER_H
#define SB_APPLY_WRITER_H

#include "core/err.h"
#include "pg/conn.h"
#include "schemas/change.h"

struct sb_writer;

/* The session stays the caller's. replica: user tables will be written to; without it the replica role, and
 * the right to it, is not needed. */
int sb_writer_new(struct sb_conn *conn, const char *origin, bool replica, int64_t lock_timeout_ms,
    struct sb_writer **ret_writer, struct sb_err *err);
void sb_writer_free(struct sb_writer *writer);

/* What to do while the server works on a set of rows: fn is called again and again and returns whether there
 * is more to do at once. It must not use the session. */
void sb_writer_meanwhile(struct sb_writer *writer, bool (*fn)(void *arg), void *arg);

int sb_writer_begin(struct sb_writer *writer, struct sb_err *err);
int sb_writer_commit(struct sb_writer *writer, struct sb_err *err);
/* Best effort: a dead session has rolled back by itself. */
void sb_writer_rollback(struct sb_writer *writer);
int sb_writer_savepoint(struct sb_writer *writer, struct sb_err *err); /* one at a time */
int sb_writer_release(struct sb_writer *writer, struct sb_err *err);   /* keep what was done since */
int sb_writer_rollback_to(
    struct sb_writer *writer, struct sb_err *err); /* undo what was done since, and forget it */
/* The origin's position for this transaction (source commit LSN and time), as
 * pg_replication_origin_xact_setup: sent with COMMIT, which fails if it is refused. */
void sb_writer_origin(struct sb_writer *writer, uint64_t lsn, int64_t commit_us);

/* Prepared statements hold the types that their parameters had: forget them when a table is read anew. */
int sb_writer_forget(struct sb_writer *writer, struct sb_err *err);

/* A statement with text parameters; NULL state and UNCHANGED are not allowed in values but NULL is.
 * ret_affected: rows changed or returned. */
int sb_writer_one(struct sb_writer *writer, struct sb_view sql, const struct sb_value *const *values,
    int count, int64_t *ret_affected, struct sb_err *err);
/* As sb_writer_one; the first column of the first row, or NULL; valid until the next call. */
int sb_writer_fetch(struct sb_writer *writer, struct sb_view sql, const struct sb_value *const *values,
    int count, const char **ret_text, struct sb_err *err);

/* A statement whose parameters are text[] arrays, built column by column: begin, then for each column
 * begin_array and one put a row, then run. */
void sb_writer_arrays_begin(struct sb_writer *writer);
void sb_writer_array(struct sb_writer *writer, size_t rows);
void sb_writer_array_put(struct sb_writer *writer, const struct sb_value *value);
int sb_writer_arrays_run(
    struct sb_writer *writer, struct sb_view sql, int64_t *ret_affected, struct sb_err *err);
/* As run, for SELECT count(*): the count. */
int sb_writer_arrays_count(
    struct sb_writer *writer, struct sb_view sql, int64_t *ret_count, struct sb_err *err);
/* As run, for a SELECT: the first row's columns, all NULL without a row; valid until the next call. */
int sb_writer_arrays_fetch(
    struct sb_writer *writer, struct sb_view sql, const char **ret_texts, int count, struct sb_err *err);

/* COPY ... FROM STDIN in text format: begin, rows of values separated by sb_writer_copy_put, row ends, end.
 */
int sb_writer_copy_begin(struct sb_writer *writer, struct sb_view sql, struct sb_err *err);
void sb_writer_copy_put(struct sb_writer *writer, const struct sb_value *value, bool first);
int sb_writer_copy_row(struct sb_writer *writer, struct sb_err *err);
int sb_writer_copy_end(struct sb_writer *writer, int64_t *ret_rows, struct sb_err *err);

#endif
