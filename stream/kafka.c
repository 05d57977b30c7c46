/*
 * The Kafka store: topic <migration>.<direction>, one partition, the identity frame in the header
 * "switchback".
 *
 * Kafka is taken for at-least-once, possibly duplicated, possibly truncated; no Kafka transactions, no groups
 * for correctness (stream/proof finds what went wrong). What this file answers for: tickets become durable
 * without a hole (acks=all, idempotent, a failed delivery finishes the handle), reading begins exactly where
 * it was told to, and the end is an answer
 * ("nothing more now"), never a guess.
 *
 * The end: the consumer's own view of the high watermark comes with every fetch. Reading says END once
 * everything below the newest watermark it knows of was handed out and nothing is queued.
 *
 * Foreign messages (no header of ours) are skipped and counted; one with our header that does not check is
 * SB-LOG-CORRUPT.
 */
#include "core/clock.h"
#include "core/log.h"
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
    OPEN_MS = 10000,
    WINDOW_TICKETS = 1 << 20, /* appended and not yet durable; then append says BUSY */
    KEY_MAX_BYTES =
        16384, /* larger keys do not travel: they are for compaction and tools, the body has them too */
    OVERHEAD_BYTES = 2048, /* of a message beside key and body, generously */
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
    unsigned char *delivered; /* a bit a ticket of the window */
    bool finished;
    rd_kafka_resp_err_t delivery_error;
    /* reading */
    struct sb_kafka_client consumer;
    rd_kafka_message_t *current;
    int64_t read_next, high_known;
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

/* Reports may come in any order; durable only moves over a run without a hole. */
static void on_delivered(void *owner, const rd_kafka_message_t *message)
{
    struct kafka *store = owner;
    uint64_t ticket = (uint64_t)(uintptr_t)message->_private;
    if (ticket == 0) /* a control entry */
        return;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        store->finished = true;
        store->delivery_error = message->err;
        return;
    }
    mark_delivered(store, ticket, true);
    while (!store->finished && store->stream.durable < store->ticket &&
           was_delivered(store, store->stream.durable + 1))
        mark_delivered(store, ++store->stream.durable, false);
}

static int check_finished(const struct kafka *store, struct sb_err *err)
{
    if (!store->finished)
        return 0;
    return sb_kafka_error(
        &store->producer, store->delivery_error, "a record was not taken by the brokers", err);
}

