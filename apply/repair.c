#include "apply/repair.h"

#include "apply/repair_book.h"
#include "apply/signature.h"
#include "apply/target.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/metrics.h"

#include <stdlib.h>
#include <string.h>

struct sb_repair_desk {
    const struct sb_config *config;
    const char *direction;
    struct sb_conn *conn;
    struct sb_delivery *delivery;
    const struct sb_aside *aside;
    bool there;           /* the control schema knows repairs */
    struct sb_ring *ring; /* NULL: nobody repairs */
};

/* -- life ------------------------------------------------------------------------------------------------ */

int sb_repair_desk_new(const struct sb_config *config, enum sb_direction direction,
    struct sb_delivery *delivery, const struct sb_aside *aside, struct sb_conn *conn,
    struct sb_repair_desk **ret_desk, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(conn, "SELECT pg_catalog.to_regclass('switchback.repair_ring') IS NOT NULL", 0, NULL,
            &rows, err) != 0)
        return -1;
    struct sb_repair_desk *desk = calloc(1, sizeof *desk);
    if (desk == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for repairs");
    *desk = (struct sb_repair_desk){.config = config,
        .direction = sb_direction_name(direction),
        .conn = conn,
        .delivery = delivery,
        .aside = aside,
        .there = sb_rows_bool(rows, 0, 0)};
    *ret_desk = desk;
    return 0;
}

void sb_repair_desk_free(struct sb_repair_desk *desk)
{
    if (desk == NULL)
        return;
    sb_ring_free(desk->ring);
    free(desk);
}

/* -- the ring -------------------------------------------------------------------------------------------- */

