/* switchback help, version, completion: what this program is. */
#include "cli/verbs.h"

#include <stdio.h>
#include <string.h>

static void list_verbs(void)
{
    printf("switchback %s: move a live PostgreSQL workload, with a way back\n\n", SB_VERSION);
    printf("usage: switchback [-c FILE] VERB [options]\n\n");
    for (size_t i = 0; i < sb_verbs_count; i++)
        printf("  %-11s %s\n", sb_verbs[i].name, sb_verbs[i].help);
    printf("\n-c FILE is the configuration (else $SWITCHBACK_CONFIG, else ./switchback.yaml).\n"
           "Exit code: 0 yes or done, 1 the answer is no, else the error's own; `switchback explain --all` "
           "lists them.\n");
}

int sb_verb_help(const struct sb_config *config, int argc, char **argv, struct sb_err *err)
{
    (void)config;
    if (argc < 2) {
        list_verbs();
        return 0;
    }
    const struct sb_verb *verb = sb_verb_find(argv[1]);
    if (verb == NULL)
        return sb_err_set(err, SB_E_USAGE, "there is no verb \"%s\"", argv[1]);
    printf("usage: switchback [-c FILE] %s %s\n\n%s\n", verb->name, verb->words, verb->help);
    if (verb->more != NULL)
        printf("\n%s\n", verb->more);
    return 0;
}

int sb_verb_version(const struct sb_config *config, int argc, char **argv, struct sb_err *err)
{
    (void)config;
    (void)argc;
    (void)argv;
    (void)err;
    printf("switchback %s\n", SB_VERSION);
    return 0;
}

int sb_verb_completion(const struct sb_config *config, int argc, char **argv, struct sb_err *err)
{
    (void)config;
    if (argc != 2 || strcmp(argv[1], "bash") != 0)
        return sb_verb_usage("completion", err);
    printf("_switchback() {\n    local words=\"");
    for (size_t i = 0; i < sb_verbs_count; i++)
        printf("%s%s", i == 0 ? "" : " ", sb_verbs[i].name);
    printf("\"\n    local word=${COMP_WORDS[COMP_CWORD]} verb=\n    local i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in -c | --config) ((i++)) ;; -*) ;; *) verb=${COMP_WORDS[i]}; "
           "break ;; esac\n"
           "    done\n    case $verb in\n        \"\") ;;\n");
    for (size_t i = 0; i < sb_verbs_count; i++)
        printf("        %s) words=$(tr '[]|' '   ' <<<'%s') ;;\n", sb_verbs[i].name, sb_verbs[i].words);
    printf("    esac\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n}\ncomplete -o "
           "default -F _switchback switchback\n");
    return 0;
}
