#include "schemas/codec.h"

#include "schemas/codec_parts.h"

#include <inttypes.h>
#include <stdlib.h>

enum { CODEC_SHAPES_MAX = 1 << 16, CODEC_KEEP_BYTES = 4 << 20 };
/* A body's length stays below 2^31, as Kafka's and SQLite's do; parts cut it further down. */
static const size_t codec_body_max = INT32_MAX;
/* Of a `schema` record that is read. */
static const size_t codec_schema_max = 16 << 20;

int sb_codec_new(struct sb_codec **ret_codec, struct sb_err *err)
{
    struct sb_codec *codec = calloc(1, sizeof *codec);
    if (codec == NULL || (codec->shapes = sb_map_new(CODEC_SHAPES_MAX)) == NULL) {
        free(codec);
        return sb_err_set(err, SB_E_NO_MEMORY, "could not make a codec");
    }
    sb_buf_init(&codec->body, codec_body_max);
    sb_buf_init(&codec->key, codec_body_max);
    if (sb_fixed_new(&codec->fixed, err) < 0) {
        sb_codec_free(codec);
        return -1;
    }
    *ret_codec = codec;
    return 0;
}

void sb_codec_free(struct sb_codec *codec)
{
    if (codec == NULL)
        return;
    size_t pos = 0;
    struct sb_view key;
    void *shape;
    while (sb_map_next(codec->shapes, &pos, &key, &shape))
        sb_shape_free(shape);
    sb_map_free(codec->shapes);
    sb_fixed_free(codec->fixed);
    sb_buf_clear(&codec->body);
    sb_buf_clear(&codec->key);
    free(codec);
}

void sb_codec_renew(struct sb_buf *buf)
{
    if (buf->cap > CODEC_KEEP_BYTES)
        sb_buf_clear(buf);
    sb_buf_reset(buf);
}

void sb_codec_put_header(struct sb_buf *buf, uint32_t schema_id)
{
    sb_buf_put_u8(buf, 0);
    sb_buf_put_u32(buf, schema_id);
}

/* -- relations
 * ----------------------------------------------------------------------------------------------- */

static struct sb_shape *find_shape(const struct sb_codec *codec, uint32_t id)
{
    return sb_map_get(codec->shapes, sb_map_key_u32(&id));
}

/* What an id is made from: the record without its id. */
static int make_content(struct sb_codec *codec, struct sb_shape *shape, struct sb_err *err)
{
    sb_codec_renew(&codec->body);
    if (sb_fixed_put_schema(codec->fixed, shape, 0, &codec->body, err) < 0)
        return -1;
    if (!sb_arena_dup(shape->arena, sb_buf_view(&codec->body), &shape->content))
        return sb_err_set(
            err, SB_E_LIMIT, "the description of a table with %u columns is too large", shape->rel.col_count);
    return 0;
}

/* From here on id is shape's, and shape the codec's. */
static int keep_shape(struct sb_codec *codec, struct sb_shape *shape, uint32_t id, struct sb_err *err)
{
    sb_codec_renew(&codec->body);
    sb_codec_put_header(&codec->body, SB_SCHEMA_ID_SCHEMA);
    if (sb_fixed_put_schema(codec->fixed, shape, id, &codec->body, err) < 0)
        return -1;
    if (!sb_arena_dup(shape->arena, sb_buf_view(&codec->body), &shape->body))
        return sb_err_set(
            err, SB_E_LIMIT, "the description of a table with %u columns is too large", shape->rel.col_count);
    shape->rel.schema_id = id;
    if (!sb_map_put(codec->shapes, sb_map_key_u32(&id), shape, NULL))
        return sb_err_set(err, SB_E_LIMIT, "more than %d table shapes, or memory ran out", CODEC_SHAPES_MAX);
    return 0;
}

