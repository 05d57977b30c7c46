#include "apply/suspects.h"

#include "core/arena.h"
#include "core/map.h"

#include <stdlib.h>

#define KEYS_MAX_BYTES (INT64_C(1) << 30)

struct sb_suspects {
    struct sb_arena *arena;
    struct sb_map *known; /* relation, NUL, key */
    struct sb_buf name;
    size_t count;
    struct sb_suspect items[SB_SUSPECTS_MAX];
};

struct sb_suspects *sb_suspects_new(void)
{
    struct sb_suspects *suspects = calloc(1, sizeof *suspects);
    if (suspects == NULL)
        return NULL;
    suspects->arena = sb_arena_new("suspects", KEYS_MAX_BYTES);
    suspects->known = sb_map_new(SB_SUSPECTS_MAX);
    sb_buf_init(&suspects->name, KEYS_MAX_BYTES);
    if (suspects->arena != NULL && suspects->known != NULL)
        return suspects;
    sb_suspects_free(suspects);
    return NULL;
}

void sb_suspects_free(struct sb_suspects *suspects)
{
    if (suspects == NULL)
        return;
    sb_map_free(suspects->known);
    sb_arena_free(suspects->arena);
    sb_buf_clear(&suspects->name);
    free(suspects);
}

static struct sb_view name_of(struct sb_suspects *suspects, struct sb_view relation, struct sb_view key)
{
    sb_buf_reset(&suspects->name);
    sb_buf_put_view(&suspects->name, relation);
    sb_buf_put_u8(&suspects->name, 0);
    sb_buf_put_view(&suspects->name, key);
    return sb_buf_view(&suspects->name);
}

bool sb_suspects_has(struct sb_suspects *suspects, struct sb_view relation, struct sb_view key)
{
    return sb_map_get(suspects->known, name_of(suspects, relation, key)) != NULL;
}

int sb_suspects_add(
    struct sb_suspects *suspects, struct sb_view relation, struct sb_view key, struct sb_err *err)
{
    struct sb_suspect *item = &suspects->items[suspects->count];
    if (suspects->count == SB_SUSPECTS_MAX || sb_suspects_has(suspects, relation, key))
        return 0;
    if (suspects->name.failed || !sb_arena_dup(suspects->arena, relation, &item->relation) ||
        !sb_arena_dup(suspects->arena, key, &item->key))
        return sb_err_set(err, SB_E_LIMIT, "keys of rows to be read again do not fit into arena \"%s\"",
            sb_arena_name(suspects->arena));
    if (!sb_map_put(suspects->known, sb_buf_view(&suspects->name), item, NULL))
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the keys of rows to be read again");
    suspects->count++;
    return 0;
}

size_t sb_suspects_count(const struct sb_suspects *suspects)
{
    return suspects->count;
}

const struct sb_suspect *sb_suspects_at(const struct sb_suspects *suspects, size_t i)
{
    return &suspects->items[i];
}
