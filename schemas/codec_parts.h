/* What the codec's files share: fixed.c, shape.c, codec.c, codec_write.c, codec_read.c. Not for others. */
#ifndef SB_SCHEMAS_CODEC_PARTS_H
#define SB_SCHEMAS_CODEC_PARTS_H

#include "core/map.h"
#include "schemas/codec.h"
#include "schemas/fixed.h"
#include "schemas/shape.h"

struct sb_codec {
    struct sb_fixed *fixed;
    struct sb_map *shapes;    /* by id */
    struct sb_arena *arena;   /* holds them */
    struct sb_arena *scratch; /* of one sb_codec_relation or sb_codec_learn */
    struct sb_buf body;       /* of the newest record written */
    struct sb_buf key;
};

/* The Confluent header. */
enum { SB_HEADER_BYTES = 5 };

/* Branches of a column's union, and of the envelope's before. Frozen. */
enum { SB_BRANCH_NULL, SB_BRANCH_TWIN, SB_BRANCH_TEXT, SB_BRANCH_UNCHANGED };
enum { SB_BEFORE_NONE, SB_BEFORE_ROW, SB_BEFORE_KEY };

/* An empty buf for a new record. A huge record's memory is not kept for the small ones that follow. */
void sb_codec_renew(struct sb_buf *buf);
void sb_codec_put_header(struct sb_buf *buf, uint32_t schema_id);

#endif
