#include "setup/slot.h"

#include "core/bytes.h"
#include "core/clock.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { FAILOVER_SINCE = 170000, GRACE_MS = 10000, LEAVE_MS = 5000, STEP_MS = 100, BLOCKER_BYTES = 512 };

/* -- who is waited for ----------------------------------------------------------------------------------- */

/* The creating session waits for the lock that a transaction holds on its own number; a holder without a
 * process is a prepared transaction. */
static const char blocker_sql[] =
    "SELECT p.gid, p.database, p.prepared, h.pid, a.usename, a.application_name, a.state, a.xact_start"
    " FROM pg_catalog.pg_locks w"
    " JOIN pg_catalog.pg_locks h ON h.locktype = 'transactionid' AND h.transactionid = w.transactionid AND "
    "h.granted"
    " LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = w.transactionid"
    " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = h.pid"
    " WHERE w.pid = $1::integer AND w.locktype = 'transactionid' AND NOT w.granted LIMIT 1";

static const char *or_unknown(const char *text)
{
    return text == NULL || text[0] == '\0' ? "unknown" : text;
}

static int blocker_find(struct sb_conn *watcher, int pid, char out[BLOCKER_BYTES], struct sb_err *err)
{
    char text[16];
    snprintf(text, sizeof text, "%d", pid);
    const char *const params[] = {text};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(watcher, blocker_sql, 1, params, &rows, err) < 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        snprintf(out, BLOCKER_BYTES, "no transaction is in its way any more");
    else if (sb_rows_get(rows, 0, 0) != NULL)
        snprintf(out, BLOCKER_BYTES, "prepared transaction \"%s\" in database \"%s\", prepared at %s",
            sb_rows_get(rows, 0, 0), sb_rows_get(rows, 0, 1), sb_rows_get(rows, 0, 2));
    else
        snprintf(out, BLOCKER_BYTES,
            "process %s of role \"%s\" (application \"%s\", %s), in a transaction since %s",
            or_unknown(sb_rows_get(rows, 0, 3)), or_unknown(sb_rows_get(rows, 0, 4)),
            or_unknown(sb_rows_get(rows, 0, 5)), or_unknown(sb_rows_get(rows, 0, 6)),
            or_unknown(sb_rows_get(rows, 0, 7)));
    return 0;
}

/* -- creating -------------------------------------------------------------------------------------------- */

/* The answer within timeout_ms: 0, SB_CONN_PENDING, or -1. */
static int answer_wait(struct sb_conn *conn, int64_t timeout_ms, struct sb_err *err)
{
    int64_t deadline = sb_clock_mono_ms() + timeout_ms;
    for (;;) {
        struct sb_rows *rows = NULL;
        int done = sb_conn_poll(conn, &rows, err);
        sb_rows_free(rows);
        int64_t left = deadline - sb_clock_mono_ms();
        if (done != SB_CONN_PENDING || left <= 0)
            return done;
        struct pollfd file = {.fd = sb_conn_fd(conn), .events = POLLIN};
        poll(&file, 1, left > 1000 ? 1000 : (int)left);
    }
}

static int creation_send(struct sb_conn *conn, const char *slot, struct sb_err *err)
{
    const char *const params[] = {slot};
    const char *sql =
        sb_conn_version(conn) >= FAILOVER_SINCE
            ? "SELECT pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput', false, false, true)"
            : "SELECT pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput', false)";
    return sb_conn_send(conn, sql, 1, params, err);
}

static int backend_cancel(struct sb_conn *watcher, int pid, struct sb_err *err)
{
    char text[16];
    snprintf(text, sizeof text, "%d", pid);
    const char *const params[] = {text};
    return sb_conn_query(watcher, "SELECT pg_catalog.pg_cancel_backend($1::integer)", 1, params, NULL, err);
}

