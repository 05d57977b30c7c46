#include "reconcile/repair_image.h"

#include "core/fault.h"
#include "reconcile/repair_rows.h"
#include "schemas/image.h"
#include "schemas/rowform.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOCK_TIMEOUT_MS = 5000,
    ROWS_MAX_BYTES = 1024 * 1024 * 1024,
    SQL_MAX_BYTES = 16 * 1024 * 1024,
};

struct sb_imager {
    struct sb_imager_options options;
    struct sb_arena *arena; /* of one image */
    struct sb_buf sql, record, body;
    /* the image at work */
    const struct sb_verify_table *table;
    struct sb_image_row rows[SB_IMAGE_ROWS_MAX];
    size_t count, bytes;
};

/* -- life ------------------------------------------------------------------------------------------------ */

int sb_imager_new(const struct sb_imager_options *options, struct sb_imager **ret_imager, struct sb_err *err)
{
    struct sb_imager *imager = calloc(1, sizeof *imager);
    if (imager != NULL)
        imager->arena = sb_arena_new("images", ROWS_MAX_BYTES);
    if (imager == NULL || imager->arena == NULL) {
        free(imager);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for images of rows");
    }
    imager->options = *options;
    sb_buf_init(&imager->sql, SQL_MAX_BYTES);
    sb_buf_init(&imager->record, SB_IMAGE_BODY_MAX_BYTES);
    sb_buf_init(&imager->body, (size_t)SB_IMAGE_BODY_MAX_BYTES * 2 + 8);
    *ret_imager = imager;
    return 0;
}

void sb_imager_free(struct sb_imager *imager)
{
    if (imager == NULL)
        return;
    sb_arena_free(imager->arena);
    sb_buf_clear(&imager->sql);
    sb_buf_clear(&imager->record);
    sb_buf_clear(&imager->body);
    free(imager);
}

static int no_room(const struct sb_imager *imager, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT,
        "table %s: rows of an image do not fit into the %zu bytes of arena \"%s\"", imager->table->relation,
        sb_arena_max(imager->arena), sb_arena_name(imager->arena));
}

static void rollback(struct sb_imager *imager)
{
    struct sb_err ignored;
    if (sb_conn_in_transaction(imager->options.truth))
        sb_conn_exec(imager->options.truth, "ROLLBACK", &ignored);
}

/* -- rows ------------------------------------------------------------------------------------------------ */

static struct sb_value *row_new(struct sb_imager *imager)
{
    return sb_arena_zalloc(
        imager->arena, ((size_t)imager->table->column_count + 1) * sizeof(struct sb_value));
}

/* What there is to be of an item: a row, or its absence with the key alone. */
static int row_add(struct sb_imager *imager, const struct sb_repair_item *item, const struct sb_value *values,
    struct sb_err *err)
{
    const struct sb_verify_table *table = imager->table;
    struct sb_image_row *row = &imager->rows[imager->count];
    *row = (struct sb_image_row){.item = item->item,
        .present = values != NULL,
        .values = values,
        .guard_present = item->guard_present,
        .guard = item->guard};
    if (values == NULL) {
        struct sb_view texts[SB_COLS_MAX];
        struct sb_value *key = row_new(imager);
        if (key == NULL)
            return no_room(imager, err);
        if (!sb_rowform_key_texts(item->key, texts, table->key_count))
            return sb_err_set(err, SB_E_STATE_FORMAT,
                "item %lld of the repair has a key that is none of table %s", (long long)item->item,
                table->relation);
        for (uint16_t i = 0; i < table->key_count; i++)
            key[table->key_cols[i]] = (struct sb_value){.state = SB_COL_TEXT, .text = texts[i]};
        row->values = key;
    }
    for (uint16_t i = 0; i < table->column_count; i++)
        imager->bytes += row->values[i].text.len;
    imager->count++;
    return 0;
}

