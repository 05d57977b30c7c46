/*
 * ${NAME} in a value: replaced by the environment's variable NAME, after the YAML was read, so that nothing
 * in the environment can add a key. "$${" stands for "${" itself. Which bytes came from the environment is
 * kept: a secret must.
 */
#ifndef SB_CONFIG_EXPAND_H
#define SB_CONFIG_EXPAND_H

#include "core/arena.h"
#include "core/err.h"

struct sb_expanded { /* belongs to the arena */
    char *text;
    size_t len;
    unsigned char *from_env; /* len of them; 1: this byte came from the environment */
    bool any;                /* something did */
    bool whole;              /* nothing else did, and there is something */
};

/* SB-CONFIG: a variable is not set, or a ${ is not closed or holds no name; SB-NO-MEMORY. */
int sb_expand(const char *text, struct sb_arena *arena, struct sb_expanded *ret_expanded, struct sb_err *err);

#endif
