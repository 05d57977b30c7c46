/*
 * The embedded store between a writer and a reader that is woken in the middle of a commit: fdatasync and
 * fsync, which SQLite calls when its WAL is written but no reader may see it yet, are ours here.
 */
#include "schemas/digest.h"
#include "stream/stream.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct sb_uuid uuid = {{1, 2, 3}};
static struct sb_err err;
static char folder[64], path[128];
static struct sb_stream_options options;
static void (*at_sync)(void); /* called in the middle of a commit; NULL: nothing is */

int fdatasync(int fd)
{
    if (at_sync != NULL)
        at_sync();
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return fdatasync(fd);
}

static void setup(void)
{
    at_sync = NULL;
    snprintf(folder, sizeof folder, "/tmp/sb-embedded-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/stream.db", folder);
    options = (struct sb_stream_options){
        .store = SB_STORE_EMBEDDED, .migration = "shop", .direction = "forward", .path = path};
    ck_assert_int_eq(sb_stream_create(&options, &uuid, NULL, &err), 0);
}

static void teardown(void)
{
    at_sync = NULL;
    ck_assert_int_eq(sb_stream_destroy(&options, &err), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}

static bool readable(const struct sb_stream *stream)
{
    struct pollfd file = {.fd = sb_stream_fd(stream), .events = POLLIN};
    return poll(&file, 1, 0) == 1;
}

static struct sb_stream *reader;
static unsigned looks;

/* A stage whose descriptor was readable, or that had another reason to look: it sees nothing yet. */
static void look(void)
{
    struct sb_record record;
    looks++;
    ck_assert_int_eq(sb_stream_read(reader, &record, &err), SB_STREAM_END);
}

START_TEST(a_reader_that_looked_too_early_is_woken_again)
{
    struct sb_stream *writer;
    struct sb_record record = {.frame = {.kind = SB_KIND_COMMIT, .stream = uuid, .epoch = 1}}, got;
    ck_assert_int_eq(sb_stream_open(&options, SB_STREAM_WRITE, &writer, &err), 0);
    ck_assert_int_eq(sb_stream_open(&options, SB_STREAM_READ, &reader, &err), 0);
    for (int i = 0; i < 3; i++) {
        record.frame.sequence++;
        record.frame.body_hash = sb_hash64(record.body);
        ck_assert_int_eq(sb_stream_read(reader, &got, &err), SB_STREAM_END);
        ck_assert_int_eq(sb_stream_append(writer, &record, NULL, &err), 0);
        looks = 0;
        at_sync = look;
        ck_assert_int_eq(sb_stream_service(writer, &err), 0);
        at_sync = NULL;
        ck_assert_uint_gt(looks, 0);
        ck_assert_msg(readable(reader), "the reader sleeps beside record %d", i);
        ck_assert_int_eq(sb_stream_read(reader, &got, &err), 0);
        ck_assert_uint_eq(got.frame.sequence, record.frame.sequence);
    }
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("embedded");
    TCase *tc = tcase_create("embedded");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_reader_that_looked_too_early_is_woken_again);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
