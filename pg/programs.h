/*
 * PostgreSQL's own programs on this machine: pg_dump, which reads its own and older servers but no newer
 * ones, and the pg_restore beside it.
 */
#ifndef SB_PG_PROGRAMS_H
#define SB_PG_PROGRAMS_H

#include "core/err.h"

enum { SB_PROGRAM_PATH_BYTES = 1024 };

struct sb_pg_programs {
    char dump[SB_PROGRAM_PATH_BYTES];
    char restore[SB_PROGRAM_PATH_BYTES];
    int major;
};

/* Those in dir, or where that is NULL the first ones found in PATH, then the newest below
 * /usr/lib/postgresql, that read a server of this major version. SB-PG-DUMP says what was found instead and
 * what to install. */
int sb_pg_programs_find(
    const char *dir, int server_major, struct sb_pg_programs *ret_programs, struct sb_err *err);

#endif
