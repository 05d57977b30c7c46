/*
 * What the supervisor answers over HTTP. It keeps a reading of the page for every second of the last ten, so
 * that rates are there at once; states and positions are read when they are asked for.
 *
 *     /metrics   Prometheus text
 *     /livez     200 as long as the supervisor's loop turns
 *     /readyz    200 if every stage runs (or waits in order), else 503; the body says why
 *     /status    JSON, as `switchback status --json`
 */
#ifndef SB_OPS_ENDPOINTS_H
#define SB_OPS_ENDPOINTS_H

#include "core/loop.h"
#include "ops/http.h"
#include "ops/reading.h"

struct sb_endpoints;

struct sb_endpoints *sb_endpoints_new(
    const struct sb_page *page, struct sb_loop *loop, bool insecure, struct sb_err *err);
void sb_endpoints_free(struct sb_endpoints *endpoints); /* NULL is fine */
/* An sb_http_answer_fn; arg is the struct sb_endpoints. */
bool sb_endpoints_answer(void *arg, const char *path, struct sb_http_reply *reply);

#endif
