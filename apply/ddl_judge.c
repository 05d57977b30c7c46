#include "apply/ddl_judge.h"

#include "apply/words.h"
#include "pg/ident.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct judge {
    const struct sb_ddl_facts *facts;
    const struct sb_ddl *ddl;
    struct sb_words words;
    struct sb_arena *arena;
    struct sb_ddl_judgement out;
    bool does_something; /* some part of it is not ignored */
};

/* -- verdicts -------------------------------------------------------------------------------------------- */

static void say(struct judge *judge, enum sb_ddl_verdict verdict, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));
static void say(struct judge *judge, enum sb_ddl_verdict verdict, const char *fmt, va_list args)
{
    judge->out.verdict = verdict;
    vsnprintf(judge->out.reason, sizeof judge->out.reason, fmt, args);
}

/* False, so that it ends what it stands in. */
static bool hold(struct judge *judge, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool hold(struct judge *judge, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(judge, SB_DDL_VERDICT_HOLD, fmt, args);
    va_end(args);
    return false;
}

static void ignore(struct judge *judge, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void ignore(struct judge *judge, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(judge, SB_DDL_VERDICT_IGNORE, fmt, args);
    va_end(args);
}

/* -- does it matter? ------------------------------------------------------------------------------------- */

static bool any_matches(const struct sb_config_list *patterns, struct sb_view schema, struct sb_view name)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (sb_pattern_match(patterns->items[i], schema, name))
            return true;
    return false;
}

static bool is_chosen(const struct judge *judge, struct sb_view schema, struct sb_view name)
{
    return any_matches(judge->facts->include, schema, name) &&
           !any_matches(judge->facts->exclude, schema, name);
}

/* A partition stands for its root, whose rows travel. */
static bool table_matters(const struct judge *judge, const struct sb_ddl_table *table)
{
    return table->published || is_chosen(judge, table->root_schema, table->root_name);
}

static bool object_matters(const struct judge *judge, const struct sb_ddl_object *object)
{
    bool of_table = sb_view_eq_str(object->type, "table") || sb_view_eq_str(object->type, "table column");
    if (object->dropped && of_table)
        return is_chosen(judge, object->schema, object->name);
    return !of_table; /* a table that is there stands among the tables */
}

static bool matters(const struct judge *judge)
{
    const struct sb_ddl *ddl = judge->ddl;
    for (size_t i = 0; i < ddl->table_count; i++)
        if (table_matters(judge, &ddl->tables[i]))
            return true;
    for (size_t i = 0; i < ddl->object_count && ddl->table_count == 0; i++)
        if (object_matters(judge, &ddl->objects[i]))
            return true;
    return ddl->failed.len > 0;
}

/* -- what an older server does not have ------------------------------------------------------------------ */

static const struct {
    const char *words;
    int since;
    const char *what;
} newer[] = {
    {"nulls not distinct", 150000, "NULLS NOT DISTINCT"},
    {"nulls distinct", 150000, "NULLS DISTINCT"},
    {"set expression", 170000, "SET EXPRESSION"},
    {"without overlaps", 180000, "a temporal key"},
    {"not enforced", 180000, "a constraint that is NOT ENFORCED"},
    {") virtual", 180000, "a virtual generated column"},
};

/* The name of what the target's version does not have; NULL: it has everything. */
static const char *lacking(const struct judge *judge)
{
    int version = judge->facts->target_version;
    for (size_t n = 0; n < sizeof newer / sizeof *newer; n++)
        for (size_t at = 0; version < newer[n].since && at < judge->words.count; at++)
            if (sb_words_run(&judge->words, at, newer[n].words) > 0)
                return newer[n].what;
    for (size_t t = 0; t < judge->ddl->table_count; t++) {
        const struct sb_ddl_table *table = &judge->ddl->tables[t];
        for (size_t c = 0; c < table->column_count; c++) {
            const struct sb_ddl_column *column = &table->columns[c];
            bool there = judge->facts->before[t] != NULL &&
                         sb_cat_column(judge->facts->before[t], column->name) != NULL;
            if (version < 180000 && column->generated == 'v' && !there)
                return "a virtual generated column";
        }
    }
    return NULL;
}

/* -- constants and types --------------------------------------------------------------------------------- */

/* Behind "::": names, dots, (10,2), [] and what belongs to them. */
static size_t skip_type(const struct sb_words *words, size_t at)
{
    while (at < words->count) {
        if (sb_words_at(words, at, "(")) {
            do
                at++;
            while (at < words->count &&
                   (words->items[at].kind == SB_WORD_NUMBER || sb_words_at(words, at, ",")));
            if (!sb_words_at(words, at, ")"))
                return at;
        } else if (!sb_words_is_ident(words, at) && !sb_words_at(words, at, ".") &&
                   !sb_words_at(words, at, "[") && !sb_words_at(words, at, "]")) {
            return at;
        }
        at++;
    }
    return at;
}

bool sb_ddl_is_constant(struct sb_view expression, struct sb_arena *arena)
{
    static const char *const plain[] = {"true", "false", "null", "array", "[", "]", "(", ")", "-", ","};
    struct sb_words words;
    if (!sb_words_read(expression, arena, &words))
        return false;
    for (size_t at = 0; at < words.count;) {
        bool fine = words.items[at].kind == SB_WORD_NUMBER || words.items[at].kind == SB_WORD_STRING;
        for (size_t i = 0; i < sizeof plain / sizeof *plain && !fine; i++)
            fine = sb_words_at(&words, at, plain[i]);
        if (sb_words_at(&words, at, "::"))
            at = skip_type(&words, at + 1);
        else if (fine)
            at++;
        else
            return false;
    }
    return words.count > 0;
}

/* "character varying(10)" -> its name and numbers, -1 where there is none. */
static size_t type_split(struct sb_view type, long ret_numbers[2])
{
    const char *open = type.len == 0 ? NULL : memchr(type.ptr, '(', type.len);
    char *end;
    ret_numbers[0] = ret_numbers[1] = -1;
    if (open == NULL)
        return type.len;
    ret_numbers[0] = strtol(open + 1, &end, 10);
    ret_numbers[1] = *end == ',' ? strtol(end + 1, &end, 10) : 0;
    return *end == ')' && end + 1 == type.ptr + type.len ? (size_t)(open - type.ptr) : 0;
}

bool sb_ddl_widens(struct sb_view from, struct sb_view to)
{
    static const char *const sized[] = {"character varying", "bit varying", "numeric"};
    long was[2], is[2];
    struct sb_view from_name = sb_view(from.ptr, type_split(from, was)),
                   to_name = sb_view(to.ptr, type_split(to, is));
    if (sb_view_eq(from, to))
        return true;
    if (sb_view_eq_str(from_name, "character varying") && sb_view_eq_str(to, "text"))
        return true;
    bool known = false;
    for (size_t i = 0; i < sizeof sized / sizeof *sized; i++)
        known = known || sb_view_eq_str(from_name, sized[i]);
    if (!known || !sb_view_eq(from_name, to_name))
        return false;
    return is[0] < 0 || (was[0] >= 0 && is[0] >= was[0] && is[1] == was[1]);
}

/* -- ALTER TABLE ----------------------------------------------------------------------------------------- */

static const struct sb_ddl_column *column_named(
    const struct sb_ddl_table *table, const struct sb_words *words, size_t at)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (sb_words_names(words, at, table->columns[i].name))
            return &table->columns[i];
    return NULL;
}

