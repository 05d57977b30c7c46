/* What the source server must be able to do. */
#include "setup/checkup.h"
#include "setup/ddl.h"
#include "setup/publications.h"
#include "setup/signing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION_LEAST = 14, VERSION_MOST = 18, FAILOVER_SLOTS_SINCE = 170000, OLD_TRANSACTION_S = 60 };
enum { KEEP_LEAST_MB = 1024, WORK_MEM_ADVISED_KB = 256 * 1024 };

static int query(struct sb_checkup *up, const char *sql, struct sb_rows **ret_rows)
{
    return sb_conn_query(up->source.conn, sql, 0, NULL, ret_rows, up->err);
}

static int version_check(struct sb_checkup *up)
{
    int major = sb_conn_version(up->source.conn) / 10000;
    if (major < VERSION_LEAST || major > VERSION_MOST)
        return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_UNSUPPORTED, NULL,
            "the source is PostgreSQL %d; supported are %d to %d", major, VERSION_LEAST, VERSION_MOST);
    return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "PostgreSQL %d", major);
}

static int primary_check(struct sb_checkup *up)
{
    if (!up->source.standby)
        return 0;
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_SOURCE_CONFIG, NULL,
        "source.dsn leads to a standby; publications and slots are made on the primary: point it there "
        "(target_session_attrs=read-write in the dsn picks it)");
}

static int wal_level_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up, "SELECT pg_catalog.current_setting('wal_level')", &rows) < 0)
        return -1;
    const char *level = sb_rows_get(rows, 0, 0);
    if (strcmp(level, "logical") == 0)
        return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "wal_level is logical");
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_SOURCE_CONFIG,
        sb_checkup_text(
            up, "ALTER SYSTEM SET wal_level = 'logical'; -- then restart the %s", up->source.name),
        "wal_level of the %s is %s", up->source.name, level);
}

static int slots_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up,
            "SELECT pg_catalog.current_setting('max_replication_slots'),"
            " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots)",
            &rows) < 0)
        return -1;
    int64_t most = sb_rows_i64(rows, 0, 0), used = sb_rows_i64(rows, 0, 1);
    if (up->slot.found || used < most)
        return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "%" PRId64 " of %" PRId64 " slots are used%s",
            used, most, up->slot.found ? ", one of them ours" : "");
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_SOURCE_CONFIG,
        sb_checkup_text(up, "ALTER SYSTEM SET max_replication_slots = %" PRId64 "; -- then restart the %s",
            most + 2, up->source.name),
        "all %" PRId64 " replication slots are used", most);
}

static int senders_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up,
            "SELECT pg_catalog.current_setting('max_wal_senders'),"
            " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication)",
            &rows) < 0)
        return -1;
    int64_t most = sb_rows_i64(rows, 0, 0), used = sb_rows_i64(rows, 0, 1);
    if (up->slot.active_pid != 0 || used < most)
        return sb_checkup_tell(
            up, SB_RESULT_PASS, SB_OK, NULL, "%" PRId64 " of %" PRId64 " walsenders are busy", used, most);
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_SOURCE_CONFIG,
        sb_checkup_text(up, "ALTER SYSTEM SET max_wal_senders = %" PRId64 "; -- then restart the %s",
            most + 2, up->source.name),
        "all %" PRId64 " walsenders are busy", most);
}

static int replication_check(struct sb_checkup *up)
{
    if (up->source.replication || up->source.superuser)
        return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "role \"%s\" may replicate", up->source.role);
    const char *role = sb_checkup_ident(up, up->source.role);
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_ACCESS,
        role == NULL ? NULL : sb_checkup_text(up, "ALTER ROLE %s REPLICATION;", role),
        "role \"%s\" has no REPLICATION attribute", up->source.role);
}

