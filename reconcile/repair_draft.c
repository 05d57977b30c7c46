#include "reconcile/repair_draft.h"

#include "core/map.h"
#include "pg/ident.h"
#include "schemas/digest.h"
#include "schemas/rowform.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_ROWS = 10000,
    RELATIONS_MAX = 1000000,
    WHY_MAX_BYTES = 4096,
    LIST_MAX_BYTES = 256 * 1024 * 1024,
    NUMBER_BYTES = 24,
};

struct drafting {
    const struct sb_repair_book *book;
    const struct sb_repair_draft_options *options;
    const struct sb_verify_plan *plan;
    struct sb_arena *arena;
    struct sb_repair_draft *draft;
    struct sb_map *numbers; /* by quoted name: index into the draft's tables, and one */
    struct sb_map *texts;   /* columns that differ, each once */
    size_t table_room, difference_room;
};

static int no_room(const struct drafting *drafting, struct sb_err *err)
{
    sb_err_set(err, SB_E_LIMIT, "the differences do not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(drafting->arena), sb_arena_name(drafting->arena));
    return sb_err_hint(err, "Repair some tables at a time: --table PATTERN.");
}

static int no_memory(struct sb_err *err)
{
    return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the plan of a repair");
}

static bool grow(void **items, size_t *room, size_t count, size_t item_bytes)
{
    if (count < *room)
        return true;
    size_t more = *room == 0 ? 256 : *room * 2;
    void *grown = realloc(*items, more * item_bytes);
    if (grown == NULL)
        return false;
    *items = grown;
    *room = more;
    return true;
}

/* -- tables ---------------------------------------------------------------------------------------------- */

static int table_add(struct drafting *drafting, const char *relation, const struct sb_repair_table *table,
    size_t *ret_number, struct sb_err *err)
{
    struct sb_repair_draft *draft = drafting->draft;
    void *items = draft->tables;
    if (!grow(&items, &drafting->table_room, draft->table_count, sizeof *table))
        return no_memory(err);
    draft->tables = items;
    *ret_number = draft->table_count;
    draft->tables[draft->table_count++] = *table;
    /* A number as a pointer: nothing is pointed at. */
    return sb_map_put(drafting->numbers, sb_view_str(relation), (void *)(uintptr_t)draft->table_count, NULL)
               ? 0
               : no_memory(err);
}

static int tables_fill(struct drafting *drafting, struct sb_err *err)
{
    for (size_t i = 0; i < drafting->plan->table_count; i++) {
        const struct sb_verify_table *planned = &drafting->plan->tables[i];
        const struct sb_repair_table table = {.shown = planned->shown,
            .compared = planned->strategy != SB_STRATEGY_NONE && planned->key_count > 0,
            .rows_estimated = planned->rows_estimated};
        size_t number;
        if (table_add(drafting, planned->relation, &table, &number, err) != 0)
            return -1;
    }
    return 0;
}

/* Of a difference whose table is not in the plan (any more). */
static int table_number(
    struct drafting *drafting, const char *relation, size_t *ret_number, struct sb_err *err)
{
    uintptr_t found = (uintptr_t)sb_map_get(drafting->numbers, sb_view_str(relation));
    *ret_number = found - 1;
    if (found != 0)
        return 0;
    const struct sb_repair_table table = {.shown = sb_arena_str(drafting->arena, sb_view_str(relation))};
    return table.shown == NULL ? no_room(drafting, err)
                               : table_add(drafting, relation, &table, ret_number, err);
}

/* Foreign keys of the target, between tables of the draft. */
static int depths_set(struct drafting *drafting, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(drafting->book->conn,
            "SELECT '\"' || replace(cn.nspname, '\"', '\"\"') || '\".\"' || replace(c.relname, '\"', '\"\"') "
            "|| '\"', '\"' || replace(pn.nspname, '\"', '\"\"') || '\".\"' || replace(p.relname, '\"', "
            "'\"\"') || '\"' FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = "
            "k.conrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace JOIN pg_catalog.pg_class "
            "p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace WHERE "
            "k.contype = 'f' AND k.conparentid = 0",
            0, NULL, &rows, err) != 0)
        return -1;
    int count = sb_rows_count(rows);
    size_t edge_count = 0;
    struct sb_repair_edge *edges = calloc((size_t)count + 1, sizeof *edges);
    if (edges == NULL)
        return no_memory(err);
    for (int row = 0; row < count; row++) {
        uintptr_t child = (uintptr_t)sb_map_get(drafting->numbers, sb_view_str(sb_rows_get(rows, row, 0)));
        uintptr_t parent = (uintptr_t)sb_map_get(drafting->numbers, sb_view_str(sb_rows_get(rows, row, 1)));
        if (child != 0 && parent != 0)
            edges[edge_count++] =
                (struct sb_repair_edge){.child = (uint32_t)child - 1, .parent = (uint32_t)parent - 1};
    }
    sb_repair_depths(drafting->draft->tables, drafting->draft->table_count, edges, edge_count);
    free(edges);
    return 0;
}

