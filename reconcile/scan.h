/*
 * A scan: the rows of a chunk as both sides give them, in any order, until they cancel. Pure.
 *
 * A row comes as a line of COPY. Two rows whose lines are the same are the same in everything: they cancel
 * without being looked into, which is what happens to most. What meets nothing in a while is split, digested
 * under the rules of its columns, and tallied by its key (reconcile/tally). What is left in the end are rows
 * that one side has and the other has not.
 *
 * A chunk that does not fit is scanned in slices: of each key's digest so many bits must be the slice's
 * number.
 */
#ifndef SB_RECONCILE_SCAN_H
#define SB_RECONCILE_SCAN_H

#include "pg/conn.h"
#include "reconcile/sum.h"
#include "reconcile/table.h"
#include "reconcile/tally.h"

struct sb_scan_slice {
    unsigned bits; /* 0: all rows */
    uint32_t number;
};
bool sb_scan_slice_has(const struct sb_scan_slice *slice, const struct sb_digest *key);

struct sb_scan_row { /* valid until the next one */
    struct sb_digest key, row;
    struct sb_view key_bytes; /* empty: the table has no key, or the row's is NULL: then key is row */
    struct sb_view aside;     /* reconcile/accept */
    const struct sb_digest *fields;
};

struct sb_scan_count { /* by enum sb_side */
    int64_t rows[2];
    sb_sum sums[2]; /* of the lines' digests */
};

struct sb_scan;

/* NULL: no memory. */
struct sb_scan *sb_scan_new(size_t max_bytes);
void sb_scan_free(struct sb_scan *scan); /* NULL is fine */
/* Of another table or slice: what was scanned is forgotten. */
void sb_scan_begin(
    struct sb_scan *scan, const struct sb_verify_table *table, const struct sb_scan_slice *slice);

enum { SB_SCAN_FULL = 1 };
/* line is changed. 0, SB_SCAN_FULL, or -1. */
int sb_scan_line(struct sb_scan *scan, enum sb_side side, char *line, size_t len, struct sb_err *err);
/* All lines were given: 0 with what is left, SB_SCAN_FULL, or -1. */
int sb_scan_settle(struct sb_scan *scan, struct sb_err *err);
/* A row of a table without a key that only one side can have, for what was written meanwhile: by as the
 * tally's. */
int sb_scan_owe(struct sb_scan *scan, const struct sb_digest *row, int by, struct sb_err *err);
/* What is left, as sb_tally_each. */
int sb_scan_each(const struct sb_scan *scan, sb_tally_fn *fn, void *arg);
const struct sb_scan_count *sb_scan_count(const struct sb_scan *scan);
sb_sum sb_scan_met_sum(const struct sb_scan *scan); /* of rows that are equal by a rule alone */
/* They count: add what rules let pass to the rules (reconcile/accept). */
void sb_scan_accept(struct sb_scan *scan);
size_t sb_scan_peak_bytes(const struct sb_scan *scan);

/* A line of the table at work by itself. */
int sb_scan_split(
    struct sb_scan *scan, char *line, size_t len, struct sb_scan_row *ret_row, struct sb_err *err);

#endif
