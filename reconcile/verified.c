#include "reconcile/verified.h"

#include "core/clock.h"
#include "core/log.h"
#include "schemas/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_BYTES = 24, BOUND_MAX_BYTES = 64 * 1024 * 1024 };

static int query(const struct sb_verified *verified, const char *sql, int count, const char *const *params,
    struct sb_rows **ret_rows, struct sb_err *err)
{
    if (sb_conn_query(verified->target, sql, count, params, ret_rows, err) == 0)
        return 0;
    if (strcmp(err->sqlstate, "42P01") == 0)
        return sb_err_hint(
            err, "The control schema is older than this program: run `switchback prepare` again.");
    return sb_err_add(err, "could not read or write what was proven");
}

/* -- the place ------------------------------------------------------------------------------------------- */

int sb_verified_place(const struct sb_verified *verified, struct sb_place *ret_place, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char uuid[SB_UUID_TEXT_BYTES], timeline[NUMBER_BYTES];
    snprintf(timeline, sizeof timeline, "%" PRIu32, verified->timeline);
    const char *params[] = {
        verified->migration, verified->direction, sb_uuid_text(&verified->stream, uuid), timeline};
    if (query(verified,
            "SELECT epoch, sequence, commit_lsn, pg_catalog.encode(chain, 'hex'), stream_offset, commit_us "
            "FROM "
            "switchback.verified_place WHERE migration = $1 AND direction = $2 AND stream_uuid = $3::uuid "
            "AND "
            "timeline = $4::integer",
            4, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        return 1;
    struct sb_position *position = &ret_place->position;
    position->epoch = sb_rows_u64(rows, 0, 0);
    position->sequence = sb_rows_u64(rows, 0, 1);
    position->commit_lsn = sb_rows_lsn(rows, 0, 2);
    ret_place->offset = sb_rows_i64(rows, 0, 4);
    ret_place->us = sb_rows_i64(rows, 0, 5);
    return sb_hex_decode(
               sb_view_str(sb_rows_get(rows, 0, 3)), position->chain.bytes, sizeof position->chain.bytes)
               ? 0
               : 1;
}

int sb_verified_forget_place(const struct sb_verified *verified, struct sb_err *err)
{
    const char *params[] = {verified->migration, verified->direction};
    return query(verified, "DELETE FROM switchback.verified_place WHERE migration = $1 AND direction = $2", 2,
        params, NULL, err);
}

static int put_place(const struct sb_verified *verified, const struct sb_place *place, struct sb_err *err)
{
    char uuid[SB_UUID_TEXT_BYTES], lsn[SB_LSN_TEXT_BYTES], chain[SB_DIGEST_TEXT_BYTES];
    char numbers[5][NUMBER_BYTES];
    snprintf(numbers[0], NUMBER_BYTES, "%" PRIu32, verified->timeline);
    snprintf(numbers[1], NUMBER_BYTES, "%" PRIu64, place->position.epoch);
    snprintf(numbers[2], NUMBER_BYTES, "%" PRIu64, place->position.sequence);
    snprintf(numbers[3], NUMBER_BYTES, "%" PRId64, place->offset);
    snprintf(numbers[4], NUMBER_BYTES, "%" PRId64, place->us);
    sb_hex_encode(place->position.chain.bytes, sizeof place->position.chain.bytes, chain);
    const char *params[] = {verified->migration, verified->direction, sb_uuid_text(&verified->stream, uuid),
        numbers[0], numbers[1], numbers[2], sb_lsn_text(place->position.commit_lsn, lsn), chain, numbers[3],
        numbers[4]};
    return query(verified,
        "INSERT INTO switchback.verified_place (migration, direction, stream_uuid, timeline, epoch, "
        "sequence, "
        "commit_lsn, chain, stream_offset, commit_us) VALUES ($1, $2, $3, $4, $5, $6, $7, "
        "pg_catalog.decode($8, 'hex'), $9, $10) ON CONFLICT (migration, direction) DO UPDATE SET stream_uuid "
        "= "
        "excluded.stream_uuid, timeline = excluded.timeline, epoch = excluded.epoch, sequence = "
        "excluded.sequence, commit_lsn = excluded.commit_lsn, chain = excluded.chain, stream_offset = "
        "excluded.stream_offset, commit_us = excluded.commit_us, written_at = pg_catalog.clock_timestamp()",
        sizeof params / sizeof params[0], params, NULL, err);
}

/* -- tables ---------------------------------------------------------------------------------------------- */

static void put_shape(const struct sb_verify_table *table, struct sb_buf *out)
{
    sb_buf_put_str(out, table->source_shape);
    sb_buf_put_str(out, " | ");
    sb_buf_put_str(out, table->target_shape);
}

int sb_verified_load(const struct sb_verified *verified, const struct sb_verify_table *table,
    struct sb_verified_table *ret_table, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_buf shape SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&shape, BOUND_MAX_BYTES);
    put_shape(table, &shape);
    const char *params[] = {verified->migration, verified->direction, table->relation, sb_buf_str(&shape)};
    if (query(verified,
            "SELECT v.shape = $4, v.frontier_lsn, v.frontier_us, v.needs_pass, v.proven, v.passed_to, "
            "v.passing, "
            "coalesce((extract(epoch FROM v.passed_at) * 1000000)::bigint, 0), EXISTS (SELECT FROM "
            "switchback.aside a WHERE a.migration = v.migration AND a.direction = v.direction AND a.relation "
            "= v.relation) OR EXISTS (SELECT FROM "
            "switchback.chunk c WHERE c.migration = v.migration AND c.direction = v.direction AND c.relation "
            "= "
            "v.relation AND c.copied_at > least(v.passed_at, (SELECT min(d.done_at) FROM "
            "switchback.verified_chunk d WHERE d.migration = v.migration AND d.direction = v.direction AND "
            "d.relation = v.relation))) FROM switchback.verified v WHERE v.migration = $1 AND "
            "v.direction = $2 AND v.relation = $3",
            4, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        return 1;
    *ret_table = (struct sb_verified_table){.same_shape = sb_rows_bool(rows, 0, 0),
        .state = {.compared = table->strategy != SB_STRATEGY_NONE,
            .keyed = table->key_count > 0,
            .lsn = sb_rows_lsn(rows, 0, 1),
            .us = sb_rows_i64(rows, 0, 2),
            .needs_pass = sb_rows_bool(rows, 0, 3),
            .proven = sb_rows_bool(rows, 0, 4),
            .passed_to = sb_rows_lsn(rows, 0, 5)},
        .passing = sb_rows_bool(rows, 0, 6),
        .passed_us = sb_rows_i64(rows, 0, 7),
        .copied_since = sb_rows_bool(rows, 0, 8)};
    return 0;
}

int sb_verified_put(const struct sb_verified *verified, const struct sb_verify_table *table,
    const struct sb_verified_table *what, size_t differences, struct sb_err *err)
{
    char lsn[SB_LSN_TEXT_BYTES], passed_to[SB_LSN_TEXT_BYTES], passed[SB_TIME_TEXT_BYTES];
    char numbers[2][NUMBER_BYTES];
    struct sb_buf shape SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&shape, BOUND_MAX_BYTES);
    put_shape(table, &shape);
    snprintf(numbers[0], NUMBER_BYTES, "%" PRId64, what->state.us);
    snprintf(numbers[1], NUMBER_BYTES, "%zu", differences);
    const char *params[] = {verified->migration, verified->direction, table->relation, sb_buf_str(&shape),
        sb_lsn_text(what->state.lsn, lsn), numbers[0], what->state.needs_pass ? "t" : "f",
        what->state.proven ? "t" : "f", sb_lsn_text(what->state.passed_to, passed_to),
        what->passing ? "t" : "f", what->passed_us == 0 ? NULL : sb_clock_text(what->passed_us, passed),
        numbers[1]};
    return query(verified,
        "INSERT INTO switchback.verified (migration, direction, relation, shape, frontier_lsn, frontier_us, "
        "needs_pass, proven, passed_to, passing, passed_at, differences) VALUES ($1, $2, $3, $4, $5, $6, $7, "
        "$8, "
        "$9, $10, $11, $12) ON CONFLICT (migration, direction, relation) DO UPDATE SET shape = "
        "excluded.shape, "
        "frontier_lsn = excluded.frontier_lsn, frontier_us = excluded.frontier_us, needs_pass = "
        "excluded.needs_pass, proven = excluded.proven, passed_to = excluded.passed_to, passing = "
        "excluded.passing, passed_at = excluded.passed_at, differences = excluded.differences",
        sizeof params / sizeof params[0], params, NULL, err);
}

/* -- chunks ---------------------------------------------------------------------------------------------- */

static bool bound_keep(
    const struct sb_rows *rows, int row, int col, struct sb_arena *arena, struct sb_view *ret_bound)
{
    struct sb_view hex = sb_view_str(sb_rows_get(rows, row, col));
    unsigned char *bytes = sb_arena_alloc(arena, hex.len / 2 + 1);
    if (bytes == NULL || !sb_hex_decode(hex, bytes, hex.len / 2))
        return false;
    *ret_bound = sb_view(bytes, hex.len / 2);
    return true;
}

static bool range_keep(
    const struct sb_rows *rows, int row, struct sb_arena *arena, struct sb_key_range *ret_range)
{
    ret_range->lower_open = sb_rows_get(rows, row, 0) == NULL;
    ret_range->upper_open = sb_rows_get(rows, row, 1) == NULL;
    return (ret_range->lower_open || bound_keep(rows, row, 0, arena, &ret_range->lower)) &&
           (ret_range->upper_open || bound_keep(rows, row, 1, arena, &ret_range->upper));
}

int sb_verified_chunks(const struct sb_verified *verified, const struct sb_verify_table *table,
    struct sb_arena *arena, struct sb_ranges *ret_done, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {verified->migration, verified->direction, table->relation};
    if (query(verified,
            "SELECT pg_catalog.encode(lower_bound, 'hex'), pg_catalog.encode(upper_bound, 'hex') FROM "
            "switchback.verified_chunk WHERE migration = $1 AND direction = $2 AND relation = $3",
            3, params, &rows, err) != 0)
        return -1;
    size_t count = (size_t)sb_rows_count(rows);
    ret_done->count = 0;
    ret_done->items = sb_arena_zalloc(arena, (count + 1) * sizeof *ret_done->items);
    for (; ret_done->items != NULL && ret_done->count < count; ret_done->count++)
        if (!range_keep(rows, (int)ret_done->count, arena, &ret_done->items[ret_done->count]))
            break;
    if (ret_done->items != NULL && ret_done->count == count)
        return 0;
    return sb_err_set(err, SB_E_LIMIT, "finished chunks do not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(arena), sb_arena_name(arena));
}

/* NULL: open. */
static const char *bound_hex(bool open, struct sb_view bound, struct sb_buf *out)
{
    char *room = open ? NULL : sb_buf_grow(out, bound.len * 2 + 1);
    if (room != NULL)
        sb_hex_encode(bound.ptr, bound.len, room);
    return room;
}

int sb_verified_put_chunk(const struct sb_verified *verified, const struct sb_verify_table *table,
    const struct sb_key_range *range, int64_t rows, struct sb_err *err)
{
    char number[NUMBER_BYTES];
    struct sb_buf lower SB_CLEANUP(sb_buf_clear), upper SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&lower, BOUND_MAX_BYTES);
    sb_buf_init(&upper, BOUND_MAX_BYTES);
    snprintf(number, sizeof number, "%" PRId64, rows);
    const char *params[] = {verified->migration, verified->direction, table->relation,
        bound_hex(range->lower_open, range->lower, &lower),
        bound_hex(range->upper_open, range->upper, &upper), number};
    if (lower.failed || upper.failed)
        return sb_err_set(err, SB_E_LIMIT, "table %s: a chunk's bound is larger than %d bytes",
            table->relation, BOUND_MAX_BYTES);
    return query(verified,
        "INSERT INTO switchback.verified_chunk (migration, direction, relation, lower_bound, upper_bound, "
        "rows) "
        "VALUES ($1, $2, $3, pg_catalog.decode($4, 'hex'), pg_catalog.decode($5, 'hex'), $6)",
        6, params, NULL, err);
}

int sb_verified_drop_chunks(
    const struct sb_verified *verified, const struct sb_verify_table *table, struct sb_err *err)
{
    const char *params[] = {verified->migration, verified->direction, table->relation};
    return query(verified,
        "DELETE FROM switchback.verified_chunk WHERE migration = $1 AND direction = $2 AND relation = $3", 3,
        params, NULL, err);
}

/* -- a save ---------------------------------------------------------------------------------------------- */

int sb_verified_begin(const struct sb_verified *verified, const struct sb_place *place, struct sb_err *err)
{
    return sb_conn_exec(verified->target, "BEGIN", err) != 0 ? -1 : put_place(verified, place, err);
}

int sb_verified_end(const struct sb_verified *verified, struct sb_err *err)
{
    return sb_conn_exec(verified->target, "COMMIT", err);
}

int sb_verified_now(const struct sb_verified *verified, int64_t *ret_us, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (query(verified, "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint", 0,
            NULL, &rows, err) != 0)
        return -1;
    *ret_us = sb_rows_i64(rows, 0, 0);
    return 0;
}

int sb_verified_clean(const struct sb_verified *verified, const struct sb_verify_table *table,
    int64_t since_us, struct sb_err *err)
{
    char since[SB_TIME_TEXT_BYTES];
    const char *params[] = {
        verified->migration, verified->direction, table->relation, sb_clock_text(since_us, since)};
    return query(verified,
        "UPDATE switchback.difference SET state = 'gone', "
        "closed_at = pg_catalog.clock_timestamp() WHERE migration = $1 AND direction = $2 AND relation = $3 "
        "AND "
        "last_seen_at < $4::timestamptz AND state = 'open'",
        4, params, NULL, err);
}

int sb_verified_mended(const struct sb_verified *verified, const struct sb_verify_table *table,
    const struct sb_digest *key, struct sb_err *err)
{
    char digest[SB_DIGEST_TEXT_BYTES];
    sb_hex_encode(key->bytes, sizeof key->bytes, digest);
    const char *params[] = {verified->migration, verified->direction, table->relation, digest};
    return query(verified,
        "UPDATE switchback.difference SET state = 'gone', "
        "closed_at = pg_catalog.clock_timestamp() WHERE migration = $1 AND direction = $2 AND relation = $3 "
        "AND "
        "key_digest = pg_catalog.decode($4, 'hex') AND state = 'open'",
        4, params, NULL, err);
}
