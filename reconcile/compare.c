#include "reconcile/compare.h"

#include "core/clock.h"
#include "core/fault.h"
#include "reconcile/accept.h"
#include "reconcile/keyset.h"
#include "reconcile/pending.h"
#include "reconcile/scan.h"
#include "reconcile/sums.h"
#include "schemas/digest.h"
#include "schemas/rowform.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SQL_MAX_BYTES = 64 * 1024 * 1024,
    KEY_MAX_BYTES = 64 * 1024 * 1024,
    PENDING_MAX_BYTES = 256 * 1024 * 1024,
    KEYSET_MAX_BYTES = 64 * 1024 * 1024,
    BATCH_KEYS = SB_COMPARE_KEYS_MAX, /* read again under one pair of stamps */
    SUSPECTS_MAX = 500, /* of a chunk: whose columns are looked at while its snapshots are there */
    SLICE_BITS_MAX = 24,
    SUMS_LEAST = 8,  /* chunks, before sums are given up */
    ROUNDS_MAX = 30, /* once progress has passed everything that made keys dirty */
    TRIES_MAX = 20,  /* the same, of a chunk */
    PAUSE_FIRST_US = 10000,
    PAUSE_MOST_US = 250000,
};

struct chunk {
    const struct sb_key_range *range;
    struct sb_scan_slice slice;
};

struct sb_compare {
    struct sb_compare_options options;
    struct sb_sides *sides;
    struct sb_follow *follow;
    struct sb_window *window;
    struct sb_arena *kept; /* the caller's */
    struct sb_scan *scan;
    struct sb_arena *keyset_arena;
    struct sb_pending pending; /* dirty keys */
    struct sb_history history;
    struct sb_buf sql[2], canonical;
    bool differs[SB_COLS_MAX];
    int64_t accepted[SB_COLS_MAX]; /* by rules, of the key that is judged */
    /* of the table at work */
    const struct sb_verify_table *table;
    struct sb_verify_result *result;
    struct chunk chunk;
    struct sb_chunk_record record;
    size_t range; /* its number, or that of the chunk of the key that is judged */
    struct sb_stamp stamp;
    struct sb_keyset suspects;
    uint64_t last_h; /* of the newest chunk */
    uint64_t first_applied_lsn;
    int64_t first_applied_us;
    bool leaves_dirty; /* who asked knows dirty keys, and comes again */
    /* who asked about keys; NULL: nobody */
    sb_compare_key_fn *told;
    void *told_arg;
};

/* -- life ------------------------------------------------------------------------------------------------ */

