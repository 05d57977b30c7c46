#include "reconcile/verify.h"

#include "core/clock.h"
#include "core/log.h"
#include "reconcile/scene.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct run {
    const struct sb_config *config;
    const struct sb_verify_options *options;
    struct sb_arena *arena;
    struct sb_scene scene;
    struct sb_verify_outcome *outcome;
};

/* -- the run --------------------------------------------------------------------------------------------- */

static int make_plan(struct run *run, struct sb_err *err)
{
    struct sb_verify_outcome *outcome = run->outcome;
    const struct sb_verify_plan *plan = &run->scene.plan;
    if (sb_scene_plan(&run->scene, run->options->pattern, err) != 0)
        return -1;
    outcome->count = plan->table_count;
    outcome->results = sb_arena_zalloc(run->arena, (plan->table_count + 1) * sizeof *outcome->results);
    if (outcome->results == NULL)
        return sb_err_set(
            err, SB_E_LIMIT, "the results do not fit into arena \"%s\"", sb_arena_name(run->arena));
    for (size_t i = 0; i < plan->table_count; i++) {
        outcome->results[i].table = &plan->tables[i];
        outcome->results[i].state = SB_TABLE_NOT_COMPARED;
        outcome->results[i].why = "";
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

static int compare_all(struct run *run, struct sb_err *err)
{
    struct sb_verify_outcome *outcome = run->outcome;
    struct sb_scene *scene = &run->scene;
    for (size_t i = 0; i < outcome->count; i++)
        if (sb_compare_table(scene->compare, &outcome->results[i], err) != 0)
            return -1;
    if (sb_compare_resolve(scene->compare, err) != 0)
        return -1;
    for (size_t i = 0; i < outcome->count; i++)
        result_end(&outcome->results[i]);
    outcome->first_applied_lsn = sb_compare_first_applied(scene->compare, &outcome->first_applied_us);
    outcome->oldest_ms = sb_sides_oldest_ms(scene->sides);
    outcome->transactions = sb_follow_transactions(scene->follow);
    outcome->window_peak_bytes = sb_window_peak_bytes(scene->window);
    outcome->tally_peak_bytes = sb_compare_tally_peak_bytes(scene->compare);
    return 0;
}

/* -- the record ------------------------------------------------------------------------------------------ */

static int64_t source_rows(const struct sb_verify_result *result)
{
    return result->source_rows;
}

static int64_t target_rows(const struct sb_verify_result *result)
{
    return result->target_rows;
}

static int64_t differences(const struct sb_verify_result *result)
{
    return result->differences;
}

static int64_t incomplete(const struct sb_verify_result *result)
{
    return result->state == SB_TABLE_UNDECIDED || result->state == SB_TABLE_NOT_COMPARED;
}

/* A row for each run, which status and gates read. */
static int record(struct run *run, struct sb_err *err)
{
    const struct sb_verify_outcome *outcome = run->outcome;
    char numbers[7][24], lsn[SB_LSN_TEXT_BYTES], started[SB_TIME_TEXT_BYTES];
    const int64_t values[] = {(int64_t)outcome->count, sb_verify_total(outcome, incomplete),
        sb_verify_total(outcome, source_rows), sb_verify_total(outcome, target_rows),
        sb_verify_total(outcome, sb_verify_keys_compared), sb_verify_total(outcome, differences),
        outcome->first_applied_us};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        snprintf(numbers[i], sizeof numbers[i], "%" PRId64, values[i]);
    const char *params[] = {run->config->migration, sb_direction_name(run->options->direction),
        sb_verify_verdict_name(outcome->verdict), run->options->pattern, numbers[0], numbers[1], numbers[2],
        numbers[3], numbers[4], numbers[5], sb_lsn_text(outcome->first_applied_lsn, lsn), numbers[6],
        sb_clock_text(outcome->started_us, started)};
    if (sb_conn_query(sb_sides_conn(run->scene.sides, SB_SIDE_TARGET),
            "INSERT INTO switchback.verify_run (migration, direction, verdict, pattern, tables, "
            "tables_incomplete, "
            "source_rows, target_rows, keys_compared, differences, applied_lsn, applied_us, started_at) "
            "VALUES ($1, "
            "$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            sizeof params / sizeof params[0], params, NULL, err) == 0)
        return 0;
    if (strcmp(err->sqlstate, "42P01") == 0)
        return sb_err_hint(
            err, "The control schema is older than this program: run `switchback prepare` again.");
    return sb_err_add(err, "could not record the result");
}

/* -- all of it ------------------------------------------------------------------------------------------- */

static int compared(struct run *run, struct sb_err *err)
{
    struct sb_scene_progress progress;
    const char *why;
    if (sb_scene_wait_joined(&run->scene, &progress, &why, err) != 0)
        return -1;
    if (why != NULL) {
        run->outcome->why = why;
        for (size_t i = 0; i < run->outcome->count; i++)
            run->outcome->results[i].why = why;
        return 0;
    }
    if (sb_scene_follow(&run->scene, &progress, err) != 0)
        return -1;
    run->outcome->held_back_by = run->scene.anchor.held_back_by;
    return compare_all(run, err);
}

static int verify(struct run *run, struct sb_err *err)
{
    if (sb_scene_open(run->config, run->options->direction, "verify", run->arena, &run->scene, err) != 0 ||
        make_plan(run, err) != 0)
        return -1;
    if (run->options->plan_only)
        return 0;
    if (compared(run, err) != 0)
        return -1;
    run->outcome->ended_us = sb_clock_wall_us();
    sb_verify_conclude(run->outcome);
    return record(run, err);
}

int sb_verify_run(const struct sb_config *config, const struct sb_verify_options *options,
    struct sb_arena *arena, struct sb_verify_outcome *ret_outcome, struct sb_err *err)
{
    struct run run = {.config = config, .options = options, .arena = arena, .outcome = ret_outcome};
    *ret_outcome = (struct sb_verify_outcome){.why = "", .started_us = sb_clock_wall_us()};
    int rc = verify(&run, err);
    sb_scene_clear(&run.scene);
    return rc;
}
