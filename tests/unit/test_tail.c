/*
 * Finding places in the log, over a store in memory that is as awkward as the contract allows: offsets with
 * gaps, "nothing now" before every record, a control table that is late, early or put back by a zombie.
 */
#include "schemas/digest.h"
#include "stream/tail.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* -- the store ---------------------------------------------------------------------------------------- */

enum { RECORDS_MAX = SB_TAIL_WINDOW * 6, OFFSET_STEP = 3, BODY_BYTES = 512 };

struct kept {
    struct sb_frame frame;
    int64_t append_ms;
    uint16_t body_len;
    char *body; /* NULL: empty */
};

struct sb_stream {
    struct sb_uuid uuid;
    size_t first, count; /* records[first..count) are retained */
    struct kept *records;
    size_t pos;
    bool shy; /* the next read says END once, though there is more */
    unsigned seeks;
    char control[BODY_BYTES];
    size_t control_len; /* 0: no entry */
    uint64_t reads;
};

static struct sb_stream store;

static int64_t offset_of(size_t index)
{
    return 100 + (int64_t)index * OFFSET_STEP;
}

struct sb_uuid sb_stream_uuid(const struct sb_stream *stream)
{
    return stream->uuid;
}

int sb_stream_bounds(struct sb_stream *stream, struct sb_stream_bounds *ret_bounds, struct sb_err *err)
{
    (void)err;
    *ret_bounds = (struct sb_stream_bounds){
        .oldest = offset_of(stream->first), .next = offset_of(stream->count) - OFFSET_STEP + 1, .bytes = -1};
    if (stream->first == stream->count)
        ret_bounds->next = ret_bounds->oldest;
    return 0;
}

int sb_stream_seek(struct sb_stream *stream, int64_t offset, struct sb_err *err)
{
    if (offset < offset_of(stream->first))
        return sb_err_set(err, SB_E_LOG_GAP, "below the oldest");
    stream->pos = (size_t)(offset - 100 + OFFSET_STEP - 1) / OFFSET_STEP;
    stream->shy = stream->seeks++ % 50 == 0;
    return 0;
}

int sb_stream_read(struct sb_stream *stream, struct sb_record *ret_record, struct sb_err *err)
{
    (void)err;
    if (stream->pos >= stream->count)
        return SB_STREAM_END;
    if (stream->shy) {
        stream->shy = false;
        return SB_STREAM_END;
    }
    const struct kept *kept = &stream->records[stream->pos];
    *ret_record = (struct sb_record){.frame = kept->frame,
        .body = sb_view(kept->body, kept->body_len),
        .offset = offset_of(stream->pos),
        .append_ms = kept->append_ms};
    stream->pos++;
    stream->reads++;
    return 0;
}

int sb_stream_fd(const struct sb_stream *stream)
{
    (void)stream;
    return -1;
}

int sb_stream_control_each(
    struct sb_stream *stream, struct sb_view prefix, sb_stream_control_fn *fn, void *arg, struct sb_err *err)
{
    ck_assert(sb_view_eq_str(prefix, SB_CONTROL_OPEN));
    /* A neighbour whose key begins alike is none of ours. */
    if (fn(arg, sb_view_str("opening/hours"), sb_view_str("9 to 5"), err) != 0)
        return -1;
    if (stream->control_len == 0)
        return 0;
    return fn(arg, sb_view_str(SB_CONTROL_OPEN), sb_view(stream->control, stream->control_len), err);
}

/* -- writing it --------------------------------------------------------------------------------------- */

static struct sb_codec *codec;

static void setup(void)
{
    struct sb_err err;
    store = (struct sb_stream){.uuid = {{5}}, .records = calloc(RECORDS_MAX, sizeof *store.records)};
    ck_assert_ptr_nonnull(store.records);
    ck_assert_int_eq(sb_codec_new(&codec, &err), 0);
}

static void teardown(void)
{
    for (size_t i = 0; i < RECORDS_MAX; i++)
        free(store.records[i].body);
    free(store.records);
    sb_codec_free(codec);
}

