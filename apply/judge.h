/*
 * The judge: what the initial copy has already is not applied again. Asks the stamps (apply/stamps has the
 * rule) about each change until a commit lies beyond them all; from there on everything is newer.
 */
#ifndef SB_APPLY_JUDGE_H
#define SB_APPLY_JUDGE_H

#include "apply/aside.h"
#include "apply/batch.h"
#include "apply/progress.h"
#include "apply/stamps.h"
#include "schemas/frame.h"

struct sb_judge {
    struct sb_conn *conn;
    struct sb_stamps
        *stamps; /* NULL: there are none. Kept when passed: TRUNCATEs in a batch point into them */
    bool active; /* commits are not beyond them yet */
};

/* The stamps that commits behind this progress must be judged by. */
int sb_judge_init(struct sb_judge *judge, struct sb_conn *conn, const struct sb_progress *progress,
    const struct sb_aside *aside, struct sb_err *err);
void sb_judge_clear(struct sb_judge *judge);

/* Is the frame of a younger timeline than stamps that are in force? */
bool sb_judge_is_forked(const struct sb_judge *judge, const struct sb_frame *frame);
/* A commit, or a change of it, has been read: is it beyond all stamps? */
void sb_judge_pass(struct sb_judge *judge, const struct sb_frame *frame);
enum sb_judged {
    SB_JUDGED_APPLY,
    SB_JUDGED_SKIP,    /* the copied rows have it */
    SB_JUDGED_SUSPECT, /* its new row has values that are nowhere (apply/suspects) */
};
/* Is the change newer than the copied rows? What is only partly newer becomes that part. What that takes
 * lives in arena. SB-COPY-INCOMPLETE if it cannot be told. */
int sb_judge_change(const struct sb_judge *judge, const struct sb_frame *frame,
    struct sb_batch_change *change, struct sb_arena *arena, enum sb_judged *ret_judged, struct sb_err *err);
/* Behind a suspect: which keys have to be read again? */
int sb_judge_survey(const struct sb_judge *judge, const struct sb_frame *frame, const struct sb_change *chg,
    struct sb_suspects *suspects, struct sb_err *err);

#endif
