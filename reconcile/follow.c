#include "reconcile/follow.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/map.h"
#include "pg/ident.h"
#include "schemas/digest.h"
#include "schemas/rowform.h"
#include "stream/tail.h"
#include "stream/walk.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX_BYTES = 64 * 1024 * 1024, NAME_MAX_BYTES = 4096, RELATIONS_MAX = 1000000, POLL_MS = 20 };

enum { ABSENT = UINT16_MAX };

/* One shape of a table in the stream. */
struct mapping {
    const struct sb_verify_table *table; /* NULL: not one of ours */
    uint16_t *cols;                      /* of each compared column: where the stream has it; ABSENT */
    uint16_t *key_cols;                  /* the same of the key's */
};

struct sb_follow {
    struct sb_stream *stream;
    struct sb_walk *walk;
    struct sb_window *window;
    struct sb_frontier *frontier; /* NULL: nobody asked */
    uint32_t timeline;
    struct sb_map *tables;   /* by quoted name */
    struct sb_map *mappings; /* by the relation's address, which stays as long as the walk */
    struct sb_digest *fields;
    struct sb_buf name, key, old_key, value;
    uint64_t seen_lsn;
    uint64_t transactions;
};

/* -- life ------------------------------------------------------------------------------------------------ */

static int follow_build(struct sb_follow *follow, const struct sb_verify_plan *plan, struct sb_err *err)
{
    sb_buf_init(&follow->name, NAME_MAX_BYTES);
    sb_buf_init(&follow->key, KEY_MAX_BYTES);
    sb_buf_init(&follow->old_key, KEY_MAX_BYTES);
    sb_buf_init(&follow->value, SB_VERIFY_VALUE_MAX_BYTES);
    follow->tables = sb_map_new(RELATIONS_MAX);
    follow->mappings = sb_map_new(RELATIONS_MAX);
    follow->fields = calloc(SB_COLS_MAX, sizeof *follow->fields);
    bool fine = follow->tables != NULL && follow->mappings != NULL && follow->fields != NULL;
    for (size_t i = 0; fine && i < plan->table_count; i++)
        fine = sb_map_put(follow->tables, sb_view_str(plan->tables[i].relation), &plan->tables[i], NULL);
    return fine ? 0 : sb_err_set(err, SB_E_NO_MEMORY, "no memory to read the stream");
}

