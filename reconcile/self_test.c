#include "reconcile/self_test.h"

#include "pg/ident.h"
#include "schemas/rowform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROWS = 200,
    FIRST_CHANGED = 10, /* the row in which the first column is changed */
    COLUMNS_MAX = 80,
    PLANTED_MAX = COLUMNS_MAX + 32,
    SQL_MAX_BYTES = 1024 * 1024,
    ARENA_BYTES = 4 * 1024 * 1024,
    KEY_BYTES = 32,
    ANY_COLUMN = -1,
};

/* A column of each class of types, and what one of its values is changed into. SQL equals many of these
 * pairs. */
static const struct column {
    const char *type, *is, *becomes;
    bool optional; /* servers can be built without it */
} columns[] = {
    {"boolean", "'t'", "'f'", false},
    {"\"char\"", "'a'", "'b'", false},
    {"smallint", "'1'", "'2'", false},
    {"integer", "'1'", "'-1'", false},
    {"bigint", "'9223372036854775807'", "'9223372036854775806'", false},
    {"real", "'1.5'", "'1.5000001'", false},
    {"double precision", "'0'", "'-0'", false},
    {"numeric", "'1.0'", "'1.00'", false},
    {"numeric(40,5)", "'0'", "NULL", false},
    {"money", "'1'", "'1.01'", false},
    {"text", "'x'", "'x '", false},
    {"text", "''", "NULL", false},
    {"text", "pg_catalog.repeat('x', 100000) || 'a'", "pg_catalog.repeat('x', 100000) || 'b'", false},
    {"character varying(9)", "'x'", "'X'", false},
    {"character(6)", "'c'", "'d'", false},
    {"name", "'n'", "'m'", false},
    {"bytea", "'\\x00ff'", "'\\x00fe'", false},
    {"date", "'2026-01-31'", "'0001-01-31 BC'", false},
    {"time", "'12:00'", "'12:00:00.000001'", false},
    {"time with time zone", "'12:00+00'", "'13:00+01'", false},
    {"timestamp", "'2026-01-31'", "'2026-01-31 00:00:00.000001'", false},
    {"timestamp with time zone", "'2026-01-31 00:00+00'", "'infinity'", false},
    {"interval", "'1 mon'", "'30 days'", false},
    {"uuid", "'00000000-0000-0000-0000-000000000000'", "'00000000-0000-0000-0000-000000000001'", false},
    {"json", "'{\"a\":1}'", "'{\"a\": 1}'", false},
    {"jsonb", "'{\"a\": 1.0}'", "'{\"a\": 1.00}'", false},
    {"xml", "'<a/>'", "'<a></a>'", true},
    {"inet", "'10.0.0.1'", "'10.0.0.1/31'", false},
    {"cidr", "'10.0.0.0/8'", "'10.0.0.0/9'", false},
    {"macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'", false},
    {"macaddr8", "'08:00:2b:01:02:03:04:05'", "'08:00:2b:01:02:03:04:06'", false},
    {"bit(3)", "B'101'", "B'100'", false},
    {"bit varying", "B'101'", "B'1010'", false},
    {"point", "'(0,0)'", "'(-0,0)'", false},
    {"line", "'{1,2,3}'", "'{1,2,4}'", false},
    {"lseg", "'[(0,0),(1,1)]'", "'[(1,1),(0,0)]'", false},
    {"box", "'(1,1),(0,0)'", "'(1,2),(0,0)'", false},
    {"path", "'[(0,0),(1,1)]'", "'((0,0),(1,1))'", false},
    {"polygon", "'((0,0),(1,1),(1,0))'", "'((0,0),(1,0),(1,1))'", false},
    {"circle", "'<(0,0),1>'", "'<(0,0),2>'", false},
    {"tsvector", "'a'", "'a:1'", false},
    {"tsquery", "'a'", "'a:*'", false},
    {"int4range", "'[1,5)'", "'empty'", false},
    {"numrange", "'[1.0,2)'", "'[1.00,2)'", false},
    {"int8multirange", "'{[1,2)}'", "'{[1,2),[5,6)}'", false},
    {"pg_lsn", "'0/1'", "'1/0'", false},
    {"oid", "'1'", "'4294967295'", false},
    {"xid8", "'1'", "'2'", false},
    {"integer[]", "'{1,2}'", "'[0:1]={1,2}'", false},
    {"text[]", "'{a,NULL}'", "'{a,\"NULL\"}'", false},
    {"pg_temp.switchback_mood", "'low'", "'high'", false},
    {"pg_temp.switchback_share", "'0.5'", "'0.50'", false},
};
enum { COLUMN_COUNT = sizeof columns / sizeof columns[0] };

