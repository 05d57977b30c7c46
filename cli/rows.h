/* Rows of a control schema, as the verbs that show them print them. */
#ifndef SB_CLI_ROWS_H
#define SB_CLI_ROWS_H

#include "config/wiring.h"
#include "pg/conn.h"

#include <jansson.h>

/* One statement on the target of a direction, in a session of its own. */
int sb_cli_query(const struct sb_config *config, enum sb_direction direction, const char *sql, int count,
    const char *const *params, struct sb_rows **ret_rows, struct sb_err *err);
/* Behind those that are in all, as objects (what is JSON already stays it); unless json is wanted they are
 * printed at once, as lines of name and value. */
void sb_cli_add_rows(
    const struct sb_rows *rows, const char *const *names, int columns, json_t *all, bool json);
/* All of them: a JSON array, or the lines. */
int sb_cli_print_rows(
    const struct sb_rows *rows, const char *const *names, int columns, bool json, struct sb_err *err);

#endif
