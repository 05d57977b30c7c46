/*
 * A table of the initial copy: what is read, what is written, and in which ranges. Made by copy/plan; the
 * rest is text for statements.
 */
#ifndef SB_COPY_TABLE_H
#define SB_COPY_TABLE_H

#include "pg/catalog.h"
#include "schemas/ranges.h"

struct sb_copy_table {
    struct sb_view schema, name;
    const char *relation; /* "schema"."name", quoted: the key of its rows in the control schema */
    bool source_parted, target_parted; /* partitioned: read and written by its root */
    struct sb_view *columns;           /* travelling columns, by name */
    size_t column_count;
    bool binary;           /* every column has one binary form on both sides */
    enum sb_key_kind kind; /* NONE: one chunk */
    struct sb_view key_column;
    const char *shape;             /* of the source's table when it was planned */
    int64_t pages, rows_estimated; /* of the source's table */
    size_t chunks;                 /* finished and planned */
    size_t chunks_left;            /* planned */
};

struct sb_copy_job {
    struct sb_copy_table *table;
    struct sb_key_range range;
};

/* COPY (SELECT ...) TO STDOUT of a range. */
void sb_copy_table_put_out(const struct sb_copy_job *job, struct sb_buf *sql);
/* COPY ... FROM STDIN. */
void sb_copy_table_put_in(const struct sb_copy_table *table, struct sb_buf *sql);
/* BEGIN, lock the table, then the stamp: snapshot, H, whether this is a standby, and the table's shape. The
 * lock comes first, so that the snapshot is not older than the table (see copy/pipe.h). */
void sb_copy_table_put_stamp(const struct sb_copy_table *table, struct sb_buf *sql);
/* [ONLY] "schema"."name": only that table, and not those that inherit from it, unless it is partitioned. */
void sb_copy_table_put_name(const struct sb_copy_table *table, enum sb_side side, struct sb_buf *sql);

#endif
