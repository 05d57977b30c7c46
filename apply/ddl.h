/*
 * DDL of the source, when its message comes: verified, judged (apply/ddl_judge), and run in the target
 * transaction of its commit at its place among the changes, or held. A commit with DDL is delivered like a
 * large transaction: what came before is written, its own changes in their order around the command, and
 * progress moves with it. So a command is run exactly once, whoever dies.
 *
 * Held: what came before is applied and committed, the commit with the command is not begun, the command
 * stands in switchback.ddl (apply/ddl_book), and the error is SB-DDL-HELD. The next incarnation finds what an
 * operator has decided.
 */
#ifndef SB_APPLY_DDL_H
#define SB_APPLY_DDL_H

#include "apply/aside.h"
#include "apply/delivery.h"
#include "apply/tables.h"

struct sb_ddl_desk;

/* All of them are the caller's and live longer; scratch is used during a call. */
int sb_ddl_desk_new(const struct sb_config *config, enum sb_direction direction, struct sb_delivery *delivery,
    struct sb_tables *tables, const struct sb_aside *aside, struct sb_conn *conn,
    struct sb_ddl_desk **ret_desk, struct sb_err *err);
void sb_ddl_desk_free(struct sb_ddl_desk *desk); /* NULL is fine */

/* The body of a message with the prefix switchback.ddl, which lives in arena or longer. What is not signed by
 * the source's triggers is nobody's DDL: logged and left out. */
int sb_ddl_take(struct sb_ddl_desk *desk, const struct sb_flight *flight, uint64_t ordinal,
    struct sb_view body, struct sb_arena *arena, struct sb_err *err);

/* It may concern a table set aside, which is not at this commit: it was not taken, and stays where it is
 * until there are none (apply/aside). */
bool sb_ddl_desk_stands(const struct sb_ddl_desk *desk);

/* Are tables to be copied again once the transaction in flight is applied? */
bool sb_ddl_desk_wishes(const struct sb_ddl_desk *desk);

/* -- a table that changed without a message -------------------------------------------------------------- */

struct sb_ddl_at { /* a change, and the table as the stream has it there */
    const struct sb_flight *flight;
    uint64_t ordinal;
    const struct sb_relation *rel;
};

/* The target's table does not fit: err says what. Held and written down; always -1. */
int sb_ddl_changed(struct sb_ddl_desk *desk, const struct sb_ddl_at *at, struct sb_err *err);
/* Is it the change that an incarnation before stood at? Then, before the target's table is looked at: as
 * strictly as without knowing the shape before, or not at all, if an operator has said so; and behind it, if
 * it fits. */
bool sb_ddl_stood_at(const struct sb_ddl_desk *desk, const struct sb_ddl_at *at);
int sb_ddl_look_again(struct sb_ddl_desk *desk, const struct sb_ddl_at *at, struct sb_err *err);
int sb_ddl_passes(struct sb_ddl_desk *desk, const struct sb_ddl_at *at, struct sb_err *err);

#endif
