/*
 * Records as Avro, in the Confluent wire format: a zero byte, the schema id as four bytes big-endian, the
 * body. The only door to avro-c. docs/STREAM-FORMAT.md has the format for other readers.
 *
 * The fixed kinds have fixed ids (schemas/avro/<name>.avsc): open 1, schema 2, message 3, commit 4,
 * truncate 5. A relation's id is made from its content (source oid, names, columns, types, identity, twins,
 * Avro schemas), so that the same table shape has the same id in every incarnation; a collision moves it to
 * the next free one. Ids of relations are even, start at SB_SCHEMA_ID_FIRST and stay positive as int32; id +
 * 1 is that of the table's key. A writer first learns the schemas its stream has, so that it knows which ids
 * are taken.
 *
 * A change is Debezium's envelope: before, after, source {schema, table, lsn, txId}, op, ts_ms. before is
 * [null, Value, Key]: a key-only old row has the key's columns alone, so absent columns need no state of
 * their own (SB_COL_ABSENT anywhere else is refused). Each column is a union [null, twin, text record,
 * unchanged]. A twin (schemas/twin.h) is written only if reading it back gives the identical server text,
 * else the text travels as it is: numeric NaN, infinite or BC dates, trailing zeros ... all survive. Types
 * without a twin are [null, string, bytes for text that is not UTF-8, unchanged].
 *
 * Rows are written and read by schemas/avro_bytes.h, everything else by avro-c. Measured with gcc -O2 on a
 * two-core server, a row of int, int, int, text of 30 bytes, timestamp, with envelope, key and conversions
 * from and to text: encode 5 to 7 M/s, decode 5 M/s, digest 15 M/s. avro-c's generic values alone, without
 * making or placing any text, write the same body at 2.7 M/s and read it at 1.35 M/s. A commit takes 0.4 us
 * to write and 0.6 us to read (tests/bench/codec_bench).
 *
 * An encoder's results are valid until its next call. Decoded changes, their values and their text live in
 * the arena passed in; relations live in the codec until it is freed.
 */
#ifndef SB_SCHEMAS_CODEC_H
#define SB_SCHEMAS_CODEC_H

#include "core/arena.h"
#include "core/err.h"
#include "schemas/change.h"

enum {
    SB_SCHEMA_ID_OPEN = 1,
    SB_SCHEMA_ID_SCHEMA = 2,
    SB_SCHEMA_ID_MESSAGE = 3,
    SB_SCHEMA_ID_COMMIT = 4,
    SB_SCHEMA_ID_TRUNCATE = 5,
    SB_SCHEMA_ID_FIRST = 1024,
};

struct sb_codec;

int sb_codec_new(struct sb_codec **ret_codec, struct sb_err *err);
void sb_codec_free(struct sb_codec *codec);

/* -- writing (capture)
 * --------------------------------------------------------------------------------------- */

/*
 * Make rel known for writing: computes its Avro schema and id (sets rel->schema_id, rel->codec) and gives the
 * body of its `schema` record. What was computed belongs to the codec; rel may change or go at any time.
 * Calling it again for the same content gives the same id. SB-LIMIT, SB-ENCODING (a NUL in a name).
 */
int sb_codec_relation(
    struct sb_codec *codec, struct sb_relation *rel, struct sb_view *ret_body, struct sb_err *err);
/* rel is not written with any more (a newer relation message replaced it). Its id stays taken. */
void sb_codec_forget(struct sb_codec *codec, struct sb_relation *rel);

struct sb_change_meta { /* what the body says beside the rows */
    uint64_t lsn;       /* of the row's WAL record, as the server sent it */
    uint64_t xid;
    int64_t commit_us; /* whole milliseconds when read back; the commit record has it exactly */
};
/*
 * The key is the Avro of the key columns of the old row if it was sent, else of the new one: which row of the
 * target this is about. Empty for truncates and where no index is the replica identity (FULL: the row itself
 * would be its key).
 * SB-ENCODING: a text has a NUL byte. SB-LIMIT: beyond 2 GiB. SB-INTERNAL: rows that do not fit the op, a
 * relation that was never made known.
 */
int sb_codec_change(struct sb_codec *codec, const struct sb_change *chg, const struct sb_change_meta *meta,
    struct sb_view *ret_key, struct sb_view *ret_body, struct sb_err *err);
int sb_codec_commit(
    struct sb_codec *codec, const struct sb_commit *commit, struct sb_view *ret_body, struct sb_err *err);
int sb_codec_message(
    struct sb_codec *codec, const struct sb_message *msg, struct sb_view *ret_body, struct sb_err *err);
int sb_codec_open(
    struct sb_codec *codec, const struct sb_open *open, struct sb_view *ret_body, struct sb_err *err);

/* -- reading (apply, stream show, verify)
 * ---------------------------------------------------------------------- */

/* Learn a relation from the body of a `schema` record (or a control entry); ret_rel may be NULL. The same id
 * with other content is SB-SCHEMA-MISMATCH; Avro schemas in it that are not those of its table, and an id
 * that no relation can have, are SB-SCHEMA-INVALID. */
int sb_codec_learn(
    struct sb_codec *codec, struct sb_view body, const struct sb_relation **ret_rel, struct sb_err *err);
/* NULL if the id is not known. */
const struct sb_relation *sb_codec_find(const struct sb_codec *codec, uint32_t schema_id);
/* The id in a body's header; SB-LOG-CORRUPT if there is none. */
int sb_codec_schema_id(struct sb_view body, uint32_t *ret_id, struct sb_err *err);

/*
 * An id nobody has told us of is SB-SCHEMA-INVALID; anything that does not decode whole is SB-VALUE-INVALID,
 * naming table and column; a full arena is SB-LIMIT. No length, count or branch is believed before it is
 * checked, and nothing is allocated that the body's own bytes do not stand for (a row of values apart).
 * meta may be NULL.
 */
int sb_codec_read_change(struct sb_codec *codec, struct sb_view body, struct sb_arena *arena,
    struct sb_change *ret_chg, struct sb_change_meta *ret_meta, struct sb_err *err);
int sb_codec_read_commit(
    struct sb_codec *codec, struct sb_view body, struct sb_commit *ret_commit, struct sb_err *err);
int sb_codec_read_message(struct sb_codec *codec, struct sb_view body, struct sb_arena *arena,
    struct sb_message *ret_msg, struct sb_err *err);
int sb_codec_read_open(struct sb_codec *codec, struct sb_view body, struct sb_arena *arena,
    struct sb_open *ret_open, struct sb_err *err);

#endif
