/*
 * Conflicts: rows found other than the stream expects, recorded with both versions in the same target
 * transaction as the change itself (switchback.conflict). Names follow PostgreSQL 18's conflict types where
 * it has them.
 */
#ifndef SB_APPLY_CONFLICT_H
#define SB_APPLY_CONFLICT_H

#include "apply/batch.h"
#include "apply/writer.h"

enum sb_conflict_kind {
    SB_CONFLICT_INSERT_EXISTS,
    SB_CONFLICT_UPDATE_MISSING,
    SB_CONFLICT_DELETE_MISSING,
    SB_CONFLICT_MULTIPLE_UNIQUE, /* another row stands in the way of a unique or exclusion constraint */
    SB_CONFLICT_ROW_DIFFERS,     /* more than one row has the key */
    SB_CONFLICT_ROGUE_WRITE,     /* made by somebody else on the side that does not own (apply/observer) */
};
const char *sb_conflict_name(enum sb_conflict_kind kind);

struct sb_conflict {
    enum sb_conflict_kind kind;
    const struct sb_batch_change *change;
    const struct sb_relation *relation; /* NULL: that of the change; of a TRUNCATE one of its tables */
    const char *target_row;             /* JSON, NULL if there is none */
    const char *resolution;             /* "owner", "none", "hold", "open" */
    size_t row_max_bytes;               /* a larger image of the stream's row is left out; 0: none is */
    bool without_rows;                  /* what the rows hold cannot be stored there */
    uint64_t commit_lsn, xid;
};

/* The row by which the change is found: the old one's key; of an insert, the new row's. */
const struct sb_value *sb_conflict_key_row(const struct sb_change *chg);
/* The target's row as JSON; NULL without a row, or for a table whose rows cannot be found. Valid until the
 * writer's next call. */
int sb_conflict_target_row(struct sb_writer *writer, const struct sb_apply_rel *rel,
    const struct sb_value *match, const char **ret_json, struct sb_err *err);

/* Once for a change, kind and resolution: a lane that is held and tried again does not repeat itself. */
int sb_conflict_record(struct sb_writer *writer, const char *migration, const char *direction,
    const struct sb_conflict *conflict, struct sb_err *err);
/* A row as a JSON object, for records that operators ask for: the columns that travelled, or those of the
 * replica identity (all of them, if it has none: then the row is all there is to find it by). NULL for no
 * row, or without memory. The caller frees it. Text that is not UTF-8 has no JSON form and is left out. */
char *sb_row_json(const struct sb_relation *rel, const struct sb_value *row);
char *sb_key_json(const struct sb_relation *rel, const struct sb_value *row);

/* As the control schema has it. */
const char *sb_conflict_op_name(enum sb_op op);

#endif
