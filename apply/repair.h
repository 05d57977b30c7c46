/*
 * Repairs, apply's side: images of rows (schemas/image.h) that come with the stream, verified, judged
 * (apply/ring) and written (apply/repair_row) at their place among the changes. A commit with an image is
 * delivered like a large transaction: what came before is written, then the rows with their audit, and
 * progress moves with them. So a repair has its effect once, whoever dies.
 *
 * While somebody repairs (switchback.repair_ring), the keys of all changes are remembered; else nothing is.
 */
#ifndef SB_APPLY_REPAIR_H
#define SB_APPLY_REPAIR_H

#include "apply/aside.h"
#include "apply/delivery.h"
#include "apply/ring.h"

struct sb_repair_desk;

/* All of them are the caller's and live longer. */
int sb_repair_desk_new(const struct sb_config *config, enum sb_direction direction,
    struct sb_delivery *delivery, const struct sb_aside *aside, struct sb_conn *conn,
    struct sb_repair_desk **ret_desk, struct sb_err *err);
void sb_repair_desk_free(struct sb_repair_desk *desk); /* NULL is fine */

/* About once a second: does somebody repair? newest_lsn: the commit of the newest record taken, whole or not.
 */
int sb_repair_desk_follow(struct sb_repair_desk *desk, uint64_t newest_lsn, struct sb_err *err);

/* A change, or DDL (chg NULL), in the order of the stream; before anything judges it. */
void sb_repair_desk_note(
    struct sb_repair_desk *desk, const struct sb_ring_at *at, const struct sb_change *chg);

/* The body of a message with the prefix switchback.image. settled: no stamps of an initial copy are in force;
 * a table set aside is not either. What is not signed by the truth side, or cannot be read, is logged and
 * left out. */
int sb_repair_take(struct sb_repair_desk *desk, const struct sb_ring_at *at, struct sb_view body,
    bool settled, struct sb_arena *arena, struct sb_err *err);

#endif
