/* Reading rows: one pass over the body, each value copied once, into the arena. */
#include "schemas/codec.h"

#include "schemas/avro_bytes.h"
#include "schemas/codec_parts.h"
#include "schemas/twin.h"

#include <inttypes.h>

struct reader {
    struct sb_cursor cur;
    struct sb_arena *arena;
    const struct sb_shape *shape;
    size_t column; /* the newest that was begun, for the error */
    bool full;     /* the arena is */
};

static char *take_text(struct reader *reader, size_t len)
{
    char *room = sb_arena_alloc(reader->arena, len + 1);
    if (room == NULL) {
        reader->full = true;
        sb_cursor_fail(&reader->cur);
        return NULL;
    }
    room[len] = '\0';
    return room;
}

static void keep_text(struct reader *reader, struct sb_view text, struct sb_value *value)
{
    char *room = reader->cur.failed ? NULL : take_text(reader, text.len);
    if (room == NULL)
        return;
    if (text.len > 0)
        memcpy(room, text.ptr, text.len);
    value->text = sb_view(room, text.len);
}

/* A NUL inside would end the text early on its way into the target. */
static void read_text(struct reader *reader, struct sb_value *value)
{
    struct sb_view text = sb_avro_get_bytes(&reader->cur);
    if (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL)
        sb_cursor_fail(&reader->cur);
    keep_text(reader, text, value);
}

static void read_text_record(struct reader *reader, struct sb_value *value)
{
    int64_t branch = sb_avro_get_long(&reader->cur);
    if (branch != 0 && branch != 1)
        sb_cursor_fail(&reader->cur);
    read_text(reader, value);
}

static void keep_scalar(struct reader *reader, const char *text, size_t len, struct sb_value *value)
{
    if (len == 0)
        sb_cursor_fail(&reader->cur); /* beyond the twin's range */
    keep_text(reader, sb_view(text, len), value);
}

static void read_bytea(struct reader *reader, struct sb_value *value)
{
    struct sb_view bytes = sb_avro_get_bytes(&reader->cur);
    size_t len = 2 + 2 * bytes.len;
    char *room = reader->cur.failed ? NULL : take_text(reader, len);
    if (room == NULL)
        return;
    sb_twin_format_bytea(bytes, room);
    value->text = sb_view(room, len);
}

static void read_twin(struct reader *reader, enum sb_twin twin, struct sb_value *value)
{
    char text[SB_TWIN_TEXT_BYTES];
    int64_t whole;
    double real;
    switch (twin) {
    case SB_TWIN_TEXT:
        read_text(reader, value);
        return;
    case SB_TWIN_BOOL:
        whole = sb_avro_get_boolean(&reader->cur);
        keep_scalar(reader, text, sb_twin_format_long(twin, whole, text), value);
        return;
    case SB_TWIN_INT2:
    case SB_TWIN_INT4:
    case SB_TWIN_INT8:
    case SB_TWIN_DATE:
    case SB_TWIN_TIMESTAMP:
    case SB_TWIN_TIMESTAMPTZ:
        whole = sb_avro_get_long(&reader->cur);
        keep_scalar(reader, text, sb_twin_format_long(twin, whole, text), value);
        return;
    case SB_TWIN_FLOAT4:
        real = sb_avro_get_float(&reader->cur);
        keep_scalar(reader, text, sb_twin_format_double(twin, real, text), value);
        return;
    case SB_TWIN_FLOAT8:
        real = sb_avro_get_double(&reader->cur);
        keep_scalar(reader, text, sb_twin_format_double(twin, real, text), value);
        return;
    case SB_TWIN_BYTEA:
        read_bytea(reader, value);
        return;
    case SB_TWIN_UUID:
        read_text(reader, value);
        if (!sb_twin_is_uuid(value->text))
            sb_cursor_fail(&reader->cur);
        return;
    case SB_TWIN_COUNT:
        break;
    }
    sb_cursor_fail(&reader->cur);
}

