#include "capture/identity.h"

#include "core/log.h"
#include "schemas/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- the row of prepare ------------------------------------------------------------------------------------
 */

/* A NULL uuid reads as all zero. */
static bool read_uuid(const struct sb_rows *rows, int col, struct sb_uuid *ret_uuid)
{
    const char *text = sb_rows_get(rows, 0, col);
    *ret_uuid = (struct sb_uuid){{0}};
    return text == NULL || sb_uuid_parse(text, ret_uuid);
}

static int read_row(struct sb_conn *conn, const char *migration, const char *direction,
    struct sb_capture_row *ret_row, struct sb_err *err)
{
    static const char sql[] =
        "SELECT stream_uuid, target_uuid, system_identifier, database_oid, start_lsn, publication_oid,"
        " publication_keyless_oid, epoch, incarnation FROM switchback.capture"
        " WHERE migration = $1 AND direction = $2 AND lane = 0";
    const char *params[] = {migration, direction};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, sql, 2, params, &rows, err) != 0)
        return sb_err_add(err, "reading switchback.capture");
    if (sb_rows_count(rows) == 0)
        return sb_err_set(err, SB_E_NOT_PREPARED,
            "the source has no row for migration \"%s\", direction %s, in switchback.capture", migration,
            direction);
    struct sb_capture_row row = {.system_identifier = sb_rows_u64(rows, 0, 2),
        .database_oid = (uint32_t)sb_rows_u64(rows, 0, 3),
        .start_lsn = sb_rows_lsn(rows, 0, 4),
        .publication_oid = (uint32_t)sb_rows_u64(rows, 0, 5),
        .publication_keyless_oid = (uint32_t)sb_rows_u64(rows, 0, 6),
        .epoch = sb_rows_u64(rows, 0, 7)};
    if (!read_uuid(rows, 0, &row.stream_uuid) || !read_uuid(rows, 1, &row.target_uuid) ||
        !read_uuid(rows, 8, &row.incarnation))
        return sb_err_set(err, SB_E_STATE_FORMAT, "a uuid in switchback.capture is malformed");
    *ret_row = row;
    return 0;
}

/* -- the server --------------------------------------------------------------------------------------------
 */

static int check_server(const struct sb_server_id *server, const struct sb_known_source *known,
    const char *known_as, struct sb_err *err)
{
    if (server->system_identifier != known->system_identifier)
        return sb_err_set(err, SB_E_SOURCE_IDENTITY,
            "the source is the cluster with system identifier %" PRIu64 "; %s was %" PRIu64,
            server->system_identifier, known_as, known->system_identifier);
    if (server->database_oid != known->database_oid)
        return sb_err_set(err, SB_E_SOURCE_IDENTITY, "the source is the database with oid %u; %s was %u",
            server->database_oid, known_as, known->database_oid);
    return 0;
}

static int read_settings(struct sb_conn *conn, struct sb_source_identity *identity, struct sb_err *err)
{
    static const char sql[] =
        "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('wal_level'),"
        " pg_catalog.current_setting('server_encoding'),"
        " (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'),"
        " CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL"
        "  ELSE pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) END,"
        " CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_wal_insert_lsn() END";
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, sql, 0, NULL, &rows, err) != 0)
        return sb_err_add(err, "reading the source's settings");
    if (sb_rows_bool(rows, 0, 0))
        return sb_err_set(err, SB_E_SOURCE_UNAVAILABLE, "the source is in recovery: it is a standby");
    const char *wal_level = sb_rows_get(rows, 0, 1), *encoding = sb_rows_get(rows, 0, 2);
    if (wal_level == NULL || strcmp(wal_level, "logical") != 0) {
        sb_err_set(err, SB_E_SOURCE_CONFIG, "wal_level is %s on the source, not logical",
            wal_level == NULL ? "unknown" : wal_level);
        return sb_err_hint(err, "ALTER SYSTEM SET wal_level = logical; then restart the source.");
    }
    identity->sql_ascii = encoding != NULL && strcmp(encoding, "SQL_ASCII") == 0;
    identity->wal_sender_timeout_ms = sb_rows_i64(rows, 0, 3);
    identity->next_xid = sb_rows_u64(rows, 0, 4);
    identity->insert_lsn = sb_rows_lsn(rows, 0, 5);
    return 0;
}

/* -- publications ------------------------------------------------------------------------------------------
 */

