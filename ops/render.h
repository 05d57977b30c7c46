/* The status as people read it, and as JSON. Unknown figures are "unknown" and null. */
#ifndef SB_OPS_RENDER_H
#define SB_OPS_RENDER_H

#include "core/bytes.h"
#include "ops/status.h"

void sb_render_text(const struct sb_status *status, struct sb_buf *out);
/* One object, on several lines; docs/OPERATING.md describes it. */
void sb_render_json(const struct sb_status *status, struct sb_buf *out);

enum { SB_FIGURE_BYTES = 32 };
const char *sb_render_bytes(int64_t bytes, char out[SB_FIGURE_BYTES]); /* "1.4 MiB" */
const char *sb_render_seconds(
    double seconds, char out[SB_FIGURE_BYTES]); /* "0.3 s", "4 min 05 s", "2 h 03 min" */

#endif
