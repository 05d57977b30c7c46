/*
 * What apply writes down for repairs, on the target: switchback.repair_audit, a hash chain of what was done
 * row by row; the outcome in switchback.repair_item; and its half of switchback.repair_ring.
 */
#ifndef SB_APPLY_REPAIR_BOOK_H
#define SB_APPLY_REPAIR_BOOK_H

#include "apply/repair_row.h"

/*
 * One row of the image, in the open target transaction. Its digest is the SHA-256 of the one before (32 zero
 * bytes for the first of a migration and direction) followed by the text of
 *
 *     jsonb_build_array(migration, direction, repair, item, relation, key_shown, outcome, sqlstate, before,
 *         after, snapshot, commit_lsn::text, applied_at in microseconds since 1970)
 */
int sb_repair_book_row(const struct sb_repair_job *job, uint32_t at, uint64_t commit_lsn, struct sb_err *err);

struct sb_repair_wish {
    bool wanted;         /* somebody repairs, and wants touched keys to be remembered */
    bool found;          /* the row */
    uint64_t whole_from; /* as it was written last; 0: not */
};
/* Nothing is wanted where the table is not there. */
int sb_repair_book_wish(struct sb_conn *conn, const char *migration, const char *direction,
    struct sb_repair_wish *ret_wish, struct sb_err *err);
/* 0: NULL, none. */
int sb_repair_book_whole_from(struct sb_conn *conn, const char *migration, const char *direction,
    uint64_t whole_from, struct sb_err *err);

#endif
