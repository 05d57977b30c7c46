#include "ops/endpoints.h"

#include "core/log.h"
#include "ops/prometheus.h"
#include "ops/render.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT_READINGS = 10, READING_MS = 1000 };

struct sb_endpoints {
    const struct sb_page *page;
    struct sb_loop *loop;
    bool insecure;
    struct sb_watch *timer;
    size_t taken; /* readings so far; the newest stands at (taken - 1) % KEPT_READINGS */
    struct sb_reading kept[KEPT_READINGS];
    struct sb_reading now; /* of the answer being made */
};

static void on_reading(void *arg)
{
    struct sb_endpoints *ends = arg;
    sb_reading_take(ends->page, &ends->kept[ends->taken++ % KEPT_READINGS]);
    sb_metric_set(SB_M_LOG_DROPPED, (int64_t)sb_log_dropped());
}

struct sb_endpoints *sb_endpoints_new(
    const struct sb_page *page, struct sb_loop *loop, bool insecure, struct sb_err *err)
{
    struct sb_endpoints *ends = calloc(1, sizeof *ends);
    if (ends == NULL) {
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for the HTTP answers");
        return NULL;
    }
    ends->page = page;
    ends->loop = loop;
    ends->insecure = insecure;
    ends->timer = sb_loop_timer(loop, READING_MS, on_reading, ends, err);
    if (ends->timer == NULL) {
        free(ends);
        return NULL;
    }
    on_reading(ends);
    return ends;
}

void sb_endpoints_free(struct sb_endpoints *endpoints)
{
    if (endpoints == NULL)
        return;
    sb_loop_remove(endpoints->loop, endpoints->timer);
    free(endpoints);
}

static void put_readiness(const struct sb_status *status, struct sb_http_reply *reply)
{
    bool ready = sb_status_ready(status);
    reply->status = ready ? 200 : 503;
    sb_buf_put_str(&reply->body, ready ? "ready\n" : "not ready\n");
    for (size_t i = 0; i < status->count; i++)
        sb_buf_putf(&reply->body, "%s: %s\n", sb_direction_name(status->directions[i].direction),
            status->directions[i].why);
}

bool sb_endpoints_answer(void *arg, const char *path, struct sb_http_reply *reply)
{
    struct sb_endpoints *ends = arg;
    struct sb_status status;
    size_t oldest = ends->taken < KEPT_READINGS ? 0 : ends->taken % KEPT_READINGS;
    if (strcmp(path, "/livez") == 0) {
        sb_buf_put_str(&reply->body, "alive\n");
        return true;
    }
    sb_reading_take(ends->page, &ends->now);
    sb_status_compute(&ends->kept[oldest], &ends->now, ends->insecure, &status);
    if (strcmp(path, "/readyz") == 0) {
        put_readiness(&status, reply);
    } else if (strcmp(path, "/metrics") == 0) {
        reply->content_type = SB_PROMETHEUS_TYPE;
        sb_prometheus_put(&ends->now, &status, &reply->body);
    } else if (strcmp(path, "/status") == 0) {
        reply->content_type = "application/json";
        sb_render_json(&status, &reply->body);
    } else {
        return false;
    }
    return true;
}
