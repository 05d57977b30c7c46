#include "cli/rows.h"

#include "cli/steps.h"

#include <stdio.h>

void sb_cli_add_rows(
    const struct sb_rows *rows, const char *const *names, int columns, json_t *all, bool json)
{
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
}

int sb_cli_print_rows(
    const struct sb_rows *rows, const char *const *names, int columns, bool json, struct sb_err *err)
{
    json_t *all = json_array();
    sb_cli_add_rows(rows, names, columns, all, json);
    if (json)
        return sb_steps_dump(all, err);
    json_decref(all);
    return 0;
}

int sb_cli_query(const struct sb_config *config, enum sb_direction direction, const char *sql, int count,
    const char *const *params, struct sb_rows **ret_rows, struct sb_err *err)
{
    struct sb_endpoint target = sb_wiring_target(config, direction);
    struct sb_conn *conn;
    if (sb_conn_open(&target, "switchback cli", 0, &conn, err) != 0)
        return -1;
    int rc = sb_conn_query(conn, sql, count, params, ret_rows, err);
    sb_conn_close(conn);
    return rc;
}
