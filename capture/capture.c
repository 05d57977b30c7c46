#include "capture/capture.h"

#include "capture/doubt.h"
#include "capture/flow.h"
#include "capture/guard.h"
#include "capture/holder.h"
#include "capture/opening.h"
#include "capture/retention.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/metrics.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

enum {
    LEDGER_COMMITS = 1 << 16,
    TICK_MS = 100,
    SERVICE_APART_MS = 1,  /* so much is gathered for one write to stable storage ... */
    SERVICE_FLOOD_MS = 20, /* ... and so much when more comes in than anybody waits for commit by commit */
    FLOOD_BYTES_A_MS = 8192,
    SERVICE_WAIT_MS = 10, /* while the store still works on what it was given */
    STALL_SAID_MS = 1000,
    STALL_MS = 20,        /* between two tries while the stream takes nothing */
    BUNCH_FRAMES = 16384, /* between two looks at everything else */
    BUNCH_BYTES = 8 << 20,
    OPEN_MAX_MS = 10000,
    STOP_FLUSH_MS = 5000,
    STOP_STATUS_MS = 1000,
    PING_MS = 2000,
    RELEASE_MS = 10000,
    RELEASE_STALLED_MS = 1000,
    CLAIM_WAIT_MS = 1000,
    HOUR_MS = 3600 * 1000,
};

struct capture {
    const struct sb_config *config;
    enum sb_direction direction;
    struct sb_opening *op;
    struct sb_ledger *ledger;
    struct sb_flow *flow;
    struct sb_loop *loop;
    struct sb_guard guard;
    struct sb_watch *socket;
    struct sb_watch *service_timer;
    struct sb_watch *stall_timer;
    bool stalled;    /* the stream is full: the message at hand waits, the socket is not read */
    bool more;       /* libpq may hold more messages although the socket is quiet */
    bool want_write; /* a status is not out yet */
    int64_t stalled_since_ms;
    bool stall_said;
    bool too_large_said;
    int64_t oldest_offset;  /* in the stream, when last looked at */
    uint64_t recorded_lsn;  /* what the control table says was durable once */
    uint64_t confirmed_lsn; /* last sent */
    int64_t status_max_ms;  /* a status is sent at least so often */
    int64_t last_status_ms;
    int64_t last_service_ms;
    int64_t last_commit_ms; /* when a commit was recorded, or a heartbeat asked for */
    uint64_t last_commits;
    int64_t next_canary_ms;
    uint64_t canaries; /* sent so far */
    uint64_t echoes;   /* of the other direction's, seen so far */
    int64_t next_ping_ms;
    int64_t next_release_ms;
    struct sb_doubt doubt;
    struct sb_progress progress; /* newest known to be flushed; commit_lsn 0: none */
    struct sb_flow_counts published;
    int64_t bytes;
};

/* -- ending ------------------------------------------------------------------------------------------------
 */

/* Errors of the source may have a deeper reason: a newer capture has taken the slot from us. */
static void stop_failed(struct capture *cap, struct sb_err *err)
{
    struct sb_err deeper;
    bool ask =
        err->code == SB_E_SOURCE_UNAVAILABLE || err->code == SB_E_SLOT_BUSY || err->code == SB_E_SLOT_LOST;
    sb_walsender_close(cap->op->sender);
    cap->op->sender = NULL;
    if (ask && sb_conn_ping(&cap->op->source_endpoint) == SB_PING_UP &&
        sb_source_check_claim(
            cap->op->source, cap->op->open.epoch, &cap->op->open.incarnation, CLAIM_WAIT_MS, &deeper) != 0)
        *err = deeper;
    sb_loop_stop(cap->loop, err);
}

/* -- status ------------------------------------------------------------------------------------------------
 */

/* Whether the stream ever held a position must be answerable after it was lost: written down before anything
 * beyond the last such mark is confirmed. */
