#include "cli/verbs.h"

#include <string.h>

const struct sb_sub sb_subs_completion[] = {
    {"bash", "", "for bash: source <(switchback completion bash)"},
    {.name = NULL},
};

static const char script_head[] = "# bash completion for switchback; made by `switchback completion bash`\n"
                                  "_switchback() {\n"
                                  "    local cur=${COMP_WORDS[COMP_CWORD]} verb= words= i\n"
                                  "    case ${COMP_WORDS[COMP_CWORD - 1]} in\n"
                                  "    -c | --config)\n"
                                  "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                                  "        return\n"
                                  "        ;;\n"
                                  "    esac\n"
                                  "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                                  "        case ${COMP_WORDS[i]} in\n"
                                  "        -c | --config) ((i++)) ;;\n"
                                  "        -*) ;;\n"
                                  "        *)\n"
                                  "            verb=${COMP_WORDS[i]}\n"
                                  "            break\n"
                                  "            ;;\n"
                                  "        esac\n"
                                  "    done\n"
                                  "    case $verb in\n";

static const char script_tail[] = "    esac\n"
                                  "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                                  "}\n"
                                  "complete -F _switchback switchback\n";

static void put_options(struct sb_buf *out, const struct sb_opt *table)
{
    for (const struct sb_opt *opt = table; opt != NULL && opt->name != NULL; opt++)
        sb_buf_putf(out, " --%s", opt->name);
}

static void put_verbs(struct sb_buf *out)
{
    for (const struct sb_verb *verb = sb_verbs; verb->name != NULL; verb++)
        sb_buf_putf(out, " %s", verb->name);
}

static void put_ids(struct sb_buf *out)
{
    for (int code = SB_OK + 1; code < SB_CODE_COUNT; code++)
        sb_buf_putf(out, " %s", sb_err_info((enum sb_code)code)->id);
}

static void put_verb(struct sb_buf *out, const struct sb_verb *verb)
{
    sb_buf_putf(out, "    %s) words=\"", verb->name);
    for (const struct sb_sub *sub = verb->subs; sub != NULL && sub->name != NULL; sub++)
        sb_buf_putf(out, " %s", sub->name);
    if (strcmp(verb->args, "[VERB]") == 0)
        put_verbs(out);
    if (strcmp(verb->args, "[ID]") == 0)
        put_ids(out);
    put_options(out, verb->options);
    put_options(out, sb_opts_any_verb);
    sb_buf_put_str(out, "\" ;;\n");
}

int sb_verb_completion(const struct sb_cli *cli, struct sb_err *err)
{
    (void)cli;
    struct sb_buf out;
    sb_buf_init(&out, 1024 * 1024);
    sb_buf_put_str(&out, script_head);
    sb_buf_put_str(&out, "    \"\") words=\"");
    put_verbs(&out);
    put_options(&out, sb_opts_global);
    sb_buf_put_str(&out, "\" ;;\n");
    for (const struct sb_verb *verb = sb_verbs; verb->name != NULL; verb++)
        put_verb(&out, verb);
    sb_buf_put_str(&out, script_tail);
    int result = sb_cli_print(&out, err);
    sb_buf_clear(&out);
    return result;
}
