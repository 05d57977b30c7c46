/* Which tables travel, how, and whether the target can hold them. */
#include "pg/ident.h"
#include "setup/checkup.h"
#include "setup/structure.h"

#include <string.h>

static int chosen_check(struct sb_checkup *up)
{
    if (up->scope.published == 0)
        return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_CONFIG, NULL,
            "tables.include and tables.exclude leave no table of the source's %zu", up->scope.count);
    return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "%zu tables", up->scope.published);
}

static bool pattern_finds(const struct sb_checkup *up, const char *pattern)
{
    for (size_t i = 0; i < up->scope.count; i++) {
        const struct sb_cat_table *table = up->scope.tables[i].table;
        if (sb_pattern_match(pattern, table->schema, table->name))
            return true;
    }
    return false;
}

static int patterns_check(struct sb_checkup *up)
{
    const struct sb_config_list *include = &up->config->tables.include;
    for (size_t i = 0; i < include->count; i++) {
        if (pattern_finds(up, include->items[i]))
            continue;
        bool by_name = strpbrk(include->items[i], "*?") == NULL;
        if (sb_checkup_tell(up, by_name ? SB_RESULT_FAIL : SB_RESULT_WARN, SB_E_CONFIG, NULL,
                "tables.include has \"%s\", but the source has no such table", include->items[i]) < 0)
            return -1;
    }
    return 0;
}

static const char *kind_words(const struct sb_cat_table *table)
{
    if (table->persistence == 'u')
        return "an unlogged table";
    if (table->persistence == 't')
        return "a temporary table";
    return table->kind == 'v' ? "a view" : table->kind == 'm' ? "a materialized view" : "a foreign table";
}

static int barred_check(struct sb_checkup *up)
{
    for (size_t i = 0; i < up->scope.count; i++) {
        const struct sb_scope_table *scoped = &up->scope.tables[i];
        if (scoped->klass != SB_SCOPE_BARRED)
            continue;
        const char *name = sb_checkup_table(up, scoped->table->schema, scoped->table->name);
        if (name == NULL)
            return sb_checkup_full(up);
        bool unlogged = scoped->table->persistence == 'u';
        if (sb_checkup_tell(up, scoped->by_name ? SB_RESULT_FAIL : SB_RESULT_INFO, SB_E_CONFIG,
                unlogged ? sb_checkup_text(up, "ALTER TABLE %s SET LOGGED;", name) : NULL,
                "%s is %s: no stream carries it%s", name, kind_words(scoped->table),
                scoped->by_name && !unlogged ? "; take it out of tables.include" : "") < 0)
            return -1;
    }
    return 0;
}

/* The statement that gives a table, and with it all its partitions, an identity. */
static const char *full_statement(struct sb_checkup *up, const struct sb_cat_table *table, const char *name)
{
    if (table->kind != 'p')
        return sb_checkup_text(up, "ALTER TABLE %s REPLICA IDENTITY FULL;", name);
    const char *const params[] = {sb_checkup_text(up, "%u", table->oid)};
    struct sb_err ignored;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(up->source.conn,
            "SELECT pg_catalog.string_agg(pg_catalog.format('ALTER TABLE %s REPLICA IDENTITY FULL;', "
            "t.relid),"
            " ' ') FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid) t",
            1, params, &rows, &ignored) < 0)
        return NULL;
    return sb_arena_str(up->arena, sb_view_str(sb_rows_get(rows, 0, 0)));
}

static int identity_check(struct sb_checkup *up)
{
    for (size_t i = 0; i < up->pair_count; i++) {
        const struct sb_scope_table *scoped = up->pairs[i].source;
        if (scoped->klass != SB_SCOPE_KEYLESS)
            continue;
        const char *name = sb_checkup_table(up, scoped->table->schema, scoped->table->name);
        if (name == NULL)
            return sb_checkup_full(up);
        bool generated = scoped->table->identity_generated;
        bool full_helps = !generated || sb_conn_version(up->source.conn) < 180000;
        if (sb_checkup_tell(up, SB_RESULT_WARN, SB_E_NO_IDENTITY,
                full_helps ? full_statement(up, scoped->table, name) : NULL,
                "%s %s: its inserts and truncates travel, its updates and deletes do not", name,
                scoped->mixed ? "and its partitions differ in their replica identity"
                : generated
                    ? "has generated columns in its replica identity, and the server does not send those"
                    : "has no replica identity") < 0)
            return -1;
    }
    return 0;
}

