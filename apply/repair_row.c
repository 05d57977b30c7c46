#include "apply/repair_row.h"

#include "apply/exact.h"
#include "apply/sql.h"
#include "core/fault.h"
#include "schemas/digest.h"
#include "schemas/rowform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AGAIN_MAX = 3,    /* times that rows are tried again which another one was in the way of */
    CIRCLES_MAX = 16, /* rows that may turn out not to belong into a circle */
    ROW_MAX_BYTES = 128 * 1024 * 1024, /* that the audit can hold: jsonb takes less than twice as much */
};

static const char unique_violation[] = "23505", exclusion_violation[] = "23P01", other_row[] = "22000",
                  too_large[] = "54000";

const char *sb_repair_outcome_name(enum sb_repair_outcome outcome)
{
    static const char *const names[] = {"open", "applied", "noop_equal", "skipped_newer", "skipped_ring",
        "skipped_guard", "skipped_schema", "skipped_owner", "skipped_refused"};
    return names[outcome];
}

static int arena_full(const struct sb_repair_job *job, struct sb_err *err)
{
    return sb_err_set(
        err, SB_E_LIMIT, "the rows of an image do not fit into arena \"%s\"", sb_arena_name(job->arena));
}

/* Something about the row itself, as if the server had said so. */
static int refuse(struct sb_err *err, const char *sqlstate, const char *what)
{
    sb_err_set(err, SB_E_POISON, "%s", what);
    snprintf(err->sqlstate, sizeof err->sqlstate, "%s", sqlstate);
    return -1;
}

/* -- the target's row ------------------------------------------------------------------------------------ */

struct found {
    size_t count;                  /* rows with that key; more than one where no index forbids it */
    const struct sb_value *values; /* of the first */
    size_t bytes;
};

static int keep_row(
    const struct sb_repair_job *job, const struct sb_rows *rows, struct found *found, struct sb_err *err)
{
    uint16_t count = job->image->column_count;
    struct sb_value *values = sb_arena_zalloc(job->arena, count * sizeof *values);
    if (values == NULL)
        return arena_full(job, err);
    for (uint16_t i = 0; i < count; i++) {
        const char *text = sb_rows_get(rows, 0, i);
        values[i].state = text == NULL ? SB_COL_NULL : SB_COL_TEXT;
        if (text != NULL && !sb_arena_dup(job->arena, sb_view_str(text), &values[i].text))
            return arena_full(job, err);
        found->bytes += values[i].text.len;
    }
    found->values = values;
    return 0;
}

/* By the key of an image's row. Locked until the transaction ends. */
static int read_row(
    const struct sb_repair_job *job, const struct sb_value *key, struct found *ret_found, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    const char *params[SB_COLS_MAX];
    int count = 0;
    *ret_found = (struct found){0};
    sb_buf_init(&sql, SB_SQL_MAX_BYTES);
    sb_sql_one_read(job->rel, &sql);
    for (uint16_t i = 0; i < job->image->column_count; i++)
        if (sb_sql_matches_by(job->rel, i))
            params[count++] = key[i].text.ptr;
    if (sql.failed)
        return sb_err_set(err, SB_E_LIMIT, "the names of a table's columns are too long");
    if (sb_conn_query(job->conn, sb_buf_str(&sql), count, params, &rows, err) != 0)
        return -1;
    ret_found->count = (size_t)sb_rows_count(rows);
    return ret_found->count == 0 ? 0 : keep_row(job, rows, ret_found, err);
}

static int digest_of(const struct sb_repair_job *job, const struct sb_value *values,
    struct sb_digest *ret_digest, struct sb_err *err)
{
    uint16_t count = job->image->column_count;
    struct sb_digest *fields = sb_arena_alloc(job->arena, count * sizeof *fields);
    if (fields == NULL)
        return arena_full(job, err);
    for (uint16_t i = 0; i < count; i++)
        fields[i] = sb_rowform_field(&values[i]);
    *ret_digest = sb_rowform_row(fields, count);
    return 0;
}

/* -- one row --------------------------------------------------------------------------------------------- */

/* Is the target's row what the image says, or what was found there? */
static int guard(const struct sb_repair_job *job, const struct sb_image_row *row, const struct found *found,
    enum sb_repair_outcome *ret_outcome, struct sb_err *err)
{
    struct sb_digest there = {{0}}, wanted = {{0}};
    *ret_outcome = SB_REPAIR_OPEN;
    if (found->count == 0) {
        if (!row->present)
            *ret_outcome = SB_REPAIR_NOOP_EQUAL;
        else if (row->guard_present)
            *ret_outcome = SB_REPAIR_SKIPPED_GUARD;
        return 0;
    }
    if (digest_of(job, found->values, &there, err) != 0 ||
        (row->present && digest_of(job, row->values, &wanted, err) != 0))
        return -1;
    if (found->count == 1 && row->present && sb_digest_eq(&there, &wanted))
        *ret_outcome = SB_REPAIR_NOOP_EQUAL;
    else if (found->count > 1 || !row->guard_present || !sb_digest_eq(&there, &row->guard))
        *ret_outcome = SB_REPAIR_SKIPPED_GUARD;
    else if (found->bytes > ROW_MAX_BYTES)
        return refuse(err, too_large, "the row is too large for the audit");
    return 0;
}

