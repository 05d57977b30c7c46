/* switchback verify [--table PATTERN] [--explain] [--json]: is the target what the source is, row by row? */
#include "cli/certificate.h"
#include "cli/steps.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "core/clock.h"
#include "core/log.h"
#include "pg/ident.h"
#include "reconcile/verify.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { ARENA_BYTES = 256 * 1024 * 1024, EXIT_DIFFERENT = 4, EXIT_INCOMPLETE = 8, SHOWN_MAX = 10 };

const struct sb_opt sb_opts_verify[] = {
    {"table", 0, "PATTERN", NULL, "only these tables: \"public.*\""},
    {"explain", 0, NULL, NULL, "say how each table would be compared, and why so; nothing is read"},
    {"sample", 0, "PERCENT", NULL,
        "compare so many of the chunks only, drawn at random, and say what that proves"},
    {"seed", 0, "NUMBER", NULL, "draw chunks of the same numbers again"},
    {"self-test", 0, NULL, NULL,
        "first prove, on temporary tables, that the compare finds what is planted and nothing else"},
    {"certificate", 0, "FILE", NULL,
        "write down what was compared and how, for `switchback certificate check`"},
    {"json", 0, NULL, NULL, "print JSON"},
    {.name = NULL},
};

/* -- for people ------------------------------------------------------------------------------------------ */

static void explain_print(const struct sb_verify_outcome *outcome)
{
    for (size_t i = 0; i < outcome->count; i++) {
        const struct sb_verify_table *table = outcome->results[i].table;
        sb_words_put(stdout, table->shown);
        printf("  %s", sb_strategy_name(table->strategy));
        if (table->strategy == SB_STRATEGY_RANGES)
            printf(", %zu chunks", table->ranges.count);
        if (table->strategy != SB_STRATEGY_NONE)
            printf(", about %" PRId64 " rows", table->rows_estimated);
        printf(": %s\n", table->reason);
        if (table->omitted[0] != '\0')
            sb_words_put_lines(stdout, "      not compared: ", table->omitted);
    }
}

static void difference_print(const struct sb_difference *difference)
{
    printf("      %s ", sb_verdict_kind_name(difference->kind));
    if (difference->key != NULL)
        sb_words_put(stdout, difference->key);
    else
        printf("%" PRId64 " rows with digest %s", difference->rows, difference->row);
    if (difference->columns != NULL) {
        printf(" in ");
        sb_words_put(stdout, difference->columns);
    }
    if (difference->fault != NULL && difference->evidence[0] != '\0') {
        printf("; fault %s: ", difference->fault);
        sb_words_put(stdout, difference->evidence);
    }
    printf("\n");
}

static void result_print(const struct sb_verify_result *result)
{
    printf("%-12s  ", sb_verify_state_name(result->state));
    sb_words_put(stdout, result->table->shown);
    if (result->chunks > 0)
        printf("  %" PRId64 " and %" PRId64 " rows, %" PRId64 " touched meanwhile", result->source_rows,
            result->target_rows, result->dirty);
    if (result->differences > 0)
        printf(", %" PRId64 " differ", result->differences);
    if (result->undecided > 0)
        printf(", %" PRId64 " undecided", result->undecided);
    printf("%s%s\n", result->why[0] == '\0' ? "" : ": ", result->why);
    if (result->table->omitted[0] != '\0')
        sb_words_put_lines(stdout, "      not compared: ", result->table->omitted);
    size_t shown = result->kept_count < SHOWN_MAX ? result->kept_count : SHOWN_MAX;
    for (size_t i = 0; i < shown; i++)
        difference_print(&result->kept[i]);
    if (result->differences > (int64_t)shown)
        printf("      ... %" PRId64 " in all%s\n", result->differences,
            result->kept_count > shown ? "; --json shows more" : "");
}

static void rules_print(const struct sb_verify_outcome *outcome)
{
    for (size_t i = 0; i < outcome->rule_count; i++) {
        const struct sb_rule_use *use = &outcome->rules[i];
        printf("rule  ");
        sb_words_put(stdout, use->rule.text);
        if (use->columns == 0)
            printf(": no such column was compared\n");
        else
            printf(": %" PRId64 " values of %" PRId64 " columns are equal by it alone\n", use->values,
                use->columns);
    }
}

static void invariants_print(const struct sb_invariants *invariants)
{
    for (size_t i = 0; i < invariants->count; i++) {
        const struct sb_invariant *one = &invariants->results[i];
        printf("%-12s  invariant ", sb_invariant_state_name(one->state));
        sb_words_put(stdout, one->name);
        if (one->why[0] != '\0') {
            printf(": ");
            sb_words_put(stdout, one->why);
        } else if (one->same)
            printf("  %" PRId64 " and %" PRId64 " rows, %" PRId64 " without their like", one->source_rows,
                one->target_rows, one->differing);
        else
            printf("  %" PRId64 " and %" PRId64 " rows", one->source_rows, one->target_rows);
        printf("\n");
    }
}

