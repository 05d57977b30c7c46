#include "ops/arming.h"

#include "core/arena.h"
#include "core/log.h"
#include "core/metrics.h"
#include "setup/check.h"
#include "setup/control.h"
#include "setup/prepare.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LOOK_MS = 1000, PURPOSE_BYTES = 64 };

/* Until it is time to look again; true if told to stop meanwhile. The signal is taken: the stage ends. */
static bool told_to_stop(void)
{
    const struct timespec pause = {.tv_sec = LOOK_MS / 1000, .tv_nsec = LOOK_MS % 1000 * 1000000};
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    return sigtimedwait(&stop, NULL, &pause) > 0;
}

/* A look at the new side: 0 and what it says. */
typedef int look_fn(
    struct sb_conn *conn, const struct sb_config *config, bool *ret_there, struct sb_err *err);

static int wait_for(
    const struct sb_config *config, const char *what, look_fn *look, const char *why, struct sb_err *err)
{
    char purpose[PURPOSE_BYTES];
    struct sb_endpoint endpoint = sb_wiring_source(config, SB_REVERSE);
    struct sb_conn *conn;
    bool there = false, said = false;
    snprintf(purpose, sizeof purpose, "switchback %s %s", config->migration, what);
    if (sb_conn_open(&endpoint, purpose, 0, &conn, err) != 0)
        return -1;
    int rc = look(conn, config, &there, err);
    while (rc == 0 && !there) {
        if (!said)
            sb_report_state(SB_STATE_WAITING, why);
        said = true;
        if (told_to_stop())
            rc = SB_ARMING_STOPPED;
        else if (sb_conn_ping(&endpoint) == SB_PING_REFUSING) /* a smart stop waits for us */
            rc = sb_err_set(err, SB_E_SOURCE_UNAVAILABLE, "the new side is shutting down");
        else
            rc = look(conn, config, &there, err);
    }
    sb_conn_close(conn);
    return rc;
}

/* -- capture --------------------------------------------------------------------------------------------- */

/* Forward was prepared, and the rows it began with are there. */
static int look_whole(
    struct sb_conn *conn, const struct sb_config *config, bool *ret_there, struct sb_err *err)
{
    return sb_control_whole(conn, config->migration, SB_FORWARD, ret_there, err);
}

static int look_armed(
    struct sb_conn *conn, const struct sb_config *config, bool *ret_there, struct sb_err *err)
{
    struct sb_prepared row;
    if (sb_control_capture(conn, config->migration, SB_REVERSE, &row, err) != 0)
        return -1;
    *ret_there = row.found;
    return 0;
}

/* The first thing that a check found missing, as an error. */
static int check_all(const struct sb_config *config, struct sb_arena *arena, struct sb_err *err)
{
    struct sb_report report;
    sb_report_init(&report, arena);
    if (sb_check_arming(config, &report, err) != 0)
        return -1;
    for (size_t i = 0; i < report.count; i++) {
        const struct sb_report_row *row = &report.rows[i];
        if (row->result != SB_RESULT_FAIL || row->mendable)
            continue;
        sb_err_set(err, row->code, "the way back cannot be armed (%s): %s", row->id, row->evidence);
        return row->statement[0] == '\0' ? -1 : sb_err_hint(err, "Run: %s", row->statement);
    }
    return 0;
}

static void on_step(void *arg, const struct sb_step *step)
{
    (void)arg;
    SB_INFO("arming the way back", SB_STR("step", step->what));
}

static int make_all(const struct sb_config *config, struct sb_arena *arena, struct sb_err *err)
{
    struct sb_script script;
    sb_script_init(&script, arena, false);
    script.on_step = on_step;
    if (sb_prepare(config, SB_REVERSE, &script, err) == 0)
        return 0;
    /* The settings were checked, so this is the slot waiting for a transaction, a long one of apply perhaps.
     * It ends some time, and nobody has to be called for that. */
    if (err->code == SB_E_SOURCE_CONFIG)
        err->code = SB_E_SOURCE_UNAVAILABLE;
    return sb_err_add(err, "arming the way back");
}

static int arm(const struct sb_config *config, struct sb_err *err)
{
    struct sb_arena *arena = sb_arena_new("arming", SB_CHECK_ARENA_BYTES);
    if (arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for an arena");
    int rc = check_all(config, arena, err);
    if (rc == 0)
        rc = make_all(config, arena, err);
    sb_arena_free(arena);
    return rc;
}

int sb_arming_made(const struct sb_config *config, bool *ret_made, struct sb_err *err)
{
    struct sb_endpoint endpoint = sb_wiring_source(config, SB_REVERSE);
    struct sb_conn *conn;
    if (sb_conn_open(&endpoint, "switchback prepare", 0, &conn, err) != 0)
        return -1;
    int rc = look_armed(conn, config, ret_made, err);
    sb_conn_close(conn);
    return rc;
}

int sb_arming_capture(const struct sb_config *config, struct sb_err *err)
{
    bool made = false;
    int rc = wait_for(config, "capture-reverse", look_whole, "for the initial copy", err);
    if (rc == 0)
        rc = sb_arming_made(config, &made, err);
    return rc != 0 || made ? rc : arm(config, err);
}

/* -- apply ----------------------------------------------------------------------------------------------- */

int sb_arming_apply(const struct sb_config *config, struct sb_err *err)
{
    return wait_for(config, "apply-reverse", look_armed, "for capture-reverse, which arms the way back", err);
}
