/*
 * A replication session: what the source's walsender sends, and the status we send back. Speaks libpq itself
 * (COPY BOTH); opens its session through pg/conn. Never blocks once it has started.
 *
 * Both ways the bytes are those of PostgreSQL's "Streaming Replication Protocol":
 *
 *     to us:     w  u64 start LSN  u64 end LSN  i64 time  payload        (one pgoutput message)
 *                k  u64 end LSN  i64 time  u8 reply wanted
 *     from us:   r  u64 written  u64 flushed  u64 applied  i64 time  u8 reply wanted
 *
 * All three positions we send are the one the ledger confirms: the server goes by `flushed`, and must never
 * learn of a position that is only received. An answer to a keepalive repeats that position and nothing more.
 *
 * Errors are given the meaning they have here: slot in use SB-SLOT-BUSY; slot gone or its WAL removed
 * SB-SLOT-LOST; publication gone SB-PUBLICATION; a value the server cannot put into text SB-VALUE-TOO-LARGE;
 * connection lost, ended or terminated SB-SOURCE-UNAVAILABLE; bytes that are none of the above SB-PROTOCOL.
 */
#ifndef SB_CAPTURE_WALSENDER_H
#define SB_CAPTURE_WALSENDER_H

#include "core/bytes.h"
#include "pg/conn.h"

struct sb_walsender;

int sb_walsender_open(const struct sb_endpoint *endpoint, const char *purpose,
    struct sb_walsender **ret_sender, struct sb_err *err);
/* Ends the session at once. NULL is fine. */
void sb_walsender_close(struct sb_walsender *sender);

struct sb_walsender_options {
    const char *slot;
    const char *const *publications;
    size_t publication_count; /* at least 1 */
};
/* START_REPLICATION from wherever the slot stands, pgoutput protocol 1, text, messages. Holds the slot. */
int sb_walsender_start(
    struct sb_walsender *sender, const struct sb_walsender_options *options, struct sb_err *err);

int sb_walsender_fd(const struct sb_walsender *sender);
int sb_walsender_backend_pid(const struct sb_walsender *sender);

enum sb_walsender_kind { SB_WALSENDER_DATA, SB_WALSENDER_KEEPALIVE };
struct sb_walsender_frame {
    enum sb_walsender_kind kind;
    uint64_t lsn;           /* DATA: of the WAL this came from; 0 for some */
    uint64_t end_lsn;       /* how far the server has read its WAL */
    bool reply_wanted;      /* KEEPALIVE: answer at once */
    struct sb_view payload; /* DATA: the pgoutput message; valid until the next call */
    size_t bytes;           /* of the whole frame */
};

enum { SB_WALSENDER_EMPTY = 1 };
/* 0 with a frame, SB_WALSENDER_EMPTY if there is none now, or -1. */
int sb_walsender_next(struct sb_walsender *sender, struct sb_walsender_frame *ret_frame, struct sb_err *err);

/* Queue a status. Follow with flush until it is out. */
int sb_walsender_status(
    struct sb_walsender *sender, uint64_t confirmed_lsn, bool reply_wanted, struct sb_err *err);
enum { SB_WALSENDER_PENDING = 1 };
/* 0: all is out; SB_WALSENDER_PENDING: call again when the descriptor is writable; -1. */
int sb_walsender_flush(struct sb_walsender *sender, struct sb_err *err);

#endif
