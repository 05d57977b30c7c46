/* Rows that the target's tables would refuse although every column fits: by their partitions, by constraints
 * of their own, by foreign keys when they are truncated. */
#include "pg/ident.h"
#include "setup/checkup.h"

#include <inttypes.h>
#include <string.h>

static int query(
    struct sb_conn *conn, const char *sql, const char *oids, struct sb_rows **ret_rows, struct sb_err *err)
{
    const char *const params[] = {oids};
    return sb_conn_query(conn, sql, 1, params, ret_rows, err);
}

/* -- partitions ------------------------------------------------------------------------------------------ */

/*
 * Every partitioned table below the tables asked for, and every partition. A node is told by its path: the
 * keys and bounds from the root down. It is whole if each row that comes to it has a place: it has a default
 * partition, or its hash partitions make up 1.
 */
static const char tree_sql[] =
    "WITH RECURSIVE tree AS ("
    " SELECT c.oid AS root, c.oid, ''::text COLLATE pg_catalog.\"C\" AS path,"
    " NULL::text COLLATE pg_catalog.\"C\" AS parent_path, NULL::text COLLATE pg_catalog.\"C\" AS bound"
    "  FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::pg_catalog.oid[]) AND c.relkind = 'p'"
    " UNION ALL"
    " SELECT t.root, c.oid, t.path || pg_catalog.pg_get_partkeydef(t.oid) || ' '"
    "  || pg_catalog.pg_get_expr(c.relpartbound, c.oid) || E'\\n', t.path,"
    "  pg_catalog.pg_get_expr(c.relpartbound, c.oid)"
    "  FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid"
    "  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid)"
    "SELECT t.root, t.path, t.parent_path, t.bound, pg_catalog.pg_get_partkeydef(t.oid),"
    " pg_catalog.format('%I.%I', n.nspname, c.relname),"
    " pg_catalog.format('%I.%I', n.nspname, c.relname || '_default'),"
    " k.count, COALESCE(k.has_default OR k.hashes >= 1 - 1e-9, false)"
    " FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS count, pg_catalog.bool_or(b.bound = 'DEFAULT') AS "
    "has_default,"
    "  pg_catalog.sum(1.0 / (pg_catalog.regexp_match(b.bound, 'modulus ([0-9]+)'))[1]::numeric) AS hashes"
    "  FROM tree b WHERE b.root = t.root AND b.parent_path = t.path) k"
    " ORDER BY t.root, t.path";
enum { ROOT, PATH, PARENT_PATH, BOUND, KEY, NAME, DEFAULT_NAME, CHILDREN, WHOLE };

struct forest {
    struct sb_rows *rows;
    int from, to; /* the rows of one root */
};

static void root_find(struct forest *forest, uint32_t oid)
{
    int count = sb_rows_count(forest->rows);
    for (forest->from = 0; forest->from < count; forest->from++) {
        if (sb_rows_u64(forest->rows, forest->from, ROOT) == oid)
            break;
    }
    for (forest->to = forest->from; forest->to < count; forest->to++) {
        if (sb_rows_u64(forest->rows, forest->to, ROOT) != oid)
            break;
    }
}

static int row_of(const struct forest *forest, int column, const char *text)
{
    for (int row = forest->from; row < forest->to; row++) {
        const char *value = sb_rows_get(forest->rows, row, column);
        if (value != NULL && strcmp(value, text) == 0)
            return row;
    }
    return -1;
}

/* How many children of the node at path in a are no children of it in b, told by their paths. */
static size_t children_without(const struct forest *a, const struct forest *b, const char *path)
{
    size_t count = 0;
    for (int row = a->from; row < a->to; row++) {
        const char *parent = sb_rows_get(a->rows, row, PARENT_PATH);
        count += parent != NULL && strcmp(parent, path) == 0 &&
                 row_of(b, PATH, sb_rows_get(a->rows, row, PATH)) < 0;
    }
    return count;
}

static bool is_hash(const char *key)
{
    return strncmp(key, "HASH", 4) == 0;
}

