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
/* Make both if they are not there. With statements != NULL only describe, as commands of kafka-topics.sh. */
int sb_topics_create(const struct sb_stream_options *options, struct sb_buf *statements, struct sb_err *err);
int sb_topics_destroy(const struct sb_stream_options *options, bool with_control, struct sb_err *err);
/* SB-NOT-PREPARED if one is missing, SB-STREAM-CONFIG for a setting that makes the log unsafe. ret_max_bytes:
 * the log's max.message.bytes; may be NULL. rk: any client. */
int sb_topics_verify(
    const struct sb_stream_options *options, rd_kafka_t *rk, int64_t *ret_max_bytes, struct sb_err *err);

#endif
