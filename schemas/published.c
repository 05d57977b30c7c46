#include "schemas/published.h"

#include "pg/ident.h"

#include <inttypes.h>
#include <string.h>

enum {
    SQL_MAX_BYTES = 1024 * 1024,
    CHUNKS_MAX = 100000, /* of a table */
    SAMPLE_ROWS = 30,    /* for a chunk */
    SAMPLE_PAGES = 8,    /* for a chunk: keys of one page are neighbours, and tell little */
    SAMPLE_PAGES_LEAST = 500,
    SAMPLE_LEAST = 500,
    SAMPLE_MOST = 300000,
    KEY_MAX_BYTES = 1024, /* longer keys are no boundaries */
    KEYS_MAX_BYTES = 512 * 1024 * 1024,
};

static int no_room(const struct sb_arena *arena, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "a table's key ranges do not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(arena), sb_arena_name(arena));
}

int sb_published_tables(struct sb_conn *conn, const char *publication, const char *publication_keyless,
    struct sb_rows **ret_rows, struct sb_err *err)
{
    const char *params[] = {publication, publication_keyless};
    return sb_conn_query(conn,
        "SELECT n.nspname, c.relname, c.oid, pg_catalog.bool_or(p.pubname = $1), pg_catalog.bool_or("
        "pg_catalog.to_jsonb(r) ->> 'prqual' IS NOT NULL OR pg_catalog.to_jsonb(r) ->> 'prattrs' IS NOT NULL)"
        " FROM pg_catalog.pg_publication p"
        " JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid JOIN pg_catalog.pg_class c ON c.oid = "
        "r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname IN ($1, $2) AND "
        "NOT EXISTS"
        " (SELECT FROM pg_catalog.pg_partition_ancestors(c.oid) a(relid) JOIN pg_catalog.pg_publication_rel "
        "o ON"
        "  o.prrelid = a.relid AND a.relid <> c.oid JOIN pg_catalog.pg_publication q ON q.oid = o.prpubid"
        "  AND q.pubname IN ($1, $2))"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2",
        2, params, ret_rows, err);
}

void sb_published_put_shape(struct sb_view schema, struct sb_view name, struct sb_buf *sql)
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

/* $1: the table's oid. The key's leading column (NULL without a key), its type, whether its collation
 * compares bytes; how many rows there may be; whether every type has one binary form on all servers. Types
 * from 10000 up have other oids elsewhere; reg* and composite types hold such oids. */
static const char facts_sql[] =
    "WITH parts AS (SELECT $1::oid AS relid UNION SELECT t.relid FROM pg_catalog.pg_partition_tree($1::oid) "
    "t),"
    " key AS (SELECT a.attname, a.atttypid, CASE WHEN a.attcollation IN (950, 951) THEN true WHEN "
    "a.attcollation = "
    "100 THEN CASE coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') WHEN 'b' THEN true WHEN 'c' "
    "THEN "
    "d.datcollate IN ('C', 'POSIX') ELSE false END ELSE false END AS byte_order"
    "  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_index i ON i.indrelid = c.oid"
    "  AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
    "  JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database() WHERE c.oid = $1::oid)"
    "SELECT (SELECT attname FROM key), (SELECT atttypid FROM key), (SELECT byte_order FROM key),"
    " (SELECT coalesce(sum(pg_catalog.pg_relation_size(c.oid) / 8192), 0)::bigint FROM parts JOIN "
    "pg_catalog.pg_class c"
    "  ON c.oid = relid WHERE c.relkind = 'r'),"
    " (SELECT coalesce(sum(CASE WHEN c.reltuples > 0 AND c.relpages > 0 THEN c.reltuples / c.relpages ELSE "
    "60 END *"
    "  (pg_catalog.pg_relation_size(c.oid) / 8192)), 0)::bigint FROM parts JOIN pg_catalog.pg_class c ON "
    "c.oid = relid"
    "  WHERE c.relkind = 'r'),"
    " NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
    "  LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'"
    "  WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND (t.oid >= 10000 OR "
    "t.typsend::oid = 0"
    "  OR t.typreceive::oid = 0 OR t.typtype NOT IN ('b', 'r', 'm') OR t.typname ~ '^_?reg'"
    "  OR e.typsend::oid = 0 OR e.typtype NOT IN ('b', 'r', 'm')))";

