#include "reconcile/differences.h"

#include "core/log.h"
#include "pg/ident.h"
#include "schemas/rowform.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_ROWS = 500,
    BATCH_BYTES = 4 * 1024 * 1024, /* written earlier, if there is as much */
    ARRAY_MAX_BYTES = 256 * 1024 * 1024,
    SHOWN_MAX_BYTES = 64 * 1024, /* longer keys are not shown */
    NUMBER_BYTES = 24,
};

/* A batch is an array for each of these, as text, and goes to the server as one statement. */
enum column {
    KEY_DIGEST,
    KEY,
    KEY_SHOWN,
    KIND,
    ROWS,
    COLUMNS,
    SOURCE_ROW,
    TARGET_ROW,
    FAULT,
    BY_STREAM,
    HORIZON,
    APPLIED_LSN,
    COMMIT_LSN,
    XID,
    COMMIT_US,
    COLUMN_COUNT
};

struct sb_differences {
    struct sb_differences_options options;
    const struct sb_verify_table *table; /* of the batch */
    struct sb_digest column_set;
    size_t count;
    struct sb_buf arrays[COLUMN_COUNT];
    struct sb_buf text;
    char run[NUMBER_BYTES];
};

int sb_differences_new(
    const struct sb_differences_options *options, struct sb_differences **ret_all, struct sb_err *err)
{
    struct sb_differences *all = calloc(1, sizeof *all);
    if (all == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the ledger of differences");
    all->options = *options;
    snprintf(all->run, sizeof all->run, "%" PRId64, options->run);
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        sb_buf_init(&all->arrays[i], ARRAY_MAX_BYTES);
    sb_buf_init(&all->text, ARRAY_MAX_BYTES);
    *ret_all = all;
    return 0;
}

void sb_differences_free(struct sb_differences *all)
{
    if (all == NULL)
        return;
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        sb_buf_clear(&all->arrays[i]);
    sb_buf_clear(&all->text);
    free(all);
}

/* -- a row of the batch ---------------------------------------------------------------------------------- */

static void put_text(struct sb_differences *all, enum column column, const char *text)
{
    const struct sb_view view = sb_view_str(text);
    sb_array_put(&all->arrays[column], text == NULL ? NULL : &view);
}

static void put_number(struct sb_differences *all, enum column column, uint64_t number)
{
    char text[NUMBER_BYTES];
    snprintf(text, sizeof text, "%" PRIu64, number);
    put_text(all, column, number == 0 ? NULL : text);
}

static void put_lsn(struct sb_differences *all, enum column column, uint64_t lsn)
{
    char text[SB_LSN_TEXT_BYTES];
    put_text(all, column, lsn == 0 && column == COMMIT_LSN ? NULL : sb_lsn_text(lsn, text));
}

static void put_hex(struct sb_differences *all, enum column column, const void *bytes, size_t len)
{
    char *room;
    sb_buf_reset(&all->text);
    room = bytes == NULL ? NULL : sb_buf_grow(&all->text, len * 2 + 1);
    if (room != NULL)
        sb_hex_encode(bytes, len, room);
    if (bytes != NULL && room == NULL)
        all->arrays[column].failed = true;
    put_text(all, column, room);
}

static void put_digest(struct sb_differences *all, enum column column, const struct sb_digest *digest)
{
    put_hex(all, column, digest == NULL ? NULL : digest->bytes, sizeof digest->bytes);
}

static void put_shown(struct sb_differences *all, const struct sb_finding *finding)
{
    sb_buf_reset(&all->text);
    bool shown = finding->key_bytes.len > 0 && finding->key_bytes.len <= SHOWN_MAX_BYTES &&
                 sb_verify_put_key_json(finding->table, finding->key_bytes, &all->text);
    put_text(all, KEY_SHOWN, shown ? sb_buf_str(&all->text) : NULL);
}

static void put_columns(struct sb_differences *all, const struct sb_finding *finding)
{
    sb_buf_reset(&all->text);
    for (size_t i = 0; finding->differs != NULL && i < finding->table->column_count; i++)
        if (finding->differs[i])
            sb_array_put(&all->text, &finding->table->columns[i]);
    bool known = all->text.len > 0;
    sb_array_end(&all->text);
    put_text(all, COLUMNS, known ? sb_buf_str(&all->text) : NULL);
}

static void put_row(struct sb_differences *all, const struct sb_finding *finding)
{
    put_digest(all, KEY_DIGEST, &finding->key);
    put_hex(all, KEY, finding->key_bytes.len == 0 ? NULL : finding->key_bytes.ptr, finding->key_bytes.len);
    put_shown(all, finding);
    put_text(all, KIND, sb_verdict_kind_name(finding->kind));
    put_number(all, ROWS, (uint64_t)finding->rows);
    put_columns(all, finding);
    put_digest(all, SOURCE_ROW, finding->row[SB_SIDE_SOURCE]);
    put_digest(all, TARGET_ROW, finding->row[SB_SIDE_TARGET]);
    put_text(all, FAULT, finding->source_differs ? "capture" : "unknown");
    put_text(all, BY_STREAM, finding->by_stream ? "t" : "f");
    put_lsn(all, HORIZON, finding->h);
    put_lsn(all, APPLIED_LSN, finding->applied_lsn);
    put_lsn(all, COMMIT_LSN, finding->newest.commit_lsn);
    put_number(all, XID, finding->newest.xid);
    put_number(all, COMMIT_US, (uint64_t)finding->newest.commit_us);
    all->count++;
}

/* -- the batch ------------------------------------------------------------------------------------------- */

static const char upsert[] =
    "INSERT INTO switchback.difference AS d (migration, direction, ownership_epoch, relation, column_set, "
    "found_by, seen_by, "
    "key_digest, key, key_shown, kind, rows, columns, source_row, target_row, fault, by_stream, horizon, "
    "applied_lsn, "
    "commit_lsn, xid, commit_us) SELECT $1, $2, coalesce((SELECT p.ownership_epoch FROM switchback.progress "
    "p WHERE "
    "p.migration = $1 AND "
    "p.direction = $2 AND p.lane = 0), 0), $3, pg_catalog.decode($4, 'hex'), $5::bigint, $5::bigint, "
    "pg_catalog.decode(f.key_digest, 'hex'), pg_catalog.decode(f.key, 'hex'), f.key_shown, f.kind, f.rows, "
    "f.columns::text[], "
    "pg_catalog.decode(f.source_row, 'hex'), pg_catalog.decode(f.target_row, 'hex'), f.fault, f.by_stream, "
    "f.horizon, "
    "f.applied_lsn, f.commit_lsn, f.xid, f.commit_us FROM (SELECT DISTINCT ON (u.key_digest) u.* FROM "
    "unnest($6::text[], "
    "$7::text[], $8::text[], $9::text[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::text[], "
    "$15::boolean[], "
    "$16::pg_lsn[], $17::pg_lsn[], $18::pg_lsn[], $19::bigint[], $20::bigint[]) AS u (key_digest, key, "
    "key_shown, kind, "
    "rows, columns, "
    "source_row, target_row, fault, by_stream, horizon, applied_lsn, commit_lsn, xid, commit_us)) f "
    "ON CONFLICT (migration, direction, relation, key_digest) DO UPDATE SET ownership_epoch = "
    "excluded.ownership_epoch, "
    "column_set = excluded.column_set, seen_by = excluded.seen_by, key = excluded.key, key_shown = "
    "excluded.key_shown, "
    /* Who was at fault is still known if the target's row is still the same. */
    "fault = CASE WHEN excluded.fault = 'unknown' AND d.kind = excluded.kind AND d.target_row IS NOT "
    "DISTINCT FROM "
    "excluded.target_row THEN d.fault ELSE excluded.fault END, "
    "evidence = CASE WHEN excluded.fault = 'unknown' AND d.kind = excluded.kind AND d.target_row IS NOT "
    "DISTINCT FROM "
    "excluded.target_row THEN d.evidence ELSE '' END, "
    "kind = excluded.kind, rows = excluded.rows, columns = excluded.columns, source_row = "
    "excluded.source_row, target_row = "
    "excluded.target_row, by_stream = excluded.by_stream, horizon = excluded.horizon, applied_lsn = "
    "excluded.applied_lsn, "
    "commit_lsn = coalesce(excluded.commit_lsn, d.commit_lsn), xid = coalesce(excluded.xid, d.xid), "
    "commit_us = coalesce(excluded.commit_us, d.commit_us), "
    "times = d.times + CASE WHEN d.seen_by = excluded.seen_by THEN 0 ELSE 1 END, last_seen_at = "
    "pg_catalog.clock_timestamp(), "
    "state = CASE WHEN d.state IN ('repaired', 'gone') THEN 'open' ELSE d.state END, closed_at = NULL";

static size_t batch_bytes(const struct sb_differences *all)
{
    size_t bytes = 0;
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        bytes += all->arrays[i].len;
    return bytes;
}

static int batch_end(struct sb_differences *all, struct sb_err *err)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        sb_array_end(&all->arrays[i]);
        if (all->arrays[i].failed)
            return sb_err_set(err, SB_E_LIMIT,
                "differences of table %s do not fit into a statement of %d bytes", all->table->relation,
                ARRAY_MAX_BYTES);
    }
    return 0;
}

