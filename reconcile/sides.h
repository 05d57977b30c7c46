/*
 * Both sides: one session with each server for the whole of a compare. The door to libpq of reconcile/.
 *
 * A table is read in this order:
 *
 *     source   BEGIN REPEATABLE READ, LOCK ... ACCESS SHARE, then S and H = insert LSN
 *     target   BEGIN REPEATABLE READ, LOCK ... ACCESS SHARE, then P
 *     both     COPY out, at the same time
 *     both     COMMIT
 *     source   a message of ours, committed: the WAL is flushed past H, and the stream gets there, too
 *
 * Lock, then snapshot: a TRUNCATE or rewrite is in the snapshot and in the rows, or in neither. H after S:
 * what S sees has its commit record below H. One session: if the source crashed between S and the message,
 * the session is gone and with it this compare; so what S saw was not lost, and its xids were not given away
 * again. P is read under the snapshot of the rows: it is what they amount to.
 *
 * P is often beyond H: between the two snapshots commits are captured and applied. The stream has to be read
 * past both before a cut is judged: what lies between them is applied and not seen.
 *
 * The sessions wait; nothing else is to be done meanwhile.
 */
#ifndef SB_RECONCILE_SIDES_H
#define SB_RECONCILE_SIDES_H

#include "pg/catalog.h"
#include "reconcile/table.h"
#include "reconcile/window.h"
#include "schemas/change.h"

struct sb_sides;

struct sb_sides_options { /* strings outlive the sides */
    struct sb_endpoint source, target;
    const char *purpose; /* application_name */
    const char *migration, *direction;
};
/* SB-STAMP-FROM-STANDBY, and as sb_conn_open. */
int sb_sides_open(const struct sb_sides_options *options, struct sb_sides **ret_sides, struct sb_err *err);
void sb_sides_close(struct sb_sides *sides); /* NULL is fine */
struct sb_conn *sb_sides_conn(struct sb_sides *sides, enum sb_side side);
const struct sb_server_id *sb_sides_source_id(const struct sb_sides *sides);

struct sb_stamp {
    struct sb_cut cut; /* the snapshot's xids live until the next stamp */
    uint64_t h;
    int64_t applied_us; /* commit time of P, by the source's clock */
};
/* Everything that either side of the stamp shows has committed below it, or at it. */
static inline uint64_t sb_stamp_horizon(const struct sb_stamp *stamp)
{
    return stamp->h > stamp->cut.applied_lsn ? stamp->h : stamp->cut.applied_lsn;
}
enum sb_sides_answer {
    SB_SIDES_FULL = 1, /* fn said that it is full */
    SB_SIDES_LATE,     /* the snapshot is too old */
    SB_SIDES_LOCKED,   /* somebody holds the table */
    SB_SIDES_ALTERED,  /* it has not the shape that it was planned with */
    SB_SIDES_COPYING,  /* an initial copy is pending */
};
/* 0 with both transactions open; LOCKED, ALTERED or COPYING with none; -1. SB-PROGRESS-LOST,
 * SB-SOURCE-IDENTITY. */
int sb_sides_begin(struct sb_sides *sides, const struct sb_verify_table *table, struct sb_stamp *ret_stamp,
    struct sb_err *err);

/* A row as COPY gives it (schemas/rowform splits it in place); valid during the call. 0, SB_SIDES_FULL, or
 * -1. */
typedef int sb_sides_line_fn(void *arg, enum sb_side side, char *line, size_t len, struct sb_err *err);
/* Run a COPY out on each side. 0; FULL or LATE, after which the transactions can only be ended; -1. Neither
 * side gets far ahead of the other. */
int sb_sides_read(struct sb_sides *sides, const char *source_sql, const char *target_sql, int64_t age_max_ms,
    sb_sides_line_fn *fn, void *arg, struct sb_err *err);
/* End both transactions. */
int sb_sides_end(struct sb_sides *sides, struct sb_err *err);
/* The message. */
int sb_sides_mark(struct sb_sides *sides, struct sb_err *err);

int64_t sb_sides_rows(const struct sb_sides *sides);      /* read so far, of the source */
int64_t sb_sides_bytes(const struct sb_sides *sides);     /* of them, and of the target's */
int64_t sb_sides_oldest_ms(const struct sb_sides *sides); /* the longest that a transaction was open */

#endif
