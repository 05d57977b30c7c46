/* What the stage `reconcile` says of each table, as a file. */
#include "reconcile/board.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

START_TEST(a_board_is_read_as_it_was_written)
{
    char path[] = "/tmp/sb-board-XXXXXX";
    struct sb_err err;
    struct sb_board_table tables[] = {{.name = "public.a",
                                          .compared = true,
                                          .proven = true,
                                          .frontier_lsn = 77,
                                          .frontier_us = -5,
                                          .chunks = 3},
        {.name = "odd\tname\n", .passing = true, .differences = 9, .why = "because"}};
    struct sb_board board = {.tables = tables, .count = 2}, read;
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(sb_board_read(path, &read, &err), -1);
    ck_assert_int_eq((int)err.code, SB_E_STATE_FORMAT);
    ck_assert_int_eq(sb_board_write(path, &board, &err), 0);
    ck_assert_int_eq(sb_board_read(path, &read, &err), 0);
    ck_assert_uint_eq(read.count, 2);
    ck_assert_str_eq(read.tables[0].name, "public.a");
    ck_assert(read.tables[0].compared && read.tables[0].proven && !read.tables[0].passing);
    ck_assert_uint_eq(read.tables[0].frontier_lsn, 77);
    ck_assert_int_eq(read.tables[0].frontier_us, -5);
    ck_assert_int_eq(read.tables[0].chunks, 3);
    ck_assert_str_eq(read.tables[1].name, "odd?name?");
    ck_assert_str_eq(read.tables[1].why, "because");
    ck_assert_int_eq(read.tables[1].differences, 9);
    sb_board_clear(&read);
    FILE *file = fopen(path, "a");
    fputs("torn\t1\n", file);
    fclose(file);
    ck_assert_int_eq(sb_board_read(path, &read, &err), -1);
    unlink(path);
    ck_assert_int_eq(sb_board_read(path, &read, &err), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("board");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, a_board_is_read_as_it_was_written);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
