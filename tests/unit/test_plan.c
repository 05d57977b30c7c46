/* apply/plan: the net effect of a run of changes is what the changes do one after the other. */
#include "apply/plan.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLS = 4, KEYS = 12, CHANGES = 60, ROUNDS = 3000, SPELLINGS = 6 };

/* -- a table in memory: key -> values, all text -------------------------------------------------------------
 */

struct model {
    bool there[KEYS];
    struct sb_value rows[KEYS][COLS];
};

static const char *const keys[KEYS] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"};
static const char *const texts[SPELLINGS] = {"", "a", "b", "NULL", "\\N", "x\ty"};
static struct sb_column columns[COLS];
static struct sb_relation relation;
static struct sb_apply_column apply_columns[COLS];
static uint16_t key_cols[1] = {0};
static struct sb_apply_rel rel;
static struct sb_arena *arena;

static void setup(void)
{
    relation = (struct sb_relation){.identity = 'd', .col_count = COLS, .cols = columns};
    columns[0].key = true;
    for (int i = 0; i < COLS; i++)
        apply_columns[i] = (struct sb_apply_column){.settable = true};
    rel =
        (struct sb_apply_rel){.rel = &relation, .cols = apply_columns, .key_count = 1, .key_cols = key_cols};
    arena = sb_arena_new("test", 64 << 20);
}

static void teardown(void)
{
    sb_arena_free(arena);
}

static struct sb_value text(const char *value)
{
    return (struct sb_value){.state = SB_COL_TEXT, .text = sb_view_str(value)};
}

static int key_of(const struct sb_value *row)
{
    return (int)strtol(row[0].text.ptr, NULL, 10);
}

static bool same(const struct model *a, const struct model *b)
{
    for (int k = 0; k < KEYS; k++) {
        if (a->there[k] != b->there[k])
            return false;
        for (int c = 0; a->there[k] && c < COLS; c++)
            if (a->rows[k][c].state != b->rows[k][c].state ||
                !sb_view_eq(a->rows[k][c].text, b->rows[k][c].text))
                return false;
    }
    return true;
}

/* -- random histories that a consistent source could have
 * ----------------------------------------------------- */

static struct sb_value *random_row(int key, bool may_be_unchanged)
{
    struct sb_value *row = sb_arena_zalloc(arena, COLS * sizeof *row);
    row[0] = text(keys[key]);
    for (int c = 1; c < COLS; c++) {
        int pick = rand() % (SPELLINGS + 2);
        if (pick < SPELLINGS)
            row[c] = text(texts[pick]);
        else
            row[c].state = pick == SPELLINGS || !may_be_unchanged ? SB_COL_NULL : SB_COL_UNCHANGED;
    }
    return row;
}

static void overlay(struct sb_value *row, const struct sb_value *after)
{
    for (int c = 0; c < COLS; c++)
        if (after[c].state != SB_COL_UNCHANGED)
            row[c] = after[c];
}

static struct sb_value *key_row(int key)
{
    struct sb_value *row = sb_arena_zalloc(arena, COLS * sizeof *row);
    row[0] = text(keys[key]);
    return row;
}

/* One change, done to the model as well. */
static struct sb_batch_change random_change(struct model *model)
{
    struct sb_batch_change change = {.rel = &rel, .chg = {.rel = &relation}};
    int key = rand() % KEYS, to = rand() % KEYS;
    if (!model->there[key]) {
        change.chg.op = SB_OP_INSERT;
        change.chg.after = random_row(key, false);
        memcpy(model->rows[key], change.chg.after, sizeof model->rows[key]);
        model->there[key] = true;
    } else if (rand() % 3 == 0) {
        change.chg.op = SB_OP_DELETE;
        change.chg.before = key_row(key);
        change.chg.old_is_key = true;
        model->there[key] = false;
    } else if (rand() % 4 == 0 && !model->there[to]) {
        change.chg.op = SB_OP_UPDATE;
        change.chg.before = key_row(key);
        change.chg.old_is_key = true;
        change.chg.after = random_row(to, rand() % 40 == 0);
        memcpy(model->rows[to], model->rows[key], sizeof model->rows[to]);
        overlay(model->rows[to], change.chg.after);
        model->there[key] = false;
        model->there[to] = true;
    } else {
        change.chg.op = SB_OP_UPDATE;
        change.chg.after = random_row(key, true);
        overlay(model->rows[key], change.chg.after);
    }
    return change;
}

/* -- a target that does what a plan says and counts
 * ----------------------------------------------------------- */

static size_t do_row(struct model *model, const struct sb_plan_group *group, const struct sb_plan_row *row)
{
    int key = key_of(row->key);
    bool was = model->there[key];
    switch (group->kind) {
    case SB_PLAN_ABSENT:
        return was;
    case SB_PLAN_DELETE:
        model->there[key] = false;
        return was;
    case SB_PLAN_UPDATE:
        for (int c = 1; was && c < COLS; c++)
            if (group->present[c])
                model->rows[key][c] = row->values[c];
        return was;
    case SB_PLAN_INSERT:
        ck_assert_msg(!was, "an insert of a key that is there");
        memcpy(model->rows[key], row->values, sizeof model->rows[key]);
        model->there[key] = true;
        return 1;
    }
    return 0;
}

static void do_plan(struct model *model, const struct sb_plan *plan)
{
    for (size_t g = 0; g < plan->group_count; g++) {
        const struct sb_plan_group *group = &plan->groups[g];
        size_t rows = 0;
        for (size_t r = 0; r < group->count; r++)
            rows += do_row(model, group, &group->rows[r]);
        ck_assert_uint_eq(rows, group->kind == SB_PLAN_ABSENT ? 0 : group->count);
    }
}

