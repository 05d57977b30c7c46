/*
 * Recopy: tables, and rows of single keys, that are to be copied again while everything runs.
 *
 * A wish is a row in switchback.copy_wish (schemas/sql/target.sql), written by whoever has found a reason: an
 * operator, a DDL that rewrote a table, apply itself (apply/suspects). Apply takes it between two of its
 * target transactions, at some progress P: in one target transaction the rows' part of the ledger is deleted
 * and the copy is pending again. The copy reads what is missing under new stamps, and what comes behind P is
 * judged by these.
 *
 * Whole tables are set aside: apply goes on with the others at once, and the side reader follows with these
 * from P on (apply/aside). Who deletes the rows is the copy, which takes as long as it takes. For rows of
 * single keys apply deletes and waits: they are few. It also waits where the structure is not complete, and
 * where the target owns the data.
 *
 * Why that is exact, whatever has been applied to the rows and wherever they have moved. The new stamp S is
 * taken behind a new barrier: an xid given out after apply stood still, below which everything has ended in S
 * (copy/pipe.h). What apply has read of the stream, up to P or beyond, has an older xid. So the image has all
 * of it, and what comes behind P is judged by S as by any stamp: key by key S sees a beginning of the key's
 * history, and at least all of it up to P. (A side reader that is behind P, because another table was set
 * aside before, skips what lies between: it is visible in S.) Nobody else writes meanwhile: the transaction
 * bears apply's origin, which one session at a time can have, and the next incarnation reads the stamps anew.
 *
 * A table that the copy knows nothing of is only copied: rows that somebody else put there are not deleted,
 * and the copy refuses them.
 *
 * A single key is cut out of its chunk's range: the ledger has what is left of the range under the old stamp,
 * and the key is missing until it is read. Ranges never overlap.
 */
#ifndef SB_APPLY_RECOPY_H
#define SB_APPLY_RECOPY_H

#include "apply/aside.h"
#include "apply/suspects.h"
#include "config/wiring.h"

/* Why apply itself asks. */
#define SB_RECOPY_MOVED "rows moved between chunks with values that did not travel"

/* Is there a wish that can be taken? None can while rows are copied. */
int sb_recopy_wished(struct sb_conn *conn, const struct sb_config *config, enum sb_direction direction,
    bool *ret_wished, struct sb_err *err);
/* Write wishes for these keys; the session bears an origin of ours, and progress is of the lane that asks. */
int sb_recopy_ask(struct sb_conn *conn, const struct sb_progress *progress,
    const struct sb_suspects *suspects, struct sb_err *err);
/* The same for all of the lane's tables with chunks that are not passed: the source failed over, and may have
 * lost what they show. */
int sb_recopy_ask_unpassed(struct sb_conn *conn, const struct sb_progress *progress,
    const struct sb_aside *aside, struct sb_err *err);
/* The same for this table: it was published when the copy was complete. */
int sb_recopy_ask_table(
    struct sb_conn *conn, const struct sb_progress *progress, const char *relation, struct sb_err *err);
/* Take the wishes that there are: afterwards the copy is pending if ret_any. The session has no origin yet;
 * SB-TARGET-UNAVAILABLE with ret_busy: another session has it. */
int sb_recopy_take(struct sb_conn *conn, const struct sb_config *config, enum sb_direction direction,
    bool *ret_any, bool *ret_busy, struct sb_err *err);

#endif
