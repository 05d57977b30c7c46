/*
 * librdkafka clients as we make them: the settings that are ours, the versions we trust, errors in our words.
 * Private to stream/.
 *
 * A setting of ours that the user contradicts is SB-STREAM-CONFIG; every other setting under `kafka:` passes
 * through. librdkafka 2.2 to 2.4 are refused (a fatal message-set fault, fixed in 2.4.0), 2.1 to 2.10 are
 * warned about.
 */
#ifndef SB_STREAM_KAFKA_CLIENT_H
#define SB_STREAM_KAFKA_CLIENT_H

#include "stream/store.h"

#include <librdkafka/rdkafka.h>

struct sb_kafka_client { /* embedded in its owner, which must not move: librdkafka keeps its address */
    rd_kafka_t *rk;
    bool fatal;               /* librdkafka gave it up: make a new one */
    rd_kafka_resp_err_t last; /* newest error from the background; 0 if something was delivered since */
    char last_text[256];
};

typedef void sb_kafka_delivered_fn(void *owner, const rd_kafka_message_t *message);

enum sb_kafka_version { SB_KAFKA_VERSION_GOOD, SB_KAFKA_VERSION_DOUBTFUL, SB_KAFKA_VERSION_REFUSED };
enum sb_kafka_version sb_kafka_version_judge(int version); /* of rd_kafka_version() */

/* message_max_bytes: the topic's, for librdkafka refuses by its own limit before the broker does. group: the
 * consumer group offsets are committed to. */
int sb_kafka_producer(struct sb_kafka_client *client, const struct sb_stream_options *options,
    int64_t message_max_bytes, sb_kafka_delivered_fn *delivered, void *owner, struct sb_err *err);
int sb_kafka_consumer(struct sb_kafka_client *client, const struct sb_stream_options *options,
    const char *group, struct sb_err *err);
void sb_kafka_client_close(struct sb_kafka_client *client); /* safe on a zeroed one */

/* Partition 0's oldest offset and the one behind its newest. */
int sb_kafka_ends(const struct sb_kafka_client *client, const char *topic, int64_t timeout_ms,
    int64_t *ret_oldest, int64_t *ret_next, struct sb_err *err);

/* Fill err from a code of librdkafka; the client's background error explains a time-out. client may be NULL.
 */
int sb_kafka_error(
    const struct sb_kafka_client *client, rd_kafka_resp_err_t code, const char *what, struct sb_err *err);

#endif