START_TEST(net_effect_is_what_the_changes_do)
{
    int planned = 0, exact = 0;
    srand(20261124);
    for (int round = 0; round < ROUNDS; round++) {
        struct model source = {0}, target;
        struct sb_batch_change changes[CHANGES];
        struct sb_plan plan;
        struct sb_err err;
        sb_arena_reset(arena);
        for (int k = 0; k < KEYS; k++) {
            source.there[k] = rand() % 2;
            memcpy(source.rows[k], random_row(k, false), sizeof source.rows[k]);
        }
        target = source;
        size_t count = (size_t)(rand() % CHANGES);
        for (size_t i = 0; i < count; i++)
            changes[i] = random_change(&source);
        ck_assert_int_eq(sb_plan_make(changes, count, arena, &plan, &err), 0);
        if (plan.exact != NULL) {
            ck_assert_str_eq(plan.exact, "a key changes while TOAST columns stay unchanged");
            exact++;
            continue;
        }
        do_plan(&target, &plan);
        ck_assert_msg(same(&source, &target), "round %d: the plan's table differs", round);
        planned++;
    }
    ck_assert_msg(
        planned > ROUNDS / 2 && exact > 0, "%d planned, %d exact: the test does not test", planned, exact);
}
END_TEST

static struct sb_batch_change simple(enum sb_op op, int key)
{
    struct sb_batch_change change = {.rel = &rel, .chg = {.rel = &relation, .op = op}};
    if (op == SB_OP_DELETE)
        change.chg.before = key_row(key);
    else
        change.chg.after = random_row(key, false);
    return change;
}

START_TEST(impossible_histories_go_exact)
{
    static const enum sb_op pairs[][2] = {{SB_OP_INSERT, SB_OP_INSERT}, {SB_OP_UPDATE, SB_OP_INSERT},
        {SB_OP_DELETE, SB_OP_DELETE}, {SB_OP_DELETE, SB_OP_UPDATE}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct sb_batch_change changes[2] = {simple(pairs[i][0], 1), simple(pairs[i][1], 1)};
        struct sb_plan plan;
        struct sb_err err;
        ck_assert_int_eq(sb_plan_make(changes, 2, arena, &plan, &err), 0);
        ck_assert_msg(plan.exact != NULL, "%c then %c of one key was planned", pairs[i][0], pairs[i][1]);
        ck_assert_uint_eq(plan.group_count, 0);
    }
}
END_TEST

START_TEST(replacing_a_row_keeps_the_target_s_own_columns_by_going_exact)
{
    struct sb_batch_change changes[2] = {simple(SB_OP_DELETE, 1), simple(SB_OP_INSERT, 1)};
    struct sb_plan plan;
    struct sb_err err;
    ck_assert_int_eq(sb_plan_make(changes, 2, arena, &plan, &err), 0);
    ck_assert_ptr_null(plan.exact);
    rel.keeps_columns = true;
    ck_assert_int_eq(sb_plan_make(changes, 2, arena, &plan, &err), 0);
    ck_assert_ptr_nonnull(plan.exact);
}
END_TEST

/* UPDATE under one shape, under another, under the first again: written shape by shape the second would win.
 */
START_TEST(a_table_that_changes_its_shape_goes_exact)
{
    struct sb_batch_change changes[3] = {
        simple(SB_OP_UPDATE, 1), simple(SB_OP_UPDATE, 1), simple(SB_OP_UPDATE, 1)};
    struct sb_apply_rel other = rel;
    struct sb_plan plan;
    struct sb_err err;
    changes[1].rel = &other;
    ck_assert_int_eq(sb_plan_make(changes, 3, arena, &plan, &err), 0);
    ck_assert_ptr_nonnull(plan.exact);
    other.target_name = sb_view_str("another table");
    ck_assert_int_eq(sb_plan_make(changes, 3, arena, &plan, &err), 0);
    ck_assert_ptr_null(plan.exact);
}
END_TEST

START_TEST(rows_without_a_key_are_never_merged)
{
    struct sb_batch_change changes[3] = {
        simple(SB_OP_INSERT, 1), simple(SB_OP_INSERT, 1), simple(SB_OP_INSERT, 1)};
    struct sb_plan plan;
    struct sb_err err;
    rel.key_count = 0;
    ck_assert_int_eq(sb_plan_make(changes, 3, arena, &plan, &err), 0);
    ck_assert_uint_eq(plan.group_count, 1);
    ck_assert_uint_eq(plan.groups[0].count, 3);
}
END_TEST

START_TEST(a_plan_beyond_its_arena_is_refused)
{
    struct sb_batch_change changes[2] = {simple(SB_OP_INSERT, 1), simple(SB_OP_INSERT, 2)};
    struct sb_arena *small = sb_arena_new("small", 200);
    struct sb_plan plan;
    struct sb_err err;
    ck_assert_int_eq(sb_plan_make(changes, 2, small, &plan, &err), -1);
    ck_assert_int_eq(err.code, SB_E_LIMIT);
    sb_arena_free(small);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tc = tcase_create("plan");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, net_effect_is_what_the_changes_do);
    tcase_add_test(tc, impossible_histories_go_exact);
    tcase_add_test(tc, replacing_a_row_keeps_the_target_s_own_columns_by_going_exact);
    tcase_add_test(tc, a_table_that_changes_its_shape_goes_exact);
    tcase_add_test(tc, rows_without_a_key_are_never_merged);
    tcase_add_test(tc, a_plan_beyond_its_arena_is_refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
