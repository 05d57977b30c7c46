/*
 * Loading: the file is read whole and parsed (config/yaml), each node finds its option (config/options),
 * `${NAME}` is filled in (config/expand), the text becomes a value (config/value, config/dsn, config/secret).
 * Then defaults, what is required, and what two options say together. The first error ends it.
 *
 * All strings live in one arena. Secrets are wiped where they stand, as soon as they are not needed.
 */
#include "config/config.h"

#include "config/dsn.h"
#include "config/expand.h"
#include "config/options.h"
#include "config/secret.h"
#include "config/value.h"
#include "config/wiring.h"
#include "config/yaml.h"
#include "schemas/rule.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    OPTIONS_MAX = 128,
    ARENA_BYTES = 16 * 1024 * 1024,
    PATH_MAX_BYTES = 1024, /* leaves room for the names of files in it, see SB_PATH_BYTES */
    DSN_BYTES = 8192,
};

struct loaded {
    struct sb_config config; /* first: what the caller sees */
    struct sb_arena *arena;
};

struct loading {
    const char *file;
    struct sb_config *config;
    struct sb_arena *arena;   /* of the configuration */
    struct sb_arena *scratch; /* until it is loaded */
    struct sb_err *err;
    int lines[OPTIONS_MAX]; /* where each option is set; 0: it is not */
    struct {
        int line;
        const char *password; /* found in the dsn */
    } sides[2];
};

/* -- errors ------------------------------------------------------------------------------------------------
 */

/* Put file, line and key in front of what a helper said. */
static int fail_add(struct loading *in, int line, const char *key)
{
    return sb_err_add(in->err, "%s:%d: %s", in->file, line, key);
}

static int fail(struct loading *in, int line, const char *key, const char *reason)
{
    sb_err_set(in->err, SB_E_CONFIG, "%s", reason);
    return fail_add(in, line, key);
}

static int fail_memory(struct loading *in)
{
    return sb_err_set(in->err, SB_E_NO_MEMORY, "%s: no memory for the configuration", in->file);
}

