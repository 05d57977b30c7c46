#include "setup/prepare.h"

#include "core/fault.h"
#include "pg/ident.h"
#include "schemas/digest.h"
#include "setup/control.h"
#include "setup/ddl.h"
#include "setup/publications.h"
#include "setup/scope.h"
#include "setup/signing.h"
#include "setup/slot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SQL_MAX_BYTES = 64 * 1024 * 1024, LOCK_TIMEOUT_S = 5, FIRST_OWNERSHIP = 1 };

/* What is there, read once at the beginning and refreshed by the steps that change it. */
struct prepare {
    const struct sb_config *config;
    enum sb_direction direction;
    struct sb_names names;
    struct sb_script *script;
    struct sb_conn *source;
    struct sb_conn *target;
    struct sb_control source_control;
    struct sb_control target_control;
    struct sb_server_id source_id;
    struct sb_prepared capture;
    struct sb_progress_row progress;
    struct sb_ownership_row source_owner;
    struct sb_ownership_row target_owner;
    struct sb_slot_row slot;
    struct sb_publications pubs;
    struct sb_scope scope;
    uint32_t origin_oid;
    struct sb_ddl_triggers triggers;
    struct sb_uuid stream_uuid;
    char stream_text[SB_UUID_TEXT_BYTES];
    struct sb_buf sql; /* of the step being made */
};

/* -- steps ----------------------------------------------------------------------------------------------- */

/* As the configuration calls the sides: "source" is the old one in both directions. */
static enum sb_place place_named(const struct prepare *prep, enum sb_place place)
{
    if (prep->direction == SB_FORWARD || place == SB_AT_STREAM)
        return place;
    return place == SB_AT_SOURCE ? SB_AT_TARGET : SB_AT_SOURCE;
}

static int step_add(struct prepare *prep, enum sb_place place, const char *what, struct sb_err *err)
{
    if (prep->sql.failed)
        return sb_err_set(err, SB_E_LIMIT,
            "%s: the statement is larger than %d bytes, or a name is not UTF-8", what, SQL_MAX_BYTES);
    return sb_script_add(prep->script, place_named(prep, place), what, sb_buf_str(&prep->sql), err);
}

/* The statements in prep->sql in one transaction, then the step is on the script; in a dry run only that. */
static int step_run(struct prepare *prep, enum sb_place place, const char *what, struct sb_err *err)
{
    struct sb_conn *conn = place == SB_AT_SOURCE ? prep->source : prep->target;
    if (!prep->script->dry_run && !prep->sql.failed) {
        struct sb_err ignored;
        if (sb_conn_exec(conn, "BEGIN", err) < 0 || sb_conn_exec(conn, sb_buf_str(&prep->sql), err) < 0 ||
            sb_conn_exec(conn, "COMMIT", err) < 0) {
            sb_conn_exec(conn, "ROLLBACK", &ignored);
            if (strcmp(err->sqlstate, "55P03") == 0) /* lock_not_available */
                sb_err_hint(err,
                    "Another session holds a lock on one of the tables (ALTER TABLE, VACUUM, an index being "
                    "built): see pg_locks, wait for it, and run `switchback prepare` again.");
            return sb_err_add(err, "%s", what);
        }
    }
    return step_add(prep, place, what, err);
}

static const char *uuid_or(const char *uuid, const char *instead)
{
    return uuid[0] == '\0' ? instead : uuid;
}

static int control_step(struct prepare *prep, enum sb_place place, struct sb_err *err)
{
    bool source = place == SB_AT_SOURCE;
    struct sb_control *control = source ? &prep->source_control : &prep->target_control;
    struct sb_conn *conn = source ? prep->source : prep->target;
    if (control->schema && control->complete)
        return 0;
    sb_buf_reset(&prep->sql);
    sb_buf_put_str(&prep->sql, sb_control_both_sql);
    sb_buf_put_str(&prep->sql, source ? sb_control_source_sql : sb_control_target_sql);
    if (step_run(prep, place, "make the control schema", err) < 0)
        return -1;
    return prep->script->dry_run ? 0 : sb_control_read(conn, (enum sb_side)place, control, err);
}