int sb_differences_flush(struct sb_differences *all, struct sb_err *err)
{
    char column_set[2 * sizeof(struct sb_digest) + 1];
    if (all->count == 0)
        return 0;
    if (batch_end(all, err) != 0)
        return -1;
    sb_hex_encode(all->column_set.bytes, sizeof all->column_set.bytes, column_set);
    const char *params[5 + COLUMN_COUNT] = {
        all->options.migration, all->options.direction, all->table->relation, column_set, all->run};
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        params[5 + i] = sb_buf_str(&all->arrays[i]);
    if (sb_conn_query(all->options.target, upsert, 5 + COLUMN_COUNT, params, NULL, err) != 0)
        return sb_err_add(err, "could not write down the differences of table %s", all->table->relation);
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        sb_buf_reset(&all->arrays[i]);
    all->count = 0;
    return 0;
}

int sb_differences_add(struct sb_differences *all, const struct sb_finding *finding, struct sb_err *err)
{
    if (finding->table != all->table) {
        if (sb_differences_flush(all, err) != 0)
            return -1;
        all->table = finding->table;
        all->column_set = sb_rowform_column_set(finding->table->columns, finding->table->column_count);
    }
    put_row(all, finding);
    return all->count < BATCH_ROWS && batch_bytes(all) < BATCH_BYTES ? 0 : sb_differences_flush(all, err);
}

int sb_differences_close(struct sb_differences *all, const struct sb_verify_table *table, struct sb_err *err)
{
    const char *params[] = {all->options.migration, all->options.direction, table->relation, all->run};
    /* What others found meanwhile is theirs to close. */
    if (sb_conn_query(all->options.target,
            "UPDATE switchback.difference SET state = 'gone', closed_at = pg_catalog.clock_timestamp() WHERE "
            "migration = $1 "
            "AND direction = $2 AND relation = $3 AND state = 'open' AND seen_by <> $4::bigint AND "
            "last_seen_at < (SELECT "
            "r.started_at FROM switchback.verify_run r WHERE r.id = $4::bigint)",
            sizeof params / sizeof params[0], params, NULL, err) != 0)
        return sb_err_add(err, "could not close differences of table %s", table->relation);
    return 0;
}
