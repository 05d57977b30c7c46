/*
 * The ledger of differences: switchback.difference on the target, a row for each key of a table, written
 * while a run finds them. Rows are kept back until there is a batch of them, so that a million takes little
 * memory and little time; whoever reads the table meanwhile sees those of the batches that are written.
 *
 * Found again, a row goes on: repaired and gone are open again, held and repairing stay. What a run that
 * compared all of a table did not find again is gone.
 */
#ifndef SB_RECONCILE_DIFFERENCES_H
#define SB_RECONCILE_DIFFERENCES_H

#include "reconcile/finding.h"

struct sb_differences;

struct sb_differences_options { /* strings and session outlive the ledger */
    struct sb_conn *target;
    const char *migration, *direction;
    int64_t run; /* switchback.verify_run */
};
int sb_differences_new(
    const struct sb_differences_options *options, struct sb_differences **ret_all, struct sb_err *err);
void sb_differences_free(struct sb_differences *all); /* NULL is fine */

/* Not within a transaction. SB-LIMIT: the key is too large to be written down. */
int sb_differences_add(struct sb_differences *all, const struct sb_finding *finding, struct sb_err *err);
int sb_differences_flush(struct sb_differences *all, struct sb_err *err);
/* Everything of the table was compared by this run, and all of it is written. */
int sb_differences_close(struct sb_differences *all, const struct sb_verify_table *table, struct sb_err *err);

#endif
