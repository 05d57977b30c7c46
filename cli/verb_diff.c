/* switchback diff list|show|export: the differences that `verify` has proven, from the target's control
 * schema. */
#include "cli/rows.h"
#include "cli/stages.h"
#include "cli/steps.h"
#include "cli/verbs.h"
#include "cli/words.h"
#include "pg/ident.h"
#include "reconcile/cluster.h"
#include "reconcile/inspect.h"
#include "schemas/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_OPEN = 4, ARENA_BYTES = 1024 * 1024 * 1024, FETCH_ROWS = 1000, NAME_CHARS = 12 };

const struct sb_sub sb_subs_diff[] = {
    {"list", "", "what differs, by table, kind, columns and fault, with a likely cause"},
    {"show", "ID", "all about one, and the row as both sides have it now"},
    {"export", "", "every one of them, a line each"},
    {.name = NULL},
};
const struct sb_opt sb_opts_diff[] = {
    {"json", 0, NULL, "list show", "print JSON"},
    {"values", 0, NULL, "show", "print the values of the row on both sides, too"},
    {"format", 0, "json|csv|text", "export", "json (a line for each) unless given"},
    {"table", 0, "PATTERN", "list export", "only of these tables: \"public.*\""},
    {"state", 0, "STATE", "list export",
        "open, repairing, held, repaired, gone, all; those that are not closed unless given"},
    {"direction", 0, "forward|reverse", NULL, "forward unless given"},
    {.name = NULL},
};

/* -- which ones ------------------------------------------------------------------------------------------ */

struct choice {
    const struct sb_config *config;
    enum sb_direction direction;
    const char *pattern, *state;
};

/* $1 the migration, $2 the direction, $3 the state. */
#define CHOSEN                                                                                               \
    "d.migration = $1 AND d.direction = $2 AND CASE $3::text WHEN 'all' THEN true WHEN '' THEN d.closed_at " \
    "IS NULL ELSE "                                                                                          \
    "d.state = $3 END"

static int choose(const struct sb_cli *cli, struct choice *ret_choice, struct sb_err *err)
{
    static const char *const states[] = {"open", "repairing", "held", "repaired", "gone", "all", NULL};
    const char *state = sb_opts_value(cli->opts, "state");
    size_t i = 0;
    *ret_choice = (struct choice){.config = cli->config,
        .pattern = sb_opts_value(cli->opts, "table"),
        .state = state == NULL ? "" : state};
    if (ret_choice->pattern != NULL && !sb_pattern_valid(ret_choice->pattern))
        return sb_err_set(err, SB_E_USAGE, "\"%s\" is no pattern of tables", ret_choice->pattern);
    while (state != NULL && states[i] != NULL && strcmp(states[i], state) != 0)
        i++;
    if (state != NULL && states[i] == NULL)
        return sb_err_set(err, SB_E_USAGE, "\"%s\" is no state of a difference", state);
    return sb_cli_direction(cli, &ret_choice->direction, err);
}

/* Schema and name stand in the first two columns. */
static bool is_chosen(const struct choice *choice, const struct sb_rows *rows, int row)
{
    return choice->pattern == NULL ||
           sb_pattern_match(choice->pattern, sb_view_str(sb_rows_get(rows, row, 0)),
               sb_view_str(sb_rows_get(rows, row, 1)));
}

/* -- list ------------------------------------------------------------------------------------------------ */

