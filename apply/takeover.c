#include "apply/takeover.h"

#include "core/log.h"

#include <stdio.h>

enum {
    PREDECESSOR_IDLE_S =
        5, /* a session of ours that did nothing for so long has a frozen process behind it */
};

/* This process has applied before, and somebody else is at it now, who is not its own former session that the
 * server has not missed yet: it was frozen or cut off, and has been taken over from. */
static bool is_superseded(struct sb_conn *conn, const char *purpose, int former_pid)
{
    static const char sql[] =
        "SELECT FROM pg_catalog.pg_stat_activity WHERE application_name = $1 AND"
        " datname = pg_catalog.current_database() AND pid NOT IN (pg_catalog.pg_backend_pid(), $2::integer)";
    char former[16];
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    struct sb_err ignored;
    const char *params[] = {purpose, former};
    snprintf(former, sizeof former, "%d", former_pid);
    return former_pid != 0 && sb_conn_query(conn, sql, 2, params, &rows, &ignored) == 0 &&
           sb_rows_count(rows) > 0;
}

int sb_takeover(struct sb_conn *conn, const char *purpose, int former_pid, struct sb_err *err)
{
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    struct sb_err ignored;
    char idle_s[16];
    snprintf(idle_s, sizeof idle_s, "%d", PREDECESSOR_IDLE_S);
    const char *params[] = {purpose, idle_s};
    if (sb_conn_query(conn,
            "SELECT pid, pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE "
            "application_name = $1 AND "
            "datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid() AND state <> "
            "'active' AND "
            "state_change < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $2::double "
            "precision)",
            2, params, &rows, &ignored) == 0 &&
        sb_rows_count(rows) > 0)
        SB_WARN("ended the idle session of an earlier applier", SB_STR("pid", sb_rows_get(rows, 0, 0)));
    else if (is_superseded(conn, purpose, former_pid))
        return sb_err_set(err, SB_E_EPOCH_STALE,
            "another applier of this migration works on the target, where this process did before");
    return sb_err_set(
        err, SB_E_TARGET_UNAVAILABLE, "another applier of this migration is connected to the target");
}
