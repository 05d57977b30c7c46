/*
 * The Kafka store: topic <migration>.<direction>, one partition, the identity frame in the header
 * "switchback".
 *
 * Kafka is taken for at-least-once, possibly duplicated, possibly truncated; no Kafka transactions, no groups
 * for correctness (stream/proof finds what went wrong). What this file answers for: tickets become durable
 * without a hole (acks=all, idempotent, a failed delivery finishes the handle), reading begins exactly where
 * it was told to, and an end below what was read is said.
 *
 * A broker that came back without its newest records takes the next ones as if nothing had happened. Their
 * offsets tell: a report whose offset is not above the one before it finishes the handle, and whoever opens
 * the next one reads the tail. What was appended behind the hole until then is of an epoch that stream/tail
 * does not believe.
 *
 * Nothing acknowledged for a minute finishes the handle too (our watchdog; messages themselves never time
 * out).
 *
 * Reading says END once everything below the newest high watermark it knows of (one comes with every fetch)
 * was handed out, or if the brokers give nothing for SB_STREAM_CALL_MS.
 *
 * Foreign messages (no header of ours) are skipped and counted; one with our header that does not check is
 * SB-LOG-CORRUPT.
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/metrics.h"
#include "schemas/digest.h"
#include "stream/kafka_client.h"
#include "stream/kafka_control.h"
#include "stream/kafka_topics.h"
#include "stream/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WATCHDOG_MS = 60000,
    WINDOW_TICKETS = 1 << 20, /* appended and not yet durable; then append says BUSY */
    KEY_MAX_BYTES =
        16384, /* larger keys do not travel: they are for compaction and tools, the body has them too */
    OVERHEAD_BYTES = 2048, /* of a message beside key and body, generously */
    RECORD_MAX_BYTES = 16 * 1024 * 1024,
    POLL_MS = 50,
};

static const char header_name[] = "switchback";

struct kafka {
    struct sb_stream stream;
    struct sb_stream_options options; /* strings below */
    char migration[64], direction[16];
    struct sb_kafka_setting *settings;
    char log[SB_TOPIC_BYTES], control[SB_TOPIC_BYTES], group[SB_TOPIC_BYTES + 8];
    int wake[2]; /* pipe: librdkafka writes, our loop reads */
    /* writing */
    struct sb_kafka_client producer;
    rd_kafka_topic_t *topic;
    uint64_t ticket;
    unsigned char *delivered;           /* a bit a ticket of the window */
    int64_t delivered_offset;           /* of the newest record acknowledged; -1: none yet */
    int64_t progress_ms;                /* when durable last moved, or began to be waited for */
    uint64_t control_put, control_done; /* control entries sent, and acknowledged */
    struct sb_err failure;              /* code SB_OK: the handle is not finished */
    /* reading */
    struct sb_kafka_client consumer;
    rd_kafka_message_t *current;
    int64_t read_next, high_known;
    struct sb_err damage; /* code SB_OK: none met; nothing is read past it but by a seek */
    uint64_t foreign;
};

static struct kafka *of(struct sb_stream *stream)
{
    return (struct kafka *)stream;
}

/* -- life
 * ------------------------------------------------------------------------------------------------------ */

static void kafka_close(struct sb_stream *stream)
{
    struct kafka *store = of(stream);
    if (store->current != NULL)
        rd_kafka_message_destroy(store->current);
    if (store->topic != NULL)
        rd_kafka_topic_destroy(store->topic);
    sb_kafka_client_close(&store->producer);
    sb_kafka_client_close(&store->consumer);
    for (int i = 0; i < 2; i++)
        if (store->wake[i] >= 0)
            close(store->wake[i]);
    for (size_t i = 0; store->settings != NULL && i < store->options.kafka_count; i++) {
        free((char *)store->settings[i].name);
        free((char *)store->settings[i].value);
    }
    free(store->settings);
    free(store->delivered);
    free(store);
}

