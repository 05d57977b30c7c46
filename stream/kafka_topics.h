/*
 * The topics of a migration: <migration>.<direction> for the log (one partition, cleanup.policy=delete,
 * message.timestamp.type=LogAppendTime, unclean election off) and <migration>.control (one partition,
 * compacted). Private to stream/.
 */
#ifndef SB_STREAM_KAFKA_TOPICS_H
#define SB_STREAM_KAFKA_TOPICS_H

#include "stream/kafka_client.h"

enum { SB_TOPIC_BYTES = 128 };

void sb_topics_names(
    const struct sb_stream_options *options, char ret_log[SB_TOPIC_BYTES], char ret_control[SB_TOPIC_BYTES]);
/* Make those that are not there; where we may not, the hint has the commands. With statements != NULL nothing
 * is made and those that are not there are described, as commands of kafka-topics.sh. */
int sb_topics_create(const struct sb_stream_options *options, struct sb_buf *statements, struct sb_err *err);
/* The control topic goes with the last direction. */
int sb_topics_destroy(const struct sb_stream_options *options, struct sb_err *err);
/* As sb_stream_check. ret_max_bytes: the log's max.message.bytes; may be NULL. client: any consumer. */
int sb_topics_verify(const struct sb_stream_options *options, const struct sb_kafka_client *client,
    sb_stream_finding_fn *fn, void *arg, int64_t *ret_max_bytes, struct sb_err *err);
/* A client to look with. A consumer: a producer's questions could make a topic on brokers that allow it. */
int sb_topics_looker(
    const struct sb_stream_options *options, struct sb_kafka_client *client, struct sb_err *err);

#endif
