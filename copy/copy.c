#include "copy/copy.h"

#include "copy/pipe.h"
#include "copy/plan.h"
#include "copy/schema.h"
#include "copy/steps.h"
#include "copy/witness.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/metrics.h"
#include "pg/origin.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIPES_MAX = 64,
    TICK_MS = 10,
    EARLY_AGAIN_MS = 200,
    EARLY_SAID_MS = 1000,
    SIGHT_MS = 500,
    BUDGET_BURST_MS = 200,
    PING_MS = 2000,
    PAUSE_ASK_MS = 500,
    PAUSE_ANSWER_MS = 5000, /* at the end of a plan */
    APPLY_ASK_MS = 50,      /* has apply passed the rows? */
    NUDGE_MS = 2000,
};
#define PLAN_MAX_BYTES (INT64_C(4) << 30)

struct copy;

struct worker {
    struct copy *over;
    struct sb_pipe *pipe;
    struct sb_watch *source, *target;
    int waits;        /* enum sb_pipe_wait */
    int64_t early_ms; /* when it was told so */
};

struct copy {
    const struct sb_config *config;
    enum sb_direction direction;
    struct sb_names names;
    char purpose[SB_NAME_BYTES];
    struct sb_copy_claim claim;
    struct sb_copy_status status; /* as it was found */
    struct sb_witness *witness;
    struct sb_conn *gate; /* has apply's origin while the rest of the structure is made */
    struct sb_arena *arena;
    struct sb_copy_plan plan;
    struct sb_pipe_options options;
    struct sb_loop *loop;
    struct worker workers[PIPES_MAX];
    size_t worker_count;
    size_t next_job;
    size_t chunks_done;
    size_t tables_done;
    int64_t rows_done; /* of finished chunks */
    int64_t bytes_told;
    int64_t budget_bytes;
    int64_t budget_ms;
    int64_t next_ping_ms;
    bool paused;      /* no chunk is begun */
    bool pause_asked; /* its answer has not come */
    int64_t next_pause_ms;
    bool again;             /* some pipe wants another turn */
    int64_t early_since_ms; /* 0: no pipe waits for the barrier */
    int64_t sight_ms, sight_rows;
    double rows_s;
};

static struct {
    sb_copy_sight_fn *fn;
    void *arg;
} watcher;

void sb_copy_watch(sb_copy_sight_fn *fn, void *arg)
{
    watcher.fn = fn;
    watcher.arg = arg;
}

static void fail(struct copy *copy, const struct sb_err *err)
{
    sb_loop_stop(copy->loop, err);
}

/* -- how far --------------------------------------------------------------------------------------------- */

static int64_t rows_seen(const struct copy *copy)
{
    int64_t rows = copy->rows_done;
    for (size_t i = 0; i < copy->worker_count; i++)
        if (sb_pipe_job(copy->workers[i].pipe) != NULL)
            rows += sb_pipe_rows(copy->workers[i].pipe);
    return rows;
}

static void publish(struct copy *copy)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < copy->worker_count; i++)
        bytes += sb_pipe_bytes(copy->workers[i].pipe);
    sb_metric_set(SB_M_COPY_TABLES, (int64_t)copy->plan.table_count);
    sb_metric_set(SB_M_COPY_TABLES_DONE, (int64_t)copy->tables_done);
    sb_metric_set(SB_M_COPY_CHUNKS, (int64_t)(copy->plan.chunks_done + copy->plan.job_count));
    sb_metric_set(SB_M_COPY_CHUNKS_DONE, (int64_t)copy->chunks_done);
    sb_metric_set(SB_M_COPY_ROWS, rows_seen(copy));
    sb_metric_set(SB_M_COPY_ROWS_ESTIMATED, copy->plan.rows_estimated);
    sb_metric_add(SB_M_COPY_BYTES, bytes - copy->bytes_told);
    copy->bytes_told = bytes;
}

