#include "reconcile/accept.h"

#include "schemas/rowform.h"

#include <string.h>

enum { HASH_BYTES = 8 };

void sb_accept_put(const struct sb_verify_table *table, const struct sb_value *values, struct sb_buf *out)
{
    struct sb_digest fields[SB_COLS_MAX];
    if (table->ruled_count == 0)
        return;
    for (uint16_t i = 0; i < table->column_count; i++)
        fields[i] = sb_rowform_field(&values[i]);
    struct sb_digest row = sb_rowform_row(fields, table->column_count);
    sb_buf_put(out, row.bytes, sizeof row.bytes);
    for (uint16_t i = 0; i < table->column_count; i++)
        if (table->rules[i] != NULL)
            sb_buf_put(out, fields[i].bytes, HASH_BYTES);
}

struct sb_digest sb_accept_row(struct sb_view aside, const struct sb_digest *form)
{
    struct sb_digest row = *form;
    if (aside.len >= sizeof row.bytes)
        memcpy(row.bytes, aside.ptr, sizeof row.bytes);
    return row;
}

void sb_accept_met(
    const struct sb_verify_table *table, struct sb_view one, struct sb_view other, int64_t *counts)
{
    size_t at = sizeof(struct sb_digest);
    if (one.len != other.len || one.len != at + (size_t)table->ruled_count * HASH_BYTES)
        return;
    for (uint16_t i = 0; i < table->column_count; i++) {
        if (table->rules[i] == NULL)
            continue;
        counts[i] += memcmp(one.ptr + at, other.ptr + at, HASH_BYTES) != 0;
        at += HASH_BYTES;
    }
}

void sb_accept_add(const struct sb_verify_table *table, int64_t *counts)
{
    for (uint16_t i = 0; table->ruled_count > 0 && i < table->column_count; i++) {
        if (table->rules[i] != NULL)
            table->rules[i]->values += counts[i];
        counts[i] = 0;
    }
}

bool sb_accept_needs_values(const struct sb_verify_table *table)
{
    for (uint16_t i = 0; table->ruled_count > 0 && i < table->column_count; i++)
        if (table->rules[i] != NULL && !sb_rule_has_form(&table->rules[i]->rule))
            return true;
    return false;
}
