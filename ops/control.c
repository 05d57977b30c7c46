#include "ops/control.h"

#include "pg/conn.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char pause_sql[] =
    "INSERT INTO switchback.apply_control AS c (migration, direction, paused) VALUES ($1, $2, true)"
    " ON CONFLICT (migration, direction) DO UPDATE SET paused = true,"
    " changed_by = session_user, changed_at = pg_catalog.now() WHERE NOT c.paused RETURNING true";

static const char resume_sql[] = "UPDATE switchback.apply_control SET paused = false,"
                                 " changed_by = session_user, changed_at = pg_catalog.now()"
                                 " WHERE migration = $1 AND direction = $2 AND paused RETURNING true";

static bool no_control_schema(const struct sb_err *err)
{
    return strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0;
}

int sb_control_pause(const struct sb_config *config, enum sb_direction direction, bool paused,
    bool *ret_changed, struct sb_err *err)
{
    struct sb_endpoint target = sb_wiring_target(config, direction);
    const char *const params[] = {config->migration, sb_direction_name(direction)};
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    struct sb_conn *conn = NULL;
    char purpose[SB_NAME_BYTES];
    snprintf(purpose, sizeof purpose, "switchback %s %s", config->migration, paused ? "pause" : "resume");
    if (sb_conn_open(&target, purpose, 0, &conn, err) != 0)
        return -1;
    int result = sb_conn_query(conn, paused ? pause_sql : resume_sql, 2, params, &rows, err);
    if (result == 0)
        *ret_changed = sb_rows_count(rows) > 0;
    else if (no_control_schema(err))
        sb_err_set(err, SB_E_NOT_PREPARED, "the target has no control schema \"switchback\"");
    sb_conn_close(conn);
    return result;
}

int sb_control_wake(const struct sb_reading *now)
{
    const struct sb_stage_report *over = &now->stages[SB_STAGE_SUPERVISOR].report;
    int woken = 0;
    for (int stage = 0; stage < SB_STAGE_COUNT; stage++) {
        const struct sb_stage_report *report = &now->stages[stage].report;
        /* Looked at once more: a pid may have been given away since the reading. */
        if (report->state == SB_STATE_HALTED && sb_process_is(report->pid, (enum sb_stage)stage))
            woken += kill(report->pid, SIGUSR1) == 0;
        if (report->state == SB_STATE_DONE && sb_process_is(over->pid, SB_STAGE_SUPERVISOR))
            kill(over->pid, SIGUSR1); /* there may be more for it to do: `copy --again` */
    }
    return woken;
}
