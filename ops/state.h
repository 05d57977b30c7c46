/*
 * The state directory: who works in it, and the metrics page it holds.
 *
 *     lock                 held exclusively by `switchback run` and its children, shared by stages run alone
 *     <stage>.lock         held exclusively by a stage run alone
 *     page                 core/metrics.h
 *
 * So one supervisor, or single stages each at most once, never both. The locks are flock(2) locks: they
 * belong to the open file, end with the last process that holds it, and leave nothing stale after SIGKILL.
 * Children inherit the supervisor's: a new supervisor cannot start while a child of the old one still lives.
 */
#ifndef SB_OPS_STATE_H
#define SB_OPS_STATE_H

#include "core/metrics.h"

struct sb_state_lock {
    int fd;       /* of `lock` */
    int stage_fd; /* of <stage>.lock; -1 for a supervisor */
};

/* Make the directory (mode 0700; its parent must exist) if it is not there. SB-INSECURE if others may write
 * to it or it belongs to somebody else; SB-IO if it cannot be made. */
int sb_state_dir(const char *dir, struct sb_err *err);

/* stage SB_STAGE_SUPERVISOR: as a supervisor; any other: as that stage alone. Waits up to two seconds for a
 * predecessor that is being killed; then SB-STATE-LOCKED, naming the process. */
int sb_state_lock(const char *dir, enum sb_stage stage, struct sb_state_lock *ret_lock, struct sb_err *err);
void sb_state_unlock(struct sb_state_lock *lock);
/* Did a stage ever lock this directory? If not, there is nobody to keep out of it. */
bool sb_state_used(const char *dir);

/* Map the page at path for a stage run alone, and create it if there is none of this version. Two stages that
 * start at once get the same one. */
int sb_state_page(const char *dir, const char *path, struct sb_page **ret_page, struct sb_err *err);

#endif
