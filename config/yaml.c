#include "config/yaml.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

struct reading {
    const char *file;
    struct sb_arena *arena;
    struct sb_err *err;
    yaml_parser_t parser;
    size_t nodes;
    int depth;
    struct sb_yaml_node *open[SB_YAML_DEPTH]; /* maps and lists around the next node */
    const char *key;                          /* read, its value not yet */
    int key_line;
};

static int line_of(const yaml_mark_t *mark)
{
    return (int)mark->line + 1;
}

/* The keys around the next node, "stream.path"; empty at the root. */
static const char *path_here(const struct reading *in, const char *last, char *out, size_t cap)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i <= in->depth; i++) {
        const char *key = i < in->depth ? in->open[i]->key : last;
        if (key == NULL || used >= cap)
            continue;
        int len = snprintf(out + used, cap - used, "%s%s", used == 0 ? "" : ".", key);
        used += len < 0 ? 0 : (size_t)len;
    }
    return out;
}

static int fail_at(struct reading *in, int line, const char *key, const char *reason)
{
    char path[512];
    path_here(in, key, path, sizeof path);
    return sb_err_set(
        in->err, SB_E_CONFIG, "%s:%d: %s%s%s", in->file, line, path, path[0] == '\0' ? "" : ": ", reason);
}

/* People mean a pattern when they write a bare star. */
static int fail_star(struct reading *in, int line, const char *reason)
{
    fail_at(in, line, in->key, reason);
    return sb_err_hint(in->err, "A value that begins with * must be in quotes: \"*.*\".");
}

static int fail_memory(struct reading *in)
{
    return sb_err_set(in->err, SB_E_NO_MEMORY, "%s: no memory for the configuration", in->file);
}

/* What libyaml says, where it says it. A reader error (encoding) has an offset instead of a line. */
static int fail_parser(struct reading *in, struct sb_view text)
{
    const yaml_parser_t *parser = &in->parser;
    if (parser->error == YAML_MEMORY_ERROR)
        return fail_memory(in);
    int line = line_of(&parser->problem_mark);
    if (parser->error == YAML_READER_ERROR) {
        size_t end = parser->problem_offset < text.len ? parser->problem_offset : text.len;
        line = 1;
        for (size_t i = 0; i < end; i++)
            line += text.ptr[i] == '\n';
    }
    char reason[256];
    snprintf(reason, sizeof reason, "%s%s%s", parser->problem == NULL ? "cannot be read" : parser->problem,
        parser->context == NULL ? "" : " ", parser->context == NULL ? "" : parser->context);
    if (parser->context != NULL && strstr(parser->context, "alias") != NULL)
        return fail_star(in, line, reason);
    fail_at(in, line, in->key, reason);
    if (memchr(text.ptr, '\t', text.len) != NULL)
        sb_err_hint(in->err, "YAML is indented by blanks, never by tabs.");
    return -1;
}

/* -- nodes -------------------------------------------------------------------------------------------------
 */

static struct sb_yaml_node *node_new(struct reading *in, enum sb_yaml_kind kind, int line)
{
    if (++in->nodes > SB_YAML_NODES) {
        char reason[64];
        snprintf(reason, sizeof reason, "more than %d entries in one file", SB_YAML_NODES);
        fail_at(in, line, in->key, reason);
        return NULL;
    }
    struct sb_yaml_node *node = sb_arena_zalloc(in->arena, sizeof *node);
    if (node == NULL) {
        fail_memory(in);
        return NULL;
    }
    node->kind = kind;
    node->line = in->key == NULL ? line : in->key_line;
    node->key = in->key;
    in->key = NULL;
    if (in->depth > 0) {
        struct sb_yaml_node *parent = in->open[in->depth - 1];
        *(parent->last == NULL ? &parent->first : &parent->last->next) = node;
        parent->last = node;
        parent->count++;
    }
    return node;
}

static int read_open(struct reading *in, enum sb_yaml_kind kind, const yaml_event_t *event)
{
    int line = line_of(&event->start_mark);
    if (in->depth == SB_YAML_DEPTH)
        return fail_at(in, line, in->key, "is nested too deeply");
    if (in->depth == 0 && kind != SB_YAML_MAP)
        return fail_at(in, line, NULL, "the file must be a mapping of keys to values, not a list");
    struct sb_yaml_node *node = node_new(in, kind, line);
    if (node == NULL)
        return -1;
    in->open[in->depth++] = node;
    return 0;
}

static int read_key(struct reading *in, const char *text, int line)
{
    for (const struct sb_yaml_node *other = in->open[in->depth - 1]->first; other != NULL;
         other = other->next) {
        if (strcmp(other->key, text) != 0)
            continue;
        char reason[128];
        snprintf(reason, sizeof reason, "is written twice; the first time in line %d", other->line);
        return fail_at(in, line, text, reason);
    }
    in->key = text;
    in->key_line = line;
    return 0;
}

