/*
 * The words of `prepare --dry-run` besides its statements: what the preparation and a running migration cost
 * on both servers, and the grants with which roles that are no superusers can do both.
 */
#ifndef SB_SETUP_IMPACT_H
#define SB_SETUP_IMPACT_H

#include "config/wiring.h"

/* Lines of text: locks, slots, origins, WAL, disk, statements of the application that start to fail. */
int sb_impact_put(
    const struct sb_config *config, enum sb_direction direction, struct sb_buf *out, struct sb_err *err);
/* A script for an administrator, a part for each server, for the roles that the configuration names. */
int sb_grants_put(
    const struct sb_config *config, enum sb_direction direction, struct sb_buf *out, struct sb_err *err);

#endif
