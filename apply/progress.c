#include "apply/progress.h"

#include "core/log.h"
#include "schemas/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_row(const struct sb_rows *rows, struct sb_progress *out, struct sb_err *err)
{
    const char *chain = sb_rows_get(rows, 0, 5);
    if (!sb_uuid_parse(sb_rows_get(rows, 0, 0), &out->stream) ||
        !sb_uuid_parse(sb_rows_get(rows, 0, 1), &out->source) ||
        !sb_hex_decode(sb_view_str(chain), out->position.chain.bytes, sizeof out->position.chain.bytes))
        return sb_err_set(err, SB_E_STATE_FORMAT,
            "the progress row of migration \"%s\" does not read as ours", out->migration);
    out->position.epoch = sb_rows_u64(rows, 0, 2);
    out->position.sequence = sb_rows_u64(rows, 0, 3);
    out->position.commit_lsn = sb_rows_lsn(rows, 0, 4);
    out->timeline = (uint32_t)sb_rows_u64(rows, 0, 6);
    out->offset = sb_rows_i64(rows, 0, 7);
    out->commit_us = sb_rows_i64(rows, 0, 8);
    out->transactions = sb_rows_u64(rows, 0, 9);
    out->changes = sb_rows_u64(rows, 0, 10);
    out->conflicts = sb_rows_u64(rows, 0, 11);
    out->rogue_writes = sb_rows_u64(rows, 0, 12);
    out->rogue_transactions = sb_rows_u64(rows, 0, 13);
    out->ownership_epoch = sb_rows_u64(rows, 0, 14);
    return 0;
}

/* The source of forward is the old side, that of reverse the new one; who does not own is not followed. */
static int read_owner(const struct sb_rows *rows, struct sb_progress *out, struct sb_err *err)
{
    const char *owner = sb_rows_get(rows, 0, 15);
    uint64_t epoch = sb_rows_u64(rows, 0, 16);
    if (owner == NULL)
        return sb_err_set(err, SB_E_NOT_PREPARED,
            "the target has no row of migration \"%s\" in switchback.ownership", out->migration);
    if (epoch != out->ownership_epoch)
        return sb_err_set(err, SB_E_PROGRESS_LOST,
            "the progress row of migration \"%s\" is of ownership epoch %" PRIu64
            ", switchback.ownership is at %" PRIu64,
            out->migration, out->ownership_epoch, epoch);
    bool forward = strcmp(out->direction, "forward") == 0;
    out->observes = strcmp(owner, forward ? "old" : "new") != 0;
    return 0;
}

bool sb_progress_same(const struct sb_position *a, const struct sb_position *b)
{
    return a->commit_lsn == b->commit_lsn && sb_digest_eq(&a->chain, &b->chain);
}

int sb_progress_read(struct sb_conn *conn, const char *migration, const char *direction,
    enum sb_lane_number lane, struct sb_progress *ret_progress, struct sb_err *err)
{
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    const char *params[] = {migration, direction, lane == SB_LANE_MAIN ? "0" : "1"};
    struct sb_progress progress = {.migration = migration, .direction = direction, .lane = lane};
    if (sb_conn_query(conn,
            "SELECT p.stream_uuid, p.source_uuid, p.epoch, p.sequence, p.commit_lsn,"
            " pg_catalog.encode(p.chain, 'hex'), p.timeline, p.stream_offset, p.commit_us, p.transactions,"
            " p.changes, p.conflicts, p.rogue_writes, p.rogue_transactions, p.ownership_epoch, o.owner, "
            "o.epoch"
            " FROM switchback.progress p LEFT JOIN switchback.ownership o USING (migration)"
            " WHERE migration = $1 AND p.direction = $2 AND p.lane = $3",
            3, params, &rows, err) != 0) {
        if (strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0)
            return sb_err_set(err, SB_E_NOT_PREPARED,
                "the target has no control schema \"switchback\", or one that is not complete");
        return sb_err_add(err, "could not read the progress row");
    }
    if (sb_rows_count(rows) == 0) {
        sb_err_set(err, SB_E_PROGRESS_LOST,
            "the target has no progress row for migration \"%s\", direction %s, lane %d", migration,
            direction, (int)lane);
        return -1;
    }
    if (read_row(rows, &progress, err) != 0 || read_owner(rows, &progress, err) != 0)
        return -1;
    *ret_progress = progress;
    return 0;
}

static struct sb_value number(char text[24], int64_t value)
{
    snprintf(text, 24, "%" PRId64, value);
    return (struct sb_value){.state = SB_COL_TEXT, .text = sb_view_str(text)};
}

static struct sb_value text(const char *value)
{
    return (struct sb_value){.state = SB_COL_TEXT, .text = sb_view_str(value)};
}

int sb_progress_write(struct sb_writer *writer, const struct sb_progress *from, const struct sb_progress *to,
    struct sb_err *err)
{
    static const char sql[] = "UPDATE switchback.progress SET epoch = $1, sequence = $2, commit_lsn = $3, "
                              "chain = pg_catalog.decode($4, 'hex'), "
                              "timeline = $5, stream_offset = $6, commit_us = $7, transactions = $8, changes "
                              "= $9, conflicts = $10, rogue_writes = $11, rogue_transactions = $12 WHERE "
                              "migration = $13 AND direction = $14 AND lane = $21 AND stream_uuid = $15 AND "
                              "epoch = $16 AND sequence = $17 AND commit_lsn = $18 AND chain = "
                              "pg_catalog.decode($19, 'hex') AND ownership_epoch = $20";
    char n[14][24], lsn[2][SB_LSN_TEXT_BYTES], chain[2][SB_DIGEST_TEXT_BYTES], uuid[SB_UUID_TEXT_BYTES];
    struct sb_value values[] = {
        number(n[0], (int64_t)to->position.epoch),
        number(n[1], (int64_t)to->position.sequence),
        text(sb_lsn_text(to->position.commit_lsn, lsn[0])),
        text(sb_digest_text(&to->position.chain, chain[0])),
        number(n[2], to->timeline),
        number(n[3], to->offset),
        number(n[4], to->commit_us),
        number(n[5], (int64_t)to->transactions),
        number(n[6], (int64_t)to->changes),
        number(n[7], (int64_t)to->conflicts),
        number(n[10], (int64_t)to->rogue_writes),
        number(n[11], (int64_t)to->rogue_transactions),
        text(from->migration),
        text(from->direction),
        text(sb_uuid_text(&from->stream, uuid)),
        number(n[8], (int64_t)from->position.epoch),
        number(n[9], (int64_t)from->position.sequence),
        text(sb_lsn_text(from->position.commit_lsn, lsn[1])),
        text(sb_digest_text(&from->position.chain, chain[1])),
        number(n[12], (int64_t)from->ownership_epoch),
        number(n[13], from->lane),
    };
    enum { COUNT = sizeof values / sizeof *values };
    const struct sb_value *params[COUNT];
    int64_t affected;
    for (int i = 0; i < COUNT; i++)
        params[i] = &values[i];
    if (sb_writer_one(writer, sb_view_str(sql), params, COUNT, &affected, err) != 0)
        return sb_err_add(err, "could not move the progress row");
    if (affected == 1)
        return 0;
    return sb_err_set(err, SB_E_EPOCH_STALE,
        "the progress row is not at %s any more: another applier has moved it, the data has "
        "another owner by now, or it was edited",
        lsn[1]);
}
