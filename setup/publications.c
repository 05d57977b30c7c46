#include "setup/publications.h"

#include "pg/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SQL_MAX_BYTES = 64 * 1024 * 1024 };

/* -- reading --------------------------------------------------------------------------------------------- */

/* Row filters, column lists and whole schemas came with PostgreSQL 15. */
static const char tables_sql_14[] =
    "SELECT c.oid, n.nspname, c.relname, false FROM pg_catalog.pg_publication_rel r"
    " JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = "
    "c.relnamespace"
    " WHERE r.prpubid = $1::oid ORDER BY c.oid";
static const char tables_sql[] =
    "SELECT c.oid, n.nspname, c.relname, r.prqual IS NOT NULL OR r.prattrs IS NOT NULL"
    " FROM pg_catalog.pg_publication_rel r"
    " JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = "
    "c.relnamespace"
    " WHERE r.prpubid = $1::oid ORDER BY c.oid";
static const char head_sql_14[] =
    "SELECT p.oid, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot,"
    " pg_catalog.pg_has_role(p.pubowner, 'USAGE') FROM pg_catalog.pg_publication p WHERE p.pubname = $1";
static const char head_sql[] =
    "SELECT p.oid, p.puballtables"
    " OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s WHERE s.pnpubid = p.oid),"
    " p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot,"
    " pg_catalog.pg_has_role(p.pubowner, 'USAGE') FROM pg_catalog.pg_publication p WHERE p.pubname = $1";

static int tables_read(
    struct sb_conn *source, struct sb_arena *arena, struct sb_publication *pub, struct sb_err *err)
{
    char oid[16];
    snprintf(oid, sizeof oid, "%u", pub->oid);
    const char *const params[] = {oid};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *sql = sb_conn_version(source) < 150000 ? tables_sql_14 : tables_sql;
    if (sb_conn_query(source, sql, 1, params, &rows, err) < 0)
        return -1;
    size_t count = (size_t)sb_rows_count(rows);
    pub->tables = sb_arena_zalloc(arena, count * sizeof *pub->tables + 1);
    bool room = pub->tables != NULL;
    for (size_t i = 0; room && i < count; i++) {
        struct sb_pub_table *table = &pub->tables[i];
        table->oid = (uint32_t)sb_rows_u64(rows, (int)i, 0);
        table->cut = sb_rows_bool(rows, (int)i, 3);
        room = sb_arena_dup(arena, sb_view_str(sb_rows_get(rows, (int)i, 1)), &table->schema) &&
               sb_arena_dup(arena, sb_view_str(sb_rows_get(rows, (int)i, 2)), &table->name);
    }
    pub->count = count;
    return room ? 0
                : sb_err_set(err, SB_E_LIMIT, "%zu published tables are too many for arena \"%s\"", count,
                      sb_arena_name(arena));
}

static int publication_read(struct sb_conn *source, const char *name, struct sb_arena *arena,
    struct sb_publication *ret_pub, struct sb_err *err)
{
    const char *const params[] = {name};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *sql = sb_conn_version(source) < 150000 ? head_sql_14 : head_sql;
    if (sb_conn_query(source, sql, 1, params, &rows, err) < 0)
        return -1;
    struct sb_publication pub = {0};
    if (sb_rows_count(rows) > 0) {
        pub = (struct sb_publication){
            .oid = (uint32_t)sb_rows_u64(rows, 0, 0),
            .wide = sb_rows_bool(rows, 0, 1),
            .insert = sb_rows_bool(rows, 0, 2),
            .update = sb_rows_bool(rows, 0, 3),
            .delete = sb_rows_bool(rows, 0, 4),
            .truncate = sb_rows_bool(rows, 0, 5),
            .via_root = sb_rows_bool(rows, 0, 6),
            .owned = sb_rows_bool(rows, 0, 7),
        };
        if (tables_read(source, arena, &pub, err) < 0)
            return -1;
    }
    *ret_pub = pub;
    return 0;
}

int sb_publications_read(struct sb_conn *source, const struct sb_names *names, struct sb_arena *arena,
    struct sb_publications *ret_pubs, struct sb_err *err)
{
    struct sb_publications pubs;
    if (publication_read(source, names->publication, arena, &pubs.keyed, err) < 0 ||
        publication_read(source, names->publication_keyless, arena, &pubs.keyless, err) < 0)
        return sb_err_add(err, "reading the publications");
    *ret_pubs = pubs;
    return 0;
}

/* -- what is, against what should be --------------------------------------------------------------------- */

struct wanted { /* one publication as it should be */
    const char *name;
    enum sb_scope_class klass;
    const char *operations;
    bool update, delete;
};

static struct wanted wanted_keyed(const struct sb_names *names)
{
    return (struct wanted){
        names->publication, SB_SCOPE_KEYED, "insert, update, delete, truncate", true, true};
}

