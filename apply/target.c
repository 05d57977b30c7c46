#include "apply/target.h"

#include <string.h>

enum { OIDS_MAX_BYTES = 16 * 1024 * 1024 };

static int no_room(struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "the arena for target tables is full");
}

static bool take(const struct sb_rows *rows, int row, int col, struct sb_arena *arena, struct sb_view *out)
{
    return sb_arena_dup(arena, sb_view_str(sb_rows_get(rows, row, col)), out);
}

/* -- the stamp ------------------------------------------------------------------------------------------- */

/* Rows of the catalogs are replaced, never changed, by whoever alters a table, so their writers tell.
 * (Of pg_class only what matters: TRUNCATE and VACUUM FULL write it, too. Statements name a table, so another
 * one, or a view, under its name must be noticed.) */
#define WRITERS(catalog, column)                                                                             \
    "(SELECT pg_catalog.concat_ws('/', pg_catalog.count(*), pg_catalog.sum(r.xmin::text::bigint))"           \
    " FROM pg_catalog." catalog " AS r WHERE r." column " = t.oid)"
#define STAMP                                                                                                \
    "SELECT t.oid, pg_catalog.concat_ws(' ', (SELECT pg_catalog.concat_ws('/', c.relnamespace, c.relname,"   \
    " c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity) FROM pg_catalog.pg_class c"      \
    " WHERE c.oid = t.oid), " WRITERS("pg_attribute", "attrelid") ", " WRITERS(                              \
        "pg_index", "indrelid") ", " WRITERS("pg_constraint", "conrelid") ", " WRITERS("pg_trigger",         \
        "tgrelid") ", " WRITERS("pg_rewrite", "ev_class") ", " WRITERS("pg_inherits", "inhparent") ")"
static const char stamp_sql[] =
    STAMP " FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace"
          " WHERE n.nspname = $1 AND t.relname = $2";
static const char changed_sql[] =
    "SELECT d.oid FROM (" STAMP ", t.known FROM (SELECT u.oid::oid, u.known FROM ROWS FROM"
    " (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS u(oid, known)) AS t)"
    " AS d(oid, stamp, known) WHERE d.stamp <> d.known LIMIT 1";

int sb_target_stamp(struct sb_conn *conn, struct sb_view schema, struct sb_view name, struct sb_arena *arena,
    struct sb_target_stamp *ret_stamp, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {sb_arena_str(arena, schema), sb_arena_str(arena, name)};
    struct sb_target_stamp stamp = {0};
    if (params[0] == NULL || params[1] == NULL)
        return no_room(err);
    if (sb_conn_query(conn, stamp_sql, 2, params, &rows, err) != 0)
        return sb_err_add(err, "reading the catalog");
    if (sb_rows_count(rows) > 0) {
        if (!take(rows, 0, 0, arena, &stamp.oid) || !take(rows, 0, 1, arena, &stamp.text))
            return no_room(err);
    }
    *ret_stamp = stamp;
    return 0;
}

int sb_target_same(
    struct sb_writer *writer, const struct sb_apply_rel *const *rels, size_t count, struct sb_err *err)
{
    const char *other;
    sb_writer_arrays_begin(writer);
    sb_writer_array(writer, count);
    for (size_t i = 0; i < count; i++)
        sb_writer_array_put(writer, &(struct sb_value){.state = SB_COL_TEXT, .text = rels[i]->oid_text});
    sb_writer_array(writer, count);
    for (size_t i = 0; i < count; i++)
        sb_writer_array_put(writer, &(struct sb_value){.state = SB_COL_TEXT, .text = rels[i]->stamp});
    if (sb_writer_arrays_fetch(writer, sb_view_str(changed_sql), &other, 1, err) != 0)
        return sb_err_add(err, "reading the catalog");
    if (other == NULL)
        return 0;
    const struct sb_apply_rel *rel = rels[0];
    for (size_t i = 0; i < count; i++)
        if (sb_view_eq_str(rels[i]->oid_text, other))
            rel = rels[i];
    return sb_err_set(err, SB_E_TARGET_UNAVAILABLE,
        "target table \"%.*s.%.*s\" was altered while changes were written to it; it is read anew",
        (int)rel->target_schema.len, rel->target_schema.ptr, (int)rel->target_name.len, rel->target_name.ptr);
}

/* -- reading --------------------------------------------------------------------------------------------- */

/* The operator by which the index's column n tells equals: it need not be in the empty search_path. */
#define INDEX_EQUAL                                                                                          \
    "(SELECT m.amopopr FROM pg_catalog.pg_opclass c JOIN pg_catalog.pg_amop m ON m.amopfamily = "            \
    "c.opcfamily"                                                                                            \
    " AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype AND m.amopstrategy = 3"             \
    " AND m.amoppurpose = 's' WHERE c.oid = i.indclass[n - 1])"
#define NAMED_OPERATOR(oid)                                                                                  \
    "(SELECT pg_catalog.format('OPERATOR(%I.%s)', s.nspname, o.oprname) FROM pg_catalog.pg_operator o"       \
    " JOIN pg_catalog.pg_namespace s ON s.oid = o.oprnamespace WHERE o.oid = " oid ")"

