#include "reconcile/inspect.h"

#include "pg/ident.h"
#include "reconcile/scene.h"
#include "schemas/rowform.h"

#include <string.h>

enum { SQL_MAX_BYTES = 64 * 1024 * 1024 };

static int no_room(const struct sb_arena *arena, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "the rows do not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(arena), sb_arena_name(arena));
}

static int put_select(const struct sb_verify_table *table, enum sb_side side, struct sb_view key,
    struct sb_buf *sql, struct sb_err *err)
{
    sb_buf_put_str(sql, "SELECT ");
    for (size_t i = 0; i < table->column_count; i++) {
        sb_buf_put_str(sql, i == 0 ? "" : ", ");
        sb_ident_put(sql, table->columns[i]);
    }
    if (!sb_verify_put_from_keys(table, side, &key, 1, sql) || sql->failed)
        return sb_err_set(
            err, SB_E_PROTOCOL, "table %s: the key has not the form it must have", table->relation);
    return 0;
}

static bool row_keep(const struct sb_rows *rows, int row, const struct sb_verify_table *table,
    struct sb_arena *arena, struct sb_value *values)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        const char *text = sb_rows_get(rows, row, i);
        values[i] = (struct sb_value){.state = text == NULL ? SB_COL_NULL : SB_COL_TEXT};
        if (text != NULL && !sb_arena_dup(arena, sb_view_str(text), &values[i].text))
            return false;
    }
    return true;
}

/* What SQL calls equal may be spelled otherwise: only the key's own bytes count. */
static bool has_key(const struct sb_verify_table *table, const struct sb_value *values, struct sb_view key)
{
    struct sb_buf bytes SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&bytes, SQL_MAX_BYTES);
    return sb_rowform_put_key(values, table->key_cols, table->key_count, &bytes) &&
           sb_view_eq(sb_buf_view(&bytes), key);
}

static int side_read(struct sb_conn *conn, enum sb_side side, struct sb_view key, struct sb_arena *arena,
    struct sb_inspection *out, struct sb_err *err)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const struct sb_verify_table *table = out->table;
    sb_buf_init(&sql, SQL_MAX_BYTES);
    if (put_select(table, side, key, &sql, err) != 0 ||
        sb_conn_query(conn, sb_buf_str(&sql), 0, NULL, &rows, err) != 0)
        return -1;
    for (int row = 0; row < sb_rows_count(rows); row++) {
        struct sb_value *values = sb_arena_alloc(arena, table->column_count * sizeof *values);
        if (values == NULL || !row_keep(rows, row, table, arena, values))
            return no_room(arena, err);
        if (!has_key(table, values, key))
            continue;
        out->rows[side]++;
        out->values[side] = values;
    }
    return 0;
}

static int compare(struct sb_arena *arena, struct sb_inspection *out, struct sb_err *err)
{
    const struct sb_verify_table *table = out->table;
    struct sb_buf scratch SB_CLEANUP(sb_buf_clear);
    struct sb_digest *fields[2];
    bool *differs = sb_arena_zalloc(arena, table->column_count);
    sb_buf_init(&scratch, SB_VERIFY_VALUE_MAX_BYTES);
    for (int side = 0; side < 2; side++) {
        fields[side] = sb_arena_zalloc(arena, table->column_count * sizeof *fields[side]);
        if (fields[side] == NULL || differs == NULL)
            return no_room(arena, err);
        if (out->values[side] == NULL)
            continue;
        for (uint16_t i = 0; i < table->column_count; i++)
            fields[side][i] = sb_verify_field(table, i, &out->values[side][i], &scratch);
        out->digest[side] = sb_rowform_row(fields[side], table->column_count);
    }
    if (out->values[0] == NULL || out->values[1] == NULL)
        return 0;
    for (uint16_t i = 0; i < table->column_count; i++)
        differs[i] = !sb_verify_field_equal(table, i, &fields[0][i], &fields[1][i]);
    out->differs = differs;
    return 0;
}

static int inspect(struct sb_scene *scene, const char *relation, struct sb_view key,
    struct sb_inspection *out, struct sb_err *err)
{
    if (sb_scene_plan(scene, sb_pattern_valid(relation) ? relation : NULL, INT64_MAX, err) != 0)
        return -1;
    for (size_t i = 0; i < scene->plan.table_count; i++)
        if (strcmp(scene->plan.tables[i].relation, relation) == 0)
            out->table = &scene->plan.tables[i];
    if (out->table == NULL)
        out->why = "the migration has no such table any more";
    else if (out->table->strategy == SB_STRATEGY_NONE)
        out->why = out->table->reason;
    else if (out->table->key_count == 0 || key.len == 0)
        out->why = "it has no key by which a row could be found";
    if (out->why[0] != '\0')
        return 0;
    for (int side = 0; side < 2; side++)
        if (side_read(sb_sides_conn(scene->sides, (enum sb_side)side), (enum sb_side)side, key, scene->arena,
                out, err) != 0)
            return -1;
    return compare(scene->arena, out, err);
}

int sb_inspect(const struct sb_config *config, enum sb_direction direction, const char *relation,
    struct sb_view key, struct sb_arena *arena, struct sb_inspection *ret_inspection, struct sb_err *err)
{
    struct sb_scene scene;
    struct sb_inspection found = {.why = ""};
    int rc = sb_scene_open(config, direction, "diff", arena, &scene, err);
    if (rc == 0)
        rc = inspect(&scene, relation, key, &found, err);
    sb_scene_clear(&scene);
    if (rc == 0)
        *ret_inspection = found;
    return rc;
}