static const struct sb_cat_column *target_column(const struct judge *judge, struct sb_view name)
{
    const struct sb_cat_table *before = judge->facts->before[0];
    return before == NULL ? NULL : sb_cat_column(before, name);
}

#define NAME(view) (int)(view).len, (view).ptr

/* ADD COLUMN name ...: [at, end) begins with the name. */
static bool judge_add(struct judge *judge, size_t at, size_t end)
{
    static const char *const keys[] = {"unique", "primary", "references", "check", "exclude"};
    const struct sb_ddl_column *column = column_named(&judge->ddl->tables[0], &judge->words, at);
    if (column == NULL)
        return hold(judge, "it adds something that is no column, or that is gone again");
    const struct sb_cat_column *there = target_column(judge, column->name);
    if (there != NULL && sb_view_eq(there->type_full, column->type)) {
        ignore(judge, "the target has column \"%.*s\" already", NAME(column->name));
        return true;
    }
    judge->does_something = true;
    if (there != NULL)
        return hold(judge, "the target has a column \"%.*s\" of another type", NAME(column->name));
    for (size_t i = at + 1; i < end; i++)
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            if (sb_words_at(&judge->words, i, keys[k]))
                return hold(judge, "column \"%.*s\" comes with a constraint", NAME(column->name));
    if (column->generated != 0)
        return hold(judge, "column \"%.*s\" is generated", NAME(column->name));
    if (column->identity != 0)
        return hold(
            judge, "column \"%.*s\" is numbered by the server, for existing rows too", NAME(column->name));
    if (column->fallback.len > 0 && !sb_ddl_is_constant(column->fallback, judge->arena)) {
        judge->out.moves_rows = true;
        return hold(judge, "the default of column \"%.*s\" is computed, so existing rows may differ",
            NAME(column->name));
    }
    if (column->not_null && column->fallback.len == 0)
        return hold(judge, "column \"%.*s\" is NOT NULL without a default", NAME(column->name));
    return true;
}