/* Indexes by which at most one row can be found, primary key first, a row for each of their columns. */
static const char uniques_sql[] = "SELECT i.indexrelid, a.attname, " NAMED_OPERATOR(
    INDEX_EQUAL) " FROM pg_catalog.pg_index i CROSS JOIN LATERAL pg_catalog.generate_series(1, "
                 "i.indnkeyatts) AS n"
                 " JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n - 1]"
                 " WHERE i.indrelid = $1::oid AND i.indisunique AND NOT i.indisexclusion AND i.indimmediate "
                 "AND i.indisvalid AND i.indpred IS NULL"
                 " AND i.indexprs IS NULL ORDER BY i.indisprimary DESC, i.indexrelid, n";

static struct sb_apply_column *key_column(const struct sb_apply_rel *rel, const char *name)
{
    for (uint16_t k = 0; k < rel->key_count; k++) {
        struct sb_apply_column *col = &rel->cols[rel->key_cols[k]];
        if (sb_view_eq(col->name, sb_view_str(name)))
            return col;
    }
    return NULL;
}

/* The index in rows [first, end) covers no more than the key: it proves the key to be unique, and says how
 * it compares. */
static int use_unique(const struct sb_rows *rows, int first, int end, struct sb_arena *arena,
    struct sb_apply_rel *rel, struct sb_err *err)
{
    for (int row = first; row < end; row++)
        if (key_column(rel, sb_rows_get(rows, row, 1)) == NULL)
            return 0;
    rel->key_unique = true;
    for (int row = first; row < end; row++)
        if (sb_rows_get(rows, row, 2) != NULL &&
            !take(rows, row, 2, arena, &key_column(rel, sb_rows_get(rows, row, 1))->equal))
            return no_room(err);
    return 0;
}

static int read_uniques(struct sb_conn *conn, const char *oid, struct sb_arena *arena,
    struct sb_apply_rel *rel, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, uniques_sql, 1, &oid, &rows, err) != 0)
        return -1;
    for (int first = 0, end; first < sb_rows_count(rows) && !rel->key_unique; first = end) {
        for (end = first; end < sb_rows_count(rows); end++)
            if (strcmp(sb_rows_get(rows, end, 0), sb_rows_get(rows, first, 0)) != 0)
                break;
        if (use_unique(rows, first, end, arena, rel, err) != 0)
            return -1;
    }
    return 0;
}

/* Of the table, and those that a partition has of its own: they hold inside that partition. to_jsonb reads a
 * column that servers before 15 do not have. */
static const char deferrables_sql[] =
    "SELECT k.conname,"
    " pg_catalog.string_agg(pg_catalog.format('(%s) AS e%s', pg_catalog.pg_get_indexdef(i.indexrelid, n, "
    "false), n), ', ' ORDER BY n),"
    " coalesce(' WHERE ' || pg_catalog.pg_get_expr(i.indpred, i.indrelid), ''),"
    " pg_catalog.string_agg(pg_catalog.format(CASE WHEN (pg_catalog.to_jsonb(i) ->> "
    "'indnullsnotdistinct')::boolean"
    " THEN '(x.e%1$s %2$s y.e%1$s OR x.e%1$s IS NULL AND y.e%1$s IS NULL)' ELSE 'x.e%1$s %2$s y.e%1$s' END,"
    " n, " NAMED_OPERATOR(
        "coalesce(k.conexclop[n], " INDEX_EQUAL
        ")") "), ' AND ' ORDER BY n)"
             " || CASE WHEN k.conrelid = $1::oid THEN '' ELSE pg_catalog.format(' AND x.o = %s AND y.o = "
             "%1$s', "
             "k.conrelid) END"
             " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_index i ON i.indexrelid = k.conindid"
             " CROSS JOIN LATERAL pg_catalog.generate_series(1, i.indnkeyatts) AS n"
             " WHERE k.condeferrable AND k.contype IN ('p', 'u', 'x') AND (k.conrelid = $1::oid OR "
             "k.conparentid = 0 AND "
             "k.conrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree($1::oid)))"
             " GROUP BY k.oid, k.conname, k.conrelid, i.indpred, i.indrelid ORDER BY k.conname";

static int read_deferrables(struct sb_conn *conn, const char *oid, struct sb_arena *arena,
    struct sb_apply_rel *rel, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, deferrables_sql, 1, &oid, &rows, err) != 0)
        return -1;
    size_t count = (size_t)sb_rows_count(rows);
    struct sb_deferrable *all = sb_arena_zalloc(arena, count * sizeof *all + 1);
    if (all == NULL)
        return no_room(err);
    for (size_t c = 0; c < count; c++)
        if (!take(rows, (int)c, 0, arena, &all[c].name) || !take(rows, (int)c, 1, arena, &all[c].columns) ||
            !take(rows, (int)c, 2, arena, &all[c].filter) || !take(rows, (int)c, 3, arena, &all[c].clash))
            return no_room(err);
    rel->deferrables = all;
    rel->deferrable_count = count;
    return 0;
}

