/*
 * The floor: a place in the stream, so that everything before it is visible in every snapshot taken from here
 * on, and applied at every progress read from here on. A reader that begins there misses nothing that a cut
 * may split. Pure.
 *
 * It follows the stream in steps: all transactions since the last step are a generation; once a cut shows
 * them all on both sides, the floor is behind them. Of a generation the xids are kept, up to
 * SB_FLOOR_XIDS_MAX; of a larger one only the highest, and it waits until no older transaction runs on the
 * source at all.
 */
#ifndef SB_RECONCILE_FLOOR_H
#define SB_RECONCILE_FLOOR_H

#include "reconcile/window.h"
#include "stream/proof.h"

struct sb_place { /* behind a commit */
    struct sb_position position;
    int64_t offset; /* of its record in the stream; -1: not known */
    int64_t us;     /* its commit time, by the source's clock */
};

enum { SB_FLOOR_XIDS_MAX = 16384 };

struct sb_floor_generation {
    struct sb_place end;
    uint64_t xid_max;
    size_t count; /* beyond SB_FLOOR_XIDS_MAX: not all are kept */
    uint64_t xids[SB_FLOOR_XIDS_MAX];
};

struct sb_floor {
    struct sb_place place;
    struct sb_floor_generation generations[2];
    int waiting; /* the older generation */
};

void sb_floor_init(struct sb_floor *floor, const struct sb_place *begin);
/* In the stream's order. */
void sb_floor_commit(struct sb_floor *floor, uint64_t xid, const struct sb_place *place);
/* In the order in which they were taken. */
void sb_floor_cut(struct sb_floor *floor, const struct sb_cut *cut);

#endif
