#include "schemas/rule.h"

#include "pg/ident.h"
#include "schemas/digest.h"
#include "schemas/jsonform.h"
#include "schemas/rowform.h"
#include "schemas/twin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700,
    OID_TEXT = 25,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_JSON = 114,
    OID_JSONB = 3802,
    DIGITS_MAX = 5,
};
#define TOLERANCE_MAX 0.01

static const struct kind {
    const char *name;
    bool number;       /* one follows */
    uint32_t types[4]; /* that it goes with */
} kinds[SB_RULE_KINDS] = {
    [SB_RULE_NUMERIC_SCALE] = {"numeric-scale", false, {OID_NUMERIC}},
    [SB_RULE_CHAR_PADDING] = {"char-padding", false, {OID_BPCHAR, OID_VARCHAR, OID_TEXT}},
    [SB_RULE_TIMESTAMP_DIGITS] = {"timestamp-digits", true, {OID_TIMESTAMP, OID_TIMESTAMPTZ}},
    [SB_RULE_JSON_ORDER] = {"json-order", false, {OID_JSON, OID_JSONB}},
    [SB_RULE_FLOAT_TOLERANCE] = {"float-tolerance", true, {OID_FLOAT4, OID_FLOAT8, OID_NUMERIC}},
};

bool sb_rule_takes(const struct sb_rule *rule, uint32_t type_oid)
{
    for (size_t i = 0; i < 4; i++)
        if (kinds[rule->kind].types[i] == type_oid)
            return true;
    return false;
}

/* -- as it is written ------------------------------------------------------------------------------------ */

static int wrong(const char *text, const char *why, struct sb_err *err)
{
    return sb_err_set(err, SB_E_CONFIG,
        "verify.accept: \"%s\": %s; a rule reads \"public.orders total: numeric-scale\"", text, why);
}

/* A number, all of it. */
static bool number(const char *text, double *ret_number)
{
    char *end;
    *ret_number = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*ret_number);
}

static int kind_parse(const char *words, struct sb_rule *rule, struct sb_err *err)
{
    double value = 0;
    size_t len = strcspn(words, " ");
    const char *rest = words + len + strspn(words + len, " ");
    rule->kind = 0;
    while (rule->kind < SB_RULE_KINDS && !sb_view_eq_str(sb_view(words, len), kinds[rule->kind].name))
        rule->kind++;
    if (rule->kind == SB_RULE_KINDS)
        return wrong(rule->text,
            "no such rule: numeric-scale, char-padding, timestamp-digits N, json-order, float-tolerance X",
            err);
    if (kinds[rule->kind].number != number(rest, &value) || (!kinds[rule->kind].number && *rest != '\0'))
        return wrong(rule->text,
            kinds[rule->kind].number ? "a number must follow" : "nothing may follow the rule", err);
    rule->digits = (int)value;
    rule->tolerance = value;
    if (rule->kind == SB_RULE_TIMESTAMP_DIGITS && (value < 0 || value > DIGITS_MAX || value != rule->digits))
        return wrong(rule->text, "the digits are 0 to 5", err);
    if (rule->kind == SB_RULE_FLOAT_TOLERANCE && (value <= 0 || value > TOLERANCE_MAX))
        return wrong(rule->text, "the tolerance is relative, above 0 and up to 0.01", err);
    return 0;
}

/* The end of a name or pattern that begins here: a blank or ':' outside of double quotes. */
static const char *name_end(const char *pos, char letter)
{
    for (bool quoted = false; *pos != '\0' && (quoted || *pos != letter); pos++)
        quoted ^= *pos == '"';
    return pos;
}

static bool column_parse(struct sb_view name, struct sb_arena *arena, struct sb_view *ret_column)
{
    char *out = sb_arena_alloc(arena, name.len + 1);
    size_t len = 0;
    bool quoted = name.len > 1 && name.ptr[0] == '"' && name.ptr[name.len - 1] == '"';
    if (out == NULL)
        return false;
    for (size_t i = quoted; i < name.len - quoted; i++) {
        if (name.ptr[i] == '"' && (!quoted || ++i >= name.len - 1 || name.ptr[i] != '"'))
            return false;
        out[len++] = name.ptr[i];
    }
    *ret_column = sb_view(out, len);
    return len > 0;
}

int sb_rule_parse(const char *text, struct sb_arena *arena, struct sb_rule *ret_rule, struct sb_err *err)
{
    *ret_rule = (struct sb_rule){.text = text};
    const char *blank = name_end(text, ' '), *colon = name_end(blank, ':');
    const char *column = blank + strspn(blank, " "), *column_end = colon;
    if (*colon == '\0' || column >= colon)
        return wrong(text, "a pattern of tables, a column and a colon come first", err);
    while (column_end > column && column_end[-1] == ' ')
        column_end--;
    ret_rule->pattern = sb_arena_str(arena, sb_view(text, (size_t)(blank - text)));
    if (ret_rule->pattern == NULL || !sb_pattern_valid(ret_rule->pattern))
        return wrong(text, "that is no pattern of tables", err);
    if (!column_parse(sb_view(column, (size_t)(column_end - column)), arena, &ret_rule->column))
        return wrong(text, "that is no name of a column", err);
    return kind_parse(colon + 1 + strspn(colon + 1, " "), ret_rule, err);
}

