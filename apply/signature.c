#include "apply/signature.h"

#include <stdio.h>

int sb_signature_verify(struct sb_conn *conn, const char *migration, const char *direction,
    struct sb_view signature, struct sb_view content, bool *ret_signed, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *there = NULL, *rows = NULL;
    char digest[80];
    struct sb_buf hex SB_CLEANUP(sb_buf_clear);
    *ret_signed = false;
    if (sb_conn_query(conn, "SELECT pg_catalog.to_regclass('switchback.signature') IS NOT NULL", 0, NULL,
            &there, err) != 0)
        return -1;
    if (!sb_rows_bool(there, 0, 0))
        return 0; /* prepared before there was one */
    sb_buf_init(&hex, 2 * content.len + 8);
    sb_buf_put_str(&hex, "\\x");
    char *room = sb_buf_grow(&hex, 2 * content.len);
    if (room == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a signed message of %zu bytes", content.len);
    sb_hex_encode(content.ptr, content.len, room);
    snprintf(digest, sizeof digest, "%.*s", (int)signature.len, signature.ptr);
    const char *params[] = {migration, direction, sb_buf_str(&hex), digest};
    if (sb_conn_query(conn,
            "SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(secret, 'UTF8') || $3::bytea), "
            "'hex') = pg_catalog.lower($4) FROM switchback.signature WHERE migration = $1 AND direction = $2",
            4, params, &rows, err) != 0)
        return sb_err_add(err, "could not read switchback.signature");
    *ret_signed = sb_rows_count(rows) > 0 && sb_rows_bool(rows, 0, 0);
    return 0;
}
