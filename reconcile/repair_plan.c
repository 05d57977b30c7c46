#include "reconcile/repair_plan.h"

#include <inttypes.h>
#include <stdlib.h>

enum { PATTERN_PERCENT = 80, NAMED_BYTES = 200 };

const char *sb_repair_left_text(enum sb_repair_left left)
{
    static const char *const texts[] = {
        [SB_REPAIR_TAKEN] = "",
        [SB_REPAIR_LEFT_NO_TABLE] =
            "the table cannot be compared now: `switchback verify --explain` says why",
        [SB_REPAIR_LEFT_NO_KEY] = "the table has no key: `switchback copy --again` copies it anew",
        [SB_REPAIR_LEFT_COLUMNS] = "the table has other columns now: run `switchback verify` again",
        [SB_REPAIR_LEFT_FOREIGN] = "somebody else wrote on the target: ask who, then --include foreign",
        [SB_REPAIR_LEFT_CAPTURE] =
            "the stream does not say what the source does, so it would come back: --include capture",
        [SB_REPAIR_LEFT_HELD] = "it was undone, or is held by an operator: --include held",
    };
    return texts[left];
}

const char *sb_repair_verdict_name(enum sb_repair_verdict verdict)
{
    static const char *const names[] = {"may run", "over budget", "pattern"};
    return names[verdict];
}

/* -- foreign keys ---------------------------------------------------------------------------------------- */

void sb_repair_depths(
    struct sb_repair_table *tables, size_t table_count, const struct sb_repair_edge *edges, size_t edge_count)
{
    bool moved = true;
    for (size_t i = 0; i < table_count; i++)
        tables[i].depth = 0;
    for (size_t round = 0; moved && round < table_count; round++) {
        moved = false;
        for (size_t i = 0; i < edge_count; i++) {
            struct sb_repair_table *child = &tables[edges[i].child];
            uint32_t least = tables[edges[i].parent].depth + 1;
            if (edges[i].child == edges[i].parent || child->depth >= least || least >= table_count)
                continue;
            child->depth = least;
            moved = true;
        }
    }
}

/* -- which ----------------------------------------------------------------------------------------------- */

static enum sb_repair_left left_of(const struct sb_repair_limits *limits, const struct sb_repair_table *table,
    const struct sb_repair_difference *difference)
{
    if (!difference->keyed)
        return SB_REPAIR_LEFT_NO_KEY;
    if (!table->compared)
        return SB_REPAIR_LEFT_NO_TABLE;
    if (!difference->columns_match)
        return SB_REPAIR_LEFT_COLUMNS;
    if (difference->held && !limits->include_held)
        return SB_REPAIR_LEFT_HELD;
    if (difference->fault == SB_FAULT_OF_FOREIGN && !limits->include_foreign)
        return SB_REPAIR_LEFT_FOREIGN;
    if (difference->fault == SB_FAULT_OF_CAPTURE && !limits->include_capture)
        return SB_REPAIR_LEFT_CAPTURE;
    return SB_REPAIR_TAKEN;
}

static void choose(const struct sb_repair_limits *limits, struct sb_repair_table *tables,
    struct sb_repair_difference *differences, size_t count, struct sb_repair_plan *plan)
{
    for (size_t i = 0; i < count; i++) {
        struct sb_repair_table *table = &tables[differences[i].table];
        enum sb_repair_left left = left_of(limits, table, &differences[i]);
        table->left[left]++;
        if (left != SB_REPAIR_TAKEN)
            continue;
        bool is_delete = differences[i].kind == SB_DIFF_EXTRA;
        *(is_delete ? &table->deletes : &table->writes) += 1;
        *(is_delete ? &plan->deletes : &plan->writes) += 1;
        differences[plan->count] = differences[i];
        differences[plan->count++].phase = is_delete ? -1 - (int64_t)table->depth : table->depth;
    }
}

/* -- in which order -------------------------------------------------------------------------------------- */

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_items(const void *a, const void *b)
{
    const struct sb_repair_difference *left = a, *right = b;
    int order = compare_numbers(left->phase, right->phase);
    if (order == 0)
        order = compare_numbers(left->table, right->table);
    return order != 0 ? order : compare_numbers(left->id, right->id);
}

/* -- may it be run --------------------------------------------------------------------------------------- */

/* What most of a table's items have in common. */
struct vote { /* whatever more than half of them have, the one that is left has it (Boyer and Moore) */
    const struct sb_repair_difference *one;
    int64_t lead;
};

struct cluster {
    struct vote columns, xids;
    int64_t all, by_kind[3], by_xid;
    int64_t columns_known, by_columns; /* the latter of the former */
};

typedef bool same_fn(const struct sb_repair_difference *a, const struct sb_repair_difference *b);

static bool same_columns(const struct sb_repair_difference *a, const struct sb_repair_difference *b)
{
    return a->kind == SB_DIFF_CHANGED && b->kind == SB_DIFF_CHANGED && a->columns.len > 0 &&
           sb_view_eq(a->columns, b->columns);
}

static bool same_xid(const struct sb_repair_difference *a, const struct sb_repair_difference *b)
{
    return a->xid != 0 && a->xid == b->xid;
}

static void vote(struct vote *vote, const struct sb_repair_difference *difference, same_fn *same)
{
    if (vote->lead == 0)
        *vote = (struct vote){.one = difference, .lead = 1};
    else
        vote->lead += same(vote->one, difference) ? 1 : -1;
}

