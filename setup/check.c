#include "setup/check.h"

#include "setup/checkup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct sb_check connect_checks[] = {
    {"source.connect", "the source answers and lets our role in", 0, NULL},
    {"target.connect", "the target answers and lets our role in", 0, NULL},
};

static const char facts_sql[] =
    "SELECT current_user, pg_catalog.current_database(), r.rolsuper, r.rolreplication,"
    " pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),"
    " pg_catalog.pg_is_in_recovery(), pg_catalog.getdatabaseencoding()"
    " FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";

static int facts_read(struct sb_checkup *up, struct sb_checkup_side *side, enum sb_side as)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(side->conn, facts_sql, 0, NULL, &rows, up->err) < 0)
        return -1;
    side->role = sb_arena_str(up->arena, sb_view_str(sb_rows_get(rows, 0, 0)));
    side->database = sb_arena_str(up->arena, sb_view_str(sb_rows_get(rows, 0, 1)));
    side->superuser = sb_rows_bool(rows, 0, 2);
    side->replication = sb_rows_bool(rows, 0, 3);
    side->may_create = sb_rows_bool(rows, 0, 4);
    side->standby = sb_rows_bool(rows, 0, 5);
    side->encoding = sb_arena_str(up->arena, sb_view_str(sb_rows_get(rows, 0, 6)));
    if (side->role == NULL || side->database == NULL || side->encoding == NULL)
        return sb_checkup_full(up);
    return sb_control_read(side->conn, as, &side->control, up->err);
}

static int side_open(struct sb_checkup *up, enum sb_side as)
{
    struct sb_checkup_side *side = as == SB_SIDE_SOURCE ? &up->source : &up->target;
    struct sb_endpoint endpoint = as == SB_SIDE_SOURCE ? sb_wiring_source(up->config, up->direction)
                                                       : sb_wiring_target(up->config, up->direction);
    side->name = sb_side_name(up->direction == SB_FORWARD ? as : (enum sb_side)(1 - as));
    up->running = &connect_checks[as];
    if (sb_conn_open(&endpoint, "switchback check", 0, &side->conn, up->err) < 0)
        return sb_checkup_tell_err(up);
    if (facts_read(up, side, as) < 0) {
        sb_conn_close(side->conn);
        side->conn = NULL;
        return sb_checkup_tell_err(up);
    }
    return sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL,
        "database \"%s\" as role \"%s\", PostgreSQL %d.%d", side->database, side->role,
        sb_conn_version(side->conn) / 10000, sb_conn_version(side->conn) % 10000);
}

/* -- what was prepared, and the tables ------------------------------------------------------------------- */

static int target_find(struct sb_checkup *up, struct sb_checkup_pair *pairs)
{
    struct sb_cat_table *tables;
    size_t count;
    if (sb_catalog_tables(up->target.conn, true, up->arena, &tables, &count, up->err) < 0)
        return -1;
    size_t at = 0; /* both lists are in (schema, name) order */
    for (size_t i = 0; i < up->pair_count; i++) {
        const struct sb_cat_table *wanted = pairs[i].source->table;
        while (at < count) {
            int order = sb_view_cmp(tables[at].schema, wanted->schema);
            if (order == 0)
                order = sb_view_cmp(tables[at].name, wanted->name);
            if (order == 0)
                pairs[i].target = &tables[at];
            if (order >= 0)
                break;
            at++;
        }
    }
    return 0;
}

static const char *oids_text(struct sb_checkup *up, bool of_target)
{
    struct sb_buf buf;
    sb_buf_init(&buf, SB_CHECK_ARENA_BYTES);
    sb_buf_put_str(&buf, "{");
    for (size_t i = 0; i < up->pair_count; i++) {
        const struct sb_cat_table *table = of_target ? up->pairs[i].target : up->pairs[i].source->table;
        if (table != NULL)
            sb_buf_putf(&buf, "%s%u", buf.len > 1 ? "," : "", table->oid);
    }
    sb_buf_put_str(&buf, "}");
    const char *text = buf.failed ? NULL : sb_arena_str(up->arena, sb_buf_view(&buf));
    sb_buf_clear(&buf);
    return text;
}

