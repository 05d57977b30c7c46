/* What the way back will need, told before the migration runs. Its source is the new side, its target the old
 * one, so these are the checks of a source and a target with the sides in each other's places. */
#include "setup/checkup.h"

#include <string.h>

struct way {
    const char *id;
    const char *what;
    const char *of; /* the check that looks */
    bool later;     /* not needed for arming, only once ownership has gone to the new side */
};

static const struct way ways[] = {
    {"way_back.wal_level", "the new side writes WAL for logical decoding", "source.wal_level", false},
    {"way_back.slots", "a replication slot is free on the new side", "source.slots", false},
    {"way_back.walsenders", "a walsender is free on the new side", "source.walsenders", false},
    {"way_back.replication", "our role may replicate from the new side", "source.replication", false},
    {"way_back.session", "a replication session with the new side can be opened", "source.session", false},
    {"way_back.create", "our role may make publications on the new side", "source.create", false},
    {"way_back.owner", "our role may publish the new side's tables", "source.owner", false},
    {"way_back.retention", "the new side's slot can keep WAL for long enough", "source.retention", false},
    {"way_back.standbys", "commits of the new side do not wait for us", "source.standbys", false},
    {"way_back.origins", "a replication origin is free on the old side", "target.origins", false},
    {"way_back.origin_rights", "our role may use replication origins on the old side", "target.origin_rights",
        false},
    {"way_back.control", "our role may make the control schema on the old side", "target.create", false},
    {"way_back.replica_role", "our role may apply to the old side without firing triggers",
        "target.replica_role", true},
    {"way_back.rights", "our role may write the old side's tables", "target.rights", true},
};

static const struct sb_check *find(const char *id)
{
    const struct sb_check *const tables[] = {sb_check_source, sb_check_target};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct sb_check *check = tables[i]; check->id != NULL; check++)
            if (strcmp(check->id, id) == 0)
                return check;
    return NULL;
}

static int way_run(struct sb_checkup *back, const struct way *way)
{
    const struct sb_check *of = find(way->of);
    const struct sb_check table[] = {{way->id, way->what, of->needs, of->run}, {.id = NULL}};
    return sb_checkup_table_run(back, table);
}

int sb_checkup_arming(struct sb_checkup *up, bool strict)
{
    struct sb_checkup back = *up;
    if (up->source.conn == NULL || up->target.conn == NULL)
        return 0; /* told already: a side that does not answer is a finding of its own */
    back.direction = SB_REVERSE;
    back.source = up->target;
    back.target = up->source;
    back.source_oids = up->target_oids;
    back.target_oids = up->source_oids;
    back.advisory = !strict;
    sb_wiring_names(up->config, SB_REVERSE, &back.names);
    if (sb_control_read(back.source.conn, SB_SIDE_SOURCE, &back.source.control, up->err) < 0 ||
        sb_control_read(back.target.conn, SB_SIDE_TARGET, &back.target.control, up->err) < 0 ||
        sb_control_capture(back.source.conn, up->config->migration, SB_REVERSE, &back.capture, up->err) < 0 ||
        sb_control_slot(back.source.conn, back.names.slot, &back.slot, up->err) < 0)
        return -1;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (strict && ways[i].later)
            continue;
        if (way_run(&back, &ways[i]) < 0)
            return -1;
    }
    return 0;
}
