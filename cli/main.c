#include "cli/verbs.h"
#include "core/fault.h"
#include "core/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *config_path;

const char *sb_cli_config_path(void)
{
    const char *from_environment = getenv("SWITCHBACK_CONFIG");
    if (config_path != NULL)
        return config_path;
    return from_environment != NULL && from_environment[0] != '\0' ? from_environment : "switchback.yaml";
}

/* What happened, and what to do about it. */
static int complain(const struct sb_err *err)
{
    const struct sb_err_info *info = sb_err_info(err->code);
    fprintf(stderr, "switchback: %s: %s\n", info->id, err->text);
    fprintf(stderr, "  hint: %s\n", err->hint[0] != '\0' ? err->hint : info->remedy);
    return info->exit_code;
}

static void set_up_log(const struct sb_config *config, const char *verb)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    enum sb_log_level least = SB_LOG_INFO;
    for (size_t i = 0; config != NULL && i < sizeof levels / sizeof *levels; i++)
        if (strcmp(config->log.level, levels[i]) == 0)
            least = (enum sb_log_level)i;
    sb_log_init(
        config != NULL && config->log.format == SB_CONFIG_JSON ? SB_LOG_JSON : SB_LOG_LOGFMT, least, verb);
}

static int run_verb(const struct sb_verb *verb, int argc, char **argv, struct sb_err *err)
{
    struct sb_config *config = NULL;
    if (geteuid() == 0 && (verb->flags & SB_VERB_ROOT) == 0) {
        sb_err_set(err, SB_E_INSECURE, "switchback does not run as root");
        return sb_err_hint(err, "Run it as an ordinary user of its own; it needs no rights on this machine.");
    }
    if (sb_fault_init(err) != 0)
        return -1;
    if ((verb->flags & SB_VERB_CONFIG) != 0 && sb_config_load(sb_cli_config_path(), &config, err) != 0)
        return -1;
    set_up_log(config, verb->name);
    optind = 1;
    int code = verb->run(config, argc, argv, err);
    sb_config_free(config);
    return code;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {NULL, 0, NULL, 0}};
    struct sb_err err = {0};
    const char *name = NULL;
    for (int option; (option = getopt_long(argc, argv, "+c:hV", options, NULL)) != -1;) {
        if (option == 'c')
            config_path = optarg;
        else if (option == 'h' || option == 'V')
            name = option == 'h' ? "help" : "version";
        else
            return sb_err_info(SB_E_USAGE)->exit_code; /* getopt has said what is wrong */
    }
    char *only[] = {(char *)(name == NULL ? "help" : name), NULL};
    bool given = name == NULL && optind < argc;
    const struct sb_verb *verb = sb_verb_find(given ? argv[optind] : only[0]);
    if (verb == NULL) {
        sb_err_set(&err, SB_E_USAGE, "there is no verb \"%s\"", argv[optind]);
        return complain(&err);
    }
    int code = run_verb(verb, given ? argc - optind : 1, given ? argv + optind : only, &err);
    if (fflush(stdout) != 0 && code >= 0)
        code = sb_err_errno(&err, SB_E_IO, "could not write to standard output");
    return code >= 0 ? code : complain(&err);
}
