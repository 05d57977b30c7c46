#include "tests/samples/samples.h"

#include "schemas/twin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* xorshift64* */
uint64_t sample_next(struct sample_rng *rng)
{
    rng->state ^= rng->state >> 12;
    rng->state ^= rng->state << 25;
    rng->state ^= rng->state >> 27;
    return rng->state * UINT64_C(2685821657736338717);
}

uint64_t sample_below(struct sample_rng *rng, uint64_t limit)
{
    return (sample_next(rng) >> 11) % limit;
}

static const struct sample_text bools[] = {
    {"t", true}, {"f", true}, {"true", false}, {"", false}, {"T", false}, {NULL, false}};
static const struct sample_text int2s[] = {{"0", true}, {"-1", true}, {"32767", true}, {"-32768", true},
    {"32768", false}, {"-32769", false}, {"+1", false}, {"007", false}, {"-0", false}, {"-", false},
    {NULL, false}};
static const struct sample_text int4s[] = {{"0", true}, {"7", true}, {"2147483647", true},
    {"-2147483648", true}, {"2147483648", false}, {"-2147483649", false}, {" 1", false}, {"1 ", false},
    {"0x1", false}, {NULL, false}};
static const struct sample_text int8s[] = {{"0", true}, {"9223372036854775807", true},
    {"-9223372036854775808", true}, {"9223372036854775808", false}, {"-9223372036854775809", false},
    {"99999999999999999999", false}, {"18446744073709551616", false}, {NULL, false}};
static const struct sample_text float4s[] = {{"0", true}, {"-0", true}, {"1", true}, {"0.1", true},
    {"-1.5", true}, {"3.4028235e+38", true}, {"1e-45", true}, {"1.1754944e-38", true}, {"123456", true},
    {"1.234567e+06", true}, {"1e+06", true}, {"0.0001", true}, {"1e-05", true}, {"16777216", false},
    {"1.6777216e+07", true}, {"3.1415927", true}, {"NaN", true}, {"Infinity", true}, {"-Infinity", true},
    {"0.10", false}, {"1e400", false}, {"nan", false}, {"0x1p3", false}, {"inf", false}, {"100000", true},
    {NULL, false}};
static const struct sample_text float8s[] = {{"0", true}, {"-0", true}, {"1", true}, {"0.1", true},
    {"-123.456", true}, {"1e-300", true}, {"1e+300", true}, {"1.7976931348623157e+308", true},
    {"2.2250738585072014e-308", true}, {"5e-324", true}, {"100000000000000", true}, {"1e+15", true},
    {"123456789012345", true}, {"1.23456789012346e+15", true}, {"0.0001", true}, {"1e-05", true},
    {"0.30000000000000004", true}, {"3.141592653589793", true}, {"2.718281828459045", true},
    {"9007199254740993", false}, {"NaN", true}, {"-NaN", false}, {"Infinity", true}, {"-Infinity", true},
    {"1e+400", false}, {"1.0", false}, {"01", false}, {"1e5", false}, {"", false}, {"1,5", false},
    {NULL, false}};
static const struct sample_text byteas[] = {{"\\x", true}, {"\\x00", true}, {"\\xdeadbeef", true},
    {"\\xDEADBEEF", false}, {"\\x0", false}, {"\\x0g", false}, {"\\", false}, {"", false},
    {"abc\\\\000", false}, {NULL, false}};
static const struct sample_text dates[] = {{"2026-11-24", true}, {"0001-01-01", true}, {"9999-12-31", true},
    {"1970-01-01", true}, {"1969-12-31", true}, {"2000-02-29", true}, {"1900-02-29", false},
    {"2023-02-29", false}, {"infinity", false}, {"-infinity", false}, {"0001-12-31 BC", false},
    {"10000-01-01", false}, {"5874897-12-31", false}, {"0000-01-01", false}, {"2026-13-01", false},
    {"2026-00-10", false}, {"2026-1-1", false}, {"24/11/2026", false}, {NULL, false}};
static const struct sample_text timestamps[] = {{"2026-11-24 03:27:01", true},
    {"2026-11-24 03:27:01.5", true}, {"2026-11-24 03:27:01.123456", true},
    {"1969-12-31 23:59:59.999999", true}, {"0001-01-01 00:00:00", true}, {"9999-12-31 23:59:59.999999", true},
    {"2026-11-24 03:27:01.50", false}, {"2026-11-24 03:27:01.", false}, {"2026-11-24 24:00:00", false},
    {"2026-11-24 03:60:00", false}, {"2026-11-24 03:27:60", false}, {"2026-11-24T03:27:01", false},
    {"2026-11-24 03:27:01.1234567", false}, {"infinity", false}, {"0044-03-15 12:00:00 BC", false},
    {"294276-12-31 23:59:59.999999", false}, {"2026-11-24", false}, {"2026-11-24 03:27:01+00", false},
    {NULL, false}};
