#include "core/arena.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/map.h"
#include "core/metrics.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- err
 * ----------------------------------------------------------------------------------------------------- */

START_TEST(err_carries_code_text_and_trail)
{
    struct sb_err err;
    ck_assert_int_eq(sb_err_set(&err, SB_E_SLOT_LOST, "slot \"%s\" is gone", "s1"), -1);
    sb_err_add(&err, "capture");
    ck_assert_str_eq(err.text, "capture: slot \"s1\" is gone");
    ck_assert_str_eq(sb_err_id(&err), "SB-SLOT-LOST");
    ck_assert_int_eq(sb_err_class(&err), SB_CLASS_DATA);
    sb_err_set(&err, SB_E_POISON, "again: %s", err.text); /* the old text may be an argument */
    ck_assert_str_eq(err.text, "again: capture: slot \"s1\" is gone");
}
END_TEST

START_TEST(err_ids_are_unique_and_found)
{
    for (int a = 1; a < SB_CODE_COUNT; a++) {
        enum sb_code found = SB_OK;
        const struct sb_err_info *info = sb_err_info((enum sb_code)a);
        ck_assert_ptr_eq(sb_err_find(info->id, &found), info);
        ck_assert_int_eq(found, a);
        ck_assert_msg(
            strlen(info->meaning) > 10 && strlen(info->remedy) > 5, "%s is not explained", info->id);
        ck_assert_int_gt(info->exit_code, 1);
    }
    ck_assert_ptr_nonnull(sb_err_find("slot-lost", NULL));
    ck_assert_ptr_null(sb_err_find("SB-NO-SUCH", NULL));
}
END_TEST

/* -- bytes
 * --------------------------------------------------------------------------------------------------- */

START_TEST(cursor_is_bounded_and_sticky)
{
    struct sb_cursor cur = sb_cursor(sb_view("\x01\x02\x03"
                                             "ab\0",
        6));
    ck_assert_uint_eq(sb_cursor_u8(&cur), 1);
    ck_assert_uint_eq(sb_cursor_u16(&cur), 0x0203);
    ck_assert(sb_view_eq_str(sb_cursor_cstr(&cur), "ab"));
    ck_assert(sb_cursor_done(&cur));
    ck_assert_uint_eq(sb_cursor_u32(&cur), 0);
    ck_assert(cur.failed);
    ck_assert(!sb_cursor_done(&cur));
    cur = sb_cursor(sb_view("abc", 3));
    ck_assert_uint_eq(sb_cursor_bytes(&cur, SIZE_MAX).len, 0);
    ck_assert(cur.failed);
    ck_assert_uint_eq(sb_cursor_u8(&cur), 0);
    cur = sb_cursor(sb_view("abc", 3));
    sb_cursor_cstr(&cur);
    ck_assert_msg(cur.failed, "a string without its NUL must not be accepted");
}
END_TEST

START_TEST(buf_stops_at_its_maximum)
{
    struct sb_buf buf SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&buf, 8);
    sb_buf_put_u32(&buf, 0x01020304);
    sb_buf_put_str(&buf, "abcd");
    ck_assert(!buf.failed);
    ck_assert_mem_eq(buf.ptr, "\1\2\3\4abcd", 8);
    sb_buf_put_u8(&buf, 1);
    ck_assert(buf.failed);
    ck_assert_uint_eq(buf.len, 8);
    sb_buf_reset(&buf);
    sb_buf_putf(&buf, "%d", 42);
    ck_assert_str_eq(sb_buf_str(&buf), "42");
}
END_TEST

START_TEST(hex_goes_both_ways)
{
    char text[7];
    unsigned char bytes[3];
    sb_hex_encode("\x00\xab\xff", 3, text);
    ck_assert_str_eq(text, "00abff");
    ck_assert(sb_hex_decode(sb_view_str("00ABff"), bytes, 3));
    ck_assert_mem_eq(bytes, "\x00\xab\xff", 3);
    ck_assert(!sb_hex_decode(sb_view_str("00abfg"), bytes, 3));
    ck_assert(!sb_hex_decode(sb_view_str("00abf"), bytes, 3));
}
END_TEST

