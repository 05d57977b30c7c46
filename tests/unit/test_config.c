#include "config/config.h"
#include "config/options.h"
#include "config/yaml.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BASE                                                                                                 \
    "migration: shop\n"                                                                                      \
    "source:\n"                                                                                              \
    "  dsn: host=/tmp dbname=a\n"                                                                            \
    "target:\n"                                                                                              \
    "  dsn: host=/tmp dbname=b\n" /* the next line is 6 */
#define TARGET "target:\n  dsn: host=/tmp dbname=b\n"

static char dir[] = "/tmp/sb-config-XXXXXX";
static char file[64], secret[64];

static void write_file(const char *path, const void *bytes, size_t len, mode_t mode)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void write_text(const char *path, const char *text, mode_t mode)
{
    write_file(path, text, strlen(text), mode);
}

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/switchback.yaml", dir);
    snprintf(secret, sizeof secret, "%s/secret", dir);
}

static void teardown(void)
{
    unlink(file);
    unlink(secret);
    rmdir(dir);
}

/* NULL: does not load, err says why. */
static struct sb_config *load_bytes(const void *bytes, size_t len, struct sb_err *err)
{
    struct sb_config *config = NULL;
    write_file(file, bytes, len, 0644);
    if (sb_config_load(file, &config, err) < 0)
        ck_assert_ptr_null(config);
    return config;
}

static struct sb_config *load(const char *text)
{
    struct sb_err err;
    struct sb_config *config = load_bytes(text, strlen(text), &err);
    ck_assert_msg(config != NULL, "%s", config == NULL ? err.text : "");
    return config;
}

static void show(const struct sb_config *config, struct sb_buf *out)
{
    sb_buf_init(out, 1 << 20);
    sb_config_show(config, out);
    sb_config_show_json(config, out);
    ck_assert(!out->failed);
}

/* The text must be refused with this code, "file:line: key: ", and these words in text or hint. */
static void refuse_bytes(
    const void *bytes, size_t len, enum sb_code code, int line, const char *key, const char *words)
{
    struct sb_err err;
    char head[256];
    struct sb_config *config = load_bytes(bytes, len, &err);
    ck_assert_msg(config == NULL, "loaded, and should have said: %s", words);
    snprintf(head, sizeof head, "%s:%d: %s%s", file, line, key, key[0] == '\0' ? "" : ": ");
    ck_assert_msg(err.code == code, "%s and not %s: %s", sb_err_id(&err), sb_err_info(code)->id, err.text);
    ck_assert_msg(strncmp(err.text, head, strlen(head)) == 0, "\"%s\" does not begin \"%s\"", err.text, head);
    ck_assert_msg(strstr(err.text, words) != NULL || strstr(err.hint, words) != NULL,
        "\"%s\" does not say \"%s\" (hint: %s)", err.text, words, err.hint);
}

static void refuse(const char *text, int line, const char *key, const char *words)
{
    refuse_bytes(text, strlen(text), SB_E_CONFIG, line, key, words);
}

/* -- what loads --------------------------------------------------------------------------------------------
 */

START_TEST(defaults_hold_where_nothing_is_written)
{
    struct sb_config *config = load(BASE);
    ck_assert_str_eq(config->migration, "shop");
    ck_assert_str_eq(config->state_dir, "/var/lib/switchback/shop");
    ck_assert(!config->insecure);
    ck_assert_str_eq(config->source.dsn, "host=/tmp dbname=a");
    ck_assert_ptr_null(config->source.password);
    ck_assert_uint_eq(config->tables.include.count, 1);
    ck_assert_str_eq(config->tables.include.items[0], "*.*");
    ck_assert_uint_eq(config->tables.exclude.count, 0);
    ck_assert_int_eq(config->stream.store, SB_CONFIG_EMBEDDED);
    ck_assert_ptr_null(config->stream.path);
    ck_assert_int_eq(config->stream.retention_hours, 168);
    ck_assert_int_eq(config->stream.retention_max_bytes, INT64_C(20) << 30);
    ck_assert_uint_eq(config->kafka.count, 0);
    ck_assert_int_eq(config->capture.ack, SB_ACK_TARGET);
    ck_assert_int_eq(config->apply.mode, SB_MODE_AUTO);
    ck_assert_int_eq(config->apply.conflict, SB_CONFLICT_HOLD);
    ck_assert_int_eq(config->apply.open_transaction_idle_max_s, 60);
    ck_assert_str_eq(config->http.listen, "127.0.0.1:9187");
    ck_assert_int_eq(config->log.format, SB_CONFIG_LOGFMT);
    ck_assert_str_eq(config->log.level, "info");
    sb_config_free(config);
    sb_config_free(NULL);
}
END_TEST

