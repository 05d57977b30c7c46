#include "reconcile/pending.h"

#include <stdlib.h>

enum { CAP_FIRST = 256 };

int sb_pending_init(struct sb_pending *pending, size_t max_bytes, struct sb_err *err)
{
    *pending = (struct sb_pending){.arena = sb_arena_new("dirty keys", max_bytes)};
    return pending->arena != NULL ? 0 : sb_err_set(err, SB_E_NO_MEMORY, "no memory for dirty keys");
}

void sb_pending_clear(struct sb_pending *pending)
{
    sb_arena_free(pending->arena);
    free(pending->keys);
    *pending = (struct sb_pending){.arena = NULL};
}

void sb_pending_reset(struct sb_pending *pending)
{
    pending->count = 0;
    sb_arena_reset(pending->arena);
}

int sb_pending_add(struct sb_pending *pending, const struct sb_pending_key *key, struct sb_err *err)
{
    if (pending->count == pending->cap) {
        size_t cap = pending->cap == 0 ? CAP_FIRST : pending->cap * 2;
        struct sb_pending_key *grown = realloc(pending->keys, cap * sizeof *grown);
        if (grown == NULL)
            return sb_err_set(err, SB_E_NO_MEMORY, "no memory for dirty keys");
        pending->keys = grown;
        pending->cap = cap;
    }
    struct sb_pending_key *kept = &pending->keys[pending->count];
    *kept = *key;
    if (!sb_arena_dup(pending->arena, key->bytes, &kept->bytes))
        return sb_err_set(err, SB_E_LIMIT, "dirty keys do not fit into the %zu bytes of arena \"%s\"",
            sb_arena_max(pending->arena), sb_arena_name(pending->arena));
    pending->count++;
    return 0;
}

size_t sb_pending_run(const struct sb_pending *pending, size_t from, size_t most)
{
    size_t count = 1;
    while (count < most && from + count < pending->count &&
           pending->keys[from + count].result == pending->keys[from].result)
        count++;
    return count;
}
