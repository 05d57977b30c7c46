#include "apply/poison.h"

#include "apply/conflict.h"
#include "core/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 256, NUMBER_BYTES = 24 };

static struct sb_value text_value(const char *text)
{
    return (struct sb_value){.state = text == NULL ? SB_COL_NULL : SB_COL_TEXT, .text = sb_view_str(text)};
}

static const char *lane_text(const struct sb_progress *progress)
{
    return progress->lane == SB_LANE_MAIN ? "0" : "1";
}

static int run(
    struct sb_writer *writer, const char *sql, const struct sb_value *values, int count, struct sb_err *err)
{
    const struct sb_value *params[16];
    int64_t affected;
    for (int i = 0; i < count; i++)
        params[i] = &values[i];
    return sb_writer_one(writer, sb_view_str(sql), params, count, &affected, err);
}

int sb_poison_read(struct sb_conn *conn, const struct sb_progress *progress, struct sb_poison *ret_poison,
    struct sb_err *err)
{
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    const char *params[] = {progress->migration, progress->direction, lane_text(progress)};
    struct sb_poison poison = {0};
    if (sb_conn_query(conn,
            "SELECT commit_lsn, xid, skip_requested_by, skip_reason FROM switchback.poison WHERE migration = "
            "$1 AND direction "
            "= $2 AND lane = $3",
            3, params, &rows, err) != 0)
        return sb_err_add(err, "could not read switchback.poison");
    if (sb_rows_count(rows) > 0) {
        const char *by = sb_rows_get(rows, 0, 2), *reason = sb_rows_get(rows, 0, 3);
        poison.present = true;
        poison.commit_lsn = sb_rows_lsn(rows, 0, 0);
        poison.xid = sb_rows_u64(rows, 0, 1);
        snprintf(poison.skipped_by, sizeof poison.skipped_by, "%s", by == NULL ? "" : by);
        snprintf(poison.skip_reason, sizeof poison.skip_reason, "%s", reason == NULL ? "" : reason);
    }
    *ret_poison = poison;
    return 0;
}

/* "public.accounts", or the tables of a TRUNCATE as one word. */
static void relation_name(const struct sb_batch_change *change, char out[NAME_BYTES])
{
    if (change == NULL)
        snprintf(out, NAME_BYTES, "?");
    else if (change->chg.rel == NULL)
        snprintf(out, NAME_BYTES, "truncate of %d tables", (int)change->chg.truncated_count);
    else
        snprintf(out, NAME_BYTES, "%.*s.%.*s", (int)change->chg.rel->schema.len, change->chg.rel->schema.ptr,
            (int)change->chg.rel->name.len, change->chg.rel->name.ptr);
}

static int record(struct sb_writer *writer, const struct sb_value *values, int count, struct sb_err *err)
{
    static const char sql[] =
        "INSERT INTO switchback.poison AS p (migration, direction, commit_lsn, xid, "
        "ordinal, relation, error_id, sqlstate, "
        "reason, lane) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (migration, "
        "direction, lane) DO UPDATE SET commit_lsn "
        "= excluded.commit_lsn, xid = excluded.xid, ordinal = excluded.ordinal, "
        "relation = excluded.relation, error_id = "
        "excluded.error_id, sqlstate = excluded.sqlstate, reason = excluded.reason, "
        "found_at = excluded.found_at, "
        "skip_requested_by = CASE WHEN p.commit_lsn = excluded.commit_lsn THEN "
        "p.skip_requested_by END, skip_reason = CASE "
        "WHEN p.commit_lsn = excluded.commit_lsn THEN p.skip_reason END";
    if (sb_writer_begin(writer, err) != 0)
        return -1;
    if (run(writer, sql, values, count, err) == 0 && sb_writer_commit(writer, err) == 0)
        return 0;
    sb_writer_rollback(writer);
    return -1;
}

