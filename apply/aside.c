#include "apply/aside.h"

#include "core/fault.h"
#include "core/map.h"
#include "pg/ident.h"
#include "pg/origin.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TABLES_MAX = 100000, NAME_MAX_BYTES = 8192, SQL_MAX_BYTES = 4096 };

struct sb_aside {
    bool side; /* for the side reader: these tables, and no others */
    struct sb_map *relations;
    struct sb_map *shapes; /* schema id -> one of the two below */
    struct sb_rows *rows;  /* relation, and in each row the array of all */
};

static char is_aside, is_not; /* values of shapes */

void sb_aside_free(struct sb_aside *aside)
{
    if (aside == NULL)
        return;
    sb_map_free(aside->relations);
    sb_map_free(aside->shapes);
    sb_rows_free(aside->rows);
    free(aside);
}

/* -- reading --------------------------------------------------------------------------------------------- */

static int rows_read(struct sb_conn *conn, const char *migration, const char *direction,
    struct sb_rows **ret_rows, struct sb_err *err)
{
    const char *params[] = {migration, direction};
    if (sb_conn_query(conn,
            "SELECT relation, pg_catalog.array_agg(relation) OVER () FROM switchback.aside WHERE migration = "
            "$1 AND direction = $2",
            2, params, ret_rows, err) == 0)
        return 0;
    if (strcmp(err->sqlstate, "42P01") != 0) /* prepared before there was such a table */
        return sb_err_add(err, "could not read switchback.aside");
    *ret_rows = NULL;
    return 0;
}

int sb_aside_read(struct sb_conn *conn, const char *migration, const char *direction,
    enum sb_lane_number lane, struct sb_aside **ret_aside, struct sb_err *err)
{
    struct sb_aside *aside = calloc(1, sizeof *aside);
    if (aside == NULL || (aside->relations = sb_map_new(TABLES_MAX)) == NULL ||
        (aside->shapes = sb_map_new(TABLES_MAX)) == NULL) {
        sb_aside_free(aside);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the tables that are set aside");
    }
    aside->side = lane == SB_LANE_SIDE;
    int rc = rows_read(conn, migration, direction, &aside->rows, err);
    for (size_t i = 0; rc == 0 && i < sb_aside_count(aside); i++)
        if (!sb_map_put(aside->relations, sb_view_str(sb_rows_get(aside->rows, (int)i, 0)), &is_aside, NULL))
            rc = sb_err_set(err, SB_E_LIMIT, "more than %d tables are set aside", TABLES_MAX);
    if (rc != 0) {
        sb_aside_free(aside);
        return rc;
    }
    *ret_aside = aside;
    return 0;
}

size_t sb_aside_count(const struct sb_aside *aside)
{
    return aside->rows == NULL ? 0 : (size_t)sb_rows_count(aside->rows);
}

const char *sb_aside_array(const struct sb_aside *aside)
{
    return sb_aside_count(aside) == 0 ? "{}" : sb_rows_get(aside->rows, 0, 1);
}

const char *sb_aside_mine(const struct sb_aside *aside)
{
    return aside->side ? "t" : "f";
}

/* -- whose changes --------------------------------------------------------------------------------------- */

bool sb_aside_has(const struct sb_aside *aside, struct sb_view schema, struct sb_view name)
{
    struct sb_buf quoted SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&quoted, NAME_MAX_BYTES);
    sb_ident_put_table(&quoted, schema, name);
    return !quoted.failed && sb_map_get(aside->relations, sb_buf_view(&quoted)) != NULL;
}

static int is_others(
    struct sb_aside *aside, const struct sb_relation *rel, bool *ret_others, struct sb_err *err)
{
    uint32_t id = rel->schema_id;
    const char *found = sb_map_get(aside->shapes, sb_map_key_u32(&id));
    if (found == NULL) {
        found = sb_aside_has(aside, rel->schema, rel->name) ? &is_aside : &is_not;
        if (!sb_map_put(aside->shapes, sb_map_key_u32(&id), (void *)found, NULL))
            return sb_err_set(err, SB_E_LIMIT, "the stream has more than %d table shapes", TABLES_MAX);
    }
    *ret_others = (found == &is_aside) != aside->side;
    return 0;
}

static int truncate_part(struct sb_aside *aside, struct sb_change *chg, struct sb_arena *arena, bool *ret_out,
    bool *ret_split, struct sb_err *err)
{
    uint16_t mine = 0;
    const struct sb_relation **rels = sb_arena_alloc(arena, (chg->truncated_count + 1u) * sizeof *rels);
    if (rels == NULL)
        return sb_err_set(err, SB_E_LIMIT, "the batch arena is full");
    for (uint16_t i = 0; i < chg->truncated_count; i++) {
        bool others;
        if (is_others(aside, chg->truncated[i], &others, err) != 0)
            return -1;
        if (!others)
            rels[mine++] = chg->truncated[i];
    }
    *ret_out = mine == 0;
    *ret_split = mine > 0 && mine < chg->truncated_count;
    chg->truncated = rels;
    chg->truncated_count = mine;
    return 0;
}

