#include "reconcile/invariant.h"

#include "core/clock.h"
#include "reconcile/tally.h"
#include "schemas/digest.h"

#include <inttypes.h>
#include <string.h>

enum { SQL_MAX_BYTES = 2 * 1024 * 1024, ROWS_MAX = 100000, TALLY_MAX_BYTES = 64 * 1024 * 1024 };

struct evaluating {
    struct sb_barrier barrier;
    struct sb_arena *arena;
    struct sb_tally *tally;
    struct sb_buf sql;
    int64_t timeout_s;
};

static const char *keep(struct evaluating *evaluating, const char *text)
{
    const char *kept = sb_arena_str(evaluating->arena, sb_view_str(text));
    return kept != NULL ? kept : "";
}

/* -- one side -------------------------------------------------------------------------------------------- */

/* Rows as text, one more than are allowed. A mistake in the query must not end the transaction. */
static void query_put(struct evaluating *evaluating, const char *query, int64_t rows_max)
{
    size_t len = strlen(query);
    while (len > 0 && strchr("; \t\r\n", query[len - 1]) != NULL)
        len--;
    sb_buf_reset(&evaluating->sql);
    sb_buf_put_str(&evaluating->sql, "SELECT q::text FROM (\n");
    sb_buf_put(&evaluating->sql, query, len);
    sb_buf_putf(&evaluating->sql, "\n) AS q LIMIT %" PRId64, rows_max + 1);
}

/* 0 with the rows; without, it failed, and result says why; -1: the session is gone. */
static int ask(struct evaluating *evaluating, enum sb_side side, struct sb_invariant *result,
    struct sb_rows **ret_rows, struct sb_err *err)
{
    struct sb_conn *conn = sb_sides_conn(evaluating->barrier.sides, side);
    struct sb_err failed;
    if (sb_conn_exec(conn, "SAVEPOINT invariant", err) != 0)
        return -1;
    if (sb_conn_query(conn, sb_buf_str(&evaluating->sql), 0, NULL, ret_rows, &failed) != 0) {
        sb_err_add(&failed, "on the %s", sb_side_name(side));
        result->why = keep(evaluating, failed.text);
        *ret_rows = NULL;
        return sb_conn_exec(conn, "ROLLBACK TO SAVEPOINT invariant", err);
    }
    return sb_conn_exec(conn, "RELEASE SAVEPOINT invariant", err);
}

static int tally(struct evaluating *evaluating, const struct sb_rows *rows, int by, struct sb_err *err)
{
    for (int i = 0; i < sb_rows_count(rows); i++) {
        const char *text = sb_rows_get(rows, i, 0);
        struct sb_digest row = sb_hash128(sb_view_str(text == NULL ? "" : text));
        if (sb_tally_add(evaluating->tally, &row, &row, sb_view(NULL, 0), by) != 0)
            return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the rows of an invariant");
    }
    return 0;
}

/* -- one invariant --------------------------------------------------------------------------------------- */

static int differing(void *arg, const struct sb_tally_rest *rest)
{
    struct sb_invariant *result = arg;
    result->differing += rest->truth + rest->follower;
    return 0;
}

static int compare(struct evaluating *evaluating, struct sb_rows *const sides[2], struct sb_invariant *result,
    struct sb_err *err)
{
    sb_tally_reset(evaluating->tally);
    if (tally(evaluating, sides[0], 1, err) != 0 || tally(evaluating, sides[1], -1, err) != 0)
        return -1;
    if (sb_tally_each(evaluating->tally, differing, result) != 0)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the rows of an invariant");
    result->state = result->differing == 0 ? SB_INVARIANT_HOLDS : SB_INVARIANT_BROKEN;
    return 0;
}

static int judge(struct evaluating *evaluating, struct sb_rows *const sides[2], struct sb_invariant *result,
    struct sb_err *err)
{
    result->source_rows = sb_rows_count(sides[0]);
    result->target_rows = sb_rows_count(sides[1]);
    if (!result->same) {
        result->state =
            result->source_rows + result->target_rows == 0 ? SB_INVARIANT_HOLDS : SB_INVARIANT_BROKEN;
        return 0;
    }
    if (result->source_rows > ROWS_MAX || result->target_rows > ROWS_MAX) {
        result->why = "it gives more than 100000 rows: aggregate";
        return 0;
    }
    return compare(evaluating, sides, result, err);
}

