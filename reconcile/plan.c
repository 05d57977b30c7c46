#include "reconcile/plan.h"

#include "pg/ident.h"
#include "schemas/published.h"

#include <string.h>

enum { SQL_MAX_BYTES = 1024 * 1024, OMITTED_MAX_BYTES = 256 * 1024 };

struct planner {
    struct sb_conn *source, *target;
    const struct sb_verify_plan_options *options;
    struct sb_arena *arena;
    bool source_utf8, target_utf8;
    struct sb_buf sql, omitted;
};

struct sides { /* one table */
    struct sb_cat_table source, target;
    const char *source_oid;
    bool keyed; /* updates and deletes travel */
};

static int no_room(const struct planner *planner, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT,
        "the plan of the compare does not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(planner->arena), sb_arena_name(planner->arena));
}

static int text_keep(
    const struct planner *planner, const struct sb_buf *buf, const char **ret_text, struct sb_err *err)
{
    *ret_text = buf->failed ? NULL : sb_arena_str(planner->arena, sb_buf_view(buf));
    return *ret_text != NULL ? 0 : no_room(planner, err);
}

static int not_compared(struct sb_verify_table *table, const char *why)
{
    table->strategy = SB_STRATEGY_NONE;
    table->reason = why;
    return 0;
}

/* -- columns --------------------------------------------------------------------------------------------- */

static void omit(struct planner *planner, struct sb_view column, const char *why)
{
    sb_buf_put_str(&planner->omitted, planner->omitted.len == 0 ? "" : ", ");
    sb_ident_put(&planner->omitted, column);
    sb_buf_putf(&planner->omitted, " (%s)", why);
}

static void omit_own(struct planner *planner, const struct sides *sides)
{
    for (size_t i = 0; i < sides->target.col_count; i++)
        if (sb_cat_column(&sides->source, sides->target.cols[i].name) == NULL)
            omit(planner, sides->target.cols[i].name, "the target's own");
}

/* The columns that travel: generated ones are computed by each side. */
static int columns_join(
    struct planner *planner, const struct sides *sides, struct sb_verify_table *table, struct sb_err *err)
{
    size_t room = sides->source.col_count + 1;
    table->columns = sb_arena_alloc(planner->arena, room * sizeof *table->columns);
    table->equals = sb_arena_alloc(planner->arena, room * sizeof *table->equals);
    table->key_cols = sb_arena_alloc(planner->arena, room * sizeof *table->key_cols);
    if (table->columns == NULL || table->equals == NULL || table->key_cols == NULL)
        return no_room(planner, err);
    sb_buf_reset(&planner->omitted);
    for (size_t i = 0; i < sides->source.col_count; i++) {
        const struct sb_cat_column *col = &sides->source.cols[i];
        const struct sb_cat_column *other = sb_cat_column(&sides->target, col->name);
        if (col->generated || (other != NULL && other->generated)) {
            omit(planner, col->name, "generated");
            continue;
        }
        if (other == NULL)
            return not_compared(table, "the target's table has not all of its columns");
        if (col->key)
            table->key_cols[table->key_count++] = table->column_count;
        table->equals[table->column_count] = col->equal;
        table->columns[table->column_count++] = col->name;
    }
    omit_own(planner, sides);
    return text_keep(planner, &planner->omitted, &table->omitted, err);
}

/* -- rules ----------------------------------------------------------------------------------------------- */

static int rules_read(struct planner *planner, struct sb_verify_plan *plan, struct sb_err *err)
{
    const struct sb_config_list *accept = planner->options->accept;
    plan->rule_count = accept->count;
    plan->rules = sb_arena_zalloc(planner->arena, (accept->count + 1) * sizeof *plan->rules);
    if (plan->rules == NULL)
        return no_room(planner, err);
    for (size_t i = 0; i < accept->count; i++)
        if (sb_rule_parse(accept->items[i], planner->arena, &plan->rules[i].rule, err) != 0)
            return -1;
    return 0;
}