/* The options outlive sb_stream_open here: reading the control topic makes a client anew each time. */
static bool keep_options(struct kafka *store, const struct sb_stream_options *options)
{
    snprintf(store->migration, sizeof store->migration, "%s", options->migration);
    snprintf(store->direction, sizeof store->direction, "%s", options->direction);
    store->options = *options;
    store->options.migration = store->migration;
    store->options.direction = store->direction;
    store->options.path = NULL;
    store->settings = calloc(options->kafka_count + 1, sizeof *store->settings);
    store->options.kafka = store->settings;
    for (size_t i = 0; store->settings != NULL && i < options->kafka_count; i++) {
        store->settings[i].name = strdup(options->kafka[i].name);
        store->settings[i].value = strdup(options->kafka[i].value);
        if (store->settings[i].name == NULL || store->settings[i].value == NULL)
            return false;
    }
    return store->settings != NULL;
}

static struct kafka *store_new(const struct sb_stream_options *options, struct sb_err *err)
{
    struct kafka *store = calloc(1, sizeof *store);
    if (store == NULL || (store->wake[0] = store->wake[1] = -1, !keep_options(store, options))) {
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for the stream");
        if (store != NULL)
            kafka_close(&store->stream);
        return NULL;
    }
    store->stream = (struct sb_stream){.store = &sb_kafka_store, .fd = -1};
    sb_topics_names(options, store->log, store->control);
    snprintf(store->group, sizeof store->group, "%s.apply", store->log);
    if (pipe2(store->wake, O_NONBLOCK | O_CLOEXEC) != 0) {
        sb_err_errno(err, SB_E_IO, "could not make a pipe");
        kafka_close(&store->stream);
        return NULL;
    }
    store->stream.fd = store->wake[0];
    return store;
}

/* -- whose it is
 * ----------------------------------------------------------------------------------------------- */

#define META_UUID "meta/uuid"

struct meta {
    bool found;
    struct sb_uuid uuid;
};

static int take_uuid(void *arg, struct sb_view key, struct sb_view value, struct sb_err *err)
{
    struct meta *meta = arg;
    (void)key;
    if (value.len != sizeof meta->uuid.bytes)
        return sb_err_set(err, SB_E_LOG_FORMAT, "the control topic names the stream in an unknown form");
    memcpy(meta->uuid.bytes, value.ptr, sizeof meta->uuid.bytes);
    meta->found = true;
    return 0;
}

static int read_uuid(const struct kafka *store, struct meta *ret_meta, struct sb_err *err)
{
    return sb_kafka_control_each(
        &store->options, store->control, sb_view_str(META_UUID), take_uuid, ret_meta, err);
}

/* -- writing
 * --------------------------------------------------------------------------------------------------- */

static bool was_delivered(const struct kafka *store, uint64_t ticket)
{
    size_t at = ticket % WINDOW_TICKETS;
    return store->delivered[at / 8] & 1u << at % 8;
}

static void mark_delivered(struct kafka *store, uint64_t ticket, bool yes)
{
    size_t at = ticket % WINDOW_TICKETS;
    if (yes)
        store->delivered[at / 8] |= (unsigned char)(1u << at % 8);
    else
        store->delivered[at / 8] &= (unsigned char)~(1u << at % 8);
}

static void finish(struct kafka *store, const struct sb_err *why)
{
    if (store->failure.code == SB_OK)
        store->failure = *why;
}

/* The brokers refused something for good. */
static void finish_refused(struct kafka *store, rd_kafka_resp_err_t code)
{
    struct sb_err why;
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) /* it fitted when the handle was opened */
        sb_err_set(&why, SB_E_STREAM_UNAVAILABLE,
            "topic \"%s\" takes smaller messages than when it was opened: its max.message.bytes was lowered",
            store->log);
    else
        sb_kafka_error(&store->producer, code, "a record was not taken by the brokers", &why);
    finish(store, &why);
}

/* What is acknowledged lies behind everything acknowledged before, or the brokers have lost that. (An offset
 * is unknown where the acknowledgement of a first try was lost.) */
static bool check_offset(struct kafka *store, int64_t offset)
{
    struct sb_err why;
    if (offset < 0)
        return true;
    if (offset <= store->delivered_offset) {
        sb_err_set(&why, SB_E_STREAM_UNAVAILABLE,
            "topic \"%s\" has lost records it had acknowledged: the newest was at offset %" PRId64
            ", the one after it is at %" PRId64,
            store->log, store->delivered_offset, offset);
        finish(store, &why);
        return false;
    }
    store->delivered_offset = offset;
    return true;
}

/*
 * What the opaque of a message says: a log record's ticket or a control entry's number, doubled, with the
 * lowest bit set for the latter.
 */
