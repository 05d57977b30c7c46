#include "core/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ASK_STOP_MS = 100, ENV_MAX = 4096, TAIL_BYTES = 4096, READ_BYTES = 65536, NOT_STARTED = 127 };

extern char **environ;

/* -- the program's side: between fork and exec only what is safe there ----------------------------------- */

static void become(const struct sb_child *child, const char *const *env, pid_t parent, int out, int words)
{
    struct sigaction ordinary = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    sigaction(SIGPIPE, &ordinary, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int nothing = open("/dev/null", O_RDWR);
    if (getppid() != parent || nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 ||
        dup2(child->out != NULL ? out : nothing, STDOUT_FILENO) < 0 || dup2(words, STDERR_FILENO) < 0)
        _exit(NOT_STARTED);
    close_range(STDERR_FILENO + 1, UINT_MAX, 0);
    execve(child->argv[0], (char *const *)child->argv, (char *const *)env);
    const char *why = strerrordesc_np(errno);
    if (write(STDERR_FILENO, why, strlen(why)) < 0)
        _exit(NOT_STARTED);
    _exit(NOT_STARTED);
}

/* -- our side -------------------------------------------------------------------------------------------- */

/* Ours without the names that are given anew, then those. */
static void env_fill(const struct sb_child *child, const char **env)
{
    size_t count = 0;
    for (char **one = environ; *one != NULL && count < ENV_MAX; one++) {
        bool replaced = false;
        for (const char *const *more = child->env; more != NULL && *more != NULL; more++)
            replaced = replaced || strncmp(*one, *more, strcspn(*more, "=") + 1) == 0;
        if (!replaced)
            env[count++] = *one;
    }
    for (const char *const *more = child->env; more != NULL && *more != NULL && count < ENV_MAX; more++)
        env[count++] = *more;
    env[count] = NULL;
}

struct tail { /* the newest bytes of what it says */
    char bytes[TAIL_BYTES];
    size_t len;
};

static void tail_put(struct tail *tail, const char *bytes, size_t len)
{
    if (len > TAIL_BYTES) {
        bytes += len - TAIL_BYTES;
        len = TAIL_BYTES;
    }
    size_t keep = tail->len + len > TAIL_BYTES ? TAIL_BYTES - len : tail->len;
    memmove(tail->bytes, tail->bytes + tail->len - keep, keep);
    memcpy(tail->bytes + keep, bytes, len);
    tail->len = keep + len;
}

/* The last words that fit, lines joined by blanks. */
static void tail_words(const struct tail *tail, char words[SB_CHILD_WORDS_BYTES])
{
    size_t len = tail->len, from, at = 0;
    while (len > 0 && (tail->bytes[len - 1] == '\n' || tail->bytes[len - 1] == ' '))
        len--;
    from = len >= SB_CHILD_WORDS_BYTES ? len - SB_CHILD_WORDS_BYTES + 1 : 0;
    if (from > 0) { /* begin with a whole line */
        const char *line = memchr(tail->bytes + from, '\n', len - from);
        from = line == NULL ? from : (size_t)(line - tail->bytes) + 1;
    }
    for (; from < len; from++)
        words[at++] = (unsigned char)tail->bytes[from] < 0x20 ? ' ' : tail->bytes[from];
    words[at] = '\0';
}

struct run {
    const struct sb_child *child;
    pid_t pid;
    int out, words; /* -1: at its end */
    struct tail tail;
};

/* What is there of one descriptor. */
static void take(struct run *run, int *fd, bool is_out)
{
    char bytes[READ_BYTES];
    ssize_t got = read(*fd, bytes, sizeof bytes);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got <= 0) {
        close(*fd);
        *fd = -1;
    } else if (!is_out) {
        tail_put(&run->tail, bytes, (size_t)got);
    } else if (run->child->out != NULL) {
        sb_buf_put(run->child->out, bytes, (size_t)got);
    }
}

static int listen_to_end(struct run *run, struct sb_err *err)
{
    while (run->out >= 0 || run->words >= 0) {
        struct pollfd files[] = {{.fd = run->out, .events = POLLIN}, {.fd = run->words, .events = POLLIN}};
        if (run->child->stop != NULL && run->child->stop())
            return sb_err_set(err, SB_E_SHUTDOWN, "told to stop while \"%s\" ran", run->child->argv[0]);
        if (poll(files, 2, ASK_STOP_MS) < 0)
            continue;
        if (files[0].revents != 0)
            take(run, &run->out, true);
        if (files[1].revents != 0)
            take(run, &run->words, false);
        if (run->child->out != NULL && run->child->out->failed)
            return sb_err_set(err, SB_E_LIMIT, "\"%s\" says more than %zu bytes", run->child->argv[0],
                run->child->out->max);
    }
    return 0;
}

static int end_wait(struct run *run, int listened, struct sb_child_end *ret_end)
{
    int status = 0;
    if (listened != 0)
        kill(run->pid, SIGKILL);
    while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR) {
    }
    ret_end->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    tail_words(&run->tail, ret_end->words);
    return listened;
}

int sb_child_run(const struct sb_child *child, struct sb_child_end *ret_end, struct sb_err *err)
{
    int out[2] = {-1, -1}, words[2] = {-1, -1};
    struct run run = {.child = child, .pid = -1};
    const char **env = calloc(ENV_MAX + 1, sizeof *env);
    if (env == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory to run \"%s\"", child->argv[0]);
    env_fill(child, env);
    pid_t parent = getpid();
    int rc = 0;
    if (pipe2(out, O_CLOEXEC) == 0 && pipe2(words, O_CLOEXEC) == 0)
        run.pid = fork();
    if (run.pid == 0)
        become(child, env, parent, out[1], words[1]);
    if (run.pid < 0)
        rc = sb_err_errno(err, SB_E_IO, "could not run \"%s\"", child->argv[0]);
    for (int i = 1; i >= 0; i--) {
        if (out[i] >= 0 && (i == 1 || rc != 0))
            close(out[i]);
        if (words[i] >= 0 && (i == 1 || rc != 0))
            close(words[i]);
    }
    if (rc == 0) {
        run.out = out[0];
        run.words = words[0];
        rc = end_wait(&run, listen_to_end(&run, err), ret_end);
        if (run.out >= 0)
            close(run.out);
        if (run.words >= 0)
            close(run.words);
    }
    free(env);
    return rc;
}
