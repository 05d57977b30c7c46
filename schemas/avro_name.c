#include "schemas/avro_name.h"

static bool name_letter(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool name_plain(struct sb_view name, size_t i)
{
    unsigned char byte = (unsigned char)name.ptr[i];
    if (byte == '_')
        return i + 1 == name.len || name.ptr[i + 1] != 'x';
    return name_letter(byte) || (i > 0 && byte >= '0' && byte <= '9');
}

void sb_avro_name_put(struct sb_buf *buf, struct sb_view name)
{
    if (name.len == 0)
        sb_buf_put_str(buf, "_x");
    for (size_t i = 0; i < name.len; i++) {
        if (name_plain(name, i)) {
            sb_buf_put(buf, name.ptr + i, 1);
        } else {
            char hex[3];
            sb_hex_encode(name.ptr + i, 1, hex);
            sb_buf_put_str(buf, "_x");
            sb_buf_put(buf, hex, 2);
        }
    }
}

bool sb_avro_name_read(struct sb_view text, struct sb_buf *buf)
{
    size_t from = buf->len;
    if (!sb_view_eq_str(text, "_x")) {
        for (size_t i = 0; i < text.len; i++) {
            char byte = text.ptr[i];
            if (byte == '_' && i + 1 < text.len && text.ptr[i + 1] == 'x') {
                if (text.len - i < 4 || !sb_hex_decode(sb_view(text.ptr + i + 2, 2), &byte, 1))
                    byte = 0; /* the comparison below fails */
                i += 3;
            }
            sb_buf_put(buf, &byte, 1);
        }
    }
    /* Only the one spelling that writing gives is right: it also settles hex case and needless escapes. */
    struct sb_buf again SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&again, buf->max);
    if (!buf->failed)
        sb_avro_name_put(&again, sb_view(buf->ptr + from, buf->len - from));
    if (buf->failed || again.failed || !sb_view_eq(sb_buf_view(&again), text)) {
        buf->len = from;
        return false;
    }
    return true;
}
