#include "apply/stamps.h"

#include "core/map.h"
#include "pg/ident.h"
#include "pg/snapshot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES_MAX = 100000, KEY_MAX_BYTES = 1 << 30, NAME_MAX_BYTES = 4096 };
#define STAMPS_MAX_BYTES (INT64_C(1) << 30)

struct stamp {
    struct sb_key_range range;
    struct sb_snapshot snapshot;
};

struct table {
    struct sb_view relation;
    enum sb_key_kind kind;
    struct sb_view key_column;
    struct stamp *stamps; /* in order once sealed */
    size_t count, cap;
    uint32_t timeline;
};

/* A relation of the stream, joined with its table once. */
struct use {
    const struct table *table; /* NULL: it was not copied */
    uint16_t column;           /* of the key, in the relation */
    bool column_missing;
};

struct sb_stamps {
    struct sb_arena *arena;
    struct sb_map *tables; /* by relation */
    struct sb_map *uses;   /* by schema id */
    struct table **list;
    size_t list_count, list_cap;
    struct sb_buf key;
    uint64_t last;
    uint32_t timeline; /* the newest that a chunk was read on */
};

struct sb_stamps *sb_stamps_new(void)
{
    struct sb_stamps *stamps = calloc(1, sizeof *stamps);
    if (stamps == NULL)
        return NULL;
    stamps->arena = sb_arena_new("stamps", STAMPS_MAX_BYTES);
    stamps->tables = sb_map_new(TABLES_MAX);
    stamps->uses = sb_map_new(TABLES_MAX);
    sb_buf_init(&stamps->key, KEY_MAX_BYTES);
    if (stamps->arena != NULL && stamps->tables != NULL && stamps->uses != NULL)
        return stamps;
    sb_stamps_free(stamps);
    return NULL;
}

void sb_stamps_free(struct sb_stamps *stamps)
{
    if (stamps == NULL)
        return;
    for (size_t i = 0; i < stamps->list_count; i++)
        free(stamps->list[i]->stamps);
    free(stamps->list);
    sb_map_free(stamps->tables);
    sb_map_free(stamps->uses);
    sb_arena_free(stamps->arena);
    sb_buf_clear(&stamps->key);
    free(stamps);
}

/* -- building -------------------------------------------------------------------------------------------- */

static int no_room(struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "the stamps of the initial copy do not fit into %" PRId64 " bytes",
        STAMPS_MAX_BYTES);
}

static int incomplete(struct sb_view relation, const char *why, struct sb_err *err)
{
    sb_err_set(err, SB_E_COPY_INCOMPLETE, "table %.*s: %s", (int)relation.len, relation.ptr, why);
    return sb_err_hint(err, "Copy the table again: switchback copy --again '%.*s', then `switchback resume`.",
        (int)relation.len, relation.ptr);
}

