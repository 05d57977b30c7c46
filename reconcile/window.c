#include "reconcile/window.h"

#include "core/map.h"
#include "schemas/rowform.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 100 * 1000 * 1000, KEY_NAME_BYTES = 4 + 16 };

struct touch {
    struct key *key;    /* NULL: a row of a table without a key, whose digest is fields[0] */
    struct touch *next; /* of the same key */
    uint64_t commit_lsn, xid;
    int64_t commit_us;
    uint32_t table;
    bool present;
    bool settled; /* its transaction was forgotten */
    int by;
    size_t field_count;
    struct sb_digest fields[];
};

struct key {
    struct touch *first, *last; /* committed, in the stream's order */
    struct key *next;           /* while its transaction is forgotten */
    size_t in_flight;           /* touches of the transaction whose commit has not come */
    uint64_t asked;             /* the question in which it was told last */
    uint32_t table;
    struct sb_digest digest;
    bool has_base; /* what the forgotten touches amount to, while there are later ones */
    bool base_present;
    struct sb_digest *base;
    size_t field_count;
    size_t len;
    char bytes[];
};

struct txn {
    struct txn *next;
    uint64_t commit_lsn, xid;
    struct touch **touches;
    size_t count, cap;
    uint32_t *alls; /* tables of which every key was touched */
    size_t all_count;
};

struct sb_window {
    struct sb_map *keys;
    struct txn *first, *last;
    struct txn *flight; /* NULL: no transaction */
    uint64_t question;
    size_t bytes, peak_bytes, max_bytes;
};

/* -- memory ---------------------------------------------------------------------------------------------- */

static void *take(struct sb_window *window, size_t len, struct sb_err *err)
{
    if (len > window->max_bytes - window->bytes) {
        sb_err_set(err, SB_E_LIMIT,
            "what the stream says beyond the target's progress does not fit into %zu bytes",
            window->max_bytes);
        sb_err_hint(err, "Raise verify.window_max_bytes, or wait until the target has caught up.");
        return NULL;
    }
    void *memory = calloc(1, len);
    if (memory == NULL) {
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for what the stream says");
        return NULL;
    }
    window->bytes += len;
    window->peak_bytes = window->bytes > window->peak_bytes ? window->bytes : window->peak_bytes;
    return memory;
}

static void give(struct sb_window *window, void *memory, size_t len)
{
    if (memory == NULL)
        return;
    window->bytes -= len;
    free(memory);
}

static size_t touch_size(size_t field_count)
{
    return sizeof(struct touch) + field_count * sizeof(struct sb_digest);
}

static void touch_free(struct sb_window *window, struct touch *touch)
{
    give(window, touch, touch_size(touch->field_count));
}

static struct sb_view key_name(uint32_t table, const struct sb_digest *digest, char out[KEY_NAME_BYTES])
{
    memcpy(out, &table, sizeof table);
    memcpy(out + sizeof table, digest, sizeof *digest);
    return sb_view(out, KEY_NAME_BYTES);
}

static struct key *key_find(const struct sb_window *window, uint32_t table, const struct sb_digest *digest)
{
    char name[KEY_NAME_BYTES];
    return sb_map_get(window->keys, key_name(table, digest, name));
}

static void key_free(struct sb_window *window, struct key *key)
{
    give(window, key->base, key->field_count * sizeof *key->base);
    give(window, key, sizeof *key + key->len);
}

/* A key that nothing speaks of is gone. */
static void key_let_go(struct sb_window *window, struct key *key)
{
    char name[KEY_NAME_BYTES];
    if (key->first != NULL || key->in_flight > 0)
        return;
    sb_map_remove(window->keys, key_name(key->table, &key->digest, name));
    key_free(window, key);
}

static struct key *key_get(struct sb_window *window, uint32_t table, const struct sb_digest *digest,
    struct sb_view bytes, struct sb_err *err)
{
    char name[KEY_NAME_BYTES];
    struct key *key = key_find(window, table, digest);
    if (key != NULL)
        return key;
    key = take(window, sizeof *key + bytes.len, err);
    if (key == NULL)
        return NULL;
    key->table = table;
    key->digest = *digest;
    key->len = bytes.len;
    if (bytes.len > 0)
        memcpy(key->bytes, bytes.ptr, bytes.len);
    if (!sb_map_put(window->keys, key_name(table, digest, name), key, NULL)) {
        key_free(window, key);
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for what the stream says");
        return NULL;
    }
    return key;
}

/* -- life ------------------------------------------------------------------------------------------------ */

