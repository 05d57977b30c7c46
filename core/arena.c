#include "core/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK_BYTES = 64 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t cap;
    size_t used;
    alignas(max_align_t) unsigned char bytes[];
};

struct sb_arena {
    const char *name;
    size_t max_bytes;
    size_t used;
    struct arena_block *head; /* the block being filled; older ones follow */
};

struct sb_arena *sb_arena_new(const char *name, size_t max_bytes)
{
    struct sb_arena *arena = calloc(1, sizeof *arena);
    if (arena != NULL) {
        arena->name = name;
        arena->max_bytes = max_bytes;
    }
    return arena;
}

static void arena_release(struct sb_arena *arena, struct arena_block *keep)
{
    for (struct arena_block *block = arena->head; block != NULL;) {
        struct arena_block *next = block->next;
        if (block != keep)
            free(block);
        block = next;
    }
    arena->head = keep;
    arena->used = 0;
}

void sb_arena_free(struct sb_arena *arena)
{
    if (arena == NULL)
        return;
    arena_release(arena, NULL);
    free(arena);
}

void sb_arena_reset(struct sb_arena *arena)
{
    struct arena_block *keep = arena->head;
    while (keep != NULL && keep->next != NULL)
        keep = keep->next;
    arena_release(arena, keep);
    if (keep != NULL) {
        keep->next = NULL;
        keep->used = 0;
    }
}

static struct arena_block *arena_block_new(struct sb_arena *arena, size_t len)
{
    size_t cap = len > ARENA_BLOCK_BYTES ? len : ARENA_BLOCK_BYTES;
    struct arena_block *block = malloc(sizeof *block + cap);
    if (block == NULL)
        return NULL;
    *block = (struct arena_block){.next = arena->head, .cap = cap};
    arena->head = block;
    return block;
}

void *sb_arena_alloc(struct sb_arena *arena, size_t len)
{
    if (len > arena->max_bytes || arena->used > arena->max_bytes - len)
        return NULL;
    size_t rounded = (len + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_block *block = arena->head;
    if (block == NULL || block->cap - block->used < rounded) {
        block = arena_block_new(arena, rounded);
        if (block == NULL)
            return NULL;
    }
    void *room = block->bytes + block->used;
    block->used += rounded;
    arena->used += rounded;
    return room;
}

void *sb_arena_zalloc(struct sb_arena *arena, size_t len)
{
    void *room = sb_arena_alloc(arena, len);
    return room == NULL ? NULL : memset(room, 0, len);
}

char *sb_arena_str(struct sb_arena *arena, struct sb_view view)
{
    if (view.len == SIZE_MAX)
        return NULL;
    char *copy = sb_arena_alloc(arena, view.len + 1);
    if (copy == NULL)
        return NULL;
    if (view.len > 0)
        memcpy(copy, view.ptr, view.len);
    copy[view.len] = '\0';
    return copy;
}

bool sb_arena_dup(struct sb_arena *arena, struct sb_view view, struct sb_view *ret_copy)
{
    char *copy = sb_arena_str(arena, view);
    if (copy == NULL)
        return false;
    *ret_copy = sb_view(copy, view.len);
    return true;
}

size_t sb_arena_used(const struct sb_arena *arena)
{
    return arena->used;
}

size_t sb_arena_max(const struct sb_arena *arena)
{
    return arena->max_bytes;
}

const char *sb_arena_name(const struct sb_arena *arena)
{
    return arena->name;
}
