/* What the catalogs of a server say about its tables, for check, prepare and the applier. */
#ifndef SB_PG_CATALOG_H
#define SB_PG_CATALOG_H

#include "core/arena.h"
#include "pg/conn.h"

struct sb_cat_column {
    struct sb_view name;
    struct sb_view type_name; /* format_type(oid, NULL): "integer", "public.mood" */
    struct sb_view type_full; /* format_type(oid, typmod): "numeric(10,2)" */
    struct sb_view type_cast; /* below all domains, without length: "numeric", "bpchar"; see below */
    struct sb_view
        equal; /* "OPERATOR(public.=)" of an extension's type; "=" for all whose is in pg_catalog */
    uint32_t type_oid;
    int32_t typmod;
    struct sb_view base_full; /* "numeric(10,2)": what a domain is made of; of other types as type_full */
    uint32_t base_oid;
    int32_t base_typmod;
    int16_t attnum;
    bool not_null;
    bool has_default;
    bool generated; /* GENERATED ALWAYS AS (...) STORED or VIRTUAL: never written */
    char identity;  /* 'a' always, 'd' by default, 0 none */
    bool domain;    /* its type is one */
    bool text_cast; /* somebody has made a cast from text to its type; what that does nobody knows */
    bool key;       /* part of the replica identity, or on the target of the key apply uses */
};

/* What a text is cast to on its way into a column: an explicit cast to the column's own type would *cut* a
 * value that is too long for it, while the assignment of the wider type to the column refuses it. */

struct sb_cat_table {
    uint32_t oid;
    struct sb_view schema;
    struct sb_view name;
    char kind;        /* pg_class.relkind: r, p, v, m, f */
    char persistence; /* p, u, t */
    char identity;    /* relreplident: d, i, f, n */
    bool has_key;     /* primary key, or the identity's index */
    /* The identity has generated columns, which pgoutput leaves out. The keys it sends are not whole then;
     * with FULL it does without, but from 18 on the server refuses the application's own updates instead. */
    bool identity_generated;
    bool is_partition;
    bool rls;             /* row-level security applies to the session's role */
    bool always_triggers; /* ENABLE ALWAYS or REPLICA triggers or rules */
    bool deferrable_unique;
    size_t col_count;
    struct sb_cat_column *cols; /* live columns in attnum order */
};

/* Ordinary and partitioned tables outside system schemas and ours, in (schema, name) order; views etc. only
 * if with_all. Everything lives in arena. */
int sb_catalog_tables(struct sb_conn *conn, bool with_all, struct sb_arena *arena,
    struct sb_cat_table **ret_tables, size_t *ret_count, struct sb_err *err);
/* One table by name; ret_found false if there is none. */
int sb_catalog_table(struct sb_conn *conn, struct sb_view schema, struct sb_view name, struct sb_arena *arena,
    struct sb_cat_table *ret_table, bool *ret_found, struct sb_err *err);
const struct sb_cat_column *sb_cat_column(
    const struct sb_cat_table *table, struct sb_view name); /* NULL if none */

struct sb_server_id {
    uint64_t system_identifier;
    uint32_t timeline;
    uint32_t database_oid;
    char uuid[37]; /* our identity row in this database; "" if it was never prepared */
};
int sb_catalog_server_id(struct sb_conn *conn, struct sb_server_id *ret_id, struct sb_err *err);

#endif
