/*
 * What a check found: rows in the order of the checks. A check that finds nothing wrong leaves one row that
 * says what it saw. All text lives in the report's arena.
 */
#ifndef SB_SETUP_REPORT_H
#define SB_SETUP_REPORT_H

#include "core/arena.h"
#include "core/err.h"

enum sb_result { SB_RESULT_PASS, SB_RESULT_INFO, SB_RESULT_WARN, SB_RESULT_FAIL };
const char *sb_result_name(enum sb_result result); /* "pass" */

struct sb_report_row {
    const char *id;   /* "source.wal_level": API, never renamed */
    const char *what; /* the prerequisite, in words */
    enum sb_result result;
    enum sb_code code;     /* of a failure or warning: the error it would become; SB_OK else */
    const char *evidence;  /* what was found */
    const char *statement; /* what to run, exactly; "" if there is nothing to run */
    bool mendable;         /* `prepare` mends it by itself */
};

struct sb_report {
    struct sb_arena *arena; /* the caller's */
    struct sb_report_row *rows;
    size_t count;
    size_t room;
    size_t failed;
    size_t warned;
    size_t mendable; /* of the failed ones */
};

void sb_report_init(struct sb_report *report, struct sb_arena *arena);
/* Adds a row; statement NULL: none. -1 with SB-LIMIT when the arena is full. */
int sb_report_add(struct sb_report *report, const struct sb_report_row *row, struct sb_err *err);

#endif
