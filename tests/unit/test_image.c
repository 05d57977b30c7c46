#include "schemas/avro_check.h"
#include "schemas/avro_schemas.h"
#include "schemas/image.h"
#include "schemas/rowform.h"

#include <avro.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 4, KEYS = 2, ROWS = 3, ARENA_MAX_BYTES = 1 << 20 };

static struct sb_arena *arena;
static struct sb_buf record;

static const uint16_t key_cols[KEYS] = {2, 0}; /* another order than the columns' */

static struct sb_value text(const char *of)
{
    return (struct sb_value){.state = SB_COL_TEXT, .text = sb_view_str(of)};
}

static struct sb_image sample(void)
{
    static struct sb_view columns[COLUMNS];
    static struct sb_value values[ROWS][COLUMNS];
    static struct sb_image_row rows[ROWS];
    static const char *const names[COLUMNS] = {"id", "note", "region", "\xc3\xa4 \"b\""};
    for (int i = 0; i < COLUMNS; i++)
        columns[i] = sb_view_str(names[i]);
    memset(values, 0, sizeof values);
    for (int i = 0; i < ROWS; i++) {
        values[i][0] = text("1");
        values[i][2] = text("");
        rows[i] = (struct sb_image_row){.item = i + 1, .values = values[i]};
    }
    rows[0].guard_present = true;
    memset(rows[0].guard.bytes, 0xfe, sizeof rows[0].guard.bytes);
    rows[1].present = rows[2].present = true;
    values[1][1] = (struct sb_value){.state = SB_COL_NULL};
    values[1][3] = text("x");
    values[2][1] = text("\\x00\n\t");
    values[2][3] = (struct sb_value){.state = SB_COL_NULL};
    return (struct sb_image){.repair = INT64_MAX,
        .ownership_epoch = 7,
        .direction = sb_view_str("forward"),
        .migration = sb_view_str("shop"),
        .snapshot = sb_view_str("725:730:725,727"),
        .floor_lsn = UINT64_MAX - 1,
        .timeline = UINT32_MAX,
        .schema = sb_view_str("public"),
        .table = sb_view_str("orders"),
        .column_count = COLUMNS,
        .columns = columns,
        .key_count = KEYS,
        .key_cols = key_cols,
        .row_count = ROWS,
        .rows = rows};
}

static void setup(void)
{
    arena = sb_arena_new("test", ARENA_MAX_BYTES);
    sb_buf_init(&record, ARENA_MAX_BYTES);
}

static void teardown(void)
{
    sb_arena_free(arena);
    sb_buf_clear(&record);
}

static void write_sample(const struct sb_image *image)
{
    struct sb_err err;
    sb_buf_reset(&record);
    ck_assert_msg(sb_image_write(image, &record, &err) == 0, "%s", err.text);
}

static int read_back(struct sb_view bytes, struct sb_image *ret_image)
{
    struct sb_err err;
    sb_arena_reset(arena);
    int result = sb_image_read(bytes, arena, ret_image, &err);
    ck_assert(result == 0 || err.code == SB_E_VALUE_INVALID || err.code == SB_E_LIMIT);
    return result;
}

static void same_row(const struct sb_image_row *got, const struct sb_image_row *want)
{
    ck_assert_int_eq(got->item, want->item);
    ck_assert(got->present == want->present && got->guard_present == want->guard_present);
    ck_assert_mem_eq(got->guard.bytes, want->guard.bytes, sizeof want->guard.bytes);
    for (int i = 0; i < COLUMNS; i++) {
        ck_assert_int_eq(got->values[i].state, want->values[i].state);
        ck_assert(sb_view_eq(got->values[i].text, want->values[i].text));
    }
}

START_TEST(what_is_written_is_read)
{
    struct sb_image image = sample(), got;
    write_sample(&image);
    ck_assert_int_eq(read_back(sb_buf_view(&record), &got), 0);
    ck_assert_int_eq(got.repair, image.repair);
    ck_assert_uint_eq(got.ownership_epoch, image.ownership_epoch);
    ck_assert(sb_view_eq(got.direction, image.direction) && sb_view_eq(got.migration, image.migration));
    ck_assert(sb_view_eq(got.snapshot, image.snapshot) && sb_view_eq(got.schema, image.schema));
    ck_assert(sb_view_eq(got.table, image.table));
    ck_assert_uint_eq(got.floor_lsn, image.floor_lsn);
    ck_assert_uint_eq(got.timeline, image.timeline);
    ck_assert_uint_eq(got.column_count, COLUMNS);
    for (int i = 0; i < COLUMNS; i++)
        ck_assert(sb_view_eq(got.columns[i], image.columns[i]));
    ck_assert_uint_eq(got.key_count, KEYS);
    ck_assert_mem_eq(got.key_cols, key_cols, sizeof key_cols);
    ck_assert_uint_eq(got.row_count, ROWS);
    for (int i = 0; i < ROWS; i++)
        same_row(&got.rows[i], &image.rows[i]);
    ck_assert_int_eq(got.rows[1].values[3].text.ptr[1], '\0'); /* for libpq */
}
END_TEST

