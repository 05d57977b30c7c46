#include "schemas/key.h"

#include "pg/ident.h"
#include "schemas/twin.h"

#include <stdio.h>
#include <string.h>

enum { UUID_BYTES = 16, INT_BYTES = 8 };
enum era { ERA_MINUS_INFINITY, ERA_BC, ERA_AD, ERA_INFINITY };

static const struct {
    const char *name, *type;
} kinds[SB_KEY_KIND_COUNT] = {
    [SB_KEY_NONE] = {"none", ""},
    [SB_KEY_INT] = {"int", "pg_catalog.int8"},
    [SB_KEY_UUID] = {"uuid", "pg_catalog.uuid"},
    [SB_KEY_BYTEA] = {"bytea", "pg_catalog.bytea"},
    [SB_KEY_DATE] = {"date", "pg_catalog.date"},
    [SB_KEY_TIMESTAMP] = {"timestamp", "pg_catalog.timestamp"},
    [SB_KEY_TIMESTAMPTZ] = {"timestamptz", "pg_catalog.timestamptz"},
    [SB_KEY_TEXT] = {"text", "pg_catalog.text"},
};

enum sb_key_kind sb_key_kind_of(uint32_t type_oid, bool byte_order)
{
    switch (type_oid) { /* src/include/catalog/pg_type.dat */
    case 20:
    case 21:
    case 23:
        return SB_KEY_INT;
    case 2950:
        return SB_KEY_UUID;
    case 17:
        return SB_KEY_BYTEA;
    case 1082:
        return SB_KEY_DATE;
    case 1114:
        return SB_KEY_TIMESTAMP;
    case 1184:
        return SB_KEY_TIMESTAMPTZ;
    case 25:
    case 1043:
        return byte_order ? SB_KEY_TEXT : SB_KEY_NONE;
    default:
        return SB_KEY_NONE;
    }
}

const char *sb_key_kind_name(enum sb_key_kind kind)
{
    return kinds[kind].name;
}

bool sb_key_kind_find(const char *name, enum sb_key_kind *ret_kind)
{
    for (int kind = 0; kind < SB_KEY_KIND_COUNT; kind++) {
        if (strcmp(kinds[kind].name, name) == 0) {
            *ret_kind = (enum sb_key_kind)kind;
            return true;
        }
    }
    return false;
}

/* -- the kinds ------------------------------------------------------------------------------------------- */

static bool put_int(struct sb_view text, struct sb_buf *out)
{
    int64_t value;
    if (!sb_twin_parse_long(SB_TWIN_INT8, text, &value))
        return false;
    sb_buf_put_u64(out, (uint64_t)value ^ (UINT64_C(1) << 63));
    return true;
}

static bool put_int_text(struct sb_view canonical, struct sb_buf *out)
{
    struct sb_cursor cur = sb_cursor(canonical);
    char text[SB_TWIN_TEXT_BYTES];
    int64_t value = (int64_t)(sb_cursor_u64(&cur) ^ (UINT64_C(1) << 63));
    if (!sb_cursor_done(&cur))
        return false;
    sb_buf_put(out, text, sb_twin_format_long(SB_TWIN_INT8, value, text));
    return true;
}

static bool put_uuid(struct sb_view text, struct sb_buf *out)
{
    char digits[2 * UUID_BYTES];
    unsigned char bytes[UUID_BYTES];
    size_t count = 0;
    if (!sb_twin_is_uuid(text))
        return false;
    for (size_t i = 0; i < text.len && count < sizeof digits; i++)
        if (text.ptr[i] != '-')
            digits[count++] = text.ptr[i];
    if (!sb_hex_decode(sb_view(digits, count), bytes, sizeof bytes))
        return false;
    sb_buf_put(out, bytes, sizeof bytes);
    return true;
}

static bool put_uuid_text(struct sb_view canonical, struct sb_buf *out)
{
    char digits[2 * UUID_BYTES + 1];
    if (canonical.len != UUID_BYTES)
        return false;
    sb_hex_encode(canonical.ptr, UUID_BYTES, digits);
    for (size_t i = 0; i < 2 * UUID_BYTES; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            sb_buf_put(out, "-", 1);
        sb_buf_put(out, &digits[i], 1);
    }
    return true;
}

static bool put_bytea(struct sb_view text, struct sb_buf *out)
{
    if (text.len < 2 || text.len % 2 != 0 || text.ptr[0] != '\\' || text.ptr[1] != 'x')
        return false;
    size_t before = out->len, len = (text.len - 2) / 2;
    char *room = sb_buf_grow(out, len);
    if (room == NULL)
        return false;
    if (sb_hex_decode(sb_view(text.ptr + 2, text.len - 2), room, len))
        return true;
    out->len = before;
    return false;
}

static bool put_bytea_text(struct sb_view canonical, struct sb_buf *out)
{
    sb_buf_put(out, "\\x", 2);
    char *room = sb_buf_grow(out, 2 * canonical.len + 1);
    if (room == NULL)
        return false;
    sb_hex_encode(canonical.ptr, canonical.len, room);
    out->len--; /* the NUL */
    return true;
}

