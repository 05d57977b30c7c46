#include "pg/snapshot.h"

#include <inttypes.h>

uint64_t sb_xid_widen(uint32_t xid32, uint64_t next_xid)
{
    if (xid32 < 3)
        return xid32;
    uint32_t ahead = xid32 - (uint32_t)next_xid; /* modulo 2^32: the upper half means behind */
    uint32_t behind = (uint32_t)next_xid - xid32;
    if (behind < UINT32_C(1) << 31 && behind <= next_xid)
        return next_xid - behind;
    return next_xid + ahead;
}

/* Decimal digits up to a character that is none; false without digits or beyond 64 bits. */
static bool number_take(const char **text, uint64_t *ret_number)
{
    const char *at = *text;
    uint64_t number = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            return false;
    }
    if (at == *text)
        return false;
    *text = at;
    *ret_number = number;
    return true;
}

static size_t xip_max(const char *text)
{
    size_t count = *text != '\0';
    for (; *text != '\0'; text++)
        count += *text == ',';
    return count;
}

bool sb_snapshot_parse(const char *text, struct sb_arena *arena, struct sb_snapshot *ret_snapshot)
{
    struct sb_snapshot snapshot = {0};
    if (!number_take(&text, &snapshot.xmin) || *text++ != ':' || !number_take(&text, &snapshot.xmax) ||
        *text++ != ':' || snapshot.xmin == 0 || snapshot.xmin > snapshot.xmax)
        return false;
    uint64_t *xip = sb_arena_alloc(arena, (xip_max(text) + 1) * sizeof *xip);
    if (xip == NULL)
        return false;
    uint64_t least = snapshot.xmin;
    while (*text != '\0') {
        uint64_t xid;
        if ((snapshot.xip_count > 0 && *text++ != ',') || !number_take(&text, &xid) || xid < least ||
            xid >= snapshot.xmax)
            return false;
        xip[snapshot.xip_count++] = xid;
        least = xid + 1;
    }
    snapshot.xip = xip;
    *ret_snapshot = snapshot;
    return true;
}

bool sb_snapshot_sees(const struct sb_snapshot *snapshot, uint64_t xid)
{
    if (xid < snapshot->xmin)
        return true;
    if (xid >= snapshot->xmax)
        return false;
    size_t low = 0, high = snapshot->xip_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (snapshot->xip[mid] == xid)
            return false;
        if (snapshot->xip[mid] < xid)
            low = mid + 1;
        else
            high = mid;
    }
    return true;
}

void sb_snapshot_put(const struct sb_snapshot *snapshot, struct sb_buf *out)
{
    sb_buf_putf(out, "%" PRIu64 ":%" PRIu64 ":", snapshot->xmin, snapshot->xmax);
    for (size_t i = 0; i < snapshot->xip_count; i++)
        sb_buf_putf(out, "%s%" PRIu64, i == 0 ? "" : ",", snapshot->xip[i]);
}
