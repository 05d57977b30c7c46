/*
 * A table as the compare sees it, and the statements with which it is read. Made by reconcile/plan; the rest
 * is text.
 */
#ifndef SB_RECONCILE_TABLE_H
#define SB_RECONCILE_TABLE_H

#include "pg/catalog.h"
#include "schemas/ranges.h"
#include "schemas/rule.h"

enum sb_strategy {
    SB_STRATEGY_RANGES,    /* ranges of the key's leading column, aligned on both sides */
    SB_STRATEGY_ORDERLESS, /* rows in any order, joined by the key's digest */
    SB_STRATEGY_MULTISET,  /* no key: rows are counted */
    SB_STRATEGY_NONE,      /* not compared; the reason says why */
};
const char *sb_strategy_name(enum sb_strategy strategy);

struct sb_rule_use { /* a rule of the configuration, and what it came to */
    struct sb_rule rule;
    int64_t columns; /* that it holds for */
    int64_t values;  /* that were equal by it, and by their texts were not */
};

struct sb_verify_table {
    uint32_t number; /* in the window */
    struct sb_view schema, name;
    struct sb_view target_schema; /* if it is called otherwise there; else empty */
    const char *relation;         /* "schema"."name", quoted */
    const char *shown;            /* schema.name, for people */
    enum sb_strategy strategy;
    const char *reason;                /* of the strategy, in words */
    const char *omitted;               /* columns that are not compared, and why; "" if there are none */
    bool source_parted, target_parted; /* partitioned: read by its root */
    struct sb_view *columns;           /* compared, in the source's order */
    struct sb_view *equals;            /* how each compares: "=", "OPERATOR(public.=)" */
    uint16_t column_count;
    struct sb_rule_use **rules; /* of each column, NULL where there is none; NULL: the table has none */
    uint16_t ruled_count;       /* columns with a rule */
    uint16_t *key_cols;         /* indexes into columns */
    uint16_t key_count;         /* 0: none */
    enum sb_key_kind kind;      /* of ranges: of columns[key_cols[0]] */
    const char *source_shape, *target_shape;
    int64_t rows_estimated;
    struct sb_ranges ranges; /* one that is open on both sides, unless it is cut */
};

/* BEGIN, then the lock, so that the snapshot is not older than the table; waits for it lock_timeout_ms at
 * most. Then, as the first statement that takes the snapshot, the stamp. */
void sb_verify_put_begin(
    const struct sb_verify_table *table, enum sb_side side, int64_t lock_timeout_ms, struct sb_buf *sql);
/* As an expression: what tells of a side's table whether it was altered. */
void sb_verify_put_shape(const struct sb_verify_table *table, enum sb_side side, struct sb_buf *sql);
/* One row: in recovery, S, H, shape. */
void sb_verify_put_source_stamp(const struct sb_verify_table *table, struct sb_buf *sql);
/* One row, or none without a progress row: commit LSN, timeline, commit time, stream uuid, source uuid,
 * shape, whether an initial copy is pending. */
void sb_verify_put_target_stamp(
    const struct sb_verify_table *table, const char *migration, const char *direction, struct sb_buf *sql);
/* FROM ... WHERE: a range. */
void sb_verify_put_from_range(const struct sb_verify_table *table, enum sb_side side,
    const struct sb_key_range *range, struct sb_buf *sql);
/* COPY out of the compared columns: of a range, or of some keys (as sb_rowform_put_key has them). */
void sb_verify_put_range(const struct sb_verify_table *table, enum sb_side side,
    const struct sb_key_range *range, struct sb_buf *sql);
/* False if a key is none of the table's. The second is the query alone, without COPY. */
bool sb_verify_put_keys(const struct sb_verify_table *table, enum sb_side side, const struct sb_view *keys,
    size_t count, struct sb_buf *sql);
bool sb_verify_put_keys_select(const struct sb_verify_table *table, enum sb_side side,
    const struct sb_view *keys, size_t count, struct sb_buf *sql);
/* FROM and WHERE alone. */
bool sb_verify_put_from_keys(const struct sb_verify_table *table, enum sb_side side,
    const struct sb_view *keys, size_t count, struct sb_buf *sql);
enum { SB_VERIFY_VALUE_MAX_BYTES = 1024 * 1024 * 1024 + 64 }; /* the form of one value */
/* The digest of a value as the compare takes it: under its column's rule. scratch: used during the call. */
struct sb_digest sb_verify_field(const struct sb_verify_table *table, uint16_t column,
    const struct sb_value *value, struct sb_buf *scratch);
/* Of two of them. */
bool sb_verify_field_equal(const struct sb_verify_table *table, uint16_t column, const struct sb_digest *a,
    const struct sb_digest *b);
/* A key as a JSON object of texts, for people: {"id": "42"}. */
bool sb_verify_put_key_json(const struct sb_verify_table *table, struct sb_view key, struct sb_buf *out);

#endif
