/*
 * switchback: from the command line to a verb. What every process of ours needs is set here: standard files
 * that are open, a umask that shows nothing to others, no core dumps (they would hold secrets), fault points.
 */
#include "cli/verbs.h"
#include "cli/words.h"
#include "config/wiring.h"
#include "core/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int report(const struct sb_err *err)
{
    const struct sb_err_info *info = sb_err_info(err->code);
    fprintf(stderr, "switchback: %s: ", info->id);
    sb_words_put(stderr, err->text);
    fputs("\n  hint: ", stderr);
    sb_words_put(stderr, err->hint[0] != '\0' ? err->hint : info->remedy);
    fputc('\n', stderr);
    return info->exit_code;
}

/* A missing descriptor 0, 1 or 2 would be given to the next file opened, and a message written into it. */
static void open_standard_files(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static int prepare_process(struct sb_err *err)
{
    open_standard_files();
    umask(077);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return sb_err_errno(err, SB_E_IO, "could not turn core dumps off");
    return sb_fault_init(err);
}

static const char *config_path(const char *global, const char *of_verb)
{
    const char *env = getenv("SWITCHBACK_CONFIG");
    if (of_verb != NULL)
        return of_verb;
    if (global != NULL)
        return global;
    return env != NULL && env[0] != '\0' ? env : "./switchback.yaml";
}

static int print_help(const struct sb_verb *verb, struct sb_err *err)
{
    struct sb_buf out;
    sb_buf_init(&out, 1024 * 1024);
    sb_help_verb(verb, &out);
    int result = sb_cli_print(&out, err);
    sb_buf_clear(&out);
    return result;
}

static int find_sub(struct sb_cli *cli, struct sb_err *err)
{
    const struct sb_verb *verb = cli->verb;
    if (verb->subs == NULL)
        return sb_verb_check_args(verb->args, cli->argc, err);
    const struct sb_sub *sub = cli->argc == 0 ? NULL : sb_verb_sub(verb, cli->argv[0]);
    if (sub == NULL) {
        if (cli->argc == 0)
            sb_err_set(err, SB_E_USAGE, "`%s` does not say what to do", verb->name);
        else
            sb_err_set(err, SB_E_USAGE, "`%s` has no \"%.40s\"", verb->name, cli->argv[0]);
        return sb_err_hint(err, "`switchback help %s` lists what it can do.", verb->name);
    }
    cli->sub = sub->name;
    cli->argc--;
    cli->argv++;
    return sb_verb_check_args(sub->args, cli->argc, err);
}

static int run_verb(struct sb_cli *cli, struct sb_err *err)
{
    struct sb_config *config = NULL;
    if (sb_verb_check_user(cli->verb, geteuid(), err) < 0)
        return -1;
    if ((cli->verb->flags & SB_VERB_CONFIG) != 0 && sb_config_load(cli->config_path, &config, err) < 0)
        return -1;
    cli->config = config;
    if (config != NULL)
        sb_log_init(sb_wiring_log_format(config), sb_wiring_log_level(config), cli->verb->name);
    int result = cli->verb->run(cli, err);
    sb_config_free(config);
    return result;
}

/* argv[0] is the verb. */
static int dispatch(const char *global_config, int argc, char **argv, struct sb_err *err)
{
    const struct sb_verb *verb = sb_verb_find(argv[0]);
    if (verb == NULL) {
        const char *nearest = sb_verb_nearest(argv[0]);
        return nearest == NULL ? sb_err_set(err, SB_E_USAGE, "there is no verb \"%.40s\"", argv[0])
                               : sb_err_set(err, SB_E_USAGE,
                                     "there is no verb \"%.40s\"; did you mean \"%s\"?", argv[0], nearest);
    }
    struct sb_opts opts = {.count = 0};
    char whose[64];
    int rest;
    snprintf(whose, sizeof whose, "switchback %s", verb->name);
    sb_opts_add(&opts, verb->options);
    sb_opts_add(&opts, sb_opts_any_verb);
    if (sb_opts_parse(&opts, whose, argc, argv, false, &rest, err) < 0)
        return -1;
    if (sb_opts_flag(&opts, "help"))
        return print_help(verb, err);
    struct sb_cli cli = {.verb = verb,
        .config_path = config_path(global_config, sb_opts_value(&opts, "config")),
        .argc = argc - rest,
        .argv = argv + rest,
        .opts = &opts,
        .json = sb_opts_flag(&opts, "json"),
        .terminal = isatty(STDOUT_FILENO) == 1};
    if (find_sub(&cli, err) < 0 || sb_opts_check_sub(&opts, cli.sub, err) < 0)
        return -1;
    return run_verb(&cli, err);
}

static int command(int argc, char **argv, struct sb_err *err)
{
    struct sb_opts opts = {.count = 0};
    int rest;
    sb_opts_add(&opts, sb_opts_global);
    if (sb_opts_parse(&opts, "switchback", argc, argv, true, &rest, err) < 0)
        return -1;
    const char *config = sb_opts_value(&opts, "config");
    static char help[] = "help", version[] = "version";
    char *instead[] = {help, NULL};
    if (sb_opts_flag(&opts, "help"))
        return dispatch(config, 1, instead, err);
    instead[0] = version;
    if (sb_opts_flag(&opts, "version"))
        return dispatch(config, 1, instead, err);
    if (rest == argc)
        return sb_err_set(err, SB_E_USAGE, "there is no verb to carry out");
    return dispatch(config, argc - rest, argv + rest, err);
}

int main(int argc, char **argv)
{
    struct sb_err err;
    sb_err_clear(&err);
    int result = prepare_process(&err);
    if (result == 0)
        result = command(argc, argv, &err);
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && result >= 0)
        result = sb_err_errno(&err, SB_E_IO, "could not write to standard output");
    return result < 0 ? report(&err) : result;
}
