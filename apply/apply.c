#include "apply/apply.h"

#include "apply/beside.h"
#include "apply/copied.h"
#include "apply/hold.h"
#include "apply/reader.h"
#include "apply/recopy.h"
#include "apply/takeover.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/metrics.h"
#include "stream/tail.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TURN_RECORDS = 4096, /* read in a turn before signals and timers get their chance */
    TICK_MS = 1000,      /* pause flag, housekeeping */
    POLL_MS = 20,        /* where the store has no descriptor to wait for */
    GATHER_MS = 100,     /* how old a batch may get at the stream's end while records flood in */
    COPY_ASK_MS = 25,    /* is the initial copy over? */
    COPY_SAY_MS = 1000,  /* how far it is */
    HOLD_MS = 10,        /* while somebody waits for it to stand still */
    RATE_MS = 20,        /* the least time over which their rate is judged */
    FLOOD_RECORDS_A_MS = 50,
    PUBLISH_TICKS = 5,
    SUPERSEDED_WAIT_MS = 10000, /* for a new capture to find the hole that we found */
    SUPERSEDED_POLL_MS = 200,
};

struct stage {
    const struct sb_config *config;
    enum sb_direction direction;
    char purpose[64]; /* application_name */
    struct sb_conn *conn;
    struct sb_lane *lane;
    struct sb_reader reader;
    struct sb_beside *side; /* NULL: no table is set aside, or it is not copied yet */
    struct sb_watch *side_timer;
    bool side_more;  /* the side reader has more to do at once */
    bool given_back; /* tables set aside are the lane's again: what it has gathered is not whole */
    struct sb_loop *loop;
    struct sb_watch *stream_watch;
    struct sb_watch *gather_timer;
    bool paused;
    struct sb_hold hold; /* both sides are looked at as of one commit */
    struct sb_watch *hold_timer;
    bool recopy;            /* a new incarnation is to see to rows that are copied again */
    int64_t batch_began_ms; /* when the first whole transaction not yet flushed was read; 0: there is none */
    uint64_t batch_after;   /* sequence of the progress it will move */
    bool flood;             /* so many records came lately that somebody is behind */
    int64_t rate_since_ms;
    uint64_t rate_taken;
    int64_t large_moved_ms; /* when the open large transaction last grew */
    uint64_t large_taken;
    unsigned ticks;
    bool reading;      /* from here on an error is of the records read, not of the start */
    uint64_t hold_lsn; /* 0, or where to stop because the copy makes the rest of the structure there */
    bool beside;       /* tables set aside are copied meanwhile */
    bool held;         /* it has come to that */
    int64_t
        start_offset; /* where the incarnation before says that reading goes on; -1: behind the progress */
};

static void fail(struct stage *stage, const struct sb_err *err)
{
    sb_loop_stop(stage->loop, err);
}

/* -- reading
 * ------------------------------------------------------------------------------------------------- */

static int flush(struct stage *stage, struct sb_err *err)
{
    stage->batch_began_ms = 0;
    return sb_lane_flush(stage->lane, err);
}

static bool read_ahead(void *arg)
{
    struct stage *stage = arg;
    return sb_stream_read_ahead(stage->reader.stream);
}

/* The lane flushes by itself when a batch is full. */
static void note_batch(struct stage *stage, int64_t now_ms)
{
    uint64_t after = sb_lane_progress(stage->lane)->position.sequence;
    if (!sb_lane_has_whole(stage->lane))
        stage->batch_began_ms = 0;
    else if (stage->batch_began_ms == 0 || after != stage->batch_after)
        stage->batch_began_ms = now_ms;
    stage->batch_after = after;
}

static void note_rate(struct stage *stage, int64_t now_ms)
{
    uint64_t taken = sb_lane_taken(stage->lane);
    int64_t since_ms = now_ms - stage->rate_since_ms;
    if (since_ms < RATE_MS)
        return;
    stage->flood = taken - stage->rate_taken >= (uint64_t)since_ms * FLOOD_RECORDS_A_MS;
    stage->rate_since_ms = now_ms;
    stage->rate_taken = taken;
}