static void *opaque_of(uint64_t number, bool control)
{
    return (void *)(uintptr_t)(number << 1 | control);
}

/* Reports may come in any order; durable only moves over a run without a hole. */
static void on_delivered(void *owner, const rd_kafka_message_t *message)
{
    struct kafka *store = owner;
    uint64_t number = (uintptr_t)message->_private >> 1;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        finish_refused(store, message->err);
        return;
    }
    if ((uintptr_t)message->_private & 1) {
        store->control_done = number;
        return;
    }
    if (!check_offset(store, message->offset))
        return;
    mark_delivered(store, number, true);
    while (store->failure.code == SB_OK && store->stream.durable < store->ticket &&
           was_delivered(store, store->stream.durable + 1)) {
        mark_delivered(store, ++store->stream.durable, false);
        store->progress_ms = sb_clock_mono_ms();
    }
}

static int check_finished(struct kafka *store, struct sb_err *err)
{
    if (store->failure.code == SB_OK && store->producer.fatal)
        finish_refused(store, RD_KAFKA_RESP_ERR__FATAL);
    if (store->failure.code == SB_OK)
        return 0;
    *err = store->failure;
    return -1;
}

/* Nothing acknowledged for too long: a client that is stuck is made anew, and one whose brokers are gone lets
 * go of its memory. */
static void watch(struct kafka *store)
{
    int64_t now_ms = sb_clock_mono_ms();
    int64_t patience_ms = store->options.watchdog_ms > 0 ? store->options.watchdog_ms : WATCHDOG_MS;
    if (store->stream.durable == store->ticket || now_ms - store->progress_ms < patience_ms)
        return;
    struct sb_err why;
    sb_kafka_error(
        &store->producer, RD_KAFKA_RESP_ERR__TIMED_OUT, "no record was acknowledged for too long", &why);
    finish(store, &why);
}

