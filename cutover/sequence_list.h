/*
 * The sequences of a migration on one side: those that the chosen tables own or use in a default, and all
 * others in the schemas of the chosen tables.
 */
#ifndef SB_CUTOVER_SEQUENCE_LIST_H
#define SB_CUTOVER_SEQUENCE_LIST_H

#include "config/config.h"
#include "core/arena.h"
#include "core/map.h"
#include "cutover/sequence.h"
#include "pg/conn.h"

struct sb_sequence_feed { /* a column that takes its values from it */
    const char *column;   /* "schema"."table"."column", quoted */
    const char *edge_sql; /* (SELECT max(...) FROM ...): NULL if no index makes that cheap, or we may not */
};

struct sb_sequence {
    const char *name; /* "schema"."name", quoted */
    struct sb_sequence_rules rules;
    bool may_read, may_move;
    size_t feed_count;
    struct sb_sequence_feed *feeds;

    bool known; /* place was read in this round */
    struct sb_sequence_place place;
};

struct sb_sequence_list {
    struct sb_arena *arena;
    size_t count;
    struct sb_sequence *items; /* by name */
    struct sb_map *by_name;
    struct sb_map *by_column; /* the last one that feeds it */
};

/* conn may be either side's. */
int sb_sequence_list_read(const struct sb_config *config, struct sb_conn *conn,
    struct sb_sequence_list **ret_list, struct sb_err *err);
void sb_sequence_list_free(struct sb_sequence_list *list); /* NULL is fine */

/* Where they stand now. SQLSTATE 42P01 and the like in err: the list is of yesterday. */
int sb_sequence_list_look(struct sb_sequence_list *list, struct sb_conn *conn, struct sb_err *err);
/* What their columns hold. A table that is locked for longer than lock_timeout says nothing this time. */
int sb_sequence_list_look_edges(struct sb_sequence_list *list, struct sb_conn *conn, struct sb_err *err);

#endif