static int write_recorded(struct capture *cap, uint64_t lsn, struct sb_err *err)
{
    struct sb_buf value;
    if (lsn <= cap->recorded_lsn)
        return 0;
    uint64_t stored = sb_ledger_stored(cap->ledger);
    uint64_t mark = stored > lsn ? stored : lsn;
    sb_buf_init(&value, sizeof mark);
    sb_buf_put_u64(&value, mark);
    int rc = value.failed ? sb_err_set(err, SB_E_NO_MEMORY, "no memory for a control entry")
                          : sb_stream_control_put(
                                cap->op->stream, sb_view_str(SB_CONTROL_RECORDED), sb_buf_view(&value), err);
    sb_buf_clear(&value);
    if (rc == 0)
        cap->recorded_lsn = mark;
    return rc;
}

static int watch_socket(struct capture *cap, struct sb_err *err)
{
    unsigned events = (cap->stalled ? 0u : SB_LOOP_READ) | (cap->want_write ? SB_LOOP_WRITE : 0u);
    return sb_loop_file_events(cap->loop, cap->socket, events, err);
}

static int flush_status(struct capture *cap, struct sb_err *err)
{
    int rc = sb_walsender_flush(cap->op->sender, err);
    if (rc < 0)
        return -1;
    bool want_write = rc == SB_WALSENDER_PENDING;
    if (want_write == cap->want_write)
        return 0;
    cap->want_write = want_write;
    return watch_socket(cap, err);
}

/* Until the overlap is proven nothing moves: what is confirmed stays what it was. */
static uint64_t confirmable(const struct capture *cap)
{
    return sb_flow_is_open(cap->flow) ? sb_ledger_confirm(cap->ledger) : cap->op->slot.confirmed_lsn;
}

static int send_status(struct capture *cap, struct sb_err *err)
{
    uint64_t confirmed = confirmable(cap);
    if (write_recorded(cap, confirmed, err) != 0) {
        if (err->code != SB_E_STREAM_UNAVAILABLE)
            return -1;
        confirmed =
            cap->confirmed_lsn; /* the source still hears that we live; the store's watchdog judges it */
    }
    SB_FAULT("capture-before-feedback");
    if (sb_walsender_status(cap->op->sender, confirmed, false, err) != 0 || flush_status(cap, err) != 0)
        return -1;
    SB_FAULT("capture-after-feedback");
    cap->confirmed_lsn = confirmed;
    cap->last_status_ms = sb_clock_mono_ms();
    sb_metric_set(SB_M_CAPTURE_CONFIRMED_LSN, (int64_t)confirmed);
    return 0;
}

static int status_if_due(struct capture *cap, int64_t now_ms, struct sb_err *err)
{
    int64_t since_ms = now_ms - cap->last_status_ms;
    bool moved = confirmable(cap) > cap->confirmed_lsn;
    if (since_ms < cap->status_max_ms && !(moved && since_ms >= cap->config->capture.feedback_interval_ms))
        return 0;
    return send_status(cap, err);
}

/* -- the stream --------------------------------------------------------------------------------------------
 */

static void publish(struct capture *cap)
{
    struct sb_flow_counts now;
    sb_flow_counts(cap->flow, &now);
    const struct sb_flow_counts *then = &cap->published;
    sb_metric_add(SB_M_CAPTURE_CHANGES, (int64_t)(now.changes - then->changes));
    sb_metric_add(SB_M_CAPTURE_COMMITS, (int64_t)(now.commits - then->commits));
    sb_metric_add(SB_M_CAPTURE_DROPPED_OWN, (int64_t)(now.dropped_own - then->dropped_own));
    sb_metric_add(SB_M_CAPTURE_ABORTS_IGNORED, (int64_t)(now.aborts_ignored - then->aborts_ignored));
    sb_metric_add(SB_M_CAPTURE_BYTES, cap->bytes);
    sb_metric_set(SB_M_CAPTURE_STORED_LSN, (int64_t)sb_ledger_stored(cap->ledger));
    sb_metric_set(SB_M_STREAM_SEQUENCE, (int64_t)now.sequence);
    if (now.stored_commit_us != 0)
        sb_metric_set(SB_M_CAPTURE_STORED_TIME_US, now.stored_commit_us);
    cap->bytes = 0;
    cap->published = now;
}

