/*
 * The board: what the stage says of each table, in a file of the state directory, for `switchback status`,
 * which asks no server. Written anew as a whole; whoever reads it sees one state or the next.
 *
 * A line a table, its fields divided by tabs, after a line that says which form it is. Names have no control
 * characters in it.
 */
#ifndef SB_RECONCILE_BOARD_H
#define SB_RECONCILE_BOARD_H

#include "core/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SB_BOARD_NAME_BYTES = 264, SB_BOARD_WHY_BYTES = 200 };

struct sb_board_table {
    char name[SB_BOARD_NAME_BYTES]; /* schema.name */
    bool compared, proven, passing;
    uint64_t frontier_lsn;         /* 0: undefined */
    int64_t frontier_us;           /* its commit time */
    int64_t chunks_done, chunks;   /* of the pass under way */
    int64_t unproven, differences; /* changes, and keys */
    int64_t passed_us;             /* when it was last compared as a whole; 0: never */
    char why[SB_BOARD_WHY_BYTES];  /* it does not get on, or is not compared; empty: nothing to say */
};

struct sb_board {
    struct sb_board_table *tables;
    size_t count;
};

int sb_board_write(const char *path, const struct sb_board *board, struct sb_err *err);
/* 0; 1: there is none; -1: SB-STATE-FORMAT, SB-IO, SB-NO-MEMORY. */
int sb_board_read(const char *path, struct sb_board *ret_board, struct sb_err *err);
void sb_board_clear(struct sb_board *board);

#endif