/* pg_hba.conf, TLS and pools show only when a replication session is opened. */
static int session_check(struct sb_checkup *up)
{
    if (!up->source.replication && !up->source.superuser)
        return sb_checkup_tell(up, SB_RESULT_INFO, SB_OK, NULL, "not tried: the role may not replicate");
    struct sb_endpoint endpoint = sb_wiring_source(up->config, up->direction);
    struct sb_conn *conn;
    if (sb_conn_open(&endpoint, "switchback check", SB_CONN_REPLICATION, &conn, up->err) < 0)
        return -1;
    sb_conn_close(conn);
    return 0;
}

static int create_check(struct sb_checkup *up)
{
    if (up->source.may_create || up->capture.found)
        return 0;
    const char *role = sb_checkup_ident(up, up->source.role),
               *base = sb_checkup_ident(up, up->source.database);
    if (role == NULL || base == NULL)
        return sb_checkup_full(up);
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_ACCESS,
        sb_checkup_text(up, "GRANT CREATE ON DATABASE %s TO %s;", base, role),
        "role \"%s\" may not create the publications and the schema \"switchback\" in database \"%s\"",
        up->source.role, up->source.database);
}

/* Only a table's owner (or a member of it) may publish it. What is published already needs no owner. */
static int owner_check(struct sb_checkup *up)
{
    const char *const params[] = {up->source_oids, up->names.publication, up->names.publication_keyless};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(up->source.conn,
            "SELECT r.rolname, pg_catalog.count(*),"
            " pg_catalog.min(c.oid::pg_catalog.regclass::pg_catalog.text), r.rolsuper"
            " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner"
            " WHERE c.oid = ANY ($1::oid[]) AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')"
            " AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel p JOIN pg_catalog.pg_publication b"
            "  ON b.oid = p.prpubid WHERE p.prrelid = c.oid AND b.pubname IN ($2, $3))"
            " GROUP BY r.rolname, r.rolsuper ORDER BY r.rolname",
            3, params, &rows, up->err) < 0)
        return -1;
    for (int i = 0; i < sb_rows_count(rows); i++) {
        const char *owner = sb_checkup_ident(up, sb_rows_get(rows, i, 0));
        const char *role = sb_checkup_ident(up, up->source.role);
        if (owner == NULL || role == NULL)
            return sb_checkup_full(up);
        /* Nobody is advised to make our role a member of a superuser. */
        bool super = sb_rows_bool(rows, i, 3);
        if (sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_ACCESS,
                super ? NULL : sb_checkup_text(up, "GRANT %s TO %s;", owner, role),
                "%" PRId64 " tables (%s ...) belong to %s \"%s\"; only their owner may publish them%s",
                sb_rows_i64(rows, i, 1), sb_rows_get(rows, i, 2), super ? "superuser" : "role",
                sb_rows_get(rows, i, 0),
                super ? ": give them to an ordinary role (ALTER TABLE ... OWNER TO) of which ours is a member"
                      : "") < 0)
            return -1;
    }
    return 0;
}

static int encoding_check(struct sb_checkup *up)
{
    const char *from = up->source.encoding, *to = up->target.encoding;
    if (strcmp(from, to) == 0 || (strcmp(to, "UTF8") == 0 && strcmp(from, "SQL_ASCII") != 0))
        return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "%s to %s", from, to);
    if (strcmp(from, "SQL_ASCII") == 0)
        return sb_checkup_tell(up, SB_RESULT_WARN, SB_E_ENCODING, NULL,
            "the source is SQL_ASCII: its bytes travel as they are, and text that is not valid %s stops "
            "apply",
            to);
    const char *base = sb_checkup_ident(up, up->target.database);
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_ENCODING,
        sb_checkup_text(up,
            "CREATE DATABASE %s TEMPLATE template0 ENCODING '%s'; -- in place of the present one",
            base == NULL ? "" : base, strcmp(from, "UTF8") == 0 ? "UTF8" : from),
        "the source is %s and the target %s, which cannot hold every character", from, to);
}

