#include "pg/catalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Two statements: the tables, and all their columns in the same order. Both see one catalog only together, so
 * they run in one REPEATABLE READ transaction unless the caller has one open.
 *
 * A replica identity by an index that was dropped since is the same to the server as none, and is told as
 * such; a deferrable primary key is no identity to the server, so it is no key here.
 */

/* $1: with everything; $2, $3: one table, or NULL. */
#define CHOSEN                                                                                               \
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"                   \
    " LEFT JOIN pg_catalog.pg_index ri ON ri.indrelid = c.oid AND ri.indisreplident"                         \
    " LEFT JOIN pg_catalog.pg_index pk ON pk.indrelid = c.oid AND pk.indisprimary"                           \
    " AND pk.indimmediate AND pk.indisvalid"
#define CHOICE                                                                                               \
    " WHERE (c.relkind IN ('r', 'p') OR $1::boolean AND c.relkind IN ('v', 'm', 'f'))"                       \
    " AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'switchback')"                     \
    " AND ($2::text IS NULL OR n.nspname = $2 AND c.relname = $3)"
#define ORDER " ORDER BY n.nspname COLLATE pg_catalog.\"C\", c.relname COLLATE pg_catalog.\"C\""

/* base: the type below a column's domain, and the domains that one rests on; NULL for other columns. */
#define BASE_TYPE                                                                                            \
    " LEFT JOIN LATERAL (WITH RECURSIVE below AS (SELECT t.typbasetype AS oid, t.typtypmod AS typmod"        \
    " UNION ALL SELECT d.typbasetype, d.typtypmod FROM below JOIN pg_catalog.pg_type d ON d.oid = "          \
    "below.oid AND d.typtype = 'd')"                                                                         \
    " SELECT b.oid, below.typmod FROM below JOIN pg_catalog.pg_type b ON b.oid = below.oid AND b.typtype "   \
    "<> 'd'"                                                                                                 \
    ") AS base ON t.typtype = 'd'"

static const char tables_sql[] =
    "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence,"
    " CASE WHEN c.relreplident = 'i' AND ri.indexrelid IS NULL THEN 'n' ELSE c.relreplident END,"
    " CASE WHEN c.relreplident = 'i' THEN ri.indexrelid IS NOT NULL ELSE pk.indexrelid IS NOT NULL END,"
    " c.relispartition, pg_catalog.row_security_active(c.oid),"
    " EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal"
    "  AND t.tgenabled IN ('A', 'R'))"
    " OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid"
    "  AND r.rulename <> '_RETURN' AND r.ev_enabled IN ('A', 'R')),"
    " EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid"
    "  AND k.contype IN ('p', 'u', 'x') AND k.condeferrable)" CHOSEN CHOICE ORDER;

static const char columns_sql[] =
    "SELECT c.oid, a.attname, pg_catalog.format_type(a.atttypid, NULL),"
    " pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod, a.attnum, a.attnotnull OR "
    "t.typnotnull,"
    " (a.atthasdef OR t.typdefault IS NOT NULL) AND a.attgenerated = '', a.attgenerated <> '', a.attidentity,"
    /* An index's own columns, not those that it INCLUDEs; its vector counts from 0. */
    " a.attnum = ANY (((CASE WHEN c.relreplident = 'i' THEN ri.indkey ELSE pk.indkey END)::pg_catalog.int2[])"
    "[0:CASE WHEN c.relreplident = 'i' THEN ri.indnkeyatts ELSE pk.indnkeyatts END - 1]),"
    " pg_catalog.format_type(coalesce(base.oid, a.atttypid), -1),"
    " CASE WHEN coalesce(base.oid, a.atttypid) < 16384 THEN '=' ELSE"
    " coalesce((SELECT pg_catalog.format('OPERATOR(%I.%s)', s.nspname, o.oprname) FROM pg_catalog.pg_opclass "
    "k"
    "  JOIN pg_catalog.pg_am h ON h.oid = k.opcmethod AND h.amname = 'btree'"
    "  JOIN pg_catalog.pg_amop m ON m.amopfamily = k.opcfamily AND m.amopstrategy = 3"
    "  AND m.amoplefttype = k.opcintype AND m.amoprighttype = k.opcintype"
    "  JOIN pg_catalog.pg_operator o ON o.oid = m.amopopr"
    "  JOIN pg_catalog.pg_namespace s ON s.oid = o.oprnamespace AND s.nspname <> 'pg_catalog'"
    "  WHERE k.opcdefault AND k.opcintype = coalesce(base.oid, a.atttypid)), '=') END, base.oid IS NOT NULL,"
    " EXISTS (SELECT FROM pg_catalog.pg_cast s WHERE s.castsource = 'pg_catalog.text'::pg_catalog.regtype"
    "  AND s.casttarget = coalesce(base.oid, a.atttypid) AND s.castmethod = 'f' AND s.casttarget >= "
    "16384), coalesce(base.oid, a.atttypid), coalesce(base.typmod, a.atttypmod),"
    " pg_catalog.format_type(coalesce(base.oid, a.atttypid), coalesce(base.typmod, a.atttypmod))" CHOSEN
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " JOIN pg_catalog.pg_type t ON t.oid = a.atttypid" BASE_TYPE CHOICE ORDER ", a.attnum";

