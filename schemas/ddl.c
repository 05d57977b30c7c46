#include "schemas/ddl.h"

#include <jansson.h>
#include <string.h>

enum { FORMAT = 1 };

struct reader { /* sticky: the first failure stays */
    struct sb_arena *arena;
    bool full;
    bool wrong;
};

bool sb_ddl_split(struct sb_view body, struct sb_view *ret_signature, struct sb_view *ret_json)
{
    unsigned char digest[SB_DDL_SIGNATURE_CHARS / 2];
    if (body.len <= SB_DDL_SIGNATURE_CHARS || body.len > SB_DDL_BODY_MAX_BYTES ||
        body.ptr[SB_DDL_SIGNATURE_CHARS] != ' ' ||
        !sb_hex_decode(sb_view(body.ptr, SB_DDL_SIGNATURE_CHARS), digest, sizeof digest))
        return false;
    *ret_signature = sb_view(body.ptr, SB_DDL_SIGNATURE_CHARS);
    *ret_json = sb_view(body.ptr + SB_DDL_SIGNATURE_CHARS + 1, body.len - SB_DDL_SIGNATURE_CHARS - 1);
    return true;
}

/* -- values ---------------------------------------------------------------------------------------------- */

/* Text of the object's member; empty where it is not there or null. */
static struct sb_view text_of(struct reader *reader, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    struct sb_view copy = sb_view("", 0);
    if (value == NULL || json_is_null(value))
        return copy;
    if (!json_is_string(value)) {
        reader->wrong = true;
        return copy;
    }
    if (!sb_arena_dup(reader->arena, sb_view(json_string_value(value), json_string_length(value)), &copy))
        reader->full = true;
    return copy;
}

static char char_of(struct reader *reader, const json_t *object, const char *key)
{
    struct sb_view text = text_of(reader, object, key);
    return text.len == 0 ? 0 : text.ptr[0];
}

static bool is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* Room for the elements of the object's member; NULL if there are none. */
static void *array_of(struct reader *reader, const json_t *object, const char *key, size_t size,
    json_t **ret_array, size_t *ret_count)
{
    json_t *array = json_object_get(object, key);
    *ret_count = 0;
    *ret_array = array;
    if (array == NULL || json_is_null(array))
        return NULL;
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count > SB_DDL_OBJECTS_MAX) {
        reader->wrong = true;
        return NULL;
    }
    void *items = sb_arena_zalloc(reader->arena, count * size + 1);
    reader->full = reader->full || items == NULL;
    *ret_count = items == NULL ? 0 : count;
    return items;
}

/* -- parts ----------------------------------------------------------------------------------------------- */

static void read_columns(struct reader *reader, const json_t *object, struct sb_ddl_table *table)
{
    json_t *array;
    table->columns =
        array_of(reader, object, "columns", sizeof *table->columns, &array, &table->column_count);
    for (size_t i = 0; i < table->column_count; i++) {
        const json_t *column = json_array_get(array, i);
        table->columns[i] = (struct sb_ddl_column){.name = text_of(reader, column, "name"),
            .type = text_of(reader, column, "type"),
            .fallback = text_of(reader, column, "default"),
            .not_null = is_true(column, "not_null"),
            .generated = char_of(reader, column, "generated"),
            .identity = char_of(reader, column, "identity")};
    }
}

static void read_tables(struct reader *reader, const json_t *object, struct sb_ddl *ddl)
{
    json_t *array;
    ddl->tables = array_of(reader, object, "tables", sizeof *ddl->tables, &array, &ddl->table_count);
    for (size_t i = 0; i < ddl->table_count; i++) {
        const json_t *table = json_array_get(array, i), *root = json_object_get(table, "root");
        struct sb_ddl_table *out = &ddl->tables[i];
        *out = (struct sb_ddl_table){.schema = text_of(reader, table, "schema"),
            .name = text_of(reader, table, "name"),
            .kind = char_of(reader, table, "kind"),
            .persistence = char_of(reader, table, "persistence"),
            .partition = is_true(table, "partition"),
            .published = is_true(table, "published"),
            .rewritten = is_true(table, "rewritten")};
        out->root_schema = text_of(reader, root, "schema");
        out->root_name = text_of(reader, root, "name");
        if (out->root_name.len == 0) {
            out->root_schema = out->schema;
            out->root_name = out->name;
        }
        reader->wrong = reader->wrong || out->schema.len == 0 || out->name.len == 0;
        read_columns(reader, table, out);
    }
}

static void read_objects(struct reader *reader, const json_t *object, struct sb_ddl *ddl)
{
    json_t *array;
    ddl->objects = array_of(reader, object, "objects", sizeof *ddl->objects, &array, &ddl->object_count);
    for (size_t i = 0; i < ddl->object_count; i++) {
        const json_t *one = json_array_get(array, i);
        ddl->objects[i] = (struct sb_ddl_object){.type = text_of(reader, one, "type"),
            .schema = text_of(reader, one, "schema"),
            .name = text_of(reader, one, "name"),
            .identity = text_of(reader, one, "identity"),
            .dropped = is_true(one, "dropped")};
    }
}

static void read_path(struct reader *reader, const json_t *object, struct sb_ddl *ddl)
{
    json_t *array;
    ddl->path = array_of(reader, object, "path", sizeof *ddl->path, &array, &ddl->path_count);
    for (size_t i = 0; i < ddl->path_count; i++) {
        const json_t *schema = json_array_get(array, i);
        reader->wrong = reader->wrong || !json_is_string(schema);
        reader->full = reader->full ||
                       !sb_arena_dup(reader->arena, sb_view_str(json_string_value(schema)), &ddl->path[i]);
    }
}

int sb_ddl_read(struct sb_view json, struct sb_arena *arena, struct sb_ddl *ret_ddl, struct sb_err *err)
{
    struct reader reader = {.arena = arena};
    json_error_t why;
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL)
        return sb_err_set(err, SB_E_VALUE_INVALID, "a description of DDL is not JSON: %s", why.text);
    int64_t format = json_integer_value(json_object_get(root, "format"));
    struct sb_ddl ddl = {.tag = text_of(&reader, root, "tag"),
        .statement = text_of(&reader, root, "statement"),
        .role = text_of(&reader, root, "role"),
        .failed = text_of(&reader, root, "failed"),
        .server_version = (int)json_integer_value(json_object_get(root, "server"))};
    read_path(&reader, root, &ddl);
    read_objects(&reader, root, &ddl);
    read_tables(&reader, root, &ddl);
    json_decref(root);
    if (format > FORMAT)
        return sb_err_set(err, SB_E_LOG_FORMAT, "a description of DDL has format %lld, newer than %d",
            (long long)format, FORMAT);
    if (reader.full)
        return sb_err_set(
            err, SB_E_LIMIT, "a description of DDL does not fit into arena \"%s\"", sb_arena_name(arena));
    if (reader.wrong || format != FORMAT || ddl.tag.len == 0)
        return sb_err_set(err, SB_E_VALUE_INVALID, "a description of DDL does not have its form");
    *ret_ddl = ddl;
    return 0;
}
