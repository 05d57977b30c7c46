/*
 * The two publications of a direction: what they hold, what they should hold, and the statements in between.
 * Never FOR ALL TABLES; without row filters and column lists; published via the root of partitioned tables.
 * Both always exist, empty or not: a publication made later than the slot cannot be decoded.
 */
#ifndef SB_SETUP_PUBLICATIONS_H
#define SB_SETUP_PUBLICATIONS_H

#include "config/wiring.h"
#include "setup/scope.h"

struct sb_pub_table {
    uint32_t oid;
    struct sb_view schema;
    struct sb_view name;
    bool cut; /* with a row filter or a column list */
};

struct sb_publication {
    uint32_t oid; /* 0: it does not exist */
    bool wide;    /* FOR ALL TABLES or FOR TABLES IN SCHEMA: not ours */
    bool owned;   /* our role may alter it */
    bool insert, update, delete, truncate, via_root;
    size_t count;
    struct sb_pub_table *tables; /* in oid order */
};

struct sb_publications {
    struct sb_publication keyed;
    struct sb_publication keyless;
};

int sb_publications_read(struct sb_conn *source, const struct sb_names *names, struct sb_arena *arena,
    struct sb_publications *ret_pubs, struct sb_err *err);

/* The statements that bring both in order; nothing is put if they are. */
void sb_publications_mend(const struct sb_publications *pubs, const struct sb_names *names,
    const struct sb_scope *scope, struct sb_buf *sql);

enum sb_pub_fault {
    SB_PUB_FOREIGN, /* wide, or not ours to alter */
    SB_PUB_ABSENT,
    SB_PUB_TABLES, /* tables too many or too few, or cut by a filter or column list */
    SB_PUB_OPTIONS,
};
/* Every fault, with the statement that mends it; valid during the call. fn: 0 to go on, -1 to stop. */
typedef int sb_pub_fn(void *arg, enum sb_pub_fault fault, const char *evidence, const char *statement);
int sb_publications_judge(const struct sb_publications *pubs, const struct sb_names *names,
    const struct sb_scope *scope, sb_pub_fn *fn, void *arg);

#endif
