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
#include <string.h>
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

enum { RECORDS = 40000, COMMITTED_AT_ONCE = 5000 }; /* more than is read ahead */

/* Record i: as long as i says, so that a view of another's bytes does not look like it. */
static struct sb_view body_of(int i, char room[64])
{
    memset(room, 'a' + i % 26, 64);
    return sb_view(room, (size_t)(i % 64));
}

static void append_some(struct sb_stream *writer, int from)
{
    char room[64];
    for (int i = from; i < from + COMMITTED_AT_ONCE; i++) {
        struct sb_record record = {.body = body_of(i, room)};
        record.frame = (struct sb_frame){.kind = SB_KIND_CHANGE, .stream = uuid, .epoch = 1};
        record.frame.sequence = (uint64_t)i;
        record.frame.body_hash = sb_hash64(record.body);
        ck_assert_int_eq(sb_stream_append(writer, &record, NULL, &err), 0);
    }
    ck_assert_int_eq(sb_stream_service(writer, &err), 0);
}

/* Reads up to record `end`; before every `apart`-th read all that fits is read ahead. */
static void read_to(struct sb_stream *stream, int *next, int end, int apart)
{
    struct sb_record got;
    char room[64];
    for (; *next < end; (*next)++) {
        ck_assert_int_eq(sb_stream_read(stream, &got, &err), 0);
        for (int i = 0; *next % apart == 0 && sb_stream_read_ahead(stream); i++)
            ck_assert_int_lt(i, RECORDS);
        ck_assert_int_eq(got.offset, *next);
        ck_assert_uint_eq(got.frame.sequence, (uint64_t)*next);
        ck_assert(sb_view_eq(got.body, body_of(*next, room)));
    }
}

START_TEST(what_is_read_ahead_comes_once_and_in_order)
{
    static const int aparts[] = {1, 7, 1000, RECORDS};
    struct sb_stream *writer;
    struct sb_record got;
    int next = 0, end = 0;
    ck_assert_int_eq(sb_stream_open(&options, SB_STREAM_WRITE, &writer, &err), 0);
    ck_assert_int_eq(sb_stream_open(&options, SB_STREAM_READ, &reader, &err), 0);
    for (; end < RECORDS; end += COMMITTED_AT_ONCE)
        append_some(writer, end);
    read_to(reader, &next, end, 100); /* beyond what fits ahead */
    for (int i = 0; i < 4; i++, end += COMMITTED_AT_ONCE) {
        ck_assert_int_eq(sb_stream_read(reader, &got, &err), SB_STREAM_END);
        append_some(writer, end);
        ck_assert(sb_stream_read_ahead(reader));
        ck_assert_msg(readable(reader), "what was read ahead silenced the bell");
        read_to(reader, &next, end + COMMITTED_AT_ONCE / 2, aparts[i]);
        read_to(reader, &next, end + COMMITTED_AT_ONCE, aparts[3 - i]);
    }
    next = 10; /* what was read ahead is forgotten by a seek */
    append_some(writer, end);
    sb_stream_read_ahead(reader);
    ck_assert_int_eq(sb_stream_seek(reader, next, &err), 0);
    read_to(reader, &next, end + COMMITTED_AT_ONCE, RECORDS);
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
    tcase_add_test(tc, what_is_read_ahead_comes_once_and_in_order);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
