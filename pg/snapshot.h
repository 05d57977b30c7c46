/*
 * Transaction ids and snapshots: what is visible in what. Pure.
 *
 * The rule under everything (docs/COPY.md): a row image read under snapshot S is stamped with S. A
 * change in the stream is newer than the image if and only if its xid is not visible in S. LSNs cannot say
 * that: a logical slot may deliver a commit that new snapshots do not show yet.
 *
 * All xids here have 64 bits (epoch and 32-bit xid). The stream's 32 bits are widened once, by capture, with
 * sb_xid_widen; nobody else compares modularly.
 */
#ifndef SB_PG_SNAPSHOT_H
#define SB_PG_SNAPSHOT_H

#include "core/arena.h"

/* The 64-bit xid of which xid32 are the low bits, given the source's next xid at some moment: right as long
 * as the two are less than 2^31 apart, which holds for WAL that is still to be decoded. 0, 1 and 2 (not
 * ordinary xids) stay. */
uint64_t sb_xid_widen(uint32_t xid32, uint64_t next_xid);

struct sb_snapshot {
    uint64_t xmin; /* every xid below is visible (or aborted) */
    uint64_t xmax; /* no xid from here on is visible */
    size_t xip_count;
    const uint64_t *xip; /* in progress, ascending, within [xmin, xmax) */
};

/* Reads pg_current_snapshot()'s text "10:20:10,14,15". False if it is malformed or not in order. xip lives in
 * arena. */
bool sb_snapshot_parse(const char *text, struct sb_arena *arena, struct sb_snapshot *ret_snapshot);
void sb_snapshot_put(const struct sb_snapshot *snapshot, struct sb_buf *out); /* the text again */
bool sb_snapshot_sees(const struct sb_snapshot *snapshot, uint64_t xid);

#endif
