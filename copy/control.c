#include "copy/control.h"

#include "core/fault.h"
#include "core/log.h"
#include "pg/ident.h"
#include "pg/origin.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { SQL_MAX_BYTES = 1024 * 1024, ORIGIN_TRIES = 50, ORIGIN_TRY_MS = 100 };

/* There is work to do. What was prepared before the copy made structure has no such column. */
#define AT_WORK "(state = 'pending' OR pg_catalog.to_jsonb(c) ->> 'structure' = 'pending')"

static int query(
    const struct sb_copy_claim *claim, const char *sql, struct sb_rows **ret_rows, struct sb_err *err)
{
    const char *params[] = {claim->migration, claim->direction};
    return sb_conn_query(claim->target, sql, 2, params, ret_rows, err);
}

static enum sb_copy_state state_of(const char *text)
{
    if (text == NULL || strcmp(text, "none") == 0)
        return SB_COPY_NONE;
    return strcmp(text, "pending") == 0 ? SB_COPY_PENDING : SB_COPY_COMPLETE;
}

int sb_copy_status_read(
    const struct sb_copy_claim *claim, struct sb_copy_status *ret_status, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    *ret_status = (struct sb_copy_status){.rows = SB_COPY_NONE};
    if (query(claim,
            "SELECT state, last_h, pg_catalog.to_jsonb(c) ->> 'structure', pg_catalog.to_jsonb(c) ->> "
            "'structure_begun_at' IS NOT NULL, coalesce((pg_catalog.to_jsonb(c) ->> 'beside')::boolean, "
            "false) "
            "FROM switchback.copy c WHERE migration = $1 AND direction = $2",
            &rows, err) != 0)
        /* Prepared before there was a copy: the schema is there, this table is not. */
        return strcmp(err->sqlstate, "42P01") == 0 ? 0 : sb_err_add(err, "could not read switchback.copy");
    if (sb_rows_count(rows) == 0)
        return 0;
    ret_status->rows = state_of(sb_rows_get(rows, 0, 0));
    ret_status->last_h = sb_rows_lsn(rows, 0, 1);
    ret_status->structure = state_of(sb_rows_get(rows, 0, 2));
    ret_status->structure_begun = sb_rows_bool(rows, 0, 3);
    ret_status->beside = ret_status->rows == SB_COPY_PENDING && sb_rows_bool(rows, 0, 4);
    return 0;
}

/* -- the claim ------------------------------------------------------------------------------------------- */

/* Another copy's transaction does not end: its process is frozen, or gone and the server has not noticed. */
static int end_predecessor(const struct sb_copy_claim *claim, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_err ignored;
    const char *params[] = {claim->purpose};
    if (sb_conn_query(claim->target,
            "SELECT pid, pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE "
            "application_name = $1 AND datname = pg_catalog.current_database() AND pid <> "
            "pg_catalog.pg_backend_pid()",
            1, params, &rows, &ignored) == 0 &&
        sb_rows_count(rows) > 0)
        SB_WARN("ended the sessions of an earlier copy", SB_NUM("sessions", sb_rows_count(rows)));
    return sb_err_set(err, SB_E_TARGET_UNAVAILABLE, "another initial copy of this migration is at work");
}

int sb_copy_take_origin(
    const struct sb_copy_claim *claim, struct sb_conn *conn, const char *origin, struct sb_err *err)
{
    int rc = SB_ORIGIN_BUSY;
    for (int tries = 0; tries < ORIGIN_TRIES && rc == SB_ORIGIN_BUSY; tries++) {
        if (tries > 0)
            poll(NULL, 0, ORIGIN_TRY_MS);
        rc = sb_origin_take(conn, origin, err);
    }
    return rc == SB_ORIGIN_BUSY ? end_predecessor(claim, err) : rc;
}

static int take_over(struct sb_copy_claim *claim, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {claim->migration, claim->direction, claim->incarnation};
    if (sb_conn_query(claim->target,
            "UPDATE switchback.copy c SET incarnation = $3, started_at = coalesce(started_at, "
            "pg_catalog.now()) "
            "WHERE migration = $1 AND direction = $2 AND " AT_WORK " RETURNING 1",
            3, params, &rows, err) != 0)
        return strcmp(err->sqlstate, "55P03") == 0 ? end_predecessor(claim, err) : -1;
    if (sb_rows_count(rows) != 1)
        return sb_err_set(err, SB_E_TARGET_UNAVAILABLE, "the initial copy is not pending any more");
    return 0;
}

