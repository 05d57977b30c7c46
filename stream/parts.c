#include "stream/parts.h"

#include "schemas/digest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A buffer grown by one huge row is given back; what ordinary rows need is kept. */
enum { JOINER_KEEP_BYTES = 4 << 20 };

struct sb_joiner {
    struct sb_frame first; /* of part 0 */
    uint32_t next_index;   /* of the part that is due; 0: no record in parts is being read */
    struct sb_buf key;
    struct sb_buf body;
};

/* -- split -------------------------------------------------------------------------------------------- */

uint32_t sb_parts_count(size_t body_len, size_t record_max)
{
    return body_len <= record_max ? 1 : (uint32_t)((body_len - 1) / record_max + 1);
}

void sb_parts_make(const struct sb_frame *frame, struct sb_view key, struct sb_view body, size_t record_max,
    uint32_t index, struct sb_record *ret_record)
{
    uint32_t count = sb_parts_count(body.len, record_max);
    struct sb_record record = {.frame = *frame, .key = key, .body = body};
    if (count > 1) {
        size_t from = (size_t)index * record_max;
        size_t left = body.len - from;
        record.body = sb_view(body.ptr + from, left < record_max ? left : record_max);
        if (index > 0)
            record.key = sb_view(NULL, 0);
        record.frame.kind = SB_KIND_PART;
        record.frame.part_of = frame->kind;
        record.frame.sequence = frame->sequence + index;
        record.frame.part_index = index;
        record.frame.part_count = count;
        if (record.frame.whole_hash == 0)
            record.frame.whole_hash = sb_hash64(body);
    } else {
        record.frame.part_of = 0;
        record.frame.part_index = 0;
        record.frame.part_count = 0;
        record.frame.whole_hash = 0;
    }
    record.frame.body_hash = sb_hash64(record.body);
    *ret_record = record;
}

/* -- join --------------------------------------------------------------------------------------------- */

struct sb_joiner *sb_joiner_new(size_t max_bytes)
{
    struct sb_joiner *joiner = calloc(1, sizeof *joiner);
    if (!joiner)
        return NULL;
    sb_buf_init(&joiner->key, max_bytes);
    sb_buf_init(&joiner->body, max_bytes);
    return joiner;
}

void sb_joiner_free(struct sb_joiner *joiner)
{
    if (!joiner)
        return;
    sb_buf_clear(&joiner->key);
    sb_buf_clear(&joiner->body);
    free(joiner);
}

void sb_joiner_reset(struct sb_joiner *joiner)
{
    joiner->next_index = 0;
}

static int part_fail(const struct sb_frame *frame, const char *why, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LOG_CORRUPT,
        "part %" PRIu32 " of %" PRIu32 " of a %s (epoch %" PRIu64 ", sequence %" PRIu64 "): %s",
        frame->part_index + 1, frame->part_count, sb_kind_name(frame->part_of), frame->epoch, frame->sequence,
        why);
}

/* Everything but sequence, index and body hash is the same in all parts of a record. */
static bool same_record(const struct sb_frame *a, const struct sb_frame *b)
{
    return a->part_of == b->part_of && a->part_count == b->part_count && a->whole_hash == b->whole_hash &&
           a->lane == b->lane && a->epoch == b->epoch && a->commit_lsn == b->commit_lsn &&
           a->end_lsn == b->end_lsn && a->ordinal == b->ordinal && a->xid == b->xid &&
           a->timeline == b->timeline && sb_uuid_eq(&a->stream, &b->stream);
}

static int check_first(const struct sb_frame *frame, struct sb_err *err)
{
    if (frame->part_index != 0)
        return part_fail(frame, "the parts before it are missing", err);
    if (frame->part_count < 2 || frame->part_of == 0 || frame->part_of == SB_KIND_PART)
        return part_fail(frame, "it is not the part of anything", err);
    return 0;
}

static int check_next(const struct sb_joiner *joiner, const struct sb_frame *frame, struct sb_err *err)
{
    if (!same_record(&joiner->first, frame))
        return part_fail(frame, "it is of another record than the part before it", err);
    if (frame->part_index != joiner->next_index ||
        frame->sequence != joiner->first.sequence + joiner->next_index)
        return part_fail(frame,
            frame->part_index < joiner->next_index ? "it was there before"
                                                   : "the parts before it are missing",
            err);
    return 0;
}

static void buffer_begin(struct sb_buf *buf)
{
    if (buf->cap > JOINER_KEEP_BYTES)
        sb_buf_clear(buf);
    else
        sb_buf_reset(buf);
}

static int append_part(struct sb_joiner *joiner, const struct sb_record *record, struct sb_err *err)
{
    const struct sb_frame *frame = &record->frame;
    if (frame->part_index == 0) {
        buffer_begin(&joiner->key);
        buffer_begin(&joiner->body);
        joiner->first = *frame;
        sb_buf_put_view(&joiner->key, record->key);
    }
    sb_buf_put_view(&joiner->body, record->body);
    if (joiner->key.failed || joiner->body.failed)
        return sb_err_set(err, SB_E_LIMIT,
            "a %s in %" PRIu32 " parts (epoch %" PRIu64 ", sequence %" PRIu64
            ") is larger than the %zu bytes allowed",
            sb_kind_name(frame->part_of), frame->part_count, joiner->first.epoch, joiner->first.sequence,
            joiner->body.max);
    return 0;
}

static int finish(
    struct sb_joiner *joiner, const struct sb_record *last, struct sb_record *ret_whole, struct sb_err *err)
{
    struct sb_view body = sb_buf_view(&joiner->body);
    if (sb_hash64(body) != joiner->first.whole_hash)
        return part_fail(&last->frame, "the whole does not match its checksum", err);
    struct sb_record whole = *last;
    whole.key = sb_buf_view(&joiner->key);
    whole.body = body;
    whole.frame.kind = joiner->first.part_of;
    whole.frame.part_of = 0;
    whole.frame.part_index = 0;
    whole.frame.part_count = 0;
    whole.frame.body_hash = joiner->first.whole_hash;
    whole.frame.whole_hash = 0;
    *ret_whole = whole;
    return 0;
}

static int feed_part(
    struct sb_joiner *joiner, const struct sb_record *record, struct sb_record *ret_whole, struct sb_err *err)
{
    const struct sb_frame *frame = &record->frame;
    int result = joiner->next_index == 0 ? check_first(frame, err) : check_next(joiner, frame, err);
    if (result != 0 || append_part(joiner, record, err) != 0)
        return -1;
    joiner->next_index++;
    if (joiner->next_index < frame->part_count)
        return SB_JOINER_MORE;
    result = finish(joiner, record, ret_whole, err);
    joiner->next_index = 0;
    return result;
}

int sb_joiner_feed(
    struct sb_joiner *joiner, const struct sb_record *record, struct sb_record *ret_whole, struct sb_err *err)
{
    if (record->frame.kind == SB_KIND_PART)
        return feed_part(joiner, record, ret_whole, err);
    if (joiner->next_index != 0)
        return sb_err_set(err, SB_E_LOG_CORRUPT,
            "a %s (epoch %" PRIu64 ", sequence %" PRIu64 ") stands where part %" PRIu32 " of %" PRIu32
            " of a %s is due",
            sb_kind_name(record->frame.kind), record->frame.epoch, record->frame.sequence,
            joiner->next_index + 1, joiner->first.part_count, sb_kind_name(joiner->first.part_of));
    *ret_whole = *record;
    return 0;
}
