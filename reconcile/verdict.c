#include "reconcile/verdict.h"

#include "schemas/rowform.h"

#include <string.h>

static const char *const kind_names[] = {"missing", "extra", "changed"};

const char *sb_verdict_kind_name(enum sb_verdict_kind kind)
{
    return kind_names[kind];
}

enum sb_verdict_kind sb_verdict_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kind_names / sizeof kind_names[0]; i++)
        if (strcmp(name, kind_names[i]) == 0)
            return (enum sb_verdict_kind)i;
    return SB_DIFF_CHANGED;
}

struct judge {
    const struct sb_history *history;
    size_t seen, applied; /* so many steps, from the oldest */
    const struct sb_verify_table *table;
    bool *differs;
};

/* How many steps one side has; -1 if they are no beginning. */
static long beginning(const struct sb_history *history, bool applied)
{
    size_t count = 0;
    while (count < history->count && (applied ? history->steps[count].applied : history->steps[count].seen))
        count++;
    for (size_t i = count; i < history->count; i++)
        if (applied ? history->steps[i].applied : history->steps[i].seen)
            return -1;
    return (long)count;
}

/* The newest known value of a column in steps [from, to); NULL: none of them says. */
static const struct sb_digest *value_in(const struct judge *judge, size_t from, size_t to, size_t column)
{
    for (size_t i = to; i > from; i--) {
        const struct sb_history_step *step = &judge->history->steps[i - 1];
        if (!step->present)
            return NULL;
        if (sb_rowform_is_known(&step->fields[column]))
            return &step->fields[column];
    }
    return NULL;
}

static bool row_there(const struct judge *judge, size_t steps)
{
    return judge->history->steps[steps - 1].present;
}

enum answer { SAME, OTHER, OPEN };

/* A side against what its steps amount to. */
static enum answer against_stream(const struct judge *judge, const struct sb_row_image *row, size_t steps)
{
    enum answer answer = SAME;
    if (row->count != (row_there(judge, steps) ? 1 : 0))
        return OTHER;
    for (uint16_t c = 0; row->count > 0 && c < judge->table->column_count; c++) {
        const struct sb_digest *value = value_in(judge, 0, steps, c);
        if (value == NULL)
            answer = answer == SAME ? OPEN : answer;
        else if (!sb_verify_field_equal(judge->table, c, value, &row->fields[c])) {
            judge->differs[c] = true;
            answer = OTHER;
        }
    }
    return answer;
}

/* Columns of which the follower's steps say nothing: nothing between the cuts wrote them, so both rows have
 * the same value; otherwise nobody knows. */
static enum answer open_columns(
    const struct judge *judge, const struct sb_row_image *truth, const struct sb_row_image *follower)
{
    size_t from = judge->seen < judge->applied ? judge->seen : judge->applied;
    size_t to = judge->seen < judge->applied ? judge->applied : judge->seen;
    enum answer answer = SAME;
    for (size_t i = from; i < to; i++)
        if (!judge->history->steps[i].present)
            return OPEN;
    if (truth->count != 1)
        return OPEN;
    for (uint16_t c = 0; c < judge->table->column_count; c++) {
        if (value_in(judge, 0, judge->applied, c) != NULL)
            continue;
        if (value_in(judge, from, to, c) != NULL)
            answer = answer == SAME ? OPEN : answer;
        else if (!sb_verify_field_equal(judge->table, c, &truth->fields[c], &follower->fields[c])) {
            judge->differs[c] = true;
            answer = OTHER;
        }
    }
    return answer;
}

static enum sb_verdict_kind kind_of(int64_t should, int64_t is)
{
    if (is > should)
        return SB_DIFF_EXTRA;
    return is < should ? SB_DIFF_MISSING : SB_DIFF_CHANGED;
}

static void by_rows(const struct judge *judge, const struct sb_row_image *truth,
    const struct sb_row_image *follower, struct sb_key_verdict *ret_verdict)
{
    if (truth->count != follower->count) {
        ret_verdict->is = SB_KEY_DIFFERS;
        ret_verdict->kind = kind_of(truth->count, follower->count);
        return;
    }
    for (uint16_t c = 0; truth->count > 0 && c < judge->table->column_count; c++) {
        judge->differs[c] = !sb_verify_field_equal(judge->table, c, &truth->fields[c], &follower->fields[c]);
        if (judge->differs[c]) {
            ret_verdict->is = SB_KEY_DIFFERS;
            ret_verdict->kind = SB_DIFF_CHANGED;
        }
    }
}

static void by_stream(const struct judge *judge, const struct sb_row_image *truth,
    const struct sb_row_image *follower, struct sb_key_verdict *ret_verdict)
{
    ret_verdict->by_stream = true;
    ret_verdict->is = SB_KEY_UNDECIDED;
    if (judge->seen > 0 && against_stream(judge, truth, judge->seen) == OTHER) {
        ret_verdict->is = SB_KEY_DIFFERS;
        ret_verdict->kind = kind_of(truth->count, row_there(judge, judge->seen) ? 1 : 0);
        ret_verdict->source_differs = true;
        return;
    }
    if (judge->applied == 0)
        return;
    enum answer answer = against_stream(judge, follower, judge->applied);
    if (answer == OPEN)
        answer = open_columns(judge, truth, follower);
    if (answer == OPEN)
        return;
    ret_verdict->is = answer == SAME ? SB_KEY_EQUAL : SB_KEY_DIFFERS;
    ret_verdict->kind = kind_of(row_there(judge, judge->applied) ? 1 : 0, follower->count);
}

void sb_verdict_judge(const struct sb_verify_table *table, const struct sb_history *history,
    const struct sb_row_image *truth, const struct sb_row_image *follower, struct sb_key_verdict *ret_verdict,
    bool *ret_differs)
{
    long seen = beginning(history, false), applied = beginning(history, true);
    struct judge judge = {.history = history, .table = table, .differs = ret_differs};
    *ret_verdict = (struct sb_key_verdict){.is = SB_KEY_EQUAL};
    memset(ret_differs, 0, table->column_count * sizeof *ret_differs);
    if (seen < 0 || applied < 0) {
        ret_verdict->is = SB_KEY_UNDECIDED;
        return;
    }
    judge.seen = (size_t)seen;
    judge.applied = (size_t)applied;
    if (seen == applied)
        by_rows(&judge, truth, follower, ret_verdict);
    else
        by_stream(&judge, truth, follower, ret_verdict);
}