static const struct sample_text timestamptzs[] = {{"2026-11-24 03:27:01+00", true},
    {"1816-01-01 00:00:00.000001+00", true}, {"2026-11-24 03:27:01.5+00", true},
    {"2026-11-24 03:27:01+05:30", false}, {"2026-11-24 03:27:01", false}, {"2026-11-24 03:27:01-00", false},
    {"+00", false}, {"infinity", false}, {"-infinity", false}, {"0044-03-15 12:00:00+00 BC", false},
    {NULL, false}};
static const struct sample_text uuids[] = {{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", true},
    {"00000000-0000-0000-0000-000000000000", true}, {"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", false},
    {"a0eebc999c0b4ef8bb6d6bb9bd380a11", false}, {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g", false},
    {NULL, false}};
static const struct sample_text texts[] = {{"", true}, {"plain", true}, {"quote \" and \\ and '", true},
    {"line\nfeed\ttab\r", true}, {"gr\xc3\xbc\xc3\x9f", true}, {"\xe2\x82\xac 5", true},
    {"\xf0\x9f\x90\x98", true}, {"latin1 \xfc\xdf", false}, {"\xff\xfe", false}, {"\xc0\x80", false},
    {"\xed\xa0\x80", false}, {"NULL", true}, {"\\N", true}, {"\x01\x7f", true}, {"1234567", true},
    {"12345678", true}, {"123456789", true}, {NULL, false}};
static const struct sample_text numerics[] = {{"NaN", true}, {"Infinity", true}, {"-Infinity", true},
    {"0", true}, {"1.10", true}, {"1.1000000000000000000000000000000000000000", true},
    {"-123456789012345678901234567890.5", true}, {"0.000000000000000000000000000000000001", true},
    {NULL, false}};
static const struct sample_text times[] = {
    {"24:00:00", true}, {"00:00:00", true}, {"23:59:59.999999", true}, {NULL, false}};
static const struct sample_text others[] = {{"{1,NULL,\"a,b\"}", true}, {"[0:1]={1,2}", true},
    {"{\"a\": [1, null]}", true}, {"(1,\"x\"\"y\")", true}, {"-178000000 years", true}, {"[1,10)", true},
    {NULL, false}};

const struct sample_type sample_types[] = {
    {"pg_catalog.int4", 23, int4s},
    {"pg_catalog.text", 25, texts},
    {"pg_catalog.uuid", 2950, uuids},
    {"pg_catalog.bool", 16, bools},
    {"pg_catalog.int2", 21, int2s},
    {"pg_catalog.int8", 20, int8s},
    {"pg_catalog.float4", 700, float4s},
    {"pg_catalog.float8", 701, float8s},
    {"pg_catalog.bytea", 17, byteas},
    {"pg_catalog.date", 1082, dates},
    {"pg_catalog.timestamp", 1114, timestamps},
    {"pg_catalog.timestamptz", 1184, timestamptzs},
    {"pg_catalog.numeric", 1700, numerics},
    {"pg_catalog.time", 1083, times},
    {"pg_catalog.varchar", 1043, texts},
    {"public.Mood \"x\"", 16501, others},
    {NULL, 0, NULL},
};

static struct sb_view keep(struct sb_arena *arena, const char *text, size_t len)
{
    struct sb_view copy;
    if (!sb_arena_dup(arena, sb_view(text, len), &copy))
        abort();
    return copy;
}

static struct sb_relation *new_relation(struct sb_arena *arena, uint16_t count)
{
    struct sb_relation *rel = sb_arena_zalloc(arena, sizeof *rel);
    struct sb_column *cols = sb_arena_zalloc(arena, (count + 1u) * sizeof *cols);
    if (rel == NULL || cols == NULL)
        abort();
    *rel = (struct sb_relation){.oid = 16384,
        .schema = sb_view_str("public"),
        .name = sb_view_str("samples"),
        .identity = 'd',
        .col_count = count,
        .cols = cols};
    return rel;
}

struct sb_relation *sample_relation(struct sb_arena *arena, char identity)
{
    uint16_t count = 0;
    while (sample_types[count].name != NULL)
        count++;
    struct sb_relation *rel = new_relation(arena, count);
    rel->identity = identity;
    for (uint16_t i = 0; i < count; i++) {
        char name[32];
        int len = snprintf(name, sizeof name, "c%u %s", i, strchr(sample_types[i].name, '.') + 1);
        rel->cols[i] = (struct sb_column){.name = keep(arena, name, (size_t)len),
            .type_name = sb_view_str(sample_types[i].name),
            .type_oid = sample_types[i].oid,
            .typmod = i % 2 == 0 ? -1 : i,
            .key = identity == 'f' || i == 0 || i == 2};
    }
    return rel;
}

struct sb_relation *sample_wide_relation(struct sb_arena *arena, uint16_t count)
{
    struct sb_relation *rel = new_relation(arena, count);
    for (uint16_t i = 0; i < count; i++) {
        char name[32];
        int len = snprintf(name, sizeof name, "column_%u", i);
        rel->cols[i] = (struct sb_column){.name = keep(arena, name, (size_t)len),
            .type_name = sb_view_str(i % 2 == 0 ? "pg_catalog.text" : "pg_catalog.int4"),
            .type_oid = i % 2 == 0 ? 25 : 23,
            .typmod = -1,
            .key = i == 0};
    }
    return rel;
}

/* A text made on the spot, in the server's form or near it. */
static struct sb_view random_text(struct sample_rng *rng, uint32_t type_oid, struct sb_arena *arena)
{
    char text[512];
    enum sb_twin twin = sb_twin_of_type(type_oid);
    uint64_t bits = sample_next(rng) >> sample_below(rng, 64);
    size_t len = 0;
    if (twin == SB_TWIN_FLOAT4 || twin == SB_TWIN_FLOAT8) {
        double value;
        float single;
        uint32_t low = (uint32_t)sample_next(rng);
        bits = sample_next(rng);
        memcpy(&value, &bits, sizeof value);
        memcpy(&single, &low, sizeof single);
        if (sample_below(rng, 2) == 0) { /* such as prices are */
            value = (double)(bits % 10000000) / 100;
            single = (float)value;
        }
        len = sb_twin_format_double(twin, twin == SB_TWIN_FLOAT4 ? (double)single : value, text);
    } else if (twin != SB_TWIN_TEXT && twin != SB_TWIN_BYTEA && twin != SB_TWIN_UUID) {
        len = sb_twin_format_long(twin, (int64_t)(sample_below(rng, 2) == 0 ? bits : -bits), text);
    } else if (twin == SB_TWIN_BYTEA) {
        char bytes[200];
        size_t count = sample_below(rng, sizeof bytes);
        for (size_t i = 0; i < count; i++)
            bytes[i] = (char)sample_next(rng);
        sb_twin_format_bytea(sb_view(bytes, count), text);
        len = 2 + 2 * count;
    }
    if (len == 0) {
        len = sample_below(rng, sample_below(rng, 10) == 0 ? sizeof text : 20);
        for (size_t i = 0; i < len; i++)
            text[i] = (char)(1 + sample_below(rng, sample_below(rng, 20) == 0 ? 255 : 126));
    }
    return keep(arena, text, len);
}

static struct sb_view sample_text(struct sample_rng *rng, const struct sb_column *col, struct sb_arena *arena)
{
    for (const struct sample_type *type = sample_types; type->name != NULL; type++) {
        if (type->oid != col->type_oid || sample_below(rng, 2) == 0)
            continue;
        size_t count = 0;
        while (type->texts[count].text != NULL)
            count++;
        const char *text = type->texts[sample_below(rng, count)].text;
        return keep(arena, text, strlen(text));
    }
    return random_text(rng, col->type_oid, arena);
}

static const struct sb_value *sample_row(
    struct sample_rng *rng, const struct sb_relation *rel, bool key_only, bool toast, struct sb_arena *arena)
{
    struct sb_value *row = sb_arena_zalloc(arena, rel->col_count * sizeof *row + 1);
    if (row == NULL)
        abort();
    for (uint16_t i = 0; i < rel->col_count; i++) {
        if (key_only && !rel->cols[i].key)
            row[i].state = SB_COL_ABSENT;
        else if (sample_below(rng, 8) == 0)
            row[i].state = SB_COL_NULL;
        else if (toast && sample_below(rng, 8) == 0)
            row[i].state = SB_COL_UNCHANGED;
        else
            row[i] = (struct sb_value){SB_COL_TEXT, sample_text(rng, &rel->cols[i], arena)};
    }
    return row;
}

struct sb_change sample_change(struct sample_rng *rng, const struct sb_relation *rel, struct sb_arena *arena)
{
    static const enum sb_op ops[] = {SB_OP_INSERT, SB_OP_UPDATE, SB_OP_DELETE};
    struct sb_change chg = {.op = ops[sample_below(rng, 3)], .rel = rel};
    bool old = chg.op == SB_OP_DELETE || (chg.op == SB_OP_UPDATE && sample_below(rng, 2) == 0);
    bool has_key = (rel->identity == 'd' || rel->identity == 'i') && rel->col_count > 0 && rel->cols[0].key;
    if (old) {
        chg.old_is_key = has_key && sample_below(rng, 4) != 0;
        chg.before = sample_row(rng, rel, chg.old_is_key, /* toast= */ false, arena);
    }
    if (chg.op != SB_OP_DELETE)
        chg.after = sample_row(rng, rel, /* key_only= */ false, chg.op == SB_OP_UPDATE, arena);
    return chg;
}
