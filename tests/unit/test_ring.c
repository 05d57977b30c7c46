/*
 * The ring against imagined histories: transactions take positions when they commit and become visible later,
 * in another order; who writes a key waits until the writer before is visible, as row locks have it. Images
 * are read under what is visible and come later in the stream. What the ring calls good must be the truth
 * there. Variants that are wrong on purpose must be caught by the same histories.
 */
#include "apply/ring.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    A = 4,
    B = 3,
    KEYS = A * B,
    TXNS_MAX = 400,
    OPS_MAX = 4000,
    IMAGES_MAX = 400,
    STEPS = 1500,
    ACTIVE_MAX = 5,
    SEEDS = 120,
};

/* -- what is imagined --------------------------------------------------------------------------------------
 */

enum op_kind { PUT, DROP, MOVE, CUT };

struct op {
    enum op_kind kind;
    int txn, key, to; /* MOVE: from key to to */
    int value;
};

struct txn {
    uint64_t xid, lsn; /* 0: not committed */
    bool visible;
};

struct image {
    int key, value;     /* 0: absent */
    uint64_t lsn;       /* 0: not emitted yet */
    uint64_t floor_lsn; /* every commit at or before it was visible */
    uint64_t flush_lsn; /* for the variant that believes in positions */
    uint64_t xmax;
    int xip_count;
    uint64_t xip[ACTIVE_MAX * 4];
};

struct history {
    struct txn txns[TXNS_MAX];
    struct op ops[OPS_MAX];
    struct image images[IMAGES_MAX];
    int txn_count, op_count, image_count;
    uint64_t lsn;
    int owner[KEYS]; /* transaction that holds the key, or -1 */
    int version;
};

static int roll(int sides)
{
    return rand() % sides;
}

static bool is_active(const struct txn *txn)
{
    return txn->lsn == 0;
}

static int pick(const struct history *past, bool (*fits)(const struct txn *))
{
    int from = past->txn_count == 0 ? 0 : roll(past->txn_count);
    for (int i = 0; i < past->txn_count; i++) {
        int at = (from + i) % past->txn_count;
        if (fits(&past->txns[at]))
            return at;
    }
    return -1;
}

static bool is_hidden(const struct txn *txn)
{
    return txn->lsn != 0 && !txn->visible;
}

static int count_unseen(const struct history *past)
{
    int count = 0;
    for (int i = 0; i < past->txn_count; i++)
        count += !past->txns[i].visible;
    return count;
}

static bool take_key(struct history *past, int txn, int key)
{
    if (past->owner[key] != -1 && past->owner[key] != txn)
        return false;
    past->owner[key] = txn;
    return true;
}

/* The value of a key after some operations: those for which shows is true. */
static int value_of(
    const struct history *past, int key, bool (*shows)(const struct txn *, const void *), const void *arg)
{
    int value = 0;
    for (int i = 0; i < past->op_count; i++) {
        const struct op *op = &past->ops[i];
        if (!shows(&past->txns[op->txn], arg))
            continue;
        if (op->kind == CUT || (op->kind == DROP && op->key == key) || (op->kind == MOVE && op->key == key))
            value = 0;
        if ((op->kind == PUT && op->key == key) || (op->kind == MOVE && op->to == key))
            value = op->value;
    }
    return value;
}

static bool shows_visible(const struct txn *txn, const void *arg)
{
    (void)arg;
    return txn->visible;
}

static bool shows_up_to(const struct txn *txn, const void *arg)
{
    return txn->lsn != 0 && txn->lsn <= *(const uint64_t *)arg;
}