static int open_producer(struct kafka *store, int64_t max_bytes, struct sb_err *err)
{
    store->delivered = calloc(WINDOW_TICKETS / 8, 1);
    store->delivered_offset = -1;
    if (store->delivered == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the stream");
    if (max_bytes > RECORD_MAX_BYTES + KEY_MAX_BYTES + OVERHEAD_BYTES)
        max_bytes = RECORD_MAX_BYTES + KEY_MAX_BYTES + OVERHEAD_BYTES;
    if (sb_kafka_producer(&store->producer, &store->options, max_bytes, on_delivered, store, err) != 0)
        return -1;
    store->topic = rd_kafka_topic_new(store->producer.rk, store->log, NULL);
    store->stream.record_max = (size_t)max_bytes - KEY_MAX_BYTES - OVERHEAD_BYTES - SB_FRAME_BYTES;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(store->producer.rk);
    rd_kafka_queue_io_event_enable(queue, store->wake[1], "d", 1);
    rd_kafka_queue_destroy(queue);
    return 0;
}

static int kafka_append(
    struct sb_stream *stream, const struct sb_record *record, uint64_t *ret_ticket, struct sb_err *err)
{
    struct kafka *store = of(stream);
    unsigned char frame[SB_FRAME_BYTES];
    size_t key_len = record->key.len > KEY_MAX_BYTES ? 0 : record->key.len;
    if (check_finished(store, err) != 0)
        return -1;
    if (record->body.len > stream->record_max)
        return sb_err_set(err, SB_E_RECORD_TOO_LARGE, "a record of %zu bytes is larger than %zu",
            record->body.len, stream->record_max);
    if (store->ticket - stream->durable >= WINDOW_TICKETS - 1)
        return SB_STREAM_BUSY;
    sb_frame_encode(&record->frame, frame);
    rd_kafka_resp_err_t code = rd_kafka_producev(store->producer.rk, RD_KAFKA_V_RKT(store->topic),
        RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY(key_len == 0 ? NULL : record->key.ptr, key_len),
        RD_KAFKA_V_VALUE((void *)record->body.ptr, record->body.len),
        RD_KAFKA_V_HEADER(header_name, frame, sizeof frame), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_OPAQUE(opaque_of(store->ticket + 1, false)), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return SB_STREAM_BUSY;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        finish_refused(store, code);
        return check_finished(store, err);
    }
    if (stream->durable == store->ticket)
        store->progress_ms = sb_clock_mono_ms();
    store->ticket++;
    if (ret_ticket != NULL)
        *ret_ticket = store->ticket;
    return 0;
}

static void drain_wake(const struct kafka *store)
{
    char bytes[256];
    while (read(store->wake[0], bytes, sizeof bytes) > 0)
        ;
}

static int kafka_service(struct sb_stream *stream, struct sb_err *err)
{
    struct kafka *store = of(stream);
    drain_wake(store);
    rd_kafka_poll(store->producer.rk, 0);
    watch(store);
    return check_finished(store, err);
}

static int kafka_flush(struct sb_stream *stream, int64_t timeout_ms, struct sb_err *err)
{
    struct kafka *store = of(stream);
    int64_t deadline_ms = sb_clock_mono_ms() + timeout_ms;
    while (stream->durable < store->ticket) {
        rd_kafka_poll(store->producer.rk, POLL_MS);
        if (check_finished(store, err) != 0)
            return -1;
        if (stream->durable < store->ticket && sb_clock_mono_ms() >= deadline_ms)
            return sb_kafka_error(&store->producer, RD_KAFKA_RESP_ERR__TIMED_OUT,
                "the brokers did not acknowledge in time", err);
    }
    return 0;
}

static int kafka_release(struct sb_stream *stream, int64_t below_offset, int64_t keep_ms, struct sb_err *err)
{
    (void)stream;
    (void)below_offset;
    (void)keep_ms;
    (void)err;
    return 0; /* the topic's own retention */
}

static rd_kafka_resp_err_t send_control(
    struct kafka *store, const char *key, size_t key_len, struct sb_view value)
{
    return rd_kafka_producev(store->producer.rk, RD_KAFKA_V_TOPIC(store->control), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_KEY(key, key_len), RD_KAFKA_V_VALUE((void *)value.ptr, value.len),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(opaque_of(store->control_put + 1, true)),
        RD_KAFKA_V_END);
}

/* Waits for this entry's own report: a backlog of records is no reason to fail. */
static int put_control(
    struct kafka *store, const char *key, size_t key_len, struct sb_view value, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + SB_STREAM_CALL_MS;
    if (check_finished(store, err) != 0)
        return -1;
    rd_kafka_resp_err_t code;
    while ((code = send_control(store, key, key_len, value)) == RD_KAFKA_RESP_ERR__QUEUE_FULL &&
           sb_clock_mono_ms() < deadline_ms) /* of records, which make room */
        rd_kafka_poll(store->producer.rk, POLL_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return sb_kafka_error(&store->producer, code, "could not write to the control topic", err);
    store->control_put++;
    while (store->control_done < store->control_put && store->failure.code == SB_OK) {
        rd_kafka_poll(store->producer.rk, POLL_MS);
        if (store->control_done < store->control_put && sb_clock_mono_ms() >= deadline_ms)
            return sb_kafka_error(&store->producer, RD_KAFKA_RESP_ERR__TIMED_OUT,
                "the brokers did not take a control entry in time", err);
    }
    return check_finished(store, err);
}

static int kafka_control_put(
    struct sb_stream *stream, struct sb_view key, struct sb_view value, struct sb_err *err)
{
    struct kafka *store = of(stream);
    char full[512];
    int len = snprintf(full, sizeof full, "%s/%.*s", store->direction, (int)key.len, key.ptr);
    if (len < 0 || (size_t)len >= sizeof full)
        return sb_err_set(err, SB_E_LIMIT, "a control key of %zu bytes is too long", key.len);
    return put_control(store, full, (size_t)len, value, err);
}

/* -- reading
 * --------------------------------------------------------------------------------------------------- */

static int open_consumer(struct kafka *store, struct sb_err *err)
{
    if (store->consumer.rk != NULL)
        return 0;
    if (sb_kafka_consumer(&store->consumer, &store->options, store->group, err) != 0)
        return -1;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(store->consumer.rk);
    rd_kafka_queue_io_event_enable(queue, store->wake[1], "r", 1);
    rd_kafka_queue_destroy(queue);
    return 0;
}

static int kafka_bounds(struct sb_stream *stream, struct sb_stream_bounds *ret_bounds, struct sb_err *err)
{
    struct kafka *store = of(stream);
    const struct sb_kafka_client *client = store->producer.rk != NULL ? &store->producer : &store->consumer;
    struct sb_stream_bounds bounds = {.bytes = -1};
    if (sb_kafka_ends(client, store->log, SB_STREAM_CALL_MS, &bounds.oldest, &bounds.next, err) != 0)
        return -1;
    *ret_bounds = bounds;
    return 0;
}

/* Is offset one that reading may begin at? */
static int check_within(
    const struct kafka *store, int64_t offset, const struct sb_stream_bounds *bounds, struct sb_err *err)
{
    if (offset < bounds->oldest)
        return sb_err_set(err, SB_E_LOG_GAP,
            "topic \"%s\": offset %" PRId64 " is not retained any more: the oldest is %" PRId64, store->log,
            offset, bounds->oldest);
    if (offset > bounds->next)
        return sb_err_set(err, SB_E_LOG_TRUNCATED,
            "topic \"%s\": offset %" PRId64 " is beyond the stream's end at %" PRId64, store->log, offset,
            bounds->next);
    return 0;
}

static int kafka_seek(struct sb_stream *stream, int64_t offset, struct sb_err *err)
{
    struct kafka *store = of(stream);
    struct sb_stream_bounds bounds;
    if (open_consumer(store, err) != 0 || kafka_bounds(stream, &bounds, err) != 0)
        return -1;
    if (check_within(store, offset, &bounds, err) != 0)
        return -1;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, store->log, 0)->offset = offset;
    rd_kafka_resp_err_t code = rd_kafka_assign(store->consumer.rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return sb_kafka_error(&store->consumer, code, "could not go to an offset", err);
    store->read_next = offset;
    store->high_known = bounds.next;
    store->damage.code = SB_OK;
    return 0;
}

/* Take our header apart: 0 a record, 1 a stranger's message, -1 damaged. */
static int unpack(
    struct kafka *store, rd_kafka_message_t *message, struct sb_record *ret_record, struct sb_err *err)
{
    rd_kafka_headers_t *headers;
    const void *frame;
    size_t frame_len;
    int64_t at_ms;
    rd_kafka_timestamp_type_t type;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, header_name, &frame, &frame_len) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        store->foreign++;
        if ((store->foreign & (store->foreign - 1)) ==
            0) /* the first, second, fourth ...: a flood is few lines */
            SB_WARN("messages that are not ours lie in the topic, refused", SB_STR("topic", store->log),
                SB_NUM("offset", message->offset), SB_NUM("so_far", store->foreign));
        sb_metric_add(SB_M_STREAM_FOREIGN, 1);
        return 1;
    }
    at_ms = rd_kafka_message_timestamp(message, &type);
    struct sb_record record = {.key = sb_view(message->key, message->key_len),
        .body = sb_view(message->payload, message->len),
        .offset = message->offset,
        .append_ms = at_ms};
    if (sb_frame_decode(sb_view(frame, frame_len), &record.frame, err) != 0 ||
        sb_frame_check_body(&record.frame, record.body, err) != 0)
        return sb_err_add(err, "topic \"%s\", offset %" PRId64, store->log, message->offset);
    *ret_record = record;
    return 0;
}