int sb_aside_leaves_out(struct sb_aside *aside, struct sb_change *chg, struct sb_arena *arena, bool *ret_out,
    bool *ret_split, struct sb_err *err)
{
    *ret_out = *ret_split = false;
    if (sb_aside_count(aside) == 0 && !aside->side)
        return 0;
    if (chg->op == SB_OP_TRUNCATE)
        return truncate_part(aside, chg, arena, ret_out, ret_split, err);
    return is_others(aside, chg->rel, ret_out, err);
}

/* -- DDL ------------------------------------------------------------------------------------------------- */

/* Does the text have the name of a table set aside in it, as a word of another command or as itself? */
static bool mentions(const struct sb_aside *aside, struct sb_view text)
{
    for (size_t i = 0; i < sb_aside_count(aside); i++) {
        const char *dot = strstr(sb_rows_get(aside->rows, (int)i, 0), "\".\"");
        size_t len = dot == NULL ? 0 : strlen(dot);
        if (len < 5)
            return true;
        struct sb_view name = sb_view(dot + 3, len - 4); /* without "." and " */
        for (size_t at = 0; at + name.len <= text.len; at++)
            if (strncasecmp(text.ptr + at, name.ptr, name.len) == 0)
                return true;
    }
    return false;
}

bool sb_aside_concerns(const struct sb_aside *aside, const struct sb_ddl *ddl)
{
    if (sb_aside_count(aside) == 0)
        return false;
    if (ddl->table_count == 0 || ddl->statement.len == 0 || mentions(aside, ddl->statement))
        return true;
    for (size_t i = 0; i < ddl->table_count; i++)
        if (sb_aside_has(aside, ddl->tables[i].schema, ddl->tables[i].name) ||
            sb_aside_has(aside, ddl->tables[i].root_schema, ddl->tables[i].root_name))
            return true;
    return false;
}

/* -- the end --------------------------------------------------------------------------------------------- */

static const char give_back_sql[] =
    "WITH side AS (DELETE FROM switchback.progress s USING switchback.progress m WHERE s.migration = $1 AND "
    "s.direction = $2 AND s.lane = 1 AND m.migration = s.migration AND m.direction = s.direction AND m.lane "
    "= 0 AND m.commit_lsn = s.commit_lsn AND m.chain = s.chain AND m.ownership_epoch = s.ownership_epoch AND "
    "EXISTS (SELECT FROM switchback.copy c WHERE c.migration = $1 AND c.direction = $2 AND c.state = "
    "'complete') RETURNING s.migration, s.direction, s.changes, s.conflicts), "
    "main AS (UPDATE switchback.progress m SET changes = m.changes + side.changes, conflicts = m.conflicts + "
    "side.conflicts FROM side WHERE m.migration = side.migration AND m.direction = side.direction AND m.lane "
    "= 0), "
    "given AS (DELETE FROM switchback.aside a USING side WHERE a.migration = side.migration AND a.direction "
    "= side.direction) "
    "SELECT count(*) FROM side";

static int give_back(
    struct sb_conn *conn, const struct sb_progress *main, bool *ret_given, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    const char *params[] = {main->migration, main->direction};
    sb_buf_init(&sql, SQL_MAX_BYTES);
    sb_origin_put_commit(0, &sql);
    if (sb_conn_exec(conn, "BEGIN", err) != 0 ||
        sb_conn_query(conn, give_back_sql, 2, params, &rows, err) != 0)
        return -1;
    SB_FAULT("apply-before-merge");
    if (sb_conn_exec(conn, sb_buf_str(&sql), err) != 0)
        return -1;
    SB_FAULT("apply-after-merge");
    *ret_given = sb_rows_i64(rows, 0, 0) > 0;
    return 0;
}

int sb_aside_give_back(
    struct sb_conn *conn, const struct sb_progress *main, bool *ret_given, struct sb_err *err)
{
    struct sb_err ignored;
    *ret_given = false;
    if (give_back(conn, main, ret_given, err) == 0)
        return 0;
    sb_conn_exec(conn, "ROLLBACK", &ignored);
    return sb_err_add(err, "could not give back the tables that were set aside");
}

int sb_aside_ask_again(
    struct sb_conn *conn, const char *migration, const char *direction, const char *why, struct sb_err *err)
{
    const char *params[] = {migration, direction, why};
    if (sb_conn_query(conn,
            "INSERT INTO switchback.copy_wish (migration, direction, relation, reason) SELECT migration, "
            "direction, relation, $3 FROM switchback.aside WHERE migration = $1 AND direction = $2",
            3, params, NULL, err) == 0)
        return 0;
    return sb_err_add(err, "could not ask for tables to be copied again");
}
