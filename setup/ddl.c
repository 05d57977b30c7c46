#include "setup/ddl.h"

#include "pg/ident.h"

/* The patterns as an array, in SQL. */
static void patterns_put(const struct sb_config_list *patterns, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "ARRAY[");
    for (size_t i = 0; i < patterns->count; i++) {
        sb_buf_put_str(sql, i == 0 ? "" : ", ");
        sb_literal_put(sql, sb_view_str(patterns->items[i]));
    }
    sb_buf_put_str(sql, "]::text[]");
}

static int scope_read(const struct sb_config *config, enum sb_direction direction, struct sb_conn *source,
    struct sb_ddl_triggers *triggers, struct sb_err *err)
{
    enum { SQL_MAX_BYTES = 1024 * 1024 };
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&sql, SQL_MAX_BYTES);
    sb_buf_put_str(&sql, "SELECT FROM switchback.ddl_scope WHERE migration = $1 AND direction = $2"
                         " AND included = ");
    patterns_put(&config->tables.include, &sql);
    sb_buf_put_str(&sql, " AND excluded = ");
    patterns_put(&config->tables.exclude, &sql);
    if (sql.failed)
        return sb_err_set(err, SB_E_LIMIT, "the patterns of tables are too long");
    const char *const params[] = {config->migration, sb_direction_name(direction)};
    if (sb_conn_query(source, sb_buf_str(&sql), 2, params, &rows, err) < 0)
        return sb_err_add(err, "reading the control schema");
    triggers->scoped = sb_rows_count(rows) > 0;
    return 0;
}

int sb_ddl_triggers_read(const struct sb_config *config, enum sb_direction direction, struct sb_conn *source,
    struct sb_ddl_triggers *ret_triggers, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_ddl_triggers triggers = {0};
    if (sb_conn_query(source,
            "SELECT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),"
            " (SELECT pg_catalog.count(*) = 4 FROM pg_catalog.pg_event_trigger WHERE evtname IN"
            "  ('switchback_ddl_1_where', 'switchback_ddl_2_emit', 'switchback_ddl_dropped',"
            "   'switchback_ddl_rewritten') AND evtenabled IN ('O', 'A'))"
            " AND coalesce(pg_catalog.obj_description(pg_catalog.to_regproc('switchback.ddl_emit'), "
            "'pg_proc')"
            "  = 'switchback ddl 2', false),"
            " coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass('switchback.ddl_scope'), "
            "'SELECT'), false)",
            0, NULL, &rows, err) < 0)
        return sb_err_add(err, "looking for event triggers");
    triggers.may_make = sb_rows_bool(rows, 0, 0);
    triggers.there = sb_rows_bool(rows, 0, 1);
    triggers.may_read = sb_rows_bool(rows, 0, 2);
    if (triggers.there && triggers.may_read && scope_read(config, direction, source, &triggers, err) < 0)
        return -1;
    *ret_triggers = triggers;
    return 0;
}

void sb_ddl_triggers_put(const struct sb_config *config, enum sb_direction direction,
    const struct sb_ddl_triggers *triggers, struct sb_buf *sql)
{
    if (!triggers->there)
        sb_buf_put_str(sql, sb_control_ddl_sql);
    if (triggers->there && triggers->scoped)
        return;
    sb_buf_putf(sql,
        "INSERT INTO switchback.ddl_scope (migration, direction, included, excluded)\nVALUES ('%s', '%s', ",
        config->migration, sb_direction_name(direction));
    patterns_put(&config->tables.include, sql);
    sb_buf_put_str(sql, ", ");
    patterns_put(&config->tables.exclude, sql);
    sb_buf_put_str(sql, ")\nON CONFLICT (migration, direction) DO UPDATE SET included = excluded.included,"
                        " excluded = excluded.excluded;\n");
}
