/* The judge against an imagined source, whose transactions get their xid, write their commit record, are
 * flushed and become visible at moments of their own, and which crashes: what was not flushed is gone then,
 * and its xids are given away again. */
#include "apply/stamps.h"

#include "pg/snapshot.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 12, CHUNKS = 4, TXNS_MAX = 4000, OPS_MAX = 3, STEPS = 900, READ_AGAIN_MAX = 500 };

/* -- the source ------------------------------------------------------------------------------------------ */

enum phase { RUNNING, COMMITTING /* its record is written, nobody sees it yet */, ENDED, ABORTED, LOST };

struct op {
    enum sb_op op;
    int old_key, new_key, value;
};

struct txn {
    enum phase phase;
    uint64_t xid, last_lsn, commit_lsn;
    int ops;
    struct op op[OPS_MAX];
};

struct source {
    struct txn txns[TXNS_MAX];
    int count;
    int owner[KEYS]; /* transaction that holds the key's lock, -1 none */
    int live[KEYS];  /* value as the lock's holder or the next writer sees it, 0: no row */
    uint64_t next_xid, insert_lsn, flush_lsn;
    uint64_t slot_lsn, barrier; /* barrier: an xid, all transactions up to it must be visible */
    int next_value;
    int crashes;
    bool toast; /* what a row holds does not travel when its key changes */
};

/* Wrong rules, each of which the test must notice. */
enum rule { RIGHT, BY_LSN, UNFLUSHED, NO_BARRIER, OLD_HALF_ONLY, OLD_BARRIER, OLD_STAMP };

struct chunk {
    bool there;
    char snapshot[2048];
    uint64_t h;
    int image[KEYS];
};

struct world {
    struct source src;
    struct chunk pending[CHUNKS], ledger[CHUNKS]; /* read, not yet flushed past; counted */
    struct chunk again[KEYS];                     /* of keys that were read again */
    int read_again;
    enum rule rule;
};

static int chunk_of(int key)
{
    return key / (KEYS / CHUNKS);
}

static bool is_running(const struct txn *txn)
{
    return txn->phase == RUNNING || txn->phase == COMMITTING;
}

/* What the key held after all transactions for which fine says so. */
static int value_by(
    const struct source *src, int key, bool (*fine)(const struct source *, const struct txn *))
{
    int value = 0;
    uint64_t newest = 0;
    for (int t = 0; t < src->count; t++) { /* of one key, commit order is the order of the changes */
        const struct txn *txn = &src->txns[t];
        if (!fine(src, txn) || txn->commit_lsn < newest)
            continue;
        for (int o = 0; o < txn->ops; o++) {
            const struct op *op = &txn->op[o];
            bool touches = op->op == SB_OP_TRUNCATE || op->old_key == key || op->new_key == key;
            if (touches) {
                value = op->op != SB_OP_TRUNCATE && op->new_key == key ? op->value : 0;
                newest = txn->commit_lsn;
            }
        }
    }
    return value;
}

static bool fine_visible(const struct source *src, const struct txn *txn)
{
    (void)src;
    return txn->phase == ENDED;
}

static bool fine_durable(const struct source *src, const struct txn *txn)
{
    return (txn->phase == ENDED || txn->phase == COMMITTING) && txn->commit_lsn < src->flush_lsn;
}

static void begin(struct source *src)
{
    if (src->count == TXNS_MAX)
        return;
    src->txns[src->count++] = (struct txn){.phase = RUNNING, .xid = src->next_xid++};
}

