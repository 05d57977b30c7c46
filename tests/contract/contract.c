/*
 * stream/stream.h, sentence by sentence, on a real store: the same cases for every store. What only one of
 * them can be asked (a store that does not answer, a lock) stands in a case of its own and says so.
 */
#include "core/clock.h"
#include "schemas/digest.h"
#include "stream/parts.h"
#include "tests/contract/ground.h"

#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, SMALL = 100, CASE_MAX_S = 120 };

static struct sb_err err;
static const struct sb_uuid uuid = {{7, 1, 2, 3}};

#define MUST(call) ck_assert_msg((call) == 0, "%s: %s", sb_err_id(&err), err.text)
#define FAILS(call, id)                                                                                      \
    do {                                                                                                     \
        sb_err_clear(&err);                                                                                  \
        ck_assert_int_eq((call), -1);                                                                        \
        ck_assert_msg(err.code == (id), "%s: %s", sb_err_id(&err), err.text);                                \
    } while (0)

/* -- records: what the i-th one holds is known ------------------------------------------------------------
 */

static char *bytes; /* as large as the largest record */

static struct sb_view body_of(uint64_t i, size_t len)
{
    static size_t room;
    if (room < len + 8) {
        free(bytes);
        bytes = malloc(room = len + 8);
        ck_assert_ptr_nonnull(bytes);
        for (size_t at = 0; at < room; at++)
            bytes[at] = (char)(at * 2654435761u >> 13);
    }
    memcpy(bytes, &i, sizeof i);
    return sb_view(bytes, len);
}

static int append(struct sb_stream *writer, uint64_t epoch, uint64_t i, size_t len, uint64_t *ret_ticket)
{
    struct sb_frame frame = {.kind = SB_KIND_CHANGE,
        .stream = uuid,
        .epoch = epoch,
        .sequence = i,
        .commit_lsn = 0x1000 + i,
        .ordinal = 1,
        .xid = 700,
        .timeline = 1};
    char key[24];
    struct sb_record record;
    int key_len = snprintf(key, sizeof key, "key %llu", (unsigned long long)i);
    sb_parts_make(
        &frame, sb_view(key, (size_t)key_len), body_of(i, len), sb_stream_record_max(writer), 0, &record);
    return sb_stream_append(writer, &record, ret_ticket, &err);
}

static void append_all(struct sb_stream *writer, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i <= to; i++)
        MUST(append(writer, 1, i, SMALL, NULL));
    MUST(sb_stream_flush(writer, PATIENCE_MS, &err));
}

static void check_record(const struct sb_record *record, uint64_t epoch, uint64_t i, size_t len)
{
    char key[24];
    snprintf(key, sizeof key, "key %llu", (unsigned long long)i);
    ck_assert_uint_eq(record->frame.epoch, epoch);
    ck_assert_uint_eq(record->frame.sequence, i);
    ck_assert_uint_eq(record->frame.commit_lsn, 0x1000 + i);
    ck_assert(sb_uuid_eq(&record->frame.stream, &uuid));
    ck_assert(sb_view_eq(record->body, body_of(i, len)));
    ck_assert(sb_view_eq_str(record->key, key));
}

/* The next record, however long the store takes. */
static void read_next(struct sb_stream *reader, struct sb_record *ret_record)
{
    int64_t deadline_ms = sb_clock_mono_ms() + PATIENCE_MS;
    int rc;
    while ((rc = sb_stream_read(reader, ret_record, &err)) == SB_STREAM_END) {
        ck_assert_msg(sb_clock_mono_ms() < deadline_ms, "nothing more came");
        struct pollfd file = {.fd = sb_stream_fd(reader), .events = POLLIN};
        poll(&file, file.fd >= 0, 100);
    }
    MUST(rc);
}

static int64_t read_all(struct sb_stream *reader, uint64_t from, uint64_t to, size_t len)
{
    struct sb_record record;
    int64_t last = -1;
    for (uint64_t i = from; i <= to; i++) {
        read_next(reader, &record);
        check_record(&record, 1, i, len);
        ck_assert_int_gt(record.offset, last);
        last = record.offset;
    }
    return last;
}

static struct sb_stream *open_one(const struct sb_stream_options *options, enum sb_stream_mode mode)
{
    struct sb_stream *stream = NULL;
    MUST(sb_stream_open(options, mode, &stream, &err));
    return stream;
}

/* A store made anew, and its writer. A broker that a case before this one had silenced is let in again by its
 * cluster a moment after it woke; until then it cannot make topics. */
