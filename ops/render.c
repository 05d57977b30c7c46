#include "ops/render.h"

#include "core/clock.h"
#include "core/log.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* -- figures --------------------------------------------------------------------------------------------- */

const char *sb_render_bytes(int64_t bytes, char out[SB_FIGURE_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    if (bytes < 0) {
        snprintf(out, SB_FIGURE_BYTES, "unknown");
        return out;
    }
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(out, SB_FIGURE_BYTES, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

const char *sb_render_seconds(double seconds, char out[SB_FIGURE_BYTES])
{
    const double century = 100.0 * 365 * 86400;
    long whole = seconds >= 0 && seconds <= century ? (long)seconds : -1;
    if (whole < 0)
        snprintf(out, SB_FIGURE_BYTES, "unknown");
    else if (seconds < 60)
        snprintf(out, SB_FIGURE_BYTES, "%.1f s", seconds);
    else if (whole < 3600)
        snprintf(out, SB_FIGURE_BYTES, "%ld min %02ld s", whole / 60, whole % 60);
    else if (whole < 86400)
        snprintf(out, SB_FIGURE_BYTES, "%ld h %02ld min", whole / 3600, whole / 60 % 60);
    else
        snprintf(out, SB_FIGURE_BYTES, "%ld d %02ld h", whole / 86400, whole / 3600 % 24);
    return out;
}

enum { LATE_US = 60000000 }; /* a table whose frontier is older is named */

static double seconds_of(int64_t us)
{
    return us == SB_UNKNOWN ? -1 : (double)us / 1e6;
}

/* -- text ------------------------------------------------------------------------------------------------ */

static void text_stage(
    const struct sb_status *status, const struct sb_status_stage *stage, struct sb_buf *out)
{
    char since[SB_FIGURE_BYTES];
    const struct sb_stage_report *report = stage->report;
    sb_buf_putf(out, "  %-16s %s", sb_stage_name(stage->stage),
        stage->gone ? "gone" : sb_stage_state_name(stage->state));
    if (stage->state != SB_STATE_ABSENT && report->since_wall_us > 0)
        sb_buf_putf(out, " for %s",
            sb_render_seconds((double)(status->wall_us - report->since_wall_us) / 1e6, since));
    if (report->pid > 0 && !stage->gone)
        sb_buf_putf(out, ", process %d", report->pid);
    if (report->restarts > 0)
        sb_buf_putf(out, ", restarted %" PRIu32 " times", report->restarts);
    sb_buf_put_str(out, "\n");
    bool stands = stage->state == SB_STATE_HALTED || stage->state == SB_STATE_BACKOFF ||
                  stage->state == SB_STATE_WAITING;
    if (stands && report->err_hint[0] != '\0')
        sb_buf_putf(out, "    what to do: %s\n", report->err_hint);
}

static void text_position(struct sb_buf *out, const char *what, uint64_t lsn, const char *behind,
    int64_t bytes, const struct sb_status_direction *dir, double rate)
{
    char text[SB_LSN_TEXT_BYTES], figure[SB_FIGURE_BYTES];
    sb_buf_putf(out, "  %-16s %-18s", what, lsn == 0 ? "unknown" : sb_lsn_text(lsn, text));
    if (dir->rate_seconds > 0)
        sb_buf_putf(out, " %10s/s", sb_render_bytes((int64_t)rate, figure));
    if (behind != NULL && bytes != SB_UNKNOWN)
        sb_buf_putf(out, "   %s behind the %s", sb_render_bytes(bytes, figure), behind);
    sb_buf_put_str(out, "\n");
}

static void text_eta(const struct sb_status_direction *dir, struct sb_buf *out)
{
    char figure[SB_FIGURE_BYTES];
    switch (dir->eta) {
    case SB_ETA_SECONDS:
        sb_buf_putf(out, "  caught up in     %s\n", sb_render_seconds((double)dir->eta_s, figure));
        return;
    case SB_ETA_NEVER:
        sb_buf_put_str(out, "  caught up in     never at the present speed\n");
        return;
    case SB_ETA_UNKNOWN:
    case SB_ETA_FOLLOWING:
        return;
    }
}

static void text_copy(const struct sb_status *status, const struct sb_status_copy *copy, struct sb_buf *out)
{
    char figure[SB_FIGURE_BYTES];
    if (!copy->shown)
        return;
    sb_buf_putf(out,
        "  initial copy     %" PRId64 " of %" PRId64 " tables, %" PRId64 " of %" PRId64 " chunks, %" PRId64
        " of about %" PRId64 " rows",
        copy->tables_done, copy->tables, copy->chunks_done, copy->chunks, copy->rows, copy->rows_estimated);
    if (copy->row_rate > 0)
        sb_buf_putf(out, ", %.0f rows/s", copy->row_rate);
    if (copy->left_s != SB_UNKNOWN)
        sb_buf_putf(out, ", %s left", sb_render_seconds((double)copy->left_s, figure));
    sb_buf_put_str(out, "\n");
    text_stage(status, &copy->stage, out);
}

static void text_slot(const struct sb_status_direction *dir, struct sb_buf *out)
{
    char figure[SB_FIGURE_BYTES];
    if (dir->slot_retained_bytes == SB_UNKNOWN)
        return;
    sb_buf_putf(out, "  slot             keeps %s of WAL on the source",
        sb_render_bytes(dir->slot_retained_bytes, figure));
    if (dir->slot_safe_bytes >= 0)
        sb_buf_putf(out, ", in danger after %s more", sb_render_bytes(dir->slot_safe_bytes, figure));
    if (dir->slot_loss_s >= 0)
        sb_buf_putf(out, ", in about %s", sb_render_seconds((double)dir->slot_loss_s, figure));
    sb_buf_put_str(out, "\n");
}

static void text_canary(
    const struct sb_status *status, const struct sb_status_direction *dir, struct sb_buf *out)
{
    char round[SB_FIGURE_BYTES], age[SB_FIGURE_BYTES];
    const struct sb_status_canary *canary = &dir->canary;
    if (canary->sent == 0 && canary->echoed == 0)
        return;
    if (canary->echoed > 0)
        sb_buf_putf(out, "  canary           there and back in %s, %s ago\n",
            sb_render_seconds((double)canary->round_us / 1e6, round),
            sb_render_seconds((double)(status->wall_us - canary->echoed_us) / 1e6, age));
    else if (canary->arrived_us > 0)
        sb_buf_putf(out, "  canary           went there %s ago, none has come back\n",
            sb_render_seconds((double)(status->wall_us - canary->arrived_us) / 1e6, age));
    else
        sb_buf_put_str(out, "  canary           sent, none has arrived\n");
}

static void text_rogues(const struct sb_status_direction *dir, struct sb_buf *out)
{
    if (dir->aside > 0)
        sb_buf_putf(
            out, "  tables aside     %" PRId64 ", copied while apply goes on with the others\n", dir->aside);
    if (dir->observes || dir->rogue_writes > 0)
        sb_buf_putf(out, "  rogue writes     %" PRId64 " in %" PRId64 " transactions%s\n", dir->rogue_writes,
            dir->rogue_transactions,
            dir->rogue_writes > 0 ? ", not applied: see `switchback conflicts list`" : "");
}

static void text_direction(
    const struct sb_status *status, const struct sb_status_direction *dir, struct sb_buf *out)
{
    char figure[SB_FIGURE_BYTES];
    sb_buf_putf(out, "\n%s: %s\n", sb_direction_name(dir->direction), dir->why);
    text_position(out, "source", dir->source_lsn, NULL, 0, dir, dir->source_rate);
    text_position(out, "stream", dir->stored_lsn, "source", dir->capture_lag_bytes, dir, dir->capture_rate);
    text_position(out, "target", dir->applied_lsn, "stream", dir->apply_lag_bytes, dir, dir->apply_rate);
    sb_buf_putf(out, "  lag              %s, ", sb_render_seconds(seconds_of(dir->lag_us), figure));
    sb_buf_putf(out, "%s\n", sb_render_bytes(dir->lag_bytes, figure));
    if (dir->rate_seconds > 0)
        sb_buf_putf(out, "  applies          %.0f transactions/s, %.0f changes/s\n", dir->commit_rate,
            dir->change_rate);
    text_eta(dir, out);
    text_copy(status, &dir->copy, out);
    text_slot(dir, out);
    text_canary(status, dir, out);
    text_rogues(dir, out);
    if (dir->conflicts > 0 || dir->skipped > 0)
        sb_buf_putf(out, "  exceptions       %" PRId64 " conflicts, %" PRId64 " transactions skipped\n",
            dir->conflicts, dir->skipped);
    text_stage(status, &dir->capture, out);
    text_stage(status, &dir->apply, out);
}

static const struct sb_status_direction *way_back(const struct sb_status *status)
{
    const struct sb_status_direction *last =
        status->count == 0 ? NULL : &status->directions[status->count - 1];
    return last != NULL && last->direction == SB_REVERSE ? last : NULL;
}

static const char *owner_name(enum sb_status_owner owner)
{
    static const char *const names[] = {"unknown", "old", "new"};
    return names[owner];
}

static void text_owner(const struct sb_status *status, struct sb_buf *out)
{
    const struct sb_status_direction *back = way_back(status);
    if (status->owner == SB_OWNER_UNKNOWN)
        sb_buf_put_str(out, "  owner            unknown: apply has not said yet");
    else
        sb_buf_putf(out, "  owner            the %s side, ownership epoch %" PRId64,
            owner_name(status->owner), status->ownership_epoch);
    sb_buf_putf(out, "; way back %s\n", status->armed ? "armed" : back == NULL ? "off" : "not armed");
}

static void text_sequences(const struct sb_status *status, struct sb_buf *out)
{
    const struct sb_status_sequences *sequences = &status->sequences;
    if (sequences->stage.state == SB_STATE_ABSENT && !sequences->stage.gone && !sequences->shown)
        return;
    sb_buf_put_str(out, "\nsequences: ");
    if (!sequences->shown)
        sb_buf_put_str(out, "not looked at yet\n");
    else
        sb_buf_putf(out,
            "%" PRId64 " kept ahead (the least by %" PRId64 " values), %" PRId64 " missing, %" PRId64
            " not kept\n",
            sequences->kept, sequences->ahead, sequences->missing, sequences->unkept);
    if (sequences->rogue_values > 0)
        sb_buf_putf(out, "  %" PRId64 " values were used on the side that does not own the data\n",
            sequences->rogue_values);
    text_stage(status, &sequences->stage, out);
    if (sequences->stage.report->why[0] != '\0')
        sb_buf_putf(out, "    %s\n", sequences->stage.report->why);
}

/* Tables of which there is something to say. */
static void text_board(const struct sb_status_reconcile *reconcile, struct sb_buf *out)
{
    char figure[SB_FIGURE_BYTES];
    for (size_t i = 0; reconcile->board != NULL && i < reconcile->board->count; i++) {
        const struct sb_board_table *table = &reconcile->board->tables[i];
        int64_t lag_us = reconcile->now_us - table->frontier_us;
        if (table->why[0] == '\0' && table->proven && table->differences == 0 && lag_us < LATE_US)
            continue;
        sb_buf_putf(out, "    %s: ", table->name);
        if (!table->compared)
            sb_buf_put_str(out, "not compared");
        else if (table->frontier_lsn == 0)
            sb_buf_put_str(out, "not proven yet");
        else
            sb_buf_putf(out, "proven up to %s ago", sb_render_seconds((double)lag_us / 1e6, figure));
        if (table->passing)
            sb_buf_putf(
                out, ", %" PRId64 " of %" PRId64 " chunks compared", table->chunks_done, table->chunks);
        if (table->differences > 0)
            sb_buf_putf(out, ", %" PRId64 " keys differ", table->differences);
        sb_buf_putf(out, "%s%s\n", table->why[0] == '\0' ? "" : ": ", table->why);
    }
}

static void text_reconcile(const struct sb_status *status, struct sb_buf *out)
{
    const struct sb_status_reconcile *reconcile = &status->reconcile;
    char lsn[SB_LSN_TEXT_BYTES], lag[SB_FIGURE_BYTES];
    if (reconcile->stage.state == SB_STATE_ABSENT && !reconcile->stage.gone && !reconcile->shown)
        return;
    sb_buf_put_str(out, "\nproven equal: ");
    if (reconcile->lag_us == SB_UNKNOWN)
        sb_buf_put_str(out, "not yet");
    else
        sb_buf_putf(out, "up to %s, %s ago", sb_lsn_text(reconcile->frontier_lsn, lsn),
            sb_render_seconds((double)reconcile->lag_us / 1e6, lag));
    sb_buf_putf(out,
        "; %" PRId64 " of %" PRId64 " tables are proven, %" PRId64 " are not compared, %" PRId64
        " changes wait\n",
        reconcile->tables_proven, reconcile->tables, reconcile->tables_not_compared, reconcile->unproven);
    if (reconcile->open_differences > 0)
        sb_buf_putf(out, "  %" PRId64 " differences are open: `switchback diff list` shows them\n",
            reconcile->open_differences);
    text_stage(status, &reconcile->stage, out);
    if (reconcile->stage.report->why[0] != '\0')
        sb_buf_putf(out, "    %s\n", reconcile->stage.report->why);
    text_board(reconcile, out);
}

void sb_render_text(const struct sb_status *status, struct sb_buf *out)
{
    char at[SB_TIME_TEXT_BYTES];
    sb_buf_putf(out, "%s\n", sb_clock_text(status->wall_us, at));
    if (status->insecure)
        sb_buf_put_str(
            out, "WARNING: `insecure: true` is set; connections may be read or changed on their way\n");
    if (status->supervisor.state != SB_STATE_ABSENT || status->supervisor.gone)
        text_stage(status, &status->supervisor, out);
    else
        sb_buf_put_str(out, "  supervisor       none: stages run alone\n");
    text_owner(status, out);
    for (size_t i = 0; i < status->count; i++)
        text_direction(status, &status->directions[i], out);
    text_sequences(status, out);
    text_reconcile(status, out);
}

/* -- JSON ------------------------------------------------------------------------------------------------ */

static json_t *json_lsn(uint64_t lsn)
{
    char text[SB_LSN_TEXT_BYTES];
    return lsn == 0 ? json_null() : json_string(sb_lsn_text(lsn, text));
}

static json_t *json_known(int64_t value)
{
    return value == SB_UNKNOWN ? json_null() : json_integer(value);
}

static json_t *json_seconds(int64_t us)
{
    return us == SB_UNKNOWN ? json_null() : json_real((double)us / 1e6);
}

static json_t *json_time(int64_t wall_us)
{
    char text[SB_TIME_TEXT_BYTES];
    return wall_us == 0 ? json_null() : json_string(sb_clock_text(wall_us, text));
}

static json_t *json_rate(const struct sb_status_direction *dir, double rate)
{
    return dir->rate_seconds > 0 ? json_real(round(rate * 1000) / 1000) : json_null();
}

static json_t *json_text(const char *text)
{
    json_t *string = text[0] == '\0' ? json_null() : json_string(text);
    return string != NULL ? string : json_string("(not UTF-8)");
}

static json_t *json_stage(const struct sb_status_stage *stage)
{
    const struct sb_stage_report *report = stage->report;
    return json_pack("{s:s, s:b, s:o, s:i, s:o, s:o, s:o, s:o, s:o}", "state",
        sb_stage_state_name(stage->state), "gone", stage->gone, "pid",
        report->pid > 0 && !stage->gone ? json_integer(report->pid) : json_null(), "restarts",
        (int)report->restarts, "since", json_time(report->since_wall_us), "why", json_text(report->why),
        "error", json_text(report->err_id), "error_text", json_text(report->err_text), "hint",
        json_text(report->err_hint));
}

static const char *eta_name(enum sb_eta eta)
{
    static const char *const names[] = {"unknown", "following", "seconds", "never"};
    return names[eta];
}

static json_t *json_positions(const struct sb_status_direction *dir)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "source_lsn", json_lsn(dir->source_lsn),
        "received_lsn", json_lsn(dir->received_lsn), "stored_lsn", json_lsn(dir->stored_lsn), "confirmed_lsn",
        json_lsn(dir->confirmed_lsn), "applied_lsn", json_lsn(dir->applied_lsn), "stored_commit_time",
        json_time(dir->stored_us), "applied_commit_time", json_time(dir->applied_us));
}

static json_t *json_lags(const struct sb_status_direction *dir)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "bytes", json_known(dir->lag_bytes), "capture_bytes",
        json_known(dir->capture_lag_bytes), "apply_bytes", json_known(dir->apply_lag_bytes), "seconds",
        json_seconds(dir->lag_us));
}