static bool judge_type(struct judge *judge, size_t at, size_t end)
{
    const struct sb_ddl_column *column = column_named(&judge->ddl->tables[0], &judge->words, at);
    const struct sb_cat_column *before = column == NULL ? NULL : target_column(judge, column->name);
    for (size_t i = at; i < end; i++)
        if (sb_words_at(&judge->words, i, "using"))
            return hold(judge, "it computes a column anew");
    if (before == NULL)
        return hold(judge, "the target does not have the column whose type it changes");
    if (!sb_ddl_widens(before->type_full, column->type))
        return hold(judge, "column \"%.*s\" changes from %.*s to %.*s", NAME(column->name),
            NAME(before->type_full), NAME(column->type));
    return true;
}

/* ALTER [COLUMN] name ... */
static bool judge_column(struct judge *judge, size_t at, size_t end)
{
    static const char *const harmless[] = {"set default", "drop default", "drop not null", "set statistics",
        "set storage", "set compression", "set (", "reset ("};
    judge->does_something = true;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (sb_words_run(&judge->words, at + 1, harmless[i]) > 0)
            return true;
    if (sb_words_at(&judge->words, at + 1, "type") ||
        sb_words_run(&judge->words, at + 1, "set data type") > 0)
        return judge_type(judge, at, end);
    if (sb_words_run(&judge->words, at + 1, "set not null") > 0)
        return hold(judge, "SET NOT NULL: rows that the target has meanwhile must not be empty there");
    return hold(judge, "what it does to a column is not known to be harmless");
}

static const struct {
    const char *words;
    const char *reason;
} held_actions[] = {
    {"drop constraint", "it drops a constraint"},
    {"drop", "it drops a column"},
    {"rename", "it renames"},
    {"add constraint", "it adds a constraint, which may lock and look at every row of the target"},
    {"add primary", "it adds a key"},
    {"add unique", "it adds a constraint, which may lock and look at every row of the target"},
    {"add check", "it adds a constraint, which may lock and look at every row of the target"},
    {"add foreign", "it adds a constraint, which may lock and look at every row of the target"},
    {"add exclude", "it adds a constraint, which may lock and look at every row of the target"},
    {"set schema", "it moves the table to another schema"},
    {"replica identity", "it changes how rows are told apart"},
};

/* DROP [COLUMN] [IF EXISTS] name, of which the target knows nothing. */
static bool drops_what_is_gone(const struct judge *judge, size_t at)
{
    const struct sb_cat_table *before = judge->facts->before[0];
    if (before == NULL || !sb_words_at(&judge->words, at, "drop") ||
        sb_words_at(&judge->words, at + 1, "constraint"))
        return false;
    at += 1 + sb_words_at(&judge->words, at + 1, "column");
    at += sb_words_run(&judge->words, at, "if exists");
    for (size_t i = 0; i < before->col_count; i++)
        if (sb_words_names(&judge->words, at, before->cols[i].name))
            return false;
    return sb_words_is_ident(&judge->words, at);
}