static int excluded_check(struct sb_checkup *up)
{
    for (size_t i = 0; i < up->scope.count; i++) {
        const struct sb_scope_table *scoped = &up->scope.tables[i];
        if (scoped->excluded_under_root &&
            sb_checkup_tell(up, SB_RESULT_WARN, SB_E_CONFIG, NULL,
                "\"%s\".\"%s\" is excluded, but it is a partition of a table that is not, so its rows travel",
                scoped->table->schema.ptr, scoped->table->name.ptr) < 0)
            return -1;
    }
    return 0;
}

static int names_check(struct sb_checkup *up)
{
    for (size_t i = 0; i < up->pair_count; i++) {
        const struct sb_cat_table *table = up->pairs[i].source->table;
        bool valid = sb_utf8_valid(table->schema) && sb_utf8_valid(table->name);
        for (size_t col = 0; valid && col < table->col_count; col++)
            valid = sb_utf8_valid(table->cols[col].name);
        if (!valid && sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_ENCODING, NULL,
                          "the name of table %u or of one of its columns is not valid UTF-8", table->oid) < 0)
            return -1;
    }
    return 0;
}

/* -- on the target --------------------------------------------------------------------------------------- */

static int by_copy(struct sb_checkup *up)
{
    return sb_checkup_tell(
        up, SB_RESULT_INFO, SB_OK, NULL, "the initial copy makes the tables, keys and all");
}

/* Made by hand or by the copy, but not half by either. */
static const char *partly_words(struct sb_checkup *up)
{
    bool partly = up->config->copy.initial && up->config->copy.schema == SB_SCHEMA_AUTO &&
                  up->pairs_there > 0 && !up->capture.found;
    return partly ? sb_checkup_text(up,
                        ", which has %zu of the %zu tables: the initial copy makes all of them where there "
                        "is none, "
                        "and none where there is one",
                        up->pairs_there, up->pair_count)
                  : "";
}

static int missing_check(struct sb_checkup *up)
{
    struct sb_buf sql;
    if (up->move != SB_MOVE_NOTHING)
        return sb_checkup_tell(up, SB_RESULT_INFO, SB_OK, NULL,
            "the target has %zu of the %zu tables: the initial copy %s", up->pairs_there, up->pair_count,
            up->move == SB_MOVE_BEGUN ? "has made them, and makes what belongs to them" : "makes them");
    const char *partly = partly_words(up);
    if (partly == NULL)
        return sb_checkup_full(up);
    sb_buf_init(&sql, 1024 * 1024);
    int done = 0;
    for (size_t i = 0; i < up->pair_count && done == 0; i++) {
        const struct sb_cat_table *table = up->pairs[i].source->table;
        if (up->pairs[i].target != NULL)
            continue;
        sb_buf_reset(&sql);
        if (!sb_view_eq_str(table->schema, "public")) {
            sb_buf_put_str(&sql, "CREATE SCHEMA IF NOT EXISTS ");
            sb_ident_put(&sql, table->schema);
            sb_buf_put_str(&sql, "; ");
        }
        sb_structure_create(&sql, table);
        done = sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_TARGET_STRUCTURE, sb_buf_str(&sql),
            "\"%s\".\"%s\" does not exist on the target (or its schema does not)%s", table->schema.ptr,
            table->name.ptr, partly);
    }
    sb_buf_clear(&sql);
    return done;
}

struct structure_arg {
    struct sb_checkup *up;
    const struct sb_cat_table *table;
};

static int structure_tell(
    void *arg, enum sb_mismatch mismatch, const char *evidence, const char *statement, struct sb_err *err)
{
    struct structure_arg *told = arg;
    (void)err; /* the checkup's own */
    return sb_checkup_tell(told->up, sb_mismatch_is_fatal(mismatch) ? SB_RESULT_FAIL : SB_RESULT_WARN,
        SB_E_TARGET_STRUCTURE, statement, "\"%s\".\"%s\": %s", told->table->schema.ptr, told->table->name.ptr,
        evidence);
}

static int structure_check(struct sb_checkup *up)
{
    if (up->move != SB_MOVE_NOTHING)
        return by_copy(up);
    for (size_t i = 0; i < up->pair_count; i++) {
        struct structure_arg arg = {.up = up, .table = up->pairs[i].source->table};
        if (up->pairs[i].target != NULL &&
            sb_structure_compare(arg.table, up->pairs[i].target, structure_tell, &arg, up->err) < 0)
            return -1;
    }
    return 0;
}

