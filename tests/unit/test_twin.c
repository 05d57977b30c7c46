#include "schemas/avro_name.h"
#include "schemas/twin.h"
#include "tests/samples/samples.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool real(enum sb_twin twin)
{
    return twin == SB_TWIN_FLOAT4 || twin == SB_TWIN_FLOAT8;
}

/* The text after a journey as a twin; false if it has none. */
static bool travel(enum sb_twin twin, struct sb_view text, char *out, size_t *ret_len)
{
    if (real(twin)) {
        double value;
        if (!sb_twin_parse_double(twin, text, &value))
            return false;
        *ret_len = sb_twin_format_double(twin, value, out);
    } else if (twin == SB_TWIN_BYTEA) {
        unsigned char bytes[512];
        if (!sb_twin_parse_bytea(text, bytes))
            return false;
        sb_twin_format_bytea(sb_view(bytes, (text.len - 2) / 2), out);
        *ret_len = text.len;
    } else if (twin == SB_TWIN_UUID) {
        *ret_len = text.len;
        memcpy(out, text.ptr, text.len);
        return sb_twin_is_uuid(text);
    } else {
        int64_t value;
        if (!sb_twin_parse_long(twin, text, &value))
            return false;
        *ret_len = sb_twin_format_long(twin, value, out);
    }
    return true;
}

START_TEST(twin_is_taken_exactly_when_the_text_comes_back)
{
    char out[1100];
    size_t len;
    for (const struct sample_type *type = sample_types; type->name != NULL; type++) {
        enum sb_twin twin = sb_twin_of_type(type->oid);
        if (twin == SB_TWIN_TEXT)
            continue;
        for (const struct sample_text *text = type->texts; text->text != NULL; text++) {
            bool has = travel(twin, sb_view_str(text->text), out, &len);
            ck_assert_msg(
                has == text->twin, "%s '%s' %s a twin", type->name, text->text, has ? "has" : "has not");
            ck_assert(!has || sb_view_eq(sb_view(out, len), sb_view_str(text->text)));
        }
    }
}
END_TEST

START_TEST(twin_never_changes_what_it_is_given)
{
    struct sample_rng rng = {42};
    struct sb_arena *arena = sb_arena_new("test", 64 << 20);
    char out[1100];
    size_t len, took[SB_TWIN_COUNT] = {0};
    struct sb_relation *rel = sample_relation(arena, 'd');
    for (int i = 0; i < 6000; i++) {
        struct sb_change chg = sample_change(&rng, rel, arena);
        for (uint16_t c = 0; chg.after != NULL && c < rel->col_count; c++) {
            enum sb_twin twin = sb_twin_of_type(rel->cols[c].type_oid);
            if (chg.after[c].state != SB_COL_TEXT || !travel(twin, chg.after[c].text, out, &len))
                continue;
            took[twin]++;
            ck_assert(sb_view_eq(sb_view(out, len), chg.after[c].text));
        }
        if (i % 100 == 0) {
            sb_arena_reset(arena);
            rel = sample_relation(arena, 'd');
        }
    }
    for (int twin = SB_TWIN_TEXT + 1; twin < SB_TWIN_COUNT; twin++)
        ck_assert_msg(
            took[twin] > 300, "%s had only %zu twins", sb_twin_name((enum sb_twin)twin), took[twin]);
    sb_arena_free(arena);
}
END_TEST

