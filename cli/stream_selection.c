#include "cli/stream_selection.h"

#include "core/clock.h"
#include "core/log.h"
#include "pg/ident.h"
#include "stream/tail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int place_offset(const char *text, bool behind, int64_t *ret_offset, struct sb_err *err)
{
    char *end;
    errno = 0;
    long long offset = strtoll(text + 1, &end, 10);
    if (errno != 0 || end == text + 1 || *end != '\0' || offset < 0)
        return sb_err_set(err, SB_E_USAGE, "\"%s\" is not an offset", text);
    *ret_offset = offset + (behind ? 1 : 0);
    return 0;
}

int sb_selection_place(
    struct sb_stream *stream, const char *text, bool behind, int64_t *ret_offset, struct sb_err *err)
{
    uint64_t lsn;
    int64_t wall_us;
    if (text[0] == '@')
        return place_offset(text, behind, ret_offset, err);
    if (sb_lsn_parse(text, &lsn))
        return sb_tail_locate_lsn(stream, lsn + (behind ? 1 : 0), ret_offset, err);
    if (sb_clock_parse(text, &wall_us) == 0)
        return sb_tail_locate_time(stream, wall_us / 1000 + (behind ? 1 : 0), ret_offset, err);
    return sb_err_set(err, SB_E_USAGE,
        "\"%s\" is no place in the stream: say @123 (an offset), 0/153CE88 (an LSN) or \"2026-11-24 "
        "03:27:00\" (UTC)",
        text);
}

/* Length up to the next comma that is none of the value's. */
static size_t key_length(const char *text)
{
    size_t len = 0;
    while (text[len] != '\0' && text[len] != ',')
        len += text[len] == '\\' && text[len + 1] != '\0' ? 2 : 1;
    return len;
}

static int add_key(struct sb_selection *selection, struct sb_view key, struct sb_err *err)
{
    const char *equals = key.len > 0 ? memchr(key.ptr, '=', key.len) : NULL;
    if (!equals || equals == key.ptr)
        return sb_err_set(err, SB_E_USAGE, "\"%.*s\" is not a key: say COLUMN=VALUE", (int)key.len, key.ptr);
    if (selection->key_count == SB_SELECTION_KEYS_MAX)
        return sb_err_set(err, SB_E_USAGE, "a key has at most %d columns", (int)SB_SELECTION_KEYS_MAX);
    size_t name_len = (size_t)(equals - key.ptr);
    selection->keys[selection->key_count].column = sb_view(key.ptr, name_len);
    selection->keys[selection->key_count++].value = sb_view(equals + 1, key.len - name_len - 1);
    return 0;
}

int sb_selection_keys(struct sb_selection *selection, const char *text, struct sb_err *err)
{
    for (;;) {
        size_t len = key_length(text);
        if (add_key(selection, sb_view(text, len), err) != 0)
            return -1;
        if (text[len] == '\0')
            return 0;
        text += len + 1;
    }
}

static bool equals_unescaped(struct sb_view value, struct sb_view escaped)
{
    size_t at = 0;
    for (size_t i = 0; i < escaped.len; i++) {
        if (escaped.ptr[i] == '\\' && i + 1 < escaped.len)
            i++;
        if (at == value.len || value.ptr[at++] != escaped.ptr[i])
            return false;
    }
    return at == value.len;
}

static bool relation_matches(const struct sb_selection *selection, const struct sb_relation *rel)
{
    return !selection->table || sb_pattern_match(selection->table, rel->schema, rel->name);
}

static bool row_has(
    const struct sb_relation *rel, const struct sb_value *row, struct sb_view column, struct sb_view value)
{
    for (uint16_t i = 0; i < rel->col_count; i++)
        if (sb_view_eq(rel->cols[i].name, column))
            return row[i].state == SB_COL_TEXT && equals_unescaped(row[i].text, value);
    return false;
}

static bool row_matches(
    const struct sb_selection *selection, const struct sb_relation *rel, const struct sb_value *row)
{
    if (!row)
        return false;
    for (size_t i = 0; i < selection->key_count; i++)
        if (!row_has(rel, row, selection->keys[i].column, selection->keys[i].value))
            return false;
    return true;
}

static bool change_matches(const struct sb_selection *selection, const struct sb_change *chg)
{
    if (chg->op == SB_OP_TRUNCATE) { /* it touched every key of its tables */
        for (uint16_t i = 0; i < chg->truncated_count; i++)
            if (relation_matches(selection, chg->truncated[i]))
                return true;
        return false;
    }
    return relation_matches(selection, chg->rel) &&
           (selection->key_count == 0 || row_matches(selection, chg->rel, chg->before) ||
               row_matches(selection, chg->rel, chg->after));
}

bool sb_selection_has(const struct sb_selection *selection, const struct sb_walk_record *record)
{
    if (!selection->table && selection->key_count == 0)
        return true;
    if (!record->decoded)
        return false;
    if (record->frame.kind == SB_KIND_SCHEMA)
        return selection->key_count == 0 && relation_matches(selection, record->rel);
    return record->frame.kind == SB_KIND_CHANGE && change_matches(selection, &record->chg);
}
