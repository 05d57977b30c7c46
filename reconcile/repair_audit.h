/*
 * The audit of repairs, checked: switchback.repair_audit is a hash chain (apply/repair_book.h has its form),
 * written by apply in the transactions that it tells of. A row that was altered does not have its digest, one
 * that was taken away is missed by the next, and one that is missing at the end by its item, which counts the
 * images that were judged.
 */
#ifndef SB_RECONCILE_REPAIR_AUDIT_H
#define SB_RECONCILE_REPAIR_AUDIT_H

#include "reconcile/repair_book.h"

struct sb_audit_check {
    int64_t rows;
    int64_t broken; /* id of the first row that is not as it was written; 0: there is none */
    char why[256];  /* if something is broken, in words; "" */
};
/* A page at a time. 0 with what it came to, whatever that is. */
int sb_repair_audit_check(
    const struct sb_repair_book *book, struct sb_audit_check *ret_check, struct sb_err *err);

#endif
