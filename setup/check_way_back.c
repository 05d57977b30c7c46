/*
 * What the other side cannot hold, so that a hand-off could not be taken back: of a newer server's
 * abilities, and of columns, widths and labels that are on the target only. Everything here works forward.
 */
#include "pg/ident.h"
#include "pg/type.h"
#include "pg/version_limits.h"
#include "setup/checkup.h"

#include <string.h>

enum { NAMES_MAX = 5, WORDS_MAX_BYTES = 64 * 1024 };

/* -- versions -------------------------------------------------------------------------------------------- */

static const char *names_of(struct sb_checkup *up, const struct sb_rows *rows)
{
    struct sb_buf buf;
    int count = sb_rows_count(rows);
    sb_buf_init(&buf, WORDS_MAX_BYTES);
    for (int row = 0; row < count && row < NAMES_MAX; row++)
        sb_buf_putf(&buf, "%s%s", row > 0 ? ", " : "", sb_rows_get(rows, row, 0));
    if (count > NAMES_MAX)
        sb_buf_putf(&buf, " and %d more", count - NAMES_MAX);
    const char *text = buf.failed ? NULL : sb_arena_str(up->arena, sb_buf_view(&buf));
    sb_buf_clear(&buf);
    return text;
}

/* What the one has and the other cannot hold. */
static int limits_tell(struct sb_checkup *up, struct sb_conn *has, struct sb_conn *lacks, const char *oids)
{
    const char *const params[] = {oids};
    for (const struct sb_version_limit *limit = sb_version_limits; limit->id != NULL; limit++) {
        SB_CLEANUP(sb_rows_freep)
        struct sb_rows *rows = NULL;
        if (!sb_version_limit_bites(limit, sb_conn_version(has), sb_conn_version(lacks)))
            continue;
        if (sb_conn_query(has, limit->sql, 1, params, &rows, up->err) < 0)
            return sb_err_add(up->err, "looking for %s", limit->what);
        if (sb_rows_count(rows) == 0)
            continue;
        const char *names = names_of(up, rows);
        if (names == NULL)
            return sb_checkup_full(up);
        if (sb_checkup_tell(up, limit->values ? SB_RESULT_INFO : SB_RESULT_WARN, SB_E_TARGET_STRUCTURE, NULL,
                "%s (%s; %s) is not known to PostgreSQL %d, the version of the %s: %s", limit->what,
                limit->id, names, sb_conn_version(lacks) / 10000, sb_side_name(sb_conn_side(lacks)),
                limit->loss) < 0)
            return -1;
    }
    return 0;
}

static int holds_check(struct sb_checkup *up)
{
    return limits_tell(up, up->source.conn, up->target.conn, up->source_oids);
}

static int back_holds_check(struct sb_checkup *up)
{
    return limits_tell(up, up->target.conn, up->source.conn, up->target_oids);
}

/* -- structure ------------------------------------------------------------------------------------------- */

/* action and behind stand around the column's name, in a statement for the source. */
static int column_tell(struct sb_checkup *up, const struct sb_cat_table *source,
    const struct sb_cat_column *col, const char *action, const char *behind, bool with_type,
    const char *words)
{
    struct sb_buf sql;
    sb_buf_init(&sql, WORDS_MAX_BYTES);
    sb_buf_put_str(&sql, "ALTER TABLE ");
    sb_ident_put_table(&sql, source->schema, source->name);
    sb_buf_putf(&sql, " %s ", action);
    sb_ident_put(&sql, col->name);
    sb_buf_putf(&sql, "%s%s;", behind, with_type ? col->type_full.ptr : "");
    const char *statement = sql.failed ? NULL : sb_arena_str(up->arena, sb_buf_view(&sql));
    sb_buf_clear(&sql);
    if (statement == NULL || words == NULL)
        return sb_checkup_full(up);
    return sb_checkup_tell(up, SB_RESULT_WARN, SB_E_TARGET_STRUCTURE, statement, "\"%s\".\"%s\": %s",
        source->schema.ptr, source->name.ptr, words);
}

/* A column of the target, seen from the way back. What does not even fit forward is told elsewhere. */
static int column_check(
    struct sb_checkup *up, const struct sb_cat_table *source, const struct sb_cat_column *there)
{
    const struct sb_cat_column *here = sb_cat_column(source, there->name);
    if (there->generated)
        return 0;
    if (here == NULL)
        return column_tell(up, source, there, "ADD COLUMN", " ", true,
            sb_checkup_text(up,
                "column \"%s\" is on the target only: what is written into it does not come back",
                there->name.ptr));
    if (here->generated || !sb_type_fits(here, there))
        return 0;
    if (!sb_type_fits(there, here))
        return column_tell(up, source, there, "ALTER COLUMN", " TYPE ", true,
            sb_checkup_text(up,
                "column \"%s\" is %s on the target and %s on the source: what only the target can hold does "
                "not come back",
                there->name.ptr, there->type_full.ptr, here->type_full.ptr));
    if (here->not_null && !there->not_null)
        return column_tell(up, source, there, "ALTER COLUMN", " DROP NOT NULL", false,
            sb_checkup_text(up,
                "column \"%s\" may be NULL on the target but not on the source: such a row does not come "
                "back",
                there->name.ptr));
    return 0;
}

static int back_structure_check(struct sb_checkup *up)
{
    for (size_t i = 0; i < up->pair_count; i++) {
        const struct sb_cat_table *target = up->pairs[i].target;
        for (size_t c = 0; target != NULL && c < target->col_count; c++) {
            if (column_check(up, up->pairs[i].source->table, &target->cols[c]) < 0)
                return -1;
        }
    }
    return 0;
}

/* Labels that only the target has. */
static int back_enum_check(struct sb_checkup *up)
{
    SB_CLEANUP(sb_rows_freep)
    struct sb_rows *source = NULL, *target = NULL;
    if (sb_checkup_labels(up, up->source.conn, up->source_oids, &source) < 0 ||
        sb_checkup_labels(up, up->target.conn, up->target_oids, &target) < 0)
        return -1;
    return sb_checkup_labels_compare(up, target, source, SB_RESULT_WARN, "source");
}

const struct sb_check sb_check_way_back[] = {
    {"tables.holds", "the target's version can hold what the source's has", SB_NEED_ALL, holds_check},
    {"way_back.holds", "the source's version can hold what the target's has", SB_NEED_ALL, back_holds_check},
    {"way_back.structure", "the source's tables can hold the target's rows", SB_NEED_ALL,
        back_structure_check},
    {"way_back.enum", "the source knows the target's enum labels", SB_NEED_ALL, back_enum_check},
    {NULL, NULL, 0, NULL},
};
