#include "tests/wire/dump.h"

#include "capture/pgoutput.h"
#include "pg/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 16 << 20, TEXT_SHOWN = 60 };

/* Of PostgreSQL's pg_type.dat, as far as the topics use them. */
const char *wire_type_name(void *arg, uint32_t oid)
{
    static const struct {
        uint32_t oid;
        const char *name;
    } types[] = {{16, "bool"}, {17, "bytea"}, {19, "name"}, {20, "int8"}, {23, "int4"}, {25, "text"},
        {26, "oid"}, {114, "json"}, {142, "xml"}, {700, "float4"}, {701, "float8"}, {790, "money"},
        {869, "inet"}, {1007, "_int4"}, {1009, "_text"}, {1042, "bpchar"}, {1043, "varchar"}, {1082, "date"},
        {1083, "time"}, {1114, "timestamp"}, {1184, "timestamptz"}, {1186, "interval"}, {1560, "bit"},
        {1700, "numeric"}, {2950, "uuid"}, {3614, "tsvector"}, {3802, "jsonb"}, {3904, "int4range"}};
    (void)arg;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].oid == oid)
            return types[i].name;
    return NULL;
}

/* Quoted, control characters and quotes escaped, long text by its beginning, length and end. */
static void put_text(struct sb_buf *out, struct sb_view text)
{
    bool readable = sb_utf8_valid(text);
    sb_buf_put_str(out, "'");
    for (size_t i = 0; i < text.len; i++) {
        if (text.len > 2 * TEXT_SHOWN && i == TEXT_SHOWN) {
            i = text.len - TEXT_SHOWN / 2;
            sb_buf_putf(out, "'...(%zu bytes)...'", text.len);
        }
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == '\'' || c == '\\' || (c > 0x7e && !readable))
            sb_buf_putf(out, "\\x%02x", c);
        else
            sb_buf_put_u8(out, c);
    }
    sb_buf_put_str(out, "'");
}

static void put_relation(struct sb_buf *out, const struct sb_relation *rel)
{
    sb_buf_put_view(out, rel->schema);
    sb_buf_put_str(out, "|");
    sb_buf_put_view(out, rel->name);
}

static void put_row(
    struct sb_buf *out, const char *noun, const struct sb_relation *rel, const struct sb_value *row)
{
    if (row == NULL)
        return;
    sb_buf_putf(out, " %s(", noun);
    for (size_t i = 0; i < rel->col_count; i++) {
        sb_buf_put_str(out, i == 0 ? "" : ", ");
        switch (row[i].state) {
        case SB_COL_ABSENT:
            sb_buf_put_str(out, "-");
            break;
        case SB_COL_NULL:
            sb_buf_put_str(out, "NULL");
            break;
        case SB_COL_UNCHANGED:
            sb_buf_put_str(out, "UNCHANGED");
            break;
        case SB_COL_TEXT:
            put_text(out, row[i].text);
            break;
        }
    }
    sb_buf_put_str(out, ")");
}

static void put_change(struct sb_buf *out, const struct sb_change *chg)
{
    if (chg->op == SB_OP_TRUNCATE) {
        sb_buf_putf(
            out, "  truncate%s%s", chg->cascade ? " cascade" : "", chg->restart_identity ? " restart" : "");
        for (size_t i = 0; i < chg->truncated_count; i++) {
            sb_buf_put_str(out, " ");
            put_relation(out, chg->truncated[i]);
        }
        return;
    }
    sb_buf_putf(out, "  %s ",
        chg->op == SB_OP_INSERT   ? "insert"
        : chg->op == SB_OP_UPDATE ? "update"
                                  : "delete");
    put_relation(out, chg->rel);
    put_row(out, chg->old_is_key ? "key" : "old", chg->rel, chg->before);
    put_row(out, "new", chg->rel, chg->after);
}

static void put_columns(struct sb_buf *out, const struct sb_relation *rel)
{
    sb_buf_put_str(out, "  relation ");
    put_relation(out, rel);
    sb_buf_putf(out, " identity %c (", rel->identity);
    for (size_t i = 0; i < rel->col_count; i++) {
        const struct sb_column *col = &rel->cols[i];
        sb_buf_put_str(out, i == 0 ? "" : ", ");
        sb_buf_put_str(out, col->key ? "*" : "");
        sb_buf_put_view(out, col->name);
        sb_buf_put_str(out, " ");
        sb_buf_put_view(out, col->type_name);
        if (col->typmod != -1)
            sb_buf_putf(out, "/%d", col->typmod);
    }
    sb_buf_put_str(out, ")");
}

static void put_message(struct sb_buf *out, const struct sb_message *msg, bool transactional)
{
    sb_buf_putf(out, "%smessage ", transactional ? "  " : "non-transactional ");
    sb_buf_put_view(out, msg->prefix);
    sb_buf_put_str(out, " ");
    put_text(out, msg->content);
}

static void put_event(struct sb_buf *out, const struct sb_pgoutput_event *event)
{
    switch (event->kind) {
    case SB_PGOUTPUT_BEGIN:
        sb_buf_put_str(out, "begin");
        break;
    case SB_PGOUTPUT_COMMIT:
        sb_buf_put_str(out, "commit");
        break;
    case SB_PGOUTPUT_ORIGIN:
        sb_buf_put_str(out, "  origin ");
        sb_buf_put_view(out, event->origin.name);
        break;
    case SB_PGOUTPUT_RELATION:
        put_columns(out, event->relation.rel);
        break;
    case SB_PGOUTPUT_TYPE:
        sb_buf_put_str(out, "  type ");
        sb_buf_put_view(out, event->type.name);
        break;
    case SB_PGOUTPUT_CHANGE:
        put_change(out, &event->change);
        break;
    case SB_PGOUTPUT_MESSAGE:
        put_message(out, &event->message.msg, event->message.transactional);
        break;
    case SB_PGOUTPUT_ABORT:
        sb_buf_put_str(out, "abort, ignored");
        break;
    }
    sb_buf_put_str(out, "\n");
}

void wire_dump_change(struct sb_buf *out, const struct sb_change *chg)
{
    put_change(out, chg);
    sb_buf_put_str(out, "\n");
}

void wire_dump_message(struct sb_buf *out, const struct sb_message *msg)
{
    put_message(out, msg, true);
    sb_buf_put_str(out, "\n");
}

int wire_dump(struct sb_view frames, struct sb_buf *out, struct sb_err *err)
{
    struct sb_pgoutput_options options = {.type_name = wire_type_name};
    struct sb_pgoutput *decoder = sb_pgoutput_new(&options);
    struct sb_cursor cur = sb_cursor(frames);
    int rc = decoder == NULL ? sb_err_set(err, SB_E_NO_MEMORY, "no memory") : 0;
    while (rc == 0 && sb_cursor_left(&cur) > 0) {
        struct sb_pgoutput_event event;
        struct sb_view frame = sb_cursor_bytes(&cur, sb_cursor_u32(&cur));
        rc = cur.failed ? sb_err_set(err, SB_E_PROTOCOL, "the recording is cut short")
                        : sb_pgoutput_decode(decoder, frame, &event, err);
        if (rc == 0)
            put_event(out, &event);
    }
    sb_pgoutput_free(decoder);
    return rc;
}

struct sb_view wire_read_file(const char *path)
{
    char *bytes = malloc(FILE_MAX_BYTES);
    FILE *file = fopen(path, "rb");
    size_t len = bytes == NULL || file == NULL ? 0 : fread(bytes, 1, FILE_MAX_BYTES, file);
    if (file != NULL)
        fclose(file);
    return sb_view(bytes, len);
}
