/* The reader's proof: every rule of stream/proof.h with a log that breaks it. */
#include "schemas/digest.h"
#include "tests/unit/imagined_log.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct sb_digest no_digest;
static struct log the_log; /* large: not on the stack */

/* -- the rules, one by one ---------------------------------------------------------------------------- */

static struct writer start_log(struct log *log, unsigned until)
{
    struct writer w = {.epoch = 1};
    log->count = 0;
    write_until(log, &w, until);
    return w;
}

#define expect_taken(log, effects_)                                                                          \
    do {                                                                                                     \
        struct reader reader_;                                                                               \
        reader_init(&reader_, &(struct sb_position){0});                                                     \
        ck_assert_msg(reader_run(&reader_, log, 0, NULL) == 0, "%s", reader_.err.text);                      \
        ck_assert_uint_eq(reader_.effect_count, effects_);                                                   \
        for (unsigned i_ = 0; i_ < reader_.effect_count; i_++)                                               \
            ck_assert_uint_eq(reader_.effects[i_], i_ + 1);                                                  \
        reader_clear(&reader_);                                                                              \
    } while (0)

#define expect_refused(log, code_, effects_)                                                                 \
    do {                                                                                                     \
        struct reader reader_;                                                                               \
        reader_init(&reader_, &(struct sb_position){0});                                                     \
        ck_assert_int_eq(reader_run(&reader_, log, 0, NULL), -1);                                            \
        ck_assert_msg(reader_.err.code == (code_), "%s: %s", sb_err_id(&reader_.err), reader_.err.text);     \
        ck_assert_uint_eq(reader_.effect_count, effects_);                                                   \
        reader_clear(&reader_);                                                                              \
    } while (0)

static unsigned find_kind(const struct log *log, enum sb_kind kind, unsigned nth)
{
    for (unsigned i = 0; i < log->count; i++)
        if (log->items[i].frame.kind == kind && nth-- == 0)
            return i;
    ck_abort_msg("no such record");
    return 0;
}

START_TEST(a_whole_log_is_taken)
{
    start_log(&the_log, 12);
    expect_taken(&the_log, 12);
}
END_TEST

START_TEST(another_stream_or_lane_is_foreign)
{
    start_log(&the_log, 3);
    the_log.items[4].frame.stream.bytes[15] ^= 1;
    expect_refused(&the_log, SB_E_LOG_FOREIGN, 1);
    start_log(&the_log, 3);
    the_log.items[4].frame.lane = 1;
    expect_refused(&the_log, SB_E_LOG_FOREIGN, 1);
}
END_TEST

START_TEST(a_zombies_late_append_is_dropped)
{
    struct writer zombie = start_log(&the_log, 3);
    struct writer next = {.epoch = 2};
    writer_based_on(&next, &zombie);
    log_put(&the_log, writer_next(&next));
    write_until(&the_log, &zombie, 6); /* whole transactions, with a commit */
    write_until(&the_log, &next, 8);
    write_until(&the_log, &zombie, 9);
    expect_taken(&the_log, 8);
}
END_TEST

START_TEST(a_zombies_open_is_dropped)
{
    struct writer first = start_log(&the_log, 3), zombie = {.epoch = 2}, next = {.epoch = 3};
    writer_based_on(&zombie, &first);
    writer_based_on(&next, &first);
    write_until(&the_log, &next, 5);
    write_until(&the_log, &zombie, 7);
    write_until(&the_log, &next, 6);
    expect_taken(&the_log, 6);
}
END_TEST

START_TEST(repeats_within_an_epoch_are_dropped)
{
    struct writer w = start_log(&the_log, 5);
    unsigned count = the_log.count;
    for (unsigned i = 2; i < count; i++) /* a producer's retry: the same records once more */
        log_put(&the_log, the_log.items[i]);
    write_until(&the_log, &w, 7);
    expect_taken(&the_log, 7);
}
END_TEST

START_TEST(a_hole_is_a_gap)
{
    start_log(&the_log, 9);
    log_delete(&the_log, 7);
    expect_refused(&the_log, SB_E_LOG_GAP, 2);
}
END_TEST

