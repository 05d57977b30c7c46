/*
 * The proof over random histories: incarnations that cut one another off, zombies that append late, repeats,
 * parts; any one record deleted, any two swapped, the tail cut, written again, or written again with another
 * story. Beside it stands a naive model that sees the whole log at once.
 */
#include "schemas/digest.h"
#include "tests/unit/imagined_log.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct log the_log; /* large: not on the stack */

/* -- random histories --------------------------------------------------------------------------------- */

static uint64_t random_state;

static unsigned roll(unsigned sides) /* xorshift64*: the seed of a failing round is in its message */
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (unsigned)((random_state * UINT64_C(2685821657736338717)) >> 33) % sides;
}

/*
 * The naive model, over the whole log at once. A record counts unless one of a higher epoch, or the same one,
 * stands before it. What counts must run gaplessly from an open whose base the reader has.
 */
struct model {
    bool whole;
    unsigned newest; /* transactions 1..newest take effect */
};

static bool counts(const struct log *log, unsigned at)
{
    const struct sb_frame *frame = &log->items[at].frame;
    for (unsigned i = 0; i < at; i++) {
        const struct sb_frame *before = &log->items[i].frame;
        if (before->epoch > frame->epoch ||
            (before->epoch == frame->epoch && before->sequence >= frame->sequence))
            return false;
    }
    return true;
}

static struct model model_of(const struct log *log)
{
    struct model model = {.whole = true};
    uint64_t epoch = 0, sequence = 0;
    for (unsigned i = 0; i < log->count; i++) {
        const struct item *item = &log->items[i];
        if (!counts(log, i))
            continue;
        bool opens = item->frame.kind == SB_KIND_OPEN;
        unsigned base =
            opens && item->open.base_commit_lsn ? (unsigned)(item->open.base_commit_lsn - 1000) / 10 : 0;
        if (opens ? base > model.newest
                  : item->frame.epoch != epoch || item->frame.sequence != sequence + 1) {
            model.whole = false;
            return model;
        }
        epoch = item->frame.epoch;
        sequence = item->frame.sequence;
        if (item->frame.kind == SB_KIND_COMMIT && item->txn > model.newest)
            model.newest = item->txn;
    }
    return model;
}

/* What a new incarnation takes as its base: the newest commit of the highest epoch, or that epoch's base. */
static void base_from_tail(const struct log *log, struct writer *w)
{
    uint64_t highest = 0;
    for (unsigned i = 0; i < log->count; i++)
        if (log->items[i].frame.epoch > highest)
            highest = log->items[i].frame.epoch;
    for (unsigned i = 0; i < log->count; i++) {
        const struct item *item = &log->items[i];
        if (item->frame.epoch != highest)
            continue;
        if (item->frame.kind == SB_KIND_OPEN) {
            w->base = item->open.base_commit_lsn ? (unsigned)(item->open.base_commit_lsn - 1000) / 10 : 0;
            w->base_sequence = item->open.base_sequence;
            w->base_chain = item->open.base_chain;
        } else if (item->frame.kind == SB_KIND_COMMIT) {
            w->base = item->txn;
            w->base_sequence = item->frame.sequence;
            w->base_chain = item->commit.chain;
        }
    }
}

enum { WRITERS_MAX = 6 };

struct world {
    struct log *log;
    struct writer writers[WRITERS_MAX];
    unsigned writer_count;
    uint64_t epoch;
};

static void world_claim(struct world *world)
{
    if (world->writer_count == WRITERS_MAX) { /* the oldest zombie is gone for good */
        memmove(&world->writers[0], &world->writers[1], (WRITERS_MAX - 1) * sizeof world->writers[0]);
        world->writer_count--;
    }
    struct writer *w = &world->writers[world->writer_count++];
    *w = (struct writer){.epoch = world->epoch += 1 + roll(2)};
    base_from_tail(world->log, w); /* what others append from here on, it does not know */
}

/* The newest incarnation writes most of the time; zombies, also such as have not opened yet, now and then. */
static void world_step(struct world *world)
{
    unsigned count = world->writer_count;
    if (count == 0 || roll(18) == 0) {
        world_claim(world);
        return;
    }
    struct writer *w = &world->writers[roll(4) ? count - 1 : roll(count)];
    unsigned records = 1 + roll(4);
    for (unsigned i = 0; i < records; i++) {
        log_put(world->log, writer_next(w));
        if (roll(12) == 0) /* at-least-once */
            log_put(
                world->log, world->log->items[world->log->count - 1 - roll(world->log->count > 3 ? 3 : 1)]);
    }
}

/* A copy of an older record may be a copy of a zombie's, which is as good as any. */
static void random_history(struct world *world, struct log *log, unsigned steps)
{
    *world = (struct world){.log = log};
    log->count = 0;
    for (unsigned i = 0; i < steps && log->count < LOG_MAX - 32; i++)
        world_step(world);
}

