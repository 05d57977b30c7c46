/* Parts: what was split is joined to the same bytes, for every size near a boundary; anything else is
 * refused. */
#include "schemas/digest.h"
#include "stream/parts.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 64, PARTS_MAX = 64 };

static char bytes[BODY_MAX];

static struct sb_frame whole_frame(void)
{
    return (struct sb_frame){.kind = SB_KIND_CHANGE,
        .lane = 0,
        .stream = {{3}},
        .epoch = 2,
        .sequence = 100,
        .commit_lsn = 500,
        .ordinal = 4,
        .xid = 77,
        .timeline = 1};
}

/* As they are written: a struct has padding, whose bytes are nobody's. */
static void assert_same_frame(const struct sb_frame *frame, const struct sb_frame *expected)
{
    unsigned char left[SB_FRAME_BYTES], right[SB_FRAME_BYTES];
    sb_frame_encode(frame, left);
    sb_frame_encode(expected, right);
    ck_assert_mem_eq(left, right, SB_FRAME_BYTES);
}

static unsigned split(size_t body_len, size_t record_max, struct sb_record out[PARTS_MAX])
{
    struct sb_frame frame = whole_frame();
    struct sb_view body = sb_view(bytes, body_len);
    unsigned count = sb_parts_count(body_len, record_max);
    ck_assert_uint_le(count, PARTS_MAX);
    for (unsigned i = 0; i < count; i++) {
        sb_parts_make(&frame, sb_view_str("key"), body, record_max, i, &out[i]);
        struct sb_err err;
        ck_assert_uint_le(out[i].body.len, record_max);
        ck_assert_int_eq(sb_frame_check_body(&out[i].frame, out[i].body, &err), 0);
        out[i].offset = 1000 + i;
    }
    return count;
}

START_TEST(every_size_comes_back_as_it_was)
{
    struct sb_err err;
    struct sb_joiner *joiner = sb_joiner_new(BODY_MAX);
    for (size_t len = 0; len <= BODY_MAX; len++)
        for (size_t max = 1; max <= BODY_MAX + 1; max++) {
            struct sb_record parts[PARTS_MAX], whole;
            unsigned count = split(len, max, parts);
            ck_assert_uint_eq(count, len == 0 ? 1 : (len + max - 1) / max);
            for (unsigned i = 0; i < count; i++) {
                ck_assert_uint_eq(parts[i].frame.sequence, 100 + i);
                ck_assert_int_eq(parts[i].frame.kind, count > 1 ? SB_KIND_PART : SB_KIND_CHANGE);
                ck_assert_int_eq(
                    sb_joiner_feed(joiner, &parts[i], &whole, &err), i + 1 < count ? SB_JOINER_MORE : 0);
            }
            ck_assert(sb_view_eq(whole.body, sb_view(bytes, len)));
            ck_assert(sb_view_eq_str(whole.key, "key"));
            struct sb_frame expected = whole_frame();
            expected.sequence = 100 + count - 1;
            expected.body_hash = sb_hash64(whole.body);
            assert_same_frame(&whole.frame, &expected);
            ck_assert_int_eq(whole.offset, 1000 + count - 1);
        }
    sb_joiner_free(joiner);
}
END_TEST

START_TEST(a_hash_computed_once_is_used)
{
    struct sb_frame frame = whole_frame();
    struct sb_record part, same;
    sb_parts_make(&frame, sb_view(NULL, 0), sb_view(bytes, 20), 8, 1, &part);
    frame.whole_hash = sb_hash64(sb_view(bytes, 20));
    sb_parts_make(&frame, sb_view(NULL, 0), sb_view(bytes, 20), 8, 1, &same);
    assert_same_frame(&part.frame, &same.frame);
    sb_parts_make(&frame, sb_view(NULL, 0), sb_view(bytes, 20), 20, 0, &same); /* whole: none */
    ck_assert_uint_eq(same.frame.whole_hash, 0);
}
END_TEST

/* Feed `order` (indices into parts; -1: an ordinary record) and expect the last one to be refused. */
static void expect_corrupt(const struct sb_record *parts, const int *order, size_t count)
{
    struct sb_err err;
    struct sb_record whole, other = {.frame = whole_frame()};
    struct sb_joiner *joiner = sb_joiner_new(BODY_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct sb_record *record = order[i] < 0 ? &other : &parts[order[i]];
        int result = sb_joiner_feed(joiner, record, &whole, &err);
        ck_assert_int_eq(result, i + 1 < count ? SB_JOINER_MORE : -1);
    }
    ck_assert_int_eq(err.code, SB_E_LOG_CORRUPT);
    sb_joiner_free(joiner);
}

