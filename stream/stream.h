/*
 * The retained log: one contract, two stores (embedded: SQLite; kafka: librdkafka), one contract test suite
 * run on both. A store keeps records in one total order and gives each an offset; it knows nothing of
 * transactions. What a record *means* and whether the log is whole is for stream/proof.
 *
 * A handle is opened for writing (capture: one writer) or for reading (apply, CLI; any number). Where the
 * store does not answer, no call on a handle waits longer than SB_STREAM_CALL_MS, so that a stage's loop
 * keeps turning; flush takes its own time-out. Opening, making, checking and reading control entries take up
 * to SB_STREAM_ASK_MS.
 *
 * Appending is asynchronous. Each append has a ticket, counted from 1 in this handle; sb_stream_durable says
 * up to which ticket *everything* is on stable storage, without a hole. Nothing else may be confirmed to
 * anybody. After an append failed with other than SB_STREAM_BUSY the handle is finished: close it, open a new
 * one, read the tail, claim a new epoch. Never blindly again.
 *
 * Reading is sequential from a seek position. Offsets are strictly increasing, not necessarily gapless
 * (Kafka). A seek below the oldest retained offset is SB-LOG-GAP, never a jump.
 *
 * The control table beside the log holds small keyed values (schemas, the newest `open`): last put wins,
 * readable by all. In Kafka it is the compacted topic <migration>.control.
 */
#ifndef SB_STREAM_STREAM_H
#define SB_STREAM_STREAM_H

#include "core/err.h"
#include "schemas/frame.h"

enum { SB_STREAM_CALL_MS = 2000, SB_STREAM_ASK_MS = 10000 };

enum sb_store { SB_STORE_EMBEDDED, SB_STORE_KAFKA };
enum sb_stream_mode { SB_STREAM_READ, SB_STREAM_WRITE };

struct sb_kafka_setting { /* passed through to librdkafka */
    const char *name;
    const char *value;
};

/* All strings belong to the caller and are only read during sb_stream_open. */
struct sb_stream_options {
    enum sb_store store;
    const char *migration;
    const char *direction; /* "forward" or "reverse" */
    /* embedded */
    const char *path;            /* of the SQLite file; one file a direction */
    int64_t retention_max_bytes; /* full: appends say SB_STREAM_BUSY until truncated */
    /* kafka: topics <migration>.<direction> and <migration>.control */
    const struct sb_kafka_setting *kafka;
    size_t kafka_count;
    int64_t queue_max_bytes; /* memory for records not yet acknowledged */
    int64_t watchdog_ms;     /* nothing acknowledged for so long: the handle is finished; 0: a minute */
};

struct sb_record {
    struct sb_frame frame;
    struct sb_view key;  /* Avro-encoded replica identity; empty if none */
    struct sb_view body; /* Confluent header and Avro */
    int64_t offset;      /* given by the store; ignored by append */
    int64_t append_ms;   /* wall clock of the store when it was appended, for people and retention */
};

struct sb_stream_bounds {
    int64_t oldest; /* offset of the oldest record kept; equal to next if empty */
    int64_t next;   /* offset the next append will get */
    int64_t bytes;  /* -1 if the store cannot tell */
};

struct sb_stream;

/* SB-STREAM-LOCKED if another writer has it (embedded; in Kafka epochs decide); SB-NOT-PREPARED,
 * SB-LOG-FOREIGN, SB-LOG-FORMAT, SB-STREAM-CONFIG, SB-STREAM-AUTH, SB-STREAM-UNAVAILABLE. */
int sb_stream_open(const struct sb_stream_options *options, enum sb_stream_mode mode,
    struct sb_stream **ret_stream, struct sb_err *err);
/* Gives up at once: what is not durable is not durable. NULL is fine. */
void sb_stream_close(struct sb_stream *stream);

/* Make the store (file, topics) and remember whose it is; idempotent. With statements != NULL nothing is made
 * and what would be is described there, a line each, as commands or words an operator can use. */
int sb_stream_create(const struct sb_stream_options *options, const struct sb_uuid *stream_uuid,
    struct sb_buf *statements, struct sb_err *err);
