#include "reconcile/reconcile.h"

#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/metrics.h"
#include "pg/ident.h"
#include "reconcile/differences.h"
#include "reconcile/item.h"
#include "reconcile/pace.h"
#include "reconcile/publish.h"
#include "reconcile/scene.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    ARENA_MAX_BYTES = 256 * 1024 * 1024,
    LOOK_MAX_BYTES = 1024 * 1024,
    LOOK_MS = 500,
    IDLE_MS = 200,
    WAIT_MS = 500,
    SAVE_MS = 2000,
    PLAN_MS = 10000,       /* tables that appear are seen as late */
    PLAN_FRESH_MS = 60000, /* an older plan is made anew for a pass that is due */
    HELD_MS = 3000,        /* keys that differ are looked at as often */
    TAIL_MS = 5000,        /* then a chunk gets its turn */
    BOARD_MS = 1000,
    AGAIN_MS = 1000,      /* a table that was in use, or a pass that was broken */
    LATE_MS = 10000,      /* for each second of verify.xmin_age_max_s that a table was read in vain */
    UNCLEAN_MS = 10000,   /* a pass of a table whose differences no keys stand for */
    KEYLESS_SHARE = 20,   /* a table without a key that changes is read a twentieth of the time */
    RECORDS_TURN = 20000, /* of the stream, then what is settled is forgotten */
    AFRESH_MS = 3000,
};

enum { PLAN_AGAIN = 1 };

struct reconcile {
    const struct sb_config *config;
    enum sb_direction direction;
    struct sb_arena *arena, *look_arena;
    struct sb_scene scene;
    struct sb_verified verified;
    struct sb_frontier *frontier;
    struct sb_differences *differences;
    struct sb_item_desk desk;
    struct sb_item *items;
    size_t count;
    struct sb_item *at_work; /* whose keys or chunk are compared */
    struct sb_place applied;
    uint64_t tables_digest;
    int64_t wishes_taken; /* when the tables were planned */
    struct sb_board board;
    struct sb_pace pace;
    int64_t look_ms, plan_ms, save_ms, chunk_ms, board_ms; /* when it is time */
    int64_t begun_ms;
    struct sb_published_work said;
    int64_t decided, found;
    struct sb_place begin; /* of the ledger */
    bool plan_again;
    bool goes_on; /* from a place that was saved */
    bool owner_asked, owner_is_new;
    char why[256];
};

/* -- waiting --------------------------------------------------------------------------------------------- */

static int told_to_stop(struct sb_err *err)
{
    return sb_err_set(err, SB_E_SHUTDOWN, "told to stop");
}

static int pause_ms(int64_t wait_ms, struct sb_err *err)
{
    int64_t until_ms = sb_clock_mono_ms() + wait_ms;
    while (!sb_loop_stop_pending() && sb_clock_mono_ms() < until_ms) {
        int64_t left_ms = until_ms - sb_clock_mono_ms();
        const struct timespec a_little = {.tv_nsec = (left_ms < 50 ? left_ms : 50) * 1000000};
        nanosleep(&a_little, NULL);
    }
    return sb_loop_stop_pending() ? told_to_stop(err) : 0;
}

static void say(struct reconcile *reconcile, const char *why)
{
    if (strncmp(reconcile->why, why, sizeof reconcile->why - 1) == 0)
        return;
    snprintf(reconcile->why, sizeof reconcile->why, "%s", why);
    sb_report_state(why[0] == '\0' ? SB_STATE_RUNNING : SB_STATE_WAITING, why[0] == '\0' ? NULL : why);
}

/* -- differences ----------------------------------------------------------------------------------------- */