/* "-MM-DD" or "-MM-DD HH:MM:SS[.ffffff]", the year taken off. */
static bool is_rest(enum sb_key_kind kind, struct sb_view rest)
{
    static const char form[] = "-00-00 00:00:00";
    size_t fixed = kind == SB_KEY_DATE ? 6 : sizeof form - 1;
    if (rest.len < fixed)
        return false;
    for (size_t i = 0; i < fixed; i++) {
        bool digit = rest.ptr[i] >= '0' && rest.ptr[i] <= '9';
        if (form[i] == '0' ? !digit : rest.ptr[i] != form[i])
            return false;
    }
    if (rest.len == fixed)
        return true;
    if (kind == SB_KEY_DATE || rest.ptr[fixed] != '.' || rest.len < fixed + 2 || rest.len > fixed + 7)
        return false;
    for (size_t i = fixed + 1; i < rest.len; i++)
        if (rest.ptr[i] < '0' || rest.ptr[i] > '9')
            return false;
    return rest.ptr[rest.len - 1] != '0'; /* fractions compare as text only without trailing zeros */
}

static bool ends_with(struct sb_view *text, const char *end)
{
    size_t len = strlen(end);
    if (text->len < len || memcmp(text->ptr + text->len - len, end, len) != 0)
        return false;
    text->len -= len;
    return true;
}

static bool put_time(enum sb_key_kind kind, struct sb_view text, struct sb_buf *out)
{
    if (sb_view_eq_str(text, "-infinity") || sb_view_eq_str(text, "infinity")) {
        sb_buf_put_u8(out, text.ptr[0] == '-' ? ERA_MINUS_INFINITY : ERA_INFINITY);
        return true;
    }
    bool bc = ends_with(&text, " BC");
    if (kind == SB_KEY_TIMESTAMPTZ && !ends_with(&text, "+00"))
        return false;
    uint32_t year = 0;
    size_t at = 0;
    for (; at < text.len && at < 7 && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++)
        year = year * 10 + (uint32_t)(text.ptr[at] - '0');
    struct sb_view rest = sb_view(text.ptr + at, text.len - at);
    if (at < 4 || year == 0 || !is_rest(kind, rest))
        return false;
    sb_buf_put_u8(out, bc ? ERA_BC : ERA_AD);
    sb_buf_put_u32(out, bc ? ~year : year);
    sb_buf_put_view(out, rest);
    return true;
}

static bool put_time_text(enum sb_key_kind kind, struct sb_view canonical, struct sb_buf *out)
{
    struct sb_cursor cur = sb_cursor(canonical);
    uint8_t era = sb_cursor_u8(&cur);
    if (era == ERA_MINUS_INFINITY || era == ERA_INFINITY) {
        sb_buf_put_str(out, era == ERA_INFINITY ? "infinity" : "-infinity");
        return sb_cursor_done(&cur);
    }
    uint32_t year = sb_cursor_u32(&cur);
    struct sb_view rest = sb_cursor_bytes(&cur, sb_cursor_left(&cur));
    if (cur.failed || era > ERA_INFINITY || !is_rest(kind, rest))
        return false;
    sb_buf_putf(out, "%04u", era == ERA_BC ? ~year : year);
    sb_buf_put_view(out, rest);
    sb_buf_put_str(out, kind == SB_KEY_TIMESTAMPTZ ? "+00" : "");
    sb_buf_put_str(out, era == ERA_BC ? " BC" : "");
    return true;
}

bool sb_key_put(enum sb_key_kind kind, struct sb_view text, struct sb_buf *out)
{
    size_t before = out->len;
    bool fine = false;
    switch (kind) {
    case SB_KEY_INT:
        fine = put_int(text, out);
        break;
    case SB_KEY_UUID:
        fine = put_uuid(text, out);
        break;
    case SB_KEY_BYTEA:
        fine = put_bytea(text, out);
        break;
    case SB_KEY_DATE:
    case SB_KEY_TIMESTAMP:
    case SB_KEY_TIMESTAMPTZ:
        fine = put_time(kind, text, out);
        break;
    case SB_KEY_TEXT:
        sb_buf_put_view(out, text);
        fine = true;
        break;
    case SB_KEY_NONE:
    case SB_KEY_KIND_COUNT:
        break;
    }
    if (!fine && !out->failed)
        out->len = before;
    return fine && !out->failed;
}

bool sb_key_put_text(enum sb_key_kind kind, struct sb_view canonical, struct sb_buf *out)
{
    switch (kind) {
    case SB_KEY_INT:
        return put_int_text(canonical, out);
    case SB_KEY_UUID:
        return put_uuid_text(canonical, out);
    case SB_KEY_BYTEA:
        return put_bytea_text(canonical, out);
    case SB_KEY_DATE:
    case SB_KEY_TIMESTAMP:
    case SB_KEY_TIMESTAMPTZ:
        return put_time_text(kind, canonical, out);
    case SB_KEY_TEXT:
        sb_buf_put_view(out, canonical);
        return true;
    case SB_KEY_NONE:
    case SB_KEY_KIND_COUNT:
        break;
    }
    return false;
}