int sb_published_facts(struct sb_conn *conn, const char *oid, bool utf8, struct sb_arena *arena,
    struct sb_published_facts *ret_facts, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {oid};
    if (sb_conn_query(conn, facts_sql, 1, params, &rows, err) != 0)
        return -1;
    *ret_facts = (struct sb_published_facts){
        .kind = sb_key_kind_of((uint32_t)sb_rows_u64(rows, 0, 1), utf8 && sb_rows_bool(rows, 0, 2)),
        .pages = sb_rows_i64(rows, 0, 3),
        .rows_estimated = sb_rows_i64(rows, 0, 4),
        .binary = sb_rows_bool(rows, 0, 5)};
    if (!sb_arena_dup(arena, sb_view_str(sb_rows_get(rows, 0, 0)), &ret_facts->key_column))
        return no_room(arena, err);
    return 0;
}

int sb_published_is_utf8(struct sb_conn *conn, bool *ret_utf8, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, "SELECT pg_catalog.getdatabaseencoding()", 0, NULL, &rows, err) != 0)
        return -1;
    *ret_utf8 = strcmp(sb_rows_get(rows, 0, 0), "UTF8") == 0;
    return 0;
}

/* -- cutting --------------------------------------------------------------------------------------------- */

static double share(int64_t wanted, int64_t there)
{
    return wanted < there ? (double)wanted / (double)there : 1;
}

/* Keys of the table, as canonical bytes, from a sample of its pages. */
static int sample_keys(struct sb_conn *conn, const struct sb_published_cut *cut, size_t chunks,
    struct sb_arena *arena, struct sb_view **ret_keys, size_t *ret_count, struct sb_err *err)
{
    const struct sb_published_facts *facts = cut->facts;
    int64_t wanted = (int64_t)chunks * SAMPLE_ROWS, pages = (int64_t)chunks * SAMPLE_PAGES;
    wanted = wanted < SAMPLE_LEAST ? SAMPLE_LEAST : wanted > SAMPLE_MOST ? SAMPLE_MOST : wanted;
    double of_pages = share(pages < SAMPLE_PAGES_LEAST ? SAMPLE_PAGES_LEAST : pages, facts->pages);
    double of_rows = share(wanted, (int64_t)((double)facts->rows_estimated * of_pages) + 1);
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    sb_buf_init(&sql, SQL_MAX_BYTES);
    sb_buf_put_str(&sql, "SELECT ");
    sb_ident_put(&sql, facts->key_column);
    sb_buf_put_str(&sql, "::text FROM ");
    sb_buf_put_str(&sql, cut->from);
    sb_buf_putf(&sql,
        " TABLESAMPLE SYSTEM (%.6f) WHERE pg_catalog.random() <= %.9f AND pg_catalog.pg_column_size(",
        100 * of_pages, of_rows);
    sb_ident_put(&sql, facts->key_column);
    sb_buf_putf(&sql, ") <= %d LIMIT %" PRId64, KEY_MAX_BYTES, 4 * wanted);
    if (sql.failed || sb_conn_query(conn, sb_buf_str(&sql), 0, NULL, &rows, err) != 0)
        return -1;
    size_t count = (size_t)sb_rows_count(rows), taken = 0;
    struct sb_view *keys = sb_arena_alloc(arena, (count + 1) * sizeof *keys);
    struct sb_buf canonical SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&canonical, KEYS_MAX_BYTES);
    for (size_t i = 0; keys != NULL && i < count; i++) {
        sb_buf_reset(&canonical);
        if (!sb_key_put(facts->kind, sb_view_str(sb_rows_get(rows, (int)i, 0)), &canonical))
            return sb_err_set(
                err, SB_E_VALUE_INVALID, "table %s: a key is not in the form it must have", cut->relation);
        if (!sb_arena_dup(arena, sb_buf_view(&canonical), &keys[taken++]))
            return no_room(arena, err);
    }
    if (keys == NULL)
        return no_room(arena, err);
    *ret_keys = keys;
    *ret_count = taken;
    return 0;
}

int sb_published_cut(struct sb_conn *conn, const struct sb_published_cut *cut, struct sb_arena *arena,
    struct sb_ranges *ranges, struct sb_err *err)
{
    struct sb_view *keys = NULL;
    size_t key_count = 0;
    int64_t chunks = cut->facts->rows_estimated / cut->chunk_rows + 1;
    if (cut->facts->kind == SB_KEY_NONE || chunks < 2 || ranges->count == 0)
        return 0;
    chunks = chunks > CHUNKS_MAX ? CHUNKS_MAX : chunks;
    if (sample_keys(conn, cut, (size_t)chunks, arena, &keys, &key_count, err) != 0)
        return -1;
    struct sb_view *boundaries = sb_arena_alloc(arena, (size_t)chunks * sizeof *boundaries);
    if (boundaries == NULL)
        return no_room(arena, err);
    size_t count = sb_ranges_boundaries(keys, key_count, (size_t)chunks, boundaries);
    struct sb_ranges whole = *ranges;
    return sb_ranges_cut(&whole, boundaries, count, arena, ranges, err);
}
