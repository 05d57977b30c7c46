#include "core/loop.h"

#include "core/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { LOOP_EVENTS_MAX = 16 };

enum watch_kind { WATCH_FILE, WATCH_TIMER, WATCH_SIGNAL };

struct sb_watch {
    struct sb_watch *next;
    enum watch_kind kind;
    bool removed; /* freed at the end of the turn */
    void *arg;
    sb_loop_file_fn *file_fn;
    sb_loop_timer_fn *timer_fn;
    sb_loop_signal_fn *signal_fn;
    int fd;
    int64_t due_ms; /* 0: not armed */
    int64_t interval_ms;
};

struct sb_loop {
    int epoll_fd;
    int signal_fd;
    int64_t now_ms;
    bool stopped;
    bool again;
    int result;
    struct sb_err stop_err;
    struct sb_watch *watches;
    sb_loop_timer_fn *after_fn;
    void *after_arg;
};

struct sb_loop *sb_loop_new(struct sb_err *err)
{
    struct sb_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for the event loop");
        return NULL;
    }
    loop->signal_fd = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        sb_err_errno(err, SB_E_IO, "could not create an epoll descriptor");
        free(loop);
        return NULL;
    }
    loop->now_ms = sb_clock_mono_ms();
    return loop;
}

void sb_loop_free(struct sb_loop *loop)
{
    if (loop == NULL)
        return;
    for (struct sb_watch *watch = loop->watches; watch != NULL;) {
        struct sb_watch *next = watch->next;
        free(watch);
        watch = next;
    }
    if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    close(loop->epoll_fd);
    free(loop);
}

static struct sb_watch *watch_new(struct sb_loop *loop, enum watch_kind kind, void *arg, struct sb_err *err)
{
    struct sb_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for an event watch");
        return NULL;
    }
    watch->kind = kind;
    watch->arg = arg;
    watch->fd = -1;
    watch->next = loop->watches;
    loop->watches = watch;
    return watch;
}

static uint32_t to_epoll(unsigned events)
{
    return (events & SB_LOOP_READ ? EPOLLIN : 0u) | (events & SB_LOOP_WRITE ? EPOLLOUT : 0u);
}

static int watch_fd(struct sb_loop *loop, struct sb_watch *watch, int fd, unsigned events, struct sb_err *err)
{
    struct epoll_event event = {.events = to_epoll(events), .data.ptr = watch};
    watch->fd = fd;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
        return 0;
    watch->fd = -1;
    watch->removed = true;
    return sb_err_errno(err, SB_E_IO, "could not watch descriptor %d", fd);
}

struct sb_watch *sb_loop_file(
    struct sb_loop *loop, int fd, unsigned events, sb_loop_file_fn *fn, void *arg, struct sb_err *err)
{
    struct sb_watch *watch = watch_new(loop, WATCH_FILE, arg, err);
    if (watch == NULL)
        return NULL;
    watch->file_fn = fn;
    return watch_fd(loop, watch, fd, events, err) == 0 ? watch : NULL;
}

int sb_loop_file_events(struct sb_loop *loop, struct sb_watch *watch, unsigned events, struct sb_err *err)
{
    struct epoll_event event = {.events = to_epoll(events), .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) == 0)
        return 0;
    return sb_err_errno(err, SB_E_IO, "could not change the watch of descriptor %d", watch->fd);
}

struct sb_watch *sb_loop_timer(
    struct sb_loop *loop, int64_t interval_ms, sb_loop_timer_fn *fn, void *arg, struct sb_err *err)
{
    struct sb_watch *watch = watch_new(loop, WATCH_TIMER, arg, err);
    if (watch == NULL)
        return NULL;
    watch->timer_fn = fn;
    if (interval_ms > 0)
        sb_loop_timer_set(loop, watch, interval_ms, interval_ms);
    return watch;
}

void sb_loop_timer_set(struct sb_loop *loop, struct sb_watch *watch, int64_t due_in_ms, int64_t interval_ms)
{
    (void)loop;
    watch->due_ms = sb_clock_mono_ms() + due_in_ms;
    watch->interval_ms = interval_ms;
}

void sb_loop_remove(struct sb_loop *loop, struct sb_watch *watch)
{
    if (watch == NULL || watch->removed)
        return;
    if (watch->fd >= 0)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->removed = true;
}

int sb_loop_signals(
    struct sb_loop *loop, const int *signals, sb_loop_signal_fn *fn, void *arg, struct sb_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    for (; *signals != 0; signals++)
        sigaddset(&set, *signals);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return sb_err_errno(err, SB_E_IO, "could not block signals");
    loop->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (loop->signal_fd < 0)
        return sb_err_errno(err, SB_E_IO, "could not create a signal descriptor");
    struct sb_watch *watch = watch_new(loop, WATCH_SIGNAL, arg, err);
    if (watch == NULL)
        return -1;
    watch->signal_fn = fn;
    return watch_fd(loop, watch, loop->signal_fd, SB_LOOP_READ, err);
}

