#include "cutover/keeper.h"

#include "config/wiring.h"
#include "core/clock.h"
#include "core/log.h"
#include "cutover/ask.h"
#include "cutover/sequence_list.h"
#include "pg/ident.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIST_EVERY_MS = 30000,
    LIST_EVERY_IN_TROUBLE_MS = 3000,
    EDGES_EVERY_MS = 10000,
    NOTES_MAX = 100000,
    WRITE_AT_ONCE = 100
};
#define RATE_FADES 0.99 /* a round: peaks are remembered for some minutes */

/* What is remembered of a sequence from round to round. */
struct note {
    bool placed; /* on the owner */
    struct sb_sequence_place place;
    int64_t placed_ms;
    double rate;   /* values a second */
    bool recorded; /* on the other side: as in switchback.sequence */
    struct sb_sequence_place left;
    int64_t rogue;
    int said; /* what was last said about it */
};

struct side {
    enum sb_side as;
    const char *called; /* "old" */
    struct sb_conn *conn;
    struct sb_sequence_list *list;
    struct sb_map *notes; /* by name */
};

struct sb_keeper {
    const struct sb_config *config;
    struct side sides[2]; /* old, new */
    bool ownership_there; /* the table */
    bool new_owns;
    int64_t epoch;
    bool records_read;
    bool troubled; /* the last round had something to complain about: somebody may be mending it */
    int64_t listed_ms, edges_ms; /* 0: never */
};

/* One round's work on the side that does not own. */
struct task {
    struct sb_sequence *sequence;
    struct note *note;
    bool paired;
    bool write; /* its row in switchback.sequence */
    bool move;
    struct sb_sequence_place seen, to;
};

struct round {
    struct sb_keeper *keeper;
    struct side *owner, *twin;
    struct task *tasks; /* twin->list->count of them */
    struct sb_keeper_result *result;
};

/* -- life ------------------------------------------------------------------------------------------------ */

int sb_keeper_new(const struct sb_config *config, struct sb_keeper **ret_keeper, struct sb_err *err)
{
    struct sb_keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the keeper of sequences");
    keeper->config = config;
    keeper->sides[0] = (struct side){.as = SB_SIDE_SOURCE, .called = "old", .notes = sb_map_new(NOTES_MAX)};
    keeper->sides[1] = (struct side){.as = SB_SIDE_TARGET, .called = "new", .notes = sb_map_new(NOTES_MAX)};
    *ret_keeper = keeper;
    if (keeper->sides[0].notes != NULL && keeper->sides[1].notes != NULL)
        return 0;
    sb_keeper_free(keeper);
    return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the keeper of sequences");
}

void sb_keeper_free(struct sb_keeper *keeper)
{
    if (keeper == NULL)
        return;
    for (int i = 0; i < 2; i++) {
        struct side *side = &keeper->sides[i];
        size_t pos = 0;
        struct sb_view name;
        void *note;
        while (side->notes != NULL && sb_map_next(side->notes, &pos, &name, &note))
            free(note);
        sb_map_free(side->notes);
        sb_sequence_list_free(side->list);
        sb_conn_close(side->conn);
    }
    free(keeper);
}

static struct note *note_of(struct side *side, const char *name)
{
    struct note *note = sb_map_get(side->notes, sb_view_str(name));
    if (note != NULL)
        return note;
    note = calloc(1, sizeof *note);
    if (note == NULL || sb_map_put(side->notes, sb_view_str(name), note, NULL))
        return note;
    free(note);
    return NULL;
}

static int no_note(struct sb_err *err)
{
    return sb_err_set(err, SB_E_LIMIT, "more than %d sequences", NOTES_MAX);
}

/* -- who owns -------------------------------------------------------------------------------------------- */

static int sessions_open(struct sb_keeper *keeper, struct sb_err *err)
{
    char purpose[SB_NAME_BYTES];
    snprintf(purpose, sizeof purpose, "switchback %s sequences", keeper->config->migration);
    for (int i = 0; i < 2; i++) {
        struct side *side = &keeper->sides[i];
        struct sb_endpoint endpoint = side->as == SB_SIDE_SOURCE
                                          ? sb_wiring_source(keeper->config, SB_FORWARD)
                                          : sb_wiring_target(keeper->config, SB_FORWARD);
        if (sb_conn_open(&endpoint, purpose, SB_CONN_LOCAL_COMMIT, &side->conn, err) != 0 ||
            sb_ask(side->conn, "SET lock_timeout = '1s'", 0, NULL, NULL, err) != 0)
            return -1;
    }
    return 0;
}

