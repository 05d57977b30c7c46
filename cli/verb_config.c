#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

const struct sb_sub sb_subs_config[] = {
    {"check", "", "say whether the file is in order; nothing is connected to"},
    {"show", "", "print what is in force, with defaults, without secrets"},
    {"docs", "", "print the page on every option, docs/CONFIGURATION.md"},
    {"example", "", "print an annotated file to begin with"},
    {.name = NULL},
};

const struct sb_opt sb_opts_config[] = {
    {"json", 0, NULL, "show", "print JSON"},
    {.name = NULL},
};

static int config_show(const struct sb_cli *cli, struct sb_buf *out, struct sb_err *err)
{
    struct sb_config *config;
    if (sb_config_load(cli->config_path, &config, err) < 0)
        return -1;
    if (strcmp(cli->sub, "check") == 0)
        fprintf(stderr, "%s is in order: migration %s\n", cli->config_path, config->migration);
    else if (cli->json)
        sb_config_show_json(config, out);
    else
        sb_config_show(config, out);
    sb_config_free(config);
    return 0;
}

int sb_verb_config(const struct sb_cli *cli, struct sb_err *err)
{
    struct sb_buf out;
    int result = 0;
    sb_buf_init(&out, 4 * 1024 * 1024);
    if (strcmp(cli->sub, "docs") == 0)
        sb_config_docs(&out);
    else if (strcmp(cli->sub, "example") == 0)
        sb_config_example(&out);
    else
        result = config_show(cli, &out, err);
    if (result == 0)
        result = sb_cli_print(&out, err);
    sb_buf_clear(&out);
    return result;
}
