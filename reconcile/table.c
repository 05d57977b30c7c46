#include "reconcile/table.h"

#include "pg/ident.h"
#include "schemas/published.h"
#include "schemas/rowform.h"

#include <inttypes.h>

enum { KEY_COLS_MAX = 32 }; /* PostgreSQL: INDEX_MAX_KEYS */

const char *sb_strategy_name(enum sb_strategy strategy)
{
    static const char *const names[] = {"ranges", "orderless", "multiset", "none"};
    return names[strategy];
}

static struct sb_view schema_of(const struct sb_verify_table *table, enum sb_side side)
{
    return side == SB_SIDE_TARGET && table->target_schema.len > 0 ? table->target_schema : table->schema;
}

static void put_name(const struct sb_verify_table *table, enum sb_side side, struct sb_buf *sql)
{
    bool parted = side == SB_SIDE_SOURCE ? table->source_parted : table->target_parted;
    sb_buf_put_str(sql, parted ? "" : "ONLY ");
    sb_ident_put_table(sql, schema_of(table, side), table->name);
}

void sb_verify_put_shape(const struct sb_verify_table *table, enum sb_side side, struct sb_buf *sql)
{
    sb_published_put_shape(schema_of(table, side), table->name, sql);
}

void sb_verify_put_begin(
    const struct sb_verify_table *table, enum sb_side side, int64_t lock_timeout_ms, struct sb_buf *sql)
{
    sb_buf_putf(sql,
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = %" PRId64 "; LOCK TABLE ",
        lock_timeout_ms);
    put_name(table, side, sql);
    sb_buf_put_str(sql, " IN ACCESS SHARE MODE");
}

void sb_verify_put_source_stamp(const struct sb_verify_table *table, struct sb_buf *sql)
{
    sb_buf_put_str(sql,
        "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.pg_current_snapshot()::text, CASE WHEN "
        "pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_wal_insert_lsn() END, ");
    sb_verify_put_shape(table, SB_SIDE_SOURCE, sql);
}

void sb_verify_put_target_stamp(
    const struct sb_verify_table *table, const char *migration, const char *direction, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "SELECT p.commit_lsn, p.timeline, p.commit_us, p.stream_uuid, p.source_uuid, ");
    sb_verify_put_shape(table, SB_SIDE_TARGET, sql);
    /* Its rows are those of one moment once progress has passed the stamps of all its chunks. */
    sb_buf_put_str(sql,
        ", EXISTS (SELECT FROM switchback.copy c WHERE c.migration = p.migration AND c.direction = "
        "p.direction AND c.state = 'pending' AND NOT c.beside) OR EXISTS (SELECT FROM switchback.aside a "
        "WHERE a.migration = p.migration AND a.direction = p.direction AND a.relation = t.relation) OR "
        "EXISTS "
        "(SELECT FROM switchback.chunk k WHERE k.migration = p.migration AND k.direction = p.direction AND "
        "k.relation = t.relation AND NOT k.passed AND k.flushed_past > p.commit_lsn) FROM "
        "switchback.progress p, (VALUES (");
    sb_literal_put(sql, sb_view_str(table->relation));
    sb_buf_put_str(sql, ")) t (relation) WHERE p.lane = 0 AND p.migration = ");
    sb_literal_put(sql, sb_view_str(migration));
    sb_buf_put_str(sql, " AND p.direction = ");
    sb_literal_put(sql, sb_view_str(direction));
}

static void put_select(const struct sb_verify_table *table, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "SELECT ");
    for (size_t i = 0; i < table->column_count; i++) {
        sb_buf_put_str(sql, i == 0 ? "" : ", ");
        sb_ident_put(sql, table->columns[i]);
    }
}

void sb_verify_put_from_range(const struct sb_verify_table *table, enum sb_side side,
    const struct sb_key_range *range, struct sb_buf *sql)
{
    sb_buf_put_str(sql, " FROM ");
    put_name(table, side, sql);
    if (table->strategy == SB_STRATEGY_RANGES) {
        sb_buf_put_str(sql, " WHERE ");
        sb_key_range_put_sql(range, table->kind, table->columns[table->key_cols[0]], sql);
    }
}

void sb_verify_put_range(const struct sb_verify_table *table, enum sb_side side,
    const struct sb_key_range *range, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "COPY (");
    put_select(table, sql);
    sb_verify_put_from_range(table, side, range, sql);
    sb_buf_put_str(sql, ") TO STDOUT");
}

