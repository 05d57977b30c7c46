#include "reconcile/verify.h"

#include "core/clock.h"
#include "core/log.h"
#include "reconcile/compare.h"
#include "schemas/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PURPOSE_BYTES = 64, POLL_US = 100000 };

struct run {
    const struct sb_config *config;
    const struct sb_verify_options *options;
    struct sb_arena *arena;
    struct sb_sides *sides;
    struct sb_stream *stream;
    struct sb_window *window;
    struct sb_follow *follow;
    struct sb_compare *compare;
    struct sb_verify_plan plan;
    struct sb_verify_outcome *outcome;
    char purpose[PURPOSE_BYTES], path[SB_PATH_BYTES];
};

/* -- progress -------------------------------------------------------------------------------------------- */

struct progress {
    struct sb_position position;
    struct sb_uuid stream;
    int64_t offset;
    bool copying, joined; /* the initial copy is pending; its last stamp has been passed */
};

static int progress_parse(const struct sb_rows *rows, struct progress *out, struct sb_err *err)
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
    return 0;
}

static int progress_read(struct run *run, struct progress *ret_progress, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {run->config->migration, sb_direction_name(run->options->direction)};
    if (sb_conn_query(sb_sides_conn(run->sides, SB_SIDE_TARGET),
            "SELECT p.stream_uuid, p.epoch, p.sequence, p.commit_lsn, pg_catalog.encode(p.chain, 'hex'), "
            "p.stream_offset, coalesce(c.state = 'pending', false), coalesce(p.commit_lsn >= c.last_h, true) "
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
static int wait_joined(
    struct run *run, struct progress *ret_progress, const char **ret_why, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + run->config->verify.stream_wait_s * 1000;
    *ret_why = NULL;
    for (;;) {
        if (progress_read(run, ret_progress, err) != 0)
            return -1;
        if (ret_progress->copying)
            *ret_why = "the initial copy is not complete";
        if (ret_progress->copying || ret_progress->joined)
            return 0;
        if (sb_clock_mono_ms() >= deadline_ms) {
            *ret_why = "apply has not passed the end of the initial copy yet";
            return 0;
        }
        if (sb_sides_mark(run->sides, err) != 0)
            return -1;
        usleep(POLL_US);
    }
}

/* -- the run --------------------------------------------------------------------------------------------- */

static int open_sides(struct run *run, struct sb_err *err)
{
    enum sb_direction direction = run->options->direction;
    snprintf(run->purpose, sizeof run->purpose, "switchback %.31s verify", run->config->migration);
    const struct sb_sides_options options = {.source = sb_wiring_source(run->config, direction),
        .target = sb_wiring_target(run->config, direction),
        .purpose = run->purpose,
        .migration = run->config->migration,
        .direction = sb_direction_name(direction)};
    return sb_sides_open(&options, &run->sides, err);
}

static int make_plan(struct run *run, struct sb_err *err)
{
    struct sb_names names;
    sb_wiring_names(run->config, run->options->direction, &names);
    const struct sb_verify_plan_options options = {
        .names = &names, .pattern = run->options->pattern, .chunk_rows = run->config->verify.chunk_rows};
    if (sb_verify_plan_make(sb_sides_conn(run->sides, SB_SIDE_SOURCE),
            sb_sides_conn(run->sides, SB_SIDE_TARGET), &options, run->arena, &run->plan, err) != 0)
        return -1;
    run->outcome->count = run->plan.table_count;
    run->outcome->results =
        sb_arena_zalloc(run->arena, (run->plan.table_count + 1) * sizeof *run->outcome->results);
    if (run->outcome->results == NULL)
        return sb_err_set(
            err, SB_E_LIMIT, "the results do not fit into arena \"%s\"", sb_arena_name(run->arena));
    for (size_t i = 0; i < run->plan.table_count; i++) {
        run->outcome->results[i].table = &run->plan.tables[i];
        run->outcome->results[i].state = SB_TABLE_NOT_COMPARED;
        run->outcome->results[i].why = "";
    }
    return 0;
}

static int open_stream(struct run *run, const struct progress *progress, struct sb_err *err)
{
    struct sb_stream_options options;
    struct sb_anchor anchor;
    sb_wiring_stream(run->config, run->options->direction, run->path, &options);
    if (sb_stream_open(&options, SB_STREAM_READ, &run->stream, err) != 0)
        return -1;
    struct sb_uuid uuid = sb_stream_uuid(run->stream);
    if (!sb_uuid_eq(&uuid, &progress->stream))
        return sb_err_set(err, SB_E_LOG_FOREIGN, "the target's progress is of another stream");
    run->window = sb_window_new((size_t)run->config->verify.window_max_bytes);
    if (run->window == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for what the stream says");
    if (sb_anchor_find(sb_sides_conn(run->sides, SB_SIDE_SOURCE), run->stream, &progress->position,
            progress->offset, &anchor, err) != 0)
        return -1;
    run->outcome->held_back_by = anchor.held_back_by;
    return sb_follow_new(run->stream, &anchor, sb_sides_source_id(run->sides)->timeline, &run->plan,
        run->window, &run->follow, err);
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
    const struct sb_compare_options options = {
        .tally_max_bytes = (size_t)run->config->verify.memory_max_bytes,
        .stream_wait_ms = run->config->verify.stream_wait_s * 1000,
        .age_max_ms = run->config->verify.xmin_age_max_s * 1000};
    if (sb_compare_new(&options, run->sides, run->follow, run->window, run->arena, &run->compare, err) != 0)
        return -1;
    for (size_t i = 0; i < outcome->count; i++)
        if (sb_compare_table(run->compare, &outcome->results[i], err) != 0)
            return -1;
    if (sb_compare_resolve(run->compare, err) != 0)
        return -1;
    for (size_t i = 0; i < outcome->count; i++)
        result_end(&outcome->results[i]);
    outcome->first_applied_lsn = sb_compare_first_applied(run->compare, &outcome->first_applied_us);
    outcome->oldest_ms = sb_sides_oldest_ms(run->sides);
    outcome->transactions = sb_follow_transactions(run->follow);
    outcome->window_peak_bytes = sb_window_peak_bytes(run->window);
    outcome->tally_peak_bytes = sb_compare_tally_peak_bytes(run->compare);
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
    if (sb_conn_query(sb_sides_conn(run->sides, SB_SIDE_TARGET),
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
    struct progress progress;
    const char *why;
    if (wait_joined(run, &progress, &why, err) != 0)
        return -1;
    if (why != NULL) {
        run->outcome->why = why;
        for (size_t i = 0; i < run->outcome->count; i++)
            run->outcome->results[i].why = why;
        return 0;
    }
    return open_stream(run, &progress, err) != 0 ? -1 : compare_all(run, err);
}

static int verify(struct run *run, struct sb_err *err)
{
    if (open_sides(run, err) != 0 || make_plan(run, err) != 0)
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
    sb_compare_free(run.compare);
    sb_follow_free(run.follow);
    sb_window_free(run.window);
    sb_stream_close(run.stream);
    sb_sides_close(run.sides);
    return rc;
}