/* Delete the store and everything in it; it is fine if there is none. */
int sb_stream_destroy(const struct sb_stream_options *options, struct sb_err *err);
/* A setting of the store that is not as it should be. The texts live as long as the call. */
struct sb_stream_finding {
    bool unsafe;         /* the log cannot be trusted; otherwise it is only unwise */
    const char *what;    /* which thing, how it is, how it must be */
    const char *command; /* what mends it */
};
typedef int sb_stream_finding_fn(void *arg, const struct sb_stream_finding *finding, struct sb_err *err);
/* Look at everything on which the log's safety rests and tell fn (may be NULL) each finding. 0: nothing
 * unsafe; -1 with SB-STREAM-CONFIG naming the first that is, with its command as the hint; -1 with fn's
 * error; or as open. */
int sb_stream_check(
    const struct sb_stream_options *options, sb_stream_finding_fn *fn, void *arg, struct sb_err *err);
/* The uuid given at creation. */
struct sb_uuid sb_stream_uuid(const struct sb_stream *stream);
/* Largest body in bytes that one record may have; larger ones go in parts. */
size_t sb_stream_record_max(const struct sb_stream *stream);

/* -- writing
 * ------------------------------------------------------------------------------------------------- */

enum { SB_STREAM_BUSY = 1 }; /* not taken: queue or store full; call again after service or durable moved */

/* Key and body are copied. 0, SB_STREAM_BUSY, or -1. ret_ticket may be NULL. */
int sb_stream_append(
    struct sb_stream *stream, const struct sb_record *record, uint64_t *ret_ticket, struct sb_err *err);
/* Hand what was appended to stable storage: embedded commits its transaction (fsync), Kafka serves delivery
 * reports. Called once a loop turn and when idle; never waits for the broker. -1: the handle is finished. */
int sb_stream_service(struct sb_stream *stream, struct sb_err *err);
/* Service until everything appended is durable or timeout_ms is over (SB-STREAM-UNAVAILABLE). */
int sb_stream_flush(struct sb_stream *stream, int64_t timeout_ms, struct sb_err *err);
uint64_t sb_stream_durable(const struct sb_stream *stream);
/* Is BUSY for want of room (SB-STREAM-FULL to people), and not of time? */
bool sb_stream_is_full(const struct sb_stream *stream);
/* Offsets below it are not needed by anybody any more; the store deletes those of them that its retention
 * does not keep (embedded: older than keep_ms, or beyond retention_max_bytes; Kafka: the topic's own
 * settings, no-op). */
int sb_stream_release(struct sb_stream *stream, int64_t below_offset, int64_t keep_ms, struct sb_err *err);
int sb_stream_control_put(struct sb_stream *stream, struct sb_view key, struct sb_view value,
    struct sb_err *err); /* durable when it returns */

/* -- reading (any mode)
 * -------------------------------------------------------------------------------------- */

int sb_stream_bounds(struct sb_stream *stream, struct sb_stream_bounds *ret_bounds, struct sb_err *err);
/* The next read gives the first record at or behind offset. Below oldest: SB-LOG-GAP. At next: fine, waits
 * there. Beyond next: SB-LOG-TRUNCATED. */
int sb_stream_seek(struct sb_stream *stream, int64_t offset, struct sb_err *err);
enum { SB_STREAM_END = 1 }; /* nothing more now */
/* 0 with a record whose views are valid until the next call on this handle; SB_STREAM_END; or -1. The frame
 * is decoded and the body checked against its hash: otherwise SB-LOG-CORRUPT, naming the offset. */
int sb_stream_read(struct sb_stream *stream, struct sb_record *ret_record, struct sb_err *err);
/* Read on into bounded memory while the caller has to wait for something else. True: there is more to do at
 * once. Never fails: what is wrong is met again by sb_stream_read. What was read last stays valid. */
bool sb_stream_read_ahead(struct sb_stream *stream);
/* Becomes readable (level-triggered) when there may be something new; -1 if the store has none (poll then).
 * After it was readable, call sb_stream_read until SB_STREAM_END, which re-arms it. END means that nothing is
 * at hand, not that the end was seen: what the store has may still be on its way. */
int sb_stream_fd(const struct sb_stream *stream);
/* Every control entry whose key begins with prefix, once each, in no order. fn returns 0 or -1 with err set.
 */
typedef int sb_stream_control_fn(void *arg, struct sb_view key, struct sb_view value, struct sb_err *err);
int sb_stream_control_each(
    struct sb_stream *stream, struct sb_view prefix, sb_stream_control_fn *fn, void *arg, struct sb_err *err);
/* Tell the ecosystem's lag tools how far a consumer is (Kafka group offset; embedded: nothing). Failing is a
 * warning: it returns -1 and the caller logs it. */
int sb_stream_publish_progress(struct sb_stream *stream, int64_t offset, struct sb_err *err);

#endif
