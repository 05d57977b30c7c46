#include "apply/ddl.h"

#include "apply/ddl_book.h"
#include "apply/ddl_judge.h"
#include "apply/ddl_run.h"
#include "apply/signature.h"
#include "core/fault.h"
#include "core/log.h"
#include "core/metrics.h"
#include "pg/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX_BYTES = 16 * 1024 * 1024 };

struct sb_ddl_desk {
    const struct sb_config *config;
    const char *direction;
    struct sb_conn *conn;
    struct sb_delivery *delivery;
    struct sb_tables *tables;
    const struct sb_aside *aside;
    bool stands; /* before a command that has to wait for the tables set aside */
    struct {
        bool found, skipped;
        uint64_t commit_lsn, ordinal;
    } stood;     /* at a changed table, the incarnation before */
    bool wished; /* tables are to be copied again behind the transaction in flight */
};

/* One command on the desk. */
struct command {
    struct sb_ddl_desk *desk;
    const struct sb_flight *flight;
    struct sb_arena *arena;
    struct sb_ddl ddl;
    const struct sb_cat_table *const *before;
    struct sb_ddl_judgement judgement;
    struct sb_ddl_entry entry;
    char id[24]; /* of its row, once it is held */
};

int sb_ddl_desk_new(const struct sb_config *config, enum sb_direction direction, struct sb_delivery *delivery,
    struct sb_tables *tables, const struct sb_aside *aside, struct sb_conn *conn,
    struct sb_ddl_desk **ret_desk, struct sb_err *err)
{
    struct sb_ddl_desk *desk = calloc(1, sizeof *desk);
    if (desk == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for DDL");
    *desk = (struct sb_ddl_desk){.config = config,
        .direction = sb_direction_name(direction),
        .conn = conn,
        .delivery = delivery,
        .tables = tables,
        .aside = aside};
    if (sb_ddl_book_stood(conn, config->migration, desk->direction, &desk->stood.found,
            &desk->stood.commit_lsn, &desk->stood.ordinal, err) != 0) {
        sb_ddl_desk_free(desk);
        return -1;
    }
    *ret_desk = desk;
    return 0;
}

void sb_ddl_desk_free(struct sb_ddl_desk *desk)
{
    free(desk);
}

/* -- its entry in the book --------------------------------------------------------------------------------
 */

/* An element of an array, as the server reads text[]. */
static void array_put(struct sb_buf *array, struct sb_view text)
{
    sb_buf_put_str(array, array->len == 1 ? "\"" : ",\"");
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            sb_buf_put_str(array, "\\");
        sb_buf_put(array, &text.ptr[i], 1);
    }
    sb_buf_put_str(array, "\"");
}

static int array_keep(
    struct sb_arena *arena, struct sb_buf *array, struct sb_view *ret_text, struct sb_err *err)
{
    sb_buf_put_str(array, "}");
    bool kept = !array->failed && sb_arena_dup(arena, sb_buf_view(array), ret_text);
    sb_buf_reset(array);
    sb_buf_put_str(array, "{");
    return kept ? 0 : sb_err_set(err, SB_E_LIMIT, "a command has too many or too long names");
}

static void table_put(struct sb_buf *array, struct sb_buf *name, struct sb_view schema, struct sb_view table)
{
    sb_buf_reset(name);
    sb_ident_put_table(name, schema, table);
    array_put(array, sb_buf_view(name));
}

static bool is_chosen_root(const struct command *command, size_t at)
{
    const struct sb_ddl_table *tables = command->ddl.tables, *table = &tables[at];
    for (size_t i = 0; i < at; i++)
        if (sb_view_eq(tables[i].root_schema, table->root_schema) &&
            sb_view_eq(tables[i].root_name, table->root_name))
            return false; /* it was among them already */
    return table->published;
}

static int relations_put(
    struct command *command, struct sb_buf *array, struct sb_buf *name, struct sb_err *err)
{
    const struct sb_ddl *ddl = &command->ddl;
    for (size_t i = 0; i < ddl->table_count; i++)
        table_put(array, name, ddl->tables[i].schema, ddl->tables[i].name);
    for (size_t i = 0; i < ddl->object_count && ddl->table_count == 0; i++)
        array_put(array, ddl->objects[i].identity);
    if (array_keep(command->arena, array, &command->entry.relations, err) != 0)
        return -1;
    for (size_t i = 0; i < ddl->table_count; i++)
        if ((ddl->tables[i].rewritten || command->judgement.moves_rows) && is_chosen_root(command, i))
            table_put(array, name, ddl->tables[i].root_schema, ddl->tables[i].root_name);
    return array_keep(command->arena, array, &command->entry.copied_again, err);
}