/* Owners, triggers and policies are no business of the stream. */
static const char *const beside_rows[] = {"owner to", "enable", "disable", "force row", "no force row"};

static bool judge_action(struct judge *judge, size_t at, size_t end)
{
    static const char *const harmless[] = {
        "set (", "reset (", "cluster on", "set without cluster", "validate constraint"};
    const struct sb_words *words = &judge->words;
    if (sb_words_run(words, at, "attach partition") > 0 || sb_words_run(words, at, "detach partition") > 0) {
        judge->out.moves_rows = true;
        return hold(judge, "rows come or go with a partition, which no stream carries");
    }
    for (size_t i = 0; i < sizeof beside_rows / sizeof *beside_rows; i++)
        if (sb_words_run(words, at, beside_rows[i]) > 0) {
            ignore(judge, "it does not change what the table holds");
            return true;
        }
    if (drops_what_is_gone(judge, at)) {
        ignore(judge, "the target does not have the column any more");
        return true;
    }
    for (size_t i = 0; i < sizeof held_actions / sizeof *held_actions; i++)
        if (sb_words_run(words, at, held_actions[i].words) > 0)
            return hold(judge, "%s", held_actions[i].reason);
    if (sb_words_at(words, at, "alter"))
        return judge_column(judge, at + 1 + sb_words_at(words, at + 1, "column"), end);
    if (sb_words_at(words, at, "add")) {
        at += 1 + sb_words_at(words, at + 1, "column");
        return judge_add(judge, at + sb_words_run(words, at, "if not exists"), end);
    }
    judge->does_something = true;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (sb_words_run(words, at, harmless[i]) > 0)
            return true;
    return hold(judge, "it is not known to be harmless");
}

/* Where the action that begins at this place ends: a comma that is in no parentheses, or the end. */
static size_t action_end(const struct sb_words *words, size_t at)
{
    int depth = 0;
    for (; at < words->count; at++) {
        depth += sb_words_at(words, at, "(") || sb_words_at(words, at, "[");
        depth -= sb_words_at(words, at, ")") || sb_words_at(words, at, "]");
        if (depth == 0 && sb_words_at(words, at, ","))
            break;
    }
    return at;
}

/* [IF EXISTS] [ONLY] schema.name [*] */
static size_t skip_table_name(const struct sb_words *words, size_t at)
{
    at += sb_words_run(words, at, "if exists");
    at += sb_words_at(words, at, "only");
    for (at++; sb_words_at(words, at, "."); at += 2)
        continue;
    return at + sb_words_at(words, at, "*");
}

static void judge_alter_table(struct judge *judge)
{
    size_t at = skip_table_name(&judge->words, 2);
    if (judge->ddl->table_count != 1) {
        hold(judge, "it alters %zu tables at once", judge->ddl->table_count);
        return;
    }
    bool moves =
        sb_words_at(&judge->words, at, "rename") || sb_words_run(&judge->words, at, "set schema") > 0;
    if (judge->facts->before[0] == NULL && !moves) {
        hold(judge, "the target does not have the table");
        return;
    }
    while (at < judge->words.count) {
        size_t end = action_end(&judge->words, at);
        if (!judge_action(judge, at, end))
            return;
        at = end + 1;
    }
    if (judge->does_something) {
        judge->out.verdict = SB_DDL_VERDICT_APPLY;
        judge->out.reason[0] = '\0';
    }
}

/* -- the others ------------------------------------------------------------------------------------------ */

static bool has_all_columns(const struct sb_ddl_table *table, const struct sb_cat_table *before)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const struct sb_cat_column *there = sb_cat_column(before, table->columns[i].name);
        if (there == NULL || !sb_view_eq(there->type_full, table->columns[i].type))
            return false;
    }
    return true;
}

