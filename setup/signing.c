#include "setup/signing.h"

#include "pg/ident.h"

#include <stdio.h>

int sb_signing_read(struct sb_conn *source, struct sb_signing *ret_signing, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *there = NULL, *rows = NULL;
    struct sb_signing signing = {0};
    if (sb_conn_query(source,
            "SELECT c.oid IS NOT NULL, coalesce(pg_catalog.has_table_privilege(c.oid, 'SELECT'), false)"
            " FROM (SELECT pg_catalog.to_regclass('switchback.signing_key')::pg_catalog.oid AS oid) c",
            0, NULL, &there, err) < 0)
        return sb_err_add(err, "looking for the key that messages are signed with");
    signing.there = sb_rows_bool(there, 0, 0);
    signing.may_read = sb_rows_bool(there, 0, 1);
    if (signing.may_read) {
        if (sb_conn_query(source, "SELECT secret FROM switchback.signing_key", 0, NULL, &rows, err) < 0)
            return sb_err_add(err, "reading the key that messages are signed with");
        if (sb_rows_count(rows) > 0)
            snprintf(signing.secret, sizeof signing.secret, "%s", sb_rows_get(rows, 0, 0));
    }
    *ret_signing = signing;
    return 0;
}

int sb_signing_known(struct sb_conn *target, const char *migration, enum sb_direction direction,
    const char *secret, bool *ret_known, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *const params[] = {migration, sb_direction_name(direction), secret};
    if (sb_conn_query(target,
            "SELECT FROM switchback.signature WHERE migration = $1 AND direction = $2 AND secret = $3", 3,
            params, &rows, err) < 0)
        return sb_err_add(err, "reading the control schema");
    *ret_known = sb_rows_count(rows) > 0;
    return 0;
}

void sb_signing_put(
    const char *migration, enum sb_direction direction, const char *secret, struct sb_buf *sql)
{
    sb_buf_putf(sql, "INSERT INTO switchback.signature (migration, direction, secret) VALUES ('%s', '%s', ",
        migration, sb_direction_name(direction));
    sb_literal_put(sql, sb_view_str(secret));
    sb_buf_put_str(sql, ")\nON CONFLICT (migration, direction) DO UPDATE SET secret = excluded.secret;\n");
}
