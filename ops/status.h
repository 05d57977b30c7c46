/*
 * The status: what two readings of the metrics page mean. Pure: no clock, no file.
 *
 * A direction is three positions on the source's WAL: where it writes, how far the stream has it, how far the
 * target has it. Between them lie two lags in bytes; in seconds the lag is the difference of two source
 * commit times, of the newest stored transaction and the newest applied one, so that no two clocks are
 * compared. A position of 0 is not known yet, and so is whatever would be computed from it (-1).
 *
 * Rates come from two readings some time apart. The catch-up ends when apply has closed the distance to the
 * source, which moves on meanwhile: distance / (speed of apply - speed of the source).
 */
#ifndef SB_OPS_STATUS_H
#define SB_OPS_STATUS_H

#include "config/wiring.h"
#include "ops/reading.h"
#include "reconcile/board.h"

struct sb_status_stage {
    enum sb_stage stage;
    enum sb_stage_state state; /* of a process that is not there any more: SB_STATE_ABSENT */
    bool gone;                 /* the page says it works, but its process is not there */
    const struct sb_stage_report *report;
};

enum sb_eta {
    SB_ETA_UNKNOWN,   /* only one reading, or a position is not known */
    SB_ETA_FOLLOWING, /* nothing to catch up with */
    SB_ETA_SECONDS,
    SB_ETA_NEVER, /* the source is as fast as apply, or faster */
};

enum { SB_STATUS_WHY_BYTES = 1024 };
#define SB_UNKNOWN INT64_C(-1)

struct sb_status_direction {
    enum sb_direction direction;
    struct sb_status_stage capture, apply;
    struct sb_status_copy { /* the initial copy */
        bool shown;         /* it is under way, or was in the life of this page */
        struct sb_status_stage stage;
        int64_t tables, tables_done, chunks, chunks_done, rows, rows_estimated;
        double row_rate; /* rows a second; 0: unknown */
        int64_t left_s;  /* SB_UNKNOWN: unknown */
    } copy;
    uint64_t source_lsn, received_lsn, stored_lsn, confirmed_lsn, applied_lsn; /* 0: unknown */
    int64_t capture_lag_bytes;                                                 /* source to stream */
    int64_t apply_lag_bytes;                                                   /* stream to target */
    int64_t lag_bytes;                                                         /* source to target */
    int64_t lag_us;                /* newest stored to newest applied source commit time */
    int64_t stored_us, applied_us; /* those times, since 1970; 0: unknown */
    double rate_seconds;           /* between the two readings; 0: there is one only, rates are unknown */
    double source_rate, capture_rate, apply_rate; /* WAL bytes a second */
    double commit_rate, change_rate;              /* applied, a second */
    enum sb_eta eta;
    int64_t eta_s;
    int64_t slot_retained_bytes, slot_safe_bytes, slot_loss_s; /* -1: unknown or no limit */
    int64_t conflicts, skipped;
    bool observes;                            /* the target owns: nothing is written there */
    int64_t aside;                            /* tables that are copied while apply goes on with the others */
    int64_t rogue_writes, rogue_transactions; /* found by the observer */
    struct sb_status_canary {                 /* of this direction */
        int64_t sent;
        int64_t arrived_us; /* when the newest was written on the target; 0: none was */
        int64_t echoed;     /* came back to the target's capture, and were dropped there as ours */
        int64_t echoed_us;  /* when the newest did; 0: none has */
        int64_t round_us;   /* how long that took; SB_UNKNOWN */
    } canary;
    bool healthy;                  /* both stages run, or wait for something that passes */
    char why[SB_STATUS_WHY_BYTES]; /* why it is not further: a sentence, or several; never empty */
};

struct sb_status_sequences { /* of the side that does not own the data (docs/SEQUENCES.md) */
    struct sb_status_stage stage;
    bool shown; /* they were looked at in the life of this page */
    int64_t kept, missing, unkept, tight, rogue_values;
    int64_t ahead;     /* values, of the one that is least ahead */
    int64_t headroom;  /* values, of the one that has least left */
    int64_t looked_us; /* when */
};

struct sb_status_reconcile { /* what the stage has proven (docs/RECONCILE.md) */
    struct sb_status_stage stage;
    bool shown; /* both sides were looked at in the life of this page */
    uint64_t frontier_lsn;
    int64_t frontier_us; /* its commit time on the source; 0: undefined */
    int64_t lag_us;      /* since then, by the source's clock; SB_UNKNOWN: undefined */
    int64_t tables, tables_proven, tables_not_compared;
    int64_t open_differences, unproven;
    int64_t looked_us;            /* when */
    int64_t now_us;               /* by the source's clock */
    const struct sb_board *board; /* of each table, if whoever shows it has read it; NULL: not */
};

struct sb_status {
    int64_t wall_us;
    bool runs; /* any process lives */
    bool insecure;
    struct sb_status_stage supervisor;
    enum sb_status_owner { SB_OWNER_UNKNOWN, SB_OWNER_OLD, SB_OWNER_NEW } owner;
    int64_t ownership_epoch; /* 0: unknown */
    bool armed;              /* both stages of the way back run */
    struct sb_status_sequences sequences;
    struct sb_status_reconcile reconcile;
    size_t count; /* forward always, reverse once a stage of it was started */
    struct sb_status_direction directions[2];
};

/* before may be NULL: no rates. now must outlive the status. */
void sb_status_compute(const struct sb_reading *before, const struct sb_reading *now, bool insecure,
    struct sb_status *ret_status);

bool sb_status_stage_ok(const struct sb_status_stage *stage); /* running, or waiting in order */
/* All stages of all directions are there and none is halted: the exit code of `status`, and /readyz but for
 * stages that still start. */
bool sb_status_standing(const struct sb_status *status);
/* sb_status_stage_ok of all. */
bool sb_status_ready(const struct sb_status *status);

#endif
