/* capture/overlap: a source that tells another story does not pass, whatever the story is. */
#include "capture/overlap.h"
#include "capture/recorder.h"
#include "schemas/digest.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { COMMITS = 8, FIRST_LSN = 0x100, STEP = 0x10, OPEN_MS = 5000 };

static char folder[] = "/tmp/test-overlap-XXXXXX";
static char path[64];
static struct sb_stream_options options;
static struct sb_err err;
static struct sb_commit commits[COMMITS];

#define FINE(call) ck_assert_msg((call) == 0, "%s: %s", sb_err_id(&err), err.text)

static void setup(void)
{
    struct sb_uuid uuid;
    snprintf(path, sizeof path, "%s/forward.db", folder);
    options = (struct sb_stream_options){.store = SB_STORE_EMBEDDED,
        .migration = "test",
        .direction = "forward",
        .path = path,
        .retention_max_bytes = 1 << 30,
        .queue_max_bytes = 1 << 24};
    ck_assert(sb_uuid_random(&uuid));
    FINE(sb_stream_create(&options, &uuid, NULL, &err));
}

static void teardown(void)
{
    FINE(sb_stream_destroy(&options, &err));
}

/* One incarnation: `open` behind base, then commits [from, to) of one message each. */
static void record(uint64_t epoch, const struct sb_commit *base, uint64_t hole_from, size_t from, size_t to)
{
    struct sb_stream *stream;
    struct sb_codec *codec;
    struct sb_recorder *recorder;
    uint64_t ticket;
    FINE(sb_stream_open(&options, SB_STREAM_WRITE, &stream, &err));
    FINE(sb_codec_new(&codec, &err));
    FINE(sb_recorder_new(stream, codec, &recorder, &err));
    struct sb_open open = {.epoch = epoch, .timeline = 1, .hole_from_lsn = hole_from};
    if (base != NULL) {
        open.base_commit_lsn = base->commit_lsn;
        open.base_sequence = 1000;
        open.base_chain = base->chain;
    }
    FINE(sb_recorder_open(recorder, &open, OPEN_MS, &err));
    for (size_t i = from; i < to; i++) {
        struct sb_message msg = {
            .prefix = sb_view_str("test"), .content = sb_view(&i, sizeof i), .lsn = i + 1};
        sb_recorder_begin(recorder, FIRST_LSN + i * STEP, 700 + i, 0);
        FINE(sb_recorder_message(recorder, &msg, &err));
        FINE(sb_recorder_commit(recorder, FIRST_LSN + i * STEP + 8, &commits[i], &ticket, &err));
    }
    FINE(sb_stream_flush(stream, OPEN_MS, &err));
    sb_recorder_free(recorder);
    sb_codec_free(codec);
    sb_stream_close(stream);
}

static uint64_t lsn_of(size_t i)
{
    return FIRST_LSN + i * STEP;
}

struct trial {
    struct sb_codec *codec;
    struct sb_overlap *overlap;
};

static int trial_open(struct trial *trial, uint64_t confirmed, const struct sb_commit *until, bool hole)
{
    struct sb_overlap_facts facts = {.slot_began = FIRST_LSN - STEP,
        .confirmed = confirmed,
        .until = until->commit_lsn,
        .until_chain = until->chain};
    FINE(sb_codec_new(&trial->codec, &err));
    trial->overlap = NULL;
    return sb_overlap_new(hole ? NULL : &options, trial->codec, &facts, &trial->overlap, &err);
}

static void trial_close(struct trial *trial)
{
    sb_overlap_free(trial->overlap);
    sb_codec_free(trial->codec);
}

/* 0: fine, 1: proven, -1. What the source sends has no chain of its own. */
static int deliver(struct trial *trial, struct sb_commit commit)
{
    struct sb_digest chain;
    bool known, done;
    commit.chain = (struct sb_digest){{0}};
    if (sb_overlap_commit(trial->overlap, &commit, &chain, &known, &done, &err) != 0)
        return -1;
    return done ? 1 : 0;
}

#define REFUSED(trial, commit, code_)                                                                        \
    do {                                                                                                     \
        ck_assert_int_eq(deliver((trial), (commit)), -1);                                                    \
        ck_assert_msg(err.code == (code_), "%s: %s", sb_err_id(&err), err.text);                             \
    } while (0)

