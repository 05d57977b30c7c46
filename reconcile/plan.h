/*
 * The plan of a compare: every published table, joined with the target's, with its strategy and the reason
 * for it. What cannot be compared is in the plan, too, with the reason: silence is never equality.
 *
 * Asks both servers and waits for the answers.
 */
#ifndef SB_RECONCILE_PLAN_H
#define SB_RECONCILE_PLAN_H

#include "config/wiring.h"
#include "core/map.h"
#include "reconcile/table.h"

struct sb_verify_plan {
    struct sb_verify_table *tables;
    size_t table_count;
    struct sb_rule_use *rules; /* of the configuration, in its order */
    size_t rule_count;
};

struct sb_verify_plan_options {
    const struct sb_names *names;
    const char *pattern; /* of tables (pg/ident.h); NULL: all */
    int64_t chunk_rows;
    const struct sb_config_list *accept; /* rules */
};
/* Everything lives in arena. SB-CONFIG for a rule that its column cannot have. */
int sb_verify_plan_make(struct sb_conn *source, struct sb_conn *target,
    const struct sb_verify_plan_options *options, struct sb_arena *arena, struct sb_verify_plan *ret_plan,
    struct sb_err *err);

#endif
