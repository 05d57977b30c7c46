/* A secret in a file of its own: one that nobody else can read. */
#ifndef SB_CONFIG_SECRET_H
#define SB_CONFIG_SECRET_H

#include "core/arena.h"
#include "core/err.h"

enum { SB_SECRET_BYTES = 64 * 1024 };

/*
 * Read the file, without the line end at its end. SB-SECRET-MODE: group or others may read or write it, or it
 * belongs to another user (root, who runs nothing but `config check`, may look at anybody's). SB-CONFIG: it
 * is missing, unreadable, no regular file, empty, too large, holds a NUL, or, with one_line, several lines.
 */
int sb_secret_read(
    const char *path, bool one_line, struct sb_arena *arena, const char **ret_secret, struct sb_err *err);
/* Overwrite it where it stands; NULL is fine. */
void sb_secret_wipe(const char *secret);

#endif