static const char types_sql[] = "CREATE TYPE pg_temp.switchback_mood AS ENUM ('low', 'high'); CREATE DOMAIN "
                                "pg_temp.switchback_share AS numeric CHECK (value <= 1)";
static const char drop_sql[] =
    "DROP TABLE pg_temp.switchback_keyed, pg_temp.switchback_spelled, pg_temp.switchback_counted; "
    "DROP TYPE pg_temp.switchback_mood; DROP DOMAIN pg_temp.switchback_share";

/* Tables whose rows are matched otherwise. */
static const char spelled_sql[] =
    "CREATE TEMP TABLE switchback_spelled (k text, part integer, v integer, PRIMARY KEY (k, part)); INSERT "
    "INTO "
    "pg_temp.switchback_spelled SELECT 'Key ' || g, g % 3, g FROM pg_catalog.generate_series(1, 100) g";
static const char spelled_changes_sql[] =
    "UPDATE pg_temp.switchback_spelled SET v = -v WHERE k = 'Key 7'; UPDATE pg_temp.switchback_spelled SET k "
    "= 'key 8' WHERE k = "
    "'Key 8'; UPDATE pg_temp.switchback_spelled SET k = 'Key 1', part = 99 WHERE k = 'Key 99'";
static const char counted_sql[] = "CREATE TEMP TABLE switchback_counted (line text, n integer); INSERT INTO "
                                  "pg_temp.switchback_counted SELECT 'line', g % 10 "
                                  "FROM pg_catalog.generate_series(1, 100) g";
static const char counted_changes_sql[] =
    "DELETE FROM pg_temp.switchback_counted WHERE ctid = ANY (ARRAY(SELECT ctid FROM "
    "pg_temp.switchback_counted WHERE n = 4 LIMIT "
    "2)); INSERT INTO pg_temp.switchback_counted VALUES ('line', NULL), ('line', NULL), ('line', NULL)";

struct planted {
    size_t table;
    enum sb_verdict_kind kind;
    char key[KEY_BYTES]; /* its first column; of a table without a key: "" */
    int column;          /* that differs, and no other; ANY_COLUMN: kind says all */
    int64_t rows;
    int64_t found;
};

enum { KEYED, SPELLED, COUNTED, TABLE_COUNT };

struct test {
    struct sb_scene *scene;
    struct sb_arena *arena;
    struct sb_buf sql;
    size_t used[COLUMN_COUNT]; /* columns of the keyed table, behind id and once */
    size_t used_count;
    struct sb_verify_table tables[TABLE_COUNT];
    struct sb_verify_result results[TABLE_COUNT];
    struct planted planted[PLANTED_MAX];
    size_t planted_count;
    char odd[SB_ERR_TEXT_BYTES]; /* what was found and not planted; "": nothing */
};

static int no_room(const struct test *test, struct sb_err *err)
{
    return sb_err_set(
        err, SB_E_LIMIT, "the self-test does not fit into arena \"%s\"", sb_arena_name(test->arena));
}

static int both(struct test *test, const char *sql, struct sb_err *err)
{
    for (int side = 0; side < 2; side++)
        if (sb_conn_exec(sb_sides_conn(test->scene->sides, (enum sb_side)side), sql, err) != 0)
            return -1;
    return 0;
}

static struct sb_conn *target(const struct test *test)
{
    return sb_sides_conn(test->scene->sides, SB_SIDE_TARGET);
}

/* -- the keyed table ------------------------------------------------------------------------------------- */

/* Both servers have every type that is not optional. */
static int columns_choose(struct test *test, struct sb_err *err)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT (%s)::%s", columns[i].is, columns[i].type);
        if (columns[i].optional && both(test, sql, err) != 0) {
            if (strncmp(err->sqlstate, "0A", 2) != 0)
                return -1;
            continue;
        }
        test->used[test->used_count++] = i;
    }
    return 0;
}

