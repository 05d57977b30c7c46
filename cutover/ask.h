/* A statement whose answer is waited for with patience that ends: when it takes too long, or when this
 * process is told to stop meanwhile. For stages without a loop. */
#ifndef SB_CUTOVER_ASK_H
#define SB_CUTOVER_ASK_H

#include "pg/conn.h"

/* As sb_conn_query. ..-UNAVAILABLE after 15 s; SB-SHUTDOWN when SIGTERM or SIGINT, which are blocked, wait to
 * be taken. The session is of no use after either. */
int sb_ask(struct sb_conn *conn, const char *sql, int param_count, const char *const *params,
    struct sb_rows **ret_rows, struct sb_err *err);
/* Is a signal to stop waiting? */
bool sb_ask_stopped(void);

#endif
