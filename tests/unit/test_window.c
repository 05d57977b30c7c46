/*
 * The window, the cut and the verdict against an imagined pair of servers: transactions get their xid, write
 * their commit record and become visible at moments of their own, the follower applies a beginning of the
 * log, and now and then somebody else writes to a row of it. Whatever the moment at which both sides are
 * read: what is called equal is equal, and what is called different is different.
 */
#include "reconcile/verdict.h"
#include "reconcile/window.h"
#include "schemas/digest.h"
#include "schemas/rowform.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 8, TXNS_MAX = 3000, OPS_MAX = 3, STEPS = 6000, COLUMNS = 2, TABLE = 3, SEEDS = 40 };

/* -- the imagined servers -------------------------------------------------------------------------------- */

struct row {
    bool there;
    int value, large; /* large stays where it is, most of the time: unchanged TOAST */
};
enum kind { WRITE, KEEP_LARGE, REMOVE };
struct op {
    int key;
    enum kind kind;
    int value, large;
};
enum phase { RUNNING, COMMITTING /* in the log, not visible */, ENDED, ABORTED };
struct txn {
    enum phase phase;
    uint64_t xid, commit_lsn;
    int ops;
    struct op op[OPS_MAX];
    bool emptied; /* TRUNCATE */
};
struct world {
    struct txn txns[TXNS_MAX];
    int count, log[TXNS_MAX], logged; /* in commit order */
    int owner[KEYS];                  /* the transaction that holds the key, -1: none */
    uint64_t next_xid, insert_lsn;
    int applied, told; /* so many of the log: at the follower; in the window */
    struct row follower[KEYS];
    int next_value;
    bool may_empty;
};
static struct world world;

static void apply_op(struct row *row, const struct op *op)
{
    if (op->kind == REMOVE) {
        row->there = false;
        return;
    }
    if (op->kind == KEEP_LARGE && !row->there)
        return; /* an update that finds no row */
    row->there = true;
    row->value = op->value;
    if (op->kind == WRITE)
        row->large = op->large;
}

static void apply_txn(struct row rows[KEYS], const struct txn *txn)
{
    for (int k = 0; txn->emptied && k < KEYS; k++)
        rows[k].there = false;
    for (int o = 0; o < txn->ops; o++)
        apply_op(&rows[txn->op[o].key], &txn->op[o]);
}

/* What rows are after the first count transactions of the log, of which only those that fine says so count.
 */
static void rows_after(int count, bool visible_only, struct row rows[KEYS])
{
    memset(rows, 0, KEYS * sizeof *rows);
    for (int i = 0; i < count; i++)
        if (!visible_only || world.txns[world.log[i]].phase == ENDED)
            apply_txn(rows, &world.txns[world.log[i]]);
}

static bool newest_of(int key, int me)
{
    return world.owner[key] == -1 || world.owner[key] == me;
}

/* The row as the next writer sees it: after everything that has ended, and its own. */
static bool row_there(int key, const struct txn *own)
{
    struct row rows[KEYS];
    rows_after(world.logged, true, rows);
    apply_txn(rows, own);
    return rows[key].there;
}

static void write_op(int t)
{
    struct txn *txn = &world.txns[t];
    int key = rand() % KEYS;
    if (txn->ops == OPS_MAX || !newest_of(key, t))
        return;
    world.owner[key] = t;
    struct op op = {.key = key, .kind = WRITE, .value = ++world.next_value, .large = world.next_value};
    if (row_there(key, txn) && rand() % 4 != 0)
        op.kind = rand() % 4 == 0 ? REMOVE : KEEP_LARGE;
    txn->op[txn->ops++] = op;
}

/* Takes every key; nobody may hold one. */
static void empty(int t)
{
    for (int k = 0; k < KEYS; k++)
        if (!newest_of(k, t))
            return;
    if (world.txns[t].ops > 0)
        return;
    for (int k = 0; k < KEYS; k++)
        world.owner[k] = t;
    world.txns[t].emptied = true;
}

static void leave(int t, enum phase phase)
{
    world.txns[t].phase = phase;
    for (int k = 0; k < KEYS; k++)
        if (world.owner[k] == t)
            world.owner[k] = -1;
}

static void commit_record(int t)
{
    world.insert_lsn += 10;
    world.txns[t].commit_lsn = world.insert_lsn;
    world.insert_lsn += 10;
    world.txns[t].phase = COMMITTING;
    world.log[world.logged++] = t;
}

static void step_txn(int t)
{
    struct txn *txn = &world.txns[t];
    int dice = rand() % 10;
    if (txn->phase == COMMITTING && dice < 2)
        leave(t, ENDED);
    if (txn->phase != RUNNING)
        return;
    if (dice < 5)
        write_op(t);
    else if (dice == 5 && world.may_empty && rand() % 6 == 0)
        empty(t);
    else if (dice < 9)
        commit_record(t);
    else
        leave(t, ABORTED);
}

