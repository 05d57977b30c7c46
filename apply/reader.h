/*
 * A reader: the stream as one lane reads it. Opens it, finds the place that the lane's progress names and
 * proves it, and reads on from there.
 */
#ifndef SB_APPLY_READER_H
#define SB_APPLY_READER_H

#include "apply/lane.h"

struct sb_reader {
    struct sb_stream *stream;
    struct sb_lane *lane; /* the caller's */
    int64_t offset;       /* of the record read last */
    bool drained;         /* the last read said there is nothing more */
    int64_t survey_ms;    /* when the lane met a suspect; 0: it has met none */
};

/* from: an offset to begin at; -1: behind the lane's progress. */
int sb_reader_open(struct sb_reader *reader, const struct sb_config *config, enum sb_direction direction,
    struct sb_lane *lane, int64_t from, struct sb_err *err);
void sb_reader_close(struct sb_reader *reader); /* also one that was never opened */

/* 0 with a record; SB_STREAM_END; -1. */
int sb_reader_next(struct sb_reader *reader, struct sb_record *ret_record, struct sb_err *err);
/* While the lane surveys: once there is nothing more to look for, or it took long enough, what was found is
 * asked for. ret_asked: the lane is finished then. */
int sb_reader_survey(struct sb_reader *reader, int64_t now_ms, bool *ret_asked, struct sb_err *err);

#endif