static void outcome_print(const struct sb_verify_outcome *outcome)
{
    char when[SB_TIME_TEXT_BYTES], lsn[SB_LSN_TEXT_BYTES];
    for (size_t i = 0; i < outcome->count; i++)
        result_print(&outcome->results[i]);
    invariants_print(&outcome->invariants);
    rules_print(outcome);
    if (outcome->self_test.done)
        printf("self-test: all of %" PRId64 " planted differences in %" PRId64
               " types of columns were found, and nothing else\n",
            outcome->self_test.planted, outcome->self_test.columns);
    printf("%s: %" PRId64 " keys compared", sb_verify_verdict_name(outcome->verdict),
        sb_verify_total(outcome, sb_verify_keys_compared));
    if (outcome->first_applied_lsn != 0)
        printf(", as of %s (%s) or later", sb_clock_text(outcome->first_applied_us, when),
            sb_lsn_text(outcome->first_applied_lsn, lsn));
    printf("; no snapshot was held longer than %" PRId64 " ms", outcome->oldest_ms);
    printf("%s%s\n", outcome->why[0] == '\0' ? "" : ": ", outcome->why);
}

/* -- for programs ---------------------------------------------------------------------------------------- */

static json_t *difference_json(const struct sb_difference *difference)
{
    char h[SB_LSN_TEXT_BYTES], applied[SB_LSN_TEXT_BYTES];
    json_t *key = difference->key == NULL ? NULL : json_loads(difference->key, 0, NULL);
    return json_pack("{s:I, s:s, s:I, s:o, s:s, s:s?, s:b, s:b, s:s?, s:s?, s:s, s:s}", "id",
        (json_int_t)difference->id, "kind", sb_verdict_kind_name(difference->kind), "rows",
        (json_int_t)difference->rows, "key", key == NULL ? json_null() : key, "digest", difference->row,
        "columns", difference->columns, "by_stream", difference->by_stream, "source_differs",
        difference->source_differs, "fault", difference->fault, "evidence", difference->evidence, "horizon",
        sb_lsn_text(difference->h, h), "applied", sb_lsn_text(difference->applied_lsn, applied));
}

static json_t *table_json(const struct sb_verify_table *table)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "table", table->shown, "strategy",
        sb_strategy_name(table->strategy), "reason", table->reason, "columns_not_compared", table->omitted,
        "rows_estimated", (json_int_t)table->rows_estimated, "chunks_planned",
        (json_int_t)table->ranges.count);
}

static json_t *result_json(const struct sb_verify_result *result)
{
    json_t *object = table_json(result->table), *kept = json_array();
    for (size_t i = 0; i < result->kept_count; i++)
        json_array_append_new(kept, difference_json(&result->kept[i]));
    json_t *found =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "state",
            sb_verify_state_name(result->state), "why", result->why, "source_rows",
            (json_int_t)result->source_rows, "target_rows", (json_int_t)result->target_rows, "chunks",
            (json_int_t)result->chunks, "retaken", (json_int_t)result->retaken, "sums_tried",
            (json_int_t)result->sums_tried, "sums_equal", (json_int_t)result->sums_equal, "dirty",
            (json_int_t)result->dirty, "by_reread", (json_int_t)result->by_reread, "by_stream",
            (json_int_t)result->by_stream, "undecided", (json_int_t)result->undecided, "rounds",
            (json_int_t)result->rounds, "keys_compared", (json_int_t)sb_verify_keys_compared(result),
            "difference_count", (json_int_t)result->differences, "differences", kept);
    json_object_update(object, found);
    json_decref(found);
    return object;
}

static json_t *rules_json(const struct sb_verify_outcome *outcome)
{
    json_t *rules = json_array();
    for (size_t i = 0; i < outcome->rule_count; i++) {
        const struct sb_rule_use *use = &outcome->rules[i];
        json_array_append_new(rules, json_pack("{s:s, s:I, s:I}", "rule", use->rule.text, "columns",
                                         (json_int_t)use->columns, "values", (json_int_t)use->values));
    }
    return rules;
}

static json_t *invariants_json(const struct sb_invariants *invariants)
{
    char lsn[SB_LSN_TEXT_BYTES];
    json_t *results = json_array();
    for (size_t i = 0; i < invariants->count; i++) {
        const struct sb_invariant *one = &invariants->results[i];
        json_array_append_new(results,
            json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "name", one->name, "kind",
                one->same ? "same" : "none", "state", sb_invariant_state_name(one->state), "why", one->why,
                "source_rows", (json_int_t)one->source_rows, "target_rows", (json_int_t)one->target_rows,
                "differing", (json_int_t)one->differing, "took_ms", (json_int_t)one->took_ms));
    }
    return json_pack("{s:s, s:I, s:I, s:o}", "commit_lsn", sb_lsn_text(invariants->commit_lsn, lsn),
        "held_ms", (json_int_t)invariants->held_ms, "snapshots", (json_int_t)invariants->snapshots, "results",
        results);
}

