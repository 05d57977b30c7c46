/*
 * The tables of a migration: which of the source's tables the patterns choose, and how each is published.
 * Pure: catalog values in, values out.
 *
 * A partitioned table that is chosen stands for all its partitions (it is published via its root); a
 * partition is published by itself only when no ancestor of it is chosen.
 *
 * Keyed tables have a replica identity with which updates and deletes can be told row by row. All others go
 * to the second publication, with inserts and truncates only: to publish updates of a table without identity
 * makes the *application's* UPDATE fail.
 */
#ifndef SB_SETUP_SCOPE_H
#define SB_SETUP_SCOPE_H

#include "config/config.h"
#include "pg/catalog.h"

enum sb_scope_class {
    SB_SCOPE_OUT,     /* no pattern chooses it */
    SB_SCOPE_KEYED,   /* published with every operation */
    SB_SCOPE_KEYLESS, /* published with insert and truncate */
    SB_SCOPE_COVERED, /* a partition whose ancestor is published */
    SB_SCOPE_BARRED,  /* chosen, but a stream cannot carry it: view, foreign, unlogged, materialised view */
};

struct sb_scope_table {
    const struct sb_cat_table *table;
    enum sb_scope_class klass;
    bool by_name;             /* a pattern without wildcards named it */
    bool excluded_under_root; /* excluded by a pattern, yet published as part of its root */
    bool mixed;               /* root and partitions have different identities: told as keyless */
};

struct sb_scope {
    size_t count;
    struct sb_scope_table *tables; /* every table of the catalog, in its order */
    size_t published;              /* how many are keyed or keyless */
};

struct sb_scope_parent { /* partition -> parent, from pg_inherits */
    uint32_t oid;
    uint32_t parent;
};

/* Tables, patterns and parents outlive the scope, which lives in arena. */
int sb_scope_make(const struct sb_config *config, const struct sb_cat_table *tables, size_t count,
    const struct sb_scope_parent *parents, size_t parent_count, struct sb_arena *arena,
    struct sb_scope *ret_scope, struct sb_err *err);
/* Reads catalog and partition tree of the source, then as above. */
int sb_scope_read(const struct sb_config *config, struct sb_conn *source, struct sb_arena *arena,
    struct sb_scope *ret_scope, struct sb_err *err);

/* Does the initial copy make the tables on a target that has this many of those published? */
bool sb_scope_is_moved(const struct sb_config *config, size_t published, size_t there);

/* Does this table by itself have an identity that tells its rows apart? */
bool sb_scope_identified(const struct sb_cat_table *table);
static inline bool sb_scope_is_published(const struct sb_scope_table *scoped)
{
    return scoped->klass == SB_SCOPE_KEYED || scoped->klass == SB_SCOPE_KEYLESS;
}

#endif