/* What is there is written at once, so that a single commit waits for nobody. Only while so much comes that
 * small batches would take the machine from who sends it, a batch is given a moment to grow. */
static int reached_end(struct stage *stage, int64_t now_ms, struct sb_err *err)
{
    int64_t age_ms = now_ms - stage->batch_began_ms;
    if (stage->batch_began_ms == 0 || !stage->flood || age_ms >= GATHER_MS)
        return flush(stage, err);
    sb_loop_timer_set(stage->loop, stage->gather_timer, GATHER_MS - age_ms, 0);
    return 0;
}

static bool is_at_hold(const struct stage *stage)
{
    return stage->hold_lsn != 0 && !stage->recopy &&
           sb_lane_progress(stage->lane)->position.commit_lsn >= stage->hold_lsn;
}

/* It is asked to stand here. */
static bool stands_still(const struct stage *stage)
{
    return stage->hold.wanted && sb_lane_progress(stage->lane)->position.commit_lsn >= stage->hold.at;
}

/* What is whole is written, and whoever asked is told where that is. */
static int stand_still(struct stage *stage, struct sb_err *err)
{
    if (flush(stage, err) != 0)
        return -1;
    stage->hold.said = true;
    return sb_hold_say(stage->conn, stage->config, stage->direction,
        sb_lane_progress(stage->lane)->position.commit_lsn, err);
}

/* All that was copied is passed: the structure is completed now, and nobody writes to the tables meanwhile.
 */
static void hold_if_passed(struct stage *stage)
{
    if (!is_at_hold(stage))
        return;
    SB_INFO("apply waits here for the rest of the structure",
        SB_LSN("commit_lsn", sb_lane_progress(stage->lane)->position.commit_lsn));
    stage->held = true;
    sb_loop_stop(stage->loop, NULL);
}

/* The next incarnation sees to rows that are copied again. */
static void begin_anew(struct stage *stage)
{
    stage->recopy = true;
    sb_loop_stop(stage->loop, NULL);
}

/* The lane has met a suspect: the rest of the stream, as far as it goes now, may have more of them. */
static int survey(struct stage *stage, int64_t now_ms, struct sb_err *err)
{
    bool asked = false;
    if (sb_reader_survey(&stage->reader, now_ms, &asked, err) != 0)
        return -1;
    if (asked)
        begin_anew(stage);
    return 0;
}

static int read_some(struct stage *stage, struct sb_err *err)
{
    struct sb_record record;
    for (int n = 0; n < TURN_RECORDS; n++) {
        int rc = sb_reader_next(&stage->reader, &record, err);
        if (rc < 0)
            return -1;
        if (rc == SB_STREAM_END)
            break;
        if (sb_lane_take(stage->lane, &record, err) != 0)
            return -1;
        if (sb_lane_stops_for_copy(stage->lane)) {
            begin_anew(stage);
            return 0;
        }
        if (stage->hold.wanted && sb_lane_gathered_lsn(stage->lane) >= stage->hold.at)
            return stand_still(stage, err);
        if (is_at_hold(stage) || sb_lane_stands(stage->lane))
            return 0; /* nobody else writes from here on, so nor does what is gathered */
    }
    int64_t now_ms = sb_clock_mono_ms();
    if (sb_lane_surveys(stage->lane))
        return survey(stage, now_ms, err);
    note_batch(stage, now_ms);
    note_rate(stage, now_ms);
    if (stage->reader.drained)
        return reached_end(stage, now_ms, err);
    if (stage->batch_began_ms != 0 && now_ms - stage->batch_began_ms >= stage->config->apply.batch_max_ms)
        return flush(stage, err);
    return 0;
}

/* -- tables set aside
 * ---------------------------------------------------------------------------------------- */

/* Both lanes are behind the same commit. What the main lane has gathered beyond lacks these tables' changes:
 * it is forgotten, and read again by the next incarnation. */
