/*
 * A relation's shape: all that is fixed for a schema id, worked out once.
 *
 * A draft is made in a scratch arena, with its Avro schemas and its content's digest; if nobody has that
 * content yet, it is kept: a copy without the schema texts, which are long, needed only in `schema` records,
 * and can be made again. Kept shapes live as long as their codec.
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
    struct sb_relation rel;   /* once kept, rel.codec is this shape */
    uint8_t *twins;           /* enum sb_twin of each column */
    bool has_key;             /* key-only old rows and record keys exist */
    struct sb_view source;    /* Avro: the source record's schema and table */
    struct sb_digest content; /* over the `schema` record without its id: equal content has one id */
};

struct sb_draft {
    struct sb_shape shape;   /* its names are the caller's */
    struct sb_view envelope; /* JSON, NUL-terminated */
    struct sb_view key;      /* empty without has_key */
};

/* twins NULL: chosen by the columns' types. content is the caller's to fill in. Lives in scratch. SB-LIMIT if
 * the relation is larger than a relation can be. */
int sb_draft_make(const struct sb_relation *rel, uint8_t *twins, struct sb_arena *scratch,
    struct sb_draft *ret_draft, struct sb_err *err);
/* A copy of the draft's shape with this id, in arena; NULL if that is full. */
struct sb_shape *sb_shape_keep(const struct sb_draft *draft, uint32_t id, struct sb_arena *arena);

/* Where the search for an id begins, and goes on if that one is taken. Ids are even: id + 1 is the key's. */
uint32_t sb_shape_home_id(const struct sb_shape *shape);
uint32_t sb_shape_next_id(uint32_t id);
bool sb_shape_id_valid(uint32_t id);

#endif
