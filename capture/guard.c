#include "capture/guard.h"

enum { SMOOTHING_MS = 60000, ALARM_PERCENT = 50, CLEAR_PERCENT = 40 };

static void feed_rate(struct sb_guard *guard, const struct sb_guard_facts *facts)
{
    int64_t elapsed_ms = facts->now_ms - guard->last_ms;
    if (guard->last_ms != 0 && elapsed_ms > 0 && facts->wal_lsn >= guard->last_wal_lsn) {
        double rate = (double)(facts->wal_lsn - guard->last_wal_lsn) * 1000.0 / (double)elapsed_ms;
        double weight = (double)elapsed_ms / (double)(elapsed_ms + SMOOTHING_MS);
        bool first = guard->bytes_per_s == 0;
        guard->bytes_per_s = first ? rate : guard->bytes_per_s + weight * (rate - guard->bytes_per_s);
    }
    guard->last_ms = facts->now_ms;
    guard->last_wal_lsn = facts->wal_lsn;
}

enum sb_guard_alarm sb_guard_feed(struct sb_guard *guard, const struct sb_guard_facts *facts)
{
    feed_rate(guard, facts);
    guard->retained_bytes =
        facts->wal_lsn > facts->restart_lsn ? (int64_t)(facts->wal_lsn - facts->restart_lsn) : 0;
    guard->safe_bytes = facts->unreserved ? 0 : facts->safe_bytes;
    guard->loss_seconds = -1;
    if (guard->safe_bytes == 0)
        guard->loss_seconds = 0;
    else if (guard->safe_bytes > 0 && guard->bytes_per_s >= 1.0)
        guard->loss_seconds = (int64_t)((double)guard->safe_bytes / guard->bytes_per_s);

    double limit = (double)guard->retained_bytes + (double)guard->safe_bytes;
    double used = guard->safe_bytes < 0 || limit <= 0 ? 0 : 100.0 * (double)guard->retained_bytes / limit;
    if (guard->safe_bytes == 0)
        used = 100;
    if (!guard->alarmed && used >= ALARM_PERCENT) {
        guard->alarmed = true;
        return SB_GUARD_RAISED;
    }
    if (guard->alarmed && used < CLEAR_PERCENT) {
        guard->alarmed = false;
        return SB_GUARD_CLEARED;
    }
    return SB_GUARD_QUIET;
}
