#include "pg/ident.h"

#include <string.h>

/* -- UTF-8 ----------------------------------------------------------------------------------------------- */

/* Length of the character at the start of bytes (RFC 3629: no surrogates, no overlong forms, at most
 * U+10FFFF); 0 if there is none. */
static size_t utf8_char(const unsigned char *bytes, size_t left)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high;
        size_t len;
    } forms[] = {
        {0x01, 0x7f, 0, 0, 1}, /* a NUL is no character of a PostgreSQL text */
        {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3},
        {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (bytes[0] < forms[i].first_low || bytes[0] > forms[i].first_high)
            continue;
        if (left < forms[i].len)
            return 0;
        if (forms[i].len > 1 && (bytes[1] < forms[i].second_low || bytes[1] > forms[i].second_high))
            return 0;
        for (size_t at = 2; at < forms[i].len; at++) {
            if (bytes[at] < 0x80 || bytes[at] > 0xbf)
                return 0;
        }
        return forms[i].len;
    }
    return 0;
}

void sb_array_put(struct sb_buf *array, const struct sb_view *text)
{
    sb_buf_put_str(array, array->len == 0 ? "{" : ",");
    if (text == NULL) {
        sb_buf_put_str(array, "NULL");
        return;
    }
    sb_buf_put_u8(array, '"');
    for (size_t i = 0; i < text->len; i++) {
        if (text->ptr[i] == '"' || text->ptr[i] == '\\')
            sb_buf_put_u8(array, '\\');
        sb_buf_put_u8(array, (uint8_t)text->ptr[i]);
    }
    sb_buf_put_u8(array, '"');
}

void sb_array_end(struct sb_buf *array)
{
    sb_buf_put_str(array, array->len == 0 ? "{}" : "}");
}

bool sb_utf8_valid(struct sb_view text)
{
    for (size_t at = 0; at < text.len;) {
        size_t len = utf8_char((const unsigned char *)text.ptr + at, text.len - at);
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

/* -- quoting --------------------------------------------------------------------------------------------- */

static void put_doubling(struct sb_buf *sql, struct sb_view text, const char *doubled)
{
    /* Bytes that are no UTF-8 could swallow the closing quote on the server: they never get into a statement.
     */
    if (!sb_utf8_valid(text)) {
        sql->failed = true;
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(doubled, text.ptr[i]) != NULL)
            sb_buf_put(sql, &text.ptr[i], 1);
        sb_buf_put(sql, &text.ptr[i], 1);
    }
}

void sb_ident_put(struct sb_buf *sql, struct sb_view ident)
{
    sb_buf_put_str(sql, "\"");
    put_doubling(sql, ident, "\"");
    sb_buf_put_str(sql, "\"");
}

void sb_ident_put_table(struct sb_buf *sql, struct sb_view schema, struct sb_view name)
{
    sb_ident_put(sql, schema);
    sb_buf_put_str(sql, ".");
    sb_ident_put(sql, name);
}

void sb_literal_put(struct sb_buf *sql, struct sb_view text)
{
    /* The E form means the same whatever standard_conforming_strings says. */
    bool escapes = text.len > 0 && memchr(text.ptr, '\\', text.len) != NULL;
    sb_buf_put_str(sql, escapes ? "E'" : "'");
    put_doubling(sql, text, escapes ? "'\\" : "'");
    sb_buf_put_str(sql, "'");
}

/* -- patterns -------------------------------------------------------------------------------------------- */

struct half {
    const char *text; /* between the quotes, if quoted */
    size_t len;
    bool quoted;
};

/* Splits off one half; NULL if there is none, else what follows it. */
static const char *half_take(const char *pattern, struct half *ret_half)
{
    if (pattern[0] != '"') {
        size_t len = strcspn(pattern, ".\"");
        *ret_half = (struct half){.text = pattern, .len = len};
        return len == 0 ? NULL : pattern + len;
    }
    const char *at = pattern + 1;
    while (*at != '\0' && (*at != '"' || at[1] == '"'))
        at += *at == '"' ? 2 : 1;
    *ret_half = (struct half){.text = pattern + 1, .len = (size_t)(at - pattern - 1), .quoted = true};
    return *at == '\0' || ret_half->len == 0 ? NULL : at + 1;
}

static bool pattern_split(const char *pattern, struct half *ret_schema, struct half *ret_name)
{
    const char *rest = half_take(pattern, ret_schema);
    if (rest == NULL || *rest != '.')
        return false;
    rest = half_take(rest + 1, ret_name);
    return rest != NULL && *rest == '\0';
}

static bool quoted_match(const struct half *half, struct sb_view text)
{
    size_t used = 0;
    for (size_t i = 0; i < half->len; i++) {
        if (used == text.len || text.ptr[used++] != half->text[i])
            return false;
        if (half->text[i] == '"')
            i++; /* written twice */
    }
    return used == text.len;
}

static size_t char_len(struct sb_view text, size_t at)
{
    size_t len = utf8_char((const unsigned char *)text.ptr + at, text.len - at);
    return len == 0 ? 1 : len;
}

/* Time is at most the product of both lengths: only the newest star is ever widened. */
static bool glob_match(const struct half *half, struct sb_view text)
{
    size_t at = 0, used = 0, star = SIZE_MAX, star_used = 0;
    while (used < text.len) {
        if (at < half->len && half->text[at] == '*') {
            star = at++;
            star_used = used;
        } else if (at < half->len && half->text[at] == '?') {
            at++;
            used += char_len(text, used);
        } else if (at < half->len && half->text[at] == text.ptr[used]) {
            at++;
            used++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            star_used += char_len(text, star_used);
            used = star_used;
        } else {
            return false;
        }
    }
    while (at < half->len && half->text[at] == '*')
        at++;
    return at == half->len;
}

static bool half_match(const struct half *half, struct sb_view text)
{
    return half->quoted ? quoted_match(half, text) : glob_match(half, text);
}

bool sb_pattern_valid(const char *pattern)
{
    struct half schema, name;
    return sb_utf8_valid(sb_view_str(pattern)) && pattern_split(pattern, &schema, &name);
}

bool sb_pattern_match(const char *pattern, struct sb_view schema, struct sb_view name)
{
    struct half schema_half, name_half;
    return pattern_split(pattern, &schema_half, &name_half) && half_match(&schema_half, schema) &&
           half_match(&name_half, name);
}