static void sessions_close(struct sb_keeper *keeper)
{
    for (int i = 0; i < 2; i++) {
        sb_conn_close(keeper->sides[i].conn);
        keeper->sides[i].conn = NULL;
    }
}

static bool is_undefined(const struct sb_err *err)
{
    return strncmp(err->sqlstate, "42", 2) == 0 || strcmp(err->sqlstate, "3F000") == 0;
}

/* Do the two know one another, and is everything there that a round needs? */
static int check_prepared(struct sb_keeper *keeper, struct sb_err *err)
{
    const char *const params[] = {keeper->config->migration};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *old = NULL;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *new = NULL;
#define THERE                                                                                                \
    "i.uuid, pg_catalog.to_regclass('switchback.sequence') IS NOT NULL,"                                     \
    " pg_catalog.to_regclass('switchback.ownership') IS NOT NULL"
    if (sb_ask(keeper->sides[0].conn,
            "SELECT r.target_uuid, " THERE " FROM switchback.capture r CROSS JOIN switchback.identity i"
            " WHERE r.migration = $1 AND r.direction = 'forward' AND r.lane = 0",
            1, params, &old, err) != 0 ||
        sb_ask(keeper->sides[1].conn,
            "SELECT r.source_uuid, " THERE " FROM switchback.progress r CROSS JOIN switchback.identity i"
            " WHERE r.migration = $1 AND r.direction = 'forward' AND r.lane = 0",
            1, params, &new, err) != 0)
        return is_undefined(err) ? sb_err_set(err, SB_E_NOT_PREPARED, "migration \"%s\" is not prepared",
                                       keeper->config->migration)
                                 : -1;
#undef THERE
    if (sb_rows_count(old) == 0 || sb_rows_count(new) == 0 || !sb_rows_bool(old, 0, 2) ||
        !sb_rows_bool(new, 0, 2))
        return sb_err_set(err, SB_E_NOT_PREPARED, "the %s side is not prepared for migration \"%s\"",
            sb_rows_count(old) == 0 || !sb_rows_bool(old, 0, 2) ? "old" : "new", keeper->config->migration);
    if (strcmp(sb_rows_get(old, 0, 0), sb_rows_get(new, 0, 1)) != 0)
        return sb_err_set(err, SB_E_TARGET_IDENTITY, "target.dsn does not lead to the prepared database");
    if (strcmp(sb_rows_get(new, 0, 0), sb_rows_get(old, 0, 1)) != 0)
        return sb_err_set(err, SB_E_SOURCE_IDENTITY, "source.dsn does not lead to the prepared database");
    keeper->ownership_there = sb_rows_bool(old, 0, 3) && sb_rows_bool(new, 0, 3);
    return 0;
}

/* The row of the higher epoch holds: a hand-off raises it on the side that takes over. */
static int ownership_read(struct sb_keeper *keeper, struct sb_err *err)
{
    const char *const params[] = {keeper->config->migration};
    bool new_owns = false;
    int64_t epoch = 0;
    for (int i = 0; i < 2 && keeper->ownership_there; i++) {
        SB_CLEANUP(sb_rows_freep)
        struct sb_rows *rows = NULL;
        if (sb_ask(keeper->sides[i].conn,
                "SELECT epoch, owner = 'new' FROM switchback.ownership WHERE migration = $1", 1, params,
                &rows, err) != 0)
            return -1;
        if (sb_rows_count(rows) == 1 && sb_rows_i64(rows, 0, 0) > epoch) {
            epoch = sb_rows_i64(rows, 0, 0);
            new_owns = sb_rows_bool(rows, 0, 1);
        }
    }
    if (new_owns != keeper->new_owns || epoch != keeper->epoch)
        keeper->records_read = false;
    keeper->new_owns = new_owns;
    keeper->epoch = epoch;
    return 0;
}

/* The structure that the initial copy moves brings the sequences, too: until then all of them are missing. */
static int structure_pending(struct sb_keeper *keeper, bool *ret_pending, struct sb_err *err)
{
    const char *const params[] = {keeper->config->migration};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    if (sb_ask(keeper->sides[1].conn,
            "SELECT FROM switchback.copy WHERE migration = $1 AND direction = 'forward' AND structure = "
            "'pending'",
            1, params, &rows, err) != 0)
        return -1;
    *ret_pending = sb_rows_count(rows) > 0;
    return 0;
}

/* -- what is there --------------------------------------------------------------------------------------- */

