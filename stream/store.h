/*
 * What a store is to stream/stream.c: a table of functions, one set in embedded.c, one in kafka.c. Private to
 * stream/. Each function keeps what stream.h promises of the public one with the same name; a store's own
 * handle begins with struct sb_stream.
 */
#ifndef SB_STREAM_STORE_H
#define SB_STREAM_STORE_H

#include "stream/stream.h"

struct sb_store_functions {
    int (*open)(const struct sb_stream_options *options, enum sb_stream_mode mode,
        struct sb_stream **ret_stream, struct sb_err *err);
    void (*close)(struct sb_stream *stream);
    int (*create)(const struct sb_stream_options *options, const struct sb_uuid *stream_uuid,
        struct sb_buf *statements, struct sb_err *err);
    int (*destroy)(const struct sb_stream_options *options, struct sb_err *err);
    int (*check)(
        const struct sb_stream_options *options, sb_stream_finding_fn *fn, void *arg, struct sb_err *err);
    int (*append)(
        struct sb_stream *stream, const struct sb_record *record, uint64_t *ret_ticket, struct sb_err *err);
    int (*service)(struct sb_stream *stream, struct sb_err *err);
    int (*flush)(struct sb_stream *stream, int64_t timeout_ms, struct sb_err *err);
    int (*release)(struct sb_stream *stream, int64_t below_offset, int64_t keep_ms, struct sb_err *err);
    int (*control_put)(
        struct sb_stream *stream, struct sb_view key, struct sb_view value, struct sb_err *err);
    int (*bounds)(struct sb_stream *stream, struct sb_stream_bounds *ret_bounds, struct sb_err *err);
    int (*seek)(struct sb_stream *stream, int64_t offset, struct sb_err *err);
    int (*read)(struct sb_stream *stream, struct sb_record *ret_record, struct sb_err *err);
    bool (*read_ahead)(struct sb_stream *stream); /* NULL: the store's library does it by itself */
    int (*control_each)(struct sb_stream *stream, struct sb_view prefix, sb_stream_control_fn *fn, void *arg,
        struct sb_err *err);
    int (*publish_progress)(struct sb_stream *stream, int64_t offset, struct sb_err *err);
};

struct sb_stream { /* the first member of a store's handle */
    const struct sb_store_functions *store;
    struct sb_uuid uuid;
    size_t record_max;
    uint64_t durable; /* highest ticket with everything up to it on stable storage */
    int fd;           /* -1: none */
    bool full;        /* appends say BUSY until release has made room, and not because they are many */
};

extern const struct sb_store_functions sb_embedded_store;
extern const struct sb_store_functions sb_kafka_store;

#endif
