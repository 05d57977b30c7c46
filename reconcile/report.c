#include "reconcile/report.h"

const char *sb_verify_state_name(enum sb_verify_state state)
{
    static const char *const names[] = {"equal", "differs", "undecided", "not compared"};
    return names[state];
}

const char *sb_verify_verdict_name(enum sb_verify_verdict verdict)
{
    static const char *const names[] = {"equal", "different", "incomplete"};
    return names[verdict];
}

const char *sb_invariant_state_name(enum sb_invariant_state state)
{
    static const char *const names[] = {"holds", "broken", "not evaluated"};
    return names[state];
}

int64_t sb_verify_total(
    const struct sb_verify_outcome *outcome, int64_t (*of)(const struct sb_verify_result *))
{
    int64_t total = 0;
    for (size_t i = 0; i < outcome->count; i++)
        total += of(&outcome->results[i]);
    return total;
}

int64_t sb_verify_keys_compared(const struct sb_verify_result *result)
{
    int64_t most = result->source_rows > result->target_rows ? result->source_rows : result->target_rows;
    return most + result->by_reread + result->by_stream;
}

void sb_verify_conclude(struct sb_verify_outcome *outcome)
{
    bool different = false, open = false;
    for (size_t i = 0; i < outcome->count; i++) {
        enum sb_verify_state state = outcome->results[i].state;
        different = different || state == SB_TABLE_DIFFERS || outcome->results[i].differences > 0;
        open = open || state == SB_TABLE_UNDECIDED || state == SB_TABLE_NOT_COMPARED;
    }
    for (size_t i = 0; i < outcome->invariants.count; i++) {
        different = different || outcome->invariants.results[i].state == SB_INVARIANT_BROKEN;
        open = open || outcome->invariants.results[i].state == SB_INVARIANT_NOT_EVALUATED;
    }
    if (outcome->why[0] == '\0' && outcome->count == 0)
        outcome->why = "no table was to be compared";
    else if (outcome->why[0] == '\0' && sb_verify_total(outcome, sb_verify_keys_compared) == 0)
        outcome->why = "not one row was read";
    outcome->verdict = different                         ? SB_VERIFY_DIFFERENT
                       : open || outcome->why[0] != '\0' ? SB_VERIFY_INCOMPLETE
                                                         : SB_VERIFY_EQUAL;
}
