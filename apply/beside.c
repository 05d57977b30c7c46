#include "apply/beside.h"

#include "apply/reader.h"
#include "apply/takeover.h"
#include "core/clock.h"
#include "core/fault.h"
#include "pg/origin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TURN_RECORDS = 8192 };

struct sb_beside {
    const struct sb_config *config;
    enum sb_direction direction;
    struct sb_conn *conn;
    struct sb_lane *lane;
    struct sb_reader reader;
    struct sb_record
        next; /* read, and beyond the main lane: its views hold as long as nothing else is read */
    bool has_next;
};

/* -- life ------------------------------------------------------------------------------------------------ */

/* Made at the first use, for most migrations need none. */
static int make_origin(struct sb_beside *side, const char *purpose, struct sb_err *err)
{
    struct sb_names names;
    sb_wiring_names(side->config, side->direction, &names);
    int rc = sb_origin_take(side->conn, names.origin_side, err);
    if (rc == 0)
        sb_origin_give_back(side->conn);
    return rc == SB_ORIGIN_BUSY ? sb_takeover(side->conn, purpose, 0, err) : rc;
}

static int open_all(struct sb_beside *side, struct sb_err *err)
{
    char purpose[64];
    struct sb_endpoint target = sb_wiring_target(side->config, side->direction);
    snprintf(purpose, sizeof purpose, "switchback %.31s side-%s", side->config->migration,
        sb_direction_name(side->direction));
    if (sb_conn_open(&target, purpose, 0, &side->conn, err) != 0 || make_origin(side, purpose, err) != 0)
        return -1;
    if (sb_lane_new(side->config, side->direction, SB_LANE_SIDE, side->conn, &side->lane, err) != 0)
        return strcmp(err->sqlstate, "55006") == 0 ? sb_takeover(side->conn, purpose, 0, err) : -1;
    return sb_reader_open(&side->reader, side->config, side->direction, side->lane, -1, err);
}

int sb_beside_new(const struct sb_config *config, enum sb_direction direction, struct sb_beside **ret_side,
    struct sb_err *err)
{
    struct sb_beside *side = calloc(1, sizeof *side);
    if (side == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the side reader");
    side->config = config;
    side->direction = direction;
    if (open_all(side, err) != 0) {
        sb_beside_free(side);
        return -1;
    }
    *ret_side = side;
    return 0;
}

void sb_beside_free(struct sb_beside *side)
{
    if (side == NULL)
        return;
    sb_lane_free(side->lane);
    sb_reader_close(&side->reader);
    sb_conn_close(side->conn);
    free(side);
}

/* -- reading --------------------------------------------------------------------------------------------- */

/* Commits come in the order of their LSNs; so a record that belongs to one beyond the main lane's is not read
 * on from. What belongs to none (an open, a schema) is of no harm. A survey writes nothing. */
static bool is_beyond(const struct sb_beside *side, const struct sb_progress *main)
{
    const struct sb_frame *frame = &side->next.frame;
    return frame->kind != SB_KIND_OPEN && frame->kind != SB_KIND_SCHEMA &&
           frame->commit_lsn > main->position.commit_lsn && !sb_lane_surveys(side->lane);
}

/* 0: there is a record to be taken. */
static int peek(struct sb_beside *side, const struct sb_progress *main, struct sb_err *err)
{
    if (!side->has_next) {
        int rc = sb_reader_next(&side->reader, &side->next, err);
        if (rc != 0)
            return rc;
        side->has_next = true;
    }
    return is_beyond(side, main) ? SB_STREAM_END : 0;
}

static int read_some(
    struct sb_beside *side, const struct sb_progress *main, bool *ret_more, struct sb_err *err)
{
    for (int n = 0; n < TURN_RECORDS; n++) {
        int rc = peek(side, main, err);
        *ret_more = rc == 0;
        if (rc != 0)
            return rc < 0 ? -1 : 0;
        side->has_next = false;
        if (sb_lane_take(side->lane, &side->next, err) != 0)
            return -1;
        SB_FAULT("apply-side-read");
    }
    return 0;
}

static int turn(
    struct sb_beside *side, const struct sb_progress *main, enum sb_beside_turn *ret_turn, struct sb_err *err)
{
    bool more = false, asked = false;
    if (read_some(side, main, &more, err) != 0)
        return -1;
    if (sb_lane_surveys(side->lane)) {
        if (sb_reader_survey(&side->reader, sb_clock_mono_ms(), &asked, err) != 0)
            return -1;
        *ret_turn = asked ? SB_BESIDE_ASKED : more ? SB_BESIDE_MORE : SB_BESIDE_IDLE;
        return 0;
    }
    if (sb_lane_flush(side->lane, err) != 0)
        return -1;
    bool level = sb_lane_is_still(side->lane) &&
                 sb_progress_same(&sb_lane_progress(side->lane)->position, &main->position);
    *ret_turn = level ? SB_BESIDE_LEVEL : more ? SB_BESIDE_MORE : SB_BESIDE_IDLE;
    return 0;
}

bool sb_beside_is_lost(const struct sb_err *err)
{
    return err->code == SB_E_LOG_GAP || err->code == SB_E_LOG_TRUNCATED;
}

int sb_beside_turn(
    struct sb_beside *side, const struct sb_progress *main, enum sb_beside_turn *ret_turn, struct sb_err *err)
{
    if (turn(side, main, ret_turn, err) == 0)
        return 0;
    return sb_err_add(err, "the side reader, at tables set aside");
}

int sb_beside_pass(struct sb_beside *side, struct sb_err *err)
{
    return sb_lane_pass(side->lane, err);
}
