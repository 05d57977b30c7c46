/*
 * What a compare did with one chunk, so that it can be added up again: for a certificate. A record of values.
 *
 * Where no key is dirty, nothing is owed and nothing was put off, the rows and sums of the two sides differ
 * by exactly those of the differences that were found in the chunk, and by by_rule_sum.
 */
#ifndef SB_RECONCILE_CHUNK_RECORD_H
#define SB_RECONCILE_CHUNK_RECORD_H

#include "pg/snapshot.h"
#include "reconcile/sum.h"
#include "reconcile/table.h"

struct sb_chunk_record {
    struct sb_chunk_record *next;
    const struct sb_key_range *range; /* the plan's */
    unsigned bits; /* of the keys' digests, of which the first so many are slice; 0: all of them */
    uint32_t slice;
    const struct sb_snapshot *seen; /* S; valid while the record is handed out */
    const char *snapshot;           /* its text, of one that is kept */
    uint64_t h, applied_lsn;
    int64_t rows[2];      /* by enum sb_side */
    sb_sum sum[2];        /* of the XXH3-128 of their lines as COPY gives them, with the line break */
    int64_t dirty;        /* keys, decided later */
    sb_sum dirty_sum;     /* of the keys' digests */
    int64_t owed;         /* rows of a table without a key that were written between the cuts */
    int64_t put_off;      /* keys that are compared value by value later, for the sake of a rule */
    int64_t differences;  /* rows, as they are counted */
    int64_t differing[2]; /* rows of each side in them */
    sb_sum differing_sum[2];
    sb_sum by_rule_sum; /* by how much the sums of rows are apart that are equal by a rule only */
};

#endif
