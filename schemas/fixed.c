#include "schemas/fixed.h"

#include "pg/ident.h"
#include "schemas/avro_bytes.h"
#include "schemas/avro_check.h"
#include "schemas/avro_schemas.h"
#include "schemas/twin.h"

#include <avro.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum fixed_kind { FIXED_OPEN, FIXED_SCHEMA, FIXED_MESSAGE, FIXED_TRUNCATE, FIXED_COUNT };

static const struct {
    const char *name;
    const char *json;
} kind_infos[FIXED_COUNT] = {
    [FIXED_OPEN] = {"open", sb_avsc_open},
    [FIXED_SCHEMA] = {"schema", sb_avsc_schema},
    [FIXED_MESSAGE] = {"message", sb_avsc_message},
    [FIXED_TRUNCATE] = {"truncate", sb_avsc_truncate},
};

struct sb_fixed {
    avro_schema_t schemas[FIXED_COUNT];
    avro_value_iface_t *ifaces[FIXED_COUNT];
    struct sb_buf text; /* avro-c takes strings with their NUL: a copy of the one being put */
};

enum { FIXED_TEXT_MAX_BYTES = 16 << 20, COMMIT_MAX_BYTES = 5 * SB_AVRO_LONG_MAX_BYTES + 2 * 16 };

int sb_fixed_new(struct sb_fixed **ret_fixed, struct sb_err *err)
{
    struct sb_fixed *fixed = calloc(1, sizeof *fixed);
    if (fixed == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "could not make the codec's fixed schemas");
    sb_buf_init(&fixed->text, FIXED_TEXT_MAX_BYTES);
    for (int kind = 0; kind < FIXED_COUNT; kind++) {
        const char *json = kind_infos[kind].json;
        if (avro_schema_from_json_length(json, strlen(json), &fixed->schemas[kind]) != 0 ||
            (fixed->ifaces[kind] = avro_generic_class_from_schema(fixed->schemas[kind])) == NULL) {
            sb_err_set(err, SB_E_INTERNAL, "schema of kind %s: %s", kind_infos[kind].name, avro_strerror());
            sb_fixed_free(fixed);
            return -1;
        }
    }
    *ret_fixed = fixed;
    return 0;
}

void sb_fixed_free(struct sb_fixed *fixed)
{
    if (fixed == NULL)
        return;
    for (int kind = 0; kind < FIXED_COUNT; kind++) {
        if (fixed->ifaces[kind] != NULL)
            avro_value_iface_decref(fixed->ifaces[kind]);
        if (fixed->schemas[kind] != NULL)
            avro_schema_decref(fixed->schemas[kind]);
    }
    sb_buf_clear(&fixed->text);
    free(fixed);
}

/* A record being written or read, field after field in the schema's order; sticky. */
struct fields {
    struct sb_fixed *fixed;
    struct sb_arena *arena; /* reading */
    avro_value_t record;
    size_t next;
    bool failed;
    bool full; /* the arena is */
};

static bool fields_next(struct fields *fields, avro_value_t *ret_field)
{
    if (!fields->failed && avro_value_get_by_index(&fields->record, fields->next++, ret_field, NULL) != 0)
        fields->failed = true;
    return !fields->failed;
}

/* The record in an array's item. */
static struct fields fields_of(const struct fields *outer, avro_value_t item)
{
    return (struct fields){
        .fixed = outer->fixed, .arena = outer->arena, .record = item, .failed = outer->failed};
}

/* -- writing
 * ------------------------------------------------------------------------------------------------- */

static void put_long(struct fields *fields, uint64_t value)
{
    avro_value_t field;
    if (fields_next(fields, &field))
        fields->failed = avro_value_set_long(&field, (int64_t)value) != 0;
}

static void put_int(struct fields *fields, int32_t value)
{
    avro_value_t field;
    if (fields_next(fields, &field))
        fields->failed = avro_value_set_int(&field, value) != 0;
}

static void put_boolean(struct fields *fields, bool value)
{
    avro_value_t field;
    if (fields_next(fields, &field))
        fields->failed = avro_value_set_boolean(&field, value) != 0;
}

static void put_enum(struct fields *fields, int value)
{
    avro_value_t field;
    if (fields_next(fields, &field))
        fields->failed = avro_value_set_enum(&field, value) != 0;
}

