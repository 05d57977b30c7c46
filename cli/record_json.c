#include "cli/record_json.h"

#include "core/clock.h"
#include "core/log.h"
#include "pg/ident.h"
#include "schemas/ddl.h"
#include "schemas/digest.h"
#include "schemas/signal.h"

#include <stdlib.h>

static json_t *lsn_json(uint64_t lsn)
{
    char text[SB_LSN_TEXT_BYTES];
    return json_string(sb_lsn_text(lsn, text));
}

static json_t *time_json(int64_t wall_us)
{
    char text[SB_TIME_TEXT_BYTES];
    return json_string(sb_clock_text(wall_us, text));
}

static json_t *digest_json(const struct sb_digest *digest)
{
    char text[SB_DIGEST_TEXT_BYTES];
    return json_string(sb_digest_text(digest, text));
}

static json_t *uuid_json(const struct sb_uuid *uuid)
{
    char text[SB_UUID_TEXT_BYTES];
    return json_string(sb_uuid_text(uuid, text));
}

static json_t *bytes_json(struct sb_view bytes)
{
    json_t *text = json_stringn(bytes.len > 0 ? bytes.ptr : "", bytes.len); /* NULL if it is not UTF-8 */
    if (text)
        return text;
    char *hex = malloc(2 * bytes.len + 1);
    if (!hex)
        return NULL;
    sb_hex_encode(bytes.ptr, bytes.len, hex);
    json_t *object = json_pack("{s:s}", "hex", hex);
    free(hex);
    return object;
}

/* A name that is not UTF-8, which no server sends, is a key in hex. */
static void set_named(json_t *object, struct sb_view name, json_t *value)
{
    char hex[2 * 64 + 1];
    if (sb_utf8_valid(name)) {
        json_object_setn_new(object, name.ptr, name.len, value);
        return;
    }
    sb_hex_encode(name.ptr, name.len < 64 ? name.len : 64, hex);
    json_object_set_new(object, hex, value);
}

static json_t *table_json(const struct sb_relation *rel)
{
    struct sb_buf name;
    sb_buf_init(&name, 1024);
    sb_buf_put_view(&name, rel->schema);
    sb_buf_put_str(&name, ".");
    sb_buf_put_view(&name, rel->name);
    json_t *text = bytes_json(sb_buf_view(&name));
    sb_buf_clear(&name);
    return text;
}

static json_t *value_json(const struct sb_value *value)
{
    switch (value->state) {
    case SB_COL_NULL:
        return json_null();
    case SB_COL_TEXT:
        return bytes_json(value->text);
    case SB_COL_UNCHANGED:
        return json_pack("{s:b}", "unchanged", 1);
    case SB_COL_ABSENT:
        break;
    }
    return NULL;
}

static json_t *row_json(const struct sb_relation *rel, const struct sb_value *row)
{
    json_t *object = json_object();
    for (uint16_t i = 0; i < rel->col_count; i++)
        if (row[i].state != SB_COL_ABSENT)
            set_named(object, rel->cols[i].name, value_json(&row[i]));
    return object;
}

static void put_truncate(json_t *object, const struct sb_change *chg)
{
    json_t *tables = json_array();
    for (uint16_t i = 0; i < chg->truncated_count; i++)
        json_array_append_new(tables, table_json(chg->truncated[i]));
    json_object_set_new(object, "tables", tables);
    json_object_set_new(object, "cascade", json_boolean(chg->cascade));
    json_object_set_new(object, "restart_identity", json_boolean(chg->restart_identity));
}

static void put_change(json_t *object, const struct sb_walk_record *record)
{
    const struct sb_change *chg = &record->chg;
    json_object_set_new(object, "op", json_stringn(&(char){(char)chg->op}, 1));
    json_object_set_new(object, "lsn", lsn_json(record->meta.lsn));
    json_object_set_new(object, "commit_time", time_json(record->meta.commit_us));
    if (chg->op == SB_OP_TRUNCATE) {
        put_truncate(object, chg);
        return;
    }
    json_object_set_new(object, "table", table_json(chg->rel));
    if (chg->before)
        json_object_set_new(
            object, chg->old_is_key ? "before_key" : "before", row_json(chg->rel, chg->before));
    if (chg->after)
        json_object_set_new(object, "after", row_json(chg->rel, chg->after));
}

static void put_commit(json_t *object, const struct sb_commit *commit)
{
    json_object_set_new(object, "end_lsn", lsn_json(commit->end_lsn));
    json_object_set_new(object, "commit_time", time_json(commit->commit_us));
    json_object_set_new(object, "count", json_integer((json_int_t)commit->count));
    json_object_set_new(object, "digest", digest_json(&commit->digest));
    json_object_set_new(object, "chain", digest_json(&commit->chain));
}

