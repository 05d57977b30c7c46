#include "core/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sb_view sb_view_str(const char *text)
{
    return sb_view(text, text == NULL ? 0 : strlen(text));
}

bool sb_view_eq(struct sb_view a, struct sb_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool sb_view_eq_str(struct sb_view a, const char *text)
{
    return sb_view_eq(a, sb_view_str(text));
}

int sb_view_cmp(struct sb_view a, struct sb_view b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* -- growable buffer
 * ----------------------------------------------------------------------------------------- */

void sb_buf_init(struct sb_buf *buf, size_t max_bytes)
{
    *buf = (struct sb_buf){.max = max_bytes};
}

void sb_buf_clear(struct sb_buf *buf)
{
    free(buf->ptr);
    *buf = (struct sb_buf){.max = buf->max};
}

void sb_buf_reset(struct sb_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->ptr != NULL)
        buf->ptr[0] = '\0';
}

char *sb_buf_grow(struct sb_buf *buf, size_t len)
{
    if (buf->failed || len > buf->max || buf->len > buf->max - len) {
        buf->failed = true;
        return NULL;
    }
    size_t need = buf->len + len + 1;
    if (need > buf->cap) {
        size_t cap = buf->cap < 64 ? 64 : buf->cap;
        while (cap < need)
            cap = cap > buf->max ? need : cap * 2;
        char *ptr = realloc(buf->ptr, cap);
        if (ptr == NULL) {
            buf->failed = true;
            return NULL;
        }
        buf->ptr = ptr;
        buf->cap = cap;
    }
    char *room = buf->ptr + buf->len;
    buf->len += len;
    buf->ptr[buf->len] = '\0';
    return room;
}

void sb_buf_put(struct sb_buf *buf, const void *bytes, size_t len)
{
    char *room = sb_buf_grow(buf, len);
    if (room != NULL && len > 0)
        memcpy(room, bytes, len);
}

void sb_buf_put_view(struct sb_buf *buf, struct sb_view view)
{
    sb_buf_put(buf, view.ptr, view.len);
}

void sb_buf_put_str(struct sb_buf *buf, const char *text)
{
    sb_buf_put(buf, text, strlen(text));
}

static void buf_put_be(struct sb_buf *buf, uint64_t value, size_t width)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (unsigned char)(value >> (8 * (width - 1 - i)));
    sb_buf_put(buf, bytes, width);
}

void sb_buf_put_u8(struct sb_buf *buf, uint8_t value)
{
    buf_put_be(buf, value, 1);
}

void sb_buf_put_u16(struct sb_buf *buf, uint16_t value)
{
    buf_put_be(buf, value, 2);
}

void sb_buf_put_u32(struct sb_buf *buf, uint32_t value)
{
    buf_put_be(buf, value, 4);
}

void sb_buf_put_u64(struct sb_buf *buf, uint64_t value)
{
    buf_put_be(buf, value, 8);
}

void sb_buf_putf(struct sb_buf *buf, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *room = len < 0 ? NULL : sb_buf_grow(buf, (size_t)len);
    if (room != NULL)
        vsnprintf(room, (size_t)len + 1, fmt, again);
    va_end(again);
    if (len < 0)
        buf->failed = true;
}

struct sb_view sb_buf_view(const struct sb_buf *buf)
{
    return sb_view(buf->ptr, buf->len);
}

const char *sb_buf_str(const struct sb_buf *buf)
{
    return buf->ptr == NULL ? "" : buf->ptr;
}

/* -- cursor
 * -------------------------------------------------------------------------------------------------- */

struct sb_cursor sb_cursor(struct sb_view bytes)
{
    static const unsigned char nothing[1];
    const unsigned char *pos = bytes.ptr == NULL ? nothing : (const unsigned char *)bytes.ptr;
    return (struct sb_cursor){.pos = pos, .end = pos + bytes.len};
}

size_t sb_cursor_left(const struct sb_cursor *cur)
{
    return cur->failed ? 0 : (size_t)(cur->end - cur->pos);
}

static const unsigned char *cursor_take(struct sb_cursor *cur, size_t len)
{
    if (len > sb_cursor_left(cur) || cur->failed) {
        cur->failed = true;
        return NULL;
    }
    const unsigned char *at = cur->pos;
    cur->pos += len;
    return at;
}

static uint64_t cursor_be(struct sb_cursor *cur, size_t width)
{
    const unsigned char *at = cursor_take(cur, width);
    uint64_t value = 0;
    for (size_t i = 0; at != NULL && i < width; i++)
        value = value << 8 | at[i];
    return value;
}

uint8_t sb_cursor_u8(struct sb_cursor *cur)
{
    return (uint8_t)cursor_be(cur, 1);
}

uint16_t sb_cursor_u16(struct sb_cursor *cur)
{
    return (uint16_t)cursor_be(cur, 2);
}

uint32_t sb_cursor_u32(struct sb_cursor *cur)
{
    return (uint32_t)cursor_be(cur, 4);
}

uint64_t sb_cursor_u64(struct sb_cursor *cur)
{
    return cursor_be(cur, 8);
}

struct sb_view sb_cursor_bytes(struct sb_cursor *cur, size_t len)
{
    const unsigned char *at = cursor_take(cur, len);
    return at == NULL ? sb_view(NULL, 0) : sb_view(at, len);
}

struct sb_view sb_cursor_cstr(struct sb_cursor *cur)
{
    size_t left = sb_cursor_left(cur);
    const unsigned char *nul = left == 0 ? NULL : memchr(cur->pos, 0, left);
    if (nul == NULL) {
        cur->failed = true;
        return sb_view(NULL, 0);
    }
    struct sb_view text = sb_view(cur->pos, (size_t)(nul - cur->pos));
    cur->pos = nul + 1;
    return text;
}

void sb_cursor_fail(struct sb_cursor *cur)
{
    cur->failed = true;
}

bool sb_cursor_done(const struct sb_cursor *cur)
{
    return !cur->failed && cur->pos == cur->end;
}

/* -- hex
 * ----------------------------------------------------------------------------------------------------- */

void sb_hex_encode(const void *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = bytes;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool sb_hex_decode(struct sb_view hex, void *out, size_t len)
{
    if (hex.len != 2 * len)
        return false;
    for (size_t i = 0; i < hex.len; i++)
        if (hex_digit(hex.ptr[i]) < 0)
            return false;
    for (size_t i = 0; i < len; i++)
        ((unsigned char *)out)[i] =
            (unsigned char)(hex_digit(hex.ptr[2 * i]) << 4 | hex_digit(hex.ptr[2 * i + 1]));
    return true;
}
