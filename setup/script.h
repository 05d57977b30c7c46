/*
 * What prepare or remove does, or would do: steps in order, each with its statements as they are sent, and
 * notes for people (impact, grants). All text lives in the script's arena.
 */
#ifndef SB_SETUP_SCRIPT_H
#define SB_SETUP_SCRIPT_H

#include "core/arena.h"
#include "core/bytes.h"
#include "core/err.h"

enum sb_place { SB_AT_SOURCE, SB_AT_TARGET, SB_AT_STREAM };
const char *sb_place_name(enum sb_place place); /* "source" */

struct sb_step {
    enum sb_place place;
    const char *what; /* "make the publications" */
    const char *sql;  /* the statements; for the stream commands or words */
};

struct sb_script {
    struct sb_arena *arena; /* the caller's */
    bool dry_run;           /* gather, touch nothing */
    struct sb_step *steps;
    size_t count;
    size_t room;
    /* Called for each step when it has been done (or, in a dry run, gathered). May be NULL. */
    void (*on_step)(void *arg, const struct sb_step *step);
    void *arg;
};

void sb_script_init(struct sb_script *script, struct sb_arena *arena, bool dry_run);
/* -1 with SB-LIMIT when the arena is full. */
int sb_script_add(
    struct sb_script *script, enum sb_place place, const char *what, const char *sql, struct sb_err *err);
/* A path as one word of a shell, whatever stands in it. */
void sb_script_put_path(struct sb_buf *out, const char *path);

#endif