static int fail_unknown(struct loading *in, const struct sb_yaml_node *node, const char *path)
{
    const char *nearest = sb_option_nearest(path);
    if (sb_option_find(path) != NULL) { /* "a.b: x" at the root */
        fail(in, node->line, path, "keys are nested and not written with dots");
        const char *dot = strchr(path, '.');
        return sb_err_hint(
            in->err, "Write \"%.*s:\" and indented below it \"%s:\".", (int)(dot - path), path, dot + 1);
    }
    sb_err_set(in->err, SB_E_CONFIG, "is not a known key%s%s%s", nearest == NULL ? "" : "; did you mean \"",
        nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
    return fail_add(in, node->line, path);
}

/* -- values ------------------------------------------------------------------------------------------------
 */

static const char *keep(struct loading *in, const char *text)
{
    const char *copy = sb_arena_str(in->arena, sb_view_str(text));
    if (copy == NULL)
        fail_memory(in);
    return copy;
}

static void *field_of(const struct loading *in, const struct sb_option *option)
{
    return (char *)in->config + option->field;
}

/* NULL with err set. */
static const char *path_resolve(struct loading *in, const char *text)
{
    if (sb_value_check_text(text, PATH_MAX_BYTES, false, in->err) < 0)
        return NULL;
    if (text[0] == '~') {
        sb_err_set(in->err, SB_E_CONFIG, "begins with \"~\", which nobody fills in here");
        sb_err_hint(in->err, "Write the whole path, or ${HOME}/...");
        return NULL;
    }
    const char *slash = strrchr(in->file, '/');
    if (text[0] == '/' || slash == NULL)
        return keep(in, text);
    char path[SB_PATH_BYTES];
    int len = snprintf(path, sizeof path, "%.*s/%s", (int)(slash - in->file), in->file, text);
    if (len < 0 || len > 2 * PATH_MAX_BYTES) {
        sb_err_set(in->err, SB_E_CONFIG, "is longer than %d bytes", 2 * PATH_MAX_BYTES);
        return NULL;
    }
    return keep(in, path);
}

static bool all_from_env(const struct sb_expanded *value, size_t from, size_t to)
{
    return memchr(value->from_env + from, 0, to - from) == NULL;
}

/* Parameters that would go behind our back: settings from elsewhere, and secrets that cannot be moved out. */
static const char *dsn_refusal(const char *name)
{
    static const char *const refused[][2] = {
        {"options", "settings of a session are switchback's own"},
        {"replication", "which sessions replicate is switchback's own"},
        {"service", "a service file would decide where it leads"},
        {"servicefile", "a service file would decide where it leads"},
        {"passfile", "use password_file"},
        {"scram_client_key", "a secret does not belong in this file"},
        {"scram_server_key", "a secret does not belong in this file"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (strcasecmp(refused[i][0], name) == 0)
            return refused[i][1];
    }
    bool secret = strcasestr(name, "pass") != NULL || strcasestr(name, "secret") != NULL;
    return secret && strcmp(name, "password") != 0 ? "a secret does not belong in this file" : NULL;
}

/* Cut the parameter out of the text; returns a copy that is kept. */
static const char *dsn_without(struct loading *in, const char *text, const struct sb_dsn_param *param)
{
    struct sb_buf rest;
    sb_buf_init(&rest, DSN_BYTES);
    sb_buf_put(&rest, text, param->from);
    sb_buf_put_str(&rest, text + param->to);
    const char *kept = rest.failed ? NULL : keep(in, sb_buf_str(&rest));
    if (rest.failed)
        fail_memory(in);
    sb_buf_clear(&rest);
    return kept;
}

static int set_dsn(struct loading *in, const struct sb_option *option, const struct sb_expanded *value)
{
    struct sb_config_side *side = field_of(in, option);
    if (sb_value_check_text(value->text, DSN_BYTES - 1, true, in->err) < 0)
        return -1;
    struct sb_dsn dsn;
    const char *why = sb_dsn_parse(value->text, in->scratch, &dsn);
    if (why != NULL)
        return sb_err_set(in->err, SB_E_CONFIG, "is not a connection string: %s", why);
    for (size_t i = 0; i < dsn.count; i++) {
        why = dsn_refusal(dsn.params[i].name);
        if (why != NULL)
            return sb_err_set(in->err, SB_E_CONFIG, "must not give \"%.40s\": %s", dsn.params[i].name, why);
    }
    const struct sb_dsn_param *password = sb_dsn_find(&dsn, "password");
    if (password == NULL) {
        side->dsn = keep(in, value->text);
        return side->dsn == NULL ? -1 : 0;
    }
    if (password->value_from != password->value_to &&
        !all_from_env(value, password->value_from, password->value_to)) {
        sb_err_set(in->err, SB_E_CONFIG, "holds a password");
        return sb_err_hint(in->err,
            "Put it into a file of mode 0600 and name that in password_file, or write "
            "password: ${NAME} and set NAME in the environment.");
    }
    side->dsn = dsn_without(in, value->text, password);
    const char **ret_password = &in->sides[side == &in->config->target].password;
    if (side->dsn != NULL && password->value[0] != '\0')
        *ret_password = keep(in, password->value);
    sb_secret_wipe(password->value);
    return side->dsn == NULL || (password->value_from != password->value_to && *ret_password == NULL) ? -1
                                                                                                      : 0;
}

static int set_secret(struct loading *in, const struct sb_expanded *value, const char **ret_secret)
{
    if (!value->whole) {
        sb_err_set(in->err, SB_E_CONFIG,
            value->any ? "must come from the environment as a whole"
                       : "a secret does not belong in this file");
        return sb_err_hint(
            in->err, "Write ${NAME} and set NAME in the environment, or name a file of mode 0600.");
    }
    *ret_secret = keep(in, value->text);
    return *ret_secret == NULL ? -1 : 0;
}

static int set_text(struct loading *in, const struct sb_option *option, const char *text, bool shown)
{
    int checked = 0, index = 0;
    if (option->type == SB_OPTION_NAME)
        checked = sb_value_check_name(text, in->err);
    else if (option->type == SB_OPTION_LISTEN)
        checked = sb_value_check_listen(text, in->err);
    else if (option->type == SB_OPTION_WORD)
        checked = sb_value_choice(option, text, shown, &index, in->err);
    const char *kept = checked < 0 ? NULL : keep(in, text);
    if (kept != NULL)
        *(const char **)field_of(in, option) = kept;
    return kept == NULL ? -1 : 0;
}

_Static_assert(sizeof(enum sb_config_store) == sizeof(int), "a choice is stored through an int");

static int set_value(struct loading *in, const struct sb_option *option, const struct sb_expanded *value)
{
    void *field = field_of(in, option);
    bool shown = !value->any;
    switch (option->type) {
    case SB_OPTION_BOOL:
        return sb_value_bool(value->text, shown, field, in->err);
    case SB_OPTION_NUMBER:
        return sb_value_number(option, value->text, shown, field, in->err);
    case SB_OPTION_CHOICE:
        return sb_value_choice(option, value->text, shown, field, in->err);
    case SB_OPTION_DSN:
        return set_dsn(in, option, value);
    case SB_OPTION_SECRET:
        return set_secret(in, value, field);
    case SB_OPTION_PATH:
    case SB_OPTION_SECRET_FILE: {
        const char *path = path_resolve(in, value->text);
        *(const char **)field = path;
        return path == NULL ? -1 : 0;
    }
    default:
        return set_text(in, option, value->text, shown);
    }
}

/* Fill in ${NAME}, then hand the value on; what came from the environment is wiped behind it. */
static int set_node(struct loading *in, const struct sb_option *option, const char *text)
{
    struct sb_expanded value;
    if (sb_expand(text, in->scratch, &value, in->err) < 0)
        return -1;
    int result = set_value(in, option, &value);
    if (value.any)
        explicit_bzero(value.text, value.len);
    return result;
}

static int set_scalar(struct loading *in, const struct sb_option *option, const struct sb_yaml_node *node)
{
    if (node->kind != SB_YAML_SCALAR)
        return fail(in, node->line, option->path, "must be one value");
    if (node->empty) {
        fail(in, node->line, option->path, "has no value");
        return sb_err_hint(in->err, "Leave the key out to get its default.");
    }
    if (set_node(in, option, node->text) < 0)
        return fail_add(in, node->line, option->path);
    return 0;
}

/* -- lists and pairs ---------------------------------------------------------------------------------------
 */

static int check_count(struct loading *in, const struct sb_option *option, const struct sb_yaml_node *node)
{
    if ((int64_t)node->count >= option->min && (int64_t)node->count <= option->max)
        return 0;
    char reason[64];
    snprintf(reason, sizeof reason, "must have from %lld to %lld entries and has %zu", (long long)option->min,
        (long long)option->max, node->count);
    return fail(in, node->line, option->path, reason);
}

static int set_pattern(struct loading *in, const char *text, const char **ret_pattern)
{
    struct sb_expanded value;
    if (sb_expand(text, in->scratch, &value, in->err) < 0)
        return -1;
    if (!sb_wiring_pattern_valid(value.text)) {
        sb_err_set(in->err, SB_E_CONFIG, "%s%.80s%s is not a pattern of schema.table",
            value.any ? "the value from the environment" : "\"", value.any ? "" : value.text,
            value.any ? "" : "\"");
        return sb_err_hint(in->err, "For example \"public.*\", \"app_?.orders\" or '\"Odd.Schema\".\"T\"'.");
    }
    if (sb_value_check_text(value.text, 512, false, in->err) < 0)
        return -1;
    *ret_pattern = keep(in, value.text);
    return *ret_pattern == NULL ? -1 : 0;
}

static int set_rule(struct loading *in, const char *text, const char **ret_text)
{
    struct sb_rule rule;
    *ret_text = keep(in, text);
    return *ret_text == NULL ? -1 : sb_rule_parse(*ret_text, in->scratch, &rule, in->err);
}

static int set_list(struct loading *in, const struct sb_option *option, const struct sb_yaml_node *node)
{
    if (node->kind == SB_YAML_MAP || (node->kind == SB_YAML_SCALAR && !node->empty)) {
        fail(in, node->line, option->path, "must be a list");
        return option->type == SB_OPTION_PATTERNS
                   ? sb_err_hint(in->err, "Write one entry a line, as - \"public.*\", or [\"public.*\"].")
                   : sb_err_hint(
                         in->err, "Write one entry a line, as - \"public.orders total: numeric-scale\".");
    }
    if (check_count(in, option, node) < 0)
        return -1;
    struct sb_config_list list = {
        .items = sb_arena_zalloc(in->arena, (node->count + 1) * sizeof *list.items)};
    if (list.items == NULL)
        return fail_memory(in);
    for (const struct sb_yaml_node *item = node->first; item != NULL; item = item->next) {
        if (item->kind != SB_YAML_SCALAR || item->empty)
            return fail(in, item->line, option->path, "an entry must be one value");
        int rc = option->type == SB_OPTION_PATTERNS ? set_pattern(in, item->text, &list.items[list.count++])
                                                    : set_rule(in, item->text, &list.items[list.count++]);
        if (rc < 0)
            return fail_add(in, item->line, option->path);
    }
    *(struct sb_config_list *)field_of(in, option) = list;
    return 0;
}

/* "sasl.password_file" names a file for "sasl.password". */
static bool kafka_names_file(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, "_file") == 0 && sb_option_kafka_secret(name);
}

static int set_pair(struct loading *in, const struct sb_yaml_node *node, struct sb_config_pair *pair)
{
    struct sb_expanded value;
    if (sb_expand(node->text, in->scratch, &value, in->err) < 0)
        return -1;
    int result = 0;
    pair->name = keep(in, node->key);
    if (pair->name == NULL) {
        result = -1;
    } else if (kafka_names_file(node->key)) {
        pair->name = sb_arena_str(in->arena, sb_view(node->key, strlen(node->key) - 5));
        const char *path = path_resolve(in, value.text);
        result = path == NULL || pair->name == NULL
                     ? -1
                     : sb_secret_read(path, false, in->arena, &pair->value, in->err);
    } else if (sb_option_kafka_secret(node->key)) {
        result = set_secret(in, &value, &pair->value);
    } else {
        pair->value = keep(in, value.text);
        result = pair->value == NULL ? -1 : 0;
    }
    if (value.any)
        explicit_bzero(value.text, value.len);
    return result;
}

static const char *pairs_get(const struct sb_config_pairs *pairs, const char *name)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (strcmp(pairs->items[i].name, name) == 0)
            return pairs->items[i].value;
    }
    return NULL;
}

