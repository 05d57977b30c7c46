/*
 * The slot is in use: by whom, and will it pass? A capture that was killed leaves a walsender behind for a
 * moment, one that was frozen leaves it for as long as it is frozen. A holder of our own name whose client
 * has not answered for a while is dead: it is ended. One that answers is another capture that works: never
 * touched.
 */
#ifndef SB_CAPTURE_HOLDER_H
#define SB_CAPTURE_HOLDER_H

#include "pg/conn.h"

/* Our own client answers at least this often (see capture.c), so silence three times as long is death. */
enum { SB_HOLDER_STATUS_MS = 4000, SB_HOLDER_DEAD_MS = 3 * SB_HOLDER_STATUS_MS };

/*
 * Wait until nobody holds the slot. purpose: the application_name of our own replication sessions. stop is
 * asked now and then whether to give up. 0: free. -1: SB-SLOT-BUSY with who it is, SB-SHUTDOWN if stopped, or
 * what the session said. Takes at most a few seconds more than SB_HOLDER_DEAD_MS.
 */
int sb_holder_wait(
    struct sb_conn *conn, const char *slot, const char *purpose, bool (*stop)(void), struct sb_err *err);

#endif