struct sb_window *sb_window_new(size_t max_bytes)
{
    struct sb_window *window = calloc(1, sizeof *window);
    if (window == NULL)
        return NULL;
    window->max_bytes = max_bytes;
    window->keys = sb_map_new(KEYS_MAX);
    if (window->keys == NULL) {
        free(window);
        return NULL;
    }
    return window;
}

static void txn_free(struct sb_window *window, struct txn *txn)
{
    give(window, txn->touches, txn->cap * sizeof *txn->touches);
    give(window, txn->alls, txn->all_count * sizeof *txn->alls);
    give(window, txn, sizeof *txn);
}

void sb_window_free(struct sb_window *window)
{
    struct sb_view name;
    void *value;
    size_t pos = 0;
    if (window == NULL)
        return;
    sb_window_abandon(window);
    while (window->first != NULL) {
        struct txn *txn = window->first;
        window->first = txn->next;
        for (size_t i = 0; i < txn->count; i++)
            if (txn->touches[i]->key == NULL)
                touch_free(window, txn->touches[i]);
        txn_free(window, txn);
    }
    while (sb_map_next(window->keys, &pos, &name, &value)) {
        struct key *key = value;
        while (key->first != NULL) {
            struct touch *touch = key->first;
            key->first = touch->next;
            touch_free(window, touch);
        }
        key_free(window, key);
    }
    sb_map_free(window->keys);
    free(window);
}

size_t sb_window_bytes(const struct sb_window *window)
{
    return window->bytes;
}

size_t sb_window_peak_bytes(const struct sb_window *window)
{
    return window->peak_bytes;
}

/* -- what the stream says -------------------------------------------------------------------------------- */

static struct txn *flight(struct sb_window *window, struct sb_err *err)
{
    if (window->flight == NULL)
        window->flight = take(window, sizeof *window->flight, err);
    return window->flight;
}

static int flight_add(struct sb_window *window, struct touch *touch, struct sb_err *err)
{
    struct txn *txn = flight(window, err);
    if (txn == NULL)
        return -1;
    if (txn->count == txn->cap) {
        size_t cap = txn->cap == 0 ? 8 : txn->cap * 2;
        struct touch **grown = take(window, cap * sizeof *grown, err);
        if (grown == NULL)
            return -1;
        if (txn->count > 0)
            memcpy(grown, txn->touches, txn->count * sizeof *grown);
        give(window, txn->touches, txn->cap * sizeof *txn->touches);
        txn->touches = grown;
        txn->cap = cap;
    }
    txn->touches[txn->count++] = touch;
    return 0;
}

static int touch_key(
    struct sb_window *window, struct key *key, const struct sb_touch *touch, struct sb_err *err)
{
    size_t field_count = touch->present ? touch->field_count : 0;
    struct touch *made = take(window, touch_size(field_count), err);
    if (made == NULL)
        return -1;
    made->key = key;
    made->table = touch->table;
    made->present = touch->present;
    made->field_count = field_count;
    if (field_count > 0)
        memcpy(made->fields, touch->fields, field_count * sizeof *made->fields);
    if (flight_add(window, made, err) != 0) {
        touch_free(window, made);
        return -1;
    }
    key->in_flight++;
    return 0;
}

int sb_window_touch(struct sb_window *window, const struct sb_touch *touch, struct sb_err *err)
{
    struct key *key = key_get(window, touch->table, &touch->key, touch->key_bytes, err);
    if (key == NULL)
        return -1;
    if (touch_key(window, key, touch, err) == 0)
        return 0;
    key_let_go(window, key);
    return -1;
}

int sb_window_row(
    struct sb_window *window, uint32_t table, const struct sb_digest *row, int by, struct sb_err *err)
{
    struct touch *made = take(window, touch_size(1), err);
    if (made == NULL)
        return -1;
    made->table = table;
    made->by = by;
    made->field_count = 1;
    made->fields[0] = *row;
    if (flight_add(window, made, err) == 0)
        return 0;
    touch_free(window, made);
    return -1;
}

/* Keys that the window knows lose their rows one by one; of all others it knows nothing before. */
static int empty_keys(struct sb_window *window, uint32_t table, struct sb_err *err)
{
    const struct sb_touch gone = {.table = table};
    struct sb_view name;
    void *value;
    size_t pos = 0;
    while (sb_map_next(window->keys, &pos, &name, &value)) {
        struct key *key = value;
        if (key->table == table && touch_key(window, key, &gone, err) != 0)
            return -1;
    }
    return 0;
}

