/* What the target server must be able to do. (That it is no pooling proxy shows when a session is opened.) */
#include "setup/checkup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    VERSION_LEAST = 14,
    VERSION_MOST = 18,
    ORIGIN_SETTING_SINCE = 180000,
    PARAMETER_GRANTS_SINCE = 150000
};

static int query(struct sb_checkup *up, const char *sql, const char *param, struct sb_rows **ret_rows)
{
    const char *const params[] = {param};
    return sb_conn_query(up->target.conn, sql, param == NULL ? 0 : 1, params, ret_rows, up->err);
}

static int version_check(struct sb_checkup *up)
{
    int major = sb_conn_version(up->target.conn) / 10000;
    if (major < VERSION_LEAST || major > VERSION_MOST)
        return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_UNSUPPORTED, NULL,
            "the target is PostgreSQL %d; supported are %d to %d", major, VERSION_LEAST, VERSION_MOST);
    return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "PostgreSQL %d", major);
}

static int primary_check(struct sb_checkup *up)
{
    if (!up->target.standby)
        return 0;
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_TARGET_CONFIG, NULL,
        "target.dsn leads to a standby, which takes no writes: point it at the primary "
        "(target_session_attrs=read-write in the dsn picks it)");
}

static int read_only_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up, "SELECT pg_catalog.current_setting('default_transaction_read_only')::boolean", NULL,
            &rows) < 0)
        return -1;
    if (!sb_rows_bool(rows, 0, 0))
        return 0;
    const char *role = sb_checkup_ident(up, up->target.role),
               *base = sb_checkup_ident(up, up->target.database);
    if (role == NULL || base == NULL)
        return sb_checkup_full(up);
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_TARGET_CONFIG,
        sb_checkup_text(
            up, "ALTER ROLE %s IN DATABASE %s SET default_transaction_read_only = off;", role, base),
        "sessions of role \"%s\" in database \"%s\" are read-only by default", up->target.role,
        up->target.database);
}

/* The same database is told by a lock that both sessions see, whatever the addresses say; a physical clone
 * made after the preparation by the row it copied. */
static int same_system_check(struct sb_checkup *up)
{
    char key[32];
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *mine = NULL, *theirs = NULL;
    struct sb_server_id source, target;
    if (sb_catalog_server_id(up->source.conn, &source, up->err) < 0 ||
        sb_catalog_server_id(up->target.conn, &target, up->err) < 0)
        return -1;
    /* A number of its own for each process, so that two checks at a time do not meet. */
    snprintf(key, sizeof key, "%d", sb_conn_backend_pid(up->source.conn));
    const char *const params[] = {key};
    if (sb_conn_query(up->source.conn, "SELECT pg_catalog.pg_try_advisory_lock(1935763064, $1::integer)", 1,
            params, &mine, up->err) < 0)
        return -1;
    int done = query(up,
        "SELECT pg_catalog.pg_try_advisory_lock(1935763064, $1::integer),"
        " EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND classid = 1935763064"
        "  AND objid = $1::integer::pg_catalog.oid AND pid = $1::integer"
        "  AND database = (SELECT oid FROM pg_catalog.pg_database"
        "   WHERE datname = pg_catalog.current_database()))",
        key, &theirs);
    struct sb_err ignored;
    sb_conn_exec(up->source.conn, "SELECT pg_catalog.pg_advisory_unlock_all()", &ignored);
    sb_conn_exec(up->target.conn, "SELECT pg_catalog.pg_advisory_unlock_all()", &ignored);
    if (done < 0)
        return -1;
    bool one_server = source.system_identifier == target.system_identifier;
    if (one_server && source.database_oid == target.database_oid && !sb_rows_bool(theirs, 0, 0) &&
        sb_rows_bool(theirs, 0, 1))
        return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_SAME_SYSTEM, NULL,
            "source.dsn and target.dsn lead to the same database \"%s\" (system identifier %" PRIu64 ")",
            up->source.database, source.system_identifier);
    if (source.uuid[0] != '\0' && strcmp(source.uuid, target.uuid) == 0)
        return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_SAME_SYSTEM,
            "DELETE FROM switchback.identity; -- on the target: prepare makes a new row",
            "the target carries the source's identity row: it is a copy of the prepared source");
    return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL,
        "system identifiers %" PRIu64 " and %" PRIu64 "%s", source.system_identifier,
        target.system_identifier, one_server ? ", two databases or a clone and its original" : "");
}

