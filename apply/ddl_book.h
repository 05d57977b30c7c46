/*
 * The book of DDL: rows of switchback.ddl on the target, one for each command that apply has run, and for the
 * one it stands at until an operator decides. Everything is written in the session's open transaction.
 */
#ifndef SB_APPLY_DDL_BOOK_H
#define SB_APPLY_DDL_BOOK_H

#include "apply/progress.h"
#include "core/arena.h"

struct sb_ddl_place { /* of a command in the stream */
    const char *migration, *direction;
    uint64_t commit_lsn, xid, ordinal;
};

enum sb_ddl_decision { SB_DDL_UNDECIDED, SB_DDL_APPROVED, SB_DDL_SKIPPED };

struct sb_ddl_entry {
    struct sb_ddl_place place;
    bool relation; /* a changed table without a message; else a statement */
    struct sb_view tag;
    struct sb_view statement;    /* empty: not known */
    struct sb_view role;         /* empty: not known */
    struct sb_view path;         /* as text[] */
    struct sb_view relations;    /* as text[] */
    struct sb_view copied_again; /* as text[] */
    const char *reason;
    bool breaks_way_back;
};

/* What an operator has decided about this entry; by whom is in the row. */
int sb_ddl_book_decision(struct sb_conn *conn, const struct sb_ddl_entry *entry,
    enum sb_ddl_decision *ret_decision, struct sb_err *err);
/* The place of the changed table (without a message) that apply stands at, decided or not. */
int sb_ddl_book_stood(struct sb_conn *conn, const char *migration, const char *direction, bool *ret_found,
    uint64_t *ret_commit_lsn, uint64_t *ret_ordinal, struct sb_err *err);
/* Write it down as held; a row that is there is brought up to date. */
int sb_ddl_book_hold(
    struct sb_conn *conn, const struct sb_ddl_entry *entry, char ret_id[24], struct sb_err *err);
/* The initial copy has nothing to do with a table that was born in the stream, quoted: all of its rows come
 * behind. */
int sb_ddl_book_born(struct sb_conn *conn, const struct sb_ddl_place *place, const char *relation,
    uint32_t timeline, struct sb_err *err);
/* Its tables are to be copied again behind its transaction (apply/recopy). False: this migration has no
 * initial copy, so it is the operator who sees to their rows. */
int sb_ddl_book_wish(
    struct sb_conn *conn, const struct sb_ddl_entry *entry, bool *ret_wished, struct sb_err *err);
/* Its transaction passes it: applied, or skipped as decided. */
int sb_ddl_book_pass(
    struct sb_conn *conn, const struct sb_ddl_entry *entry, bool skipped, struct sb_err *err);

#endif
