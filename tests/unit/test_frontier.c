/*
 * The frontier against an imagined pair of servers: transactions commit, become visible and are applied at
 * moments of their own, somebody else writes on the follower, tables are truncated, the ledger runs full, and
 * the process begins anew. Whatever it says is checked by a book that remembers of every touch whether its
 * key was judged equal under a cut that shows it on both sides.
 */
#include "reconcile/frontier.h"
#include "schemas/digest.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES = 2, KEYS = 8, TABLE_KEYS = 4, CHUNK_KEYS = 2, TXNS_MAX = 1500, STEPS = 5000, SEEDS = 40 };

/* -- the imagined servers -------------------------------------------------------------------------------- */

enum phase { RUNNING, COMMITTING /* in the log, not visible */, ENDED };
struct txn {
    enum phase phase;
    uint64_t xid, lsn;
    unsigned keys; /* touched, as bits */
    bool emptied[TABLES];
};
struct world {
    struct txn txns[TXNS_MAX];
    int count, log[TXNS_MAX], logged;
    int applied; /* so many of the log */
    uint64_t next_xid, insert_lsn;
    bool wrong[KEYS]; /* written by somebody else on the follower */
};
static struct world world;

static unsigned table_bits(int table)
{
    return ((1U << TABLE_KEYS) - 1) << (table * TABLE_KEYS);
}

static unsigned held_by_others(int me)
{
    unsigned held = 0;
    for (int t = 0; t < world.count; t++)
        if (t != me && world.txns[t].phase != ENDED)
            held |= world.txns[t].keys;
    return held;
}

static void write_something(int t)
{
    struct txn *txn = &world.txns[t];
    unsigned bit = 1U << rand() % KEYS;
    int table = rand() % TABLES;
    if (rand() % 40 == 0 && (held_by_others(t) & table_bits(table)) == 0) {
        txn->emptied[table] = true;
        txn->keys |= table_bits(table);
    } else if ((held_by_others(t) & bit) == 0) {
        txn->keys |= bit;
    }
}

static void commit_record(int t)
{
    world.insert_lsn += 20;
    world.txns[t].lsn = world.insert_lsn - 10;
    world.txns[t].phase = COMMITTING;
    world.log[world.logged++] = t;
}

static void apply_one(void)
{
    unsigned keys = world.txns[world.log[world.applied++]].keys;
    for (int k = 0; k < KEYS; k++)
        world.wrong[k] = world.wrong[k] && (keys >> k & 1) == 0;
}

static void step(void)
{
    int live[TXNS_MAX], count = 0;
    for (int t = 0; t < world.count; t++)
        if (world.txns[t].phase != ENDED)
            live[count++] = t;
    if (count < 4 && world.count < TXNS_MAX) {
        world.txns[world.count++] = (struct txn){.phase = RUNNING, .xid = world.next_xid++};
    } else if (count > 0) {
        int t = live[rand() % count], dice = rand() % 10;
        if (world.txns[t].phase == COMMITTING && dice < 3)
            world.txns[t].phase = ENDED;
        else if (world.txns[t].phase == RUNNING && dice < 6)
            write_something(t);
        else if (world.txns[t].phase == RUNNING)
            commit_record(t);
    }
    if (world.applied < world.logged && rand() % 3 == 0)
        apply_one();
    if (rand() % 100 == 0)
        world.wrong[rand() % KEYS] = true;
    if (rand() % 60 == 0)
        world.wrong[rand() % KEYS] = false; /* mended by hand */
}

/* -- the book -------------------------------------------------------------------------------------------- */

static bool proven[TXNS_MAX][KEYS]; /* by place in the log */
static bool judged[KEYS];           /* ever */

struct reading {
    struct sb_cut cut;
    uint64_t h;
    int logged, applied;
    bool seen[TXNS_MAX], wrong[KEYS];
};

