#include "apply/ring.h"

#include "core/map.h"
#include "schemas/digest.h"
#include "schemas/rowform.h"

#include <stdlib.h>
#include <string.h>

enum {
    SHAPES_MAX = 100000,
    SHAPES_MAX_BYTES = 256 * 1024 * 1024,
    KEY_MAX_BYTES = 1024 * 1024, /* of one key; PostgreSQL's indexes take much less */
};

struct entry { /* newest last; of one bucket each points to the one before it */
    struct sb_digest key;
    uint64_t commit_lsn, xid;
    uint64_t before; /* its number; 0, or one that is forgotten: none */
};

/* A relation's key, in the order of the columns' names. */
struct shape {
    struct sb_digest table; /* the name; also the entry that stands for every key of it */
    struct sb_digest names; /* of the key's columns */
    uint16_t key_count;     /* 0: what it changes cannot be told by key */
    uint16_t *key_cols;
};

struct sb_ring {
    struct entry *entries;
    uint64_t *buckets; /* number of the newest entry; 0: none */
    size_t cap, bucket_count;
    uint64_t oldest, next; /* numbers, from 1: entries oldest .. next - 1 are there */
    uint64_t whole_from, newest_lsn;
    uint32_t timeline;     /* 0: not known yet */
    struct sb_map *shapes; /* struct sb_relation * -> struct shape */
    struct sb_map *tables; /* digest -> struct shape: the newest of that table */
    struct sb_arena *arena;
    struct sb_buf key;
};

static const struct sb_digest everything = {{0}};

/* -- life ------------------------------------------------------------------------------------------------ */

struct sb_ring *sb_ring_new(size_t max_bytes, uint64_t whole_from)
{
    struct sb_ring *ring = calloc(1, sizeof *ring);
    if (ring == NULL)
        return NULL;
    ring->cap = max_bytes / (sizeof *ring->entries + sizeof *ring->buckets);
    ring->cap = ring->cap == 0 ? 1 : ring->cap;
    for (ring->bucket_count = 1; ring->bucket_count * 2 <= ring->cap;)
        ring->bucket_count *= 2;
    ring->oldest = ring->next = 1;
    ring->whole_from = ring->newest_lsn = whole_from;
    ring->entries = calloc(ring->cap, sizeof *ring->entries);
    ring->buckets = calloc(ring->bucket_count, sizeof *ring->buckets);
    ring->shapes = sb_map_new(SHAPES_MAX);
    ring->tables = sb_map_new(SHAPES_MAX);
    ring->arena = sb_arena_new("ring", SHAPES_MAX_BYTES);
    sb_buf_init(&ring->key, KEY_MAX_BYTES);
    if (ring->entries != NULL && ring->buckets != NULL && ring->shapes != NULL && ring->tables != NULL &&
        ring->arena != NULL)
        return ring;
    sb_ring_free(ring);
    return NULL;
}

void sb_ring_free(struct sb_ring *ring)
{
    if (ring == NULL)
        return;
    free(ring->entries);
    free(ring->buckets);
    sb_map_free(ring->shapes);
    sb_map_free(ring->tables);
    sb_arena_free(ring->arena);
    sb_buf_clear(&ring->key);
    free(ring);
}

uint64_t sb_ring_whole_from(const struct sb_ring *ring)
{
    return ring->whole_from;
}

/* -- entries --------------------------------------------------------------------------------------------- */

static struct entry *entry_of(const struct sb_ring *ring, uint64_t number)
{
    return &ring->entries[number % ring->cap];
}

static uint64_t *bucket_of(const struct sb_ring *ring, const struct sb_digest *key)
{
    uint64_t hash;
    memcpy(&hash, key->bytes, sizeof hash);
    return &ring->buckets[hash & (ring->bucket_count - 1)];
}

static void forget_oldest(struct sb_ring *ring)
{
    const struct entry *entry = entry_of(ring, ring->oldest++);
    if (entry->commit_lsn > ring->whole_from)
        ring->whole_from = entry->commit_lsn;
}

static void forget_all(struct sb_ring *ring, uint64_t whole_from)
{
    ring->oldest = ring->next;
    if (whole_from > ring->whole_from)
        ring->whole_from = whole_from;
}