/* Give shape its id, or find the one that has its content: *shape is then that one. */
static int place_shape(struct sb_codec *codec, struct sb_shape **shape, struct sb_err *err)
{
    uint32_t id = sb_shape_home_id(*shape);
    for (struct sb_shape *there; (there = find_shape(codec, id)) != NULL; id = sb_shape_next_id(id)) {
        if (sb_view_eq(there->content, (*shape)->content)) {
            sb_shape_free(*shape);
            *shape = there;
            return 0;
        }
    }
    return keep_shape(codec, *shape, id, err);
}

int sb_codec_relation(
    struct sb_codec *codec, struct sb_relation *rel, struct sb_view *ret_body, struct sb_err *err)
{
    struct sb_shape *shape;
    if (sb_shape_new(rel, /* twins= */ NULL, &shape, err) < 0)
        return -1;
    if (make_content(codec, shape, err) < 0 || place_shape(codec, &shape, err) < 0) {
        sb_shape_free(shape);
        return -1;
    }
    rel->schema_id = shape->rel.schema_id;
    rel->codec = shape;
    *ret_body = shape->body;
    return 0;
}

void sb_codec_forget(struct sb_codec *codec, struct sb_relation *rel)
{
    (void)codec; /* shapes stay: their ids are taken for as long as the stream may hold records of them */
    rel->codec = NULL;
}

const struct sb_relation *sb_codec_find(const struct sb_codec *codec, uint32_t schema_id)
{
    const struct sb_shape *shape = find_shape(codec, schema_id);
    return shape == NULL ? NULL : &shape->rel;
}

int sb_codec_schema_id(struct sb_view body, uint32_t *ret_id, struct sb_err *err)
{
    struct sb_cursor cur = sb_cursor(body);
    uint8_t magic = sb_cursor_u8(&cur);
    uint32_t id = sb_cursor_u32(&cur);
    if (cur.failed || magic != 0)
        return sb_err_set(
            err, SB_E_LOG_CORRUPT, "body of %zu bytes does not begin with a schema id", body.len);
    *ret_id = id;
    return 0;
}

/* The Avro part of a body whose schema must be id. */
static int open_body(
    struct sb_view body, uint32_t id, const char *kind, struct sb_view *ret_avro, struct sb_err *err)
{
    uint32_t found;
    if (sb_codec_schema_id(body, &found, err) < 0)
        return -1;
    if (found != id)
        return sb_err_set(err, SB_E_SCHEMA_INVALID, "body of a %s has schema %" PRIu32 " instead of %" PRIu32,
            kind, found, id);
    *ret_avro = sb_view(body.ptr + SB_HEADER_BYTES, body.len - SB_HEADER_BYTES);
    return 0;
}

/* The record must be what we write for its relation: then nothing else of it needs to be believed. */
static int learn_record(struct sb_codec *codec, const struct sb_schema_record *record,
    struct sb_shape **ret_shape, struct sb_err *err)
{
    uint32_t id = record->rel.schema_id;
    if (!sb_shape_id_valid(id))
        return sb_err_set(err, SB_E_SCHEMA_INVALID, "schema record with the impossible id %" PRIu32, id);
    struct sb_shape *shape, *known = find_shape(codec, id);
    if (sb_shape_new(&record->rel, record->twins, &shape, err) < 0)
        return -1;
    if (!sb_view_eq(shape->envelope, record->envelope) || !sb_view_eq(shape->key, record->key)) {
        sb_err_set(
            err, SB_E_SCHEMA_INVALID, "the Avro schemas of id %" PRIu32 " are not those of its table", id);
        goto fail;
    }
    if (make_content(codec, shape, err) < 0)
        goto fail;
    if (known != NULL) {
        if (!sb_view_eq(known->content, shape->content)) {
            sb_err_set(
                err, SB_E_SCHEMA_MISMATCH, "schema id %" PRIu32 " is of two tables or two shapes of one", id);
            goto fail;
        }
        sb_shape_free(shape);
        *ret_shape = known;
        return 0;
    }
    if (keep_shape(codec, shape, id, err) < 0)
        goto fail;
    *ret_shape = shape;
    return 0;
fail:
    sb_shape_free(shape);
    return -1;
}

