/*
 * The embedded store: one SQLite file a direction, for one machine.
 *
 *     record(position INTEGER PRIMARY KEY, appended_ms, frame BLOB, key BLOB, body BLOB)   append-only,
 * position = offset control(key TEXT PRIMARY KEY, value BLOB) meta(name TEXT PRIMARY KEY, value) uuid,
 * migration, direction, format
 *
 * and a view `records` that takes the frame apart for the sqlite3 shell. The frame is one blob, so that the
 * hot path binds four values and decodes nothing it does not need.
 *
 * Durability: WAL mode with synchronous=FULL: a commit returns after fsync of the WAL. Appends gather in one
 * open transaction; sb_stream_service commits it, so the caller's rhythm (once a loop turn, when its input is
 * drained) is the group commit. What was appended since the last commit is lost when the process dies, and
 * was never called durable. After any error but "full" the handle is finished: a failing fsync is never
 * retried as success.
 *
 * One writer: an flock on <path>.lock, kept by the kernel only as long as the process lives. Readers are
 * other processes; they fetch in batches, each in one short read transaction, so that checkpoints are never
 * held up for long, and are woken by inotify on the lock file, into which the writer writes after each
 * commit. (Not on the WAL: that is written before the fsync, and what it holds becomes visible after it, in
 * shared memory, without a word. A reader woken by the former would look too early, and sleep on until the
 * next commit.)
 *
 * After a crash SQLite recovers the file on open by itself. The writer checks once a second that the path
 * still names the file it has open.
 */
#include "core/clock.h"
#include "core/fault.h"
#include "schemas/digest.h"
#include "stream/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FORMAT = 1,
    RECORD_MAX_BYTES = 16 * 1024 * 1024, /* larger ones go in parts; SQLite's own limit is 10^9 */
    PATH_BYTES = 4096,
    FETCH_BYTES = 1024 * 1024, /* a reader's batch: up to these, then its read transaction ends */
    FETCH_RECORDS = 4096,
    AHEAD_BYTES = 8 * 1024 * 1024, /* what is read while the caller waits: up to these */
    AHEAD_RECORDS = 32768,
    AHEAD_SLICE = 1024,                   /* records in one read transaction of it */
    PENDING_MAX_BYTES = 32 * 1024 * 1024, /* in the open transaction; then append says BUSY until service */
    MEASURE_BYTES = 64 * 1024,            /* appended between two looks at how large the file is */
    RELEASE_SLICE = 20000,                /* records deleted in one transaction */
    CHECK_PATH_MS = 1000,
    BUSY_TIMEOUT_MS = SB_STREAM_CALL_MS,
};

struct row { /* where a record that was fetched lies in its batch's bytes */
    int64_t offset, append_ms;
    size_t frame_at, key_at, key_len, body_at, body_len;
};

struct batch { /* fetched and not yet read: rows[at .. count) */
    struct sb_buf bytes;
    struct row *rows; /* AHEAD_RECORDS of them */
    size_t count, at;
};

struct embedded {
    struct sb_stream stream;
    char path[PATH_BYTES];
    int64_t retention_max_bytes;
    sqlite3 *db;
    sqlite3_stmt *insert, *select;
    int lock_fd;
    int lock_len; /* bytes in the lock file */
    ino_t inode;
    int64_t path_checked_ms;
    /* writing */
    bool finished; /* an append or commit failed */
    bool in_transaction;
    uint64_t ticket;
    size_t pending_bytes;
    size_t unmeasured_bytes;
    int64_t next_offset;
    /* reading */
    int64_t read_next;  /* position of the next record to fetch */
    struct batch now;   /* being read */
    struct batch later; /* read ahead: follows it */
};

static struct embedded *of(struct sb_stream *stream)
{
    return (struct embedded *)stream;
}

/* -- errors and statements
 * ------------------------------------------------------------------------------------- */

static int failed(struct embedded *store, const char *what, struct sb_err *err)
{
    int code = sqlite3_errcode(store->db);
    const char *why = sqlite3_errmsg(store->db);
    enum sb_code id = SB_E_STREAM_IO;
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        id = SB_E_LOG_CORRUPT;
    else if (code == SQLITE_FULL)
        id = SB_E_STREAM_FULL;
    else if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        id = SB_E_STREAM_UNAVAILABLE;
    else if (code == SQLITE_NOMEM)
        id = SB_E_NO_MEMORY;
    else if (code == SQLITE_TOOBIG)
        id = SB_E_RECORD_TOO_LARGE;
    sb_err_set(err, id, "stream file \"%s\": %s: %s", store->path, what, why);
    err->lib_code = code;
    return -1;
}