START_TEST(everything_written_arrives)
{
    write_text(secret, "s3cret\n", 0600);
    struct sb_config *config = load(
        "state_dir: state\n"
        "insecure: true\n"
        "migration: shop_2\n"
        "source: {dsn: 'postgresql://me@old.example.org:5433/shop?sslmode=require', password_file: "
        "secret}\n" TARGET
        "tables:\n  include: [\"public.*\", '\"Odd.Schema\".\"t*ble\"']\n  exclude:\n    - public.audit_?\n"
        "stream:\n  store: kafka\n  path: /srv/x.db\n  retention_hours: 0\n"
        "kafka:\n  bootstrap.servers: k1:9092,k2:9092\n  linger.ms: 5\n  "
        "enable.ssl.certificate.verification: true\n"
        "capture:\n  ack: stream\n  heartbeat_interval_ms: 50\n"
        "apply:\n  mode: exact\n  conflict: owner\n  lock_timeout_ms: 3600000\n"
        "http:\n  listen: ''\n"
        "log:\n  format: json\n  level: debug\n");
    char state[96];
    snprintf(state, sizeof state, "%s/state", dir);
    ck_assert_str_eq(config->state_dir, state);
    ck_assert_str_eq(config->source.password, "s3cret");
    ck_assert_str_eq(config->source.password_file, secret);
    ck_assert_uint_eq(config->tables.include.count, 2);
    ck_assert_str_eq(config->tables.include.items[1], "\"Odd.Schema\".\"t*ble\"");
    ck_assert_str_eq(config->tables.exclude.items[0], "public.audit_?");
    ck_assert_int_eq(config->stream.store, SB_CONFIG_KAFKA);
    ck_assert_uint_eq(config->kafka.count, 3);
    ck_assert_str_eq(config->kafka.items[1].name, "linger.ms");
    ck_assert_str_eq(config->kafka.items[1].value, "5");
    ck_assert_int_eq(config->capture.ack, SB_ACK_STREAM);
    ck_assert_int_eq(config->capture.heartbeat_interval_ms, 50);
    ck_assert_int_eq(config->apply.mode, SB_MODE_EXACT);
    ck_assert_int_eq(config->apply.conflict, SB_CONFLICT_OWNER);
    ck_assert_str_eq(config->http.listen, "");
    ck_assert_int_eq(config->log.format, SB_CONFIG_JSON);
    sb_config_free(config);
}
END_TEST

START_TEST(a_byte_order_mark_crlf_and_empty_sections_are_fine)
{
    struct sb_config *config =
        load("\xef\xbb\xbfmigration: shop\r\nsource:\r\n  dsn: host=/tmp dbname=a\r\n"
             "target:\r\n  dsn: host=/tmp dbname=b\r\nkafka:\r\ncapture:\r\n  # nothing\r\n"
             "tables:\r\n  exclude:\r\n");
    ck_assert_str_eq(config->source.dsn, "host=/tmp dbname=a");
    sb_config_free(config);
}
END_TEST

START_TEST(the_environment_fills_values_and_nothing_else)
{
    setenv("SB_TEST_NAME", "shop", 1);
    setenv("SB_TEST_YAML", "x\nlog:\n  level: debug", 1);
    struct sb_config *config =
        load("migration: ${SB_TEST_NAME}\nsource:\n  dsn: host=/tmp dbname=$${X}\n" TARGET
             "kafka: {client.id: \"a ${SB_TEST_YAML}\"}\n");
    ck_assert_str_eq(config->migration, "shop");
    ck_assert_str_eq(config->source.dsn, "host=/tmp dbname=${X}");
    ck_assert_str_eq(config->kafka.items[0].value, "a x\nlog:\n  level: debug");
    ck_assert_str_eq(config->log.level, "info");
    sb_config_free(config);
    unsetenv("SB_TEST_NO");
    refuse(BASE "log:\n  level: ${SB_TEST_NO}\n", 7, "log.level", "${SB_TEST_NO} is not set");
    refuse(BASE "log:\n  level: ${oops\n", 7, "log.level", "not followed by the name");
    refuse(BASE "log:\n  level: ${}\n", 7, "log.level", "not followed by the name");
    refuse(BASE "log:\n  level: ${1A}\n", 7, "log.level", "not followed by the name");
    setenv("SB_TEST_NO", "canary", 1);
    refuse(BASE "log:\n  level: ${SB_TEST_NO}\n", 7, "log.level", "is the value from the environment");
}
END_TEST

/* -- keys --------------------------------------------------------------------------------------------------
 */

START_TEST(unknown_keys_name_the_nearest_known_one)
{
    refuse(BASE "captur:\n  ack: target\n", 6, "captur", "did you mean \"capture\"?");
    refuse(BASE "capture:\n  akc: target\n", 7, "capture.akc", "did you mean \"capture.ack\"?");
    refuse(BASE "apply:\n  batch_max_row: 5\n", 7, "apply.batch_max_row",
        "did you mean \"apply.batch_max_rows\"?");
    refuse(BASE "heartbeat_interval_ms: 5\n", 6, "heartbeat_interval_ms",
        "did you mean \"capture.heartbeat_interval_ms\"?");
    refuse(BASE "zzzzzzzzzzzz: 5\n", 6, "zzzzzzzzzzzz", "is not a known key");
    refuse(BASE "capture.ack: target\n", 6, "capture.ack", "\"capture:\" and indented below it \"ack:\"");
    refuse(BASE "a b: 1\n", 6, "", "a key must be a plain word");
    refuse(BASE "? [a]\n: 1\n", 6, "", "a key must be a plain word");
}
END_TEST

START_TEST(duplicate_keys_name_both_lines)
{
    refuse(BASE "migration: shop2\n", 6, "migration", "the first time in line 1");
    refuse(BASE "capture:\n  ack: target\n  ack: stream\n", 8, "capture.ack", "the first time in line 7");
    refuse(BASE "kafka:\n  a: 1\n  b: 1\n  a: 2\n", 9, "kafka.a", "the first time in line 7");
    refuse(BASE "source:\n  dsn: x=1\n", 6, "source", "the first time in line 2");
}
END_TEST

