/*
 * The codec against what it promises: every value comes back, every damaged body is refused by name, ids
 * stay. avro-c is the independent reader and, for bodies no writer of ours makes, the writer.
 */
#include "schemas/avro_schemas.h"
#include "schemas/codec.h"
#include "schemas/digest.h"
#include "schemas/relation_schema.h"
#include "schemas/shape.h"
#include "tests/samples/samples.h"

#include <avro.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct sb_codec *codec;
static struct sb_arena *arena;
static struct sb_digester *digester;
static struct sb_err err;
static const struct sb_change_meta meta = {.lsn = UINT64_C(0xfedcba9876543210),
    .xid = UINT64_C(0x100000007),
    .commit_us = INT64_C(1795490821123456)};

static void setup(void)
{
    ck_assert_int_eq(sb_codec_new(&codec, &err), 0);
    arena = sb_arena_new("test", 256 << 20);
    digester = sb_digester_new();
}

static void teardown(void)
{
    sb_codec_free(codec);
    sb_arena_free(arena);
    sb_digester_free(digester);
}

#define fine(call) ck_assert_msg((call) == 0, "%s: %s: %s", #call, sb_err_id(&err), err.text)
#define refused(call, id)                                                                                    \
    do {                                                                                                     \
        ck_assert_msg((call) == -1, "%s was accepted", #call);                                               \
        ck_assert_msg(err.code == (id), "%s: %s: %s", #call, sb_err_id(&err), err.text);                     \
    } while (0)

static struct sb_view keep(struct sb_view view)
{
    struct sb_view copy;
    ck_assert(sb_arena_dup(arena, view, &copy));
    return copy;
}

static struct sb_view known(struct sb_relation *rel)
{
    struct sb_view body;
    fine(sb_codec_relation(codec, rel, &body, &err));
    return keep(body);
}

static struct sb_view encode(const struct sb_change *chg)
{
    struct sb_view key, body;
    fine(sb_codec_change(codec, chg, &meta, &key, &body, &err));
    return keep(body);
}

static struct sb_digest digest_of(const struct sb_change *chg)
{
    sb_digester_reset(digester);
    sb_digester_change(digester, 1, chg);
    return sb_digester_result(digester);
}

static void assert_same_row(const struct sb_relation *rel, const struct sb_value *a, const struct sb_value *b)
{
    ck_assert_int_eq(a == NULL, b == NULL);
    for (uint16_t i = 0; a != NULL && i < rel->col_count; i++) {
        ck_assert_int_eq(a[i].state, b[i].state);
        if (a[i].state != SB_COL_TEXT)
            continue;
        ck_assert_msg(sb_view_eq(a[i].text, b[i].text), "column %.*s: '%.*s' became '%.*s'",
            (int)rel->cols[i].name.len, rel->cols[i].name.ptr, (int)a[i].text.len, a[i].text.ptr,
            (int)b[i].text.len, b[i].text.ptr);
        ck_assert_msg(b[i].text.ptr[b[i].text.len] == '\0', "a decoded text has no NUL behind it");
    }
}

static struct sb_change decode(struct sb_view body)
{
    struct sb_change chg;
    struct sb_change_meta got;
    fine(sb_codec_read_change(codec, body, arena, &chg, &got, &err));
    ck_assert_uint_eq(got.lsn, meta.lsn);
    ck_assert_uint_eq(got.xid, meta.xid);
    ck_assert_int_eq(got.commit_us, meta.commit_us - 456); /* milliseconds travel */
    return chg;
}

static void assert_round_trip(const struct sb_change *chg)
{
    struct sb_change got = decode(encode(chg));
    ck_assert_int_eq(got.op, chg->op);
    ck_assert_int_eq(got.old_is_key, chg->old_is_key);
    assert_same_row(chg->rel, chg->before, got.before);
    assert_same_row(chg->rel, chg->after, got.after);
    struct sb_digest before = digest_of(chg), after = digest_of(&got);
    ck_assert_msg(sb_digest_eq(&before, &after), "the digest of a change changed on its way");
}

/* -- avro-c as the other side
 * -------------------------------------------------------------------------------- */

static avro_value_t generic(const char *json, size_t len)
{
    avro_schema_t schema;
    avro_value_t value;
    ck_assert_msg(avro_schema_from_json_length(json, len, &schema) == 0, "%s", avro_strerror());
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    avro_generic_value_new(iface, &value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    return value;
}

static bool generic_read(avro_value_t *value, struct sb_view body)
{
    avro_reader_t reader = avro_reader_memory(body.ptr + 5, (int64_t)body.len - 5);
    avro_value_reset(value);
    char more;
    bool whole = avro_value_read(reader, value) == 0 && avro_read(reader, &more, 1) != 0;
    avro_reader_free(reader);
    return whole;
}

static struct sb_view generic_write(avro_value_t *value, uint32_t id)
{
    size_t size;
    ck_assert_int_eq(avro_value_sizeof(value, &size), 0);
    char *body = sb_arena_alloc(arena, size + 5);
    avro_writer_t writer = avro_writer_memory(body + 5, (int64_t)size);
    ck_assert_int_eq(avro_value_write(writer, value), 0);
    avro_writer_free(writer);
    memcpy(body,
        (unsigned char[5]){0, (unsigned char)(id >> 24), (unsigned char)(id >> 16), (unsigned char)(id >> 8),
            (unsigned char)id},
        5);
    return sb_view(body, size + 5);
}

static avro_value_t field(avro_value_t *record, const char *name)
{
    avro_value_t value;
    ck_assert_msg(avro_value_get_by_name(record, name, &value, NULL) == 0, "no field %s", name);
    return value;
}

static avro_value_t generic_of(const struct sb_relation *rel)
{
    const struct sb_shape *shape = rel->codec;
    struct sb_buf json SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&json, 1 << 22);
    sb_relation_put_envelope(&json, rel, shape->twins);
    return generic(json.ptr, json.len);
}

/* -- values
 * -------------------------------------------------------------------------------------------------- */

START_TEST(every_value_comes_back)
{
    struct sb_relation *rel = sample_relation(arena, 'd');
    known(rel);
    for (size_t c = 0; sample_types[c].name != NULL; c++) {
        for (const struct sample_text *text = sample_types[c].texts; text->text != NULL; text++) {
            struct sb_value row[64] = {{0}};
            for (uint16_t i = 0; i < rel->col_count; i++)
                row[i].state = SB_COL_NULL;
            row[c] = (struct sb_value){SB_COL_TEXT, sb_view_str(text->text)};
            struct sb_change chg = {.op = SB_OP_INSERT, .rel = rel, .after = row};
            assert_round_trip(&chg);
        }
    }
}
END_TEST

START_TEST(random_changes_come_back_and_avro_reads_them)
{
    static const char identities[] = "difn";
    struct sample_rng rng = {1};
    for (size_t kind = 0; kind < 4; kind++) {
        for (int batch = 0; batch < 5; batch++) {
            sb_arena_reset(arena);
            struct sb_relation *rel = sample_relation(arena, identities[kind]);
            known(rel);
            avro_value_t value = generic_of(rel);
            for (int i = 0; i < 200; i++) {
                struct sb_change chg = sample_change(&rng, rel, arena);
                assert_round_trip(&chg);
                ck_assert_msg(
                    generic_read(&value, encode(&chg)), "avro-c does not read it: %s", avro_strerror());
            }
            avro_value_decref(&value);
            sb_codec_forget(codec, rel);
        }
    }
}
END_TEST

/* The names of the fields, and what stands in them, as the ecosystem expects. */
START_TEST(the_envelope_has_the_field_names_of_debezium)
{
    struct sb_relation *rel = sample_relation(arena, 'd');
    struct sb_value row[64], old[64] = {{0}};
    for (uint16_t i = 0; i < rel->col_count; i++)
        row[i].state = SB_COL_NULL;
    row[0] = (struct sb_value){SB_COL_TEXT, sb_view_str("42")};
    row[1].state = SB_COL_UNCHANGED;
    row[2] = (struct sb_value){SB_COL_TEXT, sb_view_str("not a uuid")};
    old[0] = row[0];
    old[2] = row[2];
    known(rel);
    struct sb_change chg = {.op = SB_OP_UPDATE, .rel = rel, .before = old, .after = row, .old_is_key = true};
    avro_value_t value = generic_of(rel), branch, source, got;
    ck_assert(generic_read(&value, encode(&chg)));
    int number = 0;
    int32_t small = 0;
    int64_t large = 0;
    size_t size = 0;
    const char *text = "";
    got = field(&value, "before");
    avro_value_get_discriminant(&got, &number);
    ck_assert_int_eq(number, 2); /* key-only */
    avro_value_get_current_branch(&got, &branch);
    avro_value_get_size(&branch, &size);
    ck_assert_uint_eq(size, 2);
    got = field(&value, "after");
    avro_value_get_current_branch(&got, &branch);
    got = field(&branch, "c0_x20int4");
    avro_value_get_current_branch(&got, &source);
    avro_value_get_int(&source, &small);
    ck_assert_int_eq(small, 42);
    got = field(&branch, "c1_x20text");
    avro_value_get_discriminant(&got, &number);
    ck_assert_int_eq(number, 3); /* unchanged */
    got = field(&branch, "c2_x20uuid");
    avro_value_get_discriminant(&got, &number);
    ck_assert_int_eq(number, 2); /* text, for want of a twin */
    source = field(&value, "source");
    got = field(&source, "schema");
    avro_value_get_string(&got, &text, &size);
    ck_assert_str_eq(text, "public");
    got = field(&source, "table");
    avro_value_get_string(&got, &text, &size);
    ck_assert_str_eq(text, "samples");
    got = field(&source, "lsn");
    avro_value_get_long(&got, &large);
    ck_assert_uint_eq((uint64_t)large, meta.lsn);
    got = field(&source, "txId");
    avro_value_get_long(&got, &large);
    ck_assert_uint_eq((uint64_t)large, meta.xid);
    got = field(&value, "op");
    avro_value_get_string(&got, &text, &size);
    ck_assert_str_eq(text, "u");
    got = field(&value, "ts_ms");
    avro_value_get_long(&got, &large);
    ck_assert_int_eq(large, meta.commit_us / 1000);
    avro_value_decref(&value);
}
END_TEST

START_TEST(tables_of_no_and_of_1600_columns_work)
{
    static const uint16_t counts[] = {0, 1, 1600, SB_COLS_MAX};
    struct sample_rng rng = {3};
    for (size_t i = 0; i < 4; i++) {
        struct sb_relation *rel = sample_wide_relation(arena, counts[i]);
        struct sb_codec *other;
        const struct sb_relation *learned;
        struct sb_view body = known(rel);
        for (int n = 0; n < 20; n++) {
            struct sb_change chg = sample_change(&rng, rel, arena);
            assert_round_trip(&chg);
        }
        fine(sb_codec_new(&other, &err));
        fine(sb_codec_learn(other, body, &learned, &err));
        ck_assert_uint_eq(learned->col_count, counts[i]);
        sb_codec_free(other);
    }
    struct sb_view body;
    struct sb_relation *rel = sample_wide_relation(arena, SB_COLS_MAX + 1);
    refused(sb_codec_relation(codec, rel, &body, &err), SB_E_LIMIT);
}
END_TEST

START_TEST(odd_names_come_back)
{
    static const char *const names[] = {"", " ", "\"; drop table x; --", "$$", "a.b", "a/b", "..",
        "back\\slash", "new\nline", "\x1b[31m", "\xf0\x9f\x90\x98", "\xe2\x80\xae", "\xff\xfelatin", "_x",
        "a_x20b", "a b", "A", "a", "123456789012345678901234567890123456789012345678901234567890123", "\x7f",
        "before", "Value"};
    enum { COUNT = sizeof names / sizeof *names };
    struct sb_relation *rel = sample_wide_relation(arena, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        rel->cols[i].name = sb_view_str(names[i]);
        rel->cols[i].type_name = sb_view_str(names[COUNT - 1 - i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        rel->schema = sb_view_str(names[i]);
        rel->name = sb_view_str(names[COUNT - 1 - i]);
        struct sb_codec *other;
        const struct sb_relation *got;
        struct sb_view body = known(rel);
        fine(sb_codec_new(&other, &err));
        fine(sb_codec_learn(other, body, &got, &err));
        ck_assert(sb_view_eq(got->schema, rel->schema) && sb_view_eq(got->name, rel->name));
        for (size_t c = 0; c < COUNT; c++) {
            ck_assert(sb_view_eq(got->cols[c].name, rel->cols[c].name));
            ck_assert(sb_view_eq(got->cols[c].type_name, rel->cols[c].type_name));
        }
        sb_codec_free(other);
        struct sample_rng rng = {i + 1};
        struct sb_change chg = sample_change(&rng, rel, arena);
        assert_round_trip(&chg);
        avro_value_t value = generic_of(rel);
        ck_assert(generic_read(&value, encode(&chg)));
        avro_value_decref(&value);
    }
}
END_TEST

START_TEST(huge_values_come_back)
{
    struct sb_relation *rel = sample_relation(arena, 'd');
    size_t len = 20 << 20;
    char *text = sb_arena_alloc(arena, len);
    memset(text, '0', len);
    memcpy(text, "\\x", 2);
    struct sb_value row[64] = {{0}};
    for (uint16_t i = 0; i < rel->col_count; i++)
        row[i] = (struct sb_value){SB_COL_TEXT, sb_view(text, rel->cols[i].type_oid == 17 ? len : 1000000)};
    known(rel);
    struct sb_change chg = {.op = SB_OP_INSERT, .rel = rel, .after = row};
    struct sb_view body = encode(&chg);
    ck_assert_uint_lt(body.len, len + (8u << 20)); /* the bytea went as bytes */
    assert_round_trip(&chg);
}
END_TEST

START_TEST(text_with_a_nul_is_refused)
{
    struct sb_relation *rel = sample_wide_relation(arena, 2);
    struct sb_view key, body;
    known(rel);
    for (size_t len = 1; len < 40; len++) {
        for (size_t at = 0; at < len; at++) {
            char text[40];
            memset(text, at % 2 == 0 ? 'a' : '\xe4', sizeof text);
            text[at] = '\0';
            struct sb_value row[] = {{SB_COL_TEXT, sb_view(text, len)}, {SB_COL_NULL, {0}}};
            struct sb_change chg = {.op = SB_OP_INSERT, .rel = rel, .after = row};
            refused(sb_codec_change(codec, &chg, &meta, &key, &body, &err), SB_E_ENCODING);
        }
    }
}
END_TEST

START_TEST(rows_that_do_not_fit_their_op_are_refused)
{
    struct sb_relation *rel = sample_wide_relation(arena, 2), *keyless = sample_wide_relation(arena, 2);
    keyless->identity = 'n';
    keyless->name = sb_view_str("keyless");
    known(rel);
    known(keyless);
    struct sb_value full[] = {{SB_COL_NULL, {0}}, {SB_COL_NULL, {0}}};
    struct sb_value key_row[] = {{SB_COL_NULL, {0}}, {SB_COL_ABSENT, {0}}};
    struct sb_change wrong[] = {
        {.op = SB_OP_INSERT, .rel = rel},
        {.op = SB_OP_INSERT, .rel = rel, .before = full, .after = full},
        {.op = SB_OP_UPDATE, .rel = rel, .before = full},
        {.op = SB_OP_DELETE, .rel = rel},
        {.op = SB_OP_DELETE, .rel = rel, .before = full, .after = full},
        {.op = SB_OP_DELETE, .rel = rel, .before = full, .old_is_key = true},
        {.op = SB_OP_DELETE, .rel = rel, .before = key_row},
        {.op = SB_OP_INSERT, .rel = rel, .after = key_row},
        {.op = SB_OP_UPDATE, .rel = rel, .after = full, .old_is_key = true},
        {.op = SB_OP_DELETE, .rel = keyless, .before = key_row, .old_is_key = true},
        {.op = (enum sb_op)'x', .rel = rel, .after = full},
    };
    struct sb_view key, body;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refused(sb_codec_change(codec, &wrong[i], &meta, &key, &body, &err), SB_E_INTERNAL);
    struct sb_relation *stranger = sample_wide_relation(arena, 2);
    struct sb_change chg = {.op = SB_OP_INSERT, .rel = stranger, .after = full};
    refused(sb_codec_change(codec, &chg, &meta, &key, &body, &err), SB_E_INTERNAL);
}
END_TEST

START_TEST(the_key_names_the_old_row)
{
    struct sb_relation *rel = sample_wide_relation(arena, 2), *full = sample_wide_relation(arena, 2);
    full->identity = 'f';
    known(rel);
    known(full);
    struct sb_value old[] = {{SB_COL_TEXT, {"a", 1}}, {SB_COL_ABSENT, {0}}};
    struct sb_value new[] = {{SB_COL_TEXT, {"b", 1}}, {SB_COL_TEXT, {"1", 1}}};
    struct sb_change move = {.op = SB_OP_UPDATE, .rel = rel, .before = old, .after = new, .old_is_key = true};
    struct sb_change insert = {.op = SB_OP_INSERT, .rel = rel, .after = new};
    struct sb_change keyless = {.op = SB_OP_INSERT, .rel = full, .after = new};
    struct sb_view key, body;
    uint32_t id;
    fine(sb_codec_change(codec, &move, &meta, &key, &body, &err));
    ck_assert_uint_eq(key.len, 8);
    ck_assert_mem_eq(key.ptr + 5,
        "\x02\x02"
        "a",
        3);
    fine(sb_codec_schema_id(key, &id, &err));
    ck_assert_uint_eq(id, rel->schema_id + 1);
    fine(sb_codec_change(codec, &insert, &meta, &key, &body, &err));
    ck_assert_mem_eq(key.ptr + 5,
        "\x02\x02"
        "b",
        3);
    const struct sb_shape *shape = rel->codec;
    struct sb_buf json SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&json, 10000);
    sb_relation_put_key(&json, rel, shape->twins);
    avro_value_t value = generic(json.ptr, json.len);
    ck_assert(generic_read(&value, key));
    avro_value_decref(&value);
    fine(sb_codec_change(codec, &keyless, &meta, &key, &body, &err));
    ck_assert_uint_eq(key.len, 0);
}
END_TEST

START_TEST(truncate_comes_back)
{
    struct sb_relation *a = sample_wide_relation(arena, 2), *b = sample_relation(arena, 'f');
    b->name = sb_view_str("gr\xc3\xbc\xc3\x9f.\xff");
    known(a);
    known(b);
    const struct sb_relation *tables[] = {a, b};
    for (int flags = 0; flags < 4; flags++) {
        struct sb_change chg = {.op = SB_OP_TRUNCATE,
            .truncated = tables,
            .truncated_count = 2,
            .cascade = flags & 1,
            .restart_identity = flags >> 1};
        struct sb_view body = encode(&chg);
        struct sb_change got = decode(body);
        ck_assert_int_eq(got.op, SB_OP_TRUNCATE);
        ck_assert_ptr_null(got.rel);
        ck_assert_uint_eq(got.truncated_count, 2);
        ck_assert(sb_view_eq(got.truncated[1]->name, b->name));
        ck_assert_int_eq(got.cascade, chg.cascade);
        ck_assert_int_eq(got.restart_identity, chg.restart_identity);
        struct sb_digest before = digest_of(&chg), after = digest_of(&got);
        ck_assert(sb_digest_eq(&before, &after));
        struct sb_codec *other;
        fine(sb_codec_new(&other, &err));
        refused(sb_codec_read_change(other, body, arena, &got, NULL, &err), SB_E_SCHEMA_INVALID);
        sb_codec_free(other);
    }
}
END_TEST

/* -- fixed kinds
 * --------------------------------------------------------------------------------------------- */

static struct sb_open sample_open(void)
{
    return (struct sb_open){.epoch = 1,
        .incarnation = {{1, 2, 3}},
        .start_lsn = UINT64_MAX,
        .base_commit_lsn = 3,
        .base_sequence = 4,
        .base_chain = {{5}},
        .hole_from_lsn = 6,
        .system_identifier = UINT64_C(0xf000000000000007),
        .timeline = UINT32_MAX,
        .database_oid = UINT32_C(0x80000000),
        .source_uuid = {{8}},
        .server_version_num = 180000,
        .opened_us = -1,
        .program = sb_view_str("switchback 0.1.0")};
}

/* All but the program; field by field, because the padding between them may hold anything. */
static bool same_open(const struct sb_open *a, const struct sb_open *b)
{
    return a->epoch == b->epoch && memcmp(&a->incarnation, &b->incarnation, sizeof a->incarnation) == 0 &&
           a->start_lsn == b->start_lsn && a->base_commit_lsn == b->base_commit_lsn &&
           a->base_sequence == b->base_sequence && sb_digest_eq(&a->base_chain, &b->base_chain) &&
           a->hole_from_lsn == b->hole_from_lsn && a->system_identifier == b->system_identifier &&
           a->timeline == b->timeline && a->database_oid == b->database_oid &&
           memcmp(&a->source_uuid, &b->source_uuid, sizeof a->source_uuid) == 0 &&
           a->server_version_num == b->server_version_num && a->opened_us == b->opened_us;
}

START_TEST(fixed_kinds_come_back)
{
    struct sb_view body;
    struct sb_open open = sample_open(), got_open;
    fine(sb_codec_open(codec, &open, &body, &err));
    fine(sb_codec_read_open(codec, body, arena, &got_open, &err));
    ck_assert(sb_view_eq(open.program, got_open.program));
    ck_assert_int_eq(got_open.program.ptr[got_open.program.len], 0);
    ck_assert(same_open(&open, &got_open));
    struct sb_commit commit = {UINT64_MAX, 2, 3, INT64_MIN, 5, {{6}}, {{7}}}, got_commit;
    fine(sb_codec_commit(codec, &commit, &body, &err));
    fine(sb_codec_read_commit(codec, body, &got_commit, &err));
    ck_assert_mem_eq(&commit, &got_commit, sizeof commit);
    static const struct sb_view contents[] = {{"", 0}, {NULL, 0}, {"\0\xff\0", 3}, {"text", 4}};
    for (size_t i = 0; i < 4; i++) {
        struct sb_message msg = {i % 2 == 0 ? sb_view_str("switchback.marker") : sb_view_str("\xe4"),
                              contents[i], 9},
                          got;
        fine(sb_codec_message(codec, &msg, &body, &err));
        fine(sb_codec_read_message(codec, body, arena, &got, &err));
        ck_assert(sb_view_eq(msg.prefix, got.prefix) && sb_view_eq(msg.content, got.content));
        ck_assert_uint_eq(got.lsn, 9);
    }
}
END_TEST

START_TEST(a_commit_is_what_avro_writes)
{
    static const int64_t longs[] = {0, 1, -1, 63, 64, -64, -65, INT32_MAX, INT64_MAX, INT64_MIN};
    enum { COUNT = sizeof longs / sizeof *longs };
    avro_value_t value = generic(sb_avsc_commit, strlen(sb_avsc_commit)), got;
    for (size_t i = 0; i < COUNT; i++) {
        struct sb_commit commit = {.commit_lsn = (uint64_t)longs[i],
            .end_lsn = (uint64_t)longs[(i + 1) % COUNT],
            .xid = (uint64_t)longs[(i + 2) % COUNT],
            .commit_us = longs[(i + 3) % COUNT],
            .count = (uint64_t)longs[(i + 4) % COUNT]};
        memset(commit.digest.bytes, (int)i, sizeof commit.digest.bytes);
        memset(commit.chain.bytes, 0xf0 + (int)i, sizeof commit.chain.bytes);
        struct sb_view body;
        fine(sb_codec_commit(codec, &commit, &body, &err));
        ck_assert(generic_read(&value, body));
        int64_t whole;
        got = field(&value, "commit_us");
        ck_assert_int_eq(avro_value_get_long(&got, &whole), 0);
        ck_assert_int_eq(whole, commit.commit_us);
        ck_assert(sb_view_eq(generic_write(&value, SB_SCHEMA_ID_COMMIT), body));
    }
    avro_value_decref(&value);
}
END_TEST

/* -- ids and schemas
 * ----------------------------------------------------------------------------------------- */

START_TEST(ids_are_made_from_content_and_stay)
{
    struct sb_relation *rel = sample_relation(arena, 'd'), *same = sample_relation(arena, 'd');
    struct sb_view body = known(rel), again = known(same);
    ck_assert_uint_eq(rel->schema_id, same->schema_id);
    ck_assert(sb_view_eq(body, again));
    ck_assert_uint_ge(rel->schema_id, SB_SCHEMA_ID_FIRST);
    ck_assert_uint_le(rel->schema_id, INT32_MAX);
    /* Frozen with format 1. If this moves, every stream gets its schemas anew. */
    struct sb_relation *golden = sample_wide_relation(arena, 3);
    known(golden);
    ck_assert_uint_eq(golden->schema_id, 51457064);
    uint32_t seen[9] = {rel->schema_id};
    for (int i = 1; i < 9; i++) {
        struct sb_relation *other = sample_relation(arena, i == 1 ? 'i' : 'd');
        if (i == 2)
            other->name = sb_view_str("sample");
        if (i == 3)
            other->schema = sb_view_str("publi");
        if (i == 4)
            other->cols[3].typmod = 77;
        if (i == 5)
            other->cols[15].type_oid++;
        if (i == 6)
            other->cols[1].key = true;
        if (i == 7)
            other->cols[1].type_name = sb_view_str("x");
        if (i == 8)
            other->col_count--;
        known(other);
        seen[i] = other->schema_id;
        for (int j = 0; j < i; j++)
            ck_assert_uint_ne(seen[i], seen[j]);
    }
}
END_TEST

START_TEST(a_reader_learns_what_the_writer_knew)
{
    struct sb_relation *rel = sample_relation(arena, 'i');
    const struct sb_relation *got, *again;
    struct sb_codec *other;
    struct sb_view body = known(rel);
    fine(sb_codec_new(&other, &err));
    ck_assert_ptr_null(sb_codec_find(other, rel->schema_id));
    fine(sb_codec_learn(other, body, &got, &err));
    fine(sb_codec_learn(other, body, &again, &err));
    fine(sb_codec_learn(other, body, NULL, &err));
    ck_assert_ptr_eq(got, again);
    ck_assert_ptr_eq(got, sb_codec_find(other, rel->schema_id));
    ck_assert_uint_eq(got->oid, rel->oid);
    ck_assert_int_eq(got->identity, 'i');
    for (uint16_t i = 0; i < rel->col_count; i++) {
        ck_assert_uint_eq(got->cols[i].type_oid, rel->cols[i].type_oid);
        ck_assert_int_eq(got->cols[i].typmod, rel->cols[i].typmod);
        ck_assert_int_eq(got->cols[i].key, rel->cols[i].key);
    }
    struct sb_view relearned; /* the next incarnation of the writer */
    rel->schema_id = 0;
    fine(sb_codec_relation(other, rel, &relearned, &err));
    ck_assert(sb_view_eq(relearned, body));
    sb_codec_free(other);
}
END_TEST

/* The schema record of rel, claiming another id. */
static struct sb_view with_id(struct sb_view body, uint32_t id)
{
    avro_value_t value = generic(sb_avsc_schema, strlen(sb_avsc_schema)), got;
    ck_assert(generic_read(&value, body));
    got = field(&value, "schema_id");
    avro_value_set_long(&got, id);
    struct sb_view changed = generic_write(&value, SB_SCHEMA_ID_SCHEMA);
    avro_value_decref(&value);
    return changed;
}

START_TEST(a_collision_moves_to_the_next_free_id)
{
    struct sb_relation *a = sample_wide_relation(arena, 3), *b = sample_wide_relation(arena, 4);
    struct sb_codec *other;
    struct sb_view body_a = known(a), body_b = known(b), body;
    fine(sb_codec_new(&other, &err));
    fine(sb_codec_learn(other, with_id(body_b, a->schema_id), NULL, &err));
    refused(sb_codec_learn(other, body_a, NULL, &err), SB_E_SCHEMA_MISMATCH);
    uint32_t home = a->schema_id;
    fine(sb_codec_relation(other, a, &body, &err));
    ck_assert_uint_eq(a->schema_id, home + 2);
    fine(sb_codec_relation(other, a, &body, &err));
    ck_assert_uint_eq(a->schema_id, home + 2);
    ck_assert_uint_eq(sb_codec_find(other, home)->col_count, 4);
    ck_assert_uint_eq(sb_codec_find(other, home + 2)->col_count, 3);
    sb_codec_free(other);
    ck_assert_uint_eq(sb_shape_next_id(INT32_MAX - 1), SB_SCHEMA_ID_FIRST);
}
END_TEST

START_TEST(schema_records_that_do_not_hold_are_refused)
{
    struct sb_relation *rel = sample_relation(arena, 'd');
    struct sb_view body = known(rel), names[] = {sb_view_str("envelope"), sb_view_str("key")};
    static const uint32_t ids[] = {0, 1, 5, 1023, 1025, UINT32_C(0x80000000), UINT32_MAX};
    struct sb_codec *other;
    fine(sb_codec_new(&other, &err));
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        refused(sb_codec_learn(other, with_id(body, ids[i]), NULL, &err), SB_E_SCHEMA_INVALID);
    avro_value_t value = generic(sb_avsc_schema, strlen(sb_avsc_schema)), got;
    static const char *const jsons[] = {
        "", "{", "\"string\"", "[[[[[[[[[[[[[[", "{\"type\":\"record\",\"type\":\"record\"}"};
    for (size_t i = 0; i < 2 * sizeof jsons / sizeof *jsons; i++) {
        ck_assert(generic_read(&value, body));
        got = field(&value, names[i % 2].ptr);
        avro_value_set_string(&got, jsons[i / 2]);
        refused(sb_codec_learn(other, generic_write(&value, 2), NULL, &err), SB_E_SCHEMA_INVALID);
    }
    ck_assert(generic_read(&value, body)); /* another twin than the schemas tell of */
    avro_value_t columns = field(&value, "columns"), column;
    avro_value_get_by_index(&columns, 0, &column, NULL);
    got = field(&column, "twin");
    avro_value_set_string(&got, "int8");
    refused(sb_codec_learn(other, generic_write(&value, 2), NULL, &err), SB_E_SCHEMA_INVALID);
    avro_value_set_string(&got, "decimal"); /* of a later version */
    refused(sb_codec_learn(other, generic_write(&value, 2), NULL, &err), SB_E_VALUE_INVALID);
    avro_value_decref(&value);
    for (size_t len = 0; len < body.len; len++) {
        char *cut = malloc(len == 0 ? 1 : len);
        memcpy(cut, body.ptr, len);
        refused(sb_codec_learn(other, sb_view(cut, len), NULL, &err),
            len < 5 ? SB_E_LOG_CORRUPT : SB_E_VALUE_INVALID);
        free(cut);
    }
    ck_assert_ptr_null(sb_codec_find(other, rel->schema_id));
    sb_codec_free(other);
}
END_TEST

/* -- damage
 * -------------------------------------------------------------------------------------------------- */

static bool named(enum sb_code code)
{
    return code == SB_E_VALUE_INVALID || code == SB_E_SCHEMA_INVALID || code == SB_E_LOG_CORRUPT ||
           code == SB_E_LIMIT || code == SB_E_SCHEMA_MISMATCH || code == SB_E_ENCODING;
}

/* Whatever a body is, reading it as any kind gives a named error or a value. -1 or 0 of read_change. */
static int read_all(struct sb_view body)
{
    struct sb_arena *scratch = sb_arena_new("scratch", 4 << 20);
    struct sb_change chg;
    struct sb_commit commit;
    struct sb_message msg;
    struct sb_open open;
    int results[] = {sb_codec_read_commit(codec, body, &commit, &err), 0, 0, 0, 0};
    ck_assert(results[0] == 0 || named(err.code));
    results[1] = sb_codec_read_message(codec, body, scratch, &msg, &err);
    ck_assert(results[1] == 0 || named(err.code));
    results[2] = sb_codec_read_open(codec, body, scratch, &open, &err);
    ck_assert(results[2] == 0 || named(err.code));
    results[3] = sb_codec_learn(codec, body, NULL, &err);
    ck_assert(results[3] == 0 || named(err.code));
    results[4] = sb_codec_read_change(codec, body, scratch, &chg, NULL, &err);
    ck_assert(results[4] == 0 || named(err.code));
    if (results[4] == 0) /* a value it is: it must survive another journey */
        digest_of(&chg);
    sb_arena_free(scratch);
    return results[4];
}

static void damage(struct sb_view body, unsigned long step)
{
    char *copy = malloc(body.len + 1);
    memcpy(copy, body.ptr, body.len);
    for (size_t bit = 0; bit < 8 * body.len; bit += step) {
        copy[bit / 8] ^= (char)(1 << bit % 8);
        read_all(sb_view(copy, body.len));
        copy[bit / 8] ^= (char)(1 << bit % 8);
    }
    copy[body.len] = 0;
    struct sb_change chg;
    ck_assert_msg(sb_codec_read_change(codec, sb_view(copy, body.len + 1), arena, &chg, NULL, &err) == -1,
        "a byte behind the body was accepted");
    free(copy);
}

START_TEST(cut_bodies_are_refused_at_every_byte)
{
    struct sample_rng rng = {5};
    struct sb_relation *rel = sample_relation(arena, 'd');
    known(rel);
    for (int i = 0; i < 30; i++) {
        struct sb_change chg = sample_change(&rng, rel, arena);
        struct sb_view body = encode(&chg);
        for (size_t len = 0; len < body.len; len++) {
            char *cut = malloc(len == 0 ? 1 : len);
            memcpy(cut, body.ptr, len);
            ck_assert_int_eq(read_all(sb_view(cut, len)), -1);
            free(cut);
        }
    }
}
END_TEST

typedef int reader(struct sb_view body);

static int read_open(struct sb_view body)
{
    struct sb_open open;
    return sb_codec_read_open(codec, body, arena, &open, &err);
}

static int read_commit(struct sb_view body)
{
    struct sb_commit commit;
    return sb_codec_read_commit(codec, body, &commit, &err);
}

static int read_message(struct sb_view body)
{
    struct sb_message msg;
    return sb_codec_read_message(codec, body, arena, &msg, &err);
}

static int read_schema(struct sb_view body)
{
    return sb_codec_learn(codec, body, NULL, &err);
}

static int read_change(struct sb_view body)
{
    struct sb_change chg;
    return sb_codec_read_change(codec, body, arena, &chg, NULL, &err);
}

/* By its own reader: cut at every byte, and with one byte more. */
static void cut_and_longer(struct sb_view body, reader *read)
{
    ck_assert_msg(read(body) == 0, "%s", err.text);
    for (size_t len = 0; len <= body.len + 1; len++) {
        if (len == body.len)
            continue;
        char *copy = calloc(1, len == 0 ? 1 : len); /* exactly as long: the sanitizer sees a read past it */
        memcpy(copy, body.ptr, len < body.len ? len : body.len);
        refused(read(sb_view(copy, len)), len < 5 ? SB_E_LOG_CORRUPT : SB_E_VALUE_INVALID);
        free(copy);
    }
}

START_TEST(fixed_kinds_cut_or_longer_are_refused)
{
    struct sb_relation *rel = sample_wide_relation(arena, 2);
    struct sb_view body, schema = known(rel);
    struct sb_open open = sample_open();
    struct sb_commit commit = {.commit_lsn = UINT64_MAX, .count = 2};
    struct sb_message msg = {sb_view_str("prefix"), sb_view_str("content"), 9};
    const struct sb_relation *tables[] = {rel, rel};
    struct sb_change truncate = {.op = SB_OP_TRUNCATE, .truncated = tables, .truncated_count = 2};
    fine(sb_codec_open(codec, &open, &body, &err));
    cut_and_longer(keep(body), read_open);
    fine(sb_codec_commit(codec, &commit, &body, &err));
    cut_and_longer(keep(body), read_commit);
    fine(sb_codec_message(codec, &msg, &body, &err));
    cut_and_longer(keep(body), read_message);
    cut_and_longer(encode(&truncate), read_change);
    cut_and_longer(schema, read_schema);
}
END_TEST

START_TEST(flipped_bits_never_crash)
{
    struct sample_rng rng = {6};
    struct sb_relation *rel = sample_relation(arena, 'd');
    struct sb_view schema = known(rel), body;
    for (int i = 0; i < 10; i++) {
        struct sb_change chg = sample_change(&rng, rel, arena);
        damage(encode(&chg), 1);
    }
    const struct sb_relation *tables[] = {rel, rel};
    struct sb_change truncate = {.op = SB_OP_TRUNCATE, .truncated = tables, .truncated_count = 2};
    damage(encode(&truncate), 1);
    struct sb_open open = sample_open();
    fine(sb_codec_open(codec, &open, &body, &err));
    damage(keep(body), 1);
    struct sb_commit commit = {.commit_lsn = 1, .count = 2};
    fine(sb_codec_commit(codec, &commit, &body, &err));
    damage(keep(body), 1);
    struct sb_message msg = {sb_view_str("prefix"), sb_view_str("content"), 9};
    fine(sb_codec_message(codec, &msg, &body, &err));
    damage(keep(body), 1);
    damage(schema, 37);
}
END_TEST

START_TEST(lengths_counts_and_branches_are_not_believed)
{
    struct sb_relation *rel = sample_wide_relation(arena, 2);
    known(rel);
    unsigned char header[5] = {0, (unsigned char)(rel->schema_id >> 24),
        (unsigned char)(rel->schema_id >> 16), (unsigned char)(rel->schema_id >> 8),
        (unsigned char)rel->schema_id};
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
#define BYTES(text) {text, sizeof text - 1}
        BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),         /* a varint of 11 bytes */
        BYTES("\x00\x02\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02"),     /* of 65 bits */
        BYTES("\x06"),                                                 /* branch 3 of before */
        BYTES("\x01"),                                                 /* branch -1 */
        BYTES("\x00\x04"),                                             /* branch 2 of after */
        BYTES("\x00\x02\x08"),                                         /* branch 4 of a column */
        BYTES("\x00\x02\x02\x01"),                                     /* text of length -1 */
        BYTES("\x00\x02\x02\xfe\xff\xff\xff\x0f"),                     /* of 2^31 - 1 */
        BYTES("\x00\x02\x02\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* of 2^63 - 1 */
        BYTES("\x00\x02\x02\x02\x00"),                                 /* a NUL in text */
        BYTES("\x00\x02\x06\x02"),                                     /* the enum's second symbol */
        BYTES("\x00\x02\x00\x04\x04"),                                 /* branch 2 in a text record */
        BYTES("\x00\x02\x00\x02\x80\x80\x80\x80\x20"),                 /* an int beyond 32 bits */
    };
    struct sb_change chg;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *body = malloc(5 + rows[i].len);
        memcpy(body, header, 5);
        memcpy(body + 5, rows[i].bytes, rows[i].len);
        refused(sb_codec_read_change(codec, sb_view(body, 5 + rows[i].len), arena, &chg, NULL, &err),
            SB_E_VALUE_INVALID);
        free(body);
    }
    static const struct {
        const char *bytes;
        size_t len;
    } arrays[] = {
        BYTES("\0\0\0\0\5\x80\x80\x80\x80\x80\x80\x80\x80\x40"),         /* 2^61 items */
        BYTES("\0\0\0\0\5\x01\x00"),                                     /* -1 items in 0 bytes */
        BYTES("\0\0\0\0\5\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"), /* -2^63 items */
        BYTES("\0\0\0\0\5\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* a block of -2^63 bytes */
        BYTES("\0\0\0\0\5"),
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        refused(sb_codec_read_change(codec, sb_view(arrays[i].bytes, arrays[i].len), arena, &chg, NULL, &err),
            SB_E_VALUE_INVALID);
#undef BYTES
}
END_TEST

START_TEST(twins_out_of_range_are_refused)
{
    struct sb_relation *rel = sample_relation(arena, 'd');
    known(rel);
    static const struct {
        const char *column;
        int64_t value;
    } wrong[] = {{"c4_x20int2", 32768}, {"c9_x20date", 2932897}, {"c10_x20timestamp", INT64_MIN},
        {"c11_x20timestamptz", INT64_MAX}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        avro_value_t value = generic_of(rel), got = field(&value, "after"), row, branch;
        avro_value_set_branch(&got, 1, &row);
        for (size_t c = 0; c < rel->col_count; c++) {
            avro_value_get_by_index(&row, c, &got, NULL);
            avro_value_set_branch(&got, 0, &branch);
        }
        got = field(&row, wrong[i].column);
        avro_value_set_branch(&got, 1, &branch);
        if (avro_value_get_type(&branch) == AVRO_INT32)
            avro_value_set_int(&branch, (int32_t)wrong[i].value);
        else
            avro_value_set_long(&branch, wrong[i].value);
        got = field(&value, "before");
        avro_value_set_branch(&got, 0, &branch);
        avro_value_t source = field(&value, "source");
        got = field(&source, "schema");
        avro_value_set_string(&got, "public");
        got = field(&source, "table");
        avro_value_set_string(&got, "samples");
        got = field(&value, "op");
        avro_value_set_string(&got, "c");
        struct sb_change chg;
        refused(sb_codec_read_change(codec, generic_write(&value, rel->schema_id), arena, &chg, NULL, &err),
            SB_E_VALUE_INVALID);
        ck_assert_msg(
            strstr(err.text, "column c") != NULL, "the error does not name the column: %s", err.text);
        got = field(&row, wrong[i].column); /* and without the wrong value it is a change */
        avro_value_set_branch(&got, 0, &branch);
        fine(sb_codec_read_change(codec, generic_write(&value, rel->schema_id), arena, &chg, NULL, &err));
        got = field(&source, "table"); /* but not of another table */
        avro_value_set_string(&got, "simples");
        refused(sb_codec_read_change(codec, generic_write(&value, rel->schema_id), arena, &chg, NULL, &err),
            SB_E_VALUE_INVALID);
        avro_value_decref(&value);
    }
}
END_TEST

START_TEST(unknown_ids_and_kinds_are_refused)
{
    struct sb_relation *rel = sample_wide_relation(arena, 2);
    struct sb_view schema = known(rel), body;
    struct sb_change chg;
    struct sb_commit commit = {0};
    uint32_t id;
    refused(sb_codec_schema_id(sb_view("\1\0\0\0\1", 5), &id, &err), SB_E_LOG_CORRUPT);
    refused(sb_codec_schema_id(sb_view("\0\0\0\1", 4), &id, &err), SB_E_LOG_CORRUPT);
    refused(sb_codec_schema_id(sb_view(NULL, 0), &id, &err), SB_E_LOG_CORRUPT);
    refused(
        sb_codec_read_change(codec, sb_view("\0\0\0\7\7x", 6), arena, &chg, NULL, &err), SB_E_SCHEMA_INVALID);
    refused(sb_codec_read_change(codec, schema, arena, &chg, NULL, &err), SB_E_SCHEMA_INVALID);
    refused(sb_codec_read_commit(codec, schema, &commit, &err), SB_E_SCHEMA_INVALID);
    fine(sb_codec_commit(codec, &commit, &body, &err));
    refused(sb_codec_learn(codec, body, NULL, &err), SB_E_SCHEMA_INVALID);
}
END_TEST

START_TEST(a_full_arena_says_so)
{
    struct sb_relation *rel = sample_wide_relation(arena, 2);
    struct sb_value row[] = {{SB_COL_TEXT, {"0123456789", 10}}, {SB_COL_TEXT, {"1", 1}}};
    struct sb_change chg = {.op = SB_OP_INSERT, .rel = rel, .after = row}, got;
    known(rel);
    struct sb_view body = encode(&chg);
    for (size_t max = 0; max < 90; max++) {
        struct sb_arena *small = sb_arena_new("small", max);
        if (sb_codec_read_change(codec, body, small, &got, NULL, &err) < 0)
            ck_assert_int_eq(err.code, SB_E_LIMIT);
        else
            ck_assert_uint_ge(max, 48);
        sb_arena_free(small);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codec");
    TCase *tc = tcase_create("codec");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_value_comes_back);
    tcase_add_test(tc, random_changes_come_back_and_avro_reads_them);
    tcase_add_test(tc, the_envelope_has_the_field_names_of_debezium);
    tcase_add_test(tc, tables_of_no_and_of_1600_columns_work);
    tcase_add_test(tc, odd_names_come_back);
    tcase_add_test(tc, huge_values_come_back);
    tcase_add_test(tc, text_with_a_nul_is_refused);
    tcase_add_test(tc, rows_that_do_not_fit_their_op_are_refused);
    tcase_add_test(tc, the_key_names_the_old_row);
    tcase_add_test(tc, truncate_comes_back);
    tcase_add_test(tc, fixed_kinds_come_back);
    tcase_add_test(tc, a_commit_is_what_avro_writes);
    tcase_add_test(tc, ids_are_made_from_content_and_stay);
    tcase_add_test(tc, a_reader_learns_what_the_writer_knew);
    tcase_add_test(tc, a_collision_moves_to_the_next_free_id);
    tcase_add_test(tc, schema_records_that_do_not_hold_are_refused);
    tcase_add_test(tc, cut_bodies_are_refused_at_every_byte);
    tcase_add_test(tc, fixed_kinds_cut_or_longer_are_refused);
    tcase_add_test(tc, flipped_bits_never_crash);
    tcase_add_test(tc, lengths_counts_and_branches_are_not_believed);
    tcase_add_test(tc, twins_out_of_range_are_refused);
    tcase_add_test(tc, unknown_ids_and_kinds_are_refused);
    tcase_add_test(tc, a_full_arena_says_so);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
