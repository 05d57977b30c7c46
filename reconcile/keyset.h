/*
 * A few keys of one table and the rows that were read of them on both sides, as fields. Pure.
 */
#ifndef SB_RECONCILE_KEYSET_H
#define SB_RECONCILE_KEYSET_H

#include "core/arena.h"
#include "core/err.h"
#include "core/map.h"
#include "pg/conn.h"
#include "reconcile/verdict.h"

struct sb_keyset_item {
    struct sb_digest key;
    struct sb_view key_bytes;
    struct sb_row_image rows[2]; /* by enum sb_side */
};

struct sb_keyset { /* everything lives in arena, which the caller resets */
    struct sb_arena *arena;
    struct sb_map *map;
    struct sb_keyset_item *items;
    size_t count, cap;
};

/* 0, or SB-NO-MEMORY, SB-LIMIT. */
int sb_keyset_init(struct sb_keyset *set, size_t cap, struct sb_arena *arena, struct sb_err *err);
void sb_keyset_clear(struct sb_keyset *set);
/* Copied; a key that is there already is fine. */
int sb_keyset_add(
    struct sb_keyset *set, const struct sb_digest *key, struct sb_view key_bytes, struct sb_err *err);
struct sb_keyset_item *sb_keyset_find(const struct sb_keyset *set, const struct sb_digest *key);
/* A row of the key was read. */
int sb_keyset_row(struct sb_keyset *set, struct sb_keyset_item *item, enum sb_side side,
    const struct sb_digest *fields, size_t field_count, struct sb_view aside, struct sb_err *err);

#endif
