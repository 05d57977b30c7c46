/*
 * What a compare stands on: a session with each side, the plan of the tables, the stream from an anchor on,
 * and the window that it fills. Shared by whoever compares: a pass over all rows, and a repair, which
 * compares its keys again.
 */
#ifndef SB_RECONCILE_SCENE_H
#define SB_RECONCILE_SCENE_H

#include "config/wiring.h"
#include "reconcile/anchor.h"
#include "reconcile/compare.h"

enum { SB_SCENE_PURPOSE_BYTES = 64 };

struct sb_scene {
    const struct sb_config *config;
    enum sb_direction direction;
    struct sb_arena *arena; /* the caller's: the plan, and what is kept of differences */
    struct sb_sides *sides;
    struct sb_verify_plan plan;
    struct sb_stream *stream;
    struct sb_anchor anchor; /* where the window begins */
    struct sb_window *window;
    struct sb_follow *follow;
    struct sb_compare *compare;
    sb_finding_fn *found; /* who wants to hear of differences, set before sb_scene_follow; NULL: nobody */
    void *found_arg;
    sb_compare_judged_fn *judged; /* the same, of chunks */
    void *judged_arg;
    char purpose[SB_SCENE_PURPOSE_BYTES], path[SB_PATH_BYTES];
};

struct sb_scene_progress {
    struct sb_position position;
    struct sb_uuid stream;
    int64_t offset; /* a hint */
    int64_t us;     /* its commit time, by the source's clock */
    uint64_t ownership_epoch;
    bool copying, joined; /* apply waits for a copy; the last stamp of the initial copy has been passed */
    int64_t wishes_taken; /* for rows to be copied again, so far: it only grows */
};

/* Opens the sessions. word: what they are for, "verify". Whatever it answers, sb_scene_clear is to follow. */
int sb_scene_open(const struct sb_config *config, enum sb_direction direction, const char *word,
    struct sb_arena *arena, struct sb_scene *scene, struct sb_err *err);
void sb_scene_clear(struct sb_scene *scene);
/* pattern: of tables; NULL: all. chunk_rows: where tables are cut. */
int sb_scene_plan(struct sb_scene *scene, const char *pattern, int64_t chunk_rows, struct sb_err *err);
/* The target's progress row. SB-PROGRESS-LOST. */
int sb_scene_progress(struct sb_scene *scene, struct sb_scene_progress *ret_progress, struct sb_err *err);
/* Rows of the initial copy are those of many moments until the stream has passed the last of them: waits for
 * that, verify.stream_wait_s at most. ret_why: what is in the way, NULL if nothing is. */
int sb_scene_wait_joined(
    struct sb_scene *scene, struct sb_scene_progress *ret_progress, const char **ret_why, struct sb_err *err);
/* Opens the stream and everything behind it; progress was read just before. SB-LOG-FOREIGN, and as
 * sb_anchor_find. */
int sb_scene_follow(struct sb_scene *scene, const struct sb_scene_progress *progress, struct sb_err *err);
/* One more compare, of tables that are none of the plan's; the caller frees it. The scene follows the stream.
 */
int sb_scene_compare(struct sb_scene *scene, sb_finding_fn *found, void *found_arg,
    struct sb_compare **ret_compare, struct sb_err *err);
/* The same from an anchor that is known to be one, if the stream still has it. */
int sb_scene_follow_from(struct sb_scene *scene, const struct sb_scene_progress *progress,
    const struct sb_anchor *anchor, struct sb_err *err);

#endif
