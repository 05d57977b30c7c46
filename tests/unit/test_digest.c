#include "schemas/digest.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct sb_column cols[] = {
    {.name = {"id", 2}, .type_name = {"pg_catalog.int4", 15}, .type_oid = 23, .typmod = -1, .key = true},
    {.name = {"t", 1}, .type_name = {"pg_catalog.text", 15}, .type_oid = 25, .typmod = -1},
};
static const struct sb_relation rel = {
    .oid = 4711,
    .schema_id = 5,
    .schema = {"public", 6},
    .name = {"t", 1},
    .identity = 'd',
    .col_count = 2,
    .cols = cols,
};

static struct sb_value text(const char *value)
{
    return (struct sb_value){SB_COL_TEXT, sb_view_str(value)};
}

/* Canonical bytes by the header's letter, slowly: the oracle. */
static void put_view(struct sb_buf *buf, struct sb_view view)
{
    sb_buf_put_u32(buf, (uint32_t)view.len);
    sb_buf_put_view(buf, view);
}

static void put_row(struct sb_buf *buf, const struct sb_value *row, size_t count)
{
    sb_buf_put_u8(buf, row != NULL);
    if (row == NULL)
        return;
    sb_buf_put_u16(buf, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        sb_buf_put_u8(buf, (uint8_t)row[i].state);
        if (row[i].state == SB_COL_TEXT)
            put_view(buf, row[i].text);
    }
}

static void put_change(struct sb_buf *buf, uint64_t ordinal, const struct sb_change *chg)
{
    sb_buf_put_u8(buf, 'C');
    sb_buf_put_u64(buf, ordinal);
    sb_buf_put_u8(buf, (uint8_t)chg->op);
    put_view(buf, chg->rel->schema);
    put_view(buf, chg->rel->name);
    put_row(buf, chg->before, chg->rel->col_count);
    put_row(buf, chg->after, chg->rel->col_count);
}

START_TEST(digest_is_of_the_canonical_bytes)
{
    struct sb_buf buf SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&buf, 1 << 20);
    struct sb_digester *digester = sb_digester_new();
    char *large = malloc(100001);
    memset(large, 'x', 100000);
    large[100000] = '\0';
    static const size_t lens[] = {0, 1, 100, 2000, 2048, 2049, 4090, 4096, 5000, 100000};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct sb_value before[] = {text("1"), {SB_COL_ABSENT, {0}}};
        struct sb_value after[] = {text("2"), {SB_COL_TEXT, sb_view(large, lens[i])}};
        struct sb_value hole[] = {{SB_COL_NULL, {0}}, {SB_COL_UNCHANGED, {0}}};
        struct sb_change changes[] = {
            {.op = SB_OP_UPDATE, .rel = &rel, .before = before, .after = after, .old_is_key = true},
            {.op = SB_OP_INSERT, .rel = &rel, .after = after},
            {.op = SB_OP_UPDATE, .rel = &rel, .after = hole},
            {.op = SB_OP_DELETE, .rel = &rel, .before = after},
        };
        sb_digester_reset(digester);
        sb_buf_reset(&buf);
        for (size_t c = 0; c < 4; c++) {
            sb_digester_change(digester, c + 1, &changes[c]);
            put_change(&buf, c + 1, &changes[c]);
        }
        struct sb_message msg = {.prefix = {"p", 1}, .content = sb_view(large, lens[i]), .lsn = 99};
        sb_digester_message(digester, 5, &msg);
        sb_buf_put_u8(&buf, 'M');
        sb_buf_put_u64(&buf, 5);
        put_view(&buf, msg.prefix);
        put_view(&buf, msg.content);
        const struct sb_relation *tables[] = {&rel, &rel};
        struct sb_change truncate = {
            .op = SB_OP_TRUNCATE, .truncated = tables, .truncated_count = 2, .restart_identity = true};
        sb_digester_change(digester, 6, &truncate);
        sb_buf_put_u8(&buf, 'T');
        sb_buf_put_u64(&buf, 6);
        sb_buf_put_u8(&buf, 0);
        sb_buf_put_u8(&buf, 1);
        sb_buf_put_u16(&buf, 2);
        for (int t = 0; t < 2; t++) {
            put_view(&buf, rel.schema);
            put_view(&buf, rel.name);
        }
        struct sb_digest got = sb_digester_result(digester), want = sb_hash128(sb_buf_view(&buf));
        ck_assert(sb_digest_eq(&got, &want));
    }
    free(large);
    sb_digester_free(digester);
}
END_TEST

