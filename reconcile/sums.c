#include "reconcile/sums.h"

#include "pg/ident.h"

#include <poll.h>
#include <string.h>

enum { COLUMNS_A_CALL = 90 /* PostgreSQL: FUNC_MAX_ARGS is 100 */, POLL_MS = 100 };

/* format('%L,%L', a, b) || format(...) */
static void put_row(const struct sb_verify_table *table, struct sb_buf *sql)
{
    for (uint16_t from = 0; from < table->column_count; from += COLUMNS_A_CALL) {
        uint16_t to =
            table->column_count - from > COLUMNS_A_CALL ? from + COLUMNS_A_CALL : table->column_count;
        sb_buf_put_str(sql, from == 0 ? "pg_catalog.format('" : " || pg_catalog.format('");
        for (uint16_t i = from; i < to; i++)
            sb_buf_put_str(sql, i == from ? "%L" : ",%L");
        sb_buf_put_str(sql, "'");
        for (uint16_t i = from; i < to; i++) {
            sb_buf_put_str(sql, ", ");
            sb_ident_put(sql, table->columns[i]);
        }
        sb_buf_put_str(sql, ")");
    }
}

void sb_sums_put(const struct sb_verify_table *table, enum sb_side side, const struct sb_key_range *range,
    struct sb_buf *sql)
{
    sb_buf_put_str(sql,
        "SELECT pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtextextended(v COLLATE \"C\", 0)), "
        "pg_catalog.sum(pg_catalog.hashtextextended(v COLLATE \"C\", 1)) FROM (SELECT ");
    put_row(table, sql);
    sb_buf_put_str(sql, " AS v");
    sb_verify_put_from_range(table, side, range, sql);
    sb_buf_put_str(sql, " OFFSET 0) AS row_text"); /* so that each row is printed once */
}

/* -- both sides ------------------------------------------------------------------------------------------ */

static int wait_for(struct sb_conn *conn, struct sb_rows **ret_rows, struct sb_err *err)
{
    int rc;
    while ((rc = sb_conn_poll(conn, ret_rows, err)) == SB_CONN_PENDING) {
        struct pollfd file = {.fd = sb_conn_fd(conn), .events = POLLIN};
        poll(&file, 1, POLL_MS);
    }
    return rc;
}

static bool same(const struct sb_rows *one, const struct sb_rows *other, int col)
{
    const char *left = sb_rows_get(one, 0, col), *right = sb_rows_get(other, 0, col);
    return left == NULL || right == NULL ? left == right : strcmp(left, right) == 0;
}

int sb_sums_compare(struct sb_sides *sides, const char *source_sql, const char *target_sql, bool *ret_equal,
    int64_t *ret_rows, struct sb_err *err)
{
    struct sb_rows *source SB_CLEANUP(sb_rows_freep)
    = NULL;
    struct sb_rows *target SB_CLEANUP(sb_rows_freep)
    = NULL;
    struct sb_conn *conns[] = {sb_sides_conn(sides, SB_SIDE_SOURCE), sb_sides_conn(sides, SB_SIDE_TARGET)};
    if (sb_conn_send(conns[0], source_sql, 0, NULL, err) != 0 ||
        sb_conn_send(conns[1], target_sql, 0, NULL, err) != 0 || wait_for(conns[0], &source, err) != 0 ||
        wait_for(conns[1], &target, err) != 0)
        return -1;
    *ret_equal = same(source, target, 0) && same(source, target, 1) && same(source, target, 2);
    *ret_rows = sb_rows_i64(source, 0, 0);
    return 0;
}
