/*
 * The fixed kinds (open, schema, message, commit, truncate), written and read through avro-c by the schemas
 * in schemas/avro/. They are rare beside rows, so plainness rules here: a value is made for each call. Bodies
 * are checked by schemas/avro_check before avro-c sees them. The Confluent header is the caller's.
 */
#ifndef SB_SCHEMAS_FIXED_H
#define SB_SCHEMAS_FIXED_H

#include "schemas/codec.h"
#include "schemas/shape.h"

struct sb_fixed;

int sb_fixed_new(struct sb_fixed **ret_fixed, struct sb_err *err);
void sb_fixed_free(struct sb_fixed *fixed); /* NULL is fine */

/* Milliseconds in bodies, microseconds in memory; rounding down. False if ms does not fit. */
static inline int64_t sb_us_to_ms(int64_t us)
{
    return us / 1000 - (us % 1000 < 0);
}
static inline bool sb_ms_to_us(int64_t ms, int64_t *ret_us)
{
    return !__builtin_mul_overflow(ms, 1000, ret_us);
}

/* Each appends the Avro body to out. */
int sb_fixed_put_open(
    struct sb_fixed *fixed, const struct sb_open *open, struct sb_buf *out, struct sb_err *err);
int sb_fixed_put_message(
    struct sb_fixed *fixed, const struct sb_message *msg, struct sb_buf *out, struct sb_err *err);
int sb_fixed_put_commit(const struct sb_commit *commit, struct sb_buf *out, struct sb_err *err);
int sb_fixed_put_truncate(struct sb_fixed *fixed, const struct sb_change *chg,
    const struct sb_change_meta *meta, struct sb_buf *out, struct sb_err *err);
int sb_fixed_put_schema(struct sb_fixed *fixed, const struct sb_draft *draft, uint32_t id, struct sb_buf *out,
    struct sb_err *err);

/* Each reads a whole body; text is copied into arena, NUL-terminated. */
int sb_fixed_get_open(struct sb_fixed *fixed, struct sb_view body, struct sb_arena *arena,
    struct sb_open *ret_open, struct sb_err *err);
int sb_fixed_get_message(struct sb_fixed *fixed, struct sb_view body, struct sb_arena *arena,
    struct sb_message *ret_msg, struct sb_err *err);
int sb_fixed_get_commit(struct sb_view body, struct sb_commit *ret_commit, struct sb_err *err);

struct sb_truncate { /* tables by id, with the names they must have */
    struct sb_truncated {
        struct sb_view schema;
        struct sb_view table;
        uint32_t schema_id;
    } * tables;
    uint16_t count;
    bool cascade;
    bool restart_identity;
    struct sb_change_meta meta;
};
int sb_fixed_get_truncate(struct sb_fixed *fixed, struct sb_view body, struct sb_arena *arena,
    struct sb_truncate *ret_truncate, struct sb_err *err);

struct sb_schema_record {
    struct sb_relation rel; /* with its schema_id */
    uint8_t *twins;
    struct sb_view envelope;
    struct sb_view key;
};
int sb_fixed_get_schema(struct sb_fixed *fixed, struct sb_view body, struct sb_arena *arena,
    struct sb_schema_record *ret_record, struct sb_err *err);

#endif