static void cluster_fill(struct cluster *cluster, const struct sb_repair_plan *plan,
    const struct sb_repair_difference *items, uint32_t table)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (items[i].table != table)
            continue;
        cluster->all++;
        cluster->by_kind[items[i].kind]++;
        if (same_columns(&items[i], &items[i])) {
            cluster->columns_known++;
            vote(&cluster->columns, &items[i], same_columns);
        }
        vote(&cluster->xids, &items[i], same_xid);
    }
    for (size_t i = 0; i < plan->count; i++) {
        if (items[i].table != table)
            continue;
        if (cluster->columns_known > 0)
            cluster->by_columns += same_columns(cluster->columns.one, &items[i]);
        cluster->by_xid += same_xid(cluster->xids.one, &items[i]);
    }
}

static bool put_cluster(
    struct sb_buf *why, const struct sb_repair_table *table, int64_t part, const struct cluster *cluster)
{
    if (part * 100 < cluster->all * PATTERN_PERCENT)
        return false;
    sb_buf_putf(why, "%" PRId64 " of %" PRId64 " differences of %s ", part, cluster->all, table->shown);
    return true;
}

/* As many of all that changed as of those whose columns are known. */
static bool put_columns(const struct cluster *cluster, const struct sb_repair_table *table,
    const struct sb_repair_limits *limits, struct sb_buf *why)
{
    int64_t changed = cluster->by_kind[SB_DIFF_CHANGED], known = cluster->columns_known;
    if (known == 0 || (known < changed && known < limits->pattern_rows_min) ||
        cluster->by_columns * changed / known * 100 < cluster->all * PATTERN_PERCENT)
        return false;
    struct sb_view columns = cluster->columns.one->columns;
    sb_buf_putf(why, "%" PRId64 " of %" PRId64 " differences of %s ", cluster->by_columns,
        known < changed ? known : cluster->all, table->shown);
    sb_buf_put_str(why, known < changed ? "of which the columns are known are in " : "are in ");
    sb_buf_put_view(why, sb_view(columns.ptr, columns.len < NAMED_BYTES ? columns.len : NAMED_BYTES));
    sb_buf_put_str(why, " alone: a trigger, a default, another type, scale or time zone may write it anew");
    return true;
}

/* In words; false if there is nothing. */
static bool put_pattern(const struct cluster *cluster, const struct sb_repair_table *table,
    const struct sb_repair_limits *limits, struct sb_buf *why)
{
    if (put_cluster(why, table, cluster->by_xid, cluster)) {
        sb_buf_putf(why,
            "are of rows that transaction %" PRIu64 " of the source wrote last: was it left out?",
            cluster->xids.one->xid);
    } else if (put_columns(cluster, table, limits, why)) {
        return true;
    } else if (put_cluster(why, table, cluster->by_kind[SB_DIFF_MISSING], cluster)) {
        sb_buf_put_str(
            why, "are rows that the target has not: was something deleted there, or never copied?");
    } else if (put_cluster(why, table, cluster->by_kind[SB_DIFF_EXTRA], cluster)) {
        sb_buf_put_str(
            why, "are rows that only the target has: who writes there, or did deletes not travel?");
    } else {
        return false;
    }
    return true;
}

static bool any_pattern(const struct sb_repair_limits *limits, const struct sb_repair_plan *plan,
    const struct sb_repair_table *tables, size_t table_count, const struct sb_repair_difference *items,
    struct sb_buf *why)
{
    for (uint32_t i = 0; i < table_count; i++) {
        struct cluster cluster = {.all = 0};
        if (tables[i].deletes + tables[i].writes < limits->pattern_rows_min)
            continue;
        cluster_fill(&cluster, plan, items, i);
        if (put_pattern(&cluster, &tables[i], limits, why))
            return true;
    }
    return false;
}

static bool over_share(
    const struct sb_repair_limits *limits, const struct sb_repair_table *table, struct sb_buf *why)
{
    int64_t rows = table->deletes + table->writes;
    if (table->rows_estimated <= 0 || rows <= limits->share_rows_min ||
        rows * 100 <= table->rows_estimated * limits->share_max_percent)
        return false;
    sb_buf_putf(why,
        "%" PRId64 " rows of %s are more than %" PRId64 " %% of its about %" PRId64
        " rows (repair.table_share_max_percent)",
        rows, table->shown, limits->share_max_percent, table->rows_estimated);
    return true;
}

static bool over_budget(const struct sb_repair_limits *limits, const struct sb_repair_plan *plan,
    const struct sb_repair_table *tables, size_t table_count, struct sb_buf *why)
{
    int64_t rows = plan->deletes + plan->writes;
    if (rows > limits->rows_max) {
        sb_buf_putf(
            why, "%" PRId64 " rows are more than the %" PRId64 " of repair.max_rows", rows, limits->rows_max);
        return true;
    }
    if (plan->deletes > limits->deletes_max) {
        sb_buf_putf(why, "%" PRId64 " deletes are more than the %" PRId64 " of repair.max_deletes",
            plan->deletes, limits->deletes_max);
        return true;
    }
    for (size_t i = 0; i < table_count; i++)
        if (over_share(limits, &tables[i], why))
            return true;
    return false;
}

void sb_repair_plan_make(const struct sb_repair_limits *limits, struct sb_repair_table *tables,
    size_t table_count, struct sb_repair_difference *differences, size_t count,
    struct sb_repair_plan *ret_plan, struct sb_buf *why)
{
    *ret_plan = (struct sb_repair_plan){.verdict = SB_REPAIR_MAY};
    choose(limits, tables, differences, count, ret_plan);
    qsort(differences, ret_plan->count, sizeof *differences, compare_items);
    if (!limits->despite_pattern && any_pattern(limits, ret_plan, tables, table_count, differences, why))
        ret_plan->verdict = SB_REPAIR_PATTERN;
    else if (over_budget(limits, ret_plan, tables, table_count, why))
        ret_plan->verdict = SB_REPAIR_OVER_BUDGET;
}