int sb_copy_claim(struct sb_copy_claim *claim, struct sb_err *err)
{
    struct sb_uuid uuid;
    if (!sb_uuid_random(&uuid))
        return sb_err_set(err, SB_E_IO, "the kernel gave no random bytes");
    sb_uuid_text(&uuid, claim->incarnation);
    if (sb_conn_exec(claim->target, "SET lock_timeout = '5s'", err) != 0 ||
        sb_copy_take_origin(claim, claim->target, claim->origin, err) != 0)
        return -1;
    int rc = take_over(claim, err);
    sb_origin_give_back(claim->target);
    return rc == 0 ? sb_conn_exec(claim->target, "SET lock_timeout = 0", err) : rc;
}

static void put_begin(const struct sb_copy_claim *claim, const char *condition, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "BEGIN; SELECT 1 FROM switchback.copy c WHERE migration = ");
    sb_literal_put(sql, sb_view_str(claim->migration));
    sb_buf_put_str(sql, " AND direction = ");
    sb_literal_put(sql, sb_view_str(claim->direction));
    sb_buf_putf(sql, " AND %s AND incarnation = '%s' FOR SHARE", condition, claim->incarnation);
}

void sb_copy_put_begin(const struct sb_copy_claim *claim, struct sb_buf *sql)
{
    put_begin(claim, "state = 'pending'", sql);
}

void sb_copy_put_begin_structure(const struct sb_copy_claim *claim, struct sb_buf *sql)
{
    put_begin(claim, AT_WORK, sql);
}

int sb_copy_begin(const struct sb_copy_claim *claim, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {claim->migration, claim->direction, claim->incarnation};
    if (sb_copy_take_origin(claim, claim->target, claim->origin, err) != 0)
        return -1;
    if (sb_conn_exec(claim->target, "BEGIN", err) == 0 &&
        sb_conn_query(claim->target,
            "SELECT 1 FROM switchback.copy c WHERE migration = $1 AND direction = $2 AND " AT_WORK " AND "
            "incarnation = $3 FOR SHARE",
            3, params, &rows, err) == 0 &&
        sb_rows_count(rows) == 1)
        return 0;
    if (rows != NULL)
        sb_err_set(err, SB_E_EPOCH_STALE, "another copy has taken over");
    sb_copy_rollback(claim);
    return -1;
}

int sb_copy_commit(const struct sb_copy_claim *claim, struct sb_err *err)
{
    if (sb_conn_exec(claim->target, "COMMIT", err) == 0) {
        sb_origin_give_back(claim->target);
        return 0;
    }
    sb_copy_rollback(claim);
    return -1;
}

void sb_copy_rollback(const struct sb_copy_claim *claim)
{
    struct sb_err ignored;
    sb_conn_exec(claim->target, "ROLLBACK", &ignored);
    sb_origin_give_back(claim->target);
}

/* -- pause ----------------------------------------------------------------------------------------------- */

int sb_copy_ask_paused(const struct sb_copy_claim *claim, struct sb_err *err)
{
    const char *params[] = {claim->migration, claim->direction};
    return sb_conn_send(claim->target,
        "SELECT paused FROM switchback.apply_control WHERE migration = $1 AND direction = $2", 2, params,
        err);
}

int sb_copy_poll_paused(const struct sb_copy_claim *claim, bool *ret_paused, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int rc = sb_conn_poll(claim->target, &rows, err);
    if (rc == 0)
        *ret_paused = sb_rows_count(rows) > 0 && sb_rows_bool(rows, 0, 0);
    return rc < 0 ? sb_err_add(err, "could not read switchback.apply_control") : rc;
}

/* -- the end --------------------------------------------------------------------------------------------- */

