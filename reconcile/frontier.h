/*
 * The frontier: up to which commit of the source everything is proven equal on the target. Pure.
 *
 * It is a ledger of touches. Each change that the stream brings is a touch of a key by a transaction, and
 * unproven until the key was judged equal under a cut (S, P) with that transaction visible in S and applied
 * at P. A table's frontier is the commit before its oldest unproven touch, and not beyond what is applied;
 * the database's is the least of all tables. It never goes back.
 *
 * What no touch tells, the rows as they were before the stream was followed, a full pass proves: every row of
 * the table compared, each under some cut, while the ledger takes note of all touches behind the place where
 * it began. A key that a chunk could not judge, because it was touched between the cuts, has that touch in
 * the ledger, and is judged for it later. So a table is proven once its pass is over and no touch is left
 * that the stream had brought by then.
 *
 * A table *needs a pass* (again) where touches are not known key by key: TRUNCATE, a key that did not travel,
 * or more touches than fit into max_bytes (then those of the largest table are dropped). Its frontier stays
 * where it is until the pass is over. Such a pass must not begin before a cut shows all that was dropped.
 *
 * A difference holds its table's frontier where it is until the key is judged equal.
 *
 * Tables without a key are proven as a whole: a pass of one shows what the follower is at P, and so proves it
 * up to P; what came later waits for the next one.
 *
 * What must hold, and who sees to it: everything up to the place where the ledger begins is visible in every
 * snapshot and applied at every progress from there on (reconcile/anchor, or a place that sb_frontier_resume
 * gave); cuts are given in the order in which they were taken, and everything they show was told before.
 */
#ifndef SB_RECONCILE_FRONTIER_H
#define SB_RECONCILE_FRONTIER_H

#include "reconcile/floor.h"

/* Of a table: what outlives the process. */
struct sb_frontier_state {
    bool compared; /* false: no frontier, and it holds nobody's */
    bool keyed;
    bool needs_pass;
    bool proven;        /* passed, and all touches of that time judged */
    uint64_t passed_to; /* the newest commit that the stream had brought when the pass ended */
    uint64_t lsn;       /* the frontier; 0: undefined, it was never proven */
    int64_t us;
};

struct sb_frontier;

/* NULL: no memory. Every table is one that is not compared, until sb_frontier_set says otherwise. */
struct sb_frontier *sb_frontier_new(uint32_t table_count, size_t max_bytes, const struct sb_place *begin);
void sb_frontier_free(struct sb_frontier *frontier); /* NULL is fine */
void sb_frontier_set(struct sb_frontier *frontier, uint32_t table, const struct sb_frontier_state *state);

/* -- what the stream says, in its order; touches count once they are committed ----------------------------
 */

void sb_frontier_touch(
    struct sb_frontier *frontier, uint32_t table, const struct sb_digest *key, struct sb_view key_bytes);
void sb_frontier_row(struct sb_frontier *frontier, uint32_t table); /* of a table without a key */
/* Not known key by key. emptied: by TRUNCATE, which waits for all writers of the table, and they for it. */
void sb_frontier_all(struct sb_frontier *frontier, uint32_t table, bool emptied);
void sb_frontier_commit(struct sb_frontier *frontier, uint64_t xid, const struct sb_place *place);
void sb_frontier_abandon(struct sb_frontier *frontier);

/* -- what was judged --------------------------------------------------------------------------------------
 */

/* A cut was taken, of whatever table: place is that of P. */
void sb_frontier_cut(struct sb_frontier *frontier, const struct sb_cut *cut, const struct sb_place *place);
void sb_frontier_equal(
    struct sb_frontier *frontier, uint32_t table, const struct sb_digest *key, const struct sb_cut *cut);
/* A proven difference. True if the key was not held before. */
bool sb_frontier_differs(
    struct sb_frontier *frontier, uint32_t table, const struct sb_digest *key, struct sb_view key_bytes);
/* A difference that no key stands for: held until a pass without one. */
void sb_frontier_unclean(struct sb_frontier *frontier, uint32_t table);

/* -- passes -----------------------------------------------------------------------------------------------
 */

bool sb_frontier_may_pass(const struct sb_frontier *frontier, uint32_t table);
void sb_frontier_pass_begin(struct sb_frontier *frontier, uint32_t table);
/* False: what was compared so far is of no use, begin anew. */
bool sb_frontier_pass_holds(const struct sb_frontier *frontier, uint32_t table);
/* Every row was compared. applied: of a table without a key, the place of P of the pass's first cut. False as
 * above. */
bool sb_frontier_passed(struct sb_frontier *frontier, uint32_t table, const struct sb_place *applied);

/* -- what to do next --------------------------------------------------------------------------------------
 */

struct sb_frontier_key {
    struct sb_digest key;
    struct sb_view bytes; /* until the ledger changes */
};
/* Keys of the table with applied touches, the oldest first, each once a turn; held ones are left out. */
size_t sb_frontier_due(
    struct sb_frontier *frontier, uint32_t table, struct sb_frontier_key *keys, size_t max);
/* Held keys, in turn. */
size_t sb_frontier_held(
    struct sb_frontier *frontier, uint32_t table, struct sb_frontier_key *keys, size_t max);
void sb_frontier_turn(struct sb_frontier *frontier);

/* -- what came of it --------------------------------------------------------------------------------------
 */

void sb_frontier_get(struct sb_frontier *frontier, uint32_t table, struct sb_frontier_state *ret_state);
/* The same for another ledger to go on with. Keys that differ are not known there, but for those with
 * unproven touches: the table needs a pass, of which chunks without differences are still of use. */
void sb_frontier_save(struct sb_frontier *frontier, uint32_t table, struct sb_frontier_state *ret_state);
/* The least of all compared tables; without any, what is applied. False: one is undefined. */
bool sb_frontier_database(struct sb_frontier *frontier, uint64_t *ret_lsn, int64_t *ret_us);
/* Where another ledger may begin with the tables' states, and finds all touches again that matter; chunks of
 * passes that hold stay compared. */
struct sb_place sb_frontier_resume(const struct sb_frontier *frontier);

struct sb_frontier_counts {
    size_t touches; /* unproven */
    size_t held;    /* keys that differ */
    bool touched;   /* without a key: since what its newest pass proved */
    bool stale;     /* a cut that shows all that was dropped has not come yet */
};
void sb_frontier_count(
    const struct sb_frontier *frontier, uint32_t table, struct sb_frontier_counts *ret_counts);
uint64_t sb_frontier_drops(const struct sb_frontier *frontier); /* tables whose touches did not fit, so far */
size_t sb_frontier_peak_bytes(const struct sb_frontier *frontier);

#endif
