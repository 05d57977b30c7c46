#include "schemas/signal.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct sb_signal read_text(const char *prefix, const char *content)
{
    struct sb_message msg = {.prefix = sb_view_str(prefix), .content = sb_view_str(content), .lsn = 1};
    return sb_signal_read(&msg);
}

static void means_nothing(const char *prefix, const char *content)
{
    ck_assert_msg(
        read_text(prefix, content).kind == SB_SIGNAL_NONE, "%s \"%s\" means something", prefix, content);
}

static struct sb_signal sample(enum sb_signal_kind kind)
{
    return (struct sb_signal){.kind = kind,
        .migration = sb_view_str("shop"),
        .direction = sb_view_str("reverse"),
        .epoch = UINT64_MAX,
        .number = kind == SB_SIGNAL_HEARTBEAT ? 0 : UINT64_MAX,
        .sent_us = kind == SB_SIGNAL_HEARTBEAT ? 0 : INT64_MAX};
}

START_TEST(what_is_written_is_read)
{
    for (int kind = SB_SIGNAL_HEARTBEAT; kind <= SB_SIGNAL_ECHO; kind++) {
        struct sb_signal signal = sample((enum sb_signal_kind)kind);
        char content[SB_SIGNAL_BYTES];
        ck_assert(sb_signal_write(&signal, content));
        struct sb_signal again = read_text(sb_signal_prefix(signal.kind), content);
        ck_assert_int_eq(again.kind, signal.kind);
        ck_assert(sb_view_eq(again.migration, signal.migration));
        ck_assert(sb_view_eq(again.direction, signal.direction));
        ck_assert_uint_eq(again.epoch, signal.epoch);
        ck_assert_uint_eq(again.number, signal.number);
        ck_assert_int_eq(again.sent_us, signal.sent_us);
        ck_assert_uint_eq(again.body.len, 0);
    }
}
END_TEST

START_TEST(a_body_is_passed_on_whole)
{
    struct sb_message msg = {sb_view_str("switchback.ddl"), sb_view("a\0 b", 4), 1};
    struct sb_signal signal = sb_signal_read(&msg);
    ck_assert_int_eq(signal.kind, SB_SIGNAL_DDL);
    ck_assert(sb_view_eq(signal.body, msg.content));
    msg.prefix = sb_view_str("switchback.image");
    signal = sb_signal_read(&msg);
    ck_assert_int_eq(signal.kind, SB_SIGNAL_IMAGE);
    ck_assert(sb_view_eq(signal.body, msg.content));
}
END_TEST

START_TEST(what_is_not_of_the_form_means_nothing)
{
    ck_assert_ptr_null(sb_signal_prefix(SB_SIGNAL_NONE));
    means_nothing("", "shop forward 1");
    means_nothing("app", "shop forward 1");
    means_nothing("switchback.", "shop forward 1");
    means_nothing("switchback.heartbeats", "shop forward 1");
    static const char *const heartbeats[] = {"", " ", "shop", "shop forward", "shop forward ",
        "shop forward 1 ", " shop forward 1", "shop  forward 1", "shop forward -1", "shop forward 01",
        "shop forward 1x", "shop forward 18446744073709551616", "shop forward 1 2", NULL};
    for (int i = 0; heartbeats[i] != NULL; i++)
        means_nothing("switchback.heartbeat", heartbeats[i]);
    static const char *const canaries[] = {"", "shop forward 1", "shop forward 1 2", "shop forward 1 2 ",
        "shop forward 1 2 3 4", "shop forward 1 2 3 ", "shop forward 1 2 9223372036854775808",
        "shop forward 1  3", NULL};
    for (int i = 0; canaries[i] != NULL; i++) {
        means_nothing("switchback.canary", canaries[i]);
        means_nothing("switchback.echo", canaries[i]);
    }
    ck_assert_int_eq(read_text("switchback.canary", "shop forward 1 2 3").kind, SB_SIGNAL_CANARY);
    ck_assert_int_eq(read_text("switchback.heartbeat", "shop forward 0").kind, SB_SIGNAL_HEARTBEAT);
}
END_TEST

START_TEST(what_is_too_long_means_nothing)
{
    char content[SB_SIGNAL_BYTES + 16], ret[SB_SIGNAL_BYTES];
    memset(content, 'x', sizeof content);
    memcpy(content + sizeof content - 12, " forward 1", 11);
    means_nothing("switchback.heartbeat", content);
    struct sb_signal signal = sample(SB_SIGNAL_CANARY);
    signal.migration = sb_view(content, SB_SIGNAL_BYTES - 8);
    ck_assert(!sb_signal_write(&signal, ret));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("signal");
    TCase *tcase = tcase_create("signal");
    tcase_add_test(tcase, what_is_written_is_read);
    tcase_add_test(tcase, a_body_is_passed_on_whole);
    tcase_add_test(tcase, what_is_not_of_the_form_means_nothing);
    tcase_add_test(tcase, what_is_too_long_means_nothing);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
