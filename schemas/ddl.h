/*
 * A command of the source that its event triggers have put into the stream (schemas/sql/ddl.sql): the body of
 * a message with the prefix switchback.ddl (schemas/signal.h).
 *
 *     64 hex digits, a space, JSON
 *
 * The digits are the SHA-256 of the source's signing key followed by the JSON: whoever may connect to the
 * source may send such a message, and only one that bears the signature was made by our triggers. Who acts on
 * one verifies that first (apply/ddl). Pure; everything lives in the arena.
 */
#ifndef SB_SCHEMAS_DDL_H
#define SB_SCHEMAS_DDL_H

#include "core/arena.h"
#include "core/err.h"

enum {
    SB_DDL_SIGNATURE_CHARS = 64,
    SB_DDL_OBJECTS_MAX = 100000, /* of a command; DROP SCHEMA may have many */
    SB_DDL_BODY_MAX_BYTES = 64 * 1024 * 1024,
};

struct sb_ddl_column { /* of a table behind the command */
    struct sb_view name;
    struct sb_view type;     /* "character varying(10)" */
    struct sb_view fallback; /* its default, as the server prints it, or of a generated one its expression;
                                empty: none */
    bool not_null;
    char generated; /* 's' stored, 'v' virtual; 0: it is not */
    char identity;  /* 'a' always, 'd' by default; 0: it is not */
};

struct sb_ddl_table { /* that the command made or changed */
    struct sb_view schema, name;
    struct sb_view root_schema,
        root_name;    /* the topmost one that it is a partition of; its own if it is none */
    char kind;        /* r, p */
    char persistence; /* p, u */
    bool partition;
    bool published;
    bool rewritten; /* its rows, which says nothing about them in the stream */
    size_t column_count;
    struct sb_ddl_column *columns;
};

struct sb_ddl_object {
    struct sb_view type;     /* "table", "index", "table column" */
    struct sb_view schema;   /* empty: it is in none */
    struct sb_view name;     /* of the table, for a dropped table or column */
    struct sb_view identity; /* as the server prints it */
    bool dropped;
};

struct sb_ddl {
    struct sb_view tag;       /* "ALTER TABLE" */
    struct sb_view statement; /* empty: it could not be told apart from what stands beside it */
    struct sb_view role;      /* who ran it */
    struct sb_view failed;    /* SQLSTATE: the triggers could not describe it; empty: they could */
    int server_version;       /* of the source: 150004 */
    size_t path_count;
    struct sb_view *path; /* schemas in which names of the statement are looked up */
    size_t object_count;
    struct sb_ddl_object *objects;
    size_t table_count;
    struct sb_ddl_table *tables;
};

/* The two parts of a body; false if it has not this form. */
bool sb_ddl_split(struct sb_view body, struct sb_view *ret_signature, struct sb_view *ret_json);
/* SB-VALUE-INVALID, SB-LIMIT, SB-LOG-FORMAT for one of a newer program. */
int sb_ddl_read(struct sb_view json, struct sb_arena *arena, struct sb_ddl *ret_ddl, struct sb_err *err);

#endif