/* Where nothing was ever decided the old side owns. */
static int ownership_step(struct prepare *prep, enum sb_place place, struct sb_err *err)
{
    bool source = place == SB_AT_SOURCE;
    const struct sb_ownership_row *mine = source ? &prep->source_owner : &prep->target_owner,
                                  *other = source ? &prep->target_owner : &prep->source_owner;
    if (mine->found)
        return 0;
    if (other->found && other->epoch != FIRST_OWNERSHIP)
        return sb_err_set(err, SB_E_PROGRESS_LOST,
            "the %s has no ownership row of migration \"%s\", and the other side is at ownership epoch "
            "%" PRIu64,
            sb_place_name(place_named(prep, place)), prep->config->migration, other->epoch);
    sb_buf_reset(&prep->sql);
    sb_buf_putf(&prep->sql,
        "INSERT INTO switchback.ownership (migration, owner, epoch) VALUES ('%s', 'old', %d);",
        prep->config->migration, FIRST_OWNERSHIP);
    return step_run(prep, place, "write down that the old side owns the data", err);
}

static int publications_step(struct prepare *prep, struct sb_err *err)
{
    struct sb_buf mend;
    sb_buf_init(&mend, SQL_MAX_BYTES);
    sb_publications_mend(&prep->pubs, &prep->names, &prep->scope, &mend);
    sb_buf_reset(&prep->sql);
    if (mend.len > 0) {
        sb_buf_putf(&prep->sql, "SET LOCAL lock_timeout = '%ds';\n", LOCK_TIMEOUT_S);
        sb_buf_put_view(&prep->sql, sb_buf_view(&mend));
    }
    prep->sql.failed = prep->sql.failed || mend.failed;
    bool needed = mend.len > 0 || mend.failed;
    sb_buf_clear(&mend);
    if (!needed)
        return 0;
    const char *what = prep->capture.found
                           ? "publish other tables (rows they already hold are copied: docs/COPY.md)"
                           : "publish the tables";
    if (step_run(prep, SB_AT_SOURCE, what, err) < 0)
        return -1;
    return prep->script->dry_run
               ? 0
               : sb_publications_read(prep->source, &prep->names, prep->script->arena, &prep->pubs, err);
}

/* DDL is described by event triggers, where our role may make them; check says so where it may not. */
static int ddl_step(struct prepare *prep, struct sb_err *err)
{
    bool wanted = prep->config->ddl.policy != SB_DDL_IGNORE && prep->triggers.may_make;
    if (!wanted || (prep->triggers.there && prep->triggers.scoped))
        return 0;
    sb_buf_reset(&prep->sql);
    sb_ddl_triggers_put(prep->config, prep->direction, &prep->triggers, &prep->sql);
    if (step_run(prep, SB_AT_SOURCE, "make the event triggers that describe DDL", err) < 0)
        return -1;
    return prep->script->dry_run
               ? 0
               : sb_ddl_triggers_read(prep->config, prep->direction, prep->source, &prep->triggers, err);
}

/* The target learns how the source signs. The key itself is not shown. */
static int signature_step(struct prepare *prep, struct sb_err *err)
{
    bool known = false;
    struct sb_signing signing;
    if (sb_signing_read(prep->source, &signing, err) < 0)
        return -1;
    if (signing.there && !signing.may_read)
        return sb_err_set(err, SB_E_ACCESS,
            "our role on the %s may not read switchback.signing_key, with which it signs DDL and repairs",
            sb_place_name(place_named(prep, SB_AT_SOURCE)));
    if (signing.secret[0] == '\0')
        return prep->script->dry_run ? 0
                                     : sb_err_set(err, SB_E_PROGRESS_LOST,
                                           "switchback.signing_key on the %s is empty: INSERT INTO "
                                           "switchback.signing_key DEFAULT VALUES",
                                           sb_place_name(place_named(prep, SB_AT_SOURCE)));
    if (prep->target_control.complete && sb_signing_known(prep->target, prep->config->migration,
                                             prep->direction, signing.secret, &known, err) < 0)
        return -1;
    if (known)
        return 0;
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&sql, SQL_MAX_BYTES);
    sb_signing_put(prep->config->migration, prep->direction, signing.secret, &sql);
    if (!prep->script->dry_run && sb_conn_exec(prep->target, sb_buf_str(&sql), err) < 0)
        return sb_err_add(err, "write down how messages are signed");
    sb_buf_reset(&prep->sql);
    sb_buf_put_str(
        &prep->sql, "INSERT INTO switchback.signature ... -- a copy of the source's switchback.signing_key");
    return step_add(prep, SB_AT_TARGET, "write down how messages are signed", err);
}