static json_t *cluster_json(const struct sb_rows *rows, int row, const struct sb_cluster *cluster)
{
    const char *columns = sb_rows_get(rows, row, 3), *example = sb_rows_get(rows, row, 11);
    json_t *column_list = columns == NULL ? json_null() : json_loads(columns, 0, NULL);
    json_t *key = example == NULL ? json_null() : json_loads(example, 0, NULL);
    char table[1024];
    snprintf(table, sizeof table, "%s.%s", sb_rows_get(rows, row, 0), sb_rows_get(rows, row, 1));
    return json_pack("{s:s, s:s, s:o, s:s, s:I, s:I, s:I, s:s, s:s, s:I, s:o, s:s, s:s}", "table", table,
        "kind", cluster->kind, "columns", column_list == NULL ? json_null() : column_list, "fault",
        cluster->fault, "count", (json_int_t)cluster->count, "rows", (json_int_t)sb_rows_i64(rows, row, 6),
        "not_closed", (json_int_t)sb_rows_i64(rows, row, 7), "first_seen", sb_rows_get(rows, row, 8),
        "last_seen", sb_rows_get(rows, row, 9), "example", (json_int_t)sb_rows_i64(rows, row, 10),
        "example_key", key == NULL ? json_null() : key, "evidence", sb_rows_get(rows, row, 12), "cause",
        sb_cluster_cause(cluster));
}

static void cluster_print(const struct sb_rows *rows, int row, const struct sb_cluster *cluster)
{
    const char *columns = sb_rows_get(rows, row, 3), *example = sb_rows_get(rows, row, 11);
    sb_words_put(stdout, sb_rows_get(rows, row, 0));
    printf(".");
    sb_words_put(stdout, sb_rows_get(rows, row, 1));
    printf("  %" PRId64 " %s", cluster->count, cluster->kind);
    if (columns != NULL) {
        printf(" in ");
        sb_words_put(stdout, columns);
    }
    printf(", fault %s, first seen %s, last seen %s\n", cluster->fault, sb_rows_get(rows, row, 8),
        sb_rows_get(rows, row, 9));
    printf("      such as %s", sb_rows_get(rows, row, 10));
    if (example != NULL) {
        printf(": ");
        sb_words_put(stdout, example);
    }
    printf("\n");
    if (sb_rows_get(rows, row, 12)[0] != '\0')
        sb_words_put_lines(stdout, "      evidence: ", sb_rows_get(rows, row, 12));
    if (sb_cluster_cause(cluster)[0] != '\0')
        printf("      likely: %s\n", sb_cluster_cause(cluster));
}

static struct sb_cluster cluster_of(const struct sb_rows *rows, int row)
{
    return (struct sb_cluster){.kind = sb_rows_get(rows, row, 2),
        .fault = sb_rows_get(rows, row, 4),
        .count = sb_rows_i64(rows, row, 5),
        .columns = sb_rows_i64(rows, row, 13),
        .of_kind = sb_rows_i64(rows, row, 14),
        .of_table = sb_rows_i64(rows, row, 15),
        .of_missing = sb_rows_i64(rows, row, 16),
        .of_extra = sb_rows_i64(rows, row, 17)};
}

static int clusters_read(const struct choice *choice, struct sb_rows **rows, struct sb_err *err)
{
    const char *params[] = {choice->config->migration, sb_direction_name(choice->direction), choice->state};
    return sb_cli_query(choice->config, choice->direction,
        "SELECT (pg_catalog.parse_ident(g.relation))[1], (pg_catalog.parse_ident(g.relation))[2], g.kind, "
        "pg_catalog.to_jsonb(g.columns), g.fault, g.count, g.rows, g.not_closed, g.first_seen, g.last_seen, "
        "g.example, e.key_shown, "
        "e.evidence, coalesce(pg_catalog.cardinality(g.columns), 0), pg_catalog.sum(g.count) OVER (PARTITION "
        "BY g.relation, "
        "g.kind), pg_catalog.sum(g.count) OVER t, pg_catalog.sum(CASE g.kind WHEN 'missing' THEN g.count "
        "ELSE 0 END) OVER t, "
        "pg_catalog.sum(CASE g.kind WHEN 'extra' THEN g.count ELSE 0 END) OVER t FROM (SELECT d.relation, "
        "d.kind, d.columns, "
        "d.fault, pg_catalog.count(*) AS count, pg_catalog.sum(d.rows) AS rows, pg_catalog.count(*) FILTER "
        "(WHERE d.closed_at "
        "IS NULL) AS not_closed, pg_catalog.min(d.first_seen_at) AS first_seen, "
        "pg_catalog.max(d.last_seen_at) AS last_seen, "
        "coalesce(pg_catalog.min(d.id) FILTER (WHERE d.evidence <> ''), pg_catalog.min(d.id)) AS example "
        "FROM "
        "switchback.difference d WHERE " CHOSEN " GROUP BY d.relation, d.kind, d.columns, d.fault) g JOIN "
        "switchback.difference e ON e.id = g.example WINDOW t AS (PARTITION BY g.relation) ORDER BY "
        "g.relation, g.kind, g.count "
        "DESC",
        3, params, rows, err);
}

