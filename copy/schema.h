/*
 * The structure of the source's database, made on an empty target by the initial copy: its tables and what
 * they need before any row, its keys before apply begins, all else once apply has passed the copy (copy/toc.h
 * says which is which).
 *
 * pg_dump reads it, pg_restore prints it, and the statements are run in sessions of ours: so that they stand
 * under the claim, and each is done exactly once. All that comes before rows is one transaction, and in it
 * the rest is written down (switchback.copy_step). From then on neither program nor archive is needed.
 */
#ifndef SB_COPY_SCHEMA_H
#define SB_COPY_SCHEMA_H

#include "copy/control.h"

struct sb_schema {
    const struct sb_config *config;
    enum sb_direction direction;
    const struct sb_copy_claim *claim; /* it stands */
    struct sb_conn *source;            /* may be waited for */
    bool (*stop)(void);
};

/* The tables are not there: make them, and all that comes before rows. SB-PG-DUMP, SB-TARGET-STRUCTURE; then
 * nothing was made. */
int sb_schema_begin(const struct sb_schema *schema, struct sb_err *err);
/* Everything is made: say so (structure: complete). */
int sb_schema_complete(const struct sb_schema *schema, struct sb_err *err);

#endif