/* Without any partition no row at all has a place. */
static int empty_tell(struct sb_checkup *up, const struct forest *target, int row)
{
    const char *name = sb_rows_get(target->rows, row, NAME);
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_TARGET_STRUCTURE,
        sb_checkup_text(up, "CREATE TABLE %s PARTITION OF %s %s;",
            sb_rows_get(target->rows, row, DEFAULT_NAME), name,
            is_hash(sb_rows_get(target->rows, row, KEY)) ? "FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
                                                         : "DEFAULT"),
        "%s has no partition on the target: no row could be inserted", name);
}

/* The target's partitions are some of the source's: the others' rows have no place. */
static int lacking_tell(
    struct sb_checkup *up, const struct forest *source, const struct forest *target, int at, const char *path)
{
    for (int row = source->from; row < source->to; row++) {
        const char *parent = sb_rows_get(source->rows, row, PARENT_PATH);
        if (parent == NULL || strcmp(parent, path) != 0 ||
            row_of(target, PATH, sb_rows_get(source->rows, row, PATH)) >= 0)
            continue;
        const char *bound = sb_rows_get(source->rows, row, BOUND), *key = sb_rows_get(source->rows, row, KEY);
        if (sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_TARGET_STRUCTURE,
                sb_checkup_text(up, "CREATE TABLE %s PARTITION OF %s %s%s%s;",
                    sb_rows_get(source->rows, row, NAME), sb_rows_get(target->rows, at, NAME), bound,
                    key == NULL ? "" : " PARTITION BY ", key == NULL ? "" : key),
                "%s has no partition %s on the target, as the source has, and no default partition",
                sb_rows_get(target->rows, at, NAME), bound) < 0)
            return -1;
    }
    return 0;
}

/* Cut differently than the source: whether every row has a place is not for us to prove. */
static int different_tell(struct sb_checkup *up, const struct forest *target, int row)
{
    const char *name = sb_rows_get(target->rows, row, NAME);
    bool hash = is_hash(sb_rows_get(target->rows, row, KEY));
    return sb_checkup_tell(up, SB_RESULT_WARN, SB_E_TARGET_STRUCTURE,
        hash ? NULL
             : sb_checkup_text(up, "CREATE TABLE %s PARTITION OF %s DEFAULT;",
                   sb_rows_get(target->rows, row, DEFAULT_NAME), name),
        "%s is partitioned in another way than on the source, without %s: a row outside its partitions stops "
        "apply",
        name, hash ? "all remainders" : "a default partition");
}

static int node_judge(
    struct sb_checkup *up, const struct forest *source, const struct forest *target, int row)
{
    const char *key = sb_rows_get(target->rows, row, KEY), *path = sb_rows_get(target->rows, row, PATH);
    if (key == NULL || sb_rows_bool(target->rows, row, WHOLE))
        return 0;
    if (sb_rows_i64(target->rows, row, CHILDREN) == 0)
        return empty_tell(up, target, row);
    int same = row_of(source, PATH, path);
    const char *key_there = same < 0 ? NULL : sb_rows_get(source->rows, same, KEY);
    if (key_there == NULL || strcmp(key, key_there) != 0)
        return different_tell(up, target, row);
    if (children_without(source, target, path) == 0)
        return 0;
    return children_without(target, source, path) == 0 ? lacking_tell(up, source, target, row, path)
                                                       : different_tell(up, target, row);
}

static int forests_judge(struct sb_checkup *up, struct forest *source, struct forest *target)
{
    for (size_t i = 0; i < up->pair_count; i++) {
        if (up->pairs[i].target == NULL || up->pairs[i].target->kind != 'p')
            continue;
        root_find(source, up->pairs[i].source->table->oid);
        root_find(target, up->pairs[i].target->oid);
        for (int row = target->from; row < target->to; row++) {
            if (node_judge(up, source, target, row) < 0)
                return -1;
        }
    }
    return 0;
}