static int new_side_owns(struct reconcile *reconcile, bool *ret_owns, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {reconcile->config->migration};
    if (sb_conn_query(sb_sides_conn(reconcile->scene.sides, SB_SIDE_TARGET),
            "SELECT owner = 'new' FROM switchback.ownership WHERE migration = $1", 1, params, &rows,
            err) != 0)
        return sb_err_add(err, "could not read who owns the data");
    *ret_owns = sb_rows_count(rows) == 1 && sb_rows_bool(rows, 0, 0);
    return 0;
}

/* Whoever owns the data writes: asked once for each chunk or batch, behind the cut that it was judged at. */
static int is_void(struct reconcile *reconcile, bool *ret_void, struct sb_err *err)
{
    bool owns = false;
    if (!reconcile->owner_asked && new_side_owns(reconcile, &owns, err) != 0)
        return -1;
    reconcile->owner_asked = true;
    reconcile->plan_again = reconcile->plan_again || owns;
    reconcile->owner_is_new = reconcile->owner_is_new || owns;
    *ret_void = reconcile->owner_is_new;
    return 0;
}

static int on_found(void *arg, const struct sb_finding *finding, struct sb_err *err)
{
    struct reconcile *reconcile = arg;
    struct sb_item *item = reconcile->at_work;
    uint32_t number = finding->table->number;
    bool is_nothing = false;
    item->clean = false;
    if (is_void(reconcile, &is_nothing, err) != 0 || is_nothing)
        return is_nothing ? 0 : -1;
    bool fresh = true;
    if (finding->key_bytes.len > 0)
        fresh = sb_frontier_differs(reconcile->frontier, number, &finding->key, finding->key_bytes);
    else
        sb_frontier_unclean(reconcile->frontier, number);
    if (!fresh)
        return 0;
    reconcile->found += finding->rows;
    return sb_differences_add(reconcile->differences, finding, err);
}

static void tell_found(struct reconcile *reconcile, const struct sb_item *item)
{
    if (reconcile->found == 0)
        return;
    sb_metric_add(SB_M_RECONCILE_FOUND, reconcile->found);
    SB_WARN("differences are proven: `switchback diff list` shows them", SB_STR("table", item->table->shown),
        SB_NUM("rows", reconcile->found),
        SB_LSN("applied", sb_compare_stamp(reconcile->scene.compare)->cut.applied_lsn));
    reconcile->found = 0;
}

/* Of a key that was looked at: equal, or the difference comes by itself. */
static int on_key(void *arg, const struct sb_digest *key, enum sb_verdict_is is, struct sb_err *err)
{
    struct reconcile *reconcile = arg;
    uint32_t number = reconcile->at_work->table->number;
    struct sb_frontier_counts before, after;
    reconcile->decided++;
    sb_metric_add(SB_M_RECONCILE_KEYS, 1);
    if (is != SB_KEY_EQUAL)
        return 0;
    sb_frontier_count(reconcile->frontier, number, &before);
    sb_frontier_equal(reconcile->frontier, number, key, &sb_compare_stamp(reconcile->scene.compare)->cut);
    sb_frontier_count(reconcile->frontier, number, &after);
    if (after.held == before.held)
        return 0;
    SB_INFO("a key that differed is equal again", SB_STR("table", reconcile->at_work->table->shown));
    return sb_verified_mended(&reconcile->verified, reconcile->at_work->table, key, err);
}

/* -- a look at both sides -------------------------------------------------------------------------------- */

static int look_source(struct reconcile *reconcile, struct sb_cut *ret_cut, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int64_t before_us = sb_clock_wall_us();
    sb_arena_reset(reconcile->look_arena);
    if (sb_conn_query(sb_sides_conn(reconcile->scene.sides, SB_SIDE_SOURCE),
            "SELECT pg_catalog.pg_current_snapshot()::text, pg_catalog.pg_is_in_recovery(), (extract(epoch "
            "FROM "
            "pg_catalog.clock_timestamp()) * 1000000)::bigint",
            0, NULL, &rows, err) != 0)
        return -1;
    if (sb_rows_bool(rows, 0, 1))
        return sb_err_set(err, SB_E_STAMP_FROM_STANDBY, "the source is in recovery: it is a standby");
    if (!sb_snapshot_parse(sb_rows_get(rows, 0, 0), reconcile->look_arena, &ret_cut->snapshot))
        return sb_err_set(err, SB_E_PROTOCOL, "the source gave no snapshot that can be read");
    sb_metric_set(
        SB_M_RECONCILE_CLOCK_AHEAD_US, sb_rows_i64(rows, 0, 2) - (before_us + sb_clock_wall_us()) / 2);
    return 0;
}