const char sb_identity_publications_sql[] =
    "SELECT w.name, w.oid, w.keyless, p.oid, p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete,"
    " p.pubtruncate FROM switchback.capture c CROSS JOIN LATERAL"
    " (VALUES ($3, c.publication_oid, false), ($4, c.publication_keyless_oid, true)) w (name, oid, keyless)"
    " LEFT JOIN pg_catalog.pg_publication p ON p.pubname = w.name"
    " WHERE c.migration = $1 AND c.direction = $2 AND c.lane = 0 AND w.oid <> 0";

static int check_publication(const struct sb_rows *rows, int row, struct sb_err *err)
{
    enum { NAME, WANTED, KEYLESS, OID, ALL_TABLES, INSERT, UPDATE, DELETE, TRUNCATE };
    const char *name = sb_rows_get(rows, row, NAME), *oid = sb_rows_get(rows, row, OID);
    const char *wanted = sb_rows_get(rows, row, WANTED);
    if (oid == NULL)
        return sb_err_set(err, SB_E_PUBLICATION, "publication \"%s\" does not exist on the source", name);
    if (strcmp(oid, wanted) != 0)
        return sb_err_set(err, SB_E_PUBLICATION,
            "publication \"%s\" was dropped and made again (oid %s; prepared was %s)", name, oid, wanted);
    bool inserts_only = sb_rows_bool(rows, row, KEYLESS);
    bool inserts = sb_rows_bool(rows, row, INSERT), updates = sb_rows_bool(rows, row, UPDATE);
    bool deletes = sb_rows_bool(rows, row, DELETE), truncates = sb_rows_bool(rows, row, TRUNCATE);
    bool right = inserts && (inserts_only ? !updates && !deletes : updates && deletes && truncates);
    if (sb_rows_bool(rows, row, ALL_TABLES) || !right)
        return sb_err_set(err, SB_E_PUBLICATION,
            "publication \"%s\" was altered: it must publish %s of tables that are listed", name,
            inserts_only ? "inserts only" : "insert, update, delete and truncate");
    return 0;
}

int sb_identity_check_publications(const struct sb_rows *rows, struct sb_err *err)
{
    if (sb_rows_count(rows) == 0)
        return sb_err_set(err, SB_E_PUBLICATION, "prepare made no publication: there is no table to capture");
    for (int i = 0; i < sb_rows_count(rows); i++) {
        if (check_publication(rows, i, err) != 0)
            return -1;
    }
    return 0;
}

static int prove_publications(struct sb_conn *conn, const char *migration, const char *direction,
    const struct sb_names *names, struct sb_source_identity *identity, struct sb_err *err)
{
    const char *params[] = {migration, direction, names->publication, names->publication_keyless};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, sb_identity_publications_sql, 4, params, &rows, err) != 0)
        return sb_err_add(err, "reading the publications");
    if (sb_identity_check_publications(rows, err) != 0)
        return -1;
    identity->publication_count = 0;
    if (identity->row.publication_oid != 0)
        identity->publications[identity->publication_count++] = names->publication;
    if (identity->row.publication_keyless_oid != 0)
        identity->publications[identity->publication_count++] = names->publication_keyless;
    return 0;
}

/* A row that is missing where commits were captured before. */
static int lost_row(struct sb_err *err)
{
    if (err->code != SB_E_NOT_PREPARED)
        return -1;
    return sb_err_set(err, SB_E_SOURCE_REWOUND,
        "the stream was captured from this database, but what prepare had made in it is gone: it was "
        "restored "
        "to a time before, or schema \"switchback\" was dropped");
}

int sb_identity_prove(struct sb_conn *conn, const char *migration, const char *direction,
    const struct sb_names *names, const struct sb_known_source *known,
    struct sb_source_identity *ret_identity, struct sb_err *err)
{
    struct sb_source_identity identity = {.server_version = sb_conn_version(conn)};
    if (sb_catalog_server_id(conn, &identity.server, err) != 0 ||
        (known->system_identifier != 0 &&
            check_server(&identity.server, known, "the one that was captured", err) != 0) ||
        read_settings(conn, &identity, err) != 0)
        return -1;
    if (read_row(conn, migration, direction, &identity.row, err) != 0)
        return known->system_identifier != 0 ? lost_row(err) : -1;
    struct sb_known_source prepared = {identity.row.system_identifier, identity.row.database_oid};
    if (check_server(&identity.server, &prepared, "prepared", err) != 0 ||
        prove_publications(conn, migration, direction, names, &identity, err) != 0)
        return -1;
    if (!sb_uuid_parse(identity.server.uuid, &identity.source_uuid))
        return sb_err_set(err, SB_E_NOT_PREPARED, "the source has no row in switchback.identity");
    *ret_identity = identity;
    return 0;
}