int sb_window_all(struct sb_window *window, uint32_t table, bool emptied, struct sb_err *err)
{
    struct txn *txn = flight(window, err);
    uint32_t *grown = txn == NULL ? NULL : take(window, (txn->all_count + 1) * sizeof *grown, err);
    if (grown == NULL)
        return -1;
    if (txn->all_count > 0)
        memcpy(grown, txn->alls, txn->all_count * sizeof *grown);
    give(window, txn->alls, txn->all_count * sizeof *txn->alls);
    txn->alls = grown;
    txn->alls[txn->all_count++] = table;
    return emptied ? empty_keys(window, table, err) : 0;
}

void sb_window_abandon(struct sb_window *window)
{
    struct txn *txn = window->flight;
    window->flight = NULL;
    if (txn == NULL)
        return;
    for (size_t i = 0; i < txn->count; i++) {
        struct key *key = txn->touches[i]->key;
        touch_free(window, txn->touches[i]);
        if (key != NULL) {
            key->in_flight--;
            key_let_go(window, key);
        }
    }
    txn_free(window, txn);
}

int sb_window_commit(
    struct sb_window *window, uint64_t commit_lsn, uint64_t xid, int64_t commit_us, struct sb_err *err)
{
    struct txn *txn = flight(window, err);
    if (txn == NULL)
        return -1;
    window->flight = NULL;
    if (txn->count == 0 && txn->all_count == 0) {
        txn_free(window, txn);
        return 0;
    }
    txn->commit_lsn = commit_lsn;
    txn->xid = xid;
    for (size_t i = 0; i < txn->count; i++) {
        struct touch *touch = txn->touches[i];
        struct key *key = touch->key;
        touch->commit_lsn = commit_lsn;
        touch->xid = xid;
        touch->commit_us = commit_us;
        if (key == NULL)
            continue;
        key->in_flight--;
        if (key->first == NULL)
            key->first = touch;
        else
            key->last->next = touch;
        key->last = touch;
    }
    if (window->first == NULL)
        window->first = txn;
    else
        window->last->next = txn;
    window->last = txn;
    return 0;
}

/* -- forgetting ------------------------------------------------------------------------------------------ */

/* What a row is after a touch: what did not travel stays as it was. */
static void fold(const struct touch *touch, size_t count, bool present, struct sb_digest *fields)
{
    static const struct sb_digest unknown;
    for (size_t i = 0; i < count; i++) {
        if (i < touch->field_count && sb_rowform_is_known(&touch->fields[i]))
            fields[i] = touch->fields[i];
        else if (!present)
            fields[i] = unknown;
    }
}

static void fold_into_base(struct sb_window *window, struct key *key, const struct touch *touch)
{
    struct sb_err ignored;
    if (touch->present && key->base == NULL && touch->field_count > 0) {
        key->base = take(window, touch->field_count * sizeof *key->base, &ignored);
        key->field_count = key->base == NULL ? 0 : touch->field_count;
    }
    key->has_base = !touch->present || key->base != NULL || touch->field_count == 0;
    if (touch->present && key->base != NULL)
        fold(touch, key->field_count, key->base_present, key->base);
    key->base_present = touch->present;
}

static void trim(struct sb_window *window, struct key *key)
{
    while (key->first != NULL && key->first->settled) {
        struct touch *touch = key->first;
        fold_into_base(window, key, touch);
        key->first = touch->next;
        touch_free(window, touch);
    }
    if (key->first == NULL)
        key->last = NULL;
    key_let_go(window, key);
}

/* Trimming frees touches, and a transaction may have several of one key: its keys first, each once. */
static void settle(struct sb_window *window, struct txn *txn)
{
    struct key *keys = NULL;
    window->question++;
    for (size_t i = 0; i < txn->count; i++) {
        struct touch *touch = txn->touches[i];
        struct key *key = touch->key;
        touch->settled = true;
        if (key == NULL) {
            touch_free(window, touch);
        } else if (key->asked != window->question) {
            key->asked = window->question;
            key->next = keys;
            keys = key;
        }
    }
    while (keys != NULL) {
        struct key *key = keys;
        keys = key->next;
        trim(window, key);
    }
}

void sb_window_forget(struct sb_window *window, const struct sb_cut *cut)
{
    struct txn **link = &window->first;
    window->last = NULL;
    while (*link != NULL) {
        struct txn *txn = *link;
        if (txn->commit_lsn > cut->applied_lsn || !sb_snapshot_sees(&cut->snapshot, txn->xid)) {
            window->last = txn;
            link = &txn->next;
            continue;
        }
        *link = txn->next;
        settle(window, txn);
        txn_free(window, txn);
    }
}

/* -- what is dirty --------------------------------------------------------------------------------------- */

