#include "capture/source.h"

#include "capture/identity.h"
#include "core/clock.h"
#include "core/map.h"
#include "schemas/digest.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPES_MAX = 1 << 16, CLAIM_POLL_MS = 20, SILENT_MS = 1000 };
enum asked { ASKED_NOTHING, ASKED_PULSE, ASKED_PUBLICATIONS, ASKED_SIGNAL };

struct sb_source {
    struct sb_conn *conn;
    const char *migration;
    const char *direction;
    const struct sb_names *names;
    struct sb_rows *type_rows; /* owns the names in types */
    struct sb_map *types;      /* oid -> "pg_catalog.int4" */
    enum asked asked;
    int64_t asked_ms;
    int64_t next_pulse_ms;
    bool publications_due;
    enum sb_signal_kind signal_due; /* SB_SIGNAL_NONE: none is */
    char signal[SB_SIGNAL_BYTES];
};

/* -- types -------------------------------------------------------------------------------------------------
 */

static int load_types(struct sb_source *source, struct sb_err *err)
{
    /* pgoutput announces types from oid 10000 on (FirstGenbkiObjectId) and takes the rest as known. */
    static const char sql[] = "SELECT t.oid, n.nspname || '.' || t.typname FROM pg_catalog.pg_type t"
                              " JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.oid < 16384";
    if (sb_conn_query(source->conn, sql, 0, NULL, &source->type_rows, err) != 0)
        return sb_err_add(err, "reading the built-in types");
    for (int i = 0; i < sb_rows_count(source->type_rows); i++) {
        uint32_t oid = (uint32_t)sb_rows_u64(source->type_rows, i, 0);
        const char *name = sb_rows_get(source->type_rows, i, 1);
        if (!sb_map_put(source->types, sb_map_key_u32(&oid), (void *)name, NULL))
            return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the names of types");
    }
    return 0;
}

const char *sb_source_type_name(void *arg, uint32_t type_oid)
{
    const struct sb_source *source = arg;
    return sb_map_get(source->types, sb_map_key_u32(&type_oid));
}

/* -- life --------------------------------------------------------------------------------------------------
 */

int sb_source_new(struct sb_conn *conn, const char *migration, const char *direction,
    const struct sb_names *names, struct sb_source **ret_source, struct sb_err *err)
{
    struct sb_source *source = calloc(1, sizeof *source);
    if (source == NULL) {
        sb_conn_close(conn);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the session with the source");
    }
    source->conn = conn;
    source->migration = migration;
    source->direction = direction;
    source->names = names;
    source->types = sb_map_new(TYPES_MAX);
    if (source->types == NULL || load_types(source, err) != 0) {
        if (source->types == NULL)
            sb_err_set(err, SB_E_NO_MEMORY, "no memory for the session with the source");
        sb_source_free(source);
        return -1;
    }
    *ret_source = source;
    return 0;
}

void sb_source_free(struct sb_source *source)
{
    if (source == NULL)
        return;
    sb_rows_free(source->type_rows);
    sb_map_free(source->types);
    sb_conn_close(source->conn);
    free(source);
}

struct sb_conn *sb_source_conn(struct sb_source *source)
{
    return source->conn;
}

/* -- turns -------------------------------------------------------------------------------------------------
 */

static int send_pulse(struct sb_source *source, struct sb_err *err)
{
    static const char sql[] =
        "SELECT pg_catalog.pg_is_in_recovery(),"
        " CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL"
        "  ELSE pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) END,"
        " CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_wal_insert_lsn() END,"
        " s.restart_lsn, s.confirmed_flush_lsn, coalesce(s.safe_wal_size, -1), s.wal_status = 'unreserved',"
        " c.epoch, c.incarnation, EXISTS (SELECT FROM pg_catalog.pg_stat_replication r"
        "  WHERE r.pid = s.active_pid AND r.sync_state IN ('sync', 'quorum'))"
        " FROM switchback.capture c LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $3"
        " WHERE c.migration = $1 AND c.direction = $2 AND c.lane = 0";
    const char *params[] = {source->migration, source->direction, source->names->slot};
    source->asked = ASKED_PULSE;
    return sb_conn_send(source->conn, sql, 3, params, err);
}

static int send_publications(struct sb_source *source, struct sb_err *err)
{
    const char *params[] = {
        source->migration, source->direction, source->names->publication, source->names->publication_keyless};
    source->publications_due = false;
    source->asked = ASKED_PUBLICATIONS;
    return sb_conn_send(source->conn, sb_identity_publications_sql, 4, params, err);
}