struct spot { /* where a writer is */
    uint64_t epoch, sequence, lsn;
    struct sb_digest chain;
};

static void put(struct spot *at, enum sb_kind kind, uint64_t lsn, struct sb_view body)
{
    ck_assert_uint_lt(store.count, RECORDS_MAX);
    struct kept *kept = &store.records[store.count];
    free(kept->body); /* of a tail that was cut */
    *kept = (struct kept){.append_ms = 1000 + (int64_t)store.count * 10, .body_len = (uint16_t)body.len};
    kept->frame = (struct sb_frame){.kind = kind,
        .stream = store.uuid,
        .epoch = at->epoch,
        .sequence = ++at->sequence,
        .commit_lsn = lsn,
        .body_hash = sb_hash64(body)};
    if (body.len > 0) {
        kept->body = malloc(body.len);
        memcpy(kept->body, body.ptr, body.len);
    }
    store.count++;
}

static struct sb_uuid incarnation_of(uint64_t epoch)
{
    return (struct sb_uuid){{(unsigned char)(40 + epoch)}};
}

/* The open of an incarnation based on base (all zero: the beginning); its body, valid until the next. */
static struct sb_view open_body(uint64_t epoch, const struct spot *base)
{
    struct sb_view body;
    struct sb_err err;
    struct sb_open open = {.epoch = epoch,
        .incarnation = incarnation_of(epoch),
        .base_commit_lsn = base->lsn,
        .base_sequence = base->sequence,
        .base_chain = base->chain,
        .timeline = 1,
        .program = sb_view_str("test")};
    ck_assert_int_eq(sb_codec_open(codec, &open, &body, &err), 0);
    return body;
}

static void control_put(uint64_t epoch, const struct spot *base, int64_t offset)
{
    struct sb_buf value;
    sb_buf_init(&value, BODY_BYTES);
    sb_buf_put_u64(&value, (uint64_t)offset);
    sb_buf_put_view(&value, open_body(epoch, base));
    ck_assert(!value.failed);
    memcpy(store.control, value.ptr, value.len);
    store.control_len = value.len;
    sb_buf_clear(&value);
}

/* Opens on base, and tells control unless the process "crashed" before. */
static struct spot open_epoch(uint64_t epoch, const struct spot *base, bool tell)
{
    struct spot at = *base;
    at.epoch = epoch;
    struct sb_view body = open_body(epoch, base);
    put(&at, SB_KIND_OPEN, 0, body);
    if (tell)
        control_put(epoch, base, offset_of(store.count - 1));
    return at;
}

static void put_changes(struct spot *at, uint64_t lsn, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        put(at, SB_KIND_CHANGE, lsn, sb_view(NULL, 0));
}

static void put_commit(struct spot *at, uint64_t lsn)
{
    struct sb_err err;
    struct sb_view body;
    struct sb_commit commit = {.commit_lsn = lsn, .end_lsn = lsn + 1, .xid = lsn};
    commit.chain = sb_digest_chain(&at->chain, &commit);
    ck_assert_int_eq(sb_codec_commit(codec, &commit, &body, &err), 0);
    put(at, SB_KIND_COMMIT, lsn, body);
    at->chain = commit.chain;
    at->lsn = lsn;
}

/* Transactions of two changes at lsn, lsn+10, ... below until. */
static void put_transactions(struct spot *at, uint64_t lsn, uint64_t until)
{
    for (; lsn < until; lsn += 10) {
        put_changes(at, lsn, 2);
        put_commit(at, lsn);
    }
}

static const struct spot beginning;

static struct sb_tail find(void)
{
    struct sb_err err;
    struct sb_tail tail;
    ck_assert_msg(sb_tail_find(&store, codec, &tail, &err) == 0, "%s", err.text);
    return tail;
}

static void check_position(const struct sb_position *position, const struct spot *at)
{
    ck_assert_uint_eq(position->epoch, at->epoch);
    ck_assert_uint_eq(position->sequence, at->sequence);
    ck_assert_uint_eq(position->commit_lsn, at->lsn);
    ck_assert(sb_digest_eq(&position->chain, &at->chain));
}