/* -- differences ----------------------------------------------------------------------------------------- */

static bool columns_match(const struct drafting *drafting, size_t number, const char *hex)
{
    struct sb_digest digest, now;
    if (number >= drafting->plan->table_count)
        return false;
    const struct sb_verify_table *table = &drafting->plan->tables[number];
    now = sb_rowform_column_set(table->columns, table->column_count);
    return sb_hex_decode(sb_view_str(hex), digest.bytes, sizeof digest.bytes) && sb_digest_eq(&digest, &now);
}

/* Each text once: most differences of a table are in the same columns. */
static bool text_keep(struct drafting *drafting, const char *text, struct sb_view *ret_text)
{
    *ret_text = sb_view(NULL, 0);
    if (text == NULL || text[0] == '\0')
        return true;
    char *kept = sb_map_get(drafting->texts, sb_view_str(text));
    if (kept == NULL) {
        kept = sb_arena_str(drafting->arena, sb_view_str(text));
        if (kept == NULL || !sb_map_put(drafting->texts, sb_view_str(text), kept, NULL))
            return false;
    }
    *ret_text = sb_view_str(kept);
    return true;
}

static bool is_chosen(const struct drafting *drafting, const struct sb_rows *rows, int row)
{
    return drafting->options->pattern == NULL ||
           sb_pattern_match(drafting->options->pattern, sb_view_str(sb_rows_get(rows, row, 8)),
               sb_view_str(sb_rows_get(rows, row, 9)));
}

static int difference_add(struct drafting *drafting, const struct sb_rows *rows, int row, struct sb_err *err)
{
    struct sb_repair_draft *draft = drafting->draft;
    void *items = draft->differences;
    size_t number;
    if (table_number(drafting, sb_rows_get(rows, row, 1), &number, err) != 0)
        return -1;
    struct sb_repair_difference difference = {.id = sb_rows_i64(rows, row, 0),
        .table = (uint32_t)number,
        .kind = sb_verdict_kind_find(sb_rows_get(rows, row, 2)),
        .fault = sb_fault_of_find(sb_rows_get(rows, row, 3)),
        .keyed = sb_rows_bool(rows, row, 4),
        .columns_match = columns_match(drafting, number, sb_rows_get(rows, row, 5)),
        .xid = sb_rows_u64(rows, row, 7),
        .held = sb_rows_bool(rows, row, 10)};
    if (!text_keep(drafting, sb_rows_get(rows, row, 6), &difference.columns))
        return no_room(drafting, err);
    if (!grow(&items, &drafting->difference_room, draft->difference_count, sizeof difference))
        return no_memory(err);
    draft->differences = items;
    draft->differences[draft->difference_count++] = difference;
    return 0;
}

/* ret_last: of the page; 0: there was none. */
static int page_read(struct drafting *drafting, int64_t after, int64_t *ret_last, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char epoch[NUMBER_BYTES], last[NUMBER_BYTES], page[NUMBER_BYTES];
    snprintf(epoch, sizeof epoch, "%" PRIu64, drafting->options->ownership_epoch);
    snprintf(last, sizeof last, "%" PRId64, after);
    snprintf(page, sizeof page, "%d", PAGE_ROWS);
    const char *params[] = {drafting->book->migration, drafting->book->direction, epoch, last, page};
    if (sb_conn_query(drafting->book->conn,
            "SELECT id, relation, kind, fault, key IS NOT NULL, pg_catalog.encode(column_set, 'hex'), "
            "pg_catalog.array_to_string(columns, ', '), xid, (pg_catalog.parse_ident(relation))[1], "
            "(pg_catalog.parse_ident(relation))[2], state = 'held' FROM switchback.difference WHERE "
            "migration = $1 AND direction = $2 AND ownership_epoch = $3 AND state IN ('open', 'held') AND id "
            "> $4 ORDER BY id LIMIT $5",
            5, params, &rows, err) != 0)
        return -1;
    int count = sb_rows_count(rows);
    for (int row = 0; row < count; row++)
        if (is_chosen(drafting, rows, row) && difference_add(drafting, rows, row, err) != 0)
            return -1;
    *ret_last = count == 0 ? 0 : sb_rows_i64(rows, count - 1, 0);
    return 0;
}

static int differences_read(struct drafting *drafting, struct sb_err *err)
{
    int64_t last = 0;
    do {
        if (page_read(drafting, last, &last, err) != 0)
            return -1;
    } while (last != 0);
    return 0;
}

/* -- what is written ------------------------------------------------------------------------------------- */