static bool says_nothing(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text[0] == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0);
}

static bool is_key_word(const char *text)
{
    return text[0] != '\0' && strlen(text) <= 128 &&
           text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == '\0';
}

static int read_scalar(struct reading *in, const yaml_event_t *event)
{
    int line = line_of(&event->start_mark);
    size_t len = event->data.scalar.length;
    const char *value = (const char *)event->data.scalar.value;
    if (in->depth == 0) {
        if (!says_nothing(event))
            return fail_at(in, line, NULL, "the file must be a mapping of keys to values");
        return 0; /* nothing but comments and perhaps "---" */
    }
    if (memchr(value, '\0', len) != NULL)
        return fail_at(in, line, in->key, "has a NUL character in it");
    const char *text = sb_arena_str(in->arena, sb_view(value, len));
    if (text == NULL)
        return fail_memory(in);
    if (in->open[in->depth - 1]->kind == SB_YAML_MAP && in->key == NULL) {
        if (!is_key_word(text))
            return fail_at(in, line, NULL, "a key must be a plain word");
        return read_key(in, text, line);
    }
    struct sb_yaml_node *node = node_new(in, SB_YAML_SCALAR, line);
    if (node == NULL)
        return -1;
    node->text = text;
    node->empty = says_nothing(event);
    return 0;
}

static const char no_aliases[] = "anchors (&) and aliases (*) are not used";

/* -- events ------------------------------------------------------------------------------------------------
 */

static int check_plain(
    struct reading *in, const yaml_event_t *event, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor != NULL)
        return fail_at(in, line_of(&event->start_mark), in->key, no_aliases);
    if (tag != NULL)
        return fail_at(in, line_of(&event->start_mark), in->key, "tags (!) are not used");
    return 0;
}

static bool key_expected(const struct reading *in)
{
    return in->depth > 0 && in->open[in->depth - 1]->kind == SB_YAML_MAP && in->key == NULL;
}

static int read_event(struct reading *in, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT: {
        bool map = event->type == YAML_MAPPING_START_EVENT;
        if (check_plain(in, event, map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor,
                map ? event->data.mapping_start.tag : event->data.sequence_start.tag) < 0)
            return -1;
        if (key_expected(in))
            return fail_at(in, line_of(&event->start_mark), NULL, "a key must be a plain word");
        return read_open(in, map ? SB_YAML_MAP : SB_YAML_LIST, event);
    }
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        in->depth--;
        return 0;
    case YAML_SCALAR_EVENT:
        if (check_plain(in, event, event->data.scalar.anchor, event->data.scalar.tag) < 0)
            return -1;
        return read_scalar(in, event);
    case YAML_ALIAS_EVENT:
        return fail_star(in, line_of(&event->start_mark), no_aliases);
    default:
        return 0;
    }
}

static int read_document(struct reading *in, struct sb_view text, struct sb_yaml_node **ret_root)
{
    int documents = 0;
    *ret_root = NULL;
    for (bool more = true; more;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&in->parser, &event))
            return fail_parser(in, text);
        more = event.type != YAML_STREAM_END_EVENT;
        int line = line_of(&event.start_mark);
        bool second = event.type == YAML_DOCUMENT_START_EVENT && ++documents > 1;
        int result = second ? fail_at(in, line, NULL, "a second document begins") : read_event(in, &event);
        yaml_event_delete(&event);
        if (result < 0)
            return -1;
        if (*ret_root == NULL && in->depth == 1)
            *ret_root = in->open[0];
    }
    if (*ret_root == NULL)
        *ret_root = node_new(in, SB_YAML_MAP, 1);
    return *ret_root == NULL ? -1 : 0;
}

int sb_yaml_parse(const char *file, struct sb_view text, struct sb_arena *arena,
    struct sb_yaml_node **ret_root, struct sb_err *err)
{
    struct reading in = {.file = file, .arena = arena, .err = err};
    if (text.len > SB_YAML_BYTES)
        return sb_err_set(err, SB_E_CONFIG, "%s:1: the file is larger than %d bytes", file, SB_YAML_BYTES);
    if (text.len >= 2 && (memcmp(text.ptr, "\xff\xfe", 2) == 0 || memcmp(text.ptr, "\xfe\xff", 2) == 0))
        return fail_at(&in, 1, NULL, "the file is in UTF-16; save it as UTF-8");
    if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0)
        text = sb_view(text.ptr + 3, text.len - 3);
    if (!yaml_parser_initialize(&in.parser))
        return fail_memory(&in);
    yaml_parser_set_encoding(&in.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(
        &in.parser, (const unsigned char *)(text.ptr == NULL ? "" : text.ptr), text.len);
    struct sb_yaml_node *root;
    int result = read_document(&in, text, &root);
    yaml_parser_delete(&in.parser);
    if (result == 0)
        *ret_root = root;
    return result;
}