static void judge_create_table(struct judge *judge)
{
    const struct sb_ddl *ddl = judge->ddl;
    for (size_t i = 0; i < judge->words.count; i++)
        if (sb_words_run(&judge->words, i, "inherits (") > 0) {
            hold(judge, "the table inherits from another");
            return;
        }
    for (size_t i = 0; i < ddl->table_count; i++) {
        const struct sb_cat_table *before = judge->facts->before[i];
        if (before == NULL)
            judge->does_something = true;
        else if (!has_all_columns(&ddl->tables[i], before)) {
            hold(judge, "the target has a table of this name with other columns");
            return;
        }
    }
    if (!judge->does_something)
        ignore(judge, "the target has the table already");
}

static void judge_create_index(struct judge *judge)
{
    if (sb_words_at(&judge->words, 1, "unique"))
        hold(judge, "a unique index: the target would refuse rows in another order than the source's");
}

static void judge_alter_type(struct judge *judge)
{
    size_t at = 2;
    for (at++; sb_words_at(&judge->words, at, "."); at += 2)
        continue;
    if (sb_words_run(&judge->words, at, "add value") == 0)
        hold(judge, "what it does to a type is not known to be harmless");
}

static void judge_additive(struct judge *judge)
{
    (void)judge; /* as it is: applied */
}

static const struct {
    const char *tag;
    void (*judge)(struct judge *judge);
} tags[] = {
    {"ALTER TABLE", judge_alter_table},
    {"ALTER TYPE", judge_alter_type},
    {"COMMENT", judge_additive},
    {"CREATE DOMAIN", judge_additive},
    {"CREATE INDEX", judge_create_index},
    {"CREATE SCHEMA", judge_additive},
    {"CREATE SEQUENCE", judge_additive},
    {"CREATE TABLE", judge_create_table},
    {"CREATE TYPE", judge_additive},
};

static void judge_tag(struct judge *judge)
{
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (sb_view_eq_str(judge->ddl->tag, tags[i].tag)) {
            tags[i].judge(judge);
            return;
        }
    }
    hold(judge, "%.*s is not known to be harmless", NAME(judge->ddl->tag));
}

static bool is_unlogged(const struct judge *judge)
{
    for (size_t i = 0; i < judge->ddl->table_count; i++)
        if (judge->ddl->tables[i].persistence != 'u')
            return false;
    return judge->ddl->table_count > 0;
}

static bool is_rewritten(const struct judge *judge)
{
    for (size_t i = 0; i < judge->ddl->table_count; i++)
        if (judge->ddl->tables[i].rewritten && table_matters(judge, &judge->ddl->tables[i]))
            return true;
    return false;
}

void sb_ddl_judge(
    const struct sb_ddl_facts *facts, struct sb_arena *arena, struct sb_ddl_judgement *ret_judgement)
{
    struct judge judge = {
        .facts = facts, .ddl = facts->ddl, .arena = arena, .out = {.verdict = SB_DDL_VERDICT_APPLY}};
    const char *lacks;
    if (facts->policy == SB_DDL_IGNORE)
        ignore(&judge, "ddl.policy is ignore");
    else if (!matters(&judge))
        ignore(&judge, "it is of no table of the migration");
    else if (judge.ddl->failed.len > 0)
        hold(&judge, "it could not be described (%.*s)", NAME(judge.ddl->failed));
    else if (is_unlogged(&judge))
        ignore(&judge, "the table is unlogged, so its rows do not travel");
    else if (judge.ddl->statement.len == 0)
        hold(&judge, "its text could not be told from what it was sent with");
    else if (!sb_words_read(judge.ddl->statement, arena, &judge.words))
        hold(&judge, "its text could not be read");
    else if ((lacks = lacking(&judge)) != NULL) {
        hold(&judge, "it uses %s, which the target's version does not have: there would be no way back",
            lacks);
        judge.out.breaks_way_back = true;
    } else if (is_rewritten(&judge))
        hold(&judge, "it rewrites rows, which no stream carries");
    else {
        judge_tag(&judge);
        if (judge.out.verdict == SB_DDL_VERDICT_APPLY && facts->policy == SB_DDL_HOLD)
            hold(&judge, "ddl.policy is hold");
    }
    *ret_judgement = judge.out;
}
