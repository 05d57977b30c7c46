/* switchback ddl list|show|approve|skip: what apply has done with DDL of the source, and what it stands at.
 */
#include "cli/rows.h"
#include "cli/stages.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct sb_sub sb_subs_ddl[] = {
    {"list", "", "the newest first; exit code 1 if one is held"},
    {"show", "ID", "all about one: the statement, why it is held, who decided"},
    {"approve", "ID", "apply runs it on the target, at its place in the stream"},
    {"skip", "ID", "apply goes on without it"},
    {.name = NULL},
};
const struct sb_opt sb_opts_ddl[] = {
    {"json", 0, NULL, "list show", "print JSON"},
    {"limit", 0, "N", "list", "at most so many; 100 unless given"},
    {"reason", 0, "TEXT", "approve skip", "recorded with it"},
    {.name = NULL},
};

#define BRIEF                                                                                                \
    "id, state, tag, pg_catalog.to_jsonb(relations), statement, nullif(reason, ''), CASE WHEN "              \
    "breaks_way_back THEN 'yes' END, direction, commit_lsn"

static int list(const struct sb_cli *cli, struct sb_err *err)
{
    static const char *const names[] = {"id", "state", "command", "tables", "statement", "reason",
        "breaks_way_back", "direction", "commit_lsn"};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int64_t limit = 100;
    char limit_text[24];
    if (sb_opts_number(cli->opts, "limit", 1, 1000000, &limit, err) != 0)
        return -1;
    snprintf(limit_text, sizeof limit_text, "%" PRId64, limit);
    const char *params[] = {cli->config->migration, limit_text};
    if (sb_cli_query(cli->config, SB_FORWARD,
            "SELECT " BRIEF " FROM switchback.ddl WHERE migration = $1 ORDER BY id DESC LIMIT $2::bigint", 2,
            params, &rows, err) != 0)
        return -1;
    int held = 0;
    for (int row = 0; row < sb_rows_count(rows); row++)
        held += strcmp(sb_rows_get(rows, row, 1), "held") == 0;
    if (sb_cli_print_rows(rows, names, sizeof names / sizeof *names, cli->json, err) != 0)
        return -1;
    if (!cli->json)
        printf("%d command%s, %d held\n", sb_rows_count(rows), sb_rows_count(rows) == 1 ? "" : "s", held);
    return held > 0;
}

static int unknown(const char *id, struct sb_err *err)
{
    return sb_err_set(err, SB_E_USAGE, "there is no DDL \"%s\"; `switchback ddl list` names them", id);
}

static int show(const struct sb_cli *cli, const char *id, struct sb_err *err)
{
    static const char *const names[] = {"id", "state", "command", "tables", "statement", "reason",
        "breaks_way_back", "direction", "commit_lsn", "ordinal", "xid", "kind", "search_path", "run_by",
        "copied_again", "decided_by", "decision", "decided", "found", "passed"};
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {cli->config->migration, id};
    if (sb_cli_query(cli->config, SB_FORWARD,
            "SELECT " BRIEF
            ", ordinal, xid, kind, pg_catalog.to_jsonb(path), run_by, CASE WHEN copied_again <> "
            "'{}' THEN pg_catalog.to_jsonb(copied_again) END, decided_by, decision, decided_at, found_at, "
            "passed_at FROM switchback.ddl WHERE migration = $1 AND id::text = $2",
            2, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        return unknown(id, err);
    return sb_cli_print_rows(rows, names, sizeof names / sizeof *names, cli->json, err);
}

/* Only what is held can be decided: nothing is decided twice, or behind apply's back. */
static int decide(const struct sb_cli *cli, const char *id, bool approve, struct sb_err *err)
{
    const char *reason = sb_opts_value(cli->opts, "reason"), *user = getenv("USER");
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    const char *params[] = {cli->config->migration, id, approve ? "approved" : "skipped",
        user == NULL ? "unknown" : user, reason};
    if (reason == NULL || reason[0] == '\0')
        return sb_err_set(err, SB_E_USAGE, "`ddl %s` needs --reason", cli->sub);
    if (sb_cli_query(cli->config, SB_FORWARD,
            "UPDATE switchback.ddl SET state = $3, decided_by = session_user || ' (' || $4 || ')', decision "
            "= $5, "
            "decided_at = pg_catalog.now() WHERE migration = $1 AND id::text = $2 AND state = 'held' AND ($3 "
            "= "
            "'skipped' OR statement IS NOT NULL) RETURNING tag, pg_catalog.array_to_string(copied_again, ', "
            "')",
            5, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        return sb_err_set(err, SB_E_USAGE, "there is no held DDL \"%s\"%s; `switchback ddl list` names them",
            id, approve ? " with a statement that could be run" : "");
    printf("%s %s", sb_rows_get(rows, 0, 0), approve ? "will be run on the target" : "is left out");
    if (sb_rows_get(rows, 0, 1)[0] != '\0')
        printf(", and %s copied again", sb_rows_get(rows, 0, 1));
    printf("\n");
    if (sb_cli_wake(cli->config) == 0)
        fprintf(stderr, "no stage is halted here: where apply runs, `switchback resume` goes on\n");
    return 0;
}

int sb_verb_ddl(const struct sb_cli *cli, struct sb_err *err)
{
    if (strcmp(cli->sub, "list") == 0)
        return list(cli, err);
    if (strcmp(cli->sub, "show") == 0)
        return show(cli, cli->argv[0], err);
    return decide(cli, cli->argv[0], strcmp(cli->sub, "approve") == 0, err);
}
