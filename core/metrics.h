/*
 * The metrics page: one block of shared memory, made before the stages are forked, so that one /metrics
 * serves them all and outlives a crashed child. It is a file in the state directory, so that `switchback
 * status` reads it without asking anybody.
 *
 * Each stage writes only its own column. Values are 64-bit, written and read with relaxed atomics: each value
 * is exact, two values read together may be a moment apart. Text (state, error) is guarded by a counter that
 * is odd while it is being written; the reader retries.
 */
#ifndef SB_CORE_METRICS_H
#define SB_CORE_METRICS_H

#include "core/err.h"

#include <stdbool.h>
#include <stdint.h>

enum sb_stage {
    SB_STAGE_SUPERVISOR,
    SB_STAGE_CAPTURE_FORWARD,
    SB_STAGE_APPLY_FORWARD,
    SB_STAGE_CAPTURE_REVERSE,
    SB_STAGE_APPLY_REVERSE,
    SB_STAGE_RECONCILE,
    SB_STAGE_COPY_FORWARD,
    SB_STAGE_COPY_REVERSE,
    SB_STAGE_SEQUENCES,
    SB_STAGE_COUNT
};
const char *sb_stage_name(enum sb_stage stage); /* "capture-forward" */

enum sb_metric {
#define SB_METRIC(name, prom, type, help) name,
#include "core/metrics_table.h"
#undef SB_METRIC
    SB_METRIC_COUNT
};
struct sb_metric_info {
    const char *name; /* "switchback_capture_changes_total" */
    const char *type; /* "counter" or "gauge" */
    const char *help;
};
const struct sb_metric_info *sb_metric_info(enum sb_metric metric);

/* What a stage is doing, for status and /readyz. */
enum sb_stage_state {
    SB_STATE_ABSENT,   /* not started */
    SB_STATE_STARTING, /* connecting, proving its position */
    SB_STATE_RUNNING,
    SB_STATE_WAITING, /* in order, but held: `why` says by what (paused, target down, stream full) */
    SB_STATE_HALTED,  /* SB_CLASS_DATA: needs a person; err says what */
    SB_STATE_BACKOFF, /* SB_CLASS_RETRY or a crash: tries again by itself */
    SB_STATE_STOPPED,
    SB_STATE_DONE, /* finished what it was for; not started again */
};
const char *sb_stage_state_name(enum sb_stage_state state);

struct sb_stage_report {
    enum sb_stage_state state;
    int32_t pid;           /* 0: no process */
    uint32_t restarts;     /* counted by the supervisor */
    int64_t since_wall_us; /* when state changed */
    char why[256];         /* one sentence; empty while running */
    char err_id[32];       /* "SB-SLOT-LOST"; empty if none */
    char err_text[512];
    char err_hint[512];
};

struct sb_page;

/* Create or replace the page file (supervisor, or a stage run alone when there is none yet). */
int sb_page_create(const char *path, struct sb_page **ret_page, struct sb_err *err);
/* Map an existing page: SB_E_STATE_FORMAT if it is of another version, SB_E_IO if there is none. */
int sb_page_open(const char *path, bool writable, struct sb_page **ret_page, struct sb_err *err);
void sb_page_close(struct sb_page *page); /* NULL is fine */

/* The column this process writes; every sb_metric_* and sb_report_* below goes there. NULL page: no-ops. */
void sb_metrics_attach(struct sb_page *page, enum sb_stage stage);
void sb_metric_set(enum sb_metric metric, int64_t value);
void sb_metric_add(enum sb_metric metric, int64_t delta);
void sb_report_state(enum sb_stage_state state, const char *why); /* why may be NULL */
void sb_report_err(enum sb_stage_state state, const struct sb_err *err);

int64_t sb_page_metric(const struct sb_page *page, enum sb_stage stage, enum sb_metric metric);
void sb_page_report(const struct sb_page *page, enum sb_stage stage, struct sb_stage_report *ret_report);
/* For the supervisor, about a child that does not run (it writes its own column otherwise). why replaces what
 * the child last said, its error too; NULL keeps both. */
void sb_page_child(struct sb_page *page, enum sb_stage stage, int32_t pid, enum sb_stage_state state,
    uint32_t restarts, const char *why);

#endif