/* -- the next one ---------------------------------------------------------------------------------------- */

static bool put_plus_one(struct sb_view canonical, struct sb_buf *out)
{
    size_t before = out->len, at = canonical.len;
    sb_buf_put_view(out, canonical);
    if (out->failed)
        return false;
    while (at > 0)
        if (++((unsigned char *)out->ptr)[before + --at] != 0)
            return true;
    return false; /* it was the last one */
}

/* "-MM-DD" up to the 27th, so that no calendar is needed. */
static bool put_next_day(struct sb_view canonical, struct sb_buf *out)
{
    size_t before = out->len;
    sb_buf_put_view(out, canonical);
    if (out->failed || canonical.len < 2)
        return false;
    char *day = out->ptr + before + canonical.len - 2;
    int number = (day[0] - '0') * 10 + day[1] - '0' + 1;
    day[0] = (char)('0' + number / 10);
    day[1] = (char)('0' + number % 10);
    return number <= 28;
}

/* One microsecond later, if it is the same second. */
static bool put_next_moment(struct sb_view canonical, struct sb_buf *out)
{
    static const char second[] = "-00-00 00:00:00";
    size_t fixed = 1 + 4 + sizeof second - 1, digits = 6;
    unsigned fraction = 0;
    for (size_t i = 0; i < digits; i++) {
        size_t at = fixed + 1 + i;
        fraction = fraction * 10 + (at < canonical.len ? (unsigned)(canonical.ptr[at] - '0') : 0);
    }
    if (canonical.len < fixed || ++fraction == 1000000)
        return false;
    for (; fraction % 10 == 0; digits--)
        fraction /= 10;
    sb_buf_put(out, canonical.ptr, fixed);
    sb_buf_putf(out, ".%0*u", (int)digits, fraction);
    return !out->failed;
}

static bool is_infinite(struct sb_view canonical)
{
    return canonical.len == 1;
}

static bool put_next(enum sb_key_kind kind, struct sb_view canonical, struct sb_buf *out)
{
    switch (kind) {
    case SB_KEY_INT:
    case SB_KEY_UUID:
        return put_plus_one(canonical, out);
    case SB_KEY_BYTEA:
    case SB_KEY_TEXT: /* which has no NUL */
        sb_buf_put_view(out, canonical);
        sb_buf_put_u8(out, kind == SB_KEY_TEXT ? 1 : 0);
        return !out->failed;
    case SB_KEY_DATE:
        return !is_infinite(canonical) && put_next_day(canonical, out);
    case SB_KEY_TIMESTAMP:
    case SB_KEY_TIMESTAMPTZ:
        return !is_infinite(canonical) && put_next_moment(canonical, out);
    case SB_KEY_NONE:
    case SB_KEY_KIND_COUNT:
        break;
    }
    return false;
}

bool sb_key_put_next(enum sb_key_kind kind, struct sb_view canonical, struct sb_buf *out)
{
    size_t before = out->len;
    bool found = put_next(kind, canonical, out);
    if (!found && !out->failed)
        out->len = before;
    return found;
}

/* -- ranges ---------------------------------------------------------------------------------------------- */

bool sb_key_range_has(const struct sb_key_range *range, struct sb_view canonical)
{
    return (range->lower_open || sb_view_cmp(canonical, range->lower) >= 0) &&
           (range->upper_open || sb_view_cmp(canonical, range->upper) < 0);
}

int sb_key_range_cmp(const struct sb_key_range *a, const struct sb_key_range *b)
{
    if (a->lower_open || b->lower_open)
        return (int)b->lower_open - (int)a->lower_open;
    return sb_view_cmp(a->lower, b->lower);
}

static void put_bound(
    struct sb_view bound, enum sb_key_kind kind, struct sb_view column, const char *op, struct sb_buf *sql)
{
    struct sb_buf text SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&text, sql->max);
    sb_ident_put(sql, column);
    sb_buf_put_str(sql, kind == SB_KEY_TEXT ? " COLLATE pg_catalog.\"C\" " : " ");
    sb_buf_putf(sql, "OPERATOR(pg_catalog.%s) ", op);
    if (!sb_key_put_text(kind, bound, &text) || text.failed)
        sql->failed = true;
    else
        sb_literal_put(sql, sb_buf_view(&text));
    sb_buf_putf(sql, "::%s", kinds[kind].type);
}

void sb_key_range_put_sql(
    const struct sb_key_range *range, enum sb_key_kind kind, struct sb_view column, struct sb_buf *sql)
{
    if (range->lower_open && range->upper_open)
        sb_buf_put_str(sql, "true");
    if (!range->lower_open)
        put_bound(range->lower, kind, column, ">=", sql);
    if (!range->lower_open && !range->upper_open)
        sb_buf_put_str(sql, " AND ");
    if (!range->upper_open)
        put_bound(range->upper, kind, column, "<", sql);
}