int sb_codec_learn(
    struct sb_codec *codec, struct sb_view body, const struct sb_relation **ret_rel, struct sb_err *err)
{
    struct sb_view avro;
    struct sb_schema_record record;
    struct sb_shape *shape = NULL;
    if (open_body(body, SB_SCHEMA_ID_SCHEMA, "schema record", &avro, err) < 0)
        return -1;
    if (body.len > codec_schema_max)
        return sb_err_set(
            err, SB_E_LIMIT, "schema record of %zu bytes; the bound is %zu", body.len, codec_schema_max);
    struct sb_arena *arena = sb_arena_new("schema record", 2 * codec_schema_max);
    if (arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "could not read a schema record");
    int result = sb_fixed_get_schema(codec->fixed, avro, arena, &record, err);
    if (result == 0)
        result = learn_record(codec, &record, &shape, err);
    sb_arena_free(arena);
    if (result == 0 && ret_rel != NULL)
        *ret_rel = &shape->rel;
    return result;
}

/* -- fixed kinds
 * --------------------------------------------------------------------------------------------- */

static struct sb_buf *begin_body(struct sb_codec *codec, uint32_t schema_id)
{
    sb_codec_renew(&codec->body);
    sb_codec_put_header(&codec->body, schema_id);
    return &codec->body;
}

static int end_body(struct sb_codec *codec, int result, struct sb_view *ret_body)
{
    if (result == 0)
        *ret_body = sb_buf_view(&codec->body);
    return result;
}

int sb_codec_commit(
    struct sb_codec *codec, const struct sb_commit *commit, struct sb_view *ret_body, struct sb_err *err)
{
    struct sb_buf *body = begin_body(codec, SB_SCHEMA_ID_COMMIT);
    return end_body(codec, sb_fixed_put_commit(codec->fixed, commit, body, err), ret_body);
}

int sb_codec_message(
    struct sb_codec *codec, const struct sb_message *msg, struct sb_view *ret_body, struct sb_err *err)
{
    struct sb_buf *body = begin_body(codec, SB_SCHEMA_ID_MESSAGE);
    return end_body(codec, sb_fixed_put_message(codec->fixed, msg, body, err), ret_body);
}

int sb_codec_open(
    struct sb_codec *codec, const struct sb_open *open, struct sb_view *ret_body, struct sb_err *err)
{
    struct sb_buf *body = begin_body(codec, SB_SCHEMA_ID_OPEN);
    return end_body(codec, sb_fixed_put_open(codec->fixed, open, body, err), ret_body);
}

int sb_codec_read_commit(
    struct sb_codec *codec, struct sb_view body, struct sb_commit *ret_commit, struct sb_err *err)
{
    struct sb_view avro;
    if (open_body(body, SB_SCHEMA_ID_COMMIT, "commit", &avro, err) < 0)
        return -1;
    return sb_fixed_get_commit(codec->fixed, avro, ret_commit, err);
}

int sb_codec_read_message(struct sb_codec *codec, struct sb_view body, struct sb_arena *arena,
    struct sb_message *ret_msg, struct sb_err *err)
{
    struct sb_view avro;
    if (open_body(body, SB_SCHEMA_ID_MESSAGE, "message", &avro, err) < 0)
        return -1;
    return sb_fixed_get_message(codec->fixed, avro, arena, ret_msg, err);
}

int sb_codec_read_open(struct sb_codec *codec, struct sb_view body, struct sb_arena *arena,
    struct sb_open *ret_open, struct sb_err *err)
{
    struct sb_view avro;
    if (open_body(body, SB_SCHEMA_ID_OPEN, "open", &avro, err) < 0)
        return -1;
    return sb_fixed_get_open(codec->fixed, avro, arena, ret_open, err);
}
