#include "reconcile/floor.h"

#include <string.h>

static void generation_begin(struct sb_floor_generation *generation, const struct sb_place *place)
{
    generation->end = *place;
    generation->xid_max = 0;
    generation->count = 0;
}

void sb_floor_init(struct sb_floor *floor, const struct sb_place *begin)
{
    floor->place = *begin;
    floor->waiting = 0;
    generation_begin(&floor->generations[0], begin);
    generation_begin(&floor->generations[1], begin);
}

void sb_floor_commit(struct sb_floor *floor, uint64_t xid, const struct sb_place *place)
{
    struct sb_floor_generation *newest = &floor->generations[1 - floor->waiting];
    newest->end = *place;
    newest->xid_max = xid > newest->xid_max ? xid : newest->xid_max;
    if (newest->count < SB_FLOOR_XIDS_MAX)
        newest->xids[newest->count] = xid;
    newest->count++;
}

static bool shows(const struct sb_cut *cut, const struct sb_floor_generation *generation)
{
    if (generation->end.position.commit_lsn > cut->applied_lsn)
        return false;
    if (generation->xid_max < cut->snapshot.xmin)
        return true;
    if (generation->count > SB_FLOOR_XIDS_MAX)
        return false;
    for (size_t i = 0; i < generation->count; i++)
        if (!sb_snapshot_sees(&cut->snapshot, generation->xids[i]))
            return false;
    return true;
}

void sb_floor_cut(struct sb_floor *floor, const struct sb_cut *cut)
{
    struct sb_floor_generation *waiting = &floor->generations[floor->waiting];
    if (!shows(cut, waiting))
        return;
    floor->place = waiting->end;
    floor->waiting = 1 - floor->waiting;
    generation_begin(waiting, &floor->generations[floor->waiting].end);
}