static void tell(struct copy *copy, int64_t now_ms)
{
    int64_t rows = rows_seen(copy), since_ms = now_ms - copy->sight_ms;
    if (since_ms < SIGHT_MS)
        return;
    if (copy->sight_ms > 0)
        copy->rows_s = (double)(rows - copy->sight_rows) * 1000 / (double)since_ms;
    copy->sight_ms = now_ms;
    copy->sight_rows = rows;
    publish(copy);
    struct sb_copy_sight sight = {.tables = (int64_t)copy->plan.table_count,
        .tables_done = (int64_t)copy->tables_done,
        .rows = rows,
        .rows_estimated = copy->plan.rows_estimated,
        .bytes = copy->bytes_told,
        .rows_s = copy->rows_s};
    if (watcher.fn != NULL)
        watcher.fn(watcher.arg, &sight);
}

static void count_planned(struct copy *copy)
{
    copy->next_job = 0;
    copy->chunks_done = copy->plan.chunks_done;
    copy->rows_done = copy->plan.rows_done;
    copy->tables_done = 0;
    for (size_t i = 0; i < copy->plan.table_count; i++)
        copy->tables_done += copy->plan.tables[i].chunks_left == 0;
    publish(copy);
}

/* -- pipes ----------------------------------------------------------------------------------------------- */

static int watch_pipe(struct worker *worker, struct sb_err *err)
{
    struct sb_loop *loop = worker->over->loop;
    bool held = worker->waits == SB_PIPE_BUDGET || worker->waits == SB_PIPE_MORE;
    unsigned source = held ? 0 : sb_pipe_events(worker->pipe, SB_SIDE_SOURCE);
    if (sb_loop_file_events(loop, worker->source, source, err) != 0)
        return -1;
    return sb_loop_file_events(loop, worker->target, sb_pipe_events(worker->pipe, SB_SIDE_TARGET), err);
}

static void finished(struct copy *copy, const struct sb_copy_job *job, struct worker *worker)
{
    copy->chunks_done++;
    copy->rows_done += sb_pipe_rows(worker->pipe);
    copy->tables_done += job->table->chunks_left == 0;
    SB_DEBUG("chunk copied", SB_STR("table", job->table->relation),
        SB_NUM("rows", sb_pipe_rows(worker->pipe)), SB_NUM("chunks_left", job->table->chunks_left));
    if (job->table->chunks_left == 0)
        SB_INFO("table copied", SB_STR("table", job->table->relation), SB_NUM("chunks", job->table->chunks));
}

static int step(struct worker *worker, struct sb_err *err)
{
    struct copy *copy = worker->over;
    struct sb_pipe_world world = {.flushed_lsn = sb_witness_flushed(copy->witness),
        .budget_bytes = copy->config->copy.max_rate_bytes_s > 0 ? &copy->budget_bytes : NULL};
    for (;;) {
        const struct sb_copy_job *job = sb_pipe_job(worker->pipe);
        int rc = sb_pipe_step(worker->pipe, &world, err);
        if (rc < 0)
            return -1;
        worker->waits = rc;
        if (rc != SB_PIPE_IDLE)
            break;
        if (job != NULL)
            finished(copy, job, worker);
        if (copy->paused || copy->next_job == copy->plan.job_count)
            break;
        sb_pipe_begin(worker->pipe, &copy->plan.jobs[copy->next_job++]);
    }
    if (worker->waits == SB_PIPE_EARLY)
        worker->early_ms = sb_clock_mono_ms();
    copy->again = copy->again || worker->waits == SB_PIPE_MORE;
    return watch_pipe(worker, err);
}

static void on_pipe(void *arg, unsigned events)
{
    struct worker *worker = arg;
    struct sb_err err;
    (void)events;
    if (worker->waits == SB_PIPE_IO && step(worker, &err) != 0)
        fail(worker->over, &err);
}

static bool all_idle(const struct copy *copy)
{
    for (size_t i = 0; i < copy->worker_count; i++)
        if (sb_pipe_job(copy->workers[i].pipe) != NULL)
            return false;
    return copy->next_job == copy->plan.job_count;
}