static int entry_make(struct command *command, uint64_t ordinal, struct sb_err *err)
{
    struct sb_buf array SB_CLEANUP(sb_buf_clear), name SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&array, LIST_MAX_BYTES);
    sb_buf_init(&name, LIST_MAX_BYTES);
    sb_buf_put_str(&array, "{");
    command->entry = (struct sb_ddl_entry){.place = {.migration = command->desk->config->migration,
                                               .direction = command->desk->direction,
                                               .commit_lsn = command->flight->commit_lsn,
                                               .xid = command->flight->xid,
                                               .ordinal = ordinal},
        .tag = command->ddl.tag,
        .statement = command->ddl.statement,
        .role = command->ddl.role,
        .reason = command->judgement.reason,
        .breaks_way_back = command->judgement.breaks_way_back};
    if (relations_put(command, &array, &name, err) != 0)
        return -1;
    for (size_t i = 0; i < command->ddl.path_count; i++)
        array_put(&array, command->ddl.path[i]);
    return array_keep(command->arena, &array, &command->entry.path, err);
}

/* -- holding ----------------------------------------------------------------------------------------------
 */

static int record(void *arg, struct sb_err *err)
{
    struct command *command = arg;
    return sb_ddl_book_hold(command->desk->conn, &command->entry, command->id, err);
}

static int hold(struct command *command, struct sb_err *err)
{
    char lsn[SB_LSN_TEXT_BYTES];
    struct sb_view statement = command->ddl.statement;
    if (sb_delivery_stand(command->desk->delivery, record, command, err) != 0)
        return -1;
    sb_err_set(err, SB_E_DDL_HELD, "commit %s: %.*s on %.*s is held%s: %s%s%.*s",
        sb_lsn_text(command->flight->commit_lsn, lsn), (int)command->ddl.tag.len, command->ddl.tag.ptr,
        (int)command->entry.relations.len, command->entry.relations.ptr,
        command->judgement.breaks_way_back ? " and breaks the way back" : "", command->judgement.reason,
        statement.len > 0 ? ": " : "", (int)(statement.len > 400 ? 400 : statement.len), statement.ptr);
    return sb_err_hint(err,
        "`switchback ddl show %s` shows the statement. `switchback ddl approve %s --reason ...` runs it on "
        "the "
        "target at its place; `switchback ddl skip %s --reason ...` goes on without it, because you ran it "
        "by hand "
        "or do not want it.",
        command->id, command->id, command->id);
}

/* What the target says of a command that it refused, unless that passes by itself. */
static int refused(struct command *command, struct sb_err *err)
{
    if (sb_err_class(err) == SB_CLASS_RETRY)
        return -1;
    snprintf(command->judgement.reason, sizeof command->judgement.reason, "the target refused it (%s): %s",
        err->sqlstate, err->text);
    return hold(command, err);
}

/* -- running ----------------------------------------------------------------------------------------------
 */

static int prove(struct command *command, struct sb_err *err)
{
    struct sb_view column;
    if (sb_ddl_differs(command->desk->conn, &command->ddl, command->before, command->arena, &column, err) !=
        0)
        return -1;
    if (column.len == 0)
        return 0;
    snprintf(command->judgement.reason, sizeof command->judgement.reason,
        "on the target column \"%.*s\" came out with another type or default", (int)column.len, column.ptr);
    return hold(command, err);
}

/* A decided command has changed rows that do not travel: its tables are copied again, before anything else.
 */
static int copy_again(struct command *command, struct sb_err *err)
{
    bool wished = false;
    if (sb_view_eq_str(command->entry.copied_again, "{}"))
        return 0;
    if (sb_ddl_book_wish(command->desk->conn, &command->entry, &wished, err) != 0)
        return -1;
    if (!wished)
        SB_WARN("DDL changed rows that do not travel, and without an initial copy nobody copies them again",
            SB_STR("tables", command->entry.copied_again.ptr));
    command->desk->wished = command->desk->wished || wished;
    return 0;
}

/* The target may have had it before: from the copy of the structure, or from an operator. Else err stays. */
static int undo_double(struct command *command, struct sb_err *err)
{
    static const char *const doubles[] = {"42P06", "42P07", "42710"};
    struct sb_conn *conn = command->desk->conn;
    struct sb_err ignored;
    bool is_double = false, there = false;
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++)
        is_double = is_double || strcmp(err->sqlstate, doubles[i]) == 0;
    if (!is_double || sb_conn_exec(conn, "ROLLBACK TO SAVEPOINT sb_ddl", &ignored) != 0 ||
        sb_ddl_is_there(conn, &command->ddl, &there, &ignored) != 0 || !there)
        return -1;
    SB_INFO("the target has it already", SB_STR("tag", command->ddl.tag.ptr),
        SB_STR("relations", command->entry.relations.ptr));
    return 0;
}