/* It is for people: without it everything else goes on. */
static void board_write(struct reconcile *reconcile)
{
    char path[SB_PATH_BYTES];
    struct sb_err err;
    for (size_t i = 0; i < reconcile->count; i++)
        sb_item_show(&reconcile->items[i], &reconcile->desk, &reconcile->board.tables[i]);
    sb_wiring_board_path(reconcile->config, path);
    reconcile->board_ms = sb_clock_mono_ms() + BOARD_MS;
    if (sb_board_write(path, &reconcile->board, &err) != 0)
        sb_log_err(SB_LOG_WARNING, &err, "status does not show the tables");
}

static int look(struct reconcile *reconcile, struct sb_err *err)
{
    struct sb_cut cut;
    struct sb_scene_progress progress;
    if (look_source(reconcile, &cut, err) != 0 || sb_scene_progress(&reconcile->scene, &progress, err) != 0)
        return -1;
    /* What is copied again was proven for nothing. */
    if (progress.copying || !progress.joined || progress.wishes_taken != reconcile->wishes_taken ||
        !sb_uuid_eq(&progress.stream, &reconcile->verified.stream))
        reconcile->plan_again = true;
    cut.applied_lsn = progress.position.commit_lsn;
    reconcile->applied =
        (struct sb_place){.position = progress.position, .offset = progress.offset, .us = progress.us};
    sb_frontier_cut(reconcile->frontier, &cut, &reconcile->applied);
    sb_window_forget(reconcile->scene.window, &cut);
    reconcile->look_ms = sb_clock_mono_ms() + LOOK_MS;
    sb_publish(
        &reconcile->said, reconcile->items, reconcile->count, reconcile->frontier, reconcile->scene.sides);
    if (sb_clock_mono_ms() >= reconcile->board_ms)
        board_write(reconcile);
    return 0;
}

/* Which tables are published: another answer, and they are planned again. */
static int tables_digest(struct reconcile *reconcile, uint64_t *ret_digest, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_names names;
    sb_wiring_names(reconcile->config, reconcile->direction, &names);
    const char *params[] = {names.publication, names.publication_keyless};
    if (sb_conn_query(sb_sides_conn(reconcile->scene.sides, SB_SIDE_SOURCE),
            "SELECT coalesce(pg_catalog.string_agg(pg_catalog.format('%I.%I', schemaname, tablename), ',' "
            "ORDER "
            "BY schemaname, tablename), '') FROM pg_catalog.pg_publication_tables WHERE pubname IN ($1, $2)",
            2, params, &rows, err) != 0)
        return -1;
    *ret_digest = sb_hash64(sb_view_str(sb_rows_get(rows, 0, 0)));
    return 0;
}

static int plan_look(struct reconcile *reconcile, struct sb_err *err)
{
    uint64_t digest;
    if (sb_clock_mono_ms() < reconcile->plan_ms)
        return 0;
    reconcile->plan_ms = sb_clock_mono_ms() + PLAN_MS;
    if (tables_digest(reconcile, &digest, err) != 0)
        return -1;
    bool owns = false, due = false;
    if (new_side_owns(reconcile, &owns, err) != 0)
        return -1;
    for (size_t i = 0; i < reconcile->count && sb_clock_mono_ms() - reconcile->begun_ms > PLAN_FRESH_MS; i++)
        due = due ||
              (!reconcile->items[i].passing && sb_item_pass_is_due(&reconcile->items[i], &reconcile->desk));
    reconcile->plan_again = reconcile->plan_again || owns || due || digest != reconcile->tables_digest;
    return 0;
}

