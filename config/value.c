#include "config/value.h"

#include "config/nearest.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_BYTES = 64 };

/* The text for an error: quoted, cut, without control characters. */
static const char *show(const char *text, bool shown, char out[SHOWN_BYTES])
{
    if (!shown) {
        snprintf(out, SHOWN_BYTES, "the value from the environment");
        return out;
    }
    size_t len = 0;
    out[len++] = '"';
    for (; *text != '\0' && len < SHOWN_BYTES - 5; text++)
        out[len++] = iscntrl((unsigned char)*text) ? '?' : *text;
    snprintf(out + len, SHOWN_BYTES - len, "%s\"", *text == '\0' ? "" : "...");
    return out;
}

int sb_value_bool(const char *text, bool shown, bool *ret_value, struct sb_err *err)
{
    char word[SHOWN_BYTES];
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0)
        return sb_err_set(err, SB_E_CONFIG, "must be true or false and is %s", show(text, shown, word));
    *ret_value = yes;
    return 0;
}

/* -- numbers ------------------------------------------------------------------------------------------------
 */

struct unit {
    const char *suffix;
    const char *base; /* as in sb_option.unit */
    int64_t factor;
};

/* What people write behind numbers. Decimal and binary multiples of bytes are told apart. */
static const struct unit units[] = {
    {"ms", "ms", 1},
    {"s", "ms", 1000},
    {"sec", "ms", 1000},
    {"m", "ms", 60000},
    {"min", "ms", 60000},
    {"h", "ms", 3600000},
    {"s", "s", 1},
    {"sec", "s", 1},
    {"m", "s", 60},
    {"min", "s", 60},
    {"h", "s", 3600},
    {"d", "s", 86400},
    {"h", "h", 1},
    {"d", "h", 24},
    {"w", "h", 168},
    {"B", "bytes", 1},
    {"k", "bytes", 1000},
    {"kB", "bytes", 1000},
    {"K", "bytes", 1024},
    {"KiB", "bytes", 1024},
    {"M", "bytes", 1048576},
    {"MB", "bytes", 1000000},
    {"MiB", "bytes", 1048576},
    {"G", "bytes", 1073741824},
    {"GB", "bytes", 1000000000},
    {"GiB", "bytes", 1073741824},
    {"T", "bytes", INT64_C(1099511627776)},
    {"TB", "bytes", INT64_C(1000000000000)},
    {"TiB", "bytes", INT64_C(1099511627776)},
};

static const char *unit_words(const char *unit)
{
    static const char *const words[][2] = {{"ms", "milliseconds"}, {"s", "seconds"}, {"h", "hours"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i][0], unit) == 0)
            return words[i][1];
    }
    return unit;
}

/* The text begins with a number and goes on with something else. */
static int refuse_suffix(const struct sb_option *option, const char *text, bool shown, int64_t number,
    const char *suffix, struct sb_err *err)
{
    char word[SHOWN_BYTES];
    sb_err_set(err, SB_E_CONFIG, "must be a whole number of %s and is %s", unit_words(option->unit),
        show(text, shown, word));
    suffix += strspn(suffix, " ");
    for (size_t i = 0; shown && i < sizeof units / sizeof *units; i++) {
        if (strcmp(units[i].base, option->unit) != 0 || strcmp(units[i].suffix, suffix) != 0)
            continue;
        int64_t meant;
        if (!__builtin_mul_overflow(number, units[i].factor, &meant))
            return sb_err_hint(
                err, "The unit is part of the key, so the number stands alone: write %" PRId64 ".", meant);
    }
    return sb_err_hint(err, "The unit is part of the key, so the number stands alone.");
}

int sb_value_number(
    const struct sb_option *option, const char *text, bool shown, int64_t *ret_value, struct sb_err *err)
{
    char word[SHOWN_BYTES], *end;
    const char *digits = text + (text[0] == '-');
    if (!isdigit((unsigned char)digits[0]) || (digits[0] == '0' && isdigit((unsigned char)digits[1])))
        return sb_err_set(err, SB_E_CONFIG, "must be a whole number of %s and is %s",
            unit_words(option->unit), show(text, shown, word));
    errno = 0;
    long long number = strtoll(text, &end, 10);
    bool overflow = errno == ERANGE;
    if (*end != '\0')
        return refuse_suffix(option, text, shown, overflow ? INT64_MAX : number, end, err);
    if (overflow || number < option->min || number > option->max)
        return sb_err_set(err, SB_E_CONFIG, "must be from %" PRId64 " to %" PRId64 " (%s) and is %s",
            option->min, option->max, unit_words(option->unit), show(text, shown, word));
    *ret_value = number;
    return 0;
}

/* -- words --------------------------------------------------------------------------------------------------
 */

int sb_value_choice(
    const struct sb_option *option, const char *text, bool shown, int *ret_index, struct sb_err *err)
{
    char known[256] = "", word[SHOWN_BYTES];
    const char *nearest = NULL;
    for (int i = 0; option->choices[i] != NULL; i++) {
        const char *choice = option->choices[i];
        if (strcmp(choice, text) == 0) {
            *ret_index = i;
            return 0;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : ", ", choice);
        if (nearest == NULL && sb_nearest_distance(text, choice) <= sb_nearest_limit(text))
            nearest = choice;
    }
    if (nearest != NULL)
        return sb_err_set(err, SB_E_CONFIG, "must be one of %s and is %s; did you mean \"%s\"?", known,
            show(text, shown, word), nearest);
    return sb_err_set(err, SB_E_CONFIG, "must be one of %s and is %s", known, show(text, shown, word));
}

int sb_value_check_name(const char *text, struct sb_err *err)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (text[len] == '\0' && len <= 31 && text[0] >= 'a' && text[0] <= 'z')
        return 0;
    sb_err_set(
        err, SB_E_CONFIG, "must be a lower-case letter, then up to 30 lower-case letters, digits or \"_\"");
    return sb_err_hint(err, "It becomes part of the names of slots, publications and topics.");
}

int sb_value_check_listen(const char *text, struct sb_err *err)
{
    if (text[0] == '\0')
        return 0;
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    long port = colon == NULL || !isdigit((unsigned char)colon[1]) ? -1 : strtol(colon + 1, &end, 10);
    bool bracketed = text[0] == '[' && colon != NULL && colon > text + 2 && colon[-1] == ']';
    size_t host_len = colon == NULL ? 0 : (size_t)(colon - text);
    bool plain = host_len > 0 && host_len < 256 && strcspn(text, ":[]/ ") == host_len;
    if (port < 0 || port > 65535 || *end != '\0' || !(bracketed || plain)) {
        sb_err_set(err, SB_E_CONFIG, "must be an address and a port");
        return sb_err_hint(err, "For example 127.0.0.1:9187 or \"[::1]:9187\"; \"\" for none.");
    }
    return 0;
}

int sb_value_check_text(const char *text, size_t max_bytes, bool lines, struct sb_err *err)
{
    size_t len = strlen(text);
    if (len == 0)
        return sb_err_set(err, SB_E_CONFIG, "is empty");
    if (len > max_bytes)
        return sb_err_set(err, SB_E_CONFIG, "is longer than %zu bytes", max_bytes);
    for (size_t i = 0; i < len; i++) {
        if (iscntrl((unsigned char)text[i]) && !(lines && strchr("\n\r\t", text[i]) != NULL))
            return sb_err_set(err, SB_E_CONFIG, "has a control character in it");
    }
    return 0;
}
