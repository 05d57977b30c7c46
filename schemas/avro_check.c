#include "schemas/avro_check.h"

#include "schemas/avro_bytes.h"

#include <avro.h>

static void check_value(struct sb_cursor *cur, avro_schema_t schema);

static void check_below(struct sb_cursor *cur, int64_t value, uint64_t limit)
{
    if (value < 0 || (uint64_t)value >= limit)
        sb_cursor_fail(cur);
}

static void check_record(struct sb_cursor *cur, avro_schema_t schema)
{
    int count = (int)avro_schema_record_size(schema);
    for (int i = 0; i < count && !cur->failed; i++)
        check_value(cur, avro_schema_record_field_get_by_index(schema, i));
}

static void check_union(struct sb_cursor *cur, avro_schema_t schema)
{
    int64_t branch = sb_avro_get_long(cur);
    check_below(cur, branch, avro_schema_union_size(schema));
    if (!cur->failed)
        check_value(cur, avro_schema_union_branch(schema, (int)branch));
}

/* Blocks of items until an empty one. Each item takes a byte at least, so that the walk ends. */
static void check_array(struct sb_cursor *cur, avro_schema_t schema)
{
    for (int64_t count; (count = sb_avro_get_long(cur)) != 0 && !cur->failed;) {
        if (count < 0) { /* the block's size in bytes follows, for readers that skip */
            check_below(cur, sb_avro_get_long(cur), sb_cursor_left(cur) + 1);
            count = count == INT64_MIN ? 0 : -count;
        }
        check_below(cur, count - 1, sb_cursor_left(cur));
        for (int64_t i = 0; i < count && !cur->failed; i++)
            check_value(cur, avro_schema_array_items(schema));
    }
}

static void check_value(struct sb_cursor *cur, avro_schema_t schema)
{
    int64_t value;
    switch (avro_typeof(schema)) {
    case AVRO_NULL:
        break;
    case AVRO_BOOLEAN:
        sb_avro_get_boolean(cur);
        break;
    case AVRO_INT32:
        value = sb_avro_get_long(cur);
        if (value < INT32_MIN || value > INT32_MAX)
            sb_cursor_fail(cur);
        break;
    case AVRO_INT64:
        sb_avro_get_long(cur);
        break;
    case AVRO_FLOAT:
        sb_cursor_bytes(cur, sizeof(float));
        break;
    case AVRO_DOUBLE:
        sb_cursor_bytes(cur, sizeof(double));
        break;
    case AVRO_STRING:
    case AVRO_BYTES:
        sb_avro_get_bytes(cur);
        break;
    case AVRO_FIXED:
        sb_cursor_bytes(cur, (size_t)avro_schema_fixed_size(schema));
        break;
    case AVRO_ENUM:
        check_below(cur, sb_avro_get_long(cur), (uint64_t)avro_schema_enum_number_of_symbols(schema));
        break;
    case AVRO_RECORD:
        check_record(cur, schema);
        break;
    case AVRO_UNION:
        check_union(cur, schema);
        break;
    case AVRO_ARRAY:
        check_array(cur, schema);
        break;
    case AVRO_LINK:
        check_value(cur, avro_schema_link_target(schema));
        break;
    default: /* AVRO_MAP: none of ours has one */
        sb_cursor_fail(cur);
        break;
    }
}

bool sb_avro_check(const struct avro_obj_t *schema, struct sb_view body)
{
    struct sb_cursor cur = sb_cursor(body);
    check_value(&cur, (avro_schema_t)schema);
    return sb_cursor_done(&cur);
}