static struct sb_value *row_keep(struct sb_imager *imager, const struct sb_value *views)
{
    struct sb_value *values = row_new(imager);
    for (uint16_t i = 0; values != NULL && i < imager->table->column_count; i++) {
        values[i].state = views[i].state;
        if (views[i].state == SB_COL_TEXT && !sb_arena_dup(imager->arena, views[i].text, &values[i].text))
            return NULL;
    }
    return values;
}

static int step_read(struct sb_imager *imager, struct sb_repair_rows *rows,
    const struct sb_repair_item *const *items, size_t count, struct sb_err *err)
{
    struct sb_value views[SB_COLS_MAX];
    if (sb_repair_rows_ask(rows, imager->options.truth, SB_SIDE_SOURCE, items, count, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct sb_value *values = NULL;
        bool found;
        if (sb_repair_rows_find(rows, items[i]->key, views, &found, err) != 0)
            return -1;
        if (found && (values = row_keep(imager, views)) == NULL)
            return no_room(imager, err);
        if (row_add(imager, items[i], values, err) != 0)
            return -1;
    }
    return 0;
}

static int rows_read_with(struct sb_imager *imager, struct sb_repair_rows *rows,
    const struct sb_repair_item *const *items, size_t count, struct sb_err *err)
{
    size_t step = 1; /* until it is seen that rows are small */
    while (imager->count < count && imager->bytes < SB_IMAGE_BODY_BYTES) {
        size_t left = count - imager->count;
        if (step_read(imager, rows, &items[imager->count], step < left ? step : left, err) != 0)
            return -1;
        size_t fits = SB_IMAGE_BODY_BYTES / (imager->bytes / imager->count + 1);
        step = fits == 0 ? 1 : fits < step * 2 ? fits : step * 2;
        step = step < SB_REPAIR_ROWS_STEP ? step : SB_REPAIR_ROWS_STEP;
    }
    return 0;
}

static int rows_read(
    struct sb_imager *imager, const struct sb_repair_item *const *items, size_t count, struct sb_err *err)
{
    struct sb_repair_rows rows;
    sb_repair_rows_init(&rows, imager->table);
    int rc = rows_read_with(imager, &rows, items, count, err);
    sb_repair_rows_clear(&rows);
    return rc;
}

/* -- the message ----------------------------------------------------------------------------------------- */

static int message_put(struct sb_imager *imager, const char *snapshot, uint64_t floor_lsn, struct sb_err *err)
{
    const struct sb_imager_options *options = &imager->options;
    const struct sb_verify_table *table = imager->table;
    const struct sb_image image = {.repair = options->repair,
        .ownership_epoch = options->ownership_epoch,
        .direction = sb_view_str(options->direction),
        .migration = sb_view_str(options->migration),
        .snapshot = sb_view_str(snapshot),
        .floor_lsn = floor_lsn,
        .timeline = options->timeline,
        .schema = table->schema,
        .table = table->name,
        .column_count = table->column_count,
        .columns = table->columns,
        .key_count = table->key_count,
        .key_cols = table->key_cols,
        .row_count = (uint32_t)imager->count,
        .rows = imager->rows};
    sb_buf_reset(&imager->record);
    sb_buf_reset(&imager->body);
    if (sb_image_write(&image, &imager->record, err) != 0)
        return sb_err_add(err, "table %s", table->relation);
    sb_buf_put_str(&imager->body, "\\x");
    char *hex = sb_buf_grow(&imager->body, imager->record.len * 2 + 1);
    if (hex == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for an image of rows");
    sb_hex_encode(imager->record.ptr, imager->record.len, hex);
    return 0;
}

/* The signature is made where its key is. */
static int message_emit(struct sb_imager *imager, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {imager->body.ptr};
    if (sb_conn_query(imager->options.truth,
            "SELECT pg_catalog.pg_logical_emit_message(true, 'switchback.image', pg_catalog.convert_to("
            "pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(secret, 'UTF8') || $1::bytea), 'hex') "
            "|| ' ', 'UTF8') || $1::bytea) FROM switchback.signing_key",
            1, params, &rows, err) != 0)
        return sb_err_add(err, "could not send an image of rows");
    if (sb_rows_count(rows) == 1)
        return 0;
    sb_err_set(err, SB_E_NOT_PREPARED, "the source has no signing key");
    return sb_err_hint(err, "Run `switchback prepare` again.");
}

static int commit(struct sb_imager *imager, size_t *ret_done, struct sb_err *err)
{
    SB_FAULT("reconcile-before-send");
    if (message_emit(imager, err) != 0 || sb_conn_exec(imager->options.truth, "COMMIT", err) != 0)
        return -1;
    SB_FAULT("reconcile-after-send");
    *ret_done = imager->count;
    return 0;
}

static void image_begin(struct sb_imager *imager, const struct sb_verify_table *table)
{
    sb_arena_reset(imager->arena);
    imager->table = table;
    imager->count = imager->bytes = 0;
}

/* -- stamped --------------------------------------------------------------------------------------------- */

static int begin(struct sb_imager *imager, struct sb_err *err)
{
    sb_buf_reset(&imager->sql);
    sb_verify_put_begin(imager->table, SB_SIDE_SOURCE, LOCK_TIMEOUT_MS, &imager->sql);
    if (sb_conn_exec(imager->options.truth, sb_buf_str(&imager->sql), err) == 0)
        return 0;
    if (strcmp(err->sqlstate, "55P03") == 0)
        return SB_IMAGER_LOCKED;
    return strcmp(err->sqlstate, "42P01") == 0 ? SB_IMAGER_ALTERED : -1;
}

/* ret_snapshot lives in the image's arena. */
static int stamp(struct sb_imager *imager, const char **ret_snapshot, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    sb_buf_reset(&imager->sql);
    sb_verify_put_source_stamp(imager->table, &imager->sql);
    if (sb_conn_query(imager->options.truth, sb_buf_str(&imager->sql), 0, NULL, &rows, err) != 0)
        return -1;
    if (sb_rows_bool(rows, 0, 0))
        return sb_err_set(err, SB_E_STAMP_FROM_STANDBY, "the source is in recovery: it is a standby");
    const char *shape = sb_rows_get(rows, 0, 3);
    if (shape == NULL || strcmp(shape, imager->table->source_shape) != 0)
        return SB_IMAGER_ALTERED;
    *ret_snapshot = sb_arena_str(imager->arena, sb_view_str(sb_rows_get(rows, 0, 1)));
    return *ret_snapshot != NULL ? 0 : no_room(imager, err);
}

int sb_imager_send(struct sb_imager *imager, const struct sb_verify_table *table, uint64_t floor_lsn,
    const struct sb_repair_item *const *items, size_t count, size_t *ret_done, struct sb_err *err)
{
    const char *snapshot = NULL;
    image_begin(imager, table);
    int rc = begin(imager, err);
    if (rc == 0)
        rc = stamp(imager, &snapshot, err);
    if (rc == 0 &&
        (rows_read(imager, items, count, err) != 0 || message_put(imager, snapshot, floor_lsn, err) != 0 ||
            commit(imager, ret_done, err) != 0))
        rc = -1;
    if (rc != 0)
        rollback(imager);
    return rc;
}

/* -- unstamped ------------------------------------------------------------------------------------------- */

int sb_imager_send_rows(struct sb_imager *imager, const struct sb_verify_table *table,
    const struct sb_repair_item *const *items, const struct sb_value *const *rows, size_t count,
    size_t *ret_done, struct sb_err *err)
{
    image_begin(imager, table);
    while (imager->count < count && imager->bytes < SB_IMAGE_BODY_BYTES)
        if (row_add(imager, items[imager->count], rows[imager->count], err) != 0)
            return -1;
    if (message_put(imager, "", 0, err) == 0 && sb_conn_exec(imager->options.truth, "BEGIN", err) == 0 &&
        commit(imager, ret_done, err) == 0)
        return 0;
    rollback(imager);
    return -1;
}
