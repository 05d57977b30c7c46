/*
 * Inspecting one difference: the row of its key as both sides have it now. The two are read one after the
 * other, so what is seen here may differ because it is being written; it proves nothing, and is there to be
 * looked at.
 */
#ifndef SB_RECONCILE_INSPECT_H
#define SB_RECONCILE_INSPECT_H

#include "config/wiring.h"
#include "reconcile/table.h"

struct sb_inspection {
    const char *why; /* in words, if nothing could be read; else "" */
    const struct sb_verify_table *table;
    int64_t rows[2];                  /* by enum sb_side */
    const struct sb_value *values[2]; /* of one of them, for each compared column; NULL: there is none */
    struct sb_digest digest[2];       /* of it */
    const bool *differs;              /* by column, if both sides have one */
};
/* relation: "schema"."name", quoted; key: its bytes (schemas/rowform). Everything lives in arena. */
int sb_inspect(const struct sb_config *config, enum sb_direction direction, const char *relation,
    struct sb_view key, struct sb_arena *arena, struct sb_inspection *ret_inspection, struct sb_err *err);

#endif