static int partitions_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *on_source = NULL, *on_target = NULL;
    if (query(up->source.conn, tree_sql, up->source_oids, &on_source, up->err) < 0 ||
        query(up->target.conn, tree_sql, up->target_oids, &on_target, up->err) < 0)
        return -1;
    struct forest source = {.rows = on_source}, target = {.rows = on_target};
    return forests_judge(up, &source, &target);
}

/* -- constraints ----------------------------------------------------------------------------------------- */

/*
 * What restricts the rows of the tables asked for, in words that are the same on both sides for the same
 * restriction: checks, exclusions, and unique indexes by what they cover (a primary key is one of them).
 * $1: the tables. Columns: schema, table, words, its name, the statement that drops it.
 */
static const char restrictions_sql[] =
    "SELECT r.schema, r.name, r.words, r.who, r.mend FROM ("
    "SELECT n.nspname AS schema, c.relname AS name,"
    "  pg_catalog.replace(pg_catalog.pg_get_constraintdef(k.oid), ' NOT VALID', '') AS words, k.conname AS "
    "who,"
    "  pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT %I;', n.nspname, c.relname, k.conname) AS mend"
    " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE k.conrelid = ANY ($1::pg_catalog.oid[]) AND k.contype IN ('c', 'x')"
    " AND pg_catalog.pg_get_constraintdef(k.oid) !~ ' NOT ENFORCED'"
    " UNION ALL"
    " SELECT n.nspname, c.relname, 'UNIQUE' || pg_catalog.substr(pg_catalog.pg_get_indexdef(i.indexrelid),"
    "  pg_catalog.strpos(pg_catalog.pg_get_indexdef(i.indexrelid), ' USING ')), x.relname,"
    "  CASE WHEN k.oid IS NULL THEN pg_catalog.format('DROP INDEX %I.%I;', n.nspname, x.relname)"
    "   ELSE pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT %I;', n.nspname, c.relname, k.conname) END"
    " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid"
    " LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u')"
    " WHERE i.indrelid = ANY ($1::pg_catalog.oid[]) AND i.indisunique) r"
    " ORDER BY r.schema COLLATE pg_catalog.\"C\", r.name COLLATE pg_catalog.\"C\","
    "  r.words COLLATE pg_catalog.\"C\"";
enum { SCHEMA, TABLE, WORDS, WHO, DROP };

/* Order of two rows; both results are in it. */
static int restriction_order(const struct sb_rows *a, int row_a, const struct sb_rows *b, int row_b)
{
    int order = 0;
    for (int column = SCHEMA; column <= WORDS && order == 0; column++)
        order = strcmp(sb_rows_get(a, row_a, column), sb_rows_get(b, row_b, column));
    return order;
}

static int constraints_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *source = NULL, *target = NULL;
    if (query(up->source.conn, restrictions_sql, up->source_oids, &source, up->err) < 0 ||
        query(up->target.conn, restrictions_sql, up->target_oids, &target, up->err) < 0)
        return -1;
    for (int row = 0, at = 0; row < sb_rows_count(target); row++) {
        int order = 1;
        while (at < sb_rows_count(source) && (order = restriction_order(target, row, source, at)) > 0)
            at++;
        if (at < sb_rows_count(source) && order == 0)
            continue; /* the source has it too */
        if (sb_checkup_tell(up, SB_RESULT_WARN, SB_E_TARGET_STRUCTURE, sb_rows_get(target, row, DROP),
                "\"%s\" of \"%s\".\"%s\" (%s) is on the target only: a row that breaks it stops apply",
                sb_rows_get(target, row, WHO), sb_rows_get(target, row, SCHEMA),
                sb_rows_get(target, row, TABLE), sb_rows_get(target, row, WORDS)) < 0)
            return -1;
    }
    return 0;
}

/* -- truncates ------------------------------------------------------------------------------------------- */

/* Foreign keys to the tables asked for: the server refuses to truncate their table alone, whatever the
 * session's replication role. Columns: the pair in words, the referring table's oid, constraint, statement.
 */
