#include "config/dsn.h"

#include <string.h>

struct scan {
    const char *text;
    size_t at;
    struct sb_arena *arena;
    struct sb_dsn *dsn;
};

static const char no_memory[] = "it is too long";

static const char *param_add(struct scan *in, struct sb_dsn_param param)
{
    if (param.name == NULL || param.value == NULL)
        return no_memory;
    if (in->dsn->count == SB_DSN_PARAMS)
        return "it has too many parameters";
    if (sb_dsn_find(in->dsn, param.name) != NULL)
        return "it gives a parameter twice";
    in->dsn->params[in->dsn->count++] = param;
    return NULL;
}

/* -- "name = value ..." ------------------------------------------------------------------------------------
 */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_blanks(struct scan *in)
{
    while (is_blank(in->text[in->at]))
        in->at++;
}

/* The value at in->at, quoted or not; out has room for the whole text. */
static const char *words_value(struct scan *in, struct sb_dsn_param *param, char *out)
{
    bool quoted = in->text[in->at] == '\'';
    size_t len = 0;
    in->at += quoted;
    param->value_from = in->at;
    for (;; in->at++) {
        char c = in->text[in->at];
        if (c == '\0' && quoted)
            return "a quoted value does not end";
        if (c == '\0' || (quoted ? c == '\'' : is_blank(c)))
            break;
        if (c == '\\' && in->text[in->at + 1] != '\0')
            c = in->text[++in->at];
        out[len++] = c;
    }
    param->value_to = in->at;
    in->at += quoted;
    param->to = in->at;
    out[len] = '\0';
    param->value = out;
    return NULL;
}

static const char *words_parse(struct scan *in)
{
    for (skip_blanks(in); in->text[in->at] != '\0'; skip_blanks(in)) {
        struct sb_dsn_param param = {.from = in->at};
        size_t len = strcspn(in->text + in->at, "= \t\r\n\v\f");
        param.name = sb_arena_str(in->arena, sb_view(in->text + in->at, len));
        in->at += len;
        skip_blanks(in);
        if (in->text[in->at] != '=' || len == 0)
            return "a parameter is not written name=value";
        in->at++;
        skip_blanks(in);
        char *out = sb_arena_alloc(in->arena, strlen(in->text + in->at) + 1);
        const char *why = out == NULL ? no_memory : words_value(in, &param, out);
        if (why == NULL)
            why = param_add(in, param);
        if (why != NULL)
            return why;
    }
    return NULL;
}

/* -- "postgresql://user:password@host:port,host/dbname?name=value&..." --------------------------------------
 */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL if there is no memory or a percent sign is not followed by two digits of a character other than NUL.
 */