/* Everything below the newest watermark we know of was handed out. */
static bool at_end(struct kafka *store)
{
    int64_t low, high;
    if (rd_kafka_get_watermark_offsets(store->consumer.rk, store->log, 0, &low, &high) ==
            RD_KAFKA_RESP_ERR_NO_ERROR &&
        high > store->high_known)
        store->high_known = high;
    return store->read_next >= store->high_known;
}

/* The next event, waiting up to wait_ms. Wake-ups are taken back first, so that what comes later wakes us
 * again. */
static rd_kafka_message_t *poll_once(struct kafka *store, int wait_ms)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(store->consumer.rk, 0);
    if (message != NULL)
        return message;
    drain_wake(store);
    return rd_kafka_consumer_poll(store->consumer.rk, wait_ms);
}

/* The brokers refused an offset. Ours: passed by retention, or they lost their end. Another, beyond the end:
 * a damaged batch told the client where to go on, and the records from ours on cannot be read. */
static int lost(struct kafka *store, int64_t refused, struct sb_err *err)
{
    struct sb_stream_bounds bounds;
    if (kafka_bounds(&store->stream, &bounds, err) != 0 ||
        check_within(store, store->read_next, &bounds, err) != 0)
        return -1;
    if (refused != store->read_next && refused > bounds.next)
        return sb_err_set(err, SB_E_LOG_CORRUPT,
            "topic \"%s\", offset %" PRId64 ": a damaged batch of records, said to end at offset %" PRId64,
            store->log, store->read_next, refused);
    return sb_err_set(err, SB_E_STREAM_UNAVAILABLE,
        "topic \"%s\": the brokers refused offset %" PRId64 " although they have it", store->log,
        store->read_next);
}