static const char references_sql[] =
    "SELECT pg_catalog.format('%I.%I to %I.%I', rn.nspname, r.relname, tn.nspname, t.relname), r.oid, "
    "k.conname,"
    " pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT %I;', rn.nspname, r.relname, k.conname)"
    " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class r ON r.oid = k.conrelid"
    " JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace"
    " JOIN pg_catalog.pg_class t ON t.oid = k.confrelid"
    " JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace"
    " WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid <> k.confrelid"
    " AND k.confrelid = ANY ($1::pg_catalog.oid[]) ORDER BY 1, 3";

static bool moves(const struct sb_checkup *up, uint32_t target_oid)
{
    for (size_t i = 0; i < up->pair_count; i++) {
        if (up->pairs[i].target != NULL && up->pairs[i].target->oid == target_oid)
            return true;
    }
    return false;
}

static bool refers_there_too(const struct sb_rows *source, const char *pair)
{
    for (int row = 0; row < sb_rows_count(source); row++) {
        if (strcmp(sb_rows_get(source, row, 0), pair) == 0)
            return true;
    }
    return false;
}

static int truncate_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *source = NULL, *target = NULL;
    if (query(up->source.conn, references_sql, up->source_oids, &source, up->err) < 0 ||
        query(up->target.conn, references_sql, up->target_oids, &target, up->err) < 0)
        return -1;
    for (int row = 0; row < sb_rows_count(target); row++) {
        const char *pair = sb_rows_get(target, row, 0);
        /* Where the source has it too, its own TRUNCATE names both tables, and both are truncated here. */
        if (moves(up, (uint32_t)sb_rows_u64(target, row, 1)) && refers_there_too(source, pair))
            continue;
        if (sb_checkup_tell(up, SB_RESULT_WARN, SB_E_TARGET_STRUCTURE, sb_rows_get(target, row, 3),
                "foreign key \"%s\" on the target (%s): a TRUNCATE that reaches the second table without the "
                "first stops apply",
                sb_rows_get(target, row, 2), pair) < 0)
            return -1;
    }
    return 0;
}

/* RESTART IDENTITY travels with a TRUNCATE, and only a sequence's owner may do it. */
static int restart_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *role = sb_checkup_ident(up, up->target.role);
    if (role == NULL)
        return sb_checkup_full(up);
    if (query(up->target.conn,
            "SELECT r.rolname, pg_catalog.count(*), "
            "pg_catalog.min(s.oid::pg_catalog.regclass::pg_catalog.text),"
            " r.rolsuper, pg_catalog.quote_ident(r.rolname)"
            " FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'"
            " JOIN pg_catalog.pg_roles r ON r.oid = s.relowner"
            " WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
            " AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')"
            " AND d.refobjid = ANY ($1::pg_catalog.oid[]) AND NOT pg_catalog.pg_has_role(s.relowner, 'USAGE')"
            " GROUP BY r.rolname, r.rolsuper ORDER BY r.rolname",
            up->target_oids, &rows, up->err) < 0)
        return -1;
    for (int row = 0; row < sb_rows_count(rows); row++) {
        bool super = sb_rows_bool(rows, row, 3);
        if (sb_checkup_tell(up, SB_RESULT_WARN, SB_E_ACCESS,
                super ? NULL : sb_checkup_text(up, "GRANT %s TO %s;", sb_rows_get(rows, row, 4), role),
                "%" PRId64
                " sequences of the tables (%s ...) belong to role \"%s\": TRUNCATE ... RESTART IDENTITY "
                "of theirs stops apply",
                sb_rows_i64(rows, row, 1), sb_rows_get(rows, row, 2), sb_rows_get(rows, row, 0)) < 0)
            return -1;
    }
    return 0;
}

const struct sb_check sb_check_refusals[] = {
    {"tables.partitions", "the target has a partition for every row", SB_NEED_ALL, partitions_check},
    {"tables.constraints", "the target allows every row that the source allows", SB_NEED_ALL,
        constraints_check},
    {"target.truncate", "the target's foreign keys let the tables be truncated", SB_NEED_ALL, truncate_check},
    {"target.restart", "our role may restart the tables' sequences", SB_NEED_TARGET | SB_NEED_TABLES,
        restart_check},
    {NULL, NULL, 0, NULL},
};