static int give_back(struct stage *stage, struct sb_err *err)
{
    if (sb_lane_is_large(stage->lane))
        return 0; /* not for this: it ends */
    if (sb_aside_give_back(stage->conn, sb_lane_progress(stage->lane), &stage->given_back, err) != 0)
        return -1;
    if (!stage->given_back)
        return sb_err_set(err, SB_E_EPOCH_STALE, "the side reader's progress row is not where it left it");
    SB_INFO("tables set aside are given back", SB_NUM("tables", sb_lane_aside(stage->lane)),
        SB_LSN("commit_lsn", sb_lane_progress(stage->lane)->position.commit_lsn));
    begin_anew(stage);
    return 0;
}

/* What the side reader would have to read is not in the stream any more. */
static int copy_aside_again(struct stage *stage, const struct sb_err *lost, struct sb_err *err)
{
    SB_WARN("tables set aside are copied once more: the stream does not hold their changes any more",
        SB_STR("why", lost->text));
    if (sb_aside_ask_again(stage->conn, stage->config->migration, sb_direction_name(stage->direction),
            "the stream lost what the side reader needed", err) != 0)
        return -1;
    begin_anew(stage);
    return 0;
}

static int turn_side(struct stage *stage, struct sb_err *err)
{
    enum sb_beside_turn turn = SB_BESIDE_IDLE;
    struct sb_err lost;
    stage->side_more = false;
    if (stage->side == NULL || stage->recopy || stage->held)
        return 0;
    if (sb_beside_turn(stage->side, sb_lane_progress(stage->lane), &turn, &lost) != 0) {
        *err = lost;
        return sb_beside_is_lost(&lost) ? copy_aside_again(stage, &lost, err) : -1;
    }
    stage->side_more = turn == SB_BESIDE_MORE;
    if (turn == SB_BESIDE_ASKED)
        begin_anew(stage);
    return turn == SB_BESIDE_LEVEL ? give_back(stage, err) : 0;
}

/* What it has open is rolled back; it is opened again when apply goes on. */
static void close_side(struct stage *stage)
{
    sb_beside_free(stage->side);
    stage->side = NULL;
    stage->side_more = false;
    sb_loop_timer_set(stage->loop, stage->side_timer, 0, 0);
}

/* Once their rows are copied. */
static int open_side(struct stage *stage, struct sb_err *err)
{
    struct sb_copied copied;
    struct sb_err lost;
    if (stage->paused || stage->side != NULL || sb_lane_aside(stage->lane) == 0 ||
        sb_lane_observes(stage->lane) || sb_lane_surveys(stage->lane))
        return 0;
    const char *direction = sb_direction_name(stage->direction);
    if (sb_copied_read(stage->conn, stage->config->migration, direction, &copied, err) != 0)
        return -1;
    if (copied.rows_pending)
        return 0;
    if (sb_beside_new(stage->config, stage->direction, &stage->side, &lost) != 0) {
        *err = lost;
        return sb_beside_is_lost(&lost) ? copy_aside_again(stage, &lost, err) : -1;
    }
    SB_INFO("the side reader follows", SB_NUM("tables", sb_lane_aside(stage->lane)));
    sb_loop_timer_set(stage->loop, stage->side_timer, POLL_MS, POLL_MS);
    sb_loop_again(stage->loop);
    return 0;
}

static void on_turn(void *arg)
{
    struct stage *stage = arg;
    struct sb_err err;
    bool stands = sb_lane_stands(stage->lane);
    if (stage->paused || stage->recopy || stands_still(stage))
        return;
    if (!stands && read_some(stage, &err) != 0) {
        fail(stage, &err);
        return;
    }
    hold_if_passed(stage);
    if (turn_side(stage, &err) != 0) {
        fail(stage, &err);
        return;
    }
    if (!stands && sb_lane_stands(stage->lane))
        sb_report_state(SB_STATE_WAITING, "DDL has to wait until the tables set aside are copied");
    bool more = !stage->reader.drained && !sb_lane_stands(stage->lane);
    if ((more || stage->side_more) && !stage->held)
        sb_loop_again(stage->loop);
}

/* The descriptor only wakes the loop; the turn's end reads. */
static void on_stream(void *arg, unsigned events)
{
    (void)arg;
    (void)events;
}

static void on_poll(void *arg)
{
    (void)arg;
}

/* -- every second
 * -------------------------------------------------------------------------------------------- */