/* What no descriptor tells: others had their turn, the budget, the barrier, the flush. */
static bool may_go_on(const struct copy *copy, const struct worker *worker, int64_t now_ms)
{
    switch ((enum sb_pipe_wait)worker->waits) {
    case SB_PIPE_MORE:
        return true;
    case SB_PIPE_BUDGET:
        return copy->budget_bytes > 0;
    case SB_PIPE_EARLY:
        return now_ms - worker->early_ms >= EARLY_AGAIN_MS;
    case SB_PIPE_FLUSH:
        return sb_witness_flushed(copy->witness) >= sb_pipe_flush_lsn(worker->pipe);
    case SB_PIPE_IDLE:
        return !copy->paused && copy->next_job < copy->plan.job_count;
    case SB_PIPE_IO:
        break;
    }
    return false;
}

static int step_ready(struct copy *copy, int64_t now_ms, struct sb_err *err)
{
    uint64_t wanted = 0;
    copy->again = false;
    for (size_t i = 0; i < copy->worker_count; i++) {
        struct worker *worker = &copy->workers[i];
        if (may_go_on(copy, worker, now_ms) && step(worker, err) != 0)
            return -1;
        uint64_t h = worker->waits == SB_PIPE_FLUSH ? sb_pipe_flush_lsn(worker->pipe) : 0;
        wanted = h > wanted ? h : wanted;
    }
    sb_witness_want(copy->witness, wanted, now_ms);
    if (copy->again)
        sb_loop_again(copy->loop);
    return 0;
}

/* -- ticks ----------------------------------------------------------------------------------------------- */

static void refill(struct copy *copy, int64_t now_ms)
{
    int64_t rate = copy->config->copy.max_rate_bytes_s, since_ms = now_ms - copy->budget_ms;
    copy->budget_ms = now_ms;
    if (rate == 0)
        return;
    int64_t most = rate * BUDGET_BURST_MS / 1000 + 1;
    copy->budget_bytes += rate * (since_ms < BUDGET_BURST_MS ? since_ms : BUDGET_BURST_MS) / 1000;
    copy->budget_bytes = copy->budget_bytes < most ? copy->budget_bytes : most;
}

static void tell_barrier(struct copy *copy, int64_t now_ms)
{
    char why[256];
    bool standby = sb_witness_waits_for_standby(copy->witness), early = standby;
    for (size_t i = 0; i < copy->worker_count; i++)
        early = early || sb_pipe_is_early(copy->workers[i].pipe);
    if (!early && copy->early_since_ms != 0) {
        copy->early_since_ms = 0;
        sb_report_state(SB_STATE_RUNNING, NULL);
    }
    if (!early || copy->paused)
        return;
    if (copy->early_since_ms == 0)
        copy->early_since_ms = now_ms;
    if (now_ms - copy->early_since_ms < EARLY_SAID_MS)
        return;
    if (standby) {
        sb_report_state(SB_STATE_WAITING, "the source's standbys must flush what was read of it first");
        return;
    }
    sb_witness_ask_oldest(copy->witness);
    const char *oldest = sb_witness_oldest(copy->witness);
    snprintf(why, sizeof why, "the source's transactions from before the copy must end first; the oldest: %s",
        oldest[0] == '\0' ? "being looked for" : oldest);
    sb_report_state(SB_STATE_WAITING, why);
}

/* A server that is shutting down, smartly, waits for every session to leave: ours go at once. */
static int ping_if_due(struct copy *copy, int64_t now_ms, struct sb_err *err)
{
    if (now_ms < copy->next_ping_ms)
        return 0;
    copy->next_ping_ms = now_ms + PING_MS;
    if (sb_conn_ping(&copy->options.source) == SB_PING_REFUSING)
        return sb_err_set(
            err, SB_E_SOURCE_UNAVAILABLE, "the source is shutting down: all sessions with it are closed");
    if (sb_conn_ping(&copy->options.target) == SB_PING_REFUSING)
        return sb_err_set(
            err, SB_E_TARGET_UNAVAILABLE, "the target is shutting down: all sessions with it are closed");
    return 0;
}

