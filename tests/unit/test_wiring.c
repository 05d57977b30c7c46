#include "config/wiring.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct sb_config_pair pairs[] = {{"bootstrap.servers", "k:1"}};
static const struct sb_config shop = {.migration = "shop",
    .state_dir = "/s",
    .source = {.dsn = "dbname=a", .password = "x"},
    .target = {.dsn = "dbname=b"},
    .stream = {.retention_max_bytes = 5, .queue_max_bytes = 6},
    .kafka = {.count = 1, .items = pairs}};

START_TEST(directions_swap_the_sides)
{
    struct sb_endpoint source = sb_wiring_source(&shop, SB_REVERSE),
                       target = sb_wiring_target(&shop, SB_REVERSE);
    ck_assert_int_eq(source.side, SB_SIDE_SOURCE);
    ck_assert_int_eq(target.side, SB_SIDE_TARGET);
    ck_assert_ptr_eq(source.dsn, shop.target.dsn);
    ck_assert_ptr_null(source.password);
    ck_assert_ptr_eq(target.dsn, shop.source.dsn);
    ck_assert_ptr_eq(target.password, shop.source.password);
    ck_assert_ptr_eq(sb_wiring_source(&shop, SB_FORWARD).dsn, shop.source.dsn);
    ck_assert_ptr_eq(sb_wiring_target(&shop, SB_FORWARD).dsn, shop.target.dsn);
    enum sb_direction direction;
    ck_assert(sb_direction_parse("reverse", &direction) && direction == SB_REVERSE);
    ck_assert(sb_direction_parse("forward", &direction) && direction == SB_FORWARD);
    ck_assert(!sb_direction_parse("Forward", &direction) && !sb_direction_parse("", &direction));
    ck_assert_str_eq(sb_direction_name(SB_REVERSE), "reverse");
}
END_TEST

START_TEST(names_are_whole_and_differ_for_the_longest_migration)
{
    struct sb_config config = {.migration = "abcdefghijklmnopqrstuvwxyz01234"};
    struct sb_names forward, reverse;
    sb_wiring_names(&config, SB_FORWARD, &forward);
    sb_wiring_names(&config, SB_REVERSE, &reverse);
    ck_assert_str_eq(forward.slot, "switchback_abcdefghijklmnopqrstuvwxyz01234_forward");
    ck_assert_str_eq(forward.publication, "switchback_abcdefghijklmnopqrstuvwxyz01234_forward_keyed");
    ck_assert_str_eq(
        forward.publication_keyless, "switchback_abcdefghijklmnopqrstuvwxyz01234_forward_keyless");
    ck_assert_str_eq(reverse.origin, "switchback_abcdefghijklmnopqrstuvwxyz01234_reverse");
    ck_assert(sb_wiring_is_our_origin(config.migration, sb_view_str(forward.origin)));
    ck_assert(sb_wiring_is_our_origin(config.migration, sb_view_str(reverse.origin)));
    char copy[SB_NAME_BYTES];
    sb_wiring_copy_origin(&config, SB_REVERSE, 64, copy);
    ck_assert_str_eq(copy, "switchback_abcdefghijklmnopqrstuvwxyz01234_reverse_copy_64");
    ck_assert(sb_wiring_is_our_origin(config.migration, sb_view_str(copy)));
    ck_assert_uint_lt(strlen(forward.publication_keyless), 64); /* NAMEDATALEN */
}
END_TEST

START_TEST(origins_of_a_migration_are_its_own)
{
    static const char *const ours[] = {"switchback_shop_forward", "switchback_shop_reverse",
        "switchback_shop_forward_side", "switchback_shop_forward_copy_3", NULL};
    static const char *const others[] = {"", "switchback_", "switchback_shop", "switchback_shop_",
        "switchback_sho_forward", "switchback_shop2_forward", "xswitchback_shop_forward",
        "switchback_shop_eu_forward", "switchback_shop_eu_forward_copy_3", "switchback_shop_forward_copy_",
        "switchback_shop_forward_copy_x", "switchback_shop_forward_forward", "switchback_shop_forward_sides",
        NULL};
    for (int i = 0; ours[i] != NULL; i++)
        ck_assert_msg(sb_wiring_is_our_origin("shop", sb_view_str(ours[i])), "%s", ours[i]);
    for (int i = 0; others[i] != NULL; i++)
        ck_assert_msg(!sb_wiring_is_our_origin("shop", sb_view_str(others[i])), "%s", others[i]);
}
END_TEST

START_TEST(the_stream_gets_what_was_configured)
{
    char path[SB_PATH_BYTES];
    struct sb_stream_options options;
    sb_wiring_stream(&shop, SB_FORWARD, path, &options);
    ck_assert_int_eq(options.store, SB_STORE_EMBEDDED);
    ck_assert_str_eq(options.path, "/s/forward.db");
    ck_assert_str_eq(options.direction, "forward");
    ck_assert_str_eq(options.migration, "shop");
    ck_assert_uint_eq(options.kafka_count, 1);
    ck_assert_str_eq(options.kafka[0].name, "bootstrap.servers");
    ck_assert_str_eq(options.kafka[0].value, "k:1");
    ck_assert_int_eq(options.retention_max_bytes, 5);
    ck_assert_int_eq(options.queue_max_bytes, 6);
    sb_wiring_page_path(&shop, path);
    ck_assert_str_eq(path, "/s/metrics.page");
}
END_TEST

START_TEST(two_directions_never_share_a_file)
{
    char path[SB_PATH_BYTES];
    struct sb_stream_options options;
    struct sb_config config = shop;
    config.stream.path = "/x.db";
    config.stream.store = SB_CONFIG_KAFKA;
    sb_wiring_stream(&config, SB_FORWARD, path, &options);
    ck_assert_int_eq(options.store, SB_STORE_KAFKA);
    ck_assert_str_eq(options.path, "/x.db");
    sb_wiring_stream(&config, SB_REVERSE, path, &options);
    ck_assert_str_eq(options.path, "/x.db.reverse");
    sb_wiring_stream(&shop, SB_REVERSE, path, &options);
    ck_assert_str_eq(options.path, "/s/reverse.db");
}
END_TEST

START_TEST(the_log_gets_what_was_configured)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    struct sb_config config = shop;
    for (int level = SB_LOG_DEBUG; level <= SB_LOG_ERROR; level++) {
        config.log.level = levels[level];
        ck_assert_int_eq(sb_wiring_log_level(&config), level);
    }
    ck_assert_int_eq(sb_wiring_log_format(&config), SB_LOG_LOGFMT);
    config.log.format = SB_CONFIG_JSON;
    ck_assert_int_eq(sb_wiring_log_format(&config), SB_LOG_JSON);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wiring");
    TCase *tests = tcase_create("wiring");
    tcase_add_test(tests, directions_swap_the_sides);
    tcase_add_test(tests, names_are_whole_and_differ_for_the_longest_migration);
    tcase_add_test(tests, origins_of_a_migration_are_its_own);
    tcase_add_test(tests, the_stream_gets_what_was_configured);
    tcase_add_test(tests, two_directions_never_share_a_file);
    tcase_add_test(tests, the_log_gets_what_was_configured);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
