#include "apply/batch.h"

#include <stdlib.h>
#include <string.h>

int sb_batch_init(struct sb_batch *batch, size_t arena_max_bytes, struct sb_err *err)
{
    *batch = (struct sb_batch){.arena = sb_arena_new("batch", arena_max_bytes)};
    return batch->arena != NULL ? 0 : sb_err_set(err, SB_E_NO_MEMORY, "no memory for a batch");
}

void sb_batch_clear(struct sb_batch *batch)
{
    sb_arena_free(batch->arena);
    free(batch->changes);
    free(batch->txns);
    *batch = (struct sb_batch){0};
}

void sb_batch_reset(struct sb_batch *batch)
{
    sb_arena_reset(batch->arena);
    batch->change_count = batch->txn_count = batch->open_first = 0;
    batch->source_count = 0;
}

/* Room for one more element; the array may move. */
static void *vec_room(void **items, size_t count, size_t *cap, size_t size, struct sb_err *err)
{
    if (count == *cap) {
        size_t next = *cap == 0 ? 256 : *cap * 2;
        void *grown = realloc(*items, next * size);
        if (grown == NULL) {
            sb_err_set(err, SB_E_NO_MEMORY, "no memory for a batch of %zu", next);
            return NULL;
        }
        *items = grown;
        *cap = next;
    }
    return (char *)*items + count * size;
}

int sb_batch_add(struct sb_batch *batch, const struct sb_batch_change *change, struct sb_err *err)
{
    struct sb_batch_change *room =
        vec_room((void **)&batch->changes, batch->change_count, &batch->change_cap, sizeof *room, err);
    if (room == NULL)
        return -1;
    *room = *change;
    batch->change_count++;
    return 0;
}

int sb_batch_commit(struct sb_batch *batch, const struct sb_batch_txn *txn, struct sb_err *err)
{
    struct sb_batch_txn *room =
        vec_room((void **)&batch->txns, batch->txn_count, &batch->txn_cap, sizeof *room, err);
    if (room == NULL)
        return -1;
    *room = *txn;
    room->first = batch->open_first;
    room->count = batch->change_count - batch->open_first;
    batch->txn_count++;
    batch->open_first = batch->change_count;
    batch->source_count = 0;
    return 0;
}

void sb_batch_abandon(struct sb_batch *batch)
{
    batch->change_count = batch->open_first;
    batch->source_count = 0;
}

void sb_batch_drop_whole(struct sb_batch *batch)
{
    size_t left = sb_batch_in_flight(batch);
    if (left == 0) {
        uint64_t source_count = batch->source_count;
        sb_batch_reset(batch);
        batch->source_count = source_count;
        return;
    }
    memmove(batch->changes, batch->changes + batch->open_first, left * sizeof *batch->changes);
    batch->change_count = left;
    batch->open_first = 0;
    batch->txn_count = 0;
}