static void write_something(struct history *past)
{
    int txn = pick(past, is_active), key = roll(KEYS), to = roll(KEYS);
    if (txn < 0 || past->op_count == OPS_MAX)
        return;
    struct op op = {.kind = PUT, .txn = txn, .key = key, .value = ++past->version};
    int what = roll(40);
    if (what == 0) {
        for (int k = 0; k < KEYS; k++)
            if (past->owner[k] != -1 && past->owner[k] != txn)
                return;
        for (int k = 0; k < KEYS; k++)
            past->owner[k] = txn;
        op.kind = CUT;
    } else if (what < 12 && key != to) {
        if (!take_key(past, txn, key) || !take_key(past, txn, to))
            return;
        op.kind = MOVE;
        op.to = to;
    } else if (!take_key(past, txn, key)) {
        return;
    } else if (what < 20) {
        op.kind = DROP;
    }
    past->ops[past->op_count++] = op;
}

static void read_image(struct history *past, bool early_floor)
{
    if (past->image_count == IMAGES_MAX)
        return;
    struct image *image = &past->images[past->image_count++];
    *image = (struct image){.key = roll(KEYS), .floor_lsn = past->lsn, .flush_lsn = past->lsn};
    image->value = value_of(past, image->key, shows_visible, NULL);
    image->xmax = 1000 + (uint64_t)past->txn_count;
    for (int i = 0; i < past->txn_count; i++) {
        const struct txn *txn = &past->txns[i];
        if (txn->visible)
            continue;
        image->xip[image->xip_count++] = txn->xid;
        if (txn->lsn != 0 && txn->lsn <= image->floor_lsn)
            image->floor_lsn = txn->lsn - 1;
    }
    if (early_floor && image->floor_lsn > 20)
        image->floor_lsn -= (uint64_t)roll(20);
}

static void step(struct history *past)
{
    int what = roll(20), txn;
    if (what < 3 && past->txn_count < TXNS_MAX && count_unseen(past) < ACTIVE_MAX * 2) {
        past->txns[past->txn_count] = (struct txn){.xid = 1000 + (uint64_t)past->txn_count};
        past->txn_count++;
    } else if (what < 10) {
        write_something(past);
    } else if (what < 13 && (txn = pick(past, is_active)) >= 0) {
        past->txns[txn].lsn = past->lsn += 1 + (uint64_t)roll(5);
    } else if (what < 15 && (txn = pick(past, is_hidden)) >= 0) {
        past->txns[txn].visible = true;
        for (int key = 0; key < KEYS; key++)
            past->owner[key] = past->owner[key] == txn ? -1 : past->owner[key];
    } else if (what < 17) {
        read_image(past, roll(4) == 0);
    } else {
        for (int i = 0; i < past->image_count; i++)
            if (past->images[i].lsn == 0 && roll(3) == 0)
                past->images[i].lsn = past->lsn += 1 + (uint64_t)roll(5);
    }
}

static void imagine(struct history *past, unsigned seed)
{
    memset(past, 0, sizeof *past);
    srand(seed);
    for (int key = 0; key < KEYS; key++)
        past->owner[key] = -1;
    past->lsn = 100;
    for (int i = 0; i < STEPS; i++)
        step(past);
}

/* -- its stream --------------------------------------------------------------------------------------------
 */

enum variant { RIGHT, BY_POSITION, REACH_UNCHECKED, OLD_KEY_FORGOTTEN, TRUNCATE_FORGOTTEN };

static struct sb_column cols[] = {
    {.name = {"b", 1}, .key = true}, {.name = {"note", 4}}, {.name = {"a", 1}, .key = true}};
static struct sb_relation rel = {.schema = {"public", 6},
    .name = {"t", 1},
    .identity = 'd',
    .col_count = sizeof cols / sizeof *cols,
    .cols = cols};

static struct sb_value number(char *room, int value)
{
    int len = snprintf(room, 12, "%d", value);
    return (struct sb_value){.state = SB_COL_TEXT, .text = sb_view(room, (size_t)len)};
}

struct row {
    struct sb_value values[3];
    char room[3][12];
};

static const struct sb_value *row_of(struct row *row, int key, int value, bool key_only)
{
    row->values[0] = number(row->room[0], key % B);
    row->values[2] = number(row->room[2], key / B);
    row->values[1] = key_only ? (struct sb_value){.state = SB_COL_ABSENT} : number(row->room[1], value);
    return row->values;
}

