#include "setup/structure.h"

#include "pg/ident.h"

#include <string.h>

enum { WORDS_MAX_BYTES = 1024 * 1024, TYPMOD_HEADER = 4, FIRST_USER_OID = 16384 };

bool sb_mismatch_is_fatal(enum sb_mismatch mismatch)
{
    return mismatch != SB_MISMATCH_UNFILLED;
}

/* -- types ----------------------------------------------------------------------------------------------- */

/* Types of growing width: each fits into those to its right (built-in oids never change). */
enum {
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_TIMETZ = 1266,
    OID_BIT = 1560,
    OID_VARBIT = 1562,
    OID_NUMERIC = 1700,
};

static bool is_integer(uint32_t oid)
{
    return oid == OID_INT2 || oid == OID_INT4 || oid == OID_INT8;
}

static int integer_width(uint32_t oid)
{
    return oid == OID_INT2 ? 2 : oid == OID_INT4 ? 4 : 8;
}

/* numeric(p,s): the text shows the scale, so it must be the same; -1 takes any. */
static bool numeric_fits(int32_t from, int32_t to)
{
    if (to == -1)
        return true;
    if (from == -1)
        return false;
    uint32_t from_bits = (uint32_t)(from - TYPMOD_HEADER), to_bits = (uint32_t)(to - TYPMOD_HEADER);
    return (from_bits & 0xffff) == (to_bits & 0xffff) && from_bits >> 16 <= to_bits >> 16;
}

/* Lengths and precisions: no modifier takes all, otherwise larger takes smaller. */
static bool typmod_fits(const struct sb_cat_column *from, const struct sb_cat_column *to)
{
    if (from->typmod == to->typmod)
        return true;
    switch (from->type_oid) {
    case OID_NUMERIC:
        return numeric_fits(from->typmod, to->typmod);
    case OID_VARCHAR:
    case OID_VARBIT:
    case OID_TIME:
    case OID_TIMETZ:
    case OID_TIMESTAMP:
    case OID_TIMESTAMPTZ:
        return to->typmod == -1 || (from->typmod != -1 && from->typmod <= to->typmod);
    case OID_BPCHAR:
    case OID_BIT:
        return false; /* padded to the length: the text would differ */
    default:
        /* interval fields, types of extensions: only no modifier at all is surely wider. */
        return to->typmod == -1;
    }
}

/* The last part of "schema.name", quotes and all. */
static struct sb_view bare_name(struct sb_view type_name)
{
    bool quoted = false;
    size_t start = 0;
    for (size_t i = 0; i < type_name.len; i++) {
        if (type_name.ptr[i] == '"')
            quoted = !quoted;
        else if (type_name.ptr[i] == '.' && !quoted)
            start = i + 1;
    }
    return sb_view(type_name.ptr + start, type_name.len - start);
}

static bool same_type(const struct sb_cat_column *from, const struct sb_cat_column *to)
{
    if (from->type_oid < FIRST_USER_OID || to->type_oid < FIRST_USER_OID)
        return from->type_oid == to->type_oid;
    /* Oids of user types differ from server to server, and an extension may live in another schema. */
    return sb_view_eq(bare_name(from->type_name), bare_name(to->type_name));
}

bool sb_type_fits(const struct sb_cat_column *from, const struct sb_cat_column *to)
{
    if (same_type(from, to))
        return typmod_fits(from, to);
    if (is_integer(from->type_oid))
        return (is_integer(to->type_oid) && integer_width(from->type_oid) < integer_width(to->type_oid)) ||
               (to->type_oid == OID_NUMERIC && to->typmod == -1);
    return from->type_oid == OID_VARCHAR && to->type_oid == OID_TEXT;
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
        return wrong_type(cmp, from, to);
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
