#include "apply/exact.h"

#include "apply/sql.h"
#include "apply/truncate.h"
#include "core/fault.h"

#include <string.h>

struct params {
    const struct sb_value *values[2 * SB_COLS_MAX];
    int count;
};

static void add_row(struct params *params, const struct sb_apply_rel *rel, const struct sb_value *row)
{
    for (uint16_t i = 0; i < rel->rel->col_count; i++)
        params->values[params->count++] = &row[i];
}

static void add_match(struct params *params, const struct sb_apply_rel *rel, const struct sb_value *row)
{
    for (uint16_t i = 0; i < rel->rel->col_count; i++)
        if (sb_sql_matches_by(rel, i))
            params->values[params->count++] = &row[i];
}

static int run(struct sb_exact *exact, const struct sb_buf *sql, const struct params *params,
    int64_t *ret_rows, struct sb_err *err)
{
    return sb_writer_one(exact->writer, sb_sql_view(sql), params->values, params->count, ret_rows, err);
}

static int insert_row(struct sb_exact *exact, const struct sb_apply_rel *rel, const struct sb_value *row,
    int64_t *ret_rows, struct sb_err *err)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    struct params params = {.count = 0};
    sb_buf_init(&sql, SB_SQL_MAX_BYTES);
    sb_sql_one_insert(rel, &sql);
    add_row(&params, rel, row);
    return run(exact, &sql, &params, ret_rows, err);
}

/* Set what travelled of `after` on the row that `match` names. */
static int update_row(struct sb_exact *exact, const struct sb_apply_rel *rel, const struct sb_value *match,
    const struct sb_value *after, int64_t *ret_rows, struct sb_err *err)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    struct params params = {.count = 0};
    bool present[SB_COLS_MAX];
    sb_buf_init(&sql, SB_SQL_MAX_BYTES);
    for (uint16_t i = 0; i < rel->rel->col_count; i++) {
        present[i] = after[i].state != SB_COL_UNCHANGED;
        if (present[i] && rel->cols[i].settable)
            params.values[params.count++] = &after[i];
    }
    sb_sql_one_update(rel, present, &sql);
    add_match(&params, rel, match);
    return run(exact, &sql, &params, ret_rows, err);
}

static int delete_row(struct sb_exact *exact, const struct sb_apply_rel *rel, const struct sb_value *match,
    int64_t *ret_rows, struct sb_err *err)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    struct params params = {.count = 0};
    sb_buf_init(&sql, SB_SQL_MAX_BYTES);
    sb_sql_one_delete(rel, &sql);
    add_match(&params, rel, match);
    return run(exact, &sql, &params, ret_rows, err);
}

/* Is the row there, and does it differ in a column that cannot be set? */
static int fixed_differs(struct sb_exact *exact, const struct sb_apply_rel *rel, const struct sb_value *match,
    const struct sb_value *after, bool *ret_differs, struct sb_err *err)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    struct params params = {.count = 0};
    int64_t rows = 0;
    *ret_differs = false;
    sb_buf_init(&sql, SB_SQL_MAX_BYTES);
    if (!rel->identity_always || !sb_sql_one_fixed(rel, after, &sql))
        return 0;
    add_match(&params, rel, match);
    for (uint16_t i = 0; i < rel->rel->col_count; i++)
        if (sb_sql_is_fixed(rel, after, i))
            params.values[params.count++] = &after[i];
    if (run(exact, &sql, &params, &rows, err) != 0)
        return -1;
    *ret_differs = rows > 0;
    return 0;
}

/* Count and record; under `hold`, or where the stream's version cannot simply be written, it is an error, and
 * is recorded by the caller once the target transaction is undone. */
static int conflict(struct sb_exact *exact, enum sb_conflict_kind kind, const struct sb_batch_change *change,
    const char *target_row, const char *resolution, struct sb_err *err)
{
    const struct sb_apply_rel *rel = change->rel;
    if (exact->hold_conflicts || strcmp(resolution, "hold") == 0) {
        exact->held = true;
        exact->held_kind = kind;
        exact->held_row = target_row == NULL ? NULL : strdup(target_row);
        return sb_err_set(err, SB_E_CONFLICT, "conflict %s in table \"%.*s.%.*s\"", sb_conflict_name(kind),
            (int)rel->target_schema.len, rel->target_schema.ptr, (int)rel->target_name.len,
            rel->target_name.ptr);
    }
    exact->conflicts++;
    struct sb_conflict record = {.kind = kind,
        .change = change,
        .target_row = target_row,
        .resolution = resolution,
        .commit_lsn = exact->commit_lsn,
        .xid = exact->xid};
    return sb_conflict_record(exact->writer, exact->migration, exact->direction, &record, err);
}