static int read_paused(struct stage *stage, bool *ret_paused, struct sb_err *err)
{
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    const char *params[] = {stage->config->migration, sb_direction_name(stage->direction)};
    if (sb_conn_query(stage->conn,
            "SELECT paused FROM switchback.apply_control WHERE migration = $1 AND direction = $2", 2, params,
            &rows, err) != 0)
        return sb_err_add(err, "could not read switchback.apply_control");
    *ret_paused = sb_rows_count(rows) > 0 && sb_rows_bool(rows, 0, 0);
    return 0;
}

/* A paused lane must not sit on an open target transaction or on the loop's wake-ups. */
static int follow_pause(struct stage *stage, struct sb_err *err)
{
    bool paused = false;
    if (read_paused(stage, &paused, err) != 0)
        return -1;
    if (paused == stage->paused)
        return 0;
    stage->paused = paused;
    SB_INFO(paused ? "apply paused by operator" : "apply goes on");
    if (!paused) {
        sb_report_state(SB_STATE_RUNNING, NULL);
        sb_loop_again(stage->loop);
        return sb_stream_fd(stage->reader.stream) >= 0
                   ? sb_loop_file_events(stage->loop, stage->stream_watch, SB_LOOP_READ, err)
                   : 0;
    }
    sb_report_state(SB_STATE_WAITING, "paused by an operator (`switchback resume` goes on)");
    close_side(stage);
    if (sb_lane_is_large(stage->lane))
        return sb_err_set(err, SB_E_STREAM_UNAVAILABLE,
            "paused in the middle of a large transaction; it is rolled back and read again later");
    if (flush(stage, err) != 0)
        return -1;
    return sb_stream_fd(stage->reader.stream) >= 0
               ? sb_loop_file_events(stage->loop, stage->stream_watch, 0, err)
               : 0;
}

/* While it is held, the timer looks whether there is more to do, and the stream does not wake it. */
static int hold_changed(struct stage *stage, struct sb_err *err)
{
    int64_t interval_ms = stage->hold.wanted ? HOLD_MS : 0;
    sb_loop_timer_set(stage->loop, stage->hold_timer, interval_ms, interval_ms);
    if (sb_stream_fd(stage->reader.stream) < 0)
        return 0;
    return sb_loop_file_events(stage->loop, stage->stream_watch, stage->hold.wanted ? 0 : SB_LOOP_READ, err);
}

/* Never in the middle of a large transaction, whose beginning is not to be seen. */
static int follow_hold(struct stage *stage, struct sb_err *err)
{
    struct sb_hold hold;
    bool held = stage->hold.wanted;
    if (stage->paused || stage->recopy || sb_lane_surveys(stage->lane) ||
        (!held && sb_lane_is_large(stage->lane)))
        return 0;
    if (sb_hold_read(stage->conn, stage->config, stage->direction, &hold, err) != 0)
        return -1;
    stage->hold = hold;
    if (hold.wanted != held && hold_changed(stage, err) != 0)
        return -1;
    if (hold.wanted && !hold.said && sb_lane_gathered_lsn(stage->lane) >= hold.at)
        return stand_still(stage, err);
    if (held && !stands_still(stage))
        sb_loop_again(stage->loop);
    return 0;
}

static void on_hold(void *arg)
{
    struct stage *stage = arg;
    struct sb_err err;
    if (stage->hold.wanted && follow_hold(stage, &err) != 0)
        fail(stage, &err);
}

/* Somebody wishes rows to be copied again: what is whole is written, and the next incarnation sees to it. */
static int follow_wishes(struct stage *stage, struct sb_err *err)
{
    bool wished = false;
    if (stage->paused || sb_lane_surveys(stage->lane))
        return 0;
    if (sb_recopy_wished(stage->conn, stage->config, stage->direction, &wished, err) != 0)
        return -1;
    if (!wished)
        return 0;
    if (sb_lane_is_large(stage->lane))
        return sb_err_set(err, SB_E_STREAM_UNAVAILABLE,
            "rows are to be copied again in the middle of a large transaction; it is rolled back and read "
            "again later");
    if (flush(stage, err) != 0)
        return -1;
    begin_anew(stage);
    return 0;
}