/* -- arena, map
 * ---------------------------------------------------------------------------------------------- */

START_TEST(arena_has_a_ceiling_and_resets)
{
    struct sb_arena *arena = sb_arena_new("test", 1000000);
    for (int round = 0; round < 3; round++) {
        size_t got = 0;
        for (char *at; (at = sb_arena_alloc(arena, 1000)) != NULL; got++)
            memset(at, round, 1000);
        ck_assert_uint_ge(got, 950);
        ck_assert_uint_le(got, 1000);
        sb_arena_reset(arena);
        ck_assert_uint_eq(sb_arena_used(arena), 0);
    }
    ck_assert_ptr_null(sb_arena_alloc(arena, SIZE_MAX));
    struct sb_view copy;
    ck_assert(sb_arena_dup(arena, sb_view_str("abc"), &copy));
    ck_assert_str_eq(copy.ptr, "abc");
    sb_arena_free(arena);
}
END_TEST

START_TEST(map_keeps_what_was_put)
{
    static int values[5000];
    struct sb_map *map = sb_map_new(5000);
    for (uint32_t i = 0; i < 5000; i++)
        ck_assert(sb_map_put(map, sb_map_key_u32(&i), &values[i], NULL));
    for (uint32_t i = 0; i < 5000; i += 2)
        ck_assert_ptr_eq(sb_map_remove(map, sb_map_key_u32(&i)), &values[i]);
    for (uint32_t i = 0; i < 5000; i++)
        ck_assert_ptr_eq(sb_map_get(map, sb_map_key_u32(&i)), i % 2 == 0 ? NULL : &values[i]);
    for (int round = 0; round < 20; round++) /* removed places are used again */
        for (uint32_t i = 0; i < 5000; i += 2) {
            ck_assert(sb_map_put(map, sb_map_key_u32(&i), &values[i], NULL));
            sb_map_remove(map, sb_map_key_u32(&i));
        }
    ck_assert_uint_eq(sb_map_count(map), 2500);
    size_t pos = 0, seen = 0;
    struct sb_view key;
    void *value;
    while (sb_map_next(map, &pos, &key, &value))
        seen++;
    ck_assert_uint_eq(seen, 2500);
    sb_map_free(map);
    map = sb_map_new(1);
    ck_assert(sb_map_put(map, sb_view_str("a"), &values[0], NULL));
    ck_assert_msg(!sb_map_put(map, sb_view_str("b"), &values[1], NULL), "a full map must refuse");
    sb_map_free(map);
}
END_TEST

/* -- positions and times
 * ------------------------------------------------------------------------------------- */

START_TEST(lsn_reads_what_postgres_prints)
{
    char text[SB_LSN_TEXT_BYTES];
    uint64_t lsn;
    ck_assert(sb_lsn_parse("16/B374D848", &lsn));
    ck_assert_uint_eq(lsn, UINT64_C(0x16B374D848));
    ck_assert_str_eq(sb_lsn_text(lsn, text), "16/B374D848");
    static const char *const bad[] = {"", "/", "1/", "/1", "g/1", "1/123456789", "1/ 2", "0x1/2", "1/2/3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!sb_lsn_parse(bad[i], &lsn), "\"%s\" was taken for a position", bad[i]);
}
END_TEST

START_TEST(clock_text_goes_both_ways)
{
    char text[SB_TIME_TEXT_BYTES];
    int64_t us;
    ck_assert_str_eq(sb_clock_text(0, text), "1970-01-01T00:00:00.000000Z");
    ck_assert_str_eq(sb_clock_text(-1, text), "1969-12-31T23:59:59.999999Z");
    ck_assert_int_eq(sb_clock_parse("2026-11-24 03:27:01.5", &us), 0);
    ck_assert_str_eq(sb_clock_text(us, text), "2026-11-24T03:27:01.500000Z");
    ck_assert_int_ne(sb_clock_parse("yesterday", &us), 0);
}
END_TEST

