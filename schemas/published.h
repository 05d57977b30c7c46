/*
 * The tables that a direction publishes, and where they can be cut into key ranges: what the initial copy and
 * the compare both plan by. Asks the source and waits for the answers.
 */
#ifndef SB_SCHEMAS_PUBLISHED_H
#define SB_SCHEMAS_PUBLISHED_H

#include "pg/conn.h"
#include "schemas/ranges.h"

/* Schema, name and oid of each table of either publication, whether the keyed one has it (updates and deletes
 * travel), and whether a row filter or a column list cuts it; in the order of the names. A partition of a
 * published table comes with its root, also if it was published before it was attached. */
int sb_published_tables(struct sb_conn *conn, const char *publication, const char *publication_keyless,
    struct sb_rows **ret_rows, struct sb_err *err);

/* An expression for the shape of a table: oid, columns and partitions, so that what is altered, made anew,
 * attached or detached differs. (A partition that is attached brings rows that are in no change.) */
void sb_published_put_shape(struct sb_view schema, struct sb_view name, struct sb_buf *sql);

struct sb_published_facts {
    struct sb_view key_column; /* the leading one of the replica identity's index; empty if there is none */
    enum sb_key_kind kind;     /* NONE: no key, or one whose order we do not know */
    int64_t pages;
    int64_t rows_estimated;
    bool binary; /* every type has one binary form on all servers */
};
/* utf8: the database's encoding is UTF-8. The name lives in arena. */
int sb_published_facts(struct sb_conn *conn, const char *oid, bool utf8, struct sb_arena *arena,
    struct sb_published_facts *ret_facts, struct sb_err *err);
int sb_published_is_utf8(struct sb_conn *conn, bool *ret_utf8, struct sb_err *err);

/* Where a table is to be cut. */
struct sb_published_cut {
    const char *relation; /* for words */
    const char *from;     /* the table as FROM has it: ONLY "a"."b" */
    const struct sb_published_facts *facts;
    int64_t chunk_rows; /* about so many in each range */
};
/* Cut ranges of the facts' kind, in place, at boundaries that come from a sample of the table's pages. */
int sb_published_cut(struct sb_conn *conn, const struct sb_published_cut *cut, struct sb_arena *arena,
    struct sb_ranges *ranges, struct sb_err *err);

#endif