static bool is_key(const struct sb_verify_table *table, uint16_t column)
{
    for (uint16_t i = 0; i < table->key_count; i++)
        if (table->key_cols[i] == column)
            return true;
    return false;
}

/* Why a column cannot have a rule; NULL: it can. */
static const char *rule_refused(const struct sides *sides, const struct sb_verify_table *table,
    uint16_t column, const struct sb_rule *rule)
{
    if (!sb_rule_takes(rule, sb_cat_column(&sides->source, table->columns[column])->type_oid))
        return "the rule is not for its type";
    if (is_key(table, column))
        return "rows are told apart by it";
    if (table->key_count == 0 && !sb_rule_has_form(rule))
        return "the table has no key, and a tolerance needs one";
    return table->rules[column] != NULL ? "another rule holds for it" : NULL;
}

static int rule_put(
    const struct sides *sides, struct sb_verify_table *table, struct sb_rule_use *use, struct sb_err *err)
{
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (!sb_view_eq(table->columns[i], use->rule.column))
            continue;
        const char *why = rule_refused(sides, table, i, &use->rule);
        if (why != NULL)
            return sb_err_set(err, SB_E_CONFIG, "verify.accept: \"%s\": column \"%.*s\": %s", use->rule.text,
                (int)use->rule.column.len, use->rule.column.ptr, why);
        table->rules[i] = use;
        table->ruled_count++;
        use->columns++;
    }
    return 0;
}

/* Once its columns and its key are known. */
static int rules_join(struct planner *planner, const struct sides *sides, const struct sb_verify_plan *plan,
    struct sb_verify_table *table, struct sb_err *err)
{
    table->rules = sb_arena_zalloc(planner->arena, ((size_t)table->column_count + 1) * sizeof(void *));
    if (table->rules == NULL)
        return no_room(planner, err);
    for (size_t i = 0; i < plan->rule_count; i++)
        if (sb_pattern_match(plan->rules[i].rule.pattern, table->schema, table->name) &&
            rule_put(sides, table, &plan->rules[i], err) != 0)
            return -1;
    if (table->ruled_count == 0)
        table->rules = NULL;
    return 0;
}

/* -- strategy -------------------------------------------------------------------------------------------- */

static bool key_is_whole(const struct sides *sides, const struct sb_verify_table *table)
{
    size_t count = 0;
    for (size_t i = 0; i < sides->source.col_count; i++)
        count += sides->source.cols[i].key;
    return sides->source.has_key && count > 0 && table->key_count == count;
}

/* Does the target order its column as we do? Of text each column has an order of its own. */
static int same_order(struct planner *planner, const struct sides *sides,
    const struct sb_published_facts *facts, bool *ret_same, struct sb_err *err)
{
    const struct sb_cat_column *other = sb_cat_column(&sides->target, facts->key_column);
    struct sb_published_facts theirs;
    *ret_same = other != NULL && sb_key_kind_of(other->type_oid, true) == facts->kind;
    if (!*ret_same || facts->kind != SB_KEY_TEXT)
        return 0;
    sb_buf_reset(&planner->sql);
    sb_buf_putf(&planner->sql, "%u", sides->target.oid);
    if (sb_published_facts(planner->target, sb_buf_str(&planner->sql), planner->target_utf8, planner->arena,
            &theirs, err) != 0)
        return -1;
    *ret_same = theirs.kind == facts->kind && sb_view_eq(theirs.key_column, facts->key_column);
    return 0;
}

static void lead_with(struct sb_verify_table *table, struct sb_view column)
{
    for (uint16_t i = 0; i < table->key_count; i++) {
        uint16_t col = table->key_cols[i];
        if (sb_view_eq(table->columns[col], column)) {
            table->key_cols[i] = table->key_cols[0];
            table->key_cols[0] = col;
        }
    }
}

