/*
 * A difference as the compare hands it out, at the moment when it is proven: with the bytes and digests that
 * the ledger keeps (switchback.difference). What it points to is valid during the call.
 */
#ifndef SB_RECONCILE_FINDING_H
#define SB_RECONCILE_FINDING_H

#include "reconcile/table.h"
#include "reconcile/verdict.h"

struct sb_finding {
    const struct sb_verify_table *table;
    enum sb_verdict_kind kind;
    int64_t rows;                   /* of a table without a key: so many of the same; else 1 */
    struct sb_digest key;           /* of a table without a key: of the row */
    struct sb_view key_bytes;       /* schemas/rowform; empty: there is no key */
    const bool *differs;            /* of changed, by column; NULL: not known */
    const struct sb_digest *row[2]; /* by enum sb_side; NULL: that side has none */
    bool by_stream, source_differs; /* as the verdict has them */
    uint64_t h, applied_lsn;        /* the cut it was proven at */
    struct sb_change_at newest;     /* change of the key that is known */
};
/* Both servers' transactions have ended when it is called. 0 or -1. */
typedef int sb_finding_fn(void *arg, const struct sb_finding *finding, struct sb_err *err);

#endif
