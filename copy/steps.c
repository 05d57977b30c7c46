#include "copy/steps.h"

#include "core/fault.h"
#include "core/log.h"
#include "pg/ident.h"
#include "pg/origin.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { SESSIONS_MAX = 64, TURN_MS = 100, SQL_MAX_BYTES = 256 * 1024 * 1024 };
enum { COL_STEP, COL_WAVE, COL_WHAT, COL_SQL };

enum doing { IDLE, BEGINNING, MAKING };

struct session {
    struct sb_conn *conn;
    enum doing doing;
    int row; /* of the step at hand */
};

struct crew {
    const struct sb_steps *steps;
    struct sb_steps_sight sight;
    struct session sessions[SESSIONS_MAX];
    size_t session_count;
    struct sb_rows *rows; /* what is to be done, in waves */
    int next, end;        /* of the wave at hand: the next row, and behind its last */
    struct sb_buf sql;
};

const char *sb_steps_phase_name(enum sb_toc_phase phase)
{
    return phase == SB_TOC_KEYS ? "keys" : "rest";
}

void sb_steps_put_words(const struct sb_steps_sight *sight, struct sb_buf *out)
{
    sb_buf_putf(out, "schema: %s %" PRId64 " of %" PRId64,
        sight->phase == SB_TOC_KEYS ? "indexes" : "constraints", sight->done, sight->total);
}

/* -- one step -------------------------------------------------------------------------------------------- */

static int send(struct crew *crew, struct session *session, struct sb_err *err)
{
    if (crew->sql.failed)
        return sb_err_set(
            err, SB_E_LIMIT, "a statement of the structure is larger than %d bytes", SQL_MAX_BYTES);
    return sb_conn_send_script(session->conn, sb_buf_str(&crew->sql), err);
}

static int begin(struct crew *crew, struct session *session, struct sb_err *err)
{
    session->row = crew->next++;
    session->doing = BEGINNING;
    sb_buf_reset(&crew->sql);
    sb_copy_put_begin_structure(crew->steps->claim, &crew->sql);
    return send(crew, session, err);
}

/* Nobody's triggers on statements like these are ours to set off. Constraints are checked all the same. */
static int make(struct crew *crew, struct session *session, struct sb_err *err)
{
    const struct sb_copy_claim *claim = crew->steps->claim;
    session->doing = MAKING;
    sb_buf_reset(&crew->sql);
    sb_buf_put_str(&crew->sql,
        "SET LOCAL session_replication_role = replica; SET LOCAL check_function_bodies = off; SET LOCAL "
        "client_min_messages = error;\n");
    sb_buf_put_str(&crew->sql, sb_rows_get(crew->rows, session->row, COL_SQL));
    sb_buf_put_str(
        &crew->sql, "\n; UPDATE switchback.copy_step SET done_at = pg_catalog.now() WHERE migration = ");
    sb_literal_put(&crew->sql, sb_view_str(claim->migration));
    sb_buf_put_str(&crew->sql, " AND direction = ");
    sb_literal_put(&crew->sql, sb_view_str(claim->direction));
    sb_buf_putf(&crew->sql, " AND step = %s; ", sb_rows_get(crew->rows, session->row, COL_STEP));
    sb_origin_put_commit(0, &crew->sql);
    SB_FAULT("copy-before-step");
    return send(crew, session, err);
}

static int refused(const struct crew *crew, const struct session *session, struct sb_err *err)
{
    const char *step = sb_rows_get(crew->rows, session->row, COL_STEP);
    if (sb_err_class(err) != SB_CLASS_RETRY && err->code != SB_E_ACCESS) {
        err->code = SB_E_TARGET_STRUCTURE;
        sb_err_hint(err,
            "Mend on the target what it complains of, then `switchback resume`. To go on without it, on the "
            "target: "
            "UPDATE switchback.copy_step SET done_at = now() WHERE migration = '%s' AND step = %s;",
            crew->steps->claim->migration, step);
    }
    return sb_err_add(err, "could not make %s", sb_rows_get(crew->rows, session->row, COL_WHAT));
}

static int take(struct crew *crew, struct session *session, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int rc = sb_conn_poll(session->conn, &rows, err);
    if (rc == SB_CONN_PENDING)
        return 0;
    if (rc != 0)
        return refused(crew, session, err);
    if (session->doing == BEGINNING) {
        if (sb_rows_count(rows) != 1)
            return sb_err_set(err, SB_E_EPOCH_STALE, "another copy has taken over");
        return make(crew, session, err);
    }
    SB_FAULT("copy-after-step");
    session->doing = IDLE;
    crew->sight.done++;
    SB_INFO("made on the target", SB_STR("what", sb_rows_get(crew->rows, session->row, COL_WHAT)));
    return 0;
}

