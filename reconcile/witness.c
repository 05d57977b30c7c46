#include "reconcile/witness.h"

#include "core/clock.h"
#include "core/log.h"
#include "pg/ident.h"
#include "pg/snapshot.h"
#include "reconcile/attribution.h"
#include "schemas/digest.h"
#include "schemas/rowform.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BATCH = 500,
    KEY_COLS_MAX = 32,
    BUFFER_MAX_BYTES = 64 * 1024 * 1024,
    ARENA_BYTES = 64 * 1024 * 1024,
    NUMBER_BYTES = 24,
    AWAIT_MS = 10000,
    POLL_US = 50000,
};

struct item {
    struct sb_attribution_facts facts;
    struct sb_view key;
    const char *shown;
    const char *snapshot; /* of the copy that wrote the target's row */
};

struct witness {
    const struct sb_witness_options *options;
    const struct sb_verify_table *table;
    const char *migration, *direction;
    struct sb_names names;
    bool timestamps, way_back;
    struct sb_arena *arena; /* of a batch */
    struct item items[BATCH];
    size_t count;
    struct sb_buf sql, ids, faults, evidences, text;
    char run[NUMBER_BYTES];
};

static int no_room(const struct witness *witness, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "what is known of differences of table %s does not fit into %d bytes",
        witness->table->relation, ARENA_BYTES);
}

static const char *text_keep(struct witness *witness, const struct sb_rows *rows, int row, int col)
{
    const char *text = sb_rows_get(rows, row, col);
    return text == NULL ? NULL : sb_arena_str(witness->arena, sb_view_str(text));
}

/* -- what the servers have ------------------------------------------------------------------------------- */

/* The way back's records are there once it was armed. */
static int way_back_read(const struct sb_witness_options *options, bool *ret_way_back, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    *ret_way_back = false;
    if (!options->config->reverse.enabled)
        return 0;
    if (sb_conn_query(options->source, "SELECT pg_catalog.to_regclass('switchback.conflict') IS NOT NULL", 0,
            NULL, &rows, err) != 0)
        return -1;
    *ret_way_back = sb_rows_bool(rows, 0, 0);
    return 0;
}

static const char *way_back_name(const struct sb_witness_options *options)
{
    return sb_direction_name(options->direction == SB_FORWARD ? SB_REVERSE : SB_FORWARD);
}

/* A commit of ours, which the way back comes to as it comes to all others. */
static int mark(const struct sb_witness_options *options, struct sb_rows **ret_lsn, struct sb_err *err)
{
    return sb_conn_query(options->target,
        "SELECT pg_catalog.pg_logical_emit_message(true, 'switchback.verify', '')", 0, NULL, ret_lsn, err);
}

int sb_witness_await(const struct sb_witness_options *options, bool *ret_late, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *lsn = NULL;
    bool way_back;
    *ret_late = false;
    if (way_back_read(options, &way_back, err) != 0 || (way_back && mark(options, &lsn, err) != 0))
        return sb_err_add(err, "could not ask how far the way back is");
    const char *params[] = {
        options->config->migration, way_back_name(options), way_back ? sb_rows_get(lsn, 0, 0) : NULL};
    for (int64_t until_ms = sb_clock_mono_ms() + AWAIT_MS; way_back; usleep(POLL_US)) {
        SB_CLEANUP(sb_rows_freep)
        struct sb_rows *rows = NULL;
        if (sb_conn_query(options->source,
                "SELECT commit_lsn >= $3::pg_lsn FROM switchback.progress WHERE migration = $1 AND direction "
                "= $2 AND lane = 0",
                3, params, &rows, err) != 0)
            return sb_err_add(err, "could not ask how far the way back is");
        if (sb_rows_count(rows) == 0 || sb_rows_bool(rows, 0, 0))
            return 0;
        *ret_late = sb_clock_mono_ms() >= until_ms;
        if (*ret_late)
            return 0;
    }
    return 0;
}