static int identity_check(struct sb_checkup *up)
{
    struct sb_server_id id;
    if (!up->capture.found)
        return sb_checkup_tell(up, SB_RESULT_INFO, SB_OK, NULL, "not prepared yet");
    if (sb_catalog_server_id(up->source.conn, &id, up->err) < 0)
        return -1;
    if (id.system_identifier == up->capture.system_identifier && id.database_oid == up->capture.database_oid)
        return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "system %" PRIu64 ", database %u",
            id.system_identifier, id.database_oid);
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_SOURCE_IDENTITY, NULL,
        "this is system %" PRIu64 ", database %u; the migration was prepared on system %" PRIu64
        ", database %u: point source.dsn back at it, or run `switchback remove` and prepare anew",
        id.system_identifier, id.database_oid, up->capture.system_identifier, up->capture.database_oid);
}

static int slot_check(struct sb_checkup *up)
{
    const char *slot = up->names.slot;
    if (up->slot.found && !up->slot.ours)
        return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_SLOT_MOVED,
            sb_checkup_text(up, "SELECT pg_drop_replication_slot('%s');", slot),
            "a slot \"%s\" exists with plugin \"%s\" in database \"%s\"; it is not ours", slot,
            up->slot.plugin, up->slot.database);
    if (!up->capture.found)
        return sb_checkup_tell(up, SB_RESULT_INFO, SB_OK, NULL,
            up->slot.found ? "slot \"%s\" is left from an interrupted preparation; `prepare` replaces it"
                           : "slot \"%s\" will be made",
            slot);
    if (up->slot.found && !up->slot.lost)
        return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "slot \"%s\" is there, confirmed up to %s%s",
            slot, up->slot.confirmed_lsn, up->slot.active_pid != 0 ? ", in use" : "");
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_SLOT_LOST, "switchback remove && switchback prepare",
        "this migration was prepared, but slot \"%s\" %s", slot,
        up->slot.found ? "was invalidated: its WAL is gone" : "does not exist any more");
}

static int publication_tell(void *arg, enum sb_pub_fault fault, const char *evidence, const char *statement)
{
    struct sb_checkup *up = arg;
    /* Before there is a capture row nothing is wrong yet; in both cases prepare brings it in order. */
    bool foreign = fault == SB_PUB_FOREIGN, fatal = up->capture.found || foreign;
    up->mendable = !foreign;
    int done = sb_checkup_tell(up, fatal ? SB_RESULT_FAIL : SB_RESULT_INFO, SB_E_PUBLICATION,
        fatal ? statement : NULL, "%s", evidence);
    up->mendable = false;
    return done;
}

static int publication_check(struct sb_checkup *up)
{
    struct sb_publications pubs;
    if (sb_publications_read(up->source.conn, &up->names, up->arena, &pubs, up->err) < 0)
        return -1;
    if (up->capture.found && (pubs.keyed.oid != up->capture.publication_oid ||
                                 pubs.keyless.oid != up->capture.publication_keyless_oid))
        return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_PUBLICATION,
            "switchback remove && switchback prepare",
            "a publication was dropped (or made anew) since this migration was prepared: rows were lost");
    return sb_publications_judge(&pubs, &up->names, &up->scope, publication_tell, up);
}

static int prepared_transactions_check(struct sb_checkup *up)
{
    if (up->capture.found)
        return 0;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up,
            "SELECT gid, database, prepared, pg_catalog.quote_literal(gid) FROM pg_catalog.pg_prepared_xacts"
            " ORDER BY prepared",
            &rows) < 0)
        return -1;
    for (int i = 0; i < sb_rows_count(rows); i++) {
        if (sb_checkup_tell(up, SB_RESULT_WARN, SB_E_SOURCE_CONFIG,
                /* No name in the comment: one with a line break would go on as a statement. */
                sb_checkup_text(up, "ROLLBACK PREPARED %s; -- or COMMIT PREPARED, in that database",
                    sb_rows_get(rows, i, 3)),
                "prepared transaction \"%s\" of %s in database \"%s\" blocks the creation of the slot",
                sb_rows_get(rows, i, 0), sb_rows_get(rows, i, 2), sb_rows_get(rows, i, 1)) < 0)
            return -1;
    }
    return 0;
}

