#include "copy/schema.h"

#include "copy/steps.h"
#include "copy/toc.h"
#include "core/child.h"
#include "core/fault.h"
#include "core/log.h"
#include "pg/ident.h"
#include "pg/origin.h"
#include "pg/programs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SCRIPT_MAX_BYTES = 512 * 1024 * 1024,
    LIST_MAX_BYTES = 64 * 1024 * 1024,
    SQL_MAX_BYTES = 64 * 1024 * 1024,
    WORDS_MAX_BYTES = 64 * 1024,
    LOCK_TIMEOUT_S = 10,
};
#define TOC_MAX_BYTES (INT64_C(1) << 30)

/* A table, materialized view or foreign table of the source. */
struct relation {
    uint32_t oid, parent;
    char kind;
    bool filled;  /* of a materialized view: it holds rows */
    bool travels; /* a pattern chooses it, or an ancestor of it */
    const char *name;
};

struct begin {
    const struct sb_schema *schema;
    struct sb_pg_programs programs;
    char archive[SB_PATH_BYTES];
    struct sb_arena *arena;
    struct sb_buf list, pre, post;
    struct sb_toc toc;
    struct relation *relations; /* in oid order */
    size_t relation_count;
    struct sb_buf sql;
    int step;
};

static int no_room(const struct begin *begin, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "the structure does not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(begin->arena), sb_arena_name(begin->arena));
}

/* -- what travels ---------------------------------------------------------------------------------------- */

static bool chosen_by(const struct sb_config_list *patterns, const struct sb_rows *rows, int row)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (sb_pattern_match(patterns->items[i], sb_view_str(sb_rows_get(rows, row, 1)),
                sb_view_str(sb_rows_get(rows, row, 2))))
            return true;
    return false;
}

static struct relation *relation_of(const struct begin *begin, uint32_t oid)
{
    size_t low = 0, high = begin->relation_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (begin->relations[middle].oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < begin->relation_count && begin->relations[low].oid == oid ? &begin->relations[low] : NULL;
}

static bool travels(void *arg, uint32_t oid)
{
    const struct relation *relation = relation_of(arg, oid);
    for (; relation != NULL; relation = relation_of(arg, relation->parent))
        if (relation->travels)
            return true;
    return false;
}

static int relations_read(struct begin *begin, struct sb_err *err)
{
    const struct sb_config *config = begin->schema->config;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(begin->schema->source,
            "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispopulated, coalesce(i.inhparent, 0), "
            "pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_inherits i"
            " ON i.inhrelid = c.oid AND c.relispartition WHERE c.relkind IN ('r', 'p', 'f', 'm')"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'switchback') AND n.nspname !~ "
            "'^pg_(toast|temp)' ORDER BY c.oid",
            0, NULL, &rows, err) != 0)
        return sb_err_add(err, "could not read the source's tables");
    size_t count = (size_t)sb_rows_count(rows);
    begin->relations = sb_arena_zalloc(begin->arena, (count + 1) * sizeof *begin->relations);
    if (begin->relations == NULL)
        return no_room(begin, err);
    for (int row = 0; row < (int)count; row++) {
        begin->relations[row] = (struct relation){.oid = (uint32_t)sb_rows_u64(rows, row, 0),
            .parent = (uint32_t)sb_rows_u64(rows, row, 5),
            .kind = sb_rows_get(rows, row, 3)[0],
            .filled = sb_rows_bool(rows, row, 4),
            .travels = chosen_by(&config->tables.include, rows, row) &&
                       !chosen_by(&config->tables.exclude, rows, row),
            .name = sb_arena_str(begin->arena, sb_view_str(sb_rows_get(rows, row, 6)))};
        if (begin->relations[row].name == NULL)
            return no_room(begin, err);
    }
    begin->relation_count = count;
    return 0;
}

static bool is_narrow(const struct sb_config *config)
{
    for (size_t i = 0; i < config->tables.include.count; i++)
        if (strcmp(config->tables.include.items[i], "*.*") == 0)
            return false;
    return true;
}

/* -- the programs ---------------------------------------------------------------------------------------- */

/* It did not do what it should: because the source went away, or because the source or it will not. */
static int program_failed(
    const struct begin *begin, const char *what, const struct sb_child_end *end, struct sb_err *err)
{
    struct sb_err gone;
    if (sb_conn_query(begin->schema->source, "SELECT", 0, NULL, NULL, &gone) != 0) {
        *err = gone;
        return sb_err_add(err, "while %s ran", what);
    }
    enum sb_code code = strstr(end->words, "permission denied") != NULL ? SB_E_ACCESS : SB_E_PG_DUMP;
    if (end->status > 128 || strstr(end->words, "lock timeout") != NULL ||
        strstr(end->words, "connection to") != NULL)
        code = SB_E_SOURCE_UNAVAILABLE;
    sb_err_set(err, code, "%s ended with %d: %s", what, end->status, end->words);
    return sb_err_hint(err, "Mend what it complains of, then `switchback resume`.");
}

