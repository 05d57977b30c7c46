#include "apply/plan.h"

#include "core/map.h"

#include <stdlib.h>
#include <string.h>

enum row_state { ROW_INSERT, ROW_UPDATE, ROW_DELETE, ROW_REPLACE, ROW_ABSENT, ROW_STATES };

struct row {
    struct row *next_in_bucket;
    struct row *next_in_table; /* in order of first touch */
    uint64_t hash;
    struct table *table;
    enum row_state state;
    const struct sb_value *key;
    const struct sb_value *values;
    bool owned; /* values is a copy of ours and may be merged into */
};

struct table {
    struct table *next;
    const struct sb_apply_rel *rel;
    struct row *first, **last;
    size_t counts[ROW_STATES];
};

struct planner {
    struct sb_arena *arena;
    struct row **buckets;
    size_t bucket_mask;
    struct table *first, **last;
    struct table *recent; /* consecutive changes often share a table */
    const char *exact;
    bool full; /* the arena is */
};

static void *plan_alloc(struct planner *planner, size_t len)
{
    void *room = sb_arena_alloc(planner->arena, len);
    planner->full = planner->full || room == NULL;
    return room;
}

static void go_exact(struct planner *planner, const char *why)
{
    if (planner->exact == NULL)
        planner->exact = why;
}

static struct table *find_table(struct planner *planner, const struct sb_apply_rel *rel)
{
    if (planner->recent != NULL && planner->recent->rel == rel)
        return planner->recent;
    for (struct table *table = planner->first; table != NULL; table = table->next)
        if (table->rel == rel)
            return planner->recent = table;
    /* Its rows are known here under another shape, and what came first would be lost. */
    for (struct table *table = planner->first; table != NULL; table = table->next)
        if (sb_view_eq(table->rel->target_name, rel->target_name) &&
            sb_view_eq(table->rel->target_schema, rel->target_schema))
            go_exact(planner, "a table changes its shape");
    struct table *table = plan_alloc(planner, sizeof *table);
    if (table == NULL)
        return NULL;
    *table = (struct table){.rel = rel};
    table->last = &table->first;
    *planner->last = table;
    planner->last = &table->next;
    return planner->recent = table;
}

