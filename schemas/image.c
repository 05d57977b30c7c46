#include "schemas/image.h"

#include "schemas/avro_bytes.h"

enum { BRANCH_NULL, BRANCH_VALUE };

bool sb_image_split(struct sb_view body, struct sb_view *ret_signature, struct sb_view *ret_record)
{
    unsigned char digest[SB_IMAGE_SIGNATURE_CHARS / 2];
    if (body.len <= SB_IMAGE_SIGNATURE_CHARS || body.len > SB_IMAGE_BODY_MAX_BYTES ||
        body.ptr[SB_IMAGE_SIGNATURE_CHARS] != ' ' ||
        !sb_hex_decode(sb_view(body.ptr, SB_IMAGE_SIGNATURE_CHARS), digest, sizeof digest))
        return false;
    *ret_signature = sb_view(body.ptr, SB_IMAGE_SIGNATURE_CHARS);
    *ret_record = sb_view(body.ptr + SB_IMAGE_SIGNATURE_CHARS + 1, body.len - SB_IMAGE_SIGNATURE_CHARS - 1);
    return true;
}

/* -- writing --------------------------------------------------------------------------------------------- */

static void put_long(struct sb_buf *out, int64_t value)
{
    unsigned char bytes[SB_AVRO_LONG_MAX_BYTES];
    sb_buf_put(out, bytes, (size_t)(sb_avro_put_long(bytes, value) - bytes));
}

static void put_bytes(struct sb_buf *out, struct sb_view bytes)
{
    put_long(out, (int64_t)bytes.len);
    sb_buf_put_view(out, bytes);
}

/* An array is one block and its end; an empty one is the end alone. */
static void array_begin(struct sb_buf *out, size_t count)
{
    if (count > 0)
        put_long(out, (int64_t)count);
}

static void array_end(struct sb_buf *out)
{
    put_long(out, 0);
}

static void put_value(struct sb_buf *out, const struct sb_value *value)
{
    put_long(out, value->state == SB_COL_TEXT ? BRANCH_VALUE : BRANCH_NULL);
    if (value->state == SB_COL_TEXT)
        put_bytes(out, value->text);
}

static void put_row(struct sb_buf *out, const struct sb_image *image, const struct sb_image_row *row)
{
    size_t count = row->present ? image->column_count : image->key_count;
    put_long(out, row->item);
    put_long(out, row->guard_present ? BRANCH_VALUE : BRANCH_NULL);
    if (row->guard_present)
        sb_buf_put(out, row->guard.bytes, sizeof row->guard.bytes);
    sb_buf_put_u8(out, row->present);
    array_begin(out, count);
    for (size_t i = 0; i < count; i++)
        put_value(out, &row->values[row->present ? i : image->key_cols[i]]);
    array_end(out);
}

int sb_image_write(const struct sb_image *image, struct sb_buf *out, struct sb_err *err)
{
    size_t begin = out->len;
    put_long(out, image->repair);
    put_long(out, (int64_t)image->ownership_epoch);
    put_bytes(out, image->direction);
    put_bytes(out, image->migration);
    put_bytes(out, image->snapshot);
    put_long(out, (int64_t)image->floor_lsn);
    put_long(out, image->timeline);
    put_bytes(out, image->schema);
    put_bytes(out, image->table);
    array_begin(out, image->column_count);
    for (uint16_t i = 0; i < image->column_count; i++)
        put_bytes(out, image->columns[i]);
    array_end(out);
    array_begin(out, image->key_count);
    for (uint16_t i = 0; i < image->key_count; i++)
        put_long(out, image->key_cols[i]);
    array_end(out);
    array_begin(out, image->row_count);
    for (uint32_t i = 0; i < image->row_count; i++)
        put_row(out, image, &image->rows[i]);
    array_end(out);
    if (out->failed || image->row_count > SB_IMAGE_ROWS_MAX ||
        out->len - begin > (size_t)SB_IMAGE_BODY_MAX_BYTES - SB_IMAGE_SIGNATURE_CHARS - 1)
        return sb_err_set(err, SB_E_LIMIT,
            "an image of table \"%.*s\".\"%.*s\" with %u rows does not fit into a message: it may have %d "
            "rows and %d bytes",
            (int)image->schema.len, image->schema.ptr, (int)image->table.len, image->table.ptr,
            image->row_count, SB_IMAGE_ROWS_MAX, SB_IMAGE_BODY_MAX_BYTES);
    return 0;
}

/* -- reading --------------------------------------------------------------------------------------------- */

struct reader {
    struct sb_cursor cur; /* sticky: a wrong form is its failure */
    struct sb_arena *arena;
    bool full;
};

static void *room_for(struct reader *reader, size_t count, size_t size)
{
    void *room = sb_arena_zalloc(reader->arena, count * size + 1);
    reader->full = reader->full || room == NULL;
    return room;
}

static int64_t read_number(struct reader *reader, int64_t min, int64_t max)
{
    int64_t number = sb_avro_get_long(&reader->cur);
    if (number < min || number > max)
        sb_cursor_fail(&reader->cur);
    return number;
}

/* Text as PostgreSQL has it, which is without a NUL: a copy with one behind it. */
static struct sb_view read_text(struct reader *reader)
{
    struct sb_view text = sb_avro_get_bytes(&reader->cur), copy = sb_view("", 0);
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)
        sb_cursor_fail(&reader->cur);
    if (!reader->cur.failed && !reader->full)
        reader->full = !sb_arena_dup(reader->arena, text, &copy);
    return copy;
}