/* Nothing is there between read_next and the end the brokers name: markers of others' transactions. */
static int reach_end(struct kafka *store, int64_t end, struct sb_err *err)
{
    if (end < store->read_next)
        return sb_err_set(err, SB_E_LOG_TRUNCATED,
            "topic \"%s\" ends at offset %" PRId64 ", but %" PRId64 " was read before", store->log, end,
            store->read_next - 1);
    store->read_next = end;
    if (store->high_known > end)
        store->high_known = end;
    return 0;
}

/* An event that is no record: 0 to go on, or -1. */
static int judge_event(struct kafka *store, rd_kafka_resp_err_t code, int64_t offset, struct sb_err *err)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        return reach_end(store, offset, err);
    case RD_KAFKA_RESP_ERR__TRANSPORT: /* it reconnects; the deadline says when that takes too long */
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
        return 0;
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        return lost(store, offset, err);
    default:
        sb_kafka_error(NULL, code, "could not read the stream", err);
        return sb_err_add(err, "topic \"%s\", offset %" PRId64, store->log, store->read_next);
    }
}

/* The next message in order, or NULL at the end; waits for a fetch that is under way. */
static int next_message(struct kafka *store, rd_kafka_message_t **ret_message, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + SB_STREAM_CALL_MS;
    *ret_message = NULL;
    for (int wait_ms = 0;; wait_ms = POLL_MS) {
        rd_kafka_message_t *message = poll_once(store, wait_ms);
        if (message == NULL) {
            if (at_end(store) || sb_clock_mono_ms() >= deadline_ms)
                return 0;
            continue;
        }
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            store->consumer.last = RD_KAFKA_RESP_ERR_NO_ERROR;
            *ret_message = message;
            return 0;
        }
        int rc = judge_event(store, message->err, message->offset, err);
        rd_kafka_message_destroy(message);
        if (rc != 0)
            return -1;
    }
}

static int read_record(struct kafka *store, struct sb_record *ret_record, struct sb_err *err)
{
    for (;;) {
        if (store->current != NULL)
            rd_kafka_message_destroy(store->current);
        store->current = NULL;
        if (next_message(store, &store->current, err) != 0)
            return -1;
        if (store->current == NULL)
            return SB_STREAM_END;
        if (store->current->offset < store->read_next)
            continue; /* fetched before a seek */
        store->read_next = store->current->offset + 1;
        int rc = unpack(store, store->current, ret_record, err);
        if (rc <= 0)
            return rc;
    }
}

/* librdkafka steps over what it could not read; whoever calls again must not. */
static int kafka_read(struct sb_stream *stream, struct sb_record *ret_record, struct sb_err *err)
{
    struct kafka *store = of(stream);
    if (store->damage.code != SB_OK) {
        *err = store->damage;
        return -1;
    }
    int rc = read_record(store, ret_record, err);
    if (rc < 0 && sb_err_class(err) != SB_CLASS_RETRY)
        store->damage = *err;
    return rc;
}

static int kafka_control_each(
    struct sb_stream *stream, struct sb_view prefix, sb_stream_control_fn *fn, void *arg, struct sb_err *err)
{
    struct kafka *store = of(stream);
    return sb_kafka_control_each(&store->options, store->control, prefix, fn, arg, err);
}

static int kafka_publish_progress(struct sb_stream *stream, int64_t offset, struct sb_err *err)
{
    struct kafka *store = of(stream);
    if (open_consumer(store, err) != 0)
        return -1;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, store->log, 0)->offset = offset;
    rd_kafka_resp_err_t code = rd_kafka_commit(store->consumer.rk, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0
                                              : sb_kafka_error(NULL, code, "could not publish progress", err);
}

