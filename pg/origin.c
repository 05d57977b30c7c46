#include "pg/origin.h"

#include "core/log.h"

#include <string.h>

static int ask(struct sb_conn *conn, const char *sql, const char *name, struct sb_err *err)
{
    const char *params[] = {name};
    if (sb_conn_query(conn, sql, 1, params, NULL, err) == 0)
        return 0;
    return strcmp(err->sqlstate, "55006") == 0 ? SB_ORIGIN_BUSY : -1;
}

int sb_origin_take(struct sb_conn *conn, const char *name, struct sb_err *err)
{
    static const char create[] =
        "SELECT pg_catalog.pg_replication_origin_create($1) WHERE NOT EXISTS (SELECT "
        "FROM pg_catalog.pg_replication_origin WHERE roname = $1)";
    /* Made by somebody else just now: all the better. */
    if (ask(conn, create, name, err) != 0 && strcmp(err->sqlstate, "23505") != 0)
        return sb_err_add(err, "could not make replication origin \"%s\"", name);
    int rc = ask(conn, "SELECT pg_catalog.pg_replication_origin_session_setup($1)", name, err);
    if (rc != 0)
        return rc < 0 ? sb_err_add(err, "could not take replication origin \"%s\"", name) : rc;
    /* Stays until it is set again: no transaction of the session is without a date. */
    if (sb_conn_exec(conn,
            "SELECT pg_catalog.pg_replication_origin_xact_setup('0/0', pg_catalog.clock_timestamp())",
            err) == 0)
        return 0;
    sb_origin_give_back(conn);
    return -1;
}

void sb_origin_give_back(struct sb_conn *conn)
{
    struct sb_err ignored;
    sb_conn_exec(conn, "SELECT pg_catalog.pg_replication_origin_session_reset()", &ignored);
}

void sb_origin_put_commit(uint64_t lsn, struct sb_buf *sql)
{
    char text[SB_LSN_TEXT_BYTES];
    sb_buf_putf(sql,
        "SELECT pg_catalog.pg_replication_origin_xact_setup('%s', pg_catalog.clock_timestamp()); COMMIT",
        sb_lsn_text(lsn, text));
}

int sb_origin_drop(struct sb_conn *conn, const char *name, struct sb_err *err)
{
    return ask(conn,
        "SELECT pg_catalog.pg_replication_origin_drop(roname) FROM pg_catalog.pg_replication_origin WHERE "
        "roname = $1",
        name, err);
}