static int no_room(struct sb_arena *arena, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "the catalog does not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(arena), sb_arena_name(arena));
}

static bool text_take(
    const struct sb_rows *rows, int row, int col, struct sb_arena *arena, struct sb_view *ret_text)
{
    return sb_arena_dup(arena, sb_view_str(sb_rows_get(rows, row, col)), ret_text);
}

static char char_of(const struct sb_rows *rows, int row, int col)
{
    const char *text = sb_rows_get(rows, row, col);
    return text == NULL ? '\0' : text[0];
}

static bool table_take(
    const struct sb_rows *rows, int row, struct sb_arena *arena, struct sb_cat_table *table)
{
    *table = (struct sb_cat_table){
        .oid = (uint32_t)sb_rows_u64(rows, row, 0),
        .kind = char_of(rows, row, 3),
        .persistence = char_of(rows, row, 4),
        .identity = char_of(rows, row, 5),
        .has_key = sb_rows_bool(rows, row, 6),
        .is_partition = sb_rows_bool(rows, row, 7),
        .rls = sb_rows_bool(rows, row, 8),
        .always_triggers = sb_rows_bool(rows, row, 9),
        .deferrable_unique = sb_rows_bool(rows, row, 10),
    };
    return text_take(rows, row, 1, arena, &table->schema) && text_take(rows, row, 2, arena, &table->name);
}

static bool column_take(
    const struct sb_rows *rows, int row, struct sb_arena *arena, struct sb_cat_column *col)
{
    *col = (struct sb_cat_column){
        .type_oid = (uint32_t)sb_rows_u64(rows, row, 4),
        .typmod = (int32_t)sb_rows_i64(rows, row, 5),
        .attnum = (int16_t)sb_rows_i64(rows, row, 6),
        .not_null = sb_rows_bool(rows, row, 7),
        .has_default = sb_rows_bool(rows, row, 8),
        .generated = sb_rows_bool(rows, row, 9),
        .identity = char_of(rows, row, 10),
        .domain = sb_rows_bool(rows, row, 14),
        .base_oid = (uint32_t)sb_rows_u64(rows, row, 16),
        .base_typmod = (int32_t)sb_rows_i64(rows, row, 17),
        .text_cast = sb_rows_bool(rows, row, 15),
        .key = sb_rows_bool(rows, row, 11),
    };
    return text_take(rows, row, 1, arena, &col->name) && text_take(rows, row, 2, arena, &col->type_name) &&
           text_take(rows, row, 3, arena, &col->type_full) &&
           text_take(rows, row, 12, arena, &col->type_cast) && text_take(rows, row, 13, arena, &col->equal) &&
           text_take(rows, row, 18, arena, &col->base_full);
}

static bool identity_generated(const struct sb_cat_table *table, int server_version)
{
    bool found = false;
    for (size_t i = 0; i < table->col_count; i++)
        found = found || (table->cols[i].generated &&
                             (table->identity == 'f' ? server_version >= 180000 : table->cols[i].key));
    return found;
}

/* Both results are in the same order, so each table's columns are the next run of rows with its oid. */
static bool tables_take(const struct sb_rows *tables, const struct sb_rows *columns, int server_version,
    struct sb_arena *arena, struct sb_cat_table *out)
{
    int row = 0, row_count = sb_rows_count(columns);
    for (int at = 0; at < sb_rows_count(tables); at++) {
        struct sb_cat_table *table = &out[at];
        if (!table_take(tables, at, arena, table))
            return false;
        int first = row;
        while (row < row_count && (uint32_t)sb_rows_u64(columns, row, 0) == table->oid)
            row++;
        table->col_count = (size_t)(row - first);
        table->cols = sb_arena_zalloc(arena, table->col_count * sizeof *table->cols + 1);
        if (table->cols == NULL)
            return false;
        for (int col = first; col < row; col++) {
            if (!column_take(columns, col, arena, &table->cols[col - first]))
                return false;
        }
        table->identity_generated = identity_generated(table, server_version);
    }
    return true;
}