/* Another past has begun: what was put in may never have happened, and its numbers may be given again. */
static void note_place(struct sb_ring *ring, const struct sb_ring_at *at)
{
    bool forked = ring->timeline != 0 && at->timeline != ring->timeline;
    if (forked || at->commit_lsn < ring->newest_lsn)
        forget_all(ring, at->commit_lsn > ring->newest_lsn ? at->commit_lsn : ring->newest_lsn);
    ring->timeline = at->timeline;
    ring->newest_lsn = at->commit_lsn;
}

static void put(struct sb_ring *ring, const struct sb_ring_at *at, const struct sb_digest *key)
{
    uint64_t *bucket = bucket_of(ring, key);
    if (*bucket >= ring->oldest) {
        const struct entry *newest = entry_of(ring, *bucket);
        if (newest->xid == at->xid && newest->commit_lsn == at->commit_lsn && sb_digest_eq(&newest->key, key))
            return;
    }
    if (ring->next - ring->oldest == ring->cap)
        forget_oldest(ring);
    *entry_of(ring, ring->next) = (struct entry){*key, at->commit_lsn, at->xid, *bucket};
    *bucket = ring->next++;
}

/* Entries of a bucket are in the order of commits, so that the first one at or before the floor ends it. */
static bool is_touched(const struct sb_ring *ring, const struct sb_digest *key, uint64_t floor_lsn,
    const struct sb_snapshot *snapshot)
{
    const struct entry *entry;
    for (uint64_t number = *bucket_of(ring, key); number >= ring->oldest; number = entry->before) {
        entry = entry_of(ring, number);
        if (entry->commit_lsn <= floor_lsn)
            return false;
        if (sb_digest_eq(&entry->key, key) && !sb_snapshot_sees(snapshot, entry->xid))
            return true;
    }
    return false;
}

/* -- keys ------------------------------------------------------------------------------------------------ */

static void put_name(struct sb_buf *buf, struct sb_view name)
{
    sb_buf_put_u32(buf, (uint32_t)name.len);
    sb_buf_put_view(buf, name);
}

static struct sb_digest table_digest(struct sb_buf *buf, struct sb_view schema, struct sb_view name)
{
    sb_buf_reset(buf);
    put_name(buf, schema);
    put_name(buf, name);
    return sb_hash128(sb_buf_view(buf));
}

static struct sb_view name_of(const struct sb_relation *rel, const struct sb_view *columns, uint16_t col)
{
    return rel != NULL ? rel->cols[col].name : columns[col];
}

/* Of a relation, or of an image's columns: the shape's key in the order of its names, and their digest. */
static void order_key(
    struct shape *shape, const struct sb_relation *rel, const struct sb_view *columns, struct sb_buf *buf)
{
    uint16_t *cols = shape->key_cols;
    for (uint16_t i = 1; i < shape->key_count; i++) /* keys are short */
        for (uint16_t j = i;
             j > 0 && sb_view_cmp(name_of(rel, columns, cols[j - 1]), name_of(rel, columns, cols[j])) > 0;
             j--) {
            uint16_t other = cols[j];
            cols[j] = cols[j - 1];
            cols[j - 1] = other;
        }
    sb_buf_reset(buf);
    for (uint16_t i = 0; i < shape->key_count; i++)
        put_name(buf, name_of(rel, columns, cols[i]));
    shape->names = sb_hash128(sb_buf_view(buf));
}

static struct shape *shape_new(struct sb_arena *arena, uint16_t columns)
{
    struct shape *shape = sb_arena_zalloc(arena, sizeof *shape);
    if (shape != NULL)
        shape->key_cols = sb_arena_zalloc(arena, (columns + 1u) * sizeof *shape->key_cols);
    return shape == NULL || shape->key_cols == NULL ? NULL : shape;
}

/* NULL: there is no room for it, and everything is touched. */
static const struct shape *shape_of(struct sb_ring *ring, const struct sb_relation *rel)
{
    struct sb_view id = sb_view(&rel, sizeof rel);
    struct shape *shape = sb_map_get(ring->shapes, id);
    if (shape != NULL)
        return shape;
    shape = shape_new(ring->arena, rel->col_count);
    if (shape == NULL)
        return NULL;
    bool keyed = rel->identity == 'd' || rel->identity == 'i';
    for (uint16_t i = 0; i < rel->col_count && keyed; i++)
        if (rel->cols[i].key)
            shape->key_cols[shape->key_count++] = i;
    order_key(shape, rel, NULL, &ring->key);
    shape->table = table_digest(&ring->key, rel->schema, rel->name);
    return sb_map_put(ring->shapes, id, shape, NULL) ? shape : NULL;
}