static int lock_timeout_set(struct witness *witness, const char *sql, struct sb_err *err)
{
    return sb_conn_exec(witness->options->source, sql, err) == 0
               ? sb_conn_exec(witness->options->target, sql, err)
               : -1;
}

static int settings_read(struct witness *witness, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (lock_timeout_set(witness, "SET lock_timeout = 5000", err) != 0)
        return -1;
    if (sb_conn_query(witness->options->target,
            "SELECT pg_catalog.current_setting('track_commit_timestamp') = 'on'", 0, NULL, &rows, err) != 0)
        return -1;
    witness->timestamps = sb_rows_bool(rows, 0, 0);
    return way_back_read(witness->options, &witness->way_back, err);
}

/* The differences of one batch, by their ids. */
static int items_read(struct witness *witness, const char *ids, struct sb_rows **rows, struct sb_err *err)
{
    const char *params[] = {ids};
    if (sb_conn_query(witness->options->target,
            "SELECT id, pg_catalog.encode(key, 'hex'), key_shown, fault = 'capture', commit_lsn FROM "
            "switchback.difference "
            "WHERE id = ANY ($1::bigint[]) ORDER BY id",
            1, params, rows, err) != 0)
        return -1;
    witness->count = (size_t)sb_rows_count(*rows);
    for (size_t i = 0; i < witness->count; i++) {
        const char *hex = sb_rows_get(*rows, (int)i, 1);
        size_t len = hex == NULL ? 0 : strlen(hex) / 2;
        char *bytes = sb_arena_alloc(witness->arena, len + 1);
        if (bytes == NULL)
            return no_room(witness, err);
        if (hex != NULL && !sb_hex_decode(sb_view_str(hex), bytes, len))
            return sb_err_set(err, SB_E_PROTOCOL, "the target gave bytes that are no hex digits");
        witness->items[i] = (struct item){.key = sb_view(bytes, len),
            .shown = sb_rows_get(*rows, (int)i, 2),
            .facts = {.has_key = hex != NULL,
                .source_differs = sb_rows_bool(*rows, (int)i, 3),
                .change_lsn = sb_rows_get(*rows, (int)i, 4),
                .timestamps = witness->timestamps,
                .way_back = witness->way_back,
                .way_back_late = witness->options->way_back_late}};
    }
    return 0;
}

/* -- who wrote the target's rows ------------------------------------------------------------------------- */

static void put_key_columns(const struct sb_verify_table *table, struct sb_buf *sql)
{
    sb_buf_put_str(sql, "SELECT xmin AS writer");
    for (size_t i = 0; i < table->key_count; i++) {
        sb_buf_put_str(sql, ", ");
        sb_ident_put(sql, table->columns[table->key_cols[i]]);
        sb_buf_putf(sql, " AS k%zu", i);
    }
}

/* Columns: commit time, origin's name, origin, the copy's time and its snapshot, whether it is from before
 * the copy's end, writer, key. */
