/* The configuration as text: what is in force (YAML, JSON), and the table of options as pages. */
#include "config/config.h"
#include "config/options.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define HIDDEN "***"

static const char *text_of(const struct sb_option *option, const struct sb_config *config)
{
    const char *const *text = sb_option_field(option, config);
    return option->secret && *text != NULL ? HIDDEN : *text;
}

static const char *pair_value(const struct sb_config_pair *pair)
{
    return sb_option_kafka_secret(pair->name) ? HIDDEN : pair->value;
}

/* -- JSON --------------------------------------------------------------------------------------------------
 */

static json_t *json_text(const char *text)
{
    if (text == NULL)
        return json_null();
    json_t *value = json_string(text); /* NULL if it is not UTF-8, which only the environment can bring */
    return value != NULL ? value : json_string("(not UTF-8)");
}

static json_t *json_list(const struct sb_config_list *list)
{
    json_t *items = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(items, json_text(list->items[i]));
    return items;
}

static json_t *json_pairs(const struct sb_config_pairs *pairs)
{
    json_t *items = json_object();
    for (size_t i = 0; i < pairs->count; i++)
        json_object_set_new(items, pairs->items[i].name, json_text(pair_value(&pairs->items[i])));
    return items;
}

static json_t *json_queries(const struct sb_config_pairs *queries)
{
    json_t *items = json_object();
    for (size_t i = 0; i < queries->count; i++)
        json_object_set_new(items, queries->items[i].name, json_text(queries->items[i].value));
    return items;
}

static json_t *json_value(const struct sb_option *option, const struct sb_config *config)
{
    const void *field = sb_option_field(option, config);
    switch (option->type) {
    case SB_OPTION_BOOL:
        return json_boolean(*(const bool *)field);
    case SB_OPTION_NUMBER:
        return json_integer(*(const int64_t *)field);
    case SB_OPTION_CHOICE:
        return json_string(option->choices[*(const int *)field]);
    case SB_OPTION_DSN:
        return json_text(((const struct sb_config_side *)field)->dsn);
    case SB_OPTION_PATTERNS:
    case SB_OPTION_RULES:
        return json_list(field);
    case SB_OPTION_QUERIES:
        return json_queries(field);
    case SB_OPTION_PAIRS:
        return json_pairs(field);
    default:
        return json_text(text_of(option, config));
    }
}

/* "capture.ack" is member "ack" of object "capture". */
static void json_put(json_t *root, const char *path, json_t *value)
{
    const char *dot = strchr(path, '.');
    if (dot == NULL) {
        json_object_set_new(root, path, value);
        return;
    }
    char section[64] = "";
    strncat(section, path, (size_t)(dot - path));
    json_t *object = json_object_get(root, section);
    if (object == NULL) {
        object = json_object();
        json_object_set_new(root, section, object);
    }
    json_object_set_new(object, dot + 1, value);
}

static json_t *json_config(const struct sb_config *config)
{
    json_t *root = json_object();
    for (size_t i = 0; i < sb_options_count; i++)
        json_put(root, sb_options[i].path, json_value(&sb_options[i], config));
    return root;
}

static void json_print(struct sb_buf *out, json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags | JSON_ENCODE_ANY);
    if (text == NULL)
        out->failed = true;
    else
        sb_buf_put_str(out, text);
    free(text);
    json_decref(value);
}

void sb_config_show_json(const struct sb_config *config, struct sb_buf *out)
{
    json_print(out, json_config(config), JSON_INDENT(2));
    sb_buf_put_str(out, "\n");
}

/* -- YAML --------------------------------------------------------------------------------------------------
 */

/* Double-quoted YAML takes JSON's strings, "true", 17, {} and [] as they are. */
static void yaml_put(struct sb_buf *out, const char *indent, const char *name, json_t *value)
{
    sb_buf_putf(out, "%s%s: ", indent, name);
    json_print(out, value, 0);
    sb_buf_put_str(out, "\n");
}

static void yaml_object(struct sb_buf *out, const char *indent, json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (json_is_null(value))
            continue;
        if (json_is_object(value) && json_object_size(value) > 0) {
            sb_buf_putf(out, "%s%s:\n", indent, name);
            yaml_object(out, "  ", value);
        } else {
            yaml_put(out, indent, name, json_incref(value));
        }
    }
}