/* One column: IN, which an index serves; several: what is equal in each of them. */
static void put_condition(const struct sb_verify_table *table, const struct sb_view *texts, bool first,
    bool list, struct sb_buf *sql)
{
    if (list) {
        sb_buf_put_str(sql, first ? "" : ", ");
        sb_literal_put(sql, texts[0]);
        return;
    }
    sb_buf_put_str(sql, first ? "(" : " OR (");
    for (size_t i = 0; i < table->key_count; i++) {
        sb_buf_put_str(sql, i == 0 ? "" : " AND ");
        sb_ident_put(sql, table->columns[table->key_cols[i]]);
        sb_buf_put_str(sql, " ");
        sb_buf_put_view(sql, table->equals[table->key_cols[i]]);
        sb_buf_put_str(sql, " ");
        sb_literal_put(sql, texts[i]);
    }
    sb_buf_put_str(sql, ")");
}

static bool put_where(
    const struct sb_verify_table *table, const struct sb_view *keys, size_t count, struct sb_buf *sql)
{
    struct sb_view texts[KEY_COLS_MAX];
    bool list = table->key_count == 1 && sb_view_eq_str(table->equals[table->key_cols[0]], "=");
    sb_buf_put_str(sql, " WHERE ");
    if (list) {
        sb_ident_put(sql, table->columns[table->key_cols[0]]);
        sb_buf_put_str(sql, " IN (");
    }
    for (size_t i = 0; i < count; i++) {
        if (!sb_rowform_key_texts(keys[i], texts, table->key_count))
            return false;
        put_condition(table, texts, i == 0, list, sql);
    }
    sb_buf_put_str(sql, list ? ")" : "");
    return true;
}

bool sb_verify_put_from_keys(const struct sb_verify_table *table, enum sb_side side,
    const struct sb_view *keys, size_t count, struct sb_buf *sql)
{
    sb_buf_put_str(sql, " FROM ");
    put_name(table, side, sql);
    return put_where(table, keys, count, sql);
}

bool sb_verify_put_keys_select(const struct sb_verify_table *table, enum sb_side side,
    const struct sb_view *keys, size_t count, struct sb_buf *sql)
{
    put_select(table, sql);
    return sb_verify_put_from_keys(table, side, keys, count, sql);
}

bool sb_verify_put_keys(const struct sb_verify_table *table, enum sb_side side, const struct sb_view *keys,
    size_t count, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "COPY (");
    bool fine = sb_verify_put_keys_select(table, side, keys, count, sql);
    sb_buf_put_str(sql, ") TO STDOUT");
    return fine;
}

/* -- a key for people ------------------------------------------------------------------------------------ */

static void put_json_text(struct sb_buf *out, struct sb_view text)
{
    sb_buf_put_u8(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte == '"' || byte == '\\')
            sb_buf_putf(out, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f)
            sb_buf_putf(out, "\\u%04x", byte);
        else
            sb_buf_put_u8(out, byte);
    }
    sb_buf_put_u8(out, '"');
}

bool sb_verify_put_key_json(const struct sb_verify_table *table, struct sb_view key, struct sb_buf *out)
{
    struct sb_view texts[KEY_COLS_MAX];
    if (!sb_rowform_key_texts(key, texts, table->key_count))
        return false;
    for (size_t i = 0; i < table->key_count; i++) {
        sb_buf_put_str(out, i == 0 ? "{" : ", ");
        put_json_text(out, table->columns[table->key_cols[i]]);
        sb_buf_put_str(out, ": ");
        put_json_text(out, texts[i]);
    }
    sb_buf_put_str(out, "}");
    return !out->failed;
}

/* -- values ---------------------------------------------------------------------------------------------- */

static const struct sb_rule *rule_of(const struct sb_verify_table *table, uint16_t column)
{
    return table->rules == NULL || table->rules[column] == NULL ? NULL : &table->rules[column]->rule;
}

struct sb_digest sb_verify_field(const struct sb_verify_table *table, uint16_t column,
    const struct sb_value *value, struct sb_buf *scratch)
{
    return sb_rule_field(rule_of(table, column), value, scratch);
}

bool sb_verify_field_equal(const struct sb_verify_table *table, uint16_t column, const struct sb_digest *a,
    const struct sb_digest *b)
{
    return sb_rule_equal(rule_of(table, column), a, b);
}
