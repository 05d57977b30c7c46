#include "core/map.h"

#include <stdlib.h>
#include <string.h>

struct map_entry {
    char *key; /* NULL: never used */
    size_t key_len;
    void *value; /* NULL with a key: removed */
    uint64_t hash;
};

struct sb_map {
    struct map_entry *entries;
    size_t cap; /* a power of two, at most half full with removed ones counted */
    size_t used;
    size_t count;
    size_t max_entries;
};

uint64_t sb_map_hash(struct sb_view key)
{
    uint64_t hash = UINT64_C(0x9e3779b97f4a7c15) ^ key.len;
    const char *at = key.ptr;
    size_t left = key.len;
    while (left > 0) {
        uint64_t word = 0;
        size_t take = left < sizeof word ? left : sizeof word;
        memcpy(&word, at, take);
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
        at += take;
        left -= take;
    }
    hash *= UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 29;
}

struct sb_map *sb_map_new(size_t max_entries)
{
    struct sb_map *map = calloc(1, sizeof *map);
    if (map == NULL)
        return NULL;
    map->cap = 16;
    map->max_entries = max_entries;
    map->entries = calloc(map->cap, sizeof *map->entries);
    if (map->entries == NULL) {
        free(map);
        return NULL;
    }
    return map;
}

void sb_map_free(struct sb_map *map)
{
    if (map == NULL)
        return;
    for (size_t i = 0; i < map->cap; i++)
        free(map->entries[i].key);
    free(map->entries);
    free(map);
}

/* The entry of key, or the empty one where it would go. */
static struct map_entry *map_find(const struct sb_map *map, struct sb_view key, uint64_t hash)
{
    for (size_t i = hash & (map->cap - 1);; i = (i + 1) & (map->cap - 1)) {
        struct map_entry *entry = &map->entries[i];
        if (entry->key == NULL)
            return entry;
        if (entry->hash == hash && sb_view_eq(sb_view(entry->key, entry->key_len), key))
            return entry;
    }
}

void *sb_map_get(const struct sb_map *map, struct sb_view key)
{
    return map_find(map, key, sb_map_hash(key))->value;
}

static bool map_rehash(struct sb_map *map)
{
    size_t cap = map->count * 4 < 16 ? 16 : map->cap;
    while (cap < map->count * 4)
        cap *= 2;
    struct map_entry *entries = calloc(cap, sizeof *entries);
    if (entries == NULL)
        return false;
    struct sb_map next = *map;
    next.entries = entries;
    next.cap = cap;
    next.used = map->count;
    for (size_t i = 0; i < map->cap; i++) {
        struct map_entry *entry = &map->entries[i];
        if (entry->value != NULL)
            *map_find(&next, sb_view(entry->key, entry->key_len), entry->hash) = *entry;
        else
            free(entry->key);
    }
    free(map->entries);
    *map = next;
    return true;
}

bool sb_map_put(struct sb_map *map, struct sb_view key, void *value, void **ret_old)
{
    uint64_t hash = sb_map_hash(key);
    struct map_entry *entry = map_find(map, key, hash);
    void *old = entry->value;
    if (old == NULL) {
        if (map->count >= map->max_entries)
            return false;
        if (entry->key == NULL) {
            if (2 * (map->used + 1) > map->cap) {
                if (!map_rehash(map))
                    return false;
                entry = map_find(map, key, hash);
            }
            char *copy = malloc(key.len + 1);
            if (copy == NULL)
                return false;
            if (key.len > 0)
                memcpy(copy, key.ptr, key.len);
            copy[key.len] = '\0';
            *entry = (struct map_entry){.key = copy, .key_len = key.len, .hash = hash};
            map->used++;
        }
        map->count++;
    }
    entry->value = value;
    if (ret_old != NULL)
        *ret_old = old;
    return true;
}

void *sb_map_remove(struct sb_map *map, struct sb_view key)
{
    struct map_entry *entry = map_find(map, key, sb_map_hash(key));
    void *value = entry->value;
    if (value != NULL) {
        entry->value = NULL;
        map->count--;
    }
    return value;
}

size_t sb_map_count(const struct sb_map *map)
{
    return map->count;
}

bool sb_map_next(const struct sb_map *map, size_t *pos, struct sb_view *ret_key, void **ret_value)
{
    for (; *pos < map->cap; (*pos)++) {
        struct map_entry *entry = &map->entries[*pos];
        if (entry->value == NULL)
            continue;
        *ret_key = sb_view(entry->key, entry->key_len);
        *ret_value = entry->value;
        (*pos)++;
        return true;
    }
    return false;
}