static void write_op(struct source *src, int t)
{
    struct txn *txn = &src->txns[t];
    struct op op = {.op = SB_OP_UPDATE, .old_key = (int)(random() % KEYS), .value = ++src->next_value};
    op.new_key = src->toast || random() % 4 == 0 ? (int)(random() % KEYS) : op.old_key;
    for (int i = 0; i < 4 && src->toast && src->live[op.new_key] != 0; i++)
        op.new_key = (int)(random() % KEYS);
    bool truncate = random() % 40 == 0, free_keys = true;
    for (int key = 0; key < KEYS; key++)
        if ((truncate || key == op.old_key || key == op.new_key) && src->owner[key] >= 0 &&
            src->owner[key] != t)
            free_keys = false;
    if (txn->phase != RUNNING || txn->ops == OPS_MAX || !free_keys)
        return; /* it would wait for a lock */
    if (truncate) {
        op.op = SB_OP_TRUNCATE;
    } else if (src->live[op.old_key] == 0) {
        op.op = SB_OP_INSERT;
        op.new_key = op.old_key;
    } else if (random() % 4 == 0) {
        op.op = SB_OP_DELETE;
        op.new_key = -1;
    } else if (op.new_key != op.old_key && src->live[op.new_key] != 0) {
        op.new_key = op.old_key;
    }
    if (src->toast && op.op == SB_OP_UPDATE && op.new_key != op.old_key)
        op.value = src->live[op.old_key];
    for (int key = 0; key < KEYS; key++) {
        if (!truncate && key != op.old_key && key != op.new_key)
            continue;
        src->owner[key] = t;
        src->live[key] = !truncate && key == op.new_key ? op.value : 0;
    }
    txn->op[txn->ops++] = op;
    txn->last_lsn = src->insert_lsn++;
}

static void unlock(struct source *src, int t)
{
    for (int key = 0; key < KEYS; key++)
        if (src->owner[key] == t)
            src->owner[key] = -1;
}

static void commit_record(struct source *src, int t)
{
    if (src->txns[t].phase != RUNNING)
        return;
    src->txns[t].phase = COMMITTING;
    src->txns[t].commit_lsn = src->txns[t].last_lsn = src->insert_lsn++;
}

static void become_visible(struct source *src, int t)
{
    if (src->txns[t].phase != COMMITTING)
        return;
    src->txns[t].phase = ENDED;
    unlock(src, t);
}

static void roll_back(struct source *src, int t)
{
    if (src->txns[t].phase != RUNNING)
        return;
    src->txns[t].phase = ABORTED;
    src->txns[t].last_lsn = src->insert_lsn++;
    for (int key = 0; key < KEYS; key++)
        if (src->owner[key] == t)
            src->live[key] = value_by(src, key, fine_visible);
    unlock(src, t);
}

/* A transaction that has an xid writes a record when it ends, also if it has done nothing. */
static void take_barrier(struct source *src)
{
    struct txn ended = {.phase = ENDED, .xid = src->next_xid++, .last_lsn = src->insert_lsn};
    ended.commit_lsn = src->insert_lsn++;
    src->barrier = ended.xid;
    ck_assert_int_lt(src->count, TXNS_MAX);
    src->txns[src->count++] = ended;
}

static void crash(struct world *world)
{
    struct source *src = &world->src;
    uint64_t next_xid = 3;
    src->crashes++;
    for (int t = 0; t < src->count; t++) {
        struct txn *txn = &src->txns[t];
        bool durable = txn->commit_lsn != 0 && txn->commit_lsn < src->flush_lsn;
        if (txn->phase == COMMITTING && durable)
            txn->phase = ENDED;
        else if (is_running(txn) || (txn->phase == ENDED && !durable))
            txn->phase = LOST;
        if (txn->last_lsn != 0 && txn->last_lsn < src->flush_lsn && txn->xid >= next_xid)
            next_xid = txn->xid + 1;
    }
    src->next_xid = next_xid;
    src->insert_lsn = src->flush_lsn;
    for (int key = 0; key < KEYS; key++) {
        src->owner[key] = -1;
        src->live[key] = value_by(src, key, fine_visible);
    }
    memset(world->pending, 0, sizeof world->pending); /* their sessions are gone */
    take_barrier(src);
}

/* -- the copy -------------------------------------------------------------------------------------------- */