static void tell_pause(const struct copy *copy)
{
    SB_INFO(copy->paused ? "copy paused by operator" : "copy goes on");
    sb_report_state(copy->paused ? SB_STATE_WAITING : SB_STATE_RUNNING,
        copy->paused ? "paused by an operator (`switchback resume` goes on)" : NULL);
}

/* Paused by an operator: chunks that were begun are finished, so that no snapshot of the source stays open.
 */
static int follow_pause(struct copy *copy, int64_t now_ms, struct sb_err *err)
{
    bool was = copy->paused;
    if (!copy->pause_asked && now_ms >= copy->next_pause_ms) {
        copy->next_pause_ms = now_ms + PAUSE_ASK_MS;
        copy->pause_asked = true;
        return sb_copy_ask_paused(&copy->claim, err);
    }
    int rc = copy->pause_asked ? sb_copy_poll_paused(&copy->claim, &copy->paused, err) : SB_CONN_PENDING;
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    copy->pause_asked = false;
    if (was == copy->paused)
        return 0;
    tell_pause(copy);
    return 0;
}

/* The session is used for something else next. */
static int await_pause_answer(struct copy *copy, struct sb_err *err)
{
    int64_t until_ms = sb_clock_mono_ms() + PAUSE_ANSWER_MS;
    while (copy->pause_asked) {
        int rc = sb_copy_poll_paused(&copy->claim, &copy->paused, err);
        if (rc < 0)
            return -1;
        copy->pause_asked = rc != 0;
        if (rc != 0 && sb_clock_mono_ms() > until_ms)
            return sb_err_set(err, SB_E_TARGET_UNAVAILABLE, "the target does not answer");
        if (rc != 0)
            poll(&(struct pollfd){.fd = sb_conn_fd(copy->claim.target), .events = POLLIN}, 1, TICK_MS);
    }
    return 0;
}

static void on_tick(void *arg)
{
    struct copy *copy = arg;
    struct sb_err err;
    int64_t now_ms = sb_clock_mono_ms();
    refill(copy, now_ms);
    if (ping_if_due(copy, now_ms, &err) != 0 || follow_pause(copy, now_ms, &err) != 0 ||
        sb_witness_turn(copy->witness, now_ms, &err) != 0) {
        fail(copy, &err);
        return;
    }
    tell_barrier(copy, now_ms);
    tell(copy, now_ms);
}

static void on_turn(void *arg)
{
    struct copy *copy = arg;
    struct sb_err err;
    if (step_ready(copy, sb_clock_mono_ms(), &err) != 0)
        fail(copy, &err);
    else if (all_idle(copy))
        sb_loop_stop(copy->loop, NULL);
}

/* The witness's answers come in between ticks. */
static void on_witness(void *arg, unsigned events)
{
    struct copy *copy = arg;
    struct sb_err err;
    (void)events;
    if (sb_witness_turn(copy->witness, sb_clock_mono_ms(), &err) != 0)
        fail(copy, &err);
}

static void on_signal(void *arg, int signo)
{
    struct copy *copy = arg;
    SB_INFO("copy stops: finished chunks stay", SB_STR("signal", signo == SIGINT ? "SIGINT" : "SIGTERM"));
    sb_loop_stop(copy->loop, NULL);
}

/* -- running --------------------------------------------------------------------------------------------- */