static int execute(struct embedded *store, const char *sql, const char *what, struct sb_err *err)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(store, what, err);
}

static int prepare(struct embedded *store, const char *sql, sqlite3_stmt **ret_stmt, struct sb_err *err)
{
    if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL) == SQLITE_OK)
        return 0;
    return failed(store, "could not prepare a statement", err);
}

/* One row of one integer; absent is 0 rows: ret_value untouched, result 1. */
static int query_i64(struct embedded *store, const char *sql, int64_t *ret_value, struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    if (prepare(store, sql, &stmt, err) != 0)
        return -1;
    int step = sqlite3_step(stmt), rc = 1;
    if (step == SQLITE_ROW && sqlite3_column_type(stmt, 0) != SQLITE_NULL) {
        *ret_value = sqlite3_column_int64(stmt, 0);
        rc = 0;
    } else if (step != SQLITE_ROW && step != SQLITE_DONE) {
        rc = failed(store, "could not read", err);
    }
    sqlite3_finalize(stmt);
    return rc;
}

/* -- opening
 * --------------------------------------------------------------------------------------------------- */

static void lock_path(const struct embedded *store, char ret_path[PATH_BYTES + 8])
{
    snprintf(ret_path, PATH_BYTES + 8, "%s.lock", store->path);
}

static int take_lock(struct embedded *store, struct sb_err *err)
{
    char path[PATH_BYTES + 8], holder[32] = "";
    lock_path(store, path);
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0)
        return sb_err_errno(err, SB_E_STREAM_IO, "could not open \"%s\"", path);
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        store->lock_len = snprintf(holder, sizeof holder, "%d\n", (int)getpid());
        if (ftruncate(store->lock_fd, 0) != 0 ||
            pwrite(store->lock_fd, holder, (size_t)store->lock_len, 0) != store->lock_len)
            return sb_err_errno(err, SB_E_STREAM_IO, "could not write \"%s\"", path);
        return 0;
    }
    if (errno != EWOULDBLOCK)
        return sb_err_errno(err, SB_E_STREAM_IO, "could not lock \"%s\"", path);
    ssize_t len = pread(store->lock_fd, holder, sizeof holder - 1, 0);
    holder[len > 0 ? len : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    return sb_err_set(
        err, SB_E_STREAM_LOCKED, "stream file \"%s\" is being written by process %s", store->path, holder);
}