static int list(const struct sb_cli *cli, struct sb_err *err)
{
    struct choice choice;
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    int64_t count = 0, not_closed = 0;
    if (choose(cli, &choice, err) != 0 || clusters_read(&choice, &rows, err) != 0)
        return -1;
    json_t *all = json_array();
    for (int row = 0; row < sb_rows_count(rows); row++) {
        const struct sb_cluster cluster = cluster_of(rows, row);
        if (!is_chosen(&choice, rows, row))
            continue;
        count += cluster.count;
        not_closed += sb_rows_i64(rows, row, 7);
        if (cli->json)
            json_array_append_new(all, cluster_json(rows, row, &cluster));
        else
            cluster_print(rows, row, &cluster);
    }
    int rc = cli->json ? sb_steps_dump(json_incref(all), err) : 0;
    json_decref(all);
    if (!cli->json && count == 0 && !sb_opts_flag(cli->opts, "state"))
        printf("no difference is open; --state all shows those that were\n");
    else if (!cli->json)
        printf(
            "%" PRId64 " difference%s, %" PRId64 " not closed\n", count, count == 1 ? "" : "s", not_closed);
    return rc != 0 ? -1 : not_closed > 0 ? EXIT_OPEN : 0;
}

/* -- what there is to say of one ------------------------------------------------------------------------- */

static const char *const names[] = {"id", "table", "kind", "rows", "key", "key_digest", "columns", "state",
    "fault", "evidence", "by_stream", "source_row", "target_row", "horizon", "applied_lsn", "commit_lsn",
    "xid", "committed", "times", "found_by", "seen_by", "first_seen", "last_seen", "closed",
    "ownership_epoch"};
enum { NAME_COUNT = sizeof names / sizeof names[0] };

#define ALL_OF_IT                                                                                            \
    "(pg_catalog.parse_ident(d.relation))[1], (pg_catalog.parse_ident(d.relation))[2], d.id, "               \
    "pg_catalog.concat_ws('.', (pg_catalog.parse_ident(d.relation))[1], "                                    \
    "(pg_catalog.parse_ident(d.relation))[2]), d.kind, "                                                     \
    "d.rows, d.key_shown, pg_catalog.encode(d.key_digest, 'hex'), pg_catalog.to_jsonb(d.columns), d.state, " \
    "d.fault, "                                                                                              \
    "d.evidence, d.by_stream, pg_catalog.encode(d.source_row, 'hex'), pg_catalog.encode(d.target_row, "      \
    "'hex'), d.horizon, "                                                                                    \
    "d.applied_lsn, d.commit_lsn, d.xid, pg_catalog.to_timestamp(d.commit_us / 1000000.0), d.times, "        \
    "d.found_by, d.seen_by, d.first_seen_at, d.last_seen_at, "                                               \
    "d.closed_at, "                                                                                          \
    "d.ownership_epoch"
enum { FIRST = 2 /* of names; before it schema and name of the table */ };

/* Numbers and truth values as such, JSON as it is. */
static json_t *value_json(const char *name, const char *text)
{
    static const char *const numbers[] = {
        "id", "rows", "xid", "times", "found_by", "seen_by", "ownership_epoch"};
    if (text == NULL)
        return json_null();
    if (strcmp(name, "by_stream") == 0)
        return json_boolean(text[0] == 't');
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(numbers[i], name) == 0)
            return json_loads(text, JSON_DECODE_ANY, NULL);
    json_t *parsed = text[0] == '{' || text[0] == '[' ? json_loads(text, 0, NULL) : NULL;
    return parsed != NULL ? parsed : json_string(text);
}