static int origin_step(struct prepare *prep, struct sb_err *err)
{
    if (prep->origin_oid != 0)
        return 0;
    sb_buf_reset(&prep->sql);
    sb_buf_put_str(&prep->sql, "SELECT pg_catalog.pg_replication_origin_create(");
    sb_literal_put(&prep->sql, sb_view_str(prep->names.origin));
    sb_buf_put_str(&prep->sql, ");");
    return step_run(prep, SB_AT_TARGET, "make the replication origin", err);
}

static int progress_step(struct prepare *prep, struct sb_err *err)
{
    if (prep->progress.found)
        return 0;
    sb_buf_reset(&prep->sql);
    sb_buf_putf(&prep->sql,
        "INSERT INTO switchback.progress (migration, direction, lane, stream_uuid, source_uuid, "
        "ownership_epoch)\n"
        "SELECT '%s', '%s', 0, '%s', '%s', epoch FROM switchback.ownership WHERE migration = '%s';",
        prep->config->migration, sb_direction_name(prep->direction),
        prep->script->dry_run ? "(a new random uuid)" : prep->stream_text,
        uuid_or(prep->source_control.uuid, "(switchback.identity of the source)"), prep->config->migration);
    return step_run(prep, SB_AT_TARGET, "begin the progress at nothing", err);
}

static int tables_there(struct prepare *prep, size_t *ret_there, struct sb_err *err)
{
    struct sb_cat_table *tables;
    size_t count, there = 0;
    if (sb_catalog_tables(prep->target, true, prep->script->arena, &tables, &count, err) < 0)
        return -1;
    for (size_t i = 0, at = 0; i < prep->scope.count; i++) { /* both in (schema, name) order */
        const struct sb_cat_table *wanted = prep->scope.tables[i].table;
        if (!sb_scope_is_published(&prep->scope.tables[i]))
            continue;
        int order = -1;
        for (; at < count && order < 0; at += order < 0) {
            order = sb_view_cmp(tables[at].schema, wanted->schema);
            order = order == 0 ? sb_view_cmp(tables[at].name, wanted->name) : order;
        }
        there += order == 0;
    }
    *ret_there = there;
    return 0;
}

/* Whether there is an initial copy, and whether it makes the tables, is decided once: what was prepared
 * before there was one has none. */
static int copy_step(struct prepare *prep, struct sb_err *err)
{
    struct sb_copy_row row;
    size_t there = 0;
    bool initial = prep->direction == SB_FORWARD && prep->config->copy.initial;
    if (sb_control_copy(prep->target, prep->config->migration, prep->direction, &row, err) < 0)
        return -1;
    if (row.found || prep->capture.found)
        return 0;
    if (initial && tables_there(prep, &there, err) < 0)
        return -1;
    bool moved = initial && sb_scope_is_moved(prep->config, prep->scope.published, there);
    sb_buf_reset(&prep->sql);
    sb_buf_putf(&prep->sql,
        "INSERT INTO switchback.copy (migration, direction, state, structure) VALUES ('%s', '%s', '%s', "
        "'%s');",
        prep->config->migration, sb_direction_name(prep->direction), initial ? "pending" : "none",
        moved ? "pending" : "none");
    return step_run(prep, SB_AT_TARGET,
        moved     ? "plan the initial copy, of the tables and of their rows"
        : initial ? "plan the initial copy"
                  : "write down that there is no initial copy",
        err);
}