static bool table_is_locked(const struct source *src)
{
    for (int t = 0; t < src->count; t++)
        for (int o = 0; o < src->txns[t].ops; o++)
            if (is_running(&src->txns[t]) && src->txns[t].op[o].op == SB_OP_TRUNCATE)
                return true;
    return false;
}

static void snapshot(const struct source *src, char out[2048], uint64_t *ret_xmin)
{
    uint64_t xmin = src->next_xid, running[64];
    size_t count = 0, used;
    for (int t = 0; t < src->count; t++)
        if (is_running(&src->txns[t]) && count < 64)
            running[count++] = src->txns[t].xid; /* begun in order since the last crash: ascending */
    if (count > 0)
        xmin = running[0];
    used = (size_t)snprintf(out, 2048, "%" PRIu64 ":%" PRIu64 ":", xmin, src->next_xid);
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(out + used, 2048 - used, "%s%" PRIu64, i == 0 ? "" : ",", running[i]);
    *ret_xmin = xmin;
}

static void copy_chunk(struct world *world, int c)
{
    struct source *src = &world->src;
    struct chunk *chunk = &world->pending[c];
    uint64_t xmin;
    if (world->ledger[c].there || chunk->there || table_is_locked(src))
        return;
    snapshot(src, chunk->snapshot, &xmin);
    if (xmin <= src->barrier && world->rule != NO_BARRIER)
        return;
    chunk->there = true;
    chunk->h = src->insert_lsn;
    for (int key = 0; key < KEYS; key++)
        chunk->image[key] = chunk_of(key) == c ? value_by(src, key, fine_visible) : 0;
}

static void count_chunks(struct world *world)
{
    for (int c = 0; c < CHUNKS; c++) {
        struct chunk *chunk = &world->pending[c];
        if (!chunk->there || (world->src.flush_lsn < chunk->h && world->rule != UNFLUSHED))
            continue;
        world->ledger[c] = *chunk;
        chunk->there = false;
    }
}

static bool all_copied(const struct world *world)
{
    for (int c = 0; c < CHUNKS; c++)
        if (!world->ledger[c].there)
            return false;
    return true;
}

static void live_a_while(struct world *world, int steps, bool copying)
{
    struct source *src = &world->src;
    for (int i = 0; i < steps; i++) {
        int t = src->count == 0 ? -1 : src->count - 1 - (int)(random() % (src->count < 8 ? src->count : 8));
        switch (random() % 12) {
        case 0:
        case 1:
            begin(src);
            break;
        case 2:
        case 3:
        case 4:
        case 5:
            if (t >= 0)
                write_op(src, t);
            break;
        case 6:
        case 7:
            if (t >= 0)
                commit_record(src, t);
            break;
        case 8:
        case 9:
            if (t >= 0)
                random() % 8 == 0 ? roll_back(src, t) : become_visible(src, t);
            break;
        case 10:
            if (src->flush_lsn < src->insert_lsn)
                src->flush_lsn += 1 + (uint64_t)random() % (src->insert_lsn - src->flush_lsn);
            break;
        case 11:
            if (random() % 25 == 0)
                crash(world);
            else if (copying && (!src->toast || random() % 8 == 0))
                copy_chunk(world, (int)(random() % CHUNKS));
            break;
        }
        if (copying)
            count_chunks(world);
    }
}

/* Everybody comes to an end: old transactions, which nobody picks any more, too. */
static void settle(struct world *world)
{
    struct source *src = &world->src;
    for (int t = 0; t < src->count; t++) {
        if (random() % 2)
            roll_back(src, t);
        commit_record(src, t);
        become_visible(src, t);
    }
    src->flush_lsn = src->insert_lsn;
}

/* -- the applier ----------------------------------------------------------------------------------------- */

static char key_bytes[KEYS + 1][8], key_texts[KEYS][8];
static struct sb_column columns[] = {{.name = {"id", 2}, .key = true}, {.name = {"v", 1}}};
static struct sb_relation relation = {.schema_id = 2,
    .schema = {"public", 6},
    .name = {"t", 1},
    .identity = 'd',
    .col_count = 2,
    .cols = columns};