int sb_follow_new(struct sb_stream *stream, const struct sb_anchor *anchor, uint32_t timeline,
    const struct sb_verify_plan *plan, struct sb_window *window, struct sb_follow **ret_follow,
    struct sb_err *err)
{
    struct sb_follow *follow = calloc(1, sizeof *follow);
    int64_t offset;
    if (follow == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory to read the stream");
    follow->stream = stream;
    follow->window = window;
    follow->timeline = timeline;
    follow->seen_lsn = anchor->position.commit_lsn;
    if (follow_build(follow, plan, err) == 0 && sb_walk_new(stream, &follow->walk, err) == 0 &&
        sb_tail_locate_position(stream, &anchor->position, anchor->hint, &offset, err) == 0 &&
        sb_walk_prove(follow->walk, offset, &anchor->position, err) == 0) {
        *ret_follow = follow;
        return 0;
    }
    sb_follow_free(follow);
    return -1;
}

static void mapping_free(struct mapping *mapping)
{
    free(mapping->cols);
    free(mapping->key_cols);
    free(mapping);
}

void sb_follow_free(struct sb_follow *follow)
{
    struct sb_view key;
    void *value;
    size_t pos = 0;
    if (follow == NULL)
        return;
    while (follow->mappings != NULL && sb_map_next(follow->mappings, &pos, &key, &value))
        mapping_free(value);
    sb_map_free(follow->mappings);
    sb_map_free(follow->tables);
    sb_walk_free(follow->walk);
    free(follow->fields);
    sb_buf_clear(&follow->name);
    sb_buf_clear(&follow->key);
    sb_buf_clear(&follow->old_key);
    sb_buf_clear(&follow->value);
    free(follow);
}

void sb_follow_report(struct sb_follow *follow, struct sb_frontier *frontier)
{
    follow->frontier = frontier;
}

uint64_t sb_follow_transactions(const struct sb_follow *follow)
{
    return follow->transactions;
}

/* -- relations ------------------------------------------------------------------------------------------- */

static uint16_t column_in(const struct sb_relation *rel, struct sb_view name)
{
    for (uint16_t i = 0; i < rel->col_count; i++)
        if (sb_view_eq(rel->cols[i].name, name))
            return i;
    return ABSENT;
}

static bool mapping_fill(struct mapping *mapping, const struct sb_relation *rel)
{
    const struct sb_verify_table *table = mapping->table;
    mapping->cols = calloc((size_t)table->column_count + 1, sizeof *mapping->cols);
    mapping->key_cols = calloc((size_t)table->key_count + 1, sizeof *mapping->key_cols);
    if (mapping->cols == NULL || mapping->key_cols == NULL)
        return false;
    for (uint16_t i = 0; i < table->column_count; i++)
        mapping->cols[i] = column_in(rel, table->columns[i]);
    for (uint16_t i = 0; i < table->key_count; i++)
        mapping->key_cols[i] = mapping->cols[table->key_cols[i]];
    return true;
}

static int mapping_of(
    struct sb_follow *follow, const struct sb_relation *rel, struct mapping **ret_mapping, struct sb_err *err)
{
    struct sb_view address = sb_view(&rel, sizeof rel);
    *ret_mapping = sb_map_get(follow->mappings, address);
    if (*ret_mapping != NULL)
        return 0;
    struct mapping *made = calloc(1, sizeof *made);
    sb_buf_reset(&follow->name);
    sb_ident_put_table(&follow->name, rel->schema, rel->name);
    if (made != NULL) {
        made->table = sb_map_get(follow->tables, sb_buf_view(&follow->name));
        if ((made->table == NULL || mapping_fill(made, rel)) &&
            sb_map_put(follow->mappings, address, made, NULL)) {
            *ret_mapping = made;
            return 0;
        }
        mapping_free(made);
    }
    return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a table of the stream");
}

/* -- changes --------------------------------------------------------------------------------------------- */

/* The old row is there as a whole: identity FULL. */
static const struct sb_value *full_before(const struct sb_change *chg)
{
    return chg->old_is_key ? NULL : chg->before;
}

/* A value that did not travel may stand in the old row. */
static struct sb_digest field_of(struct sb_follow *follow, const struct mapping *mapping, uint16_t column,
    const struct sb_value *row, const struct sb_value *full)
{
    uint16_t col = mapping->cols[column];
    if (col == ABSENT)
        return (struct sb_digest){{0}};
    const struct sb_value *value =
        row[col].state == SB_COL_UNCHANGED && full != NULL ? &full[col] : &row[col];
    return sb_verify_field(mapping->table, column, value, &follow->value);
}

static bool fields_fill(struct sb_follow *follow, const struct mapping *mapping, const struct sb_value *row,
    const struct sb_value *full)
{
    bool known = true;
    for (uint16_t i = 0; i < mapping->table->column_count; i++) {
        follow->fields[i] = field_of(follow, mapping, i, row, full);
        known = known && sb_rowform_is_known(&follow->fields[i]);
    }
    return known;
}

static int all(struct sb_follow *follow, const struct mapping *mapping, bool emptied, struct sb_err *err)
{
    if (follow->frontier != NULL)
        sb_frontier_all(follow->frontier, mapping->table->number, emptied);
    return sb_window_all(follow->window, mapping->table->number, emptied, err);
}

static bool key_put(const struct mapping *mapping, const struct sb_value *row, struct sb_buf *out)
{
    for (uint16_t i = 0; i < mapping->table->key_count; i++)
        if (mapping->key_cols[i] == ABSENT)
            return false;
    sb_buf_reset(out);
    return sb_rowform_put_key(row, mapping->key_cols, mapping->table->key_count, out);
}

static int touch(struct sb_follow *follow, const struct mapping *mapping, const struct sb_buf *key,
    bool present, struct sb_err *err)
{
    const struct sb_touch touch = {.table = mapping->table->number,
        .key = sb_hash128(sb_buf_view(key)),
        .key_bytes = sb_buf_view(key),
        .present = present,
        .fields = follow->fields,
        .field_count = mapping->table->column_count};
    if (follow->frontier != NULL)
        sb_frontier_touch(follow->frontier, touch.table, &touch.key, touch.key_bytes);
    return sb_window_touch(follow->window, &touch, err);
}

static int take_keyed(
    struct sb_follow *follow, const struct mapping *mapping, const struct sb_change *chg, struct sb_err *err)
{
    const struct sb_value *old = chg->before != NULL ? chg->before : chg->after;
    bool moved = false;
    if (chg->op != SB_OP_INSERT && !key_put(mapping, old, &follow->old_key))
        return all(follow, mapping, false, err);
    if (chg->op == SB_OP_DELETE)
        return touch(follow, mapping, &follow->old_key, false, err);
    if (!key_put(mapping, chg->after, &follow->key))
        return all(follow, mapping, false, err);
    if (chg->op == SB_OP_UPDATE)
        moved = !sb_view_eq(sb_buf_view(&follow->old_key), sb_buf_view(&follow->key));
    if (moved && touch(follow, mapping, &follow->old_key, false, err) != 0)
        return -1;
    fields_fill(follow, mapping, chg->after, full_before(chg));
    return touch(follow, mapping, &follow->key, true, err);
}

static int row(struct sb_follow *follow, const struct mapping *mapping, const struct sb_value *values,
    const struct sb_value *full, int by, struct sb_err *err)
{
    if (!fields_fill(follow, mapping, values, full))
        return all(follow, mapping, false, err);
    struct sb_digest digest = sb_rowform_row(follow->fields, mapping->table->column_count);
    if (follow->frontier != NULL)
        sb_frontier_row(follow->frontier, mapping->table->number);
    return sb_window_row(follow->window, mapping->table->number, &digest, by, err);
}

static int take_keyless(
    struct sb_follow *follow, const struct mapping *mapping, const struct sb_change *chg, struct sb_err *err)
{
    if (chg->op != SB_OP_INSERT) {
        if (full_before(chg) == NULL)
            return all(follow, mapping, false, err);
        if (row(follow, mapping, chg->before, NULL, -1, err) != 0)
            return -1;
    }
    return chg->after == NULL ? 0 : row(follow, mapping, chg->after, full_before(chg), 1, err);
}

static int take_truncate(struct sb_follow *follow, const struct sb_change *chg, struct sb_err *err)
{
    for (uint16_t i = 0; i < chg->truncated_count; i++) {
        struct mapping *mapping;
        if (mapping_of(follow, chg->truncated[i], &mapping, err) != 0)
            return -1;
        if (mapping->table != NULL && all(follow, mapping, true, err) != 0)
            return -1;
    }
    return 0;
}

static int take_change(struct sb_follow *follow, const struct sb_change *chg, struct sb_err *err)
{
    struct mapping *mapping;
    if (chg->op == SB_OP_TRUNCATE)
        return take_truncate(follow, chg, err);
    if (mapping_of(follow, chg->rel, &mapping, err) != 0)
        return -1;
    if (mapping->table == NULL || mapping->table->strategy == SB_STRATEGY_NONE)
        return 0;
    return mapping->table->key_count > 0 ? take_keyed(follow, mapping, chg, err)
                                         : take_keyless(follow, mapping, chg, err);
}

static int take_commit(struct sb_follow *follow, const struct sb_walk_record *record, struct sb_err *err)
{
    if (record->frame.timeline > follow->timeline)
        return sb_err_set(err, SB_E_SOURCE_REWOUND,
            "the source went on timeline %" PRIu32 " while it was compared; it was on %" PRIu32,
            record->frame.timeline, follow->timeline);
    follow->transactions++;
    follow->seen_lsn = record->frame.commit_lsn;
    if (follow->frontier != NULL) {
        const struct sb_place place = {.position = sb_proof_position(sb_walk_proof(follow->walk)),
            .offset = record->offset,
            .us = record->commit.commit_us};
        sb_frontier_commit(follow->frontier, record->commit.xid, &place);
    }
    return sb_window_commit(
        follow->window, record->commit.commit_lsn, record->commit.xid, record->commit.commit_us, err);
}

static int take(struct sb_follow *follow, const struct sb_walk_record *record, struct sb_err *err)
{
    if (record->verdict == SB_VERDICT_ABANDON && follow->frontier != NULL)
        sb_frontier_abandon(follow->frontier);
    if (record->verdict == SB_VERDICT_ABANDON)
        sb_window_abandon(follow->window);
    if (record->verdict == SB_VERDICT_DROP || record->verdict == SB_VERDICT_REPEAT)
        return 0;
    if (record->frame.kind == SB_KIND_CHANGE)
        return take_change(follow, &record->chg, err);
    return record->frame.kind == SB_KIND_COMMIT ? take_commit(follow, record, err) : 0;
}

static void pause_for_more(struct sb_follow *follow)
{
    struct pollfd file = {.fd = sb_stream_fd(follow->stream), .events = POLLIN};
    poll(&file, file.fd < 0 ? 0 : 1, POLL_MS);
}

/* 0; SB_STREAM_END: nothing more now; -1. */
static int follow_one(struct sb_follow *follow, struct sb_err *err)
{
    struct sb_walk_record record;
    int rc = sb_walk_next(follow->walk, &record, err);
    if (rc != 0)
        return rc;
    return take(follow, &record, err);
}

int sb_follow_until(struct sb_follow *follow, uint64_t lsn, int64_t timeout_ms, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + timeout_ms;
    while (follow->seen_lsn < lsn) {
        int rc = follow_one(follow, err);
        if (rc == SB_STREAM_END && sb_loop_stop_pending())
            return sb_err_set(err, SB_E_SHUTDOWN, "told to stop");
        if (rc == SB_STREAM_END && sb_clock_mono_ms() >= deadline_ms)
            return SB_FOLLOW_LATE;
        if (rc == SB_STREAM_END)
            pause_for_more(follow);
        else if (rc != 0)
            return -1;
    }
    return 0;
}

int sb_follow_some(struct sb_follow *follow, uint64_t lsn, size_t records_max, struct sb_err *err)
{
    for (size_t i = 0; i < records_max && follow->seen_lsn < lsn; i++) {
        int rc = follow_one(follow, err);
        if (rc == SB_STREAM_END)
            return SB_FOLLOW_LATE;
        if (rc != 0)
            return -1;
    }
    return follow->seen_lsn < lsn ? SB_FOLLOW_LATE : 0;
}