static struct sb_view read_name(struct reader *reader)
{
    struct sb_view name = read_text(reader);
    if (name.len == 0)
        sb_cursor_fail(&reader->cur);
    return name;
}

/* As it is written here: one block. Every element takes a byte, so more than are left are none. */
static size_t read_count(struct reader *reader, size_t min, size_t max)
{
    int64_t count = sb_avro_get_long(&reader->cur);
    if (count < (int64_t)min || count > (int64_t)max || (size_t)count > sb_cursor_left(&reader->cur))
        sb_cursor_fail(&reader->cur);
    return reader->cur.failed || reader->full ? 0 : (size_t)count;
}

static void read_end(struct reader *reader)
{
    read_number(reader, 0, 0);
}

static void read_columns(struct reader *reader, struct sb_image *image)
{
    image->column_count = (uint16_t)read_count(reader, 1, SB_COLS_MAX);
    struct sb_view *columns = room_for(reader, image->column_count, sizeof *columns);
    for (size_t i = 0; i < image->column_count && !reader->full; i++)
        columns[i] = read_name(reader);
    image->columns = columns;
    read_end(reader);
}

static void read_key(struct reader *reader, struct sb_image *image)
{
    image->key_count = (uint16_t)read_count(reader, 1, image->column_count);
    uint16_t *cols = room_for(reader, image->key_count, sizeof *cols);
    bool *among = room_for(reader, image->column_count, sizeof *among);
    for (size_t i = 0; i < image->key_count && !reader->full && !reader->cur.failed; i++) {
        cols[i] = (uint16_t)read_number(reader, 0, image->column_count - 1);
        if (reader->cur.failed || among[cols[i]])
            sb_cursor_fail(&reader->cur);
        else
            among[cols[i]] = true;
    }
    image->key_cols = cols;
    read_end(reader);
}

static struct sb_value read_value(struct reader *reader)
{
    if (read_number(reader, BRANCH_NULL, BRANCH_VALUE) == BRANCH_NULL)
        return (struct sb_value){.state = SB_COL_NULL};
    return (struct sb_value){.state = SB_COL_TEXT, .text = read_text(reader)};
}

static const struct sb_value *read_values(struct reader *reader, const struct sb_image *image, bool present)
{
    size_t want = present ? image->column_count : image->key_count;
    size_t count = read_count(reader, want, want);
    struct sb_value *values = room_for(reader, image->column_count, sizeof *values);
    for (size_t i = 0; i < count && !reader->full; i++)
        values[present ? i : image->key_cols[i]] = read_value(reader);
    for (size_t i = 0; i < image->key_count && !reader->full && !reader->cur.failed; i++)
        if (values[image->key_cols[i]].state != SB_COL_TEXT)
            sb_cursor_fail(&reader->cur);
    read_end(reader);
    return values;
}

static void read_row(struct reader *reader, const struct sb_image *image, struct sb_image_row *row)
{
    row->item = read_number(reader, 1, INT64_MAX);
    row->guard_present = read_number(reader, BRANCH_NULL, BRANCH_VALUE) == BRANCH_VALUE;
    if (row->guard_present) {
        struct sb_view guard = sb_cursor_bytes(&reader->cur, sizeof row->guard.bytes);
        if (guard.len == sizeof row->guard.bytes)
            memcpy(row->guard.bytes, guard.ptr, guard.len);
    }
    row->present = sb_avro_get_boolean(&reader->cur);
    row->values = read_values(reader, image, row->present);
}

static void read_rows(struct reader *reader, struct sb_image *image)
{
    image->row_count = (uint32_t)read_count(reader, 1, SB_IMAGE_ROWS_MAX);
    struct sb_image_row *rows = room_for(reader, image->row_count, sizeof *rows);
    for (size_t i = 0; i < image->row_count && !reader->full && !reader->cur.failed; i++)
        read_row(reader, image, &rows[i]);
    image->rows = rows;
    read_end(reader);
}

int sb_image_read(
    struct sb_view record, struct sb_arena *arena, struct sb_image *ret_image, struct sb_err *err)
{
    struct reader reader = {.cur = sb_cursor(record), .arena = arena};
    struct sb_image image = {.repair = read_number(&reader, 1, INT64_MAX)};
    image.ownership_epoch = (uint64_t)read_number(&reader, 1, INT64_MAX);
    image.direction = read_name(&reader);
    image.migration = read_name(&reader);
    image.snapshot = read_text(&reader);
    image.floor_lsn = (uint64_t)sb_avro_get_long(&reader.cur);
    image.timeline = (uint32_t)read_number(&reader, 0, UINT32_MAX);
    image.schema = read_name(&reader);
    image.table = read_name(&reader);
    read_columns(&reader, &image);
    read_key(&reader, &image);
    read_rows(&reader, &image);
    if (reader.full)
        return sb_err_set(err, SB_E_LIMIT, "an image does not fit into arena \"%s\"", sb_arena_name(arena));
    if (!sb_cursor_done(&reader.cur))
        return sb_err_set(err, SB_E_VALUE_INVALID, "an image of rows does not have its form");
    *ret_image = image;
    return 0;
}
