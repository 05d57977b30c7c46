#include "apply/sql.h"

#include "pg/ident.h"

struct sb_view sb_sql_view(const struct sb_buf *sql)
{
    return sql->failed ? sb_view(NULL, 0) : sb_buf_view(sql);
}

static void put_target(const struct sb_apply_rel *rel, struct sb_buf *sql)
{
    sb_ident_put_table(sql, rel->target_schema, rel->target_name);
}

/* Where rows are looked for: not in tables that inherit from this one, whose rows travel by their own name.
 */
static void put_rows(const struct sb_apply_rel *rel, struct sb_buf *sql)
{
    sb_buf_put_str(sql, rel->ordinary ? "ONLY " : "");
    put_target(rel, sql);
}

static bool is_key(const struct sb_apply_rel *rel, uint16_t col)
{
    for (uint16_t k = 0; k < rel->key_count; k++)
        if (rel->key_cols[k] == col)
            return true;
    return false;
}

/* -- in sets
 * ------------------------------------------------------------------------------------------------- */

/* A derived table s(k0, k1, ..., v0, ...): the parameters' arrays side by side, each cast to its column's
 * type. */
struct set_source {
    struct sb_buf *sql;
    int params;
};

static void source_column(struct set_source *source, const struct sb_apply_rel *rel, uint16_t col)
{
    int n = source->params++;
    sb_buf_putf(source->sql, "%sa.c%d::", n == 0 ? "" : ", ", n);
    sb_buf_put_view(source->sql, rel->cols[col].cast_type);
    sb_buf_putf(source->sql, " AS c%d", n);
}

static void put_arrays(struct set_source *source)
{
    sb_buf_put_str(source->sql, " FROM ROWS FROM (");
    for (int n = 0; n < source->params; n++)
        sb_buf_putf(source->sql, "%spg_catalog.unnest($%d::pg_catalog.text[])", n == 0 ? "" : ", ", n + 1);
    sb_buf_put_str(source->sql, ")");
}

static void put_array_names(struct set_source *source)
{
    for (int n = 0; n < source->params; n++)
        sb_buf_putf(source->sql, "%sc%d", n == 0 ? "" : ", ", n);
}

static void source_end(struct set_source *source)
{
    put_arrays(source);
    sb_buf_put_str(source->sql, " AS a(");
    put_array_names(source);
    sb_buf_put_str(source->sql, ")");
}

static void source_keys(struct set_source *source, const struct sb_apply_rel *rel)
{
    for (uint16_t k = 0; k < rel->key_count; k++)
        source_column(source, rel, rel->key_cols[k]);
}

/* " = " behind a column of the key, as the unique index has it: an extension's operator is not in the empty
 * search_path, and a domain over an enum equals nothing but itself. */
static void put_equal(const struct sb_apply_rel *rel, uint16_t col, struct sb_buf *sql)
{
    if (rel->cols[col].domain) {
        sb_buf_put_str(sql, "::");
        sb_buf_put_view(sql, rel->cols[col].cast_type);
    }
    sb_buf_put_str(sql, " ");
    sb_buf_put_view(sql, rel->cols[col].equal);
    sb_buf_put_str(sql, " ");
}

static void put_key_join(const struct sb_apply_rel *rel, struct sb_buf *sql)
{
    for (uint16_t k = 0; k < rel->key_count; k++) {
        sb_buf_put_str(sql, k == 0 ? " WHERE t." : " AND t.");
        sb_ident_put(sql, rel->cols[rel->key_cols[k]].name);
        put_equal(rel, rel->key_cols[k], sql);
        sb_buf_putf(sql, "s.c%d", (int)k);
    }
}

void sb_sql_set_count(const struct sb_apply_rel *rel, struct sb_buf *sql)
{
    struct set_source source = {.sql = sql};
    sb_buf_put_str(sql, "SELECT pg_catalog.count(*) FROM (SELECT ");
    source_keys(&source, rel);
    source_end(&source);
    sb_buf_put_str(sql, ") AS s JOIN ");
    put_rows(rel, sql);
    sb_buf_put_str(sql, " AS t ON true");
    put_key_join(rel, sql);
}