static struct sb_batch_change change_of(
    const struct sb_repair_job *job, enum sb_op op, const struct sb_value *values)
{
    bool gone = op == SB_OP_DELETE;
    return (struct sb_batch_change){.rel = job->rel,
        .chg = {.op = op,
            .rel = job->rel->rel,
            .before = gone ? values : NULL,
            .after = gone ? NULL : values,
            .old_is_key = gone}};
}

static int write_change(
    const struct sb_repair_job *job, const struct sb_batch_change *change, struct sb_err *err)
{
    struct sb_exact exact = {.writer = job->writer, .migration = job->migration, .direction = job->direction};
    int rc = sb_exact_write(&exact, change, 1, err);
    free(exact.held_row);
    return rc;
}

/* What the server does not check in the replica role. */
static int probe(const struct sb_repair_job *job, const struct sb_batch_change *change, struct sb_err *err)
{
    struct sb_probe_hit hit = {0};
    if (job->rel->deferrable_count == 0)
        return 0;
    if (sb_probe_changes(job->writer, job->rel, change, 1, &hit, err) != 0)
        return -1;
    free(hit.other_row);
    return hit.change == NULL ? 0 : refuse(err, unique_violation, "a deferrable constraint would not hold");
}

/* The row as it stands there now, which must be the image's. */
static int prove(const struct sb_repair_job *job, const struct sb_image_row *row, struct sb_repair_done *done,
    struct sb_err *err)
{
    struct found found;
    struct sb_digest there = {{0}}, wanted = {{0}};
    if (read_row(job, row->values, &found, err) != 0)
        return -1;
    if (found.count != row->present)
        return refuse(err, other_row, "the target has made something else of the row");
    if (row->present &&
        (digest_of(job, found.values, &there, err) != 0 || digest_of(job, row->values, &wanted, err) != 0))
        return -1;
    if (!sb_digest_eq(&there, &wanted))
        return refuse(err, other_row, "the target has made something else of the row");
    if (found.bytes > ROW_MAX_BYTES)
        return refuse(err, too_large, "the row is too large for the audit");
    done->outcome = SB_REPAIR_APPLIED;
    done->after = found.values;
    return 0;
}

static int act(const struct sb_repair_job *job, const struct sb_image_row *row, struct sb_repair_done *done,
    struct sb_err *err)
{
    struct found found;
    if (read_row(job, row->values, &found, err) != 0)
        return -1;
    done->before = found.values;
    if (guard(job, row, &found, &done->outcome, err) != 0)
        return -1;
    if (done->outcome != SB_REPAIR_OPEN)
        return 0;
    struct sb_batch_change change = change_of(job,
        !row->present     ? SB_OP_DELETE
        : found.count > 0 ? SB_OP_UPDATE
                          : SB_OP_INSERT,
        row->values);
    if (write_change(job, &change, err) != 0 || probe(job, &change, err) != 0)
        return -1;
    SB_FAULT("apply-repair-row");
    return prove(job, row, done, err);
}

/* Did the server, or what we know of the table, say no to the row? */
static bool is_refusal(const struct sb_err *err)
{
    if (err->code == SB_E_LIMIT || sb_err_class(err) == SB_CLASS_RETRY)
        return false;
    return sb_err_class(err) == SB_CLASS_DATA || err->sqlstate[0] != '\0';
}

static bool is_blocked(const struct sb_err *err)
{
    return err->code == SB_E_CONFLICT || strcmp(err->sqlstate, unique_violation) == 0 ||
           strcmp(err->sqlstate, exclusion_violation) == 0;
}

static void note_refused(struct sb_repair_done *done, const struct sb_err *err)
{
    done->outcome = SB_REPAIR_SKIPPED_REFUSED;
    done->after = NULL;
    snprintf(done->sqlstate, sizeof done->sqlstate, "%s",
        err->sqlstate[0] == '\0' && err->code == SB_E_CONFLICT ? unique_violation : err->sqlstate);
}

