#include "setup/structure.h"

#include "pg/ident.h"
#include "pg/type.h"

#include <string.h>

enum { WORDS_MAX_BYTES = 1024 * 1024 };

bool sb_mismatch_is_fatal(enum sb_mismatch mismatch)
{
    return mismatch != SB_MISMATCH_UNFILLED;
}

/* -- one table ------------------------------------------------------------------------------------------- */

struct compare {
    const struct sb_cat_table *target;
    struct sb_buf evidence;
    struct sb_buf statement;
    sb_structure_fn *fn;
    void *arg;
    struct sb_err *err;
};

/* Begins a mismatch: "ALTER TABLE "s"."t" " stands in the statement. */
static void begin(struct compare *cmp)
{
    sb_buf_reset(&cmp->evidence);
    sb_buf_reset(&cmp->statement);
    sb_buf_put_str(&cmp->statement, "ALTER TABLE ");
    sb_ident_put_table(&cmp->statement, cmp->target->schema, cmp->target->name);
    sb_buf_put_str(&cmp->statement, " ");
}

static int tell(struct compare *cmp, enum sb_mismatch mismatch)
{
    if (cmp->statement.len > 0)
        sb_buf_put_str(&cmp->statement, ";");
    return cmp->fn(cmp->arg, mismatch, sb_buf_str(&cmp->evidence), sb_buf_str(&cmp->statement), cmp->err);
}

static void put_column_action(struct compare *cmp, const char *verb, struct sb_view column)
{
    sb_buf_put_str(&cmp->statement, verb);
    sb_ident_put(&cmp->statement, column);
}

static int missing(struct compare *cmp, const struct sb_cat_column *col)
{
    begin(cmp);
    sb_buf_putf(
        &cmp->evidence, "column \"%s\" %s is missing on the target", col->name.ptr, col->type_full.ptr);
    put_column_action(cmp, "ADD COLUMN ", col->name);
    sb_buf_putf(&cmp->statement, " %s", col->type_full.ptr);
    return tell(cmp, SB_MISMATCH_MISSING);
}

static int wrong_type(struct compare *cmp, const struct sb_cat_column *from, const struct sb_cat_column *to)
{
    begin(cmp);
    sb_buf_putf(&cmp->evidence, "column \"%s\" is %s on the source and %s on the target", from->name.ptr,
        from->type_full.ptr, to->type_full.ptr);
    put_column_action(cmp, "ALTER COLUMN ", from->name);
    sb_buf_putf(&cmp->statement, " TYPE %s USING ", from->type_full.ptr);
    sb_ident_put(&cmp->statement, from->name);
    sb_buf_putf(&cmp->statement, "::%s", from->type_full.ptr);
    return tell(cmp, SB_MISMATCH_TYPE);
}

static int wrong_domain(struct compare *cmp, const struct sb_cat_column *from, const struct sb_cat_column *to)
{
    begin(cmp);
    sb_buf_reset(&cmp->statement);
    sb_buf_putf(&cmp->evidence,
        "column \"%s\" is %s, a domain over %s on the source and over %s on the target", from->name.ptr,
        from->type_full.ptr, from->base_full.ptr, to->base_full.ptr);
    return tell(cmp, SB_MISMATCH_TYPE);
}

static int generated_there(struct compare *cmp, const struct sb_cat_column *col)
{
    begin(cmp);
    sb_buf_putf(
        &cmp->evidence, "column \"%s\" is generated on the target but not on the source", col->name.ptr);
    put_column_action(cmp, "ALTER COLUMN ", col->name);
    sb_buf_put_str(&cmp->statement, " DROP EXPRESSION");
    return tell(cmp, SB_MISMATCH_GENERATED);
}

static int not_null_there(struct compare *cmp, const struct sb_cat_column *col)
{
    begin(cmp);
    sb_buf_putf(
        &cmp->evidence, "column \"%s\" may be NULL on the source but not on the target", col->name.ptr);
    put_column_action(cmp, "ALTER COLUMN ", col->name);
    sb_buf_put_str(&cmp->statement, " DROP NOT NULL");
    return tell(cmp, SB_MISMATCH_NOT_NULL);
}

static int extra_there(struct compare *cmp, const struct sb_cat_column *col)
{
    begin(cmp);
    sb_buf_putf(&cmp->evidence,
        "column \"%s\" does not travel, but is NOT NULL on the target without a default: no row could be "
        "inserted",
        col->name.ptr);
    put_column_action(cmp, "ALTER COLUMN ", col->name);
    sb_buf_put_str(&cmp->statement, " DROP NOT NULL");
    return tell(cmp, SB_MISMATCH_EXTRA);
}

