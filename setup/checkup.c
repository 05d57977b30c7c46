#include "setup/checkup.h"

#include "pg/ident.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int sb_checkup_full(struct sb_checkup *up)
{
    return sb_err_set(up->err, SB_E_LIMIT, "the findings do not fit into the %zu bytes of arena \"%s\"",
        sb_arena_max(up->arena), sb_arena_name(up->arena));
}

__attribute__((format(printf, 2, 0))) static const char *text_keep(
    struct sb_checkup *up, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    char *text = len < 0 ? NULL : sb_arena_alloc(up->arena, (size_t)len + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return text;
}

const char *sb_checkup_text(struct sb_checkup *up, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = text_keep(up, fmt, args);
    va_end(args);
    return text;
}

const char *sb_checkup_ident(struct sb_checkup *up, const char *ident)
{
    struct sb_buf buf;
    sb_buf_init(&buf, 1024);
    sb_ident_put(&buf, sb_view_str(ident));
    const char *text = buf.failed ? NULL : sb_arena_str(up->arena, sb_buf_view(&buf));
    sb_buf_clear(&buf);
    return text;
}

const char *sb_checkup_table(struct sb_checkup *up, struct sb_view schema, struct sb_view name)
{
    struct sb_buf buf;
    sb_buf_init(&buf, 1024);
    sb_ident_put_table(&buf, schema, name);
    const char *text = buf.failed ? NULL : sb_arena_str(up->arena, sb_buf_view(&buf));
    sb_buf_clear(&buf);
    return text;
}

int sb_checkup_tell(struct sb_checkup *up, enum sb_result result, enum sb_code code, const char *statement,
    const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *evidence = text_keep(up, fmt, args);
    va_end(args);
    if (evidence == NULL)
        return sb_checkup_full(up);
    if (up->advisory && result == SB_RESULT_FAIL)
        result = SB_RESULT_WARN;
    up->told = true;
    const struct sb_report_row row = {.id = up->running->id,
        .what = up->running->what,
        .result = result,
        .code = result >= SB_RESULT_WARN ? code : SB_OK,
        .evidence = evidence,
        .statement = statement,
        .mendable = up->mendable};
    return sb_report_add(up->report, &row, up->err);
}

/* An error that belongs to the thing checked becomes a failed row; one of our own ends the checkup. */
int sb_checkup_tell_err(struct sb_checkup *up)
{
    struct sb_err err = *up->err;
    if (err.code == SB_E_LIMIT || err.code == SB_E_NO_MEMORY)
        return -1;
    return sb_checkup_tell(
        up, SB_RESULT_FAIL, err.code, NULL, "%s%s%s", err.text, err.hint[0] == '\0' ? "" : ". ", err.hint);
}

static unsigned have(const struct sb_checkup *up)
{
    return (up->source.conn != NULL ? SB_NEED_SOURCE : 0u) | (up->target.conn != NULL ? SB_NEED_TARGET : 0u) |
           (up->pairs != NULL ? SB_NEED_TABLES : 0u);
}

int sb_checkup_table_run(struct sb_checkup *up, const struct sb_check *checks)
{
    for (; checks->id != NULL; checks++) {
        if ((checks->needs & ~have(up)) != 0)
            continue;
        up->running = checks;
        up->told = false;
        if (checks->run(up) < 0 && sb_checkup_tell_err(up) < 0)
            return -1;
        if (!up->told && sb_checkup_tell(up, SB_RESULT_PASS, SB_OK, NULL, "yes") < 0)
            return -1;
    }
    return 0;
}
