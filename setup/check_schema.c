/* Whether the initial copy makes the target's tables, and whether it can. */
#include "pg/programs.h"
#include "setup/checkup.h"

#include <string.h>

enum { CLASHES_TOLD_MAX = 20 };

static int programs_check(struct sb_checkup *up)
{
    struct sb_pg_programs programs;
    struct sb_err none;
    int major = sb_conn_version(up->source.conn) / 10000;
    if (up->move != SB_MOVE_PLANNED)
        return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "not needed: %s",
            up->move == SB_MOVE_BEGUN ? "the structure has been read" : "the initial copy makes no tables");
    if (sb_pg_programs_find(up->config->copy.pg_bin, major, &programs, &none) != 0)
        return sb_checkup_tell(up, SB_RESULT_FAIL, none.code, NULL, "%s. %s", none.text, none.hint);
    return sb_checkup_tell(
        up, SB_RESULT_PASS, SB_OK, NULL, "%s of PostgreSQL %d", programs.dump, programs.major);
}

/* What has a name that a second one could not have: by name, and for people. Members of extensions come with
 * those. */
static const char objects_sql[] =
    "SELECT pg_catalog.concat_ws(' ', sort, name) COLLATE pg_catalog.\"C\", pg_catalog.concat_ws(' ', kind, "
    "name) FROM ("
    "SELECT 'relation' AS sort, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN "
    "'S' THEN "
    "'sequence' WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' WHEN 'c' THEN 'type' ELSE 'table' END AS kind, "
    "pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, n.nspname, "
    "'pg_catalog.pg_class'::pg_catalog.regclass AS "
    "class, c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE "
    "c.relkind "
    "<> 't'"
    " UNION ALL SELECT 'type', 'type', pg_catalog.format('%I.%I', n.nspname, t.typname), n.nspname, "
    "'pg_catalog.pg_type'::pg_catalog.regclass, t.oid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace "
    "n"
    " ON n.oid = t.typnamespace WHERE t.typrelid = 0 AND t.typcategory <> 'A'"
    " UNION ALL SELECT 'function', 'function', pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, "
    "pg_catalog.pg_get_function_identity_arguments(p.oid)), n.nspname, "
    "'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid "
    "FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace) o"
    " WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'switchback') AND nspname !~ "
    "'^pg_(toast|temp)'"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND "
    "d.deptype = "
    "'e') ORDER BY 1";

static int clash_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *source = NULL, *target = NULL;
    int told = 0;
    if (up->move != SB_MOVE_PLANNED)
        return 0;
    if (sb_conn_query(up->source.conn, objects_sql, 0, NULL, &source, up->err) < 0 ||
        sb_conn_query(up->target.conn, objects_sql, 0, NULL, &target, up->err) < 0)
        return -1;
    for (int i = 0, j = 0;
         i < sb_rows_count(source) && j < sb_rows_count(target) && told < CLASHES_TOLD_MAX;) {
        int order = strcmp(sb_rows_get(source, i, 0), sb_rows_get(target, j, 0));
        if (order == 0 && ++told > 0 &&
            sb_checkup_tell(up, up->narrow ? SB_RESULT_WARN : SB_RESULT_FAIL, SB_E_TARGET_STRUCTURE, NULL,
                "%s exists on the target already, and the initial copy makes it with the tables; drop it "
                "there, or make "
                "the tables beforehand",
                sb_rows_get(target, j, 1)) < 0)
            return -1;
        i += order <= 0;
        j += order >= 0;
    }
    return 0;
}

const struct sb_check sb_check_schema[] = {
    {"schema.pg_dump", "pg_dump reads the source's structure", SB_NEED_SOURCE | SB_NEED_TABLES,
        programs_check},
    {"schema.clash", "nothing on the target is in the way of the structure", SB_NEED_ALL, clash_check},
    {NULL, NULL, 0, NULL},
};
