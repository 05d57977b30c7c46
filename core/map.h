/*
 * A hash map from bytes to a pointer. Keys are copied; values belong to the caller. Bounded: put refuses a
 * new key beyond max_entries. Not for hostile keys in hot paths: its hash is fast, not keyed.
 */
#ifndef SB_CORE_MAP_H
#define SB_CORE_MAP_H

#include "core/bytes.h"

struct sb_map;

struct sb_map *sb_map_new(size_t max_entries);                  /* NULL if there is no memory */
void sb_map_free(struct sb_map *map);                           /* frees keys, not values; NULL is fine */
void *sb_map_get(const struct sb_map *map, struct sb_view key); /* NULL if absent */
/* Put or replace. ret_old (may be NULL) receives the replaced value or NULL. False: full or no memory. */
bool sb_map_put(struct sb_map *map, struct sb_view key, void *value, void **ret_old);
void *sb_map_remove(struct sb_map *map, struct sb_view key); /* the removed value, NULL if absent */
size_t sb_map_count(const struct sb_map *map);
/* Walk in no order: start with *pos = 0; false at the end. The map must not change meanwhile. */
bool sb_map_next(const struct sb_map *map, size_t *pos, struct sb_view *ret_key, void **ret_value);

/* A 32-bit number (an oid) as a key; key must outlive the view. */
static inline struct sb_view sb_map_key_u32(const uint32_t *key)
{
    return sb_view(key, sizeof *key);
}

uint64_t sb_map_hash(struct sb_view key);

#endif
