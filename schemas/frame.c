#include "schemas/frame.h"

#include "schemas/digest.h"

#include <endian.h>
#include <string.h>

/* Offsets of the header's table. */
enum {
    AT_FORMAT = 3,
    AT_KIND = 4,
    AT_PART_OF = 5,
    AT_LANE = 6,
    AT_STREAM = 8,
    AT_EPOCH = 24,
    AT_SEQUENCE = 32,
    AT_COMMIT_LSN = 40,
    AT_END_LSN = 48,
    AT_ORDINAL = 56,
    AT_XID = 64,
    AT_TIMELINE = 72,
    AT_PART_INDEX = 76,
    AT_PART_COUNT = 80,
    AT_RESERVED = 84,
    AT_BODY_HASH = 88,
    AT_WHOLE_HASH = 96,
    AT_CHECKSUM = 104,
};

static const char frame_magic[3] = {'S', 'B', 'F'};

static void put_u16(unsigned char *at, uint16_t value)
{
    value = htobe16(value);
    memcpy(at, &value, sizeof value);
}

static void put_u32(unsigned char *at, uint32_t value)
{
    value = htobe32(value);
    memcpy(at, &value, sizeof value);
}

static void put_u64(unsigned char *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

static uint16_t get_u16(const unsigned char *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return be16toh(value);
}

static uint32_t get_u32(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return be32toh(value);
}

static uint64_t get_u64(const unsigned char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

const char *sb_kind_name(enum sb_kind kind)
{
    switch (kind) {
    case SB_KIND_OPEN:
        return "open";
    case SB_KIND_SCHEMA:
        return "schema";
    case SB_KIND_CHANGE:
        return "change";
    case SB_KIND_MESSAGE:
        return "message";
    case SB_KIND_IMAGE:
        return "image";
    case SB_KIND_COMMIT:
        return "commit";
    case SB_KIND_PART:
        return "part";
    }
    return "?";
}

static bool kind_known(unsigned kind)
{
    return kind >= SB_KIND_OPEN && kind <= SB_KIND_PART;
}

void sb_frame_encode(const struct sb_frame *frame, unsigned char out[SB_FRAME_BYTES])
{
    memcpy(out, frame_magic, sizeof frame_magic);
    out[AT_FORMAT] = SB_FRAME_FORMAT;
    out[AT_KIND] = (unsigned char)frame->kind;
    out[AT_PART_OF] = (unsigned char)frame->part_of;
    put_u16(out + AT_LANE, frame->lane);
    memcpy(out + AT_STREAM, frame->stream.bytes, sizeof frame->stream.bytes);
    put_u64(out + AT_EPOCH, frame->epoch);
    put_u64(out + AT_SEQUENCE, frame->sequence);
    put_u64(out + AT_COMMIT_LSN, frame->commit_lsn);
    put_u64(out + AT_END_LSN, frame->end_lsn);
    put_u64(out + AT_ORDINAL, frame->ordinal);
    put_u64(out + AT_XID, frame->xid);
    put_u32(out + AT_TIMELINE, frame->timeline);
    put_u32(out + AT_PART_INDEX, frame->part_index);
    put_u32(out + AT_PART_COUNT, frame->part_count);
    put_u32(out + AT_RESERVED, 0);
    put_u64(out + AT_BODY_HASH, frame->body_hash);
    put_u64(out + AT_WHOLE_HASH, frame->whole_hash);
    put_u64(out + AT_CHECKSUM, sb_hash64(sb_view(out, AT_CHECKSUM)));
}

/* Whole records have no part fields; parts are at least two, of a kind that can be in parts. */
static bool parts_add_up(const struct sb_frame *frame)
{
    if (frame->kind != SB_KIND_PART)
        return frame->part_of == 0 && frame->part_index == 0 && frame->part_count == 0 &&
               frame->whole_hash == 0;
    return kind_known(frame->part_of) && frame->part_of != SB_KIND_PART && frame->part_count >= 2 &&
           frame->part_index < frame->part_count;
}

int sb_frame_decode(struct sb_view bytes, struct sb_frame *ret_frame, struct sb_err *err)
{
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    if (bytes.len <= AT_FORMAT || memcmp(in, frame_magic, sizeof frame_magic) != 0)
        return sb_err_set(err, SB_E_LOG_CORRUPT, "frame of %zu bytes does not begin with \"SBF\"", bytes.len);
    if (in[AT_FORMAT] > SB_FRAME_FORMAT)
        return sb_err_set(err, SB_E_LOG_FORMAT, "frame has format %u, this program reads up to format %d",
            in[AT_FORMAT], SB_FRAME_FORMAT);
    if (in[AT_FORMAT] != SB_FRAME_FORMAT)
        return sb_err_set(err, SB_E_LOG_CORRUPT, "frame has format %u, which never was", in[AT_FORMAT]);
    if (bytes.len != SB_FRAME_BYTES)
        return sb_err_set(
            err, SB_E_LOG_CORRUPT, "frame has %zu bytes instead of %d", bytes.len, SB_FRAME_BYTES);
    if (get_u64(in + AT_CHECKSUM) != sb_hash64(sb_view(in, AT_CHECKSUM)))
        return sb_err_set(err, SB_E_LOG_CORRUPT, "frame does not match its checksum");
    if (!kind_known(in[AT_KIND]))
        return sb_err_set(err, SB_E_LOG_CORRUPT, "frame is of unknown kind %u", in[AT_KIND]);
    if (get_u32(in + AT_RESERVED) != 0)
        return sb_err_set(err, SB_E_LOG_CORRUPT, "frame has its reserved field set");
    struct sb_frame frame = {
        .kind = (enum sb_kind)in[AT_KIND],
        .part_of = (enum sb_kind)in[AT_PART_OF],
        .lane = get_u16(in + AT_LANE),
        .epoch = get_u64(in + AT_EPOCH),
        .sequence = get_u64(in + AT_SEQUENCE),
        .commit_lsn = get_u64(in + AT_COMMIT_LSN),
        .end_lsn = get_u64(in + AT_END_LSN),
        .ordinal = get_u64(in + AT_ORDINAL),
        .xid = get_u64(in + AT_XID),
        .timeline = get_u32(in + AT_TIMELINE),
        .part_index = get_u32(in + AT_PART_INDEX),
        .part_count = get_u32(in + AT_PART_COUNT),
        .body_hash = get_u64(in + AT_BODY_HASH),
        .whole_hash = get_u64(in + AT_WHOLE_HASH),
    };
    memcpy(frame.stream.bytes, in + AT_STREAM, sizeof frame.stream.bytes);
    if (!parts_add_up(&frame))
        return sb_err_set(err, SB_E_LOG_CORRUPT, "frame of kind %s has part %u of %u of kind %u",
            sb_kind_name(frame.kind), frame.part_index, frame.part_count, in[AT_PART_OF]);
    *ret_frame = frame;
    return 0;
}

int sb_frame_check_body(const struct sb_frame *frame, struct sb_view body, struct sb_err *err)
{
    if (sb_hash64(body) != frame->body_hash)
        return sb_err_set(err, SB_E_LOG_CORRUPT, "body of %zu bytes of a %s record does not match its hash",
            body.len, sb_kind_name(frame->kind));
    return 0;
}
