/*
 * Is this the source that was prepared, and is its slot the one we confirmed? Asked on every connect, before
 * a single change is believed. Every disagreement is a named halt:
 *
 *     SB-NOT-PREPARED       there is no row of this migration in switchback.capture, and never was
 *     SB-SOURCE-REWOUND     there was one: the stream was captured from this database
 *     SB-SOURCE-IDENTITY    another cluster (system identifier) or database (oid) than prepare wrote down
 *     SB-SOURCE-CONFIG      wal_level is not logical
 *     SB-SOURCE-UNAVAILABLE it is in recovery: a standby, or one that has not been promoted yet
 *     SB-SLOT-LOST          there is no such slot, or its WAL is gone
 *     SB-SLOT-MOVED         a slot of that name, but of another plugin, kind or database
 *     SB-PUBLICATION        a publication is missing, another one under its name, or publishes something else
 *
 * The epoch is claimed here too: by compare-and-set in switchback.capture, while the slot is held.
 */
#ifndef SB_CAPTURE_IDENTITY_H
#define SB_CAPTURE_IDENTITY_H

#include "config/wiring.h"
#include "pg/catalog.h"
#include "schemas/change.h"

/* What prepare wrote into switchback.capture, and who claimed last. */
struct sb_capture_row {
    struct sb_uuid stream_uuid;
    struct sb_uuid target_uuid;
    uint64_t system_identifier;
    uint32_t database_oid;
    uint64_t start_lsn;
    uint32_t publication_oid;         /* 0: there is none */
    uint32_t publication_keyless_oid; /* 0: there is none */
    uint64_t epoch;
    struct sb_uuid incarnation; /* all zero: nobody has claimed yet */
};

struct sb_source_identity {
    struct sb_server_id server;
    struct sb_uuid source_uuid; /* our row in that database */
    struct sb_capture_row row;
    int server_version;
    bool sql_ascii;                /* server_encoding: text may be any bytes */
    int64_t wal_sender_timeout_ms; /* 0: none */
    uint64_t next_xid;
    uint64_t insert_lsn;
    const char *publications[2]; /* those that exist; of the names given */
    size_t publication_count;
};

/* What the stream says of the server it was captured from. All zero: it says nothing yet. */
struct sb_known_source {
    uint64_t system_identifier;
    uint32_t database_oid;
};

/* names must outlive the identity. known is compared before anything else is asked for: a server that was
 * never prepared must not answer with the advice to prepare it where the migration is under way. */
int sb_identity_prove(struct sb_conn *conn, const char *migration, const char *direction,
    const struct sb_names *names, const struct sb_known_source *known,
    struct sb_source_identity *ret_identity, struct sb_err *err);

/* The publications, asked for again and again while capture runs, because the server may say nothing when one
 * of them is dropped (PostgreSQL 18 goes on without it). $1 and $2 migration and direction, $3 and $4 the
 * names of the keyed and the keyless one; the answer goes to sb_identity_check_publications. */
extern const char sb_identity_publications_sql[];
int sb_identity_check_publications(const struct sb_rows *rows, struct sb_err *err);

/* Once the slot is held: how far the source writes is read again, for whoever held the slot before may have
 * captured what was written since it was read first. SB-SLOT-BUSY if another capture has claimed an epoch
 * since then: what was read of the stream and the target may be older than what it did. */
int sb_identity_refresh(struct sb_conn *conn, const char *migration, const char *direction,
    struct sb_source_identity *identity, struct sb_err *err);

struct sb_slot {
    uint64_t confirmed_lsn;
    uint64_t restart_lsn;
    int32_t active_pid; /* 0: nobody reads it */
    bool unreserved;    /* the next checkpoint may take its WAL away */
};
int sb_identity_slot(struct sb_conn *conn, const char *slot, struct sb_slot *ret_slot, struct sb_err *err);

/* epoch old -> new, by this incarnation. SB-EPOCH-STALE if somebody else has claimed since old was read. */
int sb_identity_claim(struct sb_conn *conn, const char *migration, const char *direction, uint64_t old_epoch,
    uint64_t new_epoch, const struct sb_uuid *incarnation, struct sb_err *err);
/* Is the claim still ours? SB-EPOCH-STALE; SB-EPOCH-CLASH if the epoch is ours and the incarnation is not. */
int sb_identity_check_claim(uint64_t epoch, const struct sb_uuid *incarnation, uint64_t row_epoch,
    const struct sb_uuid *row_incarnation, struct sb_err *err);

#endif
