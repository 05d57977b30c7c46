#include "ops/state.h"

#include "core/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_WAIT_MS = 2000, LOCK_STEP_MS = 20, PATH_BYTES = 4096 };

int sb_state_dir(const char *dir, struct sb_err *err)
{
    struct stat st;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        sb_err_errno(err, SB_E_IO, "could not make the state directory \"%s\"", dir);
        return sb_err_hint(err, "Make its parent directory, or set state_dir to another place.");
    }
    if (stat(dir, &st) != 0)
        return sb_err_errno(err, SB_E_IO, "could not look at the state directory \"%s\"", dir);
    if (!S_ISDIR(st.st_mode))
        return sb_err_set(err, SB_E_IO, "state_dir \"%s\" is not a directory", dir);
    if (st.st_uid != geteuid()) {
        sb_err_set(err, SB_E_INSECURE, "the state directory \"%s\" belongs to another user", dir);
        return sb_err_hint(err, "Run switchback as that user, or set state_dir to a directory of your own.");
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        sb_err_set(err, SB_E_INSECURE, "others may write to the state directory \"%s\"", dir);
        return sb_err_hint(err, "Run: chmod 700 \"%s\"", dir);
    }
    return 0;
}

/* -- locks ----------------------------------------------------------------------------------------------- */

static int lock_open(const char *dir, const char *name, int *ret_fd, struct sb_err *err)
{
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return sb_err_set(err, SB_E_CONFIG, "state_dir is longer than a path may be");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return sb_err_errno(err, SB_E_IO, "could not open \"%s\"", path);
    *ret_fd = fd;
    return 0;
}

/* Whoever held it last wrote its pid: a word for the message, nothing relies on it. */
static int lock_refused(const char *dir, int fd, struct sb_err *err)
{
    char text[32] = "";
    ssize_t len = pread(fd, text, sizeof text - 1, 0);
    long pid = len > 0 ? strtol(text, NULL, 10) : 0;
    if (pid > 0)
        return sb_err_set(
            err, SB_E_STATE_LOCKED, "process %ld already works with the state directory \"%s\"", pid, dir);
    return sb_err_set(
        err, SB_E_STATE_LOCKED, "another process already works with the state directory \"%s\"", dir);
}

static int lock_take(const char *dir, int fd, int operation, struct sb_err *err)
{
    const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000};
    int64_t until_ms = sb_clock_mono_ms() + LOCK_WAIT_MS;
    while (flock(fd, operation | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return sb_err_errno(err, SB_E_IO, "could not lock the state directory \"%s\"", dir);
        if (sb_clock_mono_ms() >= until_ms)
            return lock_refused(dir, fd, err);
        nanosleep(&step, NULL);
    }
    /* Of one width, so that nothing is cut off: ext4 flushes a file that was truncated when it is closed (its
     * auto_da_alloc), and on a busy disk the last step of stopping would take seconds. */
    char text[32];
    int len = snprintf(text, sizeof text, "%-10d\n", (int)getpid());
    if (pwrite(fd, text, (size_t)len, 0) != len)
        return sb_err_errno(err, SB_E_IO, "could not write the lock of \"%s\"", dir);
    return 0;
}

int sb_state_lock(const char *dir, enum sb_stage stage, struct sb_state_lock *ret_lock, struct sb_err *err)
{
    char name[64];
    struct sb_state_lock lock = {.fd = -1, .stage_fd = -1};
    bool alone = stage != SB_STAGE_SUPERVISOR;
    snprintf(name, sizeof name, "%s.lock", sb_stage_name(stage));
    if (lock_open(dir, "lock", &lock.fd, err) != 0 ||
        lock_take(dir, lock.fd, alone ? LOCK_SH : LOCK_EX, err) != 0 ||
        (alone && (lock_open(dir, name, &lock.stage_fd, err) != 0 ||
                      lock_take(dir, lock.stage_fd, LOCK_EX, err) != 0))) {
        sb_state_unlock(&lock);
        return -1;
    }
    *ret_lock = lock;
    return 0;
}

void sb_state_unlock(struct sb_state_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    if (lock->stage_fd >= 0)
        close(lock->stage_fd);
    lock->fd = lock->stage_fd = -1;
}

bool sb_state_used(const char *dir)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/lock", dir);
    return access(path, F_OK) == 0;
}

/* -- page ------------------------------------------------------------------------------------------------ */

int sb_state_page(const char *dir, const char *path, struct sb_page **ret_page, struct sb_err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return sb_err_errno(err, SB_E_IO, "could not open the state directory \"%s\"", dir);
    int result = 0;
    if (flock(fd, LOCK_EX) != 0) /* held for the few lines below only, by whoever holds it */
        result = sb_err_errno(err, SB_E_IO, "could not lock the state directory \"%s\"", dir);
    else if (sb_page_open(path, true, ret_page, err) != 0)
        result = sb_page_create(path, ret_page, err);
    close(fd);
    return result;
}
