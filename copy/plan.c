#include "copy/plan.h"

#include "core/log.h"
#include "pg/ident.h"
#include "schemas/published.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SQL_MAX_BYTES = 16 * 1024 * 1024,
    LOCK_TIMEOUT_S = 5,
    ROUNDS_MAX = 3, /* in which keys of a table were read again; then it gets one stamp, and no row can move
                       between two */
};

struct planner {
    const struct sb_copy_claim *claim;
    struct sb_conn *source;
    const struct sb_config *config;
    const struct sb_names *names;
    struct sb_arena *arena;
    uint32_t timeline;
    bool both_utf8;
    struct sb_copy_plan plan;
    struct sb_rows *aside;     /* NULL: all tables are planned; else only these: relation, is it emptied? */
    struct sb_ranges *missing; /* one a table */
    bool *anew;                /* one a table: what is there of it is deleted first */
    const char **oids;         /* one a table, on the source; views into the answer */
    size_t job_cap;
    struct sb_buf sql;
};

static int no_room(const struct planner *planner, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "the plan of the copy does not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(planner->arena), sb_arena_name(planner->arena));
}

static int run_sql(
    struct planner *planner, struct sb_conn *conn, struct sb_rows **ret_rows, struct sb_err *err)
{
    if (planner->sql.failed)
        return sb_err_set(err, SB_E_LIMIT,
            "a statement of the copy is larger than %d bytes, or a name is not UTF-8", SQL_MAX_BYTES);
    return sb_conn_query(conn, sb_buf_str(&planner->sql), 0, NULL, ret_rows, err);
}

/* -- tables set aside ------------------------------------------------------------------------------------ */

static int aside_read(struct planner *planner, struct sb_err *err)
{
    const char *params[] = {planner->claim->migration, planner->claim->direction};
    return sb_conn_query(planner->claim->target,
        "SELECT relation, emptied FROM switchback.aside WHERE migration = $1 AND direction = $2", 2, params,
        &planner->aside, err);
}

static bool is_planned(const struct planner *planner, const char *relation)
{
    for (int row = 0; planner->aside != NULL && row < sb_rows_count(planner->aside); row++)
        if (strcmp(sb_rows_get(planner->aside, row, 0), relation) == 0)
            return true;
    return planner->aside == NULL;
}

/* What was there before the table was set aside is still there. */
static bool is_full(const struct planner *planner, const char *relation)
{
    for (int row = 0; planner->aside != NULL && row < sb_rows_count(planner->aside); row++)
        if (strcmp(sb_rows_get(planner->aside, row, 0), relation) == 0)
            return !sb_rows_bool(planner->aside, row, 1);
    return false;
}