static int origins_check(struct sb_checkup *up)
{
    /* Apply's, while rows are copied one a session of the copy, and its side reader's behind a copy. */
    bool copies = up->direction == SB_FORWARD && up->config->copy.initial;
    int64_t needed = 1 + (copies ? up->config->copy.jobs + 2 : 0);
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *names = NULL;
    if (sb_control_origins(up->target.conn, up->names.origin, &names, up->err) < 0)
        return -1;
    int64_t ours = sb_rows_count(names);
    const char *setting = sb_conn_version(up->target.conn) >= ORIGIN_SETTING_SINCE
                              ? "max_active_replication_origins"
                              : "max_replication_slots";
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up,
            "SELECT pg_catalog.current_setting($1), (SELECT pg_catalog.count(*) FROM"
            " pg_catalog.pg_replication_origin)",
            setting, &rows) < 0)
        return -1;
    int64_t most = sb_rows_i64(rows, 0, 0), used = sb_rows_i64(rows, 0, 1);
    int64_t more = needed > ours ? needed - ours : 0;
    if (used + more <= most)
        return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL,
            "%" PRId64 " of %" PRId64 " replication origins exist, %" PRId64 " of them ours; %" PRId64
            " more are needed",
            used, most, ours, more);
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_TARGET_CONFIG,
        sb_checkup_text(up, "ALTER SYSTEM SET %s = %" PRId64 "; -- then restart the %s", setting,
            used + more + 3, up->target.name),
        "%" PRId64 " replication origins exist, %" PRId64 " more are needed and %s is %" PRId64, used, more,
        setting, most);
}

static int origin_rights_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up,
            "SELECT pg_catalog.string_agg('pg_catalog.' || p.oid::pg_catalog.regprocedure::pg_catalog.text, "
            "', '"
            "  ORDER BY p.proname), pg_catalog.count(*)"
            " FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace"
            " AND p.proname IN ('pg_replication_origin_create', 'pg_replication_origin_drop',"
            "  'pg_replication_origin_oid', 'pg_replication_origin_session_setup',"
            "  'pg_replication_origin_session_reset', 'pg_replication_origin_session_is_setup',"
            "  'pg_replication_origin_xact_setup', 'pg_replication_origin_xact_reset')"
            " AND NOT pg_catalog.has_function_privilege(p.oid, 'EXECUTE')",
            NULL, &rows) < 0)
        return -1;
    if (sb_rows_i64(rows, 0, 1) == 0)
        return 0;
    const char *role = sb_checkup_ident(up, up->target.role);
    if (role == NULL)
        return sb_checkup_full(up);
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_ACCESS,
        sb_checkup_text(up, "GRANT EXECUTE ON FUNCTION %s TO %s;", sb_rows_get(rows, 0, 0), role),
        "role \"%s\" may not call %" PRId64 " of the replication origin functions", up->target.role,
        sb_rows_i64(rows, 0, 1));
}

static int replica_role_check(struct sb_checkup *up)
{
    if (up->target.superuser)
        return sb_checkup_tell(
            up, SB_RESULT_PASS, SB_OK, NULL, "role \"%s\" is a superuser", up->target.role);
    const char *role = sb_checkup_ident(up, up->target.role);
    if (role == NULL)
        return sb_checkup_full(up);
    if (sb_conn_version(up->target.conn) < PARAMETER_GRANTS_SINCE)
        return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_ACCESS,
            sb_checkup_text(up, "ALTER ROLE %s SUPERUSER;", role),
            "before PostgreSQL 15 only a superuser may set session_replication_role");
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up, "SELECT pg_catalog.has_parameter_privilege('session_replication_role', 'SET')", NULL,
            &rows) < 0)
        return -1;
    if (sb_rows_bool(rows, 0, 0))
        return 0;
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_ACCESS,
        sb_checkup_text(up, "GRANT SET ON PARAMETER session_replication_role TO %s;", role),
        "role \"%s\" may not set session_replication_role", up->target.role);
}

static int create_check(struct sb_checkup *up)
{
    if (up->target.may_create || (up->target.control.schema && up->target.control.complete))
        return 0;
    const char *role = sb_checkup_ident(up, up->target.role),
               *base = sb_checkup_ident(up, up->target.database);
    if (role == NULL || base == NULL)
        return sb_checkup_full(up);
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_ACCESS,
        sb_checkup_text(up, "GRANT CREATE ON DATABASE %s TO %s;", base, role),
        "role \"%s\" may not create the schema \"switchback\" in database \"%s\"", up->target.role,
        up->target.database);
}

