#include "reconcile/keyset.h"

#include <string.h>

static int no_room(const struct sb_keyset *set, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT,
        "keys that are read again do not fit into the %zu bytes of arena \"%s\"", sb_arena_max(set->arena),
        sb_arena_name(set->arena));
}

int sb_keyset_init(struct sb_keyset *set, size_t cap, struct sb_arena *arena, struct sb_err *err)
{
    *set = (struct sb_keyset){.arena = arena, .cap = cap, .map = sb_map_new(cap + 1)};
    if (set->map == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for keys that are read again");
    set->items = sb_arena_alloc(arena, cap * sizeof *set->items);
    return set->items != NULL ? 0 : no_room(set, err);
}

void sb_keyset_clear(struct sb_keyset *set)
{
    sb_map_free(set->map);
    *set = (struct sb_keyset){0};
}

int sb_keyset_add(
    struct sb_keyset *set, const struct sb_digest *key, struct sb_view key_bytes, struct sb_err *err)
{
    if (sb_keyset_find(set, key) != NULL)
        return 0;
    if (set->count == set->cap)
        return no_room(set, err);
    struct sb_keyset_item *item = &set->items[set->count];
    *item = (struct sb_keyset_item){.key = *key};
    if (!sb_arena_dup(set->arena, key_bytes, &item->key_bytes))
        return no_room(set, err);
    if (!sb_map_put(set->map, sb_view(key, sizeof *key), item, NULL))
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for keys that are read again");
    set->count++;
    return 0;
}

struct sb_keyset_item *sb_keyset_find(const struct sb_keyset *set, const struct sb_digest *key)
{
    return sb_map_get(set->map, sb_view(key, sizeof *key));
}

int sb_keyset_row(struct sb_keyset *set, struct sb_keyset_item *item, enum sb_side side,
    const struct sb_digest *fields, size_t field_count, struct sb_view aside, struct sb_err *err)
{
    struct sb_row_image *row = &item->rows[side];
    if (row->count++ > 0)
        return 0;
    struct sb_digest *copy = sb_arena_alloc(set->arena, field_count * sizeof *copy);
    if (copy == NULL || !sb_arena_dup(set->arena, aside, &row->aside))
        return no_room(set, err);
    memcpy(copy, fields, field_count * sizeof *copy);
    row->fields = copy;
    return 0;
}