int sb_identity_refresh(struct sb_conn *conn, const char *migration, const char *direction,
    struct sb_source_identity *identity, struct sb_err *err)
{
    static const char sql[] = "SELECT epoch, pg_catalog.pg_current_wal_insert_lsn() FROM switchback.capture"
                              " WHERE migration = $1 AND direction = $2 AND lane = 0";
    const char *params[] = {migration, direction};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, sql, 2, params, &rows, err) != 0)
        return sb_err_add(err, "reading switchback.capture again");
    uint64_t epoch = sb_rows_count(rows) == 0 ? 0 : sb_rows_u64(rows, 0, 0);
    if (sb_rows_count(rows) == 0 || epoch != identity->row.epoch)
        return sb_err_set(err, SB_E_SLOT_BUSY,
            "another capture began at the same moment (epoch %" PRIu64 "): this one looks again", epoch);
    identity->insert_lsn = sb_rows_lsn(rows, 0, 1);
    return 0;
}

/* -- the slot ----------------------------------------------------------------------------------------------
 */

int sb_identity_slot(struct sb_conn *conn, const char *slot, struct sb_slot *ret_slot, struct sb_err *err)
{
    static const char sql[] =
        "SELECT plugin = 'pgoutput' AND slot_type = 'logical', database = pg_catalog.current_database(),"
        " wal_status, restart_lsn, confirmed_flush_lsn, active_pid"
        " FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, sql, 1, &slot, &rows, err) != 0)
        return sb_err_add(err, "reading slot \"%s\"", slot);
    if (sb_rows_count(rows) == 0)
        return sb_err_set(err, SB_E_SLOT_LOST, "slot \"%s\" does not exist on the source", slot);
    if (!sb_rows_bool(rows, 0, 0) || !sb_rows_bool(rows, 0, 1))
        return sb_err_set(err, SB_E_SLOT_MOVED,
            "slot \"%s\" belongs to somebody else: it is of another plugin or another database", slot);
    const char *status = sb_rows_get(rows, 0, 2);
    if (status == NULL || strcmp(status, "lost") == 0 || sb_rows_get(rows, 0, 3) == NULL)
        return sb_err_set(
            err, SB_E_SLOT_LOST, "slot \"%s\" was invalidated: the source removed WAL that it needs", slot);
    *ret_slot = (struct sb_slot){.unreserved = strcmp(status, "unreserved") == 0,
        .restart_lsn = sb_rows_lsn(rows, 0, 3),
        .confirmed_lsn = sb_rows_lsn(rows, 0, 4),
        .active_pid = (int32_t)sb_rows_i64(rows, 0, 5)};
    return 0;
}

/* -- the epoch ---------------------------------------------------------------------------------------------
 */

int sb_identity_claim(struct sb_conn *conn, const char *migration, const char *direction, uint64_t old_epoch,
    uint64_t new_epoch, const struct sb_uuid *incarnation, struct sb_err *err)
{
    static const char sql[] =
        "UPDATE switchback.capture SET epoch = $4, incarnation = $5, claimed_at = pg_catalog.now()"
        " WHERE migration = $1 AND direction = $2 AND lane = 0 AND epoch = $3";
    char old_text[24], new_text[24], uuid[SB_UUID_TEXT_BYTES];
    snprintf(old_text, sizeof old_text, "%" PRIu64, old_epoch);
    snprintf(new_text, sizeof new_text, "%" PRIu64, new_epoch);
    const char *params[] = {migration, direction, old_text, new_text, sb_uuid_text(incarnation, uuid)};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, sql, 5, params, &rows, err) != 0)
        return sb_err_add(err, "claiming epoch %" PRIu64, new_epoch);
    if (sb_rows_affected(rows) != 1)
        return sb_err_set(err, SB_E_EPOCH_STALE,
            "another capture claimed an epoch behind %" PRIu64 " at the same moment", old_epoch);
    return 0;
}

int sb_identity_check_claim(uint64_t epoch, const struct sb_uuid *incarnation, uint64_t row_epoch,
    const struct sb_uuid *row_incarnation, struct sb_err *err)
{
    if (row_epoch > epoch)
        return sb_err_set(err, SB_E_EPOCH_STALE,
            "this capture has epoch %" PRIu64 ", a newer one has claimed %" PRIu64, epoch, row_epoch);
    if (row_epoch == epoch && !sb_uuid_eq(incarnation, row_incarnation))
        return sb_err_set(
            err, SB_E_EPOCH_CLASH, "epoch %" PRIu64 " is claimed by two incarnations on the source", epoch);
    return 0;
}
