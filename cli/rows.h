/* Rows of the target's control schema, as the verbs that show them print them. */
#ifndef SB_CLI_ROWS_H
#define SB_CLI_ROWS_H

#include "config/config.h"
#include "pg/conn.h"

/* One statement on the target, in a session of its own. */
int sb_cli_query(const struct sb_config *config, const char *sql, int count, const char *const *params,
    struct sb_rows **ret_rows, struct sb_err *err);
/* As a JSON array of objects (what is JSON already stays it), or as lines of name and value. */
void sb_cli_print_rows(const struct sb_rows *rows, const char *const *names, int columns, bool json);

#endif
