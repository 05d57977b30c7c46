#include "reconcile/tally.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_LEAST = 1024 };

struct entry {
    struct entry *next;
    struct sb_digest key, row;
    int64_t balance;
    sb_sum lines; /* of the truth's less of the follower's */
    size_t key_len, aside_len;
    char bytes[]; /* the key's, then those aside */
};

struct sb_tally {
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    size_t bytes, peak_bytes, max_bytes;
    sb_sum met_sum;
    sb_tally_met_fn *met;
    void *met_arg;
};

struct sb_tally *sb_tally_new(size_t max_bytes)
{
    struct sb_tally *tally = calloc(1, sizeof *tally);
    if (tally == NULL)
        return NULL;
    tally->max_bytes = max_bytes;
    tally->bucket_count = BUCKETS_LEAST;
    tally->buckets = calloc(tally->bucket_count, sizeof *tally->buckets);
    if (tally->buckets == NULL) {
        free(tally);
        return NULL;
    }
    return tally;
}

void sb_tally_reset(struct sb_tally *tally)
{
    for (size_t i = 0; i < tally->bucket_count; i++) {
        while (tally->buckets[i] != NULL) {
            struct entry *entry = tally->buckets[i];
            tally->buckets[i] = entry->next;
            free(entry);
        }
    }
    tally->count = 0;
    tally->bytes = 0;
    tally->met_sum = 0;
}

void sb_tally_free(struct sb_tally *tally)
{
    if (tally == NULL)
        return;
    sb_tally_reset(tally);
    free(tally->buckets);
    free(tally);
}

/* The digest is a hash already. */
static size_t bucket_of(const struct sb_digest *row, size_t bucket_count)
{
    uint64_t hash;
    memcpy(&hash, row->bytes, sizeof hash);
    return (size_t)hash & (bucket_count - 1);
}

/* Without memory for more buckets the chains get longer, and that is all. */
static void grow(struct sb_tally *tally)
{
    size_t count = tally->bucket_count * 2;
    struct entry **buckets = calloc(count, sizeof(struct entry *));
    if (buckets == NULL)
        return;
    for (size_t i = 0; i < tally->bucket_count; i++) {
        while (tally->buckets[i] != NULL) {
            struct entry *entry = tally->buckets[i];
            size_t at = bucket_of(&entry->row, count);
            tally->buckets[i] = entry->next;
            entry->next = buckets[at];
            buckets[at] = entry;
        }
    }
    free(tally->buckets);
    tally->buckets = buckets;
    tally->bucket_count = count;
}

static size_t weight(size_t len)
{
    return sizeof(struct entry) + len + 2 * sizeof(void *); /* with its bucket and malloc's own */
}

static struct sb_view key_of(const struct entry *entry)
{
    return sb_view(entry->bytes, entry->key_len);
}

static struct sb_view aside_of(const struct entry *entry)
{
    return sb_view(entry->bytes + entry->key_len, entry->aside_len);
}

static int enter(struct sb_tally *tally, const struct sb_digest *key, const struct sb_digest *row,
    struct sb_view key_bytes, struct sb_view aside, sb_sum lines, int64_t by)
{
    size_t len = key_bytes.len + aside.len;
    if (weight(len) > tally->max_bytes - tally->bytes)
        return SB_TALLY_FULL;
    struct entry *entry = malloc(sizeof *entry + len);
    if (entry == NULL)
        return -1;
    if (tally->count >= tally->bucket_count)
        grow(tally);
    size_t at = bucket_of(row, tally->bucket_count);
    entry->key = *key;
    entry->row = *row;
    entry->balance = by;
    entry->lines = lines;
    entry->key_len = key_bytes.len;
    entry->aside_len = aside.len;
    if (key_bytes.len > 0)
        memcpy(entry->bytes, key_bytes.ptr, key_bytes.len);
    if (aside.len > 0)
        memcpy(entry->bytes + key_bytes.len, aside.ptr, aside.len);
    entry->next = tally->buckets[at];
    tally->buckets[at] = entry;
    tally->count++;
    tally->bytes += weight(len);
    tally->peak_bytes = tally->bytes > tally->peak_bytes ? tally->bytes : tally->peak_bytes;
    return 0;
}

