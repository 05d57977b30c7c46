/*
 * Sample records for readers that share nothing with us.
 *     codec_samples records        JSON lines: bodies in hex, and what stands in them
 *     codec_samples corpus DIR     one file a record, frame and body, for tests/fuzz
 *     codec_samples twins          reads "oid text" lines, writes those that have no twin
 */
#include "schemas/codec.h"
#include "schemas/digest.h"
#include "schemas/frame.h"
#include "schemas/twin.h"
#include "tests/samples/samples.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHANGES = 200, CORPUS_CHANGES = 6 };

static const struct sb_change_meta meta = {
    .lsn = 0x16b374d848, .xid = UINT64_C(0x100000007), .commit_us = INT64_C(1795490821123000)};

static void must(int result, const struct sb_err *err)
{
    if (result == 0)
        return;
    fprintf(stderr, "%s: %s\n", sb_err_id(err), err->text);
    exit(1);
}

static json_t *hex(struct sb_view bytes)
{
    char *text = malloc(2 * bytes.len + 1);
    if (text == NULL)
        abort();
    sb_hex_encode(bytes.ptr, bytes.len, text);
    json_t *string = json_string(text);
    free(text);
    return string;
}

static void line(json_t *object)
{
    if (json_dumpf(object, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF)
        exit(1);
    json_decref(object);
}

static json_t *row(const struct sb_relation *rel, const struct sb_value *values)
{
    if (values == NULL)
        return json_null();
    json_t *array = json_array();
    for (uint16_t i = 0; i < rel->col_count; i++)
        json_array_append_new(
            array, values[i].state == SB_COL_TEXT ? hex(values[i].text) : json_integer(values[i].state));
    return array;
}

static void write_changes(struct sb_codec *codec, char identity)
{
    struct sb_err err;
    struct sb_view schema, key, body;
    struct sb_arena *arena = sb_arena_new("samples", 256 << 20);
    struct sb_relation *rel = sample_relation(arena, identity);
    struct sample_rng rng = {(uint64_t)identity};
    must(sb_codec_relation(codec, rel, &schema, &err), &err);
    line(json_pack("{s:s, s:o}", "kind", "schema", "body", hex(schema)));
    for (int i = 0; i < CHANGES; i++) {
        struct sb_change chg = sample_change(&rng, rel, arena);
        must(sb_codec_change(codec, &chg, &meta, &key, &body, &err), &err);
        char op[2] = {(char)chg.op, '\0'};
        line(json_pack("{s:s, s:o, s:o, s:s, s:b, s:o, s:o, s:I, s:I, s:I}", "kind", "change", "body",
            hex(body), "key", hex(key), "op", op, "old_is_key", chg.old_is_key, "before",
            row(rel, chg.before), "after", row(rel, chg.after), "lsn", (json_int_t)meta.lsn, "xid",
            (json_int_t)meta.xid, "ts_ms", (json_int_t)(meta.commit_us / 1000)));
    }
    sb_arena_free(arena);
}

static const struct sb_commit sample_commit = {1, 2, 3, 4, 5, {{6}}, {{7}}};
static const struct sb_message sample_message = {{"switchback.marker", 17}, {"\0\xff", 2}, 9};
static const struct sb_open sample_open = {.epoch = 1,
    .start_lsn = 2,
    .base_commit_lsn = 3,
    .base_sequence = 4,
    .hole_from_lsn = 5,
    .system_identifier = 6,
    .timeline = 7,
    .database_oid = 8,
    .server_version_num = 150020,
    .opened_us = 9,
    .program = {"switchback", 10}};

static void write_fixed(struct sb_codec *codec)
{
    struct sb_err err;
    struct sb_view key, body;
    struct sb_arena *arena = sb_arena_new("samples", 1 << 20);
    struct sb_relation *rel = sample_wide_relation(arena, 2);
    const struct sb_relation *tables[] = {rel};
    struct sb_change truncate = {
        .op = SB_OP_TRUNCATE, .truncated = tables, .truncated_count = 1, .cascade = true};
    must(sb_codec_commit(codec, &sample_commit, &body, &err), &err);
    line(json_pack("{s:s, s:o}", "kind", "commit", "body", hex(body)));
    must(sb_codec_message(codec, &sample_message, &body, &err), &err);
    line(json_pack("{s:s, s:o}", "kind", "message", "body", hex(body)));
    must(sb_codec_open(codec, &sample_open, &body, &err), &err);
    line(json_pack("{s:s, s:o}", "kind", "open", "body", hex(body)));
    must(sb_codec_relation(codec, rel, &body, &err), &err);
    must(sb_codec_change(codec, &truncate, &meta, &key, &body, &err), &err);
    line(json_pack("{s:s, s:o}", "kind", "truncate", "body", hex(body)));
    sb_arena_free(arena);
}

/* -- corpus
 * -------------------------------------------------------------------------------------------------- */

static void write_file(const char *folder, const char *name, enum sb_kind kind, struct sb_view body)
{
    char path[4096];
    unsigned char bytes[SB_FRAME_BYTES];
    struct sb_frame frame = {
        .kind = kind, .stream = {{1}}, .epoch = 1, .sequence = 2, .body_hash = sb_hash64(body)};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    sb_frame_encode(&frame, bytes);
    if (file == NULL || fwrite(bytes, 1, sizeof bytes, file) != sizeof bytes ||
        fwrite(body.ptr, 1, body.len, file) != body.len || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void write_corpus(struct sb_codec *codec, const char *folder)
{
    struct sb_err err;
    struct sb_view key, body;
    struct sb_arena *arena = sb_arena_new("samples", 16 << 20);
    struct sb_relation *rel = sample_relation(arena, 'd');
    const struct sb_relation *tables[] = {rel};
    struct sb_change truncate = {.op = SB_OP_TRUNCATE, .truncated = tables, .truncated_count = 1};
    struct sample_rng rng = {11};
    /* The columns of tests/fuzz/fuzz_record.c. */
    rel->name = sb_view_str("t");
    rel->col_count = 13;
    must(sb_codec_relation(codec, rel, &body, &err), &err);
    write_file(folder, "schema", SB_KIND_SCHEMA, body);
    for (int i = 0; i < CORPUS_CHANGES; i++) {
        char name[32];
        struct sb_change chg = sample_change(&rng, rel, arena);
        must(sb_codec_change(codec, &chg, &meta, &key, &body, &err), &err);
        snprintf(name, sizeof name, "change-%d", i);
        write_file(folder, name, SB_KIND_CHANGE, body);
    }
    must(sb_codec_change(codec, &truncate, &meta, &key, &body, &err), &err);
    write_file(folder, "truncate", SB_KIND_CHANGE, body);
    must(sb_codec_commit(codec, &sample_commit, &body, &err), &err);
    write_file(folder, "commit", SB_KIND_COMMIT, body);
    must(sb_codec_message(codec, &sample_message, &body, &err), &err);
    write_file(folder, "message", SB_KIND_MESSAGE, body);
    must(sb_codec_open(codec, &sample_open, &body, &err), &err);
    write_file(folder, "open", SB_KIND_OPEN, body);
    sb_arena_free(arena);
}

/* -- twins
 * --------------------------------------------------------------------------------------------------- */

static bool has_twin(enum sb_twin twin, struct sb_view text)
{
    static unsigned char bytes[1 << 16];
    int64_t whole;
    double number;
    switch (twin) {
    case SB_TWIN_FLOAT4:
    case SB_TWIN_FLOAT8:
        return sb_twin_parse_double(twin, text, &number);
    case SB_TWIN_BYTEA:
        return text.len < sizeof bytes && sb_twin_parse_bytea(text, bytes);
    case SB_TWIN_UUID:
        return sb_twin_is_uuid(text);
    case SB_TWIN_TEXT:
        return true;
    default:
        return sb_twin_parse_long(twin, text, &whole);
    }
}

static void filter_twins(void)
{
    static char text[1 << 16];
    while (fgets(text, sizeof text, stdin) != NULL) {
        char *value;
        uint32_t oid = (uint32_t)strtoul(text, &value, 10);
        value += *value == ' ';
        size_t len = strcspn(value, "\n");
        if (!has_twin(sb_twin_of_type(oid), sb_view(value, len)))
            printf("%" PRIu32 " %.*s\n", oid, (int)len, value);
    }
}

int main(int argc, char **argv)
{
    struct sb_err err;
    struct sb_codec *codec;
    must(sb_codec_new(&codec, &err), &err);
    if (argc == 2 && strcmp(argv[1], "records") == 0) {
        for (const char *identity = "difn"; *identity != '\0'; identity++)
            write_changes(codec, *identity);
        write_fixed(codec);
    } else if (argc == 3 && strcmp(argv[1], "corpus") == 0) {
        write_corpus(codec, argv[2]);
    } else if (argc == 2 && strcmp(argv[1], "twins") == 0) {
        filter_twins();
    } else {
        fputs("codec_samples records | corpus DIR | twins\n", stderr);
        return 64;
    }
    sb_codec_free(codec);
    return fflush(stdout) == 0 ? 0 : 1;
}
