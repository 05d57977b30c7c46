#include "reconcile/publish.h"

#include "core/clock.h"
#include "core/metrics.h"

void sb_publish(struct sb_published_work *done, const struct sb_item *items, size_t count,
    struct sb_frontier *frontier, const struct sb_sides *sides)
{
    uint64_t lsn;
    int64_t us, tables = 0, proven = 0, not_compared = 0, open = 0, unproven = 0, oldest_us = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        const struct sb_item *item = &items[i];
        struct sb_frontier_state state;
        struct sb_frontier_counts counts;
        sb_frontier_get(frontier, (uint32_t)i, &state);
        sb_frontier_count(frontier, (uint32_t)i, &counts);
        if (!state.compared) {
            not_compared++;
            continue;
        }
        bool differs = counts.held > 0 || (!state.keyed && item->result.differences > 0 && !state.proven);
        tables++;
        proven += state.proven && !differs;
        open += differs ? (counts.held > 0 ? (int64_t)counts.held : 1) : 0;
        unproven += (int64_t)counts.touches + counts.touched;
        oldest_us = item->passed_us < oldest_us ? item->passed_us : oldest_us;
    }
    bool known = sb_frontier_database(frontier, &lsn, &us);
    sb_metric_set(SB_M_RECONCILE_FRONTIER_LSN, known ? (int64_t)lsn : 0);
    sb_metric_set(SB_M_RECONCILE_FRONTIER_TIME_US, known ? us : 0);
    sb_metric_set(SB_M_RECONCILE_TABLES, tables);
    sb_metric_set(SB_M_RECONCILE_TABLES_PROVEN, proven);
    sb_metric_set(SB_M_RECONCILE_TABLES_NOT_COMPARED, not_compared);
    sb_metric_set(SB_M_RECONCILE_OPEN, open);
    sb_metric_set(SB_M_RECONCILE_UNPROVEN, unproven);
    sb_metric_set(SB_M_RECONCILE_PASS_TIME_US, oldest_us == INT64_MAX ? 0 : oldest_us);
    sb_metric_set(SB_M_RECONCILE_SNAPSHOT_MS, sb_sides_oldest_ms(sides));
    sb_metric_add(SB_M_RECONCILE_ROWS, sb_sides_rows(sides) - done->rows);
    done->rows = sb_sides_rows(sides);
    int64_t overflows = (int64_t)sb_frontier_drops(frontier);
    sb_metric_add(SB_M_RECONCILE_OVERFLOWS, overflows - done->overflows);
    done->overflows = overflows;
    sb_metric_set(SB_M_RECONCILE_TIME_US, sb_clock_wall_us());
}