static void read_column(struct reader *reader, enum sb_twin twin, struct sb_value *value)
{
    *value = (struct sb_value){.state = SB_COL_TEXT};
    switch (sb_avro_get_long(&reader->cur)) {
    case SB_BRANCH_NULL:
        value->state = SB_COL_NULL;
        break;
    case SB_BRANCH_TWIN:
        read_twin(reader, twin, value);
        break;
    case SB_BRANCH_TEXT:
        if (twin == SB_TWIN_TEXT)
            read_text(reader, value);
        else
            read_text_record(reader, value);
        break;
    case SB_BRANCH_UNCHANGED:
        value->state = SB_COL_UNCHANGED;
        if (sb_avro_get_long(&reader->cur) != 0)
            sb_cursor_fail(&reader->cur);
        break;
    default:
        sb_cursor_fail(&reader->cur);
        break;
    }
}

/* NULL once failed. */
static const struct sb_value *read_row(struct reader *reader, bool key_only)
{
    const struct sb_shape *shape = reader->shape;
    size_t count = shape->rel.col_count;
    if (reader->cur.failed)
        return NULL;
    struct sb_value *row = sb_arena_alloc(reader->arena, count * sizeof *row);
    if (row == NULL) {
        reader->full = true;
        sb_cursor_fail(&reader->cur);
        return NULL;
    }
    for (size_t i = 0; i < count && !reader->cur.failed; i++) {
        reader->column = i;
        if (key_only && !shape->rel.cols[i].key)
            row[i] = (struct sb_value){.state = SB_COL_ABSENT};
        else
            read_column(reader, (enum sb_twin)shape->twins[i], &row[i]);
    }
    return row;
}

static void read_rows(struct reader *reader, struct sb_change *chg)
{
    int64_t branch = sb_avro_get_long(&reader->cur);
    chg->old_is_key = branch == SB_BEFORE_KEY;
    if (branch < SB_BEFORE_NONE || branch > (reader->shape->has_key ? SB_BEFORE_KEY : SB_BEFORE_ROW))
        sb_cursor_fail(&reader->cur);
    if (branch != SB_BEFORE_NONE)
        chg->before = read_row(reader, chg->old_is_key);
    branch = sb_avro_get_long(&reader->cur);
    if (branch != 0 && branch != 1)
        sb_cursor_fail(&reader->cur);
    if (branch == 1)
        chg->after = read_row(reader, /* key_only= */ false);
}

static void read_tail(struct reader *reader, struct sb_change *chg, struct sb_change_meta *meta)
{
    struct sb_cursor *cur = &reader->cur;
    reader->column = SIZE_MAX;
    if (!sb_view_eq(sb_cursor_bytes(cur, reader->shape->source.len), reader->shape->source))
        sb_cursor_fail(cur);
    meta->lsn = (uint64_t)sb_avro_get_long(cur);
    meta->xid = (uint64_t)sb_avro_get_long(cur);
    struct sb_view op = sb_avro_get_bytes(cur);
    chg->op = (enum sb_op)(op.len == 1 ? (unsigned char)op.ptr[0] : 0);
    if (!sb_ms_to_us(sb_avro_get_long(cur), &meta->commit_us))
        sb_cursor_fail(cur);
}

static bool rows_fit(const struct sb_change *chg)
{
    switch (chg->op) {
    case SB_OP_INSERT:
        return chg->before == NULL && chg->after != NULL;
    case SB_OP_UPDATE:
        return chg->after != NULL;
    case SB_OP_DELETE:
        return chg->before != NULL && chg->after == NULL;
    case SB_OP_TRUNCATE:
    default:
        return false;
    }
}