static int service(struct capture *cap, struct sb_err *err)
{
    if (sb_stream_service(cap->op->stream, err) != 0)
        return -1;
    cap->last_service_ms = sb_clock_mono_ms();
    sb_flow_acknowledge(cap->flow);
    if (!sb_flow_all_durable(cap->flow))
        sb_loop_timer_set(cap->loop, cap->service_timer, SERVICE_WAIT_MS, 0);
    publish(cap);
    return 0;
}

/* At once when there was nothing to do lately, gathered when there is a lot. */
static int service_soon(struct capture *cap, struct sb_err *err)
{
    if (sb_flow_all_durable(cap->flow))
        return 0;
    int64_t since_ms = sb_clock_mono_ms() - cap->last_service_ms;
    int64_t apart_ms = cap->bytes > since_ms * FLOOD_BYTES_A_MS ? SERVICE_FLOOD_MS : SERVICE_APART_MS;
    if (since_ms >= apart_ms)
        return service(cap, err);
    sb_loop_timer_set(cap->loop, cap->service_timer, apart_ms - since_ms, 0);
    return 0;
}

static int open_epoch(struct capture *cap, struct sb_err *err)
{
    struct sb_open *open = &cap->op->open;
    open->opened_us = sb_clock_wall_us();
    if (sb_flow_open(cap->flow, open, OPEN_MAX_MS, err) != 0)
        return -1;
    sb_metric_set(SB_M_STREAM_EPOCH, (int64_t)open->epoch);
    cap->last_commit_ms = sb_clock_mono_ms();
    sb_report_state(SB_STATE_RUNNING, NULL);
    SB_INFO("capture follows", SB_NUM("epoch", open->epoch), SB_LSN("base", open->base_commit_lsn),
        SB_NUM(
            "overlap_commits", cap->op->overlap == NULL ? 0 : (int64_t)sb_overlap_compared(cap->op->overlap)),
        SB_LSN("hole_from", open->hole_from_lsn));
    return service(cap, err);
}

/* -- backpressure ------------------------------------------------------------------------------------------
 */

static int stall(struct capture *cap, struct sb_err *err)
{
    if (cap->stalled)
        return 0;
    sb_loop_timer_set(cap->loop, cap->stall_timer, 1, STALL_MS); /* often it takes no more than a service */
    cap->stalled = true;
    cap->stalled_since_ms = sb_clock_mono_ms();
    cap->next_release_ms = 0;
    return watch_socket(cap, err);
}

static int unstall(struct capture *cap, struct sb_err *err)
{
    sb_loop_timer_set(cap->loop, cap->stall_timer, HOUR_MS, 0);
    cap->stalled = false;
    cap->more = true;
    if (cap->stall_said)
        SB_INFO("the stream has room again");
    cap->stall_said = false;
    cap->too_large_said = false;
    sb_report_state(SB_STATE_RUNNING, NULL);
    return watch_socket(cap, err);
}

/* -- frames ------------------------------------------------------------------------------------------------
 */

/* What became of a message. */
static int after_message(struct capture *cap, int rc, struct sb_err *err)
{
    if (rc == SB_FLOW_BUSY)
        return stall(cap, err);
    return rc == SB_FLOW_PROVEN ? open_epoch(cap, err) : rc;
}

static int take_frame(struct capture *cap, const struct sb_walsender_frame *frame, struct sb_err *err)
{
    cap->bytes += (int64_t)frame->bytes;
    if (frame->kind == SB_WALSENDER_DATA) {
        SB_FAULT("capture-after-read");
        return after_message(cap, sb_flow_take(cap->flow, frame->payload, frame->lsn, err), err);
    }
    sb_metric_set(SB_M_CAPTURE_RECEIVED_LSN, (int64_t)frame->end_lsn);
    sb_doubt_shown(&cap->doubt, frame->end_lsn);
    if (sb_flow_reached(cap->flow, frame->end_lsn, err) != 0)
        return -1;
    return frame->reply_wanted ? send_status(cap, err) : 0;
}