static int evaluate(
    struct evaluating *evaluating, const char *query, struct sb_invariant *result, struct sb_err *err)
{
    struct sb_rows *sides[2] = {NULL, NULL};
    int64_t begun_ms = sb_clock_mono_ms();
    query_put(evaluating, query, ROWS_MAX);
    if (evaluating->sql.failed) {
        result->why = "the query is too long";
        return 0;
    }
    int rc = ask(evaluating, SB_SIDE_SOURCE, result, &sides[0], err);
    if (rc == 0 && sides[0] != NULL)
        rc = ask(evaluating, SB_SIDE_TARGET, result, &sides[1], err);
    if (rc == 0 && sides[0] != NULL && sides[1] != NULL)
        rc = judge(evaluating, sides, result, err);
    result->took_ms = sb_clock_mono_ms() - begun_ms;
    sb_rows_free(sides[0]);
    sb_rows_free(sides[1]);
    return rc;
}

/* -- all of them ----------------------------------------------------------------------------------------- */

static int settings_set(struct evaluating *evaluating, struct sb_err *err)
{
    sb_buf_reset(&evaluating->sql);
    sb_buf_putf(&evaluating->sql,
        "SET LOCAL search_path = public; SET LOCAL statement_timeout = '%" PRId64 "s'",
        evaluating->timeout_s);
    for (int side = 0; side < 2; side++)
        if (sb_conn_exec(sb_sides_conn(evaluating->barrier.sides, (enum sb_side)side),
                sb_buf_str(&evaluating->sql), err) != 0)
            return -1;
    return 0;
}

static int evaluate_all(struct evaluating *evaluating, const struct sb_config_pairs *queries,
    struct sb_invariant *results, struct sb_err *err)
{
    for (size_t i = 0; i < queries->count; i++)
        if (evaluate(evaluating, queries->items[i].value, &results[i], err) != 0)
            return sb_err_add(err, "invariant %s", results[i].name);
    return 0;
}

static void name(const struct sb_config_pairs *queries, bool same, struct sb_invariant *results)
{
    for (size_t i = 0; i < queries->count; i++)
        results[i] = (struct sb_invariant){
            .name = queries->items[i].name, .same = same, .state = SB_INVARIANT_NOT_EVALUATED, .why = ""};
}

static int behind_barrier(struct sb_scene *scene, struct evaluating *evaluating,
    struct sb_invariants *invariants, struct sb_err *err)
{
    const struct sb_config *config = scene->config;
    const char *why;
    if (sb_barrier_take(scene, &evaluating->barrier, &why, err) != 0)
        return sb_err_add(err, "could not bring both sides to one commit");
    invariants->commit_lsn = evaluating->barrier.commit_lsn;
    invariants->held_ms = evaluating->barrier.held_ms;
    invariants->snapshots = evaluating->barrier.snapshots;
    for (size_t i = 0; why != NULL && i < invariants->count; i++)
        invariants->results[i].why = why;
    if (why != NULL)
        return 0;
    if (settings_set(evaluating, err) != 0)
        return -1;
    return evaluate_all(evaluating, &config->invariants.same, invariants->results, err) != 0 ||
                   evaluate_all(evaluating, &config->invariants.none,
                       invariants->results + config->invariants.same.count, err) != 0
               ? -1
               : 0;
}

int sb_invariants_evaluate(
    struct sb_scene *scene, struct sb_arena *arena, struct sb_invariants *ret_invariants, struct sb_err *err)
{
    const struct sb_config *config = scene->config;
    struct evaluating evaluating = {.arena = arena, .timeout_s = config->invariants.statement_timeout_s};
    *ret_invariants =
        (struct sb_invariants){.count = config->invariants.same.count + config->invariants.none.count};
    if (ret_invariants->count == 0)
        return 0;
    ret_invariants->results = sb_arena_zalloc(arena, ret_invariants->count * sizeof *ret_invariants->results);
    if (ret_invariants->results == NULL)
        return sb_err_set(err, SB_E_LIMIT, "the results do not fit into arena \"%s\"", sb_arena_name(arena));
    name(&config->invariants.same, true, ret_invariants->results);
    name(&config->invariants.none, false, ret_invariants->results + config->invariants.same.count);
    sb_buf_init(&evaluating.sql, SQL_MAX_BYTES);
    evaluating.tally = sb_tally_new(TALLY_MAX_BYTES);
    int rc = evaluating.tally == NULL
                 ? sb_err_set(err, SB_E_NO_MEMORY, "no memory for the rows of invariants")
                 : behind_barrier(scene, &evaluating, ret_invariants, err);
    sb_barrier_end(&evaluating.barrier);
    sb_tally_free(evaluating.tally);
    sb_buf_clear(&evaluating.sql);
    return rc;
}