static uint64_t hash_key(const struct sb_apply_rel *rel, const struct sb_value *key)
{
    uint64_t hash = (uint64_t)(uintptr_t)rel;
    for (uint16_t k = 0; k < rel->key_count; k++)
        hash = (hash ^ sb_map_hash(key[rel->key_cols[k]].text)) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static bool same_key(const struct sb_apply_rel *rel, const struct sb_value *a, const struct sb_value *b)
{
    for (uint16_t k = 0; k < rel->key_count; k++)
        if (!sb_view_eq(a[rel->key_cols[k]].text, b[rel->key_cols[k]].text))
            return false;
    return true;
}

/* The row of this key; a new one has the state ROW_STATES until the change gives it one. */
static struct row *find_row(
    struct planner *planner, const struct sb_apply_rel *rel, const struct sb_value *key)
{
    uint64_t hash = hash_key(rel, key);
    struct row **bucket = &planner->buckets[hash & planner->bucket_mask];
    for (struct row *row = *bucket; row != NULL; row = row->next_in_bucket)
        if (row->hash == hash && row->table->rel == rel && same_key(rel, row->key, key))
            return row;
    struct table *table = find_table(planner, rel);
    struct row *row = table == NULL ? NULL : plan_alloc(planner, sizeof *row);
    if (row == NULL)
        return NULL;
    *row = (struct row){
        .next_in_bucket = *bucket, .hash = hash, .table = table, .state = ROW_STATES, .key = key};
    *bucket = row;
    *table->last = row;
    table->last = &row->next_in_table;
    return row;
}

/* Lay the columns that are present in `after` over the row's values. */
static bool merge_values(struct planner *planner, struct row *row, const struct sb_value *after)
{
    uint16_t n = row->table->rel->rel->col_count;
    if (!row->owned) {
        struct sb_value *copy = plan_alloc(planner, n * sizeof *copy);
        if (copy == NULL)
            return false;
        memcpy(copy, row->values, n * sizeof *copy);
        row->values = copy;
        row->owned = true;
    }
    struct sb_value *values = (struct sb_value *)row->values; /* ours */
    for (uint16_t i = 0; i < n; i++)
        if (after[i].state != SB_COL_UNCHANGED)
            values[i] = after[i];
    return true;
}

static void row_insert(struct planner *planner, const struct sb_apply_rel *rel, const struct sb_value *after)
{
    struct row *row = find_row(planner, rel, after);
    if (row == NULL)
        return;
    if (row->state == ROW_STATES || row->state == ROW_ABSENT)
        row->state = ROW_INSERT;
    else if (row->state == ROW_DELETE && !rel->keeps_columns)
        row->state = ROW_REPLACE;
    else
        go_exact(planner, row->state == ROW_DELETE
                              ? "a row is replaced and the target table has columns of its own"
                              : "a key is inserted that was there already");
    row->key = after;
    row->values = after;
    row->owned = false;
}

static void row_update(struct planner *planner, const struct sb_apply_rel *rel, const struct sb_value *after)
{
    struct row *row = find_row(planner, rel, after);
    if (row == NULL)
        return;
    if (row->state == ROW_STATES) {
        row->state = ROW_UPDATE;
        row->values = after;
    } else if (row->state == ROW_INSERT || row->state == ROW_UPDATE || row->state == ROW_REPLACE) {
        merge_values(planner, row, after);
    } else {
        go_exact(planner, "a row is updated after it was deleted");
    }
}

static void row_delete(struct planner *planner, const struct sb_apply_rel *rel, const struct sb_value *key)
{
    struct row *row = find_row(planner, rel, key);
    if (row == NULL)
        return;
    if (row->state == ROW_STATES || row->state == ROW_UPDATE || row->state == ROW_REPLACE)
        row->state = ROW_DELETE;
    else if (row->state == ROW_INSERT)
        row->state = ROW_ABSENT;
    else
        go_exact(planner, "a row is deleted twice");
    row->values = NULL;
}

static bool has_unchanged(const struct sb_apply_rel *rel, const struct sb_value *after)
{
    for (uint16_t i = 0; i < rel->rel->col_count; i++)
        if (after[i].state == SB_COL_UNCHANGED)
            return true;
    return false;
}

static void plan_update(struct planner *planner, const struct sb_batch_change *change)
{
    const struct sb_apply_rel *rel = change->rel;
    const struct sb_change *chg = &change->chg;
    if (rel->fixed_beside_key) {
        go_exact(planner, "an identity column beside the key may have changed");
    } else if (!sb_apply_key_moves(rel, chg)) {
        if (!sb_apply_has_key(
                rel, chg->after)) /* a key column is unchanged TOAST: its value is in the old row */
            go_exact(planner, "a key column's value did not travel with the new row");
        else
            row_update(planner, rel, chg->after);
    } else if (has_unchanged(rel, chg->after)) {
        go_exact(planner, "a key changes while TOAST columns stay unchanged");
    } else if (rel->keeps_columns) {
        go_exact(planner, "a key changes and the target table has columns of its own");
    } else {
        row_delete(planner, rel, chg->before);
        row_insert(planner, rel, chg->after);
    }
}

static void plan_change(struct planner *planner, const struct sb_batch_change *change)
{
    const struct sb_apply_rel *rel = change->rel;
    const struct sb_change *chg = &change->chg;
    if (rel->exact_only) {
        go_exact(planner, rel->exact_reason);
    } else if (chg->op == SB_OP_INSERT && rel->key_count == 0) {
        /* No key: rows are their own, each stands alone. (With identity FULL an update or delete of one would
         * have to find it among its equals, by order: that goes exact below.) */
        struct table *table = find_table(planner, rel);
        struct row *row = table == NULL ? NULL : plan_alloc(planner, sizeof *row);
        if (row == NULL)
            return;
        *row = (struct row){.table = table, .state = ROW_INSERT, .key = chg->after, .values = chg->after};
        *table->last = row;
        table->last = &row->next_in_table;
    } else if (rel->key_count == 0 ||
               !sb_apply_has_key(rel, chg->op == SB_OP_INSERT ? chg->after : sb_apply_old_key(chg))) {
        go_exact(planner, "a row has no key to find it by");
    } else if (chg->op == SB_OP_INSERT) {
        row_insert(planner, rel, chg->after);
    } else if (chg->op == SB_OP_DELETE) {
        row_delete(planner, rel, chg->before);
    } else {
        plan_update(planner, change);
    }
}

/* -- from rows to groups
 * ------------------------------------------------------------------------------------- */

struct mask { /* rows of a table that set the same columns */
    struct mask *next;
    bool *present;
    size_t count;
    struct sb_plan_row *rows;
};

static bool mask_fits(const struct mask *mask, const struct sb_value *values, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++)
        if (mask->present[i] != (values[i].state != SB_COL_UNCHANGED))
            return false;
    return true;
}

