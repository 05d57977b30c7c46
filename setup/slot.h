/*
 * Making the replication slot. The server waits with it until every transaction that was writing has ended; a
 * forgotten prepared transaction makes it wait for ever. So there is a deadline, and when it passes the one
 * that is waited for is named: a prepared transaction by its gid, a session by its process, role and start.
 *
 * Afterwards there is a slot or there is none: a creation that was cancelled may have finished all the same,
 * so the slot is looked for, and dropped.
 */
#ifndef SB_SETUP_SLOT_H
#define SB_SETUP_SLOT_H

#include "pg/conn.h"

/* Opens two sessions of its own. SB-SOURCE-CONFIG with the blocker when the deadline passes. */
int sb_slot_create(const struct sb_endpoint *source, const char *slot, int64_t timeout_s, struct sb_err *err);
/* Drops it if it is there; waits a moment for a reader that is just leaving. ret_dropped may be NULL.
 * SB-SLOT-BUSY if somebody reads it. */
int sb_slot_drop(struct sb_conn *conn, const char *slot, bool *ret_dropped, struct sb_err *err);

#endif