void sb_tally_watch(struct sb_tally *tally, sb_tally_met_fn *fn, void *arg)
{
    tally->met = fn;
    tally->met_arg = arg;
}

static void leave(struct sb_tally *tally, struct entry **link)
{
    struct entry *entry = *link;
    *link = entry->next;
    tally->count--;
    tally->bytes -= weight(entry->key_len + entry->aside_len);
    tally->met_sum += entry->lines;
    free(entry);
}

int sb_tally_add_line(struct sb_tally *tally, const struct sb_digest *key, const struct sb_digest *row,
    struct sb_view key_bytes, struct sb_view aside, const struct sb_digest *line, int64_t by)
{
    sb_sum lines = sb_sum_of(line) * (sb_sum)by;
    struct entry **link = &tally->buckets[bucket_of(row, tally->bucket_count)];
    for (; *link != NULL; link = &(*link)->next) {
        struct entry *entry = *link;
        if (memcmp(&entry->row, row, sizeof *row) != 0 || memcmp(&entry->key, key, sizeof *key) != 0)
            continue;
        if (aside.len > 0 && (entry->balance > 0) != (by > 0) && !sb_view_eq(aside_of(entry), aside))
            tally->met(tally->met_arg, aside_of(entry), aside);
        entry->balance += by;
        entry->lines += lines;
        if (entry->balance == 0)
            leave(tally, link);
        return 0;
    }
    return by == 0 ? 0 : enter(tally, key, row, key_bytes, aside, lines, by);
}

sb_sum sb_tally_met_sum(const struct sb_tally *tally)
{
    return tally->met_sum;
}

int sb_tally_add(struct sb_tally *tally, const struct sb_digest *key, const struct sb_digest *row,
    struct sb_view key_bytes, int64_t by)
{
    static const struct sb_digest none;
    return sb_tally_add_line(tally, key, row, key_bytes, sb_view(NULL, 0), &none, by);
}

size_t sb_tally_count(const struct sb_tally *tally)
{
    return tally->count;
}

size_t sb_tally_peak_bytes(const struct sb_tally *tally)
{
    return tally->peak_bytes;
}

static int by_key(const void *a, const void *b)
{
    const struct entry *left = *(struct entry *const *)a, *right = *(struct entry *const *)b;
    return memcmp(&left->key, &right->key, sizeof left->key);
}

static void join(const struct entry *entry, struct sb_tally_rest *rest)
{
    if (entry->balance > 0) {
        rest->truth += entry->balance;
        rest->truth_sum += entry->lines;
        rest->truth_row = entry->row;
        rest->truth_aside = aside_of(entry);
    } else {
        rest->follower -= entry->balance;
        rest->follower_sum -= entry->lines;
        rest->follower_row = entry->row;
        rest->follower_aside = aside_of(entry);
    }
}

int sb_tally_each(const struct sb_tally *tally, sb_tally_fn *fn, void *arg)
{
    if (tally->count == 0)
        return 0;
    struct entry **all = malloc(tally->count * sizeof(struct entry *));
    size_t count = 0;
    int rc = 0;
    if (all == NULL)
        return -1;
    for (size_t i = 0; i < tally->bucket_count; i++)
        for (struct entry *entry = tally->buckets[i]; entry != NULL; entry = entry->next)
            all[count++] = entry;
    qsort(all, count, sizeof(struct entry *), by_key);
    for (size_t i = 0; i < count && rc == 0;) {
        struct sb_tally_rest rest = {.key = all[i]->key, .key_bytes = key_of(all[i])};
        for (; i < count && memcmp(&all[i]->key, &rest.key, sizeof rest.key) == 0; i++)
            join(all[i], &rest);
        rc = fn(arg, &rest);
    }
    free(all);
    return rc;
}