/* A role without pg_read_all_stats sees that others write, but not since when. */
static int hidden_transactions_tell(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up,
            "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity"
            " WHERE backend_xid IS NOT NULL AND xact_start IS NULL",
            &rows) < 0)
        return -1;
    int64_t hidden = sb_rows_i64(rows, 0, 0);
    const char *role = sb_checkup_ident(up, up->source.role);
    if (role == NULL)
        return sb_checkup_full(up);
    return hidden == 0 ? 0
                       : sb_checkup_tell(up, SB_RESULT_INFO, SB_OK,
                             sb_checkup_text(up, "GRANT pg_read_all_stats TO %s;", role),
                             "%" PRId64 " sessions are writing; since when, role \"%s\" may not see, so an "
                             "old one among them would not be named here",
                             hidden, up->source.role);
}

static int old_transactions_check(struct sb_checkup *up)
{
    if (up->capture.found)
        return 0;
    const char *const params[] = {sb_checkup_text(up, "%d", OLD_TRANSACTION_S)};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(up->source.conn,
            "SELECT pid, COALESCE(usename, '?'), xact_start, state FROM pg_catalog.pg_stat_activity"
            " WHERE backend_xid IS NOT NULL AND xact_start < pg_catalog.now() - $1::integer * interval '1 "
            "second'"
            " ORDER BY xact_start LIMIT 10",
            1, params, &rows, up->err) < 0)
        return -1;
    for (int i = 0; i < sb_rows_count(rows); i++) {
        if (sb_checkup_tell(up, SB_RESULT_WARN, SB_E_SOURCE_CONFIG,
                sb_checkup_text(up, "SELECT pg_terminate_backend(%s);", sb_rows_get(rows, i, 0)),
                "process %s of role \"%s\" writes in a transaction since %s (%s); the slot waits for its end",
                sb_rows_get(rows, i, 0), sb_rows_get(rows, i, 1), sb_rows_get(rows, i, 2),
                sb_rows_get(rows, i, 3)) < 0)
            return -1;
    }
    return hidden_transactions_tell(up);
}

static int retention_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up,
            "SELECT (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size'),"
            " (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'idle_replication_slot_timeout')",
            &rows) < 0)
        return -1;
    int64_t keep_mb = sb_rows_i64(rows, 0, 0), idle = sb_rows_i64(rows, 0, 1);
    if (idle > 0 && sb_checkup_tell(up, SB_RESULT_WARN, SB_E_SLOT_AT_RISK,
                        "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();",
                        "the source drops slots that nobody reads for %" PRId64 " s", idle) < 0)
        return -1;
    if (keep_mb == -1)
        return sb_checkup_tell(up, SB_RESULT_INFO, SB_OK, NULL,
            "max_slot_wal_keep_size has no limit: while nothing is applied the source keeps all its WAL");
    if (keep_mb >= KEEP_LEAST_MB)
        return sb_checkup_tell(
            up, SB_RESULT_PASS, SB_OK, NULL, "max_slot_wal_keep_size is %" PRId64 " MB", keep_mb);
    return sb_checkup_tell(up, SB_RESULT_WARN, SB_E_SLOT_AT_RISK,
        "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();",
        "max_slot_wal_keep_size is only %" PRId64 " MB: the slot is lost after that much WAL", keep_mb);
}