static int dump(struct begin *begin, struct sb_err *err)
{
    const struct sb_schema *schema = begin->schema;
    struct sb_endpoint source = sb_wiring_source(schema->config, schema->direction);
    char file[SB_PATH_BYTES + 16], encoding[32], making[SB_PATH_BYTES + 8];
    struct sb_buf words SB_CLEANUP(sb_buf_clear), password SB_CLEANUP(sb_buf_clear);
    struct sb_child_end end;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    sb_buf_init(&words, WORDS_MAX_BYTES);
    sb_buf_init(&password, WORDS_MAX_BYTES);
    if (sb_conn_query(schema->source, "SELECT pg_catalog.getdatabaseencoding()", 0, NULL, &rows, err) != 0 ||
        sb_conn_words(&source, schema->claim->purpose, &words, err) != 0)
        return -1;
    bool bytes = strcmp(sb_rows_get(rows, 0, 0), "SQL_ASCII") == 0;
    snprintf(encoding, sizeof encoding, "--encoding=%s", bytes ? "SQL_ASCII" : "UTF8");
    snprintf(making, sizeof making, "%s.new", begin->archive);
    snprintf(file, sizeof file, "--file=%s", making);
    sb_buf_putf(&password, "PGPASSWORD=%s", source.password == NULL ? "" : source.password);
    const char *const argv[] = {begin->programs.dump, "--format=custom", "--schema-only",
        "--no-subscriptions", "--exclude-schema=switchback", "--lock-wait-timeout=30000", encoding, file,
        "--dbname", sb_buf_str(&words), NULL};
    const char *const env[] = {"LC_ALL=C", source.password == NULL ? NULL : sb_buf_str(&password), NULL};
    const struct sb_child child = {.argv = argv, .env = env, .stop = schema->stop};
    int rc = sb_child_run(&child, &end, err);
    explicit_bzero(password.ptr, password.len);
    if (rc != 0)
        return -1;
    if (end.status != 0)
        return program_failed(begin, "pg_dump", &end, err);
    if (rename(making, begin->archive) != 0)
        return sb_err_errno(err, SB_E_IO, "could not rename \"%s\"", making);
    SB_FAULT("copy-after-dump");
    return 0;
}

/* section: NULL for the list. */
static int print(struct begin *begin, const char *section, struct sb_buf *out, struct sb_err *err)
{
    const char *const listing[] = {begin->programs.restore, "--list", begin->archive, NULL};
    const char *const printing[] = {begin->programs.restore, "--verbose", "--no-owner", "--no-privileges",
        "--no-tablespaces", "--no-security-labels", "--no-subscriptions", section, "--file=-", begin->archive,
        NULL};
    const char *const env[] = {"LC_ALL=C", NULL};
    const struct sb_child child = {
        .argv = section == NULL ? listing : printing, .env = env, .stop = begin->schema->stop, .out = out};
    struct sb_child_end end;
    if (sb_child_run(&child, &end, err) != 0)
        return -1;
    return end.status == 0 ? 0 : program_failed(begin, "pg_restore", &end, err);
}

static int structure_read(struct begin *begin, struct sb_err *err)
{
    const struct sb_config *config = begin->schema->config;
    if (sb_pg_programs_find(
            config->copy.pg_bin, sb_conn_version(begin->schema->source) / 10000, &begin->programs, err) != 0)
        return -1;
    SB_INFO("the structure is read", SB_STR("program", begin->programs.dump),
        SB_NUM("major", begin->programs.major));
    if (dump(begin, err) != 0 || print(begin, NULL, &begin->list, err) != 0 ||
        print(begin, "--section=pre-data", &begin->pre, err) != 0 ||
        print(begin, "--section=post-data", &begin->post, err) != 0 ||
        sb_toc_parse(sb_buf_view(&begin->list), sb_buf_view(&begin->pre), sb_buf_view(&begin->post),
            begin->arena, &begin->toc, err) != 0 ||
        relations_read(begin, err) != 0)
        return -1;
    return sb_toc_choose(&begin->toc, travels, begin, is_narrow(config), begin->arena, err);
}

/* -- before rows ----------------------------------------------------------------------------------------- */

