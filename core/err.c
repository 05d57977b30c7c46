#include "core/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct sb_err_info err_infos[SB_CODE_COUNT] = {
    [SB_OK] = {"SB-OK", SB_CLASS_NONE, 0, "no error", ""},
#define SB_ERR(name, id, class_, exit_, meaning, remedy) [name] = {id, class_, exit_, meaning, remedy},
#include "core/err_table.h"
#undef SB_ERR
};

/* Bounded: what does not fit is cut, a message is for people. */
static void text_append(char *text, size_t cap, const char *more)
{
    size_t used = strlen(text), len = strlen(more);
    size_t take = len < cap - 1 - used ? len : cap - 1 - used;
    memcpy(text + used, more, take);
    text[used + take] = '\0';
}

static void __attribute__((format(printf, 3, 0)))
err_format(struct sb_err *err, enum sb_code code, const char *fmt, va_list args)
{
    char text[SB_ERR_TEXT_BYTES]; /* args may point into err itself */
    vsnprintf(text, sizeof text, fmt, args);
    memset(err, 0, sizeof *err);
    err->code = code;
    memcpy(err->text, text, sizeof err->text);
}

int sb_err_set(struct sb_err *err, enum sb_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    err_format(err, code, fmt, args);
    va_end(args);
    return -1;
}

int sb_err_errno(struct sb_err *err, enum sb_code code, const char *fmt, ...)
{
    int saved = errno;
    va_list args;
    va_start(args, fmt);
    err_format(err, code, fmt, args);
    va_end(args);
    err->os_errno = saved;
    text_append(err->text, sizeof err->text, ": ");
    text_append(err->text, sizeof err->text, strerror(saved));
    return -1;
}

int sb_err_add(struct sb_err *err, const char *fmt, ...)
{
    char text[SB_ERR_TEXT_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    text_append(text, sizeof text, ": ");
    text_append(text, sizeof text, err->text);
    memcpy(err->text, text, sizeof err->text);
    return -1;
}

int sb_err_hint(struct sb_err *err, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->hint, sizeof err->hint, fmt, args);
    va_end(args);
    return -1;
}

void sb_err_clear(struct sb_err *err)
{
    memset(err, 0, sizeof *err);
}

const struct sb_err_info *sb_err_info(enum sb_code code)
{
    if ((unsigned)code >= SB_CODE_COUNT)
        code = SB_E_INTERNAL;
    return &err_infos[code];
}

const struct sb_err_info *sb_err_find(const char *id, enum sb_code *ret_code)
{
    const char *bare = strncasecmp(id, "SB-", 3) == 0 ? id + 3 : id;
    for (int code = SB_OK + 1; code < SB_CODE_COUNT; code++) {
        if (strcasecmp(err_infos[code].id + 3, bare) == 0) {
            if (ret_code != NULL)
                *ret_code = (enum sb_code)code;
            return &err_infos[code];
        }
    }
    return NULL;
}

const char *sb_err_id(const struct sb_err *err)
{
    return sb_err_info(err->code)->id;
}

enum sb_class sb_err_class(const struct sb_err *err)
{
    return sb_err_info(err->code)->klass;
}

const char *sb_class_name(enum sb_class klass)
{
    static const char *const names[] = {"none", "retry", "data", "fatal"};
    return names[klass];
}
