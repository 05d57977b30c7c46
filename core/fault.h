/*
 * Named fault points, for tests that try to break a promise. Absent from release builds (SB_FAULTS not
 * defined).
 *
 * A point is a line `SB_FAULT("capture-after-append")` in the code and a row in core/fault_table.h; a test
 * checks that both agree. The environment arms them:
 *
 *     SB_FAULT="capture-after-append:kill:3"      the third passage SIGKILLs the process
 *     SB_FAULT="apply-before-commit:freeze"       SIGSTOPs it (thaw with SIGCONT)
 *     SB_FAULT="apply-before-commit:delay:1:500"  sleeps 500 ms at the first passage
 *
 * Several are separated by commas. A name that is not in the table ends the process with SB-CONFIG at start.
 */
#ifndef SB_CORE_FAULT_H
#define SB_CORE_FAULT_H

#include "core/err.h"

#include <stddef.h>

#ifdef SB_FAULTS
int sb_fault_init(struct sb_err *err); /* reads SB_FAULT */
void sb_fault_pass(const char *name);
#define SB_FAULT(name) sb_fault_pass(name)
#else
static inline int sb_fault_init(struct sb_err *err)
{
    (void)err;
    return 0;
}
#define SB_FAULT(name) ((void)0)
#endif

/* All names, sorted, NULL at the end; in every build, so that tests can enumerate them. */
extern const char *const sb_fault_names[];

#endif