/* From PostgreSQL 17 on the slot is a failover slot, and survives if its standbys are waited for. */
static int failover_check(struct sb_checkup *up)
{
    bool synced = sb_conn_version(up->source.conn) >= FAILOVER_SLOTS_SINCE;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up,
            "SELECT pg_catalog.count(*), pg_catalog.string_agg(s.slot_name, ',' ORDER BY s.slot_name),"
            " pg_catalog.bool_and(s.slot_name::text = ANY (pg_catalog.regexp_split_to_array("
            "  pg_catalog.current_setting('synchronized_standby_slots', true), ' *, *')))"
            " FROM pg_catalog.pg_replication_slots s WHERE s.slot_type = 'physical' AND NOT s.temporary",
            &rows) < 0)
        return -1;
    int64_t standbys = sb_rows_i64(rows, 0, 0);
    const char *names = sb_rows_get(rows, 0, 1);
    if (standbys == 0)
        return sb_checkup_tell(up, SB_RESULT_INFO, SB_OK, NULL, "no standby has a slot here");
    if (!synced)
        return sb_checkup_tell(up, SB_RESULT_WARN, SB_E_SLOT_AT_RISK, NULL,
            "the source has standbys (%s): before PostgreSQL 17 a failover to one of them loses our slot, "
            "and "
            "the migration must be prepared anew",
            names);
    if (sb_rows_bool(rows, 0, 2))
        return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "we never run ahead of %s", names);
    return sb_checkup_tell(up, SB_RESULT_WARN, SB_E_SLOT_AT_RISK,
        sb_checkup_text(
            up, "ALTER SYSTEM SET synchronized_standby_slots = '%s'; SELECT pg_reload_conf();", names),
        "synchronized_standby_slots does not name every standby (%s): after a failover we may hold commits "
        "that "
        "the new primary has lost",
        names);
}

static int work_mem_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up, "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'logical_decoding_work_mem'",
            &rows) < 0)
        return -1;
    int64_t kb = sb_rows_i64(rows, 0, 0);
    if (kb >= WORK_MEM_ADVISED_KB)
        return sb_checkup_tell(
            up, SB_RESULT_PASS, SB_OK, NULL, "logical_decoding_work_mem is %" PRId64 " kB", kb);
    return sb_checkup_tell(up, SB_RESULT_INFO, SB_OK,
        "ALTER SYSTEM SET logical_decoding_work_mem = '256MB'; SELECT pg_reload_conf();",
        "logical_decoding_work_mem is %" PRId64
        " kB: larger transactions are spilled to disk and decode slower",
        kb);
}

/* `*` takes any walsender for a standby: commits of the application would wait for what we confirm. */
static int standbys_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(up,
            "SELECT setting ~ '(^|[(, ])\\s*\"?\\*', setting FROM pg_catalog.pg_settings"
            " WHERE name = 'synchronous_standby_names'",
            &rows) < 0)
        return -1;
    if (!sb_rows_bool(rows, 0, 0))
        return 0;
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_SOURCE_CONFIG,
        "ALTER SYSTEM SET synchronous_standby_names = ...the names of the standbys...; SELECT "
        "pg_reload_conf();",
        "synchronous_standby_names is \"%s\": it would take our session for a standby, and commits would "
        "wait "
        "for the target",
        sb_rows_get(rows, 0, 1));
}

static int ddl_check(struct sb_checkup *up)
{
    struct sb_ddl_triggers triggers;
    if (up->config->ddl.policy == SB_DDL_IGNORE)
        return sb_checkup_tell(up, SB_RESULT_INFO, SB_OK, NULL, "ddl.policy is ignore: DDL does not travel");
    if (sb_ddl_triggers_read(up->config, up->direction, up->source.conn, &triggers, up->err) < 0)
        return -1;
    if (triggers.there && (triggers.scoped || !triggers.may_read))
        return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "event triggers describe DDL");
    if (!triggers.may_make)
        return sb_checkup_tell(up, SB_RESULT_WARN, SB_E_ACCESS, NULL,
            "only a superuser may make event triggers, and role \"%s\" is none: a changed table is noticed "
            "at "
            "its next row, and held there",
            up->source.role);
    return sb_checkup_tell(up, up->capture.found ? SB_RESULT_WARN : SB_RESULT_INFO, SB_OK, NULL,
        "`switchback prepare` makes event triggers that describe DDL");
}