static int list_again(struct sb_keeper *keeper, struct sb_err *err)
{
    for (int i = 0; i < 2; i++) {
        struct sb_sequence_list *list = NULL;
        if (sb_sequence_list_read(keeper->config, keeper->sides[i].conn, &list, err) != 0)
            return -1;
        sb_sequence_list_free(keeper->sides[i].list);
        keeper->sides[i].list = list;
    }
    keeper->listed_ms = sb_clock_mono_ms();
    keeper->edges_ms = 0;
    return 0;
}

/* The twin first: what is read of the owner later can only make it further. */
static int look(struct round *round, struct sb_err *err)
{
    struct sb_keeper *keeper = round->keeper;
    bool edges = keeper->edges_ms == 0 || sb_clock_mono_ms() - keeper->edges_ms >= EDGES_EVERY_MS;
    if (sb_sequence_list_look(round->twin->list, round->twin->conn, err) != 0)
        return -1;
    if (edges && (sb_sequence_list_look_edges(round->twin->list, round->twin->conn, err) != 0 ||
                     sb_sequence_list_look_edges(round->owner->list, round->owner->conn, err) != 0))
        return -1;
    if (edges)
        keeper->edges_ms = sb_clock_mono_ms();
    return sb_sequence_list_look(round->owner->list, round->owner->conn, err);
}

/* Something was dropped or renamed since the lists were read: once more, with new ones. */
static int list_and_look(struct round *round, struct sb_err *err)
{
    struct sb_keeper *keeper = round->keeper;
    int64_t every_ms = keeper->troubled ? LIST_EVERY_IN_TROUBLE_MS : LIST_EVERY_MS;
    bool due = keeper->listed_ms == 0 || sb_clock_mono_ms() - keeper->listed_ms >= every_ms;
    if (due && list_again(keeper, err) != 0)
        return -1;
    if (look(round, err) == 0)
        return 0;
    if (!is_undefined(err))
        return -1;
    if (list_again(keeper, err) != 0)
        return -1;
    return look(round, err);
}

/* What was left behind under this ownership. Under another one the sequences were used rightly. */
static int records_read(struct round *round, struct sb_err *err)
{
    struct sb_keeper *keeper = round->keeper;
    char epoch[24];
    const char *const params[] = {keeper->config->migration, epoch};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    size_t pos = 0;
    struct sb_view name;
    void *one;
    snprintf(epoch, sizeof epoch, "%" PRId64, keeper->epoch);
    if (keeper->records_read)
        return 0;
    if (sb_ask(round->twin->conn,
            "SELECT relation, last_value, is_called, rogue_values FROM switchback.sequence"
            " WHERE migration = $1 AND ownership_epoch = $2",
            2, params, &rows, err) != 0)
        return -1;
    while (sb_map_next(round->twin->notes, &pos, &name, &one))
        ((struct note *)one)->recorded = false;
    for (int row = 0; row < sb_rows_count(rows); row++) {
        struct note *note = note_of(round->twin, sb_rows_get(rows, row, 0));
        if (note == NULL)
            return no_note(err);
        note->recorded = true;
        note->left = (struct sb_sequence_place){
            .last = sb_rows_i64(rows, row, 1), .called = sb_rows_bool(rows, row, 2)};
        note->rogue = sb_rows_i64(rows, row, 3);
    }
    keeper->records_read = true;
    return 0;
}

/* -- judging --------------------------------------------------------------------------------------------- */

enum { SAID_NOTHING, SAID_MISSING, SAID_NO_RIGHT, SAID_CONTRARY, SAID_SPENT, SAID_TIGHT, SAID_EDGE };

/* Once a change. */
static void say(struct round *round, struct note *note, int what, const char *name, const char *text)
{
    struct sb_keeper_result *result = round->result;
    if (what != SAID_NOTHING && result->why[0] == '\0')
        snprintf(result->why, sizeof result->why, "%s: %s", name, text);
    if (note->said == what)
        return;
    note->said = what;
    if (what == SAID_NOTHING)
        SB_INFO("sequence is kept ahead again", SB_STR("sequence", name));
    else
        SB_WARN("sequence is not as it should be", SB_STR("sequence", name), SB_STR("why", text));
}