static json_t *row_json(const struct sb_rows *rows, int row)
{
    json_t *object = json_object();
    for (int i = 0; i < NAME_COUNT; i++)
        json_object_set_new(object, names[i], value_json(names[i], sb_rows_get(rows, row, FIRST + i)));
    return object;
}

static void row_print(const struct sb_rows *rows, int row)
{
    for (int i = 0; i < NAME_COUNT; i++) {
        const char *text = sb_rows_get(rows, row, FIRST + i);
        if (text == NULL || text[0] == '\0')
            continue;
        printf("%-*s ", NAME_CHARS, names[i]);
        sb_words_put(stdout, text);
        printf("\n");
    }
}

/* -- show ------------------------------------------------------------------------------------------------ */

static const char *row_digest(
    const struct sb_inspection *found, enum sb_side side, char out[SB_DIGEST_TEXT_BYTES])
{
    return found->values[side] == NULL ? NULL : sb_digest_text(&found->digest[side], out);
}

static json_t *text_json(const struct sb_value *value)
{
    json_t *text = value->state == SB_COL_TEXT ? json_stringn(value->text.ptr, value->text.len) : json_null();
    return text != NULL ? text : json_string("(no UTF-8)");
}

static json_t *values_json(const struct sb_inspection *found, enum sb_side side)
{
    json_t *object = json_object();
    for (uint16_t i = 0; i < found->table->column_count; i++) {
        struct sb_view name = found->table->columns[i];
        json_object_setn_new(object, name.ptr, name.len, text_json(&found->values[side][i]));
    }
    return object;
}

static json_t *differing_json(const struct sb_inspection *found, bool values)
{
    json_t *list = json_array();
    for (uint16_t i = 0; found->differs != NULL && i < found->table->column_count; i++) {
        int64_t hours = 0;
        struct sb_view name = found->table->columns[i];
        if (!found->differs[i])
            continue;
        const char *how = sb_cluster_values(&found->values[0][i], &found->values[1][i], &hours);
        json_array_append_new(
            list, json_pack("{s:s%, s:s}", "column", name.ptr, name.len, "how", values ? how : ""));
    }
    return list;
}

static json_t *inspection_json(const struct sb_inspection *found, bool values)
{
    char source[SB_DIGEST_TEXT_BYTES], target[SB_DIGEST_TEXT_BYTES];
    if (found->why[0] != '\0')
        return json_pack("{s:s}", "why", found->why);
    json_t *object = json_pack("{s:I, s:I, s:s?, s:s?, s:o}", "source_rows",
        (json_int_t)found->rows[SB_SIDE_SOURCE], "target_rows", (json_int_t)found->rows[SB_SIDE_TARGET],
        "source_row", row_digest(found, SB_SIDE_SOURCE, source), "target_row",
        row_digest(found, SB_SIDE_TARGET, target), "differing", differing_json(found, values));
    for (int side = 0; values && side < 2; side++)
        if (found->values[side] != NULL)
            json_object_set_new(
                object, side == SB_SIDE_SOURCE ? "source" : "target", values_json(found, (enum sb_side)side));
    return object;
}

static void value_print(const char *side, const struct sb_value *value)
{
    json_t *json = text_json(value);
    char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    printf("      %s  %s\n", side, text == NULL ? "?" : text);
    free(text);
    json_decref(json);
}

static void column_print(const struct sb_inspection *found, uint16_t column, bool values)
{
    struct sb_view name = found->table->columns[column];
    int64_t hours = 0;
    printf("  %c ", found->differs != NULL && found->differs[column] ? '*' : ' ');
    fwrite(name.ptr, 1, name.len, stdout);
    if (values && found->differs != NULL && found->differs[column]) {
        const char *how = sb_cluster_values(&found->values[0][column], &found->values[1][column], &hours);
        printf("%s%s", how[0] == '\0' ? "" : ": ", how);
        if (hours != 0)
            printf(", by %" PRId64, hours);
    }
    printf("\n");
    for (int side = 0; values && side < 2; side++)
        if (found->values[side] != NULL)
            value_print(sb_side_name((enum sb_side)side), &found->values[side][column]);
}