/* False if it is not known whole. */
static bool key_digest(
    struct sb_ring *ring, const struct shape *shape, const struct sb_value *row, struct sb_digest *ret_key)
{
    sb_buf_reset(&ring->key);
    sb_buf_put(&ring->key, shape->table.bytes, sizeof shape->table.bytes);
    if (shape->key_count == 0 || !sb_rowform_put_key(row, shape->key_cols, shape->key_count, &ring->key))
        return false;
    *ret_key = sb_hash128(sb_buf_view(&ring->key));
    return true;
}

static void put_row(
    struct sb_ring *ring, const struct sb_ring_at *at, const struct shape *shape, const struct sb_value *row)
{
    struct sb_digest key;
    if (row != NULL)
        put(ring, at, key_digest(ring, shape, row, &key) ? &key : &shape->table);
}

/* The newest shape of its table. One that differs from the one before touches every key: nobody knows what
 * became of the rows. */
static bool met(struct sb_ring *ring, const struct sb_ring_at *at, const struct shape *shape)
{
    struct sb_view id = sb_view(&shape->table, sizeof shape->table);
    const struct shape *before = sb_map_get(ring->tables, id);
    if (before == shape)
        return true;
    if (before != NULL)
        put(ring, at, &shape->table);
    return sb_map_put(ring->tables, id, (void *)shape, NULL);
}

static void put_truncate(struct sb_ring *ring, const struct sb_ring_at *at, const struct sb_change *chg)
{
    for (uint16_t i = 0; i < chg->truncated_count; i++) {
        struct sb_digest table = table_digest(&ring->key, chg->truncated[i]->schema, chg->truncated[i]->name);
        put(ring, at, &table);
    }
}

void sb_ring_change(struct sb_ring *ring, const struct sb_ring_at *at, const struct sb_change *chg)
{
    note_place(ring, at);
    if (chg->op == SB_OP_TRUNCATE) {
        put_truncate(ring, at, chg);
        return;
    }
    const struct shape *shape = shape_of(ring, chg->rel);
    if (shape == NULL || !met(ring, at, shape)) {
        put(ring, at, &everything);
        return;
    }
    put_row(ring, at, shape, chg->before);
    put_row(ring, at, shape, chg->after);
}

void sb_ring_everything(struct sb_ring *ring, const struct sb_ring_at *at)
{
    note_place(ring, at);
    put(ring, at, &everything);
}

/* -- judging --------------------------------------------------------------------------------------------- */

static void fill(enum sb_ring_verdict *verdicts, uint32_t count, enum sb_ring_verdict verdict)
{
    for (uint32_t i = 0; i < count; i++)
        verdicts[i] = verdict;
}

int sb_ring_judge(struct sb_ring *ring, const struct sb_ring_at *at, const struct sb_image *image,
    const struct sb_snapshot *snapshot, struct sb_arena *scratch, enum sb_ring_verdict *ret_verdicts,
    struct sb_err *err)
{
    if (ring != NULL)
        note_place(ring, at);
    if (ring == NULL || image->timeline != at->timeline || ring->whole_from > image->floor_lsn) {
        fill(ret_verdicts, image->row_count, SB_RING_SHORT);
        return 0;
    }
    struct shape *shape = shape_new(scratch, image->column_count);
    if (shape == NULL)
        return sb_err_set(err, SB_E_LIMIT, "arena \"%s\" is full", sb_arena_name(scratch));
    shape->key_count = image->key_count;
    memcpy(shape->key_cols, image->key_cols, image->key_count * sizeof *shape->key_cols);
    order_key(shape, NULL, image->columns, &ring->key);
    shape->table = table_digest(&ring->key, image->schema, image->table);
    const struct shape *known = sb_map_get(ring->tables, sb_view(&shape->table, sizeof shape->table));
    bool other_key = known != NULL && known->key_count > 0 && !sb_digest_eq(&known->names, &shape->names);
    if (other_key || is_touched(ring, &everything, image->floor_lsn, snapshot) ||
        is_touched(ring, &shape->table, image->floor_lsn, snapshot)) {
        fill(ret_verdicts, image->row_count, SB_RING_NEWER);
        return 0;
    }
    for (uint32_t i = 0; i < image->row_count; i++) {
        struct sb_digest key;
        bool clear = key_digest(ring, shape, image->rows[i].values, &key) &&
                     !is_touched(ring, &key, image->floor_lsn, snapshot);
        ret_verdicts[i] = clear ? SB_RING_GOOD : SB_RING_NEWER;
    }
    return 0;
}