/* -- forms ----------------------------------------------------------------------------------------------- */

/* "-0.50" as "-0.5", "-0.00" as "0". */
static bool numeric_form(struct sb_view text, struct sb_buf *out)
{
    const char *point = memchr(text.ptr, '.', text.len);
    size_t len = text.len;
    for (size_t i = 0; i < text.len; i++)
        if (memchr("-.0123456789", text.ptr[i], 12) == NULL)
            return false;
    if (text.len == 0)
        return false;
    while (point != NULL && text.ptr[len - 1] == '0')
        len--;
    len -= point == text.ptr + len - 1;
    bool is_zero = len == 2 && text.ptr[0] == '-' && text.ptr[1] == '0';
    sb_buf_put(out, text.ptr + is_zero, len - is_zero);
    return true;
}

static bool padding_form(struct sb_view text, struct sb_buf *out)
{
    while (text.len > 0 && text.ptr[text.len - 1] == ' ')
        text.len--;
    sb_buf_put_view(out, text);
    return true;
}

/* As AdjustTimestampForTypmod (src/backend/utils/adt/timestamp.c): half a unit away from zero, counted from
 * 2000. */
static bool timestamp_form(const struct sb_rule *rule, struct sb_view text, struct sb_buf *out)
{
    static const int64_t units[] = {1000000, 100000, 10000, 1000, 100, 10};
    const int64_t unit = units[rule->digits], epoch_us = INT64_C(946684800000000);
    int64_t us;
    if (!sb_twin_parse_long(SB_TWIN_TIMESTAMPTZ, text, &us) &&
        !sb_twin_parse_long(SB_TWIN_TIMESTAMP, text, &us))
        return false;
    us -= epoch_us;
    us = us >= 0 ? (us + unit / 2) / unit * unit : -((-us + unit / 2) / unit * unit);
    sb_buf_putf(out, "%lld", (long long)us);
    return true;
}

static bool form(const struct sb_rule *rule, struct sb_view text, struct sb_buf *out)
{
    switch (rule->kind) {
    case SB_RULE_NUMERIC_SCALE:
        return numeric_form(text, out);
    case SB_RULE_CHAR_PADDING:
        return padding_form(text, out);
    case SB_RULE_TIMESTAMP_DIGITS:
        return timestamp_form(rule, text, out);
    case SB_RULE_JSON_ORDER:
        return sb_jsonform_put(text, out);
    case SB_RULE_FLOAT_TOLERANCE:
    case SB_RULE_KINDS:
        break;
    }
    return false;
}

/* -- numbers in the place of digests --------------------------------------------------------------------- */

static const char number_mark[8] = {'\0', 'n', 'u', 'm', 'b', 'e', 'r', '\0'};

static bool number_put(struct sb_view text, struct sb_buf *scratch, struct sb_digest *ret_digest)
{
    double value;
    sb_buf_put_view(scratch, text);
    if (scratch->failed || !number(sb_buf_str(scratch), &value))
        return false;
    value += 0.0; /* -0 is 0 */
    memcpy(ret_digest->bytes, number_mark, sizeof number_mark);
    memcpy(ret_digest->bytes + sizeof number_mark, &value, sizeof value);
    return true;
}

static bool number_get(const struct sb_digest *digest, double *ret_value)
{
    memcpy(ret_value, digest->bytes + sizeof number_mark, sizeof *ret_value);
    return memcmp(digest->bytes, number_mark, sizeof number_mark) == 0;
}

/* -- digests --------------------------------------------------------------------------------------------- */

struct sb_digest sb_rule_field(
    const struct sb_rule *rule, const struct sb_value *value, struct sb_buf *scratch)
{
    struct sb_digest digest;
    if (rule == NULL || value->state != SB_COL_TEXT)
        return sb_rowform_field(value);
    sb_buf_reset(scratch);
    if (rule->kind == SB_RULE_FLOAT_TOLERANCE)
        return number_put(value->text, scratch, &digest) ? digest : sb_rowform_field(value);
    if (!form(rule, value->text, scratch) || scratch->failed)
        return sb_rowform_field(value);
    const struct sb_value formed = {.state = SB_COL_TEXT, .text = sb_buf_view(scratch)};
    return sb_rowform_field(&formed);
}

bool sb_rule_equal(const struct sb_rule *rule, const struct sb_digest *a, const struct sb_digest *b)
{
    double left, right;
    if (sb_digest_eq(a, b))
        return true;
    if (sb_rule_has_form(rule) || !number_get(a, &left) || !number_get(b, &right))
        return false;
    return fabs(left - right) <= rule->tolerance * fmax(fabs(left), fabs(right));
}