static int set_pairs(struct loading *in, const struct sb_option *option, const struct sb_yaml_node *node)
{
    if (node->kind == SB_YAML_LIST || (node->kind == SB_YAML_SCALAR && !node->empty))
        return fail(in, node->line, option->path, "must be settings, one a line, as name: value");
    if (check_count(in, option, node) < 0)
        return -1;
    struct sb_config_pairs *pairs = field_of(in, option);
    pairs->items = sb_arena_zalloc(in->arena, (node->count + 1) * sizeof *pairs->items);
    if (pairs->items == NULL)
        return fail_memory(in);
    for (const struct sb_yaml_node *item = node->first; item != NULL; item = item->next) {
        char key[192];
        snprintf(key, sizeof key, "%s.%s", option->path, item->key);
        if (item->kind != SB_YAML_SCALAR) {
            fail(in, item->line, key, "must be one value");
            return sb_err_hint(in->err, "Names are written with dots, as librdkafka does: ssl.ca.location.");
        }
        if (item->empty)
            return fail(in, item->line, key, "has no value");
        struct sb_config_pair pair = {.name = NULL};
        if (set_pair(in, item, &pair) < 0)
            return fail_add(in, item->line, key);
        if (pairs_get(pairs, pair.name) != NULL) {
            sb_secret_wipe(pair.value);
            return fail(in, item->line, key, "is given twice, once as a file");
        }
        pairs->items[pairs->count++] = pair;
    }
    return 0;
}