static struct sb_stream *made(const struct sb_stream_options *options)
{
    int64_t deadline_ms = sb_clock_mono_ms() + PATIENCE_MS;
    int rc;
    while ((rc = sb_stream_create(options, &uuid, NULL, &err)) != 0 && err.code == SB_E_STREAM_UNAVAILABLE &&
           sb_clock_mono_ms() < deadline_ms)
        poll(NULL, 0, 100);
    MUST(rc);
    return open_one(options, SB_STREAM_WRITE);
}

static struct sb_stream_bounds bounds_of(struct sb_stream *stream)
{
    struct sb_stream_bounds bounds;
    MUST(sb_stream_bounds(stream, &bounds, &err));
    return bounds;
}

/* -- making ---------------------------------------------------------------------------------------------- */

START_TEST(nothing_is_there_before_it_is_made)
{
    struct sb_stream_options options = ground_options("before", "forward");
    struct sb_stream *stream;
    struct sb_buf said;
    FAILS(sb_stream_open(&options, SB_STREAM_WRITE, &stream, &err), SB_E_NOT_PREPARED);
    FAILS(sb_stream_open(&options, SB_STREAM_READ, &stream, &err), SB_E_NOT_PREPARED);
    FAILS(sb_stream_check(&options, NULL, NULL, &err), SB_E_NOT_PREPARED);
    MUST(sb_stream_destroy(&options, &err));
    sb_buf_init(&said, 1 << 16);
    MUST(sb_stream_create(&options, &uuid, &said, &err));
    ck_assert_uint_gt(said.len, 0);
    sb_buf_clear(&said);
    FAILS(sb_stream_open(&options, SB_STREAM_READ, &stream, &err), SB_E_NOT_PREPARED); /* only described */
}
END_TEST

START_TEST(making_twice_is_making_once)
{
    struct sb_stream_options options = ground_options("twice", "forward");
    struct sb_uuid other = {{9}}, found;
    struct sb_stream *writer = made(&options);
    struct sb_buf said;
    append_all(writer, 1, 3);
    sb_stream_close(writer);
    MUST(sb_stream_create(&options, &uuid, NULL, &err));
    FAILS(sb_stream_create(&options, &other, NULL, &err), SB_E_LOG_FOREIGN);
    sb_buf_init(&said, 1 << 16);
    MUST(sb_stream_create(&options, &uuid, &said, &err));
    ck_assert_uint_eq(said.len, 0); /* nothing is left to make */
    sb_buf_clear(&said);
    struct sb_stream *reader = open_one(&options, SB_STREAM_READ);
    found = sb_stream_uuid(reader);
    ck_assert(sb_uuid_eq(&found, &uuid));
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    read_all(reader, 1, 3, SMALL);
    sb_stream_close(reader);
    MUST(sb_stream_check(&options, NULL, NULL, &err));
}
END_TEST

START_TEST(destroyed_is_gone_and_the_other_direction_is_not)
{
    struct sb_stream_options reverse = ground_options("gone", "reverse");
    char reverse_path[4096];
    snprintf(reverse_path, sizeof reverse_path, "%s", reverse.path);
    reverse.path = reverse_path;
    struct sb_stream_options forward = ground_options("gone", "forward");
    struct sb_stream *stream = made(&reverse);
    MUST(sb_stream_control_put(stream, sb_view_str("k"), sb_view_str("v"), &err));
    append_all(stream, 1, 2);
    sb_stream_close(stream);
    sb_stream_close(made(&forward));
    MUST(sb_stream_destroy(&forward, &err));
    MUST(sb_stream_destroy(&forward, &err));
    FAILS(sb_stream_open(&forward, SB_STREAM_READ, &stream, &err), SB_E_NOT_PREPARED);
    stream = open_one(&reverse, SB_STREAM_READ);
    MUST(sb_stream_seek(stream, bounds_of(stream).oldest, &err));
    read_all(stream, 1, 2, SMALL);
    sb_stream_close(stream);
    MUST(sb_stream_destroy(&reverse, &err));
    FAILS(sb_stream_open(&reverse, SB_STREAM_READ, &stream, &err), SB_E_NOT_PREPARED);
}
END_TEST

/* -- writing --------------------------------------------------------------------------------------------- */

