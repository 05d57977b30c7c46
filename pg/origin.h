/*
 * Replication origins: the name that a session's transactions bear, so that whoever decodes the server's WAL
 * knows that they are ours. One session at a time has an origin. Each one costs an entry of
 * max_replication_slots (PostgreSQL 18: max_active_replication_origins) from its first use until it is
 * dropped.
 */
#ifndef SB_PG_ORIGIN_H
#define SB_PG_ORIGIN_H

#include "core/bytes.h"
#include "pg/conn.h"

/* From here on the session's transactions bear it; made if there is none. SB_ORIGIN_BUSY: another session has
 * it. Outside of a transaction. */
enum { SB_ORIGIN_BUSY = 1 };
int sb_origin_take(struct sb_conn *conn, const char *name, struct sb_err *err);
/* They bear none any more. Best effort: a dead session has none. */
void sb_origin_give_back(struct sb_conn *conn);
/* COMMIT of a transaction of such a session, which says of which moment of the other side it is and that its
 * own is now: without, its commit would be dated 2000-01-01. The last result is COMMIT's. */
void sb_origin_put_commit(uint64_t lsn, struct sb_buf *sql);
/* SB_ORIGIN_BUSY: a session has it. 0 if there is none. */
int sb_origin_drop(struct sb_conn *conn, const char *name, struct sb_err *err);

#endif