static int refused(const struct sb_toc_entry *entry, struct sb_err *err)
{
    struct sb_buf what SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&what, WORDS_MAX_BYTES);
    sb_toc_put_what(entry, &what);
    if (sb_err_class(err) != SB_CLASS_RETRY && err->code != SB_E_ACCESS) {
        err->code = SB_E_TARGET_STRUCTURE;
        sb_err_hint(err, "Nothing was made. Mend on the target what it complains of, then `switchback "
                         "resume`; or make the tables "
                         "yourself and prepare anew with copy.schema: off.");
    }
    return sb_err_add(err, "could not make %s", sb_buf_str(&what));
}

/* A schema may be there: people make it together with the rights in it. */
static void statement_put(const struct sb_toc_entry *entry, struct sb_buf *sql)
{
    static const char making[] = "CREATE SCHEMA ";
    const char *at = sb_view_eq_str(entry->type, "SCHEMA")
                         ? memmem(entry->sql.ptr, entry->sql.len, making, sizeof making - 1)
                         : NULL;
    if (at == NULL) {
        sb_buf_put_view(sql, entry->sql);
        return;
    }
    const char *rest = at + sizeof making - 1;
    sb_buf_put_str(sql, "CREATE SCHEMA IF NOT EXISTS ");
    sb_buf_put(sql, rest, (size_t)(entry->sql.ptr + entry->sql.len - rest));
}

static int make_entry(struct begin *begin, const struct sb_toc_entry *entry, struct sb_err *err)
{
    sb_buf_reset(&begin->sql);
    statement_put(entry, &begin->sql);
    if (begin->sql.failed)
        return sb_err_set(
            err, SB_E_LIMIT, "a statement of the structure is larger than %d bytes", SQL_MAX_BYTES);
    if (sb_conn_exec(begin->schema->claim->target, sb_buf_str(&begin->sql), err) != 0)
        return refused(entry, err);
    return 0;
}

/* -- what is left ---------------------------------------------------------------------------------------- */

static int step_add(struct begin *begin, enum sb_toc_phase phase, int wave, const char *what, const char *sql,
    struct sb_err *err)
{
    const struct sb_copy_claim *claim = begin->schema->claim;
    char number[16], wave_text[16];
    snprintf(number, sizeof number, "%d", ++begin->step);
    snprintf(wave_text, sizeof wave_text, "%d", wave);
    const char *params[] = {
        claim->migration, claim->direction, number, sb_steps_phase_name(phase), wave_text, what, sql};
    return sb_conn_query(claim->target,
        "INSERT INTO switchback.copy_step (migration, direction, step, phase, wave, what, sql) VALUES ($1, "
        "$2, $3, $4, "
        "$5, $6, $7)",
        7, params, NULL, err);
}

static int entry_leave(struct begin *begin, const struct sb_toc_entry *entry, struct sb_err *err)
{
    struct sb_buf what SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&what, WORDS_MAX_BYTES);
    sb_toc_put_what(entry, &what);
    sb_buf_reset(&begin->sql);
    sb_buf_put_view(&begin->sql, entry->sql);
    if (begin->sql.failed || what.failed)
        return sb_err_set(
            err, SB_E_LIMIT, "a statement of the structure is larger than %d bytes", SQL_MAX_BYTES);
    return step_add(begin, entry->phase, entry->wave, sb_buf_str(&what), sb_buf_str(&begin->sql), err);
}

/* pg_dump without rows leaves materialized views empty; what they hold on the source comes from the tables.
 */
static int refresh_leave(struct begin *begin, const struct sb_toc_entry *entry, struct sb_err *err)
{
    char what[768], sql[768];
    const struct relation *relation = relation_of(begin, entry->oid);
    if (relation == NULL || relation->kind != 'm' || !relation->filled || entry->phase == SB_TOC_LEFT_OUT)
        return 0;
    snprintf(what, sizeof what, "the rows of materialized view %s", relation->name);
    snprintf(sql, sizeof sql, "REFRESH MATERIALIZED VIEW %s", relation->name);
    return step_add(begin, SB_TOC_REST, SB_TOC_WAVE_REFRESH, what, sql, err);
}

static int analyze_leave(struct begin *begin, const struct sb_toc_entry *entry, struct sb_err *err)
{
    char what[768], sql[768];
    const struct relation *relation = relation_of(begin, entry->oid);
    if (relation == NULL || (relation->kind != 'r' && relation->kind != 'p') ||
        entry->phase == SB_TOC_LEFT_OUT)
        return 0;
    snprintf(what, sizeof what, "the statistics of table %s", relation->name);
    snprintf(sql, sizeof sql, "ANALYZE %s", relation->name);
    return step_add(begin, SB_TOC_REST, SB_TOC_WAVE_ANALYZE, what, sql, err);
}