static bool splits(const struct reading *reading, int at)
{
    return reading->seen[at] != (at < reading->applied);
}

static void book(const struct reading *reading, int key)
{
    judged[key] = true;
    for (int at = 0; at < reading->logged; at++)
        if (reading->seen[at] && at < reading->applied)
            proven[at][key] = true;
}

/* -- the ledger ------------------------------------------------------------------------------------------ */

enum rule { RIGHT, UNSEEN, UNAPPLIED, BEYOND, PASS_AT_ONCE, NO_HORIZON, HELD_NOT, SAVED_NOT };

static struct sb_frontier *frontier;
static enum rule rule;
static size_t max_bytes;
static int told;
static struct {
    bool running;
    unsigned done, clean; /* chunks, as bits */
} passes[TABLES];
static uint64_t newest[TABLES];
struct counts {
    long wrong, moves, differences, drops, resumed, passes, kept;
};
static struct counts counts;

static struct sb_digest digest_of(int key)
{
    return sb_hash128(sb_view(&key, sizeof key));
}

static struct sb_place place_of(int logged)
{
    uint64_t lsn = logged == 0 ? 1 : world.txns[world.log[logged - 1]].lsn;
    return (struct sb_place){
        .position = {.epoch = 1, .sequence = (uint64_t)logged, .commit_lsn = lsn}, .us = (int64_t)lsn * 10};
}

static void tell_keys(const struct txn *txn)
{
    for (int table = 0; table < TABLES; table++)
        if (txn->emptied[table])
            sb_frontier_all(frontier, (uint32_t)table, true);
    for (int k = 0; k < KEYS; k++) {
        struct sb_digest digest = digest_of(k);
        if (txn->keys >> k & 1)
            sb_frontier_touch(frontier, (uint32_t)(k / TABLE_KEYS), &digest, sb_view(&k, sizeof k));
    }
}

static void tell(void)
{
    const struct txn *txn = &world.txns[world.log[told++]];
    struct sb_place place = place_of(told);
    if (rand() % 10 == 0) { /* an incarnation of capture that did not get to the end */
        tell_keys(txn);
        sb_frontier_abandon(frontier);
    }
    if (rule != BEYOND)
        tell_keys(txn);
    sb_frontier_commit(frontier, txn->xid, &place);
    if (rule == BEYOND) /* with what commits next */
        tell_keys(txn);
}

static void put_snapshot(char *text, size_t cap)
{
    uint64_t xmin = world.next_xid;
    int used = 0;
    char xips[4096] = "";
    for (int t = world.count; t-- > 0;)
        if (world.txns[t].phase != ENDED)
            xmin = world.txns[t].xid;
    for (int t = 0; t < world.count; t++)
        if (world.txns[t].phase != ENDED)
            used += snprintf(xips + used, sizeof xips - (size_t)used, "%s%" PRIu64, used == 0 ? "" : ",",
                world.txns[t].xid);
    snprintf(text, cap, "%" PRIu64 ":%" PRIu64 ":%s", xmin, world.next_xid, xips);
}

/* The truth first, then the follower, then the stream up to what both show. */
static void read_both(struct reading *reading, struct sb_arena *arena)
{
    char text[8192];
    memset(reading, 0, sizeof *reading);
    reading->h = world.insert_lsn;
    put_snapshot(text, sizeof text);
    ck_assert(sb_snapshot_parse(text, arena, &reading->cut.snapshot));
    for (int at = 0; at < world.logged; at++)
        reading->seen[at] = world.txns[world.log[at]].phase == ENDED;
    for (int i = rand() % 15; i > 0; i--)
        step();
    reading->applied = world.applied;
    reading->cut.applied_lsn = place_of(world.applied).position.commit_lsn;
    memcpy(reading->wrong, world.wrong, sizeof reading->wrong);
    for (int i = rand() % 15; i > 0; i--)
        step();
    reading->logged = world.logged;
    while (told < world.logged && (rule != NO_HORIZON || rand() % 3 == 0))
        tell();
    struct sb_place applied = place_of(reading->applied);
    sb_frontier_cut(frontier, &reading->cut, &applied);
}

