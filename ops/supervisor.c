#include "ops/supervisor.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/loop.h"
#include "ops/endpoints.h"
#include "ops/http.h"
#include "ops/state.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REVIVE_MS = 200, RESTART_LEAST_MS = 200, RESTART_MOST_MS = 30000, RESTART_LIVED_MS = 60000 };

struct supervisor;

struct child {
    struct supervisor *over;
    const struct sb_stage_spec *spec;
    pid_t pid; /* 0: no process */
    uint32_t restarts;
    int64_t forked_ms;
    int64_t wait_ms;          /* before the next fork */
    int64_t waits;            /* of apply for the copy, when it was started */
    struct sb_watch *restart; /* timer */
};

struct supervisor {
    const struct sb_config *config;
    pid_t pid;
    struct sb_state_lock lock;
    struct sb_page *page;
    struct sb_loop *loop;
    struct sb_http *http; /* NULL: none configured */
    struct sb_endpoints *endpoints;
    struct sb_watch *kill_timer;
    bool stopping;
    size_t count;
    struct child children[SB_SUPERVISOR_CHILDREN_MAX];
};

static const char *child_name(const struct child *child)
{
    return sb_stage_name(child->spec->stage);
}

/* -- in the child ---------------------------------------------------------------------------------------- */

/* Everything of the parent's but the lock, which this process holds too (ops/state.h): its loop, its HTTP
 * sockets. The page stays mapped. Objects of the parent are not freed: freeing would touch what is shared. */
static void child_close_all_but(int keep)
{
    if (keep > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, (unsigned)keep - 1, 0);
    close_range((unsigned)keep + 1, ~0u, 0);
}

static _Noreturn void child_main(const struct child *child)
{
    const struct supervisor *over = child->over;
    sigset_t chld;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != over->pid) /* it died before the line above */
        _exit(0);
    child_close_all_but(over->lock.fd);
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &chld, NULL);
    sb_stage_log(over->config, child_name(child));
    sb_metrics_attach(over->page, child->spec->stage);
    _exit(sb_stage_live(child->spec, over->config));
}

/* -- children -------------------------------------------------------------------------------------------- */

static void child_plan_restart(struct child *child)
{
    int64_t lived_ms = sb_loop_now_ms(child->over->loop) - child->forked_ms;
    if (child->wait_ms == 0 || lived_ms >= RESTART_LIVED_MS)
        child->wait_ms = RESTART_LEAST_MS;
    else
        child->wait_ms = child->wait_ms * 2 < RESTART_MOST_MS ? child->wait_ms * 2 : RESTART_MOST_MS;
    sb_loop_timer_set(child->over->loop, child->restart, child->wait_ms, 0);
}

/* How often apply of the child's direction has waited for rows to be copied. */
static int64_t child_waits(const struct child *child)
{
    return sb_page_metric(child->over->page, sb_stage_of(false, child->spec->direction), SB_M_COPY_WAITS);
}

static void child_start(struct child *child)
{
    struct supervisor *over = child->over;
    child->forked_ms = sb_loop_now_ms(over->loop);
    child->waits = child_waits(child);
    sb_page_child(over->page, child->spec->stage, 0, SB_STATE_STARTING, child->restarts, "");
    pid_t pid = fork();
    if (pid == 0)
        child_main(child);
    if (pid > 0) {
        child->pid = pid;
        SB_INFO("stage started", SB_STR("child", child_name(child)), SB_NUM("child_pid", pid));
        return;
    }
    struct sb_err err;
    sb_err_errno(&err, SB_E_IO, "could not start %s", child_name(child));
    child_plan_restart(child);
    sb_log_err(SB_LOG_ERROR, &err, "tries again");
    sb_page_child(over->page, child->spec->stage, 0, SB_STATE_BACKOFF, child->restarts, err.text);
}

static void on_restart(void *arg)
{
    struct child *child = arg;
    if (child->over->stopping)
        return;
    child_start(child);
}

static void describe_end(int status, char out[64])
{
    if (WIFSIGNALED(status))
        snprintf(out, 64, "was killed by SIG%s", sigabbrev_np(WTERMSIG(status)));
    else
        snprintf(out, 64, "ended with exit code %d", WEXITSTATUS(status));
}

static bool child_has_finished(const struct child *child)
{
    struct sb_stage_report report;
    sb_page_report(child->over->page, child->spec->stage, &report);
    return child->spec->finishes && report.state == SB_STATE_DONE;
}