static int choose(
    struct planner *planner, const struct sides *sides, struct sb_verify_table *table, struct sb_err *err)
{
    struct sb_published_facts facts;
    bool same = false;
    if (table->column_count == 0)
        return not_compared(table, "it has no column that could be compared");
    if (sb_published_facts(
            planner->source, sides->source_oid, planner->source_utf8, planner->arena, &facts, err) != 0)
        return -1;
    table->rows_estimated = facts.rows_estimated;
    if (!sides->keyed || !key_is_whole(sides, table)) {
        table->key_count = 0;
        table->strategy = SB_STRATEGY_MULTISET;
        table->reason =
            sides->keyed ? "it has no key: rows are counted" : "only its inserts travel: rows are counted";
        return 0;
    }
    table->strategy = SB_STRATEGY_ORDERLESS;
    table->reason = "its key has an order that only a server knows";
    if (facts.kind == SB_KEY_NONE || same_order(planner, sides, &facts, &same, err) != 0)
        return facts.kind == SB_KEY_NONE ? 0 : -1;
    if (!same)
        return 0;
    lead_with(table, facts.key_column);
    table->kind = facts.kind;
    table->strategy = SB_STRATEGY_RANGES;
    table->reason = "its key is ordered in the same way everywhere";
    struct sb_published_cut cut = {
        .relation = table->relation, .facts = &facts, .chunk_rows = planner->options->chunk_rows};
    sb_buf_reset(&planner->sql);
    sb_buf_put_str(&planner->sql, table->source_parted ? "" : "ONLY ");
    sb_ident_put_table(&planner->sql, table->schema, table->name);
    if (text_keep(planner, &planner->sql, &cut.from, err) != 0)
        return -1;
    return sb_published_cut(planner->source, &cut, planner->arena, &table->ranges, err);
}

/* -- one table ------------------------------------------------------------------------------------------- */

static int shape_read(struct planner *planner, struct sb_conn *conn, const struct sb_verify_table *table,
    const char **ret_shape, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    sb_buf_reset(&planner->sql);
    sb_buf_put_str(&planner->sql, "SELECT ");
    sb_published_put_shape(table->schema, table->name, &planner->sql);
    if (planner->sql.failed || sb_conn_query(conn, sb_buf_str(&planner->sql), 0, NULL, &rows, err) != 0)
        return planner->sql.failed ? no_room(planner, err) : -1;
    *ret_shape = sb_arena_str(planner->arena, sb_view_str(sb_rows_get(rows, 0, 0)));
    return *ret_shape != NULL ? 0 : no_room(planner, err);
}

static int names_keep(struct planner *planner, const struct sb_rows *rows, int row,
    struct sb_verify_table *table, struct sb_err *err)
{
    struct sb_view schema = sb_view_str(sb_rows_get(rows, row, 0)),
                   name = sb_view_str(sb_rows_get(rows, row, 1));
    if (!sb_arena_dup(planner->arena, schema, &table->schema) ||
        !sb_arena_dup(planner->arena, name, &table->name))
        return no_room(planner, err);
    sb_buf_reset(&planner->sql);
    sb_ident_put_table(&planner->sql, schema, name);
    if (text_keep(planner, &planner->sql, &table->relation, err) != 0)
        return -1;
    sb_buf_reset(&planner->sql);
    sb_buf_put_view(&planner->sql, schema);
    sb_buf_put_str(&planner->sql, ".");
    sb_buf_put_view(&planner->sql, name);
    return text_keep(planner, &planner->sql, &table->shown, err);
}