static int head_write(struct drafting *drafting, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const struct sb_repair_draft_options *options = drafting->options;
    char epoch[NUMBER_BYTES], rows_max[NUMBER_BYTES], deletes_max[NUMBER_BYTES];
    snprintf(epoch, sizeof epoch, "%" PRIu64, options->ownership_epoch);
    snprintf(rows_max, sizeof rows_max, "%" PRId64, options->limits.rows_max);
    snprintf(deletes_max, sizeof deletes_max, "%" PRId64, options->limits.deletes_max);
    const char *params[] = {drafting->book->migration, drafting->book->direction, epoch, options->pattern,
        rows_max, deletes_max, options->reason, sb_buf_str(&drafting->draft->why), options->asked_by};
    if (sb_conn_query(drafting->book->conn,
            "INSERT INTO switchback.repair (migration, direction, ownership_epoch, state, pattern, rows_max, "
            "deletes_max, plan_digest, reason, stopped_why, asked_by) VALUES ($1, $2, $3, 'planned', $4, $5, "
            "$6, '', $7, $8, session_user || ' (' || $9 || ')') RETURNING id",
            sizeof params / sizeof params[0], params, &rows, err) != 0)
        return -1;
    drafting->draft->id = sb_rows_i64(rows, 0, 0);
    return 0;
}

static int items_write(struct drafting *drafting, struct sb_err *err)
{
    char id[NUMBER_BYTES];
    struct sb_buf list;
    snprintf(id, sizeof id, "%" PRId64, drafting->draft->id);
    sb_buf_init(&list, LIST_MAX_BYTES);
    sb_buf_put_str(&list, "{");
    for (size_t i = 0; i < drafting->draft->plan.count; i++)
        sb_buf_putf(&list, "%s%" PRId64, i == 0 ? "" : ",", drafting->draft->differences[i].id);
    sb_buf_put_str(&list, "}");
    const char *params[] = {id, sb_buf_str(&list)};
    int rc = list.failed ? no_memory(err)
                         : sb_conn_query(drafting->book->conn,
                               "INSERT INTO switchback.repair_item (repair, item, difference, relation, key, "
                               "key_shown, guard) SELECT $1, o.item, d.id, d.relation, d.key, "
                               "coalesce(d.key_shown, ''), d.target_row FROM pg_catalog.unnest($2::bigint[]) "
                               "WITH ORDINALITY o (id, item) JOIN switchback.difference d USING (id)",
                               2, params, NULL, err);
    sb_buf_clear(&list);
    return rc == 0 ? sb_repair_book_seal(drafting->book, drafting->draft->id, err) : -1;
}

static int plan_write(struct drafting *drafting, struct sb_err *err)
{
    if (sb_conn_exec(drafting->book->conn, "BEGIN", err) == 0 && head_write(drafting, err) == 0 &&
        items_write(drafting, err) == 0 && sb_conn_exec(drafting->book->conn, "COMMIT", err) == 0)
        return 0;
    struct sb_err ignored;
    drafting->draft->id = 0;
    sb_conn_exec(drafting->book->conn, "ROLLBACK", &ignored);
    return -1;
}

/* -- all of it ------------------------------------------------------------------------------------------- */

static int draft_make(struct drafting *drafting, struct sb_err *err)
{
    struct sb_repair_draft *draft = drafting->draft;
    if (tables_fill(drafting, err) != 0 || differences_read(drafting, err) != 0 ||
        depths_set(drafting, err) != 0)
        return -1;
    sb_repair_plan_make(&drafting->options->limits, draft->tables, draft->table_count, draft->differences,
        draft->difference_count, &draft->plan, &draft->why);
    if (draft->why.failed)
        return no_memory(err);
    return draft->plan.count == 0 ? 0 : plan_write(drafting, err);
}

int sb_repair_draft_make(const struct sb_repair_book *book, const struct sb_repair_draft_options *options,
    const struct sb_verify_plan *tables, struct sb_arena *arena, struct sb_repair_draft *ret_draft,
    struct sb_err *err)
{
    struct drafting drafting = {.book = book,
        .options = options,
        .plan = tables,
        .arena = arena,
        .draft = ret_draft,
        .numbers = sb_map_new(RELATIONS_MAX),
        .texts = sb_map_new(RELATIONS_MAX)};
    *ret_draft = (struct sb_repair_draft){.id = 0};
    sb_buf_init(&ret_draft->why, WHY_MAX_BYTES);
    int rc = drafting.numbers == NULL || drafting.texts == NULL ? no_memory(err) : draft_make(&drafting, err);
    sb_map_free(drafting.numbers);
    sb_map_free(drafting.texts);
    return rc;
}

void sb_repair_draft_clear(struct sb_repair_draft *draft)
{
    free(draft->tables);
    free(draft->differences);
    sb_buf_clear(&draft->why);
}