static void put_open(json_t *object, const struct sb_open *open)
{
    json_object_set_new(object, "incarnation", uuid_json(&open->incarnation));
    json_object_set_new(object, "start_lsn", lsn_json(open->start_lsn));
    json_object_set_new(object, "base_commit_lsn", lsn_json(open->base_commit_lsn));
    json_object_set_new(object, "base_sequence", json_integer((json_int_t)open->base_sequence));
    json_object_set_new(object, "base_chain", digest_json(&open->base_chain));
    if (open->hole_from_lsn != 0)
        json_object_set_new(object, "hole_from_lsn", lsn_json(open->hole_from_lsn));
    char system[24]; /* 64 bits, unsigned: beyond what JSON readers keep exact */
    snprintf(system, sizeof system, "%llu", (unsigned long long)open->system_identifier);
    json_object_set_new(object, "system_identifier", json_string(system));
    json_object_set_new(object, "timeline", json_integer(open->timeline));
    json_object_set_new(object, "database_oid", json_integer(open->database_oid));
    json_object_set_new(object, "source_uuid", uuid_json(&open->source_uuid));
    json_object_set_new(object, "server_version", json_integer(open->server_version_num));
    json_object_set_new(object, "opened", time_json(open->opened_us));
    json_object_set_new(object, "program", bytes_json(open->program));
}

static void put_schema(json_t *object, const struct sb_relation *rel)
{
    json_t *columns = json_array();
    for (uint16_t i = 0; i < rel->col_count; i++) {
        json_t *column = json_object();
        json_object_set_new(column, "name", bytes_json(rel->cols[i].name));
        json_object_set_new(column, "type", bytes_json(rel->cols[i].type_name));
        json_object_set_new(column, "typmod", json_integer(rel->cols[i].typmod));
        json_object_set_new(column, "key", json_boolean(rel->cols[i].key));
        json_array_append_new(columns, column);
    }
    json_object_set_new(object, "schema_id", json_integer(rel->schema_id));
    json_object_set_new(object, "table", table_json(rel));
    json_object_set_new(object, "identity", json_stringn(&rel->identity, 1));
    json_object_set_new(object, "columns", columns);
}

/* What the source's event triggers say of a command; false if the message is nothing of the kind. */
static bool put_ddl(json_t *object, const struct sb_message *msg)
{
    struct sb_view signature, text;
    struct sb_signal signal = sb_signal_read(msg);
    if (signal.kind != SB_SIGNAL_DDL || !sb_ddl_split(signal.body, &signature, &text))
        return false;
    json_t *ddl = json_loadb(text.ptr, text.len, 0, NULL);
    if (ddl != NULL)
        json_object_set_new(object, "ddl", ddl);
    return ddl != NULL;
}

static void put_message(json_t *object, const struct sb_message *msg)
{
    json_object_set_new(object, "lsn", lsn_json(msg->lsn));
    json_object_set_new(object, "prefix", bytes_json(msg->prefix));
    if (put_ddl(object, msg))
        return;
    json_object_set_new(object, "content", bytes_json(msg->content));
}

static void put_body(json_t *object, const struct sb_walk_record *record)
{
    switch (record->frame.kind) {
    case SB_KIND_OPEN:
        put_open(object, &record->open);
        break;
    case SB_KIND_SCHEMA:
        put_schema(object, record->rel);
        break;
    case SB_KIND_CHANGE:
        put_change(object, record);
        break;
    case SB_KIND_MESSAGE:
        put_message(object, &record->msg);
        break;
    case SB_KIND_COMMIT:
        put_commit(object, &record->commit);
        break;
    case SB_KIND_IMAGE:
    case SB_KIND_PART:
        break;
    }
}

json_t *sb_record_json(const struct sb_walk_record *record)
{
    const struct sb_frame *frame = &record->frame;
    json_t *object = json_object();
    if (!object)
        return NULL;
    json_object_set_new(object, "offset", json_integer(record->offset));
    json_object_set_new(object, "kind", json_string(sb_kind_name(frame->kind)));
    json_object_set_new(object, "epoch", json_integer((json_int_t)frame->epoch));
    json_object_set_new(object, "sequence", json_integer((json_int_t)frame->sequence));
    if (frame->commit_lsn != 0) {
        json_object_set_new(object, "commit_lsn", lsn_json(frame->commit_lsn));
        json_object_set_new(object, "ordinal", json_integer((json_int_t)frame->ordinal));
        json_object_set_new(object, "xid", json_integer((json_int_t)frame->xid));
        json_object_set_new(object, "timeline", json_integer(frame->timeline));
    }
    json_object_set_new(object, "appended", time_json(record->append_ms * 1000));
    if (record->verdict == SB_VERDICT_DROP)
        json_object_set_new(object, "stale", json_true());
    if (record->decoded)
        put_body(object, record);
    return object;
}