static void check_incarnation(const struct sb_tail *tail, uint64_t epoch)
{
    struct sb_uuid incarnation = incarnation_of(epoch);
    ck_assert_uint_eq(tail->highest_epoch, epoch);
    ck_assert(sb_uuid_eq(&tail->incarnation, &incarnation));
}

/* -- the tail ----------------------------------------------------------------------------------------- */

START_TEST(an_unwritten_log_is_empty)
{
    struct sb_tail tail = find();
    ck_assert(tail.empty && tail.position_known);
    ck_assert_uint_eq(tail.highest_epoch, 0);
    ck_assert_uint_eq(tail.position.commit_lsn, 0);
    ck_assert_int_eq(tail.offset, -1);
}
END_TEST

START_TEST(the_newest_commit_is_the_tail_not_what_follows_it)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    struct spot newest = at;
    size_t index = store.count - 1;
    put_changes(&at, 200, 5); /* a partial transaction */
    struct sb_tail tail = find();
    ck_assert(!tail.empty && tail.position_known);
    check_incarnation(&tail, 1);
    check_position(&tail.position, &newest);
    ck_assert_int_eq(tail.offset, offset_of(index));
}
END_TEST

START_TEST(an_open_without_commits_gives_its_base)
{
    struct spot at = open_epoch(1, &beginning, true);
    struct sb_tail tail = find();
    ck_assert(tail.position_known && !tail.empty);
    ck_assert_uint_eq(tail.position.epoch, 0); /* the beginning, all zero */
    put_transactions(&at, 100, 150);
    struct spot base = at;
    open_epoch(2, &base, true);
    tail = find();
    ck_assert(tail.position_known);
    check_incarnation(&tail, 2);
    base.epoch = 2;
    check_position(&tail.position, &base);
    ck_assert_int_eq(tail.offset, -1);
}
END_TEST

START_TEST(an_open_that_control_does_not_know_counts)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    open_epoch(2, &at, false); /* crashed before it told control */
    struct sb_tail tail = find();
    check_incarnation(&tail, 2);
    ck_assert_uint_eq(tail.position.commit_lsn, 140);
}
END_TEST

START_TEST(a_zombies_records_behind_the_newest_open_do_not_count)
{
    struct spot zombie = open_epoch(1, &beginning, true);
    put_transactions(&zombie, 100, 150);
    struct spot at = open_epoch(2, &zombie, true);
    put_transactions(&zombie, 150, 200);
    put_transactions(&at, 150, 170);
    struct spot newest = at;
    put_transactions(&zombie, 200, 300);
    struct sb_tail tail = find();
    check_incarnation(&tail, 2);
    check_position(&tail.position, &newest);
}
END_TEST

START_TEST(control_put_back_by_a_zombie_does_not_count)
{
    struct spot first = open_epoch(1, &beginning, true);
    put_transactions(&first, 100, 150);
    struct spot newest = open_epoch(3, &first, true);
    put_transactions(&newest, 150, 170);
    open_epoch(2, &first, true); /* claimed earlier, frozen, thawed */
    struct sb_tail tail = find();
    check_incarnation(&tail, 3);
    check_position(&tail.position, &newest);
}
END_TEST

/* Even with more than a window of its records behind: the newer control entry says that there is more. */
START_TEST(a_zombie_that_wrote_very_much_does_not_hide_the_newest_epoch)
{
    struct spot zombie = open_epoch(1, &beginning, true);
    put_transactions(&zombie, 100, 150);
    struct spot at = open_epoch(2, &zombie, true);
    put_transactions(&at, 150, 170);
    put_changes(&zombie, 150, SB_TAIL_WINDOW * 2);
    put_commit(&zombie, 150);
    struct sb_tail tail = find();
    check_incarnation(&tail, 2);
    check_position(&tail.position, &at);
}
END_TEST

