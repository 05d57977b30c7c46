/*
 * A program of others, run to its end: no shell, nothing on its standard input, its standard output kept, the
 * last lines of its standard error kept as the reason. It dies with this process (PR_SET_PDEATHSIG), has
 * default signals and no descriptor of ours.
 *
 * Waits, but asks every 100 ms whether to stop: then the program is killed.
 */
#ifndef SB_CORE_CHILD_H
#define SB_CORE_CHILD_H

#include "core/bytes.h"
#include "core/err.h"

enum { SB_CHILD_WORDS_BYTES = 512 };

struct sb_child {
    const char *const *argv; /* argv[0]: the program's path; NULL at the end */
    const char *const *env;  /* "NAME=value" beside what we have ourselves; NULL at the end; NULL: none */
    bool (*stop)(void);      /* NULL: never */
    struct sb_buf *out;      /* NULL: its standard output is thrown away */
};
struct sb_child_end {
    int status;                       /* exit code; 128 and the signal's number if one ended it */
    char words[SB_CHILD_WORDS_BYTES]; /* its last words, in one line; "" if it said nothing */
};

/* 0: it has ended, in one way or another. SB-SHUTDOWN: told to stop. SB-LIMIT: more output than out takes.
 * SB-IO, SB-NO-MEMORY: it could not be started. */
int sb_child_run(const struct sb_child *child, struct sb_child_end *ret_end, struct sb_err *err);

#endif