static void equal(const struct reading *reading, int key)
{
    struct sb_digest digest = digest_of(key);
    struct sb_cut cut = reading->cut;
    if (rule == UNSEEN)
        cut.snapshot = (struct sb_snapshot){.xmin = UINT64_MAX, .xmax = UINT64_MAX};
    if (rule == UNAPPLIED)
        cut.applied_lsn = UINT64_MAX;
    book(reading, key);
    sb_frontier_equal(frontier, (uint32_t)(key / TABLE_KEYS), &digest, &cut);
}

static void judge(const struct reading *reading, int key)
{
    struct sb_digest digest = digest_of(key);
    if (!reading->wrong[key])
        equal(reading, key);
    else if (sb_frontier_differs(frontier, (uint32_t)(key / TABLE_KEYS), &digest, sb_view(&key, sizeof key)))
        counts.differences++;
}

static void judge_tail(const struct reading *reading)
{
    struct sb_frontier_key keys[KEYS];
    for (uint32_t table = 0; table < TABLES; table++) {
        int list[2 * KEYS];
        size_t count = sb_frontier_due(frontier, table, keys, 1 + (size_t)rand() % KEYS), all = count;
        for (size_t i = 0; i < count; i++)
            memcpy(&list[i], keys[i].bytes.ptr, sizeof list[i]);
        count = sb_frontier_held(frontier, table, keys, 1 + (size_t)rand() % KEYS);
        for (size_t i = 0; i < count; i++)
            memcpy(&list[all + i], keys[i].bytes.ptr, sizeof list[i]);
        for (size_t i = 0; i < all + count; i++)
            if (rand() % 8 != 0) /* not decided */
                judge(reading, list[i]);
    }
    sb_frontier_turn(frontier);
}

static bool chunk_split(const struct reading *reading, int table)
{
    for (int at = 0; at < reading->logged; at++)
        if (world.txns[world.log[at]].emptied[table] && splits(reading, at))
            return true;
    return false;
}

static bool dirty(const struct reading *reading, int key)
{
    for (int at = 0; at < reading->logged; at++)
        if ((world.txns[world.log[at]].keys >> key & 1) && splits(reading, at))
            return true;
    return false;
}

static void judge_chunk(const struct reading *reading, int table)
{
    struct sb_frontier_state state;
    sb_frontier_get(frontier, (uint32_t)table, &state);
    if (passes[table].running && !sb_frontier_pass_holds(frontier, (uint32_t)table))
        passes[table].running = false;
    if (!passes[table].running) {
        if (!state.needs_pass && rand() % 20 != 0)
            return;
        if (rule != PASS_AT_ONCE && !sb_frontier_may_pass(frontier, (uint32_t)table))
            return;
        passes[table].running = true;
        passes[table].done = passes[table].clean = 0;
        sb_frontier_pass_begin(frontier, (uint32_t)table);
    }
    if (chunk_split(reading, table))
        return;
    int chunk = 0, first;
    bool clean = true;
    while (passes[table].done >> chunk & 1)
        chunk++;
    first = table * TABLE_KEYS + chunk * CHUNK_KEYS;
    for (int key = first; key < first + CHUNK_KEYS; key++) {
        struct sb_digest digest = digest_of(key);
        if (!dirty(reading, key) && !reading->wrong[key])
            book(reading, key);
        else if (!dirty(reading, key) && rule != HELD_NOT) {
            counts.differences +=
                sb_frontier_differs(frontier, (uint32_t)table, &digest, sb_view(&key, sizeof key));
            clean = false;
        }
    }
    passes[table].done |= 1U << chunk;
    passes[table].clean |= clean ? 1U << chunk : 0;
    if (passes[table].done != (1U << TABLE_KEYS / CHUNK_KEYS) - 1)
        return;
    passes[table].running = false;
    counts.passes += sb_frontier_passed(frontier, (uint32_t)table, NULL);
}

