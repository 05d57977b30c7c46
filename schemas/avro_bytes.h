/*
 * Avro's binary primitives for rows and commits: zig-zag varints, lengths and bytes (Avro specification,
 * "Binary encoding"). They go through here instead of avro-c's generic values because each passes twice and
 * a generic value costs several times as much (schemas/codec.h states the figures); everything else, and the
 * tests that check these few lines, goes through avro-c.
 *
 * Writing: into room that the caller has measured; each function returns the place behind what it wrote.
 * Reading: from a core cursor, sticky as that one is; no length is believed before it is compared with what
 * is left.
 */
#ifndef SB_SCHEMAS_AVRO_BYTES_H
#define SB_SCHEMAS_AVRO_BYTES_H

#include "core/bytes.h"

#include <endian.h>
#include <string.h>

enum { SB_AVRO_LONG_MAX_BYTES = 10 };

static inline unsigned char *sb_avro_put_long(unsigned char *at, int64_t value)
{
    uint64_t zigzag = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    for (; zigzag >= 0x80; zigzag >>= 7)
        *at++ = (unsigned char)(zigzag | 0x80);
    *at++ = (unsigned char)zigzag;
    return at;
}

static inline unsigned char *sb_avro_put_bytes(unsigned char *at, struct sb_view bytes)
{
    at = sb_avro_put_long(at, (int64_t)bytes.len);
    if (bytes.len > 0)
        memcpy(at, bytes.ptr, bytes.len);
    return at + bytes.len;
}

static inline unsigned char *sb_avro_put_float(unsigned char *at, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = htole32(bits);
    memcpy(at, &bits, sizeof bits);
    return at + sizeof bits;
}

static inline unsigned char *sb_avro_put_double(unsigned char *at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = htole64(bits);
    memcpy(at, &bits, sizeof bits);
    return at + sizeof bits;
}

/* A varint of more than ten bytes, or of more than 64 bits, fails. */
static inline int64_t sb_avro_get_long(struct sb_cursor *cur)
{
    uint64_t zigzag = 0;
    for (unsigned shift = 0; shift < 70 && !cur->failed && cur->pos < cur->end; shift += 7) {
        unsigned char byte = *cur->pos++;
        if (shift == 63 && byte > 1)
            break;
        zigzag |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return (int64_t)(zigzag >> 1 ^ -(zigzag & 1));
    }
    cur->failed = true;
    return 0;
}

static inline struct sb_view sb_avro_get_bytes(struct sb_cursor *cur)
{
    int64_t len = sb_avro_get_long(cur);
    if (cur->failed || len < 0 || len > cur->end - cur->pos) {
        cur->failed = true;
        return sb_view(NULL, 0);
    }
    struct sb_view bytes = sb_view(cur->pos, (size_t)len);
    cur->pos += len;
    return bytes;
}

static inline bool sb_avro_get_boolean(struct sb_cursor *cur)
{
    if (cur->failed || cur->pos == cur->end || *cur->pos > 1) {
        cur->failed = true;
        return false;
    }
    return *cur->pos++ == 1;
}

static inline float sb_avro_get_float(struct sb_cursor *cur)
{
    struct sb_view bytes = sb_cursor_bytes(cur, 4);
    uint32_t bits = 0;
    float value;
    if (bytes.len == sizeof bits)
        memcpy(&bits, bytes.ptr, sizeof bits);
    bits = le32toh(bits);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double sb_avro_get_double(struct sb_cursor *cur)
{
    struct sb_view bytes = sb_cursor_bytes(cur, 8);
    uint64_t bits = 0;
    double value;
    if (bytes.len == sizeof bits)
        memcpy(&bits, bytes.ptr, sizeof bits);
    bits = le64toh(bits);
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