/* -- open, create, destroy, check -------------------------------------------------------------------------
 */

static int warn_finding(void *arg, const struct sb_stream_finding *finding, struct sb_err *err)
{
    (void)arg, (void)err;
    if (!finding->unsafe) /* the unsafe ones become the error */
        SB_WARN(finding->what, SB_STR("mend", finding->command));
    return 0;
}

static int verify(struct kafka *store, int64_t *ret_max_bytes, struct sb_err *err)
{
    struct sb_kafka_client looker = {0};
    int rc = sb_topics_looker(&store->options, &looker, err);
    if (rc == 0)
        rc = sb_topics_verify(&store->options, &looker, warn_finding, NULL, ret_max_bytes, err);
    sb_kafka_client_close(&looker);
    return rc;
}

static int identify(struct kafka *store, struct sb_err *err)
{
    struct meta meta = {0};
    if (read_uuid(store, &meta, err) != 0)
        return -1;
    store->stream.uuid = meta.uuid;
    if (meta.found)
        return 0;
    return sb_err_set(err, SB_E_LOG_FOREIGN,
        "topic \"%s\" does not say whose stream it is: it was made anew, or not by `switchback prepare`",
        store->control);
}

static int kafka_open(const struct sb_stream_options *options, enum sb_stream_mode mode,
    struct sb_stream **ret_stream, struct sb_err *err)
{
    int64_t max_bytes;
    struct kafka *store = store_new(options, err);
    if (store == NULL)
        return -1;
    if (verify(store, &max_bytes, err) == 0 && identify(store, err) == 0 &&
        (mode == SB_STREAM_WRITE ? open_producer(store, max_bytes, err) : open_consumer(store, err)) == 0) {
        *ret_stream = &store->stream;
        return 0;
    }
    kafka_close(&store->stream);
    return -1;
}

/* What the topics are like is verified first: a uuid in a topic that loses it is no identity. */
static int claim(struct kafka *store, const struct sb_uuid *stream_uuid, struct sb_err *err)
{
    struct meta meta = {0};
    int64_t max_bytes;
    if (verify(store, &max_bytes, err) != 0 || read_uuid(store, &meta, err) != 0)
        return -1;
    if (meta.found && !sb_uuid_eq(&meta.uuid, stream_uuid))
        return sb_err_set(
            err, SB_E_LOG_FOREIGN, "topic \"%s\" is there already and belongs to another stream", store->log);
    if (meta.found)
        return 0;
    if (open_producer(store, max_bytes, err) != 0)
        return -1;
    return kafka_control_put(
        &store->stream, sb_view_str(META_UUID), sb_view(stream_uuid->bytes, sizeof stream_uuid->bytes), err);
}

static int kafka_create(const struct sb_stream_options *options, const struct sb_uuid *stream_uuid,
    struct sb_buf *statements, struct sb_err *err)
{
    if (statements != NULL)
        return sb_topics_create(options, statements, err);
    struct kafka *store = store_new(options, err);
    if (store == NULL)
        return -1;
    int rc = sb_topics_create(options, NULL, err);
    if (rc == 0)
        rc = claim(store, stream_uuid, err);
    kafka_close(&store->stream);
    return rc;
}

static int kafka_destroy(const struct sb_stream_options *options, struct sb_err *err)
{
    return sb_topics_destroy(options, err);
}

static int kafka_check(
    const struct sb_stream_options *options, sb_stream_finding_fn *fn, void *arg, struct sb_err *err)
{
    struct sb_kafka_client looker = {0};
    int rc = sb_topics_looker(options, &looker, err);
    if (rc == 0)
        rc = sb_topics_verify(options, &looker, fn, arg, NULL, err);
    sb_kafka_client_close(&looker);
    return rc;
}

const struct sb_store_functions sb_kafka_store = {
    .open = kafka_open,
    .close = kafka_close,
    .create = kafka_create,
    .destroy = kafka_destroy,
    .check = kafka_check,
    .append = kafka_append,
    .service = kafka_service,
    .flush = kafka_flush,
    .release = kafka_release,
    .control_put = kafka_control_put,
    .bounds = kafka_bounds,
    .seek = kafka_seek,
    .read = kafka_read,
    .control_each = kafka_control_each,
    .publish_progress = kafka_publish_progress,
};