static struct mask *find_mask(
    struct planner *planner, struct mask **first, const struct sb_value *values, uint16_t n)
{
    for (struct mask *mask = *first; mask != NULL; mask = mask->next)
        if (mask_fits(mask, values, n))
            return mask;
    struct mask *mask = plan_alloc(planner, sizeof *mask);
    bool *present = plan_alloc(planner, n * sizeof *present + 1);
    if (mask == NULL || present == NULL)
        return NULL;
    for (uint16_t i = 0; i < n; i++)
        present[i] = values[i].state != SB_COL_UNCHANGED;
    *mask = (struct mask){.next = *first, .present = present};
    *first = mask;
    return mask;
}

static void add_group(struct planner *planner, struct sb_plan *plan, const struct sb_plan_group *group)
{
    if (group->count == 0 || planner->full)
        return;
    /* Groups are few; a table adds at most three plus its masks. Doubling copies are left in the arena. */
    if ((plan->group_count & (plan->group_count - 1)) == 0) {
        size_t cap = plan->group_count == 0 ? 1 : plan->group_count * 2;
        struct sb_plan_group *groups = plan_alloc(planner, cap * sizeof *groups);
        if (groups == NULL)
            return;
        if (plan->group_count > 0)
            memcpy(groups, plan->groups, plan->group_count * sizeof *groups);
        plan->groups = groups;
    }
    plan->groups[plan->group_count++] = *group;
}

/* By length, then bytes: numbers stand in their own order, and whatever the type, neighbours stay near. */
static int compare_keys(const void *a, const void *b, void *rel_arg)
{
    const struct sb_apply_rel *rel = rel_arg;
    const struct sb_value *left = ((const struct sb_plan_row *)a)->key;
    const struct sb_value *right = ((const struct sb_plan_row *)b)->key;
    for (uint16_t k = 0; k < rel->key_count; k++) {
        struct sb_view x = left[rel->key_cols[k]].text, y = right[rel->key_cols[k]].text;
        int order = x.len != y.len ? (x.len < y.len ? -1 : 1) : memcmp(x.ptr, y.ptr, x.len);
        if (order != 0)
            return order;
    }
    return 0;
}

/* Rows that lie together on the target are found together: each page of index and table is visited once. */
static void order_rows(struct sb_plan_row *rows, size_t count, const struct sb_apply_rel *rel)
{
    size_t sorted = 1;
    while (sorted < count && compare_keys(&rows[sorted - 1], &rows[sorted], (void *)rel) <= 0)
        sorted++;
    if (sorted < count)
        qsort_r(rows, count, sizeof *rows, compare_keys, (void *)rel);
}