/* Every value that comes out of a twin's format goes back to itself. */
START_TEST(twin_of_every_value_goes_both_ways)
{
    struct sample_rng rng = {7};
    char out[SB_TWIN_TEXT_BYTES];
    for (int i = 0; i < 60000; i++) {
        uint64_t bits = sample_next(&rng);
        double value, again = 0;
        float single;
        memcpy(&value, &bits, sizeof value);
        memcpy(&single, &bits, sizeof single);
        size_t len = sb_twin_format_double(SB_TWIN_FLOAT8, value, out);
        ck_assert_uint_le(len, sizeof out);
        ck_assert_msg(sb_twin_parse_double(SB_TWIN_FLOAT8, sb_view(out, len), &again), "%.*s", (int)len, out);
        ck_assert(isnan(value) ? isnan(again) : memcmp(&value, &again, sizeof value) == 0);
        len = sb_twin_format_double(SB_TWIN_FLOAT4, (double)single, out);
        ck_assert_msg(sb_twin_parse_double(SB_TWIN_FLOAT4, sb_view(out, len), &again), "%.*s", (int)len, out);
        ck_assert(isnan(single) ? isnan(again) : (float)again == single);
    }
    for (int64_t day = -719162; day <= 2932896; day += 11) {
        int64_t again;
        size_t len = sb_twin_format_long(SB_TWIN_DATE, day, out);
        ck_assert(len == 10 && sb_twin_parse_long(SB_TWIN_DATE, sb_view(out, len), &again) && again == day);
    }
}
END_TEST

START_TEST(twin_outside_its_range_is_refused)
{
    static const struct {
        enum sb_twin twin;
        int64_t value;
    } wrong[] = {{SB_TWIN_BOOL, 2}, {SB_TWIN_INT2, 32768}, {SB_TWIN_INT4, INT64_C(2147483648)},
        {SB_TWIN_INT4, INT64_MIN}, {SB_TWIN_DATE, -719163}, {SB_TWIN_DATE, 2932897},
        {SB_TWIN_DATE, INT64_MIN}, {SB_TWIN_TIMESTAMP, INT64_MIN}, {SB_TWIN_TIMESTAMP, INT64_MAX},
        {SB_TWIN_TIMESTAMPTZ, INT64_MIN}, {SB_TWIN_TIMESTAMP, INT64_C(-62135596800000001)},
        {SB_TWIN_TIMESTAMPTZ, INT64_C(253402300800000000)}};
    char out[SB_TWIN_TEXT_BYTES];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_uint_eq(sb_twin_format_long(wrong[i].twin, wrong[i].value, out), 0);
    ck_assert_uint_eq(sb_twin_format_long(SB_TWIN_TIMESTAMP, INT64_C(-62135596800000000), out), 19);
    ck_assert_uint_eq(sb_twin_format_long(SB_TWIN_TIMESTAMPTZ, INT64_C(253402300799999999), out), 29);
}
END_TEST

/* A reading beyond the view is what the sanitizer looks for here: texts in exact allocations. */
START_TEST(twin_reads_no_byte_beyond_its_text)
{
    unsigned char bytes[64];
    int64_t whole;
    double number;
    for (const struct sample_type *type = sample_types; type->name != NULL; type++) {
        for (const struct sample_text *text = type->texts; text->text != NULL; text++) {
            for (size_t len = 0; len <= strlen(text->text) && len < sizeof bytes; len++) {
                char *exact = malloc(len == 0 ? 1 : len);
                memcpy(exact, text->text, len);
                struct sb_view view = sb_view(len == 0 ? NULL : exact, len);
                for (int twin = SB_TWIN_BOOL; twin < SB_TWIN_COUNT; twin++) {
                    sb_twin_parse_long((enum sb_twin)twin, view, &whole);
                    if (real((enum sb_twin)twin))
                        sb_twin_parse_double((enum sb_twin)twin, view, &number);
                }
                sb_twin_parse_bytea(view, bytes);
                sb_twin_is_uuid(view);
                free(exact);
            }
        }
    }
}
END_TEST

START_TEST(twins_are_found_by_name)
{
    for (int twin = 0; twin < SB_TWIN_COUNT; twin++) {
        enum sb_twin found;
        ck_assert(sb_twin_find(sb_view_str(sb_twin_name((enum sb_twin)twin)), &found));
        ck_assert_int_eq(found, twin);
    }
    enum sb_twin found;
    ck_assert(!sb_twin_find(sb_view_str("decimal"), &found));
    ck_assert(!sb_twin_find(sb_view_str(""), &found));
    ck_assert_int_eq(sb_twin_of_type(1700), SB_TWIN_TEXT);
    ck_assert_int_eq(sb_twin_of_type(0), SB_TWIN_TEXT);
}
END_TEST

