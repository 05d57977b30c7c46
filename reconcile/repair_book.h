/*
 * What is written about repairs on the target: switchback.repair, repair_item, and the states of the
 * differences that a repair is made of (schemas/sql/target.sql). Between two transactions of a compare the
 * same session serves both.
 *
 * A difference is `repairing` while a repair with its item is running, and then `repaired` (an image of ours
 * was applied, and it compared equal), `gone` (it compared equal by itself) or `open` again.
 */
#ifndef SB_RECONCILE_REPAIR_BOOK_H
#define SB_RECONCILE_REPAIR_BOOK_H

#include "core/arena.h"
#include "pg/conn.h"
#include "schemas/change.h"

struct sb_repair_book { /* strings and session are the caller's */
    struct sb_conn *conn;
    const char *migration, *direction;
};

enum sb_item_outcome { /* as switchback.repair_item has it */
    SB_OUTCOME_NONE,   /* no image of it was judged */
    SB_OUTCOME_APPLIED,
    SB_OUTCOME_NOOP_EQUAL,
    SB_OUTCOME_SKIPPED_NEWER, /* asked again */
    SB_OUTCOME_SKIPPED_RING,  /* the same */
    SB_OUTCOME_SKIPPED_GUARD, /* final for a run, as those below */
    SB_OUTCOME_SKIPPED_SCHEMA,
    SB_OUTCOME_SKIPPED_OWNER,
    SB_OUTCOME_SKIPPED_REFUSED, /* by the target, with a SQLSTATE */
    SB_OUTCOME_COUNT,
};
const char *sb_item_outcome_name(enum sb_item_outcome outcome); /* "skipped_newer"; "none" */

struct sb_repair_head {
    int64_t id;
    uint64_t ownership_epoch;
    char state[16];      /* planned, running, done, stopped */
    int64_t undoes;      /* 0: it is no undo */
    const char *refused; /* why a plan may not be run; "" */
};
/* 0 with ret_found false if there is none. Strings live in arena. */
int sb_repair_book_head(const struct sb_repair_book *book, int64_t id, struct sb_arena *arena,
    struct sb_repair_head *ret_head, bool *ret_found, struct sb_err *err);

/* One repair at a time, for as long as the session lives. */
int sb_repair_book_lock(const struct sb_repair_book *book, bool *ret_got, struct sb_err *err);
/* Behind the lock: what a repair that is no more has left running is stopped, and its differences are open
 * again. */
int sb_repair_book_sweep(const struct sb_repair_book *book, struct sb_err *err);
/* plan_digest: the items are what they are from now on. */
int sb_repair_book_seal(const struct sb_repair_book *book, int64_t id, struct sb_err *err);
/* state running; its differences that are open are repairing. */
int sb_repair_book_begin(const struct sb_repair_book *book, int64_t id, struct sb_err *err);
/* state done or stopped with why; what is repairing still is open again. */
int sb_repair_book_end(const struct sb_repair_book *book, int64_t id, const char *why, struct sb_err *err);

struct sb_repair_item {
    int64_t item;
    const char *relation; /* quoted */
    struct sb_view key;
    bool guard_present;
    struct sb_digest guard;
    enum sb_item_outcome outcome;
    int64_t tries;
    bool equal; /* compared again, and equal */
};
/* The next items behind `after` that are to be done: not verified, and their difference is not closed
 * otherwise. refused: of these only what the target has refused. All are of one table. Everything lives in
 * arena; ret_count 0: there is none. */
int sb_repair_book_items(const struct sb_repair_book *book, int64_t id, int64_t after, int64_t rows_max,
    bool refused, struct sb_arena *arena, struct sb_repair_item **ret_items, size_t *ret_count,
    struct sb_err *err);
/* Outcome and tries of these items, anew. */
int sb_repair_book_outcomes(const struct sb_repair_book *book, int64_t id, struct sb_repair_item *items,
    size_t count, struct sb_err *err);
/* Those that are equal are verified, and their differences closed. */
int sb_repair_book_verified(const struct sb_repair_book *book, int64_t id, const struct sb_repair_item *items,
    size_t count, struct sb_err *err);
/* Of an undo: those that apply did are verified by its own word, and their differences held. */
int sb_repair_book_undone(const struct sb_repair_book *book, int64_t id, struct sb_err *err);

struct sb_repair_counts {
    int64_t items, verified;
    int64_t by_outcome[SB_OUTCOME_COUNT]; /* of those that are not verified */
    int64_t closed;                       /* not verified, and the difference is not this repair's any more */
};
int sb_repair_book_counts(
    const struct sb_repair_book *book, int64_t id, struct sb_repair_counts *ret_counts, struct sb_err *err);

/* Apply's ring is wanted for so long from now on (0: no longer). anew: what apply has said of it is
 * forgotten, so that what it says next is of a ring that is there. ret_whole_from: every commit behind it is
 * remembered; 0: apply has not said. */
int sb_repair_book_ring(const struct sb_repair_book *book, int64_t for_s, bool anew, uint64_t *ret_whole_from,
    struct sb_err *err);

#endif
