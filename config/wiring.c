#include "config/wiring.h"

#include "pg/ident.h"

#include <stdio.h>
#include <string.h>

/* Pairs are handed to the stream where they stand. */
_Static_assert(sizeof(struct sb_config_pair) == sizeof(struct sb_kafka_setting) &&
                   offsetof(struct sb_config_pair, name) == offsetof(struct sb_kafka_setting, name) &&
                   offsetof(struct sb_config_pair, value) == offsetof(struct sb_kafka_setting, value),
    "a pair of the configuration is a setting of the stream");

#define PREFIX "switchback_"
#define SIDE   "_side"

static const char *const direction_names[] = {[SB_FORWARD] = "forward", [SB_REVERSE] = "reverse"};

const char *sb_direction_name(enum sb_direction direction)
{
    return direction_names[direction];
}

bool sb_direction_parse(const char *text, enum sb_direction *ret_direction)
{
    for (int direction = SB_FORWARD; direction <= SB_REVERSE; direction++) {
        if (strcmp(text, direction_names[direction]) == 0) {
            *ret_direction = (enum sb_direction)direction;
            return true;
        }
    }
    return false;
}

static struct sb_endpoint endpoint(const struct sb_config_side *config, enum sb_side side)
{
    return (struct sb_endpoint){.side = side, .dsn = config->dsn, .password = config->password};
}

struct sb_endpoint sb_wiring_source(const struct sb_config *config, enum sb_direction direction)
{
    return endpoint(direction == SB_FORWARD ? &config->source : &config->target, SB_SIDE_SOURCE);
}

struct sb_endpoint sb_wiring_target(const struct sb_config *config, enum sb_direction direction)
{
    return endpoint(direction == SB_FORWARD ? &config->target : &config->source, SB_SIDE_TARGET);
}

void sb_wiring_names(const struct sb_config *config, enum sb_direction direction, struct sb_names *ret_names)
{
    const char *migration = config->migration, *name = direction_names[direction];
    snprintf(ret_names->slot, SB_NAME_BYTES, PREFIX "%.31s_%s", migration, name);
    snprintf(ret_names->origin, SB_NAME_BYTES, PREFIX "%.31s_%s", migration, name);
    snprintf(ret_names->origin_side, SB_NAME_BYTES, PREFIX "%.31s_%s" SIDE, migration, name);
    snprintf(ret_names->publication, SB_NAME_BYTES, PREFIX "%.31s_%s_keyed", migration, name);
    snprintf(ret_names->publication_keyless, SB_NAME_BYTES, PREFIX "%.31s_%s_keyless", migration, name);
}

/* Cut prefix off the beginning of name. */
static bool cut(struct sb_view *name, const char *prefix)
{
    size_t len = strlen(prefix);
    if (name->len < len || memcmp(name->ptr, prefix, len) != 0)
        return false;
    *name = (struct sb_view){name->ptr + len, name->len - len};
    return true;
}

/* Exactly the names we give: "shop" must not take what "shop_eu" writes for its own. */
bool sb_wiring_is_our_origin(const char *migration, struct sb_view name)
{
    char ours[SB_NAME_BYTES];
    snprintf(ours, sizeof ours, PREFIX "%.31s_", migration);
    if (!cut(&name, ours) ||
        (!cut(&name, direction_names[SB_FORWARD]) && !cut(&name, direction_names[SB_REVERSE])))
        return false;
    if (name.len == 0 || sb_view_eq_str(name, SIDE))
        return true;
    if (!cut(&name, "_copy_") || name.len == 0)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < '0' || name.ptr[i] > '9')
            return false;
    return true;
}

void sb_wiring_copy_origin(
    const struct sb_config *config, enum sb_direction direction, size_t n, char ret_name[SB_NAME_BYTES])
{
    snprintf(ret_name, SB_NAME_BYTES, PREFIX "%.31s_%s_copy_%zu", config->migration,
        direction_names[direction], n % 1000);
}

/* Of the configuration: paths there are short enough for what is put behind them. */
static const char *stream_path(
    const struct sb_config *config, enum sb_direction direction, char ret_path[SB_PATH_BYTES])
{
    if (config->stream.path == NULL) {
        snprintf(ret_path, SB_PATH_BYTES, "%s/%s.db", config->state_dir, direction_names[direction]);
        return ret_path;
    }
    if (direction == SB_FORWARD)
        return config->stream.path;
    snprintf(ret_path, SB_PATH_BYTES, "%s.%s", config->stream.path, direction_names[direction]);
    return ret_path;
}

void sb_wiring_stream(const struct sb_config *config, enum sb_direction direction,
    char ret_path[SB_PATH_BYTES], struct sb_stream_options *ret_options)
{
    *ret_options = (struct sb_stream_options){
        .store = config->stream.store == SB_CONFIG_KAFKA ? SB_STORE_KAFKA : SB_STORE_EMBEDDED,
        .migration = config->migration,
        .direction = direction_names[direction],
        .path = stream_path(config, direction, ret_path),
        .retention_max_bytes = config->stream.retention_max_bytes,
        .kafka = (const struct sb_kafka_setting *)config->kafka.items,
        .kafka_count = config->kafka.count,
        .queue_max_bytes = config->stream.queue_max_bytes,
    };
}

void sb_wiring_board_path(const struct sb_config *config, char ret_path[SB_PATH_BYTES])
{
    snprintf(ret_path, SB_PATH_BYTES, "%s/reconcile.tables", config->state_dir);
}

void sb_wiring_schema_path(
    const struct sb_config *config, enum sb_direction direction, char ret_path[SB_PATH_BYTES])
{
    snprintf(ret_path, SB_PATH_BYTES, "%s/schema-%s.dump", config->state_dir, sb_direction_name(direction));
}

void sb_wiring_page_path(const struct sb_config *config, char ret_path[SB_PATH_BYTES])
{
    snprintf(ret_path, SB_PATH_BYTES, "%s/metrics.page", config->state_dir);
}

enum sb_log_format sb_wiring_log_format(const struct sb_config *config)
{
    return config->log.format == SB_CONFIG_JSON ? SB_LOG_JSON : SB_LOG_LOGFMT;
}

enum sb_log_level sb_wiring_log_level(const struct sb_config *config)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    int level = SB_LOG_ERROR;
    while (level > SB_LOG_DEBUG && strcmp(names[level], config->log.level) != 0)
        level--;
    return (enum sb_log_level)level;
}

bool sb_wiring_pattern_valid(const char *pattern)
{
    return sb_pattern_valid(pattern);
}
