#include "reconcile/frontier.h"

#include "core/map.h"

#include <stdlib.h>
#include <string.h>

enum {
    KEYS_MAX = 100 * 1000 * 1000,
    KEY_NAME_BYTES = 4 + 16,
    ENTRY_BYTES = 64, /* of the map and of malloc, about */
    HELD_MAX = 10000, /* of a table; more is a fault that no list of keys tells better */
};

struct txn {
    uint64_t xid; /* 0: its commit has not come */
    uint64_t lsn;
    struct sb_place before;
    size_t touches;
};

struct touch {
    struct touch *older, *newer; /* of the same table; those in flight are a list of their own */
    struct touch *key_older, *key_newer;
    struct key *key;
    struct txn *txn;
};

struct key {
    struct touch *first, *last;
    struct key *held_before, *held_behind; /* of the table's held keys */
    bool held;
    uint64_t asked; /* the turn */
    uint32_t table;
    struct sb_digest digest;
    size_t len;
    char bytes[];
};

enum mark { MARK_NONE, MARK_ROW, MARK_ALL, MARK_EMPTIED };

struct table {
    struct sb_frontier_state state;
    struct touch *first, *last;
    size_t touches, bytes;
    struct key *held_first, *held_last;
    size_t held;
    /* Of the transaction whose commit has not come. */
    bool in_flight;
    struct table *flight_next;
    struct touch *flight_first, *flight_last;
    enum mark mark;
    /* What was dropped and no cut has shown yet. */
    bool stale;
    bool stale_exact; /* a cut that shows this transaction shows all that was dropped */
    uint64_t stale_lsn, stale_xid;
    struct sb_place stale_before;
    uint64_t drops, pass_drops;
    /* Without a key: since what its newest pass proved. */
    bool touched;
    struct sb_place touched_before;
    uint64_t touched_lsn; /* the newest */
};

struct sb_frontier {
    struct table *tables;
    uint32_t table_count;
    struct sb_map *keys;
    struct txn *flight; /* NULL: it has no touches */
    struct table *flight_tables;
    struct sb_place last, applied;
    uint64_t xid_max;
    struct sb_floor floor;
    uint64_t turn, drops;
    size_t bytes, peak_bytes, max_bytes;
};

/* -- memory ---------------------------------------------------------------------------------------------- */

/* NULL: it does not fit, or there is none. */
static void *take(struct sb_frontier *frontier, size_t len)
{
    if (len + ENTRY_BYTES > frontier->max_bytes - frontier->bytes)
        return NULL;
    void *memory = calloc(1, len);
    if (memory == NULL)
        return NULL;
    frontier->bytes += len + ENTRY_BYTES;
    frontier->peak_bytes = frontier->bytes > frontier->peak_bytes ? frontier->bytes : frontier->peak_bytes;
    return memory;
}

static void give(struct sb_frontier *frontier, void *memory, size_t len)
{
    frontier->bytes -= len + ENTRY_BYTES;
    free(memory);
}

static struct sb_view key_name(uint32_t table, const struct sb_digest *digest, char out[KEY_NAME_BYTES])
{
    memcpy(out, &table, sizeof table);
    memcpy(out + sizeof table, digest, sizeof *digest);
    return sb_view(out, KEY_NAME_BYTES);
}

static struct key *key_find(
    const struct sb_frontier *frontier, uint32_t table, const struct sb_digest *digest)
{
    char name[KEY_NAME_BYTES];
    return sb_map_get(frontier->keys, key_name(table, digest, name));
}

static size_t key_size(const struct key *key)
{
    return sizeof *key + key->len;
}

/* A key of which there is nothing to say is gone. */
static void key_let_go(struct sb_frontier *frontier, struct key *key)
{
    char name[KEY_NAME_BYTES];
    if (key->first != NULL || key->held)
        return;
    sb_map_remove(frontier->keys, key_name(key->table, &key->digest, name));
    frontier->tables[key->table].bytes -= key_size(key);
    give(frontier, key, key_size(key));
}

