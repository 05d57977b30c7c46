/*
 * What the stage has proven, on the target: switchback.verified, verified_chunk and verified_place, so that
 * another incarnation goes on from there.
 *
 * Everything of one save is one transaction: the place from which the stream is read again goes with the
 * states and chunks that are of use from there (reconcile/frontier, sb_frontier_resume). A place of another
 * stream or timeline is none.
 */
#ifndef SB_RECONCILE_VERIFIED_H
#define SB_RECONCILE_VERIFIED_H

#include "pg/conn.h"
#include "reconcile/frontier.h"
#include "reconcile/table.h"

struct sb_verified { /* strings and session outlive it */
    struct sb_conn *target;
    const char *migration, *direction;
    struct sb_uuid stream;
    uint32_t timeline;
};

/* 0 with the place; 1: there is none; -1. */
int sb_verified_place(const struct sb_verified *verified, struct sb_place *ret_place, struct sb_err *err);
int sb_verified_forget_place(const struct sb_verified *verified, struct sb_err *err);

struct sb_verified_table {
    bool same_shape; /* as it is planned now */
    struct sb_frontier_state state;
    bool passing;
    int64_t passed_us; /* by the target's clock; 0: never */
    bool copied_since; /* rows of it were copied after that, or after a chunk of the pass under way */
};
/* 0; 1: there is nothing about the table; -1. */
int sb_verified_load(const struct sb_verified *verified, const struct sb_verify_table *table,
    struct sb_verified_table *ret_table, struct sb_err *err);
/* Finished ranges of the newest pass, in arena. */
int sb_verified_chunks(const struct sb_verified *verified, const struct sb_verify_table *table,
    struct sb_arena *arena, struct sb_ranges *ret_done, struct sb_err *err);

/* A save: begin, any of the others, end. */
int sb_verified_begin(const struct sb_verified *verified, const struct sb_place *place, struct sb_err *err);
int sb_verified_put(const struct sb_verified *verified, const struct sb_verify_table *table,
    const struct sb_verified_table *what, size_t differences, struct sb_err *err);
int sb_verified_put_chunk(const struct sb_verified *verified, const struct sb_verify_table *table,
    const struct sb_key_range *range, int64_t rows, struct sb_err *err);
int sb_verified_drop_chunks(
    const struct sb_verified *verified, const struct sb_verify_table *table, struct sb_err *err);
int sb_verified_end(const struct sb_verified *verified, struct sb_err *err);

/* The target's clock, microseconds since 1970. */
int sb_verified_now(const struct sb_verified *verified, int64_t *ret_us, struct sb_err *err);
/* A whole pass that began then found no difference of a table without a key: what was open is gone. */
int sb_verified_clean(const struct sb_verified *verified, const struct sb_verify_table *table,
    int64_t since_us, struct sb_err *err);
/* The key is equal (again): its open difference is gone. What a repair is at is its own to close. */
int sb_verified_mended(const struct sb_verified *verified, const struct sb_verify_table *table,
    const struct sb_digest *key, struct sb_err *err);

#endif
