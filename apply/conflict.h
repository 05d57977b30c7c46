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
};
const char *sb_conflict_name(enum sb_conflict_kind kind);

struct sb_conflict {
    enum sb_conflict_kind kind;
    const struct sb_batch_change *change;
    const char *target_row; /* JSON, NULL if there is none */
    const char *resolution; /* "owner", "none", "hold" */
    uint64_t commit_lsn, xid;
};

/* Once for a change, kind and resolution: a lane that is held and tried again does not repeat itself. */
int sb_conflict_record(struct sb_writer *writer, const char *migration, const char *direction,
    const struct sb_conflict *conflict, struct sb_err *err);
/* A row as a JSON object, for records that operators ask for: the columns that travelled, or those of the
 * replica identity (all of them, if it has none: then the row is all there is to find it by). NULL for no
 * row, or without memory. The caller frees it. Text that is not UTF-8 has no JSON form and is left out. */
char *sb_row_json(const struct sb_relation *rel, const struct sb_value *row);
char *sb_key_json(const struct sb_relation *rel, const struct sb_value *row);

#endif
