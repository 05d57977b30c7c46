#include "schemas/relation_schema.h"

#include "pg/ident.h"
#include "schemas/avro_name.h"
#include "schemas/twin.h"

#include <inttypes.h>

/* Named types are defined where they first stand in a document and only named after that. */
struct document {
    struct sb_buf *json;
    const struct sb_relation *rel;
    const uint8_t *twins;
    bool has_text;
    bool has_unchanged;
};

bool sb_relation_has_key(const struct sb_relation *rel)
{
    if (rel->identity == 'd' || rel->identity == 'i')
        for (size_t i = 0; i < rel->col_count; i++)
            if (rel->cols[i].key)
                return true;
    return false;
}

void sb_relation_put_name(struct sb_buf *buf, struct sb_view name)
{
    if (sb_utf8_valid(name))
        sb_buf_put_view(buf, name);
    else
        sb_avro_name_put(buf, name);
}

static void put_string(struct sb_buf *json, struct sb_view name)
{
    struct sb_buf text SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&text, json->max);
    sb_relation_put_name(&text, name);
    sb_buf_put_u8(json, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte == '"' || byte == '\\')
            sb_buf_put_u8(json, '\\');
        if (byte < 0x20 || byte == 0x7f)
            sb_buf_putf(json, "\\u%04x", byte);
        else
            sb_buf_put_u8(json, byte);
    }
    sb_buf_put_u8(json, '"');
    json->failed |= text.failed;
}

static void put_text(struct document *doc)
{
    sb_buf_put_str(doc->json, doc->has_text
                                  ? "\"switchback.Text\""
                                  : "{\"type\":\"record\",\"name\":\"Text\",\"namespace\":\"switchback\","
                                    "\"fields\":[{\"name\":\"text\",\"type\":[\"string\",\"bytes\"]}]}");
    doc->has_text = true;
}

static void put_unchanged(struct document *doc)
{
    sb_buf_put_str(doc->json, doc->has_unchanged
                                  ? "\"switchback.Unchanged\""
                                  : "{\"type\":\"enum\",\"name\":\"Unchanged\",\"namespace\":\"switchback\","
                                    "\"symbols\":[\"UNCHANGED\"]}");
    doc->has_unchanged = true;
}

static void put_column(struct document *doc, size_t i)
{
    const struct sb_column *col = &doc->rel->cols[i];
    enum sb_twin twin = (enum sb_twin)doc->twins[i];
    struct sb_buf *json = doc->json;
    sb_buf_put_str(json, "{\"name\":\"");
    sb_avro_name_put(json, col->name);
    sb_buf_put_str(json, "\",\"type\":[\"null\",");
    sb_buf_put_str(json, sb_twin_avro(twin));
    sb_buf_put_u8(json, ',');
    if (twin == SB_TWIN_TEXT)
        sb_buf_put_str(json, "\"bytes\"");
    else
        put_text(doc);
    sb_buf_put_u8(json, ',');
    put_unchanged(doc);
    sb_buf_put_str(json, "],\"default\":null,\"pg_name\":");
    put_string(json, col->name);
    sb_buf_put_str(json, ",\"pg_type\":");
    put_string(json, col->type_name);
    sb_buf_putf(json, ",\"pg_typmod\":%" PRId32 "}", col->typmod);
}

static void put_columns(struct document *doc, bool key_only)
{
    bool first = true;
    sb_buf_put_str(doc->json, "\"fields\":[");
    for (size_t i = 0; i < doc->rel->col_count; i++) {
        if (key_only && !doc->rel->cols[i].key)
            continue;
        if (!first)
            sb_buf_put_u8(doc->json, ',');
        first = false;
        put_column(doc, i);
    }
    sb_buf_put_str(doc->json, "]}");
}

static void put_namespace(struct document *doc)
{
    sb_buf_put_str(doc->json, "\"namespace\":\"");
    sb_avro_name_put(doc->json, doc->rel->schema);
    sb_buf_put_u8(doc->json, '.');
    sb_avro_name_put(doc->json, doc->rel->name);
    sb_buf_put_str(doc->json, "\",");
}

void sb_relation_put_envelope(struct sb_buf *json, const struct sb_relation *rel, const uint8_t *twins)
{
    struct document doc = {.json = json, .rel = rel, .twins = twins};
    sb_buf_put_str(json, "{\"type\":\"record\",\"name\":\"Envelope\",");
    put_namespace(&doc);
    sb_buf_put_str(json, "\"fields\":[{\"name\":\"before\",\"type\":[\"null\","
                         "{\"type\":\"record\",\"name\":\"Value\",");
    put_columns(&doc, false);
    if (sb_relation_has_key(rel)) {
        sb_buf_put_str(json, ",{\"type\":\"record\",\"name\":\"Key\",");
        put_columns(&doc, true);
    }
    sb_buf_put_str(json, "],\"default\":null},"
                         "{\"name\":\"after\",\"type\":[\"null\",\"Value\"],\"default\":null},"
                         "{\"name\":\"source\",\"type\":{\"type\":\"record\",\"name\":\"Source\","
                         "\"namespace\":\"switchback\",\"fields\":[{\"name\":\"schema\",\"type\":\"string\"},"
                         "{\"name\":\"table\",\"type\":\"string\"},{\"name\":\"lsn\",\"type\":\"long\"},"
                         "{\"name\":\"txId\",\"type\":\"long\"}]}},"
                         "{\"name\":\"op\",\"type\":\"string\"},{\"name\":\"ts_ms\",\"type\":\"long\"}]}");
}

void sb_relation_put_key(struct sb_buf *json, const struct sb_relation *rel, const uint8_t *twins)
{
    struct document doc = {.json = json, .rel = rel, .twins = twins};
    sb_buf_put_str(json, "{\"type\":\"record\",\"name\":\"Key\",");
    put_namespace(&doc);
    put_columns(&doc, true);
}
