#include "reconcile/repair_book.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SQL_MAX_BYTES = 64 * 1024 * 1024, NUMBER_BYTES = 24 };

static const char *const outcomes[] = {"none", "applied", "noop_equal", "skipped_newer", "skipped_ring",
    "skipped_guard", "skipped_schema", "skipped_owner", "skipped_refused"};

const char *sb_item_outcome_name(enum sb_item_outcome outcome)
{
    return outcomes[outcome];
}

static enum sb_item_outcome outcome_of(const char *text)
{
    for (size_t i = 0; text != NULL && i < sizeof outcomes / sizeof outcomes[0]; i++)
        if (strcmp(text, outcomes[i]) == 0)
            return (enum sb_item_outcome)i;
    return SB_OUTCOME_NONE;
}

static const char *number(char out[NUMBER_BYTES], int64_t value)
{
    snprintf(out, NUMBER_BYTES, "%" PRId64, value);
    return out;
}

static int no_room(const struct sb_arena *arena, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "a repair does not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(arena), sb_arena_name(arena));
}

/* -- the repair ------------------------------------------------------------------------------------------ */

int sb_repair_book_head(const struct sb_repair_book *book, int64_t id, struct sb_arena *arena,
    struct sb_repair_head *ret_head, bool *ret_found, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char text[NUMBER_BYTES];
    const char *params[] = {number(text, id), book->migration, book->direction};
    if (sb_conn_query(book->conn,
            "SELECT ownership_epoch, state, undoes, CASE state WHEN 'planned' THEN stopped_why ELSE '' END "
            "FROM switchback.repair WHERE id = $1 AND migration = $2 AND direction = $3",
            3, params, &rows, err) != 0)
        return -1;
    *ret_found = sb_rows_count(rows) == 1;
    if (!*ret_found)
        return 0;
    *ret_head = (struct sb_repair_head){
        .id = id, .ownership_epoch = sb_rows_u64(rows, 0, 0), .undoes = sb_rows_i64(rows, 0, 2)};
    snprintf(ret_head->state, sizeof ret_head->state, "%s", sb_rows_get(rows, 0, 1));
    ret_head->refused = sb_arena_str(arena, sb_view_str(sb_rows_get(rows, 0, 3)));
    return ret_head->refused != NULL ? 0 : no_room(arena, err);
}

int sb_repair_book_lock(const struct sb_repair_book *book, bool *ret_got, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {book->migration, book->direction};
    if (sb_conn_query(book->conn,
            "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended('switchback repair ' || "
            "$1::text || ' ' || $2::text, 0))",
            2, params, &rows, err) != 0)
        return -1;
    *ret_got = sb_rows_bool(rows, 0, 0);
    return 0;
}

int sb_repair_book_sweep(const struct sb_repair_book *book, struct sb_err *err)
{
    const char *params[] = {book->migration, book->direction};
    return sb_conn_query(book->conn,
        "WITH swept AS (UPDATE switchback.repair SET state = 'stopped', stopped_why = 'it was ended in the "
        "middle: `switchback repair run ' || id || '` goes on with it' WHERE migration = $1 AND direction = "
        "$2 AND state = 'running') UPDATE switchback.difference SET state = 'open' WHERE migration = $1 AND "
        "direction = $2 AND state = 'repairing'",
        2, params, NULL, err);
}

int sb_repair_book_seal(const struct sb_repair_book *book, int64_t id, struct sb_err *err)
{
    char text[NUMBER_BYTES];
    const char *params[] = {number(text, id)};
    return sb_conn_query(book->conn,
        "UPDATE switchback.repair SET plan_digest = (SELECT pg_catalog.sha256(coalesce("
        "pg_catalog.string_agg(pg_catalog.sha256(pg_catalog.convert_to(i.item || ' ' || i.relation || ' ' || "
        "coalesce(pg_catalog.encode(i.guard, 'hex'), 'none') || ' ', 'UTF8') || i.key), '' ORDER BY "
        "i.item), '')) FROM switchback.repair_item i WHERE i.repair = $1::bigint) WHERE id = $1::bigint",
        1, params, NULL, err);
}

int sb_repair_book_begin(const struct sb_repair_book *book, int64_t id, struct sb_err *err)
{
    char text[NUMBER_BYTES];
    const char *params[] = {number(text, id)};
    return sb_conn_query(book->conn,
        "WITH begun AS (UPDATE switchback.repair SET state = 'running', stopped_why = '', ended_at = NULL, "
        "started_at = coalesce(started_at, pg_catalog.now()) WHERE id = $1::bigint RETURNING undoes) "
        "UPDATE switchback.difference d SET state = 'repairing' FROM switchback.repair_item i, begun "
        "WHERE begun.undoes IS NULL AND i.repair = $1::bigint AND i.verified_at IS NULL AND d.id = "
        "i.difference AND d.state IN ('open', 'held')",
        1, params, NULL, err);
}