static void feed_op(struct sb_ring *ring, const struct sb_ring_at *at, const struct op *op, enum variant how)
{
    static const struct sb_relation *const truncated[] = {&rel};
    struct row before, after;
    struct sb_change chg = {.rel = &rel, .op = SB_OP_UPDATE};
    if (op->kind == CUT && how == TRUNCATE_FORGOTTEN)
        return;
    if (op->kind == CUT)
        chg = (struct sb_change){.op = SB_OP_TRUNCATE, .truncated = truncated, .truncated_count = 1};
    if (op->kind == PUT)
        chg.after = row_of(&after, op->key, op->value, false);
    if (op->kind == DROP || (op->kind == MOVE && how != OLD_KEY_FORGOTTEN))
        chg.before = row_of(&before, op->key, 0, true);
    if (op->kind == MOVE)
        chg.after = row_of(&after, op->to, op->value, false);
    if (op->kind == DROP)
        chg.op = SB_OP_DELETE;
    chg.old_is_key = chg.before != NULL;
    sb_ring_change(ring, at, &chg);
}

static void feed_txn(struct sb_ring *ring, const struct history *past, int txn, enum variant how)
{
    struct sb_ring_at at = {.commit_lsn = past->txns[txn].lsn,
        .xid = how == BY_POSITION ? past->txns[txn].lsn : past->txns[txn].xid,
        .timeline = 1};
    for (int i = 0; i < past->op_count; i++)
        if (past->ops[i].txn == txn)
            feed_op(ring, &at, &past->ops[i], how);
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static enum sb_ring_verdict judge(
    struct sb_ring *ring, const struct image *image, struct sb_arena *arena, enum variant how)
{
    static const struct sb_view columns[] = {{"a", 1}, {"b", 1}, {"note", 4}}; /* another order */
    static const uint16_t key_cols[] = {0, 1};
    uint64_t xip[ACTIVE_MAX * 4];
    struct row shown;
    row_of(&shown, image->key, image->value, image->value == 0);
    struct sb_value values[] = {shown.values[2], shown.values[0], shown.values[1]};
    struct sb_image_row row = {.item = 1, .present = image->value != 0, .values = values};
    struct sb_image whole = {.floor_lsn = image->floor_lsn,
        .timeline = 1,
        .schema = rel.schema,
        .table = rel.name,
        .column_count = 3,
        .columns = columns,
        .key_count = 2,
        .key_cols = key_cols,
        .row_count = 1,
        .rows = &row};
    memcpy(xip, image->xip, sizeof xip);
    qsort(xip, (size_t)image->xip_count, sizeof *xip, by_number);
    struct sb_snapshot snapshot = {.xmax = image->xmax,
        .xmin = image->xip_count > 0 ? xip[0] : image->xmax,
        .xip_count = (size_t)image->xip_count,
        .xip = xip};
    if (how == BY_POSITION)
        snapshot = (struct sb_snapshot){.xmin = image->flush_lsn + 1, .xmax = image->flush_lsn + 1};
    if (how == REACH_UNCHECKED && whole.floor_lsn < sb_ring_whole_from(ring))
        whole.floor_lsn = sb_ring_whole_from(ring);
    enum sb_ring_verdict verdict;
    struct sb_err err;
    struct sb_ring_at at = {.commit_lsn = image->lsn, .xid = UINT64_MAX, .timeline = 1};
    sb_arena_reset(arena);
    ck_assert_int_eq(sb_ring_judge(ring, &at, &whole, &snapshot, arena, &verdict, &err), 0);
    return verdict;
}

struct outcome {
    int good, newer, too_short, wrong;
};

static void play(const struct history *past, size_t ring_bytes, enum variant how, struct outcome *outcome)
{
    struct sb_ring *ring = sb_ring_new(ring_bytes, 0);
    struct sb_arena *arena = sb_arena_new("test", 65536);
    for (uint64_t lsn = 1; lsn <= past->lsn; lsn++) {
        for (int t = 0; t < past->txn_count; t++)
            if (past->txns[t].lsn == lsn)
                feed_txn(ring, past, t, how);
        for (int i = 0; i < past->image_count; i++) {
            const struct image *image = &past->images[i];
            if (image->lsn != lsn)
                continue;
            enum sb_ring_verdict verdict = judge(ring, image, arena, how);
            outcome->good += verdict == SB_RING_GOOD;
            outcome->newer += verdict == SB_RING_NEWER;
            outcome->too_short += verdict == SB_RING_SHORT;
            outcome->wrong +=
                verdict == SB_RING_GOOD && value_of(past, image->key, shows_up_to, &lsn) != image->value;
        }
    }
    sb_arena_free(arena);
    sb_ring_free(ring);
}

static struct outcome play_all(size_t ring_bytes, enum variant how)
{
    static struct history past;
    struct outcome outcome = {0};
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        imagine(&past, seed);
        play(&past, ring_bytes, how, &outcome);
    }
    return outcome;
}

