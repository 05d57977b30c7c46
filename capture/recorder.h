/*
 * The recorder: transactions as records of the stream. It numbers them (epoch, sequence, ordinal), digests
 * them, chains their commits, sends a `schema` record before the first use of a relation, cuts what is too
 * large into parts, and appends.
 *
 * Until sb_recorder_open has written its `open` it is mute: transactions are counted and digested, and
 * nothing is appended. That is how the overlap is proven with the very code that records.
 *
 * A call that gets SB_STREAM_BUSY took nothing that would be taken twice: call it again with the same
 * arguments (whose views must still hold) once the stream has room. Nothing is appended for a transaction
 * without changes and messages.
 */
#ifndef SB_CAPTURE_RECORDER_H
#define SB_CAPTURE_RECORDER_H

#include "capture/pgoutput.h"
#include "schemas/codec.h"
#include "stream/stream.h"

struct sb_recorder;

/* Stream and codec belong to the caller and outlive the recorder. */
int sb_recorder_new(
    struct sb_stream *stream, struct sb_codec *codec, struct sb_recorder **ret_recorder, struct sb_err *err);
void sb_recorder_free(struct sb_recorder *recorder); /* NULL is fine */

/* Write `open` and wait until it is durable, at most timeout_ms; then put it into the control table. From
 * here on the recorder goes on behind open's base. */
int sb_recorder_open(
    struct sb_recorder *recorder, const struct sb_open *open, int64_t timeout_ms, struct sb_err *err);
bool sb_recorder_is_open(const struct sb_recorder *recorder);

void sb_recorder_begin(struct sb_recorder *recorder, uint64_t commit_lsn, uint64_t xid, int64_t commit_us);
/* lsn: of the row's WAL record. decoder: where the relations of chg live. 0, SB_STREAM_BUSY or -1. */
int sb_recorder_change(struct sb_recorder *recorder, const struct sb_pgoutput *decoder,
    const struct sb_change *chg, uint64_t lsn, struct sb_err *err);
int sb_recorder_message(struct sb_recorder *recorder, const struct sb_message *msg, struct sb_err *err);
/* ret_commit says what was recorded: count 0 means nothing. Its chain is set once the recorder is open.
 * ret_ticket: the commit record's; 0 while mute. */
int sb_recorder_commit(struct sb_recorder *recorder, uint64_t end_lsn, struct sb_commit *ret_commit,
    uint64_t *ret_ticket, struct sb_err *err);

/* Changes and messages taken of the transaction so far. */
uint64_t sb_recorder_count(const struct sb_recorder *recorder);
uint64_t sb_recorder_sequence(const struct sb_recorder *recorder); /* of the newest record appended */
uint64_t sb_recorder_ticket(const struct sb_recorder *recorder);   /* of the newest record appended */

#endif
