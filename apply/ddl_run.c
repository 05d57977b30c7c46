#include "apply/ddl_run.h"

#include "pg/ident.h"

enum { SQL_MAX_BYTES = 1024 * 1024 };

static int no_room(const struct sb_arena *arena, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "arena \"%s\" is full", sb_arena_name(arena));
}

int sb_ddl_before(struct sb_conn *conn, const struct sb_ddl *ddl, struct sb_arena *arena,
    const struct sb_cat_table *const **ret_before, struct sb_err *err)
{
    const struct sb_cat_table **before = sb_arena_zalloc(arena, (ddl->table_count + 1) * sizeof *before);
    struct sb_cat_table *tables = sb_arena_zalloc(arena, (ddl->table_count + 1) * sizeof *tables);
    if (before == NULL || tables == NULL)
        return no_room(arena, err);
    for (size_t i = 0; i < ddl->table_count; i++) {
        bool found = false;
        if (sb_catalog_table(
                conn, ddl->tables[i].schema, ddl->tables[i].name, arena, &tables[i], &found, err) != 0)
            return -1;
        before[i] = found ? &tables[i] : NULL;
    }
    *ret_before = before;
    return 0;
}

/* SET LOCAL to nothing is to the session's own, which is empty as well. */
int sb_ddl_run(struct sb_conn *conn, const struct sb_ddl *ddl, struct sb_err *err)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&sql, SQL_MAX_BYTES);
    sb_buf_put_str(&sql, "SET LOCAL search_path = ");
    for (size_t i = 0; i < ddl->path_count; i++) {
        sb_buf_put_str(&sql, i == 0 ? "" : ", ");
        sb_ident_put(&sql, ddl->path[i]);
    }
    sb_buf_put_str(&sql, ddl->path_count == 0 ? "''" : "");
    if (sql.failed)
        return sb_err_set(
            err, SB_E_LIMIT, "the search_path of a command is larger than %d bytes", SQL_MAX_BYTES);
    /* As one with parameters, so that the server takes a single statement and no more. */
    return sb_conn_exec(conn, sb_buf_str(&sql), err) == 0 &&
                   sb_conn_query(conn, ddl->statement.ptr, 0, NULL, NULL, err) == 0 &&
                   sb_conn_exec(conn, "SET LOCAL search_path = ''", err) == 0
               ? 0
               : -1;
}

/* -- behind it ------------------------------------------------------------------------------------------- */

static int table_differs(struct sb_conn *conn, const struct sb_ddl_table *table,
    const struct sb_cat_table *before, struct sb_arena *arena, struct sb_view *ret_column, struct sb_err *err)
{
    struct sb_buf name SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&name, SQL_MAX_BYTES);
    sb_ident_put_table(&name, table->schema, table->name);
    for (size_t i = 0; i < table->column_count && ret_column->len == 0; i++) {
        const struct sb_ddl_column *column = &table->columns[i];
        SB_CLEANUP(sb_rows_freep)
        struct sb_rows *rows = NULL;
        const char *params[] = {sb_buf_str(&name), column->name.ptr, column->type.ptr, column->fallback.ptr};
        if (before != NULL && sb_cat_column(before, column->name) != NULL)
            continue;
        if (sb_conn_query(conn,
                "SELECT FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = "
                "a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = pg_catalog.to_regclass($1) AND "
                "a.attname "
                "= $2 AND NOT a.attisdropped AND pg_catalog.format_type(a.atttypid, a.atttypmod) = $3 AND "
                "coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') = $4",
                4, params, &rows, err) != 0)
            return -1;
        if (sb_rows_count(rows) == 0 && !sb_arena_dup(arena, column->name, ret_column))
            return no_room(arena, err);
    }
    return 0;
}

int sb_ddl_differs(struct sb_conn *conn, const struct sb_ddl *ddl, const struct sb_cat_table *const *before,
    struct sb_arena *arena, struct sb_view *ret_column, struct sb_err *err)
{
    *ret_column = sb_view("", 0);
    if (!sb_view_eq_str(ddl->tag, "ALTER TABLE") && !sb_view_eq_str(ddl->tag, "CREATE TABLE"))
        return 0;
    for (size_t i = 0; i < ddl->table_count && ret_column->len == 0; i++)
        if (table_differs(conn, &ddl->tables[i], before[i], arena, ret_column, err) != 0)
            return -1;
    return 0;
}
