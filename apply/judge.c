#include "apply/judge.h"

#include "apply/copied.h"
#include "core/log.h"

int sb_judge_init(struct sb_judge *judge, struct sb_conn *conn, const struct sb_progress *progress,
    const struct sb_aside *aside, struct sb_err *err)
{
    *judge = (struct sb_judge){.conn = conn};
    if (sb_copied_stamps(conn, progress, aside, &judge->stamps, err) != 0)
        return -1;
    judge->active = judge->stamps != NULL;
    return 0;
}

void sb_judge_clear(struct sb_judge *judge)
{
    sb_stamps_free(judge->stamps);
    judge->stamps = NULL;
}

bool sb_judge_is_forked(const struct sb_judge *judge, const struct sb_frame *frame)
{
    return judge->active && frame->timeline > sb_stamps_timeline(judge->stamps);
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
static bool is_whole(const struct sb_change *chg)
{
    for (uint16_t i = 0; i < chg->rel->col_count; i++)
        if (chg->after[i].state == SB_COL_UNCHANGED)
            return false;
    return true;
}

static int judge_row(const struct sb_judge *judge, const struct sb_frame *frame, struct sb_change *chg,
    enum sb_judged *ret_judged, struct sb_err *err)
{
    enum sb_stamp_verdict verdict;
    if (sb_stamps_judge(judge->stamps, chg, frame->xid, frame->timeline, &verdict, err) != 0)
        return -1;
    if (verdict == SB_STAMP_SEEN) {
        *ret_judged = SB_JUDGED_SKIP;
    } else if (verdict == SB_STAMP_OLD_HALF) {
        chg->op = SB_OP_DELETE;
        chg->after = NULL;
    } else if (verdict == SB_STAMP_NEW_HALF && !is_whole(chg)) {
        *ret_judged = SB_JUDGED_SUSPECT;
    } else if (verdict == SB_STAMP_NEW_HALF) {
        chg->op = SB_OP_INSERT;
        chg->before = NULL;
        chg->old_is_key = false;
    }
    return 0;
}

static int cut_of(const struct sb_judge *judge, const struct sb_frame *frame, const struct sb_relation *rel,
    struct sb_arena *arena, struct sb_stamp_cut *ret_cut, struct sb_err *err)
{
    if (judge->active)
        return sb_stamps_truncate(judge->stamps, rel, frame->xid, frame->timeline, arena, ret_cut, err);
    *ret_cut = (struct sb_stamp_cut){.rel = rel, .whole = true, .count = 1};
    return 0;
}

static int judge_truncate(const struct sb_judge *judge, const struct sb_frame *frame,
    struct sb_batch_change *change, struct sb_arena *arena, enum sb_judged *ret_judged, struct sb_err *err)
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
        if (cut_of(judge, frame, rel, arena, &cuts[i].stamp, err) != 0 ||
            sb_catalog_table(judge->conn, rel->schema, rel->name, arena, &table, &found, err) != 0)
            return -1;
        cuts[i].parted = found && table.kind == 'p';
        whole = whole && cuts[i].stamp.whole;
        nothing = nothing && cuts[i].stamp.count == 0;
    }
    if (nothing && count > 0)
        *ret_judged = SB_JUDGED_SKIP;
    change->cuts = whole && !change->split ? NULL : cuts;
    return 0;
}

int sb_judge_change(const struct sb_judge *judge, const struct sb_frame *frame,
    struct sb_batch_change *change, struct sb_arena *arena, enum sb_judged *ret_judged, struct sb_err *err)
{
    *ret_judged = SB_JUDGED_APPLY;
    if (!judge->active && !change->split)
        return 0;
    return change->chg.op == SB_OP_TRUNCATE ? judge_truncate(judge, frame, change, arena, ret_judged, err)
                                            : judge_row(judge, frame, &change->chg, ret_judged, err);
}

int sb_judge_survey(const struct sb_judge *judge, const struct sb_frame *frame, const struct sb_change *chg,
    struct sb_suspects *suspects, struct sb_err *err)
{
    return sb_stamps_survey(judge->stamps, chg, frame->xid, frame->timeline, suspects, err);
}