int sb_compare_new(const struct sb_compare_options *options, struct sb_sides *sides, struct sb_follow *follow,
    struct sb_window *window, struct sb_arena *arena, struct sb_compare **ret_compare, struct sb_err *err)
{
    struct sb_compare *compare = calloc(1, sizeof *compare);
    if (compare == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a compare");
    compare->options = *options;
    compare->sides = sides;
    compare->follow = follow;
    compare->window = window;
    compare->kept = arena;
    sb_buf_init(&compare->sql[0], SQL_MAX_BYTES);
    sb_buf_init(&compare->sql[1], SQL_MAX_BYTES);
    sb_buf_init(&compare->canonical, KEY_MAX_BYTES);
    compare->scan = sb_scan_new(options->tally_max_bytes);
    compare->keyset_arena = sb_arena_new("keys read again", KEYSET_MAX_BYTES);
    if (compare->scan == NULL || compare->keyset_arena == NULL) {
        sb_compare_free(compare);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a compare");
    }
    if (sb_pending_init(&compare->pending, PENDING_MAX_BYTES, err) != 0) {
        sb_compare_free(compare);
        return -1;
    }
    *ret_compare = compare;
    return 0;
}

void sb_compare_free(struct sb_compare *compare)
{
    if (compare == NULL)
        return;
    sb_scan_free(compare->scan);
    sb_arena_free(compare->keyset_arena);
    sb_pending_clear(&compare->pending);
    sb_history_clear(&compare->history);
    sb_keyset_clear(&compare->suspects);
    sb_buf_clear(&compare->sql[0]);
    sb_buf_clear(&compare->sql[1]);
    sb_buf_clear(&compare->canonical);
    free(compare);
}

uint64_t sb_compare_first_applied(const struct sb_compare *compare, int64_t *ret_applied_us)
{
    *ret_applied_us = compare->first_applied_us;
    return compare->first_applied_lsn;
}

size_t sb_compare_tally_peak_bytes(const struct sb_compare *compare)
{
    return sb_scan_peak_bytes(compare->scan);
}

/* -- differences ----------------------------------------------------------------------------------------- */

/* ret_newest stays as it is where the window knows of none. The history is read into compare->history. */
static int newest_change(struct sb_compare *compare, const struct sb_digest *key,
    struct sb_change_at *ret_newest, struct sb_err *err)
{
    struct sb_history *history = &compare->history;
    const struct sb_verify_table *table = compare->result->table;
    if (table->key_count == 0)
        return 0;
    if (sb_window_history(compare->window, table->number, key, &compare->stamp.cut, history, err) != 0)
        return -1;
    if (history->count > 0 && history->steps[history->count - 1].at.commit_lsn != 0)
        *ret_newest = history->steps[history->count - 1].at;
    return 0;
}

/* Counts it, and hands it out. */
static int difference(struct sb_compare *compare, struct sb_finding *found, struct sb_err *err)
{
    compare->result->differences += found->rows;
    if (compare->result->bad != NULL)
        compare->result->bad[compare->range] = true;
    found->table = compare->table;
    found->h = compare->stamp.h;
    found->applied_lsn = compare->stamp.cut.applied_lsn;
    if (found->kind != SB_DIFF_CHANGED)
        found->differs = NULL;
    if (newest_change(compare, &found->key, &found->newest, err) != 0 ||
        sb_verify_keep(compare->result, found, compare->kept, &compare->sql[0], err) != 0)
        return -1;
    return compare->options.found == NULL ? 0
                                          : compare->options.found(compare->options.found_arg, found, err);
}

/* -- rows ------------------------------------------------------------------------------------------------ */

static int scan_line(void *arg, enum sb_side side, char *line, size_t len, struct sb_err *err)
{
    int rc = sb_scan_line(((struct sb_compare *)arg)->scan, side, line, len, err);
    return rc == SB_SCAN_FULL ? SB_SIDES_FULL : rc;
}

static int key_line(void *arg, enum sb_side side, char *line, size_t len, struct sb_err *err)
{
    struct sb_compare *compare = arg;
    struct sb_scan_row row;
    if (sb_scan_split(compare->scan, line, len, &row, err) != 0)
        return -1;
    /* Keys that SQL calls equal and that are spelled otherwise are other keys. */
    struct sb_keyset_item *item = sb_keyset_find(&compare->suspects, &row.key);
    if (item == NULL)
        return 0;
    return sb_keyset_row(
        &compare->suspects, item, side, row.fields, compare->table->column_count, row.aside, err);
}

/* -- stamps and waiting ---------------------------------------------------------------------------------- */

enum { AGAIN = 100, STOP = 101 }; /* beside what sb_sides_begin answers */

static int stop(struct sb_compare *compare, enum sb_verify_stop stop, const char *why)
{
    compare->result->state = SB_TABLE_NOT_COMPARED;
    compare->result->stop = stop;
    compare->result->why = why;
    return STOP;
}

/* 0, AGAIN, STOP, or -1. */
static int take_stamp(struct sb_compare *compare, struct sb_err *err)
{
    int rc = sb_sides_begin(compare->sides, compare->table, &compare->stamp, err);
    switch (rc) {
    case 0:
        if (compare->first_applied_lsn == 0)
            compare->first_applied_us = compare->stamp.applied_us;
        if (compare->first_applied_lsn == 0)
            compare->first_applied_lsn = compare->stamp.cut.applied_lsn;
        return 0;
    case SB_SIDES_LOCKED:
        return AGAIN;
    case SB_SIDES_ALTERED:
        return stop(compare, SB_STOP_ALTERED, "it was altered while it was compared");
    case SB_SIDES_COPYING:
        return stop(
            compare, SB_STOP_COPYING, "an initial copy is under way, or apply has not passed its end");
    default:
        return -1;
    }
}

/* The transactions are over: until the window holds everything that the stamp shows on either side. 0, AGAIN
 * if the table was emptied between the cuts, STOP, or -1. */
static int pass_horizon(struct sb_compare *compare, struct sb_err *err)
{
    SB_FAULT("reconcile-after-rows");
    if (sb_sides_mark(compare->sides, err) != 0)
        return -1;
    int rc = sb_follow_until(
        compare->follow, sb_stamp_horizon(&compare->stamp), compare->options.stream_wait_ms, err);
    if (rc == SB_FOLLOW_LATE)
        return stop(compare, SB_STOP_STREAM,
            "the stream did not get to what the source had committed: is capture at work?");
    if (rc != 0)
        return -1;
    return sb_window_splits_table(compare->window, compare->table->number, &compare->stamp.cut) ? AGAIN : 0;
}

/* -- dirty keys ------------------------------------------------------------------------------------------ */

static bool chunk_has(struct sb_compare *compare, const struct sb_digest *key, struct sb_view key_bytes)
{
    struct sb_view texts[64];
    const struct sb_verify_table *table = compare->table;
    if (!sb_scan_slice_has(&compare->chunk.slice, key))
        return false;
    if (table->strategy != SB_STRATEGY_RANGES || !sb_rowform_key_texts(key_bytes, texts, table->key_count))
        return true;
    uint16_t leading = 0; /* key_cols[0] is the leading column */
    sb_buf_reset(&compare->canonical);
    return !sb_key_put(table->kind, texts[leading], &compare->canonical) ||
           sb_key_range_has(compare->chunk.range, sb_buf_view(&compare->canonical));
}

static int pending_add(
    struct sb_compare *compare, const struct sb_digest *key, struct sb_view key_bytes, struct sb_err *err)
{
    struct sb_pending_key pending = {
        .result = compare->result, .key = *key, .bytes = key_bytes, .range = compare->range};
    if (newest_change(compare, key, &pending.newest, err) != 0)
        return -1;
    return sb_pending_add(&compare->pending, &pending, err);
}

static int pend(void *arg, const struct sb_digest *key, struct sb_view key_bytes, struct sb_err *err)
{
    struct sb_compare *compare = arg;
    if (!chunk_has(compare, key, key_bytes))
        return 0;
    compare->result->dirty++;
    compare->record.dirty++;
    compare->record.dirty_sum += sb_sum_of(key);
    return pending_add(compare, key, key_bytes, err);
}

static int keys_read(struct sb_compare *compare, struct sb_err *err)
{
    struct sb_view keys[SUSPECTS_MAX];
    struct sb_keyset *set = &compare->suspects;
    for (size_t i = 0; i < set->count; i++)
        keys[i] = set->items[i].key_bytes;
    for (int side = 0; side < 2; side++) {
        sb_buf_reset(&compare->sql[side]);
        if (!sb_verify_put_keys(compare->table, (enum sb_side)side, keys, set->count, &compare->sql[side]) ||
            compare->sql[side].failed)
            return sb_err_set(err, SB_E_LIMIT, "table %s: keys to be read again do not fit into a statement",
                compare->table->relation);
    }
    return sb_sides_read(compare->sides, sb_buf_str(&compare->sql[0]), sb_buf_str(&compare->sql[1]),
        compare->options.age_max_ms, key_line, compare, err);
}

/* Read a batch of pending keys under stamps of its own. 0, AGAIN, STOP, or -1. */
static int batch_read(
    struct sb_compare *compare, const struct sb_pending_key *pending, size_t count, struct sb_err *err)
{
    sb_keyset_clear(&compare->suspects);
    sb_arena_reset(compare->keyset_arena);
    if (sb_keyset_init(&compare->suspects, BATCH_KEYS, compare->keyset_arena, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (sb_keyset_add(&compare->suspects, &pending[i].key, pending[i].bytes, err) != 0)
            return -1;
    int rc = take_stamp(compare, err);
    if (rc != 0)
        return rc;
    rc = keys_read(compare, err);
    if (rc < 0 || sb_sides_end(compare->sides, err) != 0)
        return -1;
    return rc > 0 ? AGAIN : pass_horizon(compare, err);
}

/* ret_decided: false if the stream cannot tell yet. */
static int key_judge(struct sb_compare *compare, const struct sb_keyset_item *item,
    const struct sb_change_at *newest, bool *ret_decided, struct sb_err *err)
{
    struct sb_key_verdict verdict;
    if (sb_window_history(compare->window, compare->table->number, &item->key, &compare->stamp.cut,
            &compare->history, err) != 0)
        return -1;
    sb_verdict_judge(compare->table, &compare->history, &item->rows[SB_SIDE_SOURCE],
        &item->rows[SB_SIDE_TARGET], &verdict, compare->differs);
    *ret_decided = verdict.is != SB_KEY_UNDECIDED;
    if (!*ret_decided)
        return 0;
    if (compare->told != NULL && compare->told(compare->told_arg, &item->key, verdict.is, err) != 0)
        return -1;
    if (verdict.by_stream)
        compare->result->by_stream++;
    else
        compare->result->by_reread++;
    if (verdict.is == SB_KEY_EQUAL) {
        if (!verdict.by_stream && item->rows[0].count > 0)
            sb_accept_met(compare->table, item->rows[0].aside, item->rows[1].aside, compare->accepted);
        sb_accept_add(compare->table, compare->accepted);
        return 0;
    }
    struct sb_digest rows[2];
    struct sb_finding found = {.kind = verdict.kind,
        .rows = 1,
        .key = item->key,
        .key_bytes = item->key_bytes,
        .differs = compare->differs,
        .by_stream = verdict.by_stream,
        .source_differs = verdict.source_differs,
        .newest = *newest};
    for (int side = 0; side < 2; side++) {
        if (item->rows[side].count == 0)
            continue;
        rows[side] = sb_rowform_row(item->rows[side].fields, compare->table->column_count);
        rows[side] = sb_accept_row(item->rows[side].aside, &rows[side]);
        found.row[side] = &rows[side];
    }
    return difference(compare, &found, err);
}

/* One batch: what is not decided moves to the front of the list, behind what is kept there. */
static int batch_resolve(
    struct sb_compare *compare, size_t from, size_t count, size_t *kept, struct sb_err *err)
{
    struct sb_pending_key *keys = compare->pending.keys;
    compare->result = keys[from].result;
    compare->table = compare->result->table;
    sb_scan_begin(compare->scan, compare->table, &(struct sb_scan_slice){.bits = 0});
    int rc = batch_read(compare, &keys[from], count, err);
    if (rc < 0)
        return -1;
    for (size_t i = 0; rc != STOP && i < count; i++) {
        bool decided = false;
        const struct sb_pending_key pending = keys[from + i];
        compare->range = pending.range;
        if (rc == 0 && key_judge(compare, sb_keyset_find(&compare->suspects, &pending.key), &pending.newest,
                           &decided, err) != 0)
            return -1;
        if (!decided)
            keys[(*kept)++] = pending;
    }
    if (rc == 0)
        sb_window_forget(compare->window, &compare->stamp.cut);
    return 0;
}

static int round_resolve(struct sb_compare *compare, int64_t round, struct sb_err *err)
{
    size_t kept = 0, count;
    for (size_t from = 0; from < compare->pending.count; from += count) {
        count = sb_pending_run(&compare->pending, from, BATCH_KEYS);
        compare->pending.keys[from].result->rounds = round;
        if (batch_resolve(compare, from, count, &kept, err) != 0)
            return -1;
    }
    compare->pending.count = kept;
    return 0;
}

/* Does progress get on? False once it has stood still for too long, or, with everything passed that was to be
 * passed, after so many turns. */
struct patience {
    uint64_t passes; /* a position */
    uint64_t applied_lsn;
    int64_t moved_ms;
    int64_t turns, turns_max;
    useconds_t pause_us;
};

static bool keep_on(const struct sb_compare *compare, struct patience *patience)
{
    uint64_t applied_lsn = compare->stamp.cut.applied_lsn;
    int64_t now_ms = sb_clock_mono_ms();
    if (applied_lsn != patience->applied_lsn || patience->moved_ms == 0)
        patience->moved_ms = now_ms;
    patience->applied_lsn = applied_lsn;
    if (applied_lsn >= patience->passes && ++patience->turns > patience->turns_max)
        return false;
    if (now_ms - patience->moved_ms > compare->options.stream_wait_ms)
        return false;
    usleep(patience->pause_us); /* nothing is held meanwhile */
    patience->pause_us = patience->pause_us * 2 > PAUSE_MOST_US ? PAUSE_MOST_US : patience->pause_us * 2;
    return true;
}

int sb_compare_resolve(struct sb_compare *compare, struct sb_err *err)
{
    struct patience patience = {
        .passes = compare->last_h, .turns_max = ROUNDS_MAX, .pause_us = PAUSE_FIRST_US};
    for (int64_t round = 1; compare->pending.count > 0; round++) {
        if (round_resolve(compare, round, err) != 0)
            return -1;
        if (patience.passes == 0) /* no chunk: the first batch made them dirty */
            patience.passes = compare->stamp.h;
        if (compare->pending.count > 0 && !keep_on(compare, &patience))
            break;
    }
    for (size_t i = 0; i < compare->pending.count; i++)
        compare->pending.keys[i].result->undecided++;
    sb_pending_reset(&compare->pending);
    return 0;
}

int sb_compare_keys(struct sb_compare *compare, struct sb_verify_result *ret_result,
    const struct sb_view *keys, size_t count, sb_compare_key_fn *fn, void *arg, struct sb_err *err)
{
    int rc = 0;
    compare->result = ret_result;
    compare->last_h = 0;
    ret_result->state = SB_TABLE_EQUAL;
    ret_result->why = "";
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct sb_digest key = sb_hash128(keys[i]);
        rc = pending_add(compare, &key, keys[i], err);
    }
    compare->told = fn;
    compare->told_arg = arg;
    if (rc == 0)
        rc = sb_compare_resolve(compare, err);
    compare->told = NULL;
    return rc == 0 ? 0 : sb_err_add(err, "table %s", ret_result->table->shown);
}

/* -- a chunk --------------------------------------------------------------------------------------------- */

/* Keys that both sides have with other rows: which columns differ is seen under the same snapshots alone. */
static int suspect(void *arg, const struct sb_tally_rest *rest)
{
    struct sb_compare *compare = arg;
    struct sb_err ignored;
    if (rest->truth > 0 && rest->follower > 0 && rest->key_bytes.len > 0 &&
        compare->suspects.count < compare->suspects.cap)
        sb_keyset_add(&compare->suspects, &rest->key, rest->key_bytes, &ignored);
    return 0;
}

static int suspects_read(struct sb_compare *compare, struct sb_err *err)
{
    sb_keyset_clear(&compare->suspects);
    sb_arena_reset(compare->keyset_arena);
    if (sb_keyset_init(&compare->suspects, SUSPECTS_MAX, compare->keyset_arena, err) != 0)
        return -1;
    if (sb_scan_each(compare->scan, suspect, compare) != 0)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the rows that differ");
    return compare->suspects.count == 0 ? 0 : keys_read(compare, err);
}

struct taking {
    struct sb_compare *compare;
    struct sb_err *err;
};
enum { TAKING_FAILED = 1 };

static void record_rest(struct sb_chunk_record *record, const struct sb_tally_rest *rest)
{
    record->differing[SB_SIDE_SOURCE] += rest->truth;
    record->differing[SB_SIDE_TARGET] += rest->follower;
    record->differing_sum[SB_SIDE_SOURCE] += rest->truth_sum;
    record->differing_sum[SB_SIDE_TARGET] += rest->follower_sum;
}

/* What is left of a key that is not dirty. */
static int rest_take(void *arg, const struct sb_tally_rest *rest)
{
    const struct taking *taking = arg;
    struct sb_compare *compare = taking->compare;
    const struct sb_verify_table *table = compare->table;
    if (table->key_count > 0 &&
        sb_window_is_dirty(compare->window, table->number, &rest->key, &compare->stamp.cut))
        return 0;
    if (rest->truth > 0 && rest->follower > 0 && sb_accept_needs_values(table)) {
        compare->record.put_off++;
        return pending_add(compare, &rest->key, rest->key_bytes, taking->err) == 0 ? 0 : TAKING_FAILED;
    }
    record_rest(&compare->record, rest);
    const struct sb_digest rows[] = {sb_accept_row(rest->truth_aside, &rest->truth_row),
        sb_accept_row(rest->follower_aside, &rest->follower_row)};
    struct sb_finding found = {.rows = 1,
        .key = rest->key,
        .key_bytes = rest->key_bytes,
        .row = {rest->truth > 0 ? &rows[0] : NULL, rest->follower > 0 ? &rows[1] : NULL},
        .kind = rest->follower == 0 ? SB_DIFF_MISSING
                : rest->truth == 0  ? SB_DIFF_EXTRA
                                    : SB_DIFF_CHANGED};
    if (table->key_count == 0)
        found.rows = rest->truth + rest->follower;
    const struct sb_keyset_item *item = sb_keyset_find(&compare->suspects, &rest->key);
    bool both = item != NULL && item->rows[0].count > 0 && item->rows[1].count > 0;
    for (uint16_t i = 0; both && i < table->column_count; i++)
        compare->differs[i] =
            !sb_verify_field_equal(table, i, &item->rows[0].fields[i], &item->rows[1].fields[i]);
    if (both)
        found.differs = compare->differs;
    compare->record.differences += found.rows;
    return difference(compare, &found, taking->err) == 0 ? 0 : TAKING_FAILED;
}

static int owe(void *arg, const struct sb_digest *row, int by, struct sb_err *err)
{
    struct sb_compare *compare = arg;
    if (!sb_scan_slice_has(&compare->chunk.slice, row))
        return 0;
    compare->record.owed++;
    int rc = sb_scan_owe(compare->scan, row, -by, err);
    if (rc != SB_SCAN_FULL)
        return rc;
    return sb_err_set(err, SB_E_LIMIT,
        "table %s: what was written between the two cuts does not fit into the %zu bytes of "
        "verify.memory_max_bytes",
        compare->table->relation, compare->options.tally_max_bytes);
}

static int record_give(struct sb_compare *compare, struct sb_err *err)
{
    struct sb_chunk_record *record = &compare->record;
    if (compare->options.judged == NULL)
        return 0;
    record->range = compare->chunk.range;
    record->bits = compare->chunk.slice.bits;
    record->slice = compare->chunk.slice.number;
    record->seen = &compare->stamp.cut.snapshot;
    record->h = compare->stamp.h;
    record->applied_lsn = compare->stamp.cut.applied_lsn;
    return compare->options.judged(compare->options.judged_arg, compare->result, record, err);
}

static int judge(struct sb_compare *compare, struct sb_err *err)
{
    const struct sb_verify_table *table = compare->table;
    int rc = 0;
    if (table->key_count == 0)
        rc = sb_window_owed(compare->window, table->number, &compare->stamp.cut, owe, compare, err);
    else if (!compare->leaves_dirty)
        rc = sb_window_dirty(compare->window, table->number, &compare->stamp.cut, pend, compare, err);
    if (rc != 0)
        return -1;
    struct taking taking = {.compare = compare, .err = err};
    rc = sb_scan_each(compare->scan, rest_take, &taking);
    if (rc != 0)
        return rc == TAKING_FAILED ? -1
                                   : sb_err_set(err, SB_E_NO_MEMORY, "no memory for the rows that differ");
    sb_scan_accept(compare->scan);
    compare->record.by_rule_sum = sb_scan_met_sum(compare->scan);
    if (record_give(compare, err) != 0)
        return -1;
    sb_window_forget(compare->window, &compare->stamp.cut);
    compare->last_h = compare->stamp.h;
    return 0;
}

/* Where most ranges are written to, the sums are different most of the time, and are only more work. */
static bool sums_help(const struct sb_compare *compare)
{
    const struct sb_verify_result *result = compare->result;
    return compare->options.sums && compare->table->strategy == SB_STRATEGY_RANGES &&
           compare->table->ruled_count == 0 && compare->chunk.slice.bits == 0 &&
           (result->sums_tried < SUMS_LEAST || result->sums_equal * 2 >= result->sums_tried);
}

/* ret_rows: of each side, if they are the same; -1: they are to be read. */
static int sums_compare(struct sb_compare *compare, int64_t *ret_rows, struct sb_err *err)
{
    bool equal = false;
    *ret_rows = -1;
    if (!sums_help(compare))
        return 0;
    for (int side = 0; side < 2; side++) {
        sb_buf_reset(&compare->sql[side]);
        sb_sums_put(compare->table, (enum sb_side)side, compare->chunk.range, &compare->sql[side]);
    }
    int64_t rows;
    if (sb_sums_compare(compare->sides, sb_buf_str(&compare->sql[0]), sb_buf_str(&compare->sql[1]), &equal,
            &rows, err) != 0)
        return sb_err_add(err, "could not sum up rows");
    compare->result->sums_tried++;
    compare->result->sums_equal += equal;
    if (equal)
        *ret_rows = rows;
    return 0;
}

static int rows_read(struct sb_compare *compare, struct sb_err *err)
{
    for (int side = 0; side < 2; side++) {
        sb_buf_reset(&compare->sql[side]);
        sb_verify_put_range(compare->table, (enum sb_side)side, compare->chunk.range, &compare->sql[side]);
    }
    int rc = sb_sides_read(compare->sides, sb_buf_str(&compare->sql[0]), sb_buf_str(&compare->sql[1]),
        compare->options.age_max_ms, scan_line, compare, err);
    if (rc == 0)
        rc = sb_scan_settle(compare->scan, err);
    return rc == 0 ? suspects_read(compare, err) : rc;
}

/* They are read, and will be judged. */
static void rows_count(struct sb_compare *compare, int64_t equal_rows)
{
    const struct sb_scan_count *count = sb_scan_count(compare->scan);
    for (int side = 0; side < 2; side++) {
        compare->record.rows[side] = count->rows[side];
        compare->record.sum[side] = count->sums[side];
    }
    compare->result->source_rows += equal_rows < 0 ? count->rows[SB_SIDE_SOURCE] : equal_rows;
    compare->result->target_rows += equal_rows < 0 ? count->rows[SB_SIDE_TARGET] : equal_rows;
}

/* Both sides' rows under one pair of stamps. 0, SB_SIDES_FULL, AGAIN, STOP, or -1. */
static int chunk_read(struct sb_compare *compare, struct sb_err *err)
{
    int64_t equal_rows;
    int rc = take_stamp(compare, err);
    if (rc != 0)
        return rc;
    sb_scan_begin(compare->scan, compare->table, &compare->chunk.slice);
    compare->record = (struct sb_chunk_record){.next = NULL};
    rc = sums_compare(compare, &equal_rows, err);
    if (rc == 0 && equal_rows < 0)
        rc = rows_read(compare, err);
    if (rc < 0 || sb_sides_end(compare->sides, err) != 0)
        return -1;
    if (rc == SB_SIDES_LATE)
        return stop(compare, SB_STOP_LATE,
            "reading it would have held a snapshot for longer than verify.xmin_age_max_s");
    if (rc == 0)
        rc = pass_horizon(compare, err);
    if (rc == 0)
        rows_count(compare, equal_rows);
    return rc;
}

/* 0, SB_SIDES_FULL, STOP, or -1. */
static int chunk_compare(struct sb_compare *compare, struct sb_err *err)
{
    struct patience patience = {.turns_max = TRIES_MAX, .pause_us = PAUSE_FIRST_US};
    int rc = chunk_read(compare, err);
    patience.passes = compare->stamp.h;
    while (rc == AGAIN && !compare->leaves_dirty && keep_on(compare, &patience)) {
        compare->result->retaken++;
        rc = chunk_read(compare, err);
    }
    if (rc == AGAIN)
        return stop(compare, SB_STOP_BUSY,
            "it was locked, or emptied on one side and not yet on the other, each time it was read");
    if (rc != 0)
        return rc;
    compare->result->chunks++;
    return judge(compare, err);
}

/* A chunk, or its halves if it does not fit. */
static int chunk_whole(struct sb_compare *compare, struct chunk chunk, struct sb_err *err)
{
    compare->chunk = chunk;
    int rc = chunk_compare(compare, err);
    if (rc != SB_SIDES_FULL)
        return rc;
    if (chunk.slice.bits == SLICE_BITS_MAX)
        return stop(compare, SB_STOP_MEMORY, "a few of its rows do not fit into verify.memory_max_bytes");
    compare->result->retaken++;
    chunk.slice.bits++;
    chunk.slice.number <<= 1;
    rc = chunk_whole(compare, chunk, err);
    chunk.slice.number++;
    return rc == 0 ? chunk_whole(compare, chunk, err) : rc;
}

int sb_compare_table(struct sb_compare *compare, struct sb_verify_result *ret_result, struct sb_err *err)
{
    const struct sb_verify_table *table = ret_result->table;
    compare->table = table;
    compare->result = ret_result;
    ret_result->state = SB_TABLE_EQUAL;
    ret_result->why = "";
    if (table->strategy == SB_STRATEGY_NONE) {
        stop(compare, SB_STOP_PLAN, table->reason);
        return 0;
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < table->ranges.count; i++) {
        compare->range = i;
        rc = chunk_whole(compare, (struct chunk){.range = &table->ranges.items[i]}, err);
    }
    ret_result->whole = rc == 0;
    if (rc < 0)
        return sb_err_add(err, "table %s", table->shown);
    return 0;
}

int sb_compare_range(struct sb_compare *compare, struct sb_verify_result *ret_result,
    const struct sb_key_range *range, struct sb_err *err)
{
    compare->table = ret_result->table;
    compare->result = ret_result;
    compare->leaves_dirty = true;
    ret_result->state = SB_TABLE_EQUAL;
    ret_result->stop = SB_STOP_NOT;
    ret_result->why = "";
    int rc = chunk_whole(compare, (struct chunk){.range = range}, err);
    compare->leaves_dirty = false;
    /* No key is dirty here: those that are left are to be compared value by value (reconcile/accept). */
    int64_t undecided = ret_result->undecided;
    if (rc >= 0 && sb_compare_resolve(compare, err) != 0)
        rc = -1;
    if (rc == 0 && ret_result->undecided > undecided)
        stop(compare, SB_STOP_BUSY, "rows that a rule may accept could not be decided yet");
    return rc < 0 ? sb_err_add(err, "table %s", ret_result->table->shown) : 0;
}

int sb_compare_look(struct sb_compare *compare, struct sb_verify_result *ret_result,
    const struct sb_frontier_key *keys, size_t count, sb_compare_key_fn *fn, void *arg, struct sb_err *err)
{
    size_t kept = 0;
    int rc = 0;
    compare->result = ret_result;
    ret_result->state = SB_TABLE_EQUAL;
    ret_result->stop = SB_STOP_NOT;
    ret_result->why = "";
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = pending_add(compare, &keys[i].key, keys[i].bytes, err);
    compare->told = fn;
    compare->told_arg = arg;
    if (rc == 0)
        rc = batch_resolve(compare, 0, count, &kept, err);
    compare->told = NULL;
    sb_pending_reset(&compare->pending);
    ret_result->undecided += (int64_t)kept;
    return rc == 0 ? 0 : sb_err_add(err, "table %s", ret_result->table->shown);
}

const struct sb_stamp *sb_compare_stamp(const struct sb_compare *compare)
{
    return &compare->stamp;
}

void sb_compare_conclude(struct sb_verify_result *result)
{
    if (result->undecided > 0 && result->state == SB_TABLE_EQUAL) {
        result->state = SB_TABLE_UNDECIDED;
        result->why = "apply did not get far enough for the stream to decide some keys";
    }
    if (result->differences > 0)
        result->state = SB_TABLE_DIFFERS;
}
