/*
 * A pipe: one session with the source, one with the target, and a chunk at a time from the one to the other.
 * Never waits: it is stepped whenever one of its descriptors is ready. The door to libpq of copy/.
 *
 * A stamped chunk, in this order:
 *
 *     source   BEGIN, REPEATABLE READ
 *     source   LOCK TABLE ... IN ACCESS SHARE MODE       until the rows are read
 *     source   S = pg_current_snapshot(), then H = pg_current_wal_insert_lsn(), the table's shape
 *              S too old (barrier): ROLLBACK, again later. Another shape: the table is planned anew.
 *     target   BEGIN, the claim FOR SHARE
 *     both     COPY out, COPY in
 *     source   COMMIT
 *     target   the ledger's row: bounds, S, H, timeline, rows, digest
 *              wait until the source has flushed its WAL past H
 *     target   COMMIT, as of H for our origin
 *
 * Every interleaving that matters:
 *
 * Lock before snapshot. A TRUNCATE or rewrite that committed before our lock is visible in S (it holds its
 * lock until it has left the running transactions), and one that comes later waits for our transaction: so S
 * and the rows agree about it. With the snapshot first, one could slip in between, and S would find an empty
 * table that was not empty in S.
 *
 * H after S, flush before COMMIT. A transaction that S shows as ended wrote its commit or abort record before
 * S was taken, so below H. Asynchronous commits are visible before they are flushed; if the source crashes
 * then, they are gone and their xids are given away again, and S would call the new owners of these xids
 * seen. After the flush has passed H nothing that S shows can be lost. Until then the target's transaction is
 * open: a crash of the source ends the session in which the flush is watched, and with it this incarnation,
 * whose transaction is rolled back. Nothing that counts was written.
 *
 * The barrier. Transactions that committed before the slot existed but became visible later (they waited for
 * a standby) are not in the stream. The barrier is an xid given out after the slot existed: all transactions
 * below must have ended in S. What S does not show has a younger xid, began to write after the slot was
 * there, and is in the stream. (The newest *ended* xid would not do: a transaction in flight may have a
 * younger one.)
 *
 * Kills. Rows and ledger row are one transaction of the target, so a chunk is there with its stamp or not at
 * all; the next incarnation reads the ledger and plans the rest. An ambiguous COMMIT is answered by the
 * ledger. A frozen predecessor cannot commit behind our back: its transactions hold the claim's row FOR
 * SHARE, so our claim waited for their end.
 */
#ifndef SB_COPY_PIPE_H
#define SB_COPY_PIPE_H

#include "copy/control.h"

struct sb_pipe;

struct sb_pipe_options { /* all of it outlives the pipe */
    struct sb_endpoint source;
    struct sb_endpoint target;
    const struct sb_copy_claim *claim;
    char origin[SB_NAME_BYTES]; /* of what this pipe writes */
    uint32_t timeline;          /* of the source */
    uint64_t barrier;           /* xid: every transaction up to it must have ended in a stamp */
};

int sb_pipe_open(const struct sb_pipe_options *options, struct sb_pipe **ret_pipe, struct sb_err *err);
void sb_pipe_close(struct sb_pipe *pipe); /* NULL is fine; what is open is rolled back by the servers */

/* Take a chunk on; the pipe has none. */
void sb_pipe_begin(struct sb_pipe *pipe, const struct sb_copy_job *job);
const struct sb_copy_job *sb_pipe_job(const struct sb_pipe *pipe); /* NULL: none */

enum sb_pipe_wait {
    SB_PIPE_IDLE,   /* no chunk, or it is finished */
    SB_PIPE_IO,     /* for its descriptors */
    SB_PIPE_MORE,   /* for nothing: others should get their turn */
    SB_PIPE_BUDGET, /* for more bytes to be allowed */
    SB_PIPE_EARLY,  /* for older transactions of the source; step it again in a while */
    SB_PIPE_FLUSH,  /* for the source's flush to pass sb_pipe_flush_lsn */
};
struct sb_pipe_world {
    uint64_t flushed_lsn;  /* of the source */
    int64_t *budget_bytes; /* counted down; NULL: no limit */
};
/* As far as it goes: an enum sb_pipe_wait, or -1. */
int sb_pipe_step(struct sb_pipe *pipe, const struct sb_pipe_world *world, struct sb_err *err);

uint64_t sb_pipe_flush_lsn(const struct sb_pipe *pipe); /* H */
/* It waits for older transactions, also while it looks once more whether they have ended. */
bool sb_pipe_is_early(const struct sb_pipe *pipe);
int64_t sb_pipe_rows(const struct sb_pipe *pipe);  /* of the chunk so far, about */
int64_t sb_pipe_bytes(const struct sb_pipe *pipe); /* sent since the pipe was opened */
int sb_pipe_fd(const struct sb_pipe *pipe, enum sb_side side);
/* What its descriptors are watched for: SB_LOOP_READ, SB_LOOP_WRITE. */
unsigned sb_pipe_events(const struct sb_pipe *pipe, enum sb_side side);

#endif