/* An open target transaction holds locks; if the rest of it does not come, let go and start again from
 * progress. */
static int check_large(struct stage *stage, struct sb_err *err)
{
    int64_t now_ms = sb_loop_now_ms(stage->loop),
            max_ms = stage->config->apply.open_transaction_idle_max_s * 1000;
    if (!sb_lane_is_large(stage->lane) || sb_lane_taken(stage->lane) != stage->large_taken) {
        stage->large_taken = sb_lane_taken(stage->lane);
        stage->large_moved_ms = now_ms;
        return 0;
    }
    if (now_ms - stage->large_moved_ms < max_ms)
        return 0;
    return sb_err_set(err, SB_E_STREAM_UNAVAILABLE,
        "the rest of a large transaction did not come for %" PRId64 " s; it is rolled back and read again",
        max_ms / 1000);
}

static void publish(struct stage *stage)
{
    struct sb_err err;
    int64_t offset = sb_lane_progress(stage->lane)->offset;
    if (++stage->ticks % PUBLISH_TICKS != 0 || offset < 0)
        return;
    if (sb_stream_publish_progress(stage->reader.stream, offset, &err) != 0)
        sb_log_err(SB_LOG_WARNING, &err, "ignored: only lag tools of others see it");
}

static void on_tick(void *arg)
{
    struct stage *stage = arg;
    struct sb_err err;
    if (follow_pause(stage, &err) != 0 || follow_hold(stage, &err) != 0 || follow_wishes(stage, &err) != 0 ||
        sb_lane_pass(stage->lane, &err) != 0 || sb_lane_follow_repair(stage->lane, &err) != 0 ||
        check_large(stage, &err) != 0 || (stage->side != NULL && sb_beside_pass(stage->side, &err) != 0) ||
        open_side(stage, &err) != 0)
        fail(stage, &err);
    else
        publish(stage);
    sb_metric_set(SB_M_LOG_DROPPED, (int64_t)sb_log_dropped());
}

static void on_signal(void *arg, int signo)
{
    struct stage *stage = arg;
    SB_INFO("apply stops", SB_STR("signal", signo == SIGINT ? "SIGINT" : "SIGTERM"));
    sb_loop_stop(stage->loop, NULL);
}

/* -- start
 * --------------------------------------------------------------------------------------------------- */

/* The session with which this process applied before; 0: it has not yet. A process has one stage. */
static int worked_as_pid;

/* -- the initial copy ------------------------------------------------------------------------------------ */

struct wait {
    struct stage *stage;
    int64_t said_ms; /* when it was said last why it waits; 0: never */
    bool told_to_stop;
};

static void on_wait_signal(void *arg, int signo)
{
    struct wait *wait = arg;
    SB_INFO("apply stops", SB_STR("signal", signo == SIGINT ? "SIGINT" : "SIGTERM"));
    wait->told_to_stop = true;
    sb_loop_stop(wait->stage->loop, NULL);
}

static int wait_say(struct wait *wait, const struct sb_copied *copied, struct sb_err *err)
{
    const struct stage *stage = wait->stage;
    char why[SB_COPIED_WHY_BYTES];
    int64_t now_ms = sb_clock_mono_ms();
    if (wait->said_ms != 0 && now_ms - wait->said_ms < COPY_SAY_MS)
        return 0;
    if (wait->said_ms == 0)
        sb_metric_add(SB_M_COPY_WAITS, 1); /* a supervisor goes by it */
    wait->said_ms = now_ms;
    if (sb_copied_why(stage->conn, stage->config->migration, sb_direction_name(stage->direction), copied, why,
            err) != 0)
        return -1;
    sb_report_state(SB_STATE_WAITING, why);
    return 0;
}

static void on_wait_tick(void *arg)
{
    struct wait *wait = arg;
    struct stage *stage = wait->stage;
    struct sb_copied copied;
    struct sb_err err;
    if (sb_copied_read(
            stage->conn, stage->config->migration, sb_direction_name(stage->direction), &copied, &err) != 0) {
        fail(stage, &err);
        return;
    }
    stage->hold_lsn = copied.hold_lsn;
    stage->beside = copied.beside;
    if (!copied.waits)
        sb_loop_stop(stage->loop, NULL);
    else if (wait_say(wait, &copied, &err) != 0)
        fail(stage, &err);
}