/* The rewriter refuses ON CONFLICT beside any rule ON UPDATE, also one that does not fire in our role. */
static int read_rules(struct sb_conn *conn, const char *oid, struct sb_apply_rel *rel, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn,
            "SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = $1::oid AND ev_type = '2' LIMIT 1", 1, &oid,
            &rows, err) != 0)
        return -1;
    rel->no_on_conflict = rel->deferrable_count > 0 || sb_rows_count(rows) > 0;
    return 0;
}

/* Counting rows proves nothing where one key may have several. */
static void decide_exact(struct sb_apply_rel *rel)
{
    if (rel->key_count > 0 && !rel->key_unique && rel->exact_reason == NULL)
        rel->exact_reason = "the target has no unique index on the key";
    rel->exact_only = rel->exact_reason != NULL;
}

int sb_target_read(struct sb_conn *conn, const struct sb_target_stamp *stamp, struct sb_arena *arena,
    struct sb_apply_rel *rel, struct sb_err *err)
{
    const char *oid = stamp->oid.ptr;
    rel->oid_text = stamp->oid;
    rel->stamp = stamp->text;
    if (read_uniques(conn, oid, arena, rel, err) != 0 || read_deferrables(conn, oid, arena, rel, err) != 0 ||
        read_rules(conn, oid, rel, err) != 0)
        return sb_err_add(err, "reading the catalog");
    decide_exact(rel);
    return 0;
}

/* -- locks ----------------------------------------------------------------------------------------------- */

/* "{1,2,3}" */
static const char *put_oids(struct sb_buf *oids, const struct sb_apply_rel *const *rels, size_t count)
{
    sb_buf_init(oids, OIDS_MAX_BYTES);
    for (size_t i = 0; i < count; i++)
        sb_buf_putf(oids, "%s%s", i == 0 ? "{" : ",", rels[i]->oid_text.ptr);
    sb_buf_put_str(oids, count == 0 ? "{}" : "}");
    return sb_buf_str(oids);
}

static const char holder_sql[] =
    "SELECT a.pid, a.usename, coalesce(a.application_name, ''), coalesce(a.state, '?'),"
    " coalesce(pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - a.xact_start)::text, '?')"
    " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY ($1::oid[])"
    " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
    " AND l.mode <> 'AccessShareLock' AND l.pid <> pg_catalog.pg_backend_pid()"
    " ORDER BY a.xact_start NULLS LAST LIMIT 1";

void sb_target_name_holder(
    struct sb_conn *conn, const struct sb_apply_rel *const *rels, size_t count, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_buf oids SB_CLEANUP(sb_buf_clear);
    struct sb_err ignored;
    const char *params[] = {put_oids(&oids, rels, count)};
    if (strcmp(err->sqlstate, "55P03") != 0 && strcmp(err->sqlstate, "40P01") != 0)
        return;
    if (sb_conn_query(conn, holder_sql, 1, params, &rows, &ignored) != 0 || sb_rows_count(rows) == 0)
        return;
    sb_err_add(err, "process %s of the target holds locks there: user \"%s\", application \"%s\", %s, for %s",
        sb_rows_get(rows, 0, 0), sb_rows_get(rows, 0, 1), sb_rows_get(rows, 0, 2), sb_rows_get(rows, 0, 3),
        sb_rows_get(rows, 0, 4));
}

/* -- a value that was refused ---------------------------------------------------------------------------- */

enum { VALUE_MAX_BYTES = 1024 * 1024 };

/* Does the type of column i say the same of this value by itself? */
static bool is_refused(
    struct sb_conn *conn, const struct sb_apply_column *col, struct sb_view text, const char *sqlstate)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    struct sb_buf value SB_CLEANUP(sb_buf_clear);
    struct sb_err refusal;
    sb_buf_init(&sql, VALUE_MAX_BYTES);
    sb_buf_init(&value, VALUE_MAX_BYTES);
    sb_buf_putf(&sql, "SELECT $1::pg_catalog.text::%.*s", (int)col->cast_type.len, col->cast_type.ptr);
    sb_buf_put_view(&value, text);
    const char *params[] = {sb_buf_str(&value)};
    if (sql.failed || value.failed || sb_conn_query(conn, sb_buf_str(&sql), 1, params, NULL, &refusal) == 0)
        return false;
    return strcmp(refusal.sqlstate, sqlstate) == 0;
}

void sb_target_name_column(
    struct sb_conn *conn, const struct sb_apply_rel *rel, const struct sb_value *row, struct sb_err *err)
{
    if (row == NULL || strncmp(err->sqlstate, "22", 2) != 0)
        return;
    for (uint16_t i = 0; i < rel->rel->col_count; i++) {
        const struct sb_apply_column *col = &rel->cols[i];
        if (row[i].state != SB_COL_TEXT || !is_refused(conn, col, row[i].text, err->sqlstate))
            continue;
        sb_err_add(err, "column \"%.*s\" of type %.*s", (int)col->name.len, col->name.ptr,
            (int)col->cast_type.len, col->cast_type.ptr);
        return;
    }
}