static int state_dir_make(struct prepare *prep, struct sb_err *err)
{
    const char *dir = prep->config->state_dir;
    struct stat info;
    if (stat(dir, &info) == 0)
        return 0;
    sb_buf_reset(&prep->sql);
    sb_buf_put_str(&prep->sql, "mkdir -m 700 ");
    sb_script_put_path(&prep->sql, dir);
    if (!prep->script->dry_run && mkdir(dir, 0700) < 0 && errno != EEXIST)
        return sb_err_errno(err, SB_E_IO, "could not make state_dir \"%s\"", dir);
    return step_add(prep, SB_AT_STREAM, "make the state directory", err);
}

/* The store describes what it lacks; it may have to be made although the capture row is there (a new broker).
 */
static int stream_step(struct prepare *prep, struct sb_err *err)
{
    char path[SB_PATH_BYTES];
    struct sb_stream_options options;
    sb_wiring_stream(prep->config, prep->direction, path, &options);
    if (prep->capture.found)
        return sb_stream_check(&options, NULL, NULL, err);
    if (state_dir_make(prep, err) < 0)
        return -1;
    sb_buf_reset(&prep->sql);
    if (sb_stream_create(&options, &prep->stream_uuid, &prep->sql, err) < 0)
        return -1;
    if (!prep->script->dry_run && sb_stream_create(&options, &prep->stream_uuid, NULL, err) < 0)
        return -1;
    return prep->sql.len == 0 ? 0 : step_add(prep, SB_AT_STREAM, "make the stream's store", err);
}

static int slot_step(struct prepare *prep, struct sb_err *err)
{
    const char *slot = prep->names.slot;
    if (prep->capture.found)
        return 0;
    if (prep->slot.found) {
        sb_buf_reset(&prep->sql);
        sb_buf_putf(&prep->sql, "SELECT pg_catalog.pg_drop_replication_slot('%s');", slot);
        if (!prep->script->dry_run && sb_slot_drop(prep->source, slot, NULL, err) < 0)
            return -1;
        if (step_add(prep, SB_AT_SOURCE, "drop the slot of an interrupted preparation", err) < 0)
            return -1;
    }
    sb_buf_reset(&prep->sql);
    sb_buf_putf(&prep->sql,
        "SELECT pg_catalog.pg_create_logical_replication_slot('%s', 'pgoutput', false%s);", slot,
        sb_conn_version(prep->source) >= 170000 ? ", false, true" : "");
    struct sb_endpoint endpoint = sb_wiring_source(prep->config, prep->direction);
    if (!prep->script->dry_run &&
        sb_slot_create(&endpoint, slot, prep->config->capture.slot_create_timeout_s, err) < 0)
        return -1;
    return step_add(prep, SB_AT_SOURCE, "make the replication slot", err);
}

static int capture_step(struct prepare *prep, struct sb_err *err)
{
    if (prep->capture.found)
        return 0;
    sb_buf_reset(&prep->sql);
    sb_buf_putf(&prep->sql,
        "INSERT INTO switchback.capture (migration, direction, lane, stream_uuid, target_uuid, "
        "system_identifier,\n"
        "  database_oid, slot, start_lsn, publication_oid, publication_keyless_oid)\n"
        "SELECT '%s', '%s', 0, '%s', '%s', c.system_identifier, d.oid, s.slot_name, s.confirmed_flush_lsn,\n"
        "  k.oid, n.oid\n"
        "FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d, pg_catalog.pg_replication_slots "
        "s,\n"
        "  pg_catalog.pg_publication k, pg_catalog.pg_publication n\n"
        "WHERE d.datname = pg_catalog.current_database() AND s.slot_name = '%s'\n"
        "  AND k.pubname = '%s' AND n.pubname = '%s';",
        prep->config->migration, sb_direction_name(prep->direction),
        prep->script->dry_run ? "(the same uuid)" : prep->stream_text,
        uuid_or(prep->target_control.uuid, "(switchback.identity of the target)"), prep->names.slot,
        prep->names.publication, prep->names.publication_keyless);
    if (step_run(prep, SB_AT_SOURCE, "write down what was made", err) < 0)
        return -1;
    if (prep->script->dry_run)
        return 0;
    if (sb_control_capture(prep->source, prep->config->migration, prep->direction, &prep->capture, err) < 0)
        return -1;
    return prep->capture.found
               ? 0
               : sb_err_set(err, SB_E_SLOT_LOST,
                     "slot \"%s\" or a publication vanished while it was being prepared", prep->names.slot);
}