static void inspection_print(const struct sb_inspection *found, bool values)
{
    char digest[SB_DIGEST_TEXT_BYTES];
    if (found->why[0] != '\0') {
        printf("now: not read: %s\n", found->why);
        return;
    }
    for (int side = 0; side < 2; side++)
        printf("now on the %s: %s\n", sb_side_name((enum sb_side)side),
            found->values[side] == NULL ? "no row" : row_digest(found, (enum sb_side)side, digest));
    for (uint16_t i = 0; i < found->table->column_count; i++)
        if (values || (found->differs != NULL && found->differs[i]))
            column_print(found, i, values);
}

static int inspect(const struct sb_cli *cli, enum sb_direction direction, const struct sb_rows *rows,
    struct sb_arena *arena, struct sb_inspection *ret_found, struct sb_err *err)
{
    const char *hex = sb_rows_get(rows, 0, FIRST + NAME_COUNT + 1);
    size_t len = hex == NULL ? 0 : strlen(hex) / 2;
    char *key = sb_arena_alloc(arena, len + 1);
    if (key == NULL || (hex != NULL && !sb_hex_decode(sb_view_str(hex), key, len)))
        return sb_err_set(err, SB_E_LIMIT, "the key does not fit into arena \"%s\"", sb_arena_name(arena));
    return sb_inspect(cli->config, direction, sb_rows_get(rows, 0, FIRST + NAME_COUNT), sb_view(key, len),
        arena, ret_found, err);
}

static int show_found(const struct sb_cli *cli, const struct sb_rows *rows, const struct sb_inspection *found,
    struct sb_err *err)
{
    bool values = sb_opts_flag(cli->opts, "values");
    if (cli->json) {
        json_t *object = row_json(rows, 0);
        json_object_set_new(object, "now", inspection_json(found, values));
        return sb_steps_dump(object, err);
    }
    row_print(rows, 0);
    inspection_print(found, values);
    return 0;
}

static int show(const struct sb_cli *cli, struct sb_err *err)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *rows = NULL;
    struct sb_inspection found;
    enum sb_direction direction;
    if (sb_cli_direction(cli, &direction, err) != 0)
        return -1;
    const char *params[] = {cli->config->migration, sb_direction_name(direction), cli->argv[0]};
    if (sb_cli_query(cli->config, direction,
            "SELECT " ALL_OF_IT
            ", d.relation, pg_catalog.encode(d.key, 'hex') FROM switchback.difference d WHERE d.migration "
            "= $1 AND d.direction = $2 AND d.id::text = $3",
            3, params, &rows, err) != 0)
        return -1;
    if (sb_rows_count(rows) == 0)
        return sb_err_set(
            err, SB_E_USAGE, "there is no difference \"%s\"; `switchback diff export` names them", params[2]);
    struct sb_arena *arena = sb_arena_new("difference", ARENA_BYTES);
    if (arena == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for an arena");
    int rc = inspect(cli, direction, rows, arena, &found, err);
    if (rc == 0)
        rc = show_found(cli, rows, &found, err);
    sb_arena_free(arena);
    return rc != 0 ? -1 : sb_rows_get(rows, 0, FIRST + NAME_COUNT - 2) == NULL ? EXIT_OPEN : 0;
}

/* -- export ---------------------------------------------------------------------------------------------- */

typedef void write_fn(const struct sb_rows *rows, int row);

static void write_json(const struct sb_rows *rows, int row)
{
    json_t *object = row_json(rows, row);
    json_dumpf(object, stdout, JSON_COMPACT);
    printf("\n");
    json_decref(object);
}