START_TEST(what_is_required_must_be_there)
{
    refuse("", 1, "migration", "required and missing");
    refuse("# nothing\n---\n", 1, "migration", "required and missing");
    refuse("migration: shop\n" TARGET, 1, "source.dsn", "required and missing");
    refuse(
        "migration: shop\n" TARGET "source:\n  password: ${HOME}\n", 4, "source.dsn", "required and missing");
    refuse("migration: shop\nsource:\n  dsn: host=/tmp\ntarget:\n", 1, "target.dsn", "required and missing");
    refuse(BASE "stream:\n  store: kafka\n", 7, "kafka.bootstrap.servers", "required and missing");
    refuse(BASE "stream:\n  store: kafka\nkafka:\n  acks: all\n", 8, "kafka.bootstrap.servers", "required");
    refuse(BASE "capture:\n  ack:\n", 7, "capture.ack", "has no value");
    refuse(BASE "capture:\n  ack: ~\n", 7, "capture.ack", "has no value");
    refuse(BASE "state_dir: ''\n", 6, "state_dir", "is empty");
}
END_TEST

/* -- types and bounds --------------------------------------------------------------------------------------
 */

#define HEARTBEAT(value) BASE "capture:\n\n  heartbeat_interval_ms: " value "\n"
#define RETENTION(value) BASE "stream:\n  retention_max_bytes: " value "\n"

START_TEST(units_stand_in_names_and_are_explained)
{
    const char *key = "capture.heartbeat_interval_ms";
    refuse(HEARTBEAT("10s"), 8, key, "write 10000");
    refuse(HEARTBEAT("10 s"), 8, key, "must be a whole number of milliseconds and is \"10 s\"");
    refuse(HEARTBEAT("2m"), 8, key, "write 120000");
    refuse(HEARTBEAT("10.5"), 8, key, "must be a whole number of milliseconds");
    refuse(HEARTBEAT("1e3"), 8, key, "must be a whole number");
    refuse(HEARTBEAT("0x10"), 8, key, "must be a whole number");
    refuse(HEARTBEAT("010"), 8, key, "must be a whole number");
    refuse(HEARTBEAT("many"), 8, key, "is \"many\"");
    refuse(HEARTBEAT("''"), 8, key, "must be a whole number");
    refuse(HEARTBEAT("[5]"), 8, key, "must be one value");
    refuse(HEARTBEAT("{a: 5}"), 8, key, "must be one value");
    refuse(RETENTION("20GiB"), 7, "stream.retention_max_bytes", "write 21474836480");
    refuse(RETENTION("99999999999999999999GiB"), 7, "stream.retention_max_bytes", "stands alone");
    refuse(BASE "stream:\n  retention_hours: 7d\n", 7, "stream.retention_hours", "write 168");
}
END_TEST

START_TEST(numbers_have_bounds)
{
    const char *key = "capture.heartbeat_interval_ms";
    refuse(HEARTBEAT("49"), 8, key, "must be from 50 to 3600000 (milliseconds) and is \"49\"");
    refuse(HEARTBEAT("3600001"), 8, key, "must be from 50 to 3600000");
    refuse(HEARTBEAT("-1"), 8, key, "must be from 50 to 3600000");
    refuse(RETENTION("9223372036854775807"), 7, "stream.retention_max_bytes", "must be from");
    refuse(RETENTION("9223372036854775808"), 7, "stream.retention_max_bytes", "must be from");
    refuse(RETENTION("-99999999999999999999999999999"), 7, "stream.retention_max_bytes", "must be from");
    sb_config_free(load(HEARTBEAT("50")));
    sb_config_free(load(HEARTBEAT("3600000")));
}
END_TEST

START_TEST(words_must_be_of_those_known)
{
    refuse(BASE "capture:\n  ack: taget\n", 7, "capture.ack", "did you mean \"target\"?");
    refuse(BASE "stream:\n  store: oracle\n", 7, "stream.store",
        "must be one of embedded, kafka and is \"oracle\"");
    refuse(BASE "log:\n  level: \"a\\tb\"\n", 7, "log.level", "is \"a?b\"");
    refuse(BASE "insecure: yes\n", 6, "insecure", "must be true or false and is \"yes\"");
    refuse(BASE "capture: 5\n", 6, "capture", "is a section");
    refuse(BASE "capture: [ack]\n", 6, "capture", "is a section");
    refuse(BASE "kafka: 5\n", 6, "kafka", "must be settings");
    refuse(BASE "kafka:\n  ssl:\n    ca: x\n", 7, "kafka.ssl", "must be one value");
    refuse(BASE "kafka:\n  acks:\n", 7, "kafka.acks", "has no value");
    refuse(BASE "state_dir: ~/x\n", 6, "state_dir", "${HOME}/...");
    refuse(BASE "state_dir: \"a\\nb\"\n", 6, "state_dir", "control character");
}
END_TEST

START_TEST(migration_names_are_safe_in_every_name_made_of_them)
{
    static const char *const bad[] = {"Shop", "1shop", "_shop", "sh-op", "shop.x", "sh\xc3\xb6p",
        "'; drop table x; --'", "abcdefghijklmnopqrstuvwxyz0123456", "' shop'", "../x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256];
        snprintf(text, sizeof text, "source:\n  dsn: host=/tmp\n" TARGET "migration: %s\n", bad[i]);
        refuse(text, 5, "migration", "lower-case letter");
    }
}
END_TEST

START_TEST(listen_addresses_are_checked)
{
    static const char *const bad[] = {"9187", "localhost", ":9187", "127.0.0.1:", "127.0.0.1:99999", "a:b",
        "::1:9187", "127.0.0.1:-1", "[::1]", "127.0.0.1:91 87", "[]:1", "http://x:80"};
    static const char *const good[] = {"127.0.0.1:9187", "[::1]:9187", "localhost:0", "", "0.0.0.0:65535"};
    char text[256];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, BASE "http:\n  listen: '%s'\n", bad[i]);
        refuse(text, 7, "http.listen", "must be an address and a port");
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, BASE "http:\n  listen: '%s'\n", good[i]);
        sb_config_free(load(text));
    }
}
END_TEST

