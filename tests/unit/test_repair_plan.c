/* Which differences become items of a repair, in which order, and when it is refused. */
#include "reconcile/repair_plan.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES = 6, MOST = 600, ROUNDS = 300 };

static struct sb_repair_limits wide(void)
{
    return (struct sb_repair_limits){.rows_max = 1000000,
        .deletes_max = 1000000,
        .share_max_percent = 100,
        .share_rows_min = 100,
        .pattern_rows_min = 1000000};
}

static struct sb_repair_difference of(int64_t id, uint32_t table, enum sb_verdict_kind kind)
{
    return (struct sb_repair_difference){
        .id = id, .table = table, .kind = kind, .keyed = true, .columns_match = true};
}

static void tables_init(struct sb_repair_table tables[TABLES])
{
    for (int i = 0; i < TABLES; i++)
        tables[i] = (struct sb_repair_table){.shown = "public.t", .compared = true, .rows_estimated = 100000};
}

static enum sb_repair_verdict plan(const struct sb_repair_limits *limits, struct sb_repair_table *tables,
    struct sb_repair_difference *all, size_t count, struct sb_repair_plan *ret_plan, char why[512])
{
    struct sb_buf words;
    sb_buf_init(&words, 4096);
    sb_repair_plan_make(limits, tables, TABLES, all, count, ret_plan, &words);
    strncpy(why, sb_buf_str(&words), 511);
    why[511] = '\0';
    ck_assert_int_eq(why[0] == '\0', ret_plan->verdict == SB_REPAIR_MAY);
    sb_buf_clear(&words);
    return ret_plan->verdict;
}

/* -- the order ------------------------------------------------------------------------------------------- */

/* 0 <- 1 <- 2, 0 <- 3, and 4 <-> 5 refer to one another */
static const struct sb_repair_edge edges[] = {{2, 1}, {1, 0}, {3, 0}, {4, 5}, {5, 4}, {3, 3}};
enum { STRAIGHT = 3 };

/* May a stand before b? */
static bool in_order(const struct sb_repair_difference *a, const struct sb_repair_difference *b)
{
    bool first = a->kind == SB_DIFF_EXTRA, second = b->kind == SB_DIFF_EXTRA;
    if (first != second)
        return first; /* deletes before writes */
    for (size_t e = 0; e < STRAIGHT; e++) {
        const struct sb_repair_difference *child = first ? b : a, *parent = first ? a : b;
        if (child->table == edges[e].child && parent->table == edges[e].parent)
            return false;
    }
    return a->table != b->table || a->id < b->id;
}

/* Of what stands apart is nothing that could stand together. */
static bool together(const struct sb_repair_difference *items, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = i + 1; j < count && items[i - 1].phase == items[j].phase; j++)
            if (items[i - 1].table == items[j].table && items[i].table != items[j].table)
                return false;
    return true;
}

START_TEST(children_go_before_their_parents_and_come_after_them)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct sb_repair_table tables[TABLES];
        struct sb_repair_difference all[MOST];
        struct sb_repair_plan made;
        struct sb_repair_limits limits = wide();
        char why[512];
        size_t count = (size_t)(rand() % 100);
        bool fine = true;
        tables_init(tables);
        sb_repair_depths(tables, TABLES, edges, sizeof edges / sizeof edges[0]);
        for (size_t i = 0; i < count; i++)
            all[i] = of((int64_t)i + 1, (uint32_t)(rand() % TABLES), (enum sb_verdict_kind)(rand() % 3));
        ck_assert_int_eq(plan(&limits, tables, all, count, &made, why), SB_REPAIR_MAY);
        ck_assert_uint_eq(made.count, count);
        ck_assert_int_eq(made.deletes + made.writes, (int64_t)count);
        for (size_t a = 0; a < count; a++)
            for (size_t b = a + 1; b < count; b++)
                fine = fine && in_order(&all[a], &all[b]);
        ck_assert(fine && together(all, count));
    }
}
END_TEST