static struct sb_stamps *stamps_of(const struct world *world)
{
    struct sb_stamps *stamps = sb_stamps_new();
    struct sb_err err;
    ck_assert_int_eq(
        sb_stamps_table(stamps, sb_view_str("\"public\".\"t\""), SB_KEY_INT, sb_view_str("id"), &err), 0);
    for (int end = KEYS, from = KEYS - 1; from >= 0; end = from--) { /* in any order */
        bool again = world->again[from].there;
        while (!again && from > 0 && chunk_of(from - 1) == chunk_of(from) && !world->again[from - 1].there)
            from--;
        const struct chunk *of = again ? &world->again[from] : &world->ledger[chunk_of(from)];
        struct sb_stamp_chunk chunk = {.snapshot = of->snapshot,
            .flushed_past = of->h,
            .timeline = 1,
            .range = {.lower_open = from == 0,
                .upper_open = end == KEYS,
                .lower = sb_view(key_bytes[from], 8),
                .upper = sb_view(key_bytes[end], 8)}};
        ck_assert_int_eq(sb_stamps_chunk(stamps, &chunk, &err), 0);
    }
    ck_assert_int_eq(sb_stamps_seal(stamps, &err), 0);
    return stamps;
}

static void row_of(int key, struct sb_value row[2])
{
    row[0] = (struct sb_value){.state = SB_COL_TEXT, .text = sb_view_str(key_texts[key])};
    row[1] = (struct sb_value){.state = SB_COL_TEXT, .text = sb_view_str("x")};
}

static bool is_move(const struct op *op)
{
    return op->op == SB_OP_UPDATE && op->old_key != op->new_key;
}

static struct sb_change change_of(
    const struct source *src, const struct op *op, struct sb_value before[2], struct sb_value after[2])
{
    struct sb_change chg = {.op = op->op, .rel = &relation};
    if (op->op == SB_OP_DELETE || is_move(op)) {
        row_of(op->old_key, before);
        chg.before = before;
        chg.old_is_key = true;
    }
    if (op->op != SB_OP_DELETE) {
        row_of(op->new_key, after);
        chg.after = after;
        if (src->toast && is_move(op))
            after[1].state = SB_COL_UNCHANGED;
    }
    return chg;
}

/* False: the row has a value that is nowhere; nothing was done. */
static bool apply_row(const struct world *world, struct sb_stamps *stamps, const struct txn *txn,
    const struct op *op, int *target)
{
    struct sb_value before[2], after[2];
    struct sb_change chg = change_of(&world->src, op, before, after);
    enum sb_stamp_verdict verdict = SB_STAMP_NEWER;
    struct sb_err err;
    bool moves = is_move(op);
    int value = world->src.toast && moves ? target[op->old_key] : op->value;
    if (stamps != NULL)
        ck_assert_int_eq(sb_stamps_judge(stamps, &chg, txn->xid, 1, &verdict, &err), 0);
    if (world->rule == BY_LSN) {
        bool old_seen = txn->commit_lsn < world->ledger[chunk_of(op->old_key)].h;
        verdict = old_seen ? SB_STAMP_SEEN : SB_STAMP_NEWER;
    }
    if (world->rule == OLD_HALF_ONLY && verdict != SB_STAMP_NEWER)
        verdict = verdict == SB_STAMP_OLD_HALF ? SB_STAMP_NEWER : SB_STAMP_SEEN;
    ck_assert(moves || verdict == SB_STAMP_NEWER || verdict == SB_STAMP_SEEN);
    if (verdict == SB_STAMP_NEW_HALF && world->src.toast)
        return false;
    if (verdict == SB_STAMP_NEWER || verdict == SB_STAMP_OLD_HALF)
        target[op->old_key] = 0;
    if (op->op != SB_OP_DELETE && (verdict == SB_STAMP_NEWER || verdict == SB_STAMP_NEW_HALF))
        target[op->new_key] = value;
    return true;
}

