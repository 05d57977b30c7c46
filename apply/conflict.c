#include "apply/conflict.h"

#include "apply/sql.h"
#include "core/log.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *sb_conflict_name(enum sb_conflict_kind kind)
{
    static const char *const names[] = {"insert_exists", "update_missing", "delete_missing",
        "multiple_unique_conflicts", "row_differs", "rogue_write"};
    return names[kind];
}

static bool has_key(const struct sb_relation *rel)
{
    for (uint16_t i = 0; i < rel->col_count; i++)
        if (rel->cols[i].key)
            return true;
    return false;
}

static char *columns_json(const struct sb_relation *rel, const struct sb_value *row, bool key_only)
{
    json_t *object = row == NULL ? NULL : json_object();
    if (object == NULL)
        return NULL;
    for (uint16_t i = 0; i < rel->col_count; i++) {
        char name[256];
        if (key_only && !rel->cols[i].key)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)rel->cols[i].name.len, rel->cols[i].name.ptr);
        if (row[i].state == SB_COL_NULL)
            json_object_set_new(object, name, json_null());
        else if (row[i].state == SB_COL_TEXT)
            json_object_set_new(object, name, json_stringn(row[i].text.ptr, row[i].text.len));
    }
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

char *sb_row_json(const struct sb_relation *rel, const struct sb_value *row)
{
    return columns_json(rel, row, false);
}

char *sb_key_json(const struct sb_relation *rel, const struct sb_value *row)
{
    return columns_json(rel, row, has_key(rel));
}

static struct sb_value text_value(const char *text)
{
    return (struct sb_value){.state = text == NULL ? SB_COL_NULL : SB_COL_TEXT, .text = sb_view_str(text)};
}

const struct sb_value *sb_conflict_key_row(const struct sb_change *chg)
{
    return chg->op == SB_OP_INSERT ? chg->after : sb_apply_old_key(chg);
}

int sb_conflict_target_row(struct sb_writer *writer, const struct sb_apply_rel *rel,
    const struct sb_value *match, const char **ret_json, struct sb_err *err)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    const struct sb_value *params[SB_COLS_MAX];
    int count = 0;
    *ret_json = NULL;
    if (rel->key_count == 0 && rel->rel->identity != 'f')
        return 0;
    sb_buf_init(&sql, SB_SQL_MAX_BYTES);
    sb_sql_one_json(rel, &sql);
    for (uint16_t i = 0; i < rel->rel->col_count; i++)
        if (sb_sql_matches_by(rel, i))
            params[count++] = &match[i];
    return sb_writer_fetch(writer, sb_sql_view(&sql), params, count, ret_json, err);
}

const char *sb_conflict_op_name(enum sb_op op)
{
    switch (op) {
    case SB_OP_INSERT:
        return "insert";
    case SB_OP_UPDATE:
        return "update";
    case SB_OP_DELETE:
        return "delete";
    case SB_OP_TRUNCATE:
        return "truncate";
    }
    return "?";
}

/* What the record says of the rows; freed by the caller. */
static void describe_rows(
    const struct sb_conflict *conflict, const struct sb_relation *rel, char **ret_key, char **ret_row)
{
    const struct sb_change *chg = &conflict->change->chg;
    bool rogue = conflict->kind == SB_CONFLICT_ROGUE_WRITE;
    *ret_key = *ret_row = NULL;
    if (chg->op == SB_OP_TRUNCATE || conflict->without_rows)
        return;
    /* Other conflicts of a table without a key have the whole row to be found by; a rogue row has its image.
     */
    if (!rogue || has_key(rel))
        *ret_key = sb_key_json(rel, sb_conflict_key_row(chg));
    *ret_row = sb_row_json(rel, chg->after);
    if (conflict->row_max_bytes > 0 && *ret_row != NULL && strlen(*ret_row) > conflict->row_max_bytes) {
        free(*ret_row);
        *ret_row = NULL;
    }
    if (conflict->row_max_bytes > 0 && *ret_key != NULL && strlen(*ret_key) > conflict->row_max_bytes) {
        free(*ret_key);
        *ret_key = NULL;
    }
}

static void name_relation(const struct sb_conflict *conflict, const struct sb_relation *rel, char out[256])
{
    const struct sb_apply_rel *target = conflict->change->rel;
    struct sb_view schema = target != NULL ? target->target_schema : rel->schema,
                   name = target != NULL ? target->target_name : rel->name;
    snprintf(out, 256, "%.*s.%.*s", (int)schema.len, schema.ptr, (int)name.len, name.ptr);
}

int sb_conflict_record(struct sb_writer *writer, const char *migration, const char *direction,
    const struct sb_conflict *conflict, struct sb_err *err)
{
    static const char sql[] =
        "INSERT INTO switchback.conflict (migration, direction, kind, relation, key, "
        "source_row, target_row, resolution, "
        "commit_lsn, ordinal, xid, op) SELECT $1, $2, $3, $4, $5::jsonb, $6::jsonb, "
        "$7::jsonb, $8, $9::pg_lsn, $10::bigint, $11::bigint, $12 WHERE $8 <> 'hold' OR "
        "NOT EXISTS (SELECT FROM switchback.conflict c WHERE c.migration = $1 AND "
        "c.direction = $2 AND c.kind = $3 AND c.resolution = $8 AND c.commit_lsn = "
        "$9::pg_lsn AND c.ordinal = $10::bigint)";
    const struct sb_batch_change *change = conflict->change;
    const struct sb_relation *rel = conflict->relation != NULL ? conflict->relation : change->rel->rel;
    char relation[256], lsn[SB_LSN_TEXT_BYTES], ordinal[24], xid[24], *key, *source_row;
    name_relation(conflict, rel, relation);
    snprintf(ordinal, sizeof ordinal, "%" PRIu64, change->ordinal);
    snprintf(xid, sizeof xid, "%" PRIu64, conflict->xid);
    describe_rows(conflict, rel, &key, &source_row);
    struct sb_value values[] = {text_value(migration), text_value(direction),
        text_value(sb_conflict_name(conflict->kind)), text_value(relation), text_value(key),
        text_value(source_row), text_value(conflict->target_row), text_value(conflict->resolution),
        text_value(sb_lsn_text(conflict->commit_lsn, lsn)), text_value(ordinal), text_value(xid),
        text_value(sb_conflict_op_name(change->chg.op))};
    enum { COUNT = sizeof values / sizeof *values };
    const struct sb_value *params[COUNT];
    int64_t affected;
    for (int i = 0; i < COUNT; i++)
        params[i] = &values[i];
    int rc = sb_writer_one(writer, sb_view_str(sql), params, COUNT, &affected, err);
    free(key);
    free(source_row);
    return rc == 0 ? 0 : sb_err_add(err, "could not record a conflict");
}