/* Is there a unique index over exactly the source's key? rows: oid, index, column name; in that order. */
static bool key_is_unique(const struct sb_rows *rows, const struct sb_cat_table *source, uint32_t target_oid)
{
    size_t wanted = 0;
    for (size_t i = 0; i < source->col_count; i++)
        wanted += source->cols[i].key;
    int row = 0, count = sb_rows_count(rows);
    while (row < count) {
        uint64_t index = sb_rows_u64(rows, row, 1);
        bool ours = sb_rows_u64(rows, row, 0) == target_oid;
        size_t width = 0, in_key = 0;
        for (; row < count && sb_rows_u64(rows, row, 1) == index; row++) {
            const struct sb_cat_column *col =
                ours ? sb_cat_column(source, sb_view_str(sb_rows_get(rows, row, 2))) : NULL;
            width++;
            in_key += col != NULL && col->key;
        }
        if (ours && width == wanted && in_key == wanted)
            return true;
    }
    return false;
}

static const char *key_statement(struct sb_checkup *up, const struct sb_cat_table *source)
{
    struct sb_buf sql;
    sb_buf_init(&sql, 64 * 1024);
    sb_buf_put_str(&sql, "ALTER TABLE ");
    sb_ident_put_table(&sql, source->schema, source->name);
    const char *between = " ADD UNIQUE (";
    for (size_t i = 0; i < source->col_count; i++) {
        if (!source->cols[i].key)
            continue;
        sb_buf_put_str(&sql, between);
        sb_ident_put(&sql, source->cols[i].name);
        between = ", ";
    }
    sb_buf_put_str(&sql, ");");
    const char *text = sql.failed ? NULL : sb_arena_str(up->arena, sb_buf_view(&sql));
    sb_buf_clear(&sql);
    return text;
}

static int key_check(struct sb_checkup *up)
{
    if (up->move != SB_MOVE_NOTHING)
        return by_copy(up);
    const char *const params[] = {up->target_oids};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(up->target.conn,
            "SELECT i.indrelid, i.indexrelid, a.attname FROM pg_catalog.pg_index i"
            " CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY u (attnum, "
            "place)"
            " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum"
            " WHERE i.indrelid = ANY ($1::pg_catalog.oid[]) AND i.indisunique AND i.indimmediate AND "
            "i.indisvalid"
            " AND i.indpred IS NULL AND i.indexprs IS NULL AND u.place <= i.indnkeyatts"
            " ORDER BY i.indrelid, i.indexrelid, u.place",
            1, params, &rows, up->err) < 0)
        return -1;
    for (size_t i = 0; i < up->pair_count; i++) {
        const struct sb_cat_table *source = up->pairs[i].source->table, *target = up->pairs[i].target;
        if (target == NULL || up->pairs[i].source->klass != SB_SCOPE_KEYED || !source->has_key ||
            (target->kind != 'r' && target->kind != 'p') || key_is_unique(rows, source, target->oid))
            continue;
        /* With the whole old row, apply can do without a key; it only scans. */
        bool full = source->identity == 'f';
        if (sb_checkup_tell(up, full ? SB_RESULT_WARN : SB_RESULT_FAIL, SB_E_TARGET_STRUCTURE,
                key_statement(up, source),
                "\"%s\".\"%s\" has no unique index on the target over the source's key", source->schema.ptr,
                source->name.ptr) < 0)
            return -1;
    }
    return 0;
}

int sb_checkup_labels(
    struct sb_checkup *up, struct sb_conn *conn, const char *oids, struct sb_rows **ret_labels)
{
    const char *const params[] = {oids};
    return sb_conn_query(conn,
        "SELECT DISTINCT t.typname, e.enumlabel, pg_catalog.quote_ident(n.nspname) || '.' ||"
        " pg_catalog.quote_ident(t.typname), pg_catalog.quote_literal(e.enumlabel)"
        " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
        " JOIN pg_catalog.pg_enum e ON e.enumtypid = t.oid"
        " WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped"
        " ORDER BY 1, 2",
        1, params, ret_labels, up->err);
}