static uint64_t round_seed;

static void seed_round(unsigned round)
{
    round_seed = random_state = UINT64_C(0x9E3779B97F4A7C15) * (round + 1);
    roll(2);
}

/* Whatever was taken is 1, 2, 3, ... beginning behind `before`: no torn, repeated or reordered effect. */
static void check_prefix(const struct reader *reader, unsigned before)
{
    for (unsigned i = 0; i < reader->effect_count; i++)
        ck_assert_msg(reader->effects[i] == before + i + 1, "seed %" PRIx64 ": effect %u is transaction %u",
            round_seed, before + i + 1, reader->effects[i]);
}

/* A reader from the beginning does what the model says. Returns how many transactions it took. */
static unsigned check_against_model(const struct log *log, struct reader *reader)
{
    unsigned at = 0;
    struct model model = model_of(log);
    reader_init(reader, &(struct sb_position){0});
    int result = reader_run(reader, log, 0, &at);
    check_prefix(reader, 0);
    ck_assert_msg((result == 0) == model.whole, "seed %" PRIx64 ": model says %s, reader at %u of %u: %s",
        round_seed, model.whole ? "whole" : "broken", at, log->count, result ? reader->err.text : "fine");
    ck_assert_msg(reader->effect_count == model.newest, "seed %" PRIx64 ": %u instead of %u taken",
        round_seed, reader->effect_count, model.newest);
    if (result != 0)
        ck_assert_msg(reader->err.code == SB_E_LOG_GAP, "seed %" PRIx64 ": %s", round_seed, reader->err.text);
    return reader->effect_count;
}

static struct log damaged;

enum { ROUNDS = 300 };

START_TEST(random_histories_are_taken_once_and_in_order)
{
    unsigned transactions = 0, repeated = 0, dropped = 0, abandoned = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct world world;
        struct reader reader;
        seed_round(round);
        random_history(&world, &the_log, 20 + roll(120));
        ck_assert_msg(model_of(&the_log).whole, "seed %" PRIx64, round_seed);
        transactions += check_against_model(&the_log, &reader);
        repeated += reader.repeated;
        dropped += reader.dropped;
        abandoned += reader.abandoned;
        reader_clear(&reader);
    }
    /* The histories are worth it: all of it happened, often. */
    ck_assert_uint_gt(transactions, 5000);
    ck_assert_uint_gt(repeated, 50);
    ck_assert_uint_gt(dropped, 1000);
    ck_assert_uint_gt(abandoned, 100);
}
END_TEST

START_TEST(deleting_any_one_record_is_noticed)
{
    unsigned noticed = 0;
    for (unsigned round = 0; round < ROUNDS / 10; round++) {
        struct world world;
        seed_round(1000 + round);
        random_history(&world, &the_log, 40);
        for (unsigned at = 0; at < the_log.count; at++) {
            struct reader reader;
            damaged = the_log;
            log_delete(&damaged, at);
            check_against_model(&damaged, &reader);
            noticed += reader.err.code == SB_E_LOG_GAP;
            reader_clear(&reader);
        }
    }
    ck_assert_uint_gt(noticed, 500);
}
END_TEST

START_TEST(swapping_any_two_records_is_noticed)
{
    unsigned noticed = 0;
    for (unsigned round = 0; round < ROUNDS / 30; round++) {
        struct world world;
        seed_round(2000 + round);
        random_history(&world, &the_log, 15);
        for (unsigned a = 0; a < the_log.count; a++)
            for (unsigned b = a + 1; b < the_log.count; b++) {
                struct reader reader;
                damaged = the_log;
                damaged.items[a] = the_log.items[b];
                damaged.items[b] = the_log.items[a];
                check_against_model(&damaged, &reader);
                noticed += reader.err.code == SB_E_LOG_GAP;
                reader_clear(&reader);
            }
    }
    ck_assert_uint_gt(noticed, 500);
}
END_TEST

START_TEST(a_cut_tail_is_a_shorter_log)
{
    for (unsigned round = 0; round < ROUNDS / 10; round++) {
        struct world world;
        seed_round(3000 + round);
        random_history(&world, &the_log, 40);
        for (unsigned keep = 0; keep <= the_log.count; keep++) {
            struct reader reader;
            damaged = the_log;
            damaged.count = keep;
            check_against_model(&damaged, &reader);
            ck_assert_int_eq(reader.err.code, SB_OK);
            reader_clear(&reader);
        }
    }
}
END_TEST

/* Where a reader at a position goes on (stream/tail.h): behind its commit, or at the first higher open. */
static unsigned locate(const struct log *log, const struct sb_position *position)
{
    for (unsigned i = 0; i < log->count; i++) {
        const struct sb_frame *frame = &log->items[i].frame;
        if (frame->kind == SB_KIND_COMMIT && frame->epoch == position->epoch &&
            frame->sequence == position->sequence && frame->commit_lsn == position->commit_lsn)
            return i + 1;
        if (frame->kind == SB_KIND_OPEN && frame->epoch > position->epoch)
            return i;
    }
    return log->count;
}

