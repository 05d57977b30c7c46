#include "schemas/signal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { HEARTBEAT_WORDS = 3, CANARY_WORDS = 5 };

static const char *const prefixes[] = {
    [SB_SIGNAL_NONE] = NULL,
    [SB_SIGNAL_HEARTBEAT] = "switchback.heartbeat",
    [SB_SIGNAL_CANARY] = "switchback.canary",
    [SB_SIGNAL_ECHO] = "switchback.echo",
    [SB_SIGNAL_FLUSH] = "switchback.flush",
    [SB_SIGNAL_DDL] = "switchback.ddl",
    [SB_SIGNAL_IMAGE] = "switchback.image",
};

const char *sb_signal_prefix(enum sb_signal_kind kind)
{
    return prefixes[kind];
}

static enum sb_signal_kind kind_of(struct sb_view prefix)
{
    for (int kind = SB_SIGNAL_HEARTBEAT; kind <= SB_SIGNAL_IMAGE; kind++) {
        if (sb_view_eq_str(prefix, prefixes[kind]))
            return (enum sb_signal_kind)kind;
    }
    return SB_SIGNAL_NONE;
}

/* The first word of *rest, which begins behind it and its space afterwards. Empty: there is none. */
static struct sb_view next_word(struct sb_view *rest)
{
    struct sb_view word = *rest;
    const char *space = rest->len == 0 ? NULL : memchr(rest->ptr, ' ', rest->len);
    if (space == NULL) {
        *rest = sb_view("", 0);
        return word;
    }
    word.len = (size_t)(space - rest->ptr);
    *rest = sb_view(space + 1, rest->len - word.len - 1);
    return word;
}

/* As it was written: no sign, no leading zero, so that equal signals have equal bytes. */
static bool read_number(struct sb_view word, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (word.len == 0 || (word.ptr[0] == '0' && word.len > 1))
        return false;
    for (size_t i = 0; i < word.len; i++) {
        unsigned digit = (unsigned char)word.ptr[i] - (unsigned)'0';
        if (digit > 9 || number > (max - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_number = number;
    return true;
}

static bool read_words(struct sb_view content, int count, struct sb_signal *signal)
{
    struct sb_view words[CANARY_WORDS], rest = content;
    uint64_t sent_us = 0;
    /* A space at the end leaves nothing to read, and one word too few or too many. */
    if (content.len == 0 || content.len >= SB_SIGNAL_BYTES || content.ptr[content.len - 1] == ' ')
        return false;
    for (int i = 0; i < count; i++) {
        words[i] = next_word(&rest);
        if (words[i].len == 0)
            return false;
    }
    if (rest.len > 0 || !read_number(words[2], UINT64_MAX, &signal->epoch))
        return false;
    if (count == CANARY_WORDS &&
        (!read_number(words[3], UINT64_MAX, &signal->number) || !read_number(words[4], INT64_MAX, &sent_us)))
        return false;
    signal->migration = words[0];
    signal->direction = words[1];
    signal->sent_us = (int64_t)sent_us;
    return true;
}

struct sb_signal sb_signal_read(const struct sb_message *msg)
{
    struct sb_signal signal = {.kind = kind_of(msg->prefix)};
    if (signal.kind == SB_SIGNAL_DDL || signal.kind == SB_SIGNAL_IMAGE)
        signal.body = msg->content;
    if (signal.kind == SB_SIGNAL_DDL || signal.kind == SB_SIGNAL_IMAGE || signal.kind == SB_SIGNAL_FLUSH)
        return signal;
    int count = signal.kind == SB_SIGNAL_HEARTBEAT ? HEARTBEAT_WORDS : CANARY_WORDS;
    if (signal.kind == SB_SIGNAL_NONE || !read_words(msg->content, count, &signal))
        return (struct sb_signal){.kind = SB_SIGNAL_NONE};
    return signal;
}

bool sb_signal_write(const struct sb_signal *signal, char ret_content[SB_SIGNAL_BYTES])
{
    int len = snprintf(ret_content, SB_SIGNAL_BYTES, "%.*s %.*s %" PRIu64, (int)signal->migration.len,
        signal->migration.ptr, (int)signal->direction.len, signal->direction.ptr, signal->epoch);
    if (len > 0 && len < SB_SIGNAL_BYTES && signal->kind != SB_SIGNAL_HEARTBEAT)
        len += snprintf(ret_content + len, (size_t)(SB_SIGNAL_BYTES - len), " %" PRIu64 " %" PRId64,
            signal->number, signal->sent_us);
    return len > 0 && len < SB_SIGNAL_BYTES;
}
