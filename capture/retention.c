#include "capture/retention.h"

static bool is_commit_of(const struct sb_frame *frame, const struct sb_needed *needed)
{
    return frame->kind == SB_KIND_COMMIT && frame->epoch == needed->epoch &&
           frame->sequence == needed->sequence && frame->commit_lsn == needed->commit_lsn;
}

int sb_retention_release(
    struct sb_stream *stream, const struct sb_needed *needed, int64_t keep_ms, struct sb_err *err)
{
    struct sb_stream_bounds bounds;
    struct sb_record record;
    int64_t at = needed->stream_offset - 1;
    if (sb_stream_bounds(stream, &bounds, err) != 0)
        return -1;
    if (needed->commit_lsn == 0 || at <= bounds.oldest || at >= bounds.next)
        return 0;
    if (sb_stream_seek(stream, at, err) != 0)
        return -1;
    int rc = sb_stream_read(stream, &record, err);
    if (rc != 0)
        return rc == SB_STREAM_END ? 0 : -1;
    if (record.offset != at || !is_commit_of(&record.frame, needed))
        return 0;
    return sb_stream_release(stream, at, keep_ms, err);
}