/* NULL: it does not fit. */
static struct key *key_get(
    struct sb_frontier *frontier, uint32_t table, const struct sb_digest *digest, struct sb_view bytes)
{
    char name[KEY_NAME_BYTES];
    struct key *key = key_find(frontier, table, digest);
    if (key != NULL)
        return key;
    key = take(frontier, sizeof *key + bytes.len);
    if (key == NULL)
        return NULL;
    key->table = table;
    key->digest = *digest;
    key->len = bytes.len;
    if (bytes.len > 0)
        memcpy(key->bytes, bytes.ptr, bytes.len);
    if (!sb_map_put(frontier->keys, key_name(table, digest, name), key, NULL)) {
        give(frontier, key, key_size(key));
        return NULL;
    }
    frontier->tables[table].bytes += key_size(key);
    return key;
}

static void txn_let_go(struct sb_frontier *frontier, struct txn *txn)
{
    if (txn->touches == 0 && txn != frontier->flight)
        give(frontier, txn, sizeof *txn);
}

/* -- lists ----------------------------------------------------------------------------------------------- */

static void list_put(struct touch **first, struct touch **last, struct touch *touch)
{
    touch->older = *last;
    touch->newer = NULL;
    if (*last == NULL)
        *first = touch;
    else
        (*last)->newer = touch;
    *last = touch;
}

static void list_take(struct touch **first, struct touch **last, struct touch *touch)
{
    if (touch->older == NULL)
        *first = touch->newer;
    else
        touch->older->newer = touch->newer;
    if (touch->newer == NULL)
        *last = touch->older;
    else
        touch->newer->older = touch->older;
}

static void key_put(struct key *key, struct touch *touch)
{
    touch->key_older = key->last;
    if (key->last == NULL)
        key->first = touch;
    else
        key->last->key_newer = touch;
    key->last = touch;
}

static void key_take(struct key *key, struct touch *touch)
{
    if (touch->key_older == NULL)
        key->first = touch->key_newer;
    else
        touch->key_older->key_newer = touch->key_newer;
    if (touch->key_newer == NULL)
        key->last = touch->key_older;
    else
        touch->key_newer->key_older = touch->key_older;
}

/* Its key stays. */
static void touch_free(struct sb_frontier *frontier, struct touch *touch)
{
    struct table *table = &frontier->tables[touch->key->table];
    struct txn *txn = touch->txn;
    if (txn == frontier->flight)
        list_take(&table->flight_first, &table->flight_last, touch);
    else
        list_take(&table->first, &table->last, touch);
    key_take(touch->key, touch);
    table->touches--;
    table->bytes -= sizeof *touch;
    give(frontier, touch, sizeof *touch);
    txn->touches--;
    txn_let_go(frontier, txn);
}

static void hold(struct table *table, struct key *key)
{
    key->held = true;
    key->held_before = table->held_last;
    key->held_behind = NULL;
    if (table->held_last == NULL)
        table->held_first = key;
    else
        table->held_last->held_behind = key;
    table->held_last = key;
    table->held++;
}

static void let_go(struct table *table, struct key *key)
{
    if (key->held_before == NULL)
        table->held_first = key->held_behind;
    else
        key->held_before->held_behind = key->held_behind;
    if (key->held_behind == NULL)
        table->held_last = key->held_before;
    else
        key->held_behind->held_before = key->held_before;
    key->held = false;
    table->held--;
}

/* -- life ------------------------------------------------------------------------------------------------ */

struct sb_frontier *sb_frontier_new(uint32_t table_count, size_t max_bytes, const struct sb_place *begin)
{
    struct sb_frontier *frontier = calloc(1, sizeof *frontier);
    if (frontier == NULL)
        return NULL;
    frontier->tables = calloc((size_t)table_count + 1, sizeof *frontier->tables);
    frontier->keys = sb_map_new(KEYS_MAX);
    frontier->table_count = table_count;
    frontier->max_bytes = max_bytes;
    frontier->last = frontier->applied = *begin;
    frontier->turn = 1;
    sb_floor_init(&frontier->floor, begin);
    if (frontier->tables != NULL && frontier->keys != NULL)
        return frontier;
    sb_frontier_free(frontier);
    return NULL;
}

