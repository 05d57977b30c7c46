/*
 * The window: what the stream says about keys between two cuts, and which keys are dirty. Pure.
 *
 * The rule. Rows of the truth are read under a snapshot S, rows of the follower at its progress P. A key that
 * no transaction touched which is in exactly one of (visible in S) and (applied at P) has the same last
 * writer on both sides: then unequal bytes are a proven difference. Every other key is *dirty*, and its rows
 * say nothing by themselves.
 *
 * Why it is exact: a later writer of a key waits for the earlier one, so a key's transactions follow each
 * other, and visibility and progress each cut a beginning of that row. If none is in exactly one of them,
 * both beginnings end at the same transaction. Positions cannot say that: the stream may deliver, and apply
 * write, a commit that new snapshots do not show yet (docs/RECONCILE.md).
 *
 * What must hold, and who sees to it:
 *  - everything visible in S and everything applied at P has been put in, from where the window begins to a
 * position beyond all of it, before a cut is asked about (reconcile/follow);
 *  - what lies before the window is visible in S *and* applied at P (reconcile/anchor), and so is what was
 * forgotten: later cuts see and have applied all that an earlier cut did (one server, one timeline). More in
 * it than needed is safe: more keys are dirty, and no verdict becomes wrong.
 *
 * A table is a number of the caller's. A keyed table's touches say what the row is afterwards; of a table
 * without a key they are rows that come and go. Memory is bounded in bytes: SB-LIMIT beyond it.
 */
#ifndef SB_RECONCILE_WINDOW_H
#define SB_RECONCILE_WINDOW_H

#include "core/err.h"
#include "pg/snapshot.h"
#include "schemas/change.h"

struct sb_cut {
    struct sb_snapshot snapshot; /* S */
    uint64_t applied_lsn;        /* P: commits up to and with this one are applied */
};
static inline bool sb_cut_splits(const struct sb_cut *cut, uint64_t commit_lsn, uint64_t xid)
{
    return sb_snapshot_sees(&cut->snapshot, xid) != (commit_lsn <= cut->applied_lsn);
}

struct sb_window;

struct sb_window *sb_window_new(size_t max_bytes); /* NULL: no memory */
void sb_window_free(struct sb_window *window);     /* NULL is fine */
size_t sb_window_bytes(const struct sb_window *window);
size_t sb_window_peak_bytes(const struct sb_window *window);

/* -- what the stream says, in its order; a transaction's touches count once it is committed
 * ------------------------ */

struct sb_touch {
    uint32_t table;
    struct sb_digest key;           /* of the key's bytes */
    struct sb_view key_bytes;       /* copied */
    bool present;                   /* the row is there afterwards */
    const struct sb_digest *fields; /* if it is: of the compared columns (schemas/rowform); copied */
    size_t field_count;
};
int sb_window_touch(struct sb_window *window, const struct sb_touch *touch, struct sb_err *err);
/* A row of a table without a key came (+1) or went (-1). */
int sb_window_row(
    struct sb_window *window, uint32_t table, const struct sb_digest *row, int by, struct sb_err *err);
/* Every key of the table: emptied (TRUNCATE), or changed in a way that is not known key by key. */
int sb_window_all(struct sb_window *window, uint32_t table, bool emptied, struct sb_err *err);
int sb_window_commit(
    struct sb_window *window, uint64_t commit_lsn, uint64_t xid, int64_t commit_us, struct sb_err *err);
void sb_window_abandon(struct sb_window *window); /* its commit will never come */
/* Transactions on both sides of the cut are not needed any more. */
void sb_window_forget(struct sb_window *window, const struct sb_cut *cut);

/* -- what is dirty
 * ------------------------------------------------------------------------------------------------- */

/* Is what S shows a beginning of the stream's order, with everything applied at P in it? Then ret_lsn is the
 * commit that it ends with, among those that touched one of the tables; P if there is none behind it. */
bool sb_window_is_prefix(const struct sb_window *window, const struct sb_cut *cut, uint64_t *ret_lsn);
bool sb_window_splits_table(const struct sb_window *window, uint32_t table, const struct sb_cut *cut);
bool sb_window_is_dirty(
    const struct sb_window *window, uint32_t table, const struct sb_digest *key, const struct sb_cut *cut);
typedef int sb_window_key_fn(
    void *arg, const struct sb_digest *key, struct sb_view key_bytes, struct sb_err *err);
/* Each dirty key of the table once. 0, or fn's -1. */
int sb_window_dirty(struct sb_window *window, uint32_t table, const struct sb_cut *cut, sb_window_key_fn *fn,
    void *arg, struct sb_err *err);
/* Rows by which the truth must differ from the follower, of a table without a key: +1, it has one more. */
typedef int sb_window_row_fn(void *arg, const struct sb_digest *row, int by, struct sb_err *err);
int sb_window_owed(const struct sb_window *window, uint32_t table, const struct sb_cut *cut,
    sb_window_row_fn *fn, void *arg, struct sb_err *err);

/* What the stream knows of one key, oldest first. Steps before the window are not there: a row that nobody
 * touched has no steps. */
struct sb_change_at {         /* a transaction of the source that changed something */
    uint64_t commit_lsn, xid; /* 0: not known, or of several */
    int64_t commit_us;        /* of the source's clock, for people */
};
struct sb_history_step {
    bool present;
    const struct sb_digest *fields; /* unknown ones are zero; valid until the window changes */
    bool seen, applied;
    struct sb_change_at at; /* of the oldest none, if it stands for several that were forgotten */
};
struct sb_history {
    struct sb_history_step *steps;
    size_t count, cap;
};
void sb_history_clear(struct sb_history *history);
/* Filled anew. SB-NO-MEMORY. */
int sb_window_history(const struct sb_window *window, uint32_t table, const struct sb_digest *key,
    const struct sb_cut *cut, struct sb_history *history, struct sb_err *err);

#endif