/* The deadline has passed: name the blocker, cancel, and see to it that no slot is left. */
static int creation_give_up(
    struct sb_conn *maker, struct sb_conn *watcher, const char *slot, int64_t timeout_s, struct sb_err *err)
{
    char blocker[BLOCKER_BYTES];
    struct sb_err ignored;
    int pid = sb_conn_backend_pid(maker);
    if (blocker_find(watcher, pid, blocker, err) < 0 || backend_cancel(watcher, pid, err) < 0)
        return -1;
    answer_wait(maker, GRACE_MS, &ignored);
    if (sb_slot_drop(watcher, slot, NULL, err) < 0)
        return -1;
    sb_err_set(err, SB_E_SOURCE_CONFIG,
        "slot \"%s\" could not be made within %" PRId64
        " s, because the source waits for %s; no slot was left behind",
        slot, timeout_s, blocker);
    return sb_err_hint(err,
        "End that transaction (COMMIT PREPARED or ROLLBACK PREPARED, or pg_terminate_backend), or raise "
        "capture.slot_create_timeout_s; then run `switchback prepare` again.");
}

static int creation_run(
    struct sb_conn *maker, struct sb_conn *watcher, const char *slot, int64_t timeout_s, struct sb_err *err)
{
    /* Should this process die meanwhile, the server gives up by itself: where its system can tell it, as soon
     * as it sees us gone. */
    char sql[64];
    struct sb_err unsupported;
    snprintf(sql, sizeof sql, "SET statement_timeout = '%" PRId64 "s'", timeout_s + GRACE_MS / 1000);
    sb_conn_exec(maker, "SET client_connection_check_interval = '1s'", &unsupported);
    if (sb_conn_exec(maker, sql, err) < 0 || creation_send(maker, slot, err) < 0)
        return -1;
    int done = answer_wait(maker, timeout_s * 1000, err);
    if (done == SB_CONN_PENDING)
        return creation_give_up(maker, watcher, slot, timeout_s, err);
    if (done < 0) {
        struct sb_err ignored;
        if (strcmp(err->sqlstate, "42710") != 0) /* it was there before: not ours to drop */
            sb_slot_drop(watcher, slot, NULL, &ignored);
    }
    return done;
}

int sb_slot_create(const struct sb_endpoint *source, const char *slot, int64_t timeout_s, struct sb_err *err)
{
    struct sb_conn *maker = NULL, *watcher = NULL;
    int done = -1;
    if (sb_conn_open(source, "switchback prepare", 0, &maker, err) == 0 &&
        sb_conn_open(source, "switchback prepare", 0, &watcher, err) == 0)
        done = creation_run(maker, watcher, slot, timeout_s, err);
    sb_conn_close(maker);
    sb_conn_close(watcher);
    return done < 0 ? sb_err_add(err, "making the slot") : 0;
}

/* -- dropping -------------------------------------------------------------------------------------------- */

static int drop_try(struct sb_conn *conn, const char *slot, bool *ret_dropped, struct sb_err *err)
{
    const char *const params[] = {slot};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn,
            "SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots"
            " WHERE slot_name = $1",
            1, params, &rows, err) < 0)
        return -1;
    *ret_dropped = sb_rows_count(rows) > 0;
    return 0;
}

int sb_slot_drop(struct sb_conn *conn, const char *slot, bool *ret_dropped, struct sb_err *err)
{
    bool dropped = false;
    int64_t deadline = sb_clock_mono_ms() + LEAVE_MS;
    int done = drop_try(conn, slot, &dropped, err);
    while (done < 0 && err->code == SB_E_SLOT_BUSY && sb_clock_mono_ms() < deadline) {
        poll(NULL, 0, STEP_MS);
        done = drop_try(conn, slot, &dropped, err);
    }
    if (done < 0)
        return sb_err_add(err, "dropping slot \"%s\"", slot);
    if (ret_dropped != NULL)
        *ret_dropped = dropped;
    return 0;
}