int sb_copy_complete(const struct sb_copy_claim *claim, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {claim->migration, claim->direction, claim->incarnation};
    SB_FAULT("copy-before-complete");
    if (sb_copy_take_origin(claim, claim->target, claim->origin, err) != 0)
        return -1;
    /* This session commits synchronously, and with it everything its server has committed before. */
    if (sb_conn_query(claim->target,
            "UPDATE switchback.copy SET state = 'complete', completed_at = pg_catalog.now(), "
            "rows = coalesce(c.rows, 0), last_h = coalesce(c.last_h, '0/0') "
            "FROM (SELECT sum(rows)::bigint AS rows, max(flushed_past) AS last_h FROM switchback.chunk "
            "WHERE migration = $1 AND direction = $2) c "
            "WHERE migration = $1 AND direction = $2 AND state = 'pending' AND incarnation = $3 RETURNING "
            "1",
            3, params, &rows, err) != 0)
        return -1;
    sb_origin_give_back(claim->target);
    SB_FAULT("copy-after-complete");
    if (sb_rows_count(rows) == 1)
        return 0;
    return sb_err_set(err, SB_E_EPOCH_STALE, "another copy has taken over");
}

void sb_copy_drop_origins(
    const struct sb_copy_claim *claim, const struct sb_config *config, enum sb_direction direction)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *slots = NULL;
    struct sb_err err;
    char name[SB_NAME_BYTES];
    int rc = sb_conn_query(claim->target,
        "SELECT FROM pg_catalog.pg_replication_slots WHERE database = pg_catalog.current_database() LIMIT 1",
        0, NULL, &slots, &err);
    for (int64_t n = 0; rc == 0 && sb_rows_count(slots) == 0 && n <= config->copy.jobs; n++) {
        sb_wiring_copy_origin(config, direction, (size_t)n, name);
        rc = sb_origin_drop(claim->target, name, &err);
    }
    if (rc != 0)
        SB_DEBUG("origins of the copy stay for now", SB_STR("why", err.text));
}

/* -- again ----------------------------------------------------------------------------------------------- */

static bool relation_put(const char *text, struct sb_buf *out)
{
    const char *dot = strchr(text, '.');
    if (text[0] == '"')
        sb_buf_put_str(out, text);
    else if (dot != NULL)
        sb_ident_put_table(out, sb_view(text, (size_t)(dot - text)), sb_view_str(dot + 1));
    return out->len > 0 && !out->failed;
}

static int wish(const struct sb_copy_claim *claim, const char *relation, bool add, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {claim->migration, claim->direction, relation, add ? "--add" : "--again"};
    if (sb_conn_query(claim->target,
            "INSERT INTO switchback.copy_wish (migration, direction, relation, reason) SELECT migration, "
            "direction, $3, 'switchback copy ' || $4 FROM switchback.copy WHERE migration = $1 AND direction "
            "= "
            "$2 AND state <> 'none' AND ($4 = '--add') = NOT EXISTS (SELECT FROM switchback.copy_table WHERE "
            "migration = $1 AND direction = $2 AND relation = $3) RETURNING 1",
            4, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) > 0)
        return 0;
    return sb_err_set(err, SB_E_USAGE,
        add ? "table %s was copied already, or this migration has no initial copy"
            : "there was no initial copy of table %s (`switchback copy --add` is for tables published later)",
        relation);
}

int sb_copy_again(const struct sb_config *config, enum sb_direction direction, const char *relation, bool add,
    struct sb_err *err)
{
    struct sb_endpoint endpoint = sb_wiring_target(config, direction);
    struct sb_buf name SB_CLEANUP(sb_buf_clear);
    struct sb_copy_claim claim = {.migration = config->migration,
        .direction = sb_direction_name(direction),
        .purpose = "switchback copy --again"};
    sb_buf_init(&name, SQL_MAX_BYTES);
    sb_wiring_copy_origin(config, direction, 0, claim.origin);
    if (!relation_put(relation, &name))
        return sb_err_set(err, SB_E_USAGE, "\"%s\" is no table: write schema.table", relation);
    int rc = sb_conn_open(&endpoint, claim.purpose, SB_CONN_LOCAL_COMMIT, &claim.target, err);
    if (rc == 0)
        rc = sb_copy_take_origin(&claim, claim.target, claim.origin, err);
    if (rc == 0)
        rc = wish(&claim, sb_buf_str(&name), add, err);
    sb_conn_close(claim.target);
    return rc;
}