static int keyed_fill(struct test *test, struct sb_err *err)
{
    struct sb_buf *sql = &test->sql;
    sb_buf_reset(sql);
    sb_buf_put_str(sql, "CREATE TEMP TABLE switchback_keyed (id bigint PRIMARY KEY, once integer UNIQUE");
    for (size_t i = 0; i < test->used_count; i++)
        sb_buf_putf(sql, ", c%zu %s", i, columns[test->used[i]].type);
    sb_buf_put_str(sql, "); INSERT INTO pg_temp.switchback_keyed SELECT g, g");
    for (size_t i = 0; i < test->used_count; i++)
        sb_buf_putf(sql, ", (%s)::%s", columns[test->used[i]].is, columns[test->used[i]].type);
    sb_buf_putf(sql, " FROM pg_catalog.generate_series(1, %d) g", ROWS);
    return sql->failed ? no_room(test, err) : both(test, sb_buf_str(sql), err);
}

static void expect(
    struct test *test, size_t table, enum sb_verdict_kind kind, const char *key, int column, int64_t rows)
{
    struct planted *planted = &test->planted[test->planted_count++];
    *planted = (struct planted){.table = table, .kind = kind, .column = column, .rows = rows};
    snprintf(planted->key, sizeof planted->key, "%s", key);
}

static int column_change(struct test *test, size_t column, struct sb_err *err)
{
    const struct column *chosen = &columns[test->used[column]];
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "%zu", FIRST_CHANGED + column);
    sb_buf_reset(&test->sql);
    sb_buf_putf(&test->sql, "UPDATE pg_temp.switchback_keyed SET c%zu = (%s)::%s WHERE id = %s", column,
        chosen->becomes, chosen->type, key);
    if (sb_conn_exec(target(test), sb_buf_str(&test->sql), err) != 0)
        return -1;
    expect(test, KEYED, SB_DIFF_CHANGED, key, (int)column + 2, 1);
    return 0;
}

static int plant(struct test *test, struct sb_err *err)
{
    static const char keyed_changes[] = "DELETE FROM pg_temp.switchback_keyed WHERE id = 1; INSERT INTO "
                                        "pg_temp.switchback_keyed (id) VALUES (-5), (99999); UPDATE "
                                        "pg_temp.switchback_keyed SET once = -1 WHERE id = 2; UPDATE "
                                        "pg_temp.switchback_keyed SET once = 2 WHERE id = 3; UPDATE "
                                        "pg_temp.switchback_keyed SET once = 3 WHERE id = 2";
    if (sb_conn_exec(target(test), keyed_changes, err) != 0 ||
        sb_conn_exec(target(test), spelled_changes_sql, err) != 0 ||
        sb_conn_exec(target(test), counted_changes_sql, err) != 0)
        return -1;
    expect(test, KEYED, SB_DIFF_MISSING, "1", ANY_COLUMN, 1);
    expect(test, KEYED, SB_DIFF_EXTRA, "-5", ANY_COLUMN, 1);
    expect(test, KEYED, SB_DIFF_EXTRA, "99999", ANY_COLUMN, 1);
    expect(test, KEYED, SB_DIFF_CHANGED, "2", 1, 1); /* unique values that were swapped */
    expect(test, KEYED, SB_DIFF_CHANGED, "3", 1, 1);
    expect(test, SPELLED, SB_DIFF_CHANGED, "Key 7", 2, 1);
    expect(test, SPELLED, SB_DIFF_MISSING, "Key 8", ANY_COLUMN, 1);
    expect(test, SPELLED, SB_DIFF_EXTRA, "key 8", ANY_COLUMN, 1);
    expect(test, SPELLED, SB_DIFF_MISSING, "Key 99", ANY_COLUMN, 1);
    expect(test, SPELLED, SB_DIFF_EXTRA, "Key 1", ANY_COLUMN, 1);
    expect(test, COUNTED, SB_DIFF_MISSING, "", ANY_COLUMN, 2);
    expect(test, COUNTED, SB_DIFF_EXTRA, "", ANY_COLUMN, 3);
    for (size_t i = 0; i < test->used_count; i++)
        if (column_change(test, i, err) != 0)
            return -1;
    return 0;
}

/* -- the tables as the compare sees them ----------------------------------------------------------------- */

static int schema_of(struct test *test, enum sb_side side, struct sb_view *ret_schema, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(sb_sides_conn(test->scene->sides, side),
            "SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.oid = pg_catalog.pg_my_temp_schema()", 0,
            NULL, &rows, err) != 0)
        return -1;
    return sb_arena_dup(test->arena, sb_view_str(sb_rows_get(rows, 0, 0)), ret_schema) ? 0
                                                                                       : no_room(test, err);
}