static int open_producer(struct kafka *store, struct sb_err *err)
{
    int64_t max_bytes;
    store->delivered = calloc(WINDOW_TICKETS / 8, 1);
    if (store->delivered == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the stream");
    if (sb_kafka_producer(&store->producer, &store->options, on_delivered, store, err) != 0 ||
        sb_topics_verify(&store->options, store->producer.rk, &max_bytes, err) != 0)
        return -1;
    /* The client refuses by its own limit before the broker does, so both must allow the largest record. */
    sb_kafka_client_close(&store->producer);
    char text[24];
    struct sb_kafka_setting *settings = calloc(store->options.kafka_count + 1, sizeof *settings);
    if (settings == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the stream");
    snprintf(text, sizeof text, "%" PRId64, max_bytes);
    settings[0] =
        (struct sb_kafka_setting){"message.max.bytes", text}; /* a user's own comes after it and wins */
    memcpy(settings + 1, store->options.kafka, store->options.kafka_count * sizeof *settings);
    struct sb_stream_options options = store->options;
    options.kafka = settings;
    options.kafka_count++;
    int rc = sb_kafka_producer(&store->producer, &options, on_delivered, store, err);
    free(settings);
    if (rc != 0)
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
        RD_KAFKA_V_OPAQUE((void *)(uintptr_t)(store->ticket + 1)), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return SB_STREAM_BUSY;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        store->finished = true;
        store->delivery_error = code;
        return check_finished(store, err);
    }
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

static int put_control(
    struct kafka *store, const char *key, size_t key_len, struct sb_view value, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + OPEN_MS;
    rd_kafka_resp_err_t code = rd_kafka_producev(store->producer.rk, RD_KAFKA_V_TOPIC(store->control),
        RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY(key, key_len), RD_KAFKA_V_VALUE((void *)value.ptr, value.len),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return sb_kafka_error(&store->producer, code, "could not write to the control topic", err);
    /* flush waits for everything, log records too: control entries are rare and come before what needs them
     */
    while ((code = rd_kafka_flush(store->producer.rk, POLL_MS)) != RD_KAFKA_RESP_ERR_NO_ERROR)
        if (sb_clock_mono_ms() > deadline_ms)
            return sb_kafka_error(
                &store->producer, code, "the brokers did not take a control entry in time", err);
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
    rd_kafka_t *rk = store->producer.rk != NULL ? store->producer.rk : store->consumer.rk;
    int64_t low, high;
    rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(rk, store->log, 0, &low, &high, OPEN_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return sb_kafka_error(store->producer.rk != NULL ? &store->producer : &store->consumer, code,
            "could not find the stream's end", err);
    *ret_bounds = (struct sb_stream_bounds){.oldest = low, .next = high, .bytes = -1};
    return 0;
}

static int kafka_seek(struct sb_stream *stream, int64_t offset, struct sb_err *err)
{
    struct kafka *store = of(stream);
    struct sb_stream_bounds bounds;
    if (open_consumer(store, err) != 0 || kafka_bounds(stream, &bounds, err) != 0)
        return -1;
    if (offset < bounds.oldest)
        return sb_err_set(err, SB_E_LOG_GAP,
            "offset %" PRId64 " is not retained any more: the oldest is %" PRId64, offset, bounds.oldest);
    if (offset > bounds.next)
        return sb_err_set(err, SB_E_LOG_TRUNCATED,
            "offset %" PRId64 " is beyond the stream's end at %" PRId64, offset, bounds.next);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, store->log, 0)->offset = offset;
    rd_kafka_resp_err_t code = rd_kafka_assign(store->consumer.rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return sb_kafka_error(&store->consumer, code, "could not go to an offset", err);
    store->read_next = offset;
    store->high_known = bounds.next;
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
        SB_WARN("a message that is not ours lies in the topic, skipped", SB_STR("topic", store->log),
            SB_NUM("offset", message->offset), SB_NUM("so_far", store->foreign));
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

/* The next message in order, or NULL at the end; waits for a fetch that is under way. */
static int next_message(struct kafka *store, rd_kafka_message_t **ret_message, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + OPEN_MS;
    for (int wait_ms = 0;; wait_ms = POLL_MS) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(store->consumer.rk, wait_ms);
        if (message == NULL) {
            if (at_end(store)) {
                *ret_message = NULL;
                return 0;
            }
            if (sb_clock_mono_ms() < deadline_ms)
                continue;
            return sb_kafka_error(
                &store->consumer, RD_KAFKA_RESP_ERR__TIMED_OUT, "could not read the stream", err);
        }
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            *ret_message = message;
            return 0;
        }
        rd_kafka_resp_err_t code = message->err;
        int64_t offset = message->offset;
        rd_kafka_message_destroy(message);
        if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            if (offset < store->read_next)
                return sb_err_set(err, SB_E_LOG_TRUNCATED,
                    "the stream ends at offset %" PRId64 ", but %" PRId64 " was read before", offset,
                    store->read_next);
            if (store->high_known > offset)
                store->high_known = offset; /* compaction or a truncated tail: nothing there after all */
            continue;
        }
        if (code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
            continue; /* it reconnects; the deadline above says when that takes too long */
        sb_kafka_error(NULL, code, "could not read the stream", err);
        return sb_err_add(err, "topic \"%s\", offset %" PRId64, store->log, store->read_next);
    }
}

static int kafka_read(struct sb_stream *stream, struct sb_record *ret_record, struct sb_err *err)
{
    struct kafka *store = of(stream);
    for (;;) {
        if (store->current != NULL)
            rd_kafka_message_destroy(store->current);
        store->current = NULL;
        if (store->producer.rk == NULL)
            drain_wake(store);
        if (next_message(store, &store->current, err) != 0)
            return -1;
        if (store->current == NULL)
            return SB_STREAM_END;
        store->read_next = store->current->offset + 1;
        int rc = unpack(store, store->current, ret_record, err);
        if (rc <= 0)
            return rc;
    }
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
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, store->log, 0)->offset = offset;
    rd_kafka_resp_err_t code = rd_kafka_commit(store->consumer.rk, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0
                                              : sb_kafka_error(NULL, code, "could not publish progress", err);
}

/* -- open, create, destroy, check
 * ------------------------------------------------------------------------------ */

static int identify(struct kafka *store, struct sb_err *err)
{
    struct meta meta = {0};
    if (read_uuid(store, &meta, err) != 0)
        return -1;
    if (!meta.found)
        return sb_err_set(
            err, SB_E_NOT_PREPARED, "topic \"%s\" does not say whose stream it is", store->control);
    store->stream.uuid = meta.uuid;
    return 0;
}

static int kafka_open(const struct sb_stream_options *options, enum sb_stream_mode mode,
    struct sb_stream **ret_stream, struct sb_err *err)
{
    struct kafka *store = store_new(options, err);
    if (store == NULL)
        return -1;
    int rc = mode == SB_STREAM_WRITE ? open_producer(store, err) : open_consumer(store, err);
    if (rc == 0 && mode == SB_STREAM_READ)
        rc = sb_topics_verify(options, store->consumer.rk, NULL, err);
    if (rc == 0 && identify(store, err) == 0) {
        *ret_stream = &store->stream;
        return 0;
    }
    kafka_close(&store->stream);
    return -1;
}

static int kafka_create(const struct sb_stream_options *options, const struct sb_uuid *stream_uuid,
    struct sb_buf *statements, struct sb_err *err)
{
    if (statements != NULL)
        return sb_topics_create(options, statements, err);
    struct kafka *store = store_new(options, err);
    struct meta meta = {0};
    if (store == NULL)
        return -1;
    int rc = sb_topics_create(options, NULL, err);
    if (rc == 0)
        rc = open_producer(store, err);
    if (rc == 0)
        rc = read_uuid(store, &meta, err);
    if (rc == 0 && !meta.found)
        rc = kafka_control_put(&store->stream, sb_view_str(META_UUID),
            sb_view(stream_uuid->bytes, sizeof stream_uuid->bytes), err);
    else if (rc == 0 && !sb_uuid_eq(&meta.uuid, stream_uuid))
        rc = sb_err_set(
            err, SB_E_LOG_FOREIGN, "topic \"%s\" is there already and belongs to another stream", store->log);
    kafka_close(&store->stream);
    return rc;
}

static int kafka_destroy(const struct sb_stream_options *options, struct sb_err *err)
{
    return sb_topics_destroy(options, true, err);
}

static int kafka_check(const struct sb_stream_options *options, struct sb_err *err)
{
    struct sb_kafka_client client = {0};
    if (sb_kafka_producer(&client, options, NULL, NULL, err) != 0)
        return -1;
    int rc = sb_topics_verify(options, client.rk, NULL, err);
    sb_kafka_client_close(&client);
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
