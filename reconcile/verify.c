#include "reconcile/verify.h"

#include "core/clock.h"
#include "core/log.h"
#include "reconcile/differences.h"
#include "reconcile/draw.h"
#include "reconcile/invariant.h"
#include "reconcile/run_row.h"
#include "reconcile/scene.h"
#include "reconcile/self_test.h"
#include "reconcile/witness.h"

enum { SNAPSHOT_MAX_BYTES = 16 * 1024 * 1024 };

struct run {
    const struct sb_config *config;
    const struct sb_verify_options *options;
    struct sb_arena *arena;
    struct sb_scene scene;
    struct sb_run_row row;
    struct sb_differences *differences;
    struct sb_verify_outcome *outcome;
};

/* -- the run --------------------------------------------------------------------------------------------- */

static int no_room(const struct run *run, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "the results do not fit into arena \"%s\"", sb_arena_name(run->arena));
}

static int make_plan(struct run *run, struct sb_err *err)
{
    struct sb_verify_outcome *outcome = run->outcome;
    const struct sb_verify_plan *plan = &run->scene.plan;
    if (sb_scene_plan(&run->scene, run->options->pattern, run->config->verify.chunk_rows, err) != 0)
        return -1;
    outcome->count = plan->table_count;
    if (run->options->sample_percent > 0)
        sb_draw_chunks(&run->scene.plan, run->options->sample_percent, run->options->seed, &outcome->sample);
    outcome->rules = plan->rules;
    outcome->rule_count = plan->rule_count;
    outcome->results = sb_arena_zalloc(run->arena, (plan->table_count + 1) * sizeof *outcome->results);
    if (outcome->results == NULL)
        return no_room(run, err);
    for (size_t i = 0; i < plan->table_count; i++) {
        outcome->results[i].table = &plan->tables[i];
        outcome->results[i].state = SB_TABLE_NOT_COMPARED;
        outcome->results[i].why = "";
        outcome->results[i].bad = sb_arena_zalloc(run->arena, plan->tables[i].ranges.count + 1);
        if (outcome->results[i].bad == NULL)
            return no_room(run, err);
    }
    return 0;
}

static void result_end(struct sb_verify_result *result)
{
    sb_compare_conclude(result);
    SB_INFO("table compared", SB_STR("table", result->table->shown),
        SB_STR("state", sb_verify_state_name(result->state)), SB_NUM("rows", result->source_rows),
        SB_NUM("differences", result->differences), SB_NUM("dirty", result->dirty));
}

static int64_t differences_of(const struct sb_verify_result *result)
{
    return result->differences;
}

/* What a whole pass over a table did not find again is gone. */
static int results_end(struct run *run, struct sb_err *err)
{
    struct sb_witness_options options = {.config = run->config,
        .direction = run->options->direction,
        .source = sb_sides_conn(run->scene.sides, SB_SIDE_SOURCE),
        .target = sb_sides_conn(run->scene.sides, SB_SIDE_TARGET),
        .run = run->row.id,
        .arena = run->arena};
    if (sb_differences_flush(run->differences, err) != 0)
        return -1;
    if (sb_verify_total(run->outcome, differences_of) > 0 &&
        sb_witness_await(&options, &options.way_back_late, err) != 0)
        return -1;
    for (size_t i = 0; i < run->outcome->count; i++) {
        struct sb_verify_result *result = &run->outcome->results[i];
        result_end(result);
        if (result->whole && result->undecided == 0 &&
            sb_differences_close(run->differences, result->table, err) != 0)
            return -1;
        if (sb_witness_ask(&options, result, err) != 0)
            return -1;
    }
    return 0;
}

static int found(void *arg, const struct sb_finding *finding, struct sb_err *err)
{
    return sb_differences_add(((struct run *)arg)->differences, finding, err);
}

static int compare_all(struct run *run, struct sb_err *err)
{
    struct sb_verify_outcome *outcome = run->outcome;
    struct sb_scene *scene = &run->scene;
    for (size_t i = 0; i < outcome->count; i++) {
        struct sb_verify_result *result = &outcome->results[i];
        if (result->table->ranges.count == 0)
            result->why = "no chunk of it was drawn";
        else if (sb_compare_table(scene->compare, result, err) != 0)
            return -1;
        result->whole = result->whole && !outcome->sample.taken;
    }
    if (sb_compare_resolve(scene->compare, err) != 0)
        return -1;
    if (results_end(run, err) != 0)
        return -1;
    outcome->first_applied_lsn = sb_compare_first_applied(scene->compare, &outcome->first_applied_us);
    outcome->oldest_ms = sb_sides_oldest_ms(scene->sides);
    outcome->transactions = sb_follow_transactions(scene->follow);
    outcome->window_peak_bytes = sb_window_peak_bytes(scene->window);
    outcome->tally_peak_bytes = sb_compare_tally_peak_bytes(scene->compare);
    return 0;
}