START_TEST(missing_repeated_and_reordered_parts_are_corrupt)
{
    struct sb_record parts[PARTS_MAX];
    ck_assert_uint_eq(split(30, 8, parts), 4);
    expect_corrupt(parts, (int[]){1}, 1);
    expect_corrupt(parts, (int[]){3}, 1);
    expect_corrupt(parts, (int[]){0, 2}, 2);
    expect_corrupt(parts, (int[]){0, 0}, 2);
    expect_corrupt(parts, (int[]){0, 1, 1}, 3);
    expect_corrupt(parts, (int[]){0, 1, 3}, 3);
    expect_corrupt(parts, (int[]){0, 1, 0}, 3);
    expect_corrupt(parts, (int[]){0, 1, -1}, 3);
}
END_TEST

/* Part 1 is that of another record in one respect; every respect counts. */
START_TEST(parts_of_two_records_do_not_mix)
{
    for (int what = 0; what < 12; what++) {
        struct sb_record parts[PARTS_MAX];
        split(30, 8, parts);
        struct sb_frame *frame = &parts[1].frame;
        switch (what) {
        case 0:
            frame->epoch++;
            break;
        case 1:
            frame->sequence++;
            break;
        case 2:
            frame->commit_lsn++;
            break;
        case 3:
            frame->ordinal++;
            break;
        case 4:
            frame->xid++;
            break;
        case 5:
            frame->part_of = SB_KIND_MESSAGE;
            break;
        case 6:
            frame->part_count++;
            break;
        case 7:
            frame->whole_hash++;
            break;
        case 8:
            frame->stream.bytes[9]++;
            break;
        case 9:
            frame->lane++;
            break;
        case 10:
            frame->timeline++;
            break;
        case 11:
            frame->end_lsn++;
            break;
        }
        expect_corrupt(parts, (int[]){0, 1}, 2);
    }
}
END_TEST

START_TEST(a_part_of_nothing_is_corrupt)
{
    struct sb_record parts[PARTS_MAX];
    split(30, 8, parts);
    parts[0].frame.part_of = SB_KIND_PART;
    expect_corrupt(parts, (int[]){0}, 1);
    parts[0].frame.part_of = 0;
    expect_corrupt(parts, (int[]){0}, 1);
    split(30, 8, parts);
    parts[0].frame.part_count = 1;
    expect_corrupt(parts, (int[]){0}, 1);
}
END_TEST

START_TEST(a_whole_that_does_not_match_its_hash_is_corrupt)
{
    struct sb_record parts[PARTS_MAX];
    split(30, 8, parts);
    char changed[8];
    memcpy(changed, parts[2].body.ptr, 8);
    changed[5] ^= 1;
    parts[2].body = sb_view(changed, 8); /* as if its own checksum had been made anew */
    expect_corrupt(parts, (int[]){0, 1, 2, 3}, 4);
}
END_TEST

START_TEST(a_body_beyond_the_bound_is_a_limit)
{
    struct sb_err err;
    struct sb_record parts[PARTS_MAX], whole;
    split(30, 8, parts);
    struct sb_joiner *joiner = sb_joiner_new(16);
    ck_assert_int_eq(sb_joiner_feed(joiner, &parts[0], &whole, &err), SB_JOINER_MORE);
    ck_assert_int_eq(sb_joiner_feed(joiner, &parts[1], &whole, &err), SB_JOINER_MORE);
    ck_assert_int_eq(sb_joiner_feed(joiner, &parts[2], &whole, &err), -1);
    ck_assert_int_eq(err.code, SB_E_LIMIT);
    sb_joiner_free(joiner);
}
END_TEST

START_TEST(after_a_reset_the_next_record_joins)
{
    struct sb_err err;
    struct sb_record parts[PARTS_MAX], whole;
    struct sb_joiner *joiner = sb_joiner_new(BODY_MAX);
    split(30, 8, parts);
    ck_assert_int_eq(sb_joiner_feed(joiner, &parts[0], &whole, &err), SB_JOINER_MORE);
    sb_joiner_reset(joiner);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(sb_joiner_feed(joiner, &parts[i], &whole, &err), i < 3 ? SB_JOINER_MORE : 0);
    ck_assert(sb_view_eq(whole.body, sb_view(bytes, 30)));
    sb_joiner_free(joiner);
    sb_joiner_free(NULL);
}
END_TEST

int main(void)
{
    for (int i = 0; i < BODY_MAX; i++)
        bytes[i] = (char)(i * 37 + 1);
    Suite *suite = suite_create("parts");
    TCase *tcase = tcase_create("parts");
    tcase_add_test(tcase, every_size_comes_back_as_it_was);
    tcase_add_test(tcase, a_hash_computed_once_is_used);
    tcase_add_test(tcase, missing_repeated_and_reordered_parts_are_corrupt);
    tcase_add_test(tcase, parts_of_two_records_do_not_mix);
    tcase_add_test(tcase, a_part_of_nothing_is_corrupt);
    tcase_add_test(tcase, a_whole_that_does_not_match_its_hash_is_corrupt);
    tcase_add_test(tcase, a_body_beyond_the_bound_is_a_limit);
    tcase_add_test(tcase, after_a_reset_the_next_record_joins);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