void sb_config_show(const struct sb_config *config, struct sb_buf *out)
{
    json_t *root = json_config(config);
    yaml_object(out, "", root);
    json_decref(root);
}

/* -- pages -------------------------------------------------------------------------------------------------
 */

/* Is the option in the section? "" is the root, where "kafka" is a section of its own. */
static bool belongs(const struct sb_option *option, const char *section)
{
    size_t len = strlen(section);
    if (len == 0)
        return strchr(option->path, '.') == NULL && option->type != SB_OPTION_PAIRS;
    return strncmp(option->path, section, len) == 0 &&
           (option->path[len] == '.' || option->path[len] == '\0');
}

static const char *unit_words(const struct sb_option *option)
{
    static const char *const words[][2] = {{"ms", "milliseconds"}, {"s", "seconds"}, {"h", "hours"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(words[i][0], option->unit) == 0)
            return words[i][1];
    }
    return option->unit;
}

static void put_choices(struct sb_buf *out, const struct sb_option *option)
{
    for (size_t i = 0; option->choices[i] != NULL; i++)
        sb_buf_putf(out, "%s`%s`",
            i == 0                           ? ""
            : option->choices[i + 1] == NULL ? " or "
                                             : ", ",
            option->choices[i]);
}

static void put_type(struct sb_buf *out, const struct sb_option *option)
{
    switch (option->type) {
    case SB_OPTION_NAME:
        sb_buf_put_str(out, "name");
        break;
    case SB_OPTION_PATH:
    case SB_OPTION_SECRET_FILE:
        sb_buf_put_str(out, "path");
        break;
    case SB_OPTION_DSN:
        sb_buf_put_str(out, "connection string");
        break;
    case SB_OPTION_SECRET:
        sb_buf_put_str(out, "secret");
        break;
    case SB_OPTION_LISTEN:
        sb_buf_put_str(out, "address and port");
        break;
    case SB_OPTION_BOOL:
        sb_buf_put_str(out, "`true` or `false`");
        break;
    case SB_OPTION_NUMBER:
        sb_buf_putf(out, "%s, %" PRId64 " to %" PRId64, unit_words(option), option->min, option->max);
        break;
    case SB_OPTION_CHOICE:
    case SB_OPTION_WORD:
        put_choices(out, option);
        break;
    case SB_OPTION_PATTERNS:
        sb_buf_putf(out, "list of patterns, %" PRId64 " to %" PRId64, option->min, option->max);
        break;
    case SB_OPTION_RULES:
        sb_buf_putf(out, "list of rules, %" PRId64 " to %" PRId64, option->min, option->max);
        break;
    case SB_OPTION_QUERIES:
        sb_buf_putf(out, "names and queries, at most %" PRId64, option->max);
        break;
    case SB_OPTION_PAIRS:
        sb_buf_putf(out, "names and values, at most %" PRId64, option->max);
        break;
    }
}

static void put_default(struct sb_buf *out, const struct sb_option *option)
{
    if (sb_option_is_list(option))
        sb_buf_putf(out, option->value[0] == '\0' ? "[]" : "[\"%s\"]", option->value);
    else
        sb_buf_put_str(out, option->value);
}

static void docs_option(struct sb_buf *out, const struct sb_option *option)
{
    if (option->type != SB_OPTION_PAIRS)
        sb_buf_putf(out, "### %s\n\n", option->path);
    sb_buf_put_str(out, "*");
    put_type(out, option);
    if (option->required)
        sb_buf_put_str(out, "; required");
    if (option->value != NULL) {
        sb_buf_put_str(out, "; default `");
        put_default(out, option);
        sb_buf_put_str(out, "`");
    }
    sb_buf_putf(out, "*\n\n%s\n\n", option->help);
}