static void put_fixed(struct fields *fields, const unsigned char bytes[16])
{
    avro_value_t field;
    if (fields_next(fields, &field))
        fields->failed = avro_value_set_fixed(&field, (void *)bytes, 16) != 0;
}

static bool set_string(struct fields *fields, avro_value_t *field, struct sb_view text)
{
    struct sb_buf *copy = &fields->fixed->text;
    sb_buf_reset(copy);
    sb_buf_put_view(copy, text);
    return !copy->failed && avro_value_set_string_len(field, copy->ptr, copy->len + 1) == 0;
}

static bool set_bytes(avro_value_t *field, struct sb_view bytes)
{
    static char nothing[1];
    return avro_value_set_bytes(field, bytes.len == 0 ? nothing : (void *)bytes.ptr, bytes.len) == 0;
}

static void put_string(struct fields *fields, struct sb_view text)
{
    avro_value_t field;
    if (fields_next(fields, &field))
        fields->failed = !set_string(fields, &field, text);
}

static void put_bytes(struct fields *fields, struct sb_view bytes)
{
    avro_value_t field;
    if (fields_next(fields, &field))
        fields->failed = !set_bytes(&field, bytes);
}

/* ["string", "bytes"] */
static void put_text(struct fields *fields, struct sb_view text)
{
    avro_value_t field, branch;
    bool utf8 = sb_utf8_valid(text);
    if (fields_next(fields, &field))
        fields->failed = avro_value_set_branch(&field, !utf8, &branch) != 0 ||
                         !(utf8 ? set_string(fields, &branch, text) : set_bytes(&branch, text));
}

static int put_begin(
    struct sb_fixed *fixed, enum fixed_kind kind, struct fields *ret_fields, struct sb_err *err)
{
    *ret_fields = (struct fields){.fixed = fixed};
    if (avro_generic_value_new(fixed->ifaces[kind], &ret_fields->record) != 0)
        return sb_err_set(
            err, SB_E_NO_MEMORY, "could not make a %s value: %s", kind_infos[kind].name, avro_strerror());
    return 0;
}

static bool put_value(avro_value_t *value, struct sb_buf *out)
{
    size_t size = 0;
    if (avro_value_sizeof(value, &size) != 0)
        return false;
    char *room = sb_buf_grow(out, size);
    if (room == NULL)
        return false;
    avro_writer_t writer = avro_writer_memory(room, (int64_t)size);
    bool fine = writer != NULL && avro_value_write(writer, value) == 0;
    if (writer != NULL)
        avro_writer_free(writer);
    return fine;
}

static int put_end(enum fixed_kind kind, struct fields *fields, struct sb_buf *out, struct sb_err *err)
{
    size_t before = out->len;
    bool fine = !fields->failed && put_value(&fields->record, out);
    avro_value_decref(&fields->record);
    if (fine)
        return 0;
    if (out->failed || fields->fixed->text.failed)
        return sb_err_set(err, SB_E_LIMIT, "a %s record is larger than %zu bytes, or memory ran out",
            kind_infos[kind].name, out->max);
    out->len = before;
    return sb_err_set(
        err, SB_E_INTERNAL, "could not write a %s record: %s", kind_infos[kind].name, avro_strerror());
}

int sb_fixed_put_open(
    struct sb_fixed *fixed, const struct sb_open *open, struct sb_buf *out, struct sb_err *err)
{
    struct fields fields;
    if (put_begin(fixed, FIXED_OPEN, &fields, err) < 0)
        return -1;
    put_long(&fields, open->epoch);
    put_fixed(&fields, open->incarnation.bytes);
    put_long(&fields, open->start_lsn);
    put_long(&fields, open->base_commit_lsn);
    put_long(&fields, open->base_sequence);
    put_fixed(&fields, open->base_chain.bytes);
    put_long(&fields, open->hole_from_lsn);
    put_long(&fields, open->system_identifier);
    put_long(&fields, open->timeline);
    put_long(&fields, open->database_oid);
    put_fixed(&fields, open->source_uuid.bytes);
    put_long(&fields, open->server_version_num);
    put_long(&fields, (uint64_t)open->opened_us);
    put_text(&fields, open->program);
    return put_end(FIXED_OPEN, &fields, out, err);
}

