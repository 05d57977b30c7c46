/*
 * Is the log whole? Walks it with the reader's proof and says what was proven. After a break it goes on
 * behind the next commit, whose chain is then taken as given, so that the extent of a damage is seen.
 *
 * A hole is no damage if a later epoch has written anew what is missing: its open goes back to where the
 * proof stands, and the walk goes on there with nothing taken as given, as apply does.
 *
 * A walk begins at the stream's very first record, or else at the first `open` or behind the first `commit`
 * at or behind `from`: what precedes it cannot be proven, and the report says so.
 */
#ifndef SB_STREAM_VERIFY_H
#define SB_STREAM_VERIFY_H

#include "stream/proof.h"
#include "stream/stream.h"

enum { SB_VERIFY_BREAKS_MAX = 100 };

struct sb_verify_break {
    int64_t after;  /* offset of the newest good record; -1: none */
    int64_t at;     /* offset of the record where it was noticed; -1: it could not be read */
    int64_t resume; /* offset of the commit behind which the walk went on, or of the open that mends it; -1:
                       none came */
    bool mended;    /* a later epoch wrote anew what is missing: the log is whole all the same */
    struct sb_err err;
};

struct sb_verify_report {
    int64_t oldest, next; /* the log's bounds */
    bool from_beginning;  /* began at the stream's first record: nothing was taken as given */
    int64_t anchor;       /* offset of the open or commit taken as given; -1: none was found */
    int64_t proven_to;    /* offset of the newest record read */
    uint64_t records;     /* taken; one in parts counts once */
    uint64_t transactions, changes, messages; /* of proven commits */
    uint64_t schemas;
    uint64_t epochs; /* opens, and the epoch it began in */
    uint64_t first_epoch, last_epoch;
    uint64_t first_commit_lsn;   /* of the commits proven; 0: none */
    struct sb_position position; /* behind the newest commit proven */
    uint64_t in_flight;          /* changes of a transaction without its commit, at the end */
    uint64_t dropped;            /* records of stale epochs, and repeats */
    uint64_t repeated;           /* transactions captured again and found the same */
    uint64_t abandoned;          /* transactions cut off by an open */
    uint64_t holes;              /* declared by opens */
    size_t mended_count;         /* of the breaks, those that are mended */
    size_t break_count;          /* beyond the maximum the walk stops */
    struct sb_verify_break breaks[SB_VERIFY_BREAKS_MAX];
};

/* Verify [from, to): from -1 is the oldest offset, to -1 the end as it is now. 0 with a report, whole or not;
 * -1: the store cannot be read at all. */
int sb_verify(struct sb_stream *stream, int64_t from, int64_t to, struct sb_verify_report *ret_report,
    struct sb_err *err);

#endif
