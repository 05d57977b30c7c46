#include "capture/flow.h"

#include "core/log.h"
#include "pg/snapshot.h"
#include "schemas/signal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct sb_flow {
    struct sb_flow_parts parts;
    struct sb_pgoutput *decoder;
    struct sb_recorder *recorder;
    uint64_t next_xid;
    bool own;     /* the transaction came from the other side */
    uint64_t xid; /* of the transaction */
    struct sb_flow_echo echo;
    struct sb_pgoutput_event event; /* the one not finished, while the stream is busy */
    uint64_t event_lsn;
    uint64_t waiting_ticket; /* of the commit whose time is stored_commit_us's next value; 0: none */
    int64_t waiting_us;
    struct sb_flow_counts counts;
};

int sb_flow_new(const struct sb_flow_parts *parts, struct sb_flow **ret_flow, struct sb_err *err)
{
    struct sb_flow *flow = calloc(1, sizeof *flow);
    if (flow == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the data path");
    flow->parts = *parts;
    flow->decoder = sb_pgoutput_new(&parts->decoder);
    if (flow->decoder == NULL) {
        sb_flow_free(flow);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the decoder");
    }
    if (sb_recorder_new(parts->stream, parts->codec, &flow->recorder, err) != 0) {
        sb_flow_free(flow);
        return -1;
    }
    *ret_flow = flow;
    return 0;
}

static void forget_relation(struct sb_flow *flow, struct sb_relation *rel)
{
    if (rel != NULL && rel->codec != NULL)
        sb_codec_forget(flow->parts.codec, rel);
}

void sb_flow_free(struct sb_flow *flow)
{
    if (flow == NULL)
        return;
    size_t pos = 0;
    struct sb_relation *rel;
    while (flow->decoder != NULL && (rel = sb_pgoutput_next_relation(flow->decoder, &pos)) != NULL)
        forget_relation(flow, rel);
    sb_recorder_free(flow->recorder);
    sb_pgoutput_free(flow->decoder);
    free(flow);
}

void sb_flow_next_xid(struct sb_flow *flow, uint64_t next_xid)
{
    flow->next_xid = next_xid;
}

bool sb_flow_is_open(const struct sb_flow *flow)
{
    return sb_recorder_is_open(flow->recorder);
}

int sb_flow_open(struct sb_flow *flow, const struct sb_open *open, int64_t timeout_ms, struct sb_err *err)
{
    return sb_recorder_open(flow->recorder, open, timeout_ms, err);
}

/* -- events ------------------------------------------------------------------------------------------------
 */

static int on_origin(struct sb_flow *flow, struct sb_view name, struct sb_err *err)
{
    bool own = sb_wiring_is_our_origin(flow->parts.migration, name);
    if (own && sb_recorder_count(flow->recorder) > 0)
        return sb_err_set(err, SB_E_PROTOCOL, "a transaction named its origin after its first change");
    flow->own = own;
    return 0;
}

static bool is_echo_of_ours(const struct sb_flow *flow, const struct sb_signal *signal)
{
    enum sb_direction other = flow->parts.direction == SB_FORWARD ? SB_REVERSE : SB_FORWARD;
    return signal->kind == SB_SIGNAL_ECHO && sb_view_eq_str(signal->migration, flow->parts.migration) &&
           sb_view_eq_str(signal->direction, sb_direction_name(other));
}

static void note_echo(struct sb_flow *flow, const struct sb_signal *signal)
{
    flow->echo.echoes++;
    flow->echo.epoch = signal->epoch;
    flow->echo.number = signal->number;
    flow->echo.sent_us = signal->sent_us;
}

/* What the other direction's applier wrote came through the filter: so would its rows, round and round. */
static int fail_loop(const struct sb_flow *flow, const struct sb_signal *signal, struct sb_err *err)
{
    char lsn[SB_LSN_TEXT_BYTES];
    sb_err_set(err, SB_E_LOOP,
        "the echo of %.*s canary %" PRIu64 ".%" PRIu64 " came back in transaction %" PRIu64
        " at %s, which carries no replication origin of ours",
        (int)signal->direction.len, signal->direction.ptr, signal->epoch, signal->number, flow->xid,
        sb_lsn_text(flow->event_lsn, lsn));
    return sb_err_hint(err, "What is written here by us would be sent back. Find out who wrote that "
                            "transaction; until it is known, "
                            "nothing more of this direction is captured.");
}

static int on_message(struct sb_flow *flow, const struct sb_message *msg, struct sb_err *err)
{
    struct sb_signal signal = sb_signal_read(msg);
    if (is_echo_of_ours(flow, &signal)) {
        if (!flow->own)
            return fail_loop(flow, &signal, err);
        note_echo(flow, &signal);
    }
    if (flow->own || signal.kind == SB_SIGNAL_FLUSH)
        return 0;
    return sb_recorder_message(flow->recorder, msg, err);
}

/* While the overlap is being proven: known commits, which the stream holds durably already. */
static int prove_commit(struct sb_flow *flow, const struct sb_commit *commit, struct sb_err *err)
{
    struct sb_digest chain;
    bool known, done;
    if (flow->parts.overlap == NULL)
        return sb_err_set(err, SB_E_INTERNAL, "a transaction was delivered before the stream was opened");
    if (sb_overlap_commit(flow->parts.overlap, commit, &chain, &known, &done, err) != 0)
        return -1;
    sb_ledger_add(flow->parts.ledger, 0, commit->commit_lsn, known ? &chain : NULL);
    return done ? SB_FLOW_PROVEN : 0;
}

static void note_recorded(struct sb_flow *flow, const struct sb_commit *commit, uint64_t ticket)
{
    sb_ledger_add(flow->parts.ledger, ticket, commit->commit_lsn, &commit->chain);
    flow->counts.commits++;
    flow->counts.changes += commit->count;
    flow->counts.last_commit_us = commit->commit_us;
    if (flow->waiting_ticket == 0) {
        flow->waiting_ticket = ticket;
        flow->waiting_us = commit->commit_us;
    }
}

static int on_commit(struct sb_flow *flow, const struct sb_pgoutput_commit *at, struct sb_err *err)
{
    struct sb_commit commit;
    uint64_t ticket;
    if (flow->own) {
        flow->counts.dropped_own++;
        return 0;
    }
    int rc = sb_recorder_commit(flow->recorder, at->end_lsn, &commit, &ticket, err);
    if (rc != 0 || commit.count == 0)
        return rc;
    if (!sb_flow_is_open(flow))
        return prove_commit(flow, &commit, err);
    note_recorded(flow, &commit, ticket);
    return 0;
}

static int handle(struct sb_flow *flow, struct sb_err *err)
{
    const struct sb_pgoutput_event *event = &flow->event;
    switch (event->kind) {
    case SB_PGOUTPUT_BEGIN:
        flow->own = false;
        flow->xid = sb_xid_widen(event->begin.xid, flow->next_xid);
        sb_recorder_begin(flow->recorder, event->begin.commit_lsn, flow->xid, event->begin.commit_us);
        return 0;
    case SB_PGOUTPUT_ORIGIN:
        return on_origin(flow, event->origin.name, err);
    case SB_PGOUTPUT_RELATION:
        forget_relation(flow, event->relation.old);
        return 0;
    case SB_PGOUTPUT_CHANGE:
        if (flow->own)
            return 0;
        return sb_recorder_change(flow->recorder, flow->decoder, &event->change, flow->event_lsn, err);
    case SB_PGOUTPUT_MESSAGE:
        return event->message.transactional ? on_message(flow, &event->message.msg, err) : 0;
    case SB_PGOUTPUT_COMMIT:
        return on_commit(flow, &event->commit, err);
    case SB_PGOUTPUT_ABORT:
    case SB_PGOUTPUT_TYPE:
        return 0;
    }
    return 0;
}

int sb_flow_take(struct sb_flow *flow, struct sb_view message, uint64_t lsn, struct sb_err *err)
{
    if (sb_pgoutput_decode(flow->decoder, message, &flow->event, err) != 0)
        return -1;
    flow->event_lsn = lsn;
    return handle(flow, err);
}

int sb_flow_again(struct sb_flow *flow, struct sb_err *err)
{
    return handle(flow, err);
}

/* -- acknowledgements --------------------------------------------------------------------------------------
 */

int sb_flow_reached(struct sb_flow *flow, uint64_t wal_lsn, struct sb_err *err)
{
    if (sb_flow_is_open(flow) || flow->parts.overlap == NULL)
        return 0;
    return sb_overlap_reached(flow->parts.overlap, wal_lsn, err);
}

void sb_flow_acknowledge(struct sb_flow *flow)
{
    uint64_t durable = sb_stream_durable(flow->parts.stream);
    sb_ledger_durable(flow->parts.ledger, durable);
    if (flow->waiting_ticket != 0 && flow->waiting_ticket <= durable) {
        bool all = sb_flow_all_durable(flow);
        flow->counts.stored_commit_us = all ? flow->counts.last_commit_us : flow->waiting_us;
        flow->waiting_ticket = 0;
    }
}

bool sb_flow_all_durable(const struct sb_flow *flow)
{
    return sb_stream_durable(flow->parts.stream) >= sb_recorder_ticket(flow->recorder);
}

const struct sb_flow_echo *sb_flow_echo(const struct sb_flow *flow)
{
    return &flow->echo;
}

void sb_flow_counts(const struct sb_flow *flow, struct sb_flow_counts *ret_counts)
{
    *ret_counts = flow->counts;
    ret_counts->aborts_ignored = sb_pgoutput_aborts_ignored(flow->decoder);
    ret_counts->sequence = sb_recorder_sequence(flow->recorder);
}
