#include "apply/shape_change.h"

enum { OIDS_OF_ALL_SERVERS = 10000 };

#define NAME(view) (int)(view).len, (view).ptr

static const struct sb_column *column_named(const struct sb_relation *rel, struct sb_view name)
{
    for (uint16_t i = 0; i < rel->col_count; i++)
        if (sb_view_eq(rel->cols[i].name, name))
            return &rel->cols[i];
    return NULL;
}

static bool same_type(const struct sb_column *a, const struct sb_column *b)
{
    return a->type_oid == b->type_oid && a->typmod == b->typmod;
}

static bool type_fits(const struct sb_column *col, const struct sb_cat_column *target)
{
    bool same = col->type_oid < OIDS_OF_ALL_SERVERS ? col->type_oid == target->type_oid
                                                    : sb_view_eq(col->type_name, target->type_name);
    return same && col->typmod == target->typmod;
}

static void say(struct sb_buf *why, const char *what, struct sb_view column)
{
    sb_buf_putf(why, "%scolumn \"%.*s\" %s", why->len == 0 ? "" : ", ", NAME(column), what);
}

static void new_columns(const struct sb_relation *before, const struct sb_relation *now,
    const struct sb_cat_table *target, struct sb_buf *why)
{
    for (uint16_t i = 0; i < now->col_count; i++) {
        const struct sb_column *col = &now->cols[i],
                               *old = before == NULL ? NULL : column_named(before, col->name);
        const struct sb_cat_column *there = sb_cat_column(target, col->name);
        if (there == NULL) {
            say(why, "is not on the target", col->name);
            sb_buf_putf(why, " (ALTER TABLE \"%.*s\".\"%.*s\" ADD COLUMN \"%.*s\" %.*s)", NAME(now->schema),
                NAME(now->name), NAME(col->name), NAME(col->type_name));
        } else if ((old == NULL || !same_type(old, col)) && !type_fits(col, there))
            say(why, "has another type on the target", col->name);
    }
}

static void gone_columns(const struct sb_relation *before, const struct sb_relation *now,
    const struct sb_cat_table *target, struct sb_buf *why)
{
    for (size_t i = 0; i < target->col_count; i++) {
        const struct sb_cat_column *there = &target->cols[i];
        if (column_named(now, there->name) == NULL && !there->generated &&
            (before == NULL || column_named(before, there->name) != NULL))
            say(why, "is only on the target now", there->name);
    }
}

/* The old key's columns are in the new one and the other way round. */
static bool key_changed(const struct sb_relation *before, const struct sb_relation *now)
{
    if (before->identity != now->identity)
        return true;
    for (uint16_t i = 0; i < now->col_count; i++) {
        const struct sb_column *old = column_named(before, now->cols[i].name);
        if (now->cols[i].key != (old != NULL && old->key))
            return true;
    }
    return false;
}

static bool is_targets_key(const struct sb_relation *now, const struct sb_cat_table *target)
{
    for (size_t i = 0; i < target->col_count; i++) {
        const struct sb_column *col = column_named(now, target->cols[i].name);
        if (target->cols[i].key != (col != NULL && col->key))
            return false;
    }
    return target->has_key;
}

void sb_shape_change(const struct sb_relation *before, const struct sb_relation *now,
    const struct sb_cat_table *target, struct sb_buf *why)
{
    new_columns(before, now, target, why);
    gone_columns(before, now, target, why);
    /* With FULL all columns tell the rows apart, whatever the target's key is. */
    if (now->identity != 'f' && (before == NULL || key_changed(before, now)) && !is_targets_key(now, target))
        sb_buf_putf(why, "%sits rows are told apart by another key", why->len == 0 ? "" : ", ");
}
