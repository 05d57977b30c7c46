#include "pg/type.h"

#include <stdlib.h>
#include <string.h>

enum { TYPMOD_HEADER = 4, FIRST_USER_OID = 16384 };

/* Types of growing width: each fits into those to its right (built-in oids never change). */
enum {
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_TIMETZ = 1266,
    OID_BIT = 1560,
    OID_VARBIT = 1562,
    OID_NUMERIC = 1700,
};

static bool is_integer(uint32_t oid)
{
    return oid == OID_INT2 || oid == OID_INT4 || oid == OID_INT8;
}

static int integer_width(uint32_t oid)
{
    return oid == OID_INT2 ? 2 : oid == OID_INT4 ? 4 : 8;
}

/* numeric(p,s): the text shows the scale, so it must be the same; -1 takes any. */
static bool numeric_fits(int32_t from, int32_t to)
{
    if (to == -1)
        return true;
    if (from == -1)
        return false;
    uint32_t from_bits = (uint32_t)(from - TYPMOD_HEADER), to_bits = (uint32_t)(to - TYPMOD_HEADER);
    return (from_bits & 0xffff) == (to_bits & 0xffff) && from_bits >> 16 <= to_bits >> 16;
}

/* Of a second. */
static int32_t decimals(int32_t typmod)
{
    return typmod == -1 ? 6 : typmod;
}

/* Lengths and precisions: no modifier takes all, otherwise larger takes smaller. */
static bool typmod_fits(const struct sb_cat_column *from, const struct sb_cat_column *to)
{
    if (from->typmod == to->typmod)
        return true;
    switch (from->type_oid) {
    case OID_NUMERIC:
        return numeric_fits(from->typmod, to->typmod);
    case OID_TIME:
    case OID_TIMETZ:
    case OID_TIMESTAMP:
    case OID_TIMESTAMPTZ:
        return decimals(from->typmod) <= decimals(to->typmod);
    case OID_VARCHAR:
    case OID_VARBIT:
        return to->typmod == -1 || (from->typmod != -1 && from->typmod <= to->typmod);
    case OID_BPCHAR:
    case OID_BIT:
        return false; /* padded to the length: the text would differ */
    default:
        /* interval fields, types of extensions: only no modifier at all is surely wider. */
        return to->typmod == -1;
    }
}

/* The last part of "schema.name", quotes and all. */
static struct sb_view bare_name(struct sb_view type_name)
{
    bool quoted = false;
    size_t start = 0;
    for (size_t i = 0; i < type_name.len; i++) {
        if (type_name.ptr[i] == '"')
            quoted = !quoted;
        else if (type_name.ptr[i] == '.' && !quoted)
            start = i + 1;
    }
    return sb_view(type_name.ptr + start, type_name.len - start);
}

static bool same_type(const struct sb_cat_column *from, const struct sb_cat_column *to)
{
    if (from->type_oid < FIRST_USER_OID || to->type_oid < FIRST_USER_OID)
        return from->type_oid == to->type_oid;
    /* Oids of user types differ from server to server, and an extension may live in another schema. */
    return sb_view_eq(bare_name(from->type_name), bare_name(to->type_name));
}

/* Domains of one name may be made of different types on the two servers. */
static bool domain_fits(const struct sb_cat_column *from, const struct sb_cat_column *to)
{
    struct sb_cat_column from_base = {
        .type_oid = from->base_oid, .typmod = from->base_typmod, .type_name = from->type_cast};
    struct sb_cat_column to_base = {
        .type_oid = to->base_oid, .typmod = to->base_typmod, .type_name = to->type_cast};
    return sb_type_fits(&from_base, &to_base);
}

bool sb_type_fits(const struct sb_cat_column *from, const struct sb_cat_column *to)
{
    if (same_type(from, to))
        return from->domain && to->domain ? domain_fits(from, to) : typmod_fits(from, to);
    if (is_integer(from->type_oid))
        return (is_integer(to->type_oid) && integer_width(from->type_oid) < integer_width(to->type_oid)) ||
               (to->type_oid == OID_NUMERIC && to->typmod == -1);
    return from->type_oid == OID_VARCHAR && to->type_oid == OID_TEXT;
}

static bool is_bits(uint32_t oid)
{
    return oid == OID_BIT || oid == OID_VARBIT;
}

bool sb_type_alters(const struct sb_cat_column *from, const struct sb_cat_column *to)
{
    if (from->type_oid >= FIRST_USER_OID || to->type_oid >= FIRST_USER_OID || sb_type_fits(from, to))
        return false;
    if (to->type_oid == OID_TEXT || to->type_oid == OID_VARCHAR)
        return false; /* they keep what they are given */
    if (to->type_oid == OID_BPCHAR)
        return to->typmod != -1; /* padded, or cut of its blanks */
    return !(is_integer(from->type_oid) && is_integer(to->type_oid)) &&
           !(is_bits(from->type_oid) && is_bits(to->type_oid));
}

static size_t characters(struct sb_view text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return count;
}

static bool integer_holds(uint32_t oid, struct sb_view text)
{
    char digits[24];
    if (text.len >= sizeof digits)
        return false;
    memcpy(digits, text.ptr, text.len);
    digits[text.len] = '\0';
    long long value = strtoll(digits, NULL, 10);
    if (oid == OID_INT2)
        return value >= INT16_MIN && value <= INT16_MAX;
    return oid == OID_INT8 || (value >= INT32_MIN && value <= INT32_MAX);
}

bool sb_type_holds(const struct sb_cat_column *to, struct sb_view text)
{
    if (is_integer(to->type_oid))
        return integer_holds(to->type_oid, text);
    if (to->typmod == -1)
        return true;
    switch (to->type_oid) {
    case OID_VARCHAR:
        return characters(text) <= (size_t)(to->typmod - TYPMOD_HEADER);
    case OID_BIT:
        return text.len == (size_t)to->typmod;
    case OID_VARBIT:
        return text.len <= (size_t)to->typmod;
    default:
        return true;
    }
}
