#include "stream/walk.h"

#include "stream/parts.h"
#include "stream/range.h"
#include "stream/tail.h"

#include <inttypes.h>
#include <stdlib.h>

enum { WALK_RECORD_MAX_BYTES = 1 << 30 }; /* PostgreSQL: a row is at most 1 GB of text */

struct sb_walk {
    struct sb_stream *stream;
    struct sb_codec *codec;
    struct sb_joiner *joiner;
    struct sb_arena *arena; /* of the current record */
    struct sb_proof *proof; /* NULL: looking */
    struct sb_range range;  /* its limit is -1 if there is none */
    int64_t offset;
    uint64_t highest_epoch; /* looking */
    bool in_parts;          /* looking: the record in parts being read was seen from its first part on */
};

/* A reader that begins in the middle knows the schemas of before from the control table. */
static int learn_entry(void *arg, struct sb_view key, struct sb_view value, struct sb_err *err)
{
    struct sb_walk *walk = arg;
    (void)key;
    return sb_codec_learn(walk->codec, value, NULL, err);
}

int sb_walk_new(struct sb_stream *stream, struct sb_walk **ret_walk, struct sb_err *err)
{
    struct sb_walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory to read the stream");
    walk->stream = stream;
    walk->offset = -1;
    walk->joiner = sb_joiner_new(WALK_RECORD_MAX_BYTES);
    walk->arena = sb_arena_new("stream record", (size_t)4 * WALK_RECORD_MAX_BYTES);
    if (!walk->joiner || !walk->arena)
        sb_err_set(err, SB_E_NO_MEMORY, "no memory to read the stream");
    else if (sb_codec_new(&walk->codec, err) == 0 &&
             sb_stream_control_each(stream, sb_view_str(SB_CONTROL_SCHEMA), learn_entry, walk, err) == 0) {
        *ret_walk = walk;
        return 0;
    }
    sb_walk_free(walk);
    return -1;
}

void sb_walk_free(struct sb_walk *walk)
{
    if (!walk)
        return;
    sb_proof_free(walk->proof);
    sb_arena_free(walk->arena);
    sb_joiner_free(walk->joiner);
    sb_codec_free(walk->codec);
    free(walk);
}

static int begin(struct sb_walk *walk, int64_t offset, struct sb_proof *proof, struct sb_err *err)
{
    sb_proof_free(walk->proof);
    walk->proof = proof;
    walk->offset = -1;
    walk->highest_epoch = 0;
    walk->in_parts = false;
    sb_joiner_reset(walk->joiner);
    walk->range = (struct sb_range){
        .stream = walk->stream, .uuid = sb_stream_uuid(walk->stream), .next = offset, .limit = -1};
    return sb_stream_seek(walk->stream, offset, err);
}

int sb_walk_look(struct sb_walk *walk, int64_t offset, struct sb_err *err)
{
    return begin(walk, offset, NULL, err);
}

int sb_walk_prove(
    struct sb_walk *walk, int64_t offset, const struct sb_position *position, struct sb_err *err)
{
    struct sb_uuid uuid = sb_stream_uuid(walk->stream);
    struct sb_proof *proof = sb_proof_new(&uuid, 0, position, err);
    return proof ? begin(walk, offset, proof, err) : -1;
}

void sb_walk_limit(struct sb_walk *walk, int64_t limit)
{
    walk->range.limit = limit;
}

int64_t sb_walk_offset(const struct sb_walk *walk)
{
    return walk->offset;
}

const struct sb_proof *sb_walk_proof(const struct sb_walk *walk)
{
    return walk->proof;
}

static int decode(struct sb_walk *walk, const struct sb_record *whole, struct sb_walk_record *ret_record,
    struct sb_err *err)
{
    sb_arena_reset(walk->arena);
    switch (whole->frame.kind) {
    case SB_KIND_OPEN:
        return sb_codec_read_open(walk->codec, whole->body, walk->arena, &ret_record->open, err);
    case SB_KIND_SCHEMA:
        return sb_codec_learn(walk->codec, whole->body, &ret_record->rel, err);
    case SB_KIND_CHANGE:
        return sb_codec_read_change(
            walk->codec, whole->body, walk->arena, &ret_record->chg, &ret_record->meta, err);
    case SB_KIND_MESSAGE:
        return sb_codec_read_message(walk->codec, whole->body, walk->arena, &ret_record->msg, err);
    case SB_KIND_COMMIT:
        return sb_codec_read_commit(walk->codec, whole->body, &ret_record->commit, err);
    case SB_KIND_IMAGE:
    case SB_KIND_PART:
        break;
    }
    return sb_err_set(err, SB_E_LOG_FORMAT, "a record of kind \"%s\" is not known to this version",
        sb_kind_name(whole->frame.kind));
}