/* Somebody's SIGTERM ends a stage with 0, too; only its own word tells. */
static bool child_is_done(const struct child *child, int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 && child_has_finished(child);
}

static void child_ended(struct child *child, int status)
{
    struct supervisor *over = child->over;
    char how[64], why[160];
    pid_t pid = child->pid;
    child->pid = 0;
    describe_end(status, how);
    if (child_is_done(child, status)) {
        SB_INFO("stage is done", SB_STR("child", child_name(child)), SB_NUM("child_pid", pid));
        sb_page_child(over->page, child->spec->stage, 0, SB_STATE_DONE, child->restarts, NULL);
        return;
    }
    if (over->stopping) {
        SB_INFO("stage has stopped", SB_STR("child", child_name(child)), SB_NUM("child_pid", pid),
            SB_STR("how", how));
        sb_page_child(over->page, child->spec->stage, 0, SB_STATE_STOPPED, child->restarts, "told to stop");
        return;
    }
    child->restarts++;
    child_plan_restart(child);
    snprintf(why, sizeof why, "its process %s; it is started again", how);
    /* A stage that ended by itself has said why in its column; leave that. */
    bool said = WIFEXITED(status) && WEXITSTATUS(status) != 0;
    sb_page_child(over->page, child->spec->stage, 0, SB_STATE_BACKOFF, child->restarts, said ? NULL : why);
    SB_WARN("stage ended, starts again", SB_STR("child", child_name(child)), SB_NUM("child_pid", pid),
        SB_STR("how", how), SB_NUM("restarts", child->restarts), SB_NUM("in_ms", child->wait_ms));
}

static size_t children_alive(const struct supervisor *over)
{
    size_t alive = 0;
    for (size_t i = 0; i < over->count; i++)
        alive += over->children[i].pid > 0;
    return alive;
}

static void children_signal(const struct supervisor *over, int signo)
{
    for (size_t i = 0; i < over->count; i++)
        if (over->children[i].pid > 0)
            kill(over->children[i].pid, signo);
}

/* What has finished finds out whether there is more to do. */
static void children_revive(struct supervisor *over)
{
    for (size_t i = 0; i < over->count && !over->stopping; i++) {
        if (over->children[i].pid == 0 && child_has_finished(&over->children[i]))
            child_start(&over->children[i]);
    }
}

/* Apply waits for rows that are to be copied again: who had finished is needed once more. */
static void on_revive(void *arg)
{
    struct supervisor *over = arg;
    for (size_t i = 0; i < over->count && !over->stopping; i++) {
        struct child *child = &over->children[i];
        if (child->pid == 0 && child_has_finished(child) && child_waits(child) != child->waits)
            child_start(child);
    }
}

static void children_reap(struct supervisor *over)
{
    int status;
    for (size_t i = 0; i < over->count; i++)
        if (over->children[i].pid > 0 &&
            waitpid(over->children[i].pid, &status, WNOHANG) == over->children[i].pid)
            child_ended(&over->children[i], status);
    if (over->stopping && children_alive(over) == 0)
        sb_loop_stop(over->loop, NULL);
}

/* -- signals --------------------------------------------------------------------------------------------- */

static void on_kill_timer(void *arg)
{
    struct supervisor *over = arg;
    SB_WARN("stages did not stop in time, killing them", SB_NUM("stages", children_alive(over)));
    children_signal(over, SIGKILL);
}

static void stop_all(struct supervisor *over, int signo)
{
    if (over->stopping)
        return;
    over->stopping = true;
    SB_INFO("stopping", SB_STR("signal", sigabbrev_np(signo)));
    sb_report_state(SB_STATE_WAITING, "waits for the stages to stop");
    children_signal(over, SIGTERM);
    sb_loop_timer_set(over->loop, over->kill_timer, SB_STAGE_STOP_MS, 0);
    for (size_t i = 0; i < over->count; i++)
        if (over->children[i].pid == 0 && !child_has_finished(&over->children[i]))
            sb_page_child(over->page, over->children[i].spec->stage, 0, SB_STATE_STOPPED,
                over->children[i].restarts, "told to stop");
    if (children_alive(over) == 0)
        sb_loop_stop(over->loop, NULL);
}

