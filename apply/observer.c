#include "apply/observer.h"

#include "apply/conflict.h"
#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAID_MAX = 1000, TABLES_BYTES = 200 };

struct rogue { /* a transaction that will be logged */
    uint64_t commit_lsn, xid;
    int64_t commit_us;
    uint64_t writes;
    char tables[TABLES_BYTES];
};

struct sb_observer {
    struct sb_writer *writer;
    const char *migration, *direction;
    uint64_t recorded_before; /* committed rows of switchback.conflict, up to the bound */
    uint64_t recorded;        /* in the open target transaction */
    struct sb_observed sum;
    bool open;         /* now has changes and is not whole */
    uint64_t now_rows; /* of it recorded */
    struct rogue now;
    struct rogue *said; /* whole ones of the open target transaction, at most SAID_MAX of them */
    size_t said_count;
};

/* -- life ------------------------------------------------------------------------------------------------ */

static int count_recorded(struct sb_observer *observer, struct sb_conn *conn, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char most[16];
    const char *params[] = {observer->migration, observer->direction, most};
    snprintf(most, sizeof most, "%d", SB_ROGUE_TOTAL_MAX);
    if (sb_conn_query(conn,
            "SELECT pg_catalog.count(*) FROM (SELECT FROM switchback.conflict WHERE migration = $1"
            " AND direction = $2 AND kind = 'rogue_write' LIMIT $3::integer) c",
            3, params, &rows, err) != 0)
        return sb_err_add(err, "counting the rogue writes recorded so far");
    observer->recorded_before = sb_rows_u64(rows, 0, 0);
    return 0;
}

int sb_observer_new(struct sb_conn *conn, struct sb_writer *writer, const char *migration,
    const char *direction, struct sb_observer **ret_observer, struct sb_err *err)
{
    struct sb_observer *observer = calloc(1, sizeof *observer);
    if (observer != NULL)
        observer->said = calloc(SAID_MAX, sizeof *observer->said);
    if (observer == NULL || observer->said == NULL) {
        free(observer);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the observer");
    }
    observer->writer = writer;
    observer->migration = migration;
    observer->direction = direction;
    if (count_recorded(observer, conn, err) != 0) {
        sb_observer_free(observer);
        return -1;
    }
    *ret_observer = observer;
    return 0;
}

void sb_observer_free(struct sb_observer *observer)
{
    if (observer == NULL)
        return;
    free(observer->said);
    free(observer);
}

/* -- recording ------------------------------------------------------------------------------------------- */

static bool may_record(const struct sb_observer *observer)
{
    return observer->now_rows < SB_ROGUE_ROWS_MAX &&
           observer->recorded_before + observer->recorded < SB_ROGUE_TOTAL_MAX;
}

/* An attempt failed, and has to be undone before the next. False: the error is not about this row. */
static bool undone(struct sb_observer *observer, struct sb_err *err)
{
    return sb_err_class(err) == SB_CLASS_DATA && sb_writer_rollback_to(observer->writer, err) == 0;
}

static int record_try(
    struct sb_observer *observer, const struct sb_conflict *conflict, bool with_owner, struct sb_err *err)
{
    struct sb_conflict whole = *conflict;
    const struct sb_batch_change *change = conflict->change;
    char *owner = NULL;
    if (sb_writer_savepoint(observer->writer, err) != 0)
        return -1;
    if (with_owner) {
        const char *row = NULL;
        if (sb_conflict_target_row(
                observer->writer, change->rel, sb_conflict_key_row(&change->chg), &row, err) != 0)
            return -1;
        /* What was fetched is gone with the next statement. */
        if (row != NULL && strlen(row) <= SB_ROGUE_ROW_MAX_BYTES)
            owner = strdup(row);
    }
    whole.target_row = owner;
    int rc = sb_conflict_record(observer->writer, observer->migration, observer->direction, &whole, err);
    free(owner);
    return rc == 0 ? sb_writer_release(observer->writer, err) : -1;
}

/* With both versions; if that fails for a reason of the row's, without the owner's; if that does, without
 * either. */
static int record(struct sb_observer *observer, struct sb_conflict *conflict, struct sb_err *err)
{
    const struct sb_apply_rel *rel = conflict->change->rel;
    bool with_owner = rel != NULL && sb_apply_has_key(rel, sb_conflict_key_row(&conflict->change->chg));
    if (with_owner) {
        if (record_try(observer, conflict, true, err) == 0)
            return 0;
        if (!undone(observer, err))
            return -1;
    }
    if (record_try(observer, conflict, false, err) == 0)
        return 0;
    conflict->without_rows = true;
    if (!undone(observer, err))
        return -1;
    return record_try(observer, conflict, false, err);
}