/* The other direction's canary went there, and what its applier wrote here was left out. */
static void note_echo(struct capture *cap)
{
    const struct sb_flow_echo *echo = sb_flow_echo(cap->flow);
    if (echo->echoes == cap->echoes)
        return;
    int64_t now_us = sb_clock_wall_us();
    sb_metric_add(SB_M_CAPTURE_ECHOES, (int64_t)(echo->echoes - cap->echoes));
    sb_metric_set(SB_M_CAPTURE_ECHO_US, now_us > echo->sent_us ? now_us - echo->sent_us : 0);
    sb_metric_set(SB_M_CAPTURE_ECHO_TIME_US, now_us);
    cap->echoes = echo->echoes;
    SB_DEBUG("an echo was dropped", SB_NUM("epoch", echo->epoch), SB_NUM("canary", echo->number));
}

/* Everything the socket has, or a bunch of it. */
static int drain(struct capture *cap, struct sb_err *err)
{
    struct sb_walsender_frame frame;
    uint64_t end_lsn = 0;
    size_t bytes = 0;
    int rc = 0;
    cap->more = true;
    for (int i = 0; i < BUNCH_FRAMES && bytes < BUNCH_BYTES && !cap->stalled; i++) {
        rc = sb_walsender_next(cap->op->sender, &frame, err);
        if (rc == SB_WALSENDER_EMPTY)
            cap->more = false;
        if (rc != 0)
            break;
        bytes += frame.bytes;
        end_lsn = frame.end_lsn;
        if (take_frame(cap, &frame, err) != 0)
            return -1;
    }
    if (rc < 0)
        return -1;
    if (end_lsn != 0)
        sb_metric_set(SB_M_CAPTURE_RECEIVED_LSN, (int64_t)end_lsn);
    note_echo(cap);
    sb_doubt_shown(&cap->doubt, end_lsn);
    return cap->more ? service(cap, err) : service_soon(cap, err);
}

static void on_socket(void *arg, unsigned events)
{
    struct capture *cap = arg;
    struct sb_err err;
    int rc = 0;
    if (events & SB_LOOP_WRITE)
        rc = flush_status(cap, &err);
    if (rc == 0 && cap->stalled && (events & SB_LOOP_READ))
        rc = sb_err_set(&err, SB_E_SOURCE_UNAVAILABLE, "the source hung up while the stream was full");
    else if (rc == 0 && (events & SB_LOOP_READ))
        rc = drain(cap, &err);
    if (rc != 0)
        stop_failed(cap, &err);
}

/* libpq may have read more from the socket than was asked for. */
static void on_turn_end(void *arg)
{
    struct capture *cap = arg;
    struct sb_err err;
    if (!cap->more || cap->stalled)
        return;
    if (drain(cap, &err) != 0)
        stop_failed(cap, &err);
    else if (cap->more)
        sb_loop_again(cap->loop);
}

static void on_service(void *arg)
{
    struct capture *cap = arg;
    struct sb_err err;
    if (service(cap, &err) != 0)
        stop_failed(cap, &err);
}

/* Everything whole is applied and released, and the stream is full all the same: of one transaction that has
 * not ended yet. Nothing but more room will make room. */
static bool is_too_large(const struct capture *cap)
{
    return cap->op->stream_options.store == SB_STORE_EMBEDDED && cap->progress.commit_lsn != 0 &&
           cap->progress.commit_lsn >= sb_ledger_stored(cap->ledger) &&
           cap->oldest_offset >= cap->progress.needed.stream_offset - 1 &&
           cap->progress.needed.commit_lsn == cap->progress.commit_lsn;
}

