#include "reconcile/repair.h"

#include "core/clock.h"
#include "core/fault.h"
#include "core/log.h"
#include "reconcile/repair_image.h"
#include "reconcile/repair_rows.h"
#include "reconcile/repair_undo.h"
#include "reconcile/scene.h"
#include "schemas/digest.h"
#include "schemas/image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TRIES_MAX = 10,      /* images of one row in a run */
    RING_WANTED_S = 300, /* longer than anything a batch waits for */
    ANCHOR_AGE_MAX_MS = 30000,
    UNDO_ROWS_MAX = 100, /* held at once */
    POLL_FIRST_US = 5000,
    POLL_MOST_US = 250000,
    BATCH_MAX_BYTES = 1024 * 1024 * 1024,
    WORDS_MAX_BYTES = 4096,
};

enum { STOP = 1 }; /* beside 0 and -1: the run ends with why */

struct run {
    const struct sb_config *config;
    const struct sb_repair_options *options;
    struct sb_arena *arena;
    struct sb_arena *batch_arena;
    struct sb_repair_report *report;
    struct sb_scene scene;
    struct sb_scene_progress progress;
    struct sb_repair_book book;
    struct sb_repair_head head;
    struct sb_imager *imager;
    struct sb_stream *anchors; /* the scene's own is being followed */
    char anchors_path[SB_PATH_BYTES];
    uint64_t floor_lsn;
    int64_t floor_ms;               /* when it was found */
    struct sb_verify_result result; /* of the compare */
    int64_t began_us, rows_done;    /* the pace */
};

const char *sb_repair_end_name(enum sb_repair_end end)
{
    static const char *const names[] = {"nothing", "planned", "done", "incomplete", "refused"};
    return names[end];
}

void sb_repair_report_clear(struct sb_repair_report *report)
{
    sb_repair_draft_clear(&report->draft);
    sb_buf_clear(&report->words);
}

static int stop(struct run *run, const char *why)
{
    if (run->report->words.len == 0)
        sb_buf_put_str(&run->report->words, why);
    return STOP;
}

static int void_repair(int64_t id, const char *why, struct sb_err *err)
{
    return sb_err_set(err, SB_E_REPAIR_VOID, "repair %" PRId64 " %s", id, why);
}

/* -- opening --------------------------------------------------------------------------------------------- */

static int lock(struct run *run, struct sb_err *err)
{
    bool got = false;
    if (sb_repair_book_lock(&run->book, &got, err) != 0)
        return -1;
    if (!got)
        return sb_err_set(
            err, SB_E_REPAIR_BUSY, "another repair of migration \"%s\" is at work", run->book.migration);
    return sb_repair_book_sweep(&run->book, err);
}

static int open_run(struct run *run, const char *pattern, struct sb_err *err)
{
    const struct sb_config *config = run->config;
    if (sb_scene_open(config, run->options->direction, "repair", run->arena, &run->scene, err) != 0)
        return -1;
    run->book = (struct sb_repair_book){.conn = sb_sides_conn(run->scene.sides, SB_SIDE_TARGET),
        .migration = config->migration,
        .direction = sb_direction_name(run->options->direction)};
    if (lock(run, err) != 0 || sb_scene_progress(&run->scene, &run->progress, err) != 0)
        return -1;
    /* Keys are read one by one: nothing is cut into ranges. */
    return sb_scene_plan(&run->scene, pattern, INT64_MAX, err);
}

static int draft(struct run *run, struct sb_err *err)
{
    const struct sb_config *config = run->config;
    const struct sb_repair_options *options = run->options;
    struct sb_repair_report *report = run->report;
    const struct sb_repair_draft_options wanted = {
        .limits = {.include_foreign = options->include_foreign,
            .include_capture = options->include_capture,
            .include_held = options->include_held,
            .despite_pattern = options->despite_pattern,
            .rows_max = config->repair.max_rows,
            .deletes_max = config->repair.max_deletes,
            .share_max_percent = config->repair.table_share_max_percent,
            .share_rows_min = config->repair.pattern_min_rows,
            .pattern_rows_min = config->repair.pattern_min_rows},
        .pattern = options->pattern,
        .reason = options->reason,
        .asked_by = options->asked_by,
        .ownership_epoch = run->progress.ownership_epoch};
    report->planned_now = true;
    sb_repair_draft_clear(&report->draft);
    if (sb_repair_draft_make(&run->book, &wanted, &run->scene.plan, run->arena, &report->draft, err) != 0)
        return -1;
    report->id = report->draft.id;
    report->counts.items = (int64_t)report->draft.plan.count;
    report->end = report->draft.plan.verdict != SB_REPAIR_MAY ? SB_REPAIR_REFUSED
                  : report->id == 0                           ? SB_REPAIR_NOTHING
                                                              : SB_REPAIR_PLANNED;
    report->why = sb_buf_str(&report->draft.why);
    SB_FAULT("reconcile-after-plan");
    return 0;
}

