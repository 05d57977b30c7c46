/*
 * The slot guard: how much WAL the slot makes the source keep, and when it will be lost at the present rate.
 * Pure. Fed now and then with what the source says; it tells what to show and when to alarm.
 */
#ifndef SB_CAPTURE_GUARD_H
#define SB_CAPTURE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct sb_guard_facts {
    int64_t now_ms;       /* monotonic */
    uint64_t wal_lsn;     /* the source writes here */
    uint64_t restart_lsn; /* the slot keeps everything from here on */
    int64_t safe_bytes;   /* pg_replication_slots.safe_wal_size; -1: no limit is set */
    bool unreserved;      /* wal_status: the next checkpoint may remove what we need */
};

struct sb_guard {
    int64_t last_ms; /* 0: nothing fed yet */
    uint64_t last_wal_lsn;
    double bytes_per_s; /* smoothed over about a minute */
    bool alarmed;
    /* What to show. */
    int64_t retained_bytes;
    int64_t safe_bytes;   /* -1: no limit */
    int64_t loss_seconds; /* -1: no limit, or nothing is written */
};

enum sb_guard_alarm { SB_GUARD_QUIET, SB_GUARD_RAISED, SB_GUARD_CLEARED };
/* Zero the struct to begin. The alarm is raised once when half of what the slot may keep is used up (or its
 * WAL is not reserved any more), and cleared once when it is below 40 %. */
enum sb_guard_alarm sb_guard_feed(struct sb_guard *guard, const struct sb_guard_facts *facts);

#endif
