#include "schemas/digest.h"
#include "schemas/frame.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct sb_frame sample(void)
{
    struct sb_frame frame = {
        .kind = SB_KIND_CHANGE,
        .lane = 0x0102,
        .epoch = 3,
        .sequence = UINT64_MAX,
        .commit_lsn = UINT64_C(0x0123456789abcdef),
        .end_lsn = 5,
        .ordinal = 6,
        .xid = UINT64_C(0x100000007),
        .timeline = 0xfffffffe,
        .body_hash = 8,
    };
    for (unsigned i = 0; i < sizeof frame.stream.bytes; i++)
        frame.stream.bytes[i] = (unsigned char)(0xf0 + i);
    return frame;
}

static struct sb_frame sample_part(void)
{
    struct sb_frame frame = sample();
    frame.kind = SB_KIND_PART;
    frame.part_of = SB_KIND_CHANGE;
    frame.part_index = 1;
    frame.part_count = 2;
    frame.whole_hash = 9;
    return frame;
}

static void assert_same(const struct sb_frame *a, const struct sb_frame *b)
{
    unsigned char left[SB_FRAME_BYTES], right[SB_FRAME_BYTES];
    sb_frame_encode(a, left);
    sb_frame_encode(b, right);
    ck_assert_mem_eq(left, right, SB_FRAME_BYTES);
}

START_TEST(frame_goes_both_ways)
{
    struct sb_frame frames[] = {sample(), sample_part(), {.kind = SB_KIND_OPEN}}, got;
    struct sb_err err;
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        unsigned char bytes[SB_FRAME_BYTES];
        sb_frame_encode(&frames[i], bytes);
        ck_assert_int_eq(sb_frame_decode(sb_view(bytes, sizeof bytes), &got, &err), 0);
        assert_same(&frames[i], &got);
        ck_assert_int_eq(got.kind, frames[i].kind);
        ck_assert_int_eq(got.part_of, frames[i].part_of);
        ck_assert_uint_eq(got.sequence, frames[i].sequence);
        ck_assert_uint_eq(got.timeline, frames[i].timeline);
        ck_assert_uint_eq(got.whole_hash, frames[i].whole_hash);
    }
}
END_TEST

/* The layout is frozen: these bytes are what format 1 is. */
START_TEST(frame_bytes_are_frozen)
{
    static const char golden[] = "5342460103000102f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
                                 "0000000000000003ffffffffffffffff"
                                 "0123456789abcdef0000000000000005"
                                 "00000000000000060000000100000007"
                                 "fffffffe000000000000000000000000"
                                 "00000000000000080000000000000000"
                                 "0ea4f03719f8a10c";
    struct sb_frame frame = sample();
    unsigned char bytes[SB_FRAME_BYTES];
    char hex[2 * SB_FRAME_BYTES + 1];
    sb_frame_encode(&frame, bytes);
    sb_hex_encode(bytes, sizeof bytes, hex);
    ck_assert_str_eq(hex, golden);
}
END_TEST

START_TEST(frame_cut_or_longer_is_refused)
{
    struct sb_frame frame = sample(), got;
    struct sb_err err;
    unsigned char bytes[SB_FRAME_BYTES + 1] = {0};
    sb_frame_encode(&frame, bytes);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        if (len == SB_FRAME_BYTES)
            continue;
        unsigned char *cut = malloc(len + 1); /* exact size: the sanitizer sees a read past the end */
        unsigned char *exact = realloc(cut, len == 0 ? 1 : len);
        memcpy(exact, bytes, len);
        ck_assert_int_eq(sb_frame_decode(sb_view(exact, len), &got, &err), -1);
        ck_assert_int_eq(err.code, SB_E_LOG_CORRUPT);
        free(exact);
    }
    ck_assert_int_eq(sb_frame_decode(sb_view(NULL, 0), &got, &err), -1);
}
END_TEST

