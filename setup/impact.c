#include "setup/impact.h"

#include "pg/ident.h"
#include "setup/scope.h"

#include <inttypes.h>
#include <string.h>

enum { ARENA_MAX_BYTES = 256 * 1024 * 1024 };

struct impact {
    const struct sb_config *config;
    struct sb_arena *arena;
    struct sb_conn *source;
    struct sb_conn *target;
    struct sb_scope scope;
    struct sb_buf *out;
    bool forward;
    const char
        *source_name; /* as the configuration calls them: "source" is the old side in both directions */
    const char *target_name;
};

static const char *setting(const struct sb_rows *rows, int col)
{
    const char *text = sb_rows_get(rows, 0, col);
    return text == NULL ? "?" : text;
}

static int put_source(struct impact *impact, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(impact->source,
            "SELECT pg_catalog.current_setting('max_replication_slots'),"
            " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots),"
            " pg_catalog.current_setting('max_wal_senders'), "
            "pg_catalog.current_setting('max_slot_wal_keep_size'),"
            " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts)",
            0, NULL, &rows, err) < 0)
        return -1;
    struct sb_buf *out = impact->out;
    sb_buf_putf(out,
        "%s:\n"
        "  locks: SHARE UPDATE EXCLUSIVE on %zu tables for a moment, waited for at most 5 s (reads and\n"
        "    writes go on; VACUUM, ALTER TABLE and CREATE INDEX CONCURRENTLY wait)\n",
        impact->source_name, impact->scope.published);
    sb_buf_putf(out,
        "  slots: one of max_replication_slots = %s (%s used), one of max_wal_senders = %s while running\n",
        setting(rows, 0), setting(rows, 1), setting(rows, 2));
    sb_buf_put_str(out, "  sessions: one walsender and one ordinary session while running\n");
    sb_buf_putf(out,
        "  the slot waits until every transaction that is writing now has ended, at most %" PRId64
        " s;\n    %s prepared transactions are open\n",
        impact->config->capture.slot_create_timeout_s, setting(rows, 4));
    sb_buf_putf(out,
        "  WAL: kept from the slot on until the target has it, max_slot_wal_keep_size = %s%s;\n"
        "    dead rows of the system catalogs are kept as long\n",
        setting(rows, 3), strcmp(setting(rows, 3), "-1") == 0 ? " (no limit: the disk is the limit)" : "");
    return 0;
}

static void put_failing(struct impact *impact)
{
    struct sb_buf *out = impact->out;
    size_t keyless = 0;
    for (size_t i = 0; i < impact->scope.count; i++)
        keyless += impact->scope.tables[i].klass == SB_SCOPE_KEYLESS;
    sb_buf_put_str(out,
        "  statements of the application that start to fail: none of INSERT, UPDATE, DELETE,\n"
        "    TRUNCATE; while the tables are published ALTER TABLE ... SET UNLOGGED fails on them, and so\n"
        "    do UPDATE and DELETE of a keyed table whose primary key or replica identity is dropped\n");
    sb_buf_putf(out,
        "  tables without replica identity: %zu; their updates and deletes work, but do not travel\n",
        keyless);
}

static int put_target(struct impact *impact, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(impact->target, "SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_origin", 0,
            NULL, &rows, err) < 0)
        return -1;
    sb_buf_putf(impact->out,
        "%s:\n"
        "  origins: one more than the %s that exist%s; each takes an\n"
        "    entry of max_replication_slots (PostgreSQL 18: max_active_replication_origins) for good\n"
        "  sessions: one of apply, one of capture (which asks how far the %s has flushed)\n"
        "%s",
        impact->target_name, setting(rows, 0),
        impact->forward ? ", and one a session while rows are copied" : "", impact->target_name,
        impact->forward ? "  apply writes with session_replication_role = replica: ordinary triggers, rules "
                          "and foreign keys "
                          "do\n"
                          "    not run for applied rows\n"
                        : "  apply writes no rows there while the old side owns the data\n");
    return 0;
}

static void put_stream(struct impact *impact)
{
    const struct sb_config *config = impact->config;
    if (config->stream.store == SB_CONFIG_EMBEDDED)
        sb_buf_putf(impact->out,
            "stream:\n  disk: up to %" PRId64 " bytes (stream.retention_max_bytes) in %s\n",
            config->stream.retention_max_bytes,
            config->stream.path == NULL ? config->state_dir : config->stream.path);
    else
        sb_buf_put_str(impact->out, "stream:\n  disk of the brokers: as the topics' retention says\n");
}

/* -- grants ---------------------------------------------------------------------------------------------- */

/* Every row of a statement is a line of the script. */
static int lines_put(
    struct sb_conn *conn, const char *sql, const char *param, struct sb_buf *out, struct sb_err *err)
{
    const char *const params[] = {param};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, sql, param == NULL ? 0 : 1, params, &rows, err) < 0)
        return -1;
    for (int i = 0; i < sb_rows_count(rows); i++)
        sb_buf_putf(out, "%s\n", sb_rows_get(rows, i, 0));
    return 0;
}