static int record_change(
    struct sb_observer *observer, const struct sb_batch_change *change, struct sb_err *err)
{
    uint16_t tables = change->chg.op == SB_OP_TRUNCATE ? change->chg.truncated_count : 1;
    for (uint16_t i = 0; i < tables && may_record(observer); i++) {
        struct sb_conflict conflict = {.kind = SB_CONFLICT_ROGUE_WRITE,
            .change = change,
            .relation = change->chg.op == SB_OP_TRUNCATE ? change->chg.truncated[i] : change->chg.rel,
            .row_max_bytes = SB_ROGUE_ROW_MAX_BYTES,
            .resolution = "open",
            .commit_lsn = observer->now.commit_lsn,
            .xid = observer->now.xid};
        if (record(observer, &conflict, err) != 0)
            return sb_err_add(err, "recording a rogue write");
        observer->now_rows++;
        observer->recorded++;
        SB_FAULT("apply-rogue-recorded");
    }
    return 0;
}

/* -- what will be said ------------------------------------------------------------------------------------
 */

static void name_table(struct rogue *rogue, const struct sb_relation *rel)
{
    char name[2 * 64 + 2];
    size_t used = strlen(rogue->tables);
    snprintf(name, sizeof name, "%.*s.%.*s", (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len,
        rel->name.ptr);
    if (strstr(rogue->tables, name) != NULL) /* or a longer name that holds it: it is for people */
        return;
    size_t len = strlen(name) + (used > 0 ? 1 : 0);
    if (used + len < sizeof rogue->tables)
        snprintf(rogue->tables + used, sizeof rogue->tables - used, "%s%s", used > 0 ? "," : "", name);
}

static void name_tables(struct rogue *rogue, const struct sb_batch_change *change)
{
    if (change->chg.op != SB_OP_TRUNCATE)
        name_table(rogue, change->chg.rel);
    for (uint16_t i = 0; change->chg.op == SB_OP_TRUNCATE && i < change->chg.truncated_count; i++)
        name_table(rogue, change->chg.truncated[i]);
}

int sb_observer_take(struct sb_observer *observer, uint64_t commit_lsn, uint64_t xid,
    const struct sb_batch_change *changes, size_t count, struct sb_err *err)
{
    if (count > 0 && !observer->open) {
        observer->now = (struct rogue){.commit_lsn = commit_lsn, .xid = xid};
        observer->now_rows = 0;
        observer->open = true;
    }
    for (size_t i = 0; i < count; i++) {
        if (may_record(observer) && record_change(observer, &changes[i], err) != 0)
            return -1;
        name_tables(&observer->now, &changes[i]);
    }
    observer->now.writes += count;
    observer->sum.writes += count;
    return 0;
}

void sb_observer_whole(struct sb_observer *observer, int64_t commit_us)
{
    if (!observer->open)
        return;
    observer->open = false;
    observer->now.commit_us = commit_us;
    observer->sum.transactions++;
    if (observer->said_count < SAID_MAX)
        observer->said[observer->said_count++] = observer->now;
}

struct sb_observed sb_observer_sum(const struct sb_observer *observer)
{
    return observer->sum;
}

static void say(const struct rogue *rogue)
{
    char at[SB_TIME_TEXT_BYTES], lsn[SB_LSN_TEXT_BYTES];
    struct sb_err err;
    sb_err_set(&err, SB_E_ROGUE_WRITE,
        "transaction %" PRIu64 " at %s, committed at %s, made %" PRIu64 " changes in %s", rogue->xid,
        sb_lsn_text(rogue->commit_lsn, lsn), sb_clock_text(rogue->commit_us, at), rogue->writes,
        rogue->tables);
    sb_log_err(SB_LOG_WARNING, &err, "recorded, not applied");
}

void sb_observer_committed(struct sb_observer *observer)
{
    for (size_t i = 0; i < observer->said_count; i++)
        say(&observer->said[i]);
    if (observer->sum.transactions > observer->said_count)
        SB_WARN("and more transactions of rogue writes, each counted",
            SB_NUM("transactions", observer->sum.transactions - observer->said_count));
    observer->recorded_before += observer->recorded;
    sb_observer_forget(observer);
}

void sb_observer_forget(struct sb_observer *observer)
{
    observer->recorded = 0;
    observer->said_count = 0;
    observer->sum = (struct sb_observed){0};
    observer->open = false;
}