static int shape_of(struct test *test, const struct sb_verify_table *table, enum sb_side side,
    const char **ret_shape, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    sb_buf_reset(&test->sql);
    sb_buf_put_str(&test->sql, "SELECT ");
    sb_verify_put_shape(table, side, &test->sql);
    if (sb_conn_query(sb_sides_conn(test->scene->sides, side), sb_buf_str(&test->sql), 0, NULL, &rows, err) !=
        0)
        return -1;
    *ret_shape = sb_arena_str(test->arena, sb_view_str(sb_rows_get(rows, 0, 0)));
    return *ret_shape != NULL ? 0 : no_room(test, err);
}

static bool column_add(struct test *test, struct sb_verify_table *table, const char *name)
{
    uint16_t i = table->column_count++;
    table->equals[i] = sb_view_str("=");
    return sb_arena_dup(test->arena, sb_view_str(name), &table->columns[i]);
}

static int columns_name(struct test *test, struct sb_verify_table *table, size_t number, struct sb_err *err)
{
    static const char *const names[TABLE_COUNT][3] = {
        {"id", "once", NULL}, {"k", "part", "v"}, {"line", "n", NULL}};
    bool room = true;
    table->columns = sb_arena_alloc(test->arena, COLUMNS_MAX * sizeof *table->columns);
    table->equals = sb_arena_alloc(test->arena, COLUMNS_MAX * sizeof *table->equals);
    table->key_cols = sb_arena_zalloc(test->arena, 2 * sizeof *table->key_cols);
    if (table->columns == NULL || table->equals == NULL || table->key_cols == NULL)
        return no_room(test, err);
    table->key_cols[1] = 1;
    for (size_t i = 0; i < 3 && names[number][i] != NULL; i++)
        room = room && column_add(test, table, names[number][i]);
    for (size_t i = 0; number == KEYED && i < test->used_count; i++) {
        char name[KEY_BYTES];
        snprintf(name, sizeof name, "c%zu", i);
        room = room && column_add(test, table, name);
    }
    return room ? 0 : no_room(test, err);
}

/* Two chunks, cut in the midst of what is planted; or one. */
static int ranges_cut(struct test *test, struct sb_verify_table *table, bool two, struct sb_err *err)
{
    struct sb_buf canonical SB_CLEANUP(sb_buf_clear);
    struct sb_view bound = {0};
    table->ranges.items = sb_arena_zalloc(test->arena, 2 * sizeof *table->ranges.items);
    sb_buf_init(&canonical, KEY_BYTES);
    if (table->ranges.items == NULL ||
        (two && (!sb_key_put(table->kind, sb_view_str("30"), &canonical) ||
                    !sb_arena_dup(test->arena, sb_buf_view(&canonical), &bound))))
        return no_room(test, err);
    table->ranges.count = two ? 2 : 1;
    table->ranges.items[0] = (struct sb_key_range){.lower_open = true, .upper_open = !two, .upper = bound};
    table->ranges.items[1] = (struct sb_key_range){.lower = bound, .upper_open = true};
    return 0;
}

static int describe(struct test *test, size_t number, struct sb_err *err)
{
    enum { BIGINT = 20 };
    static const char *const names[] = {"switchback_keyed", "switchback_spelled", "switchback_counted"};
    static const uint16_t keys[] = {1, 2, 0};
    static const enum sb_strategy strategies[] = {
        SB_STRATEGY_RANGES, SB_STRATEGY_ORDERLESS, SB_STRATEGY_MULTISET};
    struct sb_verify_table *table = &test->tables[number];
    *table = (struct sb_verify_table){.number = (uint32_t)(test->scene->plan.table_count + number),
        .name = sb_view_str(names[number]),
        .relation = names[number],
        .shown = names[number],
        .strategy = strategies[number],
        .reason = "",
        .omitted = "",
        .key_count = keys[number],
        .kind = sb_key_kind_of(BIGINT, true)};
    if (schema_of(test, SB_SIDE_SOURCE, &table->schema, err) != 0 ||
        schema_of(test, SB_SIDE_TARGET, &table->target_schema, err) != 0 ||
        columns_name(test, table, number, err) != 0 || ranges_cut(test, table, number == KEYED, err) != 0 ||
        shape_of(test, table, SB_SIDE_SOURCE, &table->source_shape, err) != 0 ||
        shape_of(test, table, SB_SIDE_TARGET, &table->target_shape, err) != 0)
        return -1;
    test->results[number] = (struct sb_verify_result){.table = table, .why = ""};
    return 0;
}

/* -- what is found --------------------------------------------------------------------------------------- */

