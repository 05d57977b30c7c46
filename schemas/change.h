/*
 * The one record that travels: what a change is, on both sides of the stream.
 *
 * capture/pgoutput fills these structs from the wire, schemas/codec writes them as Avro and reads them back,
 * apply/ uses them. Everything is a view into somebody else's bytes; each producer's header says whose and
 * until when. A value is always the *server's own text*: the codec may send an Avro twin (long, bytes ...) in
 * its place, but only where reading it back gives the identical text, so nobody above the codec ever sees a
 * twin.
 *
 * Frozen in format 1: kinds, ops, column states (docs/STREAM-FORMAT.md).
 */
#ifndef SB_SCHEMAS_CHANGE_H
#define SB_SCHEMAS_CHANGE_H

#include "core/bytes.h"

enum sb_kind {
    SB_KIND_OPEN = 1,    /* a capture incarnation begins: struct sb_open */
    SB_KIND_SCHEMA = 2,  /* a relation as decoded at its position: struct sb_relation */
    SB_KIND_CHANGE = 3,  /* struct sb_change */
    SB_KIND_MESSAGE = 4, /* a transactional logical message: struct sb_message */
    SB_KIND_IMAGE = 5,   /* reserved: images of a repair travel as messages; the number is frozen */
    SB_KIND_COMMIT = 6,  /* struct sb_commit: everything of the transaction was sent */
    SB_KIND_PART = 7,    /* a piece of one of the above that is larger than the store takes */
};

enum sb_op { SB_OP_INSERT = 'c', SB_OP_UPDATE = 'u', SB_OP_DELETE = 'd', SB_OP_TRUNCATE = 't' };

enum sb_col_state {
    SB_COL_ABSENT = 0, /* not sent at all: a column outside the key in a key-only old row; nowhere else */
    SB_COL_NULL = 1,
    SB_COL_TEXT = 2,      /* value->text holds it */
    SB_COL_UNCHANGED = 3, /* unchanged TOAST: the new row has the old row's value, which did not travel */
};

struct sb_value {
    enum sb_col_state state;
    struct sb_view
        text; /* empty unless SB_COL_TEXT; NUL-terminated behind len when it comes from the codec */
};

enum { SB_COLS_MAX = 1664 }; /* PostgreSQL: MaxTupleAttributeNumber */

struct sb_column {
    struct sb_view name;
    struct sb_view type_name; /* "pg_catalog.int4", "public.mood" */
    uint32_t type_oid;        /* of the source; means nothing elsewhere from 16384 up */
    int32_t typmod;           /* -1: none */
    bool key;                 /* part of the replica identity (every column, for FULL) */
};

/* A table as the stream knew it at a position. Owned by whoever decoded it (a relation arena). */
struct sb_relation {
    uint32_t oid; /* of the source */
    uint32_t
        schema_id; /* its Avro schema: the four bytes of the Confluent header; 0 until the codec knows it */
    struct sb_view schema;
    struct sb_view name;
    char identity; /* pg_class.relreplident: 'd' default, 'i' index, 'f' full, 'n' nothing */
    uint16_t col_count;
    struct sb_column *cols;
    void *codec; /* private to schemas/codec */
};

struct sb_change {
    enum sb_op op;
    const struct sb_relation *rel; /* NULL for TRUNCATE */
    /* Rows hold rel->col_count values. before: NULL unless the server sent an old row (delete; update with a
     * key change or identity FULL). With old_is_key only key columns are there, the others SB_COL_ABSENT. */
    const struct sb_value *before;
    const struct sb_value *after; /* NULL for delete */
    bool old_is_key;
    /* TRUNCATE: one change for all its tables. */
    const struct sb_relation *const *truncated;
    uint16_t truncated_count;
    bool cascade;
    bool restart_identity;
};

struct sb_message {
    struct sb_view prefix;  /* ours begin with "switchback." */
    struct sb_view content; /* any bytes */
    uint64_t lsn;
};

struct sb_digest {
    unsigned char bytes[16]; /* XXH3-128, canonical (big-endian) form */
};

struct sb_uuid {
    unsigned char bytes[16];
};

struct sb_commit {
    uint64_t commit_lsn;     /* start of the commit record: the transaction's identity within its timeline */
    uint64_t end_lsn;        /* end of the commit record */
    uint64_t xid;            /* 64-bit, top-level */
    int64_t commit_us;       /* wall clock of the source, microseconds since 1970; for people only */
    uint64_t count;          /* changes, messages and images of this transaction */
    struct sb_digest digest; /* over them */
    struct sb_digest chain;  /* over all commits of this stream up to and with this one */
};

/* What `open` states: who writes from here on, and where it goes on. Frozen. */
struct sb_open {
    uint64_t epoch;
    struct sb_uuid incarnation;
    uint64_t start_lsn; /* position confirmed to the slot when this incarnation began */
    /* The base: the newest commit that precedes this record. All zero: the stream begins here. */
    uint64_t base_commit_lsn;
    uint64_t base_sequence;
    struct sb_digest base_chain;
    /* A declared hole: commits in (hole_from_lsn, base_commit_lsn] were applied but are not retained. 0:
     * none. */
    uint64_t hole_from_lsn;
    uint64_t system_identifier;
    uint32_t timeline;
    uint32_t database_oid;
    struct sb_uuid source_uuid; /* our row in the source database */
    uint32_t server_version_num;
    int64_t opened_us;
    struct sb_view program; /* "switchback 0.1.0" */
};

#endif