static void apply_truncate(struct sb_stamps *stamps, const struct txn *txn, int *target)
{
    struct sb_arena *arena = sb_arena_new("batch", 1 << 16);
    struct sb_stamp_cut cut = {.whole = true};
    struct sb_err err;
    if (stamps != NULL)
        ck_assert_int_eq(sb_stamps_truncate(stamps, &relation, txn->xid, 1, arena, &cut, &err), 0);
    for (int key = 0; key < KEYS; key++) {
        bool hit = cut.whole;
        for (size_t i = 0; i < cut.count && !hit; i++)
            hit = sb_key_range_has(&cut.ranges[i], sb_view(key_bytes[key], 8));
        if (hit)
            target[key] = 0;
    }
    sb_arena_free(arena);
}

static const struct txn *next_commit(const struct source *src, uint64_t behind)
{
    const struct txn *next = NULL;
    for (int t = 0; t < src->count; t++) {
        const struct txn *txn = &src->txns[t];
        if (txn->phase == ENDED && txn->commit_lsn > behind &&
            (next == NULL || txn->commit_lsn < next->commit_lsn))
            next = txn;
    }
    return next;
}

static bool ends_equal(struct world *world)
{
    struct sb_stamps *stamps = stamps_of(world);
    int target[KEYS] = {0};
    bool passed = false;
    for (int key = 0; key < KEYS; key++)
        target[key] = world->ledger[chunk_of(key)].image[key];
    uint64_t from = world->src.slot_lsn - 1;
    for (const struct txn *txn; (txn = next_commit(&world->src, from)) != NULL; from = txn->commit_lsn) {
        passed = passed || txn->commit_lsn >= sb_stamps_last(stamps);
        for (int o = 0; o < txn->ops; o++) {
            if (txn->op[o].op == SB_OP_TRUNCATE)
                apply_truncate(passed ? NULL : stamps, txn, target);
            else
                apply_row(world, passed ? NULL : stamps, txn, &txn->op[o], target);
        }
    }
    sb_stamps_free(stamps);
    for (int key = 0; key < KEYS; key++)
        if (target[key] != value_by(&world->src, key, fine_durable))
            return false;
    return true;
}

/* -- keys that are read again ---------------------------------------------------------------------------- */

static const struct txn *next_in_stream(const struct source *src, uint64_t behind)
{
    const struct txn *next = NULL;
    for (int t = 0; t < src->count; t++) {
        const struct txn *txn = &src->txns[t];
        if (fine_durable(src, txn) && txn->commit_lsn > behind &&
            (next == NULL || txn->commit_lsn < next->commit_lsn))
            next = txn;
    }
    return next;
}

/* From this operation on, through the stream as far as it goes. */
static struct sb_suspects *survey(
    const struct source *src, struct sb_stamps *stamps, const struct txn *txn, int first)
{
    struct sb_suspects *suspects = sb_suspects_new();
    struct sb_value before[2], after[2];
    struct sb_err err;
    for (; txn != NULL; txn = next_in_stream(src, txn->commit_lsn), first = 0) {
        for (int o = first; o < txn->ops; o++) {
            struct sb_change chg = change_of(src, &txn->op[o], before, after);
            if (txn->op[o].op != SB_OP_TRUNCATE)
                ck_assert_int_eq(sb_stamps_survey(stamps, &chg, txn->xid, 1, suspects, &err), 0);
        }
    }
    ck_assert_uint_gt(sb_suspects_count(suspects), 0);
    return suspects;
}