int sb_repair_book_end(const struct sb_repair_book *book, int64_t id, const char *why, struct sb_err *err)
{
    char text[NUMBER_BYTES];
    const char *params[] = {number(text, id), why[0] == '\0' ? "done" : "stopped", why};
    return sb_conn_query(book->conn,
        "WITH ended AS (UPDATE switchback.repair SET state = $2, stopped_why = $3, ended_at = "
        "pg_catalog.now() WHERE id = $1::bigint) UPDATE switchback.difference d SET state = 'open' FROM "
        "switchback.repair_item i WHERE i.repair = $1::bigint AND i.verified_at IS NULL AND d.id = "
        "i.difference AND d.state = 'repairing'",
        3, params, NULL, err);
}

/* -- items ----------------------------------------------------------------------------------------------- */

static bool bytes_keep(const char *hex, struct sb_arena *arena, struct sb_view *ret_bytes)
{
    size_t len = strlen(hex);
    char *bytes = sb_arena_alloc(arena, len / 2 + 1);
    if (bytes == NULL || !sb_hex_decode(sb_view(hex, len), bytes, len / 2))
        return false;
    *ret_bytes = sb_view(bytes, len / 2);
    return true;
}

static bool item_keep(
    const struct sb_rows *rows, int row, struct sb_arena *arena, struct sb_repair_item *ret_item)
{
    const char *guard = sb_rows_get(rows, row, 3);
    struct sb_repair_item item = {.item = sb_rows_i64(rows, row, 0),
        .relation = sb_arena_str(arena, sb_view_str(sb_rows_get(rows, row, 1))),
        .guard_present = guard != NULL,
        .outcome = outcome_of(sb_rows_get(rows, row, 4)),
        .tries = sb_rows_i64(rows, row, 5)};
    if (item.relation == NULL || !bytes_keep(sb_rows_get(rows, row, 2), arena, &item.key) ||
        (guard != NULL && !sb_hex_decode(sb_view_str(guard), item.guard.bytes, sizeof item.guard.bytes)))
        return false;
    *ret_item = item;
    return true;
}

int sb_repair_book_items(const struct sb_repair_book *book, int64_t id, int64_t after, int64_t rows_max,
    bool refused, struct sb_arena *arena, struct sb_repair_item **ret_items, size_t *ret_count,
    struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char texts[3][NUMBER_BYTES];
    const char *params[] = {
        number(texts[0], id), number(texts[1], after), number(texts[2], rows_max), refused ? "t" : "f"};
    if (sb_conn_query(book->conn,
            "SELECT i.item, i.relation, pg_catalog.encode(i.key, 'hex'), pg_catalog.encode(i.guard, 'hex'), "
            "i.outcome, i.tries FROM switchback.repair_item i JOIN switchback.repair r ON r.id = i.repair "
            "LEFT JOIN switchback.difference d ON d.id = i.difference WHERE i.repair = $1 AND i.item > $2 "
            "AND i.verified_at IS NULL AND (NOT $4::boolean OR i.outcome = 'skipped_refused') AND (r.undoes "
            "IS NOT NULL OR d.state = 'repairing') ORDER BY i.item "
            "LIMIT $3",
            4, params, &rows, err) != 0)
        return -1;
    int count = sb_rows_count(rows);
    *ret_count = 0;
    *ret_items = sb_arena_alloc(arena, ((size_t)count + 1) * sizeof **ret_items);
    if (*ret_items == NULL)
        return no_room(arena, err);
    for (int row = 0; row < count; row++) {
        struct sb_repair_item *item = &(*ret_items)[*ret_count];
        if (!item_keep(rows, row, arena, item))
            return no_room(arena, err);
        if (row > 0 && strcmp(item->relation, (*ret_items)[0].relation) != 0)
            break;
        ++*ret_count;
    }
    return 0;
}

