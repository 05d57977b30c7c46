#include "apply/recopy.h"

#include "core/fault.h"
#include "core/log.h"
#include "pg/ident.h"
#include "pg/origin.h"
#include "schemas/key.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SQL_MAX_BYTES = 64 * 1024 * 1024 };

struct recopy {
    struct sb_conn *conn;
    const struct sb_config *config;
    const char *migration, *direction;
    enum sb_lane_number lane; /* that asks */
    bool beside;              /* what is taken: the tables are set aside, and apply goes on with the others */
    struct sb_buf sql;
};

/* Those that can be taken now: none while rows are copied. What apply goes on beside comes last, and is not
 * mixed with others. */
static int pending_wishes(struct sb_conn *conn, const char *migration, const char *direction,
    struct sb_rows **ret_rows, struct sb_err *err)
{
    const char *params[] = {migration, direction};
    if (sb_conn_query(conn,
            "WITH w AS (SELECT id, relation, key, reason, EXISTS (SELECT FROM switchback.copy c JOIN "
            "switchback.ownership o USING (migration) WHERE c.migration = $1 AND c.direction = $2 AND "
            "c.structure <> 'pending' AND (o.owner = 'old') = ($2 = 'forward')) AND (key IS NULL OR EXISTS "
            "(SELECT FROM switchback.aside a WHERE a.migration = $1 AND a.direction = $2 AND a.relation = "
            "w.relation)) AS beside FROM switchback.copy_wish w WHERE migration = $1 AND direction = $2 AND "
            "done_at IS NULL AND NOT EXISTS (SELECT FROM switchback.copy c WHERE c.migration = $1 AND "
            "c.direction = $2 AND c.state = 'pending')) SELECT id, relation, pg_catalog.encode(key, 'hex'), "
            "reason, beside FROM w WHERE beside = (SELECT pg_catalog.bool_and(beside) FROM w) ORDER BY key "
            "NULLS FIRST, id LIMIT 5000",
            2, params, ret_rows, err) == 0)
        return 0;
    if (strcmp(err->sqlstate, "42P01") != 0) /* prepared before there were wishes, or tables set aside */
        return sb_err_add(err, "could not read switchback.copy_wish");
    *ret_rows = NULL;
    return 0;
}

int sb_recopy_wished(struct sb_conn *conn, const struct sb_config *config, enum sb_direction direction,
    bool *ret_wished, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (pending_wishes(conn, config->migration, sb_direction_name(direction), &rows, err) != 0)
        return -1;
    *ret_wished = rows != NULL && sb_rows_count(rows) > 0;
    return 0;
}

/* -- asking ---------------------------------------------------------------------------------------------- */

/* The side reader's tables are out of the main lane's way. */
static const char *urgent(enum sb_lane_number lane)
{
    return lane == SB_LANE_MAIN ? "t" : "f";
}

static int ask_one(struct recopy *recopy, const struct sb_suspect *suspect, struct sb_err *err)
{
    struct sb_buf hex SB_CLEANUP(sb_buf_clear), relation SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&hex, SQL_MAX_BYTES);
    sb_buf_init(&relation, SQL_MAX_BYTES);
    sb_buf_put_view(&relation, suspect->relation);
    char *room = sb_buf_grow(&hex, 2 * suspect->key.len + 1);
    if (room == NULL || relation.failed)
        return sb_err_set(
            err, SB_E_LIMIT, "a key of %zu bytes is too long to be asked for again", suspect->key.len);
    sb_hex_encode(suspect->key.ptr, suspect->key.len, room);
    const char *params[] = {recopy->migration, recopy->direction, sb_buf_str(&relation), room,
        SB_RECOPY_MOVED, urgent(recopy->lane)};
    return sb_conn_query(recopy->conn,
        "INSERT INTO switchback.copy_wish (migration, direction, relation, key, reason, urgent) VALUES ($1, "
        "$2, $3, pg_catalog.decode($4, 'hex'), $5, $6)",
        6, params, NULL, err);
}

static int commit(struct recopy *recopy, struct sb_err *err)
{
    sb_buf_reset(&recopy->sql);
    sb_origin_put_commit(0, &recopy->sql);
    return sb_conn_exec(recopy->conn, sb_buf_str(&recopy->sql), err);
}