START_TEST(an_undo_has_no_snapshot)
{
    struct sb_image image = sample(), got;
    image.snapshot = sb_view_str("");
    write_sample(&image);
    ck_assert_int_eq(read_back(sb_buf_view(&record), &got), 0);
    ck_assert_uint_eq(got.snapshot.len, 0);
}
END_TEST

static avro_value_t field(avro_value_t *of, const char *name)
{
    avro_value_t value;
    ck_assert_msg(avro_value_get_by_name(of, name, &value, NULL) == 0, "no field %s", name);
    return value;
}

static avro_value_t element(avro_value_t *of, size_t at)
{
    avro_value_t value;
    ck_assert_int_eq(avro_value_get_by_index(of, at, &value, NULL), 0);
    return value;
}

START_TEST(avro_reads_it_too)
{
    struct sb_image image = sample();
    avro_schema_t schema;
    avro_value_t whole, rows, row, values, branch;
    const void *bytes = NULL;
    size_t size = 0;
    int discriminant = -1;
    write_sample(&image);
    ck_assert_int_eq(avro_schema_from_json_length(sb_avsc_image, strlen(sb_avsc_image), &schema), 0);
    ck_assert(sb_avro_check(schema, sb_buf_view(&record)));
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    ck_assert_int_eq(avro_generic_value_new(iface, &whole), 0);
    avro_reader_t reader = avro_reader_memory(record.ptr, (int64_t)record.len);
    ck_assert_msg(avro_value_read(reader, &whole) == 0, "%s", avro_strerror());
    rows = field(&whole, "rows");
    ck_assert_int_eq(avro_value_get_size(&rows, &size), 0);
    ck_assert_uint_eq(size, ROWS);
    row = element(&rows, 2);
    values = field(&row, "values");
    ck_assert_int_eq(avro_value_get_size(&values, &size), 0);
    ck_assert_uint_eq(size, COLUMNS);
    branch = element(&values, 1);
    ck_assert_int_eq(avro_value_get_discriminant(&branch, &discriminant), 0);
    ck_assert_int_eq(discriminant, 1);
    ck_assert_int_eq(avro_value_get_current_branch(&branch, &values), 0);
    ck_assert_int_eq(avro_value_get_bytes(&values, &bytes, &size), 0);
    ck_assert(sb_view_eq_str(sb_view(bytes, size), "\\x00\n\t"));
    row = element(&rows, 0); /* not present: the key alone */
    values = field(&row, "values");
    ck_assert_int_eq(avro_value_get_size(&values, &size), 0);
    ck_assert_uint_eq(size, KEYS);
    avro_reader_free(reader);
    avro_value_decref(&whole);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
}
END_TEST

START_TEST(a_body_has_a_signature)
{
    char body[SB_IMAGE_SIGNATURE_CHARS + 4];
    struct sb_view signature, rest;
    memset(body, 'a', sizeof body);
    body[SB_IMAGE_SIGNATURE_CHARS] = ' ';
    ck_assert(sb_image_split(sb_view(body, sizeof body), &signature, &rest));
    ck_assert_uint_eq(signature.len, SB_IMAGE_SIGNATURE_CHARS);
    ck_assert(sb_view_eq_str(rest, "aaa"));
    ck_assert(!sb_image_split(sb_view(body, SB_IMAGE_SIGNATURE_CHARS), &signature, &rest));
    ck_assert(!sb_image_split(sb_view("", 0), &signature, &rest));
    body[SB_IMAGE_SIGNATURE_CHARS] = 'a';
    ck_assert(!sb_image_split(sb_view(body, sizeof body), &signature, &rest));
    body[SB_IMAGE_SIGNATURE_CHARS] = ' ';
    body[3] = 'g';
    ck_assert(!sb_image_split(sb_view(body, sizeof body), &signature, &rest));
}
END_TEST

static void refused(const struct sb_image *image)
{
    struct sb_image got;
    write_sample(image);
    ck_assert_int_lt(read_back(sb_buf_view(&record), &got), 0);
}