static int read_meta(struct embedded *store, const char *name, char *out, size_t cap, struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = -1;
    if (prepare(store, "SELECT value FROM meta WHERE name = ?1", &stmt, err) != 0)
        return sb_err_add(err, "this is not a stream file");
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    int step = sqlite3_step(stmt);
    if (step == SQLITE_ROW && sqlite3_column_text(stmt, 0) != NULL) {
        snprintf(out, cap, "%s", (const char *)sqlite3_column_text(stmt, 0));
        rc = 0;
    } else if (step == SQLITE_DONE || step == SQLITE_ROW) {
        rc = sb_err_set(err, SB_E_LOG_FOREIGN, "stream file \"%s\" has no \"%s\"", store->path, name);
    } else {
        failed(store, "could not read whose it is", err);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int check_meta(struct embedded *store, const struct sb_stream_options *options, struct sb_err *err)
{
    char format[24], uuid[64], migration[128], direction[32];
    if (read_meta(store, "format", format, sizeof format, err) != 0 ||
        read_meta(store, "uuid", uuid, sizeof uuid, err) != 0 ||
        read_meta(store, "migration", migration, sizeof migration, err) != 0 ||
        read_meta(store, "direction", direction, sizeof direction, err) != 0)
        return -1;
    if (atoll(format) > FORMAT)
        return sb_err_set(err, SB_E_LOG_FORMAT, "stream file \"%s\" has format %s, this program knows %d",
            store->path, format, FORMAT);
    if (strcmp(migration, options->migration) != 0 || strcmp(direction, options->direction) != 0)
        return sb_err_set(err, SB_E_LOG_FOREIGN,
            "stream file \"%s\" belongs to migration \"%s\", direction %s", store->path, migration,
            direction);
    if (!sb_uuid_parse(uuid, &store->stream.uuid))
        return sb_err_set(err, SB_E_LOG_CORRUPT, "stream file \"%s\" has no valid uuid", store->path);
    return 0;
}

static int remember_inode(struct embedded *store, struct sb_err *err)
{
    struct stat st;
    if (stat(store->path, &st) != 0)
        return sb_err_errno(err, SB_E_STREAM_IO, "could not look at \"%s\"", store->path);
    store->inode = st.st_ino;
    store->path_checked_ms = sb_clock_mono_ms();
    return 0;
}

/* The file we have open must still be the one the path names. Once a second. */
static int check_path(struct embedded *store, struct sb_err *err)
{
    struct stat st;
    int64_t now_ms = sb_clock_mono_ms();
    if (now_ms - store->path_checked_ms < CHECK_PATH_MS)
        return 0;
    store->path_checked_ms = now_ms;
    if (stat(store->path, &st) == 0 && st.st_ino == store->inode)
        return 0;
    store->finished = true;
    return sb_err_set(
        err, SB_E_STREAM_IO, "stream file \"%s\" was removed or replaced while it was open", store->path);
}

static int connect_db(struct embedded *store, int flags, struct sb_err *err)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* or every allocation takes a lock to be counted */
    int rc = sqlite3_open_v2(store->path, &store->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        if (rc == SQLITE_CANTOPEN && access(store->path, F_OK) != 0) {
            sb_err_set(err, SB_E_NOT_PREPARED, "there is no stream file \"%s\"", store->path);
            return -1;
        }
        return failed(store, "could not open it", err);
    }
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    return execute(store,
        "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192; PRAGMA "
        "wal_autocheckpoint = 4096",
        "could not set it up", err);
}

/* A copy of a store may have come without its lock file: it is made, for the writer to come. */
static int watch_commits(struct embedded *store, struct sb_err *err)
{
    char path[PATH_BYTES + 8];
    lock_path(store, path);
    int made = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    if (made >= 0)
        close(made);
    store->stream.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (store->stream.fd < 0 || inotify_add_watch(store->stream.fd, path, IN_MODIFY) < 0)
        return sb_err_errno(err, SB_E_STREAM_IO, "could not watch \"%s\"", path);
    return 0;
}

/* What was committed is visible: wake the readers by writing again what stands there. A reader that is not
 * woken looks by itself in a while, so nothing depends on it. */
static void tell_readers(const struct embedded *store)
{
    ssize_t ignored = pwrite(store->lock_fd, "\n", 1, store->lock_len - 1);
    (void)ignored;
}

static int open_writer(struct embedded *store, struct sb_err *err)
{
    int64_t last = -1;
    if (prepare(store,
            "INSERT INTO record (position, appended_ms, frame, key, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            &store->insert, err) != 0)
        return -1;
    /* sqlite_sequence would be a second source of truth: the end is kept in meta by release, which may empty
     * the table. */
    int rc = query_i64(store,
        "SELECT max(coalesce((SELECT max(position) FROM record), -1), (SELECT CAST(value AS INTEGER) FROM "
        "meta WHERE "
        "name = 'released') - 1)",
        &last, err);
    store->next_offset = last + 1;
    return rc < 0 ? -1 : 0;
}

static bool batch_init(struct batch *batch)
{
    sb_buf_init(
        &batch->bytes, (size_t)2 * RECORD_MAX_BYTES + AHEAD_BYTES + (size_t)SB_FRAME_BYTES * AHEAD_RECORDS);
    batch->rows = calloc(AHEAD_RECORDS, sizeof *batch->rows);
    return batch->rows != NULL;
}

static void batch_clear(struct batch *batch)
{
    sb_buf_clear(&batch->bytes);
    free(batch->rows);
}

/* Everything was read. Memory beyond an ordinary batch's is given back. */
static void batch_reset(struct batch *batch)
{
    if (batch->bytes.cap > 2 * FETCH_BYTES)
        sb_buf_clear(&batch->bytes);
    else
        sb_buf_reset(&batch->bytes);
    batch->at = batch->count = 0;
}

static void embedded_close(struct sb_stream *stream)
{
    struct embedded *store = of(stream);
    sqlite3_finalize(store->insert);
    sqlite3_finalize(store->select);
    if (store->in_transaction)
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(store->db);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    if (store->stream.fd >= 0)
        close(store->stream.fd);
    batch_clear(&store->now);
    batch_clear(&store->later);
    free(store);
}

static struct embedded *store_new(const struct sb_stream_options *options, struct sb_err *err)
{
    struct embedded *store = calloc(1, sizeof *store);
    if (store == NULL) {
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for the stream");
        return NULL;
    }
    snprintf(store->path, sizeof store->path, "%s", options->path);
    store->stream = (struct sb_stream){.store = &sb_embedded_store, .record_max = RECORD_MAX_BYTES, .fd = -1};
    store->retention_max_bytes = options->retention_max_bytes;
    store->lock_fd = -1;
    return store;
}

static int embedded_open(const struct sb_stream_options *options, enum sb_stream_mode mode,
    struct sb_stream **ret_stream, struct sb_err *err)
{
    struct embedded *store = store_new(options, err);
    if (store == NULL)
        return -1;
    if (!batch_init(&store->now) || !batch_init(&store->later))
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for the stream");
    else if ((access(store->path, F_OK) == 0 ||
                 sb_err_set(err, SB_E_NOT_PREPARED, "there is no stream file \"%s\"", store->path) == 0) &&
             (mode == SB_STREAM_READ || take_lock(store, err) == 0) &&
             connect_db(store, SQLITE_OPEN_READWRITE, err) == 0 && check_meta(store, options, err) == 0 &&
             remember_inode(store, err) == 0 &&
             prepare(store,
                 "SELECT position, appended_ms, frame, key, body FROM record WHERE position >= ?1 ORDER BY "
                 "position",
                 &store->select, err) == 0 &&
             (mode == SB_STREAM_WRITE ? open_writer(store, err) == 0 : watch_commits(store, err) == 0)) {
        *ret_stream = &store->stream;
        return 0;
    }
    embedded_close(&store->stream);
    return -1;
}

/* -- making and removing
 * --------------------------------------------------------------------------------------- */

static const char schema_sql[] =
    "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL;"
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS control (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS record (position INTEGER PRIMARY KEY, appended_ms INTEGER NOT NULL, frame "
    "BLOB NOT NULL,"
    " key BLOB, body BLOB NOT NULL);"
    /* for people: the frame taken apart (schemas/frame.h); integers as hexadecimal */
    "CREATE VIEW IF NOT EXISTS records AS SELECT position, datetime(appended_ms / 1000, 'unixepoch') AS "
    "appended,"
    " CASE hex(substr(frame, 5, 1)) WHEN '01' THEN 'open' WHEN '02' THEN 'schema' WHEN '03' THEN 'change' "
    "WHEN '04' THEN 'message'"
    " WHEN '05' THEN 'image' WHEN '06' THEN 'commit' WHEN '07' THEN 'part' END AS kind,"
    " hex(substr(frame, 25, 8)) AS epoch, hex(substr(frame, 33, 8)) AS sequence, hex(substr(frame, 41, 8)) "
    "AS commit_lsn,"
    " hex(substr(frame, 57, 8)) AS ordinal, hex(substr(frame, 65, 8)) AS xid, length(body) AS body_bytes "
    "FROM record;";

static int put_meta(struct embedded *store, const char *name, const char *value, struct sb_err *err)
{
    sqlite3_stmt *stmt = NULL;
    if (prepare(store, "INSERT OR IGNORE INTO meta (name, value) VALUES (?1, ?2)", &stmt, err) != 0)
        return -1;
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, value, -1, SQLITE_STATIC);
    int rc = sqlite3_step(stmt) == SQLITE_DONE ? 0 : failed(store, "could not write whose it is", err);
    sqlite3_finalize(stmt);
    return rc;
}

static int make_tables(struct embedded *store, const struct sb_stream_options *options,
    const struct sb_uuid *uuid, struct sb_err *err)
{
    char text[SB_UUID_TEXT_BYTES];
    if (execute(store, schema_sql, "could not make its tables", err) != 0 ||
        put_meta(store, "format", "1", err) != 0 ||
        put_meta(store, "uuid", sb_uuid_text(uuid, text), err) != 0 ||
        put_meta(store, "migration", options->migration, err) != 0 ||
        put_meta(store, "direction", options->direction, err) != 0 ||
        put_meta(store, "released", "0", err) != 0)
        return -1;
    return execute(store, "COMMIT", "could not make its tables", err);
}

static int embedded_create(const struct sb_stream_options *options, const struct sb_uuid *stream_uuid,
    struct sb_buf *statements, struct sb_err *err)
{
    if (statements != NULL) {
        if (access(options->path, F_OK) != 0)
            sb_buf_putf(statements, "create the stream file %s\n", options->path);
        return 0;
    }
    struct embedded *store = store_new(options, err);
    if (store == NULL)
        return -1;
    int rc = -1;
    mode_t mask = umask(0077);
    if (take_lock(store, err) == 0 &&
        connect_db(store, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err) == 0 &&
        make_tables(store, options, stream_uuid, err) == 0 && check_meta(store, options, err) == 0) {
        rc = sb_uuid_eq(&store->stream.uuid, stream_uuid)
                 ? 0
                 : sb_err_set(err, SB_E_LOG_FOREIGN,
                       "stream file \"%s\" is there already and has another uuid", store->path);
    }
    umask(mask);
    embedded_close(&store->stream);
    return rc;
}

static int embedded_destroy(const struct sb_stream_options *options, struct sb_err *err)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    struct embedded *store = store_new(options, err);
    if (store == NULL)
        return -1;
    int rc = access(store->path, F_OK) == 0 ? take_lock(store, err) : 0;
    for (size_t i = 0; rc == 0 && i < sizeof suffixes / sizeof *suffixes; i++) {
        char path[PATH_BYTES + 8];
        snprintf(path, sizeof path, "%s%s", options->path, suffixes[i]);
        if (unlink(path) != 0 && errno != ENOENT)
            rc = sb_err_errno(err, SB_E_STREAM_IO, "could not remove \"%s\"", path);
    }
    embedded_close(&store->stream);
    return rc;
}

/* The file has no settings of its own: it opens, or it does not. */
static int embedded_check(
    const struct sb_stream_options *options, sb_stream_finding_fn *fn, void *arg, struct sb_err *err)
{
    struct sb_stream *stream;
    (void)fn, (void)arg;
    if (embedded_open(options, SB_STREAM_READ, &stream, err) != 0)
        return -1;
    embedded_close(stream);
    return 0;
}

/* -- writing
 * --------------------------------------------------------------------------------------------------- */

static int64_t used_bytes(struct embedded *store, struct sb_err *err)
{
    int64_t pages = 0, unused = 0, size = 0;
    if (query_i64(store, "PRAGMA page_count", &pages, err) < 0 ||
        query_i64(store, "PRAGMA freelist_count", &unused, err) < 0 ||
        query_i64(store, "PRAGMA page_size", &size, err) < 0)
        return -1;
    return (pages - unused) * size;
}

static int finish_writer(struct embedded *store, const char *what, struct sb_err *err)
{
    store->finished = true;
    return failed(store, what, err);
}

static int embedded_append(
    struct sb_stream *stream, const struct sb_record *record, uint64_t *ret_ticket, struct sb_err *err)
{
    struct embedded *store = of(stream);
    unsigned char frame[SB_FRAME_BYTES];
    if (store->finished)
        return sb_err_set(
            err, SB_E_STREAM_IO, "stream file \"%s\": this handle has failed before", store->path);
    if (record->body.len > stream->record_max)
        return sb_err_set(err, SB_E_RECORD_TOO_LARGE, "a record of %zu bytes is larger than %zu",
            record->body.len, stream->record_max);
    if (store->stream.full || store->pending_bytes > PENDING_MAX_BYTES)
        return SB_STREAM_BUSY;
    if (!store->in_transaction) {
        if (sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
            return sqlite3_errcode(store->db) == SQLITE_BUSY ? SB_STREAM_BUSY
                                                             : finish_writer(store, "could not begin", err);
        store->in_transaction = true;
    }
    sb_frame_encode(&record->frame, frame);
    sqlite3_bind_int64(store->insert, 1, store->next_offset);
    sqlite3_bind_int64(store->insert, 2, sb_clock_wall_us() / 1000);
    sqlite3_bind_blob(store->insert, 3, frame, sizeof frame, SQLITE_STATIC);
    if (record->key.len > 0)
        sqlite3_bind_blob64(store->insert, 4, record->key.ptr, record->key.len, SQLITE_STATIC);
    else
        sqlite3_bind_null(store->insert, 4);
    sqlite3_bind_blob64(
        store->insert, 5, record->body.ptr == NULL ? "" : record->body.ptr, record->body.len, SQLITE_STATIC);
    int step = sqlite3_step(store->insert);
    sqlite3_reset(store->insert);
    if (step != SQLITE_DONE)
        return finish_writer(store, "could not append", err);
    store->next_offset++;
    store->ticket++;
    store->pending_bytes += sizeof frame + record->key.len + record->body.len;
    if (ret_ticket != NULL)
        *ret_ticket = store->ticket;
    return 0;
}

/* Full is a state, not an error: appends wait until release has made room. */
static int measure(struct embedded *store, struct sb_err *err)
{
    int64_t used = used_bytes(store, err);
    if (used < 0)
        return -1;
    store->unmeasured_bytes = 0;
    store->stream.full = store->retention_max_bytes > 0 && used >= store->retention_max_bytes;
    return 0;
}

static int commit(struct embedded *store, struct sb_err *err)
{
    if (!store->in_transaction)
        return 0;
    SB_FAULT("stream-before-commit");
    if (sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        return finish_writer(store, "could not commit", err);
    SB_FAULT("stream-after-commit");
    tell_readers(store);
    store->in_transaction = false;
    store->unmeasured_bytes += store->pending_bytes;
    store->pending_bytes = 0;
    store->stream.durable = store->ticket;
    return store->unmeasured_bytes < MEASURE_BYTES ? 0 : measure(store, err);
}

static int embedded_service(struct sb_stream *stream, struct sb_err *err)
{
    struct embedded *store = of(stream);
    if (store->finished)
        return sb_err_set(
            err, SB_E_STREAM_IO, "stream file \"%s\": this handle has failed before", store->path);
    return check_path(store, err) == 0 ? commit(store, err) : -1;
}

static int embedded_flush(struct sb_stream *stream, int64_t timeout_ms, struct sb_err *err)
{
    (void)timeout_ms; /* a commit is as long as an fsync */
    return embedded_service(stream, err);
}

/* Delete what nobody needs and retention does not keep, oldest first, in one bounded slice a call. */
static int embedded_release(
    struct sb_stream *stream, int64_t below_offset, int64_t keep_ms, struct sb_err *err)
{
    struct embedded *store = of(stream);
    int64_t used, keep_from_ms = sb_clock_wall_us() / 1000 - keep_ms;
    if (commit(store, err) != 0 || (used = used_bytes(store, err)) < 0)
        return -1;
    if (store->retention_max_bytes > 0 && used > store->retention_max_bytes / 10 * 9)
        keep_from_ms = INT64_MAX; /* bytes are short: time does not protect what was applied */
    int64_t oldest = below_offset, upto;
    if (query_i64(store, "SELECT min(position) FROM record", &oldest, err) < 0)
        return -1;
    upto = oldest + RELEASE_SLICE < below_offset ? oldest + RELEASE_SLICE : below_offset;
    if (upto <= oldest)
        return measure(store, err);
    char sql[512];
    snprintf(sql, sizeof sql,
        "BEGIN IMMEDIATE; DELETE FROM record WHERE position < coalesce((SELECT position FROM record WHERE "
        "position < %" PRId64 " AND appended_ms >= %" PRId64 " ORDER BY position LIMIT 1), %" PRId64
        "); UPDATE meta SET value = CAST(max(CAST(value AS "
        "INTEGER), coalesce((SELECT min(position) FROM record), %" PRId64
        ")) AS TEXT) WHERE name = 'released'; COMMIT",
        upto, keep_from_ms, upto, store->next_offset);
    if (execute(store, sql, "could not delete old records", err) != 0) {
        struct sb_err ignored;
        execute(store, "ROLLBACK", "", &ignored);
        return -1;
    }
    return measure(store, err);
}

static int embedded_control_put(
    struct sb_stream *stream, struct sb_view key, struct sb_view value, struct sb_err *err)
{
    struct embedded *store = of(stream);
    sqlite3_stmt *stmt = NULL;
    if (commit(store, err) != 0 ||
        prepare(store, "INSERT OR REPLACE INTO control (key, value) VALUES (?1, ?2)", &stmt, err) != 0)
        return -1;
    sqlite3_bind_blob64(stmt, 1, key.ptr, key.len, SQLITE_STATIC);
    sqlite3_bind_blob64(stmt, 2, value.ptr == NULL ? "" : value.ptr, value.len, SQLITE_STATIC);
    int rc =
        sqlite3_step(stmt) == SQLITE_DONE ? 0 : finish_writer(store, "could not write a control entry", err);
    sqlite3_finalize(stmt);
    return rc;
}

/* -- reading
 * --------------------------------------------------------------------------------------------------- */

static int embedded_bounds(struct sb_stream *stream, struct sb_stream_bounds *ret_bounds, struct sb_err *err)
{
    struct embedded *store = of(stream);
    struct sb_stream_bounds bounds = {0};
    int64_t released = 0, last = -1;
    if (query_i64(store, "SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'released'", &released, err) <
            0 ||
        query_i64(store, "SELECT max(position) FROM record", &last, err) < 0)
        return -1;
    bounds.next = last + 1 > released ? last + 1 : released;
    bounds.oldest = bounds.next;
    if (query_i64(store, "SELECT min(position) FROM record", &bounds.oldest, err) < 0)
        return -1;
    bounds.bytes = used_bytes(store, err);
    if (bounds.bytes < 0)
        return -1;
    *ret_bounds = bounds;
    return 0;
}

static int embedded_seek(struct sb_stream *stream, int64_t offset, struct sb_err *err)
{
    struct embedded *store = of(stream);
    struct sb_stream_bounds bounds;
    if (embedded_bounds(stream, &bounds, err) != 0)
        return -1;
    if (offset < bounds.oldest)
        return sb_err_set(err, SB_E_LOG_GAP,
            "offset %" PRId64 " is not retained any more: the oldest is %" PRId64, offset, bounds.oldest);
    if (offset > bounds.next)
        return sb_err_set(err, SB_E_LOG_TRUNCATED,
            "offset %" PRId64 " is beyond the stream's end at %" PRId64, offset, bounds.next);
    store->read_next = offset;
    batch_reset(&store->now);
    batch_reset(&store->later);
    return 0;
}

static size_t keep_blob(struct embedded *store, struct batch *batch, int column, size_t *ret_len)
{
    size_t at = batch->bytes.len;
    *ret_len = (size_t)sqlite3_column_bytes(store->select, column);
    sb_buf_put(&batch->bytes, sqlite3_column_blob(store->select, column), *ret_len);
    return at;
}

static int keep_row(struct embedded *store, struct batch *batch, struct sb_err *err)
{
    struct row *row = &batch->rows[batch->count];
    size_t frame_len;
    row->offset = sqlite3_column_int64(store->select, 0);
    row->append_ms = sqlite3_column_int64(store->select, 1);
    row->frame_at = keep_blob(store, batch, 2, &frame_len);
    row->key_at = keep_blob(store, batch, 3, &row->key_len);
    row->body_at = keep_blob(store, batch, 4, &row->body_len);
    if (batch->bytes.failed)
        return sb_err_set(err, SB_E_LIMIT, "the record at offset %" PRId64 " is too large", row->offset);
    if (frame_len != SB_FRAME_BYTES)
        return sb_err_set(err, SB_E_LOG_CORRUPT, "the record at offset %" PRId64 " has a frame of %zu bytes",
            row->offset, frame_len);
    if (row->offset != store->read_next)
        return sb_err_set(err, SB_E_LOG_GAP, "offset %" PRId64 " is missing: the next record is at %" PRId64,
            store->read_next, row->offset);
    store->read_next = row->offset + 1;
    batch->count++;
    return 0;
}

static void drain_watch(const struct embedded *store)
{
    char events[4096];
    while (store->stream.fd >= 0 && read(store->stream.fd, events, sizeof events) > 0)
        ;
}

/* One short read transaction: records behind those of the batch, until it has so many or so many bytes. */
static int fetch(
    struct embedded *store, struct batch *batch, size_t records, size_t bytes, struct sb_err *err)
{
    int rc = 0, step = SQLITE_DONE;
    sqlite3_bind_int64(store->select, 1, store->read_next);
    while (rc == 0 && batch->count < records && batch->bytes.len < bytes &&
           (step = sqlite3_step(store->select)) == SQLITE_ROW)
        rc = keep_row(store, batch, err);
    if (rc == 0 && step != SQLITE_ROW && step != SQLITE_DONE)
        rc = failed(store, "could not read", err);
    sqlite3_reset(store->select);
    return rc;
}

/* Everything of `now` was read: what was read ahead follows, or what the file has. */
static int refill(struct embedded *store, struct sb_err *err)
{
    batch_reset(&store->now);
    if (store->later.count > 0) {
        struct batch filled = store->later;
        store->later = store->now;
        store->now = filled;
        return 0;
    }
    if (check_path(store, err) != 0)
        return -1;
    drain_watch(store); /* before the look, so that what comes after it wakes us again */
    int rc = fetch(store, &store->now, FETCH_RECORDS, FETCH_BYTES, err);
    /* What stands before a damaged record is good and is given first; the next fetch meets the damage again.
     */
    return store->now.count > 0 ? 0 : rc;
}

/* Leaves the bell alone: what it finds is not what a woken reader came for. */
static bool embedded_read_ahead(struct sb_stream *stream)
{
    struct embedded *store = of(stream);
    struct batch *later = &store->later;
    struct sb_err ignored;
    size_t before = later->count;
    size_t records = before + AHEAD_SLICE < AHEAD_RECORDS ? before + AHEAD_SLICE : AHEAD_RECORDS;
    return fetch(store, later, records, AHEAD_BYTES, &ignored) == 0 && later->count > before;
}

/* What read_next waits for must not have been deleted meanwhile. */
static int check_released(struct embedded *store, struct sb_err *err)
{
    int64_t released = 0;
    if (query_i64(store, "SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'released'", &released, err) <
        0)
        return -1;
    if (released > store->read_next)
        return sb_err_set(
            err, SB_E_LOG_GAP, "offset %" PRId64 " was deleted before it was read", store->read_next);
    return SB_STREAM_END;
}

static int embedded_read(struct sb_stream *stream, struct sb_record *ret_record, struct sb_err *err)
{
    struct embedded *store = of(stream);
    if (store->now.at == store->now.count) {
        if (refill(store, err) != 0)
            return -1;
        if (store->now.count == 0)
            return check_released(store, err);
    }
    const struct row *row = &store->now.rows[store->now.at];
    const char *bytes = store->now.bytes.ptr;
    struct sb_record record = {.key = sb_view(bytes + row->key_at, row->key_len),
        .body = sb_view(bytes + row->body_at, row->body_len),
        .offset = row->offset,
        .append_ms = row->append_ms};
    if (sb_frame_decode(sb_view(bytes + row->frame_at, SB_FRAME_BYTES), &record.frame, err) != 0 ||
        sb_frame_check_body(&record.frame, record.body, err) != 0)
        return sb_err_add(err, "stream file \"%s\", offset %" PRId64, store->path, row->offset);
    store->now.at++;
    *ret_record = record;
    return 0;
}

static int embedded_control_each(
    struct sb_stream *stream, struct sb_view prefix, sb_stream_control_fn *fn, void *arg, struct sb_err *err)
{
    struct embedded *store = of(stream);
    sqlite3_stmt *stmt = NULL;
    int rc = 0, step = SQLITE_DONE;
    if (prepare(store, "SELECT key, value FROM control WHERE substr(key, 1, ?2) = ?1", &stmt, err) != 0)
        return -1;
    sqlite3_bind_blob64(stmt, 1, prefix.ptr, prefix.len, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 2, (int64_t)prefix.len);
    while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW)
        rc = fn(arg, sb_view(sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0)),
            sb_view(sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1)), err);
    if (rc == 0 && step != SQLITE_DONE)
        rc = failed(store, "could not read control entries", err);
    sqlite3_finalize(stmt);
    return rc;
}

static int embedded_publish_progress(struct sb_stream *stream, int64_t offset, struct sb_err *err)
{
    (void)stream;
    (void)offset;
    (void)err;
    return 0;
}

const struct sb_store_functions sb_embedded_store = {
    .open = embedded_open,
    .close = embedded_close,
    .create = embedded_create,
    .destroy = embedded_destroy,
    .check = embedded_check,
    .append = embedded_append,
    .service = embedded_service,
    .flush = embedded_flush,
    .release = embedded_release,
    .control_put = embedded_control_put,
    .bounds = embedded_bounds,
    .seek = embedded_seek,
    .read = embedded_read,
    .read_ahead = embedded_read_ahead,
    .control_each = embedded_control_each,
    .publish_progress = embedded_publish_progress,
};
