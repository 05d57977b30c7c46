#include "apply/canary.h"

#include <inttypes.h>
#include <stdio.h>

static struct sb_value text(const char *value)
{
    return (struct sb_value){.state = SB_COL_TEXT, .text = sb_view_str(value)};
}

int sb_canary_write(struct sb_writer *writer, const char *migration, const char *direction,
    const struct sb_canary *canary, struct sb_err *err)
{
    static const char sql[] =
        "WITH arrived AS (INSERT INTO switchback.canary AS c (migration, direction, epoch, number, sent_at)"
        " VALUES ($1, $2, $3::bigint, $4::bigint,"
        " 'epoch'::timestamptz + pg_catalog.make_interval(secs => $5::double precision / 1000000))"
        " ON CONFLICT (migration, direction) DO UPDATE SET epoch = excluded.epoch, number = excluded.number,"
        " sent_at = excluded.sent_at, applied_at = pg_catalog.clock_timestamp())"
        " SELECT pg_catalog.pg_logical_emit_message(true, $6::text, $7::text)";
    char number[3][24], content[SB_SIGNAL_BYTES];
    struct sb_signal echo = {.kind = SB_SIGNAL_ECHO,
        .migration = sb_view_str(migration),
        .direction = sb_view_str(direction),
        .epoch = canary->epoch,
        .number = canary->number,
        .sent_us = canary->sent_us};
    if (!sb_signal_write(&echo, content))
        return sb_err_set(err, SB_E_INTERNAL, "the echo of a canary does not fit");
    snprintf(number[0], sizeof number[0], "%" PRId64, (int64_t)canary->epoch);
    snprintf(number[1], sizeof number[1], "%" PRId64, (int64_t)canary->number);
    snprintf(number[2], sizeof number[2], "%" PRId64, canary->sent_us);
    struct sb_value values[] = {text(migration), text(direction), text(number[0]), text(number[1]),
        text(number[2]), text(sb_signal_prefix(echo.kind)), text(content)};
    enum { COUNT = sizeof values / sizeof *values };
    const struct sb_value *params[COUNT];
    int64_t affected;
    for (int i = 0; i < COUNT; i++)
        params[i] = &values[i];
    return sb_writer_one(writer, sb_view_str(sql), params, COUNT, &affected, err) == 0
               ? 0
               : sb_err_add(err, "could not write the canary");
}
