#include "reconcile/item.h"

#include "core/clock.h"
#include "core/log.h"

#include <stdio.h>

enum { SAVE_FRONTIER_MS = 30000 /* of a table of which only that has changed */ };

/* -- passes ---------------------------------------------------------------------------------------------- */

bool sb_item_pass_is_due(const struct sb_item *item, const struct sb_item_desk *desk)
{
    int64_t interval_us = desk->pass_interval_s * 1000000;
    return interval_us > 0 && item->passed_us > 0 && sb_clock_wall_us() - item->passed_us >= interval_us;
}

bool sb_item_wants_pass(struct sb_item *item, const struct sb_item_desk *desk)
{
    struct sb_frontier_state state;
    struct sb_frontier_counts counts;
    if (item->table->strategy == SB_STRATEGY_NONE || sb_clock_mono_ms() < item->not_before_ms)
        return false;
    item->passing = item->passing && sb_frontier_pass_holds(desk->frontier, item->table->number);
    if (item->passing)
        return true;
    sb_frontier_get(desk->frontier, item->table->number, &state);
    sb_frontier_count(desk->frontier, item->table->number, &counts);
    return (state.needs_pass && !counts.stale) || counts.touched || sb_item_pass_is_due(item, desk);
}

int sb_item_pass_begin(
    struct sb_item *item, const struct sb_item_desk *desk, const struct sb_place *applied, struct sb_err *err)
{
    item->passing = item->drop_chunks = true;
    item->todo = item->table->ranges;
    item->at = 0;
    item->chunks = (int64_t)item->todo.count;
    item->began = *applied;
    item->began_ms = sb_clock_mono_ms();
    item->result.source_rows = item->result.target_rows = item->result.differences = 0;
    sb_frontier_pass_begin(desk->frontier, item->table->number);
    return sb_verified_now(desk->verified, &item->began_us, err);
}

/* -- what is saved --------------------------------------------------------------------------------------- */

static void state_of(
    const struct sb_item_desk *desk, const struct sb_item *item, struct sb_verified_table *ret_now)
{
    sb_frontier_save(desk->frontier, item->table->number, &ret_now->state);
    ret_now->passing = item->passing;
    ret_now->passed_us = item->passed_us;
}

static bool has_changed(const struct sb_item *item, const struct sb_verified_table *now, int64_t now_ms)
{
    const struct sb_verified_table *saved = &item->saved;
    if (item->drop_chunks || saved->passing != now->passing || saved->passed_us != now->passed_us ||
        saved->state.needs_pass != now->state.needs_pass || saved->state.proven != now->state.proven ||
        saved->state.passed_to != now->state.passed_to)
        return true;
    return saved->state.lsn != now->state.lsn && now_ms - item->saved_ms >= SAVE_FRONTIER_MS;
}

int sb_item_save(struct sb_item *item, const struct sb_item_desk *desk, bool everything, struct sb_err *err)
{
    struct sb_verified_table now;
    struct sb_frontier_counts counts;
    state_of(desk, item, &now);
    if (!now.state.compared || (!everything && !has_changed(item, &now, sb_clock_mono_ms())))
        return 0;
    sb_frontier_count(desk->frontier, item->table->number, &counts);
    if (item->drop_chunks && sb_verified_drop_chunks(desk->verified, item->table, err) != 0)
        return -1;
    if (sb_verified_put(desk->verified, item->table, &now, counts.held, err) != 0)
        return -1;
    item->drop_chunks = false;
    item->saved = now;
    item->saved_ms = sb_clock_mono_ms();
    return 0;
}