/* Tables that the command has made are published from their birth on. */
static int note_births(struct command *command, struct sb_err *err)
{
    struct sb_buf name SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&name, LIST_MAX_BYTES);
    for (size_t i = 0; i < command->ddl.table_count; i++) {
        const struct sb_ddl_table *table = &command->ddl.tables[i];
        if (command->before[i] != NULL || !table->published || table->partition)
            continue;
        sb_buf_reset(&name);
        sb_ident_put_table(&name, table->schema, table->name);
        if (sb_ddl_book_born(command->desk->conn, &command->entry.place, sb_buf_str(&name),
                sb_delivery_progress(command->desk->delivery)->timeline, err) != 0)
            return -1;
    }
    return 0;
}

static int run(struct command *command, bool approved, struct sb_err *err)
{
    struct sb_ddl_desk *desk = command->desk;
    if (sb_delivery_grow(desk->delivery, command->flight, err) != 0)
        return -1;
    SB_FAULT("apply-before-ddl");
    if (sb_conn_exec(desk->conn, "SAVEPOINT sb_ddl", err) != 0)
        return -1;
    if (sb_ddl_run(desk->conn, &command->ddl, err) != 0 && undo_double(command, err) != 0)
        return refused(command, err);
    if (!approved && prove(command, err) != 0)
        return -1;
    SB_FAULT("apply-after-ddl");
    SB_INFO("DDL applied", SB_STR("tag", command->ddl.tag.ptr),
        SB_STR("relations", command->entry.relations.ptr), SB_LSN("commit_lsn", command->flight->commit_lsn),
        SB_STR("by", approved ? "operator" : "rule"));
    command->entry.reason = approved ? command->judgement.reason : "";
    if (sb_ddl_book_pass(desk->conn, &command->entry, false, err) != 0 || copy_again(command, err) != 0 ||
        note_births(command, err) != 0)
        return -1;
    return sb_tables_forget(desk->tables, err);
}

static int skip(struct command *command, struct sb_err *err)
{
    if (sb_delivery_grow(command->desk->delivery, command->flight, err) != 0)
        return -1;
    SB_WARN("DDL skipped by operator", SB_STR("tag", command->ddl.tag.ptr),
        SB_STR("relations", command->entry.relations.ptr), SB_LSN("commit_lsn", command->flight->commit_lsn));
    return sb_ddl_book_pass(command->desk->conn, &command->entry, true, err) != 0 ? -1
                                                                                  : copy_again(command, err);
}

/* -- taking -----------------------------------------------------------------------------------------------
 */

static int judge(struct command *command, struct sb_err *err)
{
    const struct sb_config *config = command->desk->config;
    if (sb_ddl_before(command->desk->conn, &command->ddl, command->arena, &command->before, err) != 0)
        return -1;
    struct sb_ddl_facts facts = {.ddl = &command->ddl,
        .before = command->before,
        .target_version = sb_conn_version(command->desk->conn),
        .policy = config->ddl.policy,
        .include = &config->tables.include,
        .exclude = &config->tables.exclude};
    sb_ddl_judge(&facts, command->arena, &command->judgement);
    return 0;
}

static int decide(struct command *command, uint64_t ordinal, struct sb_err *err)
{
    enum sb_ddl_decision decision;
    if (judge(command, err) != 0 || entry_make(command, ordinal, err) != 0)
        return -1;
    if (command->judgement.verdict == SB_DDL_VERDICT_IGNORE) {
        SB_INFO("DDL ignored", SB_STR("tag", command->ddl.tag.ptr),
            SB_STR("relations", command->entry.relations.ptr), SB_STR("why", command->judgement.reason));
        return 0;
    }
    if (sb_aside_concerns(command->desk->aside, &command->ddl)) {
        SB_INFO("DDL waits until the tables set aside are given back", SB_STR("tag", command->ddl.tag.ptr),
            SB_STR("relations", command->entry.relations.ptr));
        command->desk->stands = true;
        return 0;
    }
    if (sb_ddl_book_decision(command->desk->conn, &command->entry, &decision, err) != 0)
        return -1;
    if (decision == SB_DDL_SKIPPED)
        return skip(command, err);
    if (decision == SB_DDL_APPROVED && command->ddl.statement.len > 0)
        return run(command, true, err);
    return command->judgement.verdict == SB_DDL_VERDICT_APPLY ? run(command, false, err) : hold(command, err);
}