static void on_signal(void *arg, int signo)
{
    struct supervisor *over = arg;
    switch (signo) {
    case SIGTERM:
    case SIGINT:
        stop_all(over, signo);
        return;
    case SIGCHLD:
        children_reap(over);
        return;
    case SIGUSR1:
        SB_INFO("resume: halted stages try again");
        children_signal(over, SIGUSR1);
        children_revive(over);
        return;
    case SIGHUP:
        SB_INFO("SIGHUP ignored: the configuration is read at start only");
        return;
    }
}

/* -- life ------------------------------------------------------------------------------------------------ */

static void supervisor_init(
    struct supervisor *over, const struct sb_config *config, const struct sb_stage_spec *specs, size_t count)
{
    memset(over, 0, sizeof *over);
    over->config = config;
    over->pid = getpid();
    over->lock.fd = over->lock.stage_fd = -1;
    over->count = count;
    for (size_t i = 0; i < count; i++)
        over->children[i] = (struct child){.over = over, .spec = &specs[i]};
}

static int supervisor_loop(struct supervisor *over, struct sb_err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGCHLD, SIGUSR1, SIGHUP, 0};
    over->loop = sb_loop_new(err);
    if (over->loop == NULL || sb_loop_signals(over->loop, signals, on_signal, over, err) != 0)
        return -1;
    over->kill_timer = sb_loop_timer(over->loop, 0, on_kill_timer, over, err);
    if (over->kill_timer == NULL || sb_loop_timer(over->loop, REVIVE_MS, on_revive, over, err) == NULL)
        return -1;
    for (size_t i = 0; i < over->count; i++) {
        struct child *child = &over->children[i];
        child->restart = sb_loop_timer(over->loop, 0, on_restart, child, err);
        if (child->restart == NULL)
            return -1;
    }
    return 0;
}

static int supervisor_http(struct supervisor *over, struct sb_err *err)
{
    const char *listen = over->config->http.listen;
    over->endpoints = sb_endpoints_new(over->page, over->loop, over->config->insecure, err);
    if (over->endpoints == NULL)
        return -1;
    if (listen == NULL || listen[0] == '\0')
        return 0;
    return sb_http_new(listen, over->loop, sb_endpoints_answer, over->endpoints, &over->http, err);
}

static int supervisor_start(struct supervisor *over, struct sb_err *err)
{
    char path[SB_PATH_BYTES];
    const char *dir = over->config->state_dir;
    sb_wiring_page_path(over->config, path);
    /* Signals are blocked by the loop before anything is forked or taken. */
    if (supervisor_loop(over, err) != 0 || sb_state_dir(dir, err) != 0 ||
        sb_state_lock(dir, SB_STAGE_SUPERVISOR, &over->lock, err) != 0 ||
        sb_page_create(path, &over->page, err) != 0)
        return -1;
    sb_metrics_attach(over->page, SB_STAGE_SUPERVISOR);
    sb_report_state(SB_STATE_STARTING, NULL);
    if (supervisor_http(over, err) != 0)
        return -1;
    for (size_t i = 0; i < over->count; i++)
        child_start(&over->children[i]);
    sb_report_state(SB_STATE_RUNNING, NULL);
    return 0;
}

static void supervisor_clear(struct supervisor *over)
{
    sb_http_free(over->http);
    sb_endpoints_free(over->endpoints);
    sb_loop_free(over->loop);
    sb_metrics_attach(NULL, SB_STAGE_SUPERVISOR);
    sb_page_close(over->page);
    sb_state_unlock(&over->lock);
}

int sb_supervise(
    const struct sb_config *config, const struct sb_stage_spec *specs, size_t count, struct sb_err *err)
{
    struct supervisor over;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (count > SB_SUPERVISOR_CHILDREN_MAX)
        return sb_err_set(err, SB_E_INTERNAL, "%zu stages, at most %d", count, SB_SUPERVISOR_CHILDREN_MAX);
    sigaction(SIGPIPE, &ignore, NULL);
    sb_stage_log(config, sb_stage_name(SB_STAGE_SUPERVISOR));
    supervisor_init(&over, config, specs, count);
    int result = supervisor_start(&over, err);
    if (result == 0)
        result = sb_loop_run(over.loop, err);
    if (result == 0) {
        sb_report_state(SB_STATE_STOPPED, "told to stop");
        SB_INFO("stopped");
    } else {
        children_signal(&over, SIGKILL); /* start is recovery */
    }
    supervisor_clear(&over);
    return result;
}
