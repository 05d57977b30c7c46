/*
 * The witness: the copy's own session with the source, which sees how far its WAL is on disk and gives out
 * the barrier. Never waits once the loop runs: it is turned.
 *
 * On a failover pair what only the primary has flushed may be lost, and with it what a stamp shows: the flush
 * counts once the standbys have it, too, those of synchronized_standby_slots (PostgreSQL 17) and those that
 * are connected and synchronous. (A standby that is away is not waited for: if it takes over, the fork voids
 * the stamps, apply/stamps.h.)
 *
 * Where the flush does not move by itself within 100 ms, a small transactional message of ours is committed,
 * synchronously and locally, which flushes everything before it.
 */
#ifndef SB_COPY_WITNESS_H
#define SB_COPY_WITNESS_H

#include "config/wiring.h"

struct sb_witness;

/* Takes conn over (opened with SB_CONN_LOCAL_COMMIT). */
int sb_witness_new(struct sb_conn *conn, struct sb_witness **ret_witness, struct sb_err *err);
void sb_witness_free(struct sb_witness *witness);            /* NULL is fine */
struct sb_conn *sb_witness_conn(struct sb_witness *witness); /* before the loop runs */

/* An xid given out now: when a snapshot's xmin is beyond it, every transaction that had an xid before now has
 * ended there. SB-STAMP-FROM-STANDBY. Before the loop runs. */
int sb_witness_barrier(struct sb_witness *witness, uint64_t *ret_xid, struct sb_err *err);

/* Somebody waits until the flush passes lsn; 0: nobody does. */
void sb_witness_want(struct sb_witness *witness, uint64_t lsn, int64_t now_ms);
/* Somebody waits for older transactions: find out which is the oldest. */
void sb_witness_ask_oldest(struct sb_witness *witness);
/* Polls what is under way, sends what is due. */
int sb_witness_turn(struct sb_witness *witness, int64_t now_ms, struct sb_err *err);
uint64_t sb_witness_flushed(const struct sb_witness *witness);
/* What somebody waits for is flushed, but not on the standbys. */
bool sb_witness_waits_for_standby(const struct sb_witness *witness);
const char *sb_witness_oldest(const struct sb_witness *witness); /* a few words; empty: not known */

#endif