/* A plan, or a run to be gone on with. */
static int load(struct run *run, int64_t id, struct sb_err *err)
{
    bool found = false;
    if (sb_repair_book_head(&run->book, id, run->arena, &run->head, &found, err) != 0)
        return -1;
    if (!found)
        return sb_err_set(
            err, SB_E_USAGE, "there is no repair %" PRId64 "; `switchback repair list` names them", id);
    if (run->head.ownership_epoch != run->progress.ownership_epoch)
        return void_repair(
            id, "was made under another ownership of the data, so its differences are void", err);
    run->report->id = id;
    return 0;
}

/* -- the anchor and the ring ----------------------------------------------------------------------------- */

static int anchor_take(struct run *run, struct sb_err *err)
{
    struct sb_stream_options options;
    struct sb_anchor anchor;
    if (run->anchors == NULL) {
        sb_wiring_stream(run->config, run->options->direction, run->anchors_path, &options);
        if (sb_stream_open(&options, SB_STREAM_READ, &run->anchors, err) != 0)
            return -1;
    }
    if (sb_scene_progress(&run->scene, &run->progress, err) != 0 ||
        sb_anchor_find(sb_sides_conn(run->scene.sides, SB_SIDE_SOURCE), run->anchors, &run->progress.position,
            run->progress.offset, &anchor, err) != 0)
        return -1;
    run->floor_lsn = anchor.position.commit_lsn;
    run->floor_ms = sb_clock_mono_ms();
    return 0;
}

static void pause_longer(useconds_t *pause_us)
{
    usleep(*pause_us); /* nothing is held meanwhile */
    *pause_us = *pause_us * 2 > POLL_MOST_US ? POLL_MOST_US : *pause_us * 2;
}

/* Until apply remembers every commit behind the floor. anew: it has to say so once more. */
static int ring_wait(struct run *run, bool anew, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + run->config->repair.apply_wait_s * 1000;
    useconds_t pause_us = POLL_FIRST_US;
    for (;;) {
        uint64_t whole_from;
        if (sb_repair_book_ring(&run->book, RING_WANTED_S, anew, &whole_from, err) != 0)
            return -1;
        anew = false;
        if (whole_from != 0 && whole_from > run->floor_lsn && anchor_take(run, err) != 0)
            return -1;
        if (whole_from != 0 && whole_from <= run->floor_lsn)
            return 0;
        if (sb_clock_mono_ms() >= deadline_ms)
            return stop(run,
                whole_from == 0
                    ? "apply does not answer: is it at work, not paused, and not held back by the initial "
                      "copy?"
                    : "a commit of the source is applied, but no snapshot shows it yet: does a synchronous "
                      "standby not answer?");
        pause_longer(&pause_us);
    }
}

static int floor_renew(struct run *run, bool forgotten, struct sb_err *err)
{
    if (run->head.undoes != 0)
        return 0;
    if (forgotten || sb_clock_mono_ms() - run->floor_ms > ANCHOR_AGE_MAX_MS)
        if (anchor_take(run, err) != 0)
            return -1;
    return ring_wait(run, forgotten, err);
}

/* -- images ---------------------------------------------------------------------------------------------- */

struct batch {
    const struct sb_verify_table *table;
    struct sb_repair_item *items;
    size_t count;
    const struct sb_repair_item **asked; /* in this turn */
    int64_t *tries;                      /* of these, before */
    size_t asked_count;
};

static bool is_final(enum sb_item_outcome outcome)
{
    return outcome != SB_OUTCOME_NONE && outcome != SB_OUTCOME_SKIPPED_NEWER &&
           outcome != SB_OUTCOME_SKIPPED_RING;
}

/* In the first turn all that are not done; later those that may be asked again. */
static void ask_for(struct batch *batch, bool first)
{
    batch->asked_count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct sb_repair_item *item = &batch->items[i];
        bool done = item->outcome == SB_OUTCOME_APPLIED || item->outcome == SB_OUTCOME_NOOP_EQUAL;
        if (first ? done : is_final(item->outcome))
            continue;
        batch->asked[batch->asked_count] = item;
        batch->tries[batch->asked_count++] = item->tries;
    }
}

