#include "copy/table.h"

#include "pg/ident.h"

void sb_copy_table_put_name(const struct sb_copy_table *table, enum sb_side side, struct sb_buf *sql)
{
    bool parted = side == SB_SIDE_SOURCE ? table->source_parted : table->target_parted;
    sb_buf_put_str(sql, parted ? "" : "ONLY ");
    sb_ident_put_table(sql, table->schema, table->name);
}

static void put_columns(const struct sb_copy_table *table, struct sb_buf *sql)
{
    for (size_t i = 0; i < table->column_count; i++) {
        sb_buf_put_str(sql, i == 0 ? "" : ", ");
        sb_ident_put(sql, table->columns[i]);
    }
}

static void put_format(const struct sb_copy_table *table, struct sb_buf *sql)
{
    sb_buf_putf(sql, " (FORMAT %s)", table->binary ? "binary" : "text");
}

void sb_copy_table_put_out(const struct sb_copy_job *job, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "COPY (SELECT ");
    put_columns(job->table, sql);
    sb_buf_put_str(sql, " FROM ");
    sb_copy_table_put_name(job->table, SB_SIDE_SOURCE, sql);
    if (job->table->kind != SB_KEY_NONE) {
        sb_buf_put_str(sql, " WHERE ");
        sb_key_range_put_sql(&job->range, job->table->kind, job->table->key_column, sql);
    }
    sb_buf_put_str(sql, ") TO STDOUT");
    put_format(job->table, sql);
}

void sb_copy_table_put_in(const struct sb_copy_table *table, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "COPY ");
    sb_ident_put_table(sql, table->schema, table->name);
    if (table->column_count > 0) {
        sb_buf_put_str(sql, " (");
        put_columns(table, sql);
        sb_buf_put_str(sql, ")");
    }
    sb_buf_put_str(sql, " FROM STDIN");
    put_format(table, sql);
}

void sb_copy_put_shape(struct sb_view schema, struct sb_view name, struct sb_buf *sql)
{
    sb_buf_put_str(sql,
        "(SELECT c.oid || ' ' || pg_catalog.hashtextextended(pg_catalog.string_agg(pg_catalog.format('%s %s "
        "%s %s "
        "%s', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated), ',' ORDER BY a.attnum), 0) || "
        "coalesce((SELECT ' ' || pg_catalog.hashtextextended(pg_catalog.string_agg(t.relid::pg_catalog.oid "
        "|| "
        "' ' || pg_catalog.pg_get_expr(p.relpartbound, p.oid), ',' ORDER BY t.relid::pg_catalog.oid), 0) "
        "FROM "
        "pg_catalog.pg_partition_tree(c.oid) t JOIN pg_catalog.pg_class p ON p.oid = t.relid WHERE t.level > "
        "0), '') FROM "
        "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN "
        "pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE "
        "n.nspname = ");
    sb_literal_put(sql, schema);
    sb_buf_put_str(sql, " AND c.relname = ");
    sb_literal_put(sql, name);
    sb_buf_put_str(sql, " GROUP BY c.oid)");
}

void sb_copy_table_put_stamp(const struct sb_copy_table *table, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ");
    sb_copy_table_put_name(table, SB_SIDE_SOURCE, sql);
    sb_buf_put_str(sql,
        " IN ACCESS SHARE MODE; SELECT pg_catalog.pg_is_in_recovery(), "
        "pg_catalog.pg_current_snapshot()::text, CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
        "NULL ELSE pg_catalog.pg_current_wal_insert_lsn() END, ");
    sb_copy_put_shape(table->schema, table->name, sql);
}
