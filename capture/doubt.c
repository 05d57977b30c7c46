#include "capture/doubt.h"

#include "core/log.h"

void sb_doubt_shown(struct sb_doubt *doubt, uint64_t wal_lsn)
{
    if (wal_lsn > doubt->shown_lsn)
        doubt->shown_lsn = wal_lsn;
}

int sb_doubt_weigh(struct sb_doubt *doubt, const struct sb_progress *progress)
{
    if (progress->commit_lsn <= doubt->shown_lsn)
        return SB_DOUBT_BELIEVED;
    /* The oldest is kept: under load the newest would always be ahead. */
    if (doubt->pulses == 0) {
        doubt->held = *progress;
        doubt->pulses = 1;
    }
    return 0;
}

int sb_doubt_pulse(
    struct sb_doubt *doubt, uint64_t wal_lsn, struct sb_progress *ret_progress, struct sb_err *err)
{
    char have[SB_LSN_TEXT_BYTES], end[SB_LSN_TEXT_BYTES];
    sb_doubt_shown(doubt, wal_lsn);
    if (doubt->pulses == 0)
        return 0;
    if (doubt->held.commit_lsn <= doubt->shown_lsn) {
        doubt->pulses = 0;
        *ret_progress = doubt->held;
        return SB_DOUBT_BELIEVED;
    }
    if (doubt->pulses++ < 2)
        return 0;
    return sb_err_set(err, SB_E_SOURCE_REWOUND,
        "the target's progress row stands at the commit at %s, but the source's WAL ends at %s: the row was "
        "edited, or the source has lost that commit",
        sb_lsn_text(doubt->held.commit_lsn, have), sb_lsn_text(doubt->shown_lsn, end));
}