/* All rows of the table in one of two states, as one group. */
static void group_states(struct planner *planner, struct sb_plan *plan, const struct table *table,
    enum sb_plan_kind kind, enum row_state a, enum row_state b)
{
    size_t count = table->counts[a] + (a == b ? 0 : table->counts[b]);
    struct sb_plan_row *rows = count == 0 ? NULL : plan_alloc(planner, count * sizeof *rows);
    if (rows == NULL)
        return;
    size_t n = 0;
    for (const struct row *row = table->first; row != NULL; row = row->next_in_table)
        if (row->state == a || row->state == b)
            rows[n++] =
                (struct sb_plan_row){.key = row->key, .values = kind == SB_PLAN_INSERT ? row->values : NULL};
    if (kind == SB_PLAN_DELETE)
        order_rows(rows, n, table->rel);
    add_group(
        planner, plan, &(struct sb_plan_group){.kind = kind, .rel = table->rel, .rows = rows, .count = n});
}

static void group_updates(struct planner *planner, struct sb_plan *plan, const struct table *table)
{
    struct mask *masks = NULL;
    uint16_t n = table->rel->rel->col_count;
    for (struct row *row = table->first; row != NULL; row = row->next_in_table) {
        struct mask *mask = row->state == ROW_UPDATE ? find_mask(planner, &masks, row->values, n) : NULL;
        if (mask != NULL)
            mask->count++;
    }
    for (struct mask *mask = masks; mask != NULL; mask = mask->next) {
        mask->rows = plan_alloc(planner, mask->count * sizeof *mask->rows);
        mask->count = 0;
    }
    if (planner->full)
        return;
    for (struct row *row = table->first; row != NULL; row = row->next_in_table) {
        struct mask *mask = row->state == ROW_UPDATE ? find_mask(planner, &masks, row->values, n) : NULL;
        if (mask != NULL)
            mask->rows[mask->count++] = (struct sb_plan_row){.key = row->key, .values = row->values};
    }
    for (struct mask *mask = masks; mask != NULL; mask = mask->next) {
        order_rows(mask->rows, mask->count, table->rel);
        add_group(planner, plan,
            &(struct sb_plan_group){.kind = SB_PLAN_UPDATE,
                .rel = table->rel,
                .present = mask->present,
                .rows = mask->rows,
                .count = mask->count});
    }
}

static void group_table(struct planner *planner, struct sb_plan *plan, struct table *table)
{
    for (const struct row *row = table->first; row != NULL; row = row->next_in_table)
        table->counts[row->state]++;
    group_states(planner, plan, table, SB_PLAN_ABSENT, ROW_ABSENT, ROW_ABSENT);
    group_states(planner, plan, table, SB_PLAN_DELETE, ROW_DELETE, ROW_REPLACE);
    if (table->counts[ROW_UPDATE] > 0)
        group_updates(planner, plan, table);
    group_states(planner, plan, table, SB_PLAN_INSERT, ROW_INSERT, ROW_REPLACE);
}

int sb_plan_make(const struct sb_batch_change *changes, size_t count, struct sb_arena *arena,
    struct sb_plan *ret_plan, struct sb_err *err)
{
    struct planner planner = {.arena = arena};
    struct sb_plan plan = {0};
    size_t buckets = 16;
    while (buckets < count)
        buckets *= 2;
    planner.last = &planner.first;
    planner.bucket_mask = buckets - 1;
    planner.buckets = sb_arena_zalloc(arena, buckets * sizeof *planner.buckets);
    planner.full = planner.buckets == NULL;
    for (size_t i = 0; i < count && planner.exact == NULL && !planner.full; i++)
        plan_change(&planner, &changes[i]);
    if (planner.exact == NULL)
        for (struct table *table = planner.first; table != NULL && !planner.full; table = table->next)
            group_table(&planner, &plan, table);
    if (planner.full)
        return sb_err_set(err, SB_E_LIMIT,
            "the arena \"%s\" of %zu bytes is too small for the plan of %zu changes", sb_arena_name(arena),
            sb_arena_max(arena), count);
    if (planner.exact != NULL)
        plan = (struct sb_plan){.exact = planner.exact};
    *ret_plan = plan;
    return 0;
}