static int prove(struct sb_walk *walk, const struct sb_walk_record *record, struct sb_err *err)
{
    bool repeat;
    switch (record->frame.kind) {
    case SB_KIND_OPEN:
        return sb_proof_open(walk->proof, &record->frame, &record->open, err);
    case SB_KIND_CHANGE:
        return sb_proof_change(walk->proof, &record->frame, &record->chg, err);
    case SB_KIND_MESSAGE:
        return sb_proof_message(walk->proof, &record->frame, &record->msg, err);
    case SB_KIND_COMMIT:
        return sb_proof_commit(walk->proof, &record->frame, &record->commit, &repeat, err);
    default:
        return 0;
    }
}

/* What looking says of a frame: stale or not. */
static enum sb_verdict look_at(struct sb_walk *walk, const struct sb_frame *frame)
{
    if (frame->epoch < walk->highest_epoch)
        return SB_VERDICT_DROP;
    walk->highest_epoch = frame->epoch;
    return SB_VERDICT_TAKE;
}

enum { JOIN_SKIP = 2 };

/* Looking, a part is joined only if it goes on from the part before it; a proof would have refused it. */
static int join(
    struct sb_walk *walk, const struct sb_record *record, struct sb_record *ret_whole, struct sb_err *err)
{
    if (walk->proof)
        return sb_joiner_feed(walk->joiner, record, ret_whole, err);
    bool first = record->frame.kind != SB_KIND_PART || record->frame.part_index == 0;
    if (first)
        sb_joiner_reset(walk->joiner);
    else if (!walk->in_parts)
        return JOIN_SKIP;
    int result = sb_joiner_feed(walk->joiner, record, ret_whole, err);
    walk->in_parts = result == SB_JOINER_MORE;
    if (result >= 0)
        return result;
    sb_joiner_reset(walk->joiner); /* parts of two writers, interleaved */
    return JOIN_SKIP;
}

static void describe(
    const struct sb_record *whole, enum sb_verdict verdict, struct sb_walk_record *ret_record)
{
    *ret_record = (struct sb_walk_record){
        .frame = whole->frame, .offset = whole->offset, .append_ms = whole->append_ms, .verdict = verdict};
}

/* The newest record from the store: 0 with a whole one, JOIN_SKIP or SB_JOINER_MORE to go on, -1. */
static int take(struct sb_walk *walk, const struct sb_record *record, struct sb_walk_record *ret_record,
    struct sb_err *err)
{
    enum sb_verdict verdict = SB_VERDICT_TAKE;
    struct sb_record whole;
    if (!walk->proof)
        verdict = look_at(walk, &record->frame);
    else if (sb_proof_frame(walk->proof, &record->frame, &verdict, err) != 0)
        return -1;
    if (walk->proof && verdict == SB_VERDICT_DROP) {
        describe(record, verdict, ret_record);
        return 0;
    }
    if (verdict == SB_VERDICT_ABANDON)
        sb_joiner_reset(walk->joiner);
    int result = join(walk, record, &whole, err);
    if (result != 0)
        return result;
    describe(&whole, verdict, ret_record);
    if (decode(walk, &whole, ret_record, err) != 0)
        return -1;
    ret_record->decoded = true;
    return walk->proof ? prove(walk, ret_record, err) : 0;
}

static int read_one(struct sb_walk *walk, struct sb_record *ret_record, struct sb_err *err)
{
    if (walk->range.limit < 0)
        return sb_stream_read(walk->stream, ret_record, err);
    int result = sb_range_next(&walk->range, ret_record, err);
    return result == SB_RANGE_END ? SB_STREAM_END : result;
}

int sb_walk_next(struct sb_walk *walk, struct sb_walk_record *ret_record, struct sb_err *err)
{
    struct sb_record record;
    for (;;) {
        walk->offset = -1;
        int result = read_one(walk, &record, err);
        if (result != 0)
            return result;
        walk->offset = record.offset;
        result = take(walk, &record, ret_record, err);
        if (result < 0)
            return sb_err_add(err, "stream offset %" PRId64, record.offset);
        if (result == 0)
            return 0;
    }
}
