/* switchback conflicts list, poison show|skip: what apply could not simply write. Read from the target's
 * control schema. */
#include "cli/rows.h"
#include "cli/stages.h"
#include "cli/steps.h"
#include "cli/verbs.h"
#include "core/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct sb_sub sb_subs_conflicts[] = {
    {"list", "", "the newest first"},
    {.name = NULL},
};
const struct sb_opt sb_opts_conflicts[] = {
    {"json", 0, NULL, NULL, "print JSON"},
    {"limit", 0, "N", NULL, "at most so many of a direction; 100 unless given"},
    {"direction", 0, "forward|reverse", NULL, "of this one only; else of both"},
    {.name = NULL},
};

const struct sb_sub sb_subs_poison[] = {
    {"show", "", "the transaction that cannot be applied, and why; exit code 1 if there is one"},
    {"skip", "", "leave it out"},
    {.name = NULL},
};
const struct sb_opt sb_opts_poison[] = {
    {"json", 0, NULL, "show", "print JSON"},
    {"lsn", 0, "LSN", "skip",
        "the commit position that `poison show` names, so that nothing else is left out"},
    {"reason", 0, "TEXT", "skip", "recorded with it"},
    {"direction", 0, "forward|reverse", NULL, "forward unless given"},
    {.name = NULL},
};

/* Where the way back was never armed there is no table on the old side. */
static bool is_not_there(const struct sb_err *err)
{
    return strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0;
}

/* Of one direction, behind those that are there. */
static int list_conflicts(
    const struct sb_cli *cli, enum sb_direction direction, const char *limit, json_t *all, struct sb_err *err)
{
    static const char *const names[] = {"id", "direction", "found", "kind", "op", "table", "key",
        "source_row", "target_row", "resolution", "commit_lsn", "ordinal", "xid"};
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    const char *params[] = {cli->config->migration, limit, sb_direction_name(direction)};
    if (sb_cli_query(cli->config, direction,
            "SELECT id, direction, found_at, kind, op, relation, key, source_row, target_row, resolution, "
            "commit_lsn, ordinal, xid FROM switchback.conflict WHERE migration = $1 AND direction = $3 "
            "ORDER BY id DESC LIMIT $2::bigint",
            3, params, &rows, err) != 0)
        return direction == SB_REVERSE && is_not_there(err) ? 0 : -1;
    sb_cli_add_rows(rows, names, sizeof names / sizeof *names, all, cli->json);
    return 0;
}

int sb_verb_conflicts(const struct sb_cli *cli, struct sb_err *err)
{
    int64_t limit = 100;
    char limit_text[24];
    enum sb_direction only;
    bool one = sb_opts_value(cli->opts, "direction") != NULL, both = !one && cli->config->reverse.enabled;
    if (sb_opts_number(cli->opts, "limit", 1, 1000000, &limit, err) != 0 ||
        sb_cli_direction(cli, &only, err) != 0)
        return -1;
    snprintf(limit_text, sizeof limit_text, "%" PRId64, limit);
    json_t *all = json_array();
    int rc = list_conflicts(cli, only, limit_text, all, err);
    if (rc == 0 && both)
        rc = list_conflicts(cli, SB_REVERSE, limit_text, all, err);
    size_t count = json_array_size(all);
    if (rc == 0 && cli->json)
        rc = sb_steps_dump(json_incref(all), err);
    else if (rc == 0)
        printf("%zu conflict%s\n", count, count == 1 ? "" : "s");
    json_decref(all);
    return rc;
}

static int poison_show(
    const struct sb_config *config, enum sb_direction direction, bool json, struct sb_err *err)
{
    static const char *const names[] = {"direction", "commit_lsn", "xid", "ordinal", "table", "error",
        "sqlstate", "reason", "found", "skip_by", "skip_reason"};
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    const char *params[] = {config->migration, sb_direction_name(direction)};
    if (sb_cli_query(config, direction,
            "SELECT direction, commit_lsn, xid, ordinal, relation, error_id, sqlstate, reason, found_at, "
            "skip_requested_by, skip_reason "
            "FROM switchback.poison WHERE migration = $1 AND direction = $2 ORDER BY lane",
            2, params, &rows, err) != 0)
        return -1;
    int rc = sb_cli_print_rows(rows, names, sizeof names / sizeof *names, json, err);
    if (!json && sb_rows_count(rows) == 0)
        printf("no transaction is in the way\n");
    return rc != 0 ? -1 : sb_rows_count(rows) == 0 ? 0 : 1;
}

/* The LSN must be named, so that what is skipped is what the operator has read about. */
static int poison_skip(const struct sb_config *config, enum sb_direction direction, const char *lsn,
    const char *reason, struct sb_err *err)
{
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    uint64_t position;
    const char *user = getenv("USER");
    if (!sb_lsn_parse(lsn, &position))
        return sb_err_set(err, SB_E_USAGE, "\"%s\" is not a position as 16/B374D848", lsn);
    const char *params[] = {
        config->migration, lsn, user == NULL ? "unknown" : user, reason, sb_direction_name(direction)};
    if (sb_cli_query(config, direction,
            "UPDATE switchback.poison SET skip_requested_by = session_user || ' (' || $3 || ')', skip_reason "
            "= $4 WHERE migration = $1 AND "
            "commit_lsn = $2::pg_lsn AND direction = $5 RETURNING xid, relation",
            5, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        return sb_err_set(err, SB_E_USAGE,
            "apply does not stand at %s; `switchback poison show` says where it stands", lsn);
    printf("transaction %s will be left out whole, and a debt of its keys recorded; `switchback resume` goes "
           "on\n",
        sb_rows_get(rows, 0, 0));
    return 0;
}

int sb_verb_poison(const struct sb_cli *cli, struct sb_err *err)
{
    const char *lsn = sb_opts_value(cli->opts, "lsn"), *reason = sb_opts_value(cli->opts, "reason");
    enum sb_direction direction;
    if (sb_cli_direction(cli, &direction, err) != 0)
        return -1;
    if (strcmp(cli->sub, "show") == 0)
        return poison_show(cli->config, direction, cli->json, err);
    if (lsn == NULL || reason == NULL || reason[0] == '\0')
        return sb_err_set(err, SB_E_USAGE, "`poison skip` needs --lsn and --reason");
    return poison_skip(cli->config, direction, lsn, reason, err);
}