/* Names and SQL, as they are written. */
static int set_queries(struct loading *in, const struct sb_option *option, const struct sb_yaml_node *node)
{
    struct sb_config_pairs *queries = field_of(in, option);
    if (node->kind == SB_YAML_LIST || (node->kind == SB_YAML_SCALAR && !node->empty)) {
        fail(in, node->line, option->path, "must be names with a query each");
        return sb_err_hint(in->err, "Write one a line: order-totals: \"SELECT sum(total) FROM orders\".");
    }
    if (check_count(in, option, node) < 0)
        return -1;
    queries->items = sb_arena_zalloc(in->arena, (node->count + 1) * sizeof *queries->items);
    if (queries->items == NULL)
        return fail_memory(in);
    for (const struct sb_yaml_node *item = node->first; item != NULL; item = item->next) {
        struct sb_config_pair *query = &queries->items[queries->count++];
        if (item->kind != SB_YAML_SCALAR || item->empty)
            return fail(in, item->line, option->path, "a query must be one text");
        query->name = keep(in, item->key);
        query->value = keep(in, item->text);
        if (query->name == NULL || query->value == NULL)
            return -1;
    }
    return 0;
}

/* -- the tree ----------------------------------------------------------------------------------------------
 */

static int load_option(struct loading *in, const struct sb_option *option, const struct sb_yaml_node *node)
{
    in->lines[option - sb_options] = node->line;
    switch (option->type) {
    case SB_OPTION_PATTERNS:
    case SB_OPTION_RULES:
        return set_list(in, option, node);
    case SB_OPTION_QUERIES:
        return set_queries(in, option, node);
    case SB_OPTION_PAIRS:
        return set_pairs(in, option, node);
    default:
        return set_scalar(in, option, node);
    }
}