/* -- names
 * --------------------------------------------------------------------------------------------------- */

static void assert_avro_name(const char *text)
{
    for (const char *at = text; *at != '\0'; at++)
        ck_assert_msg(*at == '_' || (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                          (at > text && *at >= '0' && *at <= '9'),
            "\"%s\" is no Avro name", text);
    ck_assert(*text != '\0');
}

START_TEST(names_go_both_ways_and_never_meet)
{
    static const struct {
        const char *name, *mangled;
    } names[] = {{"first_name", "first_name"}, {"", "_x"}, {"a b", "a_x20b"}, {"a_x20b", "a_x5fx20b"},
        {"a_x", "a_x5fx"}, {"_", "_"}, {"__x", "__x5fx"}, {"_x", "_x5fx"}, {"1st", "_x31st"},
        {"gr\xc3\xbc\xc3\x9f", "gr_xc3_xbc_xc3_x9f"}, {"\"; drop table x; --", NULL}, {"a.b", "a_x2eb"},
        {"..", "_x2e_x2e"}, {"\xff", "_xff"}, {"$$", "_x24_x24"}, {"\n\x1b", "_x0a_x1b"}, {"A", "A"},
        {"a", "a"}, {"\xe2\x80\xae", NULL}, {"_5", "_5"}, {"x", "x"}, {"0", "_x30"}};
    size_t count = sizeof names / sizeof *names;
    struct sb_buf mangled[sizeof names / sizeof *names];
    for (size_t i = 0; i < count; i++) {
        sb_buf_init(&mangled[i], 1000);
        sb_avro_name_put(&mangled[i], sb_view_str(names[i].name));
        assert_avro_name(sb_buf_str(&mangled[i]));
        if (names[i].mangled != NULL)
            ck_assert_str_eq(sb_buf_str(&mangled[i]), names[i].mangled);
        struct sb_buf back SB_CLEANUP(sb_buf_clear);
        sb_buf_init(&back, 1000);
        ck_assert(sb_avro_name_read(sb_buf_view(&mangled[i]), &back));
        ck_assert(sb_view_eq_str(sb_buf_view(&back), names[i].name));
        for (size_t j = 0; j < i; j++)
            ck_assert(!sb_view_eq(sb_buf_view(&mangled[i]), sb_buf_view(&mangled[j])));
    }
    for (size_t i = 0; i < count; i++)
        sb_buf_clear(&mangled[i]);
}
END_TEST

START_TEST(names_that_were_never_mangled_are_refused)
{
    static const char *const wrong[] = {
        "", "a b", "1st", "_x4", "_xzz", "_x41", "_x5f", "a_xC3", "_x5F", "a.b"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct sb_buf back SB_CLEANUP(sb_buf_clear);
        sb_buf_init(&back, 1000);
        ck_assert_msg(
            !sb_avro_name_read(sb_view_str(wrong[i]), &back), "\"%s\" was read as a name", wrong[i]);
        ck_assert_uint_eq(back.len, 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("twin");
    TCase *tc = tcase_create("twin");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, twin_is_taken_exactly_when_the_text_comes_back);
    tcase_add_test(tc, twin_never_changes_what_it_is_given);
    tcase_add_test(tc, twin_of_every_value_goes_both_ways);
    tcase_add_test(tc, twin_outside_its_range_is_refused);
    tcase_add_test(tc, twin_reads_no_byte_beyond_its_text);
    tcase_add_test(tc, twins_are_found_by_name);
    tcase_add_test(tc, names_go_both_ways_and_never_meet);
    tcase_add_test(tc, names_that_were_never_mangled_are_refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