START_TEST(what_contradicts_itself_is_refused)
{
    static const uint16_t twice[KEYS] = {1, 1}, beyond[KEYS] = {0, COLUMNS};
    struct sb_image image = sample();
    image.key_cols = twice; /* never in a row that is not present: column 0 would be missing there, too */
    refused(&image);
    image = sample();
    image.rows = &image.rows[1];
    image.row_count = 1;
    image.key_cols = beyond;
    refused(&image);
    image = sample();
    image.key_count = 0;
    refused(&image);
    image = sample();
    image.row_count = 0;
    refused(&image);
    image = sample();
    image.column_count = 0;
    refused(&image);
    image = sample();
    image.table = sb_view_str("");
    refused(&image);
    image = sample();
    image.schema = sb_view("a\0b", 3);
    refused(&image);
    image = sample();
    image.repair = 0;
    refused(&image);
    struct sb_value no_key[COLUMNS] = {{.state = SB_COL_NULL}, text("a"), text("b"), text("c")};
    struct sb_image_row row = {.item = 1, .present = true, .values = no_key};
    image = sample();
    image.rows = &row;
    image.row_count = 1;
    refused(&image);
}
END_TEST

START_TEST(too_many_rows_are_not_written)
{
    struct sb_image image = sample();
    struct sb_err err;
    struct sb_image_row *rows = calloc(SB_IMAGE_ROWS_MAX + 1, sizeof *rows);
    for (int i = 0; i <= SB_IMAGE_ROWS_MAX; i++)
        rows[i] = image.rows[1];
    image.rows = rows;
    image.row_count = SB_IMAGE_ROWS_MAX;
    write_sample(&image);
    image.row_count++;
    ck_assert_int_lt(sb_image_write(&image, &record, &err), 0);
    ck_assert_int_eq(err.code, SB_E_LIMIT);
    struct sb_buf small SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&small, 64);
    image = sample();
    ck_assert_int_lt(sb_image_write(&image, &small, &err), 0);
    ck_assert_int_eq(err.code, SB_E_LIMIT);
    free(rows);
}
END_TEST

/* What the reader takes is written as the same bytes: it takes nothing that it does not understand. */
static void taken_or_refused(const char *bytes, size_t len)
{
    struct sb_image got;
    struct sb_err err;
    char *copy = malloc(len == 0 ? 1 : len); /* of its own, so that a sanitizer sees a step beyond */
    memcpy(copy, bytes, len);
    if (read_back(sb_view(copy, len), &got) == 0) {
        struct sb_buf again SB_CLEANUP(sb_buf_clear);
        sb_buf_init(&again, ARENA_MAX_BYTES);
        ck_assert_int_eq(sb_image_write(&got, &again, &err), 0);
        ck_assert_uint_le(again.len, len); /* a varint may be longer than it has to be */
    }
    free(copy);
}

START_TEST(any_bytes_are_taken_or_refused)
{
    struct sb_image image = sample();
    write_sample(&image);
    for (size_t len = 0; len < record.len; len++) { /* cut anywhere */
        struct sb_image got;
        taken_or_refused(record.ptr, len);
        ck_assert_int_lt(read_back(sb_view(record.ptr, len), &got), 0);
    }
    char *bytes = malloc(record.len + 8);
    srand(4711);
    for (size_t at = 0; at < record.len; at++)
        for (int value = 0; value < 256; value++) { /* every byte, every value */
            memcpy(bytes, record.ptr, record.len);
            bytes[at] = (char)value;
            taken_or_refused(bytes, record.len);
        }
    for (int round = 0; round < 50000; round++) { /* several at once, and noise behind */
        size_t len = record.len + (size_t)(rand() % 8);
        memset(bytes, rand(), len);
        memcpy(bytes, record.ptr, record.len);
        for (int i = rand() % 6; i >= 0; i--)
            bytes[(size_t)rand() % len] = (char)rand();
        taken_or_refused(bytes, len);
    }
    for (int round = 0; round < 20000; round++) { /* nothing but noise */
        size_t len = (size_t)rand() % record.len;
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)rand();
        taken_or_refused(bytes, len);
    }
    free(bytes);
}
END_TEST

START_TEST(a_small_arena_is_a_limit)
{
    struct sb_image image = sample(), got;
    struct sb_err err;
    write_sample(&image);
    for (size_t room = 16; room < 2048; room += 16) {
        struct sb_arena *small = sb_arena_new("small", room);
        int result = sb_image_read(sb_buf_view(&record), small, &got, &err);
        ck_assert(result == 0 || err.code == SB_E_LIMIT);
        ck_assert(result != 0 || room > 256);
        sb_arena_free(small);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image");
    TCase *tcase = tcase_create("image");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, what_is_written_is_read);
    tcase_add_test(tcase, an_undo_has_no_snapshot);
    tcase_add_test(tcase, avro_reads_it_too);
    tcase_add_test(tcase, a_body_has_a_signature);
    tcase_add_test(tcase, what_contradicts_itself_is_refused);
    tcase_add_test(tcase, too_many_rows_are_not_written);
    tcase_add_test(tcase, any_bytes_are_taken_or_refused);
    tcase_add_test(tcase, a_small_arena_is_a_limit);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