static json_t *json_rates(const struct sb_status_direction *dir)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "source_bytes_per_s", json_rate(dir, dir->source_rate),
        "capture_bytes_per_s", json_rate(dir, dir->capture_rate), "apply_bytes_per_s",
        json_rate(dir, dir->apply_rate), "transactions_per_s", json_rate(dir, dir->commit_rate),
        "changes_per_s", json_rate(dir, dir->change_rate));
}

static json_t *json_initial_copy(const struct sb_status_copy *copy)
{
    if (!copy->shown)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "tables", (json_int_t)copy->tables,
        "tables_done", (json_int_t)copy->tables_done, "chunks", (json_int_t)copy->chunks, "chunks_done",
        (json_int_t)copy->chunks_done, "rows", (json_int_t)copy->rows, "rows_estimated",
        (json_int_t)copy->rows_estimated, "rows_per_s",
        copy->row_rate > 0 ? json_real(round(copy->row_rate)) : json_null(), "seconds_left",
        json_known(copy->left_s), "stage", json_stage(&copy->stage));
}

static json_t *json_canary(const struct sb_status_canary *canary)
{
    return json_pack("{s:I, s:o, s:I, s:o, s:o}", "sent", (json_int_t)canary->sent, "arrived",
        json_time(canary->arrived_us), "echoed", (json_int_t)canary->echoed, "last_success",
        json_time(canary->echoed_us), "round_trip_seconds", json_seconds(canary->round_us));
}