void sb_poison_record(struct sb_writer *writer, const struct sb_progress *progress, uint64_t commit_lsn,
    uint64_t xid, const struct sb_batch_change *failed, struct sb_err *err)
{
    char lsn[SB_LSN_TEXT_BYTES], xid_text[NUMBER_BYTES], ordinal[NUMBER_BYTES], relation[NAME_BYTES];
    struct sb_err why;
    snprintf(xid_text, sizeof xid_text, "%" PRIu64, xid);
    snprintf(ordinal, sizeof ordinal, "%" PRIu64, failed == NULL ? 0 : failed->ordinal);
    relation_name(failed, relation);
    sb_lsn_text(commit_lsn, lsn);
    sb_err_add(err, "transaction %s (commit %s), change %s", xid_text, lsn, ordinal);
    if (err->hint[0] == '\0')
        sb_err_hint(err,
            "`switchback poison show` tells more. Mend the cause on the target and `switchback resume`, or "
            "leave this "
            "transaction out with `switchback poison skip --lsn %s --reason ...`.",
            lsn);
    struct sb_value values[] = {text_value(progress->migration), text_value(progress->direction),
        text_value(lsn), text_value(xid_text), text_value(ordinal), text_value(relation),
        text_value(sb_err_id(err)), text_value(err->sqlstate), text_value(err->text),
        text_value(lane_text(progress))};
    if (record(writer, values, sizeof values / sizeof *values, &why) != 0)
        sb_log_err(SB_LOG_WARNING, &why, "the poison record is only in this log");
}

int sb_poison_clear(struct sb_writer *writer, const struct sb_progress *progress, struct sb_err *err)
{
    struct sb_value values[] = {
        text_value(progress->migration), text_value(progress->direction), text_value(lane_text(progress))};
    return run(writer, "DELETE FROM switchback.poison WHERE migration = $1 AND direction = $2 AND lane = $3",
        values, 3, err);
}

static int debt(struct sb_writer *writer, const char *migration, const char *direction,
    const struct sb_poison *poison, const struct sb_batch_change *change, const char *key, struct sb_err *err)
{
    static const char sql[] = "INSERT INTO switchback.debt (migration, direction, relation, key, op, "
                              "commit_lsn, xid, ordinal, skipped_by, reason) "
                              "VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7, $8, $9, $10)";
    char lsn[SB_LSN_TEXT_BYTES], xid[NUMBER_BYTES], ordinal[NUMBER_BYTES], relation[NAME_BYTES];
    snprintf(xid, sizeof xid, "%" PRIu64, poison->xid);
    snprintf(ordinal, sizeof ordinal, "%" PRIu64, change->ordinal);
    sb_lsn_text(poison->commit_lsn, lsn);
    relation_name(change, relation);
    struct sb_value values[] = {text_value(migration), text_value(direction), text_value(relation),
        text_value(key), text_value(sb_conflict_op_name(change->chg.op)), text_value(lsn), text_value(xid),
        text_value(ordinal), text_value(poison->skipped_by), text_value(poison->skip_reason)};
    return run(writer, sql, values, sizeof values / sizeof *values, err) == 0
               ? 0
               : sb_err_add(err, "could not record the debt of a skipped transaction");
}

/* The key, or both where an update moves the row. */
static int debts_of(struct sb_writer *writer, const char *migration, const char *direction,
    const struct sb_poison *poison, const struct sb_batch_change *change, struct sb_err *err)
{
    const struct sb_change *chg = &change->chg;
    char *key = chg->rel == NULL ? NULL : sb_key_json(chg->rel, sb_apply_old_key(chg));
    char *moved = chg->op == SB_OP_UPDATE && chg->before != NULL ? sb_key_json(chg->rel, chg->after) : NULL;
    int rc = debt(writer, migration, direction, poison, change, key, err);
    if (rc == 0 && moved != NULL && (key == NULL || strcmp(key, moved) != 0))
        rc = debt(writer, migration, direction, poison, change, moved, err);
    free(key);
    free(moved);
    return rc;
}

int sb_poison_debts(struct sb_writer *writer, const char *migration, const char *direction,
    const struct sb_poison *poison, const struct sb_batch_change *changes, size_t count, struct sb_err *err)
{
    for (size_t i = 0; i < count; i++)
        if (debts_of(writer, migration, direction, poison, &changes[i], err) != 0)
            return -1;
    return 0;
}