static void rate_update(struct note *note, const struct sb_sequence *sequence)
{
    int64_t now_ms = sb_clock_mono_ms();
    if (note->placed && now_ms > note->placed_ms) {
        int64_t used = sb_sequence_used(&sequence->rules, &note->place, &sequence->place);
        double rate = used > 0 ? (double)used * 1000 / (double)(now_ms - note->placed_ms) : 0;
        double faded = note->rate * RATE_FADES;
        note->rate = rate > faded ? rate : faded;
    }
    note->placed = true;
    note->place = sequence->place;
    note->placed_ms = now_ms;
}

static bool is_further(
    const struct sb_sequence *sequence, const struct sb_sequence_place *a, const struct sb_sequence_place *b)
{
    return sequence->rules.increment < 0 ? a->last < b->last : a->last > b->last;
}

static void task_move(struct task *task, const struct sb_sequence_answer *answer)
{
    struct sb_sequence_place to = {.last = answer->value, .called = answer->called};
    if (task->move && !is_further(task->sequence, &to, &task->to))
        return;
    task->move = task->write = true;
    task->to = to;
}

static void tell_answer(struct round *round, struct task *task, const struct sb_sequence_answer *answer)
{
    struct sb_keeper_result *result = round->result;
    const char *name = task->sequence->name;
    if (answer->verdict == SB_SEQUENCE_CONTRARY) {
        result->unkept++;
        say(round, task->note, SAID_CONTRARY, name,
            "the two sides count in different directions, or in different circles; make them alike with "
            "ALTER SEQUENCE");
        return;
    }
    if (answer->verdict == SB_SEQUENCE_SPENT) {
        result->unkept++;
        result->headroom = 0;
        say(round, task->note, SAID_SPENT, name,
            "no value is left for the other side; make sequence and column wider there");
        return;
    }
    result->kept++;
    result->ahead = answer->ahead < result->ahead ? answer->ahead : result->ahead;
    result->headroom = answer->headroom < result->headroom ? answer->headroom : result->headroom;
    result->tight += answer->tight;
    if (answer->tight)
        say(round, task->note, SAID_TIGHT, name,
            "little is left of what it can count: it is kept ahead by a part of that only");
    else if (answer->edge_left)
        say(round, task->note, SAID_EDGE, name,
            "a row holds a value so near its end that it was left out of account");
    else
        say(round, task->note, SAID_NOTHING, name, "");
}

static void judge_pair(struct round *round, const struct sb_sequence *owner, struct task *task)
{
    const struct sb_config *config = round->keeper->config;
    struct sb_sequence *twin = task->sequence;
    struct note *ours = owner == NULL ? NULL : note_of(round->owner, owner->name);
    if ((owner != NULL && (!owner->may_read || ours == NULL)) || !twin->may_read || !twin->may_move) {
        round->result->unkept++;
        say(round, task->note, SAID_NO_RIGHT, twin->name,
            "our roles need SELECT on it on both sides, and UPDATE to move it");
        return;
    }
    int64_t cache =
        owner != NULL && owner->rules.cache > twin->rules.cache ? owner->rules.cache : twin->rules.cache;
    int64_t need = sb_sequence_need(
        ours == NULL ? 0 : ours->rate, config->sequences.margin_s, cache, config->sequences.least_values);
    struct sb_sequence_answer answer = sb_sequence_judge(owner == NULL ? NULL : &owner->rules,
        owner == NULL ? &twin->place : &owner->place, &twin->rules, &twin->place, need);
    if (answer.verdict == SB_SEQUENCE_MOVE)
        task_move(task, &answer);
    tell_answer(round, task, &answer);
}

static struct task *task_of(struct round *round, struct sb_sequence *sequence)
{
    return &round->tasks[sequence - round->twin->list->items];
}

/* By name, and by every column that it feeds. */
static void judge_owner(struct round *round, const struct sb_sequence *owner, struct note *note)
{
    const struct sb_sequence_list *list = round->twin->list;
    struct sb_sequence *named = sb_map_get(list->by_name, sb_view_str(owner->name)), *before = NULL;
    if (named != NULL)
        judge_pair(round, owner, task_of(round, named));
    for (size_t i = 0; i < owner->feed_count; i++) {
        struct sb_sequence *fed = sb_map_get(list->by_column, sb_view_str(owner->feeds[i].column));
        if (fed != NULL && fed != named && fed != before)
            judge_pair(round, owner, task_of(round, fed));
        before = fed != NULL ? fed : before;
    }
    if (named != NULL)
        task_of(round, named)->paired = true;
    if (before != NULL)
        task_of(round, before)->paired = true;
    if (named == NULL && before == NULL) {
        round->result->missing++;
        say(round, note, SAID_MISSING, owner->name,
            round->keeper->new_owns ? "the old side has no such sequence; make one there"
                                    : "the new side has no such sequence; make one there");
    } else if (note->said == SAID_MISSING) {
        note->said = SAID_NOTHING;
    }
}

