#include "pg/snapshot.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random64(void)
{
    return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
}

START_TEST(widening_crosses_wraps_both_ways)
{
    uint64_t wrap = UINT64_C(5) << 32;
    ck_assert_uint_eq(sb_xid_widen(1000, 1010), 1000);
    ck_assert_uint_eq(sb_xid_widen(1010, 1000), 1010); /* assigned after next was read */
    ck_assert_uint_eq(sb_xid_widen(0xfffffff0, wrap + 100), wrap - 16);
    ck_assert_uint_eq(sb_xid_widen(100, wrap - 16), wrap + 100);
    ck_assert_uint_eq(sb_xid_widen(100, wrap + 100), wrap + 100);
    ck_assert_uint_eq(sb_xid_widen(3, wrap), wrap + 3);
    for (uint32_t special = 0; special < 3; special++)
        ck_assert_uint_eq(sb_xid_widen(special, wrap + 100), special);
    /* Nothing precedes the first epoch. */
    ck_assert_uint_eq(sb_xid_widen(0xfffffff0, 100), 0xfffffff0);
}
END_TEST

START_TEST(widening_is_right_within_two_to_the_31)
{
    srandom(1);
    for (int i = 0; i < 1000000; i++) {
        uint64_t next = (UINT64_C(1) << 32) + random64() % (UINT64_C(1) << 50);
        int64_t distance = (int64_t)(random64() % (UINT64_C(1) << 32)) - (INT64_C(1) << 31);
        if (distance == -(INT64_C(1) << 31))
            continue;
        uint64_t xid = next + (uint64_t)distance;
        if ((uint32_t)xid >= 3)
            ck_assert_uint_eq(sb_xid_widen((uint32_t)xid, next), xid);
    }
}
END_TEST

static bool parse(const char *text, struct sb_snapshot *snapshot)
{
    static struct sb_arena *arena;
    if (arena == NULL)
        arena = sb_arena_new("snapshot", 1 << 20);
    sb_arena_reset(arena);
    return sb_snapshot_parse(text, arena, snapshot);
}

START_TEST(the_server_s_text_is_read)
{
    struct sb_snapshot snapshot;
    ck_assert(parse("10:20:10,14,15", &snapshot));
    ck_assert_uint_eq(snapshot.xmin, 10);
    ck_assert_uint_eq(snapshot.xmax, 20);
    ck_assert_uint_eq(snapshot.xip_count, 3);
    ck_assert_uint_eq(snapshot.xip[1], 14);
    ck_assert(parse("730:730:", &snapshot));
    ck_assert_uint_eq(snapshot.xip_count, 0);
    ck_assert(parse("18446744073709551614:18446744073709551615:18446744073709551614", &snapshot));
}
END_TEST

START_TEST(malformed_snapshots_are_refused_and_write_nothing)
{
    const char *const bad[] = {"", ":", "::", "10", "10:20", "20:10:", "0:10:", "10:20:9", "10:20:20",
        "10:20:12,11", "10:20:12,12", "10:20:12,", "10:20:,12", "10:20: 12", "-1:20:", "10:20:12;",
        "a:b:", "10:20:12 ", "18446744073709551616:18446744073709551616:",
        "99999999999999999999:99999999999999999999:", "10::20:"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sb_snapshot snapshot = {.xmin = 77};
        ck_assert_msg(!parse(bad[i], &snapshot), "\"%s\"", bad[i]);
        ck_assert_uint_eq(snapshot.xmin, 77);
    }
}
END_TEST

/* Oracle: a bit for every xid that is in progress, looked up one by one. */
START_TEST(visibility_agrees_with_its_definition)
{
    srandom(2);
    for (int round = 0; round < 2000; round++) {
        uint64_t base = random64() % (UINT64_C(1) << 40) + 3;
        size_t span = (size_t)random() % 64;
        bool running[64] = {false};
        char text[2048];
        int used = snprintf(text, sizeof text, "%" PRIu64 ":%" PRIu64 ":", base, base + span);
        bool first = true;
        for (size_t i = 0; i < span; i++) {
            running[i] = random() % 3 == 0;
            if (!running[i])
                continue;
            used +=
                snprintf(text + used, sizeof text - (size_t)used, "%s%" PRIu64, first ? "" : ",", base + i);
            first = false;
        }
        struct sb_snapshot snapshot;
        ck_assert_msg(parse(text, &snapshot), "%s", text);
        for (uint64_t i = 0; i < span; i++)
            ck_assert_msg(
                sb_snapshot_sees(&snapshot, base + i) == !running[i], "%" PRIu64 " in %s", base + i, text);
        ck_assert(sb_snapshot_sees(&snapshot, base - 1));
        ck_assert(!sb_snapshot_sees(&snapshot, base + span));
        ck_assert(!sb_snapshot_sees(&snapshot, UINT64_MAX));
        ck_assert(sb_snapshot_sees(&snapshot, 2));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("snapshot");
    TCase *tcase = tcase_create("snapshot");
    tcase_add_test(tcase, widening_crosses_wraps_both_ways);
    tcase_add_test(tcase, widening_is_right_within_two_to_the_31);
    tcase_add_test(tcase, the_server_s_text_is_read);
    tcase_add_test(tcase, malformed_snapshots_are_refused_and_write_nothing);
    tcase_add_test(tcase, visibility_agrees_with_its_definition);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
