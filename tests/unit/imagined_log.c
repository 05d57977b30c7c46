#include "tests/unit/imagined_log.h"

#include "schemas/digest.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

/* -- what the source said ----------------------------------------------------------------------------- */

const struct sb_uuid our_stream = {{7}};
static struct sb_column column = {.name = {"v", 1}, .type_name = {"pg_catalog.text", 15}, .typmod = -1};
static struct sb_relation relation = {.oid = 16385,
    .schema = {"public", 6},
    .name = {"t", 1},
    .identity = 'd',
    .col_count = 1,
    .cols = &column};

/* Transaction i (from 1) of the source's history; telling tells two histories apart. */
uint64_t txn_lsn(unsigned i)
{
    return 1000 + i * 10;
}

unsigned txn_changes(unsigned i)
{
    return i % 4; /* 0: an empty transaction */
}

/* The row that change ordinal of transaction i writes. */
static const char *row_text(char out[32], unsigned telling, unsigned i, unsigned ordinal)
{
    snprintf(out, 32, "%u:%u.%u", telling, i, ordinal);
    return out;
}

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

/* -- a writer: a capture incarnation ------------------------------------------------------------------ */

static struct sb_frame writer_frame(const struct writer *w, enum sb_kind kind)
{
    return (struct sb_frame){.kind = kind,
        .stream = our_stream,
        .epoch = w->epoch,
        .sequence = w->sequence,
        .timeline = 1,
        .body_hash = 1000 * w->epoch + (uint64_t)kind};
}

struct item writer_open(struct writer *w)
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
struct item writer_next(struct writer *w)
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

void log_put(struct log *log, struct item item)
{
    ck_assert_uint_lt(log->count, LOG_MAX);
    log->items[log->count++] = item;
}

void write_until(struct log *log, struct writer *w, unsigned until)
{
    while (!w->opened || w->txn < until || w->ordinal != 0)
        log_put(log, writer_next(w));
}

void writer_based_on(struct writer *next, const struct writer *w)
{
    next->base = w->txn;
    next->base_sequence = w->sequence;
    next->base_chain = w->chain;
}

/* -- a reader: what apply does ------------------------------------------------------------------------ */

void reader_init(struct reader *reader, const struct sb_position *start)
{
    memset(reader, 0, sizeof *reader);
    reader->proof = sb_proof_new(&our_stream, 0, start, &reader->err);
    ck_assert_ptr_nonnull(reader->proof);
}

void reader_clear(struct reader *reader)
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
int reader_run(struct reader *reader, const struct log *log, unsigned from, unsigned *ret_at)
{
    for (unsigned i = from; i < log->count; i++)
        if (reader_feed(reader, &log->items[i]) != 0) {
            if (ret_at)
                *ret_at = i;
            return -1;
        }
    return 0;
}

void log_delete(struct log *log, unsigned at)
{
    memmove(&log->items[at], &log->items[at + 1], (log->count - at - 1) * sizeof log->items[0]);
    log->count--;
}
