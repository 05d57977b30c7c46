/*
 * The event triggers on the source of a direction that put DDL into the stream (schemas/sql/ddl.sql): whether
 * they are there, and the statements that make them. Only a superuser may make event triggers; without them a
 * changed table is noticed at its next row (docs/DDL.md).
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
    bool may_read; /* our role may read what they are for */
    bool scoped;   /* with the patterns of this migration */
};
int sb_ddl_triggers_read(const struct sb_config *config, enum sb_direction direction, struct sb_conn *source,
    struct sb_ddl_triggers *ret_triggers, struct sb_err *err);
/* The statements that make them and what they lack; nothing is put if they are there. */
void sb_ddl_triggers_put(const struct sb_config *config, enum sb_direction direction,
    const struct sb_ddl_triggers *triggers, struct sb_buf *sql);

#endif
