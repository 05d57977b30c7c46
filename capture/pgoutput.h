/*
 * pgoutput, protocol version 1, values as text: from frames to changes. Pure: no socket, no clock, no log.
 *
 * One frame (the payload of one XLogData message) goes in, one event comes out. Everything in an event is a
 * view into the frame or into the decoder; it is valid until the next call and no longer than the frame.
 *
 * Layout (PostgreSQL documentation, "Logical Replication Message Formats"); integers big-endian, strings end
 * with NUL:
 *
 *     B  u64 commit LSN (start of the commit record)  i64 time  u32 xid
 *     C  u8 flags=0  u64 commit LSN  u64 end LSN  i64 time
 *     O  u64 LSN on the origin  str name
 *     R  u32 oid  str schema ("" is pg_catalog)  str name  u8 identity  u16 n  n x (u8 key  str name  u32
 * type i32 typmod) Y  u32 oid  str schema  str name I  u32 oid  'N' row U  u32 oid  ['K' key | 'O' row]  'N'
 * row D  u32 oid  'K' key | 'O' row T  u32 n  u8 flags (1 cascade, 2 restart identity)  n x u32 oid M  u8
 * flags (1 transactional)  u64 LSN  str prefix  u32 len  bytes A  u32 xid  u32 subxid  [u64 LSN  i64 time]
 * only as a nuisance, see below row: u16 n  n x ('n' | 'u' | 't' u32 len bytes)
 *
 * Anything else is SB-PROTOCOL: cut short, bytes left over, unknown kinds, flags or states, a column count
 * that is not the relation's, an unknown relation, 'u' where there is nothing to be unchanged from, a binary
 * value (text was asked for), a change outside a transaction, transactions nested or ended twice, commit LSNs
 * that do not ascend. Names, and values unless the source is SQL_ASCII, must be UTF-8 without NUL:
 * SB-ENCODING. The decoder is sticky: after an error every call gives that error again, for what follows
 * cannot be trusted.
 *
 * A relation message *replaces* the cached relation. The replaced one stays alive until the next call, so
 * that its owner can let go of what hangs on it.
 *
 * A stream abort of a transaction that was never sent to us is counted and ignored: PostgreSQL 18 sends them
 * even in protocol 1.
 */
#ifndef SB_CAPTURE_PGOUTPUT_H
#define SB_CAPTURE_PGOUTPUT_H

#include "core/err.h"
#include "schemas/change.h"

enum sb_pgoutput_kind {
    SB_PGOUTPUT_BEGIN,
    SB_PGOUTPUT_COMMIT,
    SB_PGOUTPUT_ORIGIN,
    SB_PGOUTPUT_RELATION,
    SB_PGOUTPUT_TYPE,
    SB_PGOUTPUT_CHANGE,
    SB_PGOUTPUT_MESSAGE,
    SB_PGOUTPUT_ABORT, /* of an unseen transaction: ignore it */
};

struct sb_pgoutput_begin {
    uint64_t commit_lsn;
    int64_t commit_us; /* since 1970 */
    uint32_t xid;      /* 32 bits: the caller widens it */
};

struct sb_pgoutput_commit {
    uint64_t commit_lsn; /* that of the begin */
    uint64_t end_lsn;
    int64_t commit_us;
};

struct sb_pgoutput_event {
    enum sb_pgoutput_kind kind;
    union {
        struct sb_pgoutput_begin begin;
        struct sb_pgoutput_commit commit;
        struct {
            uint64_t lsn;
            struct sb_view name;
        } origin;
        struct {
            struct sb_relation *rel; /* lives until it is replaced */
            struct sb_relation *old; /* the one it replaces, or NULL; lives until the next call */
        } relation;
        struct {
            uint32_t oid;
            struct sb_view name; /* "public.mood" */
        } type;
        struct sb_change change;
        struct {
            struct sb_message msg;
            bool transactional; /* false: outside every transaction, without a place in the order */
        } message;
        struct {
            uint32_t xid;
            uint32_t subxid;
        } abort;
    };
};

/* The name of a built-in type ("pg_catalog.int4"), which pgoutput does not announce; NULL if unknown, which
 * is no error: its values travel as text. The string must live as long as the decoder. */
typedef const char *sb_pgoutput_type_fn(void *arg, uint32_t type_oid);

struct sb_pgoutput_options {
    sb_pgoutput_type_fn *type_name;
    void *type_arg;
    bool any_encoding; /* the source is SQL_ASCII: values are bytes and not checked */
};

struct sb_pgoutput;

struct sb_pgoutput *sb_pgoutput_new(const struct sb_pgoutput_options *options); /* NULL: no memory */
void sb_pgoutput_free(struct sb_pgoutput *decoder);                             /* NULL is fine */

/* 0 with ret_event, or -1 with err: SB-PROTOCOL, SB-ENCODING, SB-LIMIT, SB-NO-MEMORY. */
int sb_pgoutput_decode(struct sb_pgoutput *decoder, struct sb_view frame, struct sb_pgoutput_event *ret_event,
    struct sb_err *err);

/* The relation as last announced, for its owner to hang its schema on; NULL if there is none. */
struct sb_relation *sb_pgoutput_relation(const struct sb_pgoutput *decoder, uint32_t oid);
/* Walk all relations, in no order: start with *pos = 0; NULL at the end. */
struct sb_relation *sb_pgoutput_next_relation(const struct sb_pgoutput *decoder, size_t *pos);
uint64_t sb_pgoutput_aborts_ignored(const struct sb_pgoutput *decoder);

#endif
