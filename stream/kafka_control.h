/* The control topic as a table: the newest value of each key. Private to stream/. */
#ifndef SB_STREAM_KAFKA_CONTROL_H
#define SB_STREAM_KAFKA_CONTROL_H

#include "stream/kafka_client.h"

enum { SB_CONTROL_MAX_BYTES = 256 * 1024 * 1024 };

/* Read the whole topic and hand out every key (without "<direction>/" in front) that begins with prefix,
 * newest value only. Waits until the end that was there when it began was read. */
int sb_kafka_control_each(const struct sb_stream_options *options, const char *topic, struct sb_view prefix,
    sb_stream_control_fn *fn, void *arg, struct sb_err *err);

#endif