void sb_loop_after_turn(struct sb_loop *loop, sb_loop_timer_fn *fn, void *arg)
{
    loop->after_fn = fn;
    loop->after_arg = arg;
}

void sb_loop_again(struct sb_loop *loop)
{
    loop->again = true;
}

int64_t sb_loop_now_ms(const struct sb_loop *loop)
{
    return loop->now_ms;
}

void sb_loop_stop(struct sb_loop *loop, const struct sb_err *err)
{
    if (loop->stopped)
        return;
    loop->stopped = true;
    loop->result = err == NULL ? 0 : -1;
    if (err != NULL)
        loop->stop_err = *err;
}

static int64_t next_wait_ms(const struct sb_loop *loop, int64_t max_wait_ms)
{
    int64_t wait_ms = max_wait_ms;
    int64_t now_ms = sb_clock_mono_ms();
    if (loop->again)
        return 0;
    for (const struct sb_watch *watch = loop->watches; watch != NULL; watch = watch->next) {
        if (watch->removed || watch->due_ms == 0)
            continue;
        int64_t left_ms = watch->due_ms > now_ms ? watch->due_ms - now_ms : 0;
        if (wait_ms < 0 || left_ms < wait_ms)
            wait_ms = left_ms;
    }
    return wait_ms;
}

static volatile sig_atomic_t stop_signal; /* of the process: signals are */

int sb_loop_stop_signal(void)
{
    return stop_signal;
}

bool sb_loop_stop_pending(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT));
}

static void run_signals(struct sb_loop *loop, struct sb_watch *watch)
{
    struct signalfd_siginfo info;
    while (!loop->stopped && read(loop->signal_fd, &info, sizeof info) == sizeof info) {
        int signo = (int)info.ssi_signo;
        if (signo == SIGTERM || signo == SIGINT)
            stop_signal = signo;
        watch->signal_fn(watch->arg, signo);
    }
}

static void run_file(struct sb_watch *watch, uint32_t events)
{
    unsigned seen = (events & EPOLLIN ? SB_LOOP_READ : 0u) | (events & EPOLLOUT ? SB_LOOP_WRITE : 0u);
    if (events & (EPOLLERR | EPOLLHUP))
        seen |= SB_LOOP_READ | SB_LOOP_WRITE;
    watch->file_fn(watch->arg, seen);
}

static void run_timers(struct sb_loop *loop)
{
    for (struct sb_watch *watch = loop->watches; watch != NULL && !loop->stopped; watch = watch->next) {
        if (watch->removed || watch->due_ms == 0 || watch->due_ms > loop->now_ms)
            continue;
        watch->due_ms = watch->interval_ms > 0 ? loop->now_ms + watch->interval_ms : 0;
        watch->timer_fn(watch->arg);
    }
}

static void sweep(struct sb_loop *loop)
{
    for (struct sb_watch **link = &loop->watches; *link != NULL;) {
        struct sb_watch *watch = *link;
        if (watch->removed) {
            *link = watch->next;
            free(watch);
        } else {
            link = &watch->next;
        }
    }
}

int sb_loop_turn(struct sb_loop *loop, int64_t max_wait_ms, struct sb_err *err)
{
    struct epoll_event events[LOOP_EVENTS_MAX];
    int64_t wait_ms = next_wait_ms(loop, max_wait_ms);
    loop->again = false;
    int n = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS_MAX, wait_ms > 3600000 ? 3600000 : (int)wait_ms);
    if (n < 0 && errno != EINTR)
        return sb_err_errno(err, SB_E_IO, "could not wait for events");
    loop->now_ms = sb_clock_mono_ms();
    for (int i = 0; i < n && !loop->stopped; i++) {
        struct sb_watch *watch = events[i].data.ptr;
        if (watch->kind == WATCH_SIGNAL && !watch->removed)
            run_signals(loop, watch);
    }
    for (int i = 0; i < n && !loop->stopped; i++) {
        struct sb_watch *watch = events[i].data.ptr;
        if (watch->kind == WATCH_FILE && !watch->removed)
            run_file(watch, events[i].events);
    }
    run_timers(loop);
    if (!loop->stopped && loop->after_fn != NULL)
        loop->after_fn(loop->after_arg);
    sweep(loop);
    if (loop->stopped && loop->result != 0)
        *err = loop->stop_err;
    return loop->stopped ? loop->result : 0;
}

int sb_loop_run(struct sb_loop *loop, struct sb_err *err)
{
    while (!loop->stopped)
        if (sb_loop_turn(loop, -1, err) != 0)
            return -1;
    return loop->result;
}
