#include "setup/control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void text_copy(char *out, size_t cap, const char *text)
{
    snprintf(out, cap, "%s", text == NULL ? "" : text);
}

int sb_control_lock(struct sb_conn *old, const char *migration, struct sb_err *err)
{
    const char *const params[] = {migration};
    if (sb_conn_exec(old, "SET lock_timeout = '10s'", err) < 0)
        return -1;
    if (sb_conn_query(old,
            "SELECT pg_catalog.pg_advisory_lock(1935763064, pg_catalog.hashtext('switchback ' || $1))", 1,
            params, NULL, err) < 0)
        return sb_err_add(err, "waiting for another `prepare` or `remove` of migration \"%s\"", migration);
    return sb_conn_exec(old, "SET lock_timeout = 0", err);
}

/* -- the schema ------------------------------------------------------------------------------------------ */

static int table_exists(struct sb_conn *conn, const char *name, bool *ret_exists, struct sb_err *err)
{
    const char *const params[] = {name};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn,
            "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'switchback' AND c.relname = $1 AND c.relkind = 'r'",
            1, params, &rows, err) < 0)
        return -1;
    *ret_exists = sb_rows_count(rows) > 0;
    return 0;
}

/* The statements themselves say which tables they make, so no second list can go stale. */
static int tables_exist(struct sb_conn *conn, const char *sql, bool *ret_exist, struct sb_err *err)
{
    static const char making[] = "CREATE TABLE IF NOT EXISTS switchback.";
    for (const char *at = strstr(sql, making); at != NULL && *ret_exist; at = strstr(at, making)) {
        char name[SB_NAME_BYTES];
        at += sizeof making - 1;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " ("), at);
        if (table_exists(conn, name, ret_exist, err) < 0)
            return -1;
    }
    return 0;
}

static int identity_read(struct sb_conn *conn, struct sb_control *control, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, "SELECT uuid, format FROM switchback.identity", 0, NULL, &rows, err) < 0)
        return sb_err_add(err, "reading the control schema");
    if (sb_rows_count(rows) == 0) {
        control->complete = false;
        return 0;
    }
    if (sb_rows_i64(rows, 0, 1) != SB_CONTROL_FORMAT)
        return sb_err_set(err, SB_E_STATE_FORMAT,
            "the control schema on the %s has format %" PRId64 ", this program understands %d",
            sb_side_name(sb_conn_side(conn)), sb_rows_i64(rows, 0, 1), SB_CONTROL_FORMAT);
    text_copy(control->uuid, sizeof control->uuid, sb_rows_get(rows, 0, 0));
    return 0;
}

int sb_control_read(struct sb_conn *conn, enum sb_side as, struct sb_control *ret_control, struct sb_err *err)
{
    struct sb_control control = {.complete = true};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, "SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'switchback'", 0, NULL,
            &rows, err) < 0)
        return -1;
    control.schema = sb_rows_count(rows) > 0;
    bool identity = false;
    const char *own = as == SB_SIDE_SOURCE ? sb_control_source_sql : sb_control_target_sql;
    if (table_exists(conn, "identity", &identity, err) < 0 ||
        tables_exist(conn, sb_control_both_sql, &control.complete, err) < 0 ||
        tables_exist(conn, own, &control.complete, err) < 0)
        return -1;
    if (identity && identity_read(conn, &control, err) < 0)
        return -1;
    *ret_control = control;
    return 0;
}

/* -- rows ------------------------------------------------------------------------------------------------ */

/* A row by migration and direction; no rows at all when the table is not there. */
static int row_read(struct sb_conn *conn, const char *table, const char *sql, const char *migration,
    enum sb_direction direction, struct sb_rows **ret_rows, struct sb_err *err)
{
    bool exists = false;
    *ret_rows = NULL;
    if (table_exists(conn, table, &exists, err) < 0)
        return -1;
    if (!exists)
        return 0;
    const char *const params[] = {migration, sb_direction_name(direction)};
    return sb_conn_query(conn, sql, 2, params, ret_rows, err) < 0
               ? sb_err_add(err, "reading the control schema")
               : 0;
}

int sb_control_capture(struct sb_conn *source, const char *migration, enum sb_direction direction,
    struct sb_prepared *ret_row, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (row_read(source, "capture",
            "SELECT stream_uuid, target_uuid, system_identifier, database_oid, slot, start_lsn, "
            "publication_oid,"
            " publication_keyless_oid, epoch FROM switchback.capture"
            " WHERE migration = $1 AND direction = $2 AND lane = 0",
            migration, direction, &rows, err) < 0)
        return -1;
    struct sb_prepared row = {.found = rows != NULL && sb_rows_count(rows) > 0};
    if (row.found) {
        text_copy(row.stream_uuid, sizeof row.stream_uuid, sb_rows_get(rows, 0, 0));
        text_copy(row.target_uuid, sizeof row.target_uuid, sb_rows_get(rows, 0, 1));
        row.system_identifier = sb_rows_u64(rows, 0, 2);
        row.database_oid = (uint32_t)sb_rows_u64(rows, 0, 3);
        text_copy(row.slot, sizeof row.slot, sb_rows_get(rows, 0, 4));
        text_copy(row.start_lsn, sizeof row.start_lsn, sb_rows_get(rows, 0, 5));
        row.publication_oid = (uint32_t)sb_rows_u64(rows, 0, 6);
        row.publication_keyless_oid = (uint32_t)sb_rows_u64(rows, 0, 7);
        row.epoch = sb_rows_i64(rows, 0, 8);
    }
    *ret_row = row;
    return 0;
}