static int send_stamped(
    struct run *run, const struct batch *batch, size_t from, size_t *ret_done, struct sb_err *err)
{
    size_t count = batch->asked_count - from;
    int rc = SB_IMAGER_LOCKED;
    for (int tries = 0; rc == SB_IMAGER_LOCKED && tries < TRIES_MAX; tries++)
        rc = sb_imager_send(run->imager, batch->table, run->floor_lsn, &batch->asked[from],
            count < SB_IMAGE_ROWS_MAX ? count : SB_IMAGE_ROWS_MAX, ret_done, err);
    if (rc == SB_IMAGER_LOCKED)
        return stop(run, "a table was locked on the source each time it was to be read");
    return rc == SB_IMAGER_ALTERED ? stop(run, "a table was altered while it was repaired") : rc;
}

static int send_undo(
    struct run *run, const struct batch *batch, size_t from, size_t *ret_done, struct sb_err *err)
{
    const struct sb_value *rows[UNDO_ROWS_MAX];
    size_t count = batch->asked_count - from;
    count = count < UNDO_ROWS_MAX ? count : UNDO_ROWS_MAX;
    struct sb_arena *arena = sb_arena_new("rows of a repair", BATCH_MAX_BYTES);
    if (arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for rows of a repair");
    int rc = sb_undo_rows(
        &run->book, run->head.undoes, batch->table, &batch->asked[from], count, arena, rows, err);
    if (rc == 0)
        rc = sb_imager_send_rows(run->imager, batch->table, &batch->asked[from], rows, count, ret_done, err);
    sb_arena_free(arena);
    return rc;
}

static int send(struct run *run, const struct batch *batch, struct sb_err *err)
{
    size_t done;
    for (size_t from = 0; from < batch->asked_count; from += done) {
        int rc = run->head.undoes == 0 ? send_stamped(run, batch, from, &done, err)
                                       : send_undo(run, batch, from, &done, err);
        if (rc != 0)
            return rc;
        run->report->images++;
        run->report->rows_sent += (int64_t)done;
    }
    return 0;
}

static bool all_judged(const struct batch *batch)
{
    for (size_t i = 0; i < batch->asked_count; i++)
        if (batch->asked[i]->tries <= batch->tries[i])
            return false;
    return true;
}

/* Behind all that we have sent. */
static int end_of_sent(struct run *run, uint64_t *ret_lsn, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_conn_query(sb_sides_conn(run->scene.sides, SB_SIDE_SOURCE),
            "SELECT pg_catalog.pg_current_wal_insert_lsn()", 0, NULL, &rows, err) != 0)
        return -1;
    *ret_lsn = sb_rows_lsn(rows, 0, 0);
    return sb_sides_mark(run->scene.sides, err);
}

/* Until apply has said something of every image; as long as it gets on, or not for longer than apply_wait_s.
 */
static int judged_wait(struct run *run, struct batch *batch, struct sb_err *err)
{
    uint64_t end_lsn, whole_from, last_lsn = 0;
    int64_t moved_ms = sb_clock_mono_ms();
    useconds_t pause_us = POLL_FIRST_US;
    if (end_of_sent(run, &end_lsn, err) != 0)
        return -1;
    for (;;) {
        /* Progress first: what is applied at it is judged in what is read next. */
        if (sb_scene_progress(&run->scene, &run->progress, err) != 0 ||
            sb_repair_book_outcomes(&run->book, run->head.id, batch->items, batch->count, err) != 0 ||
            sb_repair_book_ring(&run->book, RING_WANTED_S, false, &whole_from, err) != 0)
            return -1;
        if (all_judged(batch))
            return 0;
        if (run->progress.position.commit_lsn >= end_lsn)
            return stop(run,
                "apply has passed the images and not judged them: is it of an older version, or was "
                "the control schema made anew?");
        if (run->progress.position.commit_lsn != last_lsn)
            moved_ms = sb_clock_mono_ms();
        last_lsn = run->progress.position.commit_lsn;
        if (sb_clock_mono_ms() - moved_ms > run->config->repair.apply_wait_s * 1000)
            return stop(run, "apply stands still: `switchback status` says why");
        pause_longer(&pause_us);
    }
}