static struct sb_repair_item *item_find(struct sb_repair_item *items, size_t count, int64_t item)
{
    size_t from = 0, to = count; /* they are in order */
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (items[middle].item == item)
            return &items[middle];
        if (items[middle].item < item)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

int sb_repair_book_outcomes(const struct sb_repair_book *book, int64_t id, struct sb_repair_item *items,
    size_t count, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char texts[3][NUMBER_BYTES];
    const char *params[] = {
        number(texts[0], id), number(texts[1], items[0].item), number(texts[2], items[count - 1].item)};
    if (sb_conn_query(book->conn,
            "SELECT item, outcome, tries FROM switchback.repair_item WHERE repair = $1 AND item BETWEEN $2 "
            "AND $3",
            3, params, &rows, err) != 0)
        return -1;
    for (int row = 0; row < sb_rows_count(rows); row++) {
        struct sb_repair_item *item = item_find(items, count, sb_rows_i64(rows, row, 0));
        if (item == NULL)
            continue;
        item->outcome = outcome_of(sb_rows_get(rows, row, 1));
        item->tries = sb_rows_i64(rows, row, 2);
    }
    return 0;
}

int sb_repair_book_verified(const struct sb_repair_book *book, int64_t id, const struct sb_repair_item *items,
    size_t count, struct sb_err *err)
{
    char text[NUMBER_BYTES];
    struct sb_buf list;
    sb_buf_init(&list, SQL_MAX_BYTES);
    sb_buf_put_str(&list, "{");
    for (size_t i = 0; i < count; i++)
        if (items[i].equal)
            sb_buf_putf(&list, "%s%" PRId64, list.len == 1 ? "" : ",", items[i].item);
    sb_buf_put_str(&list, "}");
    const char *params[] = {number(text, id), sb_buf_str(&list)};
    int rc = list.failed ? sb_err_set(err, SB_E_NO_MEMORY, "no memory for items of a repair")
                         : sb_conn_query(book->conn,
                               "WITH verified AS (UPDATE switchback.repair_item SET verified_at = "
                               "pg_catalog.now() WHERE repair = $1::bigint AND item = ANY ($2::bigint[]) "
                               "RETURNING item, difference) UPDATE switchback.difference d SET closed_at = "
                               "pg_catalog.now(), state = CASE WHEN EXISTS (SELECT FROM "
                               "switchback.repair_audit a WHERE a.repair = $1::bigint AND a.item = "
                               "verified.item AND a.outcome = 'applied') THEN 'repaired' ELSE 'gone' END "
                               "FROM verified WHERE d.id = verified.difference AND d.state = 'repairing'",
                               2, params, NULL, err);
    sb_buf_clear(&list);
    return rc;
}

int sb_repair_book_undone(const struct sb_repair_book *book, int64_t id, struct sb_err *err)
{
    char text[NUMBER_BYTES];
    const char *params[] = {number(text, id)};
    return sb_conn_query(book->conn,
        "WITH verified AS (UPDATE switchback.repair_item SET verified_at = pg_catalog.now() WHERE repair = "
        "$1 AND verified_at IS NULL AND outcome IN ('applied', 'noop_equal') RETURNING difference) UPDATE "
        "switchback.difference d SET state = 'held', closed_at = NULL FROM verified WHERE d.id = "
        "verified.difference",
        1, params, NULL, err);
}

int sb_repair_book_counts(
    const struct sb_repair_book *book, int64_t id, struct sb_repair_counts *ret_counts, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char text[NUMBER_BYTES];
    const char *params[] = {number(text, id)};
    if (sb_conn_query(book->conn,
            "SELECT i.outcome, i.verified_at IS NOT NULL, r.undoes IS NULL AND coalesce(d.state <> "
            "'repairing', true), pg_catalog.count(*) FROM switchback.repair_item i JOIN switchback.repair r "
            "ON r.id = i.repair LEFT JOIN switchback.difference d ON d.id = i.difference WHERE i.repair = $1 "
            "GROUP BY 1, 2, 3",
            1, params, &rows, err) != 0)
        return -1;
    *ret_counts = (struct sb_repair_counts){0};
    for (int row = 0; row < sb_rows_count(rows); row++) {
        int64_t count = sb_rows_i64(rows, row, 3);
        ret_counts->items += count;
        if (sb_rows_bool(rows, row, 1))
            ret_counts->verified += count;
        else if (sb_rows_bool(rows, row, 2))
            ret_counts->closed += count;
        else
            ret_counts->by_outcome[outcome_of(sb_rows_get(rows, row, 0))] += count;
    }
    return 0;
}

/* -- the ring -------------------------------------------------------------------------------------------- */

int sb_repair_book_ring(
    const struct sb_repair_book *book, int64_t for_s, bool anew, uint64_t *ret_whole_from, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char text[NUMBER_BYTES];
    const char *params[] = {book->migration, book->direction, number(text, for_s), anew ? "t" : "f"};
    if (sb_conn_query(book->conn,
            "INSERT INTO switchback.repair_ring AS r (migration, direction, wanted_until) VALUES ($1, $2, "
            "pg_catalog.now() + $3::bigint * interval '1 s') ON CONFLICT (migration, direction) DO UPDATE "
            "SET wanted_until = excluded.wanted_until, whole_from = CASE WHEN $4::boolean THEN NULL ELSE "
            "r.whole_from END RETURNING r.whole_from",
            4, params, &rows, err) != 0)
        return -1;
    *ret_whole_from = sb_rows_lsn(rows, 0, 0);
    return 0;
}
