#include "cli/verbs.h"
#include "config/nearest.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

const struct sb_opt sb_opts_explain[] = {
    {"all", 0, NULL, NULL, "every error"},
    {"json", 0, NULL, NULL, "print JSON"},
    {"markdown", 0, NULL, NULL, "with --all: print the page docs/ERRORS.md"},
    {.name = NULL},
};

static const char *const class_words[] = {
    [SB_CLASS_NONE] = "",
    [SB_CLASS_RETRY] = "passes by itself: it is tried again with back-off, positions are untouched",
    [SB_CLASS_DATA] = "needs a person: the stage stops writing and confirming, stays up and says so",
    [SB_CLASS_FATAL] = "ends the process; start is recovery",
};

static json_t *json_of(const struct sb_err_info *info)
{
    return json_pack("{s:s, s:s, s:i, s:s, s:s}", "id", info->id, "class", sb_class_name(info->klass),
        "exit_code", info->exit_code, "meaning", info->meaning, "remedy", info->remedy);
}

static void put_json(struct sb_buf *out, json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2));
    if (text == NULL)
        out->failed = true;
    else
        sb_buf_putf(out, "%s\n", text);
    free(text);
    json_decref(value);
}

static void put_text(struct sb_buf *out, const struct sb_err_info *info)
{
    sb_buf_putf(out, "%s\n  what:  %s\n  do:    %s\n  class: %s: %s\n  exit:  %d\n", info->id, info->meaning,
        info->remedy, sb_class_name(info->klass), class_words[info->klass], info->exit_code);
}

/* -- the page ----------------------------------------------------------------------------------------------
 */

static const char page_head[] =
    "# Errors\n"
    "\n"
    "<!-- Made by `switchback explain --all --markdown` from core/err_table.h; do not edit. -->\n"
    "\n"
    "Every error has an id that is never renamed and never reused. `switchback explain ID` prints its row.\n"
    "\n";

static void put_page_row(struct sb_buf *out, const struct sb_err_info *info)
{
    sb_buf_putf(out, "\n## %s\n\n*%s; exit code %d*\n\n%c%s.\n\n%s\n", info->id, sb_class_name(info->klass),
        info->exit_code, info->meaning[0] >= 'a' ? info->meaning[0] - 'a' + 'A' : info->meaning[0],
        info->meaning + 1, info->remedy);
}

static void put_page(struct sb_buf *out)
{
    sb_buf_put_str(out, page_head);
    sb_buf_put_str(out, "| class | an error of it |\n|---|---|\n");
    for (int klass = SB_CLASS_RETRY; klass <= SB_CLASS_FATAL; klass++)
        sb_buf_putf(out, "| %s | %s |\n", sb_class_name((enum sb_class)klass), class_words[klass]);
    for (int code = SB_OK + 1; code < SB_CODE_COUNT; code++)
        put_page_row(out, sb_err_info((enum sb_code)code));
}

/* ----------------------------------------------------------------------------------------------------------
 */

static void put_all(struct sb_buf *out, bool json)
{
    json_t *rows = json ? json_array() : NULL;
    for (int code = SB_OK + 1; code < SB_CODE_COUNT; code++) {
        const struct sb_err_info *info = sb_err_info((enum sb_code)code);
        if (json)
            json_array_append_new(rows, json_of(info));
        else
            put_text(out, info);
    }
    if (json)
        put_json(out, rows);
}

static int fail_unknown(const char *id, struct sb_err *err)
{
    char upper[64] = "";
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    strncat(upper, strncasecmp(id, "SB-", 3) == 0 ? id + 3 : id, sizeof upper - 1);
    for (char *c = upper; *c != '\0'; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    for (int code = SB_OK + 1; code < SB_CODE_COUNT; code++) {
        const char *known = sb_err_info((enum sb_code)code)->id;
        size_t distance = sb_nearest_distance(upper, known + 3);
        if (distance <= sb_nearest_limit(upper) && distance < best) {
            best = distance;
            nearest = known;
        }
    }
    if (nearest != NULL)
        sb_err_set(err, SB_E_USAGE, "there is no error \"%.40s\"; did you mean %s?", id, nearest);
    else
        sb_err_set(err, SB_E_USAGE, "there is no error \"%.40s\"", id);
    return sb_err_hint(err, "`switchback explain --all` lists them.");
}

static int explain(const struct sb_cli *cli, struct sb_buf *out, struct sb_err *err)
{
    bool all = sb_opts_flag(cli->opts, "all"), markdown = sb_opts_flag(cli->opts, "markdown");
    if (all == (cli->argc == 1))
        return sb_err_set(err, SB_E_USAGE, "either an id or --all is expected");
    if (markdown && (!all || cli->json))
        return sb_err_set(err, SB_E_USAGE, "--markdown goes with --all and without --json");
    if (markdown) {
        put_page(out);
        return 0;
    }
    if (all) {
        put_all(out, cli->json);
        return 0;
    }
    const struct sb_err_info *info = sb_err_find(cli->argv[0], NULL);
    if (info == NULL)
        return fail_unknown(cli->argv[0], err);
    if (cli->json)
        put_json(out, json_of(info));
    else
        put_text(out, info);
    return 0;
}

int sb_verb_explain(const struct sb_cli *cli, struct sb_err *err)
{
    struct sb_buf out;
    sb_buf_init(&out, 1024 * 1024);
    int result = explain(cli, &out, err);
    if (result == 0)
        result = sb_cli_print(&out, err);
    sb_buf_clear(&out);
    return result;
}
