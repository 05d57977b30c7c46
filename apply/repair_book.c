#include "apply/repair_book.h"

#include "core/log.h"
#include "pg/ident.h"

#include <inttypes.h>
#include <stdio.h>

enum { NUMBER_BYTES = 24, NAME_MAX_BYTES = 8192 };

static const char row_sql[] =
    "WITH f AS (SELECT $1::text[] AS t), given AS (SELECT t[1] AS migration, t[2] AS direction, t[3]::bigint "
    "AS repair, t[4]::bigint AS item, t[5] AS relation, t[6] AS outcome, t[7] AS sqlstate, t[8] AS snapshot, "
    "t[9]::pg_catalog.pg_lsn AS commit_lsn, pg_catalog.now() AS applied_at, CASE WHEN t[10] = 't' THEN "
    "pg_catalog.jsonb_object($4::text[], $5::text[]) END AS before, CASE WHEN t[11] = 't' THEN "
    "pg_catalog.jsonb_object($4::text[], $6::text[]) END AS after FROM f), noted AS (UPDATE "
    "switchback.repair_item i SET outcome = g.outcome, sqlstate = g.sqlstate, tries = i.tries + 1 FROM given "
    "g "
    "WHERE i.repair = g.repair AND i.item = g.item RETURNING i.key_shown), shown AS (SELECT g.*, "
    "coalesce((SELECT key_shown FROM noted), pg_catalog.jsonb_object($2::text[], $3::text[])::text) AS "
    "key_shown, coalesce((SELECT digest FROM switchback.repair_audit a WHERE a.migration = g.migration AND "
    "a.direction = g.direction ORDER BY id DESC LIMIT 1), pg_catalog.decode(pg_catalog.repeat('00', 32), "
    "'hex')) AS previous FROM given g) INSERT INTO switchback.repair_audit (migration, direction, repair, "
    "item, "
    "relation, key_shown, outcome, sqlstate, before, after, snapshot, commit_lsn, applied_at, previous, "
    "digest) "
    "SELECT migration, direction, repair, item, relation, key_shown, outcome, sqlstate, before, after, "
    "snapshot, commit_lsn, applied_at, previous, pg_catalog.sha256(previous || "
    "pg_catalog.textsend(pg_catalog.jsonb_build_array(migration, direction, repair, item, relation, "
    "key_shown, "
    "outcome, sqlstate, before, after, snapshot, commit_lsn::text, (EXTRACT(epoch FROM applied_at) * "
    "1000000)::bigint)::text)) FROM shown";

static void put_text(struct sb_writer *writer, struct sb_view text)
{
    sb_writer_array_put(writer, &(struct sb_value){.state = SB_COL_TEXT, .text = text});
}

static void put_number(struct sb_writer *writer, int64_t number)
{
    char text[NUMBER_BYTES];
    snprintf(text, sizeof text, "%" PRId64, number);
    put_text(writer, sb_view_str(text));
}

static void put_fields(
    const struct sb_repair_job *job, uint32_t at, struct sb_view relation, uint64_t commit_lsn)
{
    enum { FIELDS = 11 };
    const struct sb_repair_done *done = &job->done[at];
    struct sb_writer *writer = job->writer;
    char lsn[SB_LSN_TEXT_BYTES];
    sb_writer_array(writer, FIELDS);
    put_text(writer, sb_view_str(job->migration));
    put_text(writer, sb_view_str(job->direction));
    put_number(writer, job->image->repair);
    put_number(writer, job->image->rows[at].item);
    put_text(writer, relation);
    put_text(writer, sb_view_str(sb_repair_outcome_name(done->outcome)));
    put_text(writer, sb_view_str(done->sqlstate));
    put_text(writer, job->image->snapshot);
    put_text(writer, sb_view_str(sb_lsn_text(commit_lsn, lsn)));
    put_text(writer, sb_view_str(done->before != NULL ? "t" : "f"));
    put_text(writer, sb_view_str(done->after != NULL ? "t" : "f"));
}

static void put_key(const struct sb_repair_job *job, uint32_t at)
{
    const struct sb_image *image = job->image;
    sb_writer_array(job->writer, image->key_count);
    for (uint16_t i = 0; i < image->key_count; i++)
        put_text(job->writer, image->columns[image->key_cols[i]]);
    sb_writer_array(job->writer, image->key_count);
    for (uint16_t i = 0; i < image->key_count; i++)
        sb_writer_array_put(job->writer, &image->rows[at].values[image->key_cols[i]]);
}

static void put_row(const struct sb_repair_job *job, const struct sb_value *values)
{
    sb_writer_array(job->writer, values == NULL ? 0 : job->image->column_count);
    for (uint16_t i = 0; values != NULL && i < job->image->column_count; i++)
        sb_writer_array_put(job->writer, &values[i]);
}

int sb_repair_book_row(const struct sb_repair_job *job, uint32_t at, uint64_t commit_lsn, struct sb_err *err)
{
    struct sb_buf relation SB_CLEANUP(sb_buf_clear);
    int64_t rows;
    sb_buf_init(&relation, NAME_MAX_BYTES);
    sb_ident_put_table(&relation, job->image->schema, job->image->table);
    sb_writer_arrays_begin(job->writer);
    put_fields(job, at, sb_buf_view(&relation), commit_lsn);
    put_key(job, at);
    sb_writer_array(job->writer, job->image->column_count);
    for (uint16_t i = 0; i < job->image->column_count; i++)
        put_text(job->writer, job->image->columns[i]);
    put_row(job, job->done[at].before);
    put_row(job, job->done[at].after);
    return sb_writer_arrays_run(job->writer, sb_view_str(row_sql), &rows, err) == 0
               ? 0
               : sb_err_add(err, "could not write switchback.repair_audit");
}

int sb_repair_book_wish(struct sb_conn *conn, const char *migration, const char *direction,
    struct sb_repair_wish *ret_wish, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {migration, direction};
    /* The clock's time: in an open transaction now() stands still. */
    if (sb_conn_query(conn,
            "SELECT wanted_until > pg_catalog.clock_timestamp(), whole_from FROM switchback.repair_ring "
            "WHERE "
            "migration = $1 AND direction = $2",
            2, params, &rows, err) != 0)
        return sb_err_add(err, "could not read switchback.repair_ring");
    *ret_wish = (struct sb_repair_wish){.found = sb_rows_count(rows) > 0};
    if (ret_wish->found) {
        ret_wish->wanted = sb_rows_bool(rows, 0, 0);
        ret_wish->whole_from = sb_rows_lsn(rows, 0, 1);
    }
    return 0;
}

int sb_repair_book_whole_from(struct sb_conn *conn, const char *migration, const char *direction,
    uint64_t whole_from, struct sb_err *err)
{
    char lsn[SB_LSN_TEXT_BYTES];
    const char *params[] = {migration, direction, whole_from == 0 ? NULL : sb_lsn_text(whole_from, lsn)};
    return sb_conn_query(conn,
               "UPDATE switchback.repair_ring SET whole_from = $3::pg_catalog.pg_lsn WHERE migration = $1 "
               "AND direction = $2",
               3, params, NULL, err) == 0
               ? 0
               : sb_err_add(err, "could not write switchback.repair_ring");
}
