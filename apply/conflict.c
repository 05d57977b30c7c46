#include "apply/conflict.h"

#include "core/log.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

const char *sb_conflict_name(enum sb_conflict_kind kind)
{
    static const char *const names[] = {
        "insert_exists", "update_missing", "delete_missing", "multiple_unique_conflicts", "row_differs"};
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

int sb_conflict_record(struct sb_writer *writer, const char *migration, const char *direction,
    const struct sb_conflict *conflict, struct sb_err *err)
{
    static const char sql[] = "INSERT INTO switchback.conflict (migration, direction, kind, relation, key, "
                              "source_row, target_row, resolution, "
                              "commit_lsn, ordinal, xid) SELECT $1, $2, $3, $4, $5::jsonb, $6::jsonb, "
                              "$7::jsonb, $8, $9::pg_lsn, $10::bigint, $11::bigint WHERE $8 <> 'hold' OR "
                              "NOT EXISTS (SELECT FROM switchback.conflict c WHERE c.migration = $1 AND "
                              "c.direction = $2 AND c.kind = $3 AND c.resolution = $8 AND c.commit_lsn = "
                              "$9::pg_lsn AND c.ordinal = $10::bigint)";
    const struct sb_batch_change *change = conflict->change;
    const struct sb_apply_rel *rel = change->rel;
    char relation[256], lsn[SB_LSN_TEXT_BYTES], ordinal[24], xid[24];
    snprintf(relation, sizeof relation, "%.*s.%.*s", (int)rel->target_schema.len, rel->target_schema.ptr,
        (int)rel->target_name.len, rel->target_name.ptr);
    snprintf(ordinal, sizeof ordinal, "%" PRIu64, change->ordinal);
    snprintf(xid, sizeof xid, "%" PRIu64, conflict->xid);
    const struct sb_value *old =
        change->chg.op == SB_OP_INSERT ? change->chg.after : sb_apply_old_key(&change->chg);
    char *key = sb_key_json(rel->rel, old);
    char *source_row = sb_row_json(rel->rel, change->chg.after);
    struct sb_value values[] = {text_value(migration), text_value(direction),
        text_value(sb_conflict_name(conflict->kind)), text_value(relation), text_value(key),
        text_value(source_row), text_value(conflict->target_row), text_value(conflict->resolution),
        text_value(sb_lsn_text(conflict->commit_lsn, lsn)), text_value(ordinal), text_value(xid)};
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
