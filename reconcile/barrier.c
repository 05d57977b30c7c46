#include "reconcile/barrier.h"

#include "core/clock.h"
#include "core/fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SQL_MAX_BYTES = 16 * 1024 * 1024,
    SNAPSHOT_MAX_BYTES = 1024 * 1024,
    SNAPSHOTS_MAX = 100,
    POLL_US = 5000,
    NUMBER_BYTES = 24,
};

struct barring {
    struct sb_scene *scene;
    struct sb_barrier *barrier;
    struct sb_arena *arena; /* of a snapshot */
    struct sb_buf locks;    /* BEGIN and LOCK */
    int64_t deadline_ms;
    struct sb_cut cut;
    uint64_t h;
};

/* -- apply is held --------------------------------------------------------------------------------------- */

static struct sb_conn *target_of(const struct barring *barring)
{
    return sb_sides_conn(barring->scene->sides, SB_SIDE_TARGET);
}

/* Nobody else may be at it. */
static int hold_ask(const struct barring *barring, const char **ret_why, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char seconds[NUMBER_BYTES];
    const struct sb_config *config = barring->scene->config;
    snprintf(seconds, sizeof seconds, "%" PRId64, config->invariants.hold_max_s);
    const char *params[] = {config->migration, sb_direction_name(barring->scene->direction), seconds};
    if (sb_conn_query(target_of(barring),
            "INSERT INTO switchback.apply_hold AS h (migration, direction, wanted_until) VALUES ($1, $2, "
            "pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3::double precision)) "
            "ON CONFLICT (migration, direction) DO UPDATE SET wanted_until = excluded.wanted_until, at = "
            "NULL, "
            "held_at = NULL "
            "WHERE h.wanted_until < pg_catalog.clock_timestamp() RETURNING 1",
            3, params, &rows, err) != 0)
        return sb_err_add(err, "could not ask apply to hold");
    *ret_why = sb_rows_count(rows) == 0 ? "somebody else holds apply" : NULL;
    return 0;
}

static void hold_end(const struct barring *barring)
{
    struct sb_err ignored;
    const char *params[] = {barring->scene->config->migration, sb_direction_name(barring->scene->direction)};
    sb_conn_query(target_of(barring),
        "DELETE FROM switchback.apply_hold WHERE migration = $1 AND direction = $2", 2, params, NULL,
        &ignored); /* it ends by itself */
}

static int hold_at(const struct barring *barring, uint64_t lsn, struct sb_err *err)
{
    char text[SB_LSN_TEXT_BYTES];
    const char *params[] = {barring->scene->config->migration, sb_direction_name(barring->scene->direction),
        sb_lsn_text(lsn, text)};
    return sb_conn_query(target_of(barring),
        "UPDATE switchback.apply_hold SET at = $3, held_at = NULL WHERE migration = $1 AND direction = $2", 3,
        params, NULL, err);
}

/* Until apply says that it stands; ret_lsn: where; 0: it did not say so in time. */
static int hold_wait(const struct barring *barring, uint64_t *ret_lsn, struct sb_err *err)
{
    const char *params[] = {barring->scene->config->migration, sb_direction_name(barring->scene->direction)};
    for (*ret_lsn = 0; sb_clock_mono_ms() < barring->deadline_ms; usleep(POLL_US)) {
        SB_CLEANUP(sb_rows_freep)
        struct sb_rows *rows = NULL;
        if (sb_conn_query(target_of(barring),
                "SELECT held_at FROM switchback.apply_hold WHERE migration = $1 AND direction = $2", 2,
                params, &rows, err) != 0)
            return -1;
        *ret_lsn = sb_rows_count(rows) == 0 ? 0 : sb_rows_lsn(rows, 0, 0);
        if (*ret_lsn != 0)
            return 0;
    }
    return 0;
}

/* -- snapshots ------------------------------------------------------------------------------------------- */

