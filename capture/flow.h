/*
 * The data path of capture: from a pgoutput message to records, and from acknowledgements to the position
 * that may be confirmed. It knows of no socket and no timer.
 *
 * It begins mute. Delivered transactions are compared with an overlap, if there is one to prove; when that is
 * done (SB_FLOW_PROVEN) or there is none, the stage opens the recorder, and from there on they are recorded.
 *
 *  - A transaction with an origin of this migration's (sb_wiring_is_our_origin) is dropped whole: it came
 * from the other side. That this works is proven again and again: the applier that writes here echoes the
 * canaries of its direction (schemas/signal.h), and an echo in a dropped transaction is noted as the proof,
 * an echo in any other one is SB-LOOP.
 *  - A transaction without changes and messages leaves nothing, and is never confirmed: versions below 15
 * send it, later ones do not.
 *  - A non-transactional message has no place in the order and is dropped.
 *  - The stream's 32-bit xids are widened here, once, against the source's next xid.
 */
#ifndef SB_CAPTURE_FLOW_H
#define SB_CAPTURE_FLOW_H

#include "capture/ledger.h"
#include "capture/overlap.h"
#include "capture/pgoutput.h"
#include "capture/recorder.h"
#include "config/wiring.h"

struct sb_flow;

struct sb_flow_parts { /* all of them belong to the caller and outlive the flow */
    struct sb_stream *stream;
    struct sb_codec *codec;
    struct sb_ledger *ledger;
    struct sb_overlap *overlap; /* NULL: nothing to prove */
    const char *migration;
    enum sb_direction direction;
    struct sb_pgoutput_options decoder;
};

int sb_flow_new(const struct sb_flow_parts *parts, struct sb_flow **ret_flow, struct sb_err *err);
void sb_flow_free(struct sb_flow *flow); /* NULL is fine */

/* The source's next xid now (64 bits): once before the first message, then at least every few hundred
 * million. */
void sb_flow_next_xid(struct sb_flow *flow, uint64_t next_xid);

enum {
    SB_FLOW_BUSY = SB_STREAM_BUSY, /* not finished: keep the message, call sb_flow_again when there is room */
    SB_FLOW_PROVEN = 2,            /* taken, and it ended the overlap: open before the next one */
};
/* One message; lsn is that of its frame. 0, SB_FLOW_BUSY, SB_FLOW_PROVEN or -1. */
int sb_flow_take(struct sb_flow *flow, struct sb_view message, uint64_t lsn, struct sb_err *err);
int sb_flow_again(struct sb_flow *flow, struct sb_err *err);

/* Open the recorder; see sb_recorder_open. */
int sb_flow_open(struct sb_flow *flow, const struct sb_open *open, int64_t timeout_ms, struct sb_err *err);
bool sb_flow_is_open(const struct sb_flow *flow);
/* The source has read its WAL up to here and sent what was in it. */
int sb_flow_reached(struct sb_flow *flow, uint64_t wal_lsn, struct sb_err *err);
/* After the stream was serviced: what became durable goes to the ledger. */
void sb_flow_acknowledge(struct sb_flow *flow);
bool sb_flow_all_durable(const struct sb_flow *flow); /* nothing appended is still on its way */

/* The newest canary of the other direction whose echo was dropped here. */
struct sb_flow_echo {
    uint64_t echoes; /* so many were dropped; 0: none, and the rest means nothing */
    uint64_t epoch, number;
    int64_t sent_us; /* as the canary says */
};
const struct sb_flow_echo *sb_flow_echo(const struct sb_flow *flow);

struct sb_flow_counts {
    uint64_t changes;     /* recorded */
    uint64_t commits;     /* recorded */
    uint64_t dropped_own; /* transactions that came from the other side */
    uint64_t aborts_ignored;
    uint64_t sequence;        /* of the newest record */
    int64_t last_commit_us;   /* source time of the newest transaction recorded, 0 if none */
    int64_t stored_commit_us; /* of the newest that is durable */
};
void sb_flow_counts(const struct sb_flow *flow, struct sb_flow_counts *ret_counts);

#endif