static void touches_free(struct sb_frontier *frontier, struct touch **first)
{
    while (*first != NULL) {
        struct key *key = (*first)->key;
        touch_free(frontier, *first);
        key_let_go(frontier, key);
    }
}

static void keys_free(struct sb_frontier *frontier, struct table *table)
{
    touches_free(frontier, &table->flight_first);
    touches_free(frontier, &table->first);
    while (table->held_first != NULL) {
        struct key *key = table->held_first;
        let_go(table, key);
        key_let_go(frontier, key);
    }
}

void sb_frontier_free(struct sb_frontier *frontier)
{
    if (frontier == NULL)
        return;
    if (frontier->keys != NULL && frontier->tables != NULL)
        sb_frontier_abandon(frontier);
    for (uint32_t i = 0; frontier->tables != NULL && i < frontier->table_count; i++)
        keys_free(frontier, &frontier->tables[i]);
    sb_map_free(frontier->keys);
    free(frontier->tables);
    free(frontier);
}

void sb_frontier_set(struct sb_frontier *frontier, uint32_t table, const struct sb_frontier_state *state)
{
    frontier->tables[table].state = *state;
}

uint64_t sb_frontier_drops(const struct sb_frontier *frontier)
{
    return frontier->drops;
}

size_t sb_frontier_peak_bytes(const struct sb_frontier *frontier)
{
    return frontier->peak_bytes;
}

/* -- what the stream says -------------------------------------------------------------------------------- */

static void enter(struct sb_frontier *frontier, struct table *table)
{
    if (table->in_flight)
        return;
    table->in_flight = true;
    table->flight_next = frontier->flight_tables;
    frontier->flight_tables = table;
}

static void mark(struct sb_frontier *frontier, struct table *table, enum mark mark)
{
    enter(frontier, table);
    table->mark = mark > table->mark ? mark : table->mark;
}

/* Behind which place the table has unproven touches. */
static const struct sb_place *touched_from(const struct sb_frontier *frontier, const struct table *table)
{
    if (table->stale)
        return &table->stale_before;
    if (!table->state.keyed)
        return table->touched ? &table->touched_before : &frontier->last;
    return table->first != NULL ? &table->first->txn->before : &frontier->last;
}

static void pass_anew(struct table *table)
{
    table->state.needs_pass = true;
    table->state.proven = false;
    table->drops++;
}

/* All that is known of the table's keys is dropped; a cut has to show everything up to there before a pass
 * may begin. exact: one that shows transaction xid does. */
static void drop(struct sb_frontier *frontier, struct table *table, uint64_t lsn, uint64_t xid, bool exact)
{
    table->stale_before = *touched_from(frontier, table);
    keys_free(frontier, table);
    table->stale = true;
    table->stale_exact = exact;
    table->stale_lsn = lsn;
    table->stale_xid = xid;
    pass_anew(table);
}

/* Too much: what is in flight of the table counts as touching all of it. */
static void drop_full(struct sb_frontier *frontier, struct table *table)
{
    if (table->flight_first != NULL)
        mark(frontier, table, MARK_ALL);
    drop(frontier, table, frontier->last.position.commit_lsn, frontier->xid_max, false);
    frontier->drops++;
}

static struct table *largest(struct sb_frontier *frontier)
{
    struct table *found = &frontier->tables[0];
    for (uint32_t i = 1; i < frontier->table_count; i++)
        if (frontier->tables[i].bytes > found->bytes)
            found = &frontier->tables[i];
    return found;
}

