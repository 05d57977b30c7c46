#include "apply/relation.h"

#include "pg/type.h"

#include <string.h>

static struct sb_err *no_memory(struct sb_err *err)
{
    sb_err_set(err, SB_E_LIMIT, "the arena for target tables is full");
    return err;
}

static int check_type(const struct sb_relation *rel, const struct sb_column *col,
    const struct sb_cat_column *target, bool *ret_narrower, struct sb_err *err)
{
    struct sb_cat_column source = {
        .type_name = col->type_name, .type_oid = col->type_oid, .typmod = col->typmod};
    *ret_narrower = !target->domain && !sb_type_fits(&source, target);
    if (!sb_type_alters(&source, target))
        return 0;
    sb_err_set(err, SB_E_TARGET_STRUCTURE,
        "column \"%.*s\" of target table \"%.*s.%.*s\" is %.*s and would change values of the source's",
        (int)col->name.len, col->name.ptr, (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len,
        rel->name.ptr, (int)target->type_full.len, target->type_full.ptr);
    return sb_err_hint(
        err, "`switchback check` says how to make it as the source's; then `switchback resume`.");
}

/* As the server would have it: numeric value out of range, string data right truncation. */
static bool is_number(const struct sb_cat_column *column)
{
    enum { OID_INT2 = 21, OID_INT4 = 23 };
    return column->type_oid == OID_INT2 || column->type_oid == OID_INT4;
}

/* What the stream brings is not generated on the source: to leave it out would lose it. */
static int generated_there(
    const struct sb_relation *rel, const struct sb_cat_column *target, struct sb_err *err)
{
    sb_err_set(err, SB_E_TARGET_STRUCTURE,
        "column \"%.*s\" of target table \"%.*s.%.*s\" is generated there, and not on the source",
        (int)target->name.len, target->name.ptr, (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len,
        rel->name.ptr);
    return sb_err_hint(err,
        "On the target: ALTER TABLE \"%.*s\".\"%.*s\" ALTER COLUMN \"%.*s\" DROP EXPRESSION; then "
        "`switchback resume`.",
        (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr, (int)target->name.len,
        target->name.ptr);
}

static int map_column(const struct sb_relation *rel, uint16_t i, const struct sb_cat_table *table,
    struct sb_apply_rel *out, struct sb_err *err)
{
    const struct sb_column *col = &rel->cols[i];
    const struct sb_cat_column *target = sb_cat_column(table, col->name);
    if (target == NULL) {
        sb_err_set(err, SB_E_TARGET_STRUCTURE,
            "target table \"%.*s.%.*s\" has no column \"%.*s\", which the source's has", (int)rel->schema.len,
            rel->schema.ptr, (int)rel->name.len, rel->name.ptr, (int)col->name.len, col->name.ptr);
        return sb_err_hint(err,
            "On the target: ALTER TABLE \"%.*s\".\"%.*s\" ADD COLUMN \"%.*s\" %.*s; then `switchback "
            "resume`.",
            (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr, (int)col->name.len,
            col->name.ptr, (int)col->type_name.len, col->type_name.ptr);
    }
    if (target->generated)
        return generated_there(rel, target, err);
    bool narrower;
    if (check_type(rel, col, target, &narrower, err) != 0)
        return -1;
    out->cols[i].narrower = narrower ? target : NULL;
    out->cols[i].name = target->name;
    out->cols[i].cast_type = target->type_cast;
    out->cols[i].equal = target->equal;
    out->cols[i].domain = target->domain;
    if (target->text_cast)
        out->exact_reason = "the target has a cast from text of its own for the type of a column";
    out->cols[i].settable = target->identity != 'a';
    out->identity_always = out->identity_always || target->identity == 'a';
    return 0;
}

/* The columns a row is found by: the replica identity; for FULL the target's own key, if it has one. */
static void choose_key(
    const struct sb_relation *rel, const struct sb_cat_table *table, struct sb_apply_rel *out)
{
    for (uint16_t i = 0; i < rel->col_count; i++) {
        bool key = rel->cols[i].key;
        if (rel->identity == 'f') {
            const struct sb_cat_column *target = sb_cat_column(table, rel->cols[i].name);
            key = table->has_key && target->key;
        }
        if (key)
            out->key_cols[out->key_count++] = i;
    }
    if (rel->identity != 'f' || !table->has_key)
        return;
    /* The target's key must be covered whole, else rows are matched whole. */
    uint16_t wanted = 0;
    for (size_t c = 0; c < table->col_count; c++)
        wanted += table->cols[c].key;
    if (wanted != out->key_count)
        out->key_count = 0;
}

static bool fixed_beside_key(const struct sb_apply_rel *rel)
{
    for (uint16_t i = 0; i < rel->rel->col_count; i++) {
        bool key = false;
        for (uint16_t k = 0; k < rel->key_count; k++)
            key = key || rel->key_cols[k] == i;
        if (!rel->cols[i].settable && !key)
            return true;
    }
    return false;
}

static bool target_has_more(const struct sb_relation *rel, const struct sb_cat_table *table)
{
    for (size_t c = 0; c < table->col_count; c++) {
        bool known = table->cols[c].generated;
        for (uint16_t i = 0; i < rel->col_count && !known; i++)
            known = sb_view_eq(rel->cols[i].name, table->cols[c].name);
        if (!known)
            return true;
    }
    return false;
}

int sb_apply_rel_make(const struct sb_relation *rel, const struct sb_cat_table *table, struct sb_arena *arena,
    struct sb_apply_rel **ret_rel, struct sb_err *err)
{
    struct sb_apply_rel *out = sb_arena_zalloc(arena, sizeof *out);
    if (out == NULL)
        return no_memory(err), -1;
    out->rel = rel;
    out->cols = sb_arena_zalloc(arena, (rel->col_count + 1u) * sizeof *out->cols);
    out->key_cols = sb_arena_zalloc(arena, (rel->col_count + 1u) * sizeof *out->key_cols);
    if (out->cols == NULL || out->key_cols == NULL)
        return no_memory(err), -1;
    out->target_schema = table->schema;
    out->target_name = table->name;
    for (uint16_t i = 0; i < rel->col_count; i++)
        if (map_column(rel, i, table, out, err) != 0)
            return -1;
    choose_key(rel, table, out);
    out->ordinary = table->kind == 'r';
    out->keeps_columns = target_has_more(rel, table);
    if (table->always_triggers)
        out->exact_reason = "the target table has triggers or rules that are enabled always";
    out->fixed_beside_key = fixed_beside_key(out);
    out->exact_only = out->exact_reason != NULL;
    *ret_rel = out;
    return 0;
}

int sb_apply_holds(const struct sb_apply_rel *rel, const struct sb_value *row, struct sb_err *err)
{
    for (uint16_t i = 0; row != NULL && i < rel->rel->col_count; i++) {
        const struct sb_cat_column *narrower = rel->cols[i].narrower;
        if (narrower == NULL || row[i].state != SB_COL_TEXT || sb_type_holds(narrower, row[i].text))
            continue;
        sb_err_set(err, SB_E_POISON,
            "column \"%.*s\" of target table \"%.*s.%.*s\" is %.*s: a value of the source's does not fit "
            "into "
            "it",
            (int)narrower->name.len, narrower->name.ptr, (int)rel->target_schema.len, rel->target_schema.ptr,
            (int)rel->target_name.len, rel->target_name.ptr, (int)narrower->type_full.len,
            narrower->type_full.ptr);
        memcpy(err->sqlstate, is_number(narrower) ? "22003" : "22001", sizeof err->sqlstate);
        return sb_err_hint(err,
            "`switchback check` says how to make it as the source's; then `switchback resume`. `switchback "
            "poison skip` leaves the transaction out.");
    }
    return 0;
}

const struct sb_value *sb_apply_old_key(const struct sb_change *chg)
{
    return chg->before != NULL ? chg->before : chg->after;
}

bool sb_apply_key_moves(const struct sb_apply_rel *rel, const struct sb_change *chg)
{
    if (chg->op != SB_OP_UPDATE || chg->before == NULL)
        return false;
    for (uint16_t k = 0; k < rel->key_count; k++) {
        const struct sb_value *old = &chg->before[rel->key_cols[k]], *new = &chg->after[rel->key_cols[k]];
        if (new->state != SB_COL_UNCHANGED && (old->state != new->state || !sb_view_eq(old->text, new->text)))
            return true;
    }
    return false;
}

bool sb_apply_has_key(const struct sb_apply_rel *rel, const struct sb_value *row)
{
    for (uint16_t k = 0; k < rel->key_count; k++)
        if (row[rel->key_cols[k]].state != SB_COL_TEXT)
            return false;
    return rel->key_count > 0;
}
