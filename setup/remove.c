#include "setup/remove.h"

#include "pg/ident.h"
#include "setup/control.h"
#include "setup/publications.h"
#include "setup/slot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SQL_MAX_BYTES = 1024 * 1024, SIDES = 2 };

struct removal {
    const struct sb_config *config;
    struct sb_script *script;
    struct sb_conn *sides[SIDES]; /* the old one, the new one; NULL: does not answer */
    struct sb_err *first;         /* failure; code SB_OK: none yet */
    struct sb_buf sql;
};

static void failed(struct removal *removal, const struct sb_err *err)
{
    if (removal->first->code == SB_OK)
        *removal->first = *err;
}

static enum sb_place place_of(int side)
{
    return side == 0 ? SB_AT_SOURCE : SB_AT_TARGET;
}

/* The statements in removal->sql, in one transaction; nothing happens if there are none. */
static int step_run(struct removal *removal, int side, const char *what, struct sb_err *err)
{
    struct sb_conn *conn = removal->sides[side];
    if (removal->sql.len == 0)
        return 0;
    if (!removal->script->dry_run) {
        struct sb_err ignored;
        if (sb_conn_exec(conn, "BEGIN; SET LOCAL lock_timeout = '5s'", err) < 0 ||
            sb_conn_exec(conn, sb_buf_str(&removal->sql), err) < 0 || sb_conn_exec(conn, "COMMIT", err) < 0) {
            sb_conn_exec(conn, "ROLLBACK", &ignored);
            return sb_err_add(err, "%s", what);
        }
    }
    return sb_script_add(removal->script, place_of(side), what, sb_buf_str(&removal->sql), err);
}

/* -- as the source of a direction ------------------------------------------------------------------------ */

static int slot_remove(struct removal *removal, int side, const struct sb_names *names, struct sb_err *err)
{
    struct sb_slot_row slot;
    if (sb_control_slot(removal->sides[side], names->slot, &slot, err) < 0)
        return -1;
    if (!slot.found || !slot.ours)
        return 0; /* somebody else's slot of that name is not ours to drop */
    if (!removal->script->dry_run && sb_slot_drop(removal->sides[side], names->slot, NULL, err) < 0) {
        if (err->code == SB_E_SLOT_BUSY)
            sb_err_hint(err, "Stop `switchback run` (or `capture`) of this migration first.");
        return -1;
    }
    sb_buf_reset(&removal->sql);
    sb_buf_putf(&removal->sql, "SELECT pg_catalog.pg_drop_replication_slot('%s');", names->slot);
    return sb_script_add(removal->script, place_of(side), "drop the slot", sb_buf_str(&removal->sql), err);
}

/* A publication for all tables or whole schemas is none of ours, whatever its name. */
static void publication_put(const struct sb_publication *pub, const char *name, struct sb_buf *sql)
{
    if (pub->oid == 0 || pub->wide)
        return;
    sb_buf_put_str(sql, "DROP PUBLICATION ");
    sb_ident_put(sql, sb_view_str(name));
    sb_buf_put_str(sql, ";\n");
}

static int publications_remove(
    struct removal *removal, int side, const struct sb_names *names, struct sb_err *err)
{
    struct sb_publications pubs;
    if (sb_publications_read(removal->sides[side], names, removal->script->arena, &pubs, err) < 0)
        return -1;
    sb_buf_reset(&removal->sql);
    publication_put(&pubs.keyed, names->publication, &removal->sql);
    publication_put(&pubs.keyless, names->publication_keyless, &removal->sql);
    return step_run(removal, side, "drop the publications", err);
}

/* -- as the target of a direction ------------------------------------------------------------------------ */

static int origins_remove(struct removal *removal, int side, const struct sb_names *names, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *ours = NULL;
    if (sb_control_origins(removal->sides[side], names->origin, &ours, err) < 0)
        return -1;
    sb_buf_reset(&removal->sql);
    for (int i = 0; i < sb_rows_count(ours); i++) {
        sb_buf_put_str(&removal->sql, i == 0 ? "" : "\n");
        sb_buf_put_str(&removal->sql, "SELECT pg_catalog.pg_replication_origin_drop(");
        sb_literal_put(&removal->sql, sb_view_str(sb_rows_get(ours, i, 0)));
        sb_buf_put_str(&removal->sql, ");");
    }
    return step_run(removal, side, "drop the replication origin", err);
}