static int refuse_body(const struct reader *reader, struct sb_view body, struct sb_err *err)
{
    const struct sb_relation *rel = &reader->shape->rel;
    if (reader->full)
        return sb_err_set(err, SB_E_LIMIT,
            "a change of table %.*s.%.*s does not fit into the %s memory of %zu bytes", (int)rel->schema.len,
            rel->schema.ptr, (int)rel->name.len, rel->name.ptr, sb_arena_name(reader->arena),
            sb_arena_max(reader->arena));
    if (reader->cur.failed && reader->column < rel->col_count)
        return sb_err_set(err, SB_E_VALUE_INVALID,
            "a change of table %.*s.%.*s, body of %zu bytes, does not decode at column %.*s",
            (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr, body.len,
            (int)rel->cols[reader->column].name.len, rel->cols[reader->column].name.ptr);
    return sb_err_set(err, SB_E_VALUE_INVALID,
        "a change of table %.*s.%.*s, body of %zu bytes, is not one whole record of its schema",
        (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr, body.len);
}

static int read_rows_change(const struct sb_shape *shape, struct sb_view body, struct sb_arena *arena,
    struct sb_change *ret_chg, struct sb_change_meta *ret_meta, struct sb_err *err)
{
    struct reader reader = {
        .cur = sb_cursor(sb_view(body.ptr + SB_HEADER_BYTES, body.len - SB_HEADER_BYTES)),
        .arena = arena,
        .shape = shape,
        .column = SIZE_MAX,
    };
    struct sb_change chg = {.rel = &shape->rel};
    read_rows(&reader, &chg);
    if (!reader.cur.failed)
        read_tail(&reader, &chg, ret_meta);
    if (!sb_cursor_done(&reader.cur) || !rows_fit(&chg))
        return refuse_body(&reader, body, err);
    *ret_chg = chg;
    return 0;
}

/* Tables are named by their ids; the names beside them must be theirs. */
static int read_truncate(struct sb_codec *codec, struct sb_view body, struct sb_arena *arena,
    struct sb_change *ret_chg, struct sb_change_meta *ret_meta, struct sb_err *err)
{
    struct sb_truncate truncate;
    struct sb_view avro = sb_view(body.ptr + SB_HEADER_BYTES, body.len - SB_HEADER_BYTES);
    if (sb_fixed_get_truncate(codec->fixed, avro, arena, &truncate, err) < 0)
        return -1;
    const struct sb_relation **rels = sb_arena_alloc(arena, truncate.count * sizeof *rels);
    if (rels == NULL)
        return sb_err_set(err, SB_E_LIMIT,
            "a truncate of %u tables does not fit into the %s memory of %zu bytes", truncate.count,
            sb_arena_name(arena), sb_arena_max(arena));
    for (size_t i = 0; i < truncate.count; i++) {
        const struct sb_truncated *table = &truncate.tables[i];
        rels[i] = sb_codec_find(codec, table->schema_id);
        if (rels[i] == NULL)
            return sb_err_set(err, SB_E_SCHEMA_INVALID,
                "truncate of table %.*s.%.*s with the unknown schema %" PRIu32, (int)table->schema.len,
                table->schema.ptr, (int)table->table.len, table->table.ptr, table->schema_id);
        if (!sb_view_eq(rels[i]->schema, table->schema) || !sb_view_eq(rels[i]->name, table->table))
            return sb_err_set(err, SB_E_VALUE_INVALID,
                "truncate names table %.*s.%.*s, but its schema %" PRIu32 " is of another",
                (int)table->schema.len, table->schema.ptr, (int)table->table.len, table->table.ptr,
                table->schema_id);
    }
    *ret_chg = (struct sb_change){.op = SB_OP_TRUNCATE,
        .truncated = rels,
        .truncated_count = truncate.count,
        .cascade = truncate.cascade,
        .restart_identity = truncate.restart_identity};
    *ret_meta = truncate.meta;
    return 0;
}

int sb_codec_read_change(struct sb_codec *codec, struct sb_view body, struct sb_arena *arena,
    struct sb_change *ret_chg, struct sb_change_meta *ret_meta, struct sb_err *err)
{
    uint32_t id;
    struct sb_change_meta meta;
    if (sb_codec_schema_id(body, &id, err) < 0)
        return -1;
    const struct sb_relation *rel = id == SB_SCHEMA_ID_TRUNCATE ? NULL : sb_codec_find(codec, id);
    int result;
    if (id == SB_SCHEMA_ID_TRUNCATE)
        result = read_truncate(codec, body, arena, ret_chg, &meta, err);
    else if (rel == NULL)
        result = sb_err_set(err, SB_E_SCHEMA_INVALID, "a change has the unknown schema %" PRIu32, id);
    else
        result = read_rows_change(rel->codec, body, arena, ret_chg, &meta, err);
    if (result == 0 && ret_meta != NULL)
        *ret_meta = meta;
    return result;
}