static int put_source_grants(struct impact *impact, struct sb_err *err)
{
    struct sb_buf oids;
    sb_buf_init(&oids, ARENA_MAX_BYTES);
    sb_buf_put_str(&oids, "{");
    for (size_t i = 0; i < impact->scope.count; i++) {
        if (sb_scope_is_published(&impact->scope.tables[i]))
            sb_buf_putf(&oids, "%s%u", oids.len > 1 ? "," : "", impact->scope.tables[i].table->oid);
    }
    sb_buf_put_str(&oids, "}");
    sb_buf_putf(impact->out, "-- on the %s, as an administrator:\n", impact->source_name);
    int done = lines_put(impact->source,
        "SELECT pg_catalog.format('ALTER ROLE %I LOGIN REPLICATION;', current_user)"
        " UNION ALL SELECT pg_catalog.format('GRANT CREATE ON DATABASE %I TO %I; -- for prepare',"
        "  pg_catalog.current_database(), current_user)",
        NULL, impact->out, err);
    if (done == 0)
        done = lines_put(impact->source,
            "SELECT DISTINCT CASE WHEN r.rolsuper"
            " THEN '-- tables of a superuser: give them to an ordinary role, of which ours is a member'"
            " ELSE pg_catalog.format('GRANT %I TO %I; -- for prepare and remove: owner of tables',"
            "  r.rolname, current_user) END"
            " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner"
            " WHERE c.oid = ANY ($1::pg_catalog.oid[]) AND r.rolname <> current_user"
            " AND NOT (r.rolsuper AND pg_catalog.pg_has_role(r.oid, 'USAGE')) ORDER BY 1",
            sb_buf_str(&oids), impact->out, err);
    sb_buf_clear(&oids);
    return done;
}

static void put_table_grants(struct impact *impact, const char *role)
{
    struct sb_view last = {0}; /* tables come in the order of their schemas */
    for (size_t i = 0; i < impact->scope.count; i++) {
        const struct sb_cat_table *table = impact->scope.tables[i].table;
        if (!sb_scope_is_published(&impact->scope.tables[i]))
            continue;
        if (!sb_view_eq(last, table->schema)) {
            sb_buf_put_str(impact->out, "GRANT USAGE ON SCHEMA ");
            sb_ident_put(impact->out, table->schema);
            sb_buf_putf(impact->out, " TO %s;\n", role);
            last = table->schema;
        }
        sb_buf_put_str(impact->out, "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLE ");
        sb_ident_put_table(impact->out, table->schema, table->name);
        sb_buf_putf(impact->out, " TO %s;\n", role);
    }
}

static int put_target_grants(struct impact *impact, struct sb_err *err)
{
    sb_buf_putf(impact->out, "-- on the %s, as an administrator:\n", impact->target_name);
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (lines_put(impact->target,
            "SELECT pg_catalog.format('GRANT CREATE ON DATABASE %I TO %I; -- for prepare',"
            "  pg_catalog.current_database(), current_user)"
            " UNION ALL SELECT pg_catalog.format('GRANT EXECUTE ON FUNCTION pg_catalog.%s TO %I;',"
            "  p.oid::pg_catalog.regprocedure, current_user) FROM pg_catalog.pg_proc p"
            "  WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace"
            "  AND p.proname ~ '^pg_replication_origin_(create|drop|oid|session_setup|session_reset|"
            "session_is_setup|xact_setup|xact_reset)$'",
            NULL, impact->out, err) < 0)
        return -1;
    const char *sql =
        sb_conn_version(impact->target) >= 150000
            ? "SELECT pg_catalog.format('GRANT SET ON PARAMETER session_replication_role TO %I;',"
              " current_user)"
            : "SELECT pg_catalog.format('ALTER ROLE %I SUPERUSER; -- before PostgreSQL 15 there is no"
              " other way to session_replication_role', current_user)";
    if (lines_put(impact->target, sql, NULL, impact->out, err) < 0 ||
        sb_conn_query(impact->target, "SELECT pg_catalog.quote_ident(current_user)", 0, NULL, &rows, err) < 0)
        return -1;
    put_table_grants(impact, sb_rows_get(rows, 0, 0));
    return 0;
}

/* -- both ------------------------------------------------------------------------------------------------ */

typedef int impact_fn(struct impact *impact, struct sb_err *err);

static int impact_all(struct impact *impact, struct sb_err *err)
{
    if (put_source(impact, err) < 0)
        return -1;
    put_failing(impact);
    if (put_target(impact, err) < 0)
        return -1;
    put_stream(impact);
    return 0;
}

static int grants_all(struct impact *impact, struct sb_err *err)
{
    return put_source_grants(impact, err) < 0 ? -1 : put_target_grants(impact, err);
}

static int with_servers(const struct sb_config *config, enum sb_direction direction, struct sb_buf *out,
    impact_fn *fn, struct sb_err *err)
{
    bool forward = direction == SB_FORWARD;
    struct impact impact = {.config = config,
        .out = out,
        .forward = forward,
        .arena = sb_arena_new("impact", ARENA_MAX_BYTES),
        .source_name = forward ? "source" : "target",
        .target_name = forward ? "target" : "source"};
    struct sb_endpoint source = sb_wiring_source(config, direction),
                       target = sb_wiring_target(config, direction);
    int done = -1;
    if (impact.arena == NULL)
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for an arena");
    else if (sb_conn_open(&source, "switchback prepare", 0, &impact.source, err) == 0 &&
             sb_conn_open(&target, "switchback prepare", 0, &impact.target, err) == 0 &&
             sb_scope_read(config, impact.source, impact.arena, &impact.scope, err) == 0)
        done = fn(&impact, err);
    sb_conn_close(impact.source);
    sb_conn_close(impact.target);
    sb_arena_free(impact.arena);
    if (done == 0 && out->failed)
        return sb_err_set(err, SB_E_LIMIT, "the text is larger than %zu bytes", out->max);
    return done;
}

int sb_impact_put(
    const struct sb_config *config, enum sb_direction direction, struct sb_buf *out, struct sb_err *err)
{
    return with_servers(config, direction, out, impact_all, err);
}

int sb_grants_put(
    const struct sb_config *config, enum sb_direction direction, struct sb_buf *out, struct sb_err *err)
{
    return with_servers(config, direction, out, grants_all, err);
}