static int open_pipes(struct copy *copy, struct sb_err *err)
{
    size_t wanted = (size_t)copy->config->copy.jobs;
    wanted = wanted < copy->plan.job_count ? wanted : copy->plan.job_count;
    for (; copy->worker_count < wanted; copy->worker_count++) {
        struct worker *worker = &copy->workers[copy->worker_count];
        *worker = (struct worker){.over = copy};
        sb_wiring_copy_origin(copy->config, copy->direction, copy->worker_count + 1, copy->options.origin);
        if (sb_pipe_open(&copy->options, &worker->pipe, err) != 0)
            return -1;
        worker->source =
            sb_loop_file(copy->loop, sb_pipe_fd(worker->pipe, SB_SIDE_SOURCE), 0, on_pipe, worker, err);
        worker->target =
            worker->source == NULL
                ? NULL
                : sb_loop_file(copy->loop, sb_pipe_fd(worker->pipe, SB_SIDE_TARGET), 0, on_pipe, worker, err);
        if (worker->target == NULL) {
            sb_pipe_close(worker->pipe);
            return -1;
        }
    }
    return 0;
}

static int make_loop(struct copy *copy, struct sb_err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, 0};
    copy->loop = sb_loop_new(err);
    if (copy->loop == NULL || sb_loop_signals(copy->loop, signals, on_signal, copy, err) != 0 ||
        sb_loop_timer(copy->loop, TICK_MS, on_tick, copy, err) == NULL ||
        sb_loop_file(copy->loop, sb_conn_fd(sb_witness_conn(copy->witness)), SB_LOOP_READ, on_witness, copy,
            err) == NULL)
        return -1;
    sb_loop_after_turn(copy->loop, on_turn, copy);
    return open_pipes(copy, err);
}

static void clear_loop(struct copy *copy)
{
    for (size_t i = 0; i < copy->worker_count; i++)
        sb_pipe_close(copy->workers[i].pipe);
    copy->worker_count = 0;
    copy->bytes_told = 0;
    sb_loop_free(copy->loop);
    copy->loop = NULL;
}

static int make_plan(struct copy *copy, struct sb_err *err)
{
    sb_arena_reset(copy->arena);
    if (sb_copy_plan_make(&copy->claim, sb_witness_conn(copy->witness), copy->config, &copy->names,
            copy->status.beside, sb_loop_stop_pending, copy->arena, &copy->plan, err) != 0)
        return -1;
    /* Behind the list of published tables: one that was published a moment ago needs the barrier, too. */
    if (sb_witness_barrier(copy->witness, &copy->options.barrier, err) != 0)
        return -1;
    count_planned(copy);
    return 0;
}

/* All chunks of the plan; told to stop is 0, too. */
static int run_plan(struct copy *copy, struct sb_err *err)
{
    int rc = make_loop(copy, err);
    sb_report_state(SB_STATE_RUNNING, NULL);
    if (rc == 0 && (rc = sb_copy_ask_paused(&copy->claim, err)) == 0) {
        copy->pause_asked = true;
        rc = await_pause_answer(copy, err);
    }
    if (rc == 0 && copy->paused)
        tell_pause(copy);
    copy->budget_ms = sb_clock_mono_ms();
    copy->sight_ms = 0;
    for (size_t i = 0; i < copy->worker_count && rc == 0; i++)
        rc = step(&copy->workers[i], err);
    if (rc == 0)
        rc = sb_loop_run(copy->loop, err);
    if (rc == 0 && sb_loop_stop_signal() == 0)
        rc = await_pause_answer(copy, err);
    publish(copy);
    clear_loop(copy);
    return rc;
}

