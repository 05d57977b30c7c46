/* switchback run, capture, apply: the stages, supervised or alone. */
#include "cli/stages.h"
#include "cli/verbs.h"
#include "ops/supervisor.h"

#include <string.h>

static enum sb_log_level least_level(const struct sb_config *config)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(config->log.level, levels[i]) == 0)
            return (enum sb_log_level)i;
    return SB_LOG_INFO;
}

int sb_verb_run(const struct sb_config *config, int argc, char **argv, struct sb_err *err)
{
    (void)argv;
    if (argc > 1)
        return sb_verb_usage("run", err);
    struct sb_stage_spec specs[] = {sb_cli_stage(true, SB_FORWARD), sb_cli_stage(false, SB_FORWARD)};
    enum sb_log_format format = config->log.format == SB_CONFIG_JSON ? SB_LOG_JSON : SB_LOG_LOGFMT;
    return sb_supervise(config, specs, sizeof specs / sizeof *specs, format, least_level(config), err);
}

static int alone(bool capture, const struct sb_config *config, int argc, char **argv, struct sb_err *err)
{
    enum sb_direction direction;
    if (sb_cli_direction(argc, argv, &direction, err) != 0)
        return -1;
    struct sb_stage_spec spec = sb_cli_stage(capture, direction);
    sb_log_init(config->log.format == SB_CONFIG_JSON ? SB_LOG_JSON : SB_LOG_LOGFMT, least_level(config),
        sb_stage_name(spec.stage));
    return sb_stage_alone(&spec, config, err);
}

int sb_verb_capture(const struct sb_config *config, int argc, char **argv, struct sb_err *err)
{
    return alone(true, config, argc, argv, err);
}

int sb_verb_apply(const struct sb_config *config, int argc, char **argv, struct sb_err *err)
{
    return alone(false, config, argc, argv, err);
}
