#include "apply/copied.h"

#include "core/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOUND_MAX_BYTES = 64 * 1024 * 1024 };

static bool no_table(const struct sb_err *err)
{
    return strcmp(err->sqlstate, "42P01") == 0;
}

static int ask(struct sb_conn *conn, const char *sql, const char *migration, const char *direction,
    struct sb_rows **ret_rows, struct sb_err *err)
{
    const char *params[] = {migration, direction};
    if (sb_conn_query(conn, sql, 2, params, ret_rows, err) == 0)
        return 0;
    return sb_err_add(err, "could not read how far the initial copy is");
}

static int urgent_read(
    struct sb_conn *conn, const char *migration, const char *direction, bool *ret_urgent, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (ask(conn,
            "SELECT FROM switchback.copy_wish WHERE migration = $1 AND direction = $2 AND done_at IS NULL "
            "AND "
            "urgent LIMIT 1",
            migration, direction, &rows, err) != 0)
        return -1;
    *ret_urgent = sb_rows_count(rows) > 0;
    return 0;
}

int sb_copied_read(struct sb_conn *conn, const char *migration, const char *direction,
    struct sb_copied *ret_copied, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    *ret_copied = (struct sb_copied){0};
    if (ask(conn,
            "SELECT c.state = 'pending', pg_catalog.to_jsonb(c) ->> 'structure' = 'pending', c.last_h, "
            "(SELECT p.commit_lsn FROM switchback.progress p WHERE p.migration = $1 AND p.direction = $2 AND "
            "p.lane = 0), coalesce((pg_catalog.to_jsonb(c) ->> 'beside')::boolean, false) FROM "
            "switchback.copy c WHERE c.migration = $1 AND c.direction = $2",
            migration, direction, &rows, err) != 0)
        return no_table(err) ? 0 : -1;
    if (sb_rows_count(rows) == 0)
        return 0;
    uint64_t last_h = sb_rows_lsn(rows, 0, 2), applied = sb_rows_lsn(rows, 0, 3);
    ret_copied->rows_pending = sb_rows_bool(rows, 0, 0);
    ret_copied->beside = ret_copied->rows_pending && sb_rows_bool(rows, 0, 4);
    ret_copied->structure_pending = sb_rows_bool(rows, 0, 1);
    if (ret_copied->beside && urgent_read(conn, migration, direction, &ret_copied->urgent, err) != 0)
        return -1;
    ret_copied->waits = (ret_copied->rows_pending && (!ret_copied->beside || ret_copied->urgent)) ||
                        (ret_copied->structure_pending && applied >= last_h);
    if (ret_copied->structure_pending)
        ret_copied->hold_lsn = last_h == 0 ? 1 : last_h;
    return 0;
}

/* -- in words -------------------------------------------------------------------------------------------- */

/* "initial copy: 3 of 10 tables". */
static int tables_read(struct sb_conn *conn, const char *migration, const char *direction,
    char ret_why[SB_COPIED_WHY_BYTES], bool *ret_done, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (ask(conn,
            "SELECT count(*), count(*) FILTER (WHERE t.chunks <= (SELECT count(*) FROM switchback.chunk k "
            "WHERE k.migration = $1 AND k.direction = $2 AND k.relation = t.relation)) FROM "
            "switchback.copy_table t WHERE t.migration = $1 AND t.direction = $2",
            migration, direction, &rows, err) != 0)
        return -1;
    int64_t tables = sb_rows_i64(rows, 0, 0), done = sb_rows_i64(rows, 0, 1);
    *ret_done = tables > 0 && tables == done;
    snprintf(ret_why, SB_COPIED_WHY_BYTES, "initial copy: %" PRId64 " of %" PRId64 " tables", done, tables);
    return 0;
}

