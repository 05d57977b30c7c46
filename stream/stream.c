#include "stream/stream.h"

#include "stream/store.h"

static const struct sb_store_functions *store_of(enum sb_store store)
{
    return store == SB_STORE_KAFKA ? &sb_kafka_store : &sb_embedded_store;
}

int sb_stream_open(const struct sb_stream_options *options, enum sb_stream_mode mode,
    struct sb_stream **ret_stream, struct sb_err *err)
{
    return store_of(options->store)->open(options, mode, ret_stream, err);
}

void sb_stream_close(struct sb_stream *stream)
{
    if (stream != NULL)
        stream->store->close(stream);
}

int sb_stream_create(const struct sb_stream_options *options, const struct sb_uuid *stream_uuid,
    struct sb_buf *statements, struct sb_err *err)
{
    return store_of(options->store)->create(options, stream_uuid, statements, err);
}

int sb_stream_destroy(const struct sb_stream_options *options, struct sb_err *err)
{
    return store_of(options->store)->destroy(options, err);
}

int sb_stream_check(
    const struct sb_stream_options *options, sb_stream_finding_fn *fn, void *arg, struct sb_err *err)
{
    return store_of(options->store)->check(options, fn, arg, err);
}

struct sb_uuid sb_stream_uuid(const struct sb_stream *stream)
{
    return stream->uuid;
}

size_t sb_stream_record_max(const struct sb_stream *stream)
{
    return stream->record_max;
}

int sb_stream_append(
    struct sb_stream *stream, const struct sb_record *record, uint64_t *ret_ticket, struct sb_err *err)
{
    return stream->store->append(stream, record, ret_ticket, err);
}

int sb_stream_service(struct sb_stream *stream, struct sb_err *err)
{
    return stream->store->service(stream, err);
}

int sb_stream_flush(struct sb_stream *stream, int64_t timeout_ms, struct sb_err *err)
{
    return stream->store->flush(stream, timeout_ms, err);
}

uint64_t sb_stream_durable(const struct sb_stream *stream)
{
    return stream->durable;
}

bool sb_stream_is_full(const struct sb_stream *stream)
{
    return stream->full;
}

int sb_stream_release(struct sb_stream *stream, int64_t below_offset, int64_t keep_ms, struct sb_err *err)
{
    return stream->store->release(stream, below_offset, keep_ms, err);
}

int sb_stream_control_put(
    struct sb_stream *stream, struct sb_view key, struct sb_view value, struct sb_err *err)
{
    return stream->store->control_put(stream, key, value, err);
}

int sb_stream_bounds(struct sb_stream *stream, struct sb_stream_bounds *ret_bounds, struct sb_err *err)
{
    return stream->store->bounds(stream, ret_bounds, err);
}

int sb_stream_seek(struct sb_stream *stream, int64_t offset, struct sb_err *err)
{
    return stream->store->seek(stream, offset, err);
}

int sb_stream_read(struct sb_stream *stream, struct sb_record *ret_record, struct sb_err *err)
{
    return stream->store->read(stream, ret_record, err);
}

bool sb_stream_read_ahead(struct sb_stream *stream)
{
    return stream->store->read_ahead != NULL && stream->store->read_ahead(stream);
}

int sb_stream_fd(const struct sb_stream *stream)
{
    return stream->fd;
}

int sb_stream_control_each(
    struct sb_stream *stream, struct sb_view prefix, sb_stream_control_fn *fn, void *arg, struct sb_err *err)
{
    return stream->store->control_each(stream, prefix, fn, arg, err);
}

int sb_stream_publish_progress(struct sb_stream *stream, int64_t offset, struct sb_err *err)
{
    return stream->store->publish_progress(stream, offset, err);
}
