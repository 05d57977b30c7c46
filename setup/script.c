#include "setup/script.h"

#include <string.h>

const char *sb_place_name(enum sb_place place)
{
    static const char *const names[] = {"source", "target", "stream"};
    return names[place];
}

void sb_script_init(struct sb_script *script, struct sb_arena *arena, bool dry_run)
{
    *script = (struct sb_script){.arena = arena, .dry_run = dry_run};
}

static bool script_grow(struct sb_script *script)
{
    size_t room = script->room == 0 ? 16 : script->room * 2;
    struct sb_step *steps = sb_arena_alloc(script->arena, room * sizeof *steps);
    if (steps == NULL)
        return false;
    if (script->count > 0)
        memcpy(steps, script->steps, script->count * sizeof *steps);
    script->steps = steps;
    script->room = room;
    return true;
}

int sb_script_add(
    struct sb_script *script, enum sb_place place, const char *what, const char *sql, struct sb_err *err)
{
    struct sb_step step = {.place = place,
        .what = sb_arena_str(script->arena, sb_view_str(what)),
        .sql = sb_arena_str(script->arena, sb_view_str(sql))};
    if (step.what == NULL || step.sql == NULL || (script->count == script->room && !script_grow(script)))
        return sb_err_set(err, SB_E_LIMIT, "the statements do not fit into the %zu bytes of arena \"%s\"",
            sb_arena_max(script->arena), sb_arena_name(script->arena));
    script->steps[script->count++] = step;
    if (script->on_step != NULL)
        script->on_step(script->arg, &step);
    return 0;
}

void sb_script_put_path(struct sb_buf *out, const char *path)
{
    sb_buf_put_str(out, "'");
    for (const char *at = path; *at != '\0'; at++) {
        if (*at == '\'')
            sb_buf_put_str(out, "'\\''");
        else
            sb_buf_put(out, at, 1);
    }
    sb_buf_put_str(out, "'");
}
