#include "setup/scope.h"

#include "pg/ident.h"

#include <stdlib.h>
#include <string.h>

bool sb_scope_is_moved(const struct sb_config *config, size_t published, size_t there)
{
    return config->copy.initial && config->copy.schema == SB_SCHEMA_AUTO && published > 0 && there == 0;
}

bool sb_scope_identified(const struct sb_cat_table *table)
{
    return !table->identity_generated &&
           (table->identity == 'f' || (table->identity != 'n' && table->has_key));
}

static bool chosen_by(
    const struct sb_config_list *patterns, const struct sb_cat_table *table, bool *ret_by_name)
{
    bool chosen = false;
    for (size_t i = 0; i < patterns->count; i++) {
        if (!sb_pattern_match(patterns->items[i], table->schema, table->name))
            continue;
        chosen = true;
        if (strpbrk(patterns->items[i], "*?") == NULL)
            *ret_by_name = true;
    }
    return chosen;
}

static bool is_barred(const struct sb_cat_table *table)
{
    return (table->kind != 'r' && table->kind != 'p') || table->persistence != 'p';
}

/* -- the partition tree ---------------------------------------------------------------------------------- */

struct tree {
    const struct sb_scope_parent *parents; /* in oid order */
    size_t count;
    struct sb_scope *scope;
    struct sb_scope_table **by_oid; /* in oid order */
};

static int parent_order(const void *a, const void *b)
{
    const struct sb_scope_parent *left = a, *right = b;
    return (left->oid > right->oid) - (left->oid < right->oid);
}

static int table_order(const void *a, const void *b)
{
    const struct sb_scope_table *const *left = a, *const *right = b;
    return ((*left)->table->oid > (*right)->table->oid) - ((*left)->table->oid < (*right)->table->oid);
}

static struct sb_scope_table *table_of(const struct tree *tree, uint32_t oid)
{
    const struct sb_cat_table wanted = {.oid = oid};
    const struct sb_scope_table key = {.table = &wanted};
    const struct sb_scope_table *at = &key;
    struct sb_scope_table **found =
        bsearch(&at, tree->by_oid, tree->scope->count, sizeof *tree->by_oid, table_order);
    return found == NULL ? NULL : *found;
}

static struct sb_scope_table *parent_of(const struct tree *tree, const struct sb_scope_table *scoped)
{
    const struct sb_scope_parent key = {.oid = scoped->table->oid};
    const struct sb_scope_parent *found = bsearch(&key, tree->parents, tree->count, sizeof key, parent_order);
    return found == NULL ? NULL : table_of(tree, found->parent);
}

/* The ancestor under whose name the rows are published: the topmost one that is. */
static struct sb_scope_table *root_of(const struct tree *tree, const struct sb_scope_table *scoped)
{
    struct sb_scope_table *root = NULL;
    for (struct sb_scope_table *at = parent_of(tree, scoped); at != NULL; at = parent_of(tree, at)) {
        if (at->klass != SB_SCOPE_OUT)
            root = at;
    }
    return root;
}

static bool same_key(const struct sb_cat_table *root, const struct sb_cat_table *leaf)
{
    size_t root_count = 0, leaf_count = 0, common = 0;
    for (size_t i = 0; i < leaf->col_count; i++)
        leaf_count += leaf->cols[i].key;
    for (size_t i = 0; i < root->col_count; i++) {
        if (!root->cols[i].key)
            continue;
        const struct sb_cat_column *col = sb_cat_column(leaf, root->cols[i].name);
        root_count++;
        common += col != NULL && col->key;
    }
    return common == root_count && common == leaf_count;
}

/* The server looks at the partition's identity when a row changes, and at the root's when it describes it:
 * only where they agree can the changes be told. */
static void root_judge(struct sb_scope_table *root, const struct sb_cat_table *leaf)
{
    if (leaf->kind != 'r')
        return;
    bool same =
        leaf->identity == root->table->identity && (leaf->identity == 'f' || same_key(root->table, leaf));
    if (!sb_scope_identified(leaf) || !same) {
        root->mixed = root->mixed || sb_scope_identified(leaf) || root->klass == SB_SCOPE_KEYED;
        root->klass = SB_SCOPE_KEYLESS;
    }
}