static const char docs_head[] =
    "# Configuration\n"
    "\n"
    "<!-- Made by `switchback config docs` from config/options.c; do not edit. -->\n"
    "\n"
    "One YAML file: `-c FILE`, else `$SWITCHBACK_CONFIG`, else `./switchback.yaml`. `switchback config "
    "example` prints "
    "one\nto begin with, `switchback config check` says what is wrong with it, and `switchback config show` "
    "prints "
    "what is in\nforce, secrets hidden.\n"
    "\n"
    "- A key that is not known, and a key written twice, are errors.\n"
    "- Numbers are whole numbers in the unit that the key names; `10s` is an error.\n"
    "- `${NAME}` in a value is replaced by the environment's variable; one that is not set is an error. "
    "`$${` stands\n"
    "  for `${`.\n"
    "- Secrets come from files of mode 0600 or from `${NAME}`, never from this file, and are never shown.\n"
    "- Relative paths are taken from the directory of the configuration file.\n"
    "- Anchors, aliases and tags of YAML are not used. A file has at most 1 MiB.\n"
    "\n"
    "Errors are `SB-CONFIG`, `SB-SECRET-MODE` or `SB-INSECURE`, with file, line and key; see "
    "[ERRORS.md](ERRORS.md).\n"
    "\n";

void sb_config_docs(struct sb_buf *out)
{
    sb_buf_put_str(out, docs_head);
    for (size_t i = 0; i < sb_sections_count; i++) {
        const struct sb_section *section = &sb_sections[i];
        sb_buf_putf(
            out, "## %s\n\n%s\n\n", section->name[0] == '\0' ? "General" : section->name, section->help);
        for (size_t j = 0; j < sb_options_count; j++) {
            if (belongs(&sb_options[j], section->name))
                docs_option(out, &sb_options[j]);
        }
    }
    if (!out->failed && out->len > 0)
        out->ptr[--out->len] = '\0'; /* the empty line at the end */
}

/* A comment, wrapped at word ends, without Markdown's backquotes. */
static void put_comment(struct sb_buf *out, const char *indent, const char *text)
{
    enum { WIDTH = 100 };
    size_t column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " "), shown = 0;
        for (size_t i = 0; i < word; i++)
            shown += text[i] != '`';
        if (column > 0 && column + 1 + shown > WIDTH) {
            sb_buf_put_str(out, "\n");
            column = 0;
        }
        if (column == 0) {
            sb_buf_putf(out, "%s#", indent);
            column = strlen(indent) + 1;
        }
        sb_buf_put_str(out, " ");
        for (size_t i = 0; i < word; i++) {
            if (text[i] != '`')
                sb_buf_put(out, &text[i], 1);
        }
        column += 1 + shown;
        text += word + strspn(text + word, " ");
    }
    sb_buf_put_str(out, "\n");
}

static void example_option(struct sb_buf *out, const struct sb_option *option)
{
    const char *dot = strrchr(option->path, '.');
    const char *indent = dot == NULL && option->type != SB_OPTION_PAIRS ? "" : "  ";
    put_comment(out, indent, option->help);
    if (option->type == SB_OPTION_QUERIES) {
        sb_buf_putf(out, "%s# %s:\n%s#   name: \"SELECT ...\"\n", indent, dot + 1, indent);
        return;
    }
    if (option->type == SB_OPTION_PAIRS) {
        sb_buf_put_str(out, "  # bootstrap.servers: kafka1.example.org:9093,kafka2.example.org:9093\n"
                            "  # security.protocol: sasl_ssl\n"
                            "  # sasl.mechanism: SCRAM-SHA-512\n"
                            "  # sasl.username: switchback\n"
                            "  # sasl.password_file: kafka.password\n");
        return;
    }
    sb_buf_putf(out, "%s%s%s: ", indent, option->required ? "" : "# ", dot == NULL ? option->path : dot + 1);
    if (option->value != NULL)
        put_default(out, option);
    else
        sb_buf_put_str(out, option->example == NULL ? "/var/lib/switchback/shop" : option->example);
    sb_buf_put_str(out, "\n");
}

void sb_config_example(struct sb_buf *out)
{
    sb_buf_put_str(out,
        "# switchback's configuration, made by `switchback config example`. What is commented out shows "
        "the default\n# or an example; docs/CONFIGURATION.md has the rules.\n");
    for (size_t i = 0; i < sb_sections_count; i++) {
        const struct sb_section *section = &sb_sections[i];
        sb_buf_put_str(out, "\n");
        if (section->name[0] != '\0') {
            put_comment(out, "", section->help);
            sb_buf_putf(out, "%s:\n", section->name);
        }
        bool first = true;
        for (size_t j = 0; j < sb_options_count; j++) {
            if (!belongs(&sb_options[j], section->name))
                continue;
            sb_buf_put_str(out, first ? "" : "\n");
            example_option(out, &sb_options[j]);
            first = false;
        }
    }
}