/* A new stamp for the key, flushed past, while the source lives on and may crash. */
static void read_again(struct world *world, int key, bool lives)
{
    struct source *src = &world->src;
    struct chunk chunk = {0};
    for (int tries = 0; !chunk.there; tries++) {
        uint64_t xmin;
        if (lives)
            live_a_while(world, 4, false);
        if (tries % 200 == 199)
            settle(world);
        if (table_is_locked(src))
            continue;
        snapshot(src, chunk.snapshot, &xmin);
        if (xmin <= src->barrier && world->rule != OLD_BARRIER)
            continue;
        int crashes = src->crashes;
        chunk.h = src->insert_lsn;
        chunk.image[key] = value_by(src, key, fine_visible);
        for (int i = 0; i < 200 && src->flush_lsn < chunk.h && src->crashes == crashes && lives; i++)
            live_a_while(world, 1, false);
        chunk.there = src->crashes == crashes && src->flush_lsn >= chunk.h;
    }
    if (world->rule == OLD_STAMP)
        snprintf(chunk.snapshot, sizeof chunk.snapshot, "%s", world->ledger[chunk_of(key)].snapshot);
    world->again[key] = chunk;
    world->read_again++;
}

static void read_suspects_again(struct world *world, struct sb_suspects *suspects, int *target, bool lives)
{
    take_barrier(&world->src);
    for (int key = 0; key < KEYS; key++) {
        if (!sb_suspects_has(suspects, sb_view_str("\"public\".\"t\""), sb_view(key_bytes[key], 8)))
            continue;
        read_again(world, key, lives);
        target[key] = world->again[key].image[key];
    }
    sb_suspects_free(suspects);
}

/* The number of the first operation that has a value that is nowhere; -1: the transaction is applied. */
static int apply_txn(const struct world *world, struct sb_stamps *stamps, const struct txn *txn, int *target)
{
    int trial[KEYS];
    memcpy(trial, target, sizeof trial);
    for (int o = 0; o < txn->ops; o++) {
        if (txn->op[o].op == SB_OP_TRUNCATE)
            apply_truncate(stamps, txn, trial);
        else if (!apply_row(world, stamps, txn, &txn->op[o], trial))
            return o;
    }
    memcpy(target, trial, sizeof trial);
    return -1;
}

/* As an applier that follows the stream while the source lives on; then to its end. */
static bool follows_to_the_end(struct world *world, int steps)
{
    struct sb_stamps *stamps = stamps_of(world);
    int target[KEYS] = {0};
    uint64_t from = world->src.slot_lsn - 1;
    for (int key = 0; key < KEYS; key++)
        target[key] = world->ledger[chunk_of(key)].image[key];
    for (int step = 0;; step++) {
        bool lives = step < steps;
        if (lives)
            live_a_while(world, 3, false);
        else if (step == steps)
            settle(world);
        if (lives && random() % 8 == 0) { /* somebody wishes it */
            struct sb_suspects *wished = sb_suspects_new();
            struct sb_err err;
            sb_suspects_add(
                wished, sb_view_str("\"public\".\"t\""), sb_view(key_bytes[random() % KEYS], 8), &err);
            read_suspects_again(world, wished, target, true);
            sb_stamps_free(stamps);
            stamps = stamps_of(world);
        }
        const struct txn *txn = next_in_stream(&world->src, from);
        if (txn == NULL && !lives)
            break;
        if (txn == NULL)
            continue;
        bool passed = txn->commit_lsn >= sb_stamps_last(stamps);
        int suspect = apply_txn(world, passed ? NULL : stamps, txn, target);
        if (suspect < 0) {
            from = txn->commit_lsn;
            continue;
        }
        read_suspects_again(world, survey(&world->src, stamps, txn, suspect), target, lives);
        sb_stamps_free(stamps);
        stamps = stamps_of(world);
        if (world->read_again > READ_AGAIN_MAX)
            break; /* it goes round in a circle */
    }
    sb_stamps_free(stamps);
    for (int key = 0; key < KEYS; key++)
        if (target[key] != value_by(&world->src, key, fine_durable))
            return false;
    return true;
}