/* -- saving ---------------------------------------------------------------------------------------------- */

/* chunk: of item, compared and without a difference; NULL: none. */
static int save(struct reconcile *reconcile, const struct sb_item *chunk_of, const struct sb_key_range *chunk,
    bool everything, struct sb_err *err)
{
    const struct sb_place place = sb_frontier_resume(reconcile->frontier);
    SB_FAULT("reconcile-before-save");
    if (sb_verified_begin(&reconcile->verified, &place, err) != 0)
        return -1;
    for (size_t i = 0; i < reconcile->count; i++)
        if (sb_item_save(&reconcile->items[i], &reconcile->desk, everything, err) != 0)
            return -1;
    if (chunk != NULL && sb_verified_put_chunk(&reconcile->verified, chunk_of->table, chunk,
                             chunk_of->result.source_rows, err) != 0)
        return -1;
    if (sb_verified_end(&reconcile->verified, err) != 0)
        return -1;
    SB_FAULT("reconcile-after-save");
    reconcile->save_ms = sb_clock_mono_ms() + SAVE_MS;
    return sb_differences_flush(reconcile->differences, err);
}

/* -- the tail: keys that the stream changed -------------------------------------------------------------- */

/* It could not be read now. */
static void put_off(struct reconcile *reconcile, struct sb_item *item)
{
    const struct sb_verify_result *result = &item->result;
    item->why = result->why;
    if (result->stop == SB_STOP_ALTERED)
        reconcile->plan_again = true;
    item->not_before_ms =
        sb_clock_mono_ms() + AGAIN_MS +
        (result->stop == SB_STOP_LATE ? reconcile->config->verify.xmin_age_max_s * LATE_MS : 0);
}

static int judge(struct reconcile *reconcile, struct sb_item *item, const struct sb_frontier_key *keys,
    size_t count, struct sb_err *err)
{
    int64_t undecided = item->result.undecided;
    reconcile->at_work = item;
    reconcile->owner_asked = false;
    if (sb_compare_look(reconcile->scene.compare, &item->result, keys, count, on_key, reconcile, err) != 0)
        return -1;
    sb_metric_add(SB_M_RECONCILE_UNDECIDED, item->result.undecided - undecided);
    tell_found(reconcile, item);
    SB_FAULT("reconcile-after-keys");
    if (item->result.stop != SB_STOP_NOT)
        put_off(reconcile, item);
    else
        item->why = "";
    return sb_clock_mono_ms() >= reconcile->look_ms ? look(reconcile, err) : 0;
}

static int tail_table(struct reconcile *reconcile, struct sb_item *item, struct sb_err *err)
{
    struct sb_frontier_key keys[SB_COMPARE_KEYS_MAX];
    uint32_t number = item->table->number;
    int64_t until_ms = sb_clock_mono_ms() + TAIL_MS;
    size_t count;
    while (sb_clock_mono_ms() < until_ms && !reconcile->plan_again &&
           (count = sb_frontier_due(reconcile->frontier, number, keys, SB_COMPARE_KEYS_MAX)) > 0) {
        if (judge(reconcile, item, keys, count, err) != 0)
            return -1;
        if (item->result.stop != SB_STOP_NOT)
            return 0;
    }
    if (sb_clock_mono_ms() < item->held_ms)
        return 0;
    item->held_ms = sb_clock_mono_ms() + HELD_MS;
    count = sb_frontier_held(reconcile->frontier, number, keys, SB_COMPARE_KEYS_MAX);
    return count == 0 ? 0 : judge(reconcile, item, keys, count, err);
}