/* -- what it says ---------------------------------------------------------------------------------------- */

static bool is_proven(int table, uint64_t lsn)
{
    for (int key = table * TABLE_KEYS; key < (table + 1) * TABLE_KEYS; key++) {
        if (!judged[key])
            return false;
        for (int at = 0; at < world.logged && world.txns[world.log[at]].lsn <= lsn; at++)
            if ((world.txns[world.log[at]].keys >> key & 1) && !proven[at][key])
                return false;
    }
    return true;
}

static void check_table(int table)
{
    struct sb_frontier_state state;
    sb_frontier_get(frontier, (uint32_t)table, &state);
    if (state.lsn < newest[table] || state.us != (int64_t)state.lsn * 10)
        counts.wrong++;
    counts.moves += state.lsn > newest[table];
    newest[table] = state.lsn;
    if (state.lsn > place_of(world.applied).position.commit_lsn ||
        (state.lsn != 0 && !is_proven(table, state.lsn)))
        counts.wrong++;
}

static void ledger_begin(const struct sb_place *place, const struct sb_frontier_state states[TABLES])
{
    frontier = sb_frontier_new(TABLES, max_bytes, place);
    for (uint32_t table = 0; table < TABLES; table++)
        sb_frontier_set(frontier, table, &states[table]);
    told = (int)place->position.sequence;
}

/* The process dies, and another goes on from what was written down last. */
static void begin_anew(void)
{
    struct sb_frontier_state states[TABLES];
    struct sb_place place = sb_frontier_resume(frontier);
    for (uint32_t table = 0; table < TABLES; table++) {
        if (rule == SAVED_NOT)
            sb_frontier_get(frontier, table, &states[table]);
        else
            sb_frontier_save(frontier, table, &states[table]);
        passes[table].running =
            (passes[table].running || states[table].needs_pass) && sb_frontier_pass_holds(frontier, table);
        passes[table].done = passes[table].clean;
        if (passes[table].done == (1U << TABLE_KEYS / CHUNK_KEYS) - 1)
            passes[table].done = passes[table].clean = 1; /* a pass ends with a chunk */
        counts.kept += passes[table].running && passes[table].done > 0;
    }
    for (int at = 0; at < (int)place.position.sequence; at++)
        if (world.txns[world.log[at]].phase != ENDED || at >= world.applied)
            counts.wrong++;
    counts.drops += (long)sb_frontier_drops(frontier);
    sb_frontier_free(frontier);
    ledger_begin(&place, states);
    for (uint32_t table = 0; table < TABLES; table++)
        if (passes[table].running)
            sb_frontier_pass_begin(frontier, table);
    counts.resumed++;
}

static void turn(void)
{
    struct sb_arena *arena = sb_arena_new("reading", 1 << 20);
    static struct reading reading;
    read_both(&reading, arena);
    judge_tail(&reading);
    judge_chunk(&reading, rand() % TABLES);
    for (int table = 0; table < TABLES; table++)
        check_table(table);
    if (rand() % 30 == 0)
        begin_anew();
    sb_arena_free(arena);
}

static bool at_the_end(void)
{
    uint64_t lsn;
    int64_t us;
    return sb_frontier_database(frontier, &lsn, &us) && lsn == place_of(world.logged).position.commit_lsn;
}

/* Nobody writes any more, and what was wrong is mended: the frontier gets to the end. */
static void finish(void)
{
    for (int t = 0; t < world.count; t++) {
        if (world.txns[t].phase == RUNNING)
            commit_record(t);
        world.txns[t].phase = ENDED;
    }
    while (world.applied < world.logged)
        apply_one();
    memset(world.wrong, 0, sizeof world.wrong);
}

