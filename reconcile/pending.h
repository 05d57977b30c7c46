/*
 * Keys that wait to be read again, of any table, in the order in which they came. Pure.
 */
#ifndef SB_RECONCILE_PENDING_H
#define SB_RECONCILE_PENDING_H

#include "core/arena.h"
#include "reconcile/report.h"

struct sb_pending_key {
    struct sb_verify_result *result; /* of its table */
    struct sb_digest key;
    struct sb_view bytes;
    size_t range;               /* of the table's */
    struct sb_change_at newest; /* change of it that was known when it came: the window may forget it */
};

struct sb_pending {
    struct sb_arena *arena; /* of the keys' bytes */
    struct sb_pending_key *keys;
    size_t count, cap;
};

int sb_pending_init(struct sb_pending *pending, size_t max_bytes, struct sb_err *err);
void sb_pending_clear(struct sb_pending *pending); /* safe on a zeroed one */
void sb_pending_reset(struct sb_pending *pending); /* none waits any more */
/* The bytes are copied. SB-NO-MEMORY, SB-LIMIT. */
int sb_pending_add(struct sb_pending *pending, const struct sb_pending_key *key, struct sb_err *err);
/* So many from there on are of one table, most at most. */
size_t sb_pending_run(const struct sb_pending *pending, size_t from, size_t most);

#endif
