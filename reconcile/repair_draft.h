/*
 * The draft of a repair: the open differences as the target's control schema has them, put before the planner
 * (reconcile/repair_plan), and what came out written down as switchback.repair and its items.
 */
#ifndef SB_RECONCILE_REPAIR_DRAFT_H
#define SB_RECONCILE_REPAIR_DRAFT_H

#include "reconcile/plan.h"
#include "reconcile/repair_book.h"
#include "reconcile/repair_plan.h"

struct sb_repair_draft {
    struct sb_repair_table *tables;
    size_t table_count;
    struct sb_repair_difference *differences;
    size_t difference_count;
    struct sb_repair_plan plan;
    struct sb_buf why; /* unless it may run */
    int64_t id;        /* of the row written; 0: there is nothing to repair, so none was */
};

struct sb_repair_draft_options {
    struct sb_repair_limits limits;
    const char *pattern;  /* of tables; NULL: all */
    const char *reason;   /* recorded */
    const char *asked_by; /* who runs the program, beside the role */
    uint64_t ownership_epoch;
};

/* Reads, plans and writes. tables: those of the compare's plan. Strings live in arena; clear it whatever it
 * answers. */
int sb_repair_draft_make(const struct sb_repair_book *book, const struct sb_repair_draft_options *options,
    const struct sb_verify_plan *tables, struct sb_arena *arena, struct sb_repair_draft *ret_draft,
    struct sb_err *err);
void sb_repair_draft_clear(struct sb_repair_draft *draft);

#endif
