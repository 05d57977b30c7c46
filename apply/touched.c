#include "apply/touched.h"

#include <stdlib.h>

void sb_touched_clear(struct sb_touched *touched)
{
    free(touched->rels);
    *touched = (struct sb_touched){0};
}

bool sb_touched_has(const struct sb_touched *touched, const struct sb_apply_rel *rel)
{
    for (size_t i = touched->count; i-- > 0;)
        if (touched->rels[i] == rel)
            return true;
    return false;
}

int sb_touched_add(struct sb_touched *touched, const struct sb_apply_rel *rel, struct sb_err *err)
{
    if (touched->count == touched->cap) {
        size_t cap = touched->cap == 0 ? 16 : touched->cap * 2;
        void *grown = realloc(touched->rels, cap * sizeof *touched->rels);
        if (grown == NULL)
            return sb_err_set(err, SB_E_NO_MEMORY, "no memory for %zu tables", cap);
        touched->rels = grown;
        touched->cap = cap;
    }
    touched->rels[touched->count++] = rel;
    return 0;
}

int sb_touched_collect(
    struct sb_touched *touched, const struct sb_batch_change *changes, size_t count, struct sb_err *err)
{
    const struct sb_apply_rel *recent = NULL; /* consecutive changes often share a table */
    touched->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct sb_apply_rel *rel = changes[i].rel;
        if (rel == NULL || rel == recent)
            continue;
        recent = rel;
        if (!sb_touched_has(touched, rel) && sb_touched_add(touched, rel, err) != 0)
            return -1;
    }
    return 0;
}