static int rights_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up,
            "SELECT pg_catalog.quote_ident(n.nspname), pg_catalog.quote_ident(n.nspname) || '.' ||"
            " pg_catalog.quote_ident(c.relname), pg_catalog.has_schema_privilege(n.oid, 'USAGE'),"
            " pg_catalog.array_to_string(ARRAY(SELECT p FROM pg_catalog.unnest('{SELECT,INSERT,UPDATE,DELETE,"
            "TRUNCATE}'::text[]) p WHERE NOT pg_catalog.has_table_privilege(c.oid, p)), ', ')"
            " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.oid = ANY ($1::pg_catalog.oid[]) AND c.relkind IN ('r', 'p') ORDER BY 2",
            up->target_oids, &rows) < 0)
        return -1;
    const char *role = sb_checkup_ident(up, up->target.role);
    if (role == NULL)
        return sb_checkup_full(up);
    for (int i = 0; i < sb_rows_count(rows); i++) {
        bool usage = sb_rows_bool(rows, i, 2);
        const char *lacking = sb_rows_get(rows, i, 3);
        if (usage && lacking[0] == '\0')
            continue;
        const char *on_schema =
            usage ? ""
                  : sb_checkup_text(up, "GRANT USAGE ON SCHEMA %s TO %s; ", sb_rows_get(rows, i, 0), role);
        const char *on_table = lacking[0] == '\0' ? ""
                                                  : sb_checkup_text(up, "GRANT %s ON TABLE %s TO %s;",
                                                        lacking, sb_rows_get(rows, i, 1), role);
        if (on_schema == NULL || on_table == NULL)
            return sb_checkup_full(up);
        if (sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_ACCESS, sb_checkup_text(up, "%s%s", on_schema, on_table),
                "role \"%s\" lacks %s%s%s on %s", up->target.role, lacking,
                !usage && lacking[0] != '\0' ? " and " : "", usage ? "" : "USAGE of the schema",
                sb_rows_get(rows, i, 1)) < 0)
            return -1;
    }
    return 0;
}

static int rls_check(struct sb_checkup *up)
{
    const char *role = sb_checkup_ident(up, up->target.role);
    if (role == NULL)
        return sb_checkup_full(up);
    for (size_t i = 0; i < up->pair_count; i++) {
        const struct sb_cat_table *table = up->pairs[i].target;
        if (table == NULL || !table->rls)
            continue;
        if (sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_RLS,
                sb_checkup_text(up, "ALTER ROLE %s BYPASSRLS;", role),
                "row-level security of \"%s\".\"%s\" applies to role \"%s\"", table->schema.ptr,
                table->name.ptr, up->target.role) < 0)
            return -1;
    }
    return 0;
}

static int triggers_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up,
            "SELECT pg_catalog.format('ALTER TABLE %I.%I ENABLE %s %I;', n.nspname, c.relname, t.kind, "
            "t.name),"
            " pg_catalog.format('%s %I of %I.%I', lower(t.kind), t.name, n.nspname, c.relname)"
            " FROM (SELECT tgrelid AS rel, tgname AS name, 'TRIGGER' AS kind FROM pg_catalog.pg_trigger"
            "   WHERE tgenabled IN ('A', 'R') AND NOT tgisinternal"
            "  UNION ALL SELECT ev_class, rulename, 'RULE' FROM pg_catalog.pg_rewrite"
            "   WHERE ev_enabled IN ('A', 'R') AND rulename <> '_RETURN') t"
            " JOIN pg_catalog.pg_class c ON c.oid = t.rel JOIN pg_catalog.pg_namespace n ON n.oid = "
            "c.relnamespace"
            " WHERE t.rel = ANY ($1::pg_catalog.oid[]) ORDER BY 2",
            up->target_oids, &rows) < 0)
        return -1;
    for (int i = 0; i < sb_rows_count(rows); i++) {
        if (sb_checkup_tell(up, SB_RESULT_WARN, SB_E_TARGET_STRUCTURE, sb_rows_get(rows, i, 0),
                "%s fires for applied rows too, with the rights of apply", sb_rows_get(rows, i, 1)) < 0)
            return -1;
    }
    return 0;
}

static int deferrable_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up,
            "SELECT pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT %I, ADD CONSTRAINT %I %s;', "
            "n.nspname,"
            "  c.relname, k.conname, k.conname,"
            "  pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(k.oid), ' DEFERRABLE.*$', '')),"
            " pg_catalog.format('constraint %I of %I.%I', k.conname, n.nspname, c.relname)"
            " FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE k.condeferrable AND k.contype IN ('p', 'u', 'x') AND k.conrelid = ANY "
            "($1::pg_catalog.oid[])"
            " ORDER BY 2",
            up->target_oids, &rows) < 0)
        return -1;
    for (int i = 0; i < sb_rows_count(rows); i++) {
        if (sb_checkup_tell(up, SB_RESULT_WARN, SB_E_TARGET_STRUCTURE, sb_rows_get(rows, i, 0),
                "%s is deferrable: the server does not check it for applied rows, so apply probes them, "
                "which costs "
                "time",
                sb_rows_get(rows, i, 1)) < 0)
            return -1;
    }
    return 0;
}