/* -- what is left out ------------------------------------------------------------------------------------ */

START_TEST(what_a_repair_would_hide_is_left_out_unless_it_is_included)
{
    struct sb_repair_table tables[TABLES];
    struct sb_repair_plan made;
    struct sb_repair_limits limits = wide();
    char why[512];
    struct sb_repair_difference all[9];
    for (int i = 0; i < 9; i++)
        all[i] = of(i + 1, 0, SB_DIFF_CHANGED);
    all[0].keyed = false;
    all[1].columns_match = false;
    all[2].fault = SB_FAULT_OF_FOREIGN;
    all[3].fault = SB_FAULT_OF_CAPTURE;
    all[4].fault = SB_FAULT_OF_CAPTURE;
    all[5].held = true;
    all[6].table = 1;
    all[7].fault = SB_FAULT_OF_APPLY;
    for (int included = 0; included < 2; included++) {
        struct sb_repair_difference copy[9];
        memcpy(copy, all, sizeof all);
        tables_init(tables);
        tables[1].compared = false;
        limits.include_foreign = limits.include_capture = limits.include_held = included == 1;
        plan(&limits, tables, copy, 9, &made, why);
        ck_assert_uint_eq(made.count, included ? 6 : 2);
        ck_assert_int_eq(tables[0].left[SB_REPAIR_LEFT_NO_KEY], 1);
        ck_assert_int_eq(tables[0].left[SB_REPAIR_LEFT_COLUMNS], 1);
        ck_assert_int_eq(tables[0].left[SB_REPAIR_LEFT_FOREIGN], !included);
        ck_assert_int_eq(tables[0].left[SB_REPAIR_LEFT_CAPTURE], included ? 0 : 2);
        ck_assert_int_eq(tables[0].left[SB_REPAIR_LEFT_HELD], !included);
        ck_assert_int_eq(tables[1].left[SB_REPAIR_LEFT_NO_TABLE], 1);
    }
}
END_TEST

/* -- budgets --------------------------------------------------------------------------------------------- */

START_TEST(a_budget_is_kept_to_the_row)
{
    struct sb_repair_table tables[TABLES];
    struct sb_repair_plan made;
    struct sb_repair_difference all[200];
    char why[512];
    for (int over = 0; over < 2; over++) {
        for (int which = 0; which < 3; which++) {
            struct sb_repair_limits limits = wide();
            size_t count = 150;
            for (size_t i = 0; i < count; i++)
                all[i] = of((int64_t)i + 1, 0, i < 40 ? SB_DIFF_EXTRA : SB_DIFF_MISSING);
            tables_init(tables);
            if (which == 0)
                limits.rows_max = over ? 149 : 150;
            else if (which == 1)
                limits.deletes_max = over ? 39 : 40;
            else
                limits.share_max_percent = 10, tables[0].rows_estimated = over ? 1499 : 1500;
            ck_assert_int_eq(
                plan(&limits, tables, all, count, &made, why), over ? SB_REPAIR_OVER_BUDGET : SB_REPAIR_MAY);
        }
    }
}
END_TEST

/* -- patterns -------------------------------------------------------------------------------------------- */

static enum sb_repair_verdict pattern(
    int common, int all_of_them, void (*make)(struct sb_repair_difference *), bool despite, char why[512])
{
    struct sb_repair_table tables[TABLES];
    struct sb_repair_plan made;
    struct sb_repair_difference all[MOST];
    struct sb_repair_limits limits = wide();
    limits.pattern_rows_min = 100;
    limits.despite_pattern = despite;
    tables_init(tables);
    for (int i = 0; i < all_of_them; i++) {
        static const char *const columns[] = {"a", "b", "a, b", "c"};
        all[i] = of(i + 1, 2, (enum sb_verdict_kind)(i % 3));
        all[i].columns = sb_view_str(all[i].kind == SB_DIFF_CHANGED ? columns[rand() % 4] : "");
        all[i].xid = i % 5 == 0 ? 0 : 1000 + (uint64_t)i;
    }
    for (int i = 0; i < common; i++) { /* anywhere among them */
        int at = (int)((long)i * all_of_them / common);
        make(&all[at]);
    }
    return plan(&limits, tables, all, (size_t)all_of_them, &made, why);
}