/* The stream has its changes under the old name, and apply has not come to the new one. */
static int refuse_rename(struct planner *planner, const char *relation, const char *oid, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {planner->claim->migration, planner->claim->direction, oid, relation};
    if (planner->aside == NULL)
        return 0;
    if (sb_conn_query(planner->claim->target,
            "SELECT relation FROM switchback.aside JOIN switchback.copy_table t USING (migration, direction, "
            "relation) WHERE migration = $1 AND direction = $2 AND pg_catalog.split_part(t.shape, ' ', 1) = "
            "$3 AND relation <> $4",
            4, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        return 0;
    sb_err_set(err, SB_E_TARGET_STRUCTURE, "table %s was renamed to %s while it is copied",
        sb_rows_get(rows, 0, 0), relation);
    return sb_err_hint(err,
        "On the source: give it its old name until it is copied (`switchback status`); then `switchback "
        "resume`.");
}

/* Nobody waits any more for one that is published no more. */
static int aside_forget(struct planner *planner, struct sb_err *err)
{
    static const char *const tables[] = {"switchback.chunk", "switchback.copy_table", "switchback.aside"};
    for (int row = 0; row < sb_rows_count(planner->aside); row++) {
        const char *relation = sb_rows_get(planner->aside, row, 0);
        const char *params[] = {planner->claim->migration, planner->claim->direction, relation};
        bool found = false;
        for (size_t i = 0; i < planner->plan.table_count && !found; i++)
            found = strcmp(planner->plan.tables[i].relation, relation) == 0;
        for (size_t t = 0; t < 3 && !found; t++) {
            char sql[128];
            snprintf(sql, sizeof sql,
                "DELETE FROM %s WHERE migration = $1 AND direction = $2 AND relation = $3", tables[t]);
            if (sb_conn_query(planner->claim->target, sql, 3, params, NULL, err) != 0)
                return -1;
        }
    }
    return 0;
}

static int aside_emptied(struct planner *planner, const char *relation, struct sb_err *err)
{
    const char *params[] = {planner->claim->migration, planner->claim->direction, relation};
    return sb_conn_query(planner->claim->target,
        "UPDATE switchback.aside SET emptied = true WHERE migration = $1 AND direction = $2 AND relation = "
        "$3",
        3, params, NULL, err);
}

/* -- the source's table ---------------------------------------------------------------------------------- */

static int table_error(
    const struct sb_copy_table *table, enum sb_code code, const char *why, struct sb_err *err)
{
    return sb_err_set(err, code, "table %s: %s", table->relation, why);
}

/* The columns that travel: not the source's generated ones, and not the target's. */
static int columns_join(struct planner *planner, struct sb_copy_table *table,
    const struct sb_cat_table *source, const struct sb_cat_table *target, struct sb_err *err)
{
    table->columns = sb_arena_alloc(planner->arena, (source->col_count + 1) * sizeof *table->columns);
    if (table->columns == NULL)
        return no_room(planner, err);
    for (size_t i = 0; i < source->col_count; i++) {
        const struct sb_cat_column *col = &source->cols[i], *other = sb_cat_column(target, col->name);
        if (col->generated)
            continue;
        if (other == NULL) {
            table_error(table, SB_E_TARGET_STRUCTURE, "the target's has not all of its columns", err);
            return sb_err_hint(err,
                "On the target: ALTER TABLE %s ADD COLUMN \"%.*s\" %.*s; then `switchback resume`.",
                table->relation, (int)col->name.len, col->name.ptr, (int)col->type_full.len,
                col->type_full.ptr);
        }
        if (other->generated)
            continue;
        table->binary = table->binary && col->type_oid == other->type_oid;
        table->columns[table->column_count++] = col->name;
    }
    return 0;
}

/* -- the target's table ---------------------------------------------------------------------------------- */

/* Could rows of two stamps, each right at its own moment, violate a constraint of the target together? */
static int other_constraints(struct planner *planner, const struct sb_cat_table *source,
    const struct sb_cat_table *target, bool *ret_found, struct sb_err *err)
{
    struct sb_buf *sql = &planner->sql;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    sb_buf_reset(sql);
    sb_buf_putf(sql,
        "SELECT FROM pg_catalog.pg_index x WHERE x.indrelid IN (SELECT %u UNION SELECT t.relid FROM "
        "pg_catalog.pg_partition_tree(%u) t) AND (x.indisunique OR x.indisexclusion) AND NOT (x.indisunique "
        "AND "
        "x.indexprs IS NULL AND ARRAY[",
        target->oid, target->oid);
    bool first = true;
    for (size_t i = 0; i < source->col_count; i++) {
        if (!source->cols[i].key)
            continue;
        sb_buf_put_str(sql, first ? "" : ", ");
        sb_literal_put(sql, source->cols[i].name);
        first = false;
    }
    sb_buf_put_str(sql,
        "]::text[] OPERATOR(pg_catalog.<@) (SELECT pg_catalog.array_agg(a.attname::text) FROM "
        "pg_catalog.unnest(x.indkey::smallint[]) WITH ORDINALITY k (attnum, n) JOIN pg_catalog.pg_attribute "
        "a ON "
        "a.attrelid = x.indrelid AND a.attnum = k.attnum WHERE k.n <= x.indnkeyatts)) LIMIT 1");
    if (run_sql(planner, planner->claim->target, &rows, err) != 0)
        return -1;
    *ret_found = sb_rows_count(rows) > 0;
    return 0;
}

/* How often keys of the table were read again, because rows had moved between its chunks (apply/recopy). */
static int rounds_read(
    struct planner *planner, const struct sb_copy_table *table, int64_t *ret_rounds, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {planner->claim->migration, planner->claim->direction, table->relation};
    *ret_rounds = 0;
    if (sb_conn_query(planner->claim->target,
            "SELECT count(DISTINCT done_at) FROM switchback.copy_wish WHERE migration = $1 AND direction = "
            "$2 "
            "AND relation = $3 AND key IS NOT NULL",
            3, params, &rows, err) != 0)
        return strcmp(err->sqlstate, "42P01") == 0 ? 0 : -1; /* prepared before there were wishes */
    *ret_rounds = sb_rows_i64(rows, 0, 0);
    return 0;
}

static int choose_key(struct planner *planner, struct sb_copy_table *table,
    const struct sb_published_facts *facts, const struct sb_cat_table *source,
    const struct sb_cat_table *target, struct sb_err *err)
{
    const struct sb_cat_column *other = sb_cat_column(target, facts->key_column);
    bool clashes = false;
    int64_t rounds = 0;
    if (facts->kind == SB_KEY_NONE || other == NULL || sb_key_kind_of(other->type_oid, true) != facts->kind)
        return 0;
    if (other_constraints(planner, source, target, &clashes, err) != 0 ||
        rounds_read(planner, table, &rounds, err) != 0)
        return -1;
    if (clashes || rounds >= ROUNDS_MAX)
        return 0;
    table->kind = facts->kind;
    table->key_column = facts->key_column;
    return 0;
}

/* -- one table ------------------------------------------------------------------------------------------- */

static int shape_read(struct planner *planner, struct sb_copy_table *table, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    sb_buf_reset(&planner->sql);
    sb_buf_put_str(&planner->sql, "SELECT ");
    sb_published_put_shape(table->schema, table->name, &planner->sql);
    if (run_sql(planner, planner->source, &rows, err) != 0)
        return -1;
    table->shape = sb_arena_str(planner->arena, sb_view_str(sb_rows_get(rows, 0, 0)));
    return table->shape != NULL ? 0 : no_room(planner, err);
}

static int table_join(
    struct planner *planner, struct sb_copy_table *table, const char *oid, struct sb_err *err)
{
    struct sb_cat_table source, target;
    bool found = false, target_found = false;
    struct sb_published_facts facts;
    /* The shape first: whatever changes behind it is noticed by the chunks. */
    if (shape_read(planner, table, err) != 0 ||
        sb_catalog_table(planner->source, table->schema, table->name, planner->arena, &source, &found, err) !=
            0 ||
        sb_catalog_table(planner->claim->target, table->schema, table->name, planner->arena, &target,
            &target_found, err) != 0 ||
        sb_published_facts(planner->source, oid, planner->both_utf8, planner->arena, &facts, err) != 0)
        return -1;
    if (!found)
        return table_error(table, SB_E_SOURCE_UNAVAILABLE, "it was dropped while the copy was planned", err);
    size_t oid_len = strlen(oid);
    if (strncmp(table->shape, oid, oid_len) != 0 || table->shape[oid_len] != ' ')
        return table_error(table, SB_E_SOURCE_UNAVAILABLE, "it was renamed while the copy was planned", err);
    if (!target_found)
        return table_error(table, SB_E_TARGET_STRUCTURE, "the target has no such table", err);
    if (source.rls)
        return table_error(
            table, SB_E_RLS, "row-level security of the source would hide rows from the copy", err);
    table->source_parted = source.kind == 'p';
    table->target_parted = target.kind == 'p';
    table->pages = facts.pages;
    table->rows_estimated = facts.rows_estimated;
    table->binary = facts.binary;
    if (columns_join(planner, table, &source, &target, err) != 0)
        return -1;
    table->binary = table->binary && table->column_count > 0;
    return choose_key(planner, table, &facts, &source, &target, err);
}

static bool bound_take(
    const struct planner *planner, const char *hex, struct sb_view *ret_bound, bool *ret_open)
{
    *ret_open = hex == NULL;
    if (hex == NULL)
        return true;
    size_t len = strlen(hex) / 2;
    char *bytes = sb_arena_alloc(planner->arena, len + 1);
    if (bytes == NULL || !sb_hex_decode(sb_view_str(hex), bytes, len))
        return false;
    *ret_bound = sb_view(bytes, len);
    return true;
}

/* Copied under another name, by its oid, which every shape begins with: its ledger follows it. */
static int follow_rename(
    struct planner *planner, const struct sb_copy_table *table, const char *oid, struct sb_err *err)
{
    static const char *const tables[] = {"switchback.chunk", "switchback.copy_table"};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {planner->claim->migration, planner->claim->direction, table->relation, oid};
    if (sb_conn_query(planner->claim->target,
            "SELECT relation FROM switchback.copy_table t WHERE migration = $1 AND direction = $2 AND "
            "relation "
            "<> $3 AND pg_catalog.split_part(shape, ' ', 1) = $4 AND NOT EXISTS (SELECT FROM "
            "switchback.copy_table WHERE migration = $1 AND direction = $2 AND relation = $3)",
            4, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        return 0;
    params[3] = sb_rows_get(rows, 0, 0);
    int rc = sb_copy_begin(planner->claim, err);
    for (size_t t = 0; t < 2 && rc == 0; t++) {
        char sql[256];
        snprintf(sql, sizeof sql,
            "UPDATE %s SET relation = $3 WHERE migration = $1 AND direction = $2 AND relation = $4",
            tables[t]);
        rc = sb_conn_query(planner->claim->target, sql, 4, params, NULL, err);
        if (rc != 0)
            sb_copy_rollback(planner->claim);
    }
    return rc == 0 ? sb_copy_commit(planner->claim, err) : -1;
}

static int keep_cut(const struct planner *planner, struct sb_copy_table *table, const struct sb_rows *planned,
    struct sb_err *err)
{
    enum sb_key_kind kind;
    if (!sb_key_kind_find(sb_rows_get(planned, 0, 1), &kind))
        return sb_err_set(
            err, SB_E_STATE_FORMAT, "switchback.copy_table does not read as ours for %s", table->relation);
    table->kind = kind;
    return sb_arena_dup(planner->arena, sb_view_str(sb_rows_get(planned, 0, 2)), &table->key_column)
               ? 0
               : no_room(planner, err);
}

/* The table's finished chunks; what is missing beside them. */
static int ledger_read(struct planner *planner, size_t at, struct sb_err *err)
{
    struct sb_copy_table *table = &planner->plan.tables[at];
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL, *planned = NULL;
    const char *params[] = {planner->claim->migration, planner->claim->direction, table->relation};
    if (sb_conn_query(planner->claim->target,
            "SELECT pg_catalog.encode(lower_bound, 'hex'), pg_catalog.encode(upper_bound, 'hex'), rows, "
            "timeline, passed FROM "
            "switchback.chunk WHERE migration = $1 AND direction = $2 AND relation = $3",
            3, params, &rows, err) != 0 ||
        sb_conn_query(planner->claim->target,
            "SELECT shape, key_kind, key_column, chunks FROM switchback.copy_table WHERE migration = $1 AND "
            "direction = $2 AND "
            "relation = $3",
            3, params, &planned, err) != 0)
        return -1;
    size_t count = (size_t)sb_rows_count(rows);
    struct sb_key_range *done = sb_arena_zalloc(planner->arena, (count + 1) * sizeof *done);
    if (done == NULL)
        return no_room(planner, err);
    /* Without a shape: it was born in the stream, there was nothing to copy (apply/ddl_book). */
    bool same = sb_rows_count(planned) == 1 && (sb_rows_get(planned, 0, 0)[0] == '\0' ||
                                                   strcmp(sb_rows_get(planned, 0, 0), table->shape) == 0);
    /* One that is copied as a whole stays as it was cut, whatever was built on the target since. */
    if (same && count > 0 && (uint64_t)count >= sb_rows_u64(planned, 0, 3) &&
        keep_cut(planner, table, planned, err) != 0)
        return -1;
    same = same && strcmp(sb_rows_get(planned, 0, 1), sb_key_kind_name(table->kind)) == 0 &&
           sb_view_eq_str(table->key_column, sb_rows_get(planned, 0, 2));
    int64_t rows_done = 0;
    for (size_t i = 0; i < count; i++) {
        if (!bound_take(planner, sb_rows_get(rows, (int)i, 0), &done[i].lower, &done[i].lower_open) ||
            !bound_take(planner, sb_rows_get(rows, (int)i, 1), &done[i].upper, &done[i].upper_open))
            return no_room(planner, err);
        rows_done += sb_rows_i64(rows, (int)i, 2);
        same = same &&
               (sb_rows_bool(rows, (int)i, 4) || (uint32_t)sb_rows_u64(rows, (int)i, 3) == planner->timeline);
    }
    planner->anew[at] = (count > 0 && !same) || is_full(planner, table->relation);
    if (planner->anew[at])
        count = 0;
    table->chunks = count;
    planner->plan.chunks_done += count;
    planner->plan.rows_done += planner->anew[at] ? 0 : rows_done;
    return sb_ranges_missing(done, count, planner->arena, &planner->missing[at], err);
}

static int must_be_empty(struct planner *planner, const struct sb_copy_table *table, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    sb_buf_reset(&planner->sql);
    sb_buf_put_str(&planner->sql, "SELECT FROM ");
    sb_copy_table_put_name(table, SB_SIDE_TARGET, &planner->sql);
    sb_buf_put_str(&planner->sql, " LIMIT 1");
    if (run_sql(planner, planner->claim->target, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        return 0;
    table_error(table, SB_E_TARGET_NOT_EMPTY, "the target's holds rows that this copy did not write", err);
    return sb_err_hint(err, "On the target: TRUNCATE %s; then `switchback resume`.", table->relation);
}

/* -- chunks ---------------------------------------------------------------------------------------------- */

static int cut(struct planner *planner, size_t at, struct sb_err *err)
{
    struct sb_copy_table *table = &planner->plan.tables[at];
    struct sb_buf from SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&from, SQL_MAX_BYTES);
    sb_copy_table_put_name(table, SB_SIDE_SOURCE, &from);
    const struct sb_published_facts facts = {.key_column = table->key_column,
        .kind = table->kind,
        .pages = table->pages,
        .rows_estimated = table->rows_estimated};
    const struct sb_published_cut cut = {.relation = table->relation,
        .from = sb_buf_str(&from),
        .facts = &facts,
        .chunk_rows = planner->config->copy.chunk_rows};
    return sb_published_cut(planner->source, &cut, planner->arena, &planner->missing[at], err);
}

static int add_jobs(struct planner *planner, size_t at, struct sb_err *err)
{
    struct sb_copy_plan *plan = &planner->plan;
    const struct sb_ranges *missing = &planner->missing[at];
    for (size_t i = 0; i < missing->count; i++) {
        if (plan->job_count == planner->job_cap) {
            size_t cap = planner->job_cap == 0 ? 256 : planner->job_cap * 2;
            struct sb_copy_job *grown = sb_arena_alloc(planner->arena, cap * sizeof *grown);
            if (grown == NULL)
                return no_room(planner, err);
            if (plan->job_count > 0)
                memcpy(grown, plan->jobs, plan->job_count * sizeof *grown);
            plan->jobs = grown;
            planner->job_cap = cap;
        }
        plan->jobs[plan->job_count++] =
            (struct sb_copy_job){.table = &plan->tables[at], .range = missing->items[i]};
    }
    plan->tables[at].chunks_left = missing->count;
    plan->tables[at].chunks += missing->count;
    return 0;
}

/* -- writing it down ------------------------------------------------------------------------------------- */

static int begin_anew(struct planner *planner, const struct sb_copy_table *table, struct sb_err *err)
{
    const char *params[] = {planner->claim->migration, planner->claim->direction, table->relation};
    if (is_full(planner, table->relation))
        SB_INFO("table is emptied to be copied again", SB_STR("table", table->relation));
    else
        SB_WARN("table is copied anew: it was changed, or the source failed over, since it was begun",
            SB_STR("table", table->relation));
    sb_buf_reset(&planner->sql);
    sb_buf_put_str(&planner->sql, "DELETE FROM ");
    sb_copy_table_put_name(table, SB_SIDE_TARGET, &planner->sql);
    if (run_sql(planner, planner->claim->target, NULL, err) != 0)
        return -1;
    if (sb_conn_query(planner->claim->target,
            "DELETE FROM switchback.chunk WHERE migration = $1 AND direction = $2 AND relation = $3", 3,
            params, NULL, err) != 0)
        return -1;
    return planner->aside == NULL ? 0 : aside_emptied(planner, table->relation, err);
}

static int note_table(struct planner *planner, const struct sb_copy_table *table, struct sb_err *err)
{
    char rows[24], chunks[24];
    struct sb_view column = table->key_column;
    snprintf(rows, sizeof rows, "%" PRId64, table->rows_estimated);
    snprintf(chunks, sizeof chunks, "%zu", table->chunks);
    const char *params[] = {planner->claim->migration, planner->claim->direction, table->relation,
        sb_key_kind_name(table->kind), column.len == 0 ? "" : column.ptr, table->shape, rows, chunks};
    return sb_conn_query(planner->claim->target,
        "INSERT INTO switchback.copy_table (migration, direction, relation, key_kind, key_column, shape, "
        "rows_estimated, chunks) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (migration, direction, "
        "relation) "
        "DO UPDATE SET key_kind = $4, key_column = $5, shape = $6, rows_estimated = $7, chunks = $8",
        8, params, NULL, err);
}

/* Tables that are published no more: what was copied stays, and is nobody's business any longer. */
static int forget_others(struct planner *planner, struct sb_err *err)
{
    static const char *const tables[] = {"switchback.chunk", "switchback.copy_table"};
    for (size_t t = 0; t < 2; t++) {
        struct sb_buf *sql = &planner->sql;
        sb_buf_reset(sql);
        sb_buf_putf(sql, "DELETE FROM %s WHERE migration = ", tables[t]);
        sb_literal_put(sql, sb_view_str(planner->claim->migration));
        sb_buf_put_str(sql, " AND direction = ");
        sb_literal_put(sql, sb_view_str(planner->claim->direction));
        for (size_t i = 0; i < planner->plan.table_count; i++) {
            sb_buf_put_str(sql, i == 0 ? " AND relation NOT IN (" : ", ");
            sb_literal_put(sql, sb_view_str(planner->plan.tables[i].relation));
        }
        sb_buf_put_str(sql, planner->plan.table_count == 0 ? "" : ")");
        if (run_sql(planner, planner->claim->target, NULL, err) != 0)
            return -1;
    }
    return 0;
}

static int write_down_in(struct planner *planner, struct sb_err *err)
{
    if (sb_conn_exec(planner->claim->target, "SET LOCAL session_replication_role = replica", err) != 0 ||
        (planner->aside == NULL ? forget_others(planner, err) : aside_forget(planner, err)) != 0)
        return -1;
    for (size_t i = 0; i < planner->plan.table_count; i++) {
        const struct sb_copy_table *table = &planner->plan.tables[i];
        if ((planner->anew[i] && begin_anew(planner, table, err) != 0) ||
            note_table(planner, table, err) != 0)
            return -1;
    }
    return 0;
}

static int write_down(struct planner *planner, struct sb_err *err)
{
    if (sb_copy_begin(planner->claim, err) != 0)
        return -1;
    if (write_down_in(planner, err) == 0)
        return sb_copy_commit(planner->claim, err);
    sb_copy_rollback(planner->claim);
    return -1;
}

/* -- all of it ------------------------------------------------------------------------------------------- */

/* A table that the target does not have yet, because its CREATE TABLE is in the stream, and all its rows
 * behind it: apply makes it. */
static int is_newborn(
    struct planner *planner, const char *relation, const char *oid, bool *ret_newborn, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *missing = NULL, *told = NULL, *born = NULL;
    const char *const of_target[] = {relation}, *const of_source[] = {oid};
    *ret_newborn = false;
    if (sb_conn_query(planner->claim->target, "SELECT pg_catalog.to_regclass($1) IS NULL", 1, of_target,
            &missing, err) != 0)
        return -1;
    if (planner->config->ddl.policy == SB_DDL_IGNORE || !sb_rows_bool(missing, 0, 0))
        return 0;
    if (sb_conn_query(planner->source,
            "SELECT pg_catalog.has_table_privilege(pg_catalog.to_regclass('switchback.ddl_born'), 'SELECT')",
            0, NULL, &told, err) != 0)
        return -1;
    if (!sb_rows_bool(told, 0, 0)) /* there are no event triggers, or they are not ours to ask */
        return 0;
    if (sb_conn_query(planner->source,
            "SELECT EXISTS (SELECT FROM switchback.ddl_born WHERE relid = $1::pg_catalog.oid)", 1, of_source,
            &born, err) != 0)
        return -1;
    *ret_newborn = sb_rows_bool(born, 0, 0);
    return 0;
}

/* Names and oids of the tables to be copied. */
static int tables_name(struct planner *planner, const struct sb_rows *rows, struct sb_err *err)
{
    size_t count = (size_t)sb_rows_count(rows);
    planner->oids = sb_arena_zalloc(planner->arena, (count + 1) * sizeof *planner->oids);
    planner->plan.tables = sb_arena_zalloc(planner->arena, (count + 1) * sizeof *planner->plan.tables);
    planner->missing = sb_arena_zalloc(planner->arena, (count + 1) * sizeof *planner->missing);
    planner->anew = sb_arena_zalloc(planner->arena, (count + 1) * sizeof *planner->anew);
    if (planner->plan.tables == NULL || planner->missing == NULL || planner->anew == NULL ||
        planner->oids == NULL)
        return no_room(planner, err);
    for (size_t i = 0; i < count; i++) {
        struct sb_copy_table *table = &planner->plan.tables[planner->plan.table_count];
        bool newborn = false;
        sb_buf_reset(&planner->sql);
        sb_ident_put_table(&planner->sql, sb_view_str(sb_rows_get(rows, (int)i, 0)),
            sb_view_str(sb_rows_get(rows, (int)i, 1)));
        table->relation = sb_arena_str(planner->arena, sb_buf_view(&planner->sql));
        if (table->relation == NULL ||
            !sb_arena_dup(planner->arena, sb_view_str(sb_rows_get(rows, (int)i, 0)), &table->schema) ||
            !sb_arena_dup(planner->arena, sb_view_str(sb_rows_get(rows, (int)i, 1)), &table->name))
            return no_room(planner, err);
        const char *oid = sb_rows_get(rows, (int)i, 2);
        if (refuse_rename(planner, table->relation, oid, err) != 0)
            return -1;
        if (!is_planned(planner, table->relation))
            continue;
        if (is_newborn(planner, table->relation, oid, &newborn, err) != 0)
            return -1;
        if (newborn)
            SB_INFO("table is left to apply: its CREATE TABLE is in the stream",
                SB_STR("table", table->relation));
        else
            planner->oids[planner->plan.table_count++] = oid;
    }
    return 0;
}

static int job_order(const void *a, const void *b)
{
    const struct sb_copy_job *left = a, *right = b;
    int64_t more = right->table->rows_estimated - left->table->rows_estimated;
    if (more != 0)
        return more > 0 ? 1 : -1;
    if (left->table != right->table)
        return left->table < right->table ? -1 : 1;
    return sb_key_range_cmp(&left->range, &right->range);
}

static int encodings_read(struct planner *planner, struct sb_err *err)
{
    bool source, target;
    if (sb_published_is_utf8(planner->source, &source, err) != 0 ||
        sb_published_is_utf8(planner->claim->target, &target, err) != 0)
        return -1;
    planner->both_utf8 = source && target;
    return 0;
}

/* Sizes and samples wait for tables that are locked; the plan does not do that for ever. */
static int limit_waiting(struct planner *planner, bool limited, struct sb_err *err)
{
    char sql[64];
    snprintf(sql, sizeof sql, "SET lock_timeout = '%ds'", limited ? LOCK_TIMEOUT_S : 0);
    return sb_conn_exec(planner->source, sql, err);
}

static int plan(struct planner *planner, bool (*stop)(void), struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_server_id id;
    if (sb_catalog_server_id(planner->source, &id, err) != 0 || encodings_read(planner, err) != 0 ||
        sb_published_tables(planner->source, planner->names->publication, planner->names->publication_keyless,
            &rows, err) != 0 ||
        tables_name(planner, rows, err) != 0)
        return -1;
    planner->timeline = id.timeline;
    for (size_t i = 0; i < planner->plan.table_count; i++) {
        struct sb_copy_table *table = &planner->plan.tables[i];
        if (stop())
            return sb_err_set(err, SB_E_SHUTDOWN, "told to stop while the copy was planned");
        if (follow_rename(planner, table, planner->oids[i], err) != 0 ||
            table_join(planner, table, planner->oids[i], err) != 0 || ledger_read(planner, i, err) != 0)
            return -1;
        if (table->chunks == 0 && !planner->anew[i] && must_be_empty(planner, table, err) != 0)
            return -1;
        if (cut(planner, i, err) != 0 || add_jobs(planner, i, err) != 0)
            return -1;
        planner->plan.rows_estimated += table->rows_estimated;
    }
    if (planner->plan.job_count > 0)
        qsort(planner->plan.jobs, planner->plan.job_count, sizeof *planner->plan.jobs, job_order);
    return write_down(planner, err);
}

int sb_copy_plan_make(const struct sb_copy_claim *claim, struct sb_conn *source,
    const struct sb_config *config, const struct sb_names *names, bool beside, bool (*stop)(void),
    struct sb_arena *arena, struct sb_copy_plan *ret_plan, struct sb_err *err)
{
    struct planner planner = {
        .claim = claim, .source = source, .config = config, .names = names, .arena = arena};
    sb_buf_init(&planner.sql, SQL_MAX_BYTES);
    int rc = limit_waiting(&planner, true, err);
    if (rc == 0 && beside)
        rc = aside_read(&planner, err);
    if (rc == 0)
        rc = plan(&planner, stop, err);
    if (rc == 0)
        rc = limit_waiting(&planner, false, err);
    sb_buf_clear(&planner.sql);
    sb_rows_free(planner.aside);
    if (rc == 0)
        *ret_plan = planner.plan;
    return rc;
}