static int read_pulse(const struct sb_rows *rows, struct sb_pulse *ret_pulse, struct sb_err *err)
{
    if (sb_rows_count(rows) == 0)
        return sb_err_set(err, SB_E_NOT_PREPARED, "this migration's row in switchback.capture is gone");
    if (sb_rows_bool(rows, 0, 0))
        return sb_err_set(err, SB_E_SOURCE_UNAVAILABLE, "the source is in recovery: it has become a standby");
    struct sb_pulse pulse = {.next_xid = sb_rows_u64(rows, 0, 1),
        .wal_lsn = sb_rows_lsn(rows, 0, 2),
        .restart_lsn = sb_rows_lsn(rows, 0, 3),
        .confirmed_lsn = sb_rows_lsn(rows, 0, 4),
        .safe_bytes = sb_rows_i64(rows, 0, 5),
        .unreserved = sb_rows_bool(rows, 0, 6),
        .epoch = sb_rows_u64(rows, 0, 7),
        .waited_for = sb_rows_bool(rows, 0, 9)};
    const char *incarnation = sb_rows_get(rows, 0, 8);
    if (incarnation != NULL && !sb_uuid_parse(incarnation, &pulse.incarnation))
        return sb_err_set(err, SB_E_STATE_FORMAT, "a uuid in switchback.capture is malformed");
    *ret_pulse = pulse;
    return 0;
}

static int send_signal(struct sb_source *source, struct sb_err *err)
{
    static const char sql[] = "SELECT pg_catalog.pg_logical_emit_message(true, $1::text, $2::text)";
    const char *params[] = {sb_signal_prefix(source->signal_due), source->signal};
    source->signal_due = SB_SIGNAL_NONE;
    source->asked = ASKED_SIGNAL;
    return sb_conn_send(source->conn, sql, 2, params, err);
}

void sb_source_signal(struct sb_source *source, const struct sb_signal *signal)
{
    if (source->asked != ASKED_SIGNAL && sb_signal_write(signal, source->signal))
        source->signal_due = signal->kind;
}

/* The answer to what was asked: 0 if it is not here yet or was no pulse. */
static int take_answer(struct sb_source *source, struct sb_pulse *ret_pulse, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int rc = sb_conn_poll(source->conn, &rows, err);
    if (rc != 0)
        return rc == SB_CONN_PENDING ? 0 : -1;
    enum asked asked = source->asked;
    source->asked = ASKED_NOTHING;
    if (asked == ASKED_PUBLICATIONS)
        return sb_identity_check_publications(rows, err);
    if (asked != ASKED_PULSE)
        return 0;
    source->publications_due = true;
    return read_pulse(rows, ret_pulse, err) == 0 ? SB_SOURCE_PULSE : -1;
}

/* Whichever is due; the other one gets the next turn. */
static int send_due(struct sb_source *source, int64_t now_ms, struct sb_err *err)
{
    source->asked_ms = now_ms;
    if (source->signal_due != SB_SIGNAL_NONE)
        return send_signal(source, err);
    if (source->publications_due)
        return send_publications(source, err);
    if (now_ms < source->next_pulse_ms)
        return 0;
    source->next_pulse_ms = now_ms + SB_SOURCE_PULSE_MS;
    return send_pulse(source, err);
}

int sb_source_turn(struct sb_source *source, int64_t now_ms, struct sb_pulse *ret_pulse, struct sb_err *err)
{
    /* An idle session that was ended tells of a shutdown before the next pulse would. */
    int rc = source->asked == ASKED_NOTHING ? sb_conn_check(source->conn, err)
                                            : take_answer(source, ret_pulse, err);
    if (rc >= 0 && source->asked == ASKED_NOTHING && send_due(source, now_ms, err) != 0)
        rc = -1;
    return rc < 0 ? sb_err_add(err, "session with the source") : rc;
}

bool sb_source_is_silent(const struct sb_source *source, int64_t now_ms)
{
    return source->asked != ASKED_NOTHING && now_ms - source->asked_ms > SILENT_MS;
}

int sb_source_check_claim(struct sb_source *source, uint64_t epoch, const struct sb_uuid *incarnation,
    int64_t wait_ms, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + wait_ms;
    struct sb_pulse pulse;
    struct sb_err ignored;
    source->next_pulse_ms = 0;
    while (sb_clock_mono_ms() < deadline_ms) {
        int rc = sb_source_turn(source, sb_clock_mono_ms(), &pulse, &ignored);
        if (rc < 0)
            return 0;
        if (rc == SB_SOURCE_PULSE)
            return sb_identity_check_claim(epoch, incarnation, pulse.epoch, &pulse.incarnation, err);
        struct pollfd file = {.fd = sb_conn_fd(source->conn), .events = POLLIN};
        poll(&file, 1, CLAIM_POLL_MS);
    }
    return 0;
}
