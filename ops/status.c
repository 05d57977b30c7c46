#include "ops/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* As good as nothing to catch up with: positions are read at moments that lie a feedback interval apart. */
enum { FOLLOW_BYTES = 8 * 1024 * 1024, FOLLOW_US = 2000000 };

/* -- stages ---------------------------------------------------------------------------------------------- */

static bool claims_process(enum sb_stage_state state)
{
    return state == SB_STATE_STARTING || state == SB_STATE_RUNNING || state == SB_STATE_WAITING ||
           state == SB_STATE_HALTED || state == SB_STATE_BACKOFF;
}

static struct sb_status_stage stage_of(const struct sb_reading *now, enum sb_stage stage)
{
    const struct sb_reading_stage *one = &now->stages[stage];
    struct sb_status_stage status = {.stage = stage, .state = one->report.state, .report = &one->report};
    /* Between two incarnations a child has no process; then its supervisor speaks for it. */
    bool alive = one->report.pid != 0 ? one->alive : now->stages[SB_STAGE_SUPERVISOR].alive;
    if (claims_process(status.state) && !alive) {
        status.state = SB_STATE_ABSENT;
        status.gone = true;
    }
    return status;
}

bool sb_status_stage_ok(const struct sb_status_stage *stage)
{
    return stage->state == SB_STATE_RUNNING || stage->state == SB_STATE_WAITING;
}

static bool stage_stands(const struct sb_status_stage *stage)
{
    return stage->state != SB_STATE_ABSENT && stage->state != SB_STATE_HALTED &&
           stage->state != SB_STATE_STOPPED;
}

/* -- positions ------------------------------------------------------------------------------------------- */

