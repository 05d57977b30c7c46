#include "schemas/jsonform.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 512 };

struct reader {
    const char *pos, *end;
    struct sb_buf *out;
    int depth;
};

struct member {
    size_t at, len, name_len; /* in the form, without a comma */
};

static bool value(struct reader *reader);

static void blanks(struct reader *reader)
{
    while (reader->pos < reader->end && memchr(" \t\n\r", *reader->pos, 4) != NULL)
        reader->pos++;
}

static bool next_is(struct reader *reader, char letter)
{
    blanks(reader);
    return reader->pos < reader->end && *reader->pos == letter;
}

static bool take(struct reader *reader, char letter)
{
    if (!next_is(reader, letter))
        return false;
    reader->pos++;
    return true;
}

static bool string(struct reader *reader)
{
    const char *from = reader->pos;
    if (!take(reader, '"'))
        return false;
    from = reader->pos - 1;
    while (reader->pos < reader->end && *reader->pos != '"')
        reader->pos += *reader->pos == '\\' ? 2 : 1;
    if (reader->pos >= reader->end)
        return false;
    reader->pos++;
    sb_buf_put(reader->out, from, (size_t)(reader->pos - from));
    return true;
}

/* A number, true, false, null: as it is written. */
static bool word(struct reader *reader)
{
    const char *from = reader->pos;
    while (reader->pos < reader->end && memchr(" \t\n\r,:[]{}\"", *reader->pos, 11) == NULL)
        reader->pos++;
    sb_buf_put(reader->out, from, (size_t)(reader->pos - from));
    return reader->pos > from;
}

static bool array(struct reader *reader)
{
    take(reader, '[');
    sb_buf_put_u8(reader->out, '[');
    for (bool first = true; !next_is(reader, ']'); first = false) {
        if (!first && !take(reader, ','))
            return false;
        sb_buf_put_str(reader->out, first ? "" : ",");
        if (!value(reader))
            return false;
    }
    sb_buf_put_u8(reader->out, ']');
    return take(reader, ']');
}

/* -- objects --------------------------------------------------------------------------------------------- */

static _Thread_local const char *sorted; /* the form that qsort's members lie in */

static int by_name(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    int order =
        sb_view_cmp(sb_view(sorted + left->at, left->name_len), sb_view(sorted + right->at, right->name_len));
    return order != 0 ? order : (left->at > right->at) - (left->at < right->at);
}

static bool member(struct reader *reader, struct sb_buf *members)
{
    struct member found = {.at = reader->out->len};
    if (!string(reader))
        return false;
    found.name_len = reader->out->len - found.at;
    if (!take(reader, ':'))
        return false;
    sb_buf_put_u8(reader->out, ':');
    if (!value(reader))
        return false;
    found.len = reader->out->len - found.at;
    sb_buf_put(members, &found, sizeof found);
    return !members->failed && !reader->out->failed;
}

/* The members in the order of their names, in the place where they lie one behind the other. */
static bool arrange(struct sb_buf *out, size_t from, struct sb_buf *members)
{
    size_t count = members->len / sizeof(struct member), len = out->len - from;
    struct member *items = (void *)members->ptr;
    char *copy = malloc(len + 1);
    if (copy == NULL)
        return false;
    if (count > 0) {
        sorted = out->ptr;
        qsort(items, count, sizeof *items, by_name);
        memcpy(copy, out->ptr + from, len);
    }
    out->len = from;
    for (size_t i = 0; i < count; i++) {
        sb_buf_put_str(out, i == 0 ? "" : ",");
        sb_buf_put(out, copy + (items[i].at - from), items[i].len);
    }
    free(copy);
    return true;
}

static bool members_take(struct reader *reader, struct sb_buf *members)
{
    size_t from = reader->out->len;
    for (bool first = true; !next_is(reader, '}'); first = false)
        if ((!first && !take(reader, ',')) || !next_is(reader, '"') || !member(reader, members))
            return false;
    return take(reader, '}') && arrange(reader->out, from, members);
}

static bool object(struct reader *reader)
{
    struct sb_buf members;
    sb_buf_init(&members, reader->out->max);
    take(reader, '{');
    sb_buf_put_u8(reader->out, '{');
    bool done = members_take(reader, &members);
    sb_buf_put_u8(reader->out, '}');
    sb_buf_clear(&members);
    return done;
}

static bool value(struct reader *reader)
{
    bool done;
    if (++reader->depth > DEPTH_MAX)
        return false;
    if (next_is(reader, '{'))
        done = object(reader);
    else if (next_is(reader, '['))
        done = array(reader);
    else if (next_is(reader, '"'))
        done = string(reader);
    else
        done = word(reader);
    reader->depth--;
    return done && !reader->out->failed;
}

bool sb_jsonform_put(struct sb_view text, struct sb_buf *out)
{
    struct reader reader = {.pos = text.ptr, .end = text.ptr + text.len, .out = out};
    if (text.len == 0 || !value(&reader))
        return false;
    blanks(&reader);
    return reader.pos == reader.end;
}