static bool put_writers(struct witness *witness, const struct sb_view *keys, size_t count)
{
    struct sb_buf *sql = &witness->sql;
    sb_buf_reset(sql);
    sb_buf_put_str(sql, "SELECT c.at::text, o.roname, c.origin, k.copied_at::text, k.snapshot, c.at < "
                        "(SELECT p.completed_at FROM switchback.copy p WHERE p.migration = ");
    sb_literal_put(sql, sb_view_str(witness->migration));
    sb_buf_put_str(sql, " AND p.direction = ");
    sb_literal_put(sql, sb_view_str(witness->direction));
    sb_buf_put_str(sql, "), r.* FROM (");
    put_key_columns(witness->table, sql);
    if (!sb_verify_put_from_keys(witness->table, SB_SIDE_TARGET, keys, count, sql))
        return false;
    sb_buf_put_str(sql, ") r LEFT JOIN LATERAL ");
    sb_buf_put_str(sql, witness->timestamps ? "(SELECT t.\"timestamp\" AS at, t.roident AS origin FROM "
                                              "pg_catalog.pg_xact_commit_timestamp_origin(r.writer) t)"
                                            : "(SELECT NULL::timestamptz AS at, NULL::oid AS origin)");
    sb_buf_put_str(sql,
        " c ON true LEFT JOIN pg_catalog.pg_replication_origin o ON o.roident = c.origin LEFT JOIN (SELECT "
        "DISTINCT ON (h.written_by) h.* FROM switchback.chunk h WHERE h.migration = ");
    sb_literal_put(sql, sb_view_str(witness->migration));
    sb_buf_put_str(sql, " AND h.direction = ");
    sb_literal_put(sql, sb_view_str(witness->direction));
    sb_buf_put_str(sql, " AND h.relation = ");
    sb_literal_put(sql, sb_view_str(witness->table->relation));
    sb_buf_put_str(sql, " ORDER BY h.written_by) k ON (k.written_by & 4294967295)::text = r.writer::text");
    return !sql->failed;
}

/* The copy's origins are dropped at its end, and others get their numbers: what is older has no name to go
 * by. */
static enum sb_writer_is writer_of(const struct witness *witness, const struct sb_rows *rows, int row)
{
    const char *at = sb_rows_get(rows, row, 0), *name = sb_rows_get(rows, row, 1),
               *origin = sb_rows_get(rows, row, 2);
    if (at == NULL)
        return SB_WRITER_UNKNOWN;
    if (origin == NULL || strcmp(origin, "0") == 0)
        return SB_WRITER_NONE;
    if (name == NULL)
        return SB_WRITER_UNKNOWN;
    if (strcmp(name, witness->names.origin) == 0)
        return SB_WRITER_APPLY;
    if (sb_wiring_is_our_origin(witness->migration, sb_view_str(name)))
        return SB_WRITER_COPY;
    return sb_rows_bool(rows, row, 5) ? SB_WRITER_UNKNOWN : SB_WRITER_OTHER;
}

/* Whose key stands in the columns from first on. */
static struct item *item_of(struct witness *witness, const struct sb_rows *rows, int row, int first)
{
    struct sb_value values[KEY_COLS_MAX];
    uint16_t cols[KEY_COLS_MAX];
    for (uint16_t i = 0; i < witness->table->key_count; i++) {
        const char *text = sb_rows_get(rows, row, first + i);
        cols[i] = i;
        values[i] =
            (struct sb_value){.state = text == NULL ? SB_COL_NULL : SB_COL_TEXT, .text = sb_view_str(text)};
    }
    sb_buf_reset(&witness->text);
    if (!sb_rowform_put_key(values, cols, witness->table->key_count, &witness->text))
        return NULL;
    for (size_t i = 0; i < witness->count; i++)
        if (sb_view_eq(witness->items[i].key, sb_buf_view(&witness->text)))
            return &witness->items[i];
    return NULL;
}

static void writer_take(struct witness *witness, const struct sb_rows *rows, int row)
{
    struct item *item = item_of(witness, rows, row, 7);
    if (item == NULL)
        return;
    item->facts.row_there = true;
    item->facts.writer = writer_of(witness, rows, row);
    item->facts.written_at = text_keep(witness, rows, row, 0);
    item->facts.origin = text_keep(witness, rows, row, 1);
    item->facts.copied_at = text_keep(witness, rows, row, 3);
    item->snapshot = text_keep(witness, rows, row, 4);
}

static int writers_read(struct witness *witness, const struct sb_view *keys, size_t count, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (!put_writers(witness, keys, count))
        return no_room(witness, err);
    if (sb_conn_query(witness->options->target, sb_buf_str(&witness->sql), 0, NULL, &rows, err) != 0)
        return -1;
    for (int row = 0; row < sb_rows_count(rows); row++)
        writer_take(witness, rows, row);
    return 0;
}

