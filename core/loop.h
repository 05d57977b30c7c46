/*
 * One loop a process: files, timers, signals.
 *
 * Order of a turn: *now* is read once; signals, then files, then timers that are due, then the after-turn
 * hook. The turn waits no longer than the nearest timer. Handlers never block; a handler that fails calls
 * sb_loop_stop with its error, and sb_loop_run returns it.
 */
#ifndef SB_CORE_LOOP_H
#define SB_CORE_LOOP_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

struct sb_loop;
struct sb_watch; /* a file or a timer in a loop; owned by the loop */

enum { SB_LOOP_READ = 1, SB_LOOP_WRITE = 2 };

typedef void sb_loop_file_fn(
    void *arg, unsigned events); /* SB_LOOP_READ | SB_LOOP_WRITE; hang-up counts as both */
typedef void sb_loop_timer_fn(void *arg);
typedef void sb_loop_signal_fn(void *arg, int signo);

struct sb_loop *sb_loop_new(struct sb_err *err);
void sb_loop_free(struct sb_loop *loop); /* NULL is fine; closes none of the watched files */

/* Level-triggered. NULL with err set on failure. */
struct sb_watch *sb_loop_file(
    struct sb_loop *loop, int fd, unsigned events, sb_loop_file_fn *fn, void *arg, struct sb_err *err);
int sb_loop_file_events(struct sb_loop *loop, struct sb_watch *watch, unsigned events, struct sb_err *err);
/* First due after interval_ms, then every interval_ms; 0: never until set. */
struct sb_watch *sb_loop_timer(
    struct sb_loop *loop, int64_t interval_ms, sb_loop_timer_fn *fn, void *arg, struct sb_err *err);
void sb_loop_timer_set(struct sb_loop *loop, struct sb_watch *watch, int64_t due_in_ms, int64_t interval_ms);
void sb_loop_remove(
    struct sb_loop *loop, struct sb_watch *watch); /* NULL is fine; safe inside its own handler */
/* Block these signals (0-terminated list) and hand them to fn. Once a loop. */
int sb_loop_signals(
    struct sb_loop *loop, const int *signals, sb_loop_signal_fn *fn, void *arg, struct sb_err *err);
/* The SIGTERM or SIGINT that a loop of this process has taken, 0 if none: a stage that fails while it drains
 * must still be known to have been asked to stop. Safe in a signal handler. */
int sb_loop_stop_signal(void);
/* Does a SIGTERM or SIGINT, which are blocked, wait to be taken? For what waits without a loop. */
bool sb_loop_stop_pending(void);
void sb_loop_after_turn(struct sb_loop *loop, sb_loop_timer_fn *fn, void *arg);
/* Do not wait in the next turn: there is more to do. */
void sb_loop_again(struct sb_loop *loop);

int64_t sb_loop_now_ms(const struct sb_loop *loop); /* of the current turn, monotonic */
int sb_loop_run(
    struct sb_loop *loop, struct sb_err *err); /* until stopped; 0 or -1 as sb_loop_stop was told */
int sb_loop_turn(struct sb_loop *loop, int64_t max_wait_ms, struct sb_err *err); /* one turn; 0, or -1 */
void sb_loop_stop(struct sb_loop *loop, const struct sb_err *err);               /* NULL err: a clean stop */

#endif