int sb_fixed_put_message(
    struct sb_fixed *fixed, const struct sb_message *msg, struct sb_buf *out, struct sb_err *err)
{
    struct fields fields;
    if (put_begin(fixed, FIXED_MESSAGE, &fields, err) < 0)
        return -1;
    put_text(&fields, msg->prefix);
    put_bytes(&fields, msg->content);
    put_long(&fields, msg->lsn);
    return put_end(FIXED_MESSAGE, &fields, out, err);
}

/* Every transaction has one, so it is written and read without generic values, as rows are. */
int sb_fixed_put_commit(const struct sb_commit *commit, struct sb_buf *out, struct sb_err *err)
{
    size_t before = out->len;
    unsigned char *room = (unsigned char *)sb_buf_grow(out, COMMIT_MAX_BYTES), *at = room;
    if (room == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a commit record");
    at = sb_avro_put_long(at, (int64_t)commit->commit_lsn);
    at = sb_avro_put_long(at, (int64_t)commit->end_lsn);
    at = sb_avro_put_long(at, (int64_t)commit->xid);
    at = sb_avro_put_long(at, commit->commit_us);
    at = sb_avro_put_long(at, (int64_t)commit->count);
    at = mempcpy(at, commit->digest.bytes, sizeof commit->digest.bytes);
    at = mempcpy(at, commit->chain.bytes, sizeof commit->chain.bytes);
    out->len = before + (size_t)(at - room);
    out->ptr[out->len] = '\0';
    return 0;
}

int sb_fixed_put_truncate(struct sb_fixed *fixed, const struct sb_change *chg,
    const struct sb_change_meta *meta, struct sb_buf *out, struct sb_err *err)
{
    struct fields fields;
    avro_value_t tables, item;
    if (put_begin(fixed, FIXED_TRUNCATE, &fields, err) < 0)
        return -1;
    if (fields_next(&fields, &tables)) {
        for (size_t i = 0; i < chg->truncated_count && !fields.failed; i++) {
            const struct sb_relation *rel = chg->truncated[i];
            fields.failed = avro_value_append(&tables, &item, NULL) != 0;
            struct fields table = fields_of(&fields, item);
            put_text(&table, rel->schema);
            put_text(&table, rel->name);
            put_long(&table, rel->schema_id);
            fields.failed = table.failed;
        }
    }
    put_boolean(&fields, chg->cascade);
    put_boolean(&fields, chg->restart_identity);
    put_long(&fields, meta->lsn);
    put_long(&fields, meta->xid);
    put_string(&fields, sb_view("t", 1));
    put_long(&fields, (uint64_t)sb_us_to_ms(meta->commit_us));
    return put_end(FIXED_TRUNCATE, &fields, out, err);
}

static const char identities[] = "difn"; /* as the enum's symbols stand */

static void put_column(struct fields *fields, const struct sb_column *col, enum sb_twin twin)
{
    put_text(fields, col->name);
    put_text(fields, col->type_name);
    put_long(fields, col->type_oid);
    put_int(fields, col->typmod);
    put_boolean(fields, col->key);
    put_string(fields, sb_view_str(sb_twin_name(twin)));
}

int sb_fixed_put_schema(
    struct sb_fixed *fixed, const struct sb_draft *draft, uint32_t id, struct sb_buf *out, struct sb_err *err)
{
    const struct sb_relation *rel = &draft->shape.rel;
    struct fields fields;
    avro_value_t columns, item;
    if (put_begin(fixed, FIXED_SCHEMA, &fields, err) < 0)
        return -1;
    const char *identity = rel->identity == '\0' ? NULL : strchr(identities, rel->identity);
    put_long(&fields, id);
    put_long(&fields, rel->oid);
    put_text(&fields, rel->schema);
    put_text(&fields, rel->name);
    put_enum(&fields, identity == NULL ? -1 : (int)(identity - identities));
    if (fields_next(&fields, &columns)) {
        for (size_t i = 0; i < rel->col_count && !fields.failed; i++) {
            fields.failed = avro_value_append(&columns, &item, NULL) != 0;
            struct fields column = fields_of(&fields, item);
            put_column(&column, &rel->cols[i], (enum sb_twin)draft->shape.twins[i]);
            fields.failed = column.failed;
        }
    }
    put_string(&fields, draft->envelope);
    put_string(&fields, draft->key);
    return put_end(FIXED_SCHEMA, &fields, out, err);
}

/* -- reading
 * ------------------------------------------------------------------------------------------------- */

static uint64_t get_long(struct fields *fields)
{
    avro_value_t field;
    int64_t value = 0;
    if (fields_next(fields, &field))
        fields->failed = avro_value_get_long(&field, &value) != 0;
    return (uint64_t)value;
}

static uint32_t get_u32(struct fields *fields)
{
    uint64_t value = get_long(fields);
    if (value > UINT32_MAX)
        fields->failed = true;
    return (uint32_t)value;
}

static int32_t get_int(struct fields *fields)
{
    avro_value_t field;
    int32_t value = 0;
    if (fields_next(fields, &field))
        fields->failed = avro_value_get_int(&field, &value) != 0;
    return value;
}

static bool get_boolean(struct fields *fields)
{
    avro_value_t field;
    int value = 0;
    if (fields_next(fields, &field))
        fields->failed = avro_value_get_boolean(&field, &value) != 0;
    return value != 0;
}

static int get_enum(struct fields *fields)
{
    avro_value_t field;
    int value = 0;
    if (fields_next(fields, &field))
        fields->failed = avro_value_get_enum(&field, &value) != 0;
    return value;
}

static void get_fixed(struct fields *fields, unsigned char out[16])
{
    avro_value_t field;
    const void *bytes = NULL;
    size_t size = 0;
    if (fields_next(fields, &field))
        fields->failed = avro_value_get_fixed(&field, &bytes, &size) != 0 || size != 16;
    if (fields->failed)
        memset(out, 0, 16);
    else
        memcpy(out, bytes, 16);
}

static struct sb_view keep(struct fields *fields, const void *bytes, size_t len)
{
    struct sb_view copy = {0};
    if (!fields->failed && !sb_arena_dup(fields->arena, sb_view(bytes, len), &copy))
        fields->failed = fields->full = true;
    return copy;
}

static struct sb_view value_string(struct fields *fields, avro_value_t *value)
{
    const char *text = NULL;
    size_t size = 1; /* with its NUL */
    fields->failed |= avro_value_get_string(value, &text, &size) != 0 || size == 0;
    return keep(fields, text, fields->failed ? 0 : size - 1);
}

static struct sb_view value_bytes(struct fields *fields, avro_value_t *value)
{
    const void *bytes = NULL;
    size_t size = 0;
    fields->failed |= avro_value_get_bytes(value, &bytes, &size) != 0;
    return keep(fields, bytes, size);
}

static struct sb_view get_string(struct fields *fields)
{
    avro_value_t field;
    return fields_next(fields, &field) ? value_string(fields, &field) : (struct sb_view){0};
}

static struct sb_view get_bytes(struct fields *fields)
{
    avro_value_t field;
    return fields_next(fields, &field) ? value_bytes(fields, &field) : (struct sb_view){0};
}

/* Names and the like: they end as C strings somewhere, so a NUL inside is refused. */
static struct sb_view get_text(struct fields *fields)
{
    avro_value_t field, branch;
    int number = 0;
    if (!fields_next(fields, &field))
        return (struct sb_view){0};
    fields->failed = avro_value_get_discriminant(&field, &number) != 0 ||
                     avro_value_get_current_branch(&field, &branch) != 0;
    if (fields->failed)
        return (struct sb_view){0};
    struct sb_view text = number == 0 ? value_string(fields, &branch) : value_bytes(fields, &branch);
    if (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL)
        fields->failed = true;
    return text;
}

static int get_begin(struct sb_fixed *fixed, enum fixed_kind kind, struct sb_view body,
    struct sb_arena *arena, struct fields *ret_fields, struct sb_err *err)
{
    struct fields fields = {.fixed = fixed, .arena = arena};
    if (!sb_avro_check(fixed->schemas[kind], body))
        return sb_err_set(err, SB_E_VALUE_INVALID, "body of %zu bytes is not one whole %s record", body.len,
            kind_infos[kind].name);
    if (avro_generic_value_new(fixed->ifaces[kind], &fields.record) != 0)
        return sb_err_set(
            err, SB_E_NO_MEMORY, "could not make a %s value: %s", kind_infos[kind].name, avro_strerror());
    avro_reader_t reader = avro_reader_memory(body.ptr, (int64_t)body.len);
    bool fine = reader != NULL && avro_value_read(reader, &fields.record) == 0;
    if (reader != NULL)
        avro_reader_free(reader);
    if (!fine) {
        avro_value_decref(&fields.record);
        return sb_err_set(err, SB_E_VALUE_INVALID, "%s record: %s", kind_infos[kind].name, avro_strerror());
    }
    *ret_fields = fields;
    return 0;
}

static int get_end(enum fixed_kind kind, struct fields *fields, struct sb_err *err)
{
    avro_value_decref(&fields->record);
    if (fields->full)
        return sb_err_set(err, SB_E_LIMIT, "%s record does not fit into the %s memory of %zu bytes",
            kind_infos[kind].name, sb_arena_name(fields->arena), sb_arena_max(fields->arena));
    if (fields->failed)
        return sb_err_set(
            err, SB_E_VALUE_INVALID, "%s record has a field out of its range", kind_infos[kind].name);
    return 0;
}

int sb_fixed_get_open(struct sb_fixed *fixed, struct sb_view body, struct sb_arena *arena,
    struct sb_open *ret_open, struct sb_err *err)
{
    struct fields fields;
    struct sb_open open = {0};
    if (get_begin(fixed, FIXED_OPEN, body, arena, &fields, err) < 0)
        return -1;
    open.epoch = get_long(&fields);
    get_fixed(&fields, open.incarnation.bytes);
    open.start_lsn = get_long(&fields);
    open.base_commit_lsn = get_long(&fields);
    open.base_sequence = get_long(&fields);
    get_fixed(&fields, open.base_chain.bytes);
    open.hole_from_lsn = get_long(&fields);
    open.system_identifier = get_long(&fields);
    open.timeline = get_u32(&fields);
    open.database_oid = get_u32(&fields);
    get_fixed(&fields, open.source_uuid.bytes);
    open.server_version_num = get_u32(&fields);
    open.opened_us = (int64_t)get_long(&fields);
    open.program = get_text(&fields);
    if (get_end(FIXED_OPEN, &fields, err) < 0)
        return -1;
    *ret_open = open;
    return 0;
}

int sb_fixed_get_message(struct sb_fixed *fixed, struct sb_view body, struct sb_arena *arena,
    struct sb_message *ret_msg, struct sb_err *err)
{
    struct fields fields;
    struct sb_message msg = {0};
    if (get_begin(fixed, FIXED_MESSAGE, body, arena, &fields, err) < 0)
        return -1;
    msg.prefix = get_text(&fields);
    msg.content = get_bytes(&fields);
    msg.lsn = get_long(&fields);
    if (get_end(FIXED_MESSAGE, &fields, err) < 0)
        return -1;
    *ret_msg = msg;
    return 0;
}

int sb_fixed_get_commit(struct sb_view body, struct sb_commit *ret_commit, struct sb_err *err)
{
    struct sb_cursor cur = sb_cursor(body);
    struct sb_commit commit = {0};
    commit.commit_lsn = (uint64_t)sb_avro_get_long(&cur);
    commit.end_lsn = (uint64_t)sb_avro_get_long(&cur);
    commit.xid = (uint64_t)sb_avro_get_long(&cur);
    commit.commit_us = sb_avro_get_long(&cur);
    commit.count = (uint64_t)sb_avro_get_long(&cur);
    struct sb_view digest = sb_cursor_bytes(&cur, sizeof commit.digest.bytes);
    struct sb_view chain = sb_cursor_bytes(&cur, sizeof commit.chain.bytes);
    if (!sb_cursor_done(&cur))
        return sb_err_set(
            err, SB_E_VALUE_INVALID, "body of %zu bytes is not one whole commit record", body.len);
    memcpy(commit.digest.bytes, digest.ptr, digest.len);
    memcpy(commit.chain.bytes, chain.ptr, chain.len);
    *ret_commit = commit;
    return 0;
}

/* An array of at most max items, and room for them; NULL with count 0 if there are none. */
static void *get_items(
    struct fields *fields, size_t max, size_t item_bytes, avro_value_t *ret_array, uint16_t *ret_count)
{
    size_t count = 0;
    *ret_count = 0;
    if (!fields_next(fields, ret_array))
        return NULL;
    fields->failed = avro_value_get_size(ret_array, &count) != 0 || count > max;
    if (fields->failed || count == 0)
        return NULL;
    void *items = sb_arena_zalloc(fields->arena, count * item_bytes);
    if (items == NULL)
        fields->failed = fields->full = true;
    else
        *ret_count = (uint16_t)count;
    return items;
}

static struct fields get_item(struct fields *fields, avro_value_t *array, size_t i)
{
    avro_value_t item = {0};
    fields->failed |= avro_value_get_by_index(array, i, &item, NULL) != 0;
    return fields_of(fields, item);
}

int sb_fixed_get_truncate(struct sb_fixed *fixed, struct sb_view body, struct sb_arena *arena,
    struct sb_truncate *ret_truncate, struct sb_err *err)
{
    struct fields fields;
    struct sb_truncate truncate = {0};
    avro_value_t tables;
    if (get_begin(fixed, FIXED_TRUNCATE, body, arena, &fields, err) < 0)
        return -1;
    truncate.tables = get_items(&fields, UINT16_MAX, sizeof *truncate.tables, &tables, &truncate.count);
    for (size_t i = 0; i < truncate.count && !fields.failed; i++) {
        struct fields table = get_item(&fields, &tables, i);
        truncate.tables[i].schema = get_text(&table);
        truncate.tables[i].table = get_text(&table);
        truncate.tables[i].schema_id = get_u32(&table);
        fields.failed = table.failed;
        fields.full = table.full;
    }
    truncate.cascade = get_boolean(&fields);
    truncate.restart_identity = get_boolean(&fields);
    truncate.meta.lsn = get_long(&fields);
    truncate.meta.xid = get_long(&fields);
    if (!sb_view_eq_str(get_string(&fields), "t"))
        fields.failed = true;
    int64_t ms = (int64_t)get_long(&fields);
    if (!sb_ms_to_us(ms, &truncate.meta.commit_us))
        fields.failed = true;
    if (get_end(FIXED_TRUNCATE, &fields, err) < 0)
        return -1;
    *ret_truncate = truncate;
    return 0;
}

static void get_column(struct fields *fields, struct sb_column *col, uint8_t *ret_twin)
{
    enum sb_twin twin = SB_TWIN_TEXT;
    col->name = get_text(fields);
    col->type_name = get_text(fields);
    col->type_oid = get_u32(fields);
    col->typmod = get_int(fields);
    col->key = get_boolean(fields);
    if (!sb_twin_find(get_string(fields), &twin))
        fields->failed = true;
    *ret_twin = (uint8_t)twin;
}

int sb_fixed_get_schema(struct sb_fixed *fixed, struct sb_view body, struct sb_arena *arena,
    struct sb_schema_record *ret_record, struct sb_err *err)
{
    struct fields fields;
    struct sb_schema_record record = {0};
    avro_value_t columns;
    if (get_begin(fixed, FIXED_SCHEMA, body, arena, &fields, err) < 0)
        return -1;
    record.rel.schema_id = get_u32(&fields);
    record.rel.oid = get_u32(&fields);
    record.rel.schema = get_text(&fields);
    record.rel.name = get_text(&fields);
    record.rel.identity = identities[get_enum(&fields) & 3];
    record.rel.cols =
        get_items(&fields, SB_COLS_MAX, sizeof *record.rel.cols, &columns, &record.rel.col_count);
    record.twins = sb_arena_zalloc(arena, record.rel.col_count + 1u);
    if (record.twins == NULL)
        fields.failed = fields.full = true;
    for (size_t i = 0; i < record.rel.col_count && !fields.failed; i++) {
        struct fields column = get_item(&fields, &columns, i);
        get_column(&column, &record.rel.cols[i], &record.twins[i]);
        fields.failed = column.failed;
        fields.full = column.full;
    }
    record.envelope = get_string(&fields);
    record.key = get_string(&fields);
    if (get_end(FIXED_SCHEMA, &fields, err) < 0)
        return -1;
    *ret_record = record;
    return 0;
}