static bool history_is_fine(unsigned seed, enum rule rule, bool toast, int *ret_read_again)
{
    static struct world world;
    srandom(seed);
    memset(&world, 0, sizeof world);
    world.rule = rule;
    world.src.toast = toast;
    world.src.next_xid = 700;
    world.src.insert_lsn = world.src.flush_lsn = 1000;
    memset(world.src.owner, -1, sizeof world.src.owner);
    live_a_while(&world, 150, false);
    world.src.slot_lsn = world.src.flush_lsn =
        world.src.insert_lsn; /* what committed before does not travel */
    take_barrier(&world.src);
    for (int rounds = 0; rounds < 200 && !all_copied(&world); rounds++) {
        live_a_while(&world, STEPS / 10, true);
        if (rounds % 8 == 7)
            settle(&world);
    }
    live_a_while(&world, STEPS / 3, false);
    if (!toast)
        settle(&world);
    count_chunks(&world);
    ck_assert_msg(all_copied(&world), "seed %u: the copy did not come to its end", seed);
    bool fine = toast ? follows_to_the_end(&world, STEPS / 10) : ends_equal(&world);
    if (ret_read_again != NULL)
        *ret_read_again += world.read_again;
    return fine;
}

/* 1 as soon as one is found. */
static int wrong_ends(enum rule rule, unsigned seeds)
{
    int wrong = 0;
    for (unsigned seed = 1; seed <= seeds && wrong == 0; seed++)
        wrong += !history_is_fine(seed, rule, rule >= OLD_BARRIER, NULL);
    return wrong;
}

static void setup(void)
{
    struct sb_buf bytes;
    sb_buf_init(&bytes, 64);
    for (int key = 0; key <= KEYS; key++) {
        char text[8];
        snprintf(text, sizeof text, "%d", key);
        if (key < KEYS)
            memcpy(key_texts[key], text, sizeof text);
        sb_buf_reset(&bytes);
        ck_assert(sb_key_put(SB_KEY_INT, sb_view_str(text), &bytes));
        memcpy(key_bytes[key], bytes.ptr, 8);
    }
    sb_buf_clear(&bytes);
}

START_TEST(images_and_stream_give_the_source)
{
    for (unsigned seed = 1; seed <= 2000; seed++)
        ck_assert_msg(history_is_fine(seed, RIGHT, false, NULL), "seed %u ends differently", seed);
}
END_TEST

START_TEST(rows_whose_values_are_nowhere_are_read_again)
{
    int again = 0;
    for (unsigned seed = 1; seed <= 1000; seed++)
        ck_assert_msg(history_is_fine(seed, RIGHT, true, &again), "seed %u ends differently", seed);
    ck_assert_int_gt(again, 1000);
}
END_TEST

START_TEST(wrong_rules_are_noticed)
{
    ck_assert_int_gt(wrong_ends(BY_LSN, 2000), 0);
    ck_assert_int_gt(wrong_ends(UNFLUSHED, 20000), 0);
    ck_assert_int_gt(wrong_ends(NO_BARRIER, 20000), 0);
    ck_assert_int_gt(wrong_ends(OLD_HALF_ONLY, 5000), 0);
    ck_assert_int_gt(wrong_ends(OLD_BARRIER, 2000), 0);
    ck_assert_int_gt(wrong_ends(OLD_STAMP, 20), 0);
}
END_TEST

/* -- what halts ------------------------------------------------------------------------------------------ */

static struct sb_stamps *two_chunks(uint32_t second_timeline, bool hole, int *ret_rc, struct sb_err *err)
{
    struct sb_stamps *stamps = sb_stamps_new();
    ck_assert_int_eq(
        sb_stamps_table(stamps, sb_view_str("\"public\".\"t\""), SB_KEY_INT, sb_view_str("id"), err), 0);
    struct sb_stamp_chunk low = {.snapshot = "10:10:",
        .flushed_past = 100,
        .timeline = 1,
        .range = {.lower_open = true, .upper = sb_view(key_bytes[5], 8)}};
    struct sb_stamp_chunk high = {.snapshot = "20:20:",
        .flushed_past = 200,
        .timeline = second_timeline,
        .range = {.upper_open = true, .lower = sb_view(key_bytes[hole ? 6 : 5], 8)}};
    *ret_rc = sb_stamps_chunk(stamps, &low, err);
    if (*ret_rc == 0)
        *ret_rc = sb_stamps_chunk(stamps, &high, err);
    if (*ret_rc == 0)
        *ret_rc = sb_stamps_seal(stamps, err);
    return stamps;
}

