/* switchback repair plan|run|undo|list|show|audit: rows that are proven to differ, made equal. */
#include "cli/rows.h"
#include "cli/steps.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "pg/ident.h"
#include "reconcile/repair.h"
#include "reconcile/repair_audit.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARENA_BYTES = 512 * 1024 * 1024,
    EXIT_INCOMPLETE = 4,
    EXIT_REFUSED = 8,
    ITEMS_SHOWN_MAX = 1000,
    REASON_MAX_BYTES = 8192
};

const struct sb_sub sb_subs_repair[] = {
    {"plan", "", "write down what would be done, and what is left out"},
    {"run", "[ID]", "do that plan, or plan and do it"},
    {"undo", "ID", "put back the rows that it has replaced, where nothing has changed them since"},
    {"list", "", "the newest first"},
    {"show", "ID", "one, with what became of each row"},
    {"audit", "", "check that the record of all that repairs have changed is whole"},
    {.name = NULL},
};
const struct sb_opt sb_opts_repair[] = {
    {"table", 0, "PATTERN", "plan run", "only these tables: \"public.*\""},
    {"include", 0, "LIST", "plan run",
        "also differences that are left out otherwise: foreign, capture, held; needs --reason"},
    {"despite-pattern", 0, NULL, "plan run", "also if one cause explains most of them; needs --reason"},
    {"reason", 0, "TEXT", "plan run undo", "recorded with it"},
    {"values", 0, NULL, "show", "show the rows before and after, too"},
    {"limit", 0, "N", "list", "at most so many; 100 unless given"},
    {"json", 0, NULL, NULL, "print JSON"},
    {.name = NULL},
};

/* -- what is asked for ----------------------------------------------------------------------------------- */

static int include_read(const char *list, struct sb_repair_options *options, struct sb_err *err)
{
    for (const char *word = list; *word != '\0'; word += strspn(word, ",")) {
        struct sb_view name = sb_view(word, strcspn(word, ","));
        if (sb_view_eq_str(name, "foreign"))
            options->include_foreign = true;
        else if (sb_view_eq_str(name, "capture"))
            options->include_capture = true;
        else if (sb_view_eq_str(name, "held"))
            options->include_held = true;
        else
            return sb_err_set(
                err, SB_E_USAGE, "--include takes foreign, capture and held, with commas in between");
        word += name.len;
    }
    return 0;
}

/* recorded: what is kept of the reason, and of what it is for. */
static int options_read(
    const struct sb_cli *cli, struct sb_buf *recorded, struct sb_repair_options *options, struct sb_err *err)
{
    const char *user = getenv("USER"), *include = sb_opts_value(cli->opts, "include");
    const char *reason = sb_opts_value(cli->opts, "reason");
    *options = (struct sb_repair_options){.direction = SB_FORWARD,
        .pattern = sb_opts_value(cli->opts, "table"),
        .despite_pattern = sb_opts_flag(cli->opts, "despite-pattern"),
        .reason = reason == NULL ? "" : reason,
        .asked_by = user == NULL ? "unknown" : user};
    if (options->pattern != NULL && !sb_pattern_valid(options->pattern))
        return sb_err_set(err, SB_E_USAGE, "\"%s\" is no pattern of tables", options->pattern);
    if (include != NULL && include_read(include, options, err) != 0)
        return -1;
    bool explained = options->reason[0] != '\0';
    if (!explained && (include != NULL || options->despite_pattern || strcmp(cli->sub, "undo") == 0))
        return sb_err_set(err, SB_E_USAGE, "`repair %s` needs --reason%s", cli->sub,
            strcmp(cli->sub, "undo") == 0 ? "" : " with --include or --despite-pattern");
    if (include != NULL)
        sb_buf_putf(recorded, "(--include %s) ", include);
    if (options->despite_pattern)
        sb_buf_put_str(recorded, "(--despite-pattern) ");
    sb_buf_put_str(recorded, options->reason);
    if (recorded->failed)
        return sb_err_set(err, SB_E_USAGE, "the reason is longer than %d bytes", REASON_MAX_BYTES);
    options->reason = sb_buf_str(recorded);
    return 0;
}

