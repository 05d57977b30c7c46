#include "reconcile/repair_undo.h"

#include "schemas/digest.h"
#include "schemas/rowform.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PAGE_ITEMS = 100, PAGE_MAX_BYTES = 1024 * 1024 * 1024, NUMBER_BYTES = 24 };

const struct sb_verify_table *sb_repair_table_find(const struct sb_verify_plan *plan, const char *relation)
{
    for (size_t i = 0; i < plan->table_count; i++)
        if (strcmp(plan->tables[i].relation, relation) == 0)
            return plan->tables[i].strategy == SB_STRATEGY_NONE || plan->tables[i].key_count == 0
                       ? NULL
                       : &plan->tables[i];
    return NULL;
}

static int other_columns(const char *relation, struct sb_err *err)
{
    return sb_err_set(err, SB_E_REPAIR_VOID,
        "table %s has other columns than it had when it was repaired, or is not compared now", relation);
}

static int no_room(const struct sb_arena *arena, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "rows of a repair do not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(arena), sb_arena_name(arena));
}

/* -- rows of the audit ----------------------------------------------------------------------------------- */

struct found { /* rows, as name and value of each column */
    const struct sb_verify_table *table;
    struct sb_arena *arena;
    struct sb_value *values; /* of the item at work; NULL: none yet */
    uint16_t filled;
};

static int value_take(struct found *found, const char *name, const char *text, struct sb_err *err)
{
    const struct sb_verify_table *table = found->table;
    uint16_t col = 0;
    while (col < table->column_count && !sb_view_eq_str(table->columns[col], name))
        col++;
    if (col == table->column_count || found->values[col].state != SB_COL_ABSENT)
        return other_columns(table->relation, err);
    found->values[col].state = text == NULL ? SB_COL_NULL : SB_COL_TEXT;
    if (text != NULL && !sb_arena_dup(found->arena, sb_view_str(text), &found->values[col].text))
        return no_room(found->arena, err);
    found->filled++;
    return 0;
}

/* The new numbers of items are those of the repair, backwards. */
#define NUMBERED                                                                                             \
    "SELECT (SELECT pg_catalog.max(i.item) + 1 FROM switchback.repair_item i WHERE i.repair = $1::bigint) "  \
    "- "                                                                                                     \
    "a.item AS item, a.item AS was, a.before, a.after FROM (SELECT DISTINCT ON (item) item, before, after "  \
    "FROM "                                                                                                  \
    "switchback.repair_audit WHERE repair = $1::bigint AND outcome = 'applied' ORDER BY item, id DESC) a"

/* which: "before", "after". Rows of items in [from, to], in their order; the first of table's. */
static int rows_ask(const struct sb_repair_book *book, int64_t undoes, bool before, int64_t from, int64_t to,
    struct sb_rows **ret_rows, struct sb_err *err)
{
    char texts[3][NUMBER_BYTES];
    const int64_t numbers[] = {undoes, from, to};
    const char *params[3];
    for (size_t i = 0; i < 3; i++) {
        snprintf(texts[i], NUMBER_BYTES, "%" PRId64, numbers[i]);
        params[i] = texts[i];
    }
    return sb_conn_query(book->conn,
        before ? "SELECT n.item, e.key, e.value FROM (" NUMBERED
                 ") n, pg_catalog.jsonb_each_text(n.before) e WHERE n.item BETWEEN $2::bigint AND $3::bigint "
                 "ORDER BY n.item"
               : "SELECT n.item, e.key, e.value FROM (" NUMBERED
                 ") n, pg_catalog.jsonb_each_text(n.after) e WHERE n.item BETWEEN $2::bigint AND $3::bigint "
                 "ORDER BY n.item",
        3, params, ret_rows, err);
}

