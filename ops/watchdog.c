#include "ops/watchdog.h"

#include "core/loop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t watchdog_limit_s;
static volatile sig_atomic_t watchdog_waited_s;

static bool stop_wanted(void)
{
    sigset_t pending;
    if (sb_loop_stop_signal() != 0)
        return true;
    return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT));
}

static void on_second(int signo)
{
    static const char last_words[] = "switchback: told to stop, but the stage hangs; it kills itself\n";
    int saved = errno;
    (void)signo;
    if (stop_wanted() && ++watchdog_waited_s >= watchdog_limit_s) {
        ssize_t written = write(STDERR_FILENO, last_words, sizeof last_words - 1);
        (void)written;
        kill(getpid(), SIGKILL);
    }
    errno = saved;
}

int sb_watchdog_start(int limit_s, struct sb_err *err)
{
    struct sigaction action = {.sa_handler = on_second, .sa_flags = SA_RESTART};
    const struct itimerval second = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
    watchdog_limit_s = limit_s;
    watchdog_waited_s = 0;
    if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &second, NULL) != 0)
        return sb_err_errno(err, SB_E_IO, "could not start the watchdog");
    return 0;
}

void sb_watchdog_stop(void)
{
    const struct itimerval never = {.it_interval.tv_sec = 0};
    setitimer(ITIMER_REAL, &never, NULL);
}
