/*
 * The judge of DDL: what is known of a command in, a verdict out. Pure.
 *
 * Only what is known to be harmless is applied: what adds, and leaves every row and every value as it is on
 * both sides. What is not on that list is held, whatever it is; and so is everything that changes rows
 * without row events, and what the target's version does not have, because then one side of the migration
 * would hold what the other cannot, and there is no way back.
 *
 *     applied   ADD COLUMN, nullable or with a constant default; SET and DROP DEFAULT; DROP NOT NULL; a wider
 *               varchar, varbit or numeric; storage and statistics; CREATE TABLE, also a partition; CREATE
 * INDEX that is not unique; COMMENT; CREATE TYPE, DOMAIN, SCHEMA, SEQUENCE; ALTER TYPE ADD VALUE ignored   of
 * no table of the migration; OWNER TO; ADD COLUMN and CREATE TABLE that the target has already; unlogged
 * tables held      everything else
 */
#ifndef SB_APPLY_DDL_JUDGE_H
#define SB_APPLY_DDL_JUDGE_H

#include "config/config.h"
#include "pg/catalog.h"
#include "schemas/ddl.h"

enum sb_ddl_verdict { SB_DDL_VERDICT_IGNORE, SB_DDL_VERDICT_APPLY, SB_DDL_VERDICT_HOLD };

struct sb_ddl_facts {
    const struct sb_ddl *ddl;
    /* The target's tables of the same names before the command, ddl->table_count of them; NULL: there is
     * none. */
    const struct sb_cat_table *const *before;
    int target_version;
    enum sb_config_ddl policy;
    const struct sb_config_list *include, *exclude;
};

enum { SB_DDL_REASON_BYTES = SB_ERR_TEXT_BYTES + 64 };

struct sb_ddl_judgement {
    enum sb_ddl_verdict verdict;
    bool breaks_way_back;
    bool moves_rows; /* changes rows of all its tables without row events; see also sb_ddl_table.rewritten */
    char reason[SB_DDL_REASON_BYTES]; /* for people: why it is held or ignored */
};

/* The words of the statement live in arena. */
void sb_ddl_judge(
    const struct sb_ddl_facts *facts, struct sb_arena *arena, struct sb_ddl_judgement *ret_judgement);

/* Is this the text of a constant, as a server prints a default? What is computed may differ on the target. */
bool sb_ddl_is_constant(struct sb_view expression, struct sb_arena *arena);
/* Does every value of the one type stay what it is in the other? Types as the server prints them. */
bool sb_ddl_widens(struct sb_view from, struct sb_view to);

#endif