/* The type's name where it is, NULL if it is not there; ret_has: and has the label. */
static const char *label_find(const struct sb_rows *rows, const char *type, const char *label, bool *ret_has)
{
    const char *there = NULL;
    *ret_has = false;
    for (int row = 0; row < sb_rows_count(rows); row++) {
        if (strcmp(sb_rows_get(rows, row, 0), type) != 0)
            continue;
        there = sb_rows_get(rows, row, 2);
        *ret_has = *ret_has || strcmp(sb_rows_get(rows, row, 1), label) == 0;
    }
    return there;
}

int sb_checkup_labels_compare(struct sb_checkup *up, const struct sb_rows *from, const struct sb_rows *to,
    enum sb_result result, const char *where)
{
    for (int row = 0; row < sb_rows_count(from); row++) {
        const char *type = sb_rows_get(from, row, 0), *label = sb_rows_get(from, row, 1);
        bool has;
        const char *there = label_find(to, type, label, &has);
        if (has || there == NULL)
            continue; /* a type that is not there at all is a mismatch of the column */
        if (sb_checkup_tell(up, result, SB_E_TARGET_STRUCTURE,
                sb_checkup_text(up, "ALTER TYPE %s ADD VALUE %s;", there, sb_rows_get(from, row, 3)),
                "enum \"%s\" lacks the label \"%s\" on the %s", type, label, where) < 0)
            return -1;
    }
    return 0;
}

/* A row with a label that the target lacks would stop apply. */
static int enum_check(struct sb_checkup *up)
{
    if (up->move != SB_MOVE_NOTHING)
        return by_copy(up);
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *source = NULL, *target = NULL;
    if (up->move != SB_MOVE_NOTHING)
        return by_copy(up);
    if (sb_checkup_labels(up, up->source.conn, up->source_oids, &source) < 0 ||
        sb_checkup_labels(up, up->target.conn, up->target_oids, &target) < 0)
        return -1;
    return sb_checkup_labels_compare(up, source, target, SB_RESULT_FAIL, "target");
}

/* What is there already cannot be told from what the copy would bring. */
static int empty_check(struct sb_checkup *up)
{
    if (up->move != SB_MOVE_NOTHING)
        return by_copy(up);
    if (!up->config->copy.initial || up->capture.found)
        return 0;
    for (size_t i = 0; i < up->pair_count; i++) {
        const struct sb_cat_table *target = up->pairs[i].target;
        if (target == NULL)
            continue;
        SB_CLEANUP(sb_rows_freep)
        struct sb_rows *rows = NULL;
        const char *name = sb_checkup_table(up, target->schema, target->name);
        const char *sql = name == NULL ? NULL
                                       : sb_checkup_text(up, "SELECT FROM %s%s LIMIT 1",
                                             target->kind == 'p' ? "" : "ONLY ", name);
        if (sql == NULL)
            return sb_checkup_full(up);
        if (sb_conn_query(up->target.conn, sql, 0, NULL, &rows, up->err) < 0)
            return -1;
        if (sb_rows_count(rows) > 0 && sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_TARGET_NOT_EMPTY,
                                           sb_checkup_text(up, "TRUNCATE %s;", name),
                                           "%s holds rows on the target; the initial copy brings all of the "
                                           "source's (copy.initial: false if "
                                           "these are they)",
                                           name) < 0)
            return -1;
    }
    return 0;
}

const struct sb_check sb_check_tables[] = {
    {"tables.chosen", "there are tables to move", SB_NEED_TABLES, chosen_check},
    {"tables.patterns", "every pattern of tables.include finds something", SB_NEED_TABLES, patterns_check},
    {"tables.barred", "a stream can carry the chosen tables", SB_NEED_TABLES, barred_check},
    {"tables.identity", "updates and deletes can be told row by row", SB_NEED_SOURCE | SB_NEED_TABLES,
        identity_check},
    {"tables.excluded", "no excluded partition travels with its root", SB_NEED_TABLES, excluded_check},
    {"tables.names", "names are valid UTF-8", SB_NEED_TABLES, names_check},
    {"tables.missing", "the target has every table", SB_NEED_ALL, missing_check},
    {"tables.structure", "the target's tables can hold the source's rows", SB_NEED_ALL, structure_check},
    {"tables.key", "the target finds rows by the source's key", SB_NEED_ALL, key_check},
    {"tables.empty", "the target's tables are empty for the initial copy", SB_NEED_ALL, empty_check},
    {"tables.enum", "the target knows the source's enum labels", SB_NEED_ALL, enum_check},
    {NULL, NULL, 0, NULL},
};
