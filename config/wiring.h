/*
 * From the configuration to what the foundations take: endpoints, stream options, and the names of everything
 * we make on a server. One place, so that check, prepare, capture, apply and remove cannot disagree. This is
 * the one file of config/ that looks sideways (at the option structs of pg/ and stream/); nothing in pg/ or
 * stream/ looks back.
 *
 * Direction "forward": source is the old side, target the new one; "reverse" swaps them.
 */
#ifndef SB_CONFIG_WIRING_H
#define SB_CONFIG_WIRING_H

#include "config/config.h"
#include "core/log.h"
#include "pg/conn.h"
#include "stream/stream.h"

enum sb_direction { SB_FORWARD, SB_REVERSE };
const char *sb_direction_name(enum sb_direction direction);
bool sb_direction_parse(const char *text, enum sb_direction *ret_direction);

/* Views into config. */
struct sb_endpoint sb_wiring_source(const struct sb_config *config, enum sb_direction direction);
struct sb_endpoint sb_wiring_target(const struct sb_config *config, enum sb_direction direction);

enum { SB_NAME_BYTES = 64, SB_PATH_BYTES = 4096 };
struct sb_names {
    char slot[SB_NAME_BYTES];                /* switchback_<migration>_<direction> */
    char publication[SB_NAME_BYTES];         /* ..._keyed: tables with a replica identity */
    char publication_keyless[SB_NAME_BYTES]; /* ..._keyless: publish = 'insert' */
    char origin[SB_NAME_BYTES];              /* on the target of this direction */
    char origin_side[SB_NAME_BYTES];         /* <origin>_side: of apply's side reader there */
};
void sb_wiring_names(const struct sb_config *config, enum sb_direction direction, struct sb_names *ret_names);
/* Is this an origin of that migration's, of either direction, its side reader or its copy sessions: one of
 * the names that the functions here give, and no other? The loop filter goes by it. */
bool sb_wiring_is_our_origin(const char *migration, struct sb_view name);
/* Of the copy's sessions: <origin>_copy_<n>; 0 for what it writes into the control schema, 1 to copy.jobs for
 * its pipes. */
void sb_wiring_copy_origin(
    const struct sb_config *config, enum sb_direction direction, size_t n, char ret_name[SB_NAME_BYTES]);

/* ret_options points into config and into ret_path (used when stream.path is not set, and for the reverse
 * direction, whose file is stream.path with ".reverse" behind it). */
void sb_wiring_stream(const struct sb_config *config, enum sb_direction direction,
    char ret_path[SB_PATH_BYTES], struct sb_stream_options *ret_options);
void sb_wiring_page_path(const struct sb_config *config, char ret_path[SB_PATH_BYTES]);
/* What the stage `reconcile` says of each table (reconcile/board.h). */
void sb_wiring_board_path(const struct sb_config *config, char ret_path[SB_PATH_BYTES]);
/* What pg_dump wrote of the source's structure; with ".new" behind it while it writes. */
void sb_wiring_schema_path(
    const struct sb_config *config, enum sb_direction direction, char ret_path[SB_PATH_BYTES]);

/* What sb_log_init takes. */
enum sb_log_format sb_wiring_log_format(const struct sb_config *config);
enum sb_log_level sb_wiring_log_level(const struct sb_config *config);

/* Is it a pattern of tables, as pg/ident.h has it? The loader asks here. */
bool sb_wiring_pattern_valid(const char *pattern);

#endif
