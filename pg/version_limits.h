/*
 * What a server of some version has and an older one cannot hold: pure knowledge, one row each, and the
 * question that finds it in a server's catalogs.
 *
 * Who moves to a newer server and wants to be able to go back must know what would not go with him; what is
 * made on the newer side later (DDL) is looked at with the same table.
 */
#ifndef SB_PG_VERSION_LIMITS_H
#define SB_PG_VERSION_LIMITS_H

#include <stdbool.h>

struct sb_version_limit {
    const char *id;   /* "nulls_not_distinct"; API */
    int since;        /* the first major version that has it */
    const char *what; /* "a unique index with NULLS NOT DISTINCT" */
    const char *loss; /* what becomes of it on an older server */
    bool values; /* only some values of the columns named cannot be held: nothing is wrong with the rest */
    /* On a server that has it: $1 are tables (oid[]); one column of text, the names of what was found. */
    const char *sql;
};

extern const struct sb_version_limit sb_version_limits[]; /* the last one has an id of NULL */

/* Can a server of version `has` (150020 or 15) make it, and one of version `lacks` not hold it? */
bool sb_version_limit_bites(const struct sb_version_limit *limit, int has, int lacks);

#endif
