#include "apply/words.h"

#include <string.h>

struct scanner {
    const char *at, *end;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool begins_ident(char c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_ident(char c)
{
    return begins_ident(c) || is_digit(c) || c == '$';
}

static bool looks_at(const struct scanner *scan, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(scan->end - scan->at) >= len && memcmp(scan->at, text, len) == 0;
}

/* Nested, as the server has them. */
static bool skip_comment(struct scanner *scan)
{
    int depth = 0;
    do {
        if (looks_at(scan, "/*")) {
            depth++;
            scan->at += 2;
        } else if (looks_at(scan, "*/")) {
            depth--;
            scan->at += 2;
        } else if (scan->at++ == scan->end) {
            return false;
        }
    } while (depth > 0);
    return true;
}

static bool skip_blank(struct scanner *scan)
{
    for (;;) {
        if (scan->at < scan->end && is_space(*scan->at)) {
            scan->at++;
        } else if (looks_at(scan, "--")) {
            while (scan->at < scan->end && *scan->at != '\n' && *scan->at != '\r')
                scan->at++;
        } else if (looks_at(scan, "/*")) {
            if (!skip_comment(scan))
                return false;
        } else {
            return true;
        }
    }
}

/* Behind the opening quote. */
static bool skip_quoted(struct scanner *scan, char quote, bool escapes)
{
    while (scan->at < scan->end) {
        char c = *scan->at++;
        if (c == '\\' && escapes && scan->at < scan->end)
            scan->at++;
        else if (c == quote && scan->at < scan->end && *scan->at == quote)
            scan->at++;
        else if (c == quote)
            return true;
    }
    return false;
}

/* $tag$ ... $tag$; one that is none leaves the scanner where it was. */
static bool skip_dollar(struct scanner *scan)
{
    const char *tag = scan->at, *at = tag + 1;
    while (at < scan->end && is_ident(*at) && *at != '$')
        at++;
    if (at == scan->end || *at != '$' || is_digit(tag[1]))
        return false;
    size_t len = (size_t)(at + 1 - tag);
    for (at += 1; (size_t)(scan->end - at) >= len; at++) {
        if (memcmp(at, tag, len) == 0) {
            scan->at = at + len;
            return true;
        }
    }
    return false;
}

static bool next_word(struct scanner *scan, struct sb_word *ret_word)
{
    const char *begin = scan->at;
    bool whole = true;
    enum sb_word_kind kind = SB_WORD_SIGN;
    if (lower(*begin) == 'e' && begin + 1 < scan->end && begin[1] == '\'') {
        kind = SB_WORD_STRING;
        scan->at += 2;
        whole = skip_quoted(scan, '\'', true);
    } else if (*begin == '\'' || *begin == '"') {
        kind = *begin == '"' ? SB_WORD_QUOTED : SB_WORD_STRING;
        scan->at++;
        whole = skip_quoted(scan, *begin, false);
    } else if (*begin == '$') {
        kind = SB_WORD_STRING;
        whole = skip_dollar(scan);
    } else if (begins_ident(*begin)) {
        kind = SB_WORD_PLAIN;
        while (scan->at < scan->end && is_ident(*scan->at))
            scan->at++;
    } else if (is_digit(*begin)) {
        kind = SB_WORD_NUMBER;
        while (scan->at < scan->end && (is_ident(*scan->at) || *scan->at == '.'))
            scan->at++;
    } else {
        scan->at += looks_at(scan, "::") ? 2 : 1;
    }
    *ret_word = (struct sb_word){.kind = kind, .text = sb_view(begin, (size_t)(scan->at - begin))};
    return whole;
}

bool sb_words_read(struct sb_view sql, struct sb_arena *arena, struct sb_words *ret_words)
{
    struct scanner scan = {.at = sql.ptr, .end = sql.ptr + sql.len};
    size_t cap = sql.len < SB_WORDS_MAX ? sql.len : SB_WORDS_MAX, count = 0;
    struct sb_word *items = sb_arena_alloc(arena, (cap + 1) * sizeof *items);
    if (items == NULL || !skip_blank(&scan))
        return false;
    while (scan.at < scan.end) {
        if (count == cap || !next_word(&scan, &items[count++]) || !skip_blank(&scan))
            return false;
    }
    *ret_words = (struct sb_words){.items = items, .count = count};
    return true;
}

/* -- questions ------------------------------------------------------------------------------------------- */

static bool is_text(const struct sb_word *word, const char *text, size_t len)
{
    if ((word->kind != SB_WORD_PLAIN && word->kind != SB_WORD_SIGN) || word->text.len != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (lower(word->text.ptr[i]) != text[i])
            return false;
    return true;
}

bool sb_words_at(const struct sb_words *words, size_t at, const char *text)
{
    return at < words->count && is_text(&words->items[at], text, strlen(text));
}

size_t sb_words_run(const struct sb_words *words, size_t at, const char *text)
{
    size_t count = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (at + count >= words->count || !is_text(&words->items[at + count], text, len))
            return 0;
        count++;
        text += len + (text[len] == ' ');
    }
    return count;
}

bool sb_words_is_ident(const struct sb_words *words, size_t at)
{
    return at < words->count &&
           (words->items[at].kind == SB_WORD_PLAIN || words->items[at].kind == SB_WORD_QUOTED);
}

bool sb_words_names(const struct sb_words *words, size_t at, struct sb_view name)
{
    if (!sb_words_is_ident(words, at))
        return false;
    const struct sb_word *word = &words->items[at];
    bool quoted = word->kind == SB_WORD_QUOTED;
    size_t i = quoted, end = word->text.len - quoted, n = 0;
    for (; i < end; i++, n++) {
        char c = word->text.ptr[i];
        if (n == name.len || (quoted ? c : lower(c)) != name.ptr[n])
            return false;
        i += quoted && c == '"'; /* doubled inside */
    }
    return n == name.len;
}
