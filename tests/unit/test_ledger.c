/* capture/ledger: nothing is confirmed that is not durable (and flushed at the target), and the slot moves
 * on. */
#include "capture/ledger.h"

#include <check.h>
#include <stdlib.h>

static const struct sb_digest zero;

static struct sb_digest chain_of(uint64_t lsn)
{
    struct sb_digest chain = {{(unsigned char)lsn, (unsigned char)(lsn >> 8), (unsigned char)(lsn >> 16)}};
    return chain;
}

START_TEST(stream_ack_confirms_the_newest_durable_commit)
{
    struct sb_ledger *ledger = sb_ledger_new(SB_LEDGER_STREAM, 8, 10);
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 10);
    sb_ledger_add(ledger, 5, 100, &zero);
    sb_ledger_add(ledger, 9, 200, &zero);
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 10);
    sb_ledger_durable(ledger, 8);
    ck_assert_uint_eq(sb_ledger_stored(ledger), 100);
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 100);
    sb_ledger_applied(ledger, 200, &zero); /* says nothing here */
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 100);
    sb_ledger_durable(ledger, 9);
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 200);
    sb_ledger_free(ledger);
}
END_TEST

START_TEST(target_ack_needs_both_marks)
{
    struct sb_ledger *ledger = sb_ledger_new(SB_LEDGER_TARGET, 8, 10);
    sb_ledger_add(ledger, 5, 100, &zero);
    sb_ledger_add(ledger, 9, 200, &zero);
    sb_ledger_durable(ledger, 9);
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 10);
    sb_ledger_applied(ledger, 100, &zero);
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 100);
    sb_ledger_applied(ledger, 500, &zero);
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 200);
    sb_ledger_add(ledger, 12, 300, &zero); /* applied says more than the stream holds: never beyond it */
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 200);
    sb_ledger_free(ledger);
}
END_TEST

START_TEST(the_rule_may_change_and_nothing_goes_back)
{
    struct sb_ledger *ledger = sb_ledger_new(SB_LEDGER_TARGET, 8, 10);
    sb_ledger_add(ledger, 5, 100, &zero);
    sb_ledger_durable(ledger, 5);
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 10);
    sb_ledger_ack(ledger, SB_LEDGER_STREAM); /* rows are copied: the target applies nothing */
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 100);
    sb_ledger_add(ledger, 9, 200, &zero);
    sb_ledger_add(ledger, 11, 300, &zero);
    sb_ledger_durable(ledger, 11);
    sb_ledger_ack(ledger, SB_LEDGER_TARGET);
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 100);
    sb_ledger_applied(ledger, 200, &zero);
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 200);
    sb_ledger_free(ledger);
}
END_TEST

START_TEST(nothing_goes_down)
{
    struct sb_ledger *ledger = sb_ledger_new(SB_LEDGER_TARGET, 8, 1000);
    sb_ledger_add(ledger, 0, 500, &zero); /* delivered again: the slot had gone back */
    sb_ledger_applied(ledger, 500, &zero);
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 1000);
    sb_ledger_applied(ledger, 400, &zero);
    sb_ledger_durable(ledger, 0);
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 1000);
    sb_ledger_free(ledger);
}
END_TEST

START_TEST(a_target_with_another_history_moves_nothing)
{
    struct sb_ledger *ledger = sb_ledger_new(SB_LEDGER_TARGET, 8, 0);
    struct sb_digest chain;
    for (uint64_t lsn = 100; lsn <= 300; lsn += 100) {
        chain = chain_of(lsn);
        sb_ledger_add(ledger, lsn, lsn, &chain);
    }
    sb_ledger_durable(ledger, 300);
    ck_assert(!sb_ledger_applied(ledger, 200, &zero)); /* there, but after other commits */
    chain = chain_of(150);
    ck_assert(!sb_ledger_applied(ledger, 150, &chain)); /* between two that follow one another */
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 0);
    chain = chain_of(50);
    ck_assert(sb_ledger_applied(ledger, 50, &chain)); /* before anything remembered: nobody knows */
    chain = chain_of(400);
    ck_assert(sb_ledger_applied(ledger, 400, &chain)); /* ahead: it will be captured again */
    ck_assert_uint_eq(sb_ledger_confirm(ledger), 300);
    sb_ledger_free(ledger);
}
END_TEST

START_TEST(gaps_are_no_contradiction)
{
    struct sb_ledger *ledger = sb_ledger_new(SB_LEDGER_TARGET, 8, 0);
    struct sb_digest chain = chain_of(1);
    sb_ledger_add(ledger, 1, 100, NULL);
    ck_assert(sb_ledger_applied(ledger, 100, &chain)); /* its chain was never known */
    sb_ledger_add(ledger, 2, 200, &chain);
    for (uint64_t lsn = 300; lsn < 3000; lsn += 100) /* thinned on the way */
        sb_ledger_add(ledger, lsn, lsn, &chain);
    ck_assert(sb_ledger_applied(ledger, 1100, &chain));
    ck_assert(sb_ledger_applied(ledger, 1200, &chain));
    sb_ledger_free(ledger);
}
END_TEST

