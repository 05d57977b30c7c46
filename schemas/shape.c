#include "schemas/shape.h"

#include "schemas/avro_bytes.h"
#include "schemas/codec.h"
#include "schemas/digest.h"
#include "schemas/relation_schema.h"
#include "schemas/twin.h"

#include <avro.h>
#include <stdlib.h>

/* A relation of SB_COLS_MAX columns with long names stays below half of these. */
enum { SHAPE_MAX_BYTES = 16 << 20, SHAPE_JSON_MAX_BYTES = 4 << 20, SHAPE_NAME_MAX_BYTES = 1024 };

static const uint32_t id_count = (UINT32_C(0x80000000) - SB_SCHEMA_ID_FIRST) / 2;

uint32_t sb_shape_home_id(const struct sb_shape *shape)
{
    return SB_SCHEMA_ID_FIRST + 2 * (uint32_t)(sb_hash64(shape->content) % id_count);
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
    return sb_err_set(err, SB_E_LIMIT, "the description of table %.*s.%.*s with %u columns is too large",
        (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr, rel->col_count);
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
    if (rel->identity != 'd' && rel->identity != 'i' && rel->identity != 'f' && rel->identity != 'n')
        return sb_err_set(err, SB_E_SCHEMA_INVALID, "unknown replica identity %d", rel->identity);
    if (check_name(rel->schema, err) < 0 || check_name(rel->name, err) < 0)
        return -1;
    for (size_t i = 0; i < rel->col_count; i++)
        if (check_name(rel->cols[i].name, err) < 0 || check_name(rel->cols[i].type_name, err) < 0)
            return -1;
    return 0;
}

static bool copy_relation(struct sb_shape *shape, const struct sb_relation *rel, const uint8_t *twins)
{
    struct sb_arena *arena = shape->arena;
    shape->rel = *rel;
    shape->rel.schema_id = 0;
    shape->rel.codec = shape;
    shape->rel.cols = sb_arena_zalloc(arena, rel->col_count * sizeof *rel->cols + 1);
    shape->twins = sb_arena_zalloc(arena, rel->col_count + 1u);
    if (shape->rel.cols == NULL || shape->twins == NULL ||
        !sb_arena_dup(arena, rel->schema, &shape->rel.schema) ||
        !sb_arena_dup(arena, rel->name, &shape->rel.name))
        return false;
    for (size_t i = 0; i < rel->col_count; i++) {
        struct sb_column *col = &shape->rel.cols[i];
        *col = rel->cols[i];
        if (!sb_arena_dup(arena, rel->cols[i].name, &col->name) ||
            !sb_arena_dup(arena, rel->cols[i].type_name, &col->type_name))
            return false;
        shape->twins[i] = twins != NULL ? twins[i] : (uint8_t)sb_twin_of_type(col->type_oid);
    }
    shape->has_key = sb_relation_has_key(&shape->rel);
    return true;
}

static bool make_source(struct sb_shape *shape)
{
    struct sb_buf buf SB_CLEANUP(sb_buf_clear);
    struct sb_view names[] = {shape->rel.schema, shape->rel.name};
    sb_buf_init(&buf, SHAPE_JSON_MAX_BYTES);
    for (size_t i = 0; i < 2; i++) {
        struct sb_buf name SB_CLEANUP(sb_buf_clear);
        unsigned char len[SB_AVRO_LONG_MAX_BYTES];
        sb_buf_init(&name, SHAPE_JSON_MAX_BYTES);
        sb_relation_put_name(&name, names[i]);
        sb_buf_put(&buf, len, (size_t)(sb_avro_put_long(len, (int64_t)name.len) - len));
        sb_buf_put_view(&buf, sb_buf_view(&name));
        buf.failed |= name.failed;
    }
    return !buf.failed && sb_arena_dup(shape->arena, sb_buf_view(&buf), &shape->source);
}

/* No schema gets into a stream that an Avro library would not read. */
static int check_json(struct sb_view json, struct sb_err *err)
{
    avro_schema_t schema = NULL;
    if (avro_schema_from_json_length(json.ptr, json.len, &schema) != 0)
        return sb_err_set(err, SB_E_INTERNAL, "avro refuses the schema of a table: %s", avro_strerror());
    avro_schema_decref(schema);
    return 0;
}

static int make_schemas(struct sb_shape *shape, struct sb_err *err)
{
    struct sb_buf json SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&json, SHAPE_JSON_MAX_BYTES);
    sb_relation_put_envelope(&json, &shape->rel, shape->twins);
    if (json.failed || !sb_arena_dup(shape->arena, sb_buf_view(&json), &shape->envelope))
        return shape_full(&shape->rel, err);
    if (check_json(shape->envelope, err) < 0)
        return -1;
    if (!shape->has_key)
        return 0;
    sb_buf_reset(&json);
    sb_relation_put_key(&json, &shape->rel, shape->twins);
    if (json.failed || !sb_arena_dup(shape->arena, sb_buf_view(&json), &shape->key))
        return shape_full(&shape->rel, err);
    return check_json(shape->key, err);
}

int sb_shape_new(
    const struct sb_relation *rel, const uint8_t *twins, struct sb_shape **ret_shape, struct sb_err *err)
{
    struct sb_shape *shape = calloc(1, sizeof *shape);
    if (shape == NULL || (shape->arena = sb_arena_new("relation", SHAPE_MAX_BYTES)) == NULL) {
        free(shape);
        return sb_err_set(err, SB_E_NO_MEMORY, "could not make a relation");
    }
    if (check_relation(rel, err) < 0)
        goto fail;
    if (!copy_relation(shape, rel, twins) || !make_source(shape)) {
        shape_full(rel, err);
        goto fail;
    }
    if (make_schemas(shape, err) < 0)
        goto fail;
    *ret_shape = shape;
    return 0;
fail:
    sb_shape_free(shape);
    return -1;
}

void sb_shape_free(struct sb_shape *shape)
{
    if (shape == NULL)
        return;
    sb_arena_free(shape->arena);
    free(shape);
}
