/* switchback config check | show [--json] | docs | example */
#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX_BYTES = 4 * 1024 * 1024 };

static int print(struct sb_buf *text, struct sb_err *err)
{
    int rc =
        text->failed ? sb_err_set(err, SB_E_LIMIT, "the answer has more than %d bytes", TEXT_MAX_BYTES) : 0;
    if (rc == 0)
        fwrite(text->ptr, 1, text->len, stdout);
    sb_buf_clear(text);
    return rc;
}

static int with_file(const char *word, bool json, struct sb_err *err)
{
    struct sb_config *config;
    struct sb_buf text;
    if (sb_config_load(sb_cli_config_path(), &config, err) != 0)
        return -1;
    sb_buf_init(&text, TEXT_MAX_BYTES);
    if (strcmp(word, "check") == 0)
        sb_buf_putf(&text, "%s is valid\n", sb_cli_config_path());
    else if (json)
        sb_config_show_json(config, &text);
    else
        sb_config_show(config, &text);
    sb_config_free(config);
    return print(&text, err);
}

int sb_verb_config(const struct sb_config *config, int argc, char **argv, struct sb_err *err)
{
    const char *word = argc > 1 ? argv[1] : "";
    bool json = argc == 3 && strcmp(argv[2], "--json") == 0;
    struct sb_buf text;
    (void)config;
    if ((strcmp(word, "show") == 0 && (argc == 2 || json)) || (strcmp(word, "check") == 0 && argc == 2))
        return with_file(word, json, err);
    sb_buf_init(&text, TEXT_MAX_BYTES);
    if (strcmp(word, "docs") == 0 && argc == 2)
        sb_config_docs(&text);
    else if (strcmp(word, "example") == 0 && argc == 2)
        sb_config_example(&text);
    else
        return sb_verb_usage("config", err);
    return print(&text, err);
}
