/*
 * Suspects: keys whose rows no chunk of the initial copy has. A row that moved, by a change of its key, from
 * a chunk that does not show it any more to one that does not show it yet, with values that did not travel,
 * has these values nowhere: its new key has to be read again (apply/recopy). Pure.
 */
#ifndef SB_APPLY_SUSPECTS_H
#define SB_APPLY_SUSPECTS_H

#include "core/bytes.h"
#include "core/err.h"

enum { SB_SUSPECTS_MAX = 1000 }; /* of all tables; more are found in another round */

struct sb_suspect {
    struct sb_view relation; /* "schema"."table", quoted */
    struct sb_view key;      /* canonical bytes of its leading column (schemas/key) */
};

struct sb_suspects;
struct sb_suspects *sb_suspects_new(void);           /* NULL: no memory */
void sb_suspects_free(struct sb_suspects *suspects); /* NULL is fine */

bool sb_suspects_has(struct sb_suspects *suspects, struct sb_view relation, struct sb_view key);
/* Once, however often it is added; beyond the most it is not. SB-NO-MEMORY, SB-LIMIT. */
int sb_suspects_add(
    struct sb_suspects *suspects, struct sb_view relation, struct sb_view key, struct sb_err *err);
size_t sb_suspects_count(const struct sb_suspects *suspects);
const struct sb_suspect *sb_suspects_at(const struct sb_suspects *suspects, size_t i);

#endif