static int tail(struct reconcile *reconcile, bool *ret_any, struct sb_err *err)
{
    int64_t decided = reconcile->decided;
    sb_frontier_turn(reconcile->frontier);
    for (size_t i = 0; i < reconcile->count && !reconcile->plan_again; i++)
        if (tail_table(reconcile, &reconcile->items[i], err) != 0)
            return -1;
    *ret_any = reconcile->decided > decided;
    return 0;
}

/* -- passes ---------------------------------------------------------------------------------------------- */

static struct sb_item *next_item(struct reconcile *reconcile)
{
    struct sb_item *found = NULL;
    for (size_t i = 0; i < reconcile->count; i++) {
        struct sb_item *item = &reconcile->items[i];
        if (item->passing && sb_item_wants_pass(item, &reconcile->desk))
            return item;
        if (found == NULL && sb_item_wants_pass(item, &reconcile->desk))
            found = item;
    }
    return found;
}

/* Of a table without a key, which changes: one pass follows another. */
static void tell_pass(const struct sb_item *item, bool whole, int64_t took_ms)
{
    if (whole && item->table->key_count == 0 && item->result.differences == 0)
        return;
    SB_INFO(whole ? "a pass is over" : "a pass has to be made again", SB_STR("table", item->table->shown),
        SB_NUM("rows", item->result.source_rows), SB_NUM("differences", item->result.differences),
        SB_NUM("ms", took_ms));
}

static int pass_end(struct reconcile *reconcile, struct sb_item *item, struct sb_err *err)
{
    int64_t now_ms = sb_clock_mono_ms(), took_ms = now_ms - item->began_ms;
    bool whole = sb_frontier_passed(reconcile->frontier, item->table->number, &item->began);
    bool unclean = !whole && item->result.differences > 0;
    item->passing = false;
    item->not_before_ms = now_ms + took_ms * KEYLESS_SHARE + (unclean ? UNCLEAN_MS : (int64_t)AGAIN_MS);
    tell_pass(item, whole, took_ms);
    if (whole && sb_verified_now(&reconcile->verified, &item->passed_us, err) != 0)
        return -1;
    if (!whole || item->table->key_count > 0)
        return 0;
    return sb_verified_clean(&reconcile->verified, item->table, item->began_us, err);
}

static int chunk(struct reconcile *reconcile, struct sb_item *item, struct sb_err *err)
{
    int64_t began_ms = sb_clock_mono_ms(), rows = sb_sides_rows(reconcile->scene.sides),
            bytes = sb_sides_bytes(reconcile->scene.sides);
    if (!item->passing && sb_item_pass_begin(item, &reconcile->desk, &reconcile->applied, err) != 0)
        return -1;
    const struct sb_key_range *range = &item->todo.items[item->at];
    reconcile->at_work = item;
    reconcile->owner_asked = false;
    item->clean = true;
    if (sb_compare_range(reconcile->scene.compare, &item->result, range, err) != 0)
        return -1;
    tell_found(reconcile, item);
    SB_FAULT("reconcile-after-chunk");
    reconcile->chunk_ms = sb_clock_mono_ms() +
                          sb_pace_pause_ms(&reconcile->pace, sb_sides_rows(reconcile->scene.sides) - rows,
                              sb_sides_bytes(reconcile->scene.sides) - bytes, sb_clock_mono_ms() - began_ms);
    if (item->result.stop != SB_STOP_NOT) {
        put_off(reconcile, item);
        return 0;
    }
    sb_metric_add(SB_M_RECONCILE_CHUNKS, 1);
    item->why = "";
    if (++item->at == item->todo.count && pass_end(reconcile, item, err) != 0)
        return -1;
    return save(reconcile, item, item->clean ? range : NULL, false, err);
}

static int pass(struct reconcile *reconcile, bool *ret_any, struct sb_err *err)
{
    struct sb_item *item = sb_clock_mono_ms() < reconcile->chunk_ms ? NULL : next_item(reconcile);
    *ret_any = item != NULL;
    return item == NULL ? 0 : chunk(reconcile, item, err);
}