static int id_read(const struct sb_cli *cli, int64_t *ret_id, struct sb_err *err)
{
    char *end = NULL;
    *ret_id = 0;
    if (cli->argc == 0)
        return 0;
    *ret_id = strtoll(cli->argv[0], &end, 10);
    if (*ret_id > 0 && *end == '\0')
        return 0;
    return sb_err_set(
        err, SB_E_USAGE, "\"%s\" is no id of a repair; `switchback repair list` names them", cli->argv[0]);
}

/* -- plan, run, undo ------------------------------------------------------------------------------------- */

static void table_print(const struct sb_repair_table *table)
{
    int64_t all = 0;
    for (size_t i = 0; i < SB_REPAIR_LEFT_COUNT; i++)
        all += table->left[i];
    if (all == 0)
        return;
    sb_words_put(stdout, table->shown);
    printf("  %" PRId64 " writes, %" PRId64 " deletes\n", table->writes, table->deletes);
    for (size_t i = SB_REPAIR_TAKEN + 1; i < SB_REPAIR_LEFT_COUNT; i++)
        if (table->left[i] > 0)
            printf("      %" PRId64 " left out: %s\n", table->left[i],
                sb_repair_left_text((enum sb_repair_left)i));
}

static void plan_print(const struct sb_repair_report *report)
{
    for (size_t i = 0; i < report->draft.table_count; i++)
        table_print(&report->draft.tables[i]);
    if (report->id != 0)
        printf("repair %" PRId64 ": %" PRId64 " writes, %" PRId64 " deletes\n", report->id,
            report->draft.plan.writes, report->draft.plan.deletes);
}

static void report_print(const struct sb_repair_report *report)
{
    const struct sb_repair_counts *counts = &report->counts;
    if (report->planned_now)
        plan_print(report);
    switch (report->end) {
    case SB_REPAIR_NOTHING:
        printf("there is nothing to repair\n");
        break;
    case SB_REPAIR_PLANNED:
        printf("`switchback repair run %" PRId64 "` does it\n", report->id);
        break;
    case SB_REPAIR_REFUSED:
        printf("refused, %s: ",
            report->planned_now ? sb_repair_verdict_name(report->draft.plan.verdict) : "as planned");
        sb_words_put(stdout, report->why);
        printf("\n");
        break;
    case SB_REPAIR_DONE:
    case SB_REPAIR_INCOMPLETE:
        printf("%s: repair %" PRId64 ", %" PRId64 " of %" PRId64 " rows %s", sb_repair_end_name(report->end),
            report->id, counts->verified, counts->items, report->undo ? "put back" : "compare equal");
        if (counts->closed > 0)
            printf(", %" PRId64 " needed nothing any more", counts->closed);
        printf("%s", report->why[0] == '\0' ? "" : "; ");
        sb_words_put(stdout, report->why);
        printf("\n");
    }
}

static json_t *table_json(const struct sb_repair_table *table)
{
    static const char *const names[] = {
        [SB_REPAIR_LEFT_NO_TABLE] = "no_table",
        [SB_REPAIR_LEFT_NO_KEY] = "no_key",
        [SB_REPAIR_LEFT_COLUMNS] = "columns",
        [SB_REPAIR_LEFT_FOREIGN] = "foreign",
        [SB_REPAIR_LEFT_CAPTURE] = "capture",
        [SB_REPAIR_LEFT_HELD] = "held",
    };
    json_t *left = json_object();
    for (size_t i = SB_REPAIR_TAKEN + 1; i < SB_REPAIR_LEFT_COUNT; i++)
        if (table->left[i] > 0)
            json_object_set_new(left, names[i], json_integer((json_int_t)table->left[i]));
    return json_pack("{s:s, s:I, s:I, s:o}", "table", table->shown, "writes", (json_int_t)table->writes,
        "deletes", (json_int_t)table->deletes, "left_out", left);
}