static void say_full(const char *why, const char *hint)
{
    struct sb_err full;
    sb_err_set(&full, SB_E_STREAM_FULL, "%s", why);
    if (hint != NULL)
        sb_err_hint(&full, "%s", hint);
    sb_report_err(SB_STATE_WAITING, &full);
    sb_log_err(SB_LOG_WARNING, &full, "capture waits, and the source keeps its WAL");
}

static void say_slow(void)
{
    sb_report_state(SB_STATE_WAITING, "the stream takes no more: its store is slow");
    SB_WARN("the stream takes no more; capture waits, and the source keeps its WAL");
}

/* A moment's stall is how a fast source meets a slow store; a second's is worth a word. */
static void say_stalled(struct capture *cap)
{
    if (sb_clock_mono_ms() - cap->stalled_since_ms < STALL_SAID_MS)
        return;
    bool full = sb_stream_is_full(cap->op->stream);
    if (!cap->stall_said && full)
        say_full("the stream takes no more: its store has reached its limit", NULL);
    else if (!cap->stall_said)
        say_slow();
    cap->stall_said = true;
    if (cap->too_large_said || !full || !is_too_large(cap))
        return;
    cap->too_large_said = true;
    say_full("the transaction under way is larger than the stream may get; everything before it is applied",
        "Raise stream.retention_max_bytes and start again; nothing is lost meanwhile.");
}

static void on_stall(void *arg)
{
    struct capture *cap = arg;
    struct sb_err err;
    if (!cap->stalled)
        return;
    int rc = service(cap, &err);
    if (rc == 0)
        rc = sb_flow_again(cap->flow, &err);
    if (rc == SB_FLOW_BUSY) {
        say_stalled(cap);
        return;
    }
    if (rc >= 0)
        rc = unstall(cap, &err);
    if (rc != 0)
        stop_failed(cap, &err);
    else
        sb_loop_again(cap->loop);
}

/* -- the tick ----------------------------------------------------------------------------------------------
 */

static void guard_slot(struct capture *cap, const struct sb_pulse *pulse, int64_t now_ms)
{
    struct sb_guard_facts facts = {.now_ms = now_ms,
        .wal_lsn = pulse->wal_lsn,
        .restart_lsn = pulse->restart_lsn,
        .safe_bytes = pulse->safe_bytes,
        .unreserved = pulse->unreserved};
    enum sb_guard_alarm alarm = sb_guard_feed(&cap->guard, &facts);
    const struct sb_guard *guard = &cap->guard;
    sb_metric_set(SB_M_SOURCE_WAL_LSN, (int64_t)pulse->wal_lsn);
    sb_metric_set(SB_M_SLOT_RETAINED_BYTES, guard->retained_bytes);
    sb_metric_set(SB_M_SLOT_SAFE_BYTES, guard->safe_bytes);
    sb_metric_set(SB_M_SLOT_LOSS_SECONDS, guard->loss_seconds);
    if (alarm == SB_GUARD_CLEARED)
        SB_INFO("the slot is out of danger", SB_NUM("retained_bytes", guard->retained_bytes));
    if (alarm != SB_GUARD_RAISED)
        return;
    struct sb_err risk;
    sb_err_set(&risk, SB_E_SLOT_AT_RISK,
        "slot \"%s\" keeps %" PRId64 " bytes of WAL and may keep %" PRId64 " more%s", cap->op->names.slot,
        guard->retained_bytes, guard->safe_bytes,
        pulse->unreserved ? "; the next checkpoint may remove what it needs" : "");
    sb_log_err(SB_LOG_WARNING, &risk, "capture goes on");
}

/* We confirm the start of a commit that is safe downstream, so a commit that waits for us waits for the one
 * behind it, and for the target. */
static int check_not_waited_for(const struct sb_pulse *pulse, struct sb_err *err)
{
    if (!pulse->waited_for)
        return 0;
    sb_err_set(err, SB_E_SOURCE_CONFIG,
        "synchronous_standby_names of the source takes our replication session for a synchronous standby: "
        "every "
        "commit there would wait for this migration");
    return sb_err_hint(err,
        "Name the standbys in synchronous_standby_names instead of `*`, reload the source, then `switchback "
        "resume`.");
}