/* -- beginning ------------------------------------------------------------------------------------------- */

/* Prepared by a program that had no such stage. */
static int lacks_tables(struct reconcile *reconcile, bool *ret_lacks, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(sb_sides_conn(reconcile->scene.sides, SB_SIDE_TARGET),
            "SELECT pg_catalog.to_regclass('switchback.verified_place') IS NULL", 0, NULL, &rows, err) != 0)
        return -1;
    *ret_lacks = sb_rows_bool(rows, 0, 0);
    return 0;
}

/* What is to be waited for; NULL: nothing. */
static int what_is_missing(struct reconcile *reconcile, struct sb_scene_progress *ret_progress,
    const char **ret_what, struct sb_err *err)
{
    bool owns = false, lacks = false;
    if (lacks_tables(reconcile, &lacks, err) != 0 || new_side_owns(reconcile, &owns, err) != 0 ||
        sb_scene_progress(&reconcile->scene, ret_progress, err) != 0)
        return -1;
    *ret_what = NULL;
    if (lacks)
        *ret_what = "the target's control schema is older than this program: run `switchback prepare` again";
    else if (owns)
        *ret_what = "the new side owns the data: there is nothing to be proven of it";
    else if (ret_progress->copying)
        *ret_what = "the initial copy is not complete";
    else if (!ret_progress->joined)
        *ret_what = "apply has not passed the end of the initial copy yet";
    return 0;
}

/* Until the rows of the initial copy stand at one moment. */
static int wait_ready(struct reconcile *reconcile, struct sb_scene_progress *ret_progress, struct sb_err *err)
{
    const char *what;
    for (;;) {
        if (what_is_missing(reconcile, ret_progress, &what, err) != 0)
            return -1;
        if (what == NULL)
            return 0;
        say(reconcile, what);
        /* On a source where nobody writes, the commit that gets apply there is ours. */
        bool idle = !ret_progress->copying && !ret_progress->joined;
        if ((idle && sb_sides_mark(reconcile->scene.sides, err) != 0) || pause_ms(WAIT_MS, err) != 0)
            return -1;
    }
}

/* Nothing is known: from now on. */
static int open_fresh(
    struct reconcile *reconcile, const struct sb_scene_progress *progress, struct sb_err *err)
{
    struct sb_scene *scene = &reconcile->scene;
    if (sb_scene_follow(scene, progress, err) != 0)
        return -1;
    bool same = scene->anchor.position.commit_lsn == progress->position.commit_lsn;
    reconcile->begin = (struct sb_place){
        .position = scene->anchor.position, .offset = scene->anchor.hint, .us = same ? progress->us : 0};
    return 0;
}

/* The stream, from where it is known what was proven. */
static int open_stream(
    struct reconcile *reconcile, const struct sb_scene_progress *progress, struct sb_err *err)
{
    struct sb_place *place = &reconcile->begin;
    int rc = sb_verified_place(&reconcile->verified, place, err);
    reconcile->goes_on = rc == 0;
    if (rc != 0)
        return rc < 0 ? -1 : open_fresh(reconcile, progress, err);
    const struct sb_anchor anchor = {.position = place->position, .hint = place->offset};
    return sb_scene_follow_from(&reconcile->scene, progress, &anchor, err);
}

static int make_items(struct reconcile *reconcile, struct sb_err *err)
{
    const struct sb_verify_plan *plan = &reconcile->scene.plan;
    reconcile->count = plan->table_count;
    reconcile->items = sb_arena_zalloc(reconcile->arena, (plan->table_count + 1) * sizeof *reconcile->items);
    reconcile->board.count = plan->table_count;
    reconcile->board.tables =
        sb_arena_zalloc(reconcile->arena, (plan->table_count + 1) * sizeof *reconcile->board.tables);
    if (reconcile->items == NULL || reconcile->board.tables == NULL)
        return sb_err_set(
            err, SB_E_LIMIT, "the tables do not fit into arena \"%s\"", sb_arena_name(reconcile->arena));
    for (size_t i = 0; i < plan->table_count; i++) {
        reconcile->items[i].table = reconcile->items[i].result.table = &plan->tables[i];
        reconcile->items[i].why = "";
    }
    return 0;
}