static int rows_read(const struct sb_repair_book *book, int64_t undoes, bool before,
    const struct sb_verify_table *table, const struct sb_repair_item *const *items, size_t count,
    struct sb_arena *arena, const struct sb_value **ret_rows, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int row = 0;
    if (rows_ask(book, undoes, before, items[0]->item, items[count - 1]->item, &rows, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct found found = {.table = table, .arena = arena};
        while (row < sb_rows_count(rows) && sb_rows_i64(rows, row, 0) < items[i]->item)
            row++;
        for (; row < sb_rows_count(rows) && sb_rows_i64(rows, row, 0) == items[i]->item; row++) {
            if (found.values == NULL)
                found.values =
                    sb_arena_zalloc(arena, ((size_t)table->column_count + 1) * sizeof *found.values);
            if (found.values == NULL)
                return no_room(arena, err);
            if (value_take(&found, sb_rows_get(rows, row, 1), sb_rows_get(rows, row, 2), err) != 0)
                return -1;
        }
        if (found.values != NULL && found.filled != table->column_count)
            return other_columns(table->relation, err);
        ret_rows[i] = found.values;
    }
    return 0;
}

int sb_undo_rows(const struct sb_repair_book *book, int64_t undoes, const struct sb_verify_table *table,
    const struct sb_repair_item *const *items, size_t count, struct sb_arena *arena,
    const struct sb_value **ret_rows, struct sb_err *err)
{
    return rows_read(book, undoes, true, table, items, count, arena, ret_rows, err);
}

/* -- items ----------------------------------------------------------------------------------------------- */

static int head_write(const struct sb_repair_book *book, const struct sb_undo_options *options,
    int64_t *ret_id, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char undoes[NUMBER_BYTES], epoch[NUMBER_BYTES];
    snprintf(undoes, sizeof undoes, "%" PRId64, options->undoes);
    snprintf(epoch, sizeof epoch, "%" PRIu64, options->ownership_epoch);
    const char *params[] = {
        book->migration, book->direction, epoch, undoes, options->reason, options->asked_by};
    if (sb_conn_query(book->conn,
            "INSERT INTO switchback.repair (migration, direction, ownership_epoch, state, undoes, rows_max, "
            "deletes_max, plan_digest, reason, asked_by) SELECT $1, $2, $3, 'planned', id, rows_max, "
            "rows_max, "
            "'', $5, session_user || ' (' || $6 || ')' FROM switchback.repair WHERE id = $4 RETURNING id",
            sizeof params / sizeof params[0], params, &rows, err) != 0)
        return -1;
    *ret_id = sb_rows_i64(rows, 0, 0);
    return 0;
}

static int items_write(
    const struct sb_repair_book *book, int64_t undoes, int64_t id, int64_t *ret_count, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char texts[2][NUMBER_BYTES];
    snprintf(texts[0], NUMBER_BYTES, "%" PRId64, undoes);
    snprintf(texts[1], NUMBER_BYTES, "%" PRId64, id);
    const char *params[] = {texts[0], texts[1]};
    if (sb_conn_query(book->conn,
            "INSERT INTO switchback.repair_item (repair, item, difference, relation, key, key_shown) SELECT "
            "$2::bigint, n.item, i.difference, i.relation, i.key, i.key_shown FROM (" NUMBERED
            ") n JOIN switchback.repair_item i ON i.repair = $1::bigint AND i.item = n.was",
            2, params, &rows, err) != 0)
        return -1;
    *ret_count = sb_rows_affected(rows);
    return 0;
}

static int guard_write(const struct sb_repair_book *book, int64_t id, int64_t item,
    const struct sb_digest *guard, struct sb_err *err)
{
    char texts[2][NUMBER_BYTES], hex[2 * sizeof guard->bytes + 1];
    snprintf(texts[0], NUMBER_BYTES, "%" PRId64, id);
    snprintf(texts[1], NUMBER_BYTES, "%" PRId64, item);
    sb_hex_encode(guard->bytes, sizeof guard->bytes, hex);
    const char *params[] = {texts[0], texts[1], hex};
    return sb_conn_query(book->conn,
        "UPDATE switchback.repair_item SET guard = pg_catalog.decode($3, 'hex') WHERE repair = $1 AND item = "
        "$2",
        3, params, NULL, err);
}

static struct sb_digest digest_of(const struct sb_verify_table *table, const struct sb_value *values)
{
    struct sb_digest fields[SB_COLS_MAX];
    for (uint16_t i = 0; i < table->column_count; i++)
        fields[i] = sb_rowform_field(&values[i]);
    return sb_rowform_row(fields, table->column_count);
}

/* ret_last: the newest of the page; unchanged behind the last one. */
static int page_guard(const struct sb_repair_book *book, int64_t undoes, int64_t id,
    const struct sb_verify_plan *plan, struct sb_arena *arena, int64_t *last, bool *ret_more,
    struct sb_err *err)
{
    const struct sb_repair_item *list[PAGE_ITEMS];
    const struct sb_value *rows[PAGE_ITEMS];
    struct sb_repair_item *items;
    size_t count;
    sb_arena_reset(arena);
    if (sb_repair_book_items(book, id, *last, PAGE_ITEMS, false, arena, &items, &count, err) != 0)
        return -1;
    *ret_more = count > 0;
    if (count == 0)
        return 0;
    const struct sb_verify_table *table = sb_repair_table_find(plan, items[0].relation);
    if (table == NULL)
        return other_columns(items[0].relation, err);
    for (size_t i = 0; i < count; i++)
        list[i] = &items[i];
    if (rows_read(book, undoes, false, table, list, count, arena, rows, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (rows[i] == NULL)
            continue;
        const struct sb_digest guard = digest_of(table, rows[i]);
        if (guard_write(book, id, items[i].item, &guard, err) != 0)
            return -1;
    }
    *last = items[count - 1].item;
    return 0;
}

static int guards_write(const struct sb_repair_book *book, int64_t undoes, int64_t id,
    const struct sb_verify_plan *plan, struct sb_err *err)
{
    struct sb_arena *arena = sb_arena_new("rows of a repair", PAGE_MAX_BYTES);
    int64_t last = 0;
    bool more = true;
    int rc = arena == NULL ? sb_err_set(err, SB_E_NO_MEMORY, "no memory for rows of a repair") : 0;
    while (rc == 0 && more)
        rc = page_guard(book, undoes, id, plan, arena, &last, &more, err);
    sb_arena_free(arena);
    return rc;
}

static int undo_write(const struct sb_repair_book *book, const struct sb_undo_options *options,
    const struct sb_verify_plan *plan, int64_t *ret_id, int64_t *ret_count, struct sb_err *err)
{
    if (head_write(book, options, ret_id, err) != 0 ||
        items_write(book, options->undoes, *ret_id, ret_count, err) != 0)
        return -1;
    if (*ret_count == 0)
        return 0;
    return guards_write(book, options->undoes, *ret_id, plan, err) == 0
               ? sb_repair_book_seal(book, *ret_id, err)
               : -1;
}

int sb_undo_write(const struct sb_repair_book *book, const struct sb_undo_options *options,
    const struct sb_verify_plan *plan, int64_t *ret_id, struct sb_err *err)
{
    int64_t id = 0, count = 0;
    struct sb_err ignored;
    if (sb_conn_exec(book->conn, "BEGIN", err) != 0)
        return -1;
    int rc = undo_write(book, options, plan, &id, &count, err);
    *ret_id = rc == 0 && count > 0 ? id : 0;
    if (*ret_id != 0)
        return sb_conn_exec(book->conn, "COMMIT", err);
    sb_conn_exec(book->conn, "ROLLBACK", &ignored);
    return rc;
}