/* While rows are copied nothing is applied; waiting for that would keep all WAL of a long copy on the source.
 */
static void choose_ack(struct capture *cap)
{
    bool target = cap->config->capture.ack == SB_ACK_TARGET && !cap->progress.copying;
    sb_ledger_ack(cap->ledger, target ? SB_LEDGER_TARGET : SB_LEDGER_STREAM);
}

static int take_progress(struct capture *cap, const struct sb_progress *progress, struct sb_err *err)
{
    if (!sb_ledger_applied(cap->ledger, progress->commit_lsn, &progress->chain)) {
        char lsn[SB_LSN_TEXT_BYTES];
        return sb_err_set(err, SB_E_SOURCE_REWOUND,
            "the target stands at the commit at %s with another history before it than was captured",
            sb_lsn_text(progress->commit_lsn, lsn));
    }
    cap->progress = *progress;
    choose_ack(cap);
    return 0;
}

static int turn_target(struct capture *cap, int64_t now_ms, struct sb_err *err)
{
    struct sb_progress progress;
    int rc = sb_target_turn(cap->op->target, now_ms, &progress, err);
    if (rc != SB_TARGET_PROGRESS)
        return rc;
    if (progress.epoch > cap->op->open.epoch)
        return sb_err_set(err, SB_E_EPOCH_STALE,
            "the target has applied records of epoch %" PRIu64 ", this capture has %" PRIu64, progress.epoch,
            cap->op->open.epoch);
    return sb_doubt_weigh(&cap->doubt, &progress) == SB_DOUBT_BELIEVED ? take_progress(cap, &progress, err)
                                                                       : 0;
}

/* The source was asked again since: a progress that was ahead of it may be right by now. */
static int turn_doubt(struct capture *cap, uint64_t wal_lsn, struct sb_err *err)
{
    struct sb_progress progress;
    int rc = sb_doubt_pulse(&cap->doubt, wal_lsn, &progress, err);
    return rc == SB_DOUBT_BELIEVED ? take_progress(cap, &progress, err) : rc;
}

static int turn_source(struct capture *cap, int64_t now_ms, struct sb_err *err)
{
    struct sb_pulse pulse;
    int rc = sb_source_turn(cap->op->source, now_ms, &pulse, err);
    if (rc != SB_SOURCE_PULSE)
        return rc;
    if (sb_identity_check_claim(
            cap->op->open.epoch, &cap->op->open.incarnation, pulse.epoch, &pulse.incarnation, err) != 0)
        return -1;
    if (check_not_waited_for(&pulse, err) != 0)
        return -1;
    sb_flow_next_xid(cap->flow, pulse.next_xid);
    guard_slot(cap, &pulse, now_ms);
    return turn_doubt(cap, pulse.wal_lsn, err);
}

static int release_if_due(struct capture *cap, int64_t now_ms, struct sb_err *err)
{
    if (now_ms < cap->next_release_ms)
        return 0;
    bool embedded =
        cap->op->stream_options.store == SB_STORE_EMBEDDED; /* room is made here; brokers make their own */
    cap->next_release_ms = now_ms + (cap->stalled && embedded ? RELEASE_STALLED_MS : RELEASE_MS);
    struct sb_stream_bounds bounds;
    if (embedded && sb_retention_release(cap->op->stream, &cap->progress.needed,
                        cap->config->stream.retention_hours * HOUR_MS, err) != 0)
        return sb_err_add(err, "releasing applied records");
    if (sb_stream_bounds(cap->op->stream, &bounds, err) !=
        0) /* only figures; service says when it is too long */
        return err->code == SB_E_STREAM_UNAVAILABLE ? 0 : -1;
    cap->oldest_offset = bounds.oldest;
    sb_metric_set(SB_M_STREAM_BYTES, bounds.bytes);
    sb_metric_set(SB_M_STREAM_OLDEST_OFFSET, bounds.oldest);
    sb_metric_set(SB_M_STREAM_NEXT_OFFSET, bounds.next);
    return 0;
}