static json_t *json_direction(const struct sb_status_direction *dir)
{
    json_t *slot = json_pack("{s:o, s:o, s:o}", "retained_bytes", json_known(dir->slot_retained_bytes),
        "safe_bytes", json_known(dir->slot_safe_bytes), "time_to_loss_s", json_known(dir->slot_loss_s));
    json_t *eta = json_pack("{s:s, s:o}", "state", eta_name(dir->eta), "seconds", json_known(dir->eta_s));
    json_t *stages =
        json_pack("{s:o, s:o}", "capture", json_stage(&dir->capture), "apply", json_stage(&dir->apply));
    if (dir->copy.stage.state != SB_STATE_ABSENT || dir->copy.stage.gone)
        json_object_set_new(stages, "copy", json_stage(&dir->copy.stage));
    return json_pack("{s:s, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:b, s:o, s:o}",
        "direction", sb_direction_name(dir->direction), "healthy", dir->healthy, "why", dir->why, "positions",
        json_positions(dir), "lag", json_lags(dir), "rate", json_rates(dir), "catch_up", eta, "initial_copy",
        json_initial_copy(&dir->copy), "slot", slot, "conflicts", (json_int_t)dir->conflicts,
        "skipped_transactions", (json_int_t)dir->skipped, "tables_aside", (json_int_t)dir->aside, "stages",
        stages, "observes", dir->observes, "canary", json_canary(&dir->canary), "rogue",
        json_pack("{s:I, s:I}", "writes", (json_int_t)dir->rogue_writes, "transactions",
            (json_int_t)dir->rogue_transactions));
}