static int ring_begin(struct sb_repair_desk *desk, uint64_t newest_lsn, struct sb_err *err)
{
    desk->ring = sb_ring_new((size_t)desk->config->apply.repair_ring_max_bytes, newest_lsn);
    if (desk->ring == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the keys that a repair has to know");
    SB_INFO("somebody repairs: touched keys are remembered", SB_LSN("from", newest_lsn));
    return 0;
}

static void ring_end(struct sb_repair_desk *desk)
{
    sb_ring_free(desk->ring);
    desk->ring = NULL;
    SB_INFO("nobody repairs any more: touched keys are forgotten");
}

int sb_repair_desk_follow(struct sb_repair_desk *desk, uint64_t newest_lsn, struct sb_err *err)
{
    struct sb_repair_wish wish;
    const char *migration = desk->config->migration;
    if (!desk->there)
        return 0;
    if (sb_repair_book_wish(desk->conn, migration, desk->direction, &wish, err) != 0)
        return -1;
    if (wish.wanted && desk->ring == NULL && ring_begin(desk, newest_lsn, err) != 0)
        return -1;
    if (!wish.wanted && desk->ring != NULL)
        ring_end(desk);
    uint64_t whole_from = desk->ring == NULL ? 0 : sb_ring_whole_from(desk->ring);
    /* In the middle of a large transaction it would be part of that. */
    if (!wish.found || wish.whole_from == whole_from || sb_delivery_is_large(desk->delivery))
        return 0;
    return sb_repair_book_whole_from(desk->conn, migration, desk->direction, whole_from, err);
}

void sb_repair_desk_note(
    struct sb_repair_desk *desk, const struct sb_ring_at *at, const struct sb_change *chg)
{
    if (desk->ring == NULL)
        return;
    if (chg == NULL)
        sb_ring_everything(desk->ring, at);
    else
        sb_ring_change(desk->ring, at, chg);
}

/* -- an image -------------------------------------------------------------------------------------------- */

/* One image on the desk. */
struct order {
    struct sb_repair_desk *desk;
    const struct sb_ring_at *at;
    struct sb_arena *arena;
    bool settled;
    struct sb_image image;
    struct sb_snapshot snapshot;
    struct sb_repair_done *done;
};

static void all_are(struct order *order, enum sb_repair_outcome outcome)
{
    for (uint32_t i = 0; i < order->image.row_count; i++)
        if (order->done[i].outcome == SB_REPAIR_OPEN)
            order->done[i].outcome = outcome;
}

static bool is_owners(const struct order *order)
{
    return !sb_delivery_observes(order->desk->delivery) &&
           order->image.ownership_epoch == sb_delivery_progress(order->desk->delivery)->ownership_epoch;
}

static int judge(struct order *order, struct sb_err *err)
{
    const struct sb_image *image = &order->image;
    if (!is_owners(order)) {
        all_are(order, SB_REPAIR_SKIPPED_OWNER);
        return 0;
    }
    if (!order->settled || sb_aside_has(order->desk->aside, image->schema, image->table)) {
        all_are(order, SB_REPAIR_SKIPPED_RING);
        return 0;
    }
    if (image->snapshot.len == 0)
        return 0;
    enum sb_ring_verdict *verdicts = sb_arena_alloc(order->arena, image->row_count * sizeof *verdicts);
    if (verdicts == NULL)
        return sb_err_set(err, SB_E_LIMIT, "arena \"%s\" is full", sb_arena_name(order->arena));
    if (sb_ring_judge(order->desk->ring, order->at, image, &order->snapshot, order->arena, verdicts, err) !=
        0)
        return -1;
    for (uint32_t i = 0; i < image->row_count; i++)
        order->done[i].outcome = verdicts[i] == SB_RING_GOOD    ? SB_REPAIR_OPEN
                                 : verdicts[i] == SB_RING_NEWER ? SB_REPAIR_SKIPPED_NEWER
                                                                : SB_REPAIR_SKIPPED_RING;
    return 0;
}

/* The image's columns as a relation, with the types that the target has. NULL: one is not there. */
static int relation_of(
    struct order *order, const struct sb_cat_table *table, struct sb_relation **ret_rel, struct sb_err *err)
{
    const struct sb_image *image = &order->image;
    struct sb_relation *rel = sb_arena_zalloc(order->arena, sizeof *rel);
    struct sb_column *cols = sb_arena_zalloc(order->arena, image->column_count * sizeof *cols);
    *ret_rel = NULL;
    if (rel == NULL || cols == NULL)
        return sb_err_set(err, SB_E_LIMIT, "arena \"%s\" is full", sb_arena_name(order->arena));
    for (uint16_t i = 0; i < image->column_count; i++) {
        const struct sb_cat_column *target = sb_cat_column(table, image->columns[i]);
        if (target == NULL)
            return 0;
        cols[i] = (struct sb_column){.name = image->columns[i],
            .type_name = target->type_name,
            .type_oid = target->type_oid,
            .typmod = target->typmod};
    }
    for (uint16_t i = 0; i < image->key_count; i++)
        cols[image->key_cols[i]].key = true;
    *rel = (struct sb_relation){.schema = image->schema,
        .name = image->table,
        .identity = 'd',
        .col_count = image->column_count,
        .cols = cols};
    *ret_rel = rel;
    return 0;
}

/* NULL: the target has no table that these columns fit. */
static int target_of(struct order *order, struct sb_apply_rel **ret_rel, struct sb_err *err)
{
    struct sb_conn *conn = order->desk->conn;
    struct sb_view schema = order->image.schema, name = order->image.table;
    struct sb_target_stamp stamp;
    struct sb_cat_table table;
    struct sb_relation *rel;
    struct sb_apply_rel *made;
    bool found;
    *ret_rel = NULL;
    if (sb_writer_forget(sb_delivery_writer(order->desk->delivery), err) != 0 ||
        sb_target_stamp(conn, schema, name, order->arena, &stamp, err) != 0 ||
        sb_catalog_table(conn, schema, name, order->arena, &table, &found, err) != 0)
        return -1;
    if (!found || stamp.oid.len == 0 || (table.kind != 'r' && table.kind != 'p'))
        return 0;
    if (relation_of(order, &table, &rel, err) != 0)
        return -1;
    if (rel == NULL)
        return 0;
    if (sb_apply_rel_make(rel, &table, order->arena, &made, err) != 0)
        return err->code == SB_E_TARGET_STRUCTURE ? 0 : -1;
    if (sb_target_read(conn, &stamp, order->arena, made, err) != 0)
        return -1;
    *ret_rel = made;
    return 0;
}

static bool has_open(const struct order *order)
{
    for (uint32_t i = 0; i < order->image.row_count; i++)
        if (order->done[i].outcome == SB_REPAIR_OPEN)
            return true;
    return false;
}

static void count(const struct order *order)
{
    static const enum sb_metric metrics[] = {[SB_REPAIR_APPLIED] = SB_M_REPAIR_APPLIED,
        [SB_REPAIR_NOOP_EQUAL] = SB_M_REPAIR_NOOP_EQUAL,
        [SB_REPAIR_SKIPPED_NEWER] = SB_M_REPAIR_SKIPPED_NEWER,
        [SB_REPAIR_SKIPPED_RING] = SB_M_REPAIR_SKIPPED_RING,
        [SB_REPAIR_SKIPPED_GUARD] = SB_M_REPAIR_SKIPPED_GUARD,
        [SB_REPAIR_SKIPPED_SCHEMA] = SB_M_REPAIR_SKIPPED_SCHEMA,
        [SB_REPAIR_SKIPPED_OWNER] = SB_M_REPAIR_SKIPPED_OWNER,
        [SB_REPAIR_SKIPPED_REFUSED] = SB_M_REPAIR_SKIPPED_REFUSED};
    int64_t applied = 0;
    for (uint32_t i = 0; i < order->image.row_count; i++) {
        sb_metric_add(metrics[order->done[i].outcome], 1);
        applied += order->done[i].outcome == SB_REPAIR_APPLIED;
    }
    SB_INFO("image of rows taken", SB_NUM("repair", order->image.repair),
        SB_NUM("rows", order->image.row_count), SB_NUM("applied", applied),
        SB_LSN("commit_lsn", order->at->commit_lsn));
}

static int write_rows(struct order *order, struct sb_repair_job *job, struct sb_err *err)
{
    struct sb_apply_rel *rel = NULL;
    if (has_open(order) && target_of(order, &rel, err) != 0)
        return -1;
    job->rel = rel;
    if (rel == NULL) {
        all_are(order, SB_REPAIR_SKIPPED_SCHEMA);
        return 0;
    }
    /* Behind the writes, which keep everybody from altering the table. */
    const struct sb_apply_rel *const rels[] = {rel};
    return sb_repair_rows(job, err) != 0 ? -1 : sb_target_same(job->writer, rels, 1, err);
}

static int carry_out(struct order *order, struct sb_err *err)
{
    struct sb_repair_desk *desk = order->desk;
    const struct sb_flight flight = {.commit_lsn = order->at->commit_lsn, .xid = order->at->xid};
    struct sb_repair_job job = {.conn = desk->conn,
        .writer = sb_delivery_writer(desk->delivery),
        .migration = desk->config->migration,
        .direction = desk->direction,
        .image = &order->image,
        .arena = order->arena,
        .done = order->done};
    if (judge(order, err) != 0 || sb_delivery_grow(desk->delivery, &flight, err) != 0)
        return -1;
    SB_FAULT("apply-before-repair");
    if (write_rows(order, &job, err) != 0)
        return -1;
    for (uint32_t i = 0; i < order->image.row_count; i++)
        if (sb_repair_book_row(&job, i, order->at->commit_lsn, err) != 0)
            return -1;
    SB_FAULT("apply-after-repair");
    count(order);
    return 0;
}

static int leave_out(const struct order *order, const char *why)
{
    SB_WARN("an image of rows is left out", SB_STR("why", why), SB_LSN("commit_lsn", order->at->commit_lsn),
        SB_NUM("xid", order->at->xid));
    return 0;
}

static bool is_for_us(const struct order *order)
{
    return sb_view_eq_str(order->image.migration, order->desk->config->migration) &&
           sb_view_eq_str(order->image.direction, order->desk->direction);
}

static int take_signed(struct order *order, struct sb_view record, struct sb_err *err)
{
    struct sb_err why;
    if (sb_image_read(record, order->arena, &order->image, &why) != 0)
        return leave_out(order, why.text);
    if (!is_for_us(order)) /* every migration that reads this database sees it */
        return 0;
    if (order->image.snapshot.len > 0 &&
        !sb_snapshot_parse(order->image.snapshot.ptr, order->arena, &order->snapshot))
        return leave_out(order, "its snapshot does not have the form of one");
    order->done = sb_arena_zalloc(order->arena, order->image.row_count * sizeof *order->done);
    if (order->done == NULL)
        return sb_err_set(err, SB_E_LIMIT, "arena \"%s\" is full", sb_arena_name(order->arena));
    return carry_out(order, err);
}

int sb_repair_take(struct sb_repair_desk *desk, const struct sb_ring_at *at, struct sb_view body,
    bool settled, struct sb_arena *arena, struct sb_err *err)
{
    struct order order = {.desk = desk, .at = at, .arena = arena, .settled = settled};
    struct sb_view signature, record;
    bool is_signed = false;
    if (!desk->there || sb_delivery_skips(desk->delivery, at->commit_lsn, at->xid))
        return 0;
    if (sb_image_split(body, &signature, &record) &&
        sb_signature_verify(
            desk->conn, desk->config->migration, desk->direction, signature, record, &is_signed, err) != 0)
        return -1;
    if (!is_signed) {
        sb_metric_add(SB_M_APPLY_UNSIGNED, 1);
        return leave_out(&order, "it is not signed by the source");
    }
    return take_signed(&order, record, err);
}
