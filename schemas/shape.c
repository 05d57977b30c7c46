#include "schemas/shape.h"

#include "schemas/avro_bytes.h"
#include "schemas/codec.h"
#include "schemas/digest.h"
#include "schemas/relation_schema.h"
#include "schemas/twin.h"

#include <avro.h>
#include <inttypes.h>

/* The schema of SB_COLS_MAX columns with names of 63 bytes that are all mangled stays below a third. */
enum { SHAPE_JSON_MAX_BYTES = 4 << 20, SHAPE_NAME_MAX_BYTES = 1024 };

static const uint32_t id_count = (UINT32_C(0x80000000) - SB_SCHEMA_ID_FIRST) / 2;

uint32_t sb_shape_home_id(const struct sb_shape *shape)
{
    uint64_t hash;
    memcpy(&hash, shape->content.bytes, sizeof hash);
    return SB_SCHEMA_ID_FIRST + 2 * (uint32_t)(be64toh(hash) % id_count);
}

uint32_t sb_shape_next_id(uint32_t id)
{
    return sb_shape_id_valid(id + 2) ? id + 2 : SB_SCHEMA_ID_FIRST;
}

bool sb_shape_id_valid(uint32_t id)
{
    return id >= SB_SCHEMA_ID_FIRST && id <= INT32_MAX && id % 2 == 0;
}

static int shape_full(const struct sb_relation *rel, struct sb_err *err)
{
    return sb_err_set(
        err, SB_E_LIMIT, "the description of a table with %u columns is too large", rel->col_count);
}

static int check_name(struct sb_view name, struct sb_err *err)
{
    if (name.len > SHAPE_NAME_MAX_BYTES)
        return sb_err_set(err, SB_E_LIMIT, "a name of %zu bytes in a relation; the bound is %d", name.len,
            SHAPE_NAME_MAX_BYTES);
    if (name.len > 0 && memchr(name.ptr, 0, name.len) != NULL)
        return sb_err_set(err, SB_E_ENCODING, "a name in a relation has a NUL byte");
    return 0;
}

static int check_relation(const struct sb_relation *rel, struct sb_err *err)
{
    if (rel->col_count > SB_COLS_MAX)
        return shape_full(rel, err);
    if (rel->identity == '\0' || strchr("difn", rel->identity) == NULL)
        return sb_err_set(err, SB_E_SCHEMA_INVALID, "unknown replica identity %d", rel->identity);
    if (check_name(rel->schema, err) < 0 || check_name(rel->name, err) < 0)
        return -1;
    for (size_t i = 0; i < rel->col_count; i++)
        if (check_name(rel->cols[i].name, err) < 0 || check_name(rel->cols[i].type_name, err) < 0)
            return -1;
    return 0;
}

static uint8_t *choose_twins(const struct sb_relation *rel, struct sb_arena *scratch)
{
    uint8_t *twins = sb_arena_alloc(scratch, rel->col_count);
    for (size_t i = 0; twins != NULL && i < rel->col_count; i++)
        twins[i] = (uint8_t)sb_twin_of_type(rel->cols[i].type_oid);
    return twins;
}

static void put_source_name(struct sb_buf *buf, struct sb_view name)
{
    struct sb_buf text SB_CLEANUP(sb_buf_clear);
    unsigned char len[SB_AVRO_LONG_MAX_BYTES];
    sb_buf_init(&text, buf->max);
    sb_relation_put_name(&text, name);
    sb_buf_put(buf, len, (size_t)(sb_avro_put_long(len, (int64_t)text.len) - len));
    sb_buf_put_view(buf, sb_buf_view(&text));
    buf->failed |= text.failed;
}

static int keep_text(struct sb_buf *buf, const struct sb_relation *rel, struct sb_arena *scratch,
    struct sb_view *ret_text, struct sb_err *err)
{
    if (buf->failed || !sb_arena_dup(scratch, sb_buf_view(buf), ret_text))
        return shape_full(rel, err);
    sb_buf_reset(buf);
    return 0;
}

/* No schema gets into a stream that an Avro library would not read. */
static int check_json(struct sb_view json, struct sb_err *err)
{
    avro_schema_t schema = NULL;
    if (json.len == 0)
        return 0;
    if (avro_schema_from_json_length(json.ptr, json.len, &schema) != 0)
        return sb_err_set(err, SB_E_INTERNAL, "avro refuses the schema of a table: %s", avro_strerror());
    avro_schema_decref(schema);
    return 0;
}

int sb_draft_make(const struct sb_relation *rel, uint8_t *twins, struct sb_arena *scratch,
    struct sb_draft *ret_draft, struct sb_err *err)
{
    struct sb_draft draft = {.shape = {.rel = *rel, .twins = twins}};
    struct sb_buf buf SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&buf, SHAPE_JSON_MAX_BYTES);
    if (check_relation(rel, err) < 0)
        return -1;
    if (twins == NULL)
        twins = draft.shape.twins = choose_twins(rel, scratch);
    if (twins == NULL)
        return shape_full(rel, err);
    draft.shape.has_key = sb_relation_has_key(rel);
    put_source_name(&buf, rel->schema);
    put_source_name(&buf, rel->name);
    if (keep_text(&buf, rel, scratch, &draft.shape.source, err) < 0)
        return -1;
    sb_relation_put_envelope(&buf, rel, twins);
    if (keep_text(&buf, rel, scratch, &draft.envelope, err) < 0)
        return -1;
    if (draft.shape.has_key)
        sb_relation_put_key(&buf, rel, twins);
    if (keep_text(&buf, rel, scratch, &draft.key, err) < 0)
        return -1;
    if (check_json(draft.envelope, err) < 0 || check_json(draft.key, err) < 0)
        return -1;
    *ret_draft = draft;
    return 0;
}

struct sb_shape *sb_shape_keep(const struct sb_draft *draft, uint32_t id, struct sb_arena *arena)
{
    const struct sb_relation *rel = &draft->shape.rel;
    struct sb_view twins = sb_view(draft->shape.twins, rel->col_count), kept_twins;
    struct sb_shape *shape = sb_arena_alloc(arena, sizeof *shape);
    struct sb_column *cols = sb_arena_alloc(arena, rel->col_count * sizeof *cols);
    if (shape == NULL || cols == NULL)
        return NULL;
    *shape = draft->shape;
    shape->rel.cols = cols;
    shape->rel.codec = shape;
    shape->rel.schema_id = id;
    bool fits = sb_arena_dup(arena, rel->schema, &shape->rel.schema) &&
                sb_arena_dup(arena, rel->name, &shape->rel.name) &&
                sb_arena_dup(arena, draft->shape.source, &shape->source) &&
                sb_arena_dup(arena, twins, &kept_twins);
    for (size_t i = 0; fits && i < rel->col_count; i++) {
        cols[i] = rel->cols[i];
        fits = sb_arena_dup(arena, rel->cols[i].name, &cols[i].name) &&
               sb_arena_dup(arena, rel->cols[i].type_name, &cols[i].type_name);
    }
    if (!fits)
        return NULL;
    shape->twins = (uint8_t *)kept_twins.ptr;
    return shape;
}