static void quiet_turn(void)
{
    struct sb_arena *arena = sb_arena_new("reading", 1 << 20);
    static struct reading reading;
    char text[8192];
    memset(&reading, 0, sizeof reading);
    put_snapshot(text, sizeof text);
    ck_assert(sb_snapshot_parse(text, arena, &reading.cut.snapshot));
    memset(reading.seen, true, sizeof reading.seen);
    reading.applied = reading.logged = world.logged;
    struct sb_place applied = place_of(world.applied);
    reading.cut.applied_lsn = applied.position.commit_lsn;
    while (told < world.logged)
        tell();
    sb_frontier_cut(frontier, &reading.cut, &applied);
    judge_tail(&reading);
    judge_chunk(&reading, rand() % TABLES);
    for (int table = 0; table < TABLES; table++)
        check_table(table);
    sb_arena_free(arena);
}

static struct counts simulate(enum rule which, size_t bytes, bool to_the_end)
{
    counts = (struct counts){0};
    rule = which;
    max_bytes = bytes;
    for (unsigned seed = 1; seed <= SEEDS; seed++) {
        memset(&world, 0, sizeof world);
        memset(proven, 0, sizeof proven);
        memset(judged, 0, sizeof judged);
        memset(passes, 0, sizeof passes);
        memset(newest, 0, sizeof newest);
        srand(seed);
        world.next_xid = 700;
        world.insert_lsn = 100;
        const struct sb_frontier_state state = {.compared = true, .keyed = true, .needs_pass = true};
        const struct sb_frontier_state states[TABLES] = {state, state};
        const struct sb_place begin = place_of(0);
        ledger_begin(&begin, states);
        for (int i = 0; i < STEPS && world.count < TXNS_MAX - 50; i++) {
            step();
            if (rand() % 20 == 0)
                turn();
        }
        finish();
        for (int i = 0; to_the_end && i < 500 && !at_the_end(); i++)
            quiet_turn();
        ck_assert(!to_the_end || at_the_end());
        counts.drops += (long)sb_frontier_drops(frontier);
        sb_frontier_free(frontier);
    }
    return counts;
}

START_TEST(the_frontier_is_proven)
{
    struct counts found = simulate(RIGHT, 1 << 20, true);
    printf("%ld moves, %ld differences, %ld passes, begun anew %ld times, in a pass %ld\n", found.moves,
        found.differences, found.passes, found.resumed, found.kept);
    ck_assert_int_eq(found.wrong, 0);
    ck_assert_int_eq(found.drops, 0);
    ck_assert_int_gt(found.moves, 1000);
    ck_assert_int_gt(found.differences, 200);
    ck_assert_int_gt(found.passes, 200);
    ck_assert_int_gt(found.kept, 20);
}
END_TEST

START_TEST(a_full_ledger_asks_for_passes)
{
    struct counts found = simulate(RIGHT, 2000, true);
    printf("%ld moves, %ld drops\n", found.moves, found.drops);
    ck_assert_int_eq(found.wrong, 0);
    ck_assert_int_gt(found.drops, 100);
    ck_assert_int_gt(found.moves, 100);
}
END_TEST

START_TEST(wrong_rules_are_noticed)
{
    ck_assert_int_gt(simulate(UNSEEN, 1 << 20, false).wrong, 0);
    ck_assert_int_gt(simulate(UNAPPLIED, 1 << 20, false).wrong, 0);
    ck_assert_int_gt(simulate(BEYOND, 1 << 20, false).wrong, 0);
    ck_assert_int_gt(simulate(PASS_AT_ONCE, 2000, false).wrong, 0);
    ck_assert_int_gt(simulate(NO_HORIZON, 1 << 20, false).wrong, 0);
    ck_assert_int_gt(simulate(HELD_NOT, 1 << 20, false).wrong, 0);
    ck_assert_int_gt(simulate(SAVED_NOT, 2000, false).wrong, 0);
}
END_TEST