static json_t *sample_json(const struct sb_verify_sample *sample)
{
    if (!sample->taken)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:f}", "seed", (json_int_t)sample->seed, "chunks",
        (json_int_t)sample->population, "drawn", (json_int_t)sample->drawn, "bad", (json_int_t)sample->bad,
        "bad_at_most", (json_int_t)sample->bound, "confidence", SB_VERIFY_SAMPLE_CONFIDENCE);
}

static json_t *outcome_json(const struct sb_verify_outcome *outcome, bool plan_only)
{
    char started[SB_TIME_TEXT_BYTES], applied[SB_TIME_TEXT_BYTES], lsn[SB_LSN_TEXT_BYTES];
    json_t *tables = json_array();
    for (size_t i = 0; i < outcome->count; i++)
        json_array_append_new(
            tables, plan_only ? table_json(outcome->results[i].table) : result_json(&outcome->results[i]));
    if (plan_only)
        return json_pack("{s:o, s:o}", "rules", rules_json(outcome), "tables", tables);
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}",
        "run", (json_int_t)outcome->run, "verdict", sb_verify_verdict_name(outcome->verdict), "why",
        outcome->why, "started", sb_clock_text(outcome->started_us, started), "applied_lsn",
        sb_lsn_text(outcome->first_applied_lsn, lsn), "applied_at",
        sb_clock_text(outcome->first_applied_us, applied), "keys_compared",
        (json_int_t)sb_verify_total(outcome, sb_verify_keys_compared), "snapshot_ms_max",
        (json_int_t)outcome->oldest_ms, "stream_transactions", (json_int_t)outcome->transactions,
        "held_back_by", (json_int_t)outcome->held_back_by, "window_peak_bytes",
        (json_int_t)outcome->window_peak_bytes, "memory_peak_bytes", (json_int_t)outcome->tally_peak_bytes,
        "invariants", invariants_json(&outcome->invariants), "sample", sample_json(&outcome->sample),
        "self_test", sb_certificate_self_test(&outcome->self_test), "rules", rules_json(outcome), "tables",
        tables);
}

static int show(
    const struct sb_cli *cli, const struct sb_verify_outcome *outcome, bool plan_only, struct sb_err *err)
{
    if (cli->json)
        return sb_steps_dump(outcome_json(outcome, plan_only), err);
    if (plan_only)
        explain_print(outcome);
    else
        outcome_print(outcome);
    return 0;
}

static int sample_of(const struct sb_cli *cli, struct sb_verify_options *options, struct sb_err *err)
{
    int64_t seed = sb_clock_wall_us() % 1000000;
    if (sb_opts_flag(cli->opts, "seed") && !sb_opts_flag(cli->opts, "sample"))
        return sb_err_set(err, SB_E_USAGE, "--seed goes with --sample");
    if (sb_opts_number(cli->opts, "sample", 1, 100, &options->sample_percent, err) != 0 ||
        sb_opts_number(cli->opts, "seed", 0, INT64_MAX, &seed, err) != 0)
        return -1;
    options->seed = (uint64_t)seed;
    return 0;
}

int sb_verb_verify(const struct sb_cli *cli, struct sb_err *err)
{
    static const int codes[] = {[SB_VERIFY_EQUAL] = 0,
        [SB_VERIFY_DIFFERENT] = EXIT_DIFFERENT,
        [SB_VERIFY_INCOMPLETE] = EXIT_INCOMPLETE};
    struct sb_verify_options options = {.direction = SB_FORWARD,
        .pattern = sb_opts_value(cli->opts, "table"),
        .self_test = sb_opts_flag(cli->opts, "self-test"),
        .plan_only = sb_opts_flag(cli->opts, "explain")};
    struct sb_verify_outcome outcome;
    if (options.pattern != NULL && !sb_pattern_valid(options.pattern))
        return sb_err_set(err, SB_E_USAGE, "\"%s\" is no pattern of tables", options.pattern);
    if (sample_of(cli, &options, err) != 0)
        return -1;
    struct sb_certificate_file file = {.fd = -1};
    const char *certificate = sb_opts_value(cli->opts, "certificate");
    if (certificate != NULL && options.plan_only)
        return sb_err_set(err, SB_E_USAGE, "--explain compares nothing, so there is nothing to certify");
    options.records = certificate != NULL;
    struct sb_arena *arena = sb_arena_new("compare", ARENA_BYTES);
    if (arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for an arena");
    int code = certificate == NULL ? 0 : sb_certificate_open(certificate, &file, err);
    if (code == 0)
        code = sb_verify_run(cli->config, &options, arena, &outcome, err);
    if (code == 0 && certificate != NULL)
        code = sb_certificate_write(&file, cli->config, &options, &outcome, err);
    if (code == 0)
        code = show(cli, &outcome, options.plan_only, err);
    if (code == 0 && !options.plan_only)
        code = codes[outcome.verdict];
    sb_certificate_clear(&file);
    sb_arena_free(arena);
    return code;
}