START_TEST(table_patterns_are_checked_entry_by_entry)
{
    refuse(BASE "tables:\n  include:\n    - public.*\n    - orders\n", 9, "tables.include",
        "\"orders\" is not a pattern of schema.table");
    refuse(BASE "tables:\n  exclude: [a.b.c]\n", 7, "tables.exclude", "is not a pattern");
    refuse(BASE "tables:\n  exclude: ['\"a.b']\n", 7, "tables.exclude", "is not a pattern");
    refuse(BASE "tables:\n  exclude: ['']\n", 7, "tables.exclude", "is not a pattern");
    refuse(BASE "tables:\n  include: public.*\n", 7, "tables.include", "must be a list");
    refuse(BASE "tables:\n  include: []\n", 7, "tables.include", "must have from 1 to 1000 entries");
    refuse(BASE "tables:\n  include:\n", 7, "tables.include", "must have from 1 to 1000 entries");
    refuse(BASE "tables:\n  include: [{a: b}]\n", 7, "tables.include", "an entry must be one value");
    refuse(BASE "tables:\n  include:\n  - *.*\n", 8, "tables.include", "must be in quotes");
    refuse(BASE "tables:\n  include:\n  - *public\n", 8, "tables.include", "must be in quotes");
    sb_config_free(load(BASE "tables:\n  include: ['*.*', 'app_?.orders', '\"a.b\".\"c\"\"d\"']\n"));
}
END_TEST

START_TEST(lists_and_maps_have_bounds)
{
    struct sb_buf text;
    sb_buf_init(&text, 1 << 20);
    sb_buf_put_str(&text, BASE "tables:\n  include:\n");
    for (int i = 0; i < 1001; i++)
        sb_buf_put_str(&text, "    - a.b\n");
    refuse(sb_buf_str(&text), 7, "tables.include", "from 1 to 1000 entries and has 1001");
    sb_buf_reset(&text);
    sb_buf_put_str(&text, BASE "kafka:\n");
    for (int i = 0; i < 257; i++)
        sb_buf_putf(&text, "  k%d: 1\n", i);
    refuse(sb_buf_str(&text), 6, "kafka", "from 0 to 256 entries and has 257");
    sb_buf_reset(&text);
    sb_buf_put_str(&text, "x:\n");
    for (int i = 0; i < SB_YAML_NODES; i++)
        sb_buf_put_str(&text, "- 1\n");
    refuse(sb_buf_str(&text), SB_YAML_NODES, "x", "more than 10000 entries");
    sb_buf_clear(&text);
}
END_TEST

/* -- YAML --------------------------------------------------------------------------------------------------
 */

START_TEST(yaml_beyond_what_is_needed_is_refused)
{
    refuse(BASE "log: &a\n  level: info\n", 6, "log", "anchors (&) and aliases (*) are not used");
    refuse(BASE "insecure: *a\n", 6, "insecure", "anchors (&) and aliases (*) are not used");
    refuse(BASE "insecure: !!bool true\n", 6, "insecure", "tags (!) are not used");
    refuse(BASE "---\nmigration: b\n", 6, "", "a second document begins");
    refuse(BASE "log: {level: info\n", 7, "log", "did not find expected ',' or '}'");
    refuse(BASE "log:\n\tlevel: info\n", 7, "log", "never by tabs");
    refuse("- a\n", 1, "", "must be a mapping");
    refuse("just words\n", 1, "", "must be a mapping");
    refuse(BASE "x: [[[[[[[[[[[[1]]]]]]]]]]]]\n", 6, "x", "is nested too deeply");
    refuse(BASE "log:\n  level: \"a\\0b\"\n", 7, "log.level", "NUL character");
}
END_TEST

START_TEST(files_that_are_no_utf8_text_are_refused)
{
    refuse_bytes("\xff\xfem\0i\0", 6, SB_E_CONFIG, 1, "", "UTF-16");
    refuse_bytes("\xfe\xff\0m\0i", 6, SB_E_CONFIG, 1, "", "UTF-16");
    refuse(BASE "log:\n  level: \"\xff\xff\"\n", 7, "", "UTF-8");
    refuse_bytes("migration: a\0b\n", 15, SB_E_CONFIG, 1, "", "control characters");
}
END_TEST

START_TEST(large_files_end_in_time)
{
    size_t len = SB_YAML_BYTES;
    char *text = malloc(len + 1);
    static const char *const bytes[] = {"[", "{", "-", "\"", "?", ":", "&", "\n", "- ", "a: ", "#"};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        for (size_t at = 0; at < len; at++)
            text[at] = bytes[i][at % strlen(bytes[i])];
        struct sb_err err;
        ck_assert_ptr_null(load_bytes(text, len, &err));
    }
    memset(text, '#', len + 1);
    struct sb_err err;
    ck_assert_ptr_null(load_bytes(text, len + 1, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "larger than 1048576 bytes"));
    free(text);
}
END_TEST

START_TEST(what_is_no_file_is_named)
{
    struct sb_config *config;
    struct sb_err err;
    ck_assert_int_eq(sb_config_load(dir, &config, &err), -1);
    ck_assert_int_eq(err.code, SB_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "is a directory, not a file"));
    unlink(file);
    ck_assert_int_eq(sb_config_load(file, &config, &err), -1);
    ck_assert_int_eq(err.code, SB_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot be opened: No such file"));
    ck_assert_ptr_nonnull(strstr(err.hint, "SWITCHBACK_CONFIG"));
    ck_assert_int_eq(mkfifo(file, 0600), 0); /* nobody writes: must not wait */
    ck_assert_int_eq(sb_config_load(file, &config, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "not a regular file"));
}
END_TEST