static bool touch_put(
    struct sb_frontier *frontier, uint32_t number, const struct sb_digest *digest, struct sb_view bytes)
{
    struct table *table = &frontier->tables[number];
    struct key *key = key_get(frontier, number, digest, bytes);
    if (key == NULL)
        return false;
    if (key->last != NULL && key->last->txn == frontier->flight)
        return true;
    if (frontier->flight == NULL)
        frontier->flight = take(frontier, sizeof *frontier->flight);
    struct touch *touch = frontier->flight == NULL ? NULL : take(frontier, sizeof *touch);
    if (touch == NULL) {
        key_let_go(frontier, key);
        return false;
    }
    touch->key = key;
    touch->txn = frontier->flight;
    touch->txn->touches++;
    enter(frontier, table);
    list_put(&table->flight_first, &table->flight_last, touch);
    key_put(key, touch);
    table->touches++;
    table->bytes += sizeof *touch;
    return true;
}

void sb_frontier_touch(
    struct sb_frontier *frontier, uint32_t number, const struct sb_digest *key, struct sb_view key_bytes)
{
    struct table *table = &frontier->tables[number];
    if (!table->state.compared || table->mark >= MARK_ALL)
        return;
    if (touch_put(frontier, number, key, key_bytes))
        return;
    drop_full(frontier, largest(frontier));
    if (table->mark >= MARK_ALL || touch_put(frontier, number, key, key_bytes))
        return;
    mark(frontier, table, MARK_ALL);
    drop_full(frontier, table);
}

void sb_frontier_row(struct sb_frontier *frontier, uint32_t table)
{
    if (frontier->tables[table].state.compared)
        mark(frontier, &frontier->tables[table], MARK_ROW);
}

void sb_frontier_all(struct sb_frontier *frontier, uint32_t table, bool emptied)
{
    if (frontier->tables[table].state.compared)
        mark(frontier, &frontier->tables[table], emptied ? MARK_EMPTIED : MARK_ALL);
}

static void commit_table(
    struct sb_frontier *frontier, struct table *table, uint64_t xid, const struct sb_place *place)
{
    uint64_t lsn = place->position.commit_lsn;
    if (table->mark != MARK_NONE && table->state.keyed) {
        bool exact = table->mark == MARK_EMPTIED;
        drop(frontier, table, lsn, exact ? xid : frontier->xid_max, exact);
    } else if (table->mark != MARK_NONE) {
        if (!table->touched)
            table->touched_before = frontier->last;
        table->touched = true;
        table->touched_lsn = lsn;
    }
    if (table->flight_first == NULL)
        return;
    table->flight_first->older = table->last;
    if (table->last == NULL)
        table->first = table->flight_first;
    else
        table->last->newer = table->flight_first;
    table->last = table->flight_last;
}

static void flight_end(struct sb_frontier *frontier)
{
    while (frontier->flight_tables != NULL) {
        struct table *table = frontier->flight_tables;
        frontier->flight_tables = table->flight_next;
        table->in_flight = false;
        table->mark = MARK_NONE;
        table->flight_first = table->flight_last = NULL;
    }
}

void sb_frontier_commit(struct sb_frontier *frontier, uint64_t xid, const struct sb_place *place)
{
    struct txn *txn = frontier->flight;
    frontier->xid_max = xid > frontier->xid_max ? xid : frontier->xid_max;
    for (struct table *table = frontier->flight_tables; table != NULL; table = table->flight_next)
        commit_table(frontier, table, xid, place);
    flight_end(frontier);
    frontier->flight = NULL;
    if (txn != NULL) {
        txn->xid = xid;
        txn->lsn = place->position.commit_lsn;
        txn->before = frontier->last;
        txn_let_go(frontier, txn);
    }
    frontier->last = *place;
    sb_floor_commit(&frontier->floor, xid, place);
}

void sb_frontier_abandon(struct sb_frontier *frontier)
{
    struct txn *txn = frontier->flight;
    for (struct table *table = frontier->flight_tables; table != NULL; table = table->flight_next)
        touches_free(frontier, &table->flight_first);
    flight_end(frontier);
    frontier->flight = NULL;
    if (txn != NULL)
        txn_let_go(frontier, txn);
}

