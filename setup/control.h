/*
 * The control schema of both sides (schemas/sql): its statements, embedded into the program by the build, and
 * the questions check, prepare and remove ask about it.
 */
#ifndef SB_SETUP_CONTROL_H
#define SB_SETUP_CONTROL_H

#include "config/wiring.h"

enum { SB_CONTROL_FORMAT = 1, SB_LSN_BYTES = 24, SB_UUID_BYTES = 40 };

/* Everything a side needs: both.sql and its own. NUL-terminated, static. */
extern const char sb_control_both_sql[];
extern const char sb_control_source_sql[];
extern const char sb_control_target_sql[];

/* One prepare or remove of a migration at a time: held on the old side until the session ends. Waits 10 s for
 * another one, then SB-SOURCE-UNAVAILABLE. */
int sb_control_lock(struct sb_conn *old, const char *migration, struct sb_err *err);

/* What exists in one database. */
struct sb_control {
    bool schema;   /* schema switchback */
    bool complete; /* and every table that this side needs */
    char uuid[SB_UUID_BYTES];
};
/* SB-STATE-FORMAT if the schema was made by a newer version, SB-ACCESS if it belongs to somebody else. */
int sb_control_read(
    struct sb_conn *conn, enum sb_side as, struct sb_control *ret_control, struct sb_err *err);

/* The row of switchback.capture (on the source of the direction); found false: none, or no such table. */
struct sb_prepared {
    bool found;
    char stream_uuid[SB_UUID_BYTES];
    char target_uuid[SB_UUID_BYTES];
    uint64_t system_identifier;
    uint32_t database_oid;
    char slot[SB_NAME_BYTES];
    char start_lsn[SB_LSN_BYTES];
    uint32_t publication_oid;
    uint32_t publication_keyless_oid;
    int64_t epoch;
};
int sb_control_capture(struct sb_conn *source, const char *migration, enum sb_direction direction,
    struct sb_prepared *ret_row, struct sb_err *err);

/* The row of switchback.progress (on the target of the direction). */
struct sb_progress_row {
    bool found;
    char stream_uuid[SB_UUID_BYTES];
    char source_uuid[SB_UUID_BYTES];
    int64_t sequence; /* 0: nothing was ever applied */
};
int sb_control_progress(struct sb_conn *target, const char *migration, enum sb_direction direction,
    struct sb_progress_row *ret_row, struct sb_err *err);

/* The row of switchback.ownership (on either side). */
struct sb_ownership_row {
    bool found;
    bool new_owns;
    uint64_t epoch;
};
int sb_control_ownership(
    struct sb_conn *conn, const char *migration, struct sb_ownership_row *ret_row, struct sb_err *err);

/* Was this target prepared, and is it whole: is there no initial copy that is still to be done? */
int sb_control_whole(struct sb_conn *target, const char *migration, enum sb_direction direction,
    bool *ret_whole, struct sb_err *err);

/* The row of switchback.copy (on the target of the direction). */
struct sb_copy_row {
    bool found;
    bool structure_pending; /* the copy makes the tables */
    bool structure_begun;   /* and has */
};
int sb_control_copy(struct sb_conn *target, const char *migration, enum sb_direction direction,
    struct sb_copy_row *ret_row, struct sb_err *err);

struct sb_slot_row {
    bool found;
    bool ours;      /* plugin pgoutput, of this database, permanent */
    bool lost;      /* invalidated: its WAL is gone */
    int active_pid; /* 0: nobody reads it */
    char plugin[SB_NAME_BYTES];
    char database[SB_NAME_BYTES];
    char confirmed_lsn[SB_LSN_BYTES];
};
int sb_control_slot(
    struct sb_conn *source, const char *slot, struct sb_slot_row *ret_row, struct sb_err *err);

/* Oid of a replication origin; 0 if there is none. */
int sb_control_origin(struct sb_conn *target, const char *name, uint32_t *ret_oid, struct sb_err *err);
/* All of ours with that name: apply's two and those of the copy's sessions (config/wiring), one a row. */
int sb_control_origins(
    struct sb_conn *target, const char *name, struct sb_rows **ret_names, struct sb_err *err);

#endif