START_TEST(a_lost_schema_is_a_gap)
{
    start_log(&the_log, 9);
    log_delete(&the_log, find_kind(&the_log, SB_KIND_SCHEMA, 0));
    expect_refused(&the_log, SB_E_LOG_GAP, 4);
}
END_TEST

START_TEST(an_epoch_without_its_open_is_a_gap)
{
    struct writer first = start_log(&the_log, 3), next = {.epoch = 2};
    writer_based_on(&next, &first);
    write_until(&the_log, &next, 5);
    log_delete(&the_log, find_kind(&the_log, SB_KIND_OPEN, 1));
    expect_refused(&the_log, SB_E_LOG_GAP, 3);
}
END_TEST

START_TEST(a_log_without_its_beginning_is_a_gap)
{
    start_log(&the_log, 3);
    log_delete(&the_log, 0);
    expect_refused(&the_log, SB_E_LOG_GAP, 0);
}
END_TEST

START_TEST(an_open_cuts_off_the_transaction_in_flight)
{
    struct writer first = start_log(&the_log, 2), next = {.epoch = 2};
    writer_based_on(&next, &first);
    log_put(&the_log, writer_next(&first)); /* two of the three changes of transaction 3 */
    log_put(&the_log, writer_next(&first));
    struct reader reader;
    reader_init(&reader, &(struct sb_position){0});
    ck_assert_int_eq(reader_run(&reader, &the_log, 0, NULL), 0);
    ck_assert_uint_eq(sb_proof_in_flight(reader.proof), 1);
    unsigned from = the_log.count;
    write_until(&the_log, &next, 4);
    ck_assert_int_eq(reader_run(&reader, &the_log, from, NULL), 0);
    ck_assert_uint_eq(reader.abandoned, 1);
    ck_assert_uint_eq(reader.effect_count, 4);
    reader_clear(&reader);
}
END_TEST

START_TEST(an_open_cuts_off_a_record_in_parts)
{
    struct writer first = start_log(&the_log, 8), next = {.epoch = 2};
    writer_based_on(&next, &first);
    do
        log_put(&the_log, writer_next(&first));
    while (the_log.items[the_log.count - 1].frame.part_count == 0 || first.ordinal != 1);
    write_until(&the_log, &next, 10);
    expect_taken(&the_log, 10);
}
END_TEST

START_TEST(an_open_whose_sequence_does_not_follow_its_base_is_corrupt)
{
    struct writer first = start_log(&the_log, 3), next = {.epoch = 2};
    writer_based_on(&next, &first);
    unsigned at = the_log.count;
    write_until(&the_log, &next, 4);
    the_log.items[at].frame.sequence++;
    expect_refused(&the_log, SB_E_LOG_CORRUPT, 3);
}
END_TEST

START_TEST(an_open_that_contradicts_itself_is_corrupt)
{
    for (int what = 0; what < 4; what++) {
        struct writer first = start_log(&the_log, 3), next = {.epoch = 2};
        writer_based_on(&next, &first);
        unsigned at = the_log.count;
        write_until(&the_log, &next, 4);
        struct sb_open *open = &the_log.items[at].open;
        if (what == 0)
            open->epoch = 3;
        else if (what == 1)
            open->base_commit_lsn = 0; /* but a sequence and a chain */
        else if (what == 2)
            open->hole_from_lsn = open->base_commit_lsn + 1;
        else
            open->base_sequence = 0;
        expect_refused(&the_log, SB_E_LOG_CORRUPT, 3);
    }
}
END_TEST

START_TEST(an_epoch_opened_twice_is_a_clash)
{
    struct writer first = start_log(&the_log, 3), twin = {.epoch = 1, .telling = 0};
    log_put(&the_log, writer_next(&twin));
    the_log.items[the_log.count - 1].frame.body_hash++; /* another incarnation id in it */
    (void)first;
    expect_refused(&the_log, SB_E_EPOCH_CLASH, 3);
}
END_TEST

START_TEST(an_open_inside_its_epoch_is_corrupt)
{
    struct writer first = start_log(&the_log, 3);
    struct item again = the_log.items[0];
    again.frame.sequence = first.sequence + 1;
    log_put(&the_log, again);
    expect_refused(&the_log, SB_E_LOG_CORRUPT, 3);
}
END_TEST