/* -- what was judged ------------------------------------------------------------------------------------- */

static bool shows_dropped(const struct table *table, const struct sb_cut *cut)
{
    if (cut->applied_lsn < table->stale_lsn)
        return false;
    return table->stale_exact ? sb_snapshot_sees(&cut->snapshot, table->stale_xid)
                              : table->stale_xid < cut->snapshot.xmin;
}

void sb_frontier_cut(struct sb_frontier *frontier, const struct sb_cut *cut, const struct sb_place *place)
{
    for (uint32_t i = 0; i < frontier->table_count; i++) {
        struct table *table = &frontier->tables[i];
        table->stale = table->stale && !shows_dropped(table, cut);
    }
    if (place->position.commit_lsn > frontier->applied.position.commit_lsn)
        frontier->applied = *place;
    sb_floor_cut(&frontier->floor, cut);
}

void sb_frontier_equal(
    struct sb_frontier *frontier, uint32_t table, const struct sb_digest *digest, const struct sb_cut *cut)
{
    struct key *key = key_find(frontier, table, digest);
    if (key == NULL)
        return;
    if (key->held)
        let_go(&frontier->tables[table], key);
    struct touch *next = key->first;
    while (next != NULL && next->txn != frontier->flight) {
        struct touch *touch = next;
        next = touch->key_newer;
        if (touch->txn->lsn <= cut->applied_lsn && sb_snapshot_sees(&cut->snapshot, touch->txn->xid))
            touch_free(frontier, touch);
    }
    key_let_go(frontier, key);
}

void sb_frontier_unclean(struct sb_frontier *frontier, uint32_t table)
{
    pass_anew(&frontier->tables[table]);
}

bool sb_frontier_differs(
    struct sb_frontier *frontier, uint32_t number, const struct sb_digest *digest, struct sb_view bytes)
{
    struct table *table = &frontier->tables[number];
    struct key *key = key_find(frontier, number, digest);
    if (key != NULL && key->held)
        return false;
    if (table->held < HELD_MAX && key == NULL)
        key = key_get(frontier, number, digest, bytes);
    if (table->held == HELD_MAX || key == NULL)
        sb_frontier_unclean(frontier, number);
    else
        hold(table, key);
    return true;
}

/* -- passes ---------------------------------------------------------------------------------------------- */

bool sb_frontier_may_pass(const struct sb_frontier *frontier, uint32_t table)
{
    return !frontier->tables[table].stale;
}

void sb_frontier_pass_begin(struct sb_frontier *frontier, uint32_t table)
{
    frontier->tables[table].pass_drops = frontier->tables[table].drops;
}

bool sb_frontier_pass_holds(const struct sb_frontier *frontier, uint32_t table)
{
    return frontier->tables[table].pass_drops == frontier->tables[table].drops;
}

static void passed_keyless(struct table *table, const struct sb_place *applied)
{
    table->touched = table->touched && table->touched_lsn > applied->position.commit_lsn;
    if (table->touched && applied->position.commit_lsn > table->touched_before.position.commit_lsn)
        table->touched_before = *applied;
}

bool sb_frontier_passed(struct sb_frontier *frontier, uint32_t number, const struct sb_place *applied)
{
    struct table *table = &frontier->tables[number];
    if (!sb_frontier_pass_holds(frontier, number))
        return false;
    if (!table->state.keyed)
        passed_keyless(table, applied);
    if (table->state.needs_pass)
        table->state.passed_to = table->state.keyed ? frontier->last.position.commit_lsn : 0;
    table->state.needs_pass = false;
    return true;
}

/* -- what to do next ------------------------------------------------------------------------------------- */

