/*
 * What the initial copy has left for apply in the target's control schema: whether it is still at work, and
 * the stamps of its chunks.
 */
#ifndef SB_APPLY_COPIED_H
#define SB_APPLY_COPIED_H

#include "apply/progress.h"
#include "apply/stamps.h"

struct sb_copied {
    bool pending;
    int64_t tables, tables_done;
};
/* No row, or no such table (prepared before there was a copy): nothing was copied, nothing is pending. */
int sb_copied_read(struct sb_conn *conn, const char *migration, const char *direction,
    struct sb_copied *ret_copied, struct sb_err *err);
/* Write down which chunks this progress has passed: all that follows is newer, also when the source fails
 * over. */
int sb_copied_pass(struct sb_conn *conn, const struct sb_progress *progress, struct sb_err *err);
/* The stamps that commits behind this progress must be judged by; NULL if there are none, or all is newer.
 * SB-TARGET-UNAVAILABLE while the copy is pending. */
int sb_copied_stamps(struct sb_conn *conn, const struct sb_progress *progress, struct sb_stamps **ret_stamps,
    struct sb_err *err);

#endif
