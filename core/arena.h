/*
 * An arena: memory with one lifetime.
 *
 * There are four lifetimes (process, relation, transaction, message); each is a named arena with a ceiling,
 * passed as an argument. Nothing in an arena is freed alone: reset empties it and keeps its first block.
 * Alignment is that of max_align_t. Beyond the ceiling, alloc returns NULL; the caller says SB-LIMIT with the
 * arena's name.
 */
#ifndef SB_CORE_ARENA_H
#define SB_CORE_ARENA_H

#include "core/bytes.h"

struct sb_arena;

/* name must outlive the arena. NULL if there is no memory. */
struct sb_arena *sb_arena_new(const char *name, size_t max_bytes);
void sb_arena_free(struct sb_arena *arena); /* NULL is fine */
void sb_arena_reset(struct sb_arena *arena);
void *sb_arena_alloc(struct sb_arena *arena, size_t len);  /* uninitialised; NULL beyond the ceiling */
void *sb_arena_zalloc(struct sb_arena *arena, size_t len); /* zeroed */
/* A copy with a NUL behind it that is not counted in len, so that it can be passed to libpq. */
bool sb_arena_dup(struct sb_arena *arena, struct sb_view view, struct sb_view *ret_copy);
char *sb_arena_str(struct sb_arena *arena, struct sb_view view); /* as dup, as a C string; NULL if full */
size_t sb_arena_used(const struct sb_arena *arena);
size_t sb_arena_max(const struct sb_arena *arena);
const char *sb_arena_name(const struct sb_arena *arena);

#endif