START_TEST(the_cost_does_not_grow_with_the_log)
{
    struct spot at = open_epoch(1, &beginning, true);
    while (store.count < SB_TAIL_WINDOW * 4)
        put_transactions(&at, at.lsn + 10, at.lsn + 20);
    struct sb_tail tail = find();
    check_incarnation(&tail, 1);
    check_position(&tail.position, &at);
    ck_assert_uint_le(store.reads, SB_TAIL_WINDOW);
}
END_TEST

START_TEST(a_partial_transaction_longer_than_the_window_is_passed)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    struct spot newest = at;
    put_changes(&at, 200, SB_TAIL_WINDOW + 10);
    struct sb_tail tail = find();
    check_incarnation(&tail, 1);
    check_position(&tail.position, &newest);
}
END_TEST

/* A broker that forgot acknowledged records took the next ones all the same. */
START_TEST(what_follows_a_hole_in_the_highest_epoch_does_not_count)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 200);
    struct spot good = at;
    size_t good_at = store.count - 1;
    put_changes(&at, 200, 1);
    at.sequence += 5;
    at.lsn = 220;
    put_transactions(&at, 230, 400);
    struct sb_tail tail = find();
    ck_assert_uint_eq(tail.highest_epoch, 1);
    ck_assert(tail.position_known);
    ck_assert_uint_eq(tail.position.sequence, good.sequence);
    ck_assert_uint_eq(tail.position.commit_lsn, good.lsn);
    ck_assert(sb_digest_eq(&tail.position.chain, &good.chain));
    ck_assert_int_eq(tail.offset, offset_of(good_at));
    struct spot next = open_epoch(2, &good, true); /* and once it was written anew all of it does */
    put_transactions(&next, 200, 300);
    tail = find();
    ck_assert_uint_eq(tail.highest_epoch, 2);
    ck_assert_uint_eq(tail.position.sequence, next.sequence);
}
END_TEST

/* All that the incarnation had written was lost, its open first of all; what it wrote then is there. */
START_TEST(an_epoch_whose_open_was_lost_does_not_count)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 200);
    struct spot good = at;
    size_t good_at = store.count - 1;
    struct spot next = open_epoch(2, &good, true);
    put_transactions(&next, 200, 250);
    store.count = good_at + 1;
    put_transactions(&next, 250, 300);
    struct sb_tail tail = find();
    ck_assert_uint_eq(tail.highest_epoch, 2); /* and nobody claims it again */
    ck_assert(tail.position_known);
    ck_assert_uint_eq(tail.position.epoch, 1);
    ck_assert_uint_eq(tail.position.sequence, good.sequence);
    ck_assert_int_eq(tail.offset, offset_of(good_at));
    struct spot last = open_epoch(3, &good, true);
    put_transactions(&last, 200, 300);
    ck_assert_uint_eq(find().position.sequence, last.sequence);
}
END_TEST

START_TEST(a_repeated_record_is_no_hole)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 200);
    struct spot again = at;
    again.sequence -= 2;
    put_changes(&again, 190, 1);
    put_transactions(&at, 200, 300);
    struct sb_tail tail = find();
    ck_assert_uint_eq(tail.position.sequence, at.sequence);
    ck_assert_uint_eq(tail.position.commit_lsn, at.lsn);
}
END_TEST

START_TEST(a_lost_control_entry_is_made_up_from_the_log)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    store.control_len = 0;
    put_changes(&at, 200, SB_TAIL_WINDOW + 10);
    put_commit(&at, 200);
    struct sb_tail tail = find();
    check_incarnation(&tail, 1); /* its open is found behind the window */
    check_position(&tail.position, &at);
}
END_TEST

START_TEST(an_epoch_only_control_knows_is_never_claimed_again)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    struct spot kept = at;
    size_t count = store.count;
    put_transactions(&at, 150, 200);
    at = open_epoch(2, &at, true);
    put_transactions(&at, 200, 250);
    store.count = count; /* the log lost its end */
    struct sb_tail tail = find();
    check_incarnation(&tail, 2);
    ck_assert(tail.position_known);
    check_position(&tail.position, &kept);
    ck_assert_int_eq(tail.offset, offset_of(count - 1));
}
END_TEST