/* A base behind us: everything is repeated until it lands on our commit with our chain. */
START_TEST(a_base_behind_us_repeats_and_lands)
{
    struct writer first = start_log(&the_log, 3), next = {.epoch = 2};
    writer_based_on(&next, &first); /* the tail was read here */
    write_until(&the_log, &first, 6);
    write_until(&the_log, &next, 9);
    struct reader reader;
    reader_init(&reader, &(struct sb_position){0});
    ck_assert_int_eq(reader_run(&reader, &the_log, 0, NULL), 0);
    ck_assert_uint_eq(reader.effect_count, 9);
    ck_assert_uint_eq(reader.repeated, 3);
    struct sb_position position = sb_proof_position(reader.proof);
    ck_assert_uint_eq(position.epoch, 2);
    ck_assert_uint_eq(position.sequence, next.sequence);
    reader_clear(&reader);
}
END_TEST

START_TEST(position_does_not_move_back_while_repeating)
{
    struct writer first = start_log(&the_log, 3), next = {.epoch = 2};
    writer_based_on(&next, &first);
    write_until(&the_log, &first, 6);
    write_until(&the_log, &next, 4);
    struct reader reader;
    reader_init(&reader, &(struct sb_position){0});
    ck_assert_int_eq(reader_run(&reader, &the_log, 0, NULL), 0);
    struct sb_position position = sb_proof_position(reader.proof);
    ck_assert_uint_eq(position.commit_lsn, txn_lsn(6));
    ck_assert_uint_eq(position.epoch, 1);
    reader_clear(&reader);
}
END_TEST

START_TEST(another_history_behind_us_is_a_rewound_source)
{
    struct writer first = start_log(&the_log, 3), next = {.epoch = 2, .telling = 1};
    writer_based_on(&next, &first);
    write_until(&the_log, &first, 6);
    write_until(&the_log, &next, 9);
    expect_refused(&the_log, SB_E_SOURCE_REWOUND, 6);
}
END_TEST

START_TEST(a_repeat_that_leaves_our_commit_out_is_a_rewound_source)
{
    struct writer first = start_log(&the_log, 3), next = {.epoch = 2};
    writer_based_on(&next, &first);
    write_until(&the_log, &first, 6);
    write_until(&the_log, &next, 5);
    next.txn = 6; /* goes on with 7: 6 was lost by the source */
    write_until(&the_log, &next, 8);
    expect_refused(&the_log, SB_E_SOURCE_REWOUND, 6);
}
END_TEST

START_TEST(a_base_at_our_commit_with_another_chain_is_a_rewound_source)
{
    struct writer first = start_log(&the_log, 3), next = {.epoch = 2};
    writer_based_on(&next, &first);
    next.base_chain.bytes[0] ^= 1;
    write_until(&the_log, &next, 5);
    expect_refused(&the_log, SB_E_SOURCE_REWOUND, 3);
}
END_TEST

START_TEST(a_base_ahead_of_us_is_a_gap_declared_or_not)
{
    for (int declared = 0; declared < 2; declared++) {
        struct writer first = start_log(&the_log, 6), next = {.epoch = 2};
        writer_based_on(&next, &first);
        next.hole_from = declared ? txn_lsn(3) : 0;
        while (the_log.items[the_log.count - 1].txn != 3) /* the log lost 4 to 6 */
            the_log.count--;
        write_until(&the_log, &next, 8);
        expect_refused(&the_log, SB_E_LOG_GAP, 3);
    }
}
END_TEST

START_TEST(a_declared_hole_is_of_no_concern_to_who_stands_at_its_end)
{
    struct writer first = start_log(&the_log, 6), next = {.epoch = 2};
    writer_based_on(&next, &first);
    next.hole_from = txn_lsn(3);
    struct sb_position start = {
        .epoch = 1, .sequence = first.sequence, .commit_lsn = txn_lsn(6), .chain = first.chain};
    the_log.count = 0;
    write_until(&the_log, &next, 8);
    struct reader reader;
    reader_init(&reader, &start);
    ck_assert_int_eq(reader_run(&reader, &the_log, 0, NULL), 0);
    ck_assert_uint_eq(reader.effect_count, 2);
    ck_assert_uint_eq(reader.effects[0], 7);
    reader_clear(&reader);
}
END_TEST

