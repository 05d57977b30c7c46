/*
 * The reader's proof. First every rule of stream/proof.h with a log that breaks it; then random histories of
 * several writers (epochs, partial tails, zombies, repeats, parts, damage), judged beside a naive model.
 */
#include "schemas/digest.h"
#include "stream/parts.h"
#include "stream/proof.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- what the source said ----------------------------------------------------------------------------------
 */

enum { LOG_MAX = 4096, EFFECTS_MAX = 512 };

static const struct sb_uuid our_stream = {{7}};
static const struct sb_digest no_digest;
static struct sb_column column = {.name = {"v", 1}, .type_name = {"pg_catalog.text", 15}, .typmod = -1};
static struct sb_relation relation = {.oid = 16385,
    .schema = {"public", 6},
    .name = {"t", 1},
    .identity = 'd',
    .col_count = 1,
    .cols = &column};

/* Transaction i (from 1) of the source's history; telling tells two histories apart. */
static uint64_t txn_lsn(unsigned i)
{
    return 1000 + i * 10;
}

static unsigned txn_changes(unsigned i)
{
    return i % 4; /* 0: an empty transaction */
}

/* The row that change ordinal of transaction i writes. */
static const char *row_text(char out[32], unsigned telling, unsigned i, unsigned ordinal)
{
    snprintf(out, 32, "%u:%u.%u", telling, i, ordinal);
    return out;
}

struct item { /* a record of the log, before it is cut into parts */
    struct sb_frame frame;
    unsigned txn, ordinal, telling;
    struct sb_open open;
    struct sb_commit commit;
};

struct log {
    unsigned count;
    struct item items[LOG_MAX];
};

static void item_change(const struct item *item, struct sb_value *value, char text[32], struct sb_change *chg)
{
    *value = (struct sb_value){
        .state = SB_COL_TEXT, .text = sb_view_str(row_text(text, item->telling, item->txn, item->ordinal))};
    *chg = (struct sb_change){.op = SB_OP_INSERT, .rel = &relation, .after = value};
}

static struct sb_commit make_commit(unsigned telling, unsigned i, const struct sb_digest *before)
{
    struct sb_digester *digester = sb_digester_new();
    for (unsigned ordinal = 1; ordinal <= txn_changes(i); ordinal++) {
        struct item item = {.txn = i, .ordinal = ordinal, .telling = telling};
        char text[32];
        struct sb_value value;
        struct sb_change chg;
        item_change(&item, &value, text, &chg);
        sb_digester_change(digester, ordinal, &chg);
    }
    struct sb_commit commit = {.commit_lsn = txn_lsn(i),
        .end_lsn = txn_lsn(i) + 5,
        .xid = 700 + i,
        .count = txn_changes(i),
        .digest = sb_digester_result(digester)};
    commit.chain = sb_digest_chain(before, &commit);
    sb_digester_free(digester);
    return commit;
}

/* -- a writer: a capture incarnation -----------------------------------------------------------------------
 */

struct writer {
    uint64_t epoch;
    unsigned telling;
    /* base */
    unsigned base; /* the transaction; 0: the beginning */
    uint64_t base_sequence;
    struct sb_digest base_chain;
    uint64_t hole_from;
    /* where it is */
    bool opened;
    uint64_t sequence;
    unsigned txn; /* in which it is, or which it has finished if ordinal is 0 */
    unsigned ordinal;
    unsigned part; /* parts of the current change written */
    struct sb_digest chain;
};

static struct sb_frame writer_frame(const struct writer *w, enum sb_kind kind)
{
    return (struct sb_frame){.kind = kind,
        .stream = our_stream,
        .epoch = w->epoch,
        .sequence = w->sequence,
        .timeline = 1,
        .body_hash = 1000 * w->epoch + (uint64_t)kind};
}

static struct item writer_open(struct writer *w)
{
    w->sequence = w->base_sequence + 1;
    w->opened = true;
    w->txn = w->base;
    w->ordinal = 0;
    w->chain = w->base_chain;
    struct item item = {.frame = writer_frame(w, SB_KIND_OPEN)};
    item.open = (struct sb_open){.epoch = w->epoch,
        .base_commit_lsn = w->base ? txn_lsn(w->base) : 0,
        .base_sequence = w->base_sequence,
        .base_chain = w->base_chain,
        .hole_from_lsn = w->hole_from};
    return item;
}

static struct item writer_change(struct writer *w, unsigned parts)
{
    w->sequence++;
    struct item item = {.frame = writer_frame(w, SB_KIND_CHANGE),
        .txn = w->txn,
        .ordinal = w->ordinal,
        .telling = w->telling};
    item.frame.commit_lsn = txn_lsn(w->txn);
    item.frame.xid = 700 + w->txn;
    item.frame.ordinal = w->ordinal;
    if (parts > 1) {
        item.frame.kind = SB_KIND_PART;
        item.frame.part_of = SB_KIND_CHANGE;
        item.frame.part_count = parts;
        item.frame.part_index = w->part++;
    }
    if (item.frame.part_index + 1 >= parts) {
        w->part = 0;
        w->ordinal++;
    }
    return item;
}

static struct item writer_commit(struct writer *w)
{
    w->sequence++;
    struct item item = {.frame = writer_frame(w, SB_KIND_COMMIT),
        .txn = w->txn,
        .commit = make_commit(w->telling, w->txn, &w->chain)};
    item.frame.commit_lsn = item.commit.commit_lsn;
    item.frame.end_lsn = item.commit.end_lsn;
    item.frame.xid = item.commit.xid;
    w->chain = item.commit.chain;
    w->ordinal = 0;
    return item;
}

