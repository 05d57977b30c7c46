#include "reconcile/run_row.h"

#include "core/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* "SBVR", the upper half of the advisory lock; the lower one is the run. */
#define LOCK_CLASS "1396856402"

enum { NUMBER_BYTES = 24 };

static int failed(struct sb_err *err)
{
    if (strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "42703") == 0)
        return sb_err_hint(
            err, "The control schema is older than this program: run `switchback prepare` again.");
    return sb_err_add(err, "could not record the run");
}

static int mark_dead(const struct sb_run_row *row, struct sb_err *err)
{
    const char *params[] = {row->migration, row->direction};
    return sb_conn_query(row->target,
        "UPDATE switchback.verify_run r SET state = 'died', ended_at = pg_catalog.clock_timestamp() WHERE "
        "r.migration = $1 "
        "AND r.direction = $2 AND r.state = 'running' AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l "
        "WHERE l.locktype = "
        "'advisory' AND l.granted AND l.classid = " LOCK_CLASS
        " AND l.objid::bigint = r.id AND l.objsubid = 1 AND "
        "l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = "
        "pg_catalog.current_database()))",
        2, params, NULL, err);
}

int sb_run_row_begin(struct sb_run_row *row, size_t tables, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char count[NUMBER_BYTES];
    snprintf(count, sizeof count, "%zu", tables);
    const char *params[] = {row->migration, row->direction, row->pattern, count};
    if (mark_dead(row, err) != 0 ||
        sb_conn_query(row->target,
            "WITH made AS (INSERT INTO switchback.verify_run (migration, direction, state, pattern, tables) "
            "VALUES ($1, $2, "
            "'running', $3, $4) RETURNING id) SELECT id, pg_catalog.pg_advisory_lock(" LOCK_CLASS
            "::bigint << 32 | id) FROM made",
            4, params, &rows, err) != 0)
        return failed(err);
    row->id = sb_rows_i64(rows, 0, 0);
    return 0;
}

static int64_t source_rows(const struct sb_verify_result *result)
{
    return result->source_rows;
}

static int64_t target_rows(const struct sb_verify_result *result)
{
    return result->target_rows;
}

static int64_t differences(const struct sb_verify_result *result)
{
    return result->differences;
}

static int64_t incomplete(const struct sb_verify_result *result)
{
    return result->state == SB_TABLE_UNDECIDED || result->state == SB_TABLE_NOT_COMPARED;
}

int sb_run_row_end(const struct sb_run_row *row, const struct sb_verify_outcome *outcome, struct sb_err *err)
{
    char numbers[7][NUMBER_BYTES], lsn[SB_LSN_TEXT_BYTES];
    const int64_t values[] = {row->id, sb_verify_total(outcome, incomplete),
        sb_verify_total(outcome, source_rows), sb_verify_total(outcome, target_rows),
        sb_verify_total(outcome, sb_verify_keys_compared), sb_verify_total(outcome, differences),
        outcome->first_applied_us};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        snprintf(numbers[i], sizeof numbers[i], "%" PRId64, values[i]);
    const char *params[] = {numbers[0], sb_verify_verdict_name(outcome->verdict), numbers[1], numbers[2],
        numbers[3], numbers[4], numbers[5], sb_lsn_text(outcome->first_applied_lsn, lsn), numbers[6]};
    if (sb_conn_query(row->target,
            "UPDATE switchback.verify_run SET state = 'complete', verdict = $2, tables_incomplete = $3, "
            "source_rows = $4, "
            "target_rows = $5, keys_compared = $6, differences = $7, applied_lsn = $8, applied_us = $9, "
            "ended_at = "
            "pg_catalog.clock_timestamp() WHERE id = $1",
            sizeof params / sizeof params[0], params, NULL, err) != 0)
        return failed(err);
    return 0;
}

void sb_run_row_fail(const struct sb_run_row *row, const struct sb_err *cause)
{
    struct sb_err ignored;
    char id[NUMBER_BYTES];
    if (row->id == 0)
        return;
    snprintf(id, sizeof id, "%" PRId64, row->id);
    const char *params[] = {id, sb_err_id(cause)};
    if (sb_conn_in_transaction(row->target) && sb_conn_exec(row->target, "ROLLBACK", &ignored) != 0)
        return;
    sb_conn_query(row->target,
        "UPDATE switchback.verify_run SET state = 'failed', why = $2, ended_at = "
        "pg_catalog.clock_timestamp() WHERE id = $1",
        2, params, NULL, &ignored);
}