int sb_ddl_take(struct sb_ddl_desk *desk, const struct sb_flight *flight, uint64_t ordinal,
    struct sb_view body, struct sb_arena *arena, struct sb_err *err)
{
    struct command command = {.desk = desk, .flight = flight, .arena = arena};
    struct sb_view signature, json;
    bool is_signed = false;
    if (sb_delivery_skips(desk->delivery, flight->commit_lsn, flight->xid))
        return 0;
    if (sb_ddl_split(body, &signature, &json) && sb_signature_verify(desk->conn, desk->config->migration,
                                                     desk->direction, signature, json, &is_signed, err) != 0)
        return -1;
    if (!is_signed) {
        sb_metric_add(SB_M_APPLY_UNSIGNED, 1);
        SB_WARN("a message that looks like DDL is not signed by the source's event triggers: left out",
            SB_LSN("commit_lsn", flight->commit_lsn), SB_NUM("xid", flight->xid));
        return 0;
    }
    return sb_ddl_read(json, arena, &command.ddl, err) != 0 ? -1 : decide(&command, ordinal, err);
}

bool sb_ddl_desk_stands(const struct sb_ddl_desk *desk)
{
    return desk->stands;
}

bool sb_ddl_desk_wishes(const struct sb_ddl_desk *desk)
{
    return desk->wished;
}

/* -- without a message ------------------------------------------------------------------------------------
 */

static void changed_entry(struct sb_ddl_desk *desk, const struct sb_ddl_at *at, struct sb_buf *relations,
    struct sb_ddl_entry *ret_entry)
{
    struct sb_buf name SB_CLEANUP(sb_buf_clear);
    sb_buf_init(&name, LIST_MAX_BYTES);
    sb_buf_init(relations, LIST_MAX_BYTES);
    sb_buf_put_str(relations, "{");
    table_put(relations, &name, at->rel->schema, at->rel->name);
    sb_buf_put_str(relations, "}");
    *ret_entry = (struct sb_ddl_entry){.place = {.migration = desk->config->migration,
                                           .direction = desk->direction,
                                           .commit_lsn = at->flight->commit_lsn,
                                           .xid = at->flight->xid,
                                           .ordinal = at->ordinal},
        .relation = true,
        .tag = sb_view_str("ALTER TABLE"),
        .path = sb_view_str("{}"),
        .copied_again = sb_view_str("{}"),
        .relations = sb_buf_view(relations),
        .reason = ""};
}

bool sb_ddl_stood_at(const struct sb_ddl_desk *desk, const struct sb_ddl_at *at)
{
    return desk->stood.found && desk->stood.commit_lsn == at->flight->commit_lsn &&
           desk->stood.ordinal == at->ordinal;
}

int sb_ddl_look_again(struct sb_ddl_desk *desk, const struct sb_ddl_at *at, struct sb_err *err)
{
    struct sb_buf relations SB_CLEANUP(sb_buf_clear);
    struct sb_ddl_entry entry;
    enum sb_ddl_decision decision;
    changed_entry(desk, at, &relations, &entry);
    if (sb_ddl_book_decision(desk->conn, &entry, &decision, err) != 0)
        return -1;
    sb_tables_next(desk->tables, decision == SB_DDL_SKIPPED);
    desk->stood.skipped = decision == SB_DDL_SKIPPED;
    return 0;
}

int sb_ddl_passes(struct sb_ddl_desk *desk, const struct sb_ddl_at *at, struct sb_err *err)
{
    struct sb_buf relations SB_CLEANUP(sb_buf_clear);
    struct sb_ddl_entry entry;
    changed_entry(desk, at, &relations, &entry);
    desk->stood.found = false;
    SB_INFO("a table that had changed is taken", SB_STR("table", entry.relations.ptr),
        SB_STR("how", desk->stood.skipped ? "as it is, an operator said so" : "the target's fits now"));
    if (sb_delivery_grow(desk->delivery, at->flight, err) != 0)
        return -1;
    return sb_ddl_book_pass(desk->conn, &entry, desk->stood.skipped, err);
}

struct changed {
    struct sb_conn *conn;
    struct sb_ddl_entry entry;
    char id[24];
};

static int record_changed(void *arg, struct sb_err *err)
{
    struct changed *changed = arg;
    return sb_ddl_book_hold(changed->conn, &changed->entry, changed->id, err);
}

int sb_ddl_changed(struct sb_ddl_desk *desk, const struct sb_ddl_at *at, struct sb_err *err)
{
    struct sb_buf relations SB_CLEANUP(sb_buf_clear);
    struct changed changed = {.conn = desk->conn};
    struct sb_err stand_err;
    char lsn[SB_LSN_TEXT_BYTES];
    changed_entry(desk, at, &relations, &changed.entry);
    changed.entry.reason = err->text;
    if (sb_delivery_stand(desk->delivery, record_changed, &changed, &stand_err) != 0) {
        *err = stand_err;
        return -1;
    }
    sb_err_add(err, "commit %s", sb_lsn_text(at->flight->commit_lsn, lsn));
    return sb_err_hint(err,
        "Alter the target's table as the source's was, then `switchback resume`; or take it as it is: "
        "`switchback ddl skip %s --reason ...`. With event triggers on the source DDL comes through the "
        "stream: docs/DDL.md.",
        changed.id);
}
