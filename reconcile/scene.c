#include "reconcile/scene.h"

#include "core/clock.h"
#include "schemas/digest.h"

#include <stdio.h>
#include <unistd.h>

enum { POLL_US = 100000 };

/* -- life ------------------------------------------------------------------------------------------------ */

int sb_scene_open(const struct sb_config *config, enum sb_direction direction, const char *word,
    struct sb_arena *arena, struct sb_scene *scene, struct sb_err *err)
{
    *scene = (struct sb_scene){.config = config, .direction = direction, .arena = arena};
    snprintf(scene->purpose, sizeof scene->purpose, "switchback %.31s %s", config->migration, word);
    const struct sb_sides_options options = {.source = sb_wiring_source(config, direction),
        .target = sb_wiring_target(config, direction),
        .purpose = scene->purpose,
        .migration = config->migration,
        .direction = sb_direction_name(direction)};
    return sb_sides_open(&options, &scene->sides, err);
}

void sb_scene_clear(struct sb_scene *scene)
{
    sb_compare_free(scene->compare);
    sb_follow_free(scene->follow);
    sb_window_free(scene->window);
    sb_stream_close(scene->stream);
    sb_sides_close(scene->sides);
}

int sb_scene_plan(struct sb_scene *scene, const char *pattern, int64_t chunk_rows, struct sb_err *err)
{
    struct sb_names names;
    sb_wiring_names(scene->config, scene->direction, &names);
    const struct sb_verify_plan_options options = {.names = &names,
        .pattern = pattern,
        .chunk_rows = chunk_rows,
        .accept = &scene->config->verify.accept};
    return sb_verify_plan_make(sb_sides_conn(scene->sides, SB_SIDE_SOURCE),
        sb_sides_conn(scene->sides, SB_SIDE_TARGET), &options, scene->arena, &scene->plan, err);
}

/* -- progress -------------------------------------------------------------------------------------------- */

static int progress_parse(const struct sb_rows *rows, struct sb_scene_progress *out, struct sb_err *err)
{
    if (!sb_uuid_parse(sb_rows_get(rows, 0, 0), &out->stream) ||
        !sb_hex_decode(sb_view_str(sb_rows_get(rows, 0, 4)), out->position.chain.bytes,
            sizeof out->position.chain.bytes))
        return sb_err_set(err, SB_E_STATE_FORMAT, "the target's progress row does not read as ours");
    out->position.epoch = sb_rows_u64(rows, 0, 1);
    out->position.sequence = sb_rows_u64(rows, 0, 2);
    out->position.commit_lsn = sb_rows_lsn(rows, 0, 3);
    out->offset = sb_rows_i64(rows, 0, 5);
    out->copying = sb_rows_bool(rows, 0, 6);
    out->joined = sb_rows_bool(rows, 0, 7);
    out->ownership_epoch = sb_rows_u64(rows, 0, 8);
    out->us = sb_rows_i64(rows, 0, 9);
    out->wishes_taken = sb_rows_i64(rows, 0, 10);
    return 0;
}

int sb_scene_progress(struct sb_scene *scene, struct sb_scene_progress *ret_progress, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {scene->config->migration, sb_direction_name(scene->direction)};
    if (sb_conn_query(sb_sides_conn(scene->sides, SB_SIDE_TARGET),
            "SELECT p.stream_uuid, p.epoch, p.sequence, p.commit_lsn, pg_catalog.encode(p.chain, 'hex'), "
            "p.stream_offset, coalesce(c.state = 'pending' AND NOT c.beside, false), coalesce(c.beside OR "
            "p.commit_lsn >= c.last_h, true), p.ownership_epoch, p.commit_us, (SELECT count(*) FROM "
            "switchback.copy_wish w WHERE w.migration = $1 AND w.direction = $2 AND w.done_at IS NOT NULL) "
            "FROM "
            "switchback.progress p LEFT JOIN switchback.copy c USING (migration, direction) WHERE migration "
            "= $1 AND "
            "direction = $2 AND lane = 0",
            2, params, &rows, err) != 0)
        return sb_err_add(err, "could not read the progress row");
    if (sb_rows_count(rows) == 0)
        return sb_err_set(err, SB_E_PROGRESS_LOST,
            "the target has no progress row for migration \"%s\", direction %s", params[0], params[1]);
    return progress_parse(rows, ret_progress, err);
}