static int unfilled_there(struct compare *cmp, const struct sb_cat_column *to)
{
    if (to->not_null && !to->has_default && to->identity == 0)
        return extra_there(cmp, to);
    begin(cmp);
    sb_buf_reset(&cmp->statement);
    sb_buf_putf(&cmp->evidence,
        "column \"%s\" is generated on the source and does not travel; on the target it is an ordinary "
        "column and "
        "stays at its default",
        to->name.ptr);
    return tell(cmp, SB_MISMATCH_UNFILLED);
}

static int column_compare(struct compare *cmp, const struct sb_cat_column *from)
{
    const struct sb_cat_column *to = sb_cat_column(cmp->target, from->name);
    if (from->generated)
        return to == NULL || to->generated ? 0 : unfilled_there(cmp, to);
    if (to == NULL)
        return missing(cmp, from);
    if (to->generated)
        return generated_there(cmp, to);
    if (!sb_type_fits(from, to))
        return from->domain && to->domain && sb_view_eq(from->type_name, to->type_name)
                   ? wrong_domain(cmp, from, to)
                   : wrong_type(cmp, from, to);
    if (to->not_null && !from->not_null)
        return not_null_there(cmp, to);
    return 0;
}

static int extras_compare(struct compare *cmp, const struct sb_cat_table *source)
{
    for (size_t i = 0; i < cmp->target->col_count; i++) {
        const struct sb_cat_column *col = &cmp->target->cols[i];
        bool unset_fits = !col->not_null || col->has_default || col->generated || col->identity != 0;
        if (!unset_fits && sb_cat_column(source, col->name) == NULL && extra_there(cmp, col) < 0)
            return -1;
    }
    return 0;
}

static int table_compare(struct compare *cmp, const struct sb_cat_table *source)
{
    if (cmp->target->kind != 'r' && cmp->target->kind != 'p') {
        sb_buf_putf(&cmp->evidence, "on the target it is %s, not a table",
            cmp->target->kind == 'f' ? "a foreign table" : "a view");
        return tell(cmp, SB_MISMATCH_TABLE_KIND);
    }
    if (cmp->target->persistence == 'u') {
        begin(cmp);
        sb_buf_put_str(&cmp->evidence, "it is unlogged on the target: a crash there would empty it");
        sb_buf_put_str(&cmp->statement, "SET LOGGED");
        if (tell(cmp, SB_MISMATCH_UNLOGGED) < 0)
            return -1;
    }
    for (size_t i = 0; i < source->col_count; i++) {
        if (column_compare(cmp, &source->cols[i]) < 0)
            return -1;
    }
    return extras_compare(cmp, source);
}

int sb_structure_compare(const struct sb_cat_table *source, const struct sb_cat_table *target,
    sb_structure_fn *fn, void *arg, struct sb_err *err)
{
    struct compare cmp = {.target = target, .fn = fn, .arg = arg, .err = err};
    sb_buf_init(&cmp.evidence, WORDS_MAX_BYTES);
    sb_buf_init(&cmp.statement, WORDS_MAX_BYTES);
    int done = table_compare(&cmp, source);
    sb_buf_clear(&cmp.evidence);
    sb_buf_clear(&cmp.statement);
    return done;
}

void sb_structure_create(struct sb_buf *sql, const struct sb_cat_table *source)
{
    sb_buf_put_str(sql, "CREATE TABLE ");
    sb_ident_put_table(sql, source->schema, source->name);
    const char *between = " (";
    for (size_t i = 0; i < source->col_count; i++) {
        const struct sb_cat_column *col = &source->cols[i];
        if (col->generated)
            continue;
        sb_buf_put_str(sql, between);
        sb_ident_put(sql, col->name);
        sb_buf_putf(sql, " %s%s", col->type_full.ptr, col->not_null ? " NOT NULL" : "");
        between = ", ";
    }
    if (between[0] == ' ')
        sb_buf_put_str(sql, between);
    if (source->has_key) {
        between = ", PRIMARY KEY (";
        for (size_t i = 0; i < source->col_count; i++) {
            if (!source->cols[i].key)
                continue;
            sb_buf_put_str(sql, between);
            sb_ident_put(sql, source->cols[i].name);
            between = ", ";
        }
        sb_buf_put_str(sql, ")");
    }
    sb_buf_put_str(sql, ");");
}
