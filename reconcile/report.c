#include "reconcile/report.h"

#include "pg/ident.h"
#include "schemas/digest.h"

const char *sb_verify_state_name(enum sb_verify_state state)
{
    static const char *const names[] = {"equal", "differs", "undecided", "not compared"};
    return names[state];
}

const char *sb_verify_verdict_name(enum sb_verify_verdict verdict)
{
    static const char *const names[] = {"equal", "different", "incomplete"};
    return names[verdict];
}

const char *sb_invariant_state_name(enum sb_invariant_state state)
{
    static const char *const names[] = {"holds", "broken", "not evaluated"};
    return names[state];
}

int64_t sb_verify_total(
    const struct sb_verify_outcome *outcome, int64_t (*of)(const struct sb_verify_result *))
{
    int64_t total = 0;
    for (size_t i = 0; i < outcome->count; i++)
        total += of(&outcome->results[i]);
    return total;
}

int64_t sb_verify_keys_compared(const struct sb_verify_result *result)
{
    int64_t most = result->source_rows > result->target_rows ? result->source_rows : result->target_rows;
    return most + result->by_reread + result->by_stream;
}

void sb_verify_conclude(struct sb_verify_outcome *outcome)
{
    bool different = false, open = false;
    for (size_t i = 0; i < outcome->count; i++) {
        enum sb_verify_state state = outcome->results[i].state;
        different = different || state == SB_TABLE_DIFFERS || outcome->results[i].differences > 0;
        open = open || state == SB_TABLE_UNDECIDED || state == SB_TABLE_NOT_COMPARED;
    }
    for (size_t i = 0; i < outcome->invariants.count; i++) {
        different = different || outcome->invariants.results[i].state == SB_INVARIANT_BROKEN;
        open = open || outcome->invariants.results[i].state == SB_INVARIANT_NOT_EVALUATED;
    }
    if (outcome->why[0] == '\0' && outcome->count == 0)
        outcome->why = "no table was to be compared";
    else if (outcome->why[0] == '\0' && sb_verify_total(outcome, sb_verify_keys_compared) == 0)
        outcome->why = "not one row was read";
    outcome->verdict = different                         ? SB_VERIFY_DIFFERENT
                       : open || outcome->why[0] != '\0' ? SB_VERIFY_INCOMPLETE
                                                         : SB_VERIFY_EQUAL;
}

/* -- differences ----------------------------------------------------------------------------------------- */

static const char *columns_text(
    const struct sb_finding *found, struct sb_arena *arena, struct sb_buf *scratch)
{
    sb_buf_reset(scratch);
    for (size_t i = 0; i < found->table->column_count; i++) {
        if (!found->differs[i])
            continue;
        sb_buf_put_str(scratch, scratch->len == 0 ? "" : ", ");
        sb_ident_put(scratch, found->table->columns[i]);
    }
    return scratch->failed ? NULL : sb_arena_str(arena, sb_buf_view(scratch));
}

int sb_verify_keep(struct sb_verify_result *result, const struct sb_finding *found, struct sb_arena *arena,
    struct sb_buf *scratch, struct sb_err *err)
{
    if (result->kept_count == SB_VERIFY_DIFFERENCES_KEPT)
        return 0;
    if (result->kept == NULL)
        result->kept = sb_arena_zalloc(arena, SB_VERIFY_DIFFERENCES_KEPT * sizeof *result->kept);
    if (result->kept == NULL)
        return sb_err_set(err, SB_E_LIMIT, "the differences do not fit into the %zu bytes of arena \"%s\"",
            sb_arena_max(arena), sb_arena_name(arena));
    struct sb_difference *kept = &result->kept[result->kept_count++];
    *kept = (struct sb_difference){.kind = found->kind,
        .rows = found->rows,
        .by_stream = found->by_stream,
        .source_differs = found->source_differs,
        .h = found->h,
        .applied_lsn = found->applied_lsn,
        .columns = found->differs != NULL ? columns_text(found, arena, scratch) : NULL};
    sb_digest_text(&found->key, kept->row);
    sb_buf_reset(scratch);
    if (found->key_bytes.len > 0 && sb_verify_put_key_json(found->table, found->key_bytes, scratch))
        kept->key = sb_arena_str(arena, sb_buf_view(scratch));
    return 0;
}
