/*
 * Reading a range of the log whose end is known. A store's "nothing more now" is not the end: what it said it
 * has may still be on its way. Private to stream/.
 */
#ifndef SB_STREAM_RANGE_H
#define SB_STREAM_RANGE_H

#include "stream/stream.h"

struct sb_range { /* records in [next, limit); limit is not beyond what the store said it has */
    struct sb_stream *stream;
    struct sb_uuid uuid;
    int64_t next;
    int64_t limit;
};

int sb_range_open(
    struct sb_range *range, struct sb_stream *stream, int64_t from, int64_t limit, struct sb_err *err);
enum { SB_RANGE_END = 1 };
/* 0 with a record as sb_stream_read gives it; SB_RANGE_END; -1, also if the store gives nothing for too long
 * (SB-STREAM-UNAVAILABLE) or the record is of another stream (SB-LOG-FOREIGN). */
int sb_range_next(struct sb_range *range, struct sb_record *ret_record, struct sb_err *err);

#endif
