#include "apply/strangers.h"

#include "core/map.h"
#include "pg/ident.h"

#include <stdlib.h>
#include <string.h>

enum { TABLES_MAX = 100000, SQL_MAX_BYTES = 8192 };

struct sb_strangers {
    struct sb_conn *conn;
    const char *migration, *direction;
    struct sb_map *known;  /* relations that were copied, or at least asked for */
    struct sb_map *shapes; /* schema ids that are no strangers */
};

void sb_strangers_free(struct sb_strangers *strangers)
{
    if (strangers == NULL)
        return;
    sb_map_free(strangers->known);
    sb_map_free(strangers->shapes);
    free(strangers);
}

static int fill(struct sb_strangers *strangers, const struct sb_rows *rows, struct sb_err *err)
{
    for (int i = 0; i < sb_rows_count(rows); i++)
        if (!sb_map_put(strangers->known, sb_view_str(sb_rows_get(rows, i, 0)), strangers, NULL))
            return sb_err_set(err, SB_E_LIMIT, "the initial copy has more than %d tables", TABLES_MAX);
    return 0;
}

int sb_strangers_new(struct sb_conn *conn, const struct sb_progress *progress,
    struct sb_strangers **ret_strangers, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {progress->migration, progress->direction};
    *ret_strangers = NULL;
    if (sb_conn_query(conn,
            "SELECT t.relation FROM switchback.copy c LEFT JOIN (SELECT relation FROM switchback.copy_table "
            "WHERE migration = $1 AND direction = $2 UNION SELECT relation FROM switchback.copy_wish WHERE "
            "migration = $1 AND direction = $2 AND done_at IS NOT NULL) t ON true WHERE c.migration = $1 AND "
            "c.direction = $2 AND (c.state = 'complete' OR c.state = 'pending' AND "
            "coalesce((pg_catalog.to_jsonb(c) ->> 'beside')::boolean, false))",
            2, params, &rows, err) != 0)
        return strcmp(err->sqlstate, "42P01") == 0 ? 0 : sb_err_add(err, "could not read switchback.copy");
    if (sb_rows_count(rows) == 0)
        return 0;
    struct sb_strangers *strangers = calloc(1, sizeof *strangers);
    if (strangers == NULL || (strangers->known = sb_map_new(TABLES_MAX)) == NULL ||
        (strangers->shapes = sb_map_new(TABLES_MAX)) == NULL) {
        sb_strangers_free(strangers);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the tables of the initial copy");
    }
    strangers->conn = conn;
    strangers->migration = progress->migration;
    strangers->direction = progress->direction;
    if (fill(strangers, rows, err) != 0) {
        sb_strangers_free(strangers);
        return -1;
    }
    *ret_strangers = strangers;
    return 0;
}

/* Is the target's table there, and empty, and was not made by DDL of the stream meanwhile (apply/ddl_book)?
 */
static int is_empty(struct sb_strangers *strangers, const char *relation, bool *ret_empty, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *there = NULL, *rows = NULL;
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    const char *params[] = {relation, strangers->migration, strangers->direction};
    *ret_empty = false;
    sb_buf_init(&sql, SQL_MAX_BYTES);
    if (sb_conn_query(strangers->conn,
            "SELECT 1 FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1) AND relkind IN ('r', "
            "'p') AND NOT EXISTS (SELECT FROM switchback.copy_table WHERE migration = $2 AND direction = $3 "
            "AND relation = $1)",
            3, params, &there, err) != 0)
        return -1;
    if (sb_rows_count(there) == 0)
        return 0; /* whoever applies the change will say so */
    sb_buf_putf(&sql, "SELECT 1 FROM %s LIMIT 1", relation);
    if (sb_conn_query(strangers->conn, sb_buf_str(&sql), 0, NULL, &rows, err) != 0)
        return -1;
    *ret_empty = sb_rows_count(rows) == 0;
    return 0;
}

int sb_strangers_is(
    struct sb_strangers *strangers, const struct sb_relation *rel, bool *ret_is, struct sb_err *err)
{
    uint32_t id = rel->schema_id;
    struct sb_buf name SB_CLEANUP(sb_buf_clear);
    *ret_is = false;
    sb_buf_init(&name, SQL_MAX_BYTES);
    if (strangers == NULL || sb_map_get(strangers->shapes, sb_map_key_u32(&id)) != NULL)
        return 0;
    sb_ident_put_table(&name, rel->schema, rel->name);
    if (name.failed)
        return 0;
    if (sb_map_get(strangers->known, sb_buf_view(&name)) == NULL &&
        is_empty(strangers, sb_buf_str(&name), ret_is, err) != 0)
        return -1;
    if (!*ret_is && !sb_map_put(strangers->shapes, sb_map_key_u32(&id), strangers, NULL))
        return sb_err_set(err, SB_E_LIMIT, "the stream has more than %d table shapes", TABLES_MAX);
    return 0;
}