static json_t *json_sequences(const struct sb_status_sequences *sequences)
{
    if (!sequences->shown)
        return json_pack("{s:o}", "stage", json_stage(&sequences->stage));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "kept", (json_int_t)sequences->kept,
        "missing", (json_int_t)sequences->missing, "not_kept", (json_int_t)sequences->unkept, "tight",
        (json_int_t)sequences->tight, "rogue_values", (json_int_t)sequences->rogue_values,
        "least_ahead_values", (json_int_t)sequences->ahead, "least_headroom_values",
        (json_int_t)sequences->headroom, "looked_at", json_time(sequences->looked_us), "stage",
        json_stage(&sequences->stage));
}

static json_t *json_board(const struct sb_status_reconcile *reconcile)
{
    if (reconcile->board == NULL)
        return json_null();
    json_t *tables = json_array();
    for (size_t i = 0; i < reconcile->board->count; i++) {
        const struct sb_board_table *table = &reconcile->board->tables[i];
        bool defined = table->frontier_lsn != 0;
        json_array_append_new(
            tables, json_pack("{s:o, s:b, s:b, s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:o, s:o}", "table",
                        json_text(table->name), "compared", table->compared, "proven", table->proven,
                        "frontier_lsn", json_lsn(table->frontier_lsn), "lag_seconds",
                        json_seconds(defined ? reconcile->now_us - table->frontier_us : SB_UNKNOWN),
                        "passing", table->passing, "chunks_done", (json_int_t)table->chunks_done, "chunks",
                        (json_int_t)table->chunks, "unproven_changes", (json_int_t)table->unproven,
                        "differences", (json_int_t)table->differences, "passed_at",
                        json_time(table->passed_us), "why", json_text(table->why)));
    }
    return tables;
}