static bool any_of(const struct batch *batch, enum sb_item_outcome outcome)
{
    for (size_t i = 0; i < batch->asked_count; i++)
        if (batch->asked[i]->outcome == outcome)
            return true;
    return false;
}

static int batch_send(struct run *run, struct batch *batch, struct sb_err *err)
{
    for (int turn = 0; turn < TRIES_MAX; turn++) {
        bool forgotten = turn > 0 && any_of(batch, SB_OUTCOME_SKIPPED_RING);
        ask_for(batch, turn == 0);
        if (batch->asked_count == 0)
            return 0;
        int rc = floor_renew(run, forgotten, err);
        if (rc == 0)
            rc = send(run, batch, err);
        if (rc == 0)
            rc = judged_wait(run, batch, err);
        if (rc != 0)
            return rc;
        SB_FAULT("reconcile-after-judged");
    }
    return 0;
}

/* -- compared again -------------------------------------------------------------------------------------- */

static int told(void *arg, const struct sb_digest *key, enum sb_verdict_is is, struct sb_err *err)
{
    struct sb_repair_item *item = sb_map_get(arg, sb_view(key, sizeof *key));
    (void)err;
    if (item != NULL)
        item->equal = is == SB_KEY_EQUAL;
    return 0;
}

static int compare_again(struct run *run, struct batch *batch, struct sb_map *items, struct sb_err *err)
{
    struct sb_view *keys = sb_arena_alloc(run->batch_arena, (batch->count + 1) * sizeof *keys);
    if (keys == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for keys of a repair");
    for (size_t i = 0; i < batch->count; i++) {
        const struct sb_digest key = sb_hash128(batch->items[i].key);
        keys[i] = batch->items[i].key;
        if (!sb_map_put(items, sb_view(&key, sizeof key), &batch->items[i], NULL))
            return sb_err_set(err, SB_E_NO_MEMORY, "no memory for keys of a repair");
    }
    run->result.table = batch->table;
    if (sb_compare_keys(run->scene.compare, &run->result, keys, batch->count, told, items, err) != 0 ||
        sb_repair_book_verified(&run->book, run->head.id, batch->items, batch->count, err) != 0)
        return -1;
    SB_FAULT("reconcile-after-verified");
    return run->result.state == SB_TABLE_NOT_COMPARED ? stop(run, run->result.why) : 0;
}

static int batch_verify(struct run *run, struct batch *batch, struct sb_err *err)
{
    if (run->head.undoes != 0)
        return sb_repair_book_undone(&run->book, run->head.id, err);
    struct sb_map *items = sb_map_new(batch->count + 1);
    int rc = items == NULL ? sb_err_set(err, SB_E_NO_MEMORY, "no memory for keys of a repair")
                           : compare_again(run, batch, items, err);
    sb_map_free(items);
    return rc;
}

/* -- batches --------------------------------------------------------------------------------------------- */

/* No more than repair.max_rate_rows_s: a batch is of a second's rows at most, and the next one waits for its
 * time. */
static int64_t batch_rows(const struct sb_config *config)
{
    int64_t rate = config->repair.max_rate_rows_s, most = config->repair.batch_max_rows;
    return rate != 0 && rate < most ? rate : most;
}

static void keep_pace(struct run *run, size_t rows)
{
    int64_t rate = run->config->repair.max_rate_rows_s;
    run->rows_done += (int64_t)rows;
    if (rate == 0)
        return;
    int64_t due_us = run->began_us + run->rows_done * 1000000 / rate, left_us;
    while ((left_us = due_us - sb_clock_mono_us()) > 0)
        usleep((useconds_t)(left_us < POLL_MOST_US ? left_us : POLL_MOST_US));
}

static int batch_room(struct run *run, struct batch *batch, struct sb_err *err)
{
    batch->asked = sb_arena_alloc(run->batch_arena, batch->count * sizeof(void *));
    batch->tries = sb_arena_alloc(run->batch_arena, batch->count * sizeof *batch->tries);
    return batch->asked != NULL && batch->tries != NULL
               ? 0
               : sb_err_set(err, SB_E_LIMIT, "a batch does not fit into arena \"%s\"",
                     sb_arena_name(run->batch_arena));
}

/* refused: those alone that the target has refused, as many of a table together as an image takes: they may
 * be in each other's way. */
static int batches_repair(struct run *run, bool refused, struct sb_err *err)
{
    int64_t last = 0, most = refused ? SB_IMAGE_ROWS_MAX : batch_rows(run->config);
    for (;;) {
        struct batch batch = {.count = 0};
        sb_arena_reset(run->batch_arena);
        if (sb_repair_book_items(&run->book, run->head.id, last, most, refused, run->batch_arena,
                &batch.items, &batch.count, err) != 0)
            return -1;
        if (batch.count == 0)
            return 0;
        last = batch.items[batch.count - 1].item;
        batch.table = sb_repair_table_find(&run->scene.plan, batch.items[0].relation);
        if (batch.table == NULL) /* its items stay what they are */
            continue;
        if (batch_room(run, &batch, err) != 0)
            return -1;
        int rc = run->head.undoes == 0
                     ? sb_repair_rows_guard(batch.table, run->book.conn, batch.items, batch.count, err)
                     : 0;
        if (rc == 0)
            rc = batch_send(run, &batch, err);
        if (rc == 0)
            rc = batch_verify(run, &batch, err);
        if (rc != 0)
            return rc;
        keep_pace(run, batch.count);
    }
}

/* -- a run ----------------------------------------------------------------------------------------------- */

static int imager_open(struct run *run, struct sb_err *err)
{
    const struct sb_imager_options options = {.truth = sb_sides_conn(run->scene.sides, SB_SIDE_SOURCE),
        .migration = run->book.migration,
        .direction = run->book.direction,
        .timeline = sb_sides_source_id(run->scene.sides)->timeline,
        .repair = run->head.id,
        .ownership_epoch = run->head.ownership_epoch};
    run->batch_arena = sb_arena_new("items of a repair", BATCH_MAX_BYTES);
    if (run->batch_arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for items of a repair");
    return sb_imager_new(&options, &run->imager, err);
}

static int work(struct run *run, struct sb_err *err)
{
    const char *why;
    if (sb_scene_wait_joined(&run->scene, &run->progress, &why, err) != 0)
        return -1;
    if (why != NULL)
        return stop(run, why);
    if (run->head.undoes == 0) {
        if (sb_scene_follow(&run->scene, &run->progress, err) != 0)
            return -1;
        run->floor_lsn = run->scene.anchor.position.commit_lsn;
        run->floor_ms = sb_clock_mono_ms();
        int rc = ring_wait(run, true, err);
        if (rc != 0)
            return rc;
    }
    run->began_us = sb_clock_mono_us();
    int rc = batches_repair(run, false, err);
    return rc == 0 ? batches_repair(run, true, err) : rc;
}

static void put_left(struct sb_buf *words, int64_t count, const char *what)
{
    if (count > 0)
        sb_buf_putf(words, "%s%" PRId64 " %s", words->len == 0 ? "" : "; ", count, what);
}

/* Why rows are left, in words. */
static void left_put(const struct sb_repair_counts *counts, struct sb_buf *words)
{
    const int64_t *by = counts->by_outcome;
    put_left(words, by[SB_OUTCOME_SKIPPED_GUARD], "rows of the target are not what was found any more");
    put_left(words, by[SB_OUTCOME_SKIPPED_SCHEMA], "rows whose table has another form on the target");
    put_left(words, by[SB_OUTCOME_SKIPPED_REFUSED],
        "rows were refused by the target: `switchback repair show` says why");
    put_left(words, by[SB_OUTCOME_SKIPPED_OWNER], "rows on a side that owns the data now");
    put_left(words, by[SB_OUTCOME_SKIPPED_NEWER], "rows are written all the time");
    put_left(words, by[SB_OUTCOME_SKIPPED_RING], "rows of which apply could not tell what has touched them");
    put_left(words, by[SB_OUTCOME_APPLIED] + by[SB_OUTCOME_NOOP_EQUAL],
        "rows were written and did not compare equal, or are undecided");
    put_left(words, by[SB_OUTCOME_NONE], "rows were not asked for");
}

static int conclude(struct run *run, struct sb_err *err)
{
    struct sb_repair_report *report = run->report;
    struct sb_repair_counts *counts = &report->counts;
    uint64_t ignored;
    if (sb_repair_book_counts(&run->book, run->head.id, counts, err) != 0)
        return -1;
    report->end = counts->verified + counts->closed == counts->items ? SB_REPAIR_DONE : SB_REPAIR_INCOMPLETE;
    if (report->end == SB_REPAIR_INCOMPLETE)
        left_put(counts, &report->words);
    report->why = report->end == SB_REPAIR_INCOMPLETE ? sb_buf_str(&report->words) : "";
    SB_INFO("repair ended", SB_NUM("repair", run->head.id), SB_STR("end", sb_repair_end_name(report->end)),
        SB_NUM("rows", counts->items), SB_NUM("verified", counts->verified));
    if (sb_repair_book_end(&run->book, run->head.id, report->why, err) != 0)
        return -1;
    return run->head.undoes == 0 ? sb_repair_book_ring(&run->book, 0, false, &ignored, err) : 0;
}

/* The repair in head, from where it is. */
static int execute(struct run *run, struct sb_err *err)
{
    if (imager_open(run, err) != 0 || sb_repair_book_begin(&run->book, run->head.id, err) != 0)
        return -1;
    SB_INFO("repair begins", SB_NUM("repair", run->head.id), SB_NUM("undoes", run->head.undoes));
    int rc = work(run, err);
    if (rc >= 0)
        return conclude(run, err);
    struct sb_err ignored;
    if (!sb_conn_in_transaction(run->book.conn))
        sb_repair_book_end(&run->book, run->head.id, err->text, &ignored);
    return -1;
}

static void run_clear(struct run *run)
{
    sb_imager_free(run->imager);
    sb_arena_free(run->batch_arena);
    sb_stream_close(run->anchors);
    sb_scene_clear(&run->scene);
}

static void run_init(struct run *run, const struct sb_config *config, const struct sb_repair_options *options,
    struct sb_arena *arena, struct sb_repair_report *report)
{
    *run = (struct run){.config = config, .options = options, .arena = arena, .report = report};
    *report = (struct sb_repair_report){.why = ""};
    sb_buf_init(&report->words, WORDS_MAX_BYTES);
}

/* -- the three ------------------------------------------------------------------------------------------- */

int sb_repair_plan(const struct sb_config *config, const struct sb_repair_options *options,
    struct sb_arena *arena, struct sb_repair_report *ret_report, struct sb_err *err)
{
    struct run run;
    run_init(&run, config, options, arena, ret_report);
    int rc = open_run(&run, options->pattern, err);
    if (rc == 0)
        rc = draft(&run, err);
    run_clear(&run);
    return rc;
}

static int run_given(struct run *run, int64_t id, struct sb_err *err)
{
    if (load(run, id, err) != 0)
        return -1;
    if (strcmp(run->head.state, "done") == 0)
        return void_repair(id, "is done", err);
    run->report->undo = run->head.undoes != 0;
    if (run->head.refused[0] == '\0')
        return execute(run, err);
    run->report->end = SB_REPAIR_REFUSED;
    run->report->why = run->head.refused;
    return 0;
}

int sb_repair_run(const struct sb_config *config, const struct sb_repair_options *options, int64_t id,
    struct sb_arena *arena, struct sb_repair_report *ret_report, struct sb_err *err)
{
    struct run run;
    run_init(&run, config, options, arena, ret_report);
    int rc = open_run(&run, id == 0 ? options->pattern : NULL, err);
    if (rc == 0 && id == 0)
        rc = draft(&run, err);
    if (rc == 0 && id == 0)
        id = ret_report->end == SB_REPAIR_PLANNED ? ret_report->id : 0;
    if (rc == 0 && id != 0)
        rc = run_given(&run, id, err);
    run_clear(&run);
    return rc;
}

static int undo(struct run *run, int64_t id, struct sb_err *err)
{
    const struct sb_undo_options options = {.undoes = id,
        .ownership_epoch = run->progress.ownership_epoch,
        .reason = run->options->reason,
        .asked_by = run->options->asked_by};
    int64_t undo_id = 0;
    if (load(run, id, err) != 0)
        return -1;
    if (run->head.undoes != 0)
        return void_repair(id, "is an undo itself: plan a repair with --include held instead", err);
    if (sb_undo_write(&run->book, &options, &run->scene.plan, &undo_id, err) != 0)
        return -1;
    if (undo_id == 0)
        return void_repair(id, "has changed nothing that could be undone", err);
    run->report->undo = true;
    return load(run, undo_id, err) == 0 ? execute(run, err) : -1;
}

int sb_repair_undo(const struct sb_config *config, const struct sb_repair_options *options, int64_t id,
    struct sb_arena *arena, struct sb_repair_report *ret_report, struct sb_err *err)
{
    struct run run;
    run_init(&run, config, options, arena, ret_report);
    int rc = open_run(&run, NULL, err);
    if (rc == 0)
        rc = undo(&run, id, err);
    run_clear(&run);
    return rc;
}
