#include "apply/reader.h"

#include "core/fault.h"
#include "core/log.h"
#include "stream/tail.h"

#include <string.h>

enum { SURVEY_MS = 2000 }; /* looked through for suspects, where the stream does not end before */

static int learn(void *arg, struct sb_view key, struct sb_view value, struct sb_err *err)
{
    (void)key;
    return sb_lane_learn(arg, value, err);
}

/* What progress says of the commit it names must be what the stream says of it. */
static int prove_progress(struct sb_reader *reader, int64_t offset, struct sb_err *err)
{
    struct sb_stream_bounds bounds;
    struct sb_record record;
    if (sb_stream_bounds(reader->stream, &bounds, err) != 0)
        return -1;
    if (offset <= bounds.oldest)
        return 0; /* it is not retained */
    if (sb_stream_seek(reader->stream, offset - 1, err) != 0)
        return -1;
    int rc = sb_stream_read(reader->stream, &record, err);
    return rc != 0 ? rc < 0 ? -1 : 0 : sb_lane_prove(reader->lane, &record, err);
}

static int seek_to_progress(struct sb_reader *reader, int64_t from, struct sb_err *err)
{
    const struct sb_progress *progress = sb_lane_progress(reader->lane);
    struct sb_uuid uuid = sb_stream_uuid(reader->stream);
    int64_t offset = from;
    if (memcmp(&uuid, &progress->stream, sizeof uuid) != 0)
        return sb_err_set(
            err, SB_E_LOG_FOREIGN, "the stream is not the one the target's progress row belongs to");
    if (sb_stream_control_each(reader->stream, sb_view_str(SB_CONTROL_SCHEMA), learn, reader->lane, err) != 0)
        return -1;
    if ((offset < 0 && (sb_tail_locate_position(
                            reader->stream, &progress->position, progress->offset, &offset, err) != 0 ||
                           prove_progress(reader, offset, err) != 0)) ||
        sb_stream_seek(reader->stream, offset, err) != 0)
        return sb_err_add(err, "could not find the applied position in the stream");
    SB_INFO("apply starts", SB_NUM("lane", progress->lane),
        SB_LSN("commit_lsn", progress->position.commit_lsn), SB_NUM("epoch", progress->position.epoch),
        SB_NUM("offset", offset));
    return 0;
}

int sb_reader_open(struct sb_reader *reader, const struct sb_config *config, enum sb_direction direction,
    struct sb_lane *lane, int64_t from, struct sb_err *err)
{
    struct sb_stream_options options;
    char path[SB_PATH_BYTES];
    *reader = (struct sb_reader){.lane = lane};
    sb_wiring_stream(config, direction, path, &options);
    return sb_stream_open(&options, SB_STREAM_READ, &reader->stream, err) != 0
               ? -1
               : seek_to_progress(reader, from, err);
}

void sb_reader_close(struct sb_reader *reader)
{
    sb_stream_close(reader->stream);
    reader->stream = NULL;
}

int sb_reader_next(struct sb_reader *reader, struct sb_record *ret_record, struct sb_err *err)
{
    SB_FAULT("apply-before-read");
    int rc = sb_stream_read(reader->stream, ret_record, err);
    reader->drained = rc == SB_STREAM_END;
    if (rc != 0)
        return rc;
    SB_FAULT("apply-after-read");
    reader->offset = ret_record->offset;
    return 0;
}

int sb_reader_survey(struct sb_reader *reader, int64_t now_ms, bool *ret_asked, struct sb_err *err)
{
    *ret_asked = false;
    if (reader->survey_ms == 0)
        reader->survey_ms = now_ms;
    if (!reader->drained && !sb_lane_survey_is_over(reader->lane) && now_ms - reader->survey_ms < SURVEY_MS)
        return 0;
    if (sb_lane_ask_again(reader->lane, err) != 0)
        return -1;
    *ret_asked = true;
    return 0;
}