static void same_transaction(struct sb_repair_difference *difference)
{
    difference->xid = 4242;
}

static void same_column(struct sb_repair_difference *difference)
{
    difference->kind = SB_DIFF_CHANGED;
    difference->columns = sb_view_str("price");
}

static void is_missing(struct sb_repair_difference *difference)
{
    difference->kind = SB_DIFF_MISSING;
    difference->columns = sb_view_str("");
}

static void is_extra(struct sb_repair_difference *difference)
{
    difference->kind = SB_DIFF_EXTRA;
    difference->columns = sb_view_str("");
}

/* As where there are many: of most it is not known which columns differ. */
START_TEST(columns_that_are_known_of_some_stand_for_all)
{
    struct sb_repair_table tables[TABLES];
    struct sb_repair_plan made;
    struct sb_repair_difference all[MOST];
    struct sb_repair_limits limits = wide();
    char why[512];
    static const struct {
        int known, in_price;
        enum sb_repair_verdict verdict;
    } cases[] = {{100, 100, SB_REPAIR_PATTERN}, {100, 79, SB_REPAIR_MAY}, {100, 80, SB_REPAIR_PATTERN},
        {99, 99, SB_REPAIR_MAY} /* too few to speak for the others */, {0, 0, SB_REPAIR_MAY}};
    limits.pattern_rows_min = 100;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        tables_init(tables);
        for (int i = 0; i < 300; i++) {
            all[i] = of(i + 1, 2, SB_DIFF_CHANGED);
            all[i].columns = sb_view_str(i % 3 != 0 || i / 3 >= cases[c].known ? ""
                                         : i / 3 < cases[c].in_price           ? "price"
                                                                               : "other");
        }
        ck_assert_int_eq(plan(&limits, tables, all, 300, &made, why), cases[c].verdict);
        if (cases[c].verdict == SB_REPAIR_PATTERN)
            ck_assert_msg(strstr(why, "columns are known are in price") != NULL, "%s", why);
    }
}
END_TEST

START_TEST(one_cause_of_most_is_named)
{
    static const struct {
        void (*make)(struct sb_repair_difference *);
        const char *word;
    } causes[] = {{same_transaction, "transaction 4242"}, {same_column, "price"}, {is_missing, "has not"},
        {is_extra, "only the target"}};
    char why[512];
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        ck_assert_int_eq(pattern(240, 300, causes[i].make, false, why), SB_REPAIR_PATTERN);
        ck_assert_msg(strstr(why, causes[i].word) != NULL, "%s", why);
        ck_assert_int_eq(pattern(240, 300, causes[i].make, true, why), SB_REPAIR_MAY);
        ck_assert_int_eq(pattern(99, 99, causes[i].make, false, why), SB_REPAIR_MAY);
    }
    ck_assert_int_eq(pattern(120, 300, same_transaction, false, why), SB_REPAIR_MAY);
    ck_assert_int_eq(pattern(120, 300, same_column, false, why), SB_REPAIR_MAY);
}
END_TEST

int main(void)
{
    srand(20261125);
    TCase *tc = tcase_create("plan");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, children_go_before_their_parents_and_come_after_them);
    tcase_add_test(tc, what_a_repair_would_hide_is_left_out_unless_it_is_included);
    tcase_add_test(tc, a_budget_is_kept_to_the_row);
    tcase_add_test(tc, one_cause_of_most_is_named);
    tcase_add_test(tc, columns_that_are_known_of_some_stand_for_all);
    Suite *suite = suite_create("repair_plan");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
