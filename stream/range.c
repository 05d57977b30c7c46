#include "stream/range.h"

#include "core/clock.h"
#include "schemas/digest.h"

#include <inttypes.h>
#include <poll.h>

enum {
    RANGE_PATIENCE_MS = 30000, /* a store that says it has records must give one within this time */
    RANGE_POLL_MAX_MS = 20,
};

int sb_range_open(
    struct sb_range *range, struct sb_stream *stream, int64_t from, int64_t limit, struct sb_err *err)
{
    *range =
        (struct sb_range){.stream = stream, .uuid = sb_stream_uuid(stream), .next = from, .limit = limit};
    return from < limit ? sb_stream_seek(stream, from, err) : 0;
}

static void wait_readable(struct sb_stream *stream, int wait_ms)
{
    struct pollfd poll_fd = {.fd = sb_stream_fd(stream), .events = POLLIN};
    poll(&poll_fd, poll_fd.fd >= 0 ? 1 : 0, wait_ms);
}

/* The store's "nothing more now" is not the end: what it said it has may still be on its way. */
static int range_wait(struct sb_range *range, struct sb_record *ret_record, struct sb_err *err)
{
    int64_t deadline = sb_clock_mono_ms() + RANGE_PATIENCE_MS;
    for (int wait_ms = 1;; wait_ms = wait_ms < RANGE_POLL_MAX_MS ? wait_ms * 2 : wait_ms) {
        int result = sb_stream_read(range->stream, ret_record, err);
        if (result != SB_STREAM_END)
            return result;
        if (sb_clock_mono_ms() >= deadline)
            return sb_err_set(err, SB_E_STREAM_UNAVAILABLE,
                "the stream says that it ends at offset %" PRId64 ", but gives nothing at or behind %" PRId64,
                range->limit, range->next);
        wait_readable(range->stream, wait_ms);
    }
}

int sb_range_next(struct sb_range *range, struct sb_record *ret_record, struct sb_err *err)
{
    if (range->next >= range->limit)
        return SB_RANGE_END;
    if (range_wait(range, ret_record, err) != 0)
        return -1;
    if (ret_record->offset >= range->limit) {
        range->next = range->limit;
        return SB_RANGE_END;
    }
    range->next = ret_record->offset + 1;
    if (!sb_uuid_eq(&ret_record->frame.stream, &range->uuid))
        return sb_err_set(err, SB_E_LOG_FOREIGN, "the record at offset %" PRId64 " is of another stream",
            ret_record->offset);
    return 0;
}