/* Undone if it does not come out. Refused because another row is in the way: *ret_blocked. */
static int try_row(struct sb_repair_job *job, uint32_t at, bool *ret_blocked, struct sb_err *err)
{
    struct sb_repair_done *done = &job->done[at];
    *ret_blocked = false;
    *done = (struct sb_repair_done){.outcome = SB_REPAIR_OPEN};
    if (sb_writer_savepoint(job->writer, err) != 0)
        return -1;
    if (act(job, &job->image->rows[at], done, err) == 0)
        return sb_writer_release(job->writer, err);
    if (!is_refusal(err))
        return -1;
    *ret_blocked = job->image->rows[at].present && is_blocked(err);
    note_refused(done, err);
    return sb_writer_rollback_to(job->writer, err);
}

/* -- rows in each other's way ---------------------------------------------------------------------------- */

struct waiting { /* rows that another one was in the way of */
    uint32_t *rows;
    uint32_t count;
};

static void drop(struct waiting *waiting, uint32_t at)
{
    memmove(&waiting->rows[at], &waiting->rows[at + 1], (waiting->count - at - 1) * sizeof *waiting->rows);
    waiting->count--;
}

static int try_again(struct sb_repair_job *job, struct waiting *waiting, struct sb_err *err)
{
    for (int round = 0, moved = 1; round < AGAIN_MAX && moved && waiting->count > 0; round++) {
        moved = 0;
        for (uint32_t i = 0; i < waiting->count;) {
            bool blocked;
            if (try_row(job, waiting->rows[i], &blocked, err) != 0)
                return -1;
            moved = moved || !blocked;
            if (blocked)
                i++;
            else
                drop(waiting, i);
        }
    }
    return 0;
}

/* First all of them are taken away, then they are written as the image has them. *ret_at: of an error. */
static int act_together(
    struct sb_repair_job *job, const struct waiting *waiting, uint32_t *ret_at, struct sb_err *err)
{
    for (*ret_at = 0; *ret_at < waiting->count; ++*ret_at) {
        const struct sb_image_row *row = &job->image->rows[waiting->rows[*ret_at]];
        struct sb_repair_done *done = &job->done[waiting->rows[*ret_at]];
        struct found found;
        *done = (struct sb_repair_done){.outcome = SB_REPAIR_OPEN};
        if (read_row(job, row->values, &found, err) != 0)
            return -1;
        done->before = found.values;
        if (found.count > 0 && job->rel->keeps_columns)
            return refuse(err, unique_violation, "the target's own columns would be lost");
        struct sb_batch_change change = change_of(job, SB_OP_DELETE, row->values);
        if (found.count > 0 && write_change(job, &change, err) != 0)
            return -1;
    }
    for (*ret_at = 0; *ret_at < waiting->count; ++*ret_at) {
        struct sb_batch_change change =
            change_of(job, SB_OP_INSERT, job->image->rows[waiting->rows[*ret_at]].values);
        if (write_change(job, &change, err) != 0)
            return -1;
    }
    for (*ret_at = 0; *ret_at < waiting->count; ++*ret_at) {
        const struct sb_image_row *row = &job->image->rows[waiting->rows[*ret_at]];
        struct sb_batch_change change = change_of(job, SB_OP_INSERT, row->values);
        if (probe(job, &change, err) != 0 || prove(job, row, &job->done[waiting->rows[*ret_at]], err) != 0)
            return -1;
    }
    return 0;
}

/* Those that do not belong there are left out one by one; what is left when the patience ends is refused. */
static int write_circle(struct sb_repair_job *job, struct waiting *waiting, struct sb_err *err)
{
    for (int round = 0; round < CIRCLES_MAX && waiting->count > 1; round++) {
        uint32_t at;
        if (sb_writer_savepoint(job->writer, err) != 0)
            return -1;
        if (act_together(job, waiting, &at, err) == 0)
            return sb_writer_release(job->writer, err);
        if (!is_refusal(err))
            return -1;
        struct sb_err why = *err;
        if (sb_writer_rollback_to(job->writer, err) != 0)
            return -1;
        for (uint32_t i = 0; i < waiting->count; i++)
            note_refused(&job->done[waiting->rows[i]], &why);
        drop(waiting, at);
    }
    return 0;
}

int sb_repair_rows(struct sb_repair_job *job, struct sb_err *err)
{
    struct waiting waiting = {
        .rows = sb_arena_alloc(job->arena, job->image->row_count * sizeof *waiting.rows)};
    if (waiting.rows == NULL)
        return arena_full(job, err);
    for (uint32_t i = 0; i < job->image->row_count; i++) {
        bool blocked;
        if (job->done[i].outcome != SB_REPAIR_OPEN)
            continue;
        if (try_row(job, i, &blocked, err) != 0)
            return -1;
        if (blocked)
            waiting.rows[waiting.count++] = i;
    }
    return try_again(job, &waiting, err) != 0 ? -1 : write_circle(job, &waiting, err);
}
