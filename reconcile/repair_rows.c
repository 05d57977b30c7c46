#include "reconcile/repair_rows.h"

#include "schemas/digest.h"
#include "schemas/rowform.h"

enum { SQL_MAX_BYTES = 256 * 1024 * 1024, KEY_MAX_BYTES = 64 * 1024 * 1024 };

void sb_repair_rows_init(struct sb_repair_rows *rows, const struct sb_verify_table *table)
{
    *rows = (struct sb_repair_rows){.table = table};
    sb_buf_init(&rows->sql, SQL_MAX_BYTES);
    sb_buf_init(&rows->key, KEY_MAX_BYTES);
}

void sb_repair_rows_clear(struct sb_repair_rows *rows)
{
    sb_rows_free(rows->rows);
    rows->rows = NULL;
    sb_buf_clear(&rows->sql);
    sb_buf_clear(&rows->key);
}

int sb_repair_rows_ask(struct sb_repair_rows *rows, struct sb_conn *conn, enum sb_side side,
    const struct sb_repair_item *const *items, size_t count, struct sb_err *err)
{
    struct sb_view keys[SB_REPAIR_ROWS_STEP];
    for (size_t i = 0; i < count; i++)
        keys[i] = items[i]->key;
    sb_rows_free(rows->rows);
    rows->rows = NULL;
    sb_buf_reset(&rows->sql);
    if (!sb_verify_put_keys_select(rows->table, side, keys, count, &rows->sql) || rows->sql.failed)
        return sb_err_set(
            err, SB_E_LIMIT, "table %s: keys of a repair do not fit into a statement", rows->table->relation);
    return sb_conn_query(conn, sb_buf_str(&rows->sql), 0, NULL, &rows->rows, err);
}

static void value_take(const struct sb_rows *rows, int row, uint16_t col, struct sb_value *ret_value)
{
    const char *text = sb_rows_get(rows, row, col);
    *ret_value =
        (struct sb_value){.state = text == NULL ? SB_COL_NULL : SB_COL_TEXT, .text = sb_view_str(text)};
}

static bool has_key(struct sb_repair_rows *rows, int row, struct sb_view key, struct sb_value *values)
{
    const struct sb_verify_table *table = rows->table;
    for (uint16_t i = 0; i < table->key_count; i++)
        value_take(rows->rows, row, table->key_cols[i], &values[table->key_cols[i]]);
    sb_buf_reset(&rows->key);
    return sb_rowform_put_key(values, table->key_cols, table->key_count, &rows->key) &&
           sb_view_eq(sb_buf_view(&rows->key), key);
}

int sb_repair_rows_find(struct sb_repair_rows *rows, struct sb_view key, struct sb_value *ret_values,
    bool *ret_found, struct sb_err *err)
{
    int found = -1;
    for (int row = 0; row < sb_rows_count(rows->rows); row++) {
        if (!has_key(rows, row, key, ret_values))
            continue;
        if (found >= 0)
            return sb_err_set(
                err, SB_E_NO_IDENTITY, "table %s: two rows have one key", rows->table->relation);
        found = row;
    }
    *ret_found = found >= 0;
    for (uint16_t i = 0; *ret_found && i < rows->table->column_count; i++)
        value_take(rows->rows, found, i, &ret_values[i]);
    return 0;
}

/* -- guards under rules ---------------------------------------------------------------------------------- */

static void guard_set(const struct sb_verify_table *table, const struct sb_value *values,
    struct sb_buf *scratch, struct sb_repair_item *item)
{
    struct sb_digest fields[SB_COLS_MAX], found;
    for (uint16_t i = 0; i < table->column_count; i++)
        fields[i] = sb_verify_field(table, i, &values[i], scratch);
    found = sb_rowform_row(fields, table->column_count);
    if (!item->guard_present || !sb_digest_eq(&found, &item->guard))
        return; /* it is another row now, which apply finds out, too */
    for (uint16_t i = 0; i < table->column_count; i++)
        fields[i] = sb_rowform_field(&values[i]);
    item->guard = sb_rowform_row(fields, table->column_count);
}

static int step_guard(struct sb_repair_rows *rows, struct sb_conn *follower, struct sb_repair_item *items,
    size_t count, struct sb_buf *scratch, struct sb_err *err)
{
    const struct sb_repair_item *list[SB_REPAIR_ROWS_STEP];
    struct sb_value values[SB_COLS_MAX];
    for (size_t i = 0; i < count; i++)
        list[i] = &items[i];
    if (sb_repair_rows_ask(rows, follower, SB_SIDE_TARGET, list, count, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        bool found;
        if (sb_repair_rows_find(rows, items[i].key, values, &found, err) != 0)
            return -1;
        if (found)
            guard_set(rows->table, values, scratch, &items[i]);
    }
    return 0;
}

int sb_repair_rows_guard(const struct sb_verify_table *table, struct sb_conn *follower,
    struct sb_repair_item *items, size_t count, struct sb_err *err)
{
    struct sb_repair_rows rows;
    struct sb_buf scratch;
    int rc = 0;
    if (table->ruled_count == 0)
        return 0;
    sb_repair_rows_init(&rows, table);
    sb_buf_init(&scratch, SB_VERIFY_VALUE_MAX_BYTES);
    for (size_t at = 0; rc == 0 && at < count; at += SB_REPAIR_ROWS_STEP) {
        size_t left = count - at;
        rc = step_guard(&rows, follower, &items[at], left < SB_REPAIR_ROWS_STEP ? left : SB_REPAIR_ROWS_STEP,
            &scratch, err);
    }
    sb_buf_clear(&scratch);
    sb_repair_rows_clear(&rows);
    return rc;
}