/* -- against a naive model ---------------------------------------------------------------------------------
 */

enum { STEPS = 4000, COMMITS_MAX = STEPS };

struct model {
    enum sb_ledger_ack ack;
    uint64_t start;
    size_t count;
    uint64_t tickets[COMMITS_MAX];
    uint64_t lsns[COMMITS_MAX];
    uint64_t durable;
    uint64_t told;
    uint64_t applied;
    uint64_t confirmed;
};

static uint64_t model_confirm(struct model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        bool good = model->tickets[i] <= model->durable &&
                    (model->ack == SB_LEDGER_STREAM || model->lsns[i] <= model->applied);
        if (good && model->lsns[i] > model->confirmed)
            model->confirmed = model->lsns[i];
    }
    return model->confirmed;
}

static bool model_has(const struct model *model, uint64_t lsn)
{
    for (size_t i = 0; i < model->count; i++)
        if (model->lsns[i] == lsn)
            return true;
    return lsn == model->start;
}

static void one_history(unsigned seed, size_t capacity, enum sb_ledger_ack ack)
{
    struct model *model = calloc(1, sizeof *model);
    ck_assert_ptr_nonnull(model);
    unsigned state = seed;
    model->ack = ack;
    model->start = model->confirmed = 1 + (uint64_t)(rand_r(&state) % 50);
    struct sb_ledger *ledger = sb_ledger_new(ack, capacity, model->start);
    uint64_t ticket = 0, lsn = (uint64_t)(rand_r(&state) % 50), last = model->start;
    bool roomy = capacity > STEPS;
    for (int step = 0; step < STEPS; step++) {
        switch (rand_r(&state) % 4) {
        case 0:
        case 1:
            ticket += (uint64_t)(rand_r(&state) % 3);
            lsn += 1 + (uint64_t)(rand_r(&state) % 20);
            model->tickets[model->count] = ticket;
            model->lsns[model->count++] = lsn;
            sb_ledger_add(ledger, ticket, lsn, NULL);
            break;
        case 2:
            model->durable += (uint64_t)rand_r(&state) % (ticket - model->durable + 1);
            sb_ledger_durable(ledger, model->durable);
            break;
        default:
            if (model->count > 0) /* the target is at some commit, maybe one before the last it told of */
                model->told = model->lsns[(size_t)rand_r(&state) % model->count];
            model->applied = model->told > model->applied ? model->told : model->applied;
            ck_assert(sb_ledger_applied(ledger, model->told, &zero));
        }
        if (rand_r(&state) % 3 != 0)
            continue;
        uint64_t got = sb_ledger_confirm(ledger), most = model_confirm(model);
        ck_assert_msg(got <= most, "seed %u: %lu confirmed, %lu is safe", seed, got, most);
        ck_assert_msg(!roomy || got == most, "seed %u: %lu confirmed, %lu could be", seed, got, most);
        ck_assert_uint_ge(got, last);
        ck_assert(model_has(model, got));
        ck_assert_uint_le(sb_ledger_count(ledger), capacity);
        last = got;
    }
    sb_ledger_durable(ledger, ticket);
    sb_ledger_applied(ledger, lsn, &zero);
    model->durable = ticket;
    model->applied = lsn;
    ck_assert_uint_eq(sb_ledger_confirm(ledger), model_confirm(model)); /* the newest is never thinned away */
    sb_ledger_free(ledger);
    free(model);
}

START_TEST(random_histories_agree_with_a_naive_model)
{
    static const size_t capacities[] = {2, 3, 7, 64, STEPS + 1};
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++)
        for (unsigned seed = 1; seed <= 6; seed++)
            one_history(seed + 100 * (unsigned)_i, capacities[i],
                seed % 2 == 0 ? SB_LEDGER_STREAM : SB_LEDGER_TARGET);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ledger");
    TCase *tc = tcase_create("ledger");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, stream_ack_confirms_the_newest_durable_commit);
    tcase_add_test(tc, target_ack_needs_both_marks);
    tcase_add_test(tc, the_rule_may_change_and_nothing_goes_back);
    tcase_add_test(tc, nothing_goes_down);
    tcase_add_test(tc, a_target_with_another_history_moves_nothing);
    tcase_add_test(tc, gaps_are_no_contradiction);
    tcase_add_loop_test(tc, random_histories_agree_with_a_naive_model, 0, 4);
    suite_add_tcase(s, tc);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