/* -- secrets -----------------------------------------------------------------------------------------------
 */

#define WITH_SECRET "migration: shop\nsource:\n  dsn: host=/tmp\n  password_file: secret\n" TARGET

START_TEST(secret_files_are_ours_alone)
{
    static const mode_t bad[] = {0640, 0604, 0644, 0660, 0610, 0602};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_text(secret, "x", bad[i]);
        refuse_bytes(
            WITH_SECRET, strlen(WITH_SECRET), SB_E_SECRET_MODE, 4, "source.password_file", "chmod 600");
    }
    write_text(secret, "x", 0400);
    sb_config_free(load(WITH_SECRET));
    unlink(secret);
    refuse(WITH_SECRET, 4, "source.password_file", "No such file");
    ck_assert_int_eq(mkdir(secret, 0700), 0);
    refuse(WITH_SECRET, 4, "source.password_file", "is a directory");
    rmdir(secret);
    ck_assert_int_eq(mkfifo(secret, 0600), 0);
    refuse(WITH_SECRET, 4, "source.password_file", "not a regular file");
}
END_TEST

START_TEST(secret_files_hold_one_secret)
{
    char large[70000];
    memset(large, 'x', sizeof large);
    write_file(secret, large, sizeof large, 0600);
    refuse(WITH_SECRET, 4, "source.password_file", "is larger than");
    write_text(secret, "\n", 0600);
    refuse(WITH_SECRET, 4, "source.password_file", "is empty");
    write_text(secret, "a\nb\n", 0600);
    refuse(WITH_SECRET, 4, "source.password_file", "more than one line");
    write_file(secret, "a\0b", 3, 0600);
    refuse(WITH_SECRET, 4, "source.password_file", "NUL character");
    write_text(secret, " a b \r\n", 0600);
    struct sb_config *config = load(WITH_SECRET);
    ck_assert_str_eq(config->source.password, " a b ");
    sb_config_free(config);
}
END_TEST

START_TEST(a_secret_of_another_user_is_refused)
{
    if (geteuid() != 0) {
        printf("SKIPPED: only root can give a file away\n");
        return;
    }
    write_text(secret, "x", 0600);
    ck_assert_int_eq(chown(secret, 4242, 4242), 0);
    sb_config_free(load(WITH_SECRET)); /* root may look */
    ck_assert_int_eq(chown(secret, 0, 0), 0);
    ck_assert_int_eq(chmod(dir, 0777), 0);
    ck_assert_int_eq(setresuid(4242, 4242, 0), 0);
    refuse(WITH_SECRET, 4, "source.password_file", "Permission denied");
    ck_assert_int_eq(setresuid(0, 0, 0), 0);
}
END_TEST

START_TEST(passwords_come_from_the_environment_or_a_file_and_are_moved_out_of_the_dsn)
{
    static const struct {
        const char *dsn, *rest, *password;
    } cases[] = {
        {"host=/tmp password=${SB_TEST_PW} dbname=a", "host=/tmp  dbname=a", "canary77"},
        {"\"host=/tmp password = '${SB_TEST_PW}'\"", "host=/tmp ", "canary77"},
        {"postgresql://me:${SB_TEST_PW}@localhost:5432/a", "postgresql://me@localhost:5432/a", "canary77"},
        {"postgresql://:${SB_TEST_PW}@localhost/a", "postgresql://@localhost/a", "canary77"},
        {"postgres://localhost/a?password=${SB_TEST_PW}", "postgres://localhost/a", "canary77"},
        {"postgres://localhost/a?password=${SB_TEST_PW}&user=me", "postgres://localhost/a?user=me",
            "canary77"},
        {"postgres://localhost/a?user=me&password=${SB_TEST_PW}", "postgres://localhost/a?user=me",
            "canary77"},
        {"postgres://localhost/a?p%61ssword=${SB_TEST_PW}", "postgres://localhost/a", "canary77"},
        {"${SB_TEST_DSN}", "postgresql://me@localhost/a", "canary/77"},
        {"host=/tmp password='' dbname=a", "host=/tmp  dbname=a", NULL},
    };
    setenv("SB_TEST_PW", "canary77", 1);
    setenv("SB_TEST_DSN", "postgresql://me:canary%2f77@localhost/a", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "migration: shop\nsource:\n  dsn: %s\n" TARGET, cases[i].dsn);
        struct sb_config *config = load(text);
        ck_assert_str_eq(config->source.dsn, cases[i].rest);
        if (cases[i].password == NULL)
            ck_assert_ptr_null(config->source.password);
        else
            ck_assert_str_eq(config->source.password, cases[i].password);
        struct sb_buf out;
        show(config, &out);
        ck_assert_ptr_null(strstr(sb_buf_str(&out), "canary7"));
        sb_buf_clear(&out);
        sb_config_free(config);
    }
    struct sb_config *config =
        load("migration: shop\nsource:\n  dsn: host=/tmp\n  password: ${SB_TEST_PW}\n" TARGET);
    ck_assert_str_eq(config->source.password, "canary77");
    sb_config_free(config);
}
END_TEST

/* Refused, and the password is in no message. */
static void refuse_password(const char *source, int line, const char *key, const char *words)
{
    char text[512];
    snprintf(text, sizeof text, "migration: shop\nsource:\n%s" TARGET, source);
    refuse(text, line, key, words);
    struct sb_err err;
    ck_assert_ptr_null(load_bytes(text, strlen(text), &err));
    ck_assert_ptr_null(strstr(err.text, "canary"));
    ck_assert_ptr_null(strstr(err.hint, "canary"));
}