/* Nothing is applied while rows are copied, or while the rest of the structure is made: 0 once there is
 * nothing to wait for, or told to stop (then the signal is known to core/loop). */
static int wait_for_copy(struct stage *stage, bool *ret_stop, struct sb_err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, 0};
    struct wait wait = {.stage = stage};
    struct sb_watch *tick;
    int rc = -1;
    stage->loop = sb_loop_new(err);
    if (stage->loop != NULL && sb_loop_signals(stage->loop, signals, on_wait_signal, &wait, err) == 0 &&
        (tick = sb_loop_timer(stage->loop, TICK_MS, on_wait_tick, &wait, err)) != NULL) {
        sb_loop_timer_set(stage->loop, tick, 0, COPY_ASK_MS);
        rc = sb_loop_run(stage->loop, err);
    }
    sb_loop_free(stage->loop);
    stage->loop = NULL;
    *ret_stop = wait.told_to_stop;
    return rc;
}

/* Wishes are taken. What is copied of tables that are not set aside is waited for before anything is applied.
 */
static int settle_copy(struct stage *stage, bool *ret_stop, struct sb_err *err)
{
    bool again = true, busy = false, paused = false;
    while (again) {
        if (wait_for_copy(stage, ret_stop, err) != 0 || read_paused(stage, &paused, err) != 0)
            return -1;
        if (*ret_stop || paused)
            return 0;
        if (sb_recopy_take(stage->conn, stage->config, stage->direction, &again, &busy, err) != 0)
            return busy ? sb_takeover(stage->conn, stage->purpose, worked_as_pid, err) : -1;
    }
    if (stage->beside)
        sb_metric_add(SB_M_COPY_WAITS, 1); /* a supervisor goes by it */
    return 0;
}

static int connect_target(struct stage *stage, struct sb_err *err)
{
    struct sb_endpoint target = sb_wiring_target(stage->config, stage->direction);
    snprintf(stage->purpose, sizeof stage->purpose, "switchback %s apply-%s", stage->config->migration,
        sb_direction_name(stage->direction));
    return sb_conn_open(&target, stage->purpose, 0, &stage->conn, err);
}

static int connect_all(struct stage *stage, struct sb_err *err)
{
    if (sb_lane_new(stage->config, stage->direction, SB_LANE_MAIN, stage->conn, &stage->lane, err) != 0) {
        if (strcmp(err->sqlstate, "55006") == 0)
            return sb_takeover(stage->conn, stage->purpose, worked_as_pid, err);
        return -1;
    }
    sb_metric_set(SB_M_APPLY_ASIDE, (int64_t)sb_lane_aside(stage->lane));
    worked_as_pid = sb_conn_backend_pid(stage->conn);
    sb_lane_meanwhile(stage->lane, read_ahead, stage);
    return sb_reader_open(
        &stage->reader, stage->config, stage->direction, stage->lane, stage->start_offset, err);
}

static int watch_all(struct stage *stage, struct sb_err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, 0};
    stage->loop = sb_loop_new(err);
    if (stage->loop == NULL || sb_loop_signals(stage->loop, signals, on_signal, stage, err) != 0 ||
        sb_loop_timer(stage->loop, TICK_MS, on_tick, stage, err) == NULL)
        return -1;
    int fd = sb_stream_fd(stage->reader.stream);
    stage->stream_watch = fd >= 0 ? sb_loop_file(stage->loop, fd, SB_LOOP_READ, on_stream, stage, err)
                                  : sb_loop_timer(stage->loop, POLL_MS, on_poll, stage, err);
    stage->gather_timer = sb_loop_timer(stage->loop, 0, on_poll, stage, err);
    stage->side_timer = sb_loop_timer(stage->loop, 0, on_poll, stage, err);
    stage->hold_timer = sb_loop_timer(stage->loop, 0, on_hold, stage, err);
    if (stage->stream_watch == NULL || stage->gather_timer == NULL || stage->side_timer == NULL ||
        stage->hold_timer == NULL)
        return -1;
    sb_loop_after_turn(stage->loop, on_turn, stage);
    sb_loop_again(stage->loop);
    return 0;
}

