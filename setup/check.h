/*
 * Is everything there that a migration needs? A table of small checks of the source, the target, the tables
 * and the stream; each leaves rows with what it saw and, when it fails, the exact statement to run. Checks
 * only read: they change nothing anywhere.
 *
 * A server that does not answer is a failed row ("source.connect") and its checks are left out; what a check
 * is not allowed to read is a failed row of that check. So the return value is about ourselves only.
 */
#ifndef SB_SETUP_CHECK_H
#define SB_SETUP_CHECK_H

#include "config/wiring.h"
#include "setup/report.h"

enum { SB_CHECK_ARENA_BYTES = 256 * 1024 * 1024 }; /* a ceiling: room for some 100,000 tables */

/* 0 with the report filled (report->failed says whether the answer is no), -1 on SB-LIMIT, SB-NO-MEMORY. */
int sb_check_run(const struct sb_config *config, enum sb_direction direction, struct sb_report *report,
    struct sb_err *err);

/* The way back alone (the checks way_back.*) and only what it cannot be armed without: what is missing fails.
 * In sb_check_run of the forward direction the same checks and some more warn, where reverse.enabled. */
int sb_check_arming(const struct sb_config *config, struct sb_report *report, struct sb_err *err);

#endif
