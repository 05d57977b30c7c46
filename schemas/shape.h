/*
 * A relation's shape: all that is fixed for a schema id, made once. It holds its own copy of the relation,
 * the twin of each column, the Avro schemas, and the body of its `schema` record. Immutable; lives in its
 * codec.
 *
 * The Avro schemas are a function of the relation and its twins. A reader makes them again and compares, so
 * schema text from the stream is never parsed before it is known to be what we would have written.
 */
#ifndef SB_SCHEMAS_SHAPE_H
#define SB_SCHEMAS_SHAPE_H

#include "core/arena.h"
#include "core/err.h"
#include "schemas/change.h"

struct sb_shape {
    struct sb_relation rel; /* rel.codec is this shape */
    uint8_t *twins;         /* enum sb_twin of each column */
    bool has_key;           /* key-only old rows and record keys exist */
    struct sb_view source;  /* Avro: the source record's schema and table */
    struct sb_view envelope;
    struct sb_view key;     /* empty without has_key */
    struct sb_view content; /* the `schema` record without its id: what the id is made from */
    struct sb_view body;    /* of the `schema` record; once it has an id */
    struct sb_arena *arena; /* holds all of it */
};

/* twins NULL: chosen by the columns' types. SB-LIMIT if the relation is larger than a relation can be. */
int sb_shape_new(
    const struct sb_relation *rel, const uint8_t *twins, struct sb_shape **ret_shape, struct sb_err *err);
void sb_shape_free(struct sb_shape *shape); /* NULL is fine */

/* Ids are even; id + 1 names the key's schema. */
uint32_t sb_shape_home_id(const struct sb_shape *shape);
uint32_t sb_shape_next_id(uint32_t id);
bool sb_shape_id_valid(uint32_t id);

#endif