static int load_section(struct loading *in, const char *section, const struct sb_yaml_node *map)
{
    for (const struct sb_yaml_node *node = map->first; node != NULL; node = node->next) {
        char path[384];
        snprintf(path, sizeof path, "%s%s%s", section, section[0] == '\0' ? "" : ".", node->key);
        bool dotted = strchr(node->key, '.') != NULL;
        const struct sb_option *option = dotted ? NULL : sb_option_find(path);
        if (option != NULL) {
            if (load_option(in, option, node) < 0)
                return -1;
        } else if (dotted || !sb_option_is_section(path)) {
            return fail_unknown(in, node, path);
        } else if (node->kind == SB_YAML_MAP) {
            if (strcmp(path, "source") == 0 || strcmp(path, "target") == 0)
                in->sides[path[0] == 't'].line = node->line;
            if (load_section(in, path, node) < 0)
                return -1;
        } else if (node->kind == SB_YAML_LIST || !node->empty) {
            return fail(in, node->line, path, "is a section: its keys stand below it, indented");
        }
    }
    return 0;
}

/* -- what is not written ------------------------------------------------------------------------------------
 */

static int default_list(struct loading *in, const struct sb_option *option)
{
    struct sb_config_list list = {.items = sb_arena_zalloc(in->arena, 2 * sizeof *list.items)};
    if (list.items == NULL)
        return fail_memory(in);
    if (option->value[0] != '\0')
        list.items[list.count++] = option->value;
    *(struct sb_config_list *)field_of(in, option) = list;
    return 0;
}