static int list_room(void **items, size_t count, size_t *cap, size_t size, struct sb_err *err)
{
    if (count < *cap)
        return 0;
    size_t next = *cap == 0 ? 16 : *cap * 2;
    void *grown = realloc(*items, next * size);
    if (grown == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the stamps of the initial copy");
    *items = grown;
    *cap = next;
    return 0;
}

int sb_stamps_table(struct sb_stamps *stamps, struct sb_view relation, enum sb_key_kind kind,
    struct sb_view key_column, struct sb_err *err)
{
    struct table *table = sb_arena_zalloc(stamps->arena, sizeof *table);
    if (table == NULL || !sb_arena_dup(stamps->arena, relation, &table->relation) ||
        !sb_arena_dup(stamps->arena, key_column, &table->key_column) ||
        !sb_map_put(stamps->tables, table->relation, table, NULL))
        return no_room(err);
    if (list_room((void **)&stamps->list, stamps->list_count, &stamps->list_cap, sizeof(void *), err) != 0)
        return -1;
    table->kind = kind;
    stamps->list[stamps->list_count++] = table;
    return 0;
}

int sb_stamps_chunk(struct sb_stamps *stamps, const struct sb_stamp_chunk *chunk, struct sb_err *err)
{
    struct table *table = stamps->list[stamps->list_count - 1];
    if (list_room((void **)&table->stamps, table->count, &table->cap, sizeof *table->stamps, err) != 0)
        return -1;
    struct stamp *stamp = &table->stamps[table->count];
    stamp->range = chunk->range;
    if (!sb_arena_dup(stamps->arena, chunk->range.lower, &stamp->range.lower) ||
        !sb_arena_dup(stamps->arena, chunk->range.upper, &stamp->range.upper))
        return no_room(err);
    if (chunk->passed) { /* a snapshot that sees nothing */
        stamp->snapshot = (struct sb_snapshot){0};
        table->count++;
        return 0;
    }
    if (!sb_snapshot_parse(chunk->snapshot, stamps->arena, &stamp->snapshot))
        return sb_err_set(
            err, SB_E_STATE_FORMAT, "a stamp of the initial copy is no snapshot: \"%s\"", chunk->snapshot);
    if (table->timeline != 0 && chunk->timeline != table->timeline)
        return incomplete(table->relation, "it was read on two timelines of the source", err);
    table->timeline = chunk->timeline;
    stamps->timeline = chunk->timeline > stamps->timeline ? chunk->timeline : stamps->timeline;
    stamps->last = chunk->flushed_past > stamps->last ? chunk->flushed_past : stamps->last;
    table->count++;
    return 0;
}

static int stamp_order(const void *a, const void *b)
{
    return sb_key_range_cmp(&((const struct stamp *)a)->range, &((const struct stamp *)b)->range);
}

/* Each begins where the one before it ends. */
static bool is_whole(const struct table *table)
{
    const struct stamp *stamps = table->stamps;
    if (table->count == 0 || !stamps[0].range.lower_open || !stamps[table->count - 1].range.upper_open)
        return false;
    for (size_t i = 1; i < table->count; i++)
        if (stamps[i].range.lower_open || stamps[i - 1].range.upper_open ||
            !sb_view_eq(stamps[i].range.lower, stamps[i - 1].range.upper))
            return false;
    return table->kind != SB_KEY_NONE || table->count == 1;
}

int sb_stamps_seal(struct sb_stamps *stamps, struct sb_err *err)
{
    for (size_t i = 0; i < stamps->list_count; i++) {
        struct table *table = stamps->list[i];
        if (table->count > 0)
            qsort(table->stamps, table->count, sizeof *table->stamps, stamp_order);
        if (!is_whole(table))
            return incomplete(
                table->relation, "its chunks in switchback.chunk do not hold every key once", err);
    }
    return 0;
}

uint64_t sb_stamps_last(const struct sb_stamps *stamps)
{
    return stamps->last;
}

uint32_t sb_stamps_timeline(const struct sb_stamps *stamps)
{
    return stamps->timeline;
}

bool sb_stamps_passed(const struct sb_stamps *stamps, uint64_t commit_lsn, uint32_t timeline)
{
    return commit_lsn >= stamps->last && timeline == stamps->timeline;
}

/* -- judging --------------------------------------------------------------------------------------------- */

static int check_timeline(const struct table *table, uint32_t timeline, struct sb_err *err)
{
    if (timeline == table->timeline)
        return 0;
    return incomplete(table->relation,
        "the source was failed over while the copy's images were in force; what they show may be lost there",
        err);
}

static void use_find(const struct sb_stamps *stamps, const struct sb_relation *rel, struct use *ret_use)
{
    struct sb_buf name SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&name, NAME_MAX_BYTES);
    sb_ident_put_table(&name, rel->schema, rel->name);
    *ret_use = (struct use){.table = sb_map_get(stamps->tables, sb_buf_view(&name))};
    if (ret_use->table == NULL || ret_use->table->kind == SB_KEY_NONE)
        return;
    for (uint16_t i = 0; i < rel->col_count; i++) {
        if (sb_view_eq(rel->cols[i].name, ret_use->table->key_column)) {
            ret_use->column = i;
            ret_use->column_missing = !rel->cols[i].key;
            return;
        }
    }
    ret_use->column_missing = true;
}

static int use_of(
    struct sb_stamps *stamps, const struct sb_relation *rel, const struct use **ret_use, struct sb_err *err)
{
    uint32_t id = rel->schema_id;
    struct use *use = sb_map_get(stamps->uses, sb_map_key_u32(&id));
    if (use == NULL) {
        use = sb_arena_zalloc(stamps->arena, sizeof *use);
        if (use == NULL)
            return no_room(err);
        use_find(stamps, rel, use);
        if (!sb_map_put(stamps->uses, sb_map_key_u32(&id), use, NULL))
            return no_room(err);
    }
    if (use->column_missing)
        return incomplete(use->table->relation,
            "its replica identity was changed while it was copied: changes do not tell its key any more",
            err);
    *ret_use = use;
    return 0;
}

static const struct stamp *stamp_of(const struct table *table, struct sb_view canonical)
{
    size_t low = 0, high = table->count; /* the last one whose lower bound is not beyond the key */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (sb_view_cmp(table->stamps[mid].range.lower, canonical) <= 0)
            low = mid;
        else
            high = mid;
    }
    return &table->stamps[low];
}

/* Is xid visible in the stamp of the row with this key? */
static int sees(struct sb_stamps *stamps, const struct table *table, const struct sb_value *key, uint64_t xid,
    bool *ret_sees, struct sb_err *err)
{
    const struct stamp *stamp = &table->stamps[0];
    if (table->kind != SB_KEY_NONE) {
        sb_buf_reset(&stamps->key);
        if (key->state != SB_COL_TEXT || !sb_key_put(table->kind, key->text, &stamps->key))
            return incomplete(
                table->relation, "a change's key cannot be placed in the order of the chunks", err);
        stamp = stamp_of(table, sb_buf_view(&stamps->key));
    }
    *ret_sees = sb_snapshot_sees(&stamp->snapshot, xid);
    return 0;
}