static void step(void)
{
    int live[TXNS_MAX], count = 0;
    for (int t = world.count > 40 ? world.count - 40 : 0; t < world.count; t++)
        if (world.txns[t].phase == RUNNING || world.txns[t].phase == COMMITTING)
            live[count++] = t;
    if (count < 5 && world.count < TXNS_MAX)
        world.txns[world.count++] = (struct txn){.phase = RUNNING, .xid = world.next_xid++};
    else if (count > 0)
        step_txn(live[rand() % count]);
    if (world.applied < world.logged && rand() % 3 == 0)
        apply_txn(world.follower, &world.txns[world.log[world.applied++]]);
    if (rand() % 60 == 0) { /* somebody else writes */
        struct row *row = &world.follower[rand() % KEYS];
        int dice = rand() % 3;
        if (dice == 0)
            row->there = !row->there;
        else if (dice == 1)
            row->value = -++world.next_value;
        else
            row->large = -++world.next_value;
    }
}

static void world_reset(unsigned seed, bool may_empty)
{
    memset(&world, 0, sizeof world);
    srand(seed);
    world.next_xid = 700;
    world.insert_lsn = 1000;
    world.may_empty = may_empty;
    for (int k = 0; k < KEYS; k++)
        world.owner[k] = -1;
}

/* -- what the compare does ------------------------------------------------------------------------------- */

enum rule { RIGHT, BY_LSN, NO_HORIZON, HORIZON_OF_THE_SOURCE, FORGET_APPLIED };

static struct sb_window *window;
static struct sb_err err;

static struct sb_digest digest_of(int number)
{
    return sb_hash128(sb_view(&number, sizeof number));
}

static void fields_of(const struct row *row, bool large_known, struct sb_digest fields[COLUMNS])
{
    fields[0] = digest_of(row->value);
    fields[1] = large_known ? digest_of(row->large) : (struct sb_digest){{0}};
}

static void tell_op(const struct op *op)
{
    struct sb_digest fields[COLUMNS];
    const struct row row = {.value = op->value, .large = op->large};
    fields_of(&row, op->kind == WRITE, fields);
    struct sb_touch touch = {.table = TABLE,
        .key = digest_of(op->key),
        .key_bytes = sb_view(&op->key, sizeof op->key),
        .present = op->kind != REMOVE,
        .fields = fields,
        .field_count = COLUMNS};
    ck_assert_int_eq(sb_window_touch(window, &touch, &err), 0);
}

static void tell(const struct txn *txn)
{
    if (rand() % 8 == 0) { /* an incarnation of capture that did not get to the end */
        for (int o = 0; o < txn->ops; o++)
            tell_op(&txn->op[o]);
        sb_window_abandon(window);
    }
    if (txn->emptied)
        ck_assert_int_eq(sb_window_all(window, TABLE, true, &err), 0);
    for (int o = 0; o < txn->ops; o++)
        tell_op(&txn->op[o]);
    ck_assert_int_eq(sb_window_commit(window, txn->commit_lsn, txn->xid, 0, &err), 0);
}

static void put_snapshot(uint64_t h, enum rule rule, char *text, size_t cap)
{
    uint64_t xmin = 0;
    int used = 0;
    char xips[8192] = "";
    for (int t = 0; t < world.count; t++) {
        const struct txn *txn = &world.txns[t];
        bool running = rule == BY_LSN ? txn->commit_lsn == 0 || txn->commit_lsn >= h
                                      : txn->phase == RUNNING || txn->phase == COMMITTING;
        if (!running || (rule == BY_LSN && txn->phase == ABORTED))
            continue;
        used +=
            snprintf(xips + used, sizeof xips - (size_t)used, "%s%" PRIu64, used == 0 ? "" : ",", txn->xid);
        xmin = xmin == 0 ? txn->xid : xmin;
    }
    xmin = xmin == 0 ? world.next_xid : xmin;
    snprintf(text, cap, "%" PRIu64 ":%" PRIu64 ":%s", xmin, world.next_xid, xips);
}

struct reading {
    struct sb_cut cut;
    uint64_t h;
    struct row truth[KEYS], follower[KEYS], expected[KEYS];
};
struct counts {
    long keys, dirty, by_stream, undecided, different, wrong;
    long prefixes, not_prefixes, wrong_prefixes;
};

