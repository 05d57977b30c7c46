#include "cutover/ask.h"

#include "core/clock.h"

#include <poll.h>
#include <signal.h>

enum { PATIENCE_MS = 15000, GLANCE_MS = 100 };

bool sb_ask_stopped(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT));
}

int sb_ask(struct sb_conn *conn, const char *sql, int param_count, const char *const *params,
    struct sb_rows **ret_rows, struct sb_err *err)
{
    int64_t until_ms = sb_clock_mono_ms() + PATIENCE_MS;
    if (sb_conn_send(conn, sql, param_count, params, err) != 0)
        return -1;
    for (;;) {
        struct pollfd file = {.fd = sb_conn_fd(conn), .events = POLLIN};
        int rc = sb_conn_poll(conn, ret_rows, err);
        if (rc != SB_CONN_PENDING)
            return rc;
        if (sb_ask_stopped())
            return sb_err_set(
                err, SB_E_SHUTDOWN, "told to stop while the %s was asked", sb_side_name(sb_conn_side(conn)));
        if (sb_clock_mono_ms() >= until_ms)
            return sb_err_set(err,
                sb_conn_side(conn) == SB_SIDE_SOURCE ? SB_E_SOURCE_UNAVAILABLE : SB_E_TARGET_UNAVAILABLE,
                "the %s has not answered within %d s", sb_side_name(sb_conn_side(conn)), PATIENCE_MS / 1000);
        poll(&file, 1, GLANCE_MS);
    }
}
