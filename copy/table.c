#include "copy/table.h"

#include "pg/ident.h"
#include "schemas/published.h"

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

void sb_copy_table_put_stamp(const struct sb_copy_table *table, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ");
    sb_copy_table_put_name(table, SB_SIDE_SOURCE, sql);
    sb_buf_put_str(sql,
        " IN ACCESS SHARE MODE; SELECT pg_catalog.pg_is_in_recovery(), "
        "pg_catalog.pg_current_snapshot()::text, CASE WHEN pg_catalog.pg_is_in_recovery() THEN "
        "NULL ELSE pg_catalog.pg_current_wal_insert_lsn() END, ");
    sb_published_put_shape(table->schema, table->name, sql);
}