static void check_restart(
    const struct log *log, const struct sb_position *position, unsigned before, unsigned newest)
{
    struct reader reader;
    reader_init(&reader, position);
    int result = reader_run(&reader, log, locate(log, position), NULL);
    ck_assert_msg(
        result == 0, "seed %" PRIx64 ", restart behind %u: %s", round_seed, before, reader.err.text);
    check_prefix(&reader, before);
    ck_assert_msg(before + reader.effect_count == newest,
        "seed %" PRIx64 ", restart behind %u: ended at %u, not %u", round_seed, before,
        before + reader.effect_count, newest);
    reader_clear(&reader);
}

START_TEST(every_restart_leaves_the_same_effect)
{
    for (unsigned round = 0; round < ROUNDS / 3; round++) {
        struct world world;
        struct reader reader;
        seed_round(4000 + round);
        random_history(&world, &the_log, 20 + roll(80));
        unsigned newest = check_against_model(&the_log, &reader);
        for (unsigned i = 0; i < newest; i++)
            check_restart(&the_log, &reader.positions[i], i + 1, newest);
        reader_clear(&reader);
    }
}
END_TEST

/* The log loses its end; a new incarnation writes again from what is left; readers may be ahead of that. */
START_TEST(a_truncated_tail_written_again_is_taken_once)
{
    unsigned ahead = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct world world;
        struct reader reader;
        seed_round(5000 + round);
        random_history(&world, &the_log, 20 + roll(60));
        unsigned had = check_against_model(&the_log, &reader);
        the_log.count -= roll(the_log.count);
        world.writer_count = 0;
        world_claim(&world);
        struct writer *w = &world.writers[0];
        unsigned until = had + 1 + roll(5);
        ahead += had > w->base;
        write_until(&the_log, w, until);
        for (unsigned i = 0; i < had; i++)
            check_restart(&the_log, &reader.positions[i], i + 1, until);
        check_restart(&the_log, &(struct sb_position){0}, 0, until);
        reader_clear(&reader);
    }
    ck_assert_uint_gt(ahead, ROUNDS / 4);
}
END_TEST

/* As above, but the source tells another history. Who has not seen the lost end takes it; who has, refuses.
 */
START_TEST(another_history_never_mixes_with_ours)
{
    unsigned refused = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct world world;
        struct reader reader;
        seed_round(6000 + round);
        random_history(&world, &the_log, 20 + roll(60));
        unsigned had = check_against_model(&the_log, &reader);
        the_log.count -= roll(the_log.count);
        world.writer_count = 0;
        world_claim(&world);
        struct writer *w = &world.writers[0];
        w->telling = 1;
        unsigned newest = model_of(&the_log).newest; /* by the first telling, in what is left */
        unsigned same = w->base;
        while (txn_changes(same + 1) == 0)
            same++; /* empty transactions are the same in both */
        unsigned left = the_log.count;
        write_until(&the_log, w, had + 6);
        for (unsigned i = 0; i < had; i++) {
            unsigned reach = i + 1;
            if (reach < newest && locate(&the_log, &reader.positions[i]) < left)
                reach = newest;
            struct reader again;
            reader_init(&again, &reader.positions[i]);
            int result = reader_run(&again, &the_log, locate(&the_log, &reader.positions[i]), NULL);
            if (reach <= same) {
                ck_assert_msg(result == 0, "seed %" PRIx64 ": %s", round_seed, again.err.text);
            } else {
                ck_assert_int_eq(result, -1);
                ck_assert_int_eq(again.err.code, SB_E_SOURCE_REWOUND);
                ck_assert_uint_eq(again.effect_count, reach - i - 1);
                refused++;
            }
            reader_clear(&again);
        }
        reader_clear(&reader);
    }
    ck_assert_uint_gt(refused, ROUNDS);
}
END_TEST
int main(void)
{
    Suite *suite = suite_create("histories");
    TCase *histories = tcase_create("histories");
    tcase_set_timeout(histories, 60);
    tcase_add_test(histories, random_histories_are_taken_once_and_in_order);
    tcase_add_test(histories, deleting_any_one_record_is_noticed);
    tcase_add_test(histories, swapping_any_two_records_is_noticed);
    tcase_add_test(histories, a_cut_tail_is_a_shorter_log);
    tcase_add_test(histories, every_restart_leaves_the_same_effect);
    tcase_add_test(histories, a_truncated_tail_written_again_is_taken_once);
    tcase_add_test(histories, another_history_never_mixes_with_ours);
    suite_add_tcase(suite, histories);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
