#include "apply/judge.h"

#include "apply/copied.h"
#include "core/log.h"
#include "schemas/digest.h"

#define KEY_MAX_BYTES (INT64_C(1) << 30)

int sb_judge_init(
    struct sb_judge *judge, struct sb_conn *conn, const struct sb_progress *progress, struct sb_err *err)
{
    *judge = (struct sb_judge){.conn = conn};
    if (sb_copied_stamps(conn, progress, &judge->stamps, err) != 0)
        return -1;
    judge->active = judge->stamps != NULL;
    return 0;
}

void sb_judge_clear(struct sb_judge *judge)
{
    sb_stamps_free(judge->stamps);
    judge->stamps = NULL;
}

/* From the first commit beyond all stamps on everything is newer. They stay in memory: TRUNCATEs in the batch
 * point to their bounds. */
void sb_judge_pass(struct sb_judge *judge, const struct sb_frame *frame)
{
    if (!judge->active || !sb_stamps_passed(judge->stamps, frame->commit_lsn, frame->timeline))
        return;
    judge->active = false;
    SB_INFO("all that follows is newer than the initial copy", SB_LSN("commit_lsn", frame->commit_lsn));
}

/* Only the new key's half is newer: the row must have travelled whole, for no chunk has its old values. */
static int insert_new_half(const struct sb_change *chg, struct sb_err *err)
{
    struct sb_buf key SB_CLEANUP(sb_buf_clear);
    const struct sb_relation *rel = chg->rel;
    bool whole = true;
    sb_buf_init(&key, KEY_MAX_BYTES);
    for (uint16_t i = 0; i < rel->col_count; i++) {
        whole = whole && chg->after[i].state != SB_COL_UNCHANGED;
        if (rel->cols[i].key)
            sb_buf_put_view(&key, chg->after[i].text);
    }
    if (whole)
        return 0;
    sb_err_set(err, SB_E_COPY_INCOMPLETE,
        "table \"%.*s\".\"%.*s\": the row whose key hashes to %016llx moved from a chunk that has it no more "
        "to one "
        "that has it not yet, with values that did not travel",
        (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr,
        (unsigned long long)sb_hash64(sb_buf_view(&key)));
    return sb_err_hint(err,
        "Copy the table again: switchback copy --again '\"%.*s\".\"%.*s\"', then `switchback resume`.",
        (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr);
}

static int judge_row(const struct sb_judge *judge, const struct sb_frame *frame, struct sb_change *chg,
    bool *ret_skip, struct sb_err *err)
{
    enum sb_stamp_verdict verdict;
    if (sb_stamps_judge(judge->stamps, chg, frame->xid, frame->timeline, &verdict, err) != 0)
        return -1;
    *ret_skip = verdict == SB_STAMP_SEEN;
    if (verdict == SB_STAMP_OLD_HALF) {
        chg->op = SB_OP_DELETE;
        chg->after = NULL;
    } else if (verdict == SB_STAMP_NEW_HALF) {
        chg->op = SB_OP_INSERT;
        chg->before = NULL;
        chg->old_is_key = false;
        return insert_new_half(chg, err);
    }
    return 0;
}

static int judge_truncate(const struct sb_judge *judge, const struct sb_frame *frame,
    struct sb_batch_change *change, struct sb_arena *arena, bool *ret_skip, struct sb_err *err)
{
    uint16_t count = change->chg.truncated_count;
    struct sb_batch_cut *cuts = sb_arena_zalloc(arena, (count + 1u) * sizeof *cuts);
    bool whole = true, nothing = true;
    if (cuts == NULL)
        return sb_err_set(err, SB_E_LIMIT, "the batch arena is full");
    for (uint16_t i = 0; i < count; i++) {
        const struct sb_relation *rel = change->chg.truncated[i];
        struct sb_cat_table table;
        bool found;
        if (sb_stamps_truncate(judge->stamps, rel, frame->xid, frame->timeline, arena, &cuts[i].stamp, err) !=
                0 ||
            sb_catalog_table(judge->conn, rel->schema, rel->name, arena, &table, &found, err) != 0)
            return -1;
        cuts[i].parted = found && table.kind == 'p';
        whole = whole && cuts[i].stamp.whole;
        nothing = nothing && cuts[i].stamp.count == 0;
    }
    *ret_skip = nothing && count > 0;
    change->cuts = whole ? NULL : cuts;
    return 0;
}

int sb_judge_change(const struct sb_judge *judge, const struct sb_frame *frame,
    struct sb_batch_change *change, struct sb_arena *arena, bool *ret_skip, struct sb_err *err)
{
    *ret_skip = false;
    if (!judge->active)
        return 0;
    return change->chg.op == SB_OP_TRUNCATE ? judge_truncate(judge, frame, change, arena, ret_skip, err)
                                            : judge_row(judge, frame, &change->chg, ret_skip, err);
}