START_TEST(frame_every_bit_flip_is_noticed)
{
    struct sb_frame frame = sample(), got;
    struct sb_err err;
    unsigned char bytes[SB_FRAME_BYTES];
    sb_frame_encode(&frame, bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        memset(&got, 0x5a, sizeof got);
        ck_assert_int_eq(sb_frame_decode(sb_view(bytes, sizeof bytes), &got, &err), -1);
        ck_assert(err.code == SB_E_LOG_CORRUPT || (bit / 8 == 3 && err.code == SB_E_LOG_FORMAT));
        ck_assert_msg(*(unsigned char *)&got == 0x5a, "a refused frame was written");
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}
END_TEST

/* Encode something wrong with a right checksum. */
static int decode_with(struct sb_frame frame, size_t at, unsigned char value, struct sb_err *err)
{
    unsigned char bytes[SB_FRAME_BYTES];
    struct sb_frame got;
    sb_frame_encode(&frame, bytes);
    if (at < 104) {
        bytes[at] = value;
        uint64_t sum = sb_hash64(sb_view(bytes, 104));
        for (int i = 0; i < 8; i++)
            bytes[104 + i] = (unsigned char)(sum >> (56 - 8 * i));
    }
    return sb_frame_decode(sb_view(bytes, sizeof bytes), &got, err);
}

START_TEST(frame_with_wrong_fields_is_refused)
{
    struct sb_err err;
    struct sb_frame part = sample_part();
    ck_assert_int_eq(decode_with(sample(), 104, 0, &err), 0);
    ck_assert_int_eq(decode_with(sample(), 3, 2, &err), -1);
    ck_assert_int_eq(err.code, SB_E_LOG_FORMAT);
    static const struct {
        bool part;
        size_t at;
        unsigned char value;
    } wrong[] = {
        {false, 0, 'X'}, /* magic */
        {false, 3, 0},   /* format */
        {false, 4, 0},   /* kind */
        {false, 4, 8},
        {false, 4, 255},
        {false, 4, SB_KIND_PART},
        {false, 5, SB_KIND_CHANGE}, /* part_of */
        {false, 79, 1},             /* part index */
        {false, 83, 1},             /* part count */
        {false, 87, 1},             /* reserved */
        {false, 103, 1},            /* whole hash */
        {true, 5, 0},
        {true, 5, SB_KIND_PART},
        {true, 5, 99},
        {true, 79, 2},
        {true, 83, 0},
        {true, 83, 1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(decode_with(wrong[i].part ? part : sample(), wrong[i].at, wrong[i].value, &err), -1);
        ck_assert_int_eq(err.code, SB_E_LOG_CORRUPT);
    }
}
END_TEST

START_TEST(frame_holds_its_body)
{
    struct sb_err err;
    struct sb_view body = sb_view_str("the body");
    struct sb_frame frame = sample();
    frame.body_hash = sb_hash64(body);
    ck_assert_int_eq(sb_frame_check_body(&frame, body, &err), 0);
    ck_assert_int_eq(sb_frame_check_body(&frame, sb_view(body.ptr, body.len - 1), &err), -1);
    ck_assert_int_eq(err.code, SB_E_LOG_CORRUPT);
}
END_TEST

START_TEST(kinds_have_names)
{
    ck_assert_str_eq(sb_kind_name(SB_KIND_OPEN), "open");
    ck_assert_str_eq(sb_kind_name(SB_KIND_PART), "part");
    ck_assert_str_eq(sb_kind_name((enum sb_kind)0), "?");
    ck_assert_str_eq(sb_kind_name((enum sb_kind)77), "?");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frame");
    TCase *tc = tcase_create("frame");
    tcase_add_test(tc, frame_goes_both_ways);
    tcase_add_test(tc, frame_bytes_are_frozen);
    tcase_add_test(tc, frame_cut_or_longer_is_refused);
    tcase_add_test(tc, frame_every_bit_flip_is_noticed);
    tcase_add_test(tc, frame_with_wrong_fields_is_refused);
    tcase_add_test(tc, frame_holds_its_body);
    tcase_add_test(tc, kinds_have_names);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