static int catalog_read(struct sb_conn *conn, const char *const params[3], struct sb_arena *arena,
    struct sb_cat_table **ret_tables, size_t *ret_count, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *tables = NULL, *columns = NULL;
    if (sb_conn_query(conn, tables_sql, 3, params, &tables, err) < 0 ||
        sb_conn_query(conn, columns_sql, 3, params, &columns, err) < 0)
        return sb_err_add(err, "reading the catalog");
    size_t count = (size_t)sb_rows_count(tables);
    struct sb_cat_table *out = sb_arena_zalloc(arena, count * sizeof *out + 1);
    if (out == NULL || !tables_take(tables, columns, sb_conn_version(conn), arena, out))
        return no_room(arena, err);
    *ret_tables = out;
    *ret_count = count;
    return 0;
}

/* One snapshot for both statements, unless the caller's transaction gives one. */
static int catalog_read_once(struct sb_conn *conn, const char *const params[3], struct sb_arena *arena,
    struct sb_cat_table **ret_tables, size_t *ret_count, struct sb_err *err)
{
    if (sb_conn_in_transaction(conn))
        return catalog_read(conn, params, arena, ret_tables, ret_count, err);
    if (sb_conn_exec(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) < 0)
        return -1;
    int done = catalog_read(conn, params, arena, ret_tables, ret_count, err);
    struct sb_err ignored;
    sb_conn_exec(conn, "COMMIT", done == 0 ? err : &ignored);
    return done;
}

int sb_catalog_tables(struct sb_conn *conn, bool with_all, struct sb_arena *arena,
    struct sb_cat_table **ret_tables, size_t *ret_count, struct sb_err *err)
{
    const char *const params[] = {with_all ? "t" : "f", NULL, NULL};
    return catalog_read_once(conn, params, arena, ret_tables, ret_count, err);
}

int sb_catalog_table(struct sb_conn *conn, struct sb_view schema, struct sb_view name, struct sb_arena *arena,
    struct sb_cat_table *ret_table, bool *ret_found, struct sb_err *err)
{
    const char *const params[] = {"t", sb_arena_str(arena, schema), sb_arena_str(arena, name)};
    if (params[1] == NULL || params[2] == NULL)
        return no_room(arena, err);
    struct sb_cat_table *tables;
    size_t count;
    if (catalog_read_once(conn, params, arena, &tables, &count, err) < 0)
        return -1;
    *ret_found = count > 0;
    if (count > 0)
        *ret_table = tables[0];
    return 0;
}

const struct sb_cat_column *sb_cat_column(const struct sb_cat_table *table, struct sb_view name)
{
    for (size_t i = 0; i < table->col_count; i++) {
        if (sb_view_eq(table->cols[i].name, name))
            return &table->cols[i];
    }
    return NULL;
}

/* The timeline is the first eight hex digits of a WAL file's name; on a standby, that of the newest restart
 * point. */
static const char server_id_sql[] =
    "SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
    " CASE WHEN pg_catalog.pg_is_in_recovery()"
    "  THEN (SELECT pg_catalog.lpad(pg_catalog.to_hex(timeline_id), 8, '0') FROM"
    " pg_catalog.pg_control_checkpoint())"
    "  ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) END,"
    " (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),"
    " EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE n.nspname = 'switchback' AND c.relname = 'identity')";

int sb_catalog_server_id(struct sb_conn *conn, struct sb_server_id *ret_id, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL, *identity = NULL;
    if (sb_conn_query(conn, server_id_sql, 0, NULL, &rows, err) < 0)
        return sb_err_add(err, "asking who the server is");
    const char *timeline = sb_rows_get(rows, 0, 1);
    struct sb_server_id id = {
        .system_identifier = sb_rows_u64(rows, 0, 0),
        .timeline = timeline == NULL ? 0 : (uint32_t)strtoul(timeline, NULL, 16),
        .database_oid = (uint32_t)sb_rows_u64(rows, 0, 2),
    };
    if (sb_rows_bool(rows, 0, 3)) {
        if (sb_conn_query(conn, "SELECT uuid FROM switchback.identity", 0, NULL, &identity, err) < 0)
            return sb_err_add(err, "asking who the server is");
        if (sb_rows_count(identity) > 0)
            snprintf(id.uuid, sizeof id.uuid, "%s", sb_rows_get(identity, 0, 0));
    }
    *ret_id = id;
    return 0;
}