static bool travelled_whole(const struct sb_apply_rel *rel, const struct sb_value *row)
{
    for (uint16_t i = 0; i < rel->rel->col_count; i++)
        if (row[i].state == SB_COL_UNCHANGED)
            return false;
    return true;
}

/* As update_row, also where the server does not let a column be set: then the row is written anew. */
static int overwrite_row(struct sb_exact *exact, const struct sb_apply_rel *rel, const struct sb_value *match,
    const struct sb_value *after, int64_t *ret_rows, struct sb_err *err)
{
    bool anew;
    if (fixed_differs(exact, rel, match, after, &anew, err) != 0)
        return -1;
    if (!anew)
        return update_row(exact, rel, match, after, ret_rows, err);
    if (!travelled_whole(rel, after) || rel->keeps_columns) {
        sb_err_set(err, SB_E_TARGET_STRUCTURE,
            "table \"%.*s.%.*s\" has an identity column that is always generated, and the source changes it",
            (int)rel->target_schema.len, rel->target_schema.ptr, (int)rel->target_name.len,
            rel->target_name.ptr);
        sb_err_hint(err,
            "On the target: ALTER TABLE ... ALTER COLUMN ... SET GENERATED BY DEFAULT; then `switchback "
            "resume`.");
        return -1;
    }
    return delete_row(exact, rel, match, ret_rows, err) != 0 ? -1
                                                             : insert_row(exact, rel, after, ret_rows, err);
}

static int exact_insert(struct sb_exact *exact, const struct sb_batch_change *change, struct sb_err *err)
{
    const struct sb_apply_rel *rel = change->rel;
    const char *found = NULL;
    int64_t rows = 0;
    /* Where ON CONFLICT is not to be had, the key is looked up first. */
    if (rel->no_on_conflict && rel->key_count > 0 &&
        sb_conflict_target_row(exact->writer, rel, change->chg.after, &found, err) != 0)
        return -1;
    if (found == NULL) {
        if (insert_row(exact, rel, change->chg.after, &rows, err) != 0)
            return -1;
        if (rows == 1)
            return 0;
        if (rel->key_count > 0 &&
            sb_conflict_target_row(exact->writer, rel, change->chg.after, &found, err) != 0)
            return -1;
    }
    if (found == NULL)
        return conflict(exact, SB_CONFLICT_MULTIPLE_UNIQUE, change, NULL, "hold", err);
    if (conflict(exact, SB_CONFLICT_INSERT_EXISTS, change, found, "owner", err) != 0 ||
        overwrite_row(exact, rel, change->chg.after, change->chg.after, &rows, err) != 0)
        return -1;
    return rows == 1 ? 0
                     : sb_err_set(err, SB_E_TARGET_UNAVAILABLE,
                           "a row of table \"%.*s.%.*s\" was changed by somebody else meanwhile",
                           (int)rel->target_schema.len, rel->target_schema.ptr, (int)rel->target_name.len,
                           rel->target_name.ptr);
}

/* With identity FULL the old row travels whole, so it has what the new row left out. */
static void fill_unchanged(
    const struct sb_relation *rel, const struct sb_change *chg, struct sb_value ret_row[SB_COLS_MAX])
{
    for (uint16_t i = 0; i < rel->col_count; i++) {
        bool from_old = chg->after[i].state == SB_COL_UNCHANGED && chg->before != NULL &&
                        chg->before[i].state != SB_COL_ABSENT;
        ret_row[i] = from_old ? chg->before[i] : chg->after[i];
    }
}

static int update_missing(struct sb_exact *exact, const struct sb_batch_change *change, struct sb_err *err)
{
    const struct sb_apply_rel *rel = change->rel;
    int64_t rows;
    struct sb_value after[SB_COLS_MAX];
    fill_unchanged(rel->rel, &change->chg, after);
    if (!travelled_whole(rel, after))
        return sb_err_set(
            err, SB_E_POISON, "an update finds no row, and its unchanged TOAST columns did not travel");
    if (conflict(exact, SB_CONFLICT_UPDATE_MISSING, change, NULL, "owner", err) != 0)
        return -1;
    if (insert_row(exact, rel, after, &rows, err) != 0)
        return -1;
    return rows == 1 ? 0 : conflict(exact, SB_CONFLICT_MULTIPLE_UNIQUE, change, NULL, "hold", err);
}

