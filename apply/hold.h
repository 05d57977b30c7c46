/*
 * Apply is asked to stand still for a moment (switchback.apply_hold), so that both sides can be looked at as
 * of one commit: where it is, then behind a given commit. It says where it stands. The wish ends by being
 * withdrawn, or by itself.
 */
#ifndef SB_APPLY_HOLD_H
#define SB_APPLY_HOLD_H

#include "config/wiring.h"

struct sb_hold {
    bool wanted;
    bool said;   /* where it stands */
    uint64_t at; /* go on to this commit; 0: stay */
};

int sb_hold_read(struct sb_conn *conn, const struct sb_config *config, enum sb_direction direction,
    struct sb_hold *ret_hold, struct sb_err *err);
/* It stands behind this commit. */
int sb_hold_say(struct sb_conn *conn, const struct sb_config *config, enum sb_direction direction,
    uint64_t lsn, struct sb_err *err);

#endif
