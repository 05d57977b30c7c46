/*
 * Finding places in the log, over any store: the tail a new capture incarnation goes on from, and the offset
 * of a position, an LSN or a time. All by reading records and trusting frames only; bodies are decoded for
 * `open` and `commit` alone.
 */
#ifndef SB_STREAM_TAIL_H
#define SB_STREAM_TAIL_H

#include "schemas/codec.h"
#include "stream/proof.h"
#include "stream/stream.h"

struct sb_tail {
    bool empty;                 /* no open record was ever written, as far as the store knows */
    uint64_t highest_epoch;     /* seen in the log or in its control table */
    struct sb_uuid incarnation; /* of the highest epoch's `open` */
    struct sb_position
        position;   /* behind the newest commit of the highest epoch, or that epoch's base if it has none */
    int64_t offset; /* of that commit record; -1 if it is not retained */
};

/* The control key under which the writer puts each `open` it has written: value = offset as u64, then the
 * open's body. */
#define SB_CONTROL_OPEN "open"
/* Schemas: key "schema/" and the id in decimal; value = body of the `schema` record. */
#define SB_CONTROL_SCHEMA "schema/"

/*
 * The tail. Begins at the newest `open` known to the control table and reads on to the end (later opens win;
 * records of lower epochs are ignored), in windows from the end backwards, so that the cost does not grow
 * with the log.
 */
int sb_tail_find(
    struct sb_stream *stream, struct sb_codec *codec, struct sb_tail *ret_tail, struct sb_err *err);

/* Offset right behind the commit record of a position (epoch, sequence, commit LSN); hint is where it was
 * once (or -1), verified before it is believed. Not retained: SB-LOG-GAP. All-zero position: the oldest
 * offset, which must be the stream's very first record (else SB-LOG-GAP). */
int sb_tail_locate_position(struct sb_stream *stream, const struct sb_position *position, int64_t hint,
    int64_t *ret_offset, struct sb_err *err);
/* Offset of the first record whose commit LSN is >= lsn / that was appended at or after wall_ms; the next
 * offset if none. */
int sb_tail_locate_lsn(struct sb_stream *stream, uint64_t lsn, int64_t *ret_offset, struct sb_err *err);
int sb_tail_locate_time(struct sb_stream *stream, int64_t wall_ms, int64_t *ret_offset, struct sb_err *err);

#endif