/* -- what must not contradict ---------------------------------------------------------------------------- */

/* Prepared before: everything must still be what was written down. */
static int prepared_agrees(struct prepare *prep, struct sb_err *err)
{
    const struct sb_prepared *row = &prep->capture;
    if (row->system_identifier != prep->source_id.system_identifier ||
        row->database_oid != prep->source_id.database_oid)
        return sb_err_set(err, SB_E_SOURCE_IDENTITY,
            "the migration was prepared on system %" PRIu64 ", database %u; this is system %" PRIu64
            ", database %u",
            row->system_identifier, row->database_oid, prep->source_id.system_identifier,
            prep->source_id.database_oid);
    if (!prep->slot.found || prep->slot.lost || !prep->slot.ours)
        return sb_err_set(err, SB_E_SLOT_LOST, "the migration was prepared, but slot \"%s\" %s",
            prep->names.slot,
            !prep->slot.found ? "is gone"
            : prep->slot.lost ? "was invalidated"
                              : "is not ours");
    if (prep->pubs.keyed.oid != row->publication_oid ||
        prep->pubs.keyless.oid != row->publication_keyless_oid)
        return sb_err_set(
            err, SB_E_PUBLICATION, "a publication was dropped or made anew since the migration was prepared");
    if (prep->target_control.uuid[0] != '\0' && strcmp(row->target_uuid, prep->target_control.uuid) != 0)
        return sb_err_set(
            err, SB_E_TARGET_IDENTITY, "the migration was prepared for another target database");
    if (!prep->progress.found || strcmp(prep->progress.stream_uuid, row->stream_uuid) != 0)
        return sb_err_set(err, SB_E_PROGRESS_LOST, "the target has %s",
            prep->progress.found ? "the progress of another stream" : "no progress row of this migration");
    return 0;
}

static int unprepared_agrees(struct prepare *prep, struct sb_err *err)
{
    if (prep->slot.found && !prep->slot.ours)
        return sb_err_set(err, SB_E_SLOT_MOVED,
            "slot \"%s\" exists with plugin \"%s\" in database \"%s\"; it is not ours", prep->names.slot,
            prep->slot.plugin, prep->slot.database);
    if (prep->pubs.keyed.wide || prep->pubs.keyless.wide)
        return sb_err_set(
            err, SB_E_PUBLICATION, "a publication of our name is for all tables or whole schemas");
    if (!prep->progress.found)
        return 0;
    if (prep->progress.sequence > 0)
        return sb_err_set(err, SB_E_PROGRESS_LOST,
            "the target has progress of an earlier preparation, of which the source knows nothing");
    if (prep->source_control.uuid[0] == '\0' ||
        strcmp(prep->progress.source_uuid, prep->source_control.uuid) != 0)
        return sb_err_set(err, SB_E_PROGRESS_LOST,
            "the target's progress row of migration \"%s\" belongs to another source",
            prep->config->migration);
    return 0;
}

static int identities_differ(const struct prepare *prep, struct sb_err *err)
{
    if (prep->source_control.uuid[0] == '\0' ||
        strcmp(prep->source_control.uuid, prep->target_control.uuid) != 0)
        return 0;
    return sb_err_set(err, SB_E_SAME_SYSTEM,
        "source and target are the same database, or the target is a copy of the prepared source");
}

/* -- the whole ------------------------------------------------------------------------------------------- */

static int state_read(struct prepare *prep, struct sb_err *err)
{
    const char *migration = prep->config->migration;
    if (sb_control_read(prep->source, SB_SIDE_SOURCE, &prep->source_control, err) < 0 ||
        sb_control_read(prep->target, SB_SIDE_TARGET, &prep->target_control, err) < 0 ||
        sb_catalog_server_id(prep->source, &prep->source_id, err) < 0 ||
        sb_control_capture(prep->source, migration, prep->direction, &prep->capture, err) < 0 ||
        sb_control_progress(prep->target, migration, prep->direction, &prep->progress, err) < 0 ||
        sb_control_ownership(prep->source, migration, &prep->source_owner, err) < 0 ||
        sb_control_ownership(prep->target, migration, &prep->target_owner, err) < 0 ||
        sb_control_slot(prep->source, prep->names.slot, &prep->slot, err) < 0 ||
        sb_control_origin(prep->target, prep->names.origin, &prep->origin_oid, err) < 0 ||
        sb_ddl_triggers_read(prep->config, prep->direction, prep->source, &prep->triggers, err) < 0 ||
        sb_publications_read(prep->source, &prep->names, prep->script->arena, &prep->pubs, err) < 0)
        return -1;
    return sb_scope_read(prep->config, prep->source, prep->script->arena, &prep->scope, err);
}