static int default_option(struct loading *in, const struct sb_option *option)
{
    if (option->required) {
        int line = strncmp(option->path, "source.", 7) == 0   ? in->sides[0].line
                   : strncmp(option->path, "target.", 7) == 0 ? in->sides[1].line
                                                              : 0;
        fail(in, line == 0 ? 1 : line, option->path, "is required and missing");
        return sb_err_hint(in->err, "For example %s.", option->example);
    }
    if (option->value == NULL)
        return 0;
    if (sb_option_is_list(option))
        return default_list(in, option);
    return set_node(in, option, option->value);
}

static int default_state_dir(struct loading *in)
{
    char path[128];
    if (in->config->state_dir != NULL)
        return 0;
    snprintf(path, sizeof path, "/var/lib/switchback/%s", in->config->migration);
    in->config->state_dir = keep(in, path);
    return in->config->state_dir == NULL ? -1 : 0;
}

static int load_defaults(struct loading *in)
{
    for (size_t i = 0; i < sb_options_count; i++) {
        if (in->lines[i] == 0 && default_option(in, &sb_options[i]) < 0)
            return -1;
    }
    return default_state_dir(in);
}

/* -- what options say together ------------------------------------------------------------------------------
 */

static int line_of(const struct loading *in, const char *path)
{
    return in->lines[sb_option_find(path) - sb_options];
}

/* One password at most, from one of three places. */
static int finish_password(struct loading *in, int which, struct sb_config_side *side)
{
    char password[32], file[32];
    snprintf(password, sizeof password, "%s.password", which == 0 ? "source" : "target");
    snprintf(file, sizeof file, "%s.password_file", which == 0 ? "source" : "target");
    const char *in_dsn = in->sides[which].password;
    if (side->password != NULL && in_dsn != NULL) {
        sb_secret_wipe(in_dsn);
        return fail(in, line_of(in, password), password, "the dsn gives a password as well");
    }
    if (in_dsn != NULL)
        side->password = in_dsn;
    if (side->password_file == NULL)
        return 0;
    if (side->password != NULL)
        return fail(in, line_of(in, file), file, "a password is given in another way as well");
    if (sb_secret_read(side->password_file, true, in->arena, &side->password, in->err) < 0)
        return fail_add(in, line_of(in, file), file);
    return 0;
}

static bool host_is_local(const char *host)
{
    return host[0] == '\0' || host[0] == '/' || host[0] == '@' || strcmp(host, "localhost") == 0 ||
           strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0;
}

/* pg/conn asks for verify-full where the string is silent; here it must not ask for less. */
static int finish_insecure(struct loading *in, int which, const struct sb_config_side *side)
{
    struct sb_dsn dsn;
    if (in->config->insecure || sb_dsn_parse(side->dsn, in->scratch, &dsn) != NULL)
        return 0;
    const struct sb_dsn_param *host = sb_dsn_find(&dsn, "hostaddr");
    if (host == NULL)
        host = sb_dsn_find(&dsn, "host");
    const struct sb_dsn_param *mode = sb_dsn_find(&dsn, "sslmode");
    const struct sb_dsn_param *jdbc = sb_dsn_find(&dsn, "ssl"); /* libpq reads ssl=true as sslmode=require */
    bool weak = jdbc != NULL || (mode != NULL && strcmp(mode->value, "verify-full") != 0);
    if (host == NULL || host_is_local(host->value) || !weak)
        return 0;
    const char *key = which == 0 ? "source.dsn" : "target.dsn";
    sb_err_set(in->err, SB_E_INSECURE,
        "goes to another machine and its sslmode is not verify-full, so "
        "anybody on the way could be the server");
    sb_err_hint(
        in->err, "Take sslmode out (verify-full is the default), or accept the risk with insecure: true.");
    return fail_add(in, line_of(in, key), key);
}

static int finish_kafka(struct loading *in)
{
    if (in->config->stream.store != SB_CONFIG_KAFKA ||
        pairs_get(&in->config->kafka, "bootstrap.servers") != NULL)
        return 0;
    int line = line_of(in, "kafka");
    fail(in, line != 0 ? line : line_of(in, "stream.store"), "kafka.bootstrap.servers",
        "is required and missing when stream.store is kafka");
    return sb_err_hint(in->err, "For example bootstrap.servers: kafka1.example.org:9093.");
}