enum { LARGE = 1 << 20, SMALL = 56 * 12 };

START_TEST(what_is_good_is_the_truth)
{
    struct outcome outcome = play_all(LARGE, RIGHT);
    ck_assert_int_eq(outcome.wrong, 0);
    ck_assert_int_eq(outcome.too_short, 0);
    ck_assert_msg(
        outcome.good > 5000 && outcome.newer > 1000, "good %d, newer %d", outcome.good, outcome.newer);
}
END_TEST

START_TEST(a_small_ring_says_what_it_does_not_know)
{
    struct outcome outcome = play_all(SMALL, RIGHT);
    ck_assert_int_eq(outcome.wrong, 0);
    ck_assert_msg(outcome.good > 1000 && outcome.too_short > 1000, "good %d, short %d", outcome.good,
        outcome.too_short);
}
END_TEST

START_TEST(what_is_wrong_on_purpose_is_caught)
{
    ck_assert_int_gt(play_all(LARGE, BY_POSITION).wrong, 10);
    ck_assert_int_gt(play_all(SMALL, REACH_UNCHECKED).wrong, 10);
    ck_assert_int_gt(play_all(LARGE, OLD_KEY_FORGOTTEN).wrong, 10);
    ck_assert_int_gt(play_all(LARGE, TRUNCATE_FORGOTTEN).wrong, 10);
}
END_TEST

/* -- what a history does not have ---------------------------------------------------------------------------
 */

static struct sb_ring *ring;
static struct sb_arena *arena;

static void setup(void)
{
    ring = sb_ring_new(LARGE, 50);
    arena = sb_arena_new("test", 65536);
}

static void teardown(void)
{
    sb_ring_free(ring);
    sb_arena_free(arena);
}

/* An image of key 0 whose snapshot shows nothing from 1000 on. */
static enum sb_ring_verdict judge_at(uint64_t lsn, uint64_t floor_lsn)
{
    struct image image = {.key = 0, .value = 1, .lsn = lsn, .floor_lsn = floor_lsn, .xmax = 1000};
    return judge(ring, &image, arena, RIGHT);
}

static void put(const struct sb_relation *of, uint64_t lsn, int key)
{
    struct row row;
    struct sb_ring_at at = {lsn, 2000, 1};
    struct sb_change chg = {.rel = of, .op = SB_OP_INSERT, .after = row_of(&row, key, 1, false)};
    sb_ring_change(ring, &at, &chg);
}

START_TEST(it_reaches_back_to_where_it_began)
{
    ck_assert_int_eq(judge_at(100, 50), SB_RING_GOOD);
    ck_assert_int_eq(judge_at(100, 49), SB_RING_SHORT);
    ck_assert_int_eq(
        judge(NULL, &(struct image){.lsn = 100, .floor_lsn = 99, .xmax = 1000}, arena, RIGHT), SB_RING_SHORT);
}
END_TEST