bool sb_window_is_prefix(const struct sb_window *window, const struct sb_cut *cut, uint64_t *ret_lsn)
{
    bool ended = false;
    *ret_lsn = cut->applied_lsn;
    for (const struct txn *txn = window->first; txn != NULL; txn = txn->next) {
        bool seen = sb_snapshot_sees(&cut->snapshot, txn->xid);
        if (seen ? ended : txn->commit_lsn <= cut->applied_lsn)
            return false;
        ended = ended || !seen;
        if (seen && txn->commit_lsn > *ret_lsn)
            *ret_lsn = txn->commit_lsn;
    }
    return true;
}

bool sb_window_splits_table(const struct sb_window *window, uint32_t table, const struct sb_cut *cut)
{
    for (const struct txn *txn = window->first; txn != NULL; txn = txn->next) {
        if (txn->all_count == 0 || !sb_cut_splits(cut, txn->commit_lsn, txn->xid))
            continue;
        for (size_t i = 0; i < txn->all_count; i++)
            if (txn->alls[i] == table)
                return true;
    }
    return false;
}

bool sb_window_is_dirty(
    const struct sb_window *window, uint32_t table, const struct sb_digest *key, const struct sb_cut *cut)
{
    const struct key *found = key_find(window, table, key);
    for (const struct touch *touch = found == NULL ? NULL : found->first; touch != NULL; touch = touch->next)
        if (sb_cut_splits(cut, touch->commit_lsn, touch->xid))
            return true;
    return false;
}

int sb_window_dirty(struct sb_window *window, uint32_t table, const struct sb_cut *cut, sb_window_key_fn *fn,
    void *arg, struct sb_err *err)
{
    window->question++;
    for (const struct txn *txn = window->first; txn != NULL; txn = txn->next) {
        if (!sb_cut_splits(cut, txn->commit_lsn, txn->xid))
            continue;
        for (size_t i = 0; i < txn->count; i++) {
            struct key *key = txn->touches[i]->key;
            if (txn->touches[i]->table != table || key == NULL || key->asked == window->question)
                continue;
            key->asked = window->question;
            if (fn(arg, &key->digest, sb_view(key->bytes, key->len), err) != 0)
                return -1;
        }
    }
    return 0;
}

int sb_window_owed(const struct sb_window *window, uint32_t table, const struct sb_cut *cut,
    sb_window_row_fn *fn, void *arg, struct sb_err *err)
{
    for (const struct txn *txn = window->first; txn != NULL; txn = txn->next) {
        if (!sb_cut_splits(cut, txn->commit_lsn, txn->xid))
            continue;
        int sign = txn->commit_lsn > cut->applied_lsn ? 1 : -1; /* only seen; only applied */
        for (size_t i = 0; i < txn->count; i++) {
            const struct touch *touch = txn->touches[i];
            if (touch->table == table && touch->key == NULL &&
                fn(arg, &touch->fields[0], sign * touch->by, err) != 0)
                return -1;
        }
    }
    return 0;
}

/* -- one key --------------------------------------------------------------------------------------------- */

void sb_history_clear(struct sb_history *history)
{
    free(history->steps);
    *history = (struct sb_history){0};
}

static int step_add(struct sb_history *history, const struct sb_history_step *step, struct sb_err *err)
{
    if (history->count == history->cap) {
        size_t cap = history->cap == 0 ? 16 : history->cap * 2;
        struct sb_history_step *grown = realloc(history->steps, cap * sizeof *grown);
        if (grown == NULL)
            return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the history of a key");
        history->steps = grown;
        history->cap = cap;
    }
    history->steps[history->count++] = *step;
    return 0;
}

int sb_window_history(const struct sb_window *window, uint32_t table, const struct sb_digest *key,
    const struct sb_cut *cut, struct sb_history *history, struct sb_err *err)
{
    const struct key *found = key_find(window, table, key);
    history->count = 0;
    if (found == NULL)
        return 0;
    const struct sb_history_step base = {
        .present = found->base_present, .fields = found->base, .seen = true, .applied = true};
    if (found->has_base && step_add(history, &base, err) != 0)
        return -1;
    for (const struct touch *touch = found->first; touch != NULL; touch = touch->next) {
        const struct sb_history_step step = {.present = touch->present,
            .fields = touch->fields,
            .seen = sb_snapshot_sees(&cut->snapshot, touch->xid),
            .applied = touch->commit_lsn <= cut->applied_lsn,
            .at = {.commit_lsn = touch->commit_lsn, .xid = touch->xid, .commit_us = touch->commit_us}};
        if (step_add(history, &step, err) != 0)
            return -1;
    }
    return 0;
}
