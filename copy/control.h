/*
 * The initial copy's rows in the target's control schema (schemas/sql/target.sql), spoken to over a session
 * that may wait: before the loop runs, and at the end.
 *
 * One copy at a time: an incarnation claims switchback.copy by its uuid, and every transaction that writes
 * rows holds that row FOR SHARE from its first statement and names the uuid. So a new claim waits for what an
 * earlier incarnation still has open, and none of the earlier one's transactions begins after it.
 */
#ifndef SB_COPY_CONTROL_H
#define SB_COPY_CONTROL_H

#include "config/wiring.h"
#include "copy/table.h"
#include "schemas/digest.h"

struct sb_copy_claim {
    struct sb_conn *target; /* the caller's */
    const char *migration;
    const char *direction;
    const char *purpose;        /* application_name of our sessions */
    char origin[SB_NAME_BYTES]; /* of this session's transactions; held for each of them only */
    char incarnation[SB_UUID_TEXT_BYTES];
};

enum sb_copy_state { SB_COPY_NONE, SB_COPY_PENDING, SB_COPY_COMPLETE };
struct sb_copy_status {
    enum sb_copy_state rows;
    enum sb_copy_state structure;
    bool structure_begun; /* the tables are there */
    bool beside;          /* what is pending is of tables set aside: apply goes on with the others */
    uint64_t last_h;
};
int sb_copy_status_read(
    const struct sb_copy_claim *claim, struct sb_copy_status *ret_status, struct sb_err *err);

/* Fills incarnation. Waits some seconds for an earlier one's transactions, then ends its sessions and says
 * SB-TARGET-UNAVAILABLE, to be tried again. */
int sb_copy_claim(struct sb_copy_claim *claim, struct sb_err *err);
/* An origin for a session that stays (a pipe's). Waits some seconds for an earlier copy's session to let go,
 * then ends its sessions: SB-TARGET-UNAVAILABLE. */
int sb_copy_take_origin(
    const struct sb_copy_claim *claim, struct sb_conn *conn, const char *origin, struct sb_err *err);
/* The statements that begin a transaction that writes rows; its last one returns a row as long as the claim
 * stands. */
void sb_copy_put_begin(const struct sb_copy_claim *claim, struct sb_buf *sql);
/* The same for one that makes structure, rows or no rows. */
void sb_copy_put_begin_structure(const struct sb_copy_claim *claim, struct sb_buf *sql);
/* Begin a transaction of either kind on the claim's own session. SB-EPOCH-STALE if the claim is lost. */
int sb_copy_begin(const struct sb_copy_claim *claim, struct sb_err *err);
int sb_copy_commit(const struct sb_copy_claim *claim, struct sb_err *err);
void sb_copy_rollback(const struct sb_copy_claim *claim);

/* Has an operator paused this direction? Never waits: 0 with it, SB_CONN_PENDING while there is no answer,
 * -1. Asked every so often; nothing else uses the session meanwhile. */
int sb_copy_poll_paused(const struct sb_copy_claim *claim, bool *ret_paused, struct sb_err *err);
int sb_copy_ask_paused(const struct sb_copy_claim *claim, struct sb_err *err);

/* Everything is in the ledger: state complete, committed and flushed. */
int sb_copy_complete(const struct sb_copy_claim *claim, struct sb_err *err);
/* The origins that it needs no more, unless a logical slot on the target has yet to tell transactions of
 * them.
 */
void sb_copy_drop_origins(
    const struct sb_copy_claim *claim, const struct sb_config *config, enum sb_direction direction);

/* `switchback copy --again`: wish for a table to be copied again (switchback.copy_wish); apply takes the wish
 * between two of its transactions. add: a table that was published when the copy was complete, and never
 * copied. relation: schema.table, or quoted. */
int sb_copy_again(const struct sb_config *config, enum sb_direction direction, const char *relation, bool add,
    struct sb_err *err);

#endif
