#include "schemas/twin.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct twin_info {
    const char *name;
    uint32_t type_oid; /* src/include/catalog/pg_type.dat: built-in types keep theirs for good */
    const char *avro;
};

static const struct twin_info twin_infos[SB_TWIN_COUNT] = {
    [SB_TWIN_TEXT] = {"text", 0, "\"string\""},
    [SB_TWIN_BOOL] = {"bool", 16, "\"boolean\""},
    [SB_TWIN_INT2] = {"int2", 21, "\"int\""},
    [SB_TWIN_INT4] = {"int4", 23, "\"int\""},
    [SB_TWIN_INT8] = {"int8", 20, "\"long\""},
    [SB_TWIN_FLOAT4] = {"float4", 700, "\"float\""},
    [SB_TWIN_FLOAT8] = {"float8", 701, "\"double\""},
    [SB_TWIN_BYTEA] = {"bytea", 17, "\"bytes\""},
    [SB_TWIN_DATE] = {"date", 1082, "{\"type\":\"int\",\"logicalType\":\"date\"}"},
    [SB_TWIN_TIMESTAMP] = {"timestamp", 1114,
        "{\"type\":\"long\",\"logicalType\":\"local-timestamp-micros\"}"},
    [SB_TWIN_TIMESTAMPTZ] = {"timestamptz", 1184, "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}"},
    [SB_TWIN_UUID] = {"uuid", 2950, "{\"type\":\"string\",\"logicalType\":\"uuid\"}"},
};

const char *sb_twin_name(enum sb_twin twin)
{
    return twin_infos[twin].name;
}

const char *sb_twin_avro(enum sb_twin twin)
{
    return twin_infos[twin].avro;
}

enum sb_twin sb_twin_of_type(uint32_t type_oid)
{
    for (int twin = SB_TWIN_TEXT + 1; twin < SB_TWIN_COUNT; twin++)
        if (twin_infos[twin].type_oid == type_oid)
            return (enum sb_twin)twin;
    return SB_TWIN_TEXT;
}

bool sb_twin_find(struct sb_view name, enum sb_twin *ret_twin)
{
    for (int twin = 0; twin < SB_TWIN_COUNT; twin++) {
        if (sb_view_eq_str(name, twin_infos[twin].name)) {
            *ret_twin = (enum sb_twin)twin;
            return true;
        }
    }
    return false;
}

/* -- integers
 * ------------------------------------------------------------------------------------------------ */

static const char digit_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536"
    "3738394041424344454647484950515253545556575859606162636465666768697071727374"
    "7576777879808182838485868788899091929394959697"
    "9899";

static void put_pair(char *out, unsigned value)
{
    memcpy(out, digit_pairs + 2 * value, 2);
}