/* The truth first, then the follower: commits arrive in between. */
static void take_reading(struct reading *reading, enum rule rule, struct sb_arena *arena)
{
    char text[16384];
    reading->h = world.insert_lsn;
    put_snapshot(reading->h, rule, text, sizeof text);
    ck_assert(sb_snapshot_parse(text, arena, &reading->cut.snapshot));
    rows_after(world.logged, true, reading->truth);
    for (int i = rand() % 20; i > 0; i--)
        step();
    reading->cut.applied_lsn = world.applied == 0 ? 0 : world.txns[world.log[world.applied - 1]].commit_lsn;
    memcpy(reading->follower, world.follower, sizeof reading->follower);
    rows_after(world.applied, false, reading->expected);
}

static struct sb_row_image image_of(const struct row *row, struct sb_digest fields[COLUMNS])
{
    fields_of(row, true, fields);
    return (struct sb_row_image){.count = row->there, .fields = row->there ? fields : NULL};
}

static bool same(const struct row *a, const struct row *b)
{
    return a->there == b->there && (!a->there || (a->value == b->value && a->large == b->large));
}

static void judge_key(const struct reading *reading, int key, struct counts *counts)
{
    struct sb_history history = {.count = 0};
    struct sb_digest truth[COLUMNS], follower[COLUMNS], name = digest_of(key);
    struct sb_key_verdict verdict;
    bool differs[COLUMNS];
    const struct sb_verify_table judged = {.column_count = COLUMNS};
    const struct sb_row_image images[] = {
        image_of(&reading->truth[key], truth), image_of(&reading->follower[key], follower)};
    ck_assert_int_eq(sb_window_history(window, TABLE, &name, &reading->cut, &history, &err), 0);
    sb_verdict_judge(&judged, &history, &images[0], &images[1], &verdict, differs);
    bool equal = same(&reading->follower[key], &reading->expected[key]);
    counts->keys++;
    counts->dirty += sb_window_is_dirty(window, TABLE, &name, &reading->cut);
    counts->by_stream += verdict.by_stream && verdict.is != SB_KEY_UNDECIDED;
    counts->undecided += verdict.is == SB_KEY_UNDECIDED;
    counts->different += verdict.is == SB_KEY_DIFFERS;
    counts->wrong += verdict.is == SB_KEY_EQUAL && !equal;
    counts->wrong += verdict.is == SB_KEY_DIFFERS && (equal || verdict.source_differs);
    sb_history_clear(&history);
}

/* What the truth shows is said to be a beginning of the log: then it is what that beginning amounts to. */
static void judge_prefix(const struct reading *reading, struct counts *counts)
{
    struct row rows[KEYS];
    uint64_t lsn;
    int count = 0;
    if (!sb_window_is_prefix(window, &reading->cut, &lsn)) {
        counts->not_prefixes++;
        return;
    }
    while (count < world.logged && world.txns[world.log[count]].commit_lsn <= lsn)
        count++;
    rows_after(count, false, rows);
    counts->prefixes++;
    for (int key = 0; key < KEYS; key++)
        counts->wrong_prefixes += !same(&rows[key], &reading->truth[key]);
}

static void forget(const struct reading *reading, enum rule rule)
{
    struct sb_cut cut = reading->cut;
    if (rule == FORGET_APPLIED) /* what is applied, seen or not */
        cut.snapshot = (struct sb_snapshot){.xmin = UINT64_MAX, .xmax = UINT64_MAX};
    sb_window_forget(window, &cut);
}

/* Has it to be in the window before the reading is judged? */
static bool is_due(const struct reading *reading, enum rule rule, uint64_t commit_lsn)
{
    if (rule == NO_HORIZON)
        return false;
    return commit_lsn < reading->h ||
           (rule != HORIZON_OF_THE_SOURCE && commit_lsn <= reading->cut.applied_lsn);
}

/* Read, let the world go on, put into the window what is due, judge. */
static void compare(enum rule rule, struct counts *counts)
{
    struct sb_arena *arena = sb_arena_new("reading", 1 << 20);
    struct reading reading;
    take_reading(&reading, rule, arena);
    for (int i = rand() % 30; i > 0; i--)
        step();
    while (world.told < world.logged &&
           (is_due(&reading, rule, world.txns[world.log[world.told]].commit_lsn) || rand() % 4 == 0))
        tell(&world.txns[world.log[world.told++]]);
    judge_prefix(&reading, counts);
    if (sb_window_splits_table(window, TABLE, &reading.cut)) {
        counts->dirty += KEYS;
        counts->keys += KEYS;
    } else {
        for (int key = 0; key < KEYS; key++)
            judge_key(&reading, key, counts);
    }
    forget(&reading, rule);
    sb_arena_free(arena);
}

