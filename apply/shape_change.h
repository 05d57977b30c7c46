/*
 * A table whose shape in the stream changed, without DDL in the stream that would say how: does the target's
 * table fit the new shape? Pure.
 *
 * What the new shape has must be there, with its type; what it has no more must not be there; its key must be
 * the target's. Beyond that the target's table may differ from the source's as before.
 */
#ifndef SB_APPLY_SHAPE_CHANGE_H
#define SB_APPLY_SHAPE_CHANGE_H

#include "pg/catalog.h"
#include "schemas/change.h"

/* before: the shape until now; NULL where that is not known any more, then every difference counts. What does
 * not fit is put into why, in words; nothing: it fits. */
void sb_shape_change(const struct sb_relation *before, const struct sb_relation *now,
    const struct sb_cat_table *target, struct sb_buf *why);

#endif
