/*
 * Net effect: what a run of changes amounts to, row by row, so that it can be written in sets. Pure.
 *
 * Rows are tracked by table and key (the bytes of the key columns). In order of the changes:
 *
 *     nothing  + insert = INSERT     nothing + update = UPDATE      nothing + delete = DELETE
 *     INSERT   + update = INSERT     INSERT  + delete = ABSENT (it was not there before and is not there
 * after) UPDATE   + update = UPDATE     UPDATE  + delete = DELETE DELETE   + insert = REPLACE    REPLACE +
 * update = REPLACE     REPLACE + delete = DELETE ABSENT   + insert = INSERT     a key change is delete (old
 * key) and insert (new key)
 *
 * Every other pair cannot happen on a consistent source, so it goes exact, where the row is named. So does
 * whatever is not one effect a key: a key change with unchanged TOAST columns, a delete + insert on a table
 * where the target has columns of its own, a table of two shapes (its rows would be two), tables that are
 * exact only.
 *
 * Written per table in the order ABSENT (a probe that must find nothing), DELETE (with REPLACE's first half),
 * UPDATE by mask of columns present, INSERT (with REPLACE's second half). Each group states how many rows the
 * target must report; any other count, and any unique violation on the way, rolls the batch back and sends it
 * through exact mode.
 *
 * TRUNCATE is a barrier: the caller plans the changes before and after it apart.
 */
#ifndef SB_APPLY_PLAN_H
#define SB_APPLY_PLAN_H

#include "apply/batch.h"

enum sb_plan_kind { SB_PLAN_ABSENT, SB_PLAN_DELETE, SB_PLAN_UPDATE, SB_PLAN_INSERT };

struct sb_plan_row {
    const struct sb_value *key;    /* a row whose key columns are those of this row's key */
    const struct sb_value *values; /* new values; NULL for ABSENT and DELETE */
};

struct sb_plan_group {
    enum sb_plan_kind kind;
    const struct sb_apply_rel *rel;
    const bool *present; /* UPDATE: columns to set, indexed as rel->cols; else NULL */
    const struct sb_plan_row *rows;
    size_t count; /* rows the target must report: as many as there are (ABSENT: none) */
};

struct sb_plan {
    struct sb_plan_group *groups;
    size_t group_count;
    const char *exact; /* not NULL: cannot be said as a net effect, this is why; groups are empty */
};

/* Everything of the plan lives in arena. Changes hold no TRUNCATE. */
int sb_plan_make(const struct sb_batch_change *changes, size_t count, struct sb_arena *arena,
    struct sb_plan *ret_plan, struct sb_err *err);

#endif
