/*
 * A record as a store gives it back: 112 bytes of frame, then the body. The frame is judged; the body is read
 * as every kind. Its schema id is replaced by a known one, or nearly no input would get to the rows.
 *
 * What must hold beside not crashing: a refusal has a name; a change that is read can be written again and
 * reads as the same change; avro-c, reading independently, takes it too.
 */
#include "schemas/codec.h"
#include "schemas/digest.h"
#include "schemas/frame.h"
#include "schemas/relation_schema.h"
#include "schemas/shape.h"

#include <avro.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* As tests/samples: one column a twin, two without. */
static const uint32_t types[] = {23, 25, 2950, 16, 21, 20, 700, 701, 17, 1082, 1114, 1184, 1700};
enum { TYPES = sizeof types / sizeof *types, INPUTS_A_CODEC = 2000 };

static struct sb_codec *codec;
static struct sb_arena *arena;
static struct sb_digester *digester;
static struct sb_relation rel;
static avro_value_iface_t *iface;

static void must(int fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void open_codec(void)
{
    static const char names[] = "abcdefghijklm";
    static struct sb_column cols[TYPES];
    struct sb_err err;
    struct sb_view body;
    avro_schema_t schema;
    struct sb_buf json SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&json, 1 << 20);
    for (size_t i = 0; i < TYPES; i++)
        cols[i] = (struct sb_column){
            .name = sb_view(&names[i], 1), .type_oid = types[i], .typmod = -1, .key = i == 0 || i == 2};
    rel = (struct sb_relation){.schema = sb_view_str("public"),
        .name = sb_view_str("t"),
        .identity = 'd',
        .col_count = TYPES,
        .cols = cols};
    must(sb_codec_new(&codec, &err) == 0 && sb_codec_relation(codec, &rel, &body, &err) == 0, err.text);
    if (arena != NULL)
        return;
    arena = sb_arena_new("fuzz", 16 << 20);
    digester = sb_digester_new();
    sb_relation_put_envelope(&json, &rel, ((struct sb_shape *)rel.codec)->twins);
    must(avro_schema_from_json_length(json.ptr, json.len, &schema) == 0, avro_strerror());
    iface = avro_generic_class_from_schema(schema);
    avro_schema_decref(schema);
}

static void named(int result, const struct sb_err *err)
{
    must(result == 0 || err->code == SB_E_VALUE_INVALID || err->code == SB_E_SCHEMA_INVALID ||
             err->code == SB_E_SCHEMA_MISMATCH || err->code == SB_E_LIMIT || err->code == SB_E_LOG_CORRUPT ||
             err->code == SB_E_LOG_FORMAT || err->code == SB_E_ENCODING,
        "a refusal without a fitting name");
}

static struct sb_digest digest_of(const struct sb_change *chg)
{
    sb_digester_reset(digester);
    sb_digester_change(digester, 1, chg);
    return sb_digester_result(digester);
}

static void read_change(struct sb_view body)
{
    struct sb_err err;
    struct sb_change chg, again;
    struct sb_change_meta meta, meta_again;
    struct sb_view key, written;
    int result = sb_codec_read_change(codec, body, arena, &chg, &meta, &err);
    named(result, &err);
    if (result < 0)
        return;
    struct sb_digest first = digest_of(&chg);
    must(sb_codec_change(codec, &chg, &meta, &key, &written, &err) == 0, "what was read cannot be written");
    must(sb_codec_read_change(codec, written, arena, &again, &meta_again, &err) == 0, "nor read again");
    struct sb_digest second = digest_of(&again);
    must(sb_digest_eq(&first, &second) && meta.lsn == meta_again.lsn && meta.xid == meta_again.xid &&
             meta.commit_us == meta_again.commit_us,
        "a change changed by being written");
    if (chg.rel == NULL || chg.rel->schema_id != rel.schema_id)
        return;
    avro_value_t value; /* kept, its unaligned pointers would look like leaks */
    avro_reader_t reader = avro_reader_memory(body.ptr + 5, (int64_t)body.len - 5);
    must(avro_generic_value_new(iface, &value) == 0, avro_strerror());
    must(avro_value_read(reader, &value) == 0, "avro-c does not read what we read");
    avro_value_decref(&value);
    avro_reader_free(reader);
}

static void read_as(struct sb_view body, uint32_t id)
{
    struct sb_err err;
    struct sb_commit commit;
    struct sb_message msg;
    struct sb_open open;
    char *copy = malloc(body.len);
    must(copy != NULL, "memory");
    memcpy(copy, body.ptr, body.len);
    for (int i = 0; i < 4; i++)
        copy[1 + i] = (char)(id >> (24 - 8 * i));
    body.ptr = copy;
    sb_arena_reset(arena);
    switch (id) {
    case SB_SCHEMA_ID_OPEN:
        named(sb_codec_read_open(codec, body, arena, &open, &err), &err);
        break;
    case SB_SCHEMA_ID_SCHEMA:
        named(sb_codec_learn(codec, body, NULL, &err), &err);
        break;
    case SB_SCHEMA_ID_MESSAGE:
        named(sb_codec_read_message(codec, body, arena, &msg, &err), &err);
        break;
    case SB_SCHEMA_ID_COMMIT:
        named(sb_codec_read_commit(codec, body, &commit, &err), &err);
        break;
    default:
        read_change(body);
        break;
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static int inputs;
    struct sb_err err;
    struct sb_frame frame, again;
    if (inputs++ % INPUTS_A_CODEC == 0) { /* what it learned is kept as long as the codec is */
        sb_codec_free(codec);
        open_codec();
    }
    size_t cut = len < SB_FRAME_BYTES ? len : SB_FRAME_BYTES;
    int result = sb_frame_decode(sb_view(data, cut), &frame, &err);
    named(result, &err);
    if (result == 0) {
        unsigned char bytes[SB_FRAME_BYTES];
        sb_frame_encode(&frame, bytes);
        must(memcmp(bytes, data, sizeof bytes) == 0, "a frame that was read is written otherwise");
        must(sb_frame_decode(sb_view(bytes, sizeof bytes), &again, &err) == 0, "nor read again");
    }
    struct sb_view body = sb_view(data + cut, len - cut);
    if (body.len < 5) {
        uint32_t id;
        named(sb_codec_schema_id(body, &id, &err), &err);
        return 0;
    }
    for (uint32_t id = SB_SCHEMA_ID_OPEN; id <= SB_SCHEMA_ID_TRUNCATE; id++)
        read_as(body, id);
    read_as(body, rel.schema_id);
    return 0;
}
