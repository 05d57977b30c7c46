/*
 * A TRUNCATE on the target: as the source did it, or, where the initial copy has read some of the rows behind
 * it, as deletes of the ranges that were read before it (apply/stamps).
 */
#ifndef SB_APPLY_TRUNCATE_H
#define SB_APPLY_TRUNCATE_H

#include "apply/batch.h"
#include "apply/writer.h"

int sb_truncate_write(struct sb_writer *writer, const struct sb_batch_change *change, struct sb_err *err);

#endif