static int go_on_passing(struct sb_item *item, const struct sb_item_desk *desk, const struct sb_ranges *done,
    const struct sb_place *applied, struct sb_err *err)
{
    const struct sb_verify_table *table = item->table;
    struct sb_ranges missing, cut;
    struct sb_view *bounds = sb_arena_alloc(desk->arena, (table->ranges.count + 1) * sizeof *bounds);
    size_t count = 0;
    if (bounds == NULL)
        return sb_err_set(err, SB_E_LIMIT, "table %s: chunks do not fit into arena \"%s\"", table->shown,
            sb_arena_name(desk->arena));
    for (size_t i = 0; i < table->ranges.count; i++)
        if (!table->ranges.items[i].upper_open)
            bounds[count++] = table->ranges.items[i].upper;
    if (sb_ranges_missing(done->items, done->count, desk->arena, &missing, err) != 0 ||
        sb_ranges_cut(&missing, bounds, count, desk->arena, &cut, err) != 0)
        return -1;
    if (sb_item_pass_begin(item, desk, applied, err) != 0)
        return -1;
    item->drop_chunks = false;
    if (cut.count > 0)
        item->todo = cut;
    else /* a pass ends with a chunk: by then the stream was read past all the others */
        item->at = table->ranges.count - 1;
    item->chunks = (int64_t)(done->count + item->todo.count - item->at);
    SB_INFO("a pass goes on", SB_STR("table", table->shown), SB_NUM("chunks_done", done->count),
        SB_NUM("chunks_left", item->todo.count - item->at));
    return 0;
}

int sb_item_load(struct sb_item *item, const struct sb_item_desk *desk, bool goes_on,
    const struct sb_place *applied, struct sb_err *err)
{
    const struct sb_verify_table *table = item->table;
    struct sb_ranges done = {.count = 0};
    struct sb_verified_table loaded = {.state.needs_pass = true};
    int rc = sb_verified_load(desk->verified, table, &loaded, err);
    if (rc < 0)
        return -1;
    bool of_use = rc == 0 && goes_on && loaded.same_shape && !loaded.copied_since;
    if (!of_use) {
        loaded.state.needs_pass = true;
        loaded.state.proven = loaded.passing = false;
        item->drop_chunks = true;
    }
    loaded.state.compared = table->strategy != SB_STRATEGY_NONE;
    loaded.state.keyed = table->key_count > 0;
    item->passed_us = of_use || loaded.same_shape ? loaded.passed_us : 0;
    sb_frontier_set(desk->frontier, table->number, &loaded.state);
    item->saved = loaded;
    if (!of_use || table->strategy != SB_STRATEGY_RANGES || (!loaded.state.needs_pass && !loaded.passing))
        return 0;
    if (sb_verified_chunks(desk->verified, table, desk->arena, &done, err) != 0)
        return -1;
    return done.count == 0 ? 0 : go_on_passing(item, desk, &done, applied, err);
}

/* -- for people ------------------------------------------------------------------------------------------ */

void sb_item_show(
    const struct sb_item *item, const struct sb_item_desk *desk, struct sb_board_table *ret_table)
{
    struct sb_frontier_state state;
    struct sb_frontier_counts counts;
    sb_frontier_get(desk->frontier, item->table->number, &state);
    sb_frontier_count(desk->frontier, item->table->number, &counts);
    *ret_table = (struct sb_board_table){.compared = state.compared,
        .proven = state.proven,
        .passing = item->passing,
        .frontier_lsn = state.lsn,
        .frontier_us = state.us,
        .chunks_done = item->passing ? item->chunks - (int64_t)(item->todo.count - item->at) : 0,
        .chunks = item->passing ? item->chunks : 0,
        .unproven = (int64_t)counts.touches + counts.touched,
        .differences = (int64_t)counts.held,
        .passed_us = item->passed_us};
    const char *why = !state.compared        ? item->table->reason
                      : item->why[0] != '\0' ? item->why
                      : counts.stale ? "changes that are not known row by row are not visible or applied yet"
                                     : "";
    snprintf(ret_table->name, sizeof ret_table->name, "%s", item->table->shown);
    snprintf(ret_table->why, sizeof ret_table->why, "%s", why);
}