/* Did the copy see what the source has now? */
static int source_read(struct witness *witness, const struct sb_view *keys, size_t count, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    sb_buf_reset(&witness->sql);
    put_key_columns(witness->table, &witness->sql);
    if (!sb_verify_put_from_keys(witness->table, SB_SIDE_SOURCE, keys, count, &witness->sql) ||
        witness->sql.failed)
        return no_room(witness, err);
    if (sb_conn_query(witness->options->source, sb_buf_str(&witness->sql), 0, NULL, &rows, err) != 0)
        return -1;
    for (int row = 0; row < sb_rows_count(rows); row++) {
        struct sb_snapshot snapshot;
        struct item *item = item_of(witness, rows, row, 1);
        if (item != NULL && item->snapshot != NULL &&
            sb_snapshot_parse(item->snapshot, witness->arena, &snapshot))
            item->facts.copy_saw =
                sb_snapshot_sees(&snapshot, sb_xid_widen((uint32_t)sb_rows_u64(rows, row, 0), snapshot.xmax));
    }
    return 0;
}

static int rows_ask(struct witness *witness, struct sb_err *err)
{
    struct sb_view keys[BATCH];
    size_t count = 0, copied = 0;
    for (size_t i = 0; i < witness->count; i++)
        if (witness->items[i].facts.has_key)
            keys[count++] = witness->items[i].key;
    if (count > 0 && writers_read(witness, keys, count, err) != 0)
        return -1;
    for (size_t i = 0; i < witness->count; i++)
        if (witness->items[i].snapshot != NULL)
            keys[copied++] = witness->items[i].key;
    return copied == 0 ? 0 : source_read(witness, keys, copied, err);
}

/* -- what was recorded ----------------------------------------------------------------------------------- */

static void put_shown(struct witness *witness)
{
    sb_buf_reset(&witness->text);
    for (size_t i = 0; i < witness->count; i++) {
        const struct sb_view shown = sb_view_str(witness->items[i].shown);
        sb_array_put(&witness->text, witness->items[i].shown == NULL ? NULL : &shown);
    }
    sb_array_end(&witness->text);
}

/* The newest record of each key: its number in the batch, and what else sql gives. */
static int records_read(struct witness *witness, struct sb_conn *conn, const char *sql, const char *direction,
    struct sb_rows **rows, struct sb_err *err)
{
    put_shown(witness);
    const char *params[] = {witness->migration, direction, witness->table->shown, sb_buf_str(&witness->text)};
    if (witness->text.failed)
        return no_room(witness, err);
    return sb_conn_query(conn, sql, 4, params, rows, err);
}

static struct sb_attribution_facts *facts_at(struct witness *witness, const struct sb_rows *rows, int row)
{
    return &witness->items[sb_rows_i64(rows, row, 0) - 1].facts;
}

static int debts_read(struct witness *witness, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (records_read(witness, witness->options->target,
            "SELECT DISTINCT ON (u.n) u.n, d.commit_lsn FROM unnest($4::jsonb[]) WITH ORDINALITY u (k, n) "
            "JOIN "
            "switchback.debt d ON d.key = u.k WHERE d.migration = $1 AND d.direction = $2 AND d.relation = "
            "$3 ORDER BY u.n, "
            "d.id DESC",
            witness->direction, &rows, err) != 0)
        return -1;
    for (int row = 0; row < sb_rows_count(rows); row++)
        facts_at(witness, rows, row)->skipped_lsn = text_keep(witness, rows, row, 1);
    return 0;
}