static struct sb_signal signal_of(const struct capture *cap, enum sb_signal_kind kind)
{
    return (struct sb_signal){.kind = kind,
        .migration = sb_view_str(cap->config->migration),
        .direction = sb_view_str(cap->op->direction),
        .epoch = cap->op->open.epoch};
}

/* On an idle or filtered database our own commit is what moves the slot. */
static void beat_if_due(struct capture *cap, int64_t now_ms)
{
    if (cap->published.commits != cap->last_commits) {
        cap->last_commits = cap->published.commits;
        cap->last_commit_ms = now_ms;
    }
    if (!sb_flow_is_open(cap->flow) || cap->stalled ||
        now_ms - cap->last_commit_ms < cap->config->capture.heartbeat_interval_ms)
        return;
    cap->last_commit_ms = now_ms;
    struct sb_signal beat = signal_of(cap, SB_SIGNAL_HEARTBEAT);
    sb_source_signal(cap->op->source, &beat);
}

/* Through the stream to the other side, whose capture drops its echo. */
static void sing_if_due(struct capture *cap, int64_t now_ms)
{
    if (!cap->config->reverse.enabled || !sb_flow_is_open(cap->flow) || cap->stalled ||
        now_ms < cap->next_canary_ms)
        return;
    cap->next_canary_ms = now_ms + cap->config->canary.interval_s * 1000;
    struct sb_signal canary = signal_of(cap, SB_SIGNAL_CANARY);
    canary.number = ++cap->canaries;
    canary.sent_us = sb_clock_wall_us();
    sb_source_signal(cap->op->source, &canary);
    sb_metric_add(SB_M_CAPTURE_CANARIES, 1);
}

/* A session that confirms nothing more would hold up a smart or fast stop without bound. */
static int ping_if_due(struct capture *cap, int64_t now_ms, struct sb_err *err)
{
    if (now_ms < cap->next_ping_ms || sb_source_is_silent(cap->op->source, now_ms))
        return 0;
    cap->next_ping_ms = now_ms + PING_MS;
    if (sb_conn_ping(&cap->op->source_endpoint) == SB_PING_REFUSING)
        return sb_err_set(err, SB_E_SOURCE_UNAVAILABLE,
            "the source is shutting down (or starting up): all sessions with it are closed");
    return 0;
}

static void on_tick(void *arg)
{
    struct capture *cap = arg;
    struct sb_err err;
    int64_t now_ms = sb_clock_mono_ms();
    if (ping_if_due(cap, now_ms, &err) != 0 || turn_source(cap, now_ms, &err) != 0 ||
        turn_target(cap, now_ms, &err) != 0 || status_if_due(cap, now_ms, &err) != 0 ||
        release_if_due(cap, now_ms, &err) != 0) {
        stop_failed(cap, &err);
        return;
    }
    sing_if_due(cap, now_ms);
    beat_if_due(cap, now_ms);
}

/* -- stopping ----------------------------------------------------------------------------------------------
 */

static bool stop_pending(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT));
}

static int send_last_status(struct capture *cap, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + STOP_STATUS_MS;
    if (send_status(cap, err) != 0)
        return -1;
    int rc;
    while ((rc = sb_walsender_flush(cap->op->sender, err)) == SB_WALSENDER_PENDING &&
           sb_clock_mono_ms() < deadline_ms) {
        struct pollfd file = {.fd = sb_walsender_fd(cap->op->sender), .events = POLLOUT};
        poll(&file, 1, TICK_MS);
    }
    return rc < 0 ? -1 : 0;
}

