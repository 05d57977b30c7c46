/*
 * What a row costs in the codec and the digest, on both ends of the pipeline, and what avro-c's generic
 * values would cost for the same body (which has no text to make and nothing to place in an arena).
 *     codec_bench [rows]     each figure is the best of five runs
 */
#include "core/clock.h"
#include "schemas/codec.h"
#include "schemas/digest.h"

#include <avro.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sb_column cols[] = {
    {.name = {"id", 2}, .type_name = {"pg_catalog.int4", 15}, .type_oid = 23, .typmod = -1, .key = true},
    {.name = {"teller", 6}, .type_name = {"pg_catalog.int4", 15}, .type_oid = 23, .typmod = -1},
    {.name = {"balance", 7}, .type_name = {"pg_catalog.int4", 15}, .type_oid = 23, .typmod = -1},
    {.name = {"filler", 6}, .type_name = {"pg_catalog.text", 15}, .type_oid = 25, .typmod = -1},
    {.name = {"mtime", 5}, .type_name = {"pg_catalog.timestamp", 20}, .type_oid = 1114, .typmod = -1},
};
static struct sb_value row[] = {
    {SB_COL_TEXT, {"4711042", 7}},
    {SB_COL_TEXT, {"17", 2}},
    {SB_COL_TEXT, {"-123456", 7}},
    {SB_COL_TEXT, {"the quick brown fox jumps over", 30}},
    {SB_COL_TEXT, {"2026-11-24 03:27:01.123456", 26}},
};
static struct sb_relation rel = {
    .oid = 16384,
    .schema = {"public", 6},
    .name = {"accounts", 8},
    .identity = 'd',
    .col_count = sizeof cols / sizeof *cols,
    .cols = cols,
};
static const struct sb_change_meta meta = {.lsn = 0x16b374d848, .xid = 123456, .commit_us = 1795490821123456};

struct bench {
    struct sb_codec *codec;
    struct sb_arena *arena;
    struct sb_digester *digester;
    struct sb_change chg;
    struct sb_commit commit;
    struct sb_view body;        /* of the row */
    struct sb_view commit_body; /* of a commit */
    avro_value_t value;
    avro_reader_t reader;
    avro_writer_t writer;
    char out[4096];
};

static void must(int result, const struct sb_err *err)
{
    if (result == 0)
        return;
    fprintf(stderr, "%s: %s\n", sb_err_id(err), err->text);
    exit(1);
}

static void encode(struct bench *bench)
{
    struct sb_err err;
    struct sb_view key, body;
    must(sb_codec_change(bench->codec, &bench->chg, &meta, &key, &body, &err), &err);
}

static void decode(struct bench *bench)
{
    struct sb_err err;
    struct sb_change chg;
    sb_arena_reset(bench->arena);
    must(sb_codec_read_change(bench->codec, bench->body, bench->arena, &chg, NULL, &err), &err);
}

static void digest(struct bench *bench)
{
    sb_digester_change(bench->digester, 1, &bench->chg);
}

static void encode_commit(struct bench *bench)
{
    struct sb_err err;
    struct sb_view body;
    must(sb_codec_commit(bench->codec, &bench->commit, &body, &err), &err);
}

static void decode_commit(struct bench *bench)
{
    struct sb_err err;
    struct sb_commit commit;
    must(sb_codec_read_commit(bench->codec, bench->commit_body, &commit, &err), &err);
}

static void generic_read(struct bench *bench)
{
    avro_reader_memory_set_source(bench->reader, bench->body.ptr + 5, (int64_t)bench->body.len - 5);
    avro_value_reset(&bench->value);
    if (avro_value_read(bench->reader, &bench->value) != 0)
        exit(1);
}

/* Of a value that is filled in already. */
static void generic_write(struct bench *bench)
{
    avro_writer_reset(bench->writer);
    if (avro_value_write(bench->writer, &bench->value) != 0)
        exit(1);
}

static void measure(const char *name, void (*fn)(struct bench *), struct bench *bench, long rows)
{
    int64_t best = INT64_MAX;
    for (int run = 0; run < 5; run++) {
        int64_t start = sb_clock_mono_us();
        for (long i = 0; i < rows; i++)
            fn(bench);
        int64_t took = sb_clock_mono_us() - start;
        best = took < best ? took : best;
    }
    printf(
        "%-28s %8.0f ns %8.2f M/s\n", name, (double)best * 1000 / (double)rows, (double)rows / (double)best);
}

static struct sb_view keep(struct sb_view view)
{
    char *copy = malloc(view.len);
    if (copy == NULL)
        exit(1);
    memcpy(copy, view.ptr, view.len);
    return sb_view(copy, view.len);
}

/* The Avro schema is the longest string of the `schema` record that begins as one. */
static void open_generic(struct bench *bench, struct sb_view schema_body)
{
    avro_schema_t schema;
    const char *json =
        memmem(schema_body.ptr, schema_body.len, "{\"type\":\"record\",\"name\":\"Envelope\"", 33);
    const char *end = json == NULL ? NULL : memmem(json, 100000, "\"ts_ms\",\"type\":\"long\"}]}", 24);
    if (end == NULL || avro_schema_from_json_length(json, (size_t)(end + 24 - json), &schema) != 0)
        exit(1);
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    avro_generic_value_new(iface, &bench->value);
    bench->reader = avro_reader_memory(NULL, 0);
    bench->writer = avro_writer_memory(bench->out, sizeof bench->out);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct sb_err err;
    struct sb_view schema_body, key, body;
    long rows = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
    must(sb_codec_new(&bench.codec, &err), &err);
    must(sb_codec_relation(bench.codec, &rel, &schema_body, &err), &err);
    bench.arena = sb_arena_new("bench", 1 << 20);
    bench.digester = sb_digester_new();
    bench.chg = (struct sb_change){.op = SB_OP_INSERT, .rel = &rel, .after = row};
    bench.commit = (struct sb_commit){.commit_lsn = meta.lsn, .end_lsn = meta.lsn + 40, .xid = 5, .count = 4};
    open_generic(&bench, schema_body);
    must(sb_codec_change(bench.codec, &bench.chg, &meta, &key, &body, &err), &err);
    bench.body = keep(body);
    must(sb_codec_commit(bench.codec, &bench.commit, &body, &err), &err);
    bench.commit_body = keep(body);
    printf(
        "five columns (int, int, int, text of 30, timestamp), insert, body of %zu bytes\n", bench.body.len);
    measure("encode", encode, &bench, rows);
    measure("decode", decode, &bench, rows);
    measure("digest", digest, &bench, rows);
    measure("encode a commit", encode_commit, &bench, rows);
    measure("decode a commit", decode_commit, &bench, rows);
    measure("avro-c generic, read", generic_read, &bench, rows);
    measure("avro-c generic, write", generic_write, &bench, rows);
    avro_value_decref(&bench.value);
    avro_reader_free(bench.reader);
    avro_writer_free(bench.writer);
    free((void *)bench.body.ptr);
    free((void *)bench.commit_body.ptr);
    sb_digester_free(bench.digester);
    sb_arena_free(bench.arena);
    sb_codec_free(bench.codec);
    return 0;
}