START_TEST(the_same_story_passes_from_every_confirmed_commit)
{
    struct trial trial;
    record(1, NULL, 0, 0, COMMITS);
    for (size_t from = 0; from < COMMITS; from++) {
        FINE(trial_open(&trial, lsn_of(from), &commits[COMMITS - 1], false));
        for (size_t i = from; i < COMMITS; i++)
            ck_assert_int_eq(deliver(&trial, commits[i]), i == COMMITS - 1);
        ck_assert_uint_eq(sb_overlap_compared(trial.overlap), COMMITS - from);
        trial_close(&trial);
    }
    FINE(trial_open(&trial, FIRST_LSN - STEP, &commits[COMMITS - 1], false)); /* where the slot began */
    for (size_t i = 0; i < COMMITS; i++)
        ck_assert_int_eq(deliver(&trial, commits[i]), i == COMMITS - 1);
    trial_close(&trial);
}
END_TEST

START_TEST(a_commit_left_out_is_noticed)
{
    struct trial trial;
    record(1, NULL, 0, 0, COMMITS);
    for (size_t out = 0; out < COMMITS - 1; out++) {
        FINE(trial_open(&trial, lsn_of(0), &commits[COMMITS - 1], false));
        for (size_t i = 0; i < out; i++)
            ck_assert_int_eq(deliver(&trial, commits[i]), 0);
        REFUSED(&trial, commits[out + 1], SB_E_SOURCE_REWOUND);
        trial_close(&trial);
    }
    struct sb_commit beyond = {.commit_lsn = lsn_of(COMMITS), .xid = 900, .count = 1};
    FINE(trial_open(&trial, lsn_of(COMMITS - 1), &commits[COMMITS - 1], false));
    REFUSED(&trial, beyond, SB_E_SOURCE_REWOUND); /* the last one left out */
    trial_close(&trial);
}
END_TEST

START_TEST(another_transaction_in_its_place_is_noticed)
{
    struct trial trial;
    record(1, NULL, 0, 0, COMMITS);
    for (int change = 0; change < 3; change++) {
        struct sb_commit other = commits[2];
        if (change == 0)
            other.xid++;
        else if (change == 1)
            other.count++;
        else
            other.digest.bytes[7] ^= 1;
        FINE(trial_open(&trial, lsn_of(1), &commits[COMMITS - 1], false));
        ck_assert_int_eq(deliver(&trial, commits[1]), 0);
        REFUSED(&trial, other, SB_E_SOURCE_REWOUND);
        trial_close(&trial);
    }
}
END_TEST

START_TEST(a_commit_more_is_noticed)
{
    struct trial trial;
    struct sb_commit extra = {.commit_lsn = lsn_of(2) + 1, .xid = 900, .count = 1};
    record(1, NULL, 0, 0, COMMITS);
    FINE(trial_open(&trial, lsn_of(2), &commits[COMMITS - 1], false));
    ck_assert_int_eq(deliver(&trial, commits[2]), 0);
    REFUSED(&trial, extra, SB_E_SOURCE_REWOUND);
    trial_close(&trial);
}
END_TEST

START_TEST(a_slot_between_two_commits_was_moved)
{
    struct trial trial;
    record(1, NULL, 0, 0, COMMITS);
    ck_assert_int_eq(trial_open(&trial, lsn_of(2) + 1, &commits[COMMITS - 1], false), -1);
    ck_assert_int_eq(err.code, SB_E_SLOT_MOVED);
    trial_close(&trial);
}
END_TEST

START_TEST(wal_read_beyond_the_tail_without_it_is_noticed)
{
    struct trial trial;
    record(1, NULL, 0, 0, COMMITS);
    FINE(trial_open(&trial, lsn_of(6), &commits[7], false));
    FINE(sb_overlap_reached(trial.overlap, lsn_of(7), &err)); /* up to its beginning: it may still come */
    ck_assert_int_eq(sb_overlap_reached(trial.overlap, lsn_of(7) + 1, &err), -1);
    ck_assert_int_eq(err.code, SB_E_SOURCE_REWOUND);
    ck_assert_int_eq(deliver(&trial, commits[6]), 0);
    ck_assert_int_eq(deliver(&trial, commits[7]), 1);
    FINE(sb_overlap_reached(trial.overlap, lsn_of(9), &err));
    trial_close(&trial);
}
END_TEST

/* Keep only what lies behind commit `keep`, as retention does. */
static void release_before(size_t keep)
{
    struct sb_stream *stream;
    struct sb_stream_bounds bounds;
    struct sb_record read;
    FINE(sb_stream_open(&options, SB_STREAM_WRITE, &stream, &err));
    FINE(sb_stream_bounds(stream, &bounds, &err));
    FINE(sb_stream_seek(stream, bounds.oldest, &err));
    int64_t at = -1;
    while (sb_stream_read(stream, &read, &err) == 0 && at < 0)
        if (read.frame.kind == SB_KIND_COMMIT && read.frame.commit_lsn == lsn_of(keep))
            at = read.offset;
    FINE(sb_stream_release(stream, at, 0, &err));
    FINE(sb_stream_bounds(stream, &bounds, &err));
    ck_assert_int_eq(bounds.oldest, at);
    sb_stream_close(stream);
}