START_TEST(retention_that_passed_the_newest_commit_leaves_a_lower_bound)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    struct spot base = at;
    at = open_epoch(2, &at, true);
    put_transactions(&at, 150, 200);
    put_changes(&at, 300, 10);
    store.first = store.count - 5; /* only the partial transaction is left */
    struct sb_tail tail = find();
    check_incarnation(&tail, 2);
    ck_assert(!tail.position_known && !tail.empty);
    base.epoch = 2;
    check_position(&tail.position, &base);
    ck_assert_int_eq(tail.offset, -1);
}
END_TEST

START_TEST(an_emptied_log_is_not_an_empty_one)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    at = open_epoch(2, &at, true);
    store.first = store.count; /* retention took everything */
    struct sb_tail tail = find();
    ck_assert(!tail.empty && !tail.position_known);
    check_incarnation(&tail, 2);
    ck_assert_uint_eq(tail.position.commit_lsn, 140);
    store.first = store.count = 0; /* somebody wiped it */
    tail = find();
    ck_assert(!tail.empty && !tail.position_known);
    check_incarnation(&tail, 2);
}
END_TEST

START_TEST(a_foreign_record_is_refused)
{
    struct sb_err err;
    struct sb_tail tail;
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    store.records[3].frame.stream.bytes[0]++;
    ck_assert_int_eq(sb_tail_find(&store, codec, &tail, &err), -1);
    ck_assert_int_eq(err.code, SB_E_LOG_FOREIGN);
}
END_TEST

START_TEST(a_control_entry_that_does_not_decode_is_refused)
{
    struct sb_err err;
    struct sb_tail tail;
    open_epoch(1, &beginning, true);
    for (size_t len = 1; len < store.control_len; len++) {
        size_t whole = store.control_len;
        store.control_len = len;
        ck_assert_int_eq(sb_tail_find(&store, codec, &tail, &err), -1);
        store.control_len = whole;
    }
}
END_TEST

/* -- places ------------------------------------------------------------------------------------------- */

static int64_t locate(const struct spot *at, int64_t hint, enum sb_code expected)
{
    struct sb_err err = {0};
    int64_t offset = -1;
    struct sb_position position = {
        .epoch = at->epoch, .sequence = at->sequence, .commit_lsn = at->lsn, .chain = at->chain};
    int result = sb_tail_locate_position(&store, &position, hint, &offset, &err);
    ck_assert_msg(err.code == expected, "%s: %s", sb_err_id(&err), err.text);
    ck_assert_int_eq(result, expected == SB_OK ? 0 : -1);
    return offset;
}

START_TEST(a_position_is_found_with_and_without_its_hint)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    struct spot middle = at;
    int64_t there = offset_of(store.count - 1);
    put_transactions(&at, 150, 200);
    ck_assert_int_eq(locate(&middle, -1, SB_OK), there + 1);
    store.reads = 0;
    ck_assert_int_eq(locate(&middle, there, SB_OK), there + 1);
    ck_assert_int_eq(locate(&middle, there + 1, SB_OK), there + 1);
    ck_assert_uint_le(store.reads, 3);
    for (int64_t wrong = 0; wrong < offset_of(store.count) + 50; wrong += 7) /* a wrong one misleads nobody */
        ck_assert_int_eq(locate(&middle, wrong, SB_OK), there + 1);
    ck_assert_int_eq(locate(&at, -1, SB_OK), offset_of(store.count - 1) + 1);
}
END_TEST

START_TEST(a_position_that_is_not_retained_is_a_gap)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    struct spot early = at;
    put_transactions(&at, 150, 200);
    store.first = store.count - 3;
    locate(&early, -1, SB_E_LOG_GAP);
    locate(&early, 130, SB_E_LOG_GAP);
}
END_TEST

