#include "config/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check_owner(const char *path, const struct stat *st, struct sb_err *err)
{
    if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        sb_err_set(err, SB_E_SECRET_MODE,
            "secret file \"%s\" has mode %04o: others than its owner have access", path,
            (unsigned)st->st_mode & 07777);
        return sb_err_hint(err, "Run: chmod 600 %s", path);
    }
    if (st->st_uid != geteuid() && geteuid() != 0) {
        sb_err_set(err, SB_E_SECRET_MODE,
            "secret file \"%s\" belongs to user %ld and not to user %ld, who reads it", path,
            (long)st->st_uid, (long)geteuid());
        return sb_err_hint(err, "Let the user who runs switchback own the file.");
    }
    return 0;
}

/* Into secret, which has room for SB_SECRET_BYTES + 1; the descriptor stays the caller's. */
static int read_all(int fd, const char *path, char *secret, size_t *ret_len, struct sb_err *err)
{
    size_t len = 0;
    for (;;) {
        ssize_t got = read(fd, secret + len, SB_SECRET_BYTES + 1 - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return sb_err_errno(err, SB_E_CONFIG, "cannot read secret file \"%s\"", path);
        if (got == 0)
            break;
        len += (size_t)got;
        if (len > SB_SECRET_BYTES)
            return sb_err_set(
                err, SB_E_CONFIG, "secret file \"%s\" is larger than %d bytes", path, SB_SECRET_BYTES);
    }
    *ret_len = len;
    return 0;
}

static int check_content(const char *path, char *secret, size_t len, bool one_line, struct sb_err *err)
{
    if (len > 0 && secret[len - 1] == '\n')
        len--;
    if (len > 0 && secret[len - 1] == '\r')
        len--;
    secret[len] = '\0';
    if (len == 0)
        return sb_err_set(err, SB_E_CONFIG, "secret file \"%s\" is empty", path);
    if (strlen(secret) != len)
        return sb_err_set(err, SB_E_CONFIG, "secret file \"%s\" has a NUL character in it", path);
    if (one_line && strchr(secret, '\n') != NULL)
        return sb_err_set(err, SB_E_CONFIG, "secret file \"%s\" has more than one line", path);
    return 0;
}

static int read_open(int fd, const char *path, bool one_line, struct sb_arena *arena, const char **ret_secret,
    struct sb_err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return sb_err_errno(err, SB_E_CONFIG, "cannot read secret file \"%s\"", path);
    if (!S_ISREG(st.st_mode))
        return sb_err_set(err, SB_E_CONFIG, "secret file \"%s\" is %s", path,
            S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
    if (check_owner(path, &st, err) < 0)
        return -1;
    char secret[SB_SECRET_BYTES + 1];
    size_t len = 0;
    int result = read_all(fd, path, secret, &len, err);
    if (result == 0)
        result = check_content(path, secret, len, one_line, err);
    if (result == 0) {
        const char *copy = sb_arena_str(arena, sb_view_str(secret));
        if (copy == NULL)
            result = sb_err_set(err, SB_E_NO_MEMORY, "no memory for the configuration");
        else
            *ret_secret = copy;
    }
    explicit_bzero(secret, sizeof secret);
    return result;
}

int sb_secret_read(
    const char *path, bool one_line, struct sb_arena *arena, const char **ret_secret, struct sb_err *err)
{
    /* O_NONBLOCK: a FIFO must not hold us; it is refused just after. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return sb_err_errno(err, SB_E_CONFIG, "cannot open secret file \"%s\"", path);
    int result = read_open(fd, path, one_line, arena, ret_secret, err);
    close(fd);
    return result;
}

void sb_secret_wipe(const char *secret)
{
    if (secret != NULL)
        explicit_bzero((char *)(uintptr_t)secret, strlen(secret));
}
