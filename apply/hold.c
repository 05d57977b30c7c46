#include "apply/hold.h"

#include "pg/catalog.h"

int sb_hold_read(struct sb_conn *conn, const struct sb_config *config, enum sb_direction direction,
    struct sb_hold *ret_hold, struct sb_err *err)
{
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    const char *params[] = {config->migration, sb_direction_name(direction)};
    if (sb_conn_query(conn,
            "SELECT at, held_at IS NOT NULL FROM switchback.apply_hold WHERE migration = $1 AND direction = "
            "$2 "
            "AND wanted_until > pg_catalog.clock_timestamp()",
            2, params, &rows, err) != 0)
        return sb_err_add(err, "could not read switchback.apply_hold");
    *ret_hold = (struct sb_hold){.wanted = sb_rows_count(rows) > 0};
    if (ret_hold->wanted) {
        ret_hold->at = sb_rows_lsn(rows, 0, 0);
        ret_hold->said = sb_rows_bool(rows, 0, 1);
    }
    return 0;
}

int sb_hold_say(struct sb_conn *conn, const struct sb_config *config, enum sb_direction direction,
    uint64_t lsn, struct sb_err *err)
{
    char text[SB_LSN_TEXT_BYTES];
    const char *params[] = {config->migration, sb_direction_name(direction), sb_lsn_text(lsn, text)};
    if (sb_conn_query(conn,
            "UPDATE switchback.apply_hold SET held_at = $3 WHERE migration = $1 AND direction = $2 AND "
            "held_at IS NULL",
            3, params, NULL, err) != 0)
        return sb_err_add(err, "could not write switchback.apply_hold");
    return 0;
}