/* What breaks a transaction: each line of the table changes one thing in a log of five transactions. */
static void break_transaction(struct log *log, int what)
{
    struct item *change = &log->items[find_kind(log, SB_KIND_CHANGE, 1)]; /* transaction 2, ordinal 1 */
    struct item *commit = &log->items[find_kind(log, SB_KIND_COMMIT, 1)]; /* of transaction 2 */
    ck_assert_uint_eq(change->txn, 2);
    ck_assert_uint_eq(commit->txn, 2);
    switch (what) {
    case 0:
        change->telling = 1; /* another row */
        break;
    case 1:
        change->frame.ordinal = 2;
        break;
    case 2:
        change[1].frame.xid++;
        break;
    case 3:
        change[1].frame.commit_lsn++;
        break;
    case 4:
        commit->frame.xid++;
        break;
    case 5:
        commit->commit.xid++;
        break;
    case 6:
        commit->frame.commit_lsn++;
        break;
    case 7:
        commit->commit.commit_lsn++;
        break;
    case 8:
        commit->commit.count++;
        break;
    case 9:
        commit->commit.digest.bytes[3] ^= 4;
        break;
    case 10:
        commit->commit.chain.bytes[3] ^= 4;
        break;
    case 11:
        commit->frame.ordinal = 3;
        break;
    case 12: /* the transaction before comes again, under new sequences */
        change->frame.commit_lsn = change[1].frame.commit_lsn = txn_lsn(1);
        break;
    case 13:
        change->frame.epoch = 0;
        break;
    case 14:
        change[1].frame.commit_lsn = change->frame.commit_lsn = 0;
        break;
    }
}

START_TEST(a_broken_transaction_is_corrupt_and_has_no_effect)
{
    start_log(&the_log, 5);
    break_transaction(&the_log, _i);
    expect_refused(&the_log, SB_E_LOG_CORRUPT, 1);
}
END_TEST

START_TEST(an_image_is_of_a_newer_format)
{
    start_log(&the_log, 3);
    the_log.items[1].frame.kind = SB_KIND_IMAGE;
    expect_refused(&the_log, SB_E_LOG_FORMAT, 0);
}
END_TEST

START_TEST(messages_count_as_changes)
{
    struct sb_proof *proof = NULL;
    struct sb_err err;
    struct writer w = {.epoch = 1};
    struct item open = writer_open(&w);
    struct sb_message msg = {.prefix = sb_view_str("switchback.heartbeat"), .content = sb_view_str("x")};
    struct sb_digester *digester = sb_digester_new();
    sb_digester_message(digester, 1, &msg);
    struct sb_commit commit = {
        .commit_lsn = 50, .xid = 9, .count = 1, .digest = sb_digester_result(digester)};
    commit.chain = sb_digest_chain(&no_digest, &commit);
    sb_digester_free(digester);
    struct sb_frame frame = {.kind = SB_KIND_MESSAGE,
        .stream = our_stream,
        .epoch = 1,
        .sequence = 2,
        .commit_lsn = 50,
        .xid = 9,
        .ordinal = 1};
    struct sb_frame end = frame;
    end.kind = SB_KIND_COMMIT;
    end.sequence = 3;
    end.ordinal = 0;
    proof = sb_proof_new(&our_stream, 0, &(struct sb_position){0}, &err);
    enum sb_verdict verdict;
    bool repeat = true;
    ck_assert_int_eq(sb_proof_frame(proof, &open.frame, &verdict, &err), 0);
    ck_assert_int_eq(sb_proof_open(proof, &open.frame, &open.open, &err), 0);
    ck_assert_int_eq(sb_proof_frame(proof, &frame, &verdict, &err), 0);
    ck_assert_int_eq(sb_proof_message(proof, &frame, &msg, &err), 0);
    ck_assert_uint_eq(sb_proof_in_flight(proof), 1);
    ck_assert_int_eq(sb_proof_frame(proof, &end, &verdict, &err), 0);
    ck_assert_int_eq(sb_proof_commit(proof, &end, &commit, &repeat, &err), 0);
    ck_assert_int_eq(repeat, false);
    ck_assert_uint_eq(sb_proof_in_flight(proof), 0);
    sb_proof_free(proof);
}
END_TEST

