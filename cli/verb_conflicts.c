/* switchback conflicts list, poison show|skip: what apply could not simply write. Read from the target's
 * control schema. */
#include "cli/rows.h"
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
    {"limit", 0, "N", NULL, "at most so many; 100 unless given"},
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
    {.name = NULL},
};

int sb_verb_conflicts(const struct sb_cli *cli, struct sb_err *err)
{
    static const char *const names[] = {"id", "found", "kind", "table", "key", "source_row", "target_row",
        "resolution", "commit_lsn", "ordinal", "xid"};
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    int64_t limit = 100;
    char limit_text[24];
    if (sb_opts_number(cli->opts, "limit", 1, 1000000, &limit, err) != 0)
        return -1;
    snprintf(limit_text, sizeof limit_text, "%" PRId64, limit);
    const char *params[] = {cli->config->migration, limit_text};
    if (sb_cli_query(cli->config,
            "SELECT id, found_at, kind, relation, key, source_row, target_row, resolution, commit_lsn, "
            "ordinal, xid FROM "
            "switchback.conflict WHERE migration = $1 ORDER BY id DESC LIMIT $2::bigint",
            2, params, &rows, err) != 0)
        return -1;
    sb_cli_print_rows(rows, names, sizeof names / sizeof *names, cli->json);
    if (!cli->json)
        printf("%d conflict%s\n", sb_rows_count(rows), sb_rows_count(rows) == 1 ? "" : "s");
    return 0;
}

static int poison_show(const struct sb_config *config, bool json, struct sb_err *err)
{
    static const char *const names[] = {"direction", "commit_lsn", "xid", "ordinal", "table", "error",
        "sqlstate", "reason", "found", "skip_by", "skip_reason"};
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    const char *params[] = {config->migration};
    if (sb_cli_query(config,
            "SELECT direction, commit_lsn, xid, ordinal, relation, error_id, sqlstate, reason, found_at, "
            "skip_requested_by, skip_reason "
            "FROM switchback.poison WHERE migration = $1 ORDER BY direction, lane",
            1, params, &rows, err) != 0)
        return -1;
    sb_cli_print_rows(rows, names, sizeof names / sizeof *names, json);
    if (!json && sb_rows_count(rows) == 0)
        printf("no transaction is in the way\n");
    return sb_rows_count(rows) == 0 ? 0 : 1;
}

/* The LSN must be named, so that what is skipped is what the operator has read about. */
static int poison_skip(
    const struct sb_config *config, const char *lsn, const char *reason, struct sb_err *err)
{
    struct sb_rows *rows SB_CLEANUP(sb_rows_freep)
    = NULL;
    uint64_t position;
    const char *user = getenv("USER");
    if (!sb_lsn_parse(lsn, &position))
        return sb_err_set(err, SB_E_USAGE, "\"%s\" is not a position as 16/B374D848", lsn);
    const char *params[] = {config->migration, lsn, user == NULL ? "unknown" : user, reason};
    if (sb_cli_query(config,
            "UPDATE switchback.poison SET skip_requested_by = session_user || ' (' || $3 || ')', skip_reason "
            "= $4 WHERE migration = $1 AND "
            "commit_lsn = $2::pg_lsn RETURNING xid, relation",
            4, params, &rows, err) != 0)
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
    if (strcmp(cli->sub, "show") == 0)
        return poison_show(cli->config, cli->json, err);
    if (lsn == NULL || reason == NULL || reason[0] == '\0')
        return sb_err_set(err, SB_E_USAGE, "`poison skip` needs --lsn and --reason");
    return poison_skip(cli->config, lsn, reason, err);
}
