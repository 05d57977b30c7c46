/*
 * capture/pgoutput under any bytes. Input as in the wire corpora: u32 length and frame, as often as there
 * are; a length past the end takes what is left. What comes out is read to its last byte, so that a view
 * beyond the frame does not go unseen, and what the header promises of an event is checked.
 */
#include "capture/pgoutput.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static volatile unsigned sink;

static void must(bool promise)
{
    if (!promise)
        abort();
}

static void read_view(struct sb_view view)
{
    unsigned sum = 0;
    for (size_t i = 0; i < view.len; i++)
        sum += (unsigned char)view.ptr[i];
    sink = sink + sum;
}

static void read_row(const struct sb_relation *rel, const struct sb_value *row, bool old, bool key)
{
    for (size_t i = 0; row != NULL && i < rel->col_count; i++) {
        must(row[i].state == SB_COL_TEXT || row[i].text.len == 0);
        must(row[i].state != SB_COL_UNCHANGED || !old);
        must(row[i].state != SB_COL_ABSENT || (key && !rel->cols[i].key));
        read_view(row[i].text);
    }
}

static void read_relation(const struct sb_relation *rel)
{
    must(rel->col_count <= SB_COLS_MAX);
    read_view(rel->schema);
    read_view(rel->name);
    for (size_t i = 0; i < rel->col_count; i++) {
        read_view(rel->cols[i].name);
        read_view(rel->cols[i].type_name);
    }
}

static void read_change(const struct sb_change *chg)
{
    if (chg->op == SB_OP_TRUNCATE) {
        must(chg->rel == NULL && chg->truncated_count > 0);
        for (size_t i = 0; i < chg->truncated_count; i++)
            read_relation(chg->truncated[i]);
        return;
    }
    must((chg->after == NULL) == (chg->op == SB_OP_DELETE));
    must(chg->before != NULL || chg->op != SB_OP_DELETE);
    read_row(chg->rel, chg->before, true, chg->old_is_key);
    read_row(chg->rel, chg->after, false, false);
}

static void read_event(const struct sb_pgoutput_event *event)
{
    switch (event->kind) {
    case SB_PGOUTPUT_CHANGE:
        read_change(&event->change);
        break;
    case SB_PGOUTPUT_RELATION:
        read_relation(event->relation.rel);
        if (event->relation.old != NULL)
            read_relation(event->relation.old);
        break;
    case SB_PGOUTPUT_MESSAGE:
        read_view(event->message.msg.prefix);
        read_view(event->message.msg.content);
        break;
    case SB_PGOUTPUT_ORIGIN:
        read_view(event->origin.name);
        break;
    case SB_PGOUTPUT_TYPE:
        read_view(event->type.name);
        break;
    case SB_PGOUTPUT_BEGIN:
    case SB_PGOUTPUT_COMMIT:
    case SB_PGOUTPUT_ABORT:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sb_pgoutput_options options = {.any_encoding = len % 2 == 1};
    struct sb_pgoutput *decoder = sb_pgoutput_new(&options);
    struct sb_cursor cur = sb_cursor(sb_view(data, len));
    struct sb_err err = {0};
    bool failed = false;
    must(decoder != NULL);
    while (sb_cursor_left(&cur) >= sizeof(uint32_t)) {
        uint32_t want = sb_cursor_u32(&cur);
        size_t left = sb_cursor_left(&cur);
        struct sb_view frame = sb_cursor_bytes(&cur, want < left ? want : left);
        struct sb_pgoutput_event event;
        int rc = sb_pgoutput_decode(decoder, frame, &event, &err);
        must(rc == 0 || (rc == -1 && err.code != SB_OK));
        must(rc == -1 || !failed); /* sticky */
        failed = rc != 0;
        if (!failed)
            read_event(&event);
    }
    sb_pgoutput_free(decoder);
    return 0;
}