START_TEST(tickets_count_and_become_durable_without_a_hole)
{
    enum { COUNT = 5000 };
    struct sb_stream_options options = ground_options("tickets", "forward");
    struct sb_stream *writer = made(&options);
    uint64_t ticket = 0, durable = 0;
    ck_assert_uint_eq(sb_stream_durable(writer), 0);
    for (uint64_t i = 1; i <= COUNT; i++) {
        MUST(append(writer, 1, i, SMALL, &ticket));
        ck_assert_uint_eq(ticket, i);
        if (i % 100 == 0)
            MUST(sb_stream_service(writer, &err));
        ck_assert_uint_ge(sb_stream_durable(writer), durable);
        durable = sb_stream_durable(writer);
        ck_assert_uint_le(durable, ticket);
    }
    int64_t deadline_ms = sb_clock_mono_ms() + PATIENCE_MS; /* without flush: service alone gets there */
    while (sb_stream_durable(writer) < COUNT && sb_clock_mono_ms() < deadline_ms) {
        MUST(sb_stream_service(writer, &err));
        poll(NULL, 0, 1);
    }
    ck_assert_uint_eq(sb_stream_durable(writer), COUNT);
    struct sb_stream *reader = open_one(&options, SB_STREAM_READ);
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    read_all(reader, 1, COUNT, SMALL);
    struct sb_record record;
    ck_assert_int_eq(sb_stream_read(reader, &record, &err), SB_STREAM_END);
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

START_TEST(what_is_durable_is_read_by_others_at_once)
{
    struct sb_stream_options options = ground_options("at_once", "forward");
    struct sb_stream *writer = made(&options), *reader = open_one(&options, SB_STREAM_READ);
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    for (uint64_t i = 1; i <= 20; i++) {
        append_all(writer, i, i);
        ck_assert_int_eq(bounds_of(reader).next, bounds_of(writer).next);
        read_all(reader, i, i, SMALL);
    }
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

START_TEST(a_full_queue_is_busy_and_loses_nothing)
{
    enum { LEN = 200000, COUNT = 400 };
    struct sb_stream_options options = ground_options("busy", "forward");
    options.queue_max_bytes = 2 << 20;
    struct sb_stream *writer = made(&options);
    unsigned busy = 0;
    int rc;
    for (uint64_t i = 1; i <= COUNT; i++) {
        while ((rc = append(writer, 1, i, LEN, NULL)) == SB_STREAM_BUSY) {
            busy++;
            MUST(sb_stream_service(writer, &err));
            poll(NULL, 0, 1);
        }
        MUST(rc);
    }
    ck_assert_uint_gt(busy, 0);
    do
        rc = append(writer, 1, COUNT + 1, LEN, NULL);
    while (rc == 0);
    ck_assert_int_eq(rc, SB_STREAM_BUSY); /* full, and a control entry finds room all the same */
    MUST(sb_stream_control_put(writer, sb_view_str("k"), sb_view_str("v"), &err));
    MUST(sb_stream_flush(writer, PATIENCE_MS, &err));
    ck_assert_uint_ge(sb_stream_durable(writer), COUNT);
    struct sb_stream *reader = open_one(&options, SB_STREAM_READ);
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    read_all(reader, 1, COUNT, LEN);
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

START_TEST(a_record_may_be_as_large_as_it_says_and_no_larger)
{
    struct sb_stream_options options = ground_options("large", "forward");
    struct sb_stream *writer = made(&options);
    size_t max = sb_stream_record_max(writer);
    ck_assert_uint_ge(max, 32768);
    MUST(append(writer, 1, 1, max, NULL));
    MUST(append(writer, 1, 2, 0, NULL));
    MUST(sb_stream_flush(writer, PATIENCE_MS, &err));
    struct sb_stream *reader = open_one(&options, SB_STREAM_READ);
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    read_all(reader, 1, 1, max);
    read_all(reader, 2, 2, 0);
    struct sb_record record = {.frame = {.kind = SB_KIND_CHANGE, .stream = uuid, .epoch = 1, .sequence = 3},
        .body = body_of(3, max + 1)};
    FAILS(sb_stream_append(writer, &record, NULL, &err), SB_E_RECORD_TOO_LARGE);
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

START_TEST(a_body_larger_than_a_record_travels_in_parts)
{
    struct sb_stream_options options = ground_options("parts", "forward");
    struct sb_stream *writer = made(&options);
    size_t max = sb_stream_record_max(writer), len = 2 * max + 12345;
    struct sb_frame frame = {.kind = SB_KIND_CHANGE, .stream = uuid, .epoch = 1, .sequence = 1, .ordinal = 1};
    struct sb_record record, whole;
    for (uint32_t i = 0; i < 3; i++) {
        int rc;
        sb_parts_make(&frame, sb_view_str("the key"), body_of(1, len), max, i, &record);
        while ((rc = sb_stream_append(writer, &record, NULL, &err)) == SB_STREAM_BUSY)
            MUST(sb_stream_flush(writer, PATIENCE_MS, &err));
        MUST(rc);
    }
    MUST(sb_stream_flush(writer, PATIENCE_MS, &err));
    struct sb_stream *reader = open_one(&options, SB_STREAM_READ);
    struct sb_joiner *joiner = sb_joiner_new(len);
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    for (int i = 0; i < 3; i++) {
        read_next(reader, &record);
        ck_assert_int_eq(sb_joiner_feed(joiner, &record, &whole, &err), i < 2 ? SB_JOINER_MORE : 0);
    }
    ck_assert(sb_view_eq(whole.body, body_of(1, len)));
    ck_assert(sb_view_eq_str(whole.key, "the key"));
    sb_joiner_free(joiner);
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

START_TEST(release_takes_nothing_that_is_needed)
{
    struct sb_stream_options options = ground_options("release", "forward");
    struct sb_stream *writer = made(&options), *reader = open_one(&options, SB_STREAM_READ);
    append_all(writer, 1, 10);
    struct sb_stream_bounds before = bounds_of(writer);
    poll(NULL, 0, 5);
    MUST(sb_stream_release(writer, before.oldest + 4, 0, &err));
    ck_assert_int_le(bounds_of(writer).oldest, before.oldest + 4);
    ck_assert_int_eq(bounds_of(writer).next, before.next);
    MUST(sb_stream_seek(reader, before.oldest + 4, &err));
    read_all(reader, 5, 10, SMALL);
    MUST(sb_stream_release(writer, before.next, 0, &err)); /* all of it: an offset is never given twice */
    sb_stream_close(writer);
    writer = open_one(&options, SB_STREAM_WRITE);
    append_all(writer, 11, 11);
    struct sb_record record;
    read_next(reader, &record);
    check_record(&record, 1, 11, SMALL);
    ck_assert_int_ge(record.offset, before.next);
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

/* -- reading --------------------------------------------------------------------------------------------- */

START_TEST(bounds_are_those_of_the_records)
{
    struct sb_stream_options options = ground_options("bounds", "forward");
    struct sb_stream *writer = made(&options), *reader = open_one(&options, SB_STREAM_READ);
    struct sb_stream_bounds bounds = bounds_of(reader);
    ck_assert_int_eq(bounds.oldest, bounds.next);
    int64_t from_ms = sb_clock_wall_us() / 1000;
    append_all(writer, 1, 10);
    struct sb_stream_bounds now = bounds_of(reader);
    ck_assert_int_eq(now.oldest, bounds.oldest);
    MUST(sb_stream_seek(reader, now.oldest, &err));
    struct sb_record record;
    for (int i = 1; i <= 10; i++) {
        read_next(reader, &record);
        if (i == 1)
            ck_assert_int_eq(record.offset, now.oldest);
        ck_assert_int_ge(record.append_ms, from_ms);
        ck_assert_int_le(record.append_ms, sb_clock_wall_us() / 1000);
    }
    ck_assert_int_eq(record.offset + 1, now.next);
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

START_TEST(seek_goes_exactly_there_or_says_why_not)
{
    struct sb_stream_options options = ground_options("seek", "forward");
    struct sb_stream *writer = made(&options), *reader = open_one(&options, SB_STREAM_READ);
    append_all(writer, 1, 100);
    struct sb_stream_bounds bounds = bounds_of(reader);
    for (int64_t at = 99; at >= 0; at -= 11) { /* backwards: a seek is not bound to where reading stood */
        MUST(sb_stream_seek(reader, bounds.oldest + at, &err));
        read_all(reader, (uint64_t)at + 1, (uint64_t)at + 1, SMALL);
    }
    FAILS(sb_stream_seek(reader, bounds.next + 1, &err), SB_E_LOG_TRUNCATED);
    struct sb_record record;
    MUST(sb_stream_seek(reader, bounds.next, &err)); /* at the end: waits there */
    ck_assert_int_eq(sb_stream_read(reader, &record, &err), SB_STREAM_END);
    append_all(writer, 101, 102);
    read_all(reader, 101, 102, SMALL);
    ground_trim(&options, writer, bounds.oldest + 50);
    FAILS(sb_stream_seek(reader, bounds.oldest + 49, &err), SB_E_LOG_GAP);
    MUST(sb_stream_seek(reader, bounds.oldest + 50, &err));
    read_all(reader, 51, 102, SMALL);
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

/* What was taken away while a reader stood before it. What it had fetched already it may still hand out. */
START_TEST(a_reader_that_was_passed_is_told)
{
    enum { COUNT = 120, LEN = 400000 };
    struct sb_stream_options options = ground_options("passed", "forward");
    struct sb_stream *writer = made(&options), *reader = open_one(&options, SB_STREAM_READ);
    struct sb_record record;
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    for (uint64_t i = 1; i <= COUNT; i++) {
        int rc;
        while ((rc = append(writer, 1, i, LEN, NULL)) == SB_STREAM_BUSY)
            MUST(sb_stream_flush(writer, PATIENCE_MS, &err));
        MUST(rc);
    }
    MUST(sb_stream_flush(writer, PATIENCE_MS, &err));
    read_all(reader, 1, 1, LEN);
    ground_trim(&options, writer, bounds_of(writer).next);
    uint64_t i = 2;
    int rc;
    int64_t deadline_ms = sb_clock_mono_ms() + PATIENCE_MS;
    for (;; i++) {
        while ((rc = sb_stream_read(reader, &record, &err)) == SB_STREAM_END)
            ck_assert_msg(sb_clock_mono_ms() < deadline_ms, "END although records are missing");
        if (rc != 0)
            break;
        check_record(&record, 1, i, LEN);
    }
    ck_assert_uint_lt(i, COUNT);
    ck_assert_msg(err.code == SB_E_LOG_GAP, "%s: %s", sb_err_id(&err), err.text);
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

static bool readable(struct sb_stream *reader, int wait_ms)
{
    struct pollfd file = {.fd = sb_stream_fd(reader), .events = POLLIN};
    return poll(&file, 1, wait_ms) == 1;
}

/* Read to the end until the descriptor is quiet. */
static void settle(struct sb_stream *reader)
{
    struct sb_record record;
    int64_t deadline_ms = sb_clock_mono_ms() + PATIENCE_MS;
    do {
        ck_assert_int_eq(sb_stream_read(reader, &record, &err), SB_STREAM_END);
        ck_assert_msg(sb_clock_mono_ms() < deadline_ms, "the descriptor never rests");
    } while (readable(reader, 300));
}

START_TEST(the_descriptor_wakes_once_there_is_more)
{
    struct sb_stream_options options = ground_options("wakes", "forward");
    struct sb_stream *writer = made(&options), *reader = open_one(&options, SB_STREAM_READ);
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    ck_assert_int_ge(sb_stream_fd(reader), 0);
    for (uint64_t i = 1; i <= 6; i += 2) {
        settle(reader);
        append_all(writer, i, i + 1);
        ck_assert_msg(readable(reader, PATIENCE_MS), "nobody was woken by record %d", (int)i);
        ck_assert(readable(reader, 0)); /* level-triggered */
        read_all(reader, i, i + 1, SMALL);
    }
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

/* Sleeping only on the descriptor, a reader misses nothing of a stream that trickles. */
START_TEST(no_wakeup_is_lost)
{
    enum { COUNT = 300 };
    struct sb_stream_options options = ground_options("trickle", "forward");
    struct sb_stream *writer = made(&options);
    sb_stream_close(writer);
    pid_t child = fork();
    if (child == 0) {
        writer = open_one(&options, SB_STREAM_WRITE);
        for (uint64_t i = 1; i <= COUNT; i++)
            append_all(writer, i, i);
        sb_stream_close(writer);
        _exit(0);
    }
    struct sb_stream *reader = open_one(&options, SB_STREAM_READ);
    struct sb_record record;
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    for (uint64_t i = 1; i <= COUNT; i++) {
        int rc;
        while ((rc = sb_stream_read(reader, &record, &err)) == SB_STREAM_END)
            ck_assert_msg(readable(reader, PATIENCE_MS), "asleep although record %d was written", (int)i);
        MUST(rc);
        check_record(&record, 1, i, SMALL);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    sb_stream_close(reader);
}
END_TEST

/* -- control --------------------------------------------------------------------------------------------- */

struct entries {
    unsigned count;
    char keys[16][32];
    char values[16][32];
    size_t value_len[16];
};

static int note_entry(void *arg, struct sb_view key, struct sb_view value, struct sb_err *error)
{
    struct entries *entries = arg;
    (void)error;
    ck_assert_uint_lt(entries->count, 16);
    snprintf(entries->keys[entries->count], 32, "%.*s", (int)key.len, key.ptr);
    entries->value_len[entries->count] = value.len;
    memcpy(entries->values[entries->count], value.ptr, value.len < 32 ? value.len : 32);
    entries->count++;
    return 0;
}

static int refuse_entry(void *arg, struct sb_view key, struct sb_view value, struct sb_err *error)
{
    (void)arg, (void)key, (void)value;
    return sb_err_set(error, SB_E_LIMIT, "no");
}

static struct entries entries_of(struct sb_stream *stream, const char *prefix)
{
    struct entries entries = {0};
    MUST(sb_stream_control_each(stream, sb_view_str(prefix), note_entry, &entries, &err));
    return entries;
}

START_TEST(of_a_control_key_the_last_value_counts)
{
    struct sb_stream_options options = ground_options("control", "forward");
    struct sb_stream *writer = made(&options), *reader = open_one(&options, SB_STREAM_READ);
    char value[8] = {0, 1, 0, 2, 'x', 0, 0, 3};
    ck_assert_uint_eq(entries_of(reader, "schema/").count, 0);
    for (char i = 0; i < 5; i++) {
        value[0] = i;
        MUST(sb_stream_control_put(writer, sb_view_str("schema/1"), sb_view(value, sizeof value), &err));
    }
    MUST(sb_stream_control_put(writer, sb_view_str("schema/22"), sb_view_str("short"), &err));
    MUST(sb_stream_control_put(writer, sb_view_str("schema/22"), sb_view_str("a longer one"), &err));
    MUST(sb_stream_control_put(writer, sb_view_str("open"), sb_view_str("o"), &err));
    struct entries schemas = entries_of(reader, "schema/"), all = entries_of(reader, "");
    ck_assert_uint_eq(schemas.count, 2);
    for (unsigned i = 0; i < 2; i++) {
        bool first = strcmp(schemas.keys[i], "schema/1") == 0;
        ck_assert(first || strcmp(schemas.keys[i], "schema/22") == 0);
        ck_assert_uint_eq(schemas.value_len[i], first ? sizeof value : 12);
        ck_assert_mem_eq(schemas.values[i], first ? value : "a longer one", schemas.value_len[i]);
    }
    ck_assert_str_ne(schemas.keys[0], schemas.keys[1]);
    ck_assert_uint_eq(entries_of(writer, "open").count, 1);
    for (unsigned i = 0; i < all.count; i++)
        ck_assert(strncmp(all.keys[i], "schema/", 7) == 0 || strcmp(all.keys[i], "open") == 0 ||
                  strncmp(all.keys[i], "meta/", 5) == 0);
    FAILS(sb_stream_control_each(reader, sb_view_str("open"), refuse_entry, NULL, &err), SB_E_LIMIT);
    sb_stream_close(reader);
    sb_stream_close(writer);
    writer = open_one(&options, SB_STREAM_WRITE); /* and it lasts */
    ck_assert_uint_eq(entries_of(writer, "schema/").count, 2);
    sb_stream_close(writer);
}
END_TEST

/* Entries that are written over and over (the newest mark) cost neither memory nor a refusal. */
START_TEST(a_control_key_may_be_written_for_ever)
{
    enum { ROUNDS = 320, LEN = 1000000 };
    struct sb_stream_options options = ground_options("forever", "forward");
    struct sb_stream *writer = made(&options);
    size_t len = sb_stream_record_max(writer) < LEN ? sb_stream_record_max(writer) : LEN;
    for (uint64_t i = 1; i <= ROUNDS; i++)
        MUST(sb_stream_control_put(writer, sb_view_str("mark"), body_of(i, len), &err));
    struct entries entries = entries_of(writer, "mark");
    uint64_t last;
    memcpy(&last, entries.values[0], sizeof last);
    ck_assert_uint_eq(entries.count, 1);
    ck_assert_uint_eq(entries.value_len[0], len);
    ck_assert_uint_eq(last, ROUNDS);
    sb_stream_close(writer);
}
END_TEST

/* -- crashes and rivals ---------------------------------------------------------------------------------- */

/* Appends for ever; says on the pipe up to which ticket all is durable. */
static void write_until_killed(const struct sb_stream_options *options, uint64_t first, int report)
{
    struct sb_stream *writer = open_one(options, SB_STREAM_WRITE);
    for (uint64_t i = first;; i++) {
        while (append(writer, 1, i, SMALL, NULL) == SB_STREAM_BUSY)
            MUST(sb_stream_service(writer, &err));
        if (i % 16 != 0)
            continue;
        MUST(sb_stream_service(writer, &err));
        uint64_t durable = first - 1 + sb_stream_durable(writer);
        if (write(report, &durable, sizeof durable) != sizeof durable)
            _exit(1);
    }
}

/* SIGKILL a writer once it has called `enough` durable; returns what it said last. */
static uint64_t killed_writer(const struct sb_stream_options *options, uint64_t first, uint64_t enough)
{
    int ends[2];
    uint64_t durable = 0, said = 0;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        write_until_killed(options, first, ends[1]);
    }
    close(ends[1]);
    while (durable < first + enough && read(ends[0], &said, sizeof said) == sizeof said)
        durable = said;
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    while (read(ends[0], &said, sizeof said) == sizeof said) /* what it said before it died counts */
        durable = said;
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert_uint_ge(durable, first + enough);
    close(ends[0]);
    return durable;
}

START_TEST(what_was_durable_outlives_the_writer)
{
    struct sb_stream_options options = ground_options("killed", "forward");
    sb_stream_close(made(&options));
    uint64_t durable = killed_writer(&options, 1, 2000);
    struct sb_stream *writer = open_one(&options, SB_STREAM_WRITE);
    for (uint64_t i = 1; i <= 10; i++)
        MUST(append(writer, 2, i, SMALL, NULL));
    MUST(sb_stream_flush(writer, PATIENCE_MS, &err));
    struct sb_stream *reader = open_one(&options, SB_STREAM_READ);
    int64_t next = bounds_of(reader).next;
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    uint64_t old = 0, new = 0;
    struct sb_record record = {.offset = -1};
    while (record.offset + 1 < next) {
        read_next(reader, &record);
        uint64_t *count = record.frame.epoch == 1 ? &old : &new;
        check_record(&record, record.frame.epoch, ++*count, SMALL);
    }
    ck_assert_uint_ge(old, durable); /* and without a hole: it was counted */
    ck_assert_uint_eq(new, 10);
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

START_TEST(of_two_writers_the_second_is_refused)
{
    struct sb_stream_options options = ground_options("rivals", "forward");
    struct sb_stream *first = made(&options), *second;
    FAILS(sb_stream_open(&options, SB_STREAM_WRITE, &second, &err), SB_E_STREAM_LOCKED);
    append_all(first, 1, 3);
    sb_stream_close(first);
    second = open_one(&options, SB_STREAM_WRITE);
    append_all(second, 4, 5);
    sb_stream_close(second);
}
END_TEST

/* Where there is no lock the epochs decide, and the store keeps each one's order. */
START_TEST(of_two_writers_each_keeps_its_order)
{
    enum { COUNT = 2000 };
    struct sb_stream_options options = ground_options("rivals", "forward");
    struct sb_stream *first = made(&options), *second = open_one(&options, SB_STREAM_WRITE);
    for (uint64_t i = 1; i <= COUNT; i++) {
        MUST(append(first, 1, i, SMALL, NULL));
        MUST(append(second, 2, i, SMALL, NULL));
    }
    MUST(sb_stream_flush(first, PATIENCE_MS, &err));
    MUST(sb_stream_flush(second, PATIENCE_MS, &err));
    struct sb_stream *reader = open_one(&options, SB_STREAM_READ);
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    uint64_t seen[3] = {0};
    for (int i = 0; i < 2 * COUNT; i++) {
        struct sb_record record;
        read_next(reader, &record);
        uint64_t epoch = record.frame.epoch;
        ck_assert(epoch == 1 || epoch == 2);
        check_record(&record, epoch, ++seen[epoch], SMALL);
    }
    sb_stream_close(reader);
    sb_stream_close(first);
    sb_stream_close(second);
}
END_TEST

/* -- a store that does not answer (one across a network) ------------------------------------------------- */

static int64_t took_ms(int64_t since_ms)
{
    return sb_clock_mono_ms() - since_ms;
}

static void check_unavailable(int rc)
{
    ck_assert_int_eq(rc, -1);
    ck_assert_msg(err.code == SB_E_STREAM_UNAVAILABLE, "%s: %s", sb_err_id(&err), err.text);
}

START_TEST(a_silent_store_holds_nobody_up)
{
    enum { SLACK_MS = 1500 };
    struct sb_stream_options options = ground_options("silent", "forward");
    struct sb_stream *writer = made(&options), *reader = open_one(&options, SB_STREAM_READ), *third;
    struct sb_stream_bounds bounds;
    struct sb_record record;
    append_all(writer, 1, 10);
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    read_all(reader, 1, 10, SMALL);
    settle(reader);
    ground_silence();
    int64_t began_ms = sb_clock_mono_ms();
    for (uint64_t i = 11; i <= 20; i++)
        MUST(append(writer, 1, i, SMALL, NULL));
    MUST(sb_stream_service(writer, &err));
    ck_assert_int_eq(sb_stream_read(reader, &record, &err), SB_STREAM_END);
    ck_assert_int_lt(took_ms(began_ms), SB_STREAM_CALL_MS + SLACK_MS);
    began_ms = sb_clock_mono_ms();
    check_unavailable(sb_stream_flush(writer, 500, &err));
    ck_assert_int_ge(took_ms(began_ms), 500);
    ck_assert_int_lt(took_ms(began_ms), 500 + SLACK_MS);
    ck_assert_uint_eq(sb_stream_durable(writer), 10);
    began_ms = sb_clock_mono_ms();
    check_unavailable(sb_stream_bounds(writer, &bounds, &err));
    check_unavailable(sb_stream_bounds(reader, &bounds, &err));
    check_unavailable(sb_stream_seek(reader, 0, &err));
    ck_assert_int_lt(took_ms(began_ms), 3 * (SB_STREAM_CALL_MS + SLACK_MS));
    began_ms = sb_clock_mono_ms();
    check_unavailable(sb_stream_open(&options, SB_STREAM_READ, &third, &err));
    ck_assert_int_lt(took_ms(began_ms), SB_STREAM_ASK_MS + SLACK_MS);
    ground_wake();
    MUST(sb_stream_flush(writer, PATIENCE_MS, &err)); /* nothing was lost over it */
    ck_assert_uint_eq(sb_stream_durable(writer), 20);
    read_all(reader, 11, 20, SMALL);
    sb_stream_close(reader);
    sb_stream_close(writer);
}
END_TEST

/* A client that is stuck, or whose brokers are gone for good, is not waited for for ever. */
START_TEST(what_is_not_acknowledged_for_too_long_finishes_the_handle)
{
    struct sb_stream_options options = ground_options("watchdog", "forward");
    options.watchdog_ms = 1000;
    struct sb_stream *writer = made(&options);
    append_all(writer, 1, 1);
    poll(NULL, 0, 1200); /* idle is not stuck */
    MUST(sb_stream_service(writer, &err));
    append_all(writer, 2, 2);
    ground_silence();
    MUST(append(writer, 1, 3, SMALL, NULL));
    MUST(sb_stream_service(writer, &err));
    int64_t began_ms = sb_clock_mono_ms();
    int rc;
    while ((rc = sb_stream_service(writer, &err)) == 0 && took_ms(began_ms) < PATIENCE_MS)
        poll(NULL, 0, 10);
    check_unavailable(rc);
    ck_assert_int_ge(took_ms(began_ms), 900);
    ground_wake();
    check_unavailable(append(writer, 1, 4, SMALL, NULL)); /* and stays finished */
    check_unavailable(sb_stream_flush(writer, 100, &err));
    ck_assert_uint_eq(sb_stream_durable(writer), 2);
    sb_stream_close(writer);
}
END_TEST

START_TEST(closing_gives_up_at_once)
{
    struct sb_stream_options options = ground_options("giving_up", "forward");
    struct sb_stream *writer = made(&options), *reader = open_one(&options, SB_STREAM_READ);
    append_all(writer, 1, 1);
    MUST(sb_stream_seek(reader, bounds_of(reader).oldest, &err));
    read_all(reader, 1, 1, SMALL);
    ground_silence();
    for (uint64_t i = 2; i <= 1000; i++)
        MUST(append(writer, 1, i, SMALL, NULL));
    int64_t began_ms = sb_clock_mono_ms();
    sb_stream_close(writer);
    sb_stream_close(reader);
    int64_t spent_ms = took_ms(began_ms);
    ground_wake();
    ck_assert_int_lt(spent_ms, 3000);
    sb_stream_close(NULL);
}
END_TEST

static void wake_anyway(void)
{
    if (ground_is_kafka())
        ground_wake();
}

static Suite *contract(void)
{
    Suite *suite = suite_create(ground_is_kafka() ? "contract, kafka" : "contract, embedded");
    TCase *all = tcase_create("contract");
    tcase_set_timeout(all, CASE_MAX_S);
    tcase_add_checked_fixture(all, NULL, wake_anyway);
    tcase_add_test(all, nothing_is_there_before_it_is_made);
    tcase_add_test(all, making_twice_is_making_once);
    tcase_add_test(all, destroyed_is_gone_and_the_other_direction_is_not);
    tcase_add_test(all, tickets_count_and_become_durable_without_a_hole);
    tcase_add_test(all, what_is_durable_is_read_by_others_at_once);
    tcase_add_test(all, a_full_queue_is_busy_and_loses_nothing);
    tcase_add_test(all, a_record_may_be_as_large_as_it_says_and_no_larger);
    tcase_add_test(all, a_body_larger_than_a_record_travels_in_parts);
    tcase_add_test(all, release_takes_nothing_that_is_needed);
    tcase_add_test(all, bounds_are_those_of_the_records);
    tcase_add_test(all, seek_goes_exactly_there_or_says_why_not);
    tcase_add_test(all, a_reader_that_was_passed_is_told);
    tcase_add_test(all, the_descriptor_wakes_once_there_is_more);
    tcase_add_test(all, no_wakeup_is_lost);
    tcase_add_test(all, of_a_control_key_the_last_value_counts);
    tcase_add_test(all, a_control_key_may_be_written_for_ever);
    tcase_add_test(all, what_was_durable_outlives_the_writer);
    if (ground_is_kafka()) {
        tcase_add_test(all, of_two_writers_each_keeps_its_order);
        tcase_add_test(all, a_silent_store_holds_nobody_up);
        tcase_add_test(all, what_is_not_acknowledged_for_too_long_finishes_the_handle);
        tcase_add_test(all, closing_gives_up_at_once);
    } else {
        tcase_add_test(all, of_two_writers_the_second_is_refused);
    }
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv)
{
    if (!ground_init(argc, argv))
        return EXIT_FAILURE;
    SRunner *runner = srunner_create(contract());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