static void roll_back(struct recopy *recopy)
{
    struct sb_err ignored;
    sb_conn_exec(recopy->conn, "ROLLBACK", &ignored);
}

static int ask_all(struct recopy *recopy, const struct sb_suspects *suspects, struct sb_err *err)
{
    if (sb_conn_exec(recopy->conn, "BEGIN", err) != 0)
        return -1;
    for (size_t i = 0; i < sb_suspects_count(suspects); i++)
        if (ask_one(recopy, sb_suspects_at(suspects, i), err) != 0)
            return -1;
    return commit(recopy, err);
}

int sb_recopy_ask(struct sb_conn *conn, const struct sb_progress *progress,
    const struct sb_suspects *suspects, struct sb_err *err)
{
    struct recopy recopy = {.conn = conn,
        .migration = progress->migration,
        .direction = progress->direction,
        .lane = progress->lane};
    sb_buf_init(&recopy.sql, SQL_MAX_BYTES);
    int rc = ask_all(&recopy, suspects, err);
    if (rc != 0)
        roll_back(&recopy);
    sb_buf_clear(&recopy.sql);
    return rc == 0 ? 0 : sb_err_add(err, "could not ask for rows to be copied again");
}

int sb_recopy_ask_unpassed(struct sb_conn *conn, const struct sb_progress *progress,
    const struct sb_aside *aside, struct sb_err *err)
{
    const char *params[] = {progress->migration, progress->direction, sb_aside_array(aside),
        sb_aside_mine(aside), urgent(progress->lane)};
    if (sb_conn_query(conn,
            "INSERT INTO switchback.copy_wish (migration, direction, relation, reason, urgent) SELECT "
            "DISTINCT migration, direction, relation, 'the source failed over before all that was copied had "
            "been passed', $5::boolean FROM switchback.chunk WHERE migration = $1 AND direction = $2 AND NOT "
            "passed AND (relation = ANY ($3::text[])) = $4::boolean",
            5, params, NULL, err) == 0)
        return 0;
    return sb_err_add(err, "could not ask for tables to be copied again");
}

int sb_recopy_ask_table(
    struct sb_conn *conn, const struct sb_progress *progress, const char *relation, struct sb_err *err)
{
    const char *params[] = {progress->migration, progress->direction, relation};
    if (sb_conn_query(conn,
            "INSERT INTO switchback.copy_wish (migration, direction, relation, reason, urgent) VALUES ($1, "
            "$2, $3, 'published when the copy was complete', true)",
            3, params, NULL, err) == 0)
        return 0;
    return sb_err_add(err, "could not ask for table %s to be copied", relation);
}

/* -- deleting -------------------------------------------------------------------------------------------- */

struct place { /* of a wished key */
    enum sb_key_kind kind;
    const char *column;
    struct sb_key_range range;
};