/* "schema: indexes 3 of 12"; of the phase that is not done yet, and untouched if all are. */
static int steps_read(struct sb_conn *conn, const char *migration, const char *direction,
    char ret_why[SB_COPIED_WHY_BYTES], struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (ask(conn,
            "SELECT phase, count(*) FILTER (WHERE done_at IS NOT NULL), count(*) FROM switchback.copy_step "
            "WHERE "
            "migration = $1 AND direction = $2 GROUP BY phase HAVING count(*) FILTER (WHERE done_at IS NULL) "
            "> 0 "
            "ORDER BY phase",
            migration, direction, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        return 0;
    snprintf(ret_why, SB_COPIED_WHY_BYTES, "schema: %s %s of %s",
        strcmp(sb_rows_get(rows, 0, 0), "keys") == 0 ? "indexes" : "constraints", sb_rows_get(rows, 0, 1),
        sb_rows_get(rows, 0, 2));
    return 0;
}

int sb_copied_why(struct sb_conn *conn, const char *migration, const char *direction,
    const struct sb_copied *copied, char ret_why[SB_COPIED_WHY_BYTES], struct sb_err *err)
{
    bool tables_done = false;
    if (tables_read(conn, migration, direction, ret_why, &tables_done, err) != 0)
        return -1;
    if (!copied->structure_pending || (copied->rows_pending && !tables_done))
        return 0;
    return steps_read(conn, migration, direction, ret_why, err);
}

/* -- stamps ---------------------------------------------------------------------------------------------- */

/* Of the lane's own tables, by array and sense (apply/aside). */
#define MINE(array, mine) "(relation = ANY (" array "::text[])) = " mine "::boolean"

int sb_copied_pass(struct sb_conn *conn, const struct sb_progress *progress, const struct sb_aside *aside,
    struct sb_err *err)
{
    char lsn[SB_LSN_TEXT_BYTES], timeline[16];
    snprintf(timeline, sizeof timeline, "%" PRIu32, progress->timeline);
    const char *params[] = {progress->migration, progress->direction,
        sb_lsn_text(progress->position.commit_lsn, lsn), timeline, sb_aside_array(aside),
        sb_aside_mine(aside)};
    if (sb_conn_query(conn,
            "UPDATE switchback.chunk SET passed = true WHERE migration = $1 AND direction = $2 AND NOT "
            "passed "
            "AND flushed_past <= $3 AND timeline = $4 AND " MINE("$5", "$6"),
            6, params, NULL, err) == 0)
        return 0;
    return no_table(err) ? 0 : sb_err_add(err, "could not write down which chunks are passed");
}

static bool bound_take(const char *hex, struct sb_buf *out, bool *ret_open)
{
    sb_buf_reset(out);
    *ret_open = hex == NULL;
    if (hex == NULL)
        return true;
    size_t len = strlen(hex) / 2;
    char *room = sb_buf_grow(out, len);
    return room != NULL && sb_hex_decode(sb_view_str(hex), room, len);
}

static int chunk_take(struct sb_stamps *stamps, const struct sb_rows *rows, int row, struct sb_buf *lower,
    struct sb_buf *upper, struct sb_err *err)
{
    struct sb_stamp_chunk chunk = {.snapshot = sb_rows_get(rows, row, 3),
        .flushed_past = sb_rows_lsn(rows, row, 4),
        .timeline = (uint32_t)sb_rows_u64(rows, row, 5),
        .passed = sb_rows_bool(rows, row, 6)};
    if (!bound_take(sb_rows_get(rows, row, 1), lower, &chunk.range.lower_open) ||
        !bound_take(sb_rows_get(rows, row, 2), upper, &chunk.range.upper_open))
        return sb_err_set(err, SB_E_STATE_FORMAT, "a bound in switchback.chunk does not read as ours");
    chunk.range.lower = sb_buf_view(lower);
    chunk.range.upper = sb_buf_view(upper);
    return sb_stamps_chunk(stamps, &chunk, err);
}

static int table_begin(struct sb_stamps *stamps, struct sb_conn *conn, const struct sb_progress *progress,
    const char *relation, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    enum sb_key_kind kind;
    const char *params[] = {progress->migration, progress->direction, relation};
    if (sb_conn_query(conn,
            "SELECT key_kind, key_column FROM switchback.copy_table WHERE migration = $1 AND direction = $2 "
            "AND relation "
            "= $3",
            3, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0 || !sb_key_kind_find(sb_rows_get(rows, 0, 0), &kind))
        return sb_err_set(
            err, SB_E_STATE_FORMAT, "switchback.copy_table does not read as ours for %s", relation);
    return sb_stamps_table(stamps, sb_view_str(relation), kind, sb_view_str(sb_rows_get(rows, 0, 1)), err);
}

/* Rows come table by table. */
static int fill(struct sb_stamps *stamps, struct sb_conn *conn, const struct sb_progress *progress,
    const struct sb_rows *rows, struct sb_err *err)
{
    struct sb_buf lower SB_CLEANUP(sb_buf_clear), upper SB_CLEANUP(sb_buf_clear);
    const char *current = NULL;
    sb_buf_init(&lower, BOUND_MAX_BYTES);
    sb_buf_init(&upper, BOUND_MAX_BYTES);
    for (int row = 0; row < sb_rows_count(rows); row++) {
        const char *relation = sb_rows_get(rows, row, 0);
        if ((current == NULL || strcmp(current, relation) != 0) &&
            table_begin(stamps, conn, progress, relation, err) != 0)
            return -1;
        current = relation;
        if (chunk_take(stamps, rows, row, &lower, &upper, err) != 0)
            return -1;
    }
    return sb_stamps_seal(stamps, err);
}

/* ret_copied: there is a copy, and it has all of the lane's own tables. */
static int state_read(
    struct sb_conn *conn, const struct sb_progress *progress, bool *ret_copied, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {progress->migration, progress->direction};
    *ret_copied = false;
    if (sb_conn_query(conn,
            "SELECT state, coalesce((pg_catalog.to_jsonb(c) ->> 'beside')::boolean, false) FROM "
            "switchback.copy c WHERE migration = $1 AND direction = $2",
            2, params, &rows, err) != 0)
        return no_table(err) ? 0 : sb_err_add(err, "could not read switchback.copy");
    const char *state = sb_rows_count(rows) == 0 ? "none" : sb_rows_get(rows, 0, 0);
    bool pending = strcmp(state, "pending") == 0;
    if (pending && (progress->lane != SB_LANE_MAIN || !sb_rows_bool(rows, 0, 1)))
        return sb_err_set(err, SB_E_TARGET_UNAVAILABLE, "the initial copy is pending");
    *ret_copied = pending || strcmp(state, "complete") == 0;
    return 0;
}

int sb_copied_stamps(struct sb_conn *conn, const struct sb_progress *progress, const struct sb_aside *aside,
    struct sb_stamps **ret_stamps, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    bool copied;
    const char *params[] = {
        progress->migration, progress->direction, sb_aside_array(aside), sb_aside_mine(aside)};
    *ret_stamps = NULL;
    if (state_read(conn, progress, &copied, err) != 0)
        return -1;
    if (!copied)
        return 0;
    if (sb_copied_pass(conn, progress, aside, err) != 0)
        return -1;
    if (sb_conn_query(conn,
            "SELECT relation, pg_catalog.encode(lower_bound, 'hex'), pg_catalog.encode(upper_bound, 'hex'), "
            "snapshot, flushed_past, timeline, passed FROM switchback.chunk WHERE migration = $1 AND "
            "direction "
            "= $2 AND relation IN (SELECT relation FROM switchback.chunk WHERE migration = $1 AND direction "
            "= "
            "$2 AND NOT passed) AND " MINE("$3", "$4") " ORDER BY relation COLLATE pg_catalog.\"C\"",
            4, params, &rows, err) != 0)
        return sb_err_add(err, "could not read switchback.chunk");
    struct sb_stamps *stamps = sb_stamps_new();
    if (stamps == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the stamps of the initial copy");
    if (fill(stamps, conn, progress, rows, err) != 0) {
        sb_stamps_free(stamps);
        return -1;
    }
    if (sb_stamps_last(stamps) == 0) {
        sb_stamps_free(stamps);
        return 0;
    }
    SB_INFO("commits are judged by the initial copy's stamps", SB_LSN("until", sb_stamps_last(stamps)));
    *ret_stamps = stamps;
    return 0;
}
