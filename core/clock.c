#include "core/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t clock_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t sb_clock_mono_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

int64_t sb_clock_mono_ms(void)
{
    return sb_clock_mono_us() / 1000;
}

int64_t sb_clock_wall_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

const char *sb_clock_text(int64_t wall_us, char out[SB_TIME_TEXT_BYTES])
{
    int64_t us = wall_us % 1000000;
    int64_t s = wall_us / 1000000;
    if (us < 0) {
        us += 1000000;
        s -= 1;
    }
    time_t at = (time_t)s;
    struct tm tm;
    if (gmtime_r(&at, &tm) == NULL || tm.tm_year > 8099 || tm.tm_year < -1900) {
        snprintf(out, SB_TIME_TEXT_BYTES, "out of range");
        return out;
    }
    size_t used = strftime(out, SB_TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + used, SB_TIME_TEXT_BYTES - used, ".%06dZ", (int)us);
    return out;
}

int sb_clock_parse(const char *text, int64_t *ret_wall_us)
{
    struct tm tm = {0};
    char between = 0, zone = 0;
    int used = 0;
    if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &between,
            &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 7 ||
        used == 0 || (between != 'T' && between != ' '))
        return -1;
    int64_t us = 0, scale = 100000;
    text += used;
    if (*text == '.')
        for (text++; *text >= '0' && *text <= '9' && scale > 0; text++, scale /= 10)
            us += (*text - '0') * scale;
    if (*text == 'Z')
        zone = *text++;
    (void)zone;
    if (*text != '\0')
        return -1;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret_wall_us = (int64_t)timegm(&tm) * 1000000 + us;
    return 0;
}
