#include "ops/prometheus.h"

#include "ops/stage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The derived metrics; what each of them reports is in put_derived. */
enum derived {
    DERIVED_BUILD,
    DERIVED_STATE,
    DERIVED_RESTARTS,
    DERIVED_LAG_BYTES,
    DERIVED_CAPTURE_LAG_BYTES,
    DERIVED_APPLY_LAG_BYTES,
    DERIVED_LAG_SECONDS,
    DERIVED_CATCH_UP,
    DERIVED_INSECURE,
    DERIVED_OWNER,
    DERIVED_ARMED,
    DERIVED_CANARY_ROUND,
    DERIVED_CANARY_LAST,
    DERIVED_RECONCILE_LAG,
    DERIVED_COUNT
};

static const struct sb_metric_info derived_infos[DERIVED_COUNT] = {
    [DERIVED_BUILD] = {"switchback_build_info", "gauge", "1, with the version as a label"},
    [DERIVED_STATE] = {"switchback_stage_state", "gauge",
        "1 for the state a stage is in, 0 for the others; a stage whose process is gone is absent"},
    [DERIVED_RESTARTS] = {"switchback_stage_restarts_total", "counter",
        "Times the supervisor started the stage again"},
    [DERIVED_LAG_BYTES] = {"switchback_lag_bytes", "gauge",
        "WAL between the source's position and what is applied on the target"},
    [DERIVED_CAPTURE_LAG_BYTES] = {"switchback_capture_lag_bytes", "gauge",
        "WAL between the source's position and what the stream has"},
    [DERIVED_APPLY_LAG_BYTES] = {"switchback_apply_lag_bytes", "gauge",
        "WAL between what the stream has and what is applied on the target"},
    [DERIVED_LAG_SECONDS] = {"switchback_lag_seconds", "gauge",
        "Source commit time of the newest stored transaction minus that of the newest applied one"},
    [DERIVED_CATCH_UP] = {"switchback_catch_up_seconds", "gauge",
        "Forecast until the target follows the source; absent while unknown or never"},
    [DERIVED_INSECURE] = {"switchback_insecure", "gauge", "1 if the configuration says insecure: true"},
    [DERIVED_OWNER] = {"switchback_owner", "gauge",
        "1 for the side that owns the data, 0 for the other; absent while unknown"},
    [DERIVED_ARMED] = {"switchback_way_back_armed", "gauge", "1 while both stages of the way back run"},
    [DERIVED_CANARY_ROUND] = {"switchback_canary_roundtrip_seconds", "gauge",
        "How long the newest canary of a direction took there and back, until its echo was dropped as ours"},
    [DERIVED_CANARY_LAST] = {"switchback_canary_last_success_timestamp_seconds", "gauge",
        "When that was; absent until one has come back"},
    [DERIVED_RECONCILE_LAG] = {"switchback_reconcile_lag_seconds", "gauge",
        "Since the commit up to which all tables are proven equal, by the source's clock; +Inf until there "
        "is "
        "one"},
};

/* -- the format -------------------------------------------------------------------------------------------
 */

void sb_prometheus_put_label(struct sb_buf *out, const char *name, const char *value)
{
    sb_buf_putf(out, "%s=\"", name);
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            sb_buf_putf(out, "\\%c", *value);
        else if (*value == '\n')
            sb_buf_put_str(out, "\\n");
        else
            sb_buf_put_u8(out, (uint8_t)*value);
    }
    sb_buf_put_str(out, "\"");
}

/* Help has backslash and newline escaped, not quotes. */
static void put_head(struct sb_buf *out, const struct sb_metric_info *info)
{
    sb_buf_putf(out, "# HELP %s ", info->name);
    for (const char *at = info->help; *at != '\0'; at++) {
        if (*at == '\\')
            sb_buf_put_str(out, "\\\\");
        else if (*at == '\n')
            sb_buf_put_str(out, "\\n");
        else
            sb_buf_put_u8(out, (uint8_t)*at);
    }
    sb_buf_putf(out, "\n# TYPE %s %s\n", info->name, info->type);
}

/* -- who keeps what ---------------------------------------------------------------------------------------
 */

static bool is_capture(enum sb_stage stage)
{
    return stage == SB_STAGE_CAPTURE_FORWARD || stage == SB_STAGE_CAPTURE_REVERSE;
}

static bool is_apply(enum sb_stage stage)
{
    return stage == SB_STAGE_APPLY_FORWARD || stage == SB_STAGE_APPLY_REVERSE;
}

static bool is_copy(enum sb_stage stage)
{
    return stage == SB_STAGE_COPY_FORWARD || stage == SB_STAGE_COPY_REVERSE;
}

static const char *kind_of(enum sb_stage stage)
{
    return is_capture(stage) ? "capture"
           : is_apply(stage) ? "apply"
           : is_copy(stage)  ? "copy"
                             : sb_stage_name(stage);
}