static json_t *json_reconcile(const struct sb_status_reconcile *reconcile)
{
    if (!reconcile->shown)
        return json_pack("{s:o}", "stage", json_stage(&reconcile->stage));
    return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "frontier_lsn",
        json_lsn(reconcile->frontier_lsn), "frontier_commit_time", json_time(reconcile->frontier_us),
        "lag_seconds", json_seconds(reconcile->lag_us), "tables", (json_int_t)reconcile->tables,
        "tables_proven", (json_int_t)reconcile->tables_proven, "tables_not_compared",
        (json_int_t)reconcile->tables_not_compared, "open_differences",
        (json_int_t)reconcile->open_differences, "unproven_changes", (json_int_t)reconcile->unproven,
        "looked_at", json_time(reconcile->looked_us), "by_table", json_board(reconcile), "stage",
        json_stage(&reconcile->stage));
}

static int dump_to(const char *bytes, size_t len, void *arg)
{
    struct sb_buf *out = arg;
    sb_buf_put(out, bytes, len);
    return out->failed ? -1 : 0;
}

void sb_render_json(const struct sb_status *status, struct sb_buf *out)
{
    json_t *directions = json_array();
    for (size_t i = 0; i < status->count; i++)
        json_array_append_new(directions, json_direction(&status->directions[i]));
    const struct sb_status_direction *back = way_back(status);
    json_t *way = json_pack("{s:b, s:s?}", "armed", status->armed, "why",
        status->armed  ? NULL
        : back == NULL ? "no stage of it was started here"
                       : back->why);
    json_t *root = json_pack("{s:o, s:b, s:b, s:b, s:b, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "time",
        json_time(status->wall_us), "running", status->runs, "standing", sb_status_standing(status), "ready",
        sb_status_ready(status), "insecure", status->insecure, "owner", owner_name(status->owner),
        "ownership_epoch", (json_int_t)status->ownership_epoch, "way_back", way, "supervisor",
        json_stage(&status->supervisor), "directions", directions, "sequences",
        json_sequences(&status->sequences), "reconcile", json_reconcile(&status->reconcile));
    if (root == NULL || json_dump_callback(root, dump_to, out, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) != 0)
        out->failed = true;
    sb_buf_put_str(out, "\n");
    json_decref(root);
}