/* Retention took the position's own commit, and nothing that is needed. */
START_TEST(what_followed_the_position_is_as_good_as_its_commit)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    struct spot here = at;
    size_t commit = store.count - 1;
    put_transactions(&at, 150, 200);
    store.first = commit + 1;
    ck_assert_int_eq(locate(&here, -1, SB_OK), offset_of(commit + 1));
    ck_assert_int_eq(locate(&here, offset_of(commit), SB_OK), offset_of(commit + 1));
    store.first = commit + 2;
    locate(&here, -1, SB_E_LOG_GAP);
    store.first = store.count; /* it took all there was */
    ck_assert_int_eq(locate(&at, offset_of(store.count), SB_OK), offset_of(store.count));
    locate(&here, offset_of(commit), SB_E_LOG_GAP);
}
END_TEST

START_TEST(a_position_behind_the_end_is_a_truncation)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 200);
    size_t kept = store.count;
    struct spot never = at;
    never.sequence += 3;
    locate(&never, -1, SB_E_LOG_TRUNCATED);
    put_transactions(&at, 200, 300);
    int64_t hint = offset_of(store.count - 1);
    locate(&at, hint, SB_OK);
    store.count = kept; /* its end is lost */
    locate(&at, hint, SB_E_LOG_TRUNCATED);
    locate(&at, -1, SB_E_LOG_TRUNCATED);
    store.count = 0; /* all of it is */
    locate(&at, hint, SB_E_LOG_TRUNCATED);
}
END_TEST

/* Same LSN, same sequence, another epoch: not the same record. */
START_TEST(a_position_of_another_epoch_is_not_mistaken)
{
    struct spot at = open_epoch(2, &beginning, true);
    put_transactions(&at, 100, 150);
    struct spot other = at;
    other.epoch = 3;
    locate(&other, offset_of(store.count - 1), SB_E_LOG_TRUNCATED);
    other.epoch = 1; /* superseded by an open that is not its own */
    ck_assert_int_eq(locate(&other, offset_of(store.count - 1), SB_OK), offset_of(0));
}
END_TEST

START_TEST(a_log_written_anew_is_read_from_the_open_that_did_it)
{
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    struct spot kept = at;
    size_t count = store.count;
    put_transactions(&at, 150, 200);
    struct spot lost = at, zombie = at;
    store.count = count;
    struct spot next = open_epoch(2, &kept, true);
    put_transactions(&next, 150, 300);
    ck_assert_int_eq(locate(&lost, -1, SB_OK), offset_of(count));
    /* A copy of the lost commit that arrives late is a zombie's: beginning behind it would miss the open. */
    zombie.sequence = lost.sequence - 1;
    put_commit(&zombie, lost.lsn);
    ck_assert_int_eq(locate(&lost, -1, SB_OK), offset_of(count));
}
END_TEST

START_TEST(the_beginning_must_be_the_beginning)
{
    ck_assert_int_eq(locate(&beginning, -1, SB_OK), 100); /* nothing was ever written */
    struct spot at = open_epoch(1, &beginning, true);
    put_transactions(&at, 100, 150);
    ck_assert_int_eq(locate(&beginning, -1, SB_OK), 100);
    store.first = 1;
    locate(&beginning, -1, SB_E_LOG_GAP);
    store.first = store.count;
    locate(&beginning, -1, SB_E_LOG_GAP);
    store.first = 0;
    store.records[0].frame.sequence = 2; /* an open, but on a base */
    locate(&beginning, -1, SB_E_LOG_GAP);
}
END_TEST

static int64_t locate_lsn(uint64_t lsn)
{
    struct sb_err err;
    int64_t offset = -1;
    ck_assert_int_eq(sb_tail_locate_lsn(&store, lsn, &offset, &err), 0);
    return offset;
}

static int64_t locate_time(int64_t ms)
{
    struct sb_err err;
    int64_t offset = -1;
    ck_assert_int_eq(sb_tail_locate_time(&store, ms, &offset, &err), 0);
    return offset;
}