static int load_tree(struct loading *in, struct sb_view text)
{
    struct sb_yaml_node *root;
    if (sb_yaml_parse(in->file, text, in->scratch, &root, in->err) < 0 || load_section(in, "", root) < 0 ||
        load_defaults(in) < 0)
        return -1;
    for (int which = 0; which < 2; which++) {
        struct sb_config_side *side = which == 0 ? &in->config->source : &in->config->target;
        if (finish_password(in, which, side) < 0 || finish_insecure(in, which, side) < 0)
            return -1;
    }
    return finish_kafka(in);
}

/* -- the file ----------------------------------------------------------------------------------------------
 */

static int read_fd(int fd, const char *path, struct sb_buf *text, struct sb_err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return sb_err_errno(err, SB_E_CONFIG, "%s: cannot be read", path);
    if (!S_ISREG(st.st_mode))
        return sb_err_set(err, SB_E_CONFIG, "%s: is %s", path,
            S_ISDIR(st.st_mode) ? "a directory, not a file" : "not a regular file");
    for (;;) {
        char bytes[8192];
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return sb_err_errno(err, SB_E_CONFIG, "%s: cannot be read", path);
        if (got == 0)
            return 0;
        sb_buf_put(text, bytes, (size_t)got);
        if (text->failed && text->len + (size_t)got > SB_YAML_BYTES)
            return sb_err_set(err, SB_E_CONFIG, "%s: the file is larger than %d bytes", path, SB_YAML_BYTES);
        if (text->failed)
            return sb_err_set(err, SB_E_NO_MEMORY, "%s: no memory for the configuration", path);
    }
}

static int read_file(const char *path, struct sb_buf *text, struct sb_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        bool missing = errno == ENOENT;
        sb_err_errno(err, SB_E_CONFIG, "%s: cannot be opened", path);
        if (missing)
            sb_err_hint(err,
                "Name the file with -c FILE or in SWITCHBACK_CONFIG; `switchback config example` "
                "prints one to begin with.");
        return -1;
    }
    int result = read_fd(fd, path, text, err);
    close(fd);
    return result;
}

int sb_config_load(const char *path, struct sb_config **ret_config, struct sb_err *err)
{
    struct sb_buf text;
    sb_buf_init(&text, SB_YAML_BYTES);
    if (read_file(path, &text, err) < 0) {
        sb_buf_clear(&text);
        return -1;
    }
    struct loaded *loaded = calloc(1, sizeof *loaded);
    struct loading in = {.file = path, .err = err, .scratch = sb_arena_new("config scratch", ARENA_BYTES)};
    if (loaded != NULL)
        loaded->arena = sb_arena_new("config", ARENA_BYTES);
    int result = -1;
    if (loaded == NULL || loaded->arena == NULL || in.scratch == NULL) {
        fail_memory(&in);
    } else {
        in.config = &loaded->config;
        in.arena = loaded->arena;
        assert(sb_options_count <= OPTIONS_MAX);
        result = load_tree(&in, sb_buf_view(&text));
    }
    for (int which = 0; result < 0 && which < 2; which++)
        sb_secret_wipe(in.sides[which].password);
    sb_arena_free(in.scratch);
    sb_buf_clear(&text);
    if (result == 0)
        *ret_config = &loaded->config;
    else if (loaded != NULL)
        sb_config_free(&loaded->config);
    return result;
}

void sb_config_free(struct sb_config *config)
{
    if (config == NULL)
        return;
    sb_secret_wipe(config->source.password);
    sb_secret_wipe(config->target.password);
    for (size_t i = 0; i < config->kafka.count; i++) {
        if (sb_option_kafka_secret(config->kafka.items[i].name))
            sb_secret_wipe(config->kafka.items[i].value);
    }
    struct loaded *loaded = (struct loaded *)config;
    sb_arena_free(loaded->arena);
    free(loaded);
}