/* Is this database another one than was prepared? One without our row may have lost it. */
static bool is_another_target(const struct sb_checkup *up)
{
    return up->capture.found && up->target.control.uuid[0] != '\0' &&
           strcmp(up->target.control.uuid, up->capture.target_uuid) != 0;
}

static int identity_check(struct sb_checkup *up)
{
    if (!up->capture.found)
        return sb_checkup_tell(up, SB_RESULT_INFO, SB_OK, NULL, "not prepared yet");
    if (!is_another_target(up))
        return 0;
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_TARGET_IDENTITY, NULL,
        "the migration was prepared for another target database (%s, this is %s): point target.dsn back at "
        "it, "
        "or run `switchback remove` with the old target.dsn and prepare anew",
        up->capture.target_uuid, up->target.control.uuid);
}

/* Before the source is prepared there may be a row of an interrupted preparation, and no other. */
static int progress_check_unprepared(struct sb_checkup *up, const struct sb_progress_row *row)
{
    if (!row->found)
        return sb_checkup_tell(up, SB_RESULT_INFO, SB_OK, NULL, "not prepared yet");
    if (row->sequence != 0)
        return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_PROGRESS_LOST, "switchback remove",
            "the target has progress of an earlier preparation, of which the source knows nothing");
    if (strcmp(row->source_uuid, up->source.control.uuid) != 0)
        return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_PROGRESS_LOST, NULL,
            "the target has a progress row of migration \"%s\" from another source: give this one another "
            "name, or run `switchback remove` with the source.dsn of that one",
            up->config->migration);
    return sb_checkup_tell(
        up, SB_RESULT_INFO, SB_OK, NULL, "left from an interrupted preparation; `prepare` goes on with it");
}

static int progress_check(struct sb_checkup *up)
{
    struct sb_progress_row row;
    if (is_another_target(up))
        return sb_checkup_tell(up, SB_RESULT_INFO, SB_OK, NULL, "not looked at: this is another target");
    if (sb_control_progress(up->target.conn, up->config->migration, up->direction, &row, up->err) < 0)
        return -1;
    if (!up->capture.found)
        return progress_check_unprepared(up, &row);
    if (row.found && strcmp(row.stream_uuid, up->capture.stream_uuid) == 0)
        return sb_checkup_tell(
            up, SB_RESULT_PASS, SB_OK, NULL, "the progress row belongs to stream %s", row.stream_uuid);
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_PROGRESS_LOST, "switchback remove && switchback prepare",
        row.found ? "the target's progress row belongs to another stream than the source's capture row"
                  : "this migration was prepared, but here is no progress row of it: target.dsn leads to "
                    "another database, or the control schema was dropped");
}

const struct sb_check sb_check_target[] = {
    {"target.version", "the target's version is supported", SB_NEED_TARGET, version_check},
    {"target.primary", "the target is a primary", SB_NEED_TARGET, primary_check},
    {"target.read_only", "our sessions on the target may write", SB_NEED_TARGET, read_only_check},
    {"target.same_system", "source and target are two databases", SB_NEED_SOURCE | SB_NEED_TARGET,
        same_system_check},
    {"target.origins", "replication origins are free", SB_NEED_TARGET, origins_check},
    {"target.origin_rights", "our role may use replication origins", SB_NEED_TARGET, origin_rights_check},
    {"target.replica_role", "our role may apply without firing triggers", SB_NEED_TARGET, replica_role_check},
    {"target.create", "our role may make what prepare makes", SB_NEED_TARGET, create_check},
    {"target.rights", "our role may write the tables", SB_NEED_TARGET | SB_NEED_TABLES, rights_check},
    {"target.rls", "no row-level security stands in the way", SB_NEED_TARGET | SB_NEED_TABLES, rls_check},
    {"target.triggers", "no trigger or rule fires for applied rows", SB_NEED_TARGET | SB_NEED_TABLES,
        triggers_check},
    {"target.deferrable", "every unique constraint is checked at once", SB_NEED_TARGET | SB_NEED_TABLES,
        deferrable_check},
    {"target.identity", "the target is the one that was prepared", SB_NEED_SOURCE | SB_NEED_TARGET,
        identity_check},
    {"target.progress", "the progress row is this migration's", SB_NEED_SOURCE | SB_NEED_TARGET,
        progress_check},
    {NULL, NULL, 0, NULL},
};
