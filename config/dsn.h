/*
 * Reading a connection string without libpq: which parameters it gives and where they stand, so that a
 * password can be found and moved out. Both forms are read, "host=old dbname=shop" and
 * "postgresql://host/shop?...", by the rules of libpq's documentation (34.1.1 Connection Strings). libpq
 * itself reads the string again when it connects and has the last word on it.
 *
 * Pure; reasons are constant sentences, because a string that cannot be read may hold a password anywhere.
 */
#ifndef SB_CONFIG_DSN_H
#define SB_CONFIG_DSN_H

#include "core/arena.h"

enum { SB_DSN_PARAMS = 64 };

struct sb_dsn_param {
    const char *name;            /* decoded; "host" of a URI is the list of its hosts */
    const char *value;           /* decoded */
    size_t value_from, value_to; /* where the value stands in the text, still encoded */
    size_t from, to;             /* what to cut out so that the rest is a connection string without it */
};

struct sb_dsn {
    size_t count;
    struct sb_dsn_param params[SB_DSN_PARAMS];
};

/* NULL if text is a connection string; else why it is not. Names and values belong to the arena. */
const char *sb_dsn_parse(const char *text, struct sb_arena *arena, struct sb_dsn *ret_dsn);
/* NULL if it does not give the parameter. */
const struct sb_dsn_param *sb_dsn_find(const struct sb_dsn *dsn, const char *name);

#endif