static int begin_ledgers(struct reconcile *reconcile, struct sb_err *err)
{
    const struct sb_differences_options options = {.target = reconcile->verified.target,
        .migration = reconcile->verified.migration,
        .direction = reconcile->verified.direction};
    reconcile->frontier = sb_frontier_new(
        (uint32_t)reconcile->count, (size_t)reconcile->config->reconcile.ledger_max_bytes, &reconcile->begin);
    if (reconcile->frontier == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the ledger of changes");
    sb_follow_report(reconcile->scene.follow, reconcile->frontier);
    reconcile->desk = (struct sb_item_desk){.frontier = reconcile->frontier,
        .verified = &reconcile->verified,
        .arena = reconcile->arena,
        .pass_interval_s = reconcile->config->reconcile.pass_interval_s};
    reconcile->applied = reconcile->begin;
    for (size_t i = 0; i < reconcile->count; i++)
        if (sb_item_load(
                &reconcile->items[i], &reconcile->desk, reconcile->goes_on, &reconcile->applied, err) != 0)
            return -1;
    return sb_differences_new(&options, &reconcile->differences, err);
}

static int begin(struct reconcile *reconcile, struct sb_err *err)
{
    struct sb_scene *scene = &reconcile->scene;
    struct sb_scene_progress progress;
    if (sb_scene_open(reconcile->config, reconcile->direction, "reconcile", reconcile->arena, scene, err) !=
            0 ||
        wait_ready(reconcile, &progress, err) != 0 ||
        tables_digest(reconcile, &reconcile->tables_digest, err) != 0 ||
        sb_scene_plan(scene, NULL, reconcile->config->verify.chunk_rows, err) != 0 ||
        make_items(reconcile, err) != 0)
        return -1;
    scene->found = on_found;
    scene->found_arg = reconcile;
    reconcile->wishes_taken = progress.wishes_taken;
    reconcile->verified = (struct sb_verified){.target = sb_sides_conn(scene->sides, SB_SIDE_TARGET),
        .migration = reconcile->config->migration,
        .direction = sb_direction_name(reconcile->direction),
        .stream = progress.stream,
        .timeline = sb_sides_source_id(scene->sides)->timeline};
    return open_stream(reconcile, &progress, err) != 0 ? -1 : begin_ledgers(reconcile, err);
}

/* -- turns ----------------------------------------------------------------------------------------------- */

/* What is visible and applied is forgotten; what is beyond must not fill the window. */
static bool is_far_behind(const struct reconcile *reconcile)
{
    return sb_window_bytes(reconcile->scene.window) > (size_t)reconcile->config->verify.window_max_bytes / 2;
}

/* 0, PLAN_AGAIN, or -1. */
static int turn(struct reconcile *reconcile, struct sb_err *err)
{
    bool judged = false, compared = false;
    if (sb_clock_mono_ms() >= reconcile->look_ms && look(reconcile, err) != 0)
        return -1;
    int rc =
        sb_follow_some(reconcile->scene.follow, reconcile->applied.position.commit_lsn, RECORDS_TURN, err);
    if (rc < 0 || plan_look(reconcile, err) != 0)
        return -1;
    if (is_far_behind(reconcile)) {
        say(reconcile,
            "what the target has not applied yet fills half of verify.window_max_bytes: nothing is "
            "compared until it has");
        return look(reconcile, err) != 0 ? -1 : pause_ms(IDLE_MS, err);
    }
    if (rc == 0) {
        say(reconcile, "");
        if (tail(reconcile, &judged, err) != 0 ||
            (!reconcile->plan_again && pass(reconcile, &compared, err) != 0))
            return -1;
    }
    if (sb_clock_mono_ms() >= reconcile->save_ms && save(reconcile, NULL, NULL, false, err) != 0)
        return -1;
    if (reconcile->plan_again)
        return PLAN_AGAIN;
    if (sb_loop_stop_pending())
        return told_to_stop(err);
    return judged || compared || (rc != 0 && rc != SB_FOLLOW_LATE) ? 0 : pause_ms(IDLE_MS, err);
}

static int incarnation(struct reconcile *reconcile, struct sb_err *err)
{
    int rc = begin(reconcile, err);
    if (rc != 0)
        return rc;
    reconcile->begun_ms = sb_clock_mono_ms();
    sb_report_state(SB_STATE_RUNNING, NULL);
    while (rc == 0)
        rc = turn(reconcile, err);
    struct sb_err ignored;
    bool in_order = rc == PLAN_AGAIN || err->code == SB_E_SHUTDOWN;
    if (in_order && !sb_conn_in_transaction(reconcile->verified.target))
        save(reconcile, NULL, NULL, true, &ignored);
    return rc;
}

/* What was proven up to now stands; everything is compared again, from where the target is by then: the
 * stream does not go back far enough, or what lies beyond the target's progress does not fit. */
static int begin_afresh(struct reconcile *reconcile, const char *why, struct sb_err *err)
{
    struct sb_err cause = *err;
    sb_err_clear(err);
    sb_log_err(SB_LOG_WARNING, &cause, "all rows are compared again");
    say(reconcile, why);
    if (sb_sides_end(reconcile->scene.sides, err) != 0 ||
        sb_verified_forget_place(&reconcile->verified, err) != 0 || pause_ms(AFRESH_MS, err) != 0)
        return -1;
    return PLAN_AGAIN;
}

/* What an incarnation could not go on with. */
static int recover(struct reconcile *reconcile, struct sb_err *err)
{
    if (reconcile->verified.target == NULL)
        return -1;
    if (reconcile->goes_on && (err->code == SB_E_LOG_GAP || err->code == SB_E_LOG_TRUNCATED))
        return begin_afresh(reconcile, "the stream does not go back to what was proven", err);
    if (err->code != SB_E_LIMIT)
        return -1;
    sb_metric_add(SB_M_RECONCILE_OVERFLOWS, 1);
    return begin_afresh(
        reconcile, "what the target has not applied yet does not fit into verify.window_max_bytes", err);
}

static int one(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    struct reconcile reconcile = {.config = config, .direction = direction};
    int rc = -1;
    reconcile.pace = (struct sb_pace){.max_rate_rows_s = config->reconcile.max_rate_rows_s,
        .max_rate_bytes_s = config->reconcile.max_rate_bytes_s};
    reconcile.arena = sb_arena_new("reconcile", ARENA_MAX_BYTES);
    reconcile.look_arena = sb_arena_new("look at both sides", LOOK_MAX_BYTES);
    if (reconcile.arena == NULL || reconcile.look_arena == NULL)
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for the reconcile stage");
    else
        rc = incarnation(&reconcile, err);
    if (rc < 0)
        rc = recover(&reconcile, err);
    sb_frontier_free(reconcile.frontier);
    sb_differences_free(reconcile.differences);
    sb_scene_clear(&reconcile.scene);
    sb_arena_free(reconcile.arena);
    sb_arena_free(reconcile.look_arena);
    return rc;
}

int sb_reconcile_run(const struct sb_config *config, enum sb_direction direction, struct sb_err *err)
{
    int rc = PLAN_AGAIN;
    while (rc == PLAN_AGAIN)
        rc = one(config, direction, err);
    return rc;
}
