/*
 * A repair: rows of the target that are proven to differ, made what the source says they are, while both
 * sides take writes and apply goes on. docs/RECONCILE.md says why it is exact; schemas/image.h what travels;
 * apply is the only writer.
 *
 * A run plans (or takes a plan), asks apply to remember the keys that it writes, and then, a batch at a time:
 * images into the stream, wait until apply has judged them, ask again for those that a newer change overtook,
 * and compare exactly these keys again by the rule that found them. Only what compares equal is repaired.
 * Killed anywhere, it is gone on with by its id.
 */
#ifndef SB_RECONCILE_REPAIR_H
#define SB_RECONCILE_REPAIR_H

#include "config/wiring.h"
#include "reconcile/repair_draft.h"

struct sb_repair_options {
    enum sb_direction direction;
    const char *pattern; /* of tables; NULL: all */
    bool include_foreign, include_capture, include_held, despite_pattern;
    const char *reason;   /* recorded; "" */
    const char *asked_by; /* who runs the program */
};

enum sb_repair_end {
    SB_REPAIR_NOTHING,    /* there is no open difference that a repair would take on */
    SB_REPAIR_PLANNED,    /* it is written down */
    SB_REPAIR_DONE,       /* every row compared equal; of an undo: was put back */
    SB_REPAIR_INCOMPLETE, /* some did not */
    SB_REPAIR_REFUSED,    /* over budget, or one cause explains most of it */
};
const char *sb_repair_end_name(enum sb_repair_end end); /* "done" */

struct sb_repair_report { /* clear it whatever the call answered */
    enum sb_repair_end end;
    int64_t id;
    const char *why; /* incomplete, refused: in words; else "" */
    bool undo;
    bool planned_now; /* draft is filled */
    struct sb_repair_draft draft;
    struct sb_repair_counts counts;
    int64_t images, rows_sent;
    struct sb_buf words; /* behind why */
};
void sb_repair_report_clear(struct sb_repair_report *report);

/* SB-REPAIR-BUSY: another one is at work. SB-REPAIR-VOID: of another ownership, or nothing that could be
 * done. Strings live in arena. */
int sb_repair_plan(const struct sb_config *config, const struct sb_repair_options *options,
    struct sb_arena *arena, struct sb_repair_report *ret_report, struct sb_err *err);
/* id: of a plan, or of a run that ended in the middle; 0: plan now. */
int sb_repair_run(const struct sb_config *config, const struct sb_repair_options *options, int64_t id,
    struct sb_arena *arena, struct sb_repair_report *ret_report, struct sb_err *err);
/* Puts the rows back that repair id has changed, where they still are what it made of them. */
int sb_repair_undo(const struct sb_config *config, const struct sb_repair_options *options, int64_t id,
    struct sb_arena *arena, struct sb_repair_report *ret_report, struct sb_err *err);

#endif