/* Frozen with format 1. If one of these moves, every retained stream is unreadable. */
START_TEST(digest_values_are_frozen)
{
    char hex[SB_DIGEST_TEXT_BYTES];
    struct sb_digester *digester = sb_digester_new();
    struct sb_digest digest = sb_digester_result(digester);
    ck_assert_str_eq(sb_digest_text(&digest, hex), "99aa06d3014798d86001c324468d497f"); /* of nothing */
    struct sb_value before[] = {text("1"), {SB_COL_ABSENT, {0}}};
    struct sb_value after[] = {text("2"), {SB_COL_NULL, {0}}};
    struct sb_change chg = {.op = SB_OP_UPDATE, .rel = &rel, .before = before, .after = after};
    sb_digester_change(digester, 1, &chg);
    struct sb_message msg = {.prefix = {"switchback.marker", 17}, .content = {"\0\377", 2}};
    sb_digester_message(digester, 2, &msg);
    digest = sb_digester_result(digester);
    ck_assert_str_eq(sb_digest_text(&digest, hex), "658f1f844ca83cf54266d58a5b4fbaae");
    struct sb_commit commit = {
        .commit_lsn = 0x16b374d848, .xid = 0x100000007, .count = 2, .digest = digest, .commit_us = 12345};
    struct sb_digest zero = {{0}};
    struct sb_digest chain = sb_digest_chain(&zero, &commit);
    ck_assert_str_eq(sb_digest_text(&chain, hex), "13d9d24ee8e525abe6b392603e85f750");
    ck_assert_uint_eq(sb_hash64(sb_view("switchback", 10)), UINT64_C(0x78d3b507dd90ef0));
    sb_digester_free(digester);
}
END_TEST

START_TEST(digest_ignores_what_is_not_the_source)
{
    struct sb_digester *digester = sb_digester_new();
    struct sb_relation other = rel;
    other.oid = 1;
    other.schema_id = 77;
    other.identity = 'f';
    struct sb_value after[] = {text("2"), {SB_COL_NULL, {0}}};
    struct sb_change a = {.op = SB_OP_INSERT, .rel = &rel, .after = after};
    struct sb_change b = {.op = SB_OP_INSERT, .rel = &other, .after = after};
    sb_digester_change(digester, 1, &a);
    struct sb_digest one = sb_digester_result(digester);
    sb_digester_reset(digester);
    sb_digester_change(digester, 1, &b);
    struct sb_digest two = sb_digester_result(digester);
    ck_assert(sb_digest_eq(&one, &two));
    sb_digester_reset(digester);
    sb_digester_change(digester, 2, &a); /* but the ordinal counts */
    two = sb_digester_result(digester);
    ck_assert(!sb_digest_eq(&one, &two));
    sb_digester_free(digester);
}
END_TEST

START_TEST(chain_ignores_wall_time_and_end)
{
    struct sb_commit a = {.commit_lsn = 1, .xid = 2, .count = 3}, b = a;
    struct sb_digest zero = {{0}};
    b.commit_us = 5;
    b.end_lsn = 6;
    b.chain.bytes[0] = 7;
    struct sb_digest one = sb_digest_chain(&zero, &a), two = sb_digest_chain(&zero, &b);
    ck_assert(sb_digest_eq(&one, &two));
    b.digest.bytes[15] = 1;
    two = sb_digest_chain(&zero, &b);
    ck_assert(!sb_digest_eq(&one, &two));
}
END_TEST

START_TEST(uuid_goes_both_ways)
{
    struct sb_uuid uuid, again;
    char out[SB_UUID_TEXT_BYTES];
    ck_assert(sb_uuid_parse("00112233-4455-6677-8899-AAbbccddeeff", &uuid));
    ck_assert_str_eq(sb_uuid_text(&uuid, out), "00112233-4455-6677-8899-aabbccddeeff");
    static const char *const bad[] = {"", "00112233-4455-6677-8899-aabbccddeef",
        "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeefff",
        "00112233-4455-6677-8899-aabbccddeefg", "0011223-34455-6677-8899-aabbccddeeff",
        "{0112233-4455-6677-8899-aabbccddeef}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!sb_uuid_parse(bad[i], &again), "\"%s\" was taken for a uuid", bad[i]);
    ck_assert(!sb_uuid_parse(NULL, &again));
    ck_assert(sb_uuid_random(&uuid) && sb_uuid_random(&again));
    ck_assert(!sb_uuid_eq(&uuid, &again));
    ck_assert_int_eq(sb_uuid_text(&uuid, out)[14], '4');
}
END_TEST

START_TEST(pieces_have_the_digest_of_the_whole)
{
    char bytes[5000];
    struct sb_hasher *hasher = sb_hasher_new();
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    for (size_t step = 1; step < sizeof bytes; step = step * 3 + 1) {
        sb_hasher_reset(hasher);
        for (size_t at = 0; at < sizeof bytes; at += step)
            sb_hasher_put(hasher, sb_view(bytes + at, at + step < sizeof bytes ? step : sizeof bytes - at));
        struct sb_digest whole = sb_hash128(sb_view(bytes, sizeof bytes)), pieces = sb_hasher_result(hasher);
        ck_assert(sb_digest_eq(&whole, &pieces));
    }
    sb_hasher_free(hasher);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("digest");
    TCase *tc = tcase_create("digest");
    tcase_add_test(tc, digest_is_of_the_canonical_bytes);
    tcase_add_test(tc, digest_values_are_frozen);
    tcase_add_test(tc, digest_ignores_what_is_not_the_source);
    tcase_add_test(tc, chain_ignores_wall_time_and_end);
    tcase_add_test(tc, uuid_goes_both_ways);
    tcase_add_test(tc, pieces_have_the_digest_of_the_whole);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
