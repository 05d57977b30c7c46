/*
 * The side reader: the lane of tables that are set aside (apply/aside). Once their rows are copied it reads
 * the retained stream from where they were set aside, proves everything, writes their changes alone, and
 * follows the main lane without ever passing it, until both are behind the same commit.
 *
 * It takes turns with the main lane in the same process and thread: a turn is a bounded number of records,
 * more than the main lane takes in one, so that it catches up also with one that is never idle.
 */
#ifndef SB_APPLY_BESIDE_H
#define SB_APPLY_BESIDE_H

#include "apply/progress.h"
#include "config/wiring.h"

struct sb_beside;

/* Opens a session with the target and the stream. The copy is complete. */
int sb_beside_new(const struct sb_config *config, enum sb_direction direction, struct sb_beside **ret_side,
    struct sb_err *err);
void sb_beside_free(struct sb_beside *side); /* rolls back what is open; NULL is fine */

enum sb_beside_turn {
    SB_BESIDE_MORE,  /* there is more to do at once */
    SB_BESIDE_IDLE,  /* not now */
    SB_BESIDE_LEVEL, /* it is where main is, and everything is written */
    SB_BESIDE_ASKED, /* rows were asked for again (apply/recopy): it is finished */
};
/* main: the main lane's progress, as committed. Never waits for the stream. */
int sb_beside_turn(struct sb_beside *side, const struct sb_progress *main, enum sb_beside_turn *ret_turn,
    struct sb_err *err);
/* Is it that the stream has lost what it would have to read? The slot is beyond it: the main lane needed it
 * no more, so nobody brings it again, and the tables have to be copied once more. */
bool sb_beside_is_lost(const struct sb_err *err);
/* Beyond the last stamp: write down, once, that they are passed. */
int sb_beside_pass(struct sb_beside *side, struct sb_err *err);

#endif