START_TEST(only_commits_behind_the_floor_count)
{
    put(&rel, 60, 0);
    ck_assert_int_eq(judge_at(100, 59), SB_RING_NEWER);
    ck_assert_int_eq(judge_at(100, 60), SB_RING_GOOD);
    put(&rel, 101, 1); /* another key */
    ck_assert_int_eq(judge_at(110, 60), SB_RING_GOOD);
}
END_TEST

START_TEST(ddl_touches_everything)
{
    sb_ring_everything(ring, &(struct sb_ring_at){60, 2000, 1});
    ck_assert_int_eq(judge_at(100, 59), SB_RING_NEWER);
    ck_assert_int_eq(judge_at(100, 60), SB_RING_GOOD);
}
END_TEST

START_TEST(another_shape_touches_every_key)
{
    struct sb_relation other = rel, elsewhere = rel;
    elsewhere.name = sb_view_str("u");
    put(&rel, 60, 1);
    put(&elsewhere, 61, 1);
    ck_assert_int_eq(judge_at(100, 59), SB_RING_GOOD);
    put(&other, 101, 1);
    ck_assert_int_eq(judge_at(110, 100), SB_RING_NEWER);
    ck_assert_int_eq(judge_at(110, 101), SB_RING_GOOD);
}
END_TEST

START_TEST(another_key_than_the_image_s_touches_every_key)
{
    struct sb_column narrow[3];
    struct sb_relation other = rel;
    memcpy(narrow, cols, sizeof narrow);
    narrow[0].key = false;
    other.cols = narrow;
    put(&other, 60, 1);
    ck_assert_int_eq(judge_at(100, 99), SB_RING_NEWER);
}
END_TEST

START_TEST(without_a_key_every_change_touches_every_key)
{
    struct sb_relation full = rel;
    full.identity = 'f';
    put(&full, 60, 1);
    ck_assert_int_eq(judge_at(100, 59), SB_RING_NEWER);
    ck_assert_int_eq(judge_at(100, 60), SB_RING_GOOD);
}
END_TEST

START_TEST(a_key_that_did_not_travel_touches_every_key)
{
    struct row row;
    struct sb_ring_at at = {60, 2000, 1};
    struct sb_change chg = {.rel = &rel, .op = SB_OP_UPDATE, .after = row_of(&row, 1, 1, false)};
    row.values[2] = (struct sb_value){.state = SB_COL_UNCHANGED};
    sb_ring_change(ring, &at, &chg);
    ck_assert_int_eq(judge_at(100, 59), SB_RING_NEWER);
}
END_TEST

START_TEST(another_timeline_is_another_past)
{
    put(&rel, 60, 1);
    ck_assert_int_eq(judge_at(100, 59), SB_RING_GOOD);
    struct row row;
    struct sb_change chg = {.rel = &rel, .op = SB_OP_INSERT, .after = row_of(&row, 1, 1, false)};
    sb_ring_change(ring, &(struct sb_ring_at){120, 2001, 2}, &chg);
    ck_assert_uint_eq(sb_ring_whole_from(ring), 120);
    ck_assert_int_eq(judge_at(130, 125), SB_RING_SHORT); /* judge() is on timeline 1: one more change of it */
    ck_assert_uint_eq(sb_ring_whole_from(ring), 130);
    ck_assert_int_eq(judge_at(140, 130), SB_RING_GOOD);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *tcase = tcase_create("histories");
    tcase_add_test(tcase, what_is_good_is_the_truth);
    tcase_add_test(tcase, a_small_ring_says_what_it_does_not_know);
    tcase_add_test(tcase, what_is_wrong_on_purpose_is_caught);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("rules");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, it_reaches_back_to_where_it_began);
    tcase_add_test(tcase, only_commits_behind_the_floor_count);
    tcase_add_test(tcase, ddl_touches_everything);
    tcase_add_test(tcase, another_shape_touches_every_key);
    tcase_add_test(tcase, another_key_than_the_image_s_touches_every_key);
    tcase_add_test(tcase, without_a_key_every_change_touches_every_key);
    tcase_add_test(tcase, a_key_that_did_not_travel_touches_every_key);
    tcase_add_test(tcase, another_timeline_is_another_past);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