void sb_sql_set_delete(const struct sb_apply_rel *rel, struct sb_buf *sql)
{
    struct set_source source = {.sql = sql};
    sb_buf_put_str(sql, "DELETE FROM ");
    put_rows(rel, sql);
    sb_buf_put_str(sql, " AS t USING (SELECT ");
    source_keys(&source, rel);
    source_end(&source);
    sb_buf_put_str(sql, ") AS s");
    put_key_join(rel, sql);
}

bool sb_sql_in_set(const struct sb_apply_rel *rel, const bool *present, uint16_t col)
{
    return present[col] && rel->cols[col].settable && !is_key(rel, col);
}

/* "UPDATE t SET " before the first assignment, a comma before the others. */
static void put_assignment(
    const struct sb_apply_rel *rel, uint16_t col, int nth, int source, struct sb_buf *sql)
{
    if (nth == 0) {
        sb_buf_put_str(sql, "UPDATE ");
        put_rows(rel, sql);
        sb_buf_put_str(sql, " AS t SET ");
    } else {
        sb_buf_put_str(sql, ", ");
    }
    sb_ident_put(sql, rel->cols[col].name);
    sb_buf_putf(sql, " = s.c%d", source);
}

bool sb_sql_set_update(const struct sb_apply_rel *rel, const bool *present, struct sb_buf *sql)
{
    struct set_source source = {.sql = sql};
    int set = 0, values = rel->key_count;
    /* The key too: equal is not always the same (1.0 and 1.00), and the source's spelling is the row's. */
    for (uint16_t k = 0; k < rel->key_count; k++)
        if (rel->cols[rel->key_cols[k]].settable)
            put_assignment(rel, rel->key_cols[k], set++, k, sql);
    for (uint16_t i = 0; i < rel->rel->col_count; i++)
        if (sb_sql_in_set(rel, present, i))
            put_assignment(rel, i, set++, values++, sql);
    if (set == 0)
        return false;
    sb_buf_put_str(sql, " FROM (SELECT ");
    source_keys(&source, rel);
    for (uint16_t i = 0; i < rel->rel->col_count; i++)
        if (sb_sql_in_set(rel, present, i))
            source_column(&source, rel, i);
    source_end(&source);
    sb_buf_put_str(sql, ") AS s");
    put_key_join(rel, sql);
    return true;
}

/* "(a, b, c)" of the columns; "()" is not SQL, so a table without any says DEFAULT VALUES. */
static int put_columns(const struct sb_apply_rel *rel, struct sb_buf *sql)
{
    for (uint16_t i = 0; i < rel->rel->col_count; i++) {
        sb_buf_put_str(sql, i == 0 ? " (" : ", ");
        sb_ident_put(sql, rel->cols[i].name);
    }
    if (rel->rel->col_count > 0)
        sb_buf_put_str(sql, ")");
    return rel->rel->col_count;
}

void sb_sql_set_insert(const struct sb_apply_rel *rel, struct sb_buf *sql)
{
    struct set_source source = {.sql = sql};
    sb_buf_put_str(sql, "INSERT INTO ");
    put_target(rel, sql);
    put_columns(rel, sql);
    sb_buf_put_str(sql, rel->identity_always ? " OVERRIDING SYSTEM VALUE SELECT " : " SELECT ");
    for (uint16_t i = 0; i < rel->rel->col_count; i++)
        source_column(&source, rel, i);
    source_end(&source);
}

void sb_sql_copy(const struct sb_apply_rel *rel, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "COPY ");
    put_target(rel, sql);
    put_columns(rel, sql);
    sb_buf_put_str(sql, " FROM STDIN");
}

/* -- one by one
 * ---------------------------------------------------------------------------------------------- */

void sb_sql_one_insert(const struct sb_apply_rel *rel, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "INSERT INTO ");
    put_target(rel, sql);
    int n = put_columns(rel, sql);
    sb_buf_put_str(sql, rel->identity_always ? " OVERRIDING SYSTEM VALUE" : "");
    sb_buf_put_str(sql, n == 0 ? " DEFAULT VALUES" : " VALUES (");
    for (int i = 0; i < n; i++)
        sb_buf_putf(sql, "%s$%d", i == 0 ? "" : ", ", i + 1);
    sb_buf_put_str(sql, n == 0 ? "" : ")");
    sb_buf_put_str(sql, rel->no_on_conflict ? "" : " ON CONFLICT DO NOTHING");
}

bool sb_sql_matches_by(const struct sb_apply_rel *rel, uint16_t col)
{
    return rel->key_count > 0 ? is_key(rel, col) : true;
}