START_TEST(a_record_that_was_not_proven_stops_the_reader)
{
    start_log(&the_log, 3);
    struct sb_err err;
    enum sb_verdict verdict;
    struct sb_proof *proof = sb_proof_new(&our_stream, 0, &(struct sb_position){0}, &err);
    ck_assert_int_eq(sb_proof_frame(proof, &the_log.items[0].frame, &verdict, &err), 0);
    ck_assert_int_eq(sb_proof_frame(proof, &the_log.items[1].frame, &verdict, &err), -1);
    ck_assert_int_eq(err.code, SB_E_INTERNAL);
    bool repeat;
    ck_assert_int_eq(
        sb_proof_commit(proof, &the_log.items[2].frame, &the_log.items[2].commit, &repeat, &err), -1);
    ck_assert_int_eq(err.code, SB_E_INTERNAL);
    sb_proof_free(proof);
}
END_TEST

START_TEST(a_position_that_is_none_is_refused)
{
    struct sb_err err;
    const struct sb_position wrong[] = {
        {.epoch = 1}, {.sequence = 4}, {.commit_lsn = 9}, {.epoch = 1, .commit_lsn = 9}, {.chain = {{1}}}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_ptr_null(sb_proof_new(&our_stream, 0, &wrong[i], &err));
        ck_assert_int_eq(err.code, SB_E_PROGRESS_LOST);
    }
    sb_proof_free(NULL);
}
END_TEST
int main(void)
{
    Suite *suite = suite_create("proof");
    TCase *rules = tcase_create("rules");
    tcase_add_test(rules, a_whole_log_is_taken);
    tcase_add_test(rules, another_stream_or_lane_is_foreign);
    tcase_add_test(rules, a_zombies_late_append_is_dropped);
    tcase_add_test(rules, a_zombies_open_is_dropped);
    tcase_add_test(rules, repeats_within_an_epoch_are_dropped);
    tcase_add_test(rules, a_hole_is_a_gap);
    tcase_add_test(rules, a_lost_schema_is_a_gap);
    tcase_add_test(rules, an_epoch_without_its_open_is_a_gap);
    tcase_add_test(rules, a_log_without_its_beginning_is_a_gap);
    tcase_add_test(rules, an_open_cuts_off_the_transaction_in_flight);
    tcase_add_test(rules, an_open_cuts_off_a_record_in_parts);
    tcase_add_test(rules, an_open_whose_sequence_does_not_follow_its_base_is_corrupt);
    tcase_add_test(rules, an_open_that_contradicts_itself_is_corrupt);
    tcase_add_test(rules, an_epoch_opened_twice_is_a_clash);
    tcase_add_test(rules, an_open_inside_its_epoch_is_corrupt);
    tcase_add_test(rules, a_base_behind_us_repeats_and_lands);
    tcase_add_test(rules, position_does_not_move_back_while_repeating);
    tcase_add_test(rules, another_history_behind_us_is_a_rewound_source);
    tcase_add_test(rules, a_repeat_that_leaves_our_commit_out_is_a_rewound_source);
    tcase_add_test(rules, a_base_at_our_commit_with_another_chain_is_a_rewound_source);
    tcase_add_test(rules, a_base_ahead_of_us_is_a_gap_declared_or_not);
    tcase_add_test(rules, a_declared_hole_is_of_no_concern_to_who_stands_at_its_end);
    tcase_add_loop_test(rules, a_broken_transaction_is_corrupt_and_has_no_effect, 0, 15);
    tcase_add_test(rules, an_image_is_of_a_newer_format);
    tcase_add_test(rules, messages_count_as_changes);
    tcase_add_test(rules, a_record_that_was_not_proven_stops_the_reader);
    tcase_add_test(rules, a_position_that_is_none_is_refused);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
