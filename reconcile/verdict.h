/*
 * The verdict on one key that was read on both sides at a cut. Pure.
 *
 * A key that the cut does not split: both sides have the same last writer, so the two rows are compared with
 * one another. A key that it splits is decided by the stream: the truth's row must be what the stream's steps
 * that S sees amount to, the follower's what those applied at P do. A value that did not travel (unchanged
 * TOAST) is what it was before; where that is not known either, and nothing between the two cuts wrote it,
 * both rows must have the same.
 *
 * Not decided is a key whose newest step at P is not in the window (its history at P lies before it), or
 * whose steps are no row of beginnings. Read again, a key that is always written is decided by the steps that
 * came since.
 */
#ifndef SB_RECONCILE_VERDICT_H
#define SB_RECONCILE_VERDICT_H

#include "reconcile/table.h"
#include "reconcile/window.h"

struct sb_row_image {               /* the rows of a key on one side */
    int64_t count;                  /* more than one: the key is not unique there */
    const struct sb_digest *fields; /* of one of them; NULL if there is none */
    struct sb_view aside;           /* of it, as the tally has it (reconcile/accept) */
};

enum sb_verdict_is { SB_KEY_EQUAL, SB_KEY_DIFFERS, SB_KEY_UNDECIDED };
enum sb_verdict_kind { SB_DIFF_MISSING, SB_DIFF_EXTRA, SB_DIFF_CHANGED };
const char *sb_verdict_kind_name(enum sb_verdict_kind kind); /* "missing" */
enum sb_verdict_kind sb_verdict_kind_find(const char *name); /* changed, if there is none of that name */

struct sb_key_verdict {
    enum sb_verdict_is is;
    enum sb_verdict_kind kind; /* if it differs */
    bool by_stream;            /* the stream decided */
    bool source_differs; /* the truth is not what the stream says: it was captured wrongly, or written past it
                          */
};
/* Of a table: its columns and their rules. ret_differs: of each column, if it differs and both sides have the
 * row. */
void sb_verdict_judge(const struct sb_verify_table *table, const struct sb_history *history,
    const struct sb_row_image *truth, const struct sb_row_image *follower, struct sb_key_verdict *ret_verdict,
    bool *ret_differs);

#endif