/* The stream lost an end that was applied already. Capture writes it anew from the slot, behind an `open`
 * that the next incarnation finds, or halts because it cannot; here there is nothing to do but wait. */
static int await_capture(struct sb_err *err)
{
    struct sb_err lost = *err;
    return sb_err_set(err, SB_E_STREAM_UNAVAILABLE,
        "the stream has lost its end (%s): waiting for capture to write it anew from the slot", lost.text);
}

static bool stop_pending(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT));
}

/*
 * A hole was read. The store may have lost what it had acknowledged; then capture finds that too, and its
 * next incarnation writes anew what is missing, behind an `open`. Is there one, or does it come in a moment?
 * -1: no, and err stays what it was.
 */
static int64_t find_superseding(struct stage *stage, const struct sb_err *gap)
{
    const struct sb_progress *progress = sb_lane_progress(stage->lane);
    int64_t deadline_ms = sb_clock_mono_ms() + SUPERSEDED_WAIT_MS, offset;
    struct sb_err err;
    SB_WARN("records are missing; looking for a newer epoch that wrote them anew", SB_STR("gap", gap->text));
    do {
        if (sb_tail_locate_superseding(
                stage->reader.stream, &progress->position, stage->reader.offset + 1, &offset, &err) == 0) {
            SB_INFO("a newer epoch wrote the missing records anew", SB_NUM("offset", offset));
            return offset;
        }
        poll(NULL, 0, SUPERSEDED_POLL_MS);
    } while (sb_clock_mono_ms() < deadline_ms && !stop_pending());
    return -1;
}

struct again { /* go on at once */
    bool wanted;
    int64_t offset; /* from there; -1: from the progress */
};

static int run_once(
    const struct sb_config *config, enum sb_direction direction, struct again *again, struct sb_err *err)
{
    struct stage stage = {.config = config, .direction = direction, .start_offset = again->offset};
    bool stop = false;
    *again = (struct again){.offset = -1};
    int rc = connect_target(&stage, err);
    if (rc == 0)
        rc = settle_copy(&stage, &stop, err);
    if (rc != 0 || stop) {
        sb_conn_close(stage.conn);
        return rc;
    }
    rc = -1;
    if (connect_all(&stage, err) == 0 && watch_all(&stage, err) == 0 && follow_pause(&stage, err) == 0 &&
        sb_lane_follow_repair(stage.lane, err) == 0) {
        if (!stage.paused)
            sb_report_state(SB_STATE_RUNNING, NULL);
        stage.reading = true;
        rc = sb_loop_run(stage.loop, err);
        if (rc == 0 && !stage.paused && !stage.held && !stage.given_back && !sb_lane_is_large(stage.lane))
            rc = sb_lane_flush(stage.lane, err);
    }
    if (rc != 0 && stage.reading && err->code == SB_E_LOG_GAP && !sb_lane_is_large(stage.lane)) {
        struct sb_err ignored; /* what is whole before the hole is proven; if it cannot be written, the gap is
                                  said first */
        if (sb_lane_flush(stage.lane, &ignored) == 0)
            again->offset = find_superseding(&stage, err);
    }
    again->wanted =
        again->offset >= 0 || (rc == 0 && (stage.recopy || stage.held) && sb_loop_stop_signal() == 0);
    sb_loop_free(stage.loop);
    sb_beside_free(stage.side);
    sb_lane_free(stage.lane);
    sb_reader_close(&stage.reader);
    sb_conn_close(stage.conn);
    return rc;
}

int sb_apply_run(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    struct again again = {.offset = -1};
    int rc;
    sb_report_state(SB_STATE_STARTING, "connecting to the target and the stream");
    do
        rc = run_once(config, direction, &again, err);
    while (again.wanted);
    return rc != 0 && err->code == SB_E_LOG_TRUNCATED ? await_capture(err) : rc;
}