/* The way back records on its own target, which is our source. */
static int rogues_read(struct witness *witness, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (!witness->way_back)
        return 0;
    if (records_read(witness, witness->options->source,
            "SELECT DISTINCT ON (u.n) u.n, c.op, c.commit_lsn, c.found_at::text FROM unnest($4::jsonb[]) "
            "WITH ORDINALITY u (k, "
            "n) JOIN switchback.conflict c ON c.key = u.k WHERE c.migration = $1 AND c.direction = $2 AND "
            "c.relation = $3 AND "
            "c.kind = 'rogue_write' ORDER BY u.n, c.id DESC",
            way_back_name(witness->options), &rows, err) != 0)
        return -1;
    for (int row = 0; row < sb_rows_count(rows); row++) {
        struct sb_attribution_facts *facts = facts_at(witness, rows, row);
        facts->rogue_op = text_keep(witness, rows, row, 1);
        facts->rogue_lsn = text_keep(witness, rows, row, 2);
        facts->rogue_at = text_keep(witness, rows, row, 3);
    }
    return 0;
}

/* -- writing it down ------------------------------------------------------------------------------------- */

static void put_judged(struct witness *witness, const struct item *item, const char *id)
{
    struct sb_buf evidence SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&evidence, BUFFER_MAX_BYTES);
    enum sb_fault_of fault = sb_attribution_judge(&item->facts, &evidence);
    const struct sb_view id_view = sb_view_str(id), fault_view = sb_view_str(sb_fault_of_name(fault)),
                         evidence_view = sb_buf_view(&evidence);
    sb_array_put(&witness->ids, &id_view);
    sb_array_put(&witness->faults, &fault_view);
    sb_array_put(&witness->evidences, &evidence_view);
}

static int batch_write(struct witness *witness, const struct sb_rows *rows, struct sb_err *err)
{
    sb_buf_reset(&witness->ids);
    sb_buf_reset(&witness->faults);
    sb_buf_reset(&witness->evidences);
    for (size_t i = 0; i < witness->count; i++)
        put_judged(witness, &witness->items[i], sb_rows_get(rows, (int)i, 0));
    sb_array_end(&witness->ids);
    sb_array_end(&witness->faults);
    sb_array_end(&witness->evidences);
    if (witness->ids.failed || witness->faults.failed || witness->evidences.failed)
        return no_room(witness, err);
    const char *params[] = {sb_buf_str(&witness->ids), sb_buf_str(&witness->faults),
        sb_buf_str(&witness->evidences), witness->run};
    return sb_conn_query(witness->options->target,
        "UPDATE switchback.difference d SET fault = u.fault, evidence = u.evidence FROM unnest($1::bigint[], "
        "$2::text[], "
        "$3::text[]) AS u (id, fault, evidence) WHERE d.id = u.id AND d.seen_by = $4::bigint",
        4, params, NULL, err);
}

static int batch_ask(struct witness *witness, const char *ids, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    sb_arena_reset(witness->arena);
    if (items_read(witness, ids, &rows, err) != 0 || rows_ask(witness, err) != 0 ||
        debts_read(witness, err) != 0 || rogues_read(witness, err) != 0)
        return -1;
    return batch_write(witness, rows, err);
}

/* -- one table ------------------------------------------------------------------------------------------- */

static int batches(struct witness *witness, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    char most[NUMBER_BYTES], batch[NUMBER_BYTES];
    snprintf(most, sizeof most, "%d", SB_WITNESS_MAX);
    snprintf(batch, sizeof batch, "%d", BATCH);
    const char *params[] = {
        witness->migration, witness->direction, witness->table->relation, witness->run, most, batch};
    /* Ids alone, as arrays of a batch each. */
    if (sb_conn_query(witness->options->target,
            "SELECT pg_catalog.array_agg(n.id) FROM (SELECT i.id, pg_catalog.row_number() OVER () AS n FROM "
            "(SELECT id FROM "
            "switchback.difference WHERE migration = $1 AND direction = $2 AND relation = $3 AND seen_by = "
            "$4 AND (fault = "
            "'unknown' OR evidence = '') LIMIT $5::bigint) i) n GROUP BY (n.n - 1) / $6::bigint",
            6, params, &rows, err) != 0)
        return -1;
    for (int row = 0; row < sb_rows_count(rows); row++)
        if (batch_ask(witness, sb_rows_get(rows, row, 0), err) != 0)
            return -1;
    return 0;
}