START_TEST(what_retention_deleted_is_passed_over_and_the_rest_compared)
{
    struct trial trial;
    record(1, NULL, 0, 0, COMMITS);
    release_before(5);
    struct sb_commit other = commits[6];
    other.digest.bytes[0] ^= 1;
    for (int good = 0; good < 2; good++) {
        FINE(trial_open(&trial, lsn_of(3), &commits[COMMITS - 1], false));
        for (size_t i = 3; i < 6; i++)
            ck_assert_int_eq(deliver(&trial, commits[i]), 0);
        if (good == 0) {
            REFUSED(&trial, other, SB_E_SOURCE_REWOUND);
        } else {
            ck_assert_int_eq(deliver(&trial, commits[6]), 0);
            ck_assert_int_eq(deliver(&trial, commits[7]), 1);
            ck_assert_uint_eq(sb_overlap_compared(trial.overlap), 3);
        }
        trial_close(&trial);
    }
    FINE(trial_open(&trial, lsn_of(3), &commits[COMMITS - 1], false));
    REFUSED(&trial, commits[4], SB_E_SOURCE_REWOUND); /* the confirmed one must come first even so */
    trial_close(&trial);
}
END_TEST

START_TEST(a_hole_at_the_start_needs_its_two_ends)
{
    struct trial trial;
    record(1, NULL, 0, 0, COMMITS);
    FINE(trial_open(&trial, lsn_of(2), &commits[5], true));
    for (size_t i = 2; i <= 5; i++)
        ck_assert_int_eq(deliver(&trial, commits[i]), i == 5);
    trial_close(&trial);
    FINE(trial_open(&trial, lsn_of(2), &commits[5], true));
    REFUSED(&trial, commits[3], SB_E_SOURCE_REWOUND);
    trial_close(&trial);
    FINE(trial_open(&trial, lsn_of(2), &commits[5], true));
    ck_assert_int_eq(deliver(&trial, commits[2]), 0);
    REFUSED(&trial, commits[6], SB_E_SOURCE_REWOUND);
    trial_close(&trial);
}
END_TEST

START_TEST(a_hole_declared_before_is_passed_over)
{
    struct trial trial;
    record(1, NULL, 0, 0, COMMITS); /* for the digests of all */
    FINE(sb_stream_destroy(&options, &err));
    setup();
    struct sb_commit base = commits[4];
    record(1, NULL, 0, 0, 2);
    record(2, &base, lsn_of(1), 5, COMMITS);  /* 2, 3 and 4 were lost */
    for (size_t from = 1; from < 6; from++) { /* also from inside the hole */
        FINE(trial_open(&trial, lsn_of(from), &commits[COMMITS - 1], false));
        for (size_t i = from; i < COMMITS; i++)
            ck_assert_msg(
                deliver(&trial, commits[i]) == (i == COMMITS - 1), "from %zu at %zu: %s", from, i, err.text);
        trial_close(&trial);
    }
}
END_TEST

START_TEST(a_zombie_s_late_records_say_nothing)
{
    struct trial trial;
    record(1, NULL, 0, 0, 4);
    struct sb_commit base = commits[3];
    record(3, &base, 0, 4, 6);
    record(2, &base, 0, 4, COMMITS); /* of a lower epoch, behind a higher one's open */
    struct sb_commit until = commits[5];
    FINE(trial_open(&trial, lsn_of(2), &until, false));
    for (size_t i = 2; i < 6; i++)
        ck_assert_int_eq(deliver(&trial, commits[i]), i == 5);
    trial_close(&trial);
}
END_TEST

int main(void)
{
    if (mkdtemp(folder) == NULL)
        return 1;
    Suite *s = suite_create("overlap");
    TCase *tc = tcase_create("overlap");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, the_same_story_passes_from_every_confirmed_commit);
    tcase_add_test(tc, a_commit_left_out_is_noticed);
    tcase_add_test(tc, another_transaction_in_its_place_is_noticed);
    tcase_add_test(tc, a_commit_more_is_noticed);
    tcase_add_test(tc, a_slot_between_two_commits_was_moved);
    tcase_add_test(tc, wal_read_beyond_the_tail_without_it_is_noticed);
    tcase_add_test(tc, what_retention_deleted_is_passed_over_and_the_rest_compared);
    tcase_add_test(tc, a_hole_at_the_start_needs_its_two_ends);
    tcase_add_test(tc, a_hole_declared_before_is_passed_over);
    tcase_add_test(tc, a_zombie_s_late_records_say_nothing);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    rmdir(folder);
    return failed == 0 ? 0 : 1;
}
