#include "apply/sets.h"

#include "apply/sql.h"
#include "apply/truncate.h"
#include "core/fault.h"

#include <stdlib.h>
#include <string.h>

enum {
    COPY_LEAST_ROWS = 32, /* below, one INSERT from arrays is a round trip less */
};

static void put_column(struct sb_writer *writer, const struct sb_plan_group *group, uint16_t col, bool of_key)
{
    sb_writer_array(writer, group->count);
    for (size_t r = 0; r < group->count; r++)
        sb_writer_array_put(writer, of_key ? &group->rows[r].key[col] : &group->rows[r].values[col]);
}

static void put_keys(struct sb_writer *writer, const struct sb_plan_group *group)
{
    sb_writer_arrays_begin(writer);
    for (uint16_t k = 0; k < group->rel->key_count; k++)
        put_column(writer, group, group->rel->key_cols[k], true);
}

static int insert_by_copy(struct sb_writer *writer, const struct sb_plan_group *group, struct sb_buf *sql,
    int64_t *ret_rows, struct sb_err *err)
{
    sb_sql_copy(group->rel, sql);
    if (sb_writer_copy_begin(writer, sb_sql_view(sql), err) != 0)
        return -1;
    for (size_t r = 0; r < group->count; r++) {
        for (uint16_t i = 0; i < group->rel->rel->col_count; i++)
            sb_writer_copy_put(writer, &group->rows[r].values[i], i == 0);
        if (sb_writer_copy_row(writer, err) != 0)
            return -1;
    }
    return sb_writer_copy_end(writer, ret_rows, err);
}

static int write_insert(struct sb_writer *writer, const struct sb_plan_group *group, struct sb_buf *sql,
    int64_t *ret_rows, struct sb_err *err)
{
    if (group->count >= COPY_LEAST_ROWS || group->rel->rel->col_count == 0)
        return insert_by_copy(writer, group, sql, ret_rows, err);
    sb_sql_set_insert(group->rel, sql);
    sb_writer_arrays_begin(writer);
    for (uint16_t i = 0; i < group->rel->rel->col_count; i++)
        put_column(writer, group, i, false);
    return sb_writer_arrays_run(writer, sb_sql_view(sql), ret_rows, err);
}

static int write_update(struct sb_writer *writer, const struct sb_plan_group *group, struct sb_buf *sql,
    int64_t *ret_rows, struct sb_err *err)
{
    put_keys(writer, group);
    if (!sb_sql_set_update(group->rel, group->present, sql)) {
        sb_sql_set_count(group->rel, sql); /* nothing to set: the rows must be there all the same */
        return sb_writer_arrays_count(writer, sb_sql_view(sql), ret_rows, err);
    }
    for (uint16_t i = 0; i < group->rel->rel->col_count; i++)
        if (sb_sql_in_set(group->rel, group->present, i))
            put_column(writer, group, i, false);
    return sb_writer_arrays_run(writer, sb_sql_view(sql), ret_rows, err);
}

/* 0, SB_SETS_EXACT or -1. */
static int write_group(
    struct sb_writer *writer, const struct sb_plan_group *group, const char **ret_reason, struct sb_err *err)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    int64_t rows = 0, expected = (int64_t)group->count;
    int rc = -1;
    sb_buf_init(&sql, SB_SQL_MAX_BYTES);
    switch (group->kind) {
    case SB_PLAN_ABSENT:
        put_keys(writer, group);
        sb_sql_set_count(group->rel, &sql);
        expected = 0;
        rc = sb_writer_arrays_count(writer, sb_sql_view(&sql), &rows, err);
        break;
    case SB_PLAN_DELETE:
        put_keys(writer, group);
        sb_sql_set_delete(group->rel, &sql);
        rc = sb_writer_arrays_run(writer, sb_sql_view(&sql), &rows, err);
        break;
    case SB_PLAN_UPDATE:
        rc = write_update(writer, group, &sql, &rows, err);
        break;
    case SB_PLAN_INSERT:
        rc = write_insert(writer, group, &sql, &rows, err);
        break;
    }
    if (rc != 0)
        return sb_err_add(err, "table \"%.*s.%.*s\"", (int)group->rel->target_schema.len,
            group->rel->target_schema.ptr, (int)group->rel->target_name.len, group->rel->target_name.ptr);
    if (rows == expected)
        return 0;
    *ret_reason = "the target reported another number of rows than the stream has";
    return SB_SETS_EXACT;
}

static int write_run(struct sb_writer *writer, const struct sb_batch_change *changes, size_t count,
    struct sb_arena *arena, const char **ret_reason, struct sb_err *err)
{
    struct sb_plan plan;
    if (count == 0)
        return 0;
    if (sb_plan_make(changes, count, arena, &plan, err) != 0)
        return -1;
    if (plan.exact != NULL) {
        *ret_reason = plan.exact;
        return SB_SETS_EXACT;
    }
    for (size_t g = 0; g < plan.group_count; g++) {
        SB_FAULT("apply-before-write");
        int rc = write_group(writer, &plan.groups[g], ret_reason, err);
        if (rc != 0)
            return rc;
        SB_FAULT("apply-after-write");
    }
    return 0;
}

int sb_sets_write(struct sb_writer *writer, const struct sb_batch_change *changes, size_t count,
    struct sb_arena *arena, const char **ret_reason, struct sb_err *err)
{
    size_t from = 0;
    for (size_t i = 0; i < count; i++) {
        if (changes[i].chg.op != SB_OP_TRUNCATE)
            continue;
        int rc = write_run(writer, changes + from, i - from, arena, ret_reason, err);
        if (rc != 0)
            return rc;
        if (sb_truncate_write(writer, &changes[i], err) != 0)
            return -1;
        from = i + 1;
    }
    return write_run(writer, changes + from, count - from, arena, ret_reason, err);
}
