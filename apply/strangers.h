/*
 * Strangers: tables in the stream that the complete initial copy knows nothing of. Such a table was published
 * later, and its rows from before have to be copied (apply/recopy) before its first change is applied. One
 * whose table on the target holds rows is none: it was renamed, or filled by somebody.
 */
#ifndef SB_APPLY_STRANGERS_H
#define SB_APPLY_STRANGERS_H

#include "apply/progress.h"
#include "schemas/change.h"

struct sb_strangers;

/* NULL if there is no copy that has all tables but those set aside, so that there are none. The session is
 * the caller's. */
int sb_strangers_new(struct sb_conn *conn, const struct sb_progress *progress,
    struct sb_strangers **ret_strangers, struct sb_err *err);
void sb_strangers_free(struct sb_strangers *strangers); /* NULL is fine */

/* Reads on the target, also inside of a transaction of the caller's, when it meets a shape (schema id) for
 * the first time. A table that the target has not is none. */
int sb_strangers_is(
    struct sb_strangers *strangers, const struct sb_relation *rel, bool *ret_is, struct sb_err *err);

#endif
