/*
 * The event triggers on the source of a direction that put DDL into the stream (schemas/sql/ddl.sql): whether
 * they are there, and the statements that make them. Only a superuser may make event triggers; without them a
 * changed table is noticed at its next row (docs/DDL.md). The signing key is copied to the target.
 */
#ifndef SB_SETUP_DDL_H
#define SB_SETUP_DDL_H

#include "config/wiring.h"
#include "core/bytes.h"
#include "pg/conn.h"

extern const char sb_control_ddl_sql[]; /* embedded by the build */

struct sb_ddl_triggers {
    bool may_make; /* our role is a superuser */
    bool there;    /* all of them, enabled, and of this version */
    bool scoped;   /* with the patterns of this migration */
    char key[80];  /* with which messages are signed; empty: there is none */
};
int sb_ddl_triggers_read(const struct sb_config *config, enum sb_direction direction, struct sb_conn *source,
    struct sb_ddl_triggers *ret_triggers, struct sb_err *err);
/* The statements that make them and what they lack; nothing is put if they are there. */
void sb_ddl_triggers_put(const struct sb_config *config, enum sb_direction direction,
    const struct sb_ddl_triggers *triggers, struct sb_buf *sql);

/* Has the target this key? It is of the migration's source. */
int sb_ddl_key_known(struct sb_conn *target, const char *migration, enum sb_direction direction,
    const char *key, bool *ret_known, struct sb_err *err);
void sb_ddl_key_put(const char *migration, enum sb_direction direction, const char *key, struct sb_buf *sql);

#endif