/* -- by hand --------------------------------------------------------------------------------------------- */

static struct sb_place at(uint64_t lsn)
{
    return (struct sb_place){
        .position = {.epoch = 1, .sequence = lsn, .commit_lsn = lsn}, .us = (int64_t)lsn};
}

static void see_all(uint64_t lsn)
{
    const struct sb_cut cut = {.snapshot = {.xmin = UINT64_MAX, .xmax = UINT64_MAX}, .applied_lsn = lsn};
    const struct sb_place place = at(lsn);
    sb_frontier_cut(frontier, &cut, &place);
}

START_TEST(a_table_without_a_key_is_proven_by_passes)
{
    struct sb_frontier_state state = {.compared = true, .needs_pass = true};
    struct sb_place place = at(10);
    frontier = sb_frontier_new(1, 1 << 16, &place);
    sb_frontier_set(frontier, 0, &state);
    sb_frontier_pass_begin(frontier, 0);
    see_all(10);
    ck_assert(sb_frontier_passed(frontier, 0, &place));
    sb_frontier_get(frontier, 0, &state);
    ck_assert_uint_eq(state.lsn, 10);
    sb_frontier_row(frontier, 0);
    place = at(20);
    sb_frontier_commit(frontier, 700, &place);
    place = at(30);
    sb_frontier_commit(frontier, 701, &place);
    see_all(30);
    sb_frontier_get(frontier, 0, &state);
    ck_assert_uint_eq(state.lsn, 10); /* before the touch */
    sb_frontier_pass_begin(frontier, 0);
    ck_assert(sb_frontier_passed(frontier, 0, &place));
    sb_frontier_get(frontier, 0, &state);
    ck_assert_uint_eq(state.lsn, 30);
    sb_frontier_pass_begin(frontier, 0);
    sb_frontier_unclean(frontier, 0);
    ck_assert(!sb_frontier_passed(frontier, 0, &place));
    sb_frontier_free(frontier);
}
END_TEST

START_TEST(a_large_transaction_takes_no_more_than_the_bound)
{
    struct sb_frontier_state state = {.compared = true, .keyed = true, .proven = true, .lsn = 10};
    struct sb_frontier_counts found;
    struct sb_place place = at(10);
    frontier = sb_frontier_new(1, 10000, &place);
    sb_frontier_set(frontier, 0, &state);
    for (int key = 0; key < 1000; key++) {
        struct sb_digest digest = digest_of(key);
        sb_frontier_touch(frontier, 0, &digest, sb_view(&key, sizeof key));
    }
    place = at(20);
    sb_frontier_commit(frontier, 700, &place);
    ck_assert_uint_le(sb_frontier_peak_bytes(frontier), 10000);
    sb_frontier_count(frontier, 0, &found);
    ck_assert_uint_eq(found.touches, 0);
    ck_assert(!sb_frontier_may_pass(frontier, 0));
    see_all(20);
    ck_assert(sb_frontier_may_pass(frontier, 0));
    sb_frontier_get(frontier, 0, &state);
    ck_assert_uint_eq(state.lsn, 10);
    ck_assert(state.needs_pass);
    sb_frontier_pass_begin(frontier, 0);
    ck_assert(sb_frontier_passed(frontier, 0, NULL));
    sb_frontier_get(frontier, 0, &state);
    ck_assert_uint_eq(state.lsn, 20);
    sb_frontier_free(frontier);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frontier");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 100);
    tcase_add_test(tests, the_frontier_is_proven);
    tcase_add_test(tests, a_full_ledger_asks_for_passes);
    tcase_add_test(tests, wrong_rules_are_noticed);
    tcase_add_test(tests, a_table_without_a_key_is_proven_by_passes);
    tcase_add_test(tests, a_large_transaction_takes_no_more_than_the_bound);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