static int exact_update(struct sb_exact *exact, const struct sb_batch_change *change, struct sb_err *err)
{
    int64_t rows = 0;
    if (overwrite_row(exact, change->rel, sb_apply_old_key(&change->chg), change->chg.after, &rows, err) != 0)
        return -1;
    if (rows == 1)
        return 0;
    return rows == 0 ? update_missing(exact, change, err)
                     : conflict(exact, SB_CONFLICT_ROW_DIFFERS, change, NULL, "hold", err);
}

static int exact_delete(struct sb_exact *exact, const struct sb_batch_change *change, struct sb_err *err)
{
    int64_t rows;
    if (delete_row(exact, change->rel, change->chg.before, &rows, err) != 0)
        return -1;
    if (rows == 1)
        return 0;
    return rows == 0 ? conflict(exact, SB_CONFLICT_DELETE_MISSING, change, NULL, "none", err)
                     : conflict(exact, SB_CONFLICT_ROW_DIFFERS, change, NULL, "hold", err);
}

static int exact_change(struct sb_exact *exact, const struct sb_batch_change *change, struct sb_err *err)
{
    switch (change->chg.op) {
    case SB_OP_INSERT:
        return exact_insert(exact, change, err);
    case SB_OP_UPDATE:
        return exact_update(exact, change, err);
    case SB_OP_DELETE:
        return exact_delete(exact, change, err);
    case SB_OP_TRUNCATE:
        return sb_truncate_write(exact->writer, change, err);
    }
    return sb_err_set(err, SB_E_INTERNAL, "an operation of kind %d", (int)change->chg.op);
}

/* What the server said, as the id people look up. */
static void classify(const struct sb_apply_rel *rel, struct sb_err *err)
{
    if (err->code != SB_E_POISON)
        return;
    if (strncmp(err->sqlstate, "42", 2) == 0)
        err->code = SB_E_TARGET_STRUCTURE;
    else if (strcmp(err->sqlstate, "22021") == 0 || strcmp(err->sqlstate, "22P05") == 0)
        err->code = SB_E_ENCODING;
    else if (strcmp(err->sqlstate, "23505") == 0 || strcmp(err->sqlstate, "23P01") == 0)
        err->code = SB_E_CONFLICT;
    if (rel == NULL) /* TRUNCATE: the server names the table */
        return;
    sb_err_add(err, "table \"%.*s.%.*s\"", (int)rel->target_schema.len, rel->target_schema.ptr,
        (int)rel->target_name.len, rel->target_name.ptr);
}

int sb_exact_forbidden(struct sb_exact *exact, struct sb_probe_hit *hit, struct sb_err *err)
{
    const struct sb_apply_rel *rel = hit->change->rel;
    exact->failed = hit->change;
    exact->held = true;
    exact->held_kind = SB_CONFLICT_MULTIPLE_UNIQUE;
    exact->held_row = hit->other_row;
    hit->other_row = NULL;
    return sb_err_set(err, SB_E_CONFLICT,
        "two rows of table \"%.*s.%.*s\" would break its deferrable constraint \"%.*s\"",
        (int)rel->target_schema.len, rel->target_schema.ptr, (int)rel->target_name.len, rel->target_name.ptr,
        (int)hit->constraint.len, hit->constraint.ptr);
}

int sb_exact_write(
    struct sb_exact *exact, const struct sb_batch_change *changes, size_t count, struct sb_err *err)
{
    for (size_t i = 0; i < count; i++) {
        SB_FAULT("apply-exact-change");
        if (exact_change(exact, &changes[i], err) == 0)
            continue;
        exact->failed = &changes[i];
        classify(changes[i].rel, err);
        if (err->code == SB_E_CONFLICT && !exact->held) {
            exact->held = true; /* the server named a constraint: another row is in the way */
            exact->held_kind = SB_CONFLICT_MULTIPLE_UNIQUE;
        }
        return -1;
    }
    return 0;
}