/* The slot stands and the two servers are those that were prepared for one another. */
static int check_prepared(struct copy *copy, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *recovery = NULL, *source = NULL, *target = NULL;
    const char *params[] = {copy->claim.migration, copy->claim.direction};
    struct sb_conn *conn = sb_witness_conn(copy->witness);
    if (sb_conn_query(conn, "SELECT pg_catalog.pg_is_in_recovery()", 0, NULL, &recovery, err) != 0)
        return -1;
    if (sb_rows_bool(recovery, 0, 0))
        return sb_err_set(err, SB_E_STAMP_FROM_STANDBY, "the source is in recovery: it is a standby");
    if (sb_conn_query(conn,
            "SELECT c.stream_uuid, s.slot_name IS NOT NULL, i.uuid FROM switchback.capture c CROSS JOIN "
            "switchback.identity i LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = c.slot WHERE "
            "c.migration = $1 AND c.direction = $2 AND c.lane = 0",
            2, params, &source, err) != 0 ||
        sb_conn_query(copy->claim.target,
            "SELECT stream_uuid, source_uuid FROM switchback.progress WHERE migration = $1 AND direction = "
            "$2 AND lane = 0",
            2, params, &target, err) != 0)
        return -1;
    if (sb_rows_count(source) == 0 || sb_rows_count(target) == 0)
        return sb_err_set(err, SB_E_NOT_PREPARED, "the %s is not prepared for migration \"%s\"",
            sb_rows_count(source) == 0 ? "source" : "target", copy->claim.migration);
    if (!sb_rows_bool(source, 0, 1))
        return sb_err_set(err, SB_E_SLOT_LOST, "slot \"%s\" is gone", copy->names.slot);
    if (strcmp(sb_rows_get(source, 0, 0), sb_rows_get(target, 0, 0)) != 0 ||
        strcmp(sb_rows_get(source, 0, 2), sb_rows_get(target, 0, 1)) != 0)
        return sb_err_set(err, SB_E_SOURCE_IDENTITY, "source and target were not prepared for one another");
    return 0;
}

static int begin(struct copy *copy, struct sb_err *err)
{
    struct sb_conn *conn = NULL;
    copy->options = (struct sb_pipe_options){.source = sb_wiring_source(copy->config, copy->direction),
        .target = sb_wiring_target(copy->config, copy->direction),
        .claim = &copy->claim};
    if (sb_conn_open(&copy->options.source, copy->purpose, SB_CONN_LOCAL_COMMIT, &conn, err) != 0 ||
        sb_witness_new(conn, &copy->witness, err) != 0 || check_prepared(copy, err) != 0 ||
        sb_copy_claim(&copy->claim, err) != 0 || sb_copy_status_read(&copy->claim, &copy->status, err) != 0)
        return -1;
    SB_FAULT("copy-after-claim");
    return 0;
}

static int begin_rows(struct copy *copy, struct sb_err *err)
{
    struct sb_server_id id;
    if (sb_catalog_server_id(sb_witness_conn(copy->witness), &id, err) != 0 || make_plan(copy, err) != 0)
        return -1;
    copy->options.timeline = id.timeline;
    SB_INFO("copy begins", SB_NUM("tables", copy->plan.table_count), SB_NUM("chunks", copy->plan.job_count),
        SB_NUM("chunks_finished", copy->plan.chunks_done), SB_NUM("barrier_xid", copy->options.barrier));
    SB_FAULT("copy-after-plan");
    return 0;
}

/* -- the structure --------------------------------------------------------------------------------------- */

static struct sb_schema schema_of(const struct copy *copy)
{
    return (struct sb_schema){.config = copy->config,
        .direction = copy->direction,
        .claim = &copy->claim,
        .source = sb_witness_conn(copy->witness),
        .stop = sb_loop_stop_pending};
}

static void tell_schema(struct copy *copy, enum sb_stage_state state, const char *words)
{
    int64_t now_ms = sb_clock_mono_ms();
    sb_report_state(state, words);
    if (watcher.fn == NULL || (copy->sight_ms > 0 && now_ms - copy->sight_ms < SIGHT_MS))
        return;
    const struct sb_copy_sight sight = {.schema = words};
    copy->sight_ms = now_ms;
    watcher.fn(watcher.arg, &sight);
}

/* Between two looks at servers that are waited for. */
static int go_on(struct copy *copy, struct sb_err *err)
{
    if (sb_loop_stop_pending())
        return sb_err_set(err, SB_E_SHUTDOWN, "told to stop: what is made of the structure stays");
    return ping_if_due(copy, sb_clock_mono_ms(), err);
}