static void partitions_fold(struct tree *tree, const struct sb_config *config)
{
    struct sb_scope *scope = tree->scope;
    for (size_t i = 0; i < scope->count; i++) {
        struct sb_scope_table *scoped = &scope->tables[i];
        struct sb_scope_table *root = scoped->table->is_partition ? root_of(tree, scoped) : NULL;
        if (root == NULL)
            continue;
        bool ignored = false;
        scoped->excluded_under_root = chosen_by(&config->tables.exclude, scoped->table, &ignored);
        scoped->klass = is_barred(scoped->table) ? SB_SCOPE_BARRED : SB_SCOPE_COVERED;
        root_judge(root, scoped->table);
    }
}

/* -- making ---------------------------------------------------------------------------------------------- */

static enum sb_scope_class class_alone(
    const struct sb_config *config, const struct sb_cat_table *table, bool *ret_by_name)
{
    bool ignored = false;
    if (!chosen_by(&config->tables.include, table, ret_by_name) ||
        chosen_by(&config->tables.exclude, table, &ignored))
        return SB_SCOPE_OUT;
    if (is_barred(table))
        return SB_SCOPE_BARRED;
    return sb_scope_identified(table) ? SB_SCOPE_KEYED : SB_SCOPE_KEYLESS;
}

int sb_scope_make(const struct sb_config *config, const struct sb_cat_table *tables, size_t count,
    const struct sb_scope_parent *parents, size_t parent_count, struct sb_arena *arena,
    struct sb_scope *ret_scope, struct sb_err *err)
{
    struct sb_scope scope = {.count = count};
    scope.tables = sb_arena_zalloc(arena, count * sizeof *scope.tables + 1);
    struct sb_scope_table **by_oid = sb_arena_alloc(arena, count * sizeof(void *) + 1);
    struct sb_scope_parent *sorted = sb_arena_alloc(arena, parent_count * sizeof *sorted + 1);
    if (scope.tables == NULL || by_oid == NULL || sorted == NULL)
        return sb_err_set(
            err, SB_E_LIMIT, "%zu tables are too many for arena \"%s\"", count, sb_arena_name(arena));
    for (size_t i = 0; i < count; i++) {
        struct sb_scope_table *scoped = &scope.tables[i];
        scoped->table = &tables[i];
        scoped->klass = class_alone(config, &tables[i], &scoped->by_name);
        by_oid[i] = scoped;
    }
    qsort(by_oid, count, sizeof(void *), table_order);
    if (parent_count > 0)
        memcpy(sorted, parents, parent_count * sizeof *sorted);
    qsort(sorted, parent_count, sizeof *sorted, parent_order);
    struct tree tree = {.parents = sorted, .count = parent_count, .scope = &scope, .by_oid = by_oid};
    partitions_fold(&tree, config);
    for (size_t i = 0; i < count; i++)
        scope.published += sb_scope_is_published(&scope.tables[i]);
    *ret_scope = scope;
    return 0;
}

int sb_scope_read(const struct sb_config *config, struct sb_conn *source, struct sb_arena *arena,
    struct sb_scope *ret_scope, struct sb_err *err)
{
    struct sb_cat_table *tables;
    size_t count;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_catalog_tables(source, true, arena, &tables, &count, err) < 0)
        return -1;
    if (sb_conn_query(source,
            "SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i"
            " JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE c.relispartition",
            0, NULL, &rows, err) < 0)
        return -1;
    size_t parent_count = (size_t)sb_rows_count(rows);
    struct sb_scope_parent *parents = sb_arena_alloc(arena, parent_count * sizeof *parents + 1);
    if (parents == NULL)
        return sb_err_set(err, SB_E_LIMIT, "%zu partitions are too many for arena \"%s\"", parent_count,
            sb_arena_name(arena));
    for (size_t i = 0; i < parent_count; i++) {
        parents[i].oid = (uint32_t)sb_rows_u64(rows, (int)i, 0);
        parents[i].parent = (uint32_t)sb_rows_u64(rows, (int)i, 1);
    }
    return sb_scope_make(config, tables, count, parents, parent_count, arena, ret_scope, err);
}
