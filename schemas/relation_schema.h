/*
 * The Avro schemas of a relation, as JSON (docs/STREAM-FORMAT.md shows one). They are written here, letter by
 * letter and not through a JSON library, because a schema id is made from these bytes: they must be the same
 * in every version and on every machine. Pure.
 */
#ifndef SB_SCHEMAS_RELATION_SCHEMA_H
#define SB_SCHEMAS_RELATION_SCHEMA_H

#include "schemas/change.h"

/* The key columns alone can name a row: a primary key or an identity index. With FULL the row is its own key,
 * and repeating it would double every record. */
bool sb_relation_has_key(const struct sb_relation *rel);

void sb_relation_put_envelope(struct sb_buf *json, const struct sb_relation *rel, const uint8_t *twins);
void sb_relation_put_key(struct sb_buf *json, const struct sb_relation *rel, const uint8_t *twins);
/* As an Avro string must be UTF-8: the name, or mangled if it is not. */
void sb_relation_put_name(struct sb_buf *buf, struct sb_view name);

#endif
