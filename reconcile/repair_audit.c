#include "reconcile/repair_audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_BYTES = 24, HEX_BYTES = 65, PAGE_ROWS = 1000 };

struct chain {
    char last[HEX_BYTES]; /* digest, as hex */
    int64_t id;
};

static void row_check(const struct sb_rows *rows, int row, struct chain *chain, struct sb_audit_check *check)
{
    int64_t id = sb_rows_i64(rows, row, 0);
    check->rows++;
    if (strcmp(sb_rows_get(rows, row, 1), chain->last) != 0) {
        check->broken = id;
        snprintf(check->why, sizeof check->why, "what stood before it was taken away or altered");
    } else if (!sb_rows_bool(rows, row, 3)) {
        check->broken = id;
        snprintf(check->why, sizeof check->why, "it is not what apply has written");
    }
    snprintf(chain->last, sizeof chain->last, "%s", sb_rows_get(rows, row, 2));
    chain->id = id;
}

static int page_check(const struct sb_repair_book *book, struct chain *chain, struct sb_audit_check *check,
    bool *ret_more, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char after[NUMBER_BYTES], page[NUMBER_BYTES];
    snprintf(after, sizeof after, "%" PRId64, chain->id);
    snprintf(page, sizeof page, "%d", PAGE_ROWS);
    const char *params[] = {book->migration, book->direction, after, page};
    if (sb_conn_query(book->conn,
            "SELECT id, pg_catalog.encode(previous, 'hex'), pg_catalog.encode(digest, 'hex'), digest = "
            "pg_catalog.sha256(previous || pg_catalog.textsend(pg_catalog.jsonb_build_array(migration, "
            "direction, "
            "repair, item, relation, key_shown, outcome, sqlstate, before, after, snapshot, "
            "commit_lsn::text, "
            "(EXTRACT(epoch FROM applied_at) * 1000000)::bigint)::text)) FROM switchback.repair_audit WHERE "
            "migration = $1 AND direction = $2 AND id > $3 ORDER BY id LIMIT $4",
            4, params, &rows, err) != 0)
        return -1;
    int count = sb_rows_count(rows);
    for (int row = 0; row < count && check->broken == 0; row++)
        row_check(rows, row, chain, check);
    *ret_more = count > 0 && check->broken == 0;
    return 0;
}

/* Every image that was judged is told of. */
static int items_check(const struct sb_repair_book *book, struct sb_audit_check *check, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {book->migration, book->direction};
    if (sb_conn_query(book->conn,
            "SELECT i.repair, i.item FROM switchback.repair_item i JOIN switchback.repair r ON r.id = "
            "i.repair WHERE "
            "r.migration = $1 AND r.direction = $2 AND i.tries <> (SELECT pg_catalog.count(*) FROM "
            "switchback.repair_audit a WHERE a.repair = i.repair AND a.item = i.item) ORDER BY 1, 2 LIMIT 1",
            2, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) > 0)
        snprintf(check->why, sizeof check->why, "rows are missing of item %s of repair %s",
            sb_rows_get(rows, 0, 1), sb_rows_get(rows, 0, 0));
    return 0;
}

int sb_repair_audit_check(
    const struct sb_repair_book *book, struct sb_audit_check *ret_check, struct sb_err *err)
{
    struct chain chain = {.id = 0};
    bool more = true;
    *ret_check = (struct sb_audit_check){0};
    memset(chain.last, '0', HEX_BYTES - 1);
    while (more)
        if (page_check(book, &chain, ret_check, &more, err) != 0)
            return -1;
    return ret_check->broken == 0 ? items_check(book, ret_check, err) : 0;
}
