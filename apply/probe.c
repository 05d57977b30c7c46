#include "apply/probe.h"

#include "apply/sql.h"

#include <stdlib.h>
#include <string.h>

static const struct sb_value *written_key(
    const struct sb_batch_change *change, const struct sb_apply_rel *rel, uint16_t col)
{
    const struct sb_value *after = &change->chg.after[rel->key_cols[col]];
    /* A key that is unchanged TOAST is in the old row. */
    return after->state == SB_COL_UNCHANGED && change->chg.before != NULL
               ? &change->chg.before[rel->key_cols[col]]
               : after;
}

static bool writes(const struct sb_batch_change *change, const struct sb_apply_rel *rel)
{
    return change->rel == rel && (change->chg.op == SB_OP_INSERT || change->chg.op == SB_OP_UPDATE);
}

static size_t count_writes(
    const struct sb_batch_change *changes, size_t count, const struct sb_apply_rel *rel)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += writes(&changes[i], rel);
    return n;
}

static const struct sb_batch_change *nth_write(
    const struct sb_batch_change *changes, const struct sb_apply_rel *rel, size_t nth)
{
    while (!writes(changes, rel) || nth-- > 0)
        changes++;
    return changes;
}

static void put_keys(struct sb_writer *writer, const struct sb_apply_rel *rel,
    const struct sb_batch_change *changes, size_t count, size_t rows)
{
    sb_writer_arrays_begin(writer);
    for (uint16_t k = 0; k < rel->key_count; k++) {
        sb_writer_array(writer, rows);
        for (size_t i = 0; i < count; i++)
            if (writes(&changes[i], rel))
                sb_writer_array_put(writer, written_key(&changes[i], rel, k));
    }
}

/* One constraint: *ret_nth is which of the rows in the arrays has a neighbour it must not have. */
static int probe_one(struct sb_writer *writer, const struct sb_apply_rel *rel,
    const struct sb_deferrable *constraint, bool by_key, size_t *ret_nth, char **ret_other,
    struct sb_err *err)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    const char *texts[2];
    sb_buf_init(&sql, SB_SQL_MAX_BYTES);
    sb_sql_probe(rel, constraint, by_key, &sql);
    if (sb_writer_arrays_fetch(writer, sb_sql_view(&sql), texts, 2, err) != 0)
        return sb_err_add(err, "looking for rows that constraint \"%.*s\" forbids", (int)constraint->name.len,
            constraint->name.ptr);
    if (texts[0] == NULL)
        return 0;
    *ret_nth = strtoul(texts[0], NULL, 10) - 1;
    *ret_other = texts[1] == NULL ? NULL : strdup(texts[1]);
    return 1;
}

int sb_probe_changes(struct sb_writer *writer, const struct sb_apply_rel *rel,
    const struct sb_batch_change *changes, size_t count, struct sb_probe_hit *ret_hit, struct sb_err *err)
{
    size_t rows = count_writes(changes, count, rel), nth = 0;
    bool by_key = rel->key_count > 0;
    struct sb_probe_hit hit = {0};
    for (size_t c = 0; c < rel->deferrable_count && rows > 0 && hit.change == NULL; c++) {
        put_keys(writer, rel, changes, count, rows);
        int found = probe_one(writer, rel, &rel->deferrables[c], by_key, &nth, &hit.other_row, err);
        if (found < 0)
            return -1;
        if (found > 0) {
            hit.change = nth_write(changes, rel, nth);
            hit.constraint = rel->deferrables[c].name;
        }
    }
    *ret_hit = hit;
    return 0;
}

int sb_probe_table(struct sb_writer *writer, const struct sb_apply_rel *rel, struct sb_arena *arena,
    struct sb_probe_hit *ret_hit, struct sb_err *err)
{
    struct sb_batch_change *none = sb_arena_zalloc(arena, sizeof *none);
    struct sb_probe_hit hit = {0};
    if (none == NULL)
        return sb_err_set(err, SB_E_LIMIT, "the batch arena is full");
    none->rel = rel;
    none->chg.rel = rel->rel;
    none->chg.op = SB_OP_UPDATE;
    for (size_t c = 0; c < rel->deferrable_count && hit.change == NULL; c++) {
        size_t nth;
        sb_writer_arrays_begin(writer);
        int found = probe_one(writer, rel, &rel->deferrables[c], false, &nth, &hit.other_row, err);
        if (found < 0)
            return -1;
        if (found > 0) {
            hit.change = none;
            hit.constraint = rel->deferrables[c].name;
        }
    }
    *ret_hit = hit;
    return 0;
}
