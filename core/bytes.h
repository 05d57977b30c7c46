/*
 * Bytes: a view, a growable buffer, and a cursor that reads.
 *
 * A view shows bytes that somebody else owns; whoever hands one out says whose and until when. A buffer owns
 * its bytes and is born with its maximum. Buffer and cursor are *sticky*: the first failure sets `failed`,
 * after which every call does nothing and reads return zero, so that building or reading a message is written
 * as the protocol is written and checked once at the end. A failed cursor never moved past the end.
 *
 * Integers on the wire are big-endian (network order), here as in PostgreSQL's protocol.
 */
#ifndef SB_CORE_BYTES_H
#define SB_CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Call a release function when the variable leaves its scope. */
#define SB_CLEANUP(fn) __attribute__((cleanup(fn)))

struct sb_view {
    const char *ptr; /* NULL only if len is 0 */
    size_t len;
};

static inline struct sb_view sb_view(const void *ptr, size_t len)
{
    return (struct sb_view){.ptr = ptr, .len = len};
}
struct sb_view sb_view_str(const char *text); /* of a C string, without its NUL; NULL gives an empty view */
bool sb_view_eq(struct sb_view a, struct sb_view b);
bool sb_view_eq_str(struct sb_view a, const char *text);
/* Byte order, shorter first among equal prefixes: <0, 0, >0. */
int sb_view_cmp(struct sb_view a, struct sb_view b);

struct sb_buf {
    char *ptr; /* always NUL-terminated behind len once anything was put; NULL before */
    size_t len;
    size_t cap;
    size_t max;  /* puts beyond it fail */
    bool failed; /* beyond max, or no memory */
};

void sb_buf_init(struct sb_buf *buf, size_t max_bytes);
void sb_buf_clear(struct sb_buf *buf); /* frees; safe on a zeroed one; leaves it usable with the same max */
void sb_buf_reset(struct sb_buf *buf); /* empties, keeps the memory, clears failed */
void sb_buf_put(struct sb_buf *buf, const void *bytes, size_t len);
void sb_buf_put_view(struct sb_buf *buf, struct sb_view view);
void sb_buf_put_str(struct sb_buf *buf, const char *text);
void sb_buf_put_u8(struct sb_buf *buf, uint8_t value);
void sb_buf_put_u16(struct sb_buf *buf, uint16_t value);
void sb_buf_put_u32(struct sb_buf *buf, uint32_t value);
void sb_buf_put_u64(struct sb_buf *buf, uint64_t value);
void sb_buf_putf(struct sb_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for len bytes at the end, counted as used; NULL if failed. Valid until the next put. */
char *sb_buf_grow(struct sb_buf *buf, size_t len);
struct sb_view sb_buf_view(const struct sb_buf *buf); /* valid until the next put, reset or clear */
const char *sb_buf_str(const struct sb_buf *buf);     /* "" if nothing was put */

struct sb_cursor {
    const unsigned char *pos;
    const unsigned char *end;
    bool failed;
};

struct sb_cursor sb_cursor(struct sb_view bytes);
uint8_t sb_cursor_u8(struct sb_cursor *cur);
uint16_t sb_cursor_u16(struct sb_cursor *cur);
uint32_t sb_cursor_u32(struct sb_cursor *cur);
uint64_t sb_cursor_u64(struct sb_cursor *cur);
/* The next len bytes in place: they belong to whoever owns the cursor's bytes. Empty view once failed. */
struct sb_view sb_cursor_bytes(struct sb_cursor *cur, size_t len);
/* Bytes up to the next NUL, which is consumed and not part of the view. No NUL before the end fails. */
struct sb_view sb_cursor_cstr(struct sb_cursor *cur);
size_t sb_cursor_left(const struct sb_cursor *cur);
void sb_cursor_fail(struct sb_cursor *cur);       /* the reader found a value it cannot accept */
bool sb_cursor_done(const struct sb_cursor *cur); /* everything read, nothing failed, nothing left over */

void sb_hex_encode(const void *bytes, size_t len, char *out); /* 2*len characters and a NUL, lower case */
/* Exactly len bytes from 2*len hex digits; false and nothing written if it is anything else. */
bool sb_hex_decode(struct sb_view hex, void *out, size_t len);

#endif
