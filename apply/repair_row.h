/*
 * Rows of an image, written: each is read by its key and locked, compared with its guard, and made what the
 * image says, in the open target transaction. A row that the target refuses (a constraint, a right, a value
 * that its type does not take or takes as another) is undone alone and says why; the others go on.
 *
 * In the order of the image. A row that another one is in the way of (a unique constraint) is tried again
 * when the others are done; what is in a circle then (two rows that swap a value) is deleted and written anew
 * together, where no column of the target's own would be lost.
 */
#ifndef SB_APPLY_REPAIR_ROW_H
#define SB_APPLY_REPAIR_ROW_H

#include "apply/relation.h"
#include "apply/writer.h"
#include "schemas/image.h"

enum sb_repair_outcome {
    SB_REPAIR_OPEN, /* none yet */
    SB_REPAIR_APPLIED,
    SB_REPAIR_NOOP_EQUAL,
    SB_REPAIR_SKIPPED_NEWER,
    SB_REPAIR_SKIPPED_RING,
    SB_REPAIR_SKIPPED_GUARD,
    SB_REPAIR_SKIPPED_SCHEMA,
    SB_REPAIR_SKIPPED_OWNER,
    SB_REPAIR_SKIPPED_REFUSED,
};
const char *sb_repair_outcome_name(
    enum sb_repair_outcome outcome); /* "applied"; as the control schema has it */

struct sb_repair_done { /* of one row */
    enum sb_repair_outcome outcome;
    const struct sb_value *before; /* the target's row, of the image's columns; NULL: there was none, or it
                                      was not looked at */
    const struct sb_value *after;  /* as the target has it now; NULL: there is none, or nothing was written */
    char sqlstate[6];              /* why it was refused; 22000: it became another row than the image's */
};

struct sb_repair_job {
    struct sb_conn *conn;
    struct sb_writer *writer; /* of the same session, in a transaction */
    const char *migration, *direction;
    const struct sb_image *image;
    const struct sb_apply_rel *rel; /* of the image's columns, in their order, found by the image's key */
    struct sb_arena *arena;
    struct sb_repair_done *done; /* one a row; those that are open are done */
};

/* An error is one that passes by itself, or SB-LIMIT. */
int sb_repair_rows(struct sb_repair_job *job, struct sb_err *err);

#endif