/*
 * The row: by key, or, without one, one row whose every column shows the same text. format('%s', c) is the
 * type's own output function, which a cast to text is not (bool, bpchar, inet). Compared byte by byte: the
 * column's collation may take for equal what is not the same.
 */
static void put_match(const struct sb_apply_rel *rel, int param, struct sb_buf *sql)
{
    bool first = true;
    if (rel->key_count == 0) {
        sb_buf_put_str(sql, " WHERE (t.tableoid, t.ctid) = (SELECT u.tableoid, u.ctid FROM ");
        put_rows(rel, sql);
        sb_buf_put_str(sql, " AS u");
    }
    for (uint16_t i = 0; i < rel->rel->col_count; i++) {
        if (!sb_sql_matches_by(rel, i))
            continue;
        sb_buf_put_str(sql, first ? " WHERE " : " AND ");
        first = false;
        param++;
        if (rel->key_count > 0) {
            sb_buf_put_str(sql, "t.");
            sb_ident_put(sql, rel->cols[i].name);
            put_equal(rel, i, sql);
            sb_buf_putf(sql, "$%d::", param);
            sb_buf_put_view(sql, rel->cols[i].cast_type);
        } else {
            sb_buf_putf(sql, "CASE WHEN $%d::pg_catalog.text IS NULL THEN u.", param);
            sb_ident_put(sql, rel->cols[i].name);
            sb_buf_put_str(sql, " IS NOT DISTINCT FROM NULL ELSE u.");
            sb_ident_put(sql, rel->cols[i].name);
            sb_buf_put_str(sql, " IS DISTINCT FROM NULL AND pg_catalog.format('%s', u.");
            sb_ident_put(sql, rel->cols[i].name);
            sb_buf_putf(sql, ") = $%d COLLATE pg_catalog.\"C\" END", param);
        }
    }
    if (rel->key_count == 0)
        sb_buf_put_str(sql, " LIMIT 1)");
}

bool sb_sql_one_update(const struct sb_apply_rel *rel, const bool *present, struct sb_buf *sql)
{
    int n = 0;
    for (uint16_t i = 0; i < rel->rel->col_count; i++) {
        if (!present[i] || !rel->cols[i].settable)
            continue;
        if (n == 0) {
            sb_buf_put_str(sql, "UPDATE ");
            put_rows(rel, sql);
            sb_buf_put_str(sql, " AS t SET ");
        } else {
            sb_buf_put_str(sql, ", ");
        }
        sb_ident_put(sql, rel->cols[i].name);
        sb_buf_putf(sql, " = $%d", ++n);
    }
    if (n == 0) {
        sb_buf_put_str(sql, "SELECT 1 FROM ");
        put_rows(rel, sql);
        sb_buf_put_str(sql, " AS t");
    }
    put_match(rel, n, sql);
    return n > 0;
}

bool sb_sql_one_fixed(const struct sb_apply_rel *rel, const struct sb_value *after, struct sb_buf *sql)
{
    int n = 0;
    sb_buf_put_str(sql, "SELECT 1 FROM ");
    put_rows(rel, sql);
    sb_buf_put_str(sql, " AS t");
    put_match(rel, 0, sql);
    for (uint16_t i = 0; i < rel->rel->col_count; i++)
        n += sb_sql_matches_by(rel, i);
    bool any = false;
    for (uint16_t i = 0; i < rel->rel->col_count; i++) {
        if (!sb_sql_is_fixed(rel, after, i))
            continue;
        sb_buf_put_str(sql, any ? " OR t." : " AND (t.");
        sb_ident_put(sql, rel->cols[i].name);
        sb_buf_putf(sql, " IS DISTINCT FROM $%d", ++n);
        any = true;
    }
    sb_buf_put_str(sql, any ? ")" : "");
    return any;
}

bool sb_sql_is_fixed(const struct sb_apply_rel *rel, const struct sb_value *after, uint16_t col)
{
    return !rel->cols[col].settable && after[col].state != SB_COL_UNCHANGED;
}

void sb_sql_one_delete(const struct sb_apply_rel *rel, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "DELETE FROM ");
    put_rows(rel, sql);
    sb_buf_put_str(sql, " AS t");
    put_match(rel, 0, sql);
}