START_TEST(a_hole_a_fork_and_a_strange_key_halt)
{
    struct sb_err err;
    int rc;
    sb_stamps_free(two_chunks(1, true, &rc, &err));
    ck_assert_int_eq(rc, -1);
    ck_assert_int_eq((int)err.code, SB_E_COPY_INCOMPLETE);
    sb_stamps_free(two_chunks(2, false, &rc, &err));
    ck_assert_int_eq(rc, -1);
    struct sb_stamps *stamps = two_chunks(1, false, &rc, &err);
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_eq(sb_stamps_last(stamps), 200);
    struct sb_value row[2];
    enum sb_stamp_verdict verdict;
    struct sb_change insert = {.op = SB_OP_INSERT, .rel = &relation, .after = row};
    row_of(4, row);
    ck_assert_int_eq(sb_stamps_judge(stamps, &insert, 15, 1, &verdict, &err), 0);
    ck_assert_int_eq((int)verdict, SB_STAMP_NEWER);
    row_of(5, row);
    ck_assert_int_eq(sb_stamps_judge(stamps, &insert, 15, 1, &verdict, &err), 0);
    ck_assert_int_eq((int)verdict, SB_STAMP_SEEN);
    ck_assert_int_eq(sb_stamps_judge(stamps, &insert, 15, 2, &verdict, &err), -1);
    row[0].text = sb_view_str("five");
    ck_assert_int_eq(sb_stamps_judge(stamps, &insert, 15, 1, &verdict, &err), -1);
    ck_assert_int_eq((int)err.code, SB_E_COPY_INCOMPLETE);
    struct sb_relation other = relation;
    other.schema_id = 4;
    other.name = sb_view_str("not_copied");
    insert.rel = &other;
    ck_assert_int_eq(sb_stamps_judge(stamps, &insert, 15, 1, &verdict, &err), 0);
    ck_assert_int_eq((int)verdict, SB_STAMP_NEWER);
    sb_stamps_free(stamps);
}
END_TEST

START_TEST(a_table_without_order_has_one_stamp)
{
    struct sb_stamps *stamps = sb_stamps_new();
    struct sb_err err;
    struct sb_stamp_chunk whole = {.snapshot = "10:20:12",
        .flushed_past = 100,
        .timeline = 1,
        .range = {.lower_open = true, .upper_open = true}};
    struct sb_value row[2] = {{.state = SB_COL_NULL}, {.state = SB_COL_NULL}};
    struct sb_change insert = {.op = SB_OP_INSERT, .rel = &relation, .after = row};
    enum sb_stamp_verdict verdict;
    ck_assert_int_eq(
        sb_stamps_table(stamps, sb_view_str("\"public\".\"t\""), SB_KEY_NONE, (struct sb_view){0}, &err), 0);
    ck_assert_int_eq(sb_stamps_chunk(stamps, &whole, &err), 0);
    ck_assert_int_eq(sb_stamps_seal(stamps, &err), 0);
    ck_assert_int_eq(sb_stamps_judge(stamps, &insert, 12, 1, &verdict, &err), 0);
    ck_assert_int_eq((int)verdict, SB_STAMP_NEWER);
    ck_assert_int_eq(sb_stamps_judge(stamps, &insert, 13, 1, &verdict, &err), 0);
    ck_assert_int_eq((int)verdict, SB_STAMP_SEEN);
    sb_stamps_free(stamps);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stamps");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 100);
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, images_and_stream_give_the_source);
    tcase_add_test(tests, rows_whose_values_are_nowhere_are_read_again);
    tcase_add_test(tests, wrong_rules_are_noticed);
    tcase_add_test(tests, a_hole_a_fork_and_a_strange_key_halt);
    tcase_add_test(tests, a_table_without_order_has_one_stamp);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