/* Rows of the initial copy are those of many moments until the stream has passed the last of them. ret_why:
 * what is in the way, NULL if nothing is. */
int sb_scene_wait_joined(
    struct sb_scene *scene, struct sb_scene_progress *ret_progress, const char **ret_why, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + scene->config->verify.stream_wait_s * 1000;
    *ret_why = NULL;
    for (;;) {
        if (sb_scene_progress(scene, ret_progress, err) != 0)
            return -1;
        if (ret_progress->copying)
            *ret_why = "the initial copy is not complete";
        if (ret_progress->copying || ret_progress->joined)
            return 0;
        if (sb_clock_mono_ms() >= deadline_ms) {
            *ret_why = "apply has not passed the end of the initial copy yet";
            return 0;
        }
        if (sb_sides_mark(scene->sides, err) != 0)
            return -1;
        usleep(POLL_US);
    }
}

/* -- the stream ------------------------------------------------------------------------------------------ */

static int compare_open(struct sb_scene *scene, const struct sb_compare_options *sinks,
    struct sb_compare **ret_compare, struct sb_err *err)
{
    struct sb_compare_options options = *sinks;
    options.tally_max_bytes = (size_t)scene->config->verify.memory_max_bytes;
    options.stream_wait_ms = scene->config->verify.stream_wait_s * 1000;
    options.age_max_ms = scene->config->verify.xmin_age_max_s * 1000;
    options.sums = scene->config->verify.sums && sinks->judged == NULL;
    return sb_compare_new(
        &options, scene->sides, scene->follow, scene->window, scene->arena, ret_compare, err);
}

int sb_scene_compare(struct sb_scene *scene, sb_finding_fn *found, void *found_arg,
    struct sb_compare **ret_compare, struct sb_err *err)
{
    const struct sb_compare_options sinks = {.found = found, .found_arg = found_arg};
    return compare_open(scene, &sinks, ret_compare, err);
}

static int stream_open(struct sb_scene *scene, const struct sb_scene_progress *progress, struct sb_err *err)
{
    struct sb_stream_options options;
    sb_wiring_stream(scene->config, scene->direction, scene->path, &options);
    if (sb_stream_open(&options, SB_STREAM_READ, &scene->stream, err) != 0)
        return -1;
    struct sb_uuid uuid = sb_stream_uuid(scene->stream);
    if (!sb_uuid_eq(&uuid, &progress->stream))
        return sb_err_set(err, SB_E_LOG_FOREIGN, "the target's progress is of another stream");
    scene->window = sb_window_new((size_t)scene->config->verify.window_max_bytes);
    if (scene->window == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for what the stream says");
    return 0;
}

static int follow_anchor(struct sb_scene *scene, struct sb_err *err)
{
    if (sb_follow_new(scene->stream, &scene->anchor, sb_sides_source_id(scene->sides)->timeline, &scene->plan,
            scene->window, &scene->follow, err) != 0)
        return -1;
    const struct sb_compare_options sinks = {.found = scene->found,
        .found_arg = scene->found_arg,
        .judged = scene->judged,
        .judged_arg = scene->judged_arg};
    return compare_open(scene, &sinks, &scene->compare, err);
}

int sb_scene_follow(struct sb_scene *scene, const struct sb_scene_progress *progress, struct sb_err *err)
{
    if (stream_open(scene, progress, err) != 0 ||
        sb_anchor_find(sb_sides_conn(scene->sides, SB_SIDE_SOURCE), scene->stream, &progress->position,
            progress->offset, &scene->anchor, err) != 0)
        return -1;
    return follow_anchor(scene, err);
}

int sb_scene_follow_from(struct sb_scene *scene, const struct sb_scene_progress *progress,
    const struct sb_anchor *anchor, struct sb_err *err)
{
    if (stream_open(scene, progress, err) != 0)
        return -1;
    scene->anchor = *anchor;
    return follow_anchor(scene, err);
}
