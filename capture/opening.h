/*
 * How a capture incarnation begins: everything that is asked, compared and claimed before the first record,
 * in order. Blocks; runs before the loop. What it finds belongs to the struct until it is cleared.
 */
#ifndef SB_CAPTURE_OPENING_H
#define SB_CAPTURE_OPENING_H

#include "capture/identity.h"
#include "capture/overlap.h"
#include "capture/source.h"
#include "capture/start.h"
#include "capture/target.h"
#include "capture/walsender.h"
#include "stream/tail.h"

/* The control key beside the log: the highest commit (u64) that the log is known to have held durably.
 * Written before anything beyond its last value is confirmed to the slot. */
#define SB_CONTROL_RECORDED "recorded"

enum { SB_PURPOSE_BYTES = 64 };

struct sb_opening {
    const struct sb_config *config;
    const char *direction;
    struct sb_names names;
    char purpose[SB_PURPOSE_BYTES]; /* "switchback shop capture forward" */
    char purpose_sql[SB_PURPOSE_BYTES];
    char path[SB_PATH_BYTES];
    struct sb_endpoint source_endpoint;
    struct sb_stream_options stream_options;
    struct sb_stream *stream;
    struct sb_codec *codec;
    struct sb_tail tail;
    uint64_t recorded_lsn; /* what SB_CONTROL_RECORDED holds */
    struct sb_known_source known_source;
    struct sb_source *source;
    struct sb_source_identity identity;
    struct sb_target *target;
    bool progress_known;
    struct sb_progress progress;
    struct sb_walsender *sender;
    struct sb_slot slot;
    enum sb_start start;
    struct sb_overlap *overlap; /* NULL: fresh, nothing to prove */
    struct sb_open open;        /* what the `open` record will say */
};

/* stop: asked between the steps whether to give up (SB-SHUTDOWN). On failure everything is cleared. */
int sb_opening_run(struct sb_opening *opening, const struct sb_config *config, enum sb_direction direction,
    bool (*stop)(void), struct sb_err *err);
/* Closes the sessions first, then the stream. */
void sb_opening_clear(struct sb_opening *opening);

#endif
