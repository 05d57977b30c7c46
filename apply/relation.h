/*
 * A table as apply sees it: the stream's relation joined with the target's catalog, by names.
 *
 * Built once for each schema id; kept for the life of an incarnation. A target table that is altered
 * meanwhile is noticed by its stamp (apply/target), and the next incarnation reads the catalog afresh.
 */
#ifndef SB_APPLY_RELATION_H
#define SB_APPLY_RELATION_H

#include "core/arena.h"
#include "core/err.h"
#include "pg/catalog.h"
#include "schemas/change.h"

struct sb_apply_column {
    struct sb_view name;      /* unquoted */
    struct sb_view cast_type; /* of the target, without length: "numeric", "bpchar" */
    struct sb_view equal;     /* how a key column compares: an extension's type has an operator of its own */
    bool domain;              /* its type is one: cast_type is another */
    const struct sb_cat_column *narrower; /* the target's, if not every value of the source's fits; or NULL */
    bool settable;                        /* may stand in SET: not identity ALWAYS */
};

struct sb_deferrable;

struct sb_apply_rel {
    const struct sb_relation *rel; /* the stream's; cols[i] belongs to rel->cols[i] */
    struct sb_apply_column *cols;
    uint16_t key_count; /* 0: no key; rows are matched whole (identity FULL) or only inserted */
    uint16_t *key_cols; /* indexes into cols */
    bool exact_only; /* set-wise writing would differ from row by row, or is not possible; reason says why */
    const char *exact_reason;
    bool ordinary;         /* neither partitioned nor anything else: ONLY keeps to it */
    bool keeps_columns;    /* the target has columns the stream does not: delete + insert would lose them */
    bool identity_always;  /* some column is; it can be inserted, but not set */
    bool fixed_beside_key; /* ... and is not in the key, so that an update does not show that it changes */
    bool key_unique;       /* the target has a unique index that proves it */
    const struct sb_deferrable *deferrables; /* constraints that must be probed */
    size_t deferrable_count;
    bool no_on_conflict; /* the server refuses that clause: a deferrable constraint, or a rule ON UPDATE */
    struct sb_view oid_text; /* of the target table, NUL-terminated */
    struct sb_view stamp;
    struct sb_view target_schema; /* same as the stream's for now; mapping comes later */
    struct sb_view target_name;
};

/* By name only; apply/target completes it. SB-TARGET-STRUCTURE if the target has no such table or lacks a
 * column, naming both and the statement that helps. Lives in arena; rel must live as long. */
int sb_apply_rel_make(const struct sb_relation *rel, const struct sb_cat_table *table, struct sb_arena *arena,
    struct sb_apply_rel **ret_rel, struct sb_err *err);

/* Does the target have room for each value of the row? SB-POISON with table, column and way out if not. */
int sb_apply_holds(const struct sb_apply_rel *rel, const struct sb_value *row, struct sb_err *err);

/* The old row's key for an update or delete: before if the server sent one, else after. */
const struct sb_value *sb_apply_old_key(const struct sb_change *chg);
/* Does an update move the row to another key? */
bool sb_apply_key_moves(const struct sb_apply_rel *rel, const struct sb_change *chg);
/* Is every key column of the row a text value? */
bool sb_apply_has_key(const struct sb_apply_rel *rel, const struct sb_value *row);

#endif