static struct wanted wanted_keyless(const struct sb_names *names)
{
    return (struct wanted){names->publication_keyless, SB_SCOPE_KEYLESS, "insert, truncate", false, false};
}

static const struct sb_pub_table *published(const struct sb_publication *pub, uint32_t oid)
{
    for (size_t low = 0, high = pub->count; low < high;) {
        size_t mid = low + (high - low) / 2;
        if (pub->tables[mid].oid == oid)
            return &pub->tables[mid];
        if (pub->tables[mid].oid < oid)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool is_wanted(const struct sb_scope *scope, enum sb_scope_class klass, uint32_t oid)
{
    for (size_t i = 0; i < scope->count; i++) {
        if (scope->tables[i].table->oid == oid)
            return scope->tables[i].klass == klass;
    }
    return false;
}

static void put_alter(struct sb_buf *sql, const struct wanted *want, const char *action)
{
    sb_buf_put_str(sql, "ALTER PUBLICATION ");
    sb_ident_put(sql, sb_view_str(want->name));
    sb_buf_put_str(sql, action);
}

static void put_table(struct sb_buf *sql, const struct sb_scope_table *scoped)
{
    /* Without ONLY, tables that inherit would come along unasked; a partitioned table takes none. */
    sb_buf_put_str(sql, scoped->table->kind == 'p' ? "" : "ONLY ");
    sb_ident_put_table(sql, scoped->table->schema, scoped->table->name);
}

static bool needs_adding(
    const struct sb_publication *pub, const struct wanted *want, const struct sb_scope_table *scoped)
{
    if (scoped->klass != want->klass)
        return false;
    const struct sb_pub_table *table = published(pub, scoped->table->oid);
    return table == NULL || table->cut;
}

static bool needs_dropping(
    const struct sb_scope *scope, const struct wanted *want, const struct sb_pub_table *table)
{
    return table->cut || !is_wanted(scope, want->klass, table->oid);
}

/* " TABLE a, b" of what is to be added; false and nothing put if there is none. */
static bool put_additions(const struct sb_publication *pub, const struct wanted *want,
    const struct sb_scope *scope, const char *lead, struct sb_buf *sql)
{
    const char *between = lead;
    for (size_t i = 0; i < scope->count; i++) {
        if (!needs_adding(pub, want, &scope->tables[i]))
            continue;
        sb_buf_put_str(sql, between);
        put_table(sql, &scope->tables[i]);
        between = ", ";
    }
    return between != lead;
}

static void put_options(struct sb_buf *sql, const struct wanted *want)
{
    sb_buf_putf(sql, " (publish = '%s', publish_via_partition_root = true);\n", want->operations);
}

static bool options_right(const struct sb_publication *pub, const struct wanted *want)
{
    return pub->insert && pub->truncate && pub->update == want->update &&
           pub->delete == want->delete &&pub->via_root;
}

static void mend_dropped(const struct sb_publication *pub, const struct wanted *want,
    const struct sb_scope *scope, struct sb_buf *sql)
{
    for (size_t i = 0; i < pub->count; i++) {
        if (!needs_dropping(scope, want, &pub->tables[i]))
            continue;
        put_alter(sql, want, " DROP TABLE ONLY ");
        sb_ident_put_table(sql, pub->tables[i].schema, pub->tables[i].name);
        sb_buf_put_str(sql, ";\n");
    }
}

static void mend_added(const struct sb_publication *pub, const struct wanted *want,
    const struct sb_scope *scope, struct sb_buf *sql)
{
    struct sb_buf additions;
    sb_buf_init(&additions, SQL_MAX_BYTES);
    if (put_additions(pub, want, scope, " ADD TABLE ", &additions)) {
        put_alter(sql, want, sb_buf_str(&additions));
        sb_buf_put_str(sql, ";\n");
    }
    sql->failed = sql->failed || additions.failed;
    sb_buf_clear(&additions);
}

static void mend_missing(const struct wanted *want, const struct sb_scope *scope, struct sb_buf *sql)
{
    const struct sb_publication empty = {0};
    sb_buf_put_str(sql, "CREATE PUBLICATION ");
    sb_ident_put(sql, sb_view_str(want->name));
    put_additions(&empty, want, scope, " FOR TABLE ", sql);
    sb_buf_put_str(sql, " WITH");
    put_options(sql, want);
}

static void mend_options(const struct sb_publication *pub, const struct wanted *want, struct sb_buf *sql)
{
    if (options_right(pub, want))
        return;
    put_alter(sql, want, " SET");
    put_options(sql, want);
}

/* Drops come before adds over both publications, so that a table may change sides. */
void sb_publications_mend(const struct sb_publications *pubs, const struct sb_names *names,
    const struct sb_scope *scope, struct sb_buf *sql)
{
    const struct wanted wants[] = {wanted_keyed(names), wanted_keyless(names)};
    const struct sb_publication *const have[] = {&pubs->keyed, &pubs->keyless};
    for (int i = 0; i < 2; i++)
        mend_dropped(have[i], &wants[i], scope, sql);
    for (int i = 0; i < 2; i++) {
        if (have[i]->oid == 0) {
            mend_missing(&wants[i], scope, sql);
            continue;
        }
        mend_options(have[i], &wants[i], sql);
        mend_added(have[i], &wants[i], scope, sql);
    }
}

/* -- judging --------------------------------------------------------------------------------------------- */

struct judge {
    const struct sb_publication *pub;
    const struct wanted *want;
    const struct sb_scope *scope;
    struct sb_buf evidence;
    struct sb_buf statement;
    sb_pub_fn *fn;
    void *arg;
};

static int judge_tell(struct judge *judge, enum sb_pub_fault fault)
{
    int done = judge->fn(judge->arg, fault, sb_buf_str(&judge->evidence), sb_buf_str(&judge->statement));
    sb_buf_reset(&judge->evidence);
    sb_buf_reset(&judge->statement);
    return done;
}

static int judge_tables(struct judge *judge)
{
    for (size_t i = 0; i < judge->scope->count; i++) {
        const struct sb_scope_table *scoped = &judge->scope->tables[i];
        if (!needs_adding(judge->pub, judge->want, scoped))
            continue;
        bool cut = published(judge->pub, scoped->table->oid) != NULL;
        sb_buf_putf(&judge->evidence, "publication \"%s\" %s table \"%s\".\"%s\"", judge->want->name,
            cut ? "has a row filter or a column list for" : "lacks", scoped->table->schema.ptr,
            scoped->table->name.ptr);
        if (cut) {
            put_alter(&judge->statement, judge->want, " DROP TABLE ");
            put_table(&judge->statement, scoped);
            sb_buf_put_str(&judge->statement, "; ");
        }
        put_alter(&judge->statement, judge->want, " ADD TABLE ");
        put_table(&judge->statement, scoped);
        sb_buf_put_str(&judge->statement, ";");
        if (judge_tell(judge, SB_PUB_TABLES) < 0)
            return -1;
    }
    for (size_t i = 0; i < judge->pub->count; i++) {
        const struct sb_pub_table *table = &judge->pub->tables[i];
        if (table->cut || !needs_dropping(judge->scope, judge->want, table))
            continue;
        sb_buf_putf(&judge->evidence,
            "publication \"%s\" holds table \"%s\".\"%s\", which does not belong there", judge->want->name,
            table->schema.ptr, table->name.ptr);
        put_alter(&judge->statement, judge->want, " DROP TABLE ONLY ");
        sb_ident_put_table(&judge->statement, table->schema, table->name);
        sb_buf_put_str(&judge->statement, ";");
        if (judge_tell(judge, SB_PUB_TABLES) < 0)
            return -1;
    }
    return 0;
}

static int judge_one(struct judge *judge)
{
    const char *name = judge->want->name;
    if (judge->pub->oid == 0) {
        sb_buf_putf(&judge->evidence, "publication \"%s\" does not exist yet", name);
        return judge_tell(judge, SB_PUB_ABSENT);
    }
    if (judge->pub->wide || !judge->pub->owned) {
        sb_buf_putf(&judge->evidence, "publication \"%s\" %s", name,
            judge->pub->wide ? "is for all tables or for whole schemas: it is not ours"
                             : "belongs to another role");
        sb_buf_put_str(&judge->statement, "DROP PUBLICATION ");
        sb_ident_put(&judge->statement, sb_view_str(name));
        sb_buf_put_str(&judge->statement, ";");
        return judge_tell(judge, SB_PUB_FOREIGN);
    }
    if (!options_right(judge->pub, judge->want)) {
        sb_buf_putf(&judge->evidence, "publication \"%s\" publishes other operations than it should", name);
        put_alter(&judge->statement, judge->want, " SET");
        put_options(&judge->statement, judge->want);
        if (judge_tell(judge, SB_PUB_OPTIONS) < 0)
            return -1;
    }
    return judge_tables(judge);
}

int sb_publications_judge(const struct sb_publications *pubs, const struct sb_names *names,
    const struct sb_scope *scope, sb_pub_fn *fn, void *arg)
{
    const struct wanted wants[] = {wanted_keyed(names), wanted_keyless(names)};
    const struct sb_publication *const have[] = {&pubs->keyed, &pubs->keyless};
    int done = 0;
    for (int i = 0; i < 2 && done == 0; i++) {
        struct judge judge = {.pub = have[i], .want = &wants[i], .scope = scope, .fn = fn, .arg = arg};
        sb_buf_init(&judge.evidence, 4096);
        sb_buf_init(&judge.statement, 8192);
        done = judge_one(&judge);
        sb_buf_clear(&judge.evidence);
        sb_buf_clear(&judge.statement);
    }
    return done;
}
