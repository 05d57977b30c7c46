#include "capture/start.h"

#include "core/log.h"

enum sb_start sb_start_decide(const struct sb_start_facts *facts)
{
    if (facts->confirmed < facts->slot_began)
        return SB_START_MOVED;
    if (facts->tail == 0 && facts->confirmed == facts->slot_began)
        return SB_START_FRESH;
    if (facts->confirmed <= facts->tail)
        return SB_START_VERIFY;
    if (!facts->progress_known)
        return SB_START_WAIT;
    if (facts->confirmed <= facts->progress)
        return SB_START_HOLE;
    return facts->confirmed <= facts->recorded ? SB_START_TRUNCATED : SB_START_MOVED;
}

const char *sb_start_name(enum sb_start start)
{
    static const char *const names[] = {
        [SB_START_FRESH] = "fresh",
        [SB_START_VERIFY] = "verify",
        [SB_START_HOLE] = "hole",
        [SB_START_WAIT] = "wait",
        [SB_START_TRUNCATED] = "truncated",
        [SB_START_MOVED] = "moved",
    };
    return names[start];
}

int sb_start_error(
    enum sb_start start, const struct sb_start_facts *facts, const char *slot, struct sb_err *err)
{
    char confirmed[SB_LSN_TEXT_BYTES], tail[SB_LSN_TEXT_BYTES], progress[SB_LSN_TEXT_BYTES];
    sb_lsn_text(facts->confirmed, confirmed);
    sb_lsn_text(facts->tail, tail);
    sb_lsn_text(facts->progress, progress);
    switch (start) {
    case SB_START_WAIT:
        return sb_err_set(err, SB_E_TARGET_UNAVAILABLE,
            "slot \"%s\" stands at %s, beyond the newest commit of the stream (%s), and the target cannot be "
            "asked whether it has what lies between",
            slot, confirmed, tail);
    case SB_START_TRUNCATED:
        return sb_err_set(err, SB_E_LOG_TRUNCATED,
            "the stream ends at %s, the target at %s, but slot \"%s\" was confirmed at %s after the stream "
            "had "
            "acknowledged everything up to there",
            tail, progress, slot, confirmed);
    case SB_START_MOVED:
        return sb_err_set(err, SB_E_SLOT_MOVED,
            "slot \"%s\" stands at %s, which this migration never confirmed: the stream ends at %s, the "
            "target at "
            "%s",
            slot, confirmed, tail, facts->progress_known ? progress : "an unknown position");
    case SB_START_FRESH:
    case SB_START_VERIFY:
    case SB_START_HOLE:
        break;
    }
    return sb_err_set(err, SB_E_INTERNAL, "the start of slot \"%s\" is not an error", slot);
}