static size_t format_unsigned(uint64_t value, char *out)
{
    char digits[20];
    size_t at = sizeof digits;
    for (; value >= 100; value /= 100)
        put_pair(digits + (at -= 2), (unsigned)(value % 100));
    if (value >= 10)
        put_pair(digits + (at -= 2), (unsigned)value);
    else
        digits[--at] = (char)('0' + value);
    memcpy(out, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

static size_t format_int(int64_t value, char *out)
{
    if (value >= 0)
        return format_unsigned((uint64_t)value, out);
    out[0] = '-';
    return 1 + format_unsigned(-(uint64_t)value, out + 1);
}

static bool parse_int(struct sb_view text, int64_t min, int64_t max, int64_t *ret_value)
{
    if (text.len == 0)
        return false;
    bool negative = text.ptr[0] == '-';
    size_t count = text.len - negative;
    const char *digits = text.ptr + negative;
    if (count == 0 || count > 19 || (digits[0] == '0' && text.len > 1))
        return false;
    uint64_t value = 0; /* 19 digits fit */
    for (size_t i = 0; i < count; i++) {
        unsigned digit = (unsigned char)digits[i] - '0';
        if (digit > 9)
            return false;
        value = value * 10 + digit;
    }
    if (value > (uint64_t)max + negative)
        return false;
    *ret_value = negative ? (int64_t)-value : (int64_t)value;
    return *ret_value >= min;
}

/* -- dates
 * --------------------------------------------------------------------------------------------------- */

enum { DATE_CHARS = 10, TIME_CHARS = 8 };
static const int64_t day_us = INT64_C(86400000000);
static const int32_t date_min = -719162; /* 0001-01-01 */
static const int32_t date_max = 2932896; /* 9999-12-31 */

/* Days since 1970 in the proleptic Gregorian calendar, as PostgreSQL reckons. The year begins in March, so
 * that the leap day is its last. */
static int32_t days_of(int year, int month, int day)
{
    year -= month <= 2;
    int era = year / 400;
    int year_of_era = year - era * 400;
    int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool two_digits(const char *at, int *ret_value)
{
    unsigned tens = (unsigned char)at[0] - '0', ones = (unsigned char)at[1] - '0';
    *ret_value = (int)(tens * 10 + ones);
    return tens <= 9 && ones <= 9;
}

static int month_days(int year, int month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* at has DATE_CHARS characters. */
static bool parse_date(const char *at, int32_t *ret_days)
{
    int century, year, month, day;
    if (!two_digits(at, &century) || !two_digits(at + 2, &year) || at[4] != '-' ||
        !two_digits(at + 5, &month) || at[7] != '-' || !two_digits(at + 8, &day))
        return false;
    year += century * 100;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > month_days(year, month))
        return false;
    *ret_days = days_of(year, month, day);
    return true;
}

static void format_date(int32_t days, char *out)
{
    int shifted = days + 719468;
    int era = shifted / 146097;
    int day_of_era = shifted - era * 146097;
    int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int march_month = (5 * day_of_year + 2) / 153;
    int day = day_of_year - (153 * march_month + 2) / 5 + 1;
    int month = march_month + (march_month < 10 ? 3 : -9);
    int year = year_of_era + era * 400 + (month <= 2);
    put_pair(out, (unsigned)(year / 100));
    put_pair(out + 2, (unsigned)(year % 100));
    out[4] = '-';
    put_pair(out + 5, (unsigned)month);
    out[7] = '-';
    put_pair(out + 8, (unsigned)day);
}

/* The decimals behind a dot: one to six, the last not zero. */
static bool parse_fraction(struct sb_view digits, int64_t *ret_us)
{
    if (digits.len < 1 || digits.len > 6 || digits.ptr[digits.len - 1] == '0')
        return false;
    int64_t us = 0;
    for (size_t i = 0; i < 6; i++) {
        unsigned digit = i < digits.len ? (unsigned char)digits.ptr[i] - '0' : 0;
        if (digit > 9)
            return false;
        us = us * 10 + digit;
    }
    *ret_us = us;
    return true;
}

static bool parse_timestamp(struct sb_view text, int64_t *ret_us)
{
    int32_t days;
    int hour, minute, second;
    int64_t fraction = 0;
    size_t whole = DATE_CHARS + 1 + TIME_CHARS;
    if (text.len < whole)
        return false;
    const char *time = text.ptr + DATE_CHARS + 1;
    if (!parse_date(text.ptr, &days) || time[-1] != ' ' || !two_digits(time, &hour) || time[2] != ':' ||
        !two_digits(time + 3, &minute) || time[5] != ':' || !two_digits(time + 6, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    if (text.len > whole &&
        (text.ptr[whole] != '.' ||
            !parse_fraction(sb_view(text.ptr + whole + 1, text.len - whole - 1), &fraction)))
        return false;
    *ret_us = days * day_us + ((hour * 60 + minute) * 60 + second) * INT64_C(1000000) + fraction;
    return true;
}

static size_t format_timestamp(int64_t us, char *out)
{
    int64_t days = us / day_us - (us % day_us < 0);
    if (days < date_min || days > date_max)
        return 0;
    int64_t rest = us - days * day_us;
    unsigned fraction = (unsigned)(rest % 1000000), seconds = (unsigned)(rest / 1000000);
    format_date((int32_t)days, out);
    char *at = out + DATE_CHARS;
    *at++ = ' ';
    put_pair(at, seconds / 3600);
    at[2] = ':';
    put_pair(at + 3, seconds / 60 % 60);
    at[5] = ':';
    put_pair(at + 6, seconds % 60);
    at += TIME_CHARS;
    if (fraction > 0) {
        *at++ = '.';
        put_pair(at, fraction / 10000);
        put_pair(at + 2, fraction / 100 % 100);
        put_pair(at + 4, fraction % 100);
        for (at += 6; at[-1] == '0'; at--)
            ;
    }
    return (size_t)(at - out);
}

bool sb_twin_parse_long(enum sb_twin twin, struct sb_view text, int64_t *ret_value)
{
    int32_t days;
    switch (twin) {
    case SB_TWIN_BOOL:
        *ret_value = text.len == 1 && text.ptr[0] == 't';
        return text.len == 1 && (text.ptr[0] == 't' || text.ptr[0] == 'f');
    case SB_TWIN_INT2:
        return parse_int(text, INT16_MIN, INT16_MAX, ret_value);
    case SB_TWIN_INT4:
        return parse_int(text, INT32_MIN, INT32_MAX, ret_value);
    case SB_TWIN_INT8:
        return parse_int(text, INT64_MIN, INT64_MAX, ret_value);
    case SB_TWIN_DATE:
        if (text.len != DATE_CHARS || !parse_date(text.ptr, &days))
            return false;
        *ret_value = days;
        return true;
    case SB_TWIN_TIMESTAMPTZ:
        if (text.len < 3 || memcmp(text.ptr + text.len - 3, "+00", 3) != 0)
            return false;
        return parse_timestamp(sb_view(text.ptr, text.len - 3), ret_value);
    case SB_TWIN_TIMESTAMP:
        return parse_timestamp(text, ret_value);
    default:
        return false;
    }
}

size_t sb_twin_format_long(enum sb_twin twin, int64_t value, char out[SB_TWIN_TEXT_BYTES])
{
    size_t len;
    switch (twin) {
    case SB_TWIN_BOOL:
        out[0] = value == 1 ? 't' : 'f';
        return value == 0 || value == 1;
    case SB_TWIN_INT2:
        return value < INT16_MIN || value > INT16_MAX ? 0 : format_int(value, out);
    case SB_TWIN_INT4:
        return value < INT32_MIN || value > INT32_MAX ? 0 : format_int(value, out);
    case SB_TWIN_INT8:
        return format_int(value, out);
    case SB_TWIN_DATE:
        if (value < date_min || value > date_max)
            return 0;
        format_date((int32_t)value, out);
        return DATE_CHARS;
    case SB_TWIN_TIMESTAMP:
        return format_timestamp(value, out);
    case SB_TWIN_TIMESTAMPTZ:
        len = format_timestamp(value, out);
        if (len == 0)
            return 0;
        memcpy(out + len, "+00", 3);
        return len + 3;
    default:
        return 0;
    }
}

/* -- floats
 * -------------------------------------------------------------------------------------------------- */

struct decimal { /* 0.d1d2d3... times 10^point, without trailing zeros */
    char digits[20];
    int count;
    int point;
};

static void decimal_trim(struct decimal *decimal)
{
    while (decimal->count > 1 && decimal->digits[decimal->count - 1] == '0')
        decimal->count--;
}

static bool same_value(bool single, double a, double b)
{
    return single ? (float)a == (float)b : a == b;
}

/* The smallest k for which m / 10^k is value, m of few enough digits to be the only such decimal. */
static bool decimal_by_division(bool single, double value, struct decimal *decimal)
{
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13,
        1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20};
    double limit = single ? 1e9 : 1e15;
    if (single && value >= 16777216)
        return false; /* floats are further apart than integers from here on */
    for (unsigned k = 0; k < sizeof powers / sizeof *powers; k++) {
        double scaled = value * powers[k];
        if (scaled >= limit)
            return false;
        uint64_t whole = (uint64_t)llrint(scaled);
        if (whole > 0 && same_value(single, (double)whole / powers[k], value)) {
            decimal->count = (int)format_unsigned(whole, decimal->digits);
            decimal->point = decimal->count - (int)k;
            decimal_trim(decimal);
            return true;
        }
    }
    return false;
}

/* Does text read back as value? A text exactly between two values does not: PostgreSQL takes a digit more
 * then, although reading would round to the even one of the two. Doubles below 2^53 have no such texts of up
 * to 17 digits; above, a long double shows them, having the one bit more. */
static bool reads_back(bool single, double value, const char *text)
{
    if (single ? strtof(text, NULL) != (float)value : strtod(text, NULL) != value)
        return false;
    if (!single && value < 0x1p53)
        return true;
    long double exact = strtold(text, NULL);
    double towards = exact > (long double)value ? INFINITY : 0;
    double next = single ? (double)nextafterf((float)value, (float)towards) : nextafter(value, towards);
    return exact != ((long double)value + (long double)next) / 2;
}

static void decimal_by_printf(bool single, double value, struct decimal *decimal)
{
    char text[32];
    int count = single ? 6 : 15, most = single ? 9 : 17;
    if (value < (single ? (double)FLT_MIN : DBL_MIN))
        count = 1; /* subnormal: fewer digits may be unique already */
    for (;; count++) {
        snprintf(text, sizeof text, "%.*e", count - 1, value);
        if (count == most || reads_back(single, value, text))
            break;
    }
    decimal->count = count;
    decimal->digits[0] = text[0];
    memcpy(decimal->digits + 1, text + 2, (size_t)count - 1);
    decimal->point = (int)strtol(strchr(text, 'e') + 1, NULL, 10) + 1;
    decimal_trim(decimal);
}

static char *put_exponent(char *at, int exponent)
{
    unsigned size = (unsigned)(exponent < 0 ? -exponent : exponent);
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    if (size >= 100) {
        *at++ = (char)('0' + size / 100);
        size %= 100;
    }
    put_pair(at, size);
    return at + 2;
}

/* d.ddde+XX from this exponent on, or below -4; else plain. */
static size_t format_decimal(const struct decimal *decimal, int scientific_from, char *out)
{
    char *at = out;
    int exponent = decimal->point - 1;
    if (exponent < -4 || exponent >= scientific_from) {
        *at++ = decimal->digits[0];
        if (decimal->count > 1) {
            *at++ = '.';
            memcpy(at, decimal->digits + 1, (size_t)decimal->count - 1);
            at += decimal->count - 1;
        }
        return (size_t)(put_exponent(at, exponent) - out);
    }
    if (decimal->point <= 0) {
        *at++ = '0';
        *at++ = '.';
        for (int i = decimal->point; i < 0; i++)
            *at++ = '0';
    }
    for (int i = 0; i < decimal->count || i < decimal->point; i++) {
        if (i == decimal->point && i > 0)
            *at++ = '.';
        *at++ = i < decimal->count ? decimal->digits[i] : '0';
    }
    return (size_t)(at - out);
}

size_t sb_twin_format_double(enum sb_twin twin, double value, char out[SB_TWIN_TEXT_BYTES])
{
    bool single = twin == SB_TWIN_FLOAT4;
    size_t sign = 0;
    if (isnan(value)) {
        memcpy(out, "NaN", 3);
        return 3;
    }
    if (signbit(value)) {
        out[sign++] = '-';
        value = -value;
    }
    if (isinf(value)) {
        memcpy(out + sign, "Infinity", 8);
        return sign + 8;
    }
    if (value == 0) {
        out[sign] = '0';
        return sign + 1;
    }
    struct decimal decimal;
    if (!decimal_by_division(single, value, &decimal))
        decimal_by_printf(single, value, &decimal);
    return sign + format_decimal(&decimal, single ? 6 : 15, out + sign);
}

/* Whatever strtod takes: the comparison settles what was the server's spelling. The C locale is a condition;
 * no part of switchback calls setlocale. */
bool sb_twin_parse_double(enum sb_twin twin, struct sb_view text, double *ret_value)
{
    char copy[SB_TWIN_TEXT_BYTES], again[SB_TWIN_TEXT_BYTES], *end;
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    double value = twin == SB_TWIN_FLOAT4 ? (double)strtof(copy, &end) : strtod(copy, &end);
    if (end != copy + text.len)
        return false;
    if (isnan(value))
        value = (double)NAN; /* one bit pattern */
    if (!sb_view_eq(sb_view(again, sb_twin_format_double(twin, value, again)), text))
        return false;
    *ret_value = value;
    return true;
}

/* -- bytea, uuid
 * --------------------------------------------------------------------------------------------- */

/* Lower case only, as the server writes it; 255 for anything else. */
static inline unsigned hex_value(char c)
{
    unsigned digit = (unsigned char)c - '0', letter = (unsigned char)c - 'a';
    return digit <= 9 ? digit : letter <= 5 ? letter + 10 : 255;
}

bool sb_twin_parse_bytea(struct sb_view text, unsigned char *out)
{
    if (text.len < 2 || text.len % 2 != 0 || text.ptr[0] != '\\' || text.ptr[1] != 'x')
        return false;
    unsigned wrong = 0;
    for (size_t i = 2; i < text.len; i += 2) {
        unsigned high = hex_value(text.ptr[i]), low = hex_value(text.ptr[i + 1]);
        wrong |= high | low;
        *out++ = (unsigned char)(high << 4 | low);
    }
    return wrong < 16;
}

void sb_twin_format_bytea(struct sb_view bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    *out++ = '\\';
    *out++ = 'x';
    for (size_t i = 0; i < bytes.len; i++) {
        *out++ = digits[(unsigned char)bytes.ptr[i] >> 4];
        *out++ = digits[(unsigned char)bytes.ptr[i] & 15];
    }
}

bool sb_twin_is_uuid(struct sb_view text)
{
    if (text.len != 36)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.ptr[i] != '-' : hex_value(text.ptr[i]) > 15)
            return false;
    }
    return true;
}