static int leave_rest(struct begin *begin, struct sb_err *err)
{
    const struct sb_toc *toc = &begin->toc;
    for (size_t i = 0; i < toc->count; i++)
        if (toc->entries[i].phase >= SB_TOC_KEYS && entry_leave(begin, &toc->entries[i], err) != 0)
            return -1;
    for (size_t i = 0; i < toc->count; i++)
        if (refresh_leave(begin, &toc->entries[i], err) != 0)
            return -1;
    for (size_t i = 0; i < toc->count; i++)
        if (analyze_leave(begin, &toc->entries[i], err) != 0)
            return -1;
    return 0;
}

/* -- the whole ------------------------------------------------------------------------------------------- */

static int make_in(struct begin *begin, struct sb_err *err)
{
    const struct sb_copy_claim *claim = begin->schema->claim;
    const char *params[] = {claim->migration, claim->direction};
    char settings[256];
    snprintf(settings, sizeof settings,
        "SET LOCAL session_replication_role = replica; SET LOCAL check_function_bodies = off; SET LOCAL "
        "client_min_messages = error; SET LOCAL lock_timeout = '%ds'",
        LOCK_TIMEOUT_S);
    if (sb_conn_exec(claim->target, settings, err) != 0)
        return -1;
    for (size_t i = 0; i < begin->toc.count; i++) {
        if (begin->schema->stop())
            return sb_err_set(err, SB_E_SHUTDOWN, "told to stop while the tables were made");
        if (begin->toc.entries[i].phase == SB_TOC_BEFORE &&
            make_entry(begin, &begin->toc.entries[i], err) != 0)
            return -1;
    }
    if (leave_rest(begin, err) != 0)
        return -1;
    return sb_conn_query(claim->target,
        "UPDATE switchback.copy SET structure_begun_at = pg_catalog.now() WHERE migration = $1 AND direction "
        "= $2",
        2, params, NULL, err);
}

static int make(struct begin *begin, struct sb_err *err)
{
    const struct sb_copy_claim *claim = begin->schema->claim;
    if (sb_copy_begin(claim, err) != 0)
        return -1;
    if (make_in(begin, err) != 0) {
        sb_copy_rollback(claim);
        return -1;
    }
    SB_FAULT("copy-before-tables");
    if (sb_copy_commit(claim, err) != 0)
        return -1;
    SB_FAULT("copy-after-tables");
    SB_INFO("the tables are made", SB_NUM("entries", begin->toc.count), SB_NUM("steps_left", begin->step));
    return 0;
}

int sb_schema_begin(const struct sb_schema *schema, struct sb_err *err)
{
    struct begin begin = {.schema = schema, .arena = sb_arena_new("structure", TOC_MAX_BYTES)};
    if (begin.arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the structure");
    sb_wiring_schema_path(schema->config, schema->direction, begin.archive);
    sb_buf_init(&begin.list, LIST_MAX_BYTES);
    sb_buf_init(&begin.pre, SCRIPT_MAX_BYTES);
    sb_buf_init(&begin.post, SCRIPT_MAX_BYTES);
    sb_buf_init(&begin.sql, SQL_MAX_BYTES);
    int rc = structure_read(&begin, err);
    if (rc == 0)
        rc = make(&begin, err);
    sb_buf_clear(&begin.list);
    sb_buf_clear(&begin.pre);
    sb_buf_clear(&begin.post);
    sb_buf_clear(&begin.sql);
    sb_arena_free(begin.arena);
    return rc;
}

/* -- the end --------------------------------------------------------------------------------------------- */

int sb_schema_complete(const struct sb_schema *schema, struct sb_err *err)
{
    const struct sb_copy_claim *claim = schema->claim;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {claim->migration, claim->direction, claim->incarnation};
    SB_FAULT("copy-before-whole");
    if (sb_copy_take_origin(claim, claim->target, claim->origin, err) != 0)
        return -1;
    if (sb_conn_query(claim->target,
            "UPDATE switchback.copy SET structure = 'complete' WHERE migration = $1 AND direction = $2 AND "
            "structure = "
            "'pending' AND state = 'complete' AND incarnation = $3 RETURNING 1",
            3, params, &rows, err) != 0)
        return -1;
    sb_origin_give_back(claim->target);
    SB_FAULT("copy-after-whole");
    return sb_rows_count(rows) == 1 ? 0 : sb_err_set(err, SB_E_EPOCH_STALE, "another copy has taken over");
}
