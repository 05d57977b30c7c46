#include "copy/witness.h"

#include <stdio.h>
#include <stdlib.h>

enum { ASK_EVERY_MS = 10, NUDGE_AFTER_MS = 100, OLDEST_BYTES = 160 };

enum asked { ASKED_NOTHING, ASKED_FLUSH, ASKED_NUDGE, ASKED_OLDEST };

struct sb_witness {
    struct sb_conn *conn;
    enum asked asked;
    uint64_t flushed, wanted;
    uint64_t flushed_here;   /* on the primary alone */
    int64_t wanted_since_ms; /* or since the last nudge */
    int64_t next_ask_ms;
    bool oldest_wanted;
    char oldest[OLDEST_BYTES];
};

int sb_witness_new(struct sb_conn *conn, struct sb_witness **ret_witness, struct sb_err *err)
{
    struct sb_witness *witness = calloc(1, sizeof *witness);
    if (witness == NULL) {
        sb_conn_close(conn);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the session with the source");
    }
    witness->conn = conn;
    *ret_witness = witness;
    return 0;
}

void sb_witness_free(struct sb_witness *witness)
{
    if (witness == NULL)
        return;
    sb_conn_close(witness->conn);
    free(witness);
}

struct sb_conn *sb_witness_conn(struct sb_witness *witness)
{
    return witness->conn;
}

int sb_witness_barrier(struct sb_witness *witness, uint64_t *ret_xid, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(witness->conn,
            "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE pg_catalog.pg_current_xact_id() "
            "END",
            0, NULL, &rows, err) != 0)
        return sb_err_add(err, "could not get a transaction id");
    if (sb_rows_get(rows, 0, 0) == NULL)
        return sb_err_set(err, SB_E_STAMP_FROM_STANDBY, "the source is in recovery: it is a standby");
    *ret_xid = sb_rows_u64(rows, 0, 0);
    return 0;
}

void sb_witness_want(struct sb_witness *witness, uint64_t lsn, int64_t now_ms)
{
    if (lsn != 0 && witness->wanted == 0) {
        witness->wanted_since_ms = now_ms;
        witness->next_ask_ms = now_ms;
    }
    witness->wanted = lsn;
}

void sb_witness_ask_oldest(struct sb_witness *witness)
{
    witness->oldest_wanted = true;
}

uint64_t sb_witness_flushed(const struct sb_witness *witness)
{
    return witness->flushed;
}

bool sb_witness_waits_for_standby(const struct sb_witness *witness)
{
    return witness->wanted > witness->flushed && witness->wanted <= witness->flushed_here;
}

const char *sb_witness_oldest(const struct sb_witness *witness)
{
    return witness->oldest;
}

/* -- turns ----------------------------------------------------------------------------------------------- */

static int send(struct sb_witness *witness, enum asked what, struct sb_err *err)
{
    static const char *const sqls[] = {
        [ASKED_FLUSH] =
            "SELECT f, LEAST(f, (SELECT min(coalesce(s.restart_lsn, '0/0')) FROM pg_catalog.unnest("
            "pg_catalog.string_to_array(pg_catalog.replace(pg_catalog.current_setting("
            "'synchronized_standby_slots', true), ' ', ''), ',')) n LEFT JOIN "
            "pg_catalog.pg_replication_slots s "
            "ON s.slot_name = n WHERE n <> ''), (SELECT min(flush_lsn) FROM pg_catalog.pg_stat_replication "
            "WHERE sync_state IN ('sync', 'quorum'))) FROM pg_catalog.pg_current_wal_flush_lsn() f",
        [ASKED_NUDGE] = "SELECT pg_catalog.pg_logical_emit_message(true, 'switchback.copy', 'flush')",
        [ASKED_OLDEST] =
            "SELECT what FROM (SELECT pg_catalog.format('process %s of \"%s\" in database \"%s\", for %s s', "
            "pid, usename,"
            " datname, EXTRACT(epoch FROM pg_catalog.clock_timestamp() - xact_start)::bigint) AS what,"
            " pg_catalog.age(backend_xid) AS age FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT "
            "NULL"
            " UNION ALL SELECT pg_catalog.format('prepared transaction \"%s\"', gid), "
            "pg_catalog.age(transaction)"
            " FROM pg_catalog.pg_prepared_xacts) t ORDER BY age DESC LIMIT 1",
    };
    witness->asked = what;
    return sb_conn_send(witness->conn, sqls[what], 0, NULL, err);
}

static int take_answer(struct sb_witness *witness, int64_t now_ms, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int rc = sb_conn_poll(witness->conn, &rows, err);
    if (rc != 0)
        return rc == SB_CONN_PENDING ? 0 : sb_err_add(err, "session with the source");
    enum asked asked = witness->asked;
    witness->asked = ASKED_NOTHING;
    if (asked == ASKED_FLUSH) {
        witness->flushed_here = sb_rows_lsn(rows, 0, 0);
        witness->flushed = sb_rows_lsn(rows, 0, 1);
        witness->next_ask_ms = now_ms + ASK_EVERY_MS;
    } else if (asked == ASKED_NUDGE) {
        witness->next_ask_ms = now_ms;
    } else {
        snprintf(witness->oldest, sizeof witness->oldest, "%s",
            sb_rows_count(rows) > 0 ? sb_rows_get(rows, 0, 0) : "a transaction that this role may not see");
    }
    return 0;
}

int sb_witness_turn(struct sb_witness *witness, int64_t now_ms, struct sb_err *err)
{
    if (witness->asked != ASKED_NOTHING && take_answer(witness, now_ms, err) != 0)
        return -1;
    if (witness->asked != ASKED_NOTHING)
        return 0;
    bool waits = witness->wanted > witness->flushed;
    if (waits && now_ms - witness->wanted_since_ms >= NUDGE_AFTER_MS) {
        witness->wanted_since_ms = now_ms;
        return send(witness, ASKED_NUDGE, err);
    }
    if (waits && now_ms >= witness->next_ask_ms)
        return send(witness, ASKED_FLUSH, err);
    if (witness->oldest_wanted) {
        witness->oldest_wanted = false;
        return send(witness, ASKED_OLDEST, err);
    }
    return 0;
}