/* RFC 4180: quoted where it must be, quotes doubled, lines end with CRLF. */
static void csv_field(const char *text)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void write_csv(const struct sb_rows *rows, int row)
{
    for (int i = 0; i < NAME_COUNT; i++) {
        const char *text = sb_rows_get(rows, row, FIRST + i);
        printf("%s", i == 0 ? "" : ",");
        csv_field(text == NULL ? "" : text);
    }
    printf("\r\n");
}

static void write_text(const struct sb_rows *rows, int row)
{
    static const int shown[] = {0, 1, 2, 4, 6, 7, 8}; /* of names */
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        const char *text = sb_rows_get(rows, row, FIRST + shown[i]);
        printf("%s", i == 0 ? "" : "  ");
        sb_words_put(stdout, text == NULL ? "-" : text);
    }
    printf("\n");
}

static int format_of(const struct sb_cli *cli, write_fn **ret_write, struct sb_err *err)
{
    const char *format = sb_opts_value(cli->opts, "format");
    *ret_write = format == NULL || strcmp(format, "json") == 0 ? write_json
                 : strcmp(format, "csv") == 0                  ? write_csv
                 : strcmp(format, "text") == 0                 ? write_text
                                                               : NULL;
    if (*ret_write == NULL)
        return sb_err_set(err, SB_E_USAGE, "--format is json, csv or text, not \"%s\"", format);
    return 0;
}

static int stream_rows(struct sb_conn *conn, const struct choice *choice, write_fn *write,
    int64_t *not_closed, struct sb_err *err)
{
    const char *params[] = {choice->config->migration, sb_direction_name(choice->direction), choice->state};
    char fetch[64];
    snprintf(fetch, sizeof fetch, "FETCH %d FROM differences", FETCH_ROWS);
    if (sb_conn_exec(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) != 0 ||
        sb_conn_query(conn,
            "DECLARE differences NO SCROLL CURSOR FOR SELECT " ALL_OF_IT
            " FROM switchback.difference d WHERE " CHOSEN " ORDER BY d.id",
            3, params, NULL, err) != 0)
        return -1;
    for (int count = 1; count > 0;) {
        SB_CLEANUP(sb_rows_freep)
        struct sb_rows *rows = NULL;
        if (sb_conn_query(conn, fetch, 0, NULL, &rows, err) != 0)
            return -1;
        count = sb_rows_count(rows);
        for (int row = 0; row < count; row++) {
            if (!is_chosen(choice, rows, row))
                continue;
            *not_closed += sb_rows_get(rows, row, FIRST + NAME_COUNT - 2) == NULL;
            write(rows, row);
        }
        if (ferror(stdout) != 0)
            return sb_err_errno(err, SB_E_IO, "could not write the differences");
    }
    return sb_conn_exec(conn, "COMMIT", err);
}

static int export(const struct sb_cli *cli, struct sb_err *err)
{
    struct choice choice;
    write_fn *write;
    struct sb_conn *conn;
    int64_t not_closed = 0;
    if (choose(cli, &choice, err) != 0 || format_of(cli, &write, err) != 0)
        return -1;
    const struct sb_endpoint target = sb_wiring_target(cli->config, choice.direction);
    if (sb_conn_open(&target, "switchback cli", 0, &conn, err) != 0)
        return -1;
    for (int i = 0; write == write_csv && i < NAME_COUNT; i++)
        printf("%s%s%s", i == 0 ? "" : ",", names[i], i + 1 == NAME_COUNT ? "\r\n" : "");
    int rc = stream_rows(conn, &choice, write, &not_closed, err);
    sb_conn_close(conn);
    return rc != 0 ? -1 : not_closed > 0 ? EXIT_OPEN : 0;
}

int sb_verb_diff(const struct sb_cli *cli, struct sb_err *err)
{
    if (strcmp(cli->sub, "list") == 0)
        return list(cli, err);
    return strcmp(cli->sub, "show") == 0 ? show(cli, err) : export(cli, err);
}
