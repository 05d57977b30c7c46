#include "cutover/sequence.h"

#include <stddef.h>

typedef __int128 wide;

enum { CACHING_SESSIONS = 100 };

/* Mirrored, so that everything counts upwards. */
struct line {
    wide low, high, step;
    wide next;
    bool cycle;
};

static wide mirrored(const struct sb_sequence_rules *rules, wide value)
{
    return rules->increment < 0 ? -value : value;
}

static struct line line_of(const struct sb_sequence_rules *rules, const struct sb_sequence_place *place)
{
    bool down = rules->increment < 0;
    struct line line = {.low = down ? -(wide)rules->max : rules->min,
        .high = down ? -(wide)rules->min : rules->max,
        .step = mirrored(rules, rules->increment),
        .cycle = rules->cycle};
    line.next = mirrored(rules, place->last) + (place->called ? line.step : 0);
    if (rules->cycle && line.next > line.high)
        line.next = line.low;
    return line;
}

static int64_t saturated(wide value)
{
    return value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

static wide least(wide a, wide b)
{
    return a < b ? a : b;
}

static wide up(wide value, wide step)
{
    return value <= 0 ? 0 : (value + step - 1) / step;
}

/* -- a line with an end ---------------------------------------------------------------------------------- */

/* What is in the columns counts as used, unless it leaves nothing: then one odd row would spend the rest. */
static wide past_edge(const struct sb_sequence_rules *rules, const struct sb_sequence_place *place, wide next,
    const struct line *twin, int64_t need, bool *left)
{
    wide behind = mirrored(rules, place->edge) + 1;
    if (!place->edge_known || behind <= next)
        return next;
    *left = *left || twin->high - behind < least(need, (twin->high - twin->low) / 8);
    return *left ? next : behind;
}

static struct sb_sequence_answer judge_line(const struct sb_sequence_rules *rules, const struct line *owner,
    const struct line *twin, int64_t need, bool edge_left)
{
    wide left = twin->high < owner->next ? 0 : (twin->high - owner->next) / owner->step + 1;
    wide low = least(need, left / 8), goal = least(2 * (wide)need, left / 4);
    wide next = twin->next;
    struct sb_sequence_answer answer = {.verdict = SB_SEQUENCE_FINE, .edge_left = edge_left};
    if (next < owner->next + low * owner->step) {
        wide steps = up(owner->next + goal * owner->step - next, twin->step);
        /* The last step must end where it can stand. */
        wide most = twin->high < next ? 0 : (twin->high - next) / twin->step + 1;
        steps = least(steps, most);
        if (steps > 0) {
            answer.verdict = SB_SEQUENCE_MOVE;
            answer.value = (int64_t)mirrored(rules, next + (steps - 1) * twin->step);
            answer.called = true;
            next += steps * twin->step;
        }
    }
    if (left == 0 && answer.verdict == SB_SEQUENCE_FINE)
        answer.verdict = SB_SEQUENCE_SPENT;
    answer.ahead = saturated((next - owner->next) / owner->step);
    answer.headroom = saturated(twin->high < next ? 0 : (twin->high - next) / twin->step + 1);
    answer.tight = answer.headroom < need;
    return answer;
}

/* -- a cycle --------------------------------------------------------------------------------------------- */

static struct sb_sequence_answer judge_cycle(
    const struct sb_sequence_rules *rules, const struct line *owner, const struct line *twin, int64_t need)
{
    struct sb_sequence_answer answer = {.verdict = SB_SEQUENCE_FINE, .headroom = INT64_MAX};
    if (owner->low != twin->low || owner->high != twin->high || owner->step != twin->step ||
        owner->cycle != twin->cycle) {
        answer.verdict = SB_SEQUENCE_CONTRARY;
        return answer;
    }
    wide step = owner->step, count = (owner->high - owner->low) / step + 1;
    wide low = least(need, count / 4), goal = least(2 * (wide)need, count / 2);
    wide ahead = (twin->next - owner->next) / step;
    if (twin->next < owner->next)
        ahead = (owner->high - owner->next) / step + 1 + (twin->next - owner->low) / step;
    answer.tight = count / 4 < need;
    if (ahead < low || ahead > count / 2) {
        wide to_end = (owner->high - owner->next) / step;
        wide next = goal <= to_end ? owner->next + goal * step : owner->low + (goal - to_end - 1) * step;
        answer.verdict = SB_SEQUENCE_MOVE;
        answer.value = (int64_t)mirrored(rules, next);
        answer.called = false;
        ahead = goal;
    }
    answer.ahead = saturated(ahead);
    return answer;
}

/* -------------------------------------------------------------------------------------------------------- */

struct sb_sequence_answer sb_sequence_judge(const struct sb_sequence_rules *owner,
    const struct sb_sequence_place *owner_place, const struct sb_sequence_rules *twin,
    const struct sb_sequence_place *twin_place, int64_t need)
{
    struct line theirs = line_of(twin, twin_place), ours = theirs;
    bool edge_left = false;
    if (owner != NULL) {
        ours = line_of(owner, owner_place);
        if ((owner->increment < 0) != (twin->increment < 0))
            return (struct sb_sequence_answer){.verdict = SB_SEQUENCE_CONTRARY};
        if (owner->cycle || twin->cycle)
            return judge_cycle(twin, &ours, &theirs, need);
    } else {
        ours.next = theirs.low; /* nothing is used but what the columns show */
    }
    wide next = ours.next;
    if (!twin->cycle) {
        next = past_edge(twin, owner_place, next, &theirs, need, &edge_left);
        next = past_edge(twin, twin_place, next, &theirs, need, &edge_left);
    }
    ours.next = next;
    return judge_line(twin, &ours, &theirs, need, edge_left);
}

int64_t sb_sequence_used(const struct sb_sequence_rules *rules, const struct sb_sequence_place *before,
    const struct sb_sequence_place *now)
{
    struct line was = line_of(rules, before), is = line_of(rules, now);
    if (rules->cycle && is.next < was.next)
        return saturated((was.high - was.next) / was.step + 1 + (is.next - is.low) / is.step);
    return saturated((is.next - was.next) / was.step);
}

int64_t sb_sequence_need(double rate, int64_t margin_s, int64_t cache, int64_t least_values)
{
    double wanted = rate * (double)margin_s;
    int64_t need = wanted < (double)least_values      ? least_values
                   : wanted > (double)(INT64_MAX / 8) ? INT64_MAX / 8
                                                      : (int64_t)wanted;
    int64_t held = cache > INT64_MAX / 8 / CACHING_SESSIONS ? INT64_MAX / 8 : cache * CACHING_SESSIONS;
    return need + (cache > 1 ? held : 0);
}