static json_t *report_json(const struct sb_repair_report *report)
{
    const struct sb_repair_counts *counts = &report->counts;
    json_t *tables = json_array(), *left = json_object();
    for (size_t i = 0; i < report->draft.table_count; i++)
        json_array_append_new(tables, table_json(&report->draft.tables[i]));
    for (size_t i = 0; i < SB_OUTCOME_COUNT; i++)
        if (counts->by_outcome[i] > 0)
            json_object_set_new(left, sb_item_outcome_name((enum sb_item_outcome)i),
                json_integer((json_int_t)counts->by_outcome[i]));
    return json_pack("{s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "end",
        sb_repair_end_name(report->end), "repair", (json_int_t)report->id, "why", report->why, "rows",
        (json_int_t)counts->items, "verified", (json_int_t)counts->verified, "closed",
        (json_int_t)counts->closed, "images", (json_int_t)report->images, "rows_sent",
        (json_int_t)report->rows_sent, "not_verified", left, "tables", tables);
}

static int exit_code(const struct sb_repair_report *report)
{
    if (report->end == SB_REPAIR_REFUSED)
        return EXIT_REFUSED;
    return report->end == SB_REPAIR_INCOMPLETE ? EXIT_INCOMPLETE : 0;
}

static int act(const struct sb_cli *cli, struct sb_err *err)
{
    struct sb_repair_options options;
    struct sb_repair_report report;
    int64_t id;
    SB_CLEANUP(sb_buf_clear)
    struct sb_buf recorded;
    sb_buf_init(&recorded, REASON_MAX_BYTES);
    if (options_read(cli, &recorded, &options, err) != 0 || id_read(cli, &id, err) != 0)
        return -1;
    struct sb_arena *arena = sb_arena_new("repair", ARENA_BYTES);
    if (arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for an arena");
    int rc;
    if (strcmp(cli->sub, "plan") == 0)
        rc = sb_repair_plan(cli->config, &options, arena, &report, err);
    else if (strcmp(cli->sub, "run") == 0)
        rc = sb_repair_run(cli->config, &options, id, arena, &report, err);
    else
        rc = sb_repair_undo(cli->config, &options, id, arena, &report, err);
    if (rc == 0 && cli->json)
        rc = sb_steps_dump(report_json(&report), err);
    else if (rc == 0)
        report_print(&report);
    if (rc == 0)
        rc = exit_code(&report);
    sb_repair_report_clear(&report);
    sb_arena_free(arena);
    return rc;
}

/* -- list, show ------------------------------------------------------------------------------------------ */

#define BRIEF                                                                                                \
    "r.id, r.state, r.direction, r.undoes, r.pattern, r.asked_by, nullif(r.reason, ''), "                    \
    "nullif(r.stopped_why, ''), "                                                                            \
    "r.planned_at, r.started_at, r.ended_at, (SELECT pg_catalog.count(*) FROM switchback.repair_item i "     \
    "WHERE "                                                                                                 \
    "i.repair = r.id), (SELECT pg_catalog.count(*) FROM switchback.repair_item i WHERE i.repair = r.id AND " \
    "i.verified_at IS NOT NULL)"

static const char *const brief_names[] = {"id", "state", "direction", "undoes", "pattern", "asked_by",
    "reason", "why", "planned", "started", "ended", "rows", "verified"};
enum { BRIEF_COUNT = sizeof brief_names / sizeof brief_names[0] };

static int list(const struct sb_cli *cli, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int64_t limit = 100;
    char limit_text[24];
    if (sb_opts_number(cli->opts, "limit", 1, 1000000, &limit, err) != 0)
        return -1;
    snprintf(limit_text, sizeof limit_text, "%" PRId64, limit);
    const char *params[] = {cli->config->migration, limit_text};
    if (sb_cli_query(cli->config, SB_FORWARD,
            "SELECT " BRIEF
            " FROM switchback.repair r WHERE r.migration = $1 ORDER BY r.id DESC LIMIT $2::bigint",
            2, params, &rows, err) != 0 ||
        sb_cli_print_rows(rows, brief_names, BRIEF_COUNT, cli->json, err) != 0)
        return -1;
    if (!cli->json)
        printf("%d repair%s\n", sb_rows_count(rows), sb_rows_count(rows) == 1 ? "" : "s");
    return 0;
}

/* Its rows, the first ITEMS_SHOWN_MAX of them; rows before and after only where they are asked for. */
static int items_ask(
    const struct sb_cli *cli, const char *id, bool values, struct sb_rows **ret_rows, struct sb_err *err)
{
    char most[24];
    snprintf(most, sizeof most, "%d", ITEMS_SHOWN_MAX);
    const char *params[] = {id, most, values ? "t" : "f"};
    return sb_cli_query(cli->config, SB_FORWARD,
        "SELECT i.item, i.relation, i.key_shown, i.outcome, i.tries, i.verified_at, CASE WHEN $3 THEN "
        "a.before END, CASE "
        "WHEN $3 THEN a.after END FROM switchback.repair_item i LEFT JOIN LATERAL (SELECT a.before, a.after "
        "FROM "
        "switchback.repair_audit a WHERE $3::boolean AND a.repair = i.repair AND a.item = i.item AND "
        "a.outcome = "
        "'applied' ORDER BY a.id DESC LIMIT 1) a ON true WHERE i.repair = $1::bigint ORDER BY i.item LIMIT "
        "$2::bigint",
        3, params, ret_rows, err);
}

static int show(const struct sb_cli *cli, struct sb_err *err)
{
    static const char *const item_names[] = {
        "item", "table", "key", "outcome", "tries", "verified", "before", "after"};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *head = NULL;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *items = NULL;
    int64_t id;
    if (id_read(cli, &id, err) != 0)
        return -1;
    const char *params[] = {cli->config->migration, cli->argv[0]};
    if (sb_cli_query(cli->config, SB_FORWARD,
            "SELECT " BRIEF " FROM switchback.repair r WHERE r.migration = $1 AND r.id = $2::bigint", 2,
            params, &head, err) != 0)
        return -1;
    if (sb_rows_count(head) == 0)
        return sb_err_set(
            err, SB_E_USAGE, "there is no repair %" PRId64 "; `switchback repair list` names them", id);
    if (items_ask(cli, cli->argv[0], sb_opts_flag(cli->opts, "values"), &items, err) != 0)
        return -1;
    json_t *one = json_array(), *rows = json_array();
    sb_cli_add_rows(head, brief_names, BRIEF_COUNT, one, cli->json);
    sb_cli_add_rows(items, item_names, sizeof item_names / sizeof *item_names, rows, cli->json);
    int rc = 0;
    if (cli->json)
        rc = sb_steps_dump(json_pack("{s:O, s:O}", "repair", json_array_get(one, 0), "items", rows), err);
    json_decref(one);
    json_decref(rows);
    return rc;
}

/* -- audit ----------------------------------------------------------------------------------------------- */

static int audit(const struct sb_cli *cli, struct sb_err *err)
{
    const struct sb_endpoint target = sb_wiring_target(cli->config, SB_FORWARD);
    struct sb_audit_check check;
    struct sb_repair_book book = {
        .migration = cli->config->migration, .direction = sb_direction_name(SB_FORWARD)};
    if (sb_conn_open(&target, "switchback cli", 0, &book.conn, err) != 0)
        return -1;
    int rc = sb_repair_audit_check(&book, &check, err);
    sb_conn_close(book.conn);
    if (rc != 0)
        return -1;
    bool whole = check.why[0] == '\0';
    if (cli->json)
        rc = sb_steps_dump(json_pack("{s:b, s:I, s:I, s:s}", "whole", whole, "rows", (json_int_t)check.rows,
                               "broken", (json_int_t)check.broken, "why", check.why),
            err);
    else if (check.broken != 0)
        printf("broken at row %" PRId64 " of switchback.repair_audit: %s\n", check.broken, check.why);
    else
        printf("%s: %" PRId64 " rows%s%s\n", whole ? "whole" : "broken", check.rows, whole ? "" : ", and ",
            check.why);
    return rc != 0 ? -1 : !whole;
}

int sb_verb_repair(const struct sb_cli *cli, struct sb_err *err)
{
    if (strcmp(cli->sub, "list") == 0)
        return list(cli, err);
    if (strcmp(cli->sub, "show") == 0)
        return show(cli, err);
    if (strcmp(cli->sub, "audit") == 0)
        return audit(cli, err);
    return act(cli, err);
}