/* The one that differs; ANY_COLUMN: none, or more. */
static int one_column(const struct sb_finding *finding)
{
    int one = ANY_COLUMN;
    for (int i = 0; finding->differs != NULL && i < finding->table->column_count; i++) {
        if (finding->differs[i] && one != ANY_COLUMN)
            return ANY_COLUMN;
        if (finding->differs[i])
            one = i;
    }
    return one;
}

static bool is_planted(
    const struct test *test, const struct planted *planted, const struct sb_finding *finding)
{
    struct sb_view texts[2] = {{0}};
    const struct sb_verify_table *table = finding->table;
    if (table != &test->tables[planted->table] || finding->kind != planted->kind ||
        finding->rows != planted->rows)
        return false;
    if (table->key_count > 0 && (!sb_rowform_key_texts(finding->key_bytes, texts, table->key_count) ||
                                    !sb_view_eq_str(texts[0], planted->key)))
        return false;
    return planted->column == one_column(finding);
}

static int found(void *arg, const struct sb_finding *finding, struct sb_err *err)
{
    struct test *test = arg;
    (void)err;
    for (size_t i = 0; i < test->planted_count; i++) {
        if (!is_planted(test, &test->planted[i], finding))
            continue;
        if (++test->planted[i].found == 1)
            return 0;
    }
    snprintf(test->odd, sizeof test->odd, "a row that is \"%s\" in %s, which nobody planted so",
        sb_verdict_kind_name(finding->kind), finding->table->shown);
    return 0;
}

static int not_found(const struct test *test, const struct planted *planted, struct sb_err *err)
{
    const char *type = "the row";
    if (planted->table == KEYED && planted->column >= 2)
        type = columns[test->used[planted->column - 2]].type;
    return sb_err_set(err, SB_E_SELF_TEST,
        "the compare did not find what was planted: \"%s\" in %s, key \"%s\", %s%s",
        sb_verdict_kind_name(planted->kind), test->tables[planted->table].shown, planted->key,
        planted->column >= 0 ? "type " : "", planted->column >= 0 ? type : "the row");
}

static int judge(const struct test *test, struct sb_err *err)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (!test->results[i].whole || test->results[i].undecided > 0)
            return sb_err_set(err, SB_E_SELF_TEST, "the compare did not get through the table %s: %s",
                test->tables[i].shown, test->results[i].why);
    for (size_t i = 0; i < test->planted_count; i++)
        if (test->planted[i].found != 1)
            return not_found(test, &test->planted[i], err);
    return test->odd[0] == '\0' ? 0 : sb_err_set(err, SB_E_SELF_TEST, "the compare found %s", test->odd);
}

/* -- all of it ------------------------------------------------------------------------------------------- */

static int make(struct test *test, struct sb_err *err)
{
    if (both(test, types_sql, err) != 0 || columns_choose(test, err) != 0 || keyed_fill(test, err) != 0 ||
        both(test, spelled_sql, err) != 0 || both(test, counted_sql, err) != 0 || plant(test, err) != 0)
        return sb_err_add(err, "could not make the tables of the self-test");
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (describe(test, i, err) != 0)
            return -1;
    return 0;
}

static int compare(struct test *test, struct sb_err *err)
{
    struct sb_compare *compare;
    int rc = sb_scene_compare(test->scene, found, test, &compare, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < TABLE_COUNT; i++)
        rc = sb_compare_table(compare, &test->results[i], err);
    if (rc == 0)
        rc = sb_compare_resolve(compare, err);
    sb_compare_free(compare);
    return rc;
}

static int run(struct test *test, struct sb_err *err)
{
    sb_buf_init(&test->sql, SQL_MAX_BYTES);
    int rc = make(test, err);
    if (rc == 0)
        rc = compare(test, err);
    if (rc == 0)
        rc = both(test, drop_sql, err);
    if (rc == 0)
        rc = judge(test, err);
    sb_buf_clear(&test->sql);
    return rc;
}

int sb_self_test_run(struct sb_scene *scene, struct sb_self_test *ret_test, struct sb_err *err)
{
    struct test *test = calloc(1, sizeof *test);
    struct sb_arena *arena = sb_arena_new("self-test", ARENA_BYTES);
    int rc = -1;
    if (test == NULL || arena == NULL) {
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for the self-test");
    } else {
        test->scene = scene;
        test->arena = arena;
        rc = run(test, err);
    }
    if (rc == 0)
        *ret_test = (struct sb_self_test){
            .done = true, .columns = (int64_t)test->used_count, .planted = (int64_t)test->planted_count};
    sb_arena_free(arena);
    free(test);
    return rc;
}
