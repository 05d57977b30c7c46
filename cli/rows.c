#include "cli/rows.h"

#include "config/wiring.h"

#include <jansson.h>
#include <stdio.h>

static int connect_target(const struct sb_config *config, struct sb_conn **ret_conn, struct sb_err *err)
{
    struct sb_endpoint target = sb_wiring_target(config, SB_FORWARD);
    return sb_conn_open(&target, "switchback cli", 0, ret_conn, err);
}

void sb_cli_print_rows(const struct sb_rows *rows, const char *const *names, int columns, bool json)
{
    json_t *all = json_array();
    for (int row = 0; row < sb_rows_count(rows); row++) {
        json_t *object = json_object();
        for (int col = 0; col < columns; col++) {
            const char *value = sb_rows_get(rows, row, col);
            json_t *parsed =
                value != NULL && (value[0] == '{' || value[0] == '[') ? json_loads(value, 0, NULL) : NULL;
            json_object_set_new(object, names[col],
                parsed != NULL  ? parsed
                : value == NULL ? json_null()
                                : json_string(value));
            if (!json && value != NULL)
                printf("%-12s %s\n", names[col], value);
        }
        if (!json)
            printf("\n");
        json_array_append_new(all, object);
    }
    if (json) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        printf("\n");
    }
    json_decref(all);
}

int sb_cli_query(const struct sb_config *config, const char *sql, int count, const char *const *params,
    struct sb_rows **ret_rows, struct sb_err *err)
{
    struct sb_conn *conn;
    if (connect_target(config, &conn, err) != 0)
        return -1;
    int rc = sb_conn_query(conn, sql, count, params, ret_rows, err);
    sb_conn_close(conn);
    return rc;
}