/* The table's rows, or those of a range. A table that is not there has none: the copy will miss it. */
static int rows_delete(
    struct recopy *recopy, const char *relation, const struct place *place, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {relation};
    struct sb_buf *sql = &recopy->sql;
    if (sb_conn_query(recopy->conn,
            "SELECT pg_catalog.format('%s%I.%I', CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, "
            "n.nspname, "
            "c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind IN ('r', 'p')",
            1, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        return 0;
    sb_buf_reset(sql);
    sb_buf_put_str(sql, "DELETE FROM ");
    sb_buf_put_str(sql, sb_rows_get(rows, 0, 0));
    if (place != NULL) {
        sb_buf_put_str(sql, " WHERE ");
        sb_key_range_put_sql(&place->range, place->kind, sb_view_str(place->column), sql);
    }
    if (sql->failed)
        return sb_err_set(err, SB_E_LIMIT, "a key of table %s is too long to be deleted by", relation);
    return sb_conn_exec(recopy->conn, sb_buf_str(sql), err);
}

/* A table that is large takes its time to be emptied: that is the copy's, too. */
static int set_aside(struct recopy *recopy, const char *relation, bool emptied, struct sb_err *err)
{
    const char *params[] = {recopy->migration, recopy->direction, relation, emptied ? "t" : "f"};
    return sb_conn_query(recopy->conn,
        "INSERT INTO switchback.aside (migration, direction, relation, emptied) VALUES ($1, $2, $3, $4) ON "
        "CONFLICT (migration, direction, relation) DO UPDATE SET emptied = excluded.emptied, since = "
        "excluded.since",
        4, params, NULL, err);
}

static int whole_again(struct recopy *recopy, const char *relation, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *known = NULL;
    const char *params[] = {recopy->migration, recopy->direction, relation};
    if (sb_conn_query(recopy->conn,
            "DELETE FROM switchback.chunk WHERE migration = $1 AND direction = $2 AND relation = $3", 3,
            params, NULL, err) != 0 ||
        sb_conn_query(recopy->conn,
            "SELECT 1 FROM switchback.copy_table WHERE migration = $1 AND direction = $2 AND relation = $3",
            3, params, &known, err) != 0)
        return -1;
    if (recopy->beside)
        return set_aside(recopy, relation, sb_rows_count(known) == 0, err);
    return sb_rows_count(known) > 0 ? rows_delete(recopy, relation, NULL, err) : 0;
}

/* -- one key --------------------------------------------------------------------------------------------- */

static bool hex_take(const char *hex, struct sb_buf *out)
{
    size_t len = hex == NULL ? 0 : strlen(hex) / 2;
    char *room = sb_buf_grow(out, len + 1);
    if (room == NULL)
        return false;
    out->len--;
    return len == 0 || sb_hex_decode(sb_view(hex, 2 * len), room, len);
}

/* Cut [key, next) out of the chunk that has the key: what is left stays as it is, under its stamp. */
static int chunk_cut(
    struct recopy *recopy, const char *relation, const char *key, const char *next, struct sb_err *err)
{
    const char *params[] = {recopy->migration, recopy->direction, relation, key, next};
    if (sb_conn_query(recopy->conn,
            "WITH k AS (SELECT pg_catalog.decode($4, 'hex') AS k, pg_catalog.decode($5, 'hex') AS n), gone "
            "AS "
            "(DELETE FROM switchback.chunk c USING k WHERE c.migration = $1 AND c.direction = $2 AND "
            "c.relation = $3 AND (c.lower_bound IS NULL OR c.lower_bound <= k.k) AND (c.upper_bound IS NULL "
            "OR c.upper_bound > k.k) RETURNING c.*, k.k, k.n, c.lower_bound IS NULL OR c.lower_bound < k.k "
            "AS "
            "below) INSERT INTO switchback.chunk (migration, direction, relation, lower_bound, upper_bound, "
            "snapshot, flushed_past, timeline, rows, digest, schema_id, copied_at, passed, written_by) "
            "SELECT migration, "
            "direction, relation, lower_bound, k, snapshot, flushed_past, timeline, rows, digest, schema_id, "
            "copied_at, passed, written_by FROM gone WHERE below UNION ALL SELECT migration, direction, "
            "relation, n, "
            "upper_bound, "
            "snapshot, flushed_past, timeline, CASE WHEN below THEN 0 ELSE rows END, digest, schema_id, "
            "copied_at, passed, written_by FROM gone WHERE n IS NOT NULL AND (upper_bound IS NULL OR "
            "upper_bound > n)",
            5, params, NULL, err) != 0)
        return -1;
    return sb_conn_query(recopy->conn,
        "UPDATE switchback.copy_table SET chunks = 1 + (SELECT count(*) FROM switchback.chunk WHERE "
        "migration "
        "= $1 AND direction = $2 AND relation = $3) WHERE migration = $1 AND direction = $2 AND relation = "
        "$3",
        3, params, NULL, err);
}

/* chunk: one row, kind and column of the table's key, upper bound of the chunk. */
static int key_in_chunk(struct recopy *recopy, const char *relation, const char *key,
    const struct sb_rows *chunk, struct sb_err *err)
{
    struct sb_buf lower SB_CLEANUP(sb_buf_clear), end SB_CLEANUP(sb_buf_clear)
    , next SB_CLEANUP(sb_buf_clear)
    , hex SB_CLEANUP(sb_buf_clear);
    struct place place = {.column = sb_rows_get(chunk, 0, 1)};
    const char *upper = sb_rows_get(chunk, 0, 2);
    sb_buf_init(&lower, SQL_MAX_BYTES);
    sb_buf_init(&end, SQL_MAX_BYTES);
    sb_buf_init(&next, SQL_MAX_BYTES);
    sb_buf_init(&hex, SQL_MAX_BYTES);
    if (!sb_key_kind_find(sb_rows_get(chunk, 0, 0), &place.kind) || !hex_take(key, &lower) ||
        !hex_take(upper, &end))
        return sb_err_set(err, SB_E_STATE_FORMAT,
            "switchback.copy_wish or switchback.chunk does not read as ours for %s", relation);
    bool found = sb_key_put_next(place.kind, sb_buf_view(&lower), &next);
    if (found && upper != NULL && sb_view_cmp(sb_buf_view(&next), sb_buf_view(&end)) >= 0)
        found = false;
    place.range = (struct sb_key_range){.lower = sb_buf_view(&lower),
        .upper_open = !found && upper == NULL,
        .upper = found ? sb_buf_view(&next) : sb_buf_view(&end)};
    char *room = sb_buf_grow(&hex, 2 * next.len + 1);
    if (room == NULL)
        return sb_err_set(err, SB_E_LIMIT, "a key of table %s is too long", relation);
    sb_hex_encode(next.ptr, next.len, room);
    if (chunk_cut(recopy, relation, key, found ? room : NULL, err) != 0)
        return -1;
    return rows_delete(recopy, relation, &place, err);
}

static int key_again(struct recopy *recopy, const char *relation, const char *key, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *chunk = NULL;
    const char *params[] = {recopy->migration, recopy->direction, relation, key};
    if (sb_conn_query(recopy->conn,
            "SELECT t.key_kind, t.key_column, pg_catalog.encode(c.upper_bound, 'hex') FROM switchback.chunk "
            "c "
            "JOIN switchback.copy_table t USING (migration, direction, relation) WHERE migration = $1 AND "
            "direction = $2 AND relation = $3 AND (lower_bound IS NULL OR lower_bound <= "
            "pg_catalog.decode($4, 'hex')) AND (upper_bound IS NULL OR upper_bound > pg_catalog.decode($4, "
            "'hex'))",
            4, params, &chunk, err) != 0)
        return -1;
    if (sb_rows_count(chunk) == 0)
        return 0; /* it is missing already */
    if (strcmp(sb_rows_get(chunk, 0, 0), sb_key_kind_name(SB_KEY_NONE)) == 0)
        return whole_again(recopy, relation, err);
    return key_in_chunk(recopy, relation, key, chunk, err);
}

/* -- taking ---------------------------------------------------------------------------------------------- */

static int take_one(struct recopy *recopy, const struct sb_rows *wishes, int row, struct sb_err *err)
{
    const char *relation = sb_rows_get(wishes, row, 1), *key = sb_rows_get(wishes, row, 2);
    const char *params[] = {sb_rows_get(wishes, row, 0)};
    if (key == NULL)
        SB_INFO("table is copied again", SB_STR("table", relation),
            SB_STR("reason", sb_rows_get(wishes, row, 3)));
    if ((key == NULL ? whole_again(recopy, relation, err) : key_again(recopy, relation, key, err)) != 0)
        return sb_err_add(err, "table %s is to be copied again", relation);
    return sb_conn_query(recopy->conn,
        "UPDATE switchback.copy_wish SET done_at = pg_catalog.now() WHERE id = $1", 1, params, NULL, err);
}

/* The side reader begins where apply stands. It may have been there already: where it stands it has to stay,
 * if one of its tables was not among the wishes. */
static int side_begin(struct recopy *recopy, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *stays = NULL;
    const char *params[] = {recopy->migration, recopy->direction};
    if (sb_conn_query(recopy->conn,
            "SELECT FROM switchback.aside a WHERE migration = $1 AND direction = $2 AND NOT EXISTS (SELECT "
            "FROM switchback.copy_wish w WHERE w.migration = a.migration AND w.direction = a.direction AND "
            "w.relation = a.relation AND w.key IS NULL AND w.done_at = pg_catalog.now())",
            2, params, &stays, err) != 0)
        return -1;
    if (sb_rows_count(stays) == 0 &&
        sb_conn_query(recopy->conn,
            "DELETE FROM switchback.progress WHERE migration = $1 AND direction = $2 AND lane = 1", 2, params,
            NULL, err) != 0)
        return -1;
    return sb_conn_query(recopy->conn,
        "INSERT INTO switchback.progress (migration, direction, lane, stream_uuid, source_uuid, epoch, "
        "sequence, timeline, commit_lsn, chain, ownership_epoch, stream_offset, commit_us) SELECT migration, "
        "direction, 1, stream_uuid, source_uuid, epoch, sequence, timeline, commit_lsn, chain, "
        "ownership_epoch, stream_offset, commit_us FROM switchback.progress WHERE migration = $1 AND "
        "direction = $2 AND lane = 0 ON CONFLICT (migration, direction, lane) DO NOTHING",
        2, params, NULL, err);
}

static int take_all(struct recopy *recopy, const struct sb_rows *wishes, struct sb_err *err)
{
    char sql[128];
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *copy = NULL;
    const char *params[] = {recopy->migration, recopy->direction, recopy->beside ? "t" : "f"};
    snprintf(sql, sizeof sql,
        "BEGIN; SET LOCAL session_replication_role = replica; SET LOCAL lock_timeout = %" PRId64,
        recopy->config->apply.lock_timeout_ms);
    if (sb_conn_exec(recopy->conn, sql, err) != 0 ||
        sb_conn_query(recopy->conn,
            "UPDATE switchback.copy SET state = 'pending', completed_at = NULL, incarnation = NULL, beside = "
            "$3 WHERE migration = $1 AND direction = $2 AND state = 'complete' RETURNING 1",
            3, params, &copy, err) != 0)
        return -1;
    if (sb_rows_count(copy) == 0) {
        sb_err_set(err, SB_E_USAGE, "table %s is to be copied again, but this migration has no initial copy",
            sb_rows_get(wishes, 0, 1));
        return sb_err_hint(err,
            "On the target: UPDATE switchback.copy_wish SET done_at = now() WHERE done_at IS NULL; then "
            "`switchback resume`.");
    }
    for (int i = 0; i < sb_rows_count(wishes); i++)
        if (take_one(recopy, wishes, i, err) != 0)
            return -1;
    if (recopy->beside && side_begin(recopy, err) != 0)
        return -1;
    SB_FAULT("apply-before-recopy");
    if (commit(recopy, err) != 0)
        return -1;
    SB_FAULT("apply-after-recopy");
    SB_INFO(recopy->beside ? "tables are set aside and copied; apply goes on with the others"
                           : "rows are copied again; apply waits for them",
        SB_NUM("wishes", sb_rows_count(wishes)));
    return 0;
}

int sb_recopy_take(struct sb_conn *conn, const struct sb_config *config, enum sb_direction direction,
    bool *ret_any, bool *ret_busy, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *wishes = NULL;
    struct sb_names names;
    struct recopy recopy = {.conn = conn,
        .config = config,
        .migration = config->migration,
        .direction = sb_direction_name(direction)};
    *ret_any = *ret_busy = false;
    if (pending_wishes(conn, recopy.migration, recopy.direction, &wishes, err) != 0)
        return -1;
    if (wishes == NULL || sb_rows_count(wishes) == 0)
        return 0;
    sb_wiring_names(config, direction, &names);
    int rc = sb_origin_take(conn, names.origin, err);
    *ret_busy = rc == SB_ORIGIN_BUSY;
    if (rc != 0)
        return -1;
    sb_buf_init(&recopy.sql, SQL_MAX_BYTES);
    recopy.beside = sb_rows_bool(wishes, 0, 4);
    rc = take_all(&recopy, wishes, err);
    if (rc != 0)
        roll_back(&recopy);
    sb_buf_clear(&recopy.sql);
    sb_origin_give_back(conn);
    *ret_any = rc == 0;
    return rc;
}