size_t sb_frontier_due(struct sb_frontier *frontier, uint32_t table, struct sb_frontier_key *keys, size_t max)
{
    size_t count = 0;
    const struct touch *touch = frontier->tables[table].first;
    for (; touch != NULL && count < max; touch = touch->newer) {
        struct key *key = touch->key;
        if (touch->txn->lsn > frontier->applied.position.commit_lsn)
            break;
        if (key->held || key->asked == frontier->turn)
            continue;
        key->asked = frontier->turn;
        keys[count++] = (struct sb_frontier_key){.key = key->digest, .bytes = sb_view(key->bytes, key->len)};
    }
    return count;
}

size_t sb_frontier_held(
    struct sb_frontier *frontier, uint32_t number, struct sb_frontier_key *keys, size_t max)
{
    struct table *table = &frontier->tables[number];
    size_t count = 0;
    for (size_t i = table->held; i > 0 && count < max; i--) {
        struct key *key = table->held_first;
        let_go(table, key);
        hold(table, key);
        keys[count++] = (struct sb_frontier_key){.key = key->digest, .bytes = sb_view(key->bytes, key->len)};
    }
    return count;
}

void sb_frontier_turn(struct sb_frontier *frontier)
{
    frontier->turn++;
}

/* -- what came of it ------------------------------------------------------------------------------------- */

static const struct sb_place *earlier(const struct sb_place *a, const struct sb_place *b)
{
    return a->position.commit_lsn <= b->position.commit_lsn ? a : b;
}

static void settle(struct sb_frontier *frontier, struct table *table)
{
    struct sb_frontier_state *state = &table->state;
    /* A ledger that goes on from another has to be told again first. */
    if (!state->proven && !state->needs_pass && frontier->last.position.commit_lsn >= state->passed_to)
        state->proven = table->first == NULL || table->first->txn->lsn > state->passed_to;
    if (!state->proven || table->held > 0)
        return;
    const struct sb_place *place = earlier(touched_from(frontier, table), &frontier->applied);
    if (place->position.commit_lsn <= state->lsn)
        return;
    state->lsn = place->position.commit_lsn;
    state->us = place->us;
}

void sb_frontier_get(struct sb_frontier *frontier, uint32_t table, struct sb_frontier_state *ret_state)
{
    settle(frontier, &frontier->tables[table]);
    *ret_state = frontier->tables[table].state;
}

void sb_frontier_save(struct sb_frontier *frontier, uint32_t table, struct sb_frontier_state *ret_state)
{
    sb_frontier_get(frontier, table, ret_state);
    if (frontier->tables[table].held > 0)
        ret_state->needs_pass = true;
    ret_state->proven = ret_state->proven && !ret_state->needs_pass;
}

bool sb_frontier_database(struct sb_frontier *frontier, uint64_t *ret_lsn, int64_t *ret_us)
{
    *ret_lsn = frontier->applied.position.commit_lsn;
    *ret_us = frontier->applied.us;
    for (uint32_t i = 0; i < frontier->table_count; i++) {
        const struct sb_frontier_state *state = &frontier->tables[i].state;
        if (!state->compared)
            continue;
        settle(frontier, &frontier->tables[i]);
        if (state->lsn == 0)
            return false;
        if (state->lsn < *ret_lsn) {
            *ret_lsn = state->lsn;
            *ret_us = state->us;
        }
    }
    return true;
}

struct sb_place sb_frontier_resume(const struct sb_frontier *frontier)
{
    const struct sb_place *place = earlier(&frontier->floor.place, &frontier->applied);
    for (uint32_t i = 0; i < frontier->table_count; i++)
        if (frontier->tables[i].state.compared)
            place = earlier(touched_from(frontier, &frontier->tables[i]), place);
    return *place;
}

void sb_frontier_count(
    const struct sb_frontier *frontier, uint32_t number, struct sb_frontier_counts *ret_counts)
{
    const struct table *table = &frontier->tables[number];
    *ret_counts = (struct sb_frontier_counts){
        .touches = table->touches, .held = table->held, .touched = table->touched, .stale = table->stale};
}
