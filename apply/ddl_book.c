#include "apply/ddl_book.h"

#include "core/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_BYTES = 24 };

/* -- rows ------------------------------------------------------------------------------------------------ */

struct numbers {
    char lsn[SB_LSN_TEXT_BYTES], xid[NUMBER_BYTES], ordinal[NUMBER_BYTES];
};

static void numbers_put(const struct sb_ddl_place *place, struct numbers *out)
{
    sb_lsn_text(place->commit_lsn, out->lsn);
    snprintf(out->xid, sizeof out->xid, "%" PRIu64, place->xid);
    snprintf(out->ordinal, sizeof out->ordinal, "%" PRIu64, place->ordinal);
}

static const char *text_or_null(struct sb_view text)
{
    return text.len == 0 ? NULL : text.ptr;
}

int sb_ddl_book_decision(struct sb_conn *conn, const struct sb_ddl_entry *entry,
    enum sb_ddl_decision *ret_decision, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct numbers at;
    numbers_put(&entry->place, &at);
    const char *params[] = {
        entry->place.migration, entry->place.direction, at.lsn, at.ordinal, text_or_null(entry->statement)};
    if (sb_conn_query(conn,
            "SELECT state FROM switchback.ddl WHERE migration = $1 AND direction = $2 AND lane = 0 AND "
            "commit_lsn = $3 AND ordinal = $4 AND statement IS NOT DISTINCT FROM $5",
            5, params, &rows, err) != 0)
        return sb_err_add(err, "could not read switchback.ddl");
    const char *state = sb_rows_count(rows) == 0 ? "held" : sb_rows_get(rows, 0, 0);
    *ret_decision = strcmp(state, "approved") == 0  ? SB_DDL_APPROVED
                    : strcmp(state, "skipped") == 0 ? SB_DDL_SKIPPED
                                                    : SB_DDL_UNDECIDED;
    return 0;
}

int sb_ddl_book_stood(struct sb_conn *conn, const char *migration, const char *direction, bool *ret_found,
    uint64_t *ret_commit_lsn, uint64_t *ret_ordinal, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *there = NULL, *rows = NULL;
    const char *params[] = {migration, direction};
    *ret_found = false;
    if (sb_conn_query(
            conn, "SELECT pg_catalog.to_regclass('switchback.ddl') IS NOT NULL", 0, NULL, &there, err) != 0)
        return -1;
    if (!sb_rows_bool(there, 0, 0))
        return 0; /* prepared before there was one */
    if (sb_conn_query(conn,
            "SELECT commit_lsn, ordinal FROM switchback.ddl WHERE migration = $1 AND direction = $2 AND kind "
            "= "
            "'relation' AND passed_at IS NULL ORDER BY id DESC LIMIT 1",
            2, params, &rows, err) != 0)
        return sb_err_add(err, "could not read switchback.ddl");
    *ret_found = sb_rows_count(rows) > 0;
    if (*ret_found) {
        *ret_commit_lsn = sb_rows_lsn(rows, 0, 0);
        *ret_ordinal = sb_rows_u64(rows, 0, 1);
    }
    return 0;
}

/* Of switchback.copy c: the copy has all tables but those that are set aside. */
#define COPIED                                                                                               \
    "(c.state = 'complete' OR c.state = 'pending' AND coalesce((pg_catalog.to_jsonb(c) ->> "                 \
    "'beside')::boolean, false))"

#define COLUMNS                                                                                              \
    "INSERT INTO switchback.ddl AS d (migration, direction, commit_lsn, ordinal, xid, kind, tag, "           \
    "relations, "                                                                                            \
    "statement, path, run_by, reason, breaks_way_back, copied_again, state, passed_at) VALUES ($1, $2, $3, " \
    "$4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, CASE WHEN $15 = 'held' THEN NULL ELSE "           \
    "pg_catalog.now() END) ON CONFLICT (migration, direction, lane, commit_lsn, ordinal) DO UPDATE SET "
