/*
 * What the stream does not carry, counted on this source, so that silence is never read as parity.
 * Information only: the user decides what to do about it.
 */
#include "setup/checkup.h"

#include <inttypes.h>
#include <string.h>

/* A count and a few names; $1: the oids of the published tables. */
#define NAMED(from)                                                                                          \
    "SELECT pg_catalog.count(*), (pg_catalog.array_to_string((pg_catalog.array_agg(x.name ORDER BY x.name))" \
    "[1:5], ', ')) FROM (SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS name " from ") x"
#define RELATIONS(where)                                                                                     \
    NAMED("FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"              \
          " WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'switchback')"             \
          " AND $1::pg_catalog.oid[] IS NOT NULL AND " where)

static const struct {
    const char *noun;
    const char *sql;
    const char *advice;
    enum sb_result result; /* INFO unless it looks as if it travelled */
} uncovered[] = {
    {"sequences", RELATIONS("c.relkind = 'S'"),
        "their positions do not travel: `switchback run` keeps them ahead, unless sequences.keep_ahead is "
        "false",
        SB_RESULT_INFO},
    {"materialized views", RELATIONS("c.relkind = 'm'"), "refresh them on the target", SB_RESULT_INFO},
    {"unlogged tables", RELATIONS("c.relpersistence = 'u' AND c.relkind IN ('r', 'p')"),
        "their rows are in no WAL: ALTER TABLE ... SET LOGGED, or copy them", SB_RESULT_INFO},
    {"unlogged partitions of published tables",
        RELATIONS("c.relispartition AND c.relpersistence = 'u'"
                  " AND pg_catalog.pg_partition_root(c.oid) = ANY ($1::pg_catalog.oid[])"),
        "their table is published, but their rows are in no WAL: ALTER TABLE ... SET LOGGED", SB_RESULT_WARN},
    {"tables without a replica identity",
        RELATIONS("c.oid = ANY ($1::pg_catalog.oid[]) AND (c.relreplident = 'n' OR (c.relreplident = 'd'"
                  " AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND "
                  "i.indisprimary)))"),
        "their updates and deletes do not travel", SB_RESULT_INFO},
    {"foreign tables", RELATIONS("c.relkind = 'f'"), "their rows live elsewhere", SB_RESULT_INFO},
    {"tables outside the migration",
        RELATIONS("c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition"
                  " AND c.oid <> ALL ($1::pg_catalog.oid[])"),
        "no pattern of tables.include chooses them", SB_RESULT_INFO},
    {"generated columns",
        NAMED(
            "FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"
            " WHERE a.attgenerated <> '' AND NOT a.attisdropped AND a.attrelid = ANY ($1::pg_catalog.oid[])"),
        "the target computes them by its own definition", SB_RESULT_INFO},
    {"partitioned tables", RELATIONS("c.relkind = 'p' AND c.oid = ANY ($1::pg_catalog.oid[])"),
        "TRUNCATE of a single partition, and rows that come or go by ATTACH or DETACH PARTITION, do not "
        "travel",
        SB_RESULT_INFO},
    {"large objects",
        "SELECT (pg_catalog.count(*) > 0)::integer, 'some' FROM"
        " (SELECT FROM pg_catalog.pg_largeobject_metadata WHERE $1::pg_catalog.oid[] IS NOT NULL LIMIT 1) x",
        "they are in no publication: copy them with pg_dump --large-objects", SB_RESULT_INFO},
};

static int uncovered_check(struct sb_checkup *up)
{
    const char *const params[] = {up->source_oids};
    for (size_t i = 0; i < sizeof uncovered / sizeof uncovered[0]; i++) {
        SB_CLEANUP(sb_rows_freep)
        struct sb_rows *rows = NULL;
        if (sb_conn_query(up->source.conn, uncovered[i].sql, 1, params, &rows, up->err) < 0)
            return -1;
        int64_t count = sb_rows_i64(rows, 0, 0);
        const char *names = sb_rows_get(rows, 0, 1);
        if (count > 0 && sb_checkup_tell(up, uncovered[i].result, SB_E_PUBLICATION, NULL,
                             "%" PRId64 " %s (%s%s): %s", count, uncovered[i].noun,
                             names == NULL ? "" : names, count > 5 ? ", ..." : "", uncovered[i].advice) < 0)
            return -1;
    }
    return 0;
}

static int always_check(struct sb_checkup *up)
{
    static const char *const words[] = {
        "rows that were there before `prepare`: copy them, the stream begins at the slot",
        "rows rewritten by DDL (a volatile default, a changed type): it is held, and the table copied again",
        "DDL of views, functions, triggers, policies, roles and grants",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (sb_checkup_tell(up, SB_RESULT_INFO, SB_OK, NULL, "%s", words[i]) < 0)
            return -1;
    }
    return 0;
}

const struct sb_check sb_check_coverage[] = {
    {"coverage.objects", "what the stream does not carry", SB_NEED_SOURCE | SB_NEED_TABLES, uncovered_check},
    {"coverage.always", "what no stream carries", 0, always_check},
    {NULL, NULL, 0, NULL},
};
