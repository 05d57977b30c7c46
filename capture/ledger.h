/*
 * The ledger: what may be confirmed to the slot. The only thing that moves it. Pure.
 *
 * Every recorded commit goes in with the ticket its commit record has in the stream. Two marks come back: the
 * ticket up to which the stream is durable without a hole, and the commit up to which the target has flushed
 * what it applied. The answer is the *start* LSN of a recorded commit (never its end, never the server's
 * walEnd), so that the next connection begins with that very commit again and it can be compared:
 *
 *     ack: stream    the newest commit whose record is durable
 *     ack: target    the newest commit that is durable and at or below what the target has flushed
 *
 * The answer never goes down. Memory is bounded: when the ring is full every second of its commits is
 * forgotten (not the newest). Confirming any subset of commits is right, for the slot only lags a little.
 */
#ifndef SB_CAPTURE_LEDGER_H
#define SB_CAPTURE_LEDGER_H

#include "schemas/change.h"

#include <stdbool.h>
#include <stdint.h>

enum sb_ledger_ack { SB_LEDGER_STREAM, SB_LEDGER_TARGET };

struct sb_ledger;

/* start_lsn: what is confirmed already. NULL if there is no memory. capacity is at least 2. */
struct sb_ledger *sb_ledger_new(enum sb_ledger_ack ack, size_t capacity, uint64_t start_lsn);
void sb_ledger_free(struct sb_ledger *ledger); /* NULL is fine */

/* From now on; what was confirmed stays confirmed. */
void sb_ledger_ack(struct sb_ledger *ledger, enum sb_ledger_ack ack);

/* A commit was recorded; ticket of its commit record, 0 if it was durable before. Both ascend. chain NULL: it
 * is not known. */
void sb_ledger_add(
    struct sb_ledger *ledger, uint64_t ticket, uint64_t commit_lsn, const struct sb_digest *chain);
/* Every ticket up to this one is on stable storage. */
void sb_ledger_durable(struct sb_ledger *ledger, uint64_t ticket);
/*
 * The target has flushed everything up to this commit, and says that the chain after it is so. False, and
 * nothing moves, if the ledger knows better: there is no such commit where it forgot none, or its chain is
 * another. The two then do not share a history.
 */
bool sb_ledger_applied(struct sb_ledger *ledger, uint64_t commit_lsn, const struct sb_digest *chain);

uint64_t sb_ledger_confirm(struct sb_ledger *ledger); /* what may be confirmed now */
/* Newest commit that is durable in the stream; the start LSN if none. */
uint64_t sb_ledger_stored(const struct sb_ledger *ledger);
size_t sb_ledger_count(const struct sb_ledger *ledger);

#endif
