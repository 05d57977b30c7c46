/*
 * The plan of a repair: which of the proven differences it takes on, in which order, and whether it may be
 * run at all. Pure.
 *
 * Left out is what a repair would do wrong, or would hide: rows of tables without a key; differences that
 * somebody else wrote, who must be asked, and those that capture is at fault for, which would come back (both
 * unless they are included); digests over other columns than the table has now.
 *
 * Order: deletes first, those of children (by foreign keys) before those of parents; then writes, parents
 * before children.
 *
 * A budget bounds how much a repair may write and delete. A *pattern* stops it whatever the budget: if one
 * cause explains most of many differences of a table (one column, one kind, one transaction), rows are not
 * what has to be repaired. Columns are known of some differences only, where there are many: what those have
 * in common is taken for all.
 */
#ifndef SB_RECONCILE_REPAIR_PLAN_H
#define SB_RECONCILE_REPAIR_PLAN_H

#include "core/bytes.h"
#include "core/err.h"
#include "reconcile/attribution.h"
#include "reconcile/verdict.h"

enum sb_repair_left { /* why a difference is left out */
    SB_REPAIR_TAKEN,
    SB_REPAIR_LEFT_NO_TABLE, /* the table is not compared now */
    SB_REPAIR_LEFT_NO_KEY,   /* `switchback copy --again` */
    SB_REPAIR_LEFT_COLUMNS,  /* found over other columns */
    SB_REPAIR_LEFT_FOREIGN,  /* unless included */
    SB_REPAIR_LEFT_CAPTURE,  /* the same */
    SB_REPAIR_LEFT_HELD,     /* undone, or an operator said so; the same */
    SB_REPAIR_LEFT_COUNT,
};
const char *sb_repair_left_text(enum sb_repair_left left); /* in words, for people; "" for taken */

struct sb_repair_difference {
    int64_t id;
    uint32_t table; /* index into tables */
    enum sb_verdict_kind kind;
    enum sb_fault_of fault;
    bool held;
    bool keyed;             /* its key's bytes are known */
    bool columns_match;     /* its digests are over the columns that the table has now */
    struct sb_view columns; /* which differ, as text; empty: not known */
    uint64_t xid;           /* that wrote the key last; 0: not known */
    int64_t phase;          /* the planner's */
};

struct sb_repair_table {
    const char *shown;
    bool compared;          /* it can be compared, so repaired, now */
    int64_t rows_estimated; /* 0: not known */
    uint32_t depth;         /* by foreign keys: 0 refers to none, a child is deeper than its parents */
    /* filled by the planner: */
    int64_t deletes, writes;
    int64_t left[SB_REPAIR_LEFT_COUNT];
};

struct sb_repair_edge { /* a foreign key, between tables by their indexes */
    uint32_t child, parent;
};
/* Sets the tables' depths. Circles end somewhere. */
void sb_repair_depths(struct sb_repair_table *tables, size_t table_count, const struct sb_repair_edge *edges,
    size_t edge_count);

struct sb_repair_limits {
    bool include_foreign, include_capture, include_held;
    bool despite_pattern;
    int64_t rows_max, deletes_max;
    int64_t share_max_percent; /* of a table's rows, once there are more than share_rows_min */
    int64_t share_rows_min;
    int64_t pattern_rows_min; /* so many differences of a table are many */
};

enum sb_repair_verdict { SB_REPAIR_MAY, SB_REPAIR_OVER_BUDGET, SB_REPAIR_PATTERN };
const char *sb_repair_verdict_name(enum sb_repair_verdict verdict); /* "may run", "over budget", "pattern" */

struct sb_repair_plan {
    enum sb_repair_verdict verdict;
    int64_t deletes, writes;
    size_t count; /* differences[0 .. count) are the items, in their order */
};

/* Moves the items to the front of differences and sorts them; what is left out is counted in its table. why:
 * in words, unless it may run. */
void sb_repair_plan_make(const struct sb_repair_limits *limits, struct sb_repair_table *tables,
    size_t table_count, struct sb_repair_difference *differences, size_t count,
    struct sb_repair_plan *ret_plan, struct sb_buf *why);

#endif