/* Decided by prepare; before that, as prepare will. */
static int move_read(struct sb_checkup *up)
{
    struct sb_copy_row row;
    const struct sb_config_list *include = &up->config->tables.include;
    up->narrow = true;
    for (size_t i = 0; i < include->count; i++)
        up->narrow = up->narrow && strcmp(include->items[i], "*.*") != 0;
    for (size_t i = 0; i < up->pair_count; i++)
        up->pairs_there += up->pairs[i].target != NULL;
    if (sb_control_copy(up->target.conn, up->config->migration, up->direction, &row, up->err) < 0)
        return -1;
    if (row.structure_pending)
        up->move = row.structure_begun ? SB_MOVE_BEGUN : SB_MOVE_PLANNED;
    else if (!row.found && !up->capture.found &&
             sb_scope_is_moved(up->config, up->pair_count, up->pairs_there))
        up->move = SB_MOVE_PLANNED;
    return 0;
}

static int tables_read(struct sb_checkup *up)
{
    if (sb_scope_read(up->config, up->source.conn, up->arena, &up->scope, up->err) < 0)
        return -1;
    struct sb_checkup_pair *pairs = sb_arena_zalloc(up->arena, up->scope.published * sizeof *pairs + 1);
    if (pairs == NULL)
        return sb_checkup_full(up);
    for (size_t i = 0; i < up->scope.count; i++) {
        if (sb_scope_is_published(&up->scope.tables[i]))
            pairs[up->pair_count++].source = &up->scope.tables[i];
    }
    if (up->target.conn != NULL && target_find(up, pairs) < 0)
        return -1;
    up->pairs = pairs;
    if (up->target.conn != NULL && move_read(up) < 0)
        return -1;
    up->source_oids = oids_text(up, false);
    up->target_oids = oids_text(up, true);
    return up->source_oids == NULL || up->target_oids == NULL ? sb_checkup_full(up) : 0;
}

static int source_state_read(struct sb_checkup *up)
{
    if (sb_control_capture(up->source.conn, up->config->migration, up->direction, &up->capture, up->err) <
            0 ||
        sb_control_slot(up->source.conn, up->names.slot, &up->slot, up->err) < 0)
        return -1;
    return tables_read(up);
}

/* -- running --------------------------------------------------------------------------------------------- */

static int sides_read(struct sb_checkup *up)
{
    if (side_open(up, SB_SIDE_SOURCE) < 0 || side_open(up, SB_SIDE_TARGET) < 0)
        return -1;
    if (up->source.conn != NULL && source_state_read(up) < 0) {
        up->running = &connect_checks[SB_SIDE_SOURCE];
        if (sb_checkup_tell_err(up) < 0)
            return -1;
    }
    return 0;
}

static int checkup_run(struct sb_checkup *up)
{
    const struct sb_check *const tables[] = {sb_check_source, sb_check_target, sb_check_tables,
        sb_check_schema, sb_check_refusals, sb_check_way_back, sb_check_stream, sb_check_coverage};
    if (sides_read(up) < 0)
        return -1;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (sb_checkup_table_run(up, tables[i]) < 0)
            return -1;
    }
    return up->direction == SB_FORWARD && up->config->reverse.enabled ? sb_checkup_arming(up, false) : 0;
}

static void checkup_begin(struct sb_checkup *up, const struct sb_config *config, enum sb_direction direction,
    struct sb_report *report, struct sb_err *err)
{
    *up = (struct sb_checkup){
        .config = config, .direction = direction, .arena = report->arena, .report = report, .err = err};
    sb_wiring_names(config, direction, &up->names);
}

static void checkup_end(struct sb_checkup *up)
{
    sb_conn_close(up->source.conn);
    sb_conn_close(up->target.conn);
}

int sb_check_run(
    const struct sb_config *config, enum sb_direction direction, struct sb_report *report, struct sb_err *err)
{
    struct sb_checkup up;
    checkup_begin(&up, config, direction, report, err);
    int done = checkup_run(&up);
    checkup_end(&up);
    return done;
}

int sb_check_arming(const struct sb_config *config, struct sb_report *report, struct sb_err *err)
{
    struct sb_checkup up;
    checkup_begin(&up, config, SB_FORWARD, report, err);
    int done = sides_read(&up) < 0 ? -1 : sb_checkup_arming(&up, true);
    checkup_end(&up);
    return done;
}