static int on_steps(void *arg, const struct sb_steps_sight *sight, struct sb_err *err)
{
    struct copy *copy = arg;
    struct sb_buf words SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&words, 256);
    sb_steps_put_words(sight, &words);
    tell_schema(copy, SB_STATE_RUNNING, sb_buf_str(&words));
    return go_on(copy, err);
}

static int make_steps(struct copy *copy, enum sb_toc_phase phase, struct sb_err *err)
{
    const struct sb_steps steps = {.claim = &copy->claim,
        .config = copy->config,
        .direction = copy->direction,
        .turn = on_steps,
        .arg = copy};
    copy->sight_ms = 0;
    return sb_steps_run(&steps, phase, err);
}

static int make_tables(struct copy *copy, struct sb_err *err)
{
    const struct sb_schema schema = schema_of(copy);
    if (copy->status.structure != SB_COPY_PENDING || copy->status.structure_begun)
        return 0;
    tell_schema(copy, SB_STATE_RUNNING, "schema: the tables are being made");
    return sb_schema_begin(&schema, err);
}

static int applied_read(struct copy *copy, uint64_t *ret_lsn, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {copy->claim.migration, copy->claim.direction};
    if (sb_conn_query(copy->claim.target,
            "SELECT commit_lsn FROM switchback.progress WHERE migration = $1 AND direction = $2 AND lane = 0",
            2, params, &rows, err) != 0)
        return sb_err_add(err, "could not read the progress row");
    *ret_lsn = sb_rows_lsn(rows, 0, 0);
    return 0;
}

/* Where apply stands, and whether it still writes: then it has its origin. */
static int apply_look(struct copy *copy, uint64_t *ret_applied, bool *ret_still, struct sb_err *err)
{
    if (sb_copy_status_read(&copy->claim, &copy->status, err) != 0 ||
        applied_read(copy, ret_applied, err) != 0)
        return -1;
    if (copy->status.rows != SB_COPY_COMPLETE)
        return sb_err_set(
            err, SB_E_TARGET_UNAVAILABLE, "rows are to be copied again before the structure is made");
    *ret_still = true;
    if (*ret_applied < copy->status.last_h)
        return 0;
    int rc = sb_origin_take(copy->gate, copy->names.origin, err);
    *ret_still = rc == SB_ORIGIN_BUSY;
    return rc < 0 ? -1 : 0;
}

/* On a source where nobody writes, the commit that gets apply there is ours. */
static int nudge(struct copy *copy, int64_t *next_ms, struct sb_err *err)
{
    if (sb_clock_mono_ms() < *next_ms)
        return 0;
    *next_ms = sb_clock_mono_ms() + NUDGE_MS;
    return sb_conn_exec(sb_witness_conn(copy->witness),
        "SELECT pg_catalog.pg_logical_emit_message(true, 'switchback.copy', 'pass')", err);
}

/* Until apply has passed the copied rows, so that all of them stand at one moment, and waits. Its origin is
 * then ours until the structure is whole: nobody applies meanwhile. */
static int await_apply(struct copy *copy, struct sb_err *err)
{
    char why[160], applied_text[SB_LSN_TEXT_BYTES], last_text[SB_LSN_TEXT_BYTES];
    uint64_t applied = 0;
    int64_t nudge_ms = 0;
    bool still = true;
    if (sb_conn_open(&copy->options.target, copy->purpose, SB_CONN_LOCAL_COMMIT, &copy->gate, err) != 0)
        return -1;
    for (;;) {
        if (apply_look(copy, &applied, &still, err) != 0)
            return -1;
        if (!still)
            return 0;
        snprintf(why, sizeof why, "schema: waits for apply to pass the copied rows, it is at %s of %s",
            sb_lsn_text(applied, applied_text), sb_lsn_text(copy->status.last_h, last_text));
        tell_schema(copy, SB_STATE_WAITING, why);
        if (applied < copy->status.last_h && nudge(copy, &nudge_ms, err) != 0)
            return -1;
        poll(NULL, 0, APPLY_ASK_MS);
        if (go_on(copy, err) != 0)
            return -1;
    }
}