void sb_sql_one_read(const struct sb_apply_rel *rel, struct sb_buf *sql)
{
    for (uint16_t i = 0; i < rel->rel->col_count; i++) {
        sb_buf_put_str(sql, i == 0 ? "SELECT t." : ", t.");
        sb_ident_put(sql, rel->cols[i].name);
    }
    sb_buf_put_str(sql, " FROM ");
    put_rows(rel, sql);
    sb_buf_put_str(sql, " AS t");
    put_match(rel, 0, sql);
    sb_buf_put_str(sql, " FOR UPDATE");
}

void sb_sql_one_json(const struct sb_apply_rel *rel, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "SELECT pg_catalog.to_jsonb(t) FROM ");
    put_rows(rel, sql);
    sb_buf_put_str(sql, " AS t");
    put_match(rel, 0, sql);
    sb_buf_put_str(sql, rel->key_count > 0 ? " LIMIT 1" : "");
}

/* One of the two sides of a pair: every row of the table, with the constraint's columns. */
static void put_side(
    const struct sb_apply_rel *rel, const struct sb_deferrable *constraint, bool with_key, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "(SELECT t.tableoid AS o, t.ctid AS i, pg_catalog.to_jsonb(t) AS r, ");
    for (uint16_t k = 0; with_key && k < rel->key_count; k++) {
        sb_buf_put_str(sql, "t.");
        sb_ident_put(sql, rel->cols[rel->key_cols[k]].name);
        sb_buf_putf(sql, " AS k%d, ", (int)k);
    }
    sb_buf_put_view(sql, constraint->columns);
    sb_buf_put_str(sql, " FROM ");
    put_rows(rel, sql);
    sb_buf_put_str(sql, " AS t");
    sb_buf_put_view(sql, constraint->filter);
    sb_buf_put_str(sql, ")");
}

void sb_sql_probe(
    const struct sb_apply_rel *rel, const struct sb_deferrable *constraint, bool by_key, struct sb_buf *sql)
{
    struct set_source source = {.sql = sql};
    if (by_key) {
        sb_buf_put_str(sql, "SELECT s.n, y.r FROM (SELECT ");
        source_keys(&source, rel);
        sb_buf_put_str(sql, ", a.n");
        put_arrays(&source);
        sb_buf_put_str(sql, " WITH ORDINALITY AS a(");
        put_array_names(&source);
        sb_buf_put_str(sql, ", n)) AS s JOIN ");
        put_side(rel, constraint, true, sql);
        sb_buf_put_str(sql, " AS x ON true");
        for (uint16_t k = 0; k < rel->key_count; k++) {
            sb_buf_putf(sql, " AND x.k%d", (int)k);
            put_equal(rel, rel->key_cols[k], sql);
            sb_buf_putf(sql, "s.c%d", (int)k);
        }
    } else {
        sb_buf_put_str(sql, "SELECT 1, y.r FROM ");
        put_side(rel, constraint, false, sql);
        sb_buf_put_str(sql, " AS x");
    }
    sb_buf_put_str(sql, " JOIN ");
    put_side(rel, constraint, false, sql);
    sb_buf_put_str(sql, " AS y ON ");
    sb_buf_put_view(sql, constraint->clash);
    sb_buf_put_str(sql, " AND (x.o, x.i) <> (y.o, y.i) LIMIT 1");
}

void sb_sql_truncate(const struct sb_apply_rel *const *rels, uint16_t count, bool cascade,
    bool restart_identity, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "TRUNCATE ");
    for (uint16_t i = 0; i < count; i++) {
        sb_buf_put_str(sql, i == 0 ? "" : ", ");
        put_rows(rels[i], sql);
    }
    sb_buf_put_str(sql, restart_identity ? " RESTART IDENTITY" : " CONTINUE IDENTITY");
    sb_buf_put_str(sql, cascade ? " CASCADE" : "");
}

void sb_sql_cut(const struct sb_batch_cut *cut, size_t range, struct sb_buf *sql)
{
    const struct sb_stamp_cut *stamp = &cut->stamp;
    sb_buf_put_str(sql, cut->parted ? "DELETE FROM " : "DELETE FROM ONLY ");
    sb_ident_put_table(sql, stamp->rel->schema, stamp->rel->name);
    if (stamp->whole || stamp->kind == SB_KEY_NONE)
        return;
    sb_buf_put_str(sql, " WHERE ");
    sb_key_range_put_sql(&stamp->ranges[range], stamp->kind, stamp->key_column, sql);
}
