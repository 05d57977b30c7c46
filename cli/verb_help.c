#include "cli/verbs.h"

const struct sb_opt sb_opts_help[] = {
    {"markdown", 0, NULL, NULL, "print the page docs/CLI.md"},
    {"man", 0, NULL, NULL, "print the manual page docs/switchback.1"},
    {.name = NULL},
};

static int help(const struct sb_cli *cli, struct sb_buf *out, struct sb_err *err)
{
    bool markdown = sb_opts_flag(cli->opts, "markdown"), man = sb_opts_flag(cli->opts, "man");
    if (markdown + man + (cli->argc == 1) > 1)
        return sb_err_set(err, SB_E_USAGE, "one of a verb, --markdown and --man is expected");
    if (markdown) {
        sb_help_markdown(out);
    } else if (man) {
        sb_help_man(out);
    } else if (cli->argc == 0) {
        sb_help_all(out);
    } else {
        const struct sb_verb *verb = sb_verb_find(cli->argv[0]);
        if (verb == NULL)
            return sb_err_set(err, SB_E_USAGE, "there is no verb \"%.40s\"", cli->argv[0]);
        sb_help_verb(verb, out);
    }
    return 0;
}

int sb_verb_help(const struct sb_cli *cli, struct sb_err *err)
{
    struct sb_buf out;
    sb_buf_init(&out, 1024 * 1024);
    int result = help(cli, &out, err);
    if (result == 0)
        result = sb_cli_print(&out, err);
    sb_buf_clear(&out);
    return result;
}
