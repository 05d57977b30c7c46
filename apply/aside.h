/*
 * Tables set aside (switchback.aside): copied again, or for the first time, while apply goes on with the
 * others.
 *
 * A table is set aside at some progress P of the main lane (apply/recopy), which leaves its changes out from
 * there on and waits for nobody. Meanwhile its rows are copied under new stamps. Then the side reader
 * (apply/beside), a lane with a session, an origin and a progress row of its own, reads the retained stream
 * from P and applies the changes of tables set aside, and no others, judged by these stamps. It never passes
 * the main lane. When both are behind the same commit, the table is given back in one target transaction:
 * there it is what the lane itself would have made of it.
 *
 * Every change of such a table is applied by one of the two lanes and left out by the other, whoever dies
 * when: which lane it is depends on the rows of switchback.aside and on the progress of the two lanes, and
 * they change together.
 */
#ifndef SB_APPLY_ASIDE_H
#define SB_APPLY_ASIDE_H

#include "apply/progress.h"
#include "core/arena.h"
#include "schemas/change.h"
#include "schemas/ddl.h"

struct sb_aside; /* as they were when it was read; only the holder of apply's origin changes them */

/* For this lane; none where the control schema knows nothing of them. */
int sb_aside_read(struct sb_conn *conn, const char *migration, const char *direction,
    enum sb_lane_number lane, struct sb_aside **ret_aside, struct sb_err *err);
void sb_aside_free(struct sb_aside *aside); /* NULL is fine */

size_t sb_aside_count(const struct sb_aside *aside);
/* For SQL, the lane's own tables: (relation = ANY (array::text[])) = mine::boolean. */
const char *sb_aside_array(const struct sb_aside *aside);
const char *sb_aside_mine(const struct sb_aside *aside);

/* Is the change the other lane's? Of a TRUNCATE what is left is this lane's part; ret_split: it is one. The
 * shorter list lives in arena. */
int sb_aside_leaves_out(struct sb_aside *aside, struct sb_change *chg, struct sb_arena *arena, bool *ret_out,
    bool *ret_split, struct sb_err *err);
/* Is it one of them? Names as they are. */
bool sb_aside_has(const struct sb_aside *aside, struct sb_view schema, struct sb_view name);
/* Could the command have to do with a table set aside? True in doubt. */
bool sb_aside_concerns(const struct sb_aside *aside, const struct sb_ddl *ddl);

/* Give the tables back: both lanes are behind the same commit, and nothing is open. False if they are not, or
 * if nothing is set aside. The session bears apply's origin. */
int sb_aside_give_back(
    struct sb_conn *conn, const struct sb_progress *main, bool *ret_given, struct sb_err *err);
/* Wish for all of them to be copied once more: the side reader cannot go on. */
int sb_aside_ask_again(
    struct sb_conn *conn, const char *migration, const char *direction, const char *why, struct sb_err *err);

#endif
