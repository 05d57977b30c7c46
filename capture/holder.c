#include "capture/holder.h"

#include "core/bytes.h"
#include "core/clock.h"
#include "core/log.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { LOOK_EVERY_MS = 100, AFTER_KILL_MS = 5000 };

struct holder {
    int32_t pid; /* 0: nobody */
    bool ours;
    char name[64];
    char answered[64]; /* when its client last sent a status, by its own clock; empty: never */
};

static int look(struct sb_conn *conn, const char *slot, const char *purpose, struct holder *ret_holder,
    struct sb_err *err)
{
    static const char sql[] =
        "SELECT s.active_pid, a.application_name, a.usename = current_user AND a.application_name = $2,"
        " r.reply_time FROM pg_catalog.pg_replication_slots s"
        " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid"
        " LEFT JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid WHERE s.slot_name = $1";
    const char *params[] = {slot, purpose};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, sql, 2, params, &rows, err) != 0)
        return sb_err_add(err, "asking who holds slot \"%s\"", slot);
    struct holder holder = {.pid = 0};
    if (sb_rows_count(rows) > 0 && sb_rows_get(rows, 0, 0) != NULL) {
        const char *name = sb_rows_get(rows, 0, 1), *answered = sb_rows_get(rows, 0, 3);
        holder.pid = (int32_t)sb_rows_i64(rows, 0, 0);
        holder.ours = sb_rows_bool(rows, 0, 2);
        snprintf(holder.name, sizeof holder.name, "%s", name == NULL ? "" : name);
        snprintf(holder.answered, sizeof holder.answered, "%s", answered == NULL ? "" : answered);
    }
    *ret_holder = holder;
    return 0;
}

static int busy(const struct holder *holder, const char *slot, struct sb_err *err)
{
    return sb_err_set(err, SB_E_SLOT_BUSY, "slot \"%s\" is in use by process %d of the source (\"%s\")", slot,
        holder->pid, holder->name);
}

static int end_holder(struct sb_conn *conn, const struct holder *holder, struct sb_err *err)
{
    char pid[16];
    const char *params[] = {pid};
    snprintf(pid, sizeof pid, "%d", holder->pid);
    SB_WARN("the slot is held for a capture of ours that does not answer any more; its session is ended",
        SB_NUM("pid", holder->pid), SB_STR("application_name", holder->name));
    if (sb_conn_query(conn, "SELECT pg_catalog.pg_terminate_backend($1)", 1, params, NULL, err) != 0)
        return sb_err_add(err, "ending process %d", holder->pid);
    return 0;
}

int sb_holder_wait(
    struct sb_conn *conn, const char *slot, const char *purpose, bool (*stop)(void), struct sb_err *err)
{
    struct holder first = {.pid = 0}, now;
    int64_t since_ms = sb_clock_mono_ms();
    bool ended = false;
    for (;;) {
        if (look(conn, slot, purpose, &now, err) != 0)
            return -1;
        if (now.pid == 0)
            return 0;
        if (stop())
            return sb_err_set(err, SB_E_SHUTDOWN, "told to stop while slot \"%s\" was in use", slot);
        if (first.pid != now.pid) {
            first = now;
            since_ms = sb_clock_mono_ms();
            ended = false;
        }
        int64_t silent_ms = sb_clock_mono_ms() - since_ms;
        bool answers = strcmp(first.answered, now.answered) != 0;
        if (!now.ours || answers || silent_ms >= SB_HOLDER_DEAD_MS + AFTER_KILL_MS)
            return busy(&now, slot, err);
        if (silent_ms >= SB_HOLDER_DEAD_MS && !ended) {
            if (end_holder(conn, &now, err) != 0)
                return -1;
            ended = true;
        }
        poll(NULL, 0, LOOK_EVERY_MS);
    }
}