START_TEST(every_lsn_and_time_is_found_where_a_plain_search_finds_it)
{
    struct spot at = open_epoch(1, &beginning, true), zombie = at;
    put_transactions(&at, 100, 180);
    zombie = at;
    struct spot base = at;
    put_transactions(&zombie, 180, 230);
    at = open_epoch(2, &base, true); /* goes back to 180 */
    put_transactions(&at, 180, 400);
    struct sb_stream_bounds bounds;
    struct sb_err err;
    for (store.first = 0; store.first <= store.count; store.first++) {
        sb_stream_bounds(&store, &bounds, &err);
        for (uint64_t lsn = 90; lsn < 410; lsn += 5) {
            size_t i = store.first;
            while (i < store.count && store.records[i].frame.commit_lsn < lsn)
                i++;
            ck_assert_int_eq(locate_lsn(lsn), i < store.count ? offset_of(i) : bounds.next);
        }
        for (int64_t ms = 990; ms < 1010 + (int64_t)store.count * 10; ms += 5) {
            size_t i = store.first;
            while (i < store.count && store.records[i].append_ms < ms)
                i++;
            ck_assert_int_eq(locate_time(ms), i < store.count ? offset_of(i) : bounds.next);
        }
    }
}
END_TEST

START_TEST(a_place_in_a_long_log_is_found_by_halving)
{
    struct spot at = open_epoch(1, &beginning, true);
    while (store.count < SB_TAIL_WINDOW * 5)
        put_transactions(&at, at.lsn + 10, at.lsn + 20);
    store.reads = 0;
    ck_assert_int_eq(locate_lsn(5000 * 10), offset_of(1 + 3 * 4999));
    ck_assert_uint_le(store.reads, SB_TAIL_WINDOW + 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tail");
    TCase *tcase = tcase_create("tail");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, an_unwritten_log_is_empty);
    tcase_add_test(tcase, the_newest_commit_is_the_tail_not_what_follows_it);
    tcase_add_test(tcase, an_open_without_commits_gives_its_base);
    tcase_add_test(tcase, an_open_that_control_does_not_know_counts);
    tcase_add_test(tcase, a_zombies_records_behind_the_newest_open_do_not_count);
    tcase_add_test(tcase, control_put_back_by_a_zombie_does_not_count);
    tcase_add_test(tcase, a_zombie_that_wrote_very_much_does_not_hide_the_newest_epoch);
    tcase_add_test(tcase, the_cost_does_not_grow_with_the_log);
    tcase_add_test(tcase, a_partial_transaction_longer_than_the_window_is_passed);
    tcase_add_test(tcase, what_follows_a_hole_in_the_highest_epoch_does_not_count);
    tcase_add_test(tcase, an_epoch_whose_open_was_lost_does_not_count);
    tcase_add_test(tcase, a_repeated_record_is_no_hole);
    tcase_add_test(tcase, a_lost_control_entry_is_made_up_from_the_log);
    tcase_add_test(tcase, a_position_behind_the_end_is_a_truncation);
    tcase_add_test(tcase, what_followed_the_position_is_as_good_as_its_commit);
    tcase_add_test(tcase, an_epoch_only_control_knows_is_never_claimed_again);
    tcase_add_test(tcase, retention_that_passed_the_newest_commit_leaves_a_lower_bound);
    tcase_add_test(tcase, an_emptied_log_is_not_an_empty_one);
    tcase_add_test(tcase, a_foreign_record_is_refused);
    tcase_add_test(tcase, a_control_entry_that_does_not_decode_is_refused);
    tcase_add_test(tcase, a_position_is_found_with_and_without_its_hint);
    tcase_add_test(tcase, a_position_that_is_not_retained_is_a_gap);
    tcase_add_test(tcase, a_position_of_another_epoch_is_not_mistaken);
    tcase_add_test(tcase, a_log_written_anew_is_read_from_the_open_that_did_it);
    tcase_add_test(tcase, the_beginning_must_be_the_beginning);
    tcase_add_test(tcase, every_lsn_and_time_is_found_where_a_plain_search_finds_it);
    tcase_add_test(tcase, a_place_in_a_long_log_is_found_by_halving);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
