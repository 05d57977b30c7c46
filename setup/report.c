#include "setup/report.h"

#include <string.h>

const char *sb_result_name(enum sb_result result)
{
    static const char *const names[] = {"pass", "info", "warn", "fail"};
    return names[result];
}

void sb_report_init(struct sb_report *report, struct sb_arena *arena)
{
    *report = (struct sb_report){.arena = arena};
}

static bool report_grow(struct sb_report *report)
{
    size_t room = report->room == 0 ? 64 : report->room * 2;
    struct sb_report_row *rows = sb_arena_alloc(report->arena, room * sizeof *rows);
    if (rows == NULL)
        return false;
    if (report->count > 0)
        memcpy(rows, report->rows, report->count * sizeof *rows);
    report->rows = rows; /* the old ones stay in the arena until it goes */
    report->room = room;
    return true;
}

int sb_report_add(struct sb_report *report, const struct sb_report_row *row, struct sb_err *err)
{
    const char *evidence = sb_arena_str(report->arena, sb_view_str(row->evidence));
    const char *statement = sb_arena_str(report->arena, sb_view_str(row->statement));
    if (evidence == NULL || statement == NULL || (report->count == report->room && !report_grow(report)))
        return sb_err_set(err, SB_E_LIMIT, "the findings do not fit into the %zu bytes of arena \"%s\"",
            sb_arena_max(report->arena), sb_arena_name(report->arena));
    struct sb_report_row *kept = &report->rows[report->count++];
    *kept = *row;
    kept->evidence = evidence;
    kept->statement = statement;
    report->failed += row->result == SB_RESULT_FAIL;
    report->warned += row->result == SB_RESULT_WARN;
    report->mendable += row->result == SB_RESULT_FAIL && row->mendable;
    return 0;
}
