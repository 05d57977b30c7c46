/*
 * A table at work in the stage: its pass, what was saved of it, and when it is its turn.
 */
#ifndef SB_RECONCILE_ITEM_H
#define SB_RECONCILE_ITEM_H

#include "reconcile/board.h"
#include "reconcile/report.h"
#include "reconcile/verified.h"

struct sb_item {
    const struct sb_verify_table *table;
    struct sb_verify_result result;
    struct sb_ranges todo; /* of the pass */
    size_t at;
    int64_t chunks; /* of the pass, those included that were compared before this incarnation */
    bool passing, drop_chunks;
    bool clean; /* the chunk at work */
    struct sb_place began;
    int64_t began_ms, began_us; /* the latter by the target's clock */
    int64_t passed_us;          /* 0: never */
    int64_t not_before_ms;      /* of a pass */
    int64_t held_ms;            /* when its held keys are looked at again */
    struct sb_verified_table saved;
    int64_t saved_ms;
    const char *why;
};

/* What all items have in common; all of it outlives them. */
struct sb_item_desk {
    struct sb_frontier *frontier;
    const struct sb_verified *verified;
    struct sb_arena *arena;
    int64_t pass_interval_s; /* 0: never */
};

/* As it was saved, and as much of it as is of use: goes_on: the stream is read from where that was saved.
 * applied: where the target is. A pass that was under way goes on. */
int sb_item_load(struct sb_item *item, const struct sb_item_desk *desk, bool goes_on,
    const struct sb_place *applied, struct sb_err *err);
/* Within a save (reconcile/verified): if there is something new, or everything is to be saved. */
int sb_item_save(struct sb_item *item, const struct sb_item_desk *desk, bool everything, struct sb_err *err);

bool sb_item_pass_is_due(const struct sb_item *item, const struct sb_item_desk *desk); /* by its interval */
bool sb_item_wants_pass(struct sb_item *item, const struct sb_item_desk *desk);
int sb_item_pass_begin(struct sb_item *item, const struct sb_item_desk *desk, const struct sb_place *applied,
    struct sb_err *err);

/* For people. */
void sb_item_show(
    const struct sb_item *item, const struct sb_item_desk *desk, struct sb_board_table *ret_table);

#endif