/* By the metric's name: switchback_apply_* is apply's, _capture_, _source_ and _slot_ are capture's; the
 * stream's epoch and sequence are both's, its extent is told by whoever has found out, the log is
 * everybody's. */
static bool belongs(enum sb_stage stage, enum sb_metric metric, int64_t value)
{
    const char *name = sb_metric_info(metric)->name + strlen("switchback_");
    if (strncmp(name, "log_", 4) == 0)
        return true;
    if (strncmp(name, "apply_", 6) == 0)
        return is_apply(stage);
    if (strncmp(name, "copy_", 5) == 0)
        return is_copy(stage);
    if (strncmp(name, "sequences_", 10) == 0)
        return stage == SB_STAGE_SEQUENCES;
    if (strncmp(name, "reconcile_", 10) == 0)
        return stage == SB_STAGE_RECONCILE;
    if (metric == SB_M_STREAM_BYTES || metric == SB_M_STREAM_OLDEST_OFFSET ||
        metric == SB_M_STREAM_NEXT_OFFSET)
        return is_capture(stage) || (is_apply(stage) && value != 0);
    if (strncmp(name, "stream_", 7) == 0)
        return is_capture(stage) || is_apply(stage);
    return is_capture(stage);
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcmp(text + len - tail, end) == 0;
}

/* Positions and times are never 0; what is known of the slot came with the source's position. */
static bool is_known(const struct sb_reading_stage *one, enum sb_metric metric)
{
    const char *name = sb_metric_info(metric)->name;
    if (ends_with(name, "_lsn") || ends_with(name, "_time_us"))
        return one->values[metric] != 0;
    if (strncmp(name, "switchback_slot_", strlen("switchback_slot_")) == 0)
        return one->values[SB_M_SOURCE_WAL_LSN] != 0;
    if (strncmp(name, "switchback_sequences_", strlen("switchback_sequences_")) == 0)
        return one->values[SB_M_SEQUENCES_TIME_US] != 0;
    if (strncmp(name, "switchback_reconcile_", strlen("switchback_reconcile_")) == 0)
        return one->values[SB_M_RECONCILE_TIME_US] != 0;
    return true;
}

static void put_stage_labels(struct sb_buf *out, enum sb_stage stage)
{
    sb_prometheus_put_label(out, "stage", kind_of(stage));
    if (is_capture(stage) || is_apply(stage) || is_copy(stage)) {
        sb_buf_put_str(out, ",");
        sb_prometheus_put_label(out, "direction", sb_direction_name(sb_stage_direction(stage)));
    }
}

static void put_metric(struct sb_buf *out, const struct sb_reading *now, enum sb_metric metric)
{
    const struct sb_metric_info *info = sb_metric_info(metric);
    put_head(out, info);
    for (int stage = 0; stage < SB_STAGE_COUNT; stage++) {
        const struct sb_reading_stage *one = &now->stages[stage];
        if (one->report.state == SB_STATE_ABSENT || !is_known(one, metric) ||
            !belongs((enum sb_stage)stage, metric, one->values[metric]))
            continue;
        sb_buf_putf(out, "%s{", info->name);
        put_stage_labels(out, (enum sb_stage)stage);
        sb_buf_putf(out, "} %" PRId64 "\n", one->values[metric]);
    }
}

/* -- derived ----------------------------------------------------------------------------------------------
 */

static void put_states(struct sb_buf *out, const struct sb_status_stage *stage)
{
    for (int state = SB_STATE_ABSENT; state <= SB_STATE_DONE; state++) {
        sb_buf_putf(out, "%s{", derived_infos[DERIVED_STATE].name);
        put_stage_labels(out, stage->stage);
        sb_buf_put_str(out, ",");
        sb_prometheus_put_label(out, "state", sb_stage_state_name((enum sb_stage_state)state));
        sb_buf_putf(out, "} %d\n", stage->state == (enum sb_stage_state)state);
    }
}

static void put_restarts(struct sb_buf *out, const struct sb_status_stage *stage)
{
    sb_buf_putf(out, "%s{", derived_infos[DERIVED_RESTARTS].name);
    put_stage_labels(out, stage->stage);
    sb_buf_putf(out, "} %" PRIu32 "\n", stage->report->restarts);
}

static void put_known(
    struct sb_buf *out, enum derived which, const struct sb_status_direction *dir, int64_t value, bool is_us)
{
    if (value == SB_UNKNOWN)
        return;
    sb_buf_putf(out, "%s{", derived_infos[which].name);
    sb_prometheus_put_label(out, "direction", sb_direction_name(dir->direction));
    if (is_us)
        sb_buf_putf(out, "} %.6f\n", (double)value / 1e6);
    else
        sb_buf_putf(out, "} %" PRId64 "\n", value);
}

