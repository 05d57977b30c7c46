/*
 * What the stream may forget: records that the target has applied and flushed, in all its lanes, never
 * others. The commit record the target stands at is kept, for a new incarnation compares with it.
 */
#ifndef SB_CAPTURE_RETENTION_H
#define SB_CAPTURE_RETENTION_H

#include "capture/target.h"
#include "stream/stream.h"

/*
 * Release what lies before that commit, if its offset hint proves right (the hint may be of an
 * earlier life of the store). Moves the handle's read position. 0 also if there was nothing to release.
 */
int sb_retention_release(
    struct sb_stream *stream, const struct sb_needed *needed, int64_t keep_ms, struct sb_err *err);

#endif