START_TEST(passwords_written_in_the_file_are_refused)
{
    setenv("SB_TEST_PW", "canary77", 1);
    write_text(secret, "canary78", 0600);
    refuse_password("  dsn: host=/tmp password=canary\n", 3, "source.dsn", "holds a password");
    refuse_password("  dsn: host=/tmp password=x${SB_TEST_PW}\n", 3, "source.dsn", "holds a password");
    refuse_password("  dsn: postgresql://me:canary@localhost/a\n", 3, "source.dsn", "holds a password");
    refuse_password("  dsn: postgresql://localhost/a?password=canary\n", 3, "source.dsn", "holds a password");
    refuse_password("  dsn: host=/tmp PASSWORD=canary\n", 3, "source.dsn", "must not give \"PASSWORD\"");
    refuse_password(
        "  dsn: host=/tmp sslpassword=canary\n", 3, "source.dsn", "must not give \"sslpassword\"");
    refuse_password(
        "  dsn: host=/tmp\n  password: canary\n", 4, "source.password", "a secret does not belong");
    refuse_password("  dsn: host=/tmp\n  password: x${SB_TEST_PW}\n", 4, "source.password", "as a whole");
    refuse_password("  dsn: host=/tmp password=${SB_TEST_PW}\n  password_file: secret\n", 4,
        "source.password_file", "in another way as well");
    refuse_password("  dsn: host=/tmp\n  password: ${SB_TEST_PW}\n  password_file: secret\n", 5,
        "source.password_file", "in another way as well");
    refuse_password("  dsn: host=/tmp password=${SB_TEST_PW}\n  password: ${SB_TEST_PW}\n", 4,
        "source.password", "the dsn gives a password as well");
}
END_TEST

START_TEST(kafka_secrets_are_secrets_by_their_name)
{
    setenv("SB_TEST_PW", "canary77", 1);
    write_text(secret, "canary78\nline 2\n", 0600);
    struct sb_config *config =
        load(BASE "kafka:\n  sasl.password: ${SB_TEST_PW}\n  ssl.key.pem_file: secret\n"
                  "  sasl.username: me\n");
    ck_assert_str_eq(config->kafka.items[0].value, "canary77");
    ck_assert_str_eq(config->kafka.items[1].name, "ssl.key.pem");
    ck_assert_str_eq(config->kafka.items[1].value, "canary78\nline 2");
    struct sb_buf out;
    show(config, &out);
    ck_assert_ptr_null(strstr(sb_buf_str(&out), "canary7"));
    ck_assert_ptr_nonnull(strstr(sb_buf_str(&out), "sasl.password: \"***\""));
    ck_assert_ptr_nonnull(strstr(sb_buf_str(&out), "sasl.username: \"me\""));
    sb_buf_clear(&out);
    sb_config_free(config);
    refuse(BASE "kafka:\n  sasl.password: canary\n", 7, "kafka.sasl.password", "a secret does not belong");
    refuse(BASE "kafka:\n  sasl.password: ${SB_TEST_PW}\n  sasl.password_file: secret\n", 8,
        "kafka.sasl.password_file", "is given twice");
    write_text(secret, "x", 0644);
    refuse_bytes(BASE "kafka:\n  ssl.key.password_file: secret\n",
        strlen(BASE "kafka:\n  ssl.key.password_file: secret\n"), SB_E_SECRET_MODE, 7,
        "kafka.ssl.key.password_file", "chmod 600");
}
END_TEST

/* -- connection strings ------------------------------------------------------------------------------------
 */

START_TEST(connection_strings_that_lead_elsewhere_are_refused)
{
    static const char *const bad[][2] = {{"host=/tmp options=-cx=y", "options"}, {"service=prod", "service"},
        {"host=/tmp passfile=/x", "passfile"}, {"host=/tmp replication=database", "replication"},
        {"postgresql://localhost/a?options=-c%20x", "options"},
        {"postgresql://localhost/a?service=x", "service"},
        {"postgresql://localhost/a?replic%61tion=1", "replication"}, {"host=/tmp OPTIONS=x", "OPTIONS"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256], words[64];
        snprintf(text, sizeof text, "migration: shop\nsource:\n  dsn: %s\n" TARGET, bad[i][0]);
        snprintf(words, sizeof words, "must not give \"%s\"", bad[i][1]);
        refuse(text, 3, "source.dsn", words);
    }
}
END_TEST

START_TEST(connection_strings_that_cannot_be_read_are_refused_without_showing_them)
{
    static const char *const bad[] = {"canary", "host=/tmp canary", "\"host='canary\"", "=canary",
        "a=1 a=canary", "postgresql://me:can%zzary@x/a", "postgresql://x/a?canary",
        "postgresql://x/a?u=%00canary", "\"postgresql://[::1canary/a\"", "postgresql://me:canary/x@h/a",
        "postgresql://x/a?canary=%4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char source[256];
        snprintf(source, sizeof source, "  dsn: %s\n", bad[i]);
        refuse_password(source, 3, "source.dsn", "is not a connection string: ");
    }
}
END_TEST