/* Is it where it was left? If it is further, somebody has used it. */
static void watch(struct round *round, struct task *task)
{
    struct note *note = task->note;
    struct sb_sequence *twin = task->sequence;
    if (!twin->known)
        return;
    int64_t used = note->recorded ? sb_sequence_used(&twin->rules, &note->left, &twin->place) : 0;
    task->write = !note->recorded || used != 0;
    if (used > 0 && !(twin->rules.cycle && used > INT64_MAX / 2)) {
        note->rogue += used;
        SB_WARN("sequence was used on the side that does not own", SB_STR("side", round->twin->called),
            SB_STR("sequence", twin->name), SB_NUM("values", used), SB_NUM("values_so_far", note->rogue));
    }
    task->to = twin->place;
}

static int judge(struct round *round, struct sb_err *err)
{
    struct sb_sequence_list *owner = round->owner->list, *twin = round->twin->list;
    for (size_t i = 0; i < twin->count; i++) {
        struct task *task = &round->tasks[i];
        *task = (struct task){.sequence = &twin->items[i],
            .note = note_of(round->twin, twin->items[i].name),
            .seen = twin->items[i].place};
        if (task->note == NULL)
            return no_note(err);
        watch(round, task);
    }
    for (size_t i = 0; i < owner->count; i++) {
        struct note *note = note_of(round->owner, owner->items[i].name);
        if (note == NULL)
            return no_note(err);
        if (owner->items[i].known)
            rate_update(note, &owner->items[i]);
        judge_owner(round, &owner->items[i], note);
    }
    for (size_t i = 0; i < twin->count; i++) {
        struct task *task = &round->tasks[i];
        if (!task->paired && task->sequence->place.edge_known)
            judge_pair(round, NULL, task);
        round->result->rogue += task->note->recorded || task->write ? task->note->rogue : 0;
    }
    return 0;
}

/* -- writing --------------------------------------------------------------------------------------------- */

typedef bool put_fn(const struct round *round, const struct task *task, struct sb_buf *sql);

static bool put_record(const struct round *round, const struct task *task, struct sb_buf *sql)
{
    if (!task->write)
        return false;
    sb_buf_put_str(sql, sql->len == 0 ? "INSERT INTO switchback.sequence (migration, relation, "
                                        "ownership_epoch, last_value, is_called, rogue_values) VALUES ("
                                      : ", (");
    sb_literal_put(sql, sb_view_str(round->keeper->config->migration));
    sb_buf_put_str(sql, ", ");
    sb_literal_put(sql, sb_view_str(task->sequence->name));
    sb_buf_putf(sql, ", %" PRId64 ", %" PRId64 ", %s, %" PRId64 ")", round->keeper->epoch, task->to.last,
        task->to.called ? "true" : "false", task->note->rogue);
    return true;
}

static const char record_ends[] =
    " ON CONFLICT (migration, relation) DO UPDATE SET ownership_epoch = excluded.ownership_epoch,"
    " last_value = excluded.last_value, is_called = excluded.is_called,"
    " rogue_values = excluded.rogue_values, moved_at = excluded.moved_at";

/* Only from where it was seen to stand. */
static bool put_move(const struct round *round, const struct task *task, struct sb_buf *sql)
{
    (void)round;
    if (!task->move)
        return false;
    sb_buf_put_str(sql, sql->len == 0 ? "SELECT pg_catalog.setval(" : " UNION ALL SELECT pg_catalog.setval(");
    sb_literal_put(sql, sb_view_str(task->sequence->name));
    sb_buf_putf(sql,
        "::pg_catalog.regclass, %" PRId64 ", %s) FROM %s WHERE last_value = %" PRId64 " AND is_called = %s",
        task->to.last, task->to.called ? "true" : "false", task->sequence->name, task->seen.last,
        task->seen.called ? "true" : "false");
    return true;
}