int sb_stamps_judge(struct sb_stamps *stamps, const struct sb_change *chg, uint64_t xid, uint32_t timeline,
    enum sb_stamp_verdict *ret_verdict, struct sb_err *err)
{
    const struct use *use = NULL;
    bool old_seen, new_seen;
    *ret_verdict = SB_STAMP_NEWER;
    if (use_of(stamps, chg->rel, &use, err) != 0)
        return -1;
    if (use->table == NULL)
        return 0;
    if (check_timeline(use->table, timeline, err) != 0)
        return -1;
    const struct sb_value *old_key = &(chg->before != NULL ? chg->before : chg->after)[use->column];
    if (sees(stamps, use->table, old_key, xid, &old_seen, err) != 0)
        return -1;
    new_seen = old_seen;
    bool both = chg->before != NULL && chg->after != NULL && use->table->kind != SB_KEY_NONE &&
                chg->after[use->column].state == SB_COL_TEXT;
    if (both && sees(stamps, use->table, &chg->after[use->column], xid, &new_seen, err) != 0)
        return -1;
    if (old_seen && new_seen)
        *ret_verdict = SB_STAMP_SEEN;
    else if (old_seen)
        *ret_verdict = SB_STAMP_NEW_HALF;
    else if (new_seen)
        *ret_verdict = SB_STAMP_OLD_HALF;
    return 0;
}

/* Is xid in the image of this key: as it was read, or as it will be? */
static int will_see(struct sb_stamps *stamps, const struct table *table, const struct sb_value *key,
    uint64_t xid, struct sb_suspects *suspects, bool *ret_sees, struct sb_err *err)
{
    if (sees(stamps, table, key, xid, ret_sees, err) != 0)
        return -1;
    *ret_sees = *ret_sees || sb_suspects_has(suspects, table->relation, sb_buf_view(&stamps->key));
    return 0;
}

static bool is_whole_row(const struct sb_change *chg)
{
    for (uint16_t i = 0; i < chg->rel->col_count; i++)
        if (chg->after[i].state == SB_COL_UNCHANGED)
            return false;
    return true;
}

int sb_stamps_survey(struct sb_stamps *stamps, const struct sb_change *chg, uint64_t xid, uint32_t timeline,
    struct sb_suspects *suspects, struct sb_err *err)
{
    const struct use *use = NULL;
    bool old_seen, new_seen;
    if (chg->op != SB_OP_UPDATE || chg->before == NULL || chg->after == NULL)
        return 0;
    if (use_of(stamps, chg->rel, &use, err) != 0)
        return -1;
    const struct table *table = use->table;
    if (table == NULL || table->kind == SB_KEY_NONE || table->timeline != timeline ||
        chg->after[use->column].state != SB_COL_TEXT || is_whole_row(chg))
        return 0;
    if (will_see(stamps, table, &chg->before[use->column], xid, suspects, &old_seen, err) != 0 ||
        will_see(stamps, table, &chg->after[use->column], xid, suspects, &new_seen, err) != 0)
        return -1;
    return old_seen && !new_seen ? sb_suspects_add(suspects, table->relation, sb_buf_view(&stamps->key), err)
                                 : 0;
}

int sb_stamps_truncate(struct sb_stamps *stamps, const struct sb_relation *rel, uint64_t xid,
    uint32_t timeline, struct sb_arena *arena, struct sb_stamp_cut *ret_cut, struct sb_err *err)
{
    struct use use;
    use_find(stamps, rel, &use); /* a TRUNCATE needs no key */
    *ret_cut = (struct sb_stamp_cut){.rel = rel, .whole = true, .count = 1};
    if (use.table == NULL)
        return 0;
    if (check_timeline(use.table, timeline, err) != 0)
        return -1;
    ret_cut->kind = use.table->kind;
    ret_cut->key_column = use.table->key_column;
    ret_cut->ranges = sb_arena_alloc(arena, (use.table->count + 1) * sizeof *ret_cut->ranges);
    if (ret_cut->ranges == NULL)
        return sb_err_set(err, SB_E_LIMIT, "the batch arena is full");
    ret_cut->count = 0;
    for (size_t i = 0; i < use.table->count; i++)
        if (!sb_snapshot_sees(&use.table->stamps[i].snapshot, xid))
            ret_cut->ranges[ret_cut->count++] = use.table->stamps[i].range;
    ret_cut->whole = ret_cut->count == use.table->count;
    if (ret_cut->whole)
        ret_cut->count = 1;
    return 0;
}