START_TEST(an_unverified_connection_to_another_machine_needs_to_be_asked_for)
{
    static const char *const bad[] = {"host=db.example.org sslmode=require",
        "host=db.example.org sslmode=disable", "postgresql://db.example.org/a?sslmode=prefer",
        "hostaddr=10.0.0.1 host=localhost sslmode=verify-ca", "host=localhost,db.example.org sslmode=disable",
        "postgresql://db.example.org/a?ssl=true"};
    static const char *const good[] = {"host=db.example.org", "host=db.example.org sslmode=verify-full",
        "host=localhost sslmode=disable", "host=/tmp sslmode=disable", "sslmode=disable",
        "postgresql:///a?sslmode=disable"};
    char text[256];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "migration: shop\nsource:\n  dsn: %s\n" TARGET, bad[i]);
        refuse_bytes(text, strlen(text), SB_E_INSECURE, 3, "source.dsn", "verify-full");
        snprintf(text, sizeof text, "insecure: true\nmigration: shop\nsource:\n  dsn: %s\n" TARGET, bad[i]);
        sb_config_free(load(text));
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, "migration: shop\nsource:\n  dsn: %s\n" TARGET, good[i]);
        sb_config_free(load(text));
    }
}
END_TEST

/* -- pages -------------------------------------------------------------------------------------------------
 */

START_TEST(the_table_is_whole)
{
    for (size_t i = 0; i < sb_options_count; i++) {
        const struct sb_option *option = &sb_options[i];
        size_t len = strlen(option->help);
        ck_assert_msg(len > 20 && option->help[len - 1] == '.', "%s: help is not a sentence", option->path);
        ck_assert_ptr_eq(sb_option_find(option->path), option);
        ck_assert_msg(
            !option->required || (option->value == NULL && option->example != NULL), "%s", option->path);
        bool number = option->type == SB_OPTION_NUMBER;
        ck_assert_msg(number == (option->unit != NULL), "%s", option->path);
        if (number) {
            const char *unit = option->path + strlen(option->path);
            for (size_t parts = 1 + (strchr(option->unit, '/') != NULL); parts > 0; unit--)
                parts -= unit[-1] == '_' || unit[-1] == '.'; /* "bytes/s" is "_bytes_s" */
            ck_assert_msg(unit[1] == option->unit[0], "%s: its name does not end in its unit", option->path);
            ck_assert_msg(option->min < option->max, "%s", option->path);
        }
        bool words = option->type == SB_OPTION_CHOICE || option->type == SB_OPTION_WORD;
        ck_assert_msg(words == (option->choices != NULL), "%s", option->path);
    }
    for (size_t i = 1; i < sb_sections_count; i++)
        ck_assert(sb_option_is_section(sb_sections[i].name) || sb_option_find(sb_sections[i].name) != NULL);
}
END_TEST

/* Takes the comment signs off the lines that hold an example, "  # key: value". */
static void uncomment(struct sb_buf *text)
{
    sb_buf_put_str(text, "\n");
    for (char *line = text->ptr, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        char *sign = line + strspn(line, " ");
        size_t key = *sign == '#' ? strspn(sign + 2, "abcdefghijklmnopqrstuvwxyz_.") : 0;
        bool is_key = key > 0 && sign[2 + key] == ':' && sign[3 + key] == ' ';
        if (is_key && memmem(line, (size_t)(end - line), "password", 8) == NULL)
            memmove(sign, sign + 2, strlen(sign + 2) + 1), end -= 2;
    }
}

START_TEST(the_example_loads_and_shows_the_defaults)
{
    struct sb_buf text, plain, full;
    sb_buf_init(&text, 1 << 20);
    sb_config_example(&text);
    struct sb_config *config = load(sb_buf_str(&text));
    show(config, &plain);
    sb_config_free(config);
    uncomment(&text);
    config = load(sb_buf_str(&text));
    ck_assert_str_eq(config->stream.path, "/srv/switchback/shop.db");
    ck_assert_uint_gt(config->kafka.count, 1);
    ck_assert_str_eq(config->copy.pg_bin, "/usr/lib/postgresql/18/bin");
    config->stream.path = NULL; /* the three that are examples and no defaults */
    config->copy.pg_bin = NULL;
    config->kafka.count = 0;
    show(config, &full);
    ck_assert_str_eq(sb_buf_str(&full), sb_buf_str(&plain));
    sb_config_free(config);
    sb_buf_clear(&text);
    sb_buf_clear(&plain);
    sb_buf_clear(&full);
}
END_TEST

START_TEST(what_is_shown_loads_to_the_same)
{
    struct sb_buf first, second;
    struct sb_config *config =
        load(BASE "tables:\n  include: ['\"a\"\"b\".\"c\\d\"', 'x.\xc3\xa9*']\nkafka:\n  a.b: \"1\\n2\"\n"
                  "state_dir: /x y\nhttp: {listen: ''}\n");
    sb_buf_init(&first, 1 << 20);
    sb_buf_init(&second, 1 << 20);
    sb_config_show(config, &first);
    sb_config_free(config);
    config = load(sb_buf_str(&first));
    sb_config_show(config, &second);
    sb_config_free(config);
    ck_assert_str_eq(sb_buf_str(&first), sb_buf_str(&second));
    ck_assert_ptr_nonnull(strstr(sb_buf_str(&first), "listen: \"\""));
    sb_buf_clear(&first);
    sb_buf_clear(&second);
}
END_TEST

START_TEST(every_option_is_documented)
{
    struct sb_buf docs;
    sb_buf_init(&docs, 1 << 20);
    sb_config_docs(&docs);
    ck_assert(!docs.failed);
    for (size_t i = 0; i < sb_options_count; i++)
        ck_assert_msg(strstr(sb_buf_str(&docs), sb_options[i].help) != NULL, "%s", sb_options[i].path);
    sb_buf_clear(&docs);
}
END_TEST

/* -- bad input never crashes -------------------------------------------------------------------------------
 */