static int make_rest(struct copy *copy, struct sb_err *err)
{
    const struct sb_schema schema = schema_of(copy);
    int rc = await_apply(copy, err);
    if (rc == 0)
        rc = make_steps(copy, SB_TOC_REST, err);
    if (rc == 0)
        rc = sb_schema_complete(&schema, err);
    sb_conn_close(copy->gate);
    copy->gate = NULL;
    if (rc == 0)
        SB_INFO("the structure is complete");
    return rc;
}

/* -- all of it ------------------------------------------------------------------------------------------- */

static int copy_rows(struct copy *copy, struct sb_err *err)
{
    if (make_tables(copy, err) != 0 || begin_rows(copy, err) != 0)
        return -1;
    /* Planned once more behind each round: what was published meanwhile is copied, too. */
    while (copy->plan.job_count > 0) {
        if (run_plan(copy, err) != 0)
            return -1;
        if (sb_loop_stop_signal() != 0)
            return 0;
        if (make_plan(copy, err) != 0)
            return -1;
    }
    if (copy->status.structure == SB_COPY_PENDING && make_steps(copy, SB_TOC_KEYS, err) != 0)
        return -1;
    if (sb_copy_complete(&copy->claim, err) != 0)
        return -1;
    SB_INFO("the initial copy is complete", SB_NUM("tables", copy->plan.table_count),
        SB_NUM("rows", copy->plan.rows_done), SB_NUM("chunks", copy->plan.chunks_done));
    return sb_copy_status_read(&copy->claim, &copy->status, err);
}

static int run_pending(struct copy *copy, struct sb_err *err)
{
    if (begin(copy, err) != 0)
        return -1;
    if (copy->status.rows == SB_COPY_PENDING && copy_rows(copy, err) != 0)
        return -1;
    if (copy->status.rows != SB_COPY_COMPLETE)
        return 0;
    if (copy->status.structure == SB_COPY_PENDING && make_rest(copy, err) != 0)
        return -1;
    sb_copy_drop_origins(&copy->claim, copy->config, copy->direction);
    return 0;
}

static int run(struct copy *copy, struct sb_err *err)
{
    struct sb_endpoint target = sb_wiring_target(copy->config, copy->direction);
    if (sb_conn_open(&target, copy->purpose, SB_CONN_LOCAL_COMMIT, &copy->claim.target, err) != 0 ||
        sb_copy_status_read(&copy->claim, &copy->status, err) != 0)
        return -1;
    if (copy->status.rows == SB_COPY_PENDING || copy->status.structure == SB_COPY_PENDING)
        return run_pending(copy, err);
    SB_INFO(copy->status.rows == SB_COPY_COMPLETE ? "the initial copy is complete already"
                                                  : "there is no initial copy to do");
    return 0;
}

int sb_copy_run(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    struct copy *copy = calloc(1, sizeof *copy);
    int rc = -1;
    sb_report_state(SB_STATE_STARTING, "planning the initial copy");
    if (copy != NULL)
        copy->arena = sb_arena_new("plan of the copy", PLAN_MAX_BYTES);
    if (copy == NULL || copy->arena == NULL) {
        free(copy);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the copy stage");
    }
    copy->config = config;
    copy->direction = direction;
    sb_wiring_names(config, direction, &copy->names);
    snprintf(copy->purpose, sizeof copy->purpose, "switchback %s copy-%s", config->migration,
        sb_direction_name(direction));
    copy->claim = (struct sb_copy_claim){
        .migration = config->migration, .direction = sb_direction_name(direction), .purpose = copy->purpose};
    sb_wiring_copy_origin(config, direction, 0, copy->claim.origin);
    rc = run(copy, err);
    sb_witness_free(copy->witness);
    sb_conn_close(copy->claim.target);
    sb_arena_free(copy->arena);
    free(copy);
    return rc;
}