/* -- loop
 * ---------------------------------------------------------------------------------------------------- */

struct turns {
    struct sb_loop *loop;
    int timer, file;
    int fd;
};

static void on_timer(void *arg)
{
    struct turns *turns = arg;
    if (++turns->timer == 3 && write(turns->fd, "x", 1) != 1)
        abort();
}

static void on_file(void *arg, unsigned events)
{
    struct turns *turns = arg;
    struct sb_err err;
    ck_assert_uint_eq(events & SB_LOOP_READ, SB_LOOP_READ);
    turns->file++;
    sb_err_set(&err, SB_E_SHUTDOWN, "enough");
    sb_loop_stop(turns->loop, &err);
}

START_TEST(loop_runs_timers_and_files_until_stopped)
{
    struct sb_err err;
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    struct turns turns = {.loop = sb_loop_new(&err), .fd = fds[1]};
    ck_assert_ptr_nonnull(sb_loop_timer(turns.loop, 1, on_timer, &turns, &err));
    ck_assert_ptr_nonnull(sb_loop_file(turns.loop, fds[0], SB_LOOP_READ, on_file, &turns, &err));
    ck_assert_int_eq(sb_loop_run(turns.loop, &err), -1);
    ck_assert_int_eq(err.code, SB_E_SHUTDOWN);
    ck_assert_int_eq(turns.file, 1);
    ck_assert_int_ge(turns.timer, 3);
    sb_loop_free(turns.loop);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

/* -- metrics
 * ------------------------------------------------------------------------------------------------- */

START_TEST(page_is_seen_by_another_mapping)
{
    struct sb_err err;
    struct sb_page *page, *other;
    char path[] = "/tmp/sb-page-XXXXXX";
    close(mkstemp(path));
    ck_assert_int_eq(sb_page_create(path, &page, &err), 0);
    sb_metrics_attach(page, SB_STAGE_APPLY_FORWARD);
    sb_metric_add(SB_M_APPLY_CHANGES, 41);
    sb_metric_add(SB_M_APPLY_CHANGES, 1);
    sb_err_set(&err, SB_E_POISON, "row will not go in");
    sb_report_err(SB_STATE_HALTED, &err);
    ck_assert_int_eq(sb_page_open(path, false, &other, &err), 0);
    struct sb_stage_report report;
    sb_page_report(other, SB_STAGE_APPLY_FORWARD, &report);
    ck_assert_int_eq(sb_page_metric(other, SB_STAGE_APPLY_FORWARD, SB_M_APPLY_CHANGES), 42);
    ck_assert_int_eq(report.state, SB_STATE_HALTED);
    ck_assert_str_eq(report.err_id, "SB-POISON");
    sb_report_state(SB_STATE_RUNNING, NULL);
    sb_page_report(other, SB_STAGE_APPLY_FORWARD, &report);
    ck_assert_str_eq(report.err_id, "");
    sb_metrics_attach(NULL, SB_STAGE_APPLY_FORWARD);
    sb_page_close(other);
    sb_page_close(page);
    ck_assert_int_eq(truncate(path, 10), 0);
    ck_assert_int_eq(sb_page_open(path, false, &other, &err), -1);
    ck_assert_int_eq(err.code, SB_E_STATE_FORMAT);
    unlink(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core");
    TCase *tc = tcase_create("core");
    tcase_add_test(tc, err_carries_code_text_and_trail);
    tcase_add_test(tc, err_ids_are_unique_and_found);
    tcase_add_test(tc, cursor_is_bounded_and_sticky);
    tcase_add_test(tc, buf_stops_at_its_maximum);
    tcase_add_test(tc, hex_goes_both_ways);
    tcase_add_test(tc, arena_has_a_ceiling_and_resets);
    tcase_add_test(tc, map_keeps_what_was_put);
    tcase_add_test(tc, lsn_reads_what_postgres_prints);
    tcase_add_test(tc, clock_text_goes_both_ways);
    tcase_add_test(tc, loop_runs_timers_and_files_until_stopped);
    tcase_add_test(tc, page_is_seen_by_another_mapping);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