static const char *percent_decode(struct scan *in, size_t from, size_t to)
{
    char *out = sb_arena_alloc(in->arena, to - from + 1);
    size_t len = 0;
    for (size_t i = from; out != NULL && i < to; i++) {
        char c = in->text[i];
        if (c == '%') {
            int high = i + 2 < to ? hex_digit(in->text[i + 1]) : -1;
            int low = i + 2 < to ? hex_digit(in->text[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return NULL;
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[len++] = c;
    }
    if (out != NULL)
        out[len] = '\0';
    return out;
}

static const char *uri_add(struct scan *in, const char *name, struct sb_dsn_param param)
{
    param.name = name;
    param.value = percent_decode(in, param.value_from, param.value_to);
    if (name == NULL || param.value == NULL)
        return "a percent sign is not followed by two hexadecimal digits";
    return param_add(in, param);
}

static const char *uri_user(struct scan *in)
{
    size_t end = in->at + strcspn(in->text + in->at, "@/");
    if (in->text[end] != '@')
        return NULL;
    size_t colon = in->at + strcspn(in->text + in->at, ":@");
    struct sb_dsn_param user = {
        .value_from = in->at, .value_to = colon, .from = in->at, .to = colon == end ? end + 1 : colon};
    struct sb_dsn_param password = {
        .value_from = colon == end ? end : colon + 1, .value_to = end, .from = colon, .to = end};
    in->at = end + 1;
    const char *why = user.value_from == user.value_to ? NULL : uri_add(in, "user", user);
    if (why == NULL && password.value_from != password.value_to)
        why = uri_add(in, "password", password);
    return why;
}

/* The hosts without their ports, for those who ask whether they are local. */
static const char *uri_hosts(struct scan *in)
{
    size_t end = in->at + strcspn(in->text + in->at, "/?");
    struct sb_dsn_param param = {.name = "host", .value_from = in->at, .value_to = end};
    param.from = in->at;
    param.to = end;
    const char *encoded = percent_decode(in, in->at, end);
    if (encoded == NULL)
        return "a percent sign is not followed by two hexadecimal digits";
    char *out = sb_arena_alloc(in->arena, end - in->at + 1);
    if (out == NULL)
        return no_memory;
    size_t len = 0;
    for (const char *p = encoded; *p != '\0';) {
        const char *from = p;
        size_t host = strcspn(p, ":,");
        if (*p == '[') {
            from = p + 1;
            host = strcspn(from, "]");
            if (from[host] != ']')
                return "the bracket around an address does not end";
        }
        memcpy(out + len, from, host);
        len += host;
        p = from + host + (*p == '[');
        if (*p == ':')
            p += 1 + strspn(p + 1, "0123456789");
        if (*p != ',' && *p != '\0') /* most often a password with a slash in it */
            return "a port is not a number";
        if (*p == ',')
            out[len++] = *p++;
    }
    out[len] = '\0';
    param.value = out;
    in->at = end;
    return len == 0 ? NULL : param_add(in, param);
}

static const char *uri_query(struct scan *in)
{
    while (in->text[in->at] != '\0') {
        bool first = in->text[in->at] == '?';
        size_t name_from = in->at + 1;
        size_t end = name_from + strcspn(in->text + name_from, "&");
        size_t equal = name_from + strcspn(in->text + name_from, "=&");
        if (in->text[equal] != '=')
            return "a parameter is not written name=value";
        struct sb_dsn_param param = {.value_from = equal + 1, .value_to = end, .from = in->at, .to = end};
        if (first && in->text[end] == '&') { /* its "?" stays for the next one */
            param.from = name_from;
            param.to = end + 1;
        }
        const char *why = uri_add(in, percent_decode(in, name_from, equal), param);
        if (why != NULL)
            return why;
        in->at = end;
    }
    return NULL;
}

static const char *uri_parse(struct scan *in)
{
    const char *why = uri_user(in);
    if (why == NULL)
        why = uri_hosts(in);
    if (why == NULL && in->text[in->at] == '/') {
        size_t end = in->at + strcspn(in->text + in->at, "?");
        struct sb_dsn_param name = {.value_from = in->at + 1, .value_to = end, .from = in->at + 1, .to = end};
        if (name.value_from != name.value_to)
            why = uri_add(in, "dbname", name);
        in->at = end;
    }
    return why != NULL ? why : uri_query(in);
}

/* -------------------------------------------------------------------------------------------------------- */

const char *sb_dsn_parse(const char *text, struct sb_arena *arena, struct sb_dsn *ret_dsn)
{
    static const char *const schemes[] = {"postgresql://", "postgres://"};
    struct scan in = {.text = text, .arena = arena, .dsn = ret_dsn};
    ret_dsn->count = 0;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0) {
            in.at = strlen(schemes[i]);
            return uri_parse(&in);
        }
    }
    return words_parse(&in);
}

const struct sb_dsn_param *sb_dsn_find(const struct sb_dsn *dsn, const char *name)
{
    for (size_t i = 0; i < dsn->count; i++) {
        if (strcmp(dsn->params[i].name, name) == 0)
            return &dsn->params[i];
    }
    return NULL;
}