static struct counts simulate(enum rule rule, bool may_empty)
{
    struct counts counts = {0};
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        world_reset(seed, may_empty);
        window = sb_window_new(1 << 22);
        for (int i = 0; i < STEPS && world.count < TXNS_MAX; i++) {
            step();
            if (rand() % 20 == 0)
                compare(rule, &counts);
        }
        sb_window_free(window);
    }
    return counts;
}

START_TEST(no_verdict_is_wrong)
{
    for (int may_empty = 0; may_empty < 2; may_empty++) {
        struct counts counts = simulate(RIGHT, may_empty == 1);
        printf("%ld keys, %ld dirty, %ld by the stream, %ld undecided, %ld different\n", counts.keys,
            counts.dirty, counts.by_stream, counts.undecided, counts.different);
        ck_assert_int_eq(counts.wrong, 0);
        ck_assert_int_eq(counts.wrong_prefixes, 0);
        ck_assert_int_gt(counts.prefixes, 200);
        ck_assert_int_gt(counts.not_prefixes, 200);
        ck_assert_int_gt(counts.keys, 20000);
        ck_assert_int_gt(counts.by_stream, counts.dirty / 20);
        ck_assert_int_gt(counts.different, 500);
        ck_assert_int_lt(counts.undecided, counts.dirty);
    }
}
END_TEST

START_TEST(wrong_rules_are_noticed)
{
    ck_assert_int_gt(simulate(BY_LSN, false).wrong, 0);
    ck_assert_int_gt(simulate(BY_LSN, false).wrong_prefixes, 0);
    ck_assert_int_gt(simulate(NO_HORIZON, false).wrong, 0);
    ck_assert_int_gt(simulate(HORIZON_OF_THE_SOURCE, false).wrong, 0);
    ck_assert_int_gt(simulate(FORGET_APPLIED, false).wrong, 0);
}
END_TEST

/* -- by hand --------------------------------------------------------------------------------------------- */

static void cut_make(struct sb_cut *cut, const char *snapshot, uint64_t applied_lsn, struct sb_arena *arena)
{
    ck_assert(sb_snapshot_parse(snapshot, arena, &cut->snapshot));
    cut->applied_lsn = applied_lsn;
}

static int owed_sum(void *arg, const struct sb_digest *row, int by, struct sb_err *unused)
{
    (void)row;
    (void)unused;
    *(int *)arg += by;
    return 0;
}

/* A commit that waits for a standby is applied and in no snapshot: the follower has a row more, and owes
 * nothing. */
START_TEST(rows_without_a_key_balance)
{
    struct sb_arena *arena = sb_arena_new("cut", 1 << 16);
    struct sb_digest row = digest_of(1);
    struct sb_cut cut;
    int owed = 0;
    window = sb_window_new(1 << 16);
    ck_assert_int_eq(sb_window_row(window, TABLE, &row, 1, &err), 0);
    ck_assert_int_eq(sb_window_commit(window, 100, 725, 0, &err), 0);
    cut_make(&cut, "725:725:", 100, arena);
    ck_assert_int_eq(sb_window_owed(window, TABLE, &cut, owed_sum, &owed, &err), 0);
    ck_assert_int_eq(owed, -1);
    cut_make(&cut, "726:726:", 99, arena);
    ck_assert_int_eq(sb_window_owed(window, TABLE, &cut, owed_sum, &owed, &err), 0);
    ck_assert_int_eq(owed, 0);
    cut_make(&cut, "726:726:", 100, arena);
    sb_window_forget(window, &cut);
    cut_make(&cut, "726:726:", 0, arena);
    ck_assert_int_eq(sb_window_owed(window, TABLE, &cut, owed_sum, &owed, &err), 0);
    ck_assert_int_eq(owed, 0);
    sb_window_free(window);
    sb_arena_free(arena);
}
END_TEST

START_TEST(a_full_window_says_so)
{
    struct sb_digest fields[COLUMNS] = {{{1}}, {{2}}};
    int rc = 0;
    window = sb_window_new(4096);
    for (int key = 0; rc == 0 && key < 1000; key++) {
        struct sb_touch touch = {.table = TABLE,
            .key = digest_of(key),
            .key_bytes = sb_view(&key, sizeof key),
            .present = true,
            .fields = fields,
            .field_count = COLUMNS};
        rc = sb_window_touch(window, &touch, &err);
    }
    ck_assert_int_eq(rc, -1);
    ck_assert_int_eq((int)err.code, SB_E_LIMIT);
    ck_assert_uint_le(sb_window_peak_bytes(window), 4096);
    sb_window_free(window);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("window");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 100);
    tcase_add_test(tests, no_verdict_is_wrong);
    tcase_add_test(tests, wrong_rules_are_noticed);
    tcase_add_test(tests, rows_without_a_key_balance);
    tcase_add_test(tests, a_full_window_says_so);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