/* -- the control schema ---------------------------------------------------------------------------------- */

/* Tables of ours that have a migration column, with whether rows of another migration are in them. */
static int control_tables(struct sb_conn *conn, struct sb_rows **ret_tables, struct sb_err *err)
{
    return sb_conn_query(conn,
        "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'migration'"
        " WHERE n.nspname = 'switchback' AND c.relkind = 'r' ORDER BY 1",
        0, NULL, ret_tables, err);
}

static int others_use_it(struct sb_conn *conn, const struct sb_rows *tables, const char *migration,
    bool *ret_used, struct sb_err *err)
{
    struct sb_buf sql;
    sb_buf_init(&sql, SQL_MAX_BYTES);
    const char *const params[] = {migration};
    *ret_used = false;
    int done = 0;
    for (int i = 0; i < sb_rows_count(tables) && done == 0 && !*ret_used; i++) {
        SB_CLEANUP(sb_rows_freep)
        struct sb_rows *rows = NULL;
        sb_buf_reset(&sql);
        sb_buf_put_str(&sql, "SELECT FROM switchback.");
        sb_ident_put(&sql, sb_view_str(sb_rows_get(tables, i, 0)));
        sb_buf_put_str(&sql, " WHERE migration <> $1 LIMIT 1");
        done = sb_conn_query(conn, sb_buf_str(&sql), 1, params, &rows, err);
        if (done == 0)
            *ret_used = sb_rows_count(rows) > 0;
    }
    sb_buf_clear(&sql);
    return done;
}

static int schema_exists(struct sb_conn *conn, bool *ret_exists, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, "SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'switchback'", 0, NULL,
            &rows, err) < 0)
        return -1;
    *ret_exists = sb_rows_count(rows) > 0;
    return 0;
}

/* They would go with the schema; so they are named. */
static int triggers_put(struct sb_conn *conn, struct sb_buf *sql, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn,
            "SELECT pg_catalog.format('DROP EVENT TRIGGER %I;', t.evtname) FROM pg_catalog.pg_event_trigger t"
            " JOIN pg_catalog.pg_proc p ON p.oid = t.evtfoid JOIN pg_catalog.pg_namespace n ON n.oid = "
            "p.pronamespace WHERE n.nspname = 'switchback' ORDER BY t.evtname",
            0, NULL, &rows, err) < 0)
        return -1;
    for (int i = 0; i < sb_rows_count(rows); i++)
        sb_buf_putf(sql, "%s\n", sb_rows_get(rows, i, 0));
    return 0;
}

static int control_remove(struct removal *removal, int side, struct sb_err *err)
{
    struct sb_conn *conn = removal->sides[side];
    const char *migration = removal->config->migration;
    bool exists = false, shared = false;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *tables = NULL;
    if (schema_exists(conn, &exists, err) < 0)
        return -1;
    if (!exists)
        return 0;
    if (control_tables(conn, &tables, err) < 0 || others_use_it(conn, tables, migration, &shared, err) < 0)
        return -1;
    sb_buf_reset(&removal->sql);
    if (!shared) {
        if (triggers_put(conn, &removal->sql, err) < 0)
            return -1;
        sb_buf_put_str(&removal->sql, "DROP SCHEMA switchback CASCADE;");
        return step_run(removal, side, "drop the control schema", err);
    }
    for (int i = 0; i < sb_rows_count(tables); i++) {
        sb_buf_put_str(&removal->sql, "DELETE FROM switchback.");
        sb_ident_put(&removal->sql, sb_view_str(sb_rows_get(tables, i, 0)));
        sb_buf_putf(&removal->sql, " WHERE migration = '%s';\n", migration);
    }
    return step_run(removal, side, "delete the control rows (other migrations share the schema)", err);
}

/* -- the whole ------------------------------------------------------------------------------------------- */

/* Forward reads from the old side and writes to the new one; reverse the other way round. A slot that is
 * being read ends it: whoever reads it needs the rest too. */