/* -- a wave ---------------------------------------------------------------------------------------------- */

static int hire(struct crew *crew, size_t wanted, struct sb_err *err)
{
    const struct sb_steps *steps = crew->steps;
    struct sb_endpoint target = sb_wiring_target(steps->config, steps->direction);
    char origin[SB_NAME_BYTES];
    while (crew->session_count < wanted) {
        struct session *session = &crew->sessions[crew->session_count++];
        *session = (struct session){.doing = IDLE};
        sb_wiring_copy_origin(steps->config, steps->direction, crew->session_count, origin);
        if (sb_conn_open(&target, steps->claim->purpose, SB_CONN_LOCAL_COMMIT, &session->conn, err) != 0 ||
            sb_copy_take_origin(steps->claim, session->conn, origin, err) != 0)
            return -1;
    }
    return 0;
}

static int give_out(struct crew *crew, size_t hands, bool *ret_busy, struct sb_err *err)
{
    *ret_busy = false;
    for (size_t i = 0; i < hands; i++) {
        struct session *session = &crew->sessions[i];
        if (session->doing == IDLE && crew->next < crew->end && begin(crew, session, err) != 0)
            return -1;
        *ret_busy = *ret_busy || session->doing != IDLE;
    }
    return 0;
}

static int wave(struct crew *crew, struct sb_err *err)
{
    struct pollfd files[SESSIONS_MAX];
    bool wide = sb_toc_wave_is_wide((int)sb_rows_i64(crew->rows, crew->next, COL_WAVE)), busy = false;
    size_t steps = (size_t)(crew->end - crew->next),
           hands = wide ? (size_t)crew->steps->config->copy.jobs : 1;
    hands = hands > SESSIONS_MAX ? SESSIONS_MAX : hands;
    hands = hands > steps ? steps : hands;
    if (hire(crew, hands, err) != 0)
        return -1;
    for (;;) {
        if (give_out(crew, hands, &busy, err) != 0)
            return -1;
        if (!busy)
            return 0;
        for (size_t i = 0; i < hands; i++)
            files[i] = (struct pollfd){
                .fd = crew->sessions[i].doing == IDLE ? -1 : sb_conn_fd(crew->sessions[i].conn),
                .events = POLLIN};
        poll(files, hands, TURN_MS);
        for (size_t i = 0; i < hands; i++)
            if (files[i].revents != 0 && take(crew, &crew->sessions[i], err) != 0)
                return -1;
        if (crew->steps->turn(crew->steps->arg, &crew->sight, err) != 0)
            return -1;
    }
}

static int wave_end(const struct crew *crew)
{
    int end = crew->next;
    while (end < sb_rows_count(crew->rows) &&
           sb_rows_i64(crew->rows, end, COL_WAVE) == sb_rows_i64(crew->rows, crew->next, COL_WAVE))
        end++;
    return end;
}

/* -- a phase --------------------------------------------------------------------------------------------- */

static int phase_read(struct crew *crew, struct sb_err *err)
{
    const struct sb_copy_claim *claim = crew->steps->claim;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *total = NULL;
    const char *params[] = {claim->migration, claim->direction, sb_steps_phase_name(crew->sight.phase)};
    if (sb_conn_query(claim->target,
            "SELECT count(*) FROM switchback.copy_step WHERE migration = $1 AND direction = $2 AND phase = "
            "$3",
            3, params, &total, err) != 0 ||
        sb_conn_query(claim->target,
            "SELECT step, wave, what, sql FROM switchback.copy_step WHERE migration = $1 AND direction = $2 "
            "AND "
            "phase = $3 AND done_at IS NULL ORDER BY wave, step",
            3, params, &crew->rows, err) != 0)
        return sb_err_add(err, "could not read switchback.copy_step");
    crew->sight.total = sb_rows_i64(total, 0, 0);
    crew->sight.done = crew->sight.total - sb_rows_count(crew->rows);
    return 0;
}

int sb_steps_run(const struct sb_steps *steps, enum sb_toc_phase phase, struct sb_err *err)
{
    struct crew crew = {.steps = steps, .sight = {.phase = phase}};
    sb_buf_init(&crew.sql, SQL_MAX_BYTES);
    int rc = phase_read(&crew, err);
    while (rc == 0 && crew.next < sb_rows_count(crew.rows)) {
        crew.end = wave_end(&crew);
        rc = wave(&crew, err);
    }
    for (size_t i = 0; i < crew.session_count; i++)
        sb_conn_close(crew.sessions[i].conn);
    sb_rows_free(crew.rows);
    sb_buf_clear(&crew.sql);
    return rc;
}