/* The writer's next record. Every fifth change travels in three parts; a schema now and then. */
static struct item writer_next(struct writer *w)
{
    if (!w->opened)
        return writer_open(w);
    if (w->ordinal == 0) {
        w->txn++;
        w->ordinal = 1;
        if (w->txn % 6 == 5) {
            w->sequence++;
            return (struct item){.frame = writer_frame(w, SB_KIND_SCHEMA)};
        }
    }
    if (w->ordinal <= txn_changes(w->txn))
        return writer_change(w, (w->txn + w->ordinal) % 5 == 0 ? 3 : 1);
    return writer_commit(w);
}

static void log_put(struct log *log, struct item item)
{
    ck_assert_uint_lt(log->count, LOG_MAX);
    log->items[log->count++] = item;
}

/* Everything up to and with the commit of transaction `until`. */
static void write_until(struct log *log, struct writer *w, unsigned until)
{
    while (!w->opened || w->txn < until || w->ordinal != 0)
        log_put(log, writer_next(w));
}

static void writer_based_on(struct writer *next, const struct writer *w)
{
    next->base = w->txn;
    next->base_sequence = w->sequence;
    next->base_chain = w->chain;
}

/* -- a reader: what apply does -----------------------------------------------------------------------------
 */

struct reader {
    struct sb_proof *proof;
    unsigned parts; /* of a record in parts, read so far */
    unsigned changes[8], change_count;
    unsigned effects[EFFECTS_MAX], effect_count;
    struct sb_position positions[EFFECTS_MAX]; /* behind each effect */
    unsigned dropped, repeated, abandoned;
    struct sb_err err;
};

static void reader_init(struct reader *reader, const struct sb_position *start)
{
    memset(reader, 0, sizeof *reader);
    reader->proof = sb_proof_new(&our_stream, 0, start, &reader->err);
    ck_assert_ptr_nonnull(reader->proof);
}

static void reader_clear(struct reader *reader)
{
    sb_proof_free(reader->proof);
}

static int reader_change(struct reader *reader, const struct item *item, const struct sb_frame *frame)
{
    char text[32];
    struct sb_value value;
    struct sb_change chg;
    item_change(item, &value, text, &chg);
    if (sb_proof_change(reader->proof, frame, &chg, &reader->err) != 0)
        return -1;
    ck_assert_uint_lt(reader->change_count, 8);
    reader->changes[reader->change_count++] = item->ordinal;
    return 0;
}

static int reader_commit(struct reader *reader, const struct item *item, bool expect_repeat)
{
    bool repeat = false;
    if (sb_proof_commit(reader->proof, &item->frame, &item->commit, &repeat, &reader->err) != 0)
        return -1;
    ck_assert_int_eq(repeat, expect_repeat);
    if (!repeat) {
        /* Whole, and in order. */
        ck_assert_uint_eq(reader->change_count, txn_changes(item->txn));
        for (unsigned i = 0; i < reader->change_count; i++)
            ck_assert_uint_eq(reader->changes[i], i + 1);
        reader->positions[reader->effect_count] = sb_proof_position(reader->proof);
        reader->effects[reader->effect_count++] = item->txn;
    } else {
        reader->repeated++;
    }
    reader->change_count = 0;
    return 0;
}

static int reader_feed(struct reader *reader, const struct item *item)
{
    enum sb_verdict verdict;
    if (sb_proof_frame(reader->proof, &item->frame, &verdict, &reader->err) != 0)
        return -1;
    if (verdict == SB_VERDICT_DROP) {
        reader->dropped++;
        return 0;
    }
    if (verdict == SB_VERDICT_ABANDON) {
        reader->abandoned++;
        reader->change_count = 0;
        reader->parts = 0;
    }
    struct sb_frame frame = item->frame;
    if (frame.kind == SB_KIND_PART) { /* the joiner, in short */
        ck_assert_uint_eq(frame.part_index, reader->parts);
        if (++reader->parts < frame.part_count)
            return 0;
        reader->parts = 0;
        frame.kind = frame.part_of;
        frame.part_of = 0;
        frame.part_count = frame.part_index = 0;
    }
    switch (frame.kind) {
    case SB_KIND_OPEN:
        return sb_proof_open(reader->proof, &frame, &item->open, &reader->err);
    case SB_KIND_CHANGE:
        return reader_change(reader, item, &frame);
    case SB_KIND_COMMIT:
        return reader_commit(reader, item, verdict == SB_VERDICT_REPEAT);
    default:
        ck_assert_int_eq(frame.kind, SB_KIND_SCHEMA);
        return 0;
    }
}

/* Feed log[from..]: 0, or -1 and where it was refused. */
static int reader_run(struct reader *reader, const struct log *log, unsigned from, unsigned *ret_at)
{
    for (unsigned i = from; i < log->count; i++)
        if (reader_feed(reader, &log->items[i]) != 0) {
            if (ret_at)
                *ret_at = i;
            return -1;
        }
    return 0;
}

/* -- the rules, one by one ---------------------------------------------------------------------------------
 */

static struct log the_log; /* large: not on the stack */

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

static void log_delete(struct log *log, unsigned at)
{
    memmove(&log->items[at], &log->items[at + 1], (log->count - at - 1) * sizeof log->items[0]);
    log->count--;
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
    struct writer first = start_log(&the_log, 2), next = {.epoch = 2};
    writer_based_on(&next, &first);
    do
        log_put(&the_log, writer_next(&first));
    while (the_log.items[the_log.count - 1].frame.part_count == 0 || first.ordinal != 2);
    write_until(&the_log, &next, 4);
    expect_taken(&the_log, 4);
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

/* -- random histories --------------------------------------------------------------------------------------
 */

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