static int signing_check(struct sb_checkup *up)
{
    struct sb_signing signing;
    if (sb_signing_read(up->source.conn, &signing, up->err) < 0)
        return -1;
    if (!signing.there || signing.secret[0] != '\0')
        return 0;
    const char *role = sb_checkup_ident(up, up->source.role);
    if (role == NULL)
        return sb_checkup_full(up);
    if (!signing.may_read)
        return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_ACCESS,
            sb_checkup_text(up, "GRANT SELECT ON switchback.signing_key TO %s;", role),
            "role \"%s\" may not read the key with which the %s signs DDL and repairs", up->source.role,
            up->source.name);
    return sb_checkup_tell(up, SB_RESULT_FAIL, SB_E_PROGRESS_LOST,
        "INSERT INTO switchback.signing_key DEFAULT VALUES;",
        "the %s has lost the key with which it signs DDL and repairs: give it one, and run `switchback "
        "prepare`",
        up->source.name);
}

static int rls_check(struct sb_checkup *up)
{
    for (size_t i = 0; i < up->pair_count; i++) {
        const struct sb_cat_table *table = up->pairs[i].source->table;
        if (!table->rls)
            continue;
        const char *role = sb_checkup_ident(up, up->source.role);
        if (role == NULL)
            return sb_checkup_full(up);
        if (sb_checkup_tell(up, SB_RESULT_WARN, SB_E_RLS,
                sb_checkup_text(up, "ALTER ROLE %s BYPASSRLS;", role),
                "row-level security hides rows of \"%s\".\"%s\" from role \"%s\"; the stream carries them "
                "all the "
                "same, but no copy or comparison could",
                table->schema.ptr, table->name.ptr, up->source.role) < 0)
            return -1;
    }
    return 0;
}

const struct sb_check sb_check_source[] = {
    {"source.version", "the source's version is supported", SB_NEED_SOURCE, version_check},
    {"source.primary", "the source is a primary", SB_NEED_SOURCE, primary_check},
    {"source.wal_level", "the source writes WAL for logical decoding", SB_NEED_SOURCE, wal_level_check},
    {"source.slots", "a replication slot is free", SB_NEED_SOURCE, slots_check},
    {"source.walsenders", "a walsender is free", SB_NEED_SOURCE, senders_check},
    {"source.replication", "our role may replicate", SB_NEED_SOURCE, replication_check},
    {"source.session", "a replication session can be opened", SB_NEED_SOURCE, session_check},
    {"source.create", "our role may make what prepare makes", SB_NEED_SOURCE, create_check},
    {"source.owner", "our role may publish the tables", SB_NEED_SOURCE | SB_NEED_TABLES, owner_check},
    {"source.encoding", "the target can hold the source's characters", SB_NEED_SOURCE | SB_NEED_TARGET,
        encoding_check},
    {"source.identity", "the source is the one that was prepared", SB_NEED_SOURCE, identity_check},
    {"source.slot", "the slot is ours to make or to use", SB_NEED_SOURCE, slot_check},
    {"source.publication", "the publications cover the tables", SB_NEED_SOURCE | SB_NEED_TABLES,
        publication_check},
    {"source.prepared_transactions", "no prepared transaction blocks the slot", SB_NEED_SOURCE,
        prepared_transactions_check},
    {"source.old_transactions", "no old transaction blocks the slot", SB_NEED_SOURCE, old_transactions_check},
    {"source.retention", "the slot can keep WAL for long enough", SB_NEED_SOURCE, retention_check},
    {"source.failover", "the slot survives a failover", SB_NEED_SOURCE, failover_check},
    {"source.standbys", "commits of the source do not wait for us", SB_NEED_SOURCE, standbys_check},
    {"source.work_mem", "decoding has memory", SB_NEED_SOURCE, work_mem_check},
    {"source.ddl", "DDL is described in the stream", SB_NEED_SOURCE, ddl_check},
    {"source.signing", "messages can be signed", SB_NEED_SOURCE, signing_check},
    {"source.rls", "no row-level security hides rows", SB_NEED_SOURCE | SB_NEED_TABLES, rls_check},
    {NULL, NULL, 0, NULL},
};
