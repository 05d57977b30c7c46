#include "schemas/codec.h"

#include "schemas/codec_parts.h"
#include "schemas/digest.h"

#include <inttypes.h>
#include <stdlib.h>

enum { CODEC_SHAPES_MAX = 1 << 16, CODEC_KEEP_BYTES = 4 << 20 };
/* A body's length stays below 2^31, as Kafka's and SQLite's do; parts cut it further down. */
static const size_t codec_body_max = INT32_MAX;
/* Of a `schema` record that is read, and of what is made of one. */
static const size_t codec_schema_max = 16 << 20;
static const size_t codec_scratch_max = 64 << 20;
/* Of all relations: 65536 tables of 20 columns take about 200 MB. */
static const size_t codec_arena_max = (size_t)1 << 30;

int sb_codec_new(struct sb_codec **ret_codec, struct sb_err *err)
{
    struct sb_codec *codec = calloc(1, sizeof *codec);
    if (codec == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "could not make a codec");
    sb_buf_init(&codec->body, codec_body_max);
    sb_buf_init(&codec->key, codec_body_max);
    codec->shapes = sb_map_new(CODEC_SHAPES_MAX);
    codec->arena = sb_arena_new("relation", codec_arena_max);
    codec->scratch = sb_arena_new("schema record", codec_scratch_max);
    if (codec->shapes == NULL || codec->arena == NULL || codec->scratch == NULL) {
        sb_codec_free(codec);
        return sb_err_set(err, SB_E_NO_MEMORY, "could not make a codec");
    }
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
    sb_map_free(codec->shapes);
    sb_arena_free(codec->arena);
    sb_arena_free(codec->scratch);
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

/* -- relations
 * ----------------------------------------------------------------------------------------------- */

static struct sb_shape *find_shape(const struct sb_codec *codec, uint32_t id)
{
    return sb_map_get(codec->shapes, sb_map_key_u32(&id));
}

/* What an id is made from: the record without its id. */
static int make_draft(struct sb_codec *codec, const struct sb_relation *rel, uint8_t *twins,
    struct sb_draft *ret_draft, struct sb_err *err)
{
    if (sb_draft_make(rel, twins, codec->scratch, ret_draft, err) < 0)
        return -1;
    sb_codec_renew(&codec->body);
    if (sb_fixed_put_schema(codec->fixed, ret_draft, 0, &codec->body, err) < 0)
        return -1;
    ret_draft->shape.content = sb_hash128(sb_buf_view(&codec->body));
    return 0;
}

static int keep_shape(struct sb_codec *codec, const struct sb_draft *draft, uint32_t id,
    struct sb_shape **ret_shape, struct sb_err *err)
{
    struct sb_shape *shape = sb_shape_keep(draft, id, codec->arena);
    if (shape == NULL || !sb_map_put(codec->shapes, sb_map_key_u32(&id), shape, NULL))
        return sb_err_set(err, SB_E_LIMIT, "more than %d table shapes, or more than %zu bytes of them",
            CODEC_SHAPES_MAX, codec_arena_max);
    *ret_shape = shape;
    return 0;
}

/* The shape with the draft's content, or a new one under the first free id. */
static int place_draft(
    struct sb_codec *codec, const struct sb_draft *draft, struct sb_shape **ret_shape, struct sb_err *err)
{
    uint32_t id = sb_shape_home_id(&draft->shape);
    for (struct sb_shape *there; (there = find_shape(codec, id)) != NULL; id = sb_shape_next_id(id)) {
        if (sb_digest_eq(&there->content, &draft->shape.content)) {
            *ret_shape = there;
            return 0;
        }
    }
    return keep_shape(codec, draft, id, ret_shape, err);
}

static int relation_body(struct sb_codec *codec, const struct sb_draft *draft, uint32_t id,
    struct sb_view *ret_body, struct sb_err *err)
{
    struct sb_buf *body = begin_body(codec, SB_SCHEMA_ID_SCHEMA);
    return end_body(codec, sb_fixed_put_schema(codec->fixed, draft, id, body, err), ret_body);
}

int sb_codec_relation(
    struct sb_codec *codec, struct sb_relation *rel, struct sb_view *ret_body, struct sb_err *err)
{
    struct sb_draft draft;
    struct sb_shape *shape;
    sb_arena_reset(codec->scratch);
    if (make_draft(codec, rel, /* twins= */ NULL, &draft, err) < 0 ||
        place_draft(codec, &draft, &shape, err) < 0 ||
        relation_body(codec, &draft, shape->rel.schema_id, ret_body, err) < 0)
        return -1;
    rel->schema_id = shape->rel.schema_id;
    rel->codec = shape;
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
    struct sb_draft draft;
    if (!sb_shape_id_valid(id))
        return sb_err_set(err, SB_E_SCHEMA_INVALID, "schema record with the impossible id %" PRIu32, id);
    if (make_draft(codec, &record->rel, record->twins, &draft, err) < 0)
        return -1;
    if (!sb_view_eq(draft.envelope, record->envelope) || !sb_view_eq(draft.key, record->key))
        return sb_err_set(
            err, SB_E_SCHEMA_INVALID, "the Avro schemas of id %" PRIu32 " are not those of its table", id);
    struct sb_shape *known = find_shape(codec, id);
    if (known == NULL)
        return keep_shape(codec, &draft, id, ret_shape, err);
    if (!sb_digest_eq(&known->content, &draft.shape.content))
        return sb_err_set(
            err, SB_E_SCHEMA_MISMATCH, "schema id %" PRIu32 " is of two tables or two shapes of one", id);
    *ret_shape = known;
    return 0;
}

int sb_codec_learn(
    struct sb_codec *codec, struct sb_view body, const struct sb_relation **ret_rel, struct sb_err *err)
{
    struct sb_view avro;
    struct sb_schema_record record;
    struct sb_shape *shape;
    if (open_body(body, SB_SCHEMA_ID_SCHEMA, "schema record", &avro, err) < 0)
        return -1;
    if (body.len > codec_schema_max)
        return sb_err_set(
            err, SB_E_LIMIT, "schema record of %zu bytes; the bound is %zu", body.len, codec_schema_max);
    sb_arena_reset(codec->scratch);
    if (sb_fixed_get_schema(codec->fixed, avro, codec->scratch, &record, err) < 0 ||
        learn_record(codec, &record, &shape, err) < 0)
        return -1;
    if (ret_rel != NULL)
        *ret_rel = &shape->rel;
    return 0;
}

/* -- fixed kinds
 * --------------------------------------------------------------------------------------------- */

int sb_codec_commit(
    struct sb_codec *codec, const struct sb_commit *commit, struct sb_view *ret_body, struct sb_err *err)
{
    struct sb_buf *body = begin_body(codec, SB_SCHEMA_ID_COMMIT);
    return end_body(codec, sb_fixed_put_commit(commit, body, err), ret_body);
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
    (void)codec; /* a commit has no state; asked for as with the other kinds */
    if (open_body(body, SB_SCHEMA_ID_COMMIT, "commit", &avro, err) < 0)
        return -1;
    return sb_fixed_get_commit(avro, ret_commit, err);
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
