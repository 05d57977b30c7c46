/*
 * Who may apply: whose session holds the lane's replication origin. One that is frozen or gone is ended, one
 * that works is left alone.
 */
#ifndef SB_APPLY_TAKEOVER_H
#define SB_APPLY_TAKEOVER_H

#include "pg/conn.h"

/* The origin is held by another session. If its process is frozen or gone its session is idle: end that one.
 * A live applier is left alone, and this one waits, or ends if it is the one that was taken over from.
 * purpose: application_name of either. former_pid: of the session with which this process did the same
 * before; 0: it has not yet. Always -1: SB-TARGET-UNAVAILABLE, SB-EPOCH-STALE. */
int sb_takeover(struct sb_conn *conn, const char *purpose, int former_pid, struct sb_err *err);

#endif