static int table_plan(struct planner *planner, const struct sb_rows *rows, int row,
    const struct sb_verify_plan *plan, struct sb_verify_table *table, struct sb_err *err)
{
    struct sides sides = {.source_oid = sb_rows_get(rows, row, 2), .keyed = sb_rows_bool(rows, row, 3)};
    bool found = false, target_found = false;
    static const char none[] = "";
    table->omitted = none;
    table->ranges.items = sb_arena_zalloc(planner->arena, sizeof *table->ranges.items);
    if (table->ranges.items == NULL || names_keep(planner, rows, row, table, err) != 0)
        return table->ranges.items == NULL ? no_room(planner, err) : -1;
    table->ranges.count = 1;
    table->ranges.items[0] = (struct sb_key_range){.lower_open = true, .upper_open = true};
    /* The shapes first: whatever changes behind them is noticed when the table is read. */
    if (shape_read(planner, planner->source, table, &table->source_shape, err) != 0 ||
        shape_read(planner, planner->target, table, &table->target_shape, err) != 0 ||
        sb_catalog_table(
            planner->source, table->schema, table->name, planner->arena, &sides.source, &found, err) != 0 ||
        sb_catalog_table(planner->target, table->schema, table->name, planner->arena, &sides.target,
            &target_found, err) != 0)
        return -1;
    if (!found)
        return not_compared(table, "it was dropped from the source meanwhile");
    if (!target_found)
        return not_compared(table, "the target has no such table");
    if (sb_rows_bool(rows, row, 4))
        return not_compared(table, "a row filter or a column list keeps a part of it out of the stream");
    if (sides.source.rls || sides.target.rls)
        return not_compared(table, sides.source.rls ? "row-level security of the source would hide rows"
                                                    : "row-level security of the target would hide rows");
    table->source_parted = sides.source.kind == 'p';
    table->target_parted = sides.target.kind == 'p';
    if (columns_join(planner, &sides, table, err) != 0)
        return -1;
    if (table->strategy == SB_STRATEGY_NONE)
        return 0;
    return choose(planner, &sides, table, err) != 0 ? -1 : rules_join(planner, &sides, plan, table, err);
}

static bool is_chosen(const struct planner *planner, const struct sb_rows *rows, int row)
{
    return planner->options->pattern == NULL ||
           sb_pattern_match(planner->options->pattern, sb_view_str(sb_rows_get(rows, row, 0)),
               sb_view_str(sb_rows_get(rows, row, 1)));
}

static int plan(struct planner *planner, struct sb_verify_plan *ret_plan, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const struct sb_names *names = planner->options->names;
    if (rules_read(planner, ret_plan, err) != 0 ||
        sb_published_is_utf8(planner->source, &planner->source_utf8, err) != 0 ||
        sb_published_is_utf8(planner->target, &planner->target_utf8, err) != 0 ||
        sb_published_tables(planner->source, names->publication, names->publication_keyless, &rows, err) != 0)
        return -1;
    int count = sb_rows_count(rows);
    ret_plan->tables = sb_arena_zalloc(planner->arena, ((size_t)count + 1) * sizeof *ret_plan->tables);
    ret_plan->table_count = 0;
    if (ret_plan->tables == NULL)
        return no_room(planner, err);
    for (int row = 0; row < count; row++) {
        struct sb_verify_table *table = &ret_plan->tables[ret_plan->table_count];
        if (!is_chosen(planner, rows, row))
            continue;
        table->number = (uint32_t)ret_plan->table_count++;
        if (table_plan(planner, rows, row, ret_plan, table, err) != 0)
            return table->shown == NULL ? -1 : sb_err_add(err, "table %s", table->shown);
    }
    return 0;
}

int sb_verify_plan_make(struct sb_conn *source, struct sb_conn *target,
    const struct sb_verify_plan_options *options, struct sb_arena *arena, struct sb_verify_plan *ret_plan,
    struct sb_err *err)
{
    struct planner planner = {.source = source, .target = target, .options = options, .arena = arena};
    sb_buf_init(&planner.sql, SQL_MAX_BYTES);
    sb_buf_init(&planner.omitted, OMITTED_MAX_BYTES);
    int rc = plan(&planner, ret_plan, err);
    sb_buf_clear(&planner.sql);
    sb_buf_clear(&planner.omitted);
    return rc;
}