static void tell(struct witness *witness, const struct sb_rows *rows, struct sb_difference *kept)
{
    for (int row = 0; row < sb_rows_count(rows); row++) {
        if (strcmp(sb_rows_get(rows, row, 0), kept->row) != 0)
            continue;
        kept->id = sb_rows_i64(rows, row, 1);
        kept->fault = sb_arena_str(witness->options->arena, sb_view_str(sb_rows_get(rows, row, 2)));
        kept->evidence = sb_arena_str(witness->options->arena, sb_view_str(sb_rows_get(rows, row, 3)));
    }
}

static int tell_kept(struct witness *witness, struct sb_verify_result *result, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    sb_buf_reset(&witness->text);
    for (size_t i = 0; i < result->kept_count; i++) {
        const struct sb_view digest = sb_view_str(result->kept[i].row);
        sb_array_put(&witness->text, &digest);
    }
    sb_array_end(&witness->text);
    const char *params[] = {
        witness->migration, witness->direction, witness->table->relation, sb_buf_str(&witness->text)};
    if (sb_conn_query(witness->options->target,
            "SELECT u.d, d.id, d.fault, d.evidence FROM unnest($4::text[]) AS u (d) JOIN "
            "switchback.difference d ON "
            "d.key_digest = pg_catalog.decode(u.d, 'hex') WHERE d.migration = $1 AND d.direction = $2 AND "
            "d.relation = $3",
            4, params, &rows, err) != 0)
        return -1;
    for (size_t i = 0; i < result->kept_count; i++)
        tell(witness, rows, &result->kept[i]);
    return 0;
}

/* The verdict stands without it: a table that somebody has locked or altered meanwhile is not asked about. */
static int ask(struct witness *witness, struct sb_verify_result *result, struct sb_err *err)
{
    int rc = settings_read(witness, err);
    if (rc == 0)
        rc = batches(witness, err);
    if (rc == 0)
        rc = tell_kept(witness, result, err);
    if (rc != 0 && strncmp(err->sqlstate, "42", 2) != 0 && strcmp(err->sqlstate, "55P03") != 0)
        return sb_err_add(
            err, "could not ask who is at fault for the differences of table %s", witness->table->relation);
    if (rc != 0)
        SB_WARN("could not ask who is at fault for differences", SB_STR("table", witness->table->shown),
            SB_STR("error", err->text));
    return lock_timeout_set(witness, "SET lock_timeout = 0", err);
}

static int asked(struct witness *witness, struct sb_verify_result *result, struct sb_err *err)
{
    struct sb_buf *const buffers[] = {
        &witness->sql, &witness->ids, &witness->faults, &witness->evidences, &witness->text};
    size_t count = sizeof buffers / sizeof buffers[0];
    for (size_t i = 0; i < count; i++)
        sb_buf_init(buffers[i], BUFFER_MAX_BYTES);
    witness->arena = sb_arena_new("witnesses", ARENA_BYTES);
    int rc = witness->arena == NULL ? sb_err_set(err, SB_E_NO_MEMORY, "no memory to ask who is at fault")
                                    : ask(witness, result, err);
    for (size_t i = 0; i < count; i++)
        sb_buf_clear(buffers[i]);
    sb_arena_free(witness->arena);
    return rc;
}

int sb_witness_ask(
    const struct sb_witness_options *options, struct sb_verify_result *result, struct sb_err *err)
{
    if (result->kept_count == 0)
        return 0;
    struct witness *witness = calloc(1, sizeof *witness);
    if (witness == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory to ask who is at fault");
    witness->options = options;
    witness->table = result->table;
    witness->migration = options->config->migration;
    witness->direction = sb_direction_name(options->direction);
    sb_wiring_names(options->config, options->direction, &witness->names);
    snprintf(witness->run, sizeof witness->run, "%" PRId64, options->run);
    int rc = asked(witness, result, err);
    free(witness);
    return rc;
}
