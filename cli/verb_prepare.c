/* switchback prepare [--dry-run] [--json]: make what a migration needs, after checking that it can. */
#include "cli/steps.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "ops/arming.h"
#include "setup/check.h"
#include "setup/impact.h"
#include "setup/prepare.h"

#include <stdio.h>
#include <string.h>

const struct sb_opt sb_opts_prepare[] = {
    {"dry-run", 0, NULL, NULL, "print every statement, its impact and the rights it needs; touch nothing"},
    {"json", 0, NULL, NULL, "print JSON"},
    {.name = NULL},
};

enum { TEXT_MAX_BYTES = 64 * 1024 * 1024 };

struct preparing {
    const struct sb_config *config;
    struct sb_arena *arena;
    bool dry_run;
    bool json;
    struct sb_report report;
    struct sb_script script;
    struct sb_buf impact;
    struct sb_buf grants;
    struct way_back { /* what `run` will do when the copy is complete; only of a dry run */
        struct sb_script script;
        struct sb_buf impact;
        struct sb_buf grants;
    } back;
};

/* Failed checks that prepare does not mend by itself. */
static size_t blockers(const struct preparing *prep)
{
    return prep->report.failed - prep->report.mendable;
}

static void failures_print(const struct sb_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct sb_report_row *row = &report->rows[i];
        if (row->result != SB_RESULT_FAIL || row->mendable)
            continue;
        fprintf(stderr, "%s (%s): ", row->id, sb_err_info(row->code)->id);
        sb_words_put(stderr, row->evidence);
        fputc('\n', stderr);
        sb_words_put_lines(stderr, "    run: ", row->statement);
    }
}

static json_t *failures_json(const struct sb_report *report)
{
    json_t *failures = json_array();
    for (size_t i = 0; i < report->count; i++) {
        const struct sb_report_row *row = &report->rows[i];
        if (row->result == SB_RESULT_FAIL && !row->mendable)
            json_array_append_new(failures,
                json_pack("{s:s, s:s, s:s, s:s}", "id", row->id, "error", sb_err_info(row->code)->id,
                    "evidence", row->evidence, "statement", row->statement));
    }
    return failures;
}

static json_t *way_back_json(const struct preparing *prep)
{
    if (!prep->dry_run || !prep->config->reverse.enabled)
        return json_null();
    return json_pack("{s:o, s:s, s:s}", "steps", sb_steps_json(&prep->back.script), "impact",
        sb_buf_str(&prep->back.impact), "grants", sb_buf_str(&prep->back.grants));
}

static int answer_json(struct preparing *prep, struct sb_err *err)
{
    return sb_steps_dump(
        json_pack("{s:b, s:b, s:o, s:o, s:s, s:s, s:o}", "ok", blockers(prep) == 0, "dry_run", prep->dry_run,
            "failed", failures_json(&prep->report), "steps", sb_steps_json(&prep->script), "impact",
            sb_buf_str(&prep->impact), "grants", sb_buf_str(&prep->grants), "way_back", way_back_json(prep)),
        err);
}

static void plan_print(const char *impact, const char *grants)
{
    puts("\n-- impact --");
    sb_words_put_lines(stdout, "", impact);
    puts("\n-- rights, for roles that are no superusers --");
    sb_words_put_lines(stdout, "", grants);
}

static int way_back_plan(struct preparing *prep, struct sb_err *err)
{
    struct way_back *back = &prep->back;
    if (!prep->config->reverse.enabled)
        return 0;
    if (!prep->json)
        puts("\n-- the way back: made by `switchback run` once the initial copy is complete --\n");
    if (sb_grants_put(prep->config, SB_REVERSE, &back->grants, err) < 0 ||
        sb_impact_put(prep->config, SB_REVERSE, &back->impact, err) < 0 ||
        sb_prepare(prep->config, SB_REVERSE, &back->script, err) < 0)
        return sb_err_add(err, "planning the way back");
    if (!prep->json)
        plan_print(sb_buf_str(&back->impact), sb_buf_str(&back->grants));
    return 0;
}

/* A dry run shows the way also where checks fail: that is when the grants are needed. */
static int dry_run(struct preparing *prep, struct sb_err *err)
{
    if (sb_grants_put(prep->config, SB_FORWARD, &prep->grants, err) < 0 ||
        sb_impact_put(prep->config, SB_FORWARD, &prep->impact, err) < 0 ||
        sb_prepare(prep->config, SB_FORWARD, &prep->script, err) < 0)
        return -1;
    if (!prep->json && prep->script.count == 0)
        puts("-- everything is there: prepare would change nothing");
    if (!prep->json)
        plan_print(sb_buf_str(&prep->impact), sb_buf_str(&prep->grants));
    return way_back_plan(prep, err);
}

/* Forward, and the way back where it was armed: tables that came later are published in both. */
static int prepare_all(struct preparing *prep, struct sb_err *err)
{
    bool made = false;
    if (sb_prepare(prep->config, SB_FORWARD, &prep->script, err) < 0 ||
        (prep->config->reverse.enabled && sb_arming_made(prep->config, &made, err) < 0))
        return -1;
    return made ? sb_prepare(prep->config, SB_REVERSE, &prep->script, err) : 0;
}

static int prepare_run(struct preparing *prep, struct sb_err *err)
{
    if (sb_check_run(prep->config, SB_FORWARD, &prep->report, err) < 0)
        return -1;
    if (!prep->json)
        failures_print(&prep->report);
    if (prep->dry_run) {
        if (dry_run(prep, err) < 0)
            return -1;
    } else if (blockers(prep) == 0) {
        if (prepare_all(prep, err) < 0)
            return -1;
        if (!prep->json)
            printf(
                "%s", prep->script.count == 0 ? "everything is there: nothing was changed\n" : "prepared\n");
    } else if (!prep->json) {
        fprintf(stderr, "%zu checks failed: nothing was changed\n", blockers(prep));
    }
    if (prep->json && answer_json(prep, err) < 0)
        return -1;
    return blockers(prep) > 0 ? 1 : 0;
}

int sb_verb_prepare(const struct sb_cli *cli, struct sb_err *err)
{
    struct preparing prep = {
        .config = cli->config, .dry_run = sb_opts_flag(cli->opts, "dry-run"), .json = cli->json};
    prep.arena = sb_arena_new("prepare", SB_CHECK_ARENA_BYTES);
    if (prep.arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for an arena");
    sb_report_init(&prep.report, prep.arena);
    sb_script_init(&prep.script, prep.arena, prep.dry_run);
    sb_script_init(&prep.back.script, prep.arena, true);
    prep.script.on_step = prep.back.script.on_step = prep.json ? NULL : sb_steps_print;
    struct sb_buf *const texts[] = {&prep.impact, &prep.grants, &prep.back.impact, &prep.back.grants};
    enum { TEXTS = sizeof texts / sizeof *texts };
    for (int i = 0; i < TEXTS; i++)
        sb_buf_init(texts[i], TEXT_MAX_BYTES);
    int done = prepare_run(&prep, err);
    for (int i = 0; i < TEXTS; i++)
        sb_buf_clear(texts[i]);
    sb_arena_free(prep.arena);
    return done;
}
