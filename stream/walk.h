/*
 * Walking over the log, record by record, decoded: for `switchback stream show` and `verify`. (Apply has a
 * loop of its own: it reads in batches between other work.)
 *
 * A walk looks, or proves. A looking walk may begin anywhere: it shows records as they stand, also those a
 * reader would drop, says which of them are stale (a record of a higher epoch stood before), and leaves out
 * the rest of a record in parts that began before it. A proving walk begins at a position and fails with the
 * proof's errors. Every error names the offset.
 */
#ifndef SB_STREAM_WALK_H
#define SB_STREAM_WALK_H

#include "schemas/codec.h"
#include "stream/proof.h"
#include "stream/stream.h"

/* A whole record. Which of the last members is set goes by frame.kind. Views are valid until the next call;
 * relations until the walk is freed. */
struct sb_walk_record {
    struct sb_frame frame;
    int64_t offset; /* of its last part */
    int64_t append_ms;
    enum sb_verdict verdict; /* looking: DROP if stale, else TAKE. Dropped records are not decoded. */
    bool decoded;
    struct sb_open open;
    const struct sb_relation *rel;
    struct sb_change chg;
    struct sb_change_meta meta;
    struct sb_message msg;
    struct sb_commit commit;
};

struct sb_walk;

/* The stream outlives the walk and is read by nobody else meanwhile. */
int sb_walk_new(struct sb_stream *stream, struct sb_walk **ret_walk, struct sb_err *err);
void sb_walk_free(struct sb_walk *walk); /* NULL is fine */

/* Look from offset on. Decodes stale records as well. */
int sb_walk_look(struct sb_walk *walk, int64_t offset, struct sb_err *err);
/* Prove from offset on, which must be where a reader at this position goes on. */
int sb_walk_prove(
    struct sb_walk *walk, int64_t offset, const struct sb_position *position, struct sb_err *err);

/* Stop before this offset, which is not beyond what the store has: SB_STREAM_END is then only said there, and
 * not because a record is still on its way. Looking and proving anew take the limit away. */
void sb_walk_limit(struct sb_walk *walk, int64_t limit);
/* 0 with a record (of a record in parts: at its last part); SB_STREAM_END: nothing more now; -1. */
int sb_walk_next(struct sb_walk *walk, struct sb_walk_record *ret_record, struct sb_err *err);
/* Offset of the record at which the newest call failed; -1: it could not be read. */
int64_t sb_walk_offset(const struct sb_walk *walk);
const struct sb_proof *sb_walk_proof(const struct sb_walk *walk); /* NULL while looking */

#endif