/* In statements of a bounded length; ret_rows: how many rows they gave back. */
static int write_all(
    struct round *round, put_fn *put, const char *ends, int64_t *ret_rows, struct sb_err *err)
{
    struct sb_buf sql SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&sql, 1024 * 1024);
    for (size_t at = 0; at < round->twin->list->count;) {
        SB_CLEANUP(sb_rows_freep)
        struct sb_rows *rows = NULL;
        sb_buf_reset(&sql);
        for (size_t count = 0; at < round->twin->list->count && count < WRITE_AT_ONCE; at++)
            count += put(round, &round->tasks[at], &sql);
        if (sql.len == 0)
            continue;
        sb_buf_put_str(&sql, ends);
        if (sql.failed)
            return sb_err_set(err, SB_E_LIMIT, "the names of sequences are too long");
        if (sb_ask(round->twin->conn, sb_buf_str(&sql), 0, NULL, &rows, err) != 0)
            return -1;
        *ret_rows += sb_rows_count(rows);
    }
    return 0;
}

/* Holds it as it is until we commit. */
static int still_not_owner(struct round *round, bool *ret_still, struct sb_err *err)
{
    const char *const params[] = {round->keeper->config->migration};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    *ret_still = true;
    if (!round->keeper->ownership_there)
        return 0;
    if (sb_ask(round->twin->conn,
            "SELECT owner = 'new', epoch FROM switchback.ownership WHERE migration = $1 FOR SHARE", 1, params,
            &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 1 && sb_rows_i64(rows, 0, 1) >= round->keeper->epoch)
        *ret_still = sb_rows_bool(rows, 0, 0) == round->keeper->new_owns;
    return 0;
}

/* A side that does not own may be read-only for everybody who does not say otherwise. */
static int begin(struct round *round, struct sb_err *err)
{
    return sb_ask(round->twin->conn, "BEGIN READ WRITE", 0, NULL, NULL, err);
}

static int commit(struct round *round, struct sb_err *err)
{
    return sb_ask(round->twin->conn, "COMMIT", 0, NULL, NULL, err);
}

static int record(struct round *round, struct sb_err *err)
{
    int64_t ignored = 0;
    bool any = false;
    for (size_t i = 0; i < round->twin->list->count; i++)
        any = any || round->tasks[i].write;
    if (!any)
        return 0;
    if (begin(round, err) != 0 || write_all(round, put_record, record_ends, &ignored, err) != 0 ||
        commit(round, err) != 0)
        return -1;
    for (size_t i = 0; i < round->twin->list->count; i++) {
        struct task *task = &round->tasks[i];
        if (!task->write)
            continue;
        task->note->recorded = true;
        task->note->left = task->to;
    }
    return 0;
}

static int move(struct round *round, struct sb_err *err)
{
    bool still = true, any = false;
    for (size_t i = 0; i < round->twin->list->count; i++)
        any = any || round->tasks[i].move;
    if (!any)
        return 0;
    if (begin(round, err) != 0 || still_not_owner(round, &still, err) != 0)
        return -1;
    if (!still) /* the next round sees it with other eyes */
        return sb_ask(round->twin->conn, "ROLLBACK", 0, NULL, NULL, err);
    if (write_all(round, put_move, "", &round->result->moved, err) != 0 || commit(round, err) != 0)
        return -1;
    SB_DEBUG(
        "sequences moved ahead", SB_STR("side", round->twin->called), SB_NUM("moved", round->result->moved));
    return 0;
}

/* -------------------------------------------------------------------------------------------------------- */

static int round_run(struct round *round, struct sb_err *err)
{
    if (list_and_look(round, err) != 0 || records_read(round, err) != 0)
        return -1;
    round->tasks = calloc(round->twin->list->count + 1, sizeof *round->tasks);
    if (round->tasks == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a round of sequences");
    int rc = judge(round, err) != 0 || record(round, err) != 0 || move(round, err) != 0 ? -1 : 0;
    free(round->tasks);
    return rc;
}

int sb_keeper_round(struct sb_keeper *keeper, struct sb_keeper_result *ret_result, struct sb_err *err)
{
    struct sb_keeper_result result = {.ahead = INT64_MAX, .headroom = INT64_MAX};
    struct round round = {.keeper = keeper, .result = &result};
    int rc = sessions_open(keeper, err) != 0 || check_prepared(keeper, err) != 0 ||
                     ownership_read(keeper, err) != 0 || structure_pending(keeper, &result.waits, err) != 0
                 ? -1
                 : 0;
    if (rc == 0 && !result.waits) {
        round.owner = &keeper->sides[keeper->new_owns ? 1 : 0];
        round.twin = &keeper->sides[keeper->new_owns ? 0 : 1];
        result.new_owns = keeper->new_owns;
        rc = round_run(&round, err);
    }
    sessions_close(keeper);
    keeper->troubled = result.missing + result.unkept > 0;
    if (rc == 0)
        *ret_result = result;
    return rc;
}