static void direction_remove(struct removal *removal, enum sb_direction direction)
{
    int from = direction == SB_FORWARD ? 0 : 1, to = 1 - from;
    struct sb_names names;
    struct sb_err err;
    sb_wiring_names(removal->config, direction, &names);
    if (removal->sides[from] != NULL && slot_remove(removal, from, &names, &err) < 0) {
        failed(removal, &err);
        return;
    }
    if (removal->sides[from] != NULL && publications_remove(removal, from, &names, &err) < 0)
        failed(removal, &err);
    if (removal->sides[to] != NULL && origins_remove(removal, to, &names, &err) < 0)
        failed(removal, &err);
}

static void stream_remove(struct removal *removal, enum sb_direction direction)
{
    char path[SB_PATH_BYTES];
    struct sb_stream_options options;
    struct sb_err err;
    sb_wiring_stream(removal->config, direction, path, &options);
    sb_buf_reset(&removal->sql);
    if (options.store == SB_STORE_EMBEDDED && access(options.path, F_OK) < 0)
        return;
    if (!removal->script->dry_run && sb_stream_destroy(&options, &err) < 0) {
        failed(removal, &err);
        return;
    }
    if (options.store == SB_STORE_EMBEDDED) {
        sb_buf_put_str(&removal->sql, "rm ");
        sb_script_put_path(&removal->sql, options.path);
    } else {
        sb_buf_putf(&removal->sql, "delete topics of %s", sb_direction_name(direction));
    }
    if (sb_script_add(
            removal->script, SB_AT_STREAM, "delete the stream's store", sb_buf_str(&removal->sql), &err) < 0)
        failed(removal, &err);
}

static void page_remove(struct removal *removal)
{
    char path[SB_PATH_BYTES];
    struct sb_err err;
    sb_wiring_page_path(removal->config, path);
    if (access(path, F_OK) < 0)
        return;
    if (!removal->script->dry_run && unlink(path) < 0 && errno != ENOENT) {
        sb_err_errno(&err, SB_E_IO, "could not delete \"%s\"", path);
        failed(removal, &err);
        return;
    }
    sb_buf_reset(&removal->sql);
    sb_buf_put_str(&removal->sql, "rm ");
    sb_script_put_path(&removal->sql, path);
    if (sb_script_add(
            removal->script, SB_AT_STREAM, "delete the metrics page", sb_buf_str(&removal->sql), &err) < 0)
        failed(removal, &err);
}

static void side_open(struct removal *removal, int side)
{
    struct sb_err err;
    struct sb_endpoint endpoint = side == 0 ? sb_wiring_source(removal->config, SB_FORWARD)
                                            : sb_wiring_target(removal->config, SB_FORWARD);
    if (sb_conn_open(&endpoint, "switchback remove", SB_CONN_LOCAL_COMMIT, &removal->sides[side], &err) < 0) {
        removal->sides[side] = NULL;
        failed(removal, &err);
    }
}

int sb_remove(const struct sb_config *config, struct sb_script *script, struct sb_err *err)
{
    static const enum sb_direction directions[] = {SB_FORWARD, SB_REVERSE};
    struct sb_err first = {0}, one;
    struct removal removal = {.config = config, .script = script, .first = &first};
    sb_buf_init(&removal.sql, SQL_MAX_BYTES);
    for (int side = 0; side < SIDES; side++)
        side_open(&removal, side);
    if (removal.sides[0] != NULL && !script->dry_run &&
        sb_control_lock(removal.sides[0], config->migration, &one) < 0) {
        failed(&removal, &one);
        sb_conn_close(removal.sides[0]);
        removal.sides[0] = NULL;
    }
    for (int i = 0; i < 2; i++)
        direction_remove(&removal, directions[i]);
    for (int side = 0; side < SIDES; side++) {
        /* As long as a slot is left, so is the row that tells where it began. */
        if (removal.sides[side] != NULL && first.code == SB_OK && control_remove(&removal, side, &one) < 0)
            failed(&removal, &one);
    }
    for (int i = 0; i < 2 && first.code == SB_OK; i++)
        stream_remove(&removal, directions[i]);
    if (first.code == SB_OK)
        page_remove(&removal);
    for (int side = 0; side < SIDES; side++)
        sb_conn_close(removal.sides[side]);
    sb_buf_clear(&removal.sql);
    if (first.code == SB_OK)
        return 0;
    *err = first;
    return sb_err_add(err, "something is left; run `switchback remove` again");
}
