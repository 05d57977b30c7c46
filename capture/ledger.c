#include "capture/ledger.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t ticket;
    uint64_t commit_lsn;
    bool after_gap; /* commits between the entry before and this one were forgotten */
    bool has_chain;
    struct sb_digest chain;
};

/* entries[(head + i) % capacity], i < count, in ascending order of both numbers. The entry confirmed last
 * stays at the head, so that its chain is still known. */
struct sb_ledger {
    enum sb_ledger_ack ack;
    uint64_t confirmed_lsn;
    uint64_t stored_lsn;
    uint64_t durable_ticket;
    uint64_t applied_lsn;
    size_t capacity;
    size_t head;
    size_t count;
    size_t durable_count; /* how many of them, from the head, are durable */
    struct entry entries[];
};

struct sb_ledger *sb_ledger_new(enum sb_ledger_ack ack, size_t capacity, uint64_t start_lsn)
{
    assert(capacity >= 2);
    struct sb_ledger *ledger = calloc(1, sizeof *ledger + capacity * sizeof(struct entry));
    if (ledger == NULL)
        return NULL;
    ledger->ack = ack;
    ledger->capacity = capacity;
    ledger->confirmed_lsn = start_lsn;
    ledger->stored_lsn = start_lsn;
    return ledger;
}

void sb_ledger_free(struct sb_ledger *ledger)
{
    free(ledger);
}

void sb_ledger_ack(struct sb_ledger *ledger, enum sb_ledger_ack ack)
{
    ledger->ack = ack;
}

static struct entry *entry_at(const struct sb_ledger *ledger, size_t i)
{
    return (struct entry *)&ledger->entries[(ledger->head + i) % ledger->capacity];
}

/* How many entries, from the head, lie at or below lsn. */
static size_t count_below(const struct sb_ledger *ledger, uint64_t lsn)
{
    size_t low = 0;
    size_t high = ledger->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (entry_at(ledger, mid)->commit_lsn <= lsn)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void note_durable(struct sb_ledger *ledger)
{
    while (ledger->durable_count < ledger->count &&
           entry_at(ledger, ledger->durable_count)->ticket <= ledger->durable_ticket) {
        uint64_t lsn = entry_at(ledger, ledger->durable_count++)->commit_lsn;
        ledger->stored_lsn = lsn > ledger->stored_lsn ? lsn : ledger->stored_lsn;
    }
}

/* Forget every second entry, keeping the newest. */
static void thin(struct sb_ledger *ledger)
{
    size_t kept = 0;
    for (size_t i = (ledger->count + 1) % 2; i < ledger->count; i += 2) {
        *entry_at(ledger, kept) = *entry_at(ledger, i);
        entry_at(ledger, kept++)->after_gap = true;
    }
    ledger->count = kept;
    ledger->durable_count = 0;
    note_durable(ledger);
}

void sb_ledger_add(
    struct sb_ledger *ledger, uint64_t ticket, uint64_t commit_lsn, const struct sb_digest *chain)
{
    if (ledger->count == ledger->capacity)
        thin(ledger);
    assert(ledger->count == 0 || entry_at(ledger, ledger->count - 1)->commit_lsn < commit_lsn);
    assert(ledger->count == 0 || entry_at(ledger, ledger->count - 1)->ticket <= ticket);
    *entry_at(ledger, ledger->count) = (struct entry){.ticket = ticket,
        .commit_lsn = commit_lsn,
        .has_chain = chain != NULL,
        .chain = chain != NULL ? *chain : (struct sb_digest){{0}}};
    ledger->count++;
    note_durable(ledger);
}

void sb_ledger_durable(struct sb_ledger *ledger, uint64_t ticket)
{
    if (ticket <= ledger->durable_ticket)
        return;
    ledger->durable_ticket = ticket;
    note_durable(ledger);
}

static bool contradicts(const struct sb_ledger *ledger, uint64_t commit_lsn, const struct sb_digest *chain)
{
    size_t below = count_below(ledger, commit_lsn);
    if (below == 0)
        return false; /* older than anything remembered */
    const struct entry *entry = entry_at(ledger, below - 1);
    if (entry->commit_lsn == commit_lsn)
        return entry->has_chain && memcmp(&entry->chain, chain, sizeof *chain) != 0;
    return below < ledger->count && !entry_at(ledger, below)->after_gap;
}

bool sb_ledger_applied(struct sb_ledger *ledger, uint64_t commit_lsn, const struct sb_digest *chain)
{
    if (contradicts(ledger, commit_lsn, chain))
        return false;
    if (commit_lsn > ledger->applied_lsn)
        ledger->applied_lsn = commit_lsn;
    return true;
}

uint64_t sb_ledger_confirm(struct sb_ledger *ledger)
{
    size_t good = ledger->durable_count;
    if (ledger->ack == SB_LEDGER_TARGET) {
        size_t applied = count_below(ledger, ledger->applied_lsn);
        good = applied < good ? applied : good;
    }
    if (good == 0)
        return ledger->confirmed_lsn;
    uint64_t lsn = entry_at(ledger, good - 1)->commit_lsn;
    if (lsn > ledger->confirmed_lsn)
        ledger->confirmed_lsn = lsn;
    ledger->head = (ledger->head + good - 1) % ledger->capacity;
    ledger->count -= good - 1;
    ledger->durable_count -= good - 1;
    return ledger->confirmed_lsn;
}

uint64_t sb_ledger_stored(const struct sb_ledger *ledger)
{
    return ledger->stored_lsn;
}

size_t sb_ledger_count(const struct sb_ledger *ledger)
{
    return ledger->count;
}