static struct sb_view whole_file(struct sb_buf *text)
{
    sb_buf_init(text, 1 << 20);
    sb_config_example(text);
    uncomment(text);
    return sb_buf_view(text);
}

/* Loads or says why, in the form of every error. */
static void load_anything(struct sb_view text)
{
    struct sb_err err;
    struct sb_config *config = load_bytes(text.ptr, text.len, &err);
    if (config == NULL) {
        ck_assert_msg(err.code == SB_E_CONFIG || err.code == SB_E_INSECURE, "%s", err.text);
        ck_assert_int_eq(strncmp(err.text, file, strlen(file)), 0);
    }
    sb_config_free(config);
}

START_TEST(a_file_cut_at_any_byte_never_crashes)
{
    struct sb_buf text;
    struct sb_view whole = whole_file(&text);
    for (size_t len = 0; len < whole.len; len++)
        load_anything(sb_view(whole.ptr, len));
    sb_buf_clear(&text);
}
END_TEST

START_TEST(a_file_with_flipped_bits_never_crashes)
{
    struct sb_buf text;
    struct sb_view whole = whole_file(&text);
    unsigned state = 1; /* the same flips in every run */
    for (int round = 0; round < 4000; round++) {
        char saved[3];
        size_t at[3];
        for (int i = 0; i < 3; i++) {
            state = state * 1664525u + 1013904223u;
            at[i] = (state >> 8) % whole.len;
            saved[i] = text.ptr[at[i]];
            text.ptr[at[i]] = (char)(text.ptr[at[i]] ^ (1 << (state >> 28) % 8));
        }
        load_anything(whole);
        for (int i = 2; i >= 0; i--)
            text.ptr[at[i]] = saved[i];
    }
    sb_buf_clear(&text);
}
END_TEST

START_TEST(a_file_of_shuffled_pieces_never_crashes)
{
    static const char *const pieces[] = {"migration", "source", "dsn", "kafka", "tables", "include", ":",
        ": ", "\n", "\n  ", "- ", "[", "]", "{", "}", "\"", "'", "${", "}", "${HOME}", "$${", "*", "&a", "*a",
        "!!", "|", ">", "%", "---", "...", "~", "null", "#", " ", ",", "?", "host=", "postgresql://", "@",
        "%41", "\\", "\xc3\xa9", "\xff", "password=", "shop", "1", "true"};
    unsigned state = 7;
    for (int round = 0; round < 4000; round++) {
        struct sb_buf text;
        sb_buf_init(&text, 1 << 16);
        for (int i = 0; i < 1 + round % 40; i++) {
            state = state * 1664525u + 1013904223u;
            sb_buf_put_str(&text, pieces[(state >> 8) % (sizeof pieces / sizeof *pieces)]);
        }
        load_anything(sb_buf_view(&text));
        sb_buf_clear(&text);
    }
}
END_TEST

/* -- wiring ------------------------------------------------------------------------------------------------
 */

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *loads = tcase_create("loads");
    tcase_add_unchecked_fixture(loads, setup, teardown);
    tcase_set_timeout(loads, 100);
    tcase_add_test(loads, defaults_hold_where_nothing_is_written);
    tcase_add_test(loads, everything_written_arrives);
    tcase_add_test(loads, a_byte_order_mark_crlf_and_empty_sections_are_fine);
    tcase_add_test(loads, the_environment_fills_values_and_nothing_else);
    tcase_add_test(loads, unknown_keys_name_the_nearest_known_one);
    tcase_add_test(loads, duplicate_keys_name_both_lines);
    tcase_add_test(loads, what_is_required_must_be_there);
    tcase_add_test(loads, units_stand_in_names_and_are_explained);
    tcase_add_test(loads, numbers_have_bounds);
    tcase_add_test(loads, words_must_be_of_those_known);
    tcase_add_test(loads, migration_names_are_safe_in_every_name_made_of_them);
    tcase_add_test(loads, listen_addresses_are_checked);
    tcase_add_test(loads, table_patterns_are_checked_entry_by_entry);
    tcase_add_test(loads, lists_and_maps_have_bounds);
    tcase_add_test(loads, yaml_beyond_what_is_needed_is_refused);
    tcase_add_test(loads, files_that_are_no_utf8_text_are_refused);
    tcase_add_test(loads, large_files_end_in_time);
    tcase_add_test(loads, what_is_no_file_is_named);
    tcase_add_test(loads, secret_files_are_ours_alone);
    tcase_add_test(loads, secret_files_hold_one_secret);
    tcase_add_test(loads, a_secret_of_another_user_is_refused);
    tcase_add_test(loads, passwords_come_from_the_environment_or_a_file_and_are_moved_out_of_the_dsn);
    tcase_add_test(loads, passwords_written_in_the_file_are_refused);
    tcase_add_test(loads, kafka_secrets_are_secrets_by_their_name);
    tcase_add_test(loads, connection_strings_that_lead_elsewhere_are_refused);
    tcase_add_test(loads, connection_strings_that_cannot_be_read_are_refused_without_showing_them);
    tcase_add_test(loads, an_unverified_connection_to_another_machine_needs_to_be_asked_for);
    tcase_add_test(loads, the_table_is_whole);
    tcase_add_test(loads, the_example_loads_and_shows_the_defaults);
    tcase_add_test(loads, what_is_shown_loads_to_the_same);
    tcase_add_test(loads, every_option_is_documented);
    tcase_add_test(loads, a_file_cut_at_any_byte_never_crashes);
    tcase_add_test(loads, a_file_with_flipped_bits_never_crashes);
    tcase_add_test(loads, a_file_of_shuffled_pieces_never_crashes);
    suite_add_tcase(suite, loads);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
