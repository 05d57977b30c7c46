/*
 * What the single checks share while they run. Each is one row of a table and one function: it looks, and
 * calls sb_checkup_tell for what it finds. A check that told nothing has passed.
 */
#ifndef SB_SETUP_CHECKUP_H
#define SB_SETUP_CHECKUP_H

#include "setup/control.h"
#include "setup/report.h"
#include "setup/scope.h"

struct sb_checkup_side {
    struct sb_conn *conn; /* NULL: it could not be opened */
    const char *name; /* as the configuration calls it, whatever the direction: "source" is the old side */
    const char *role;
    const char *database;
    const char *encoding;
    bool superuser;
    bool replication;
    bool may_create; /* CREATE on the database */
    bool standby;
    struct sb_control control;
};

struct sb_checkup_pair { /* a published table and its namesake on the target */
    const struct sb_scope_table *source;
    const struct sb_cat_table *target; /* NULL: there is none */
};

/* Does the initial copy make the target's tables? */
enum sb_move {
    SB_MOVE_NOTHING, /* they are there, or have to be */
    SB_MOVE_PLANNED, /* none of them is there: it will */
    SB_MOVE_BEGUN,   /* it has made them, and makes the rest */
};

struct sb_checkup {
    const struct sb_config *config;
    enum sb_direction direction;
    struct sb_names names;
    struct sb_arena *arena;
    struct sb_report *report;
    struct sb_err *err;
    struct sb_checkup_side source;
    struct sb_checkup_side target;
    struct sb_prepared capture; /* found: prepared */
    struct sb_slot_row slot;
    struct sb_scope scope;
    struct sb_checkup_pair *pairs; /* scope.published of them */
    size_t pair_count;
    size_t pairs_there; /* those whose namesake is there */
    enum sb_move move;
    bool narrow;             /* patterns choose some tables only */
    const char *source_oids; /* of the published tables and their namesakes: "{1,2}" */
    const char *target_oids;
    const struct sb_check *running;
    bool told;
    bool advisory; /* what fails is told as a warning: it concerns the way back only */
    bool mendable; /* what is told next is mended by prepare */
};

enum { SB_NEED_SOURCE = 1, SB_NEED_TARGET = 2, SB_NEED_TABLES = 4, SB_NEED_ALL = 7 };

struct sb_check {
    const char *id;                    /* API */
    const char *what;                  /* the prerequisite, in words */
    unsigned needs;                    /* left out where these are not there */
    int (*run)(struct sb_checkup *up); /* 0, or -1 with up->err set */
};

/* A finding of the running check. statement may be NULL. */
int sb_checkup_tell(struct sb_checkup *up, enum sb_result result, enum sb_code code, const char *statement,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Text in the arena; NULL when it is full. */
const char *sb_checkup_text(struct sb_checkup *up, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Quoted, in the arena; NULL when it is full. */
const char *sb_checkup_ident(struct sb_checkup *up, const char *ident);
const char *sb_checkup_table(struct sb_checkup *up, struct sb_view schema, struct sb_view name);
/* Enum labels of the tables' columns: type, label, the type's name and the label quoted. */
int sb_checkup_labels(
    struct sb_checkup *up, struct sb_conn *conn, const char *oids, struct sb_rows **ret_labels);
/* Tells which of `from` are not in `to`, though the type is; where: the side of `to`. */
int sb_checkup_labels_compare(struct sb_checkup *up, const struct sb_rows *from, const struct sb_rows *to,
    enum sb_result result, const char *where);
int sb_checkup_full(struct sb_checkup *up); /* -1 with SB-LIMIT */
/* What stands in up->err, as a finding; -1 if it is none that can be told. */
int sb_checkup_tell_err(struct sb_checkup *up);

/* The tables of checks, in the order they run; each ends with an id of NULL. */
extern const struct sb_check sb_check_source[];
extern const struct sb_check sb_check_target[];
extern const struct sb_check sb_check_tables[];
extern const struct sb_check sb_check_schema[];
extern const struct sb_check sb_check_refusals[];
extern const struct sb_check sb_check_way_back[];
extern const struct sb_check sb_check_stream[];
extern const struct sb_check sb_check_coverage[];

/* A table of checks, as far as what they need is there. */
int sb_checkup_table_run(struct sb_checkup *up, const struct sb_check *checks);
/* The way back's checks, on a checkup of the forward direction: its sides change places. strict: only what
 * arming cannot do without, and what is missing fails instead of warning. */
int sb_checkup_arming(struct sb_checkup *up, bool strict);

#endif