static int64_t distance(uint64_t behind, uint64_t ahead)
{
    if (behind == 0 || ahead == 0)
        return SB_UNKNOWN;
    return ahead > behind ? (int64_t)(ahead - behind) : 0;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void fill_positions(struct sb_status_direction *dir, const int64_t *capture, const int64_t *apply)
{
    dir->received_lsn = (uint64_t)capture[SB_M_CAPTURE_RECEIVED_LSN];
    dir->source_lsn = later((uint64_t)capture[SB_M_SOURCE_WAL_LSN], dir->received_lsn);
    dir->stored_lsn = (uint64_t)capture[SB_M_CAPTURE_STORED_LSN];
    dir->confirmed_lsn = (uint64_t)capture[SB_M_CAPTURE_CONFIRMED_LSN];
    dir->applied_lsn = (uint64_t)apply[SB_M_APPLY_LSN];
    dir->stored_us = capture[SB_M_CAPTURE_STORED_TIME_US];
    dir->applied_us = apply[SB_M_APPLY_TIME_US];
    bool asked = capture[SB_M_SOURCE_WAL_LSN] != 0; /* the slot's figures come with it */
    dir->slot_retained_bytes = asked ? capture[SB_M_SLOT_RETAINED_BYTES] : SB_UNKNOWN;
    dir->slot_safe_bytes = asked ? capture[SB_M_SLOT_SAFE_BYTES] : SB_UNKNOWN;
    dir->slot_loss_s = asked ? capture[SB_M_SLOT_LOSS_SECONDS] : SB_UNKNOWN;
    dir->conflicts = apply[SB_M_APPLY_CONFLICTS];
    dir->skipped = apply[SB_M_APPLY_SKIPPED];
}

/* The echo comes back to the other direction's capture, which reads the target. */
static void fill_canary(struct sb_status_direction *dir, const struct sb_reading *now)
{
    bool forward = dir->direction == SB_FORWARD;
    const int64_t *sent = now->stages[dir->capture.stage].values,
                  *applied = now->stages[dir->apply.stage].values;
    const int64_t *seen = now->stages[forward ? SB_STAGE_CAPTURE_REVERSE : SB_STAGE_CAPTURE_FORWARD].values;
    dir->canary.sent = sent[SB_M_CAPTURE_CANARIES];
    dir->canary.arrived_us = applied[SB_M_APPLY_CANARY_TIME_US];
    dir->canary.echoed = seen[SB_M_CAPTURE_ECHOES];
    dir->canary.echoed_us = seen[SB_M_CAPTURE_ECHO_TIME_US];
    dir->canary.round_us = dir->canary.echoed > 0 ? seen[SB_M_CAPTURE_ECHO_US] : SB_UNKNOWN;
    dir->observes = applied[SB_M_APPLY_OBSERVES] != 0;
    dir->aside = applied[SB_M_APPLY_ASIDE];
    dir->rogue_writes = applied[SB_M_APPLY_ROGUE_WRITES];
    dir->rogue_transactions = applied[SB_M_APPLY_ROGUE_TRANSACTIONS];
}

static void fill_lags(struct sb_status_direction *dir)
{
    bool known = dir->stored_us > 0 && dir->applied_us > 0;
    dir->capture_lag_bytes = distance(dir->stored_lsn, dir->source_lsn);
    dir->apply_lag_bytes = distance(dir->applied_lsn, dir->stored_lsn);
    dir->lag_bytes = distance(dir->applied_lsn, dir->source_lsn);
    dir->lag_us = known ? dir->stored_us - dir->applied_us : SB_UNKNOWN;
    if (known && dir->lag_us < 0)
        dir->lag_us = 0; /* commits do not come in the order of their times */
    /* The newest stored transaction is applied: the rest is the commit record itself. */
    if (known && dir->stored_us == dir->applied_us)
        dir->apply_lag_bytes = 0;
}

/* -- rates ----------------------------------------------------------------------------------------------- */

/* A column that was made anew between the readings, or a position not known before, has no rate. */
static double rate(int64_t before, int64_t now, double seconds)
{
    return before > 0 && now > before ? (double)(now - before) / seconds : 0;
}

static void fill_rates(struct sb_status_direction *dir, const struct sb_reading *before,
    const struct sb_reading *now, enum sb_stage capture, enum sb_stage apply)
{
    if (before == NULL || now->mono_us <= before->mono_us)
        return;
    double seconds = (double)(now->mono_us - before->mono_us) / 1e6;
    const int64_t *was_captured = before->stages[capture].values, *captured = now->stages[capture].values;
    const int64_t *was_applied = before->stages[apply].values, *applied = now->stages[apply].values;
    dir->rate_seconds = seconds;
    int64_t source_before = (int64_t)later(
        (uint64_t)was_captured[SB_M_SOURCE_WAL_LSN], (uint64_t)was_captured[SB_M_CAPTURE_RECEIVED_LSN]);
    dir->source_rate = rate(source_before, (int64_t)dir->source_lsn, seconds);
    dir->capture_rate =
        rate(was_captured[SB_M_CAPTURE_STORED_LSN], captured[SB_M_CAPTURE_STORED_LSN], seconds);
    dir->apply_rate = rate(was_applied[SB_M_APPLY_LSN], applied[SB_M_APPLY_LSN], seconds);
    dir->commit_rate = rate(was_applied[SB_M_APPLY_COMMITS], applied[SB_M_APPLY_COMMITS], seconds);
    dir->change_rate = rate(was_applied[SB_M_APPLY_CHANGES], applied[SB_M_APPLY_CHANGES], seconds);
}

static bool follows(const struct sb_status_direction *dir)
{
    bool target_follows = dir->lag_us != SB_UNKNOWN
                              ? dir->lag_us <= FOLLOW_US
                              : dir->apply_lag_bytes != SB_UNKNOWN && dir->apply_lag_bytes <= FOLLOW_BYTES;
    return target_follows && dir->source_lsn - dir->received_lsn <= FOLLOW_BYTES;
}

static void fill_eta(struct sb_status_direction *dir)
{
    dir->eta = SB_ETA_UNKNOWN;
    dir->eta_s = SB_UNKNOWN;
    if (dir->lag_bytes == SB_UNKNOWN)
        return;
    if (follows(dir)) {
        dir->eta = SB_ETA_FOLLOWING;
        dir->eta_s = 0;
    } else if (dir->rate_seconds > 0 && dir->apply_rate > dir->source_rate) {
        dir->eta = SB_ETA_SECONDS;
        double seconds = (double)dir->lag_bytes / (dir->apply_rate - dir->source_rate);
        dir->eta_s = seconds < 1e9 ? (int64_t)(seconds + 0.999) : (int64_t)1e9;
    } else if (dir->rate_seconds > 0) {
        dir->eta = SB_ETA_NEVER;
    }
}

/* -- the initial copy ------------------------------------------------------------------------------------ */

static void fill_copy(struct sb_status_direction *dir, const struct sb_reading *before,
    const struct sb_reading *now, enum sb_stage stage)
{
    struct sb_status_copy *copy = &dir->copy;
    const int64_t *values = now->stages[stage].values;
    copy->stage = stage_of(now, stage);
    copy->tables = values[SB_M_COPY_TABLES];
    copy->tables_done = values[SB_M_COPY_TABLES_DONE];
    copy->chunks = values[SB_M_COPY_CHUNKS];
    copy->chunks_done = values[SB_M_COPY_CHUNKS_DONE];
    copy->rows = values[SB_M_COPY_ROWS];
    copy->rows_estimated = values[SB_M_COPY_ROWS_ESTIMATED];
    copy->left_s = SB_UNKNOWN;
    copy->shown =
        copy->tables > 0 || copy->stage.state == SB_STATE_HALTED || copy->stage.state == SB_STATE_BACKOFF;
    if (before == NULL || now->mono_us <= before->mono_us)
        return;
    double seconds = (double)(now->mono_us - before->mono_us) / 1e6;
    int64_t moved = copy->rows - before->stages[stage].values[SB_M_COPY_ROWS];
    copy->row_rate = moved > 0 ? (double)moved / seconds : 0;
    if (copy->row_rate > 0 && copy->rows_estimated >= copy->rows)
        copy->left_s = (int64_t)((double)(copy->rows_estimated - copy->rows) / copy->row_rate);
}

/* -- why ------------------------------------------------------------------------------------------------- */

static void say(struct sb_status_direction *dir, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct sb_status_direction *dir, const char *fmt, ...)
{
    size_t used = strlen(dir->why);
    va_list args;
    if (used > 0 && used + 2 < sizeof dir->why) {
        memcpy(dir->why + used, "; ", 3);
        used += 2;
    }
    va_start(args, fmt);
    vsnprintf(dir->why + used, sizeof dir->why - used, fmt, args);
    va_end(args);
}

static void say_stage(struct sb_status_direction *dir, const struct sb_status_stage *stage)
{
    const char *name = sb_stage_name(stage->stage);
    const struct sb_stage_report *report = stage->report;
    const char *text = report->err_text[0] != '\0' ? report->err_text : report->why;
    switch (stage->state) {
    case SB_STATE_ABSENT:
        if (stage->gone)
            say(dir, "%s is gone: its process %d is not there any more", name, report->pid);
        else
            say(dir, "%s was never started", name);
        return;
    case SB_STATE_STARTING:
        say(dir, "%s is starting: it connects and proves its position", name);
        return;
    case SB_STATE_WAITING:
        say(dir, "%s waits: %s", name, text);
        return;
    case SB_STATE_HALTED:
        say(dir, "%s is halted by %s: %s", name, report->err_id, text);
        return;
    case SB_STATE_BACKOFF:
        say(dir, "%s tries again: %s%s%s", name, report->err_id, report->err_id[0] != '\0' ? ": " : "", text);
        return;
    case SB_STATE_STOPPED:
        say(dir, "%s is stopped: %s%s%s", name, report->err_id, report->err_id[0] != '\0' ? ": " : "", text);
        return;
    case SB_STATE_RUNNING:
    case SB_STATE_DONE:
        return;
    }
}

/* Both stages run: what there is to say about the positions. */
static void say_positions(struct sb_status_direction *dir)
{
    if (dir->lag_bytes == SB_UNKNOWN) {
        if (dir->stored_lsn == 0)
            say(dir, "nothing has been captured yet");
        else
            say(dir, "nothing has been applied yet");
        return;
    }
    if (dir->eta == SB_ETA_FOLLOWING) {
        say(dir, "in step with the source");
        return;
    }
    if (dir->rate_seconds > 0 && dir->apply_rate <= 0)
        say(dir, "nothing was applied within the last %.0f s", dir->rate_seconds);
    else if (dir->capture_lag_bytes > dir->apply_lag_bytes)
        say(dir, "capture still reads older WAL of the source");
    else
        say(dir, "apply works through what the stream retains");
    if (dir->eta == SB_ETA_NEVER && dir->apply_rate > 0)
        say(dir, "the source writes as fast as apply, so it does not catch up at present");
}

static void fill_why(struct sb_status_direction *dir)
{
    dir->why[0] = '\0';
    if (dir->copy.shown)
        say_stage(dir, &dir->copy.stage);
    say_stage(dir, &dir->capture);
    say_stage(dir, &dir->apply);
    dir->healthy = sb_status_stage_ok(&dir->capture) && sb_status_stage_ok(&dir->apply);
    if (dir->why[0] == '\0')
        say_positions(dir);
}

/* -- sequences ------------------------------------------------------------------------------------------- */

static void fill_sequences(struct sb_status_sequences *sequences, const struct sb_reading *now)
{
    const int64_t *values = now->stages[SB_STAGE_SEQUENCES].values;
    *sequences = (struct sb_status_sequences){.stage = stage_of(now, SB_STAGE_SEQUENCES),
        .shown = values[SB_M_SEQUENCES_TIME_US] != 0,
        .kept = values[SB_M_SEQUENCES_KEPT],
        .missing = values[SB_M_SEQUENCES_MISSING],
        .unkept = values[SB_M_SEQUENCES_UNKEPT],
        .tight = values[SB_M_SEQUENCES_TIGHT],
        .rogue_values = values[SB_M_SEQUENCES_ROGUE],
        .ahead = values[SB_M_SEQUENCES_AHEAD],
        .headroom = values[SB_M_SEQUENCES_HEADROOM],
        .looked_us = values[SB_M_SEQUENCES_TIME_US]};
}

/* -- what is proven -------------------------------------------------------------------------------------- */

static void fill_reconcile(struct sb_status_reconcile *reconcile, const struct sb_reading *now)
{
    const int64_t *values = now->stages[SB_STAGE_RECONCILE].values;
    *reconcile = (struct sb_status_reconcile){.stage = stage_of(now, SB_STAGE_RECONCILE),
        .shown = values[SB_M_RECONCILE_TIME_US] != 0,
        .frontier_lsn = (uint64_t)values[SB_M_RECONCILE_FRONTIER_LSN],
        .frontier_us = values[SB_M_RECONCILE_FRONTIER_TIME_US],
        .lag_us = SB_UNKNOWN,
        .tables = values[SB_M_RECONCILE_TABLES],
        .tables_proven = values[SB_M_RECONCILE_TABLES_PROVEN],
        .tables_not_compared = values[SB_M_RECONCILE_TABLES_NOT_COMPARED],
        .open_differences = values[SB_M_RECONCILE_OPEN],
        .unproven = values[SB_M_RECONCILE_UNPROVEN],
        .looked_us = values[SB_M_RECONCILE_TIME_US],
        .now_us = now->wall_us + values[SB_M_RECONCILE_CLOCK_AHEAD_US]};
    if (reconcile->frontier_us == 0)
        return;
    int64_t lag_us = reconcile->now_us - reconcile->frontier_us;
    reconcile->lag_us = lag_us > 0 ? lag_us : 0;
}

/* -- the whole ------------------------------------------------------------------------------------------- */

static void fill_direction(struct sb_status_direction *dir, const struct sb_reading *before,
    const struct sb_reading *now, enum sb_direction direction)
{
    bool forward = direction == SB_FORWARD;
    enum sb_stage capture = forward ? SB_STAGE_CAPTURE_FORWARD : SB_STAGE_CAPTURE_REVERSE;
    enum sb_stage apply = forward ? SB_STAGE_APPLY_FORWARD : SB_STAGE_APPLY_REVERSE;
    memset(dir, 0, sizeof *dir);
    dir->direction = direction;
    dir->capture = stage_of(now, capture);
    dir->apply = stage_of(now, apply);
    fill_positions(dir, now->stages[capture].values, now->stages[apply].values);
    fill_canary(dir, now);
    fill_lags(dir);
    fill_rates(dir, before, now, capture, apply);
    fill_eta(dir);
    fill_copy(dir, before, now, forward ? SB_STAGE_COPY_FORWARD : SB_STAGE_COPY_REVERSE);
    fill_why(dir);
}

/* By whoever of the appliers knows the higher ownership epoch. */
static void fill_owner(struct sb_status *status, const struct sb_reading *now)
{
    for (size_t i = 0; i < status->count; i++) {
        const struct sb_status_direction *dir = &status->directions[i];
        int64_t epoch = now->stages[dir->apply.stage].values[SB_M_APPLY_OWNERSHIP_EPOCH];
        if (epoch <= status->ownership_epoch)
            continue;
        bool new_owns = dir->observes == (dir->direction == SB_FORWARD);
        status->ownership_epoch = epoch;
        status->owner = new_owns ? SB_OWNER_NEW : SB_OWNER_OLD;
    }
}

void sb_status_compute(const struct sb_reading *before, const struct sb_reading *now, bool insecure,
    struct sb_status *ret_status)
{
    memset(ret_status, 0, sizeof *ret_status);
    ret_status->wall_us = now->wall_us;
    ret_status->insecure = insecure;
    ret_status->supervisor = stage_of(now, SB_STAGE_SUPERVISOR);
    fill_sequences(&ret_status->sequences, now);
    fill_reconcile(&ret_status->reconcile, now);
    for (int stage = 0; stage < SB_STAGE_COUNT; stage++)
        ret_status->runs =
            ret_status->runs || (now->stages[stage].report.pid != 0 && now->stages[stage].alive);
    fill_direction(&ret_status->directions[ret_status->count++], before, now, SB_FORWARD);
    if (now->stages[SB_STAGE_CAPTURE_REVERSE].report.state != SB_STATE_ABSENT ||
        now->stages[SB_STAGE_APPLY_REVERSE].report.state != SB_STATE_ABSENT)
        fill_direction(&ret_status->directions[ret_status->count++], before, now, SB_REVERSE);
    const struct sb_status_direction *back = &ret_status->directions[ret_status->count - 1];
    ret_status->armed = back->direction == SB_REVERSE && back->capture.state == SB_STATE_RUNNING &&
                        back->apply.state == SB_STATE_RUNNING;
    fill_owner(ret_status, now);
}

bool sb_status_standing(const struct sb_status *status)
{
    for (size_t i = 0; i < status->count; i++) {
        const struct sb_status_direction *dir = &status->directions[i];
        if (!stage_stands(&dir->capture) || !stage_stands(&dir->apply) ||
            dir->copy.stage.state == SB_STATE_HALTED)
            return false;
    }
    return true;
}

bool sb_status_ready(const struct sb_status *status)
{
    for (size_t i = 0; i < status->count; i++)
        if (!status->directions[i].healthy)
            return false;
    return true;
}
