#include "reconcile/cluster.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TIME_CHARS = 19, HOUR_S = 3600, HOURS_MOST = 14 /* of a time zone */ };

const char *sb_cluster_cause(const struct sb_cluster *cluster)
{
    bool changed = strcmp(cluster->kind, "changed") == 0, missing = strcmp(cluster->kind, "missing") == 0;
    if (strcmp(cluster->fault, "capture") == 0)
        return "the stream lacks what the source did: a gap in the publication, a filter, a write past "
               "logical decoding";
    if (strcmp(cluster->fault, "copy") == 0)
        return "the initial copy brought it so";
    if (strcmp(cluster->fault, "foreign") == 0)
        return "somebody else writes on the target";
    if (changed && cluster->columns == 1 && cluster->count == cluster->of_kind)
        return "every changed row differs in this column alone: a trigger, a default, a type or a rounding "
               "of that column "
               "on the target";
    if (strcmp(cluster->fault, "apply") == 0)
        return "a trigger or rule of the target changed it on its way in, or a transaction was skipped";
    if (changed)
        return "";
    if (cluster->of_missing == cluster->of_extra)
        return "as many rows are missing as there are extra ones: keys that were changed, or are spelled "
               "otherwise";
    if (cluster->count != cluster->of_table)
        return "";
    return missing ? "the target lacks rows, and that is all: a load that did not travel, or a DELETE or "
                     "TRUNCATE on the target"
                   : "the target has more rows, and that is all: deletes that did not travel, or inserts on "
                     "the target";
}

/* -- two texts ------------------------------------------------------------------------------------------- */

static struct sb_view trimmed(struct sb_view text)
{
    while (text.len > 0 && text.ptr[text.len - 1] == ' ')
        text.len--;
    return text;
}

static bool same_letters(struct sb_view a, struct sb_view b)
{
    for (size_t i = 0; i < a.len && a.len == b.len; i++)
        if (tolower((unsigned char)a.ptr[i]) != tolower((unsigned char)b.ptr[i]))
            return false;
    return a.len == b.len;
}

static bool is_number(struct sb_view text)
{
    size_t digits = 0, points = 0;
    for (size_t i = text.len > 0 && text.ptr[0] == '-' ? 1 : 0; i < text.len; i++) {
        digits += isdigit((unsigned char)text.ptr[i]) != 0;
        points += text.ptr[i] == '.';
        if (!isdigit((unsigned char)text.ptr[i]) && text.ptr[i] != '.')
            return false;
    }
    return digits > 0 && points <= 1;
}

/* Without zeros behind the point, and without the sign of a zero. */
static struct sb_view reduced(struct sb_view number)
{
    if (memchr(number.ptr, '.', number.len) != NULL) {
        while (number.ptr[number.len - 1] == '0')
            number.len--;
        if (number.ptr[number.len - 1] == '.')
            number.len--;
    }
    if (number.len > 1 && number.ptr[0] == '-' && strspn(number.ptr + 1, "0") >= number.len - 1)
        return sb_view(number.ptr + 1, number.len - 1);
    return number;
}

/* Seconds of "2026-01-31 23:59:59"; false if it does not begin so. */
static bool time_of(struct sb_view text, time_t *ret_time)
{
    struct tm tm = {0};
    char head[TIME_CHARS + 1];
    if (text.len < TIME_CHARS)
        return false;
    memcpy(head, text.ptr, TIME_CHARS);
    head[TIME_CHARS] = '\0';
    const char *end = strptime(head, "%Y-%m-%d %H:%M:%S", &tm);
    if (end == NULL || *end != '\0')
        return false;
    *ret_time = timegm(&tm);
    return true;
}

static bool hours_apart(struct sb_view source, struct sb_view target, int64_t *ret_hours)
{
    time_t from, to;
    if (!time_of(source, &from) || !time_of(target, &to) || source.len != target.len ||
        memcmp(source.ptr + TIME_CHARS, target.ptr + TIME_CHARS, source.len - TIME_CHARS) != 0)
        return false;
    *ret_hours = ((int64_t)to - (int64_t)from) / HOUR_S;
    return ((int64_t)to - (int64_t)from) % HOUR_S == 0 && *ret_hours >= -HOURS_MOST &&
           *ret_hours <= HOURS_MOST;
}

static bool starts_with(struct sb_view text, struct sb_view head)
{
    return head.len > 0 && text.len > head.len && memcmp(text.ptr, head.ptr, head.len) == 0;
}

static const char *of_texts(struct sb_view source, struct sb_view target, int64_t *ret_hours)
{
    if (sb_view_eq(trimmed(source), trimmed(target)))
        return "trailing blanks";
    if (is_number(source) && is_number(target))
        return sb_view_eq(reduced(source), reduced(target)) ? "the same number, spelled otherwise" : "";
    if (hours_apart(source, target, ret_hours))
        return "whole hours apart: a time zone";
    if (same_letters(source, target))
        return "upper and lower case";
    if (starts_with(source, target))
        return "the target's is cut short";
    return "";
}

const char *sb_cluster_values(
    const struct sb_value *source, const struct sb_value *target, int64_t *ret_hours)
{
    *ret_hours = 0;
    if (source->state == SB_COL_TEXT && target->state == SB_COL_TEXT)
        return of_texts(source->text, target->text, ret_hours);
    const struct sb_value *there = source->state == SB_COL_TEXT ? source : target;
    if (there->state != SB_COL_TEXT)
        return "";
    return there->text.len == 0 ? "NULL against the empty string" : "NULL on one side";
}