static void locks_put(struct barring *barring)
{
    const struct sb_verify_plan *plan = &barring->scene->plan;
    const char *comma = "LOCK TABLE ";
    sb_buf_put_str(
        &barring->locks, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '5s'; ");
    for (size_t i = 0; i < plan->table_count; i++)
        if (plan->tables[i].strategy != SB_STRATEGY_NONE) {
            sb_buf_put_str(&barring->locks, comma);
            sb_buf_put_str(&barring->locks, plan->tables[i].relation);
            comma = ", ";
        }
    if (comma[0] == ',')
        sb_buf_put_str(&barring->locks, " IN ACCESS SHARE MODE");
}

static int begin(const struct barring *barring, enum sb_side side, const char **ret_why, struct sb_err *err)
{
    struct sb_conn *conn = sb_sides_conn(barring->barrier->sides, side);
    if (sb_conn_in_transaction(conn) && sb_conn_exec(conn, "ROLLBACK", err) != 0)
        return -1;
    if (barring->locks.failed)
        return sb_err_set(err, SB_E_LIMIT, "the tables of a barrier do not fit into a statement");
    if (sb_conn_exec(conn, sb_buf_str(&barring->locks), err) == 0)
        return 0;
    if (strcmp(err->sqlstate, "55P03") != 0 && strcmp(err->sqlstate, "42P01") != 0)
        return -1;
    *ret_why = "a table is locked or was dropped";
    return 0;
}

/* S and H, then the stream past H. */
static int truth_take(struct barring *barring, const char **ret_why, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_scene *scene = barring->scene;
    if (begin(barring, SB_SIDE_SOURCE, ret_why, err) != 0 || *ret_why != NULL)
        return *ret_why != NULL ? 0 : -1;
    if (sb_conn_query(sb_sides_conn(barring->barrier->sides, SB_SIDE_SOURCE),
            "SELECT pg_catalog.pg_current_snapshot()::text, pg_catalog.pg_current_wal_insert_lsn()", 0, NULL,
            &rows, err) != 0)
        return -1;
    sb_arena_reset(barring->arena);
    barring->h = sb_rows_lsn(rows, 0, 1);
    if (!sb_snapshot_parse(sb_rows_get(rows, 0, 0), barring->arena, &barring->cut.snapshot))
        return sb_err_set(err, SB_E_PROTOCOL, "the source gave no snapshot that can be read");
    SB_FAULT("reconcile-barrier-truth");
    if (sb_sides_mark(scene->sides, err) != 0)
        return -1;
    int rc = sb_follow_until(scene->follow, barring->h, barring->deadline_ms - sb_clock_mono_ms(), err);
    if (rc == SB_FOLLOW_LATE)
        *ret_why = "the stream did not get to what the source had committed: is capture at work?";
    return rc < 0 ? -1 : 0;
}

/* Snapshots of the truth until one shows a beginning. */
static int truth_find(struct barring *barring, const char **ret_why, struct sb_err *err)
{
    for (barring->barrier->snapshots = 1; *ret_why == NULL; barring->barrier->snapshots++) {
        if (truth_take(barring, ret_why, err) != 0)
            return -1;
        if (*ret_why == NULL &&
            sb_window_is_prefix(barring->scene->window, &barring->cut, &barring->barrier->commit_lsn))
            return 0;
        if (barring->barrier->snapshots == SNAPSHOTS_MAX || sb_clock_mono_ms() >= barring->deadline_ms)
            *ret_why = "no snapshot of the source showed a beginning of the stream's order: does a commit "
                       "wait for a "
                       "synchronous standby?";
    }
    return 0;
}

static int follower_take(struct barring *barring, const char **ret_why, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {barring->scene->config->migration, sb_direction_name(barring->scene->direction)};
    if (begin(barring, SB_SIDE_TARGET, ret_why, err) != 0 || *ret_why != NULL)
        return *ret_why != NULL ? 0 : -1;
    if (sb_conn_query(sb_sides_conn(barring->barrier->sides, SB_SIDE_TARGET),
            "SELECT commit_lsn, EXISTS (SELECT FROM switchback.aside a WHERE a.migration = p.migration AND "
            "a.direction = p.direction) OR EXISTS (SELECT FROM switchback.copy c WHERE c.migration = "
            "p.migration AND c.direction = p.direction AND p.commit_lsn < c.last_h) FROM switchback.progress "
            "p WHERE migration = $1 AND direction = $2 "
            "AND lane = 0",
            2, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0 || sb_rows_lsn(rows, 0, 0) != barring->barrier->commit_lsn)
        *ret_why = "apply did not hold at the commit it was asked to: was it started again meanwhile?";
    else if (sb_rows_bool(rows, 0, 1))
        *ret_why = "a table is copied again, and its rows are not those of one commit yet";
    return 0;
}

/* -- all of it ------------------------------------------------------------------------------------------- */

static int take_held(struct barring *barring, const char **ret_why, struct sb_err *err)
{
    uint64_t stands;
    if (hold_wait(barring, &barring->cut.applied_lsn, err) != 0)
        return -1;
    int64_t held_ms = sb_clock_mono_ms();
    if (barring->cut.applied_lsn == 0)
        *ret_why = "apply did not hold: is it at work, and not in a large transaction?";
    if (*ret_why != NULL)
        return 0;
    SB_FAULT("reconcile-barrier-held");
    if (truth_find(barring, ret_why, err) != 0 || *ret_why != NULL)
        return *ret_why != NULL ? 0 : -1;
    if (hold_at(barring, barring->barrier->commit_lsn, err) != 0 || hold_wait(barring, &stands, err) != 0)
        return -1;
    if (stands != barring->barrier->commit_lsn)
        *ret_why = "apply did not come to the commit it was asked to hold at";
    if (*ret_why == NULL && follower_take(barring, ret_why, err) != 0)
        return -1;
    barring->barrier->held_ms = sb_clock_mono_ms() - held_ms;
    return 0;
}

static int take(struct barring *barring, const char **ret_why, struct sb_err *err)
{
    const struct sb_scene *scene = barring->scene;
    const struct sb_sides_options options = {.source = sb_wiring_source(scene->config, scene->direction),
        .target = sb_wiring_target(scene->config, scene->direction),
        .purpose = scene->purpose,
        .migration = scene->config->migration,
        .direction = sb_direction_name(scene->direction)};
    if (sb_sides_open(&options, &barring->barrier->sides, err) != 0)
        return -1;
    locks_put(barring);
    if (hold_ask(barring, ret_why, err) != 0 || *ret_why != NULL)
        return *ret_why != NULL ? 0 : -1;
    int rc = take_held(barring, ret_why, err);
    hold_end(barring);
    return rc;
}

int sb_barrier_take(
    struct sb_scene *scene, struct sb_barrier *ret_barrier, const char **ret_why, struct sb_err *err)
{
    struct barring barring = {.scene = scene,
        .barrier = ret_barrier,
        .arena = sb_arena_new("snapshot of a barrier", SNAPSHOT_MAX_BYTES),
        .deadline_ms = sb_clock_mono_ms() + scene->config->invariants.hold_max_s * 1000};
    *ret_barrier = (struct sb_barrier){0};
    *ret_why = NULL;
    if (barring.arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a snapshot");
    sb_buf_init(&barring.locks, SQL_MAX_BYTES);
    int rc = take(&barring, ret_why, err);
    sb_buf_clear(&barring.locks);
    sb_arena_free(barring.arena);
    return rc;
}

void sb_barrier_end(struct sb_barrier *barrier)
{
    sb_sides_close(barrier->sides); /* and the transactions with it */
    barrier->sides = NULL;
}