/* -- all of it ------------------------------------------------------------------------------------------- */

static int compared(struct run *run, struct sb_err *err)
{
    struct sb_scene_progress progress;
    const char *why;
    if (sb_scene_wait_joined(&run->scene, &progress, &why, err) != 0)
        return -1;
    run->outcome->stream = progress.stream;
    run->outcome->ownership_epoch = progress.ownership_epoch;
    if (why != NULL) {
        run->outcome->why = why;
        for (size_t i = 0; i < run->outcome->count; i++)
            run->outcome->results[i].why = why;
        return 0;
    }
    if (sb_scene_follow(&run->scene, &progress, err) != 0)
        return -1;
    run->outcome->held_back_by = run->scene.anchor.held_back_by;
    if (run->options->self_test && sb_self_test_run(&run->scene, &run->outcome->self_test, err) != 0)
        return -1;
    if (compare_all(run, err) != 0)
        return -1;
    if (run->options->pattern != NULL)
        return 0; /* a barrier is of all tables */
    return sb_invariants_evaluate(&run->scene, run->arena, &run->outcome->invariants, err);
}

/* Chunks for a certificate. */
static int judged(
    void *arg, struct sb_verify_result *result, const struct sb_chunk_record *record, struct sb_err *err)
{
    struct run *run = arg;
    struct sb_buf text SB_CLEANUP(sb_buf_clear);
    struct sb_chunk_record *kept = sb_arena_alloc(run->arena, sizeof *kept);
    sb_buf_init(&text, SNAPSHOT_MAX_BYTES);
    sb_snapshot_put(record->seen, &text);
    if (kept == NULL || text.failed)
        return no_room(run, err);
    *kept = *record;
    kept->seen = NULL;
    kept->snapshot = sb_arena_str(run->arena, sb_buf_view(&text));
    if (kept->snapshot == NULL)
        return no_room(run, err);
    if (result->records == NULL)
        result->records = kept;
    else
        result->last_record->next = kept;
    result->last_record = kept;
    return 0;
}

static int identify(struct run *run, struct sb_err *err)
{
    for (int side = 0; side < 2; side++) {
        struct sb_conn *conn = sb_sides_conn(run->scene.sides, (enum sb_side)side);
        struct sb_verify_server *server = &run->outcome->servers[side];
        server->version = sb_conn_version(conn);
        if (sb_catalog_server_id(conn, &server->id, err) != 0)
            return -1;
    }
    return 0;
}

/* From here on everybody can see that there is a run, and what became of it. */
static int begin(struct run *run, struct sb_err *err)
{
    struct sb_conn *target = sb_sides_conn(run->scene.sides, SB_SIDE_TARGET);
    const char *direction = sb_direction_name(run->options->direction);
    run->row = (struct sb_run_row){.target = target,
        .migration = run->config->migration,
        .direction = direction,
        .pattern = run->options->pattern};
    if (sb_run_row_begin(&run->row, run->outcome->count, err) != 0)
        return -1;
    const struct sb_differences_options options = {
        .target = target, .migration = run->config->migration, .direction = direction, .run = run->row.id};
    run->outcome->run = run->row.id;
    run->scene.found = found;
    run->scene.found_arg = run;
    run->scene.judged = run->options->records ? judged : NULL;
    run->scene.judged_arg = run;
    return sb_differences_new(&options, &run->differences, err);
}

static int verify(struct run *run, struct sb_err *err)
{
    if (sb_scene_open(run->config, run->options->direction, "verify", run->arena, &run->scene, err) != 0 ||
        make_plan(run, err) != 0)
        return -1;
    if (run->options->plan_only)
        return 0;
    if (identify(run, err) != 0 || begin(run, err) != 0 || compared(run, err) != 0)
        return -1;
    run->outcome->ended_us = sb_clock_wall_us();
    if (run->outcome->sample.taken && run->outcome->why[0] == '\0')
        sb_draw_conclude(run->outcome->results, run->outcome->count, run->arena, &run->outcome->sample,
            &run->outcome->why);
    sb_verify_conclude(run->outcome);
    return sb_run_row_end(&run->row, run->outcome, err);
}

int sb_verify_run(const struct sb_config *config, const struct sb_verify_options *options,
    struct sb_arena *arena, struct sb_verify_outcome *ret_outcome, struct sb_err *err)
{
    struct run run = {.config = config, .options = options, .arena = arena, .outcome = ret_outcome};
    *ret_outcome = (struct sb_verify_outcome){.why = "", .started_us = sb_clock_wall_us()};
    int rc = verify(&run, err);
    if (rc != 0)
        sb_run_row_fail(&run.row, err);
    sb_differences_free(run.differences);
    sb_scene_clear(&run.scene);
    return rc;
}
