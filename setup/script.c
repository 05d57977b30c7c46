#include "setup/plan.h"

#include <string.h>

const char *sb_place_name(enum sb_place place)
{
    static const char *const names[] = {"source", "target", "stream"};
    return names[place];
}

void sb_plan_init(struct sb_plan *plan, struct sb_arena *arena, bool dry_run)
{
    *plan = (struct sb_plan){.arena = arena, .dry_run = dry_run};
}

static bool plan_grow(struct sb_plan *plan)
{
    size_t room = plan->room == 0 ? 16 : plan->room * 2;
    struct sb_step *steps = sb_arena_alloc(plan->arena, room * sizeof *steps);
    if (steps == NULL)
        return false;
    if (plan->count > 0)
        memcpy(steps, plan->steps, plan->count * sizeof *steps);
    plan->steps = steps;
    plan->room = room;
    return true;
}

int sb_plan_add(
    struct sb_plan *plan, enum sb_place place, const char *what, const char *sql, struct sb_err *err)
{
    struct sb_step step = {.place = place,
        .what = sb_arena_str(plan->arena, sb_view_str(what)),
        .sql = sb_arena_str(plan->arena, sb_view_str(sql))};
    if (step.what == NULL || step.sql == NULL || (plan->count == plan->room && !plan_grow(plan)))
        return sb_err_set(err, SB_E_LIMIT, "the statements do not fit into the %zu bytes of arena \"%s\"",
            sb_arena_max(plan->arena), sb_arena_name(plan->arena));
    plan->steps[plan->count++] = step;
    if (plan->on_step != NULL)
        plan->on_step(plan->arg, &step);
    return 0;
}