static void on_signal(void *arg, int signo)
{
    struct capture *cap = arg;
    struct sb_err err;
    (void)signo;
    SB_INFO("capture stops: the stream is flushed and the slot told");
    if (sb_stream_flush(cap->op->stream, STOP_FLUSH_MS, &err) != 0) {
        sb_loop_stop(cap->loop, &err);
        return;
    }
    sb_flow_acknowledge(cap->flow);
    publish(cap);
    if (send_last_status(cap, &err) != 0)
        sb_log_err(SB_LOG_WARNING, &err, "stopping without a last status");
    sb_loop_stop(cap->loop, NULL);
}

/* -- running -----------------------------------------------------------------------------------------------
 */

static int make_loop(struct capture *cap, struct sb_err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, 0};
    cap->loop = sb_loop_new(err);
    if (cap->loop == NULL || sb_loop_signals(cap->loop, signals, on_signal, cap, err) != 0)
        return -1;
    cap->socket =
        sb_loop_file(cap->loop, sb_walsender_fd(cap->op->sender), SB_LOOP_READ, on_socket, cap, err);
    cap->service_timer = sb_loop_timer(cap->loop, 0, on_service, cap, err);
    cap->stall_timer = sb_loop_timer(cap->loop, 0, on_stall, cap, err);
    if (cap->socket == NULL || cap->service_timer == NULL || cap->stall_timer == NULL ||
        sb_loop_timer(cap->loop, TICK_MS, on_tick, cap, err) == NULL)
        return -1;
    sb_loop_after_turn(cap->loop, on_turn_end, cap);
    return 0;
}

static int make_flow(struct capture *cap, struct sb_err *err)
{
    struct sb_opening *op = cap->op;
    enum sb_ledger_ack ack = cap->config->capture.ack == SB_ACK_TARGET ? SB_LEDGER_TARGET : SB_LEDGER_STREAM;
    cap->ledger = sb_ledger_new(ack, LEDGER_COMMITS, op->slot.confirmed_lsn);
    if (cap->ledger == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the ledger");
    struct sb_flow_parts parts = {.migration = cap->config->migration,
        .direction = cap->direction,
        .stream = op->stream,
        .codec = op->codec,
        .ledger = cap->ledger,
        .overlap = op->overlap,
        .decoder = {.type_name = sb_source_type_name,
            .type_arg = op->source,
            .any_encoding = op->identity.sql_ascii}};
    if (sb_flow_new(&parts, &cap->flow, err) != 0)
        return -1;
    sb_flow_next_xid(cap->flow, op->identity.next_xid);
    return 0;
}

static int run(struct capture *cap, struct sb_err *err)
{
    struct sb_opening *op = cap->op;
    int64_t timeout_ms = op->identity.wal_sender_timeout_ms;
    cap->recorded_lsn = op->recorded_lsn;
    cap->confirmed_lsn = op->slot.confirmed_lsn;
    cap->last_commit_ms = sb_clock_mono_ms();
    cap->more = true;
    cap->status_max_ms =
        timeout_ms > 0 && timeout_ms / 3 < SB_HOLDER_STATUS_MS ? timeout_ms / 3 : SB_HOLDER_STATUS_MS;
    if (op->progress_known)
        cap->progress = op->progress;
    if (make_flow(cap, err) != 0 || make_loop(cap, err) != 0)
        return -1;
    choose_ack(cap);
    if (op->overlap == NULL && open_epoch(cap, err) != 0)
        return -1;
    return sb_loop_run(cap->loop, err);
}

int sb_capture_run(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    struct sb_opening *op = malloc(sizeof *op);
    if (op == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the capture stage");
    if (sb_opening_run(op, config, direction, stop_pending, err) != 0) {
        free(op);
        return -1;
    }
    struct capture cap = {.config = config, .direction = direction, .op = op};
    int rc = run(&cap, err);
    sb_loop_free(cap.loop);
    sb_walsender_close(op->sender);
    op->sender = NULL;
    sb_flow_free(cap.flow);
    sb_ledger_free(cap.ledger);
    sb_opening_clear(op);
    free(op);
    return rc;
}