static void put_of_direction(struct sb_buf *out, enum derived which, const struct sb_status_direction *dir)
{
    switch (which) {
    case DERIVED_STATE:
        put_states(out, &dir->capture);
        put_states(out, &dir->apply);
        return;
    case DERIVED_RESTARTS:
        put_restarts(out, &dir->capture);
        put_restarts(out, &dir->apply);
        return;
    case DERIVED_LAG_BYTES:
        put_known(out, which, dir, dir->lag_bytes, false);
        return;
    case DERIVED_CAPTURE_LAG_BYTES:
        put_known(out, which, dir, dir->capture_lag_bytes, false);
        return;
    case DERIVED_APPLY_LAG_BYTES:
        put_known(out, which, dir, dir->apply_lag_bytes, false);
        return;
    case DERIVED_LAG_SECONDS:
        put_known(out, which, dir, dir->lag_us, true);
        return;
    case DERIVED_CATCH_UP:
        put_known(out, which, dir, dir->eta_s, false);
        return;
    case DERIVED_CANARY_ROUND:
        put_known(out, which, dir, dir->canary.round_us, true);
        return;
    case DERIVED_CANARY_LAST:
        put_known(out, which, dir, dir->canary.echoed > 0 ? dir->canary.echoed_us : SB_UNKNOWN, true);
        return;
    case DERIVED_BUILD:
    case DERIVED_INSECURE:
    case DERIVED_OWNER:
    case DERIVED_ARMED:
    case DERIVED_RECONCILE_LAG:
    case DERIVED_COUNT:
        return;
    }
}

static void put_owner(struct sb_buf *out, const struct sb_status *status)
{
    static const char *const sides[] = {[SB_OWNER_OLD] = "old", [SB_OWNER_NEW] = "new"};
    for (int side = SB_OWNER_OLD; status->owner != SB_OWNER_UNKNOWN && side <= SB_OWNER_NEW; side++) {
        sb_buf_putf(out, "%s{", derived_infos[DERIVED_OWNER].name);
        sb_prometheus_put_label(out, "side", sides[side]);
        sb_buf_putf(out, "} %d\n", (int)status->owner == side);
    }
}

/* A stage that was never started has nothing to be late with. */
static void put_reconcile(struct sb_buf *out, enum derived which, const struct sb_status_reconcile *reconcile)
{
    bool started = reconcile->stage.state != SB_STATE_ABSENT || reconcile->stage.gone;
    if (!started)
        return;
    if (which == DERIVED_STATE)
        put_states(out, &reconcile->stage);
    if (which == DERIVED_RESTARTS)
        put_restarts(out, &reconcile->stage);
    if (which == DERIVED_RECONCILE_LAG && reconcile->lag_us == SB_UNKNOWN)
        sb_buf_putf(out, "%s +Inf\n", derived_infos[which].name);
    else if (which == DERIVED_RECONCILE_LAG)
        sb_buf_putf(out, "%s %.6f\n", derived_infos[which].name, (double)reconcile->lag_us / 1e6);
}

static void put_derived(struct sb_buf *out, enum derived which, const struct sb_status *status)
{
    const struct sb_metric_info *info = &derived_infos[which];
    put_head(out, info);
    if (which == DERIVED_BUILD) {
        sb_buf_putf(out, "%s{", info->name);
        sb_prometheus_put_label(out, "version", SB_VERSION);
        sb_buf_put_str(out, "} 1\n");
    }
    if (which == DERIVED_INSECURE)
        sb_buf_putf(out, "%s %d\n", info->name, status->insecure);
    if (which == DERIVED_ARMED)
        sb_buf_putf(out, "%s %d\n", info->name, status->armed);
    if (which == DERIVED_OWNER)
        put_owner(out, status);
    put_reconcile(out, which, &status->reconcile);
    for (size_t i = 0; i < status->count; i++)
        put_of_direction(out, which, &status->directions[i]);
}

void sb_prometheus_put(const struct sb_reading *now, const struct sb_status *status, struct sb_buf *out)
{
    for (int which = 0; which < DERIVED_COUNT; which++)
        put_derived(out, (enum derived)which, status);
    for (int metric = 0; metric < SB_METRIC_COUNT; metric++)
        put_metric(out, now, (enum sb_metric)metric);
}

static void put_docs(struct sb_buf *out, const struct sb_metric_info *info)
{
    sb_buf_putf(out, "| `%s` | %s | %s |\n", info->name, info->type, info->help);
}

void sb_prometheus_docs(struct sb_buf *out)
{
    sb_buf_put_str(out, "| metric | type | what |\n|---|---|---|\n");
    for (int which = 0; which < DERIVED_COUNT; which++)
        put_docs(out, &derived_infos[which]);
    for (int metric = 0; metric < SB_METRIC_COUNT; metric++)
        put_docs(out, sb_metric_info((enum sb_metric)metric));
}
