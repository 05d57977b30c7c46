/*
 * Changes to test with: a table with every type that has a twin and many that have none, the texts a server
 * sends for them that are hard to carry, and random changes made of those. The same seed gives the same
 * changes.
 */
#ifndef SB_TESTS_SAMPLES_H
#define SB_TESTS_SAMPLES_H

#include "core/arena.h"
#include "schemas/change.h"

#include <stdint.h>

struct sample_rng {
    uint64_t state; /* not 0 */
};
uint64_t sample_next(struct sample_rng *rng);
uint64_t sample_below(struct sample_rng *rng, uint64_t limit);

struct sample_type {
    const char *name;
    uint32_t oid;
    const struct sample_text {
        const char *text;
        bool twin; /* it must travel as one */
    } * texts;     /* ends with a NULL text */
};
extern const struct sample_type sample_types[]; /* ends with a NULL name */

/* One column a type, the first and third of them key columns; identity as in pg_class. */
struct sb_relation *sample_relation(struct sb_arena *arena, char identity);
/* count columns of text and int4 in turn, the first a key. */
struct sb_relation *sample_wide_relation(struct sb_arena *arena, uint16_t count);
/* A random change of rel, never a truncate; everything lives in arena. */
struct sb_change sample_change(struct sample_rng *rng, const struct sb_relation *rel, struct sb_arena *arena);

#endif
