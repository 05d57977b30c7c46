/*
 * What the initial copy has left for apply in the target's control schema: whether it is still at work, and
 * the stamps of its chunks.
 */
#ifndef SB_APPLY_COPIED_H
#define SB_APPLY_COPIED_H

#include "apply/aside.h"
#include "apply/progress.h"
#include "apply/stamps.h"

struct sb_copied {
    bool waits; /* apply has to: rows are copied, or it has passed them and the rest of the structure is made
                 */
    bool rows_pending, structure_pending;
    bool beside; /* rows are pending, but only of tables set aside: apply goes on with the others */
    bool urgent; /* ... if no wish stands in its way that can be taken only then */
    /* Not 0: from here on apply has to wait for the structure. */
    uint64_t hold_lsn;
};
/* No row, or no such table (prepared before there was a copy): nothing was copied, nothing is pending.
 *
 * The structure: rows of different moments stand side by side until apply has passed the highest H, and until
 * then constraints may be violated although nothing is wrong. So apply stops at the first commit beyond it,
 * and goes on when they are built. */
int sb_copied_read(struct sb_conn *conn, const char *migration, const char *direction,
    struct sb_copied *ret_copied, struct sb_err *err);
enum { SB_COPIED_WHY_BYTES = 128 };
/* What apply waits for, for people: "initial copy: 3 of 10 tables". Counts chunks: not for every glance. */
int sb_copied_why(struct sb_conn *conn, const char *migration, const char *direction,
    const struct sb_copied *copied, char ret_why[SB_COPIED_WHY_BYTES], struct sb_err *err);
/* Write down which chunks this progress has passed: all that follows is newer, also when the source fails
 * over. Here and below: of the lane's own tables (aside is the lane's). */
int sb_copied_pass(struct sb_conn *conn, const struct sb_progress *progress, const struct sb_aside *aside,
    struct sb_err *err);
/* The stamps that commits behind this progress must be judged by; NULL if there are none, or all is newer.
 * SB-TARGET-UNAVAILABLE while the copy of such tables is pending. */
int sb_copied_stamps(struct sb_conn *conn, const struct sb_progress *progress, const struct sb_aside *aside,
    struct sb_stamps **ret_stamps, struct sb_err *err);

#endif
