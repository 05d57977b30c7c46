/*
 * Writing in sets: a run of changes as its net effect (apply/plan), a statement or COPY a group. Nothing is
 * decided here about conflicts: whatever does not come out as planned is answered with "exact", and the
 * caller rolls back and does the same changes one by one.
 */
#ifndef SB_APPLY_SETS_H
#define SB_APPLY_SETS_H

#include "apply/plan.h"
#include "apply/writer.h"

enum { SB_SETS_EXACT = 1 };

/* 0: all written. SB_SETS_EXACT: not, or not as expected, ret_reason says why; undo what was done. -1: an
 * error; class retry passes by itself, SB-POISON means the server refused something and exact mode will find
 * out what. TRUNCATE is allowed here: changes before and after it are planned apart. */
int sb_sets_write(struct sb_writer *writer, const struct sb_batch_change *changes, size_t count,
    struct sb_arena *arena, const char **ret_reason, struct sb_err *err);

#endif
