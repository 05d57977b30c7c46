/*
 * The table of contents of a database's structure: what pg_dump wrote and pg_restore prints, cut into its
 * entries, and which of them belongs to which moment of an initial copy. Pure.
 *
 *     before   types, functions, tables, views ...: before any row
 *     keys     what apply needs to find rows, and indexes that nothing can violate: before apply begins
 *     rest     whatever rows could violate or set off, and all else: once apply has passed the last stamp.
 * Before that rows of different moments stand side by side, and a unique constraint or a foreign key may be
 *              violated although nothing is wrong.
 *
 * Within keys and rest, entries have waves, which follow one another. What waits for nothing but its table
 * goes in one wave together, by several sessions; what may wait for something of its own kind goes one by one
 * in the order of pg_dump.
 */
#ifndef SB_COPY_TOC_H
#define SB_COPY_TOC_H

#include "core/arena.h"
#include "core/err.h"

#include <stdint.h>

enum sb_toc_phase { SB_TOC_LEFT_OUT, SB_TOC_BEFORE, SB_TOC_KEYS, SB_TOC_REST };
enum {
    SB_TOC_WAVE_KEYS = 1, /* together */
    SB_TOC_WAVE_KEYS_ATTACH,
    SB_TOC_WAVE_INDEXES, /* together: unique and exclusion */
    SB_TOC_WAVE_ATTACH,
    SB_TOC_WAVE_OTHERS,
    SB_TOC_WAVE_REFRESH, /* of materialized views; not made here */
    SB_TOC_WAVE_ANALYZE, /* together; not made here */
};
bool sb_toc_wave_is_wide(int wave); /* together */

struct sb_toc_entry {
    uint32_t id;             /* in the archive */
    uint32_t class_oid, oid; /* on the source */
    struct sb_view type;     /* "TABLE", "FK CONSTRAINT" */
    struct sb_view schema;   /* "-": none. Like name in pg_dump's own words, for people */
    struct sb_view name;
    struct sb_view sql; /* what makes it; several statements, perhaps with comments */
    uint32_t *deps;     /* ids, also of what is not in here */
    size_t dep_count;
    bool post; /* of the section post-data */
    enum sb_toc_phase phase;
    int wave; /* of keys and rest */
};
struct sb_toc {
    struct sb_toc_entry *entries; /* in the order of the archive: nothing before what it depends on */
    size_t count;
};

/* list: `pg_restore --list`; pre, post: `pg_restore --verbose --file=-` with --section=pre-data and
 * post-data. Views point into pre and post. SB-PG-DUMP if it does not read as pg_restore's. */
int sb_toc_parse(struct sb_view list, struct sb_view pre, struct sb_view post, struct sb_arena *arena,
    struct sb_toc *ret_toc, struct sb_err *err);

/* Does the table with this oid on the source travel? */
typedef bool sb_toc_travels_fn(void *arg, uint32_t oid);
/* Fills phase and wave. Left out is what is ours, what the target must decide by itself (subscriptions, user
 * mappings, comments on extensions), tables that do not travel and all that depends on them. narrow: of the
 * rest only what the travelling tables need, and what belongs to them. */
int sb_toc_choose(struct sb_toc *toc, sb_toc_travels_fn *travels, void *arg, bool narrow,
    struct sb_arena *arena, struct sb_err *err);

/* "TABLE public.item" */
void sb_toc_put_what(const struct sb_toc_entry *entry, struct sb_buf *out);
bool sb_toc_is_relation(const struct sb_toc_entry *entry); /* a table, partitioned or foreign */

#endif
