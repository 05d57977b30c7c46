/* switchback check [--json]: is everything there that a migration needs? */
#include "cli/steps.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "setup/check.h"

#include <stdio.h>
#include <string.h>

const struct sb_opt sb_opts_check[] = {
    {"json", 0, NULL, NULL, "print JSON"},
    {.name = NULL},
};

static void row_print(const struct sb_report_row *row)
{
    char lead[64];
    printf("%-4s  %-30s ", sb_result_name(row->result), row->id);
    sb_words_put(stdout, row->evidence);
    printf("\n");
    if (row->result >= SB_RESULT_WARN)
        printf("      %-30s (%s: %s)\n", "", sb_err_info(row->code)->id, row->what);
    snprintf(lead, sizeof lead, "      %-30s run: ", "");
    sb_words_put_lines(stdout, lead, row->statement);
}

static void report_print(const struct sb_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        row_print(&report->rows[i]);
    printf("%zu of %zu findings failed, %zu warn\n", report->failed, report->count, report->warned);
}

static json_t *row_json(const struct sb_report_row *row)
{
    return json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s?}", "id", row->id, "result", sb_result_name(row->result),
        "what", row->what, "error", row->code == SB_OK ? NULL : sb_err_info(row->code)->id, "evidence",
        row->evidence, "statement", row->statement[0] == '\0' ? NULL : row->statement);
}

static int report_json(const struct sb_report *report, struct sb_err *err)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < report->count; i++) {
        /* Evidence may quote a name that is not valid UTF-8; json_pack refuses it, so say that instead. */
        json_t *row = row_json(&report->rows[i]);
        json_array_append_new(rows, row != NULL ? row
                                                : json_pack("{s:s, s:s}", "id", report->rows[i].id, "result",
                                                      sb_result_name(report->rows[i].result)));
    }
    json_t *all = json_pack("{s:b, s:i, s:i, s:o}", "ok", report->failed == 0, "failed", (int)report->failed,
        "warned", (int)report->warned, "checks", rows);
    return sb_steps_dump(all, err);
}

int sb_verb_check(const struct sb_cli *cli, struct sb_err *err)
{
    struct sb_arena *arena = sb_arena_new("check", SB_CHECK_ARENA_BYTES);
    if (arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for an arena");
    struct sb_report report;
    sb_report_init(&report, arena);
    int done = sb_check_run(cli->config, SB_FORWARD, &report, err);
    if (done == 0 && cli->json)
        done = report_json(&report, err);
    else if (done == 0)
        report_print(&report);
    if (done == 0)
        done = report.failed > 0 ? 1 : 0;
    sb_arena_free(arena);
    return done;
}