int sb_control_progress(struct sb_conn *target, const char *migration, enum sb_direction direction,
    struct sb_progress_row *ret_row, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (row_read(target, "progress",
            "SELECT stream_uuid, source_uuid, sequence FROM switchback.progress"
            " WHERE migration = $1 AND direction = $2 AND lane = 0",
            migration, direction, &rows, err) < 0)
        return -1;
    struct sb_progress_row row = {.found = rows != NULL && sb_rows_count(rows) > 0};
    if (row.found) {
        text_copy(row.stream_uuid, sizeof row.stream_uuid, sb_rows_get(rows, 0, 0));
        text_copy(row.source_uuid, sizeof row.source_uuid, sb_rows_get(rows, 0, 1));
        row.sequence = sb_rows_i64(rows, 0, 2);
    }
    *ret_row = row;
    return 0;
}

int sb_control_ownership(
    struct sb_conn *conn, const char *migration, struct sb_ownership_row *ret_row, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    bool exists = false;
    const char *const params[] = {migration};
    *ret_row = (struct sb_ownership_row){0};
    if (table_exists(conn, "ownership", &exists, err) < 0)
        return -1;
    if (!exists)
        return 0;
    if (sb_conn_query(conn, "SELECT owner = 'new', epoch FROM switchback.ownership WHERE migration = $1", 1,
            params, &rows, err) < 0)
        return sb_err_add(err, "reading the control schema");
    if (sb_rows_count(rows) > 0)
        *ret_row = (struct sb_ownership_row){
            .found = true, .new_owns = sb_rows_bool(rows, 0, 0), .epoch = sb_rows_u64(rows, 0, 1)};
    return 0;
}

int sb_control_whole(struct sb_conn *target, const char *migration, enum sb_direction direction,
    bool *ret_whole, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_progress_row progress;
    if (sb_control_progress(target, migration, direction, &progress, err) < 0 ||
        row_read(target, "copy",
            "SELECT FROM switchback.copy c WHERE migration = $1 AND direction = $2 AND (state = 'pending'"
            " OR pg_catalog.to_jsonb(c) ->> 'structure' = 'pending')",
            migration, direction, &rows, err) < 0)
        return -1;
    *ret_whole = progress.found && (rows == NULL || sb_rows_count(rows) == 0);
    return 0;
}

int sb_control_copy(struct sb_conn *target, const char *migration, enum sb_direction direction,
    struct sb_copy_row *ret_row, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (row_read(target, "copy",
            "SELECT pg_catalog.to_jsonb(c) ->> 'structure' = 'pending', pg_catalog.to_jsonb(c) ->> "
            "'structure_begun_at'"
            " IS NOT NULL FROM switchback.copy c WHERE migration = $1 AND direction = $2",
            migration, direction, &rows, err) < 0)
        return -1;
    struct sb_copy_row row = {.found = rows != NULL && sb_rows_count(rows) > 0};
    if (row.found) {
        row.structure_pending = sb_rows_bool(rows, 0, 0);
        row.structure_begun = sb_rows_bool(rows, 0, 1);
    }
    *ret_row = row;
    return 0;
}

int sb_control_slot(struct sb_conn *source, const char *slot, struct sb_slot_row *ret_row, struct sb_err *err)
{
    const char *const params[] = {slot};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(source,
            "SELECT plugin, database, confirmed_flush_lsn, active_pid,"
            " slot_type = 'logical' AND plugin = 'pgoutput' AND NOT temporary"
            "  AND database = pg_catalog.current_database(), COALESCE(wal_status = 'lost', false)"
            " FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
            1, params, &rows, err) < 0)
        return -1;
    struct sb_slot_row row = {.found = sb_rows_count(rows) > 0};
    if (row.found) {
        text_copy(row.plugin, sizeof row.plugin, sb_rows_get(rows, 0, 0));
        text_copy(row.database, sizeof row.database, sb_rows_get(rows, 0, 1));
        text_copy(row.confirmed_lsn, sizeof row.confirmed_lsn, sb_rows_get(rows, 0, 2));
        row.active_pid = (int)sb_rows_i64(rows, 0, 3);
        row.ours = sb_rows_bool(rows, 0, 4);
        row.lost = sb_rows_bool(rows, 0, 5);
    }
    *ret_row = row;
    return 0;
}

int sb_control_origin(struct sb_conn *target, const char *name, uint32_t *ret_oid, struct sb_err *err)
{
    const char *const params[] = {name};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(target, "SELECT roident FROM pg_catalog.pg_replication_origin WHERE roname = $1", 1,
            params, &rows, err) < 0)
        return -1;
    *ret_oid = sb_rows_count(rows) == 0 ? 0 : (uint32_t)sb_rows_u64(rows, 0, 0);
    return 0;
}

int sb_control_origins(
    struct sb_conn *target, const char *name, struct sb_rows **ret_names, struct sb_err *err)
{
    const char *const params[] = {name};
    return sb_conn_query(target,
        "SELECT roname FROM pg_catalog.pg_replication_origin WHERE roname = $1"
        " OR roname ~ ('^' || $1 || '_(side|copy_[0-9]+)$') ORDER BY 1",
        1, params, ret_names, err);
}