/* One uuid for both sides and the store: the one already written down, else a new one. */
static int stream_uuid_choose(struct prepare *prep, struct sb_err *err)
{
    const char *known = prep->capture.found    ? prep->capture.stream_uuid
                        : prep->progress.found ? prep->progress.stream_uuid
                                               : NULL;
    bool fine = known != NULL ? sb_uuid_parse(known, &prep->stream_uuid) : sb_uuid_random(&prep->stream_uuid);
    if (!fine)
        return sb_err_set(err, SB_E_INTERNAL, "no uuid for the stream could be had");
    sb_uuid_text(&prep->stream_uuid, prep->stream_text);
    return 0;
}

static int steps_run(struct prepare *prep, struct sb_err *err)
{
    if (control_step(prep, SB_AT_TARGET, err) < 0)
        return -1;
    SB_FAULT("setup-after-target");
    if (control_step(prep, SB_AT_SOURCE, err) < 0 || identities_differ(prep, err) < 0)
        return -1;
    SB_FAULT("setup-after-source");
    if (ownership_step(prep, SB_AT_TARGET, err) < 0 || ownership_step(prep, SB_AT_SOURCE, err) < 0)
        return -1;
    SB_FAULT("setup-after-ownership");
    if (publications_step(prep, err) < 0)
        return -1;
    SB_FAULT("setup-after-publications");
    if (ddl_step(prep, err) < 0 || signature_step(prep, err) < 0 || origin_step(prep, err) < 0)
        return -1;
    SB_FAULT("setup-after-origin");
    if (progress_step(prep, err) < 0 || copy_step(prep, err) < 0)
        return -1;
    SB_FAULT("setup-after-progress");
    if (stream_step(prep, err) < 0)
        return -1;
    SB_FAULT("setup-after-stream");
    if (slot_step(prep, err) < 0)
        return -1;
    SB_FAULT("setup-after-slot");
    return capture_step(prep, err);
}

static int prepare_run(struct prepare *prep, struct sb_err *err)
{
    /* On the old side, whatever the direction, where `remove` takes it too. */
    struct sb_conn *old = prep->direction == SB_FORWARD ? prep->source : prep->target;
    if (!prep->script->dry_run && sb_control_lock(old, prep->config->migration, err) < 0)
        return -1;
    if (state_read(prep, err) < 0)
        return -1;
    if ((prep->capture.found ? prepared_agrees(prep, err) : unprepared_agrees(prep, err)) < 0 ||
        identities_differ(prep, err) < 0 || stream_uuid_choose(prep, err) < 0)
        return -1;
    return steps_run(prep, err);
}

int sb_prepare(
    const struct sb_config *config, enum sb_direction direction, struct sb_script *script, struct sb_err *err)
{
    struct prepare prep = {.config = config, .direction = direction, .script = script};
    struct sb_endpoint source = sb_wiring_source(config, direction),
                       target = sb_wiring_target(config, direction);
    sb_wiring_names(config, direction, &prep.names);
    sb_buf_init(&prep.sql, SQL_MAX_BYTES);
    int done = -1;
    /* Local commits: a standby that is away must not hold up the preparation. */
    if (sb_conn_open(&source, "switchback prepare", SB_CONN_LOCAL_COMMIT, &prep.source, err) == 0 &&
        sb_conn_open(&target, "switchback prepare", SB_CONN_LOCAL_COMMIT, &prep.target, err) == 0)
        done = prepare_run(&prep, err);
    sb_conn_close(prep.source);
    sb_conn_close(prep.target);
    sb_buf_clear(&prep.sql);
    return done;
}