#define DESCRIBED                                                                                            \
    "kind = excluded.kind, tag = excluded.tag, relations = excluded.relations, statement = "                 \
    "excluded.statement, path = excluded.path, run_by = excluded.run_by, reason = excluded.reason, "         \
    "breaks_way_back = excluded.breaks_way_back, copied_again = excluded.copied_again, state = "             \
    "excluded.state, "

static int write_row(struct sb_conn *conn, const struct sb_ddl_entry *entry, const char *state,
    const char *sql, struct sb_rows **ret_rows, struct sb_err *err)
{
    struct numbers at;
    numbers_put(&entry->place, &at);
    const char *params[] = {entry->place.migration, entry->place.direction, at.lsn, at.ordinal, at.xid,
        entry->relation ? "relation" : "statement", entry->tag.ptr, entry->relations.ptr,
        text_or_null(entry->statement), entry->path.ptr, text_or_null(entry->role), entry->reason,
        entry->breaks_way_back ? "t" : "f", entry->copied_again.ptr, state};
    return sb_conn_query(conn, sql, sizeof params / sizeof *params, params, ret_rows, err) == 0
               ? 0
               : sb_err_add(err, "could not write switchback.ddl");
}

/* What was decided about another command at this place, or about this one before it failed, counts no more.
 */
int sb_ddl_book_hold(
    struct sb_conn *conn, const struct sb_ddl_entry *entry, char ret_id[24], struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (write_row(conn, entry, "held",
            COLUMNS DESCRIBED "passed_at = NULL, decided_by = NULL, decision = NULL, decided_at = NULL "
                              "RETURNING id",
            &rows, err) != 0)
        return -1;
    snprintf(ret_id, 24, "%s", sb_rows_get(rows, 0, 0));
    return 0;
}

int sb_ddl_book_wish(
    struct sb_conn *conn, const struct sb_ddl_entry *entry, bool *ret_wished, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {entry->place.migration, entry->place.direction, entry->copied_again.ptr};
    if (sb_conn_query(conn,
            "INSERT INTO switchback.copy_wish (migration, direction, relation, reason, urgent) SELECT "
            "c.migration, c.direction, r, 'DDL changed rows that do not travel', true FROM switchback.copy "
            "c, pg_catalog.unnest($3::text[]) r WHERE c.migration = $1 AND c.direction = $2 AND " COPIED
            " RETURNING 1",
            3, params, &rows, err) != 0)
        return sb_err_add(err, "could not ask for tables to be copied again");
    *ret_wished = sb_rows_count(rows) > 0;
    return 0;
}

/* One chunk that covers everything, of a snapshot that sees nothing. Its shape is whatever the table has when
 * somebody looks (copy/plan). */
int sb_ddl_book_born(struct sb_conn *conn, const struct sb_ddl_place *place, const char *relation,
    uint32_t timeline, struct sb_err *err)
{
    char number[NUMBER_BYTES];
    snprintf(number, sizeof number, "%" PRIu32, timeline);
    const char *params[] = {place->migration, place->direction, relation, number};
    if (sb_conn_query(conn,
            "WITH copied AS (SELECT migration, direction FROM switchback.copy c WHERE migration = $1 AND "
            "direction "
            "= $2 AND " COPIED "), planned AS (INSERT INTO switchback.copy_table (migration, "
            "direction, "
            "relation, key_kind, key_column, shape, rows_estimated, chunks) SELECT migration, direction, $3, "
            "'none', '', '', 0, 1 FROM copied ON CONFLICT DO NOTHING RETURNING migration, direction, "
            "relation) "
            "INSERT INTO switchback.chunk (migration, direction, relation, snapshot, flushed_past, timeline, "
            "rows, "
            "digest, schema_id) SELECT migration, direction, relation, '3:3:', '0/0', $4::integer, 0, '', 0 "
            "FROM "
            "planned",
            4, params, NULL, err) != 0)
        return sb_err_add(err, "could not note that table %s needs no copy", relation);
    return 0;
}

int sb_ddl_book_pass(struct sb_conn *conn, const struct sb_ddl_entry *entry, bool skipped, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    return write_row(conn, entry, skipped ? "skipped" : "applied",
        COLUMNS "state = excluded.state, passed_at = excluded.passed_at", &rows, err);
}
