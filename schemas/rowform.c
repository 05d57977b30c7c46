#include "schemas/rowform.h"

#include "schemas/digest.h"

#include <string.h>

static const struct sb_digest of_null = {
    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static char unescaped(char letter)
{
    static const char letters[] = "bfnrtv", bytes[] = "\b\f\n\r\t\v";
    const char *at = letter == '\0' ? NULL : strchr(letters, letter);
    return at == NULL ? letter : bytes[at - letters];
}

/* A value in place; returns its length. COPY OUT writes a backslash only before the letters above and before
 * itself (docs: sql-copy, text format). */
static size_t unescape(char *text, size_t len)
{
    size_t out = 0;
    char *first = memchr(text, '\\', len);
    if (first == NULL)
        return len;
    out = (size_t)(first - text);
    for (size_t i = out; i < len; i++) {
        if (text[i] == '\\' && i + 1 < len)
            text[out++] = unescaped(text[++i]);
        else
            text[out++] = text[i];
    }
    return out;
}

bool sb_rowform_split(char *line, size_t len, struct sb_value *ret_values, size_t count)
{
    if (len > 0 && line[len - 1] == '\n')
        len--;
    if (count == 0)
        return len == 0;
    char *at = line, *end = line + len;
    for (size_t i = 0; i < count; i++) {
        char *tab = memchr(at, '\t', (size_t)(end - at));
        if ((tab == NULL) != (i + 1 == count))
            return false;
        size_t width = (size_t)((tab == NULL ? end : tab) - at);
        bool null = width == 2 && at[0] == '\\' && at[1] == 'N';
        ret_values[i] =
            null ? (struct sb_value){.state = SB_COL_NULL}
                 : (struct sb_value){.state = SB_COL_TEXT, .text = sb_view(at, unescape(at, width))};
        at += width + 1;
    }
    return true;
}

struct sb_digest sb_rowform_field(const struct sb_value *value)
{
    switch (value->state) {
    case SB_COL_NULL:
        return of_null;
    case SB_COL_TEXT:
        return sb_hash128(value->text);
    case SB_COL_ABSENT:
    case SB_COL_UNCHANGED:
        break;
    }
    return (struct sb_digest){{0}};
}

bool sb_rowform_is_known(const struct sb_digest *field)
{
    static const struct sb_digest unknown;
    return !sb_digest_eq(field, &unknown);
}

struct sb_digest sb_rowform_row(const struct sb_digest *fields, size_t count)
{
    return sb_hash128(sb_view(fields, count * sizeof *fields));
}

struct sb_digest sb_rowform_column_set(const struct sb_view *columns, size_t count)
{
    struct sb_digest names[SB_COLS_MAX];
    for (size_t i = 0; i < count; i++)
        names[i] = sb_hash128(columns[i]);
    return sb_rowform_row(names, count);
}

bool sb_rowform_put_key(
    const struct sb_value *row, const uint16_t *key_cols, size_t key_count, struct sb_buf *out)
{
    for (size_t i = 0; i < key_count; i++) {
        const struct sb_value *value = &row[key_cols[i]];
        if (value->state != SB_COL_TEXT || value->text.len > UINT32_MAX)
            return false;
        sb_buf_put_u32(out, (uint32_t)value->text.len);
        sb_buf_put_view(out, value->text);
    }
    return !out->failed;
}

bool sb_rowform_key_texts(struct sb_view key, struct sb_view *ret_texts, size_t key_count)
{
    struct sb_cursor cur = sb_cursor(key);
    for (size_t i = 0; i < key_count; i++)
        ret_texts[i] = sb_cursor_bytes(&cur, sb_cursor_u32(&cur));
    return sb_cursor_done(&cur);
}
