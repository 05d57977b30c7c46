/*
 * /metrics: the page and the status in the Prometheus text format 0.0.4.
 *
 * Every metric of core/metrics_table.h once for each stage that keeps it, labelled stage="capture" and
 * direction="forward"; then the derived ones: states, restarts, lags. A figure that is not known is left out,
 * because a made-up zero would hide an outage.
 */
#ifndef SB_OPS_PROMETHEUS_H
#define SB_OPS_PROMETHEUS_H

#include "core/bytes.h"
#include "ops/status.h"

#define SB_PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* status was computed from now. */
void sb_prometheus_put(const struct sb_reading *now, const struct sb_status *status, struct sb_buf *out);
/* `name="value"`, with backslash, quote and newline escaped. */
void sb_prometheus_put_label(struct sb_buf *out, const char *name, const char *value);
/* All of them as a Markdown table, for docs/OPERATING.md. */
void sb_prometheus_docs(struct sb_buf *out);

#endif
