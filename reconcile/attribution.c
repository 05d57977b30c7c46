#include "reconcile/attribution.h"

#include <string.h>

static const char *const names[] = {"unknown", "capture", "apply", "copy", "foreign"};

const char *sb_fault_of_name(enum sb_fault_of fault)
{
    return names[fault];
}

enum sb_fault_of sb_fault_of_find(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum sb_fault_of)i;
    return SB_FAULT_OF_UNKNOWN;
}

static enum sb_fault_of foreign(const struct sb_attribution_facts *facts, struct sb_buf *evidence)
{
    if (facts->rogue_op != NULL)
        sb_buf_putf(evidence, "the way back saw a foreign %s on the target at %s (%s)", facts->rogue_op,
            facts->rogue_at, facts->rogue_lsn);
    else if (facts->writer == SB_WRITER_NONE)
        sb_buf_putf(evidence,
            "the target's row was written at %s by a session without a replication origin, so not by us",
            facts->written_at);
    else
        sb_buf_putf(evidence,
            "the target's row was written at %s under the replication origin \"%s\", which is not ours",
            facts->written_at, facts->origin);
    return SB_FAULT_OF_FOREIGN;
}

/* As the initial copy wrote it. Then what it read is what counts. */
static enum sb_fault_of copied(const struct sb_attribution_facts *facts, struct sb_buf *evidence)
{
    sb_buf_putf(evidence, "the target's row is as the initial copy wrote it at %s", facts->copied_at);
    if (facts->copy_saw) {
        sb_buf_put_str(evidence, ", and the source's row is older than that");
        return SB_FAULT_OF_COPY;
    }
    if (facts->change_lsn != NULL) {
        sb_buf_putf(evidence, ", though the stream has a change of it at %s", facts->change_lsn);
        return SB_FAULT_OF_APPLY;
    }
    sb_buf_put_str(evidence,
        ", and the source's row was written or removed after that: the stream has not got the change, or "
        "apply lost it");
    return SB_FAULT_OF_UNKNOWN;
}

static enum sb_fault_of ours(const struct sb_attribution_facts *facts, struct sb_buf *evidence)
{
    sb_buf_putf(evidence, "%s wrote the target's row last, at %s",
        facts->writer == SB_WRITER_COPY ? "the initial copy" : "apply", facts->written_at);
    return facts->writer == SB_WRITER_COPY ? SB_FAULT_OF_COPY : SB_FAULT_OF_APPLY;
}

static void say_unknown(const struct sb_attribution_facts *facts, struct sb_buf *evidence)
{
    if (!facts->has_key)
        sb_buf_put_str(evidence, "the table has no key: its rows cannot be told from one another");
    else if (!facts->row_there)
        sb_buf_put_str(evidence, "the target has no such row, so nothing there says who removed it");
    else if (!facts->timestamps)
        sb_buf_put_str(
            evidence, "track_commit_timestamp is off on the target, so its row does not say who wrote it");
    else
        sb_buf_put_str(evidence,
            "the target has no commit time of the row's transaction any more: it is older than its "
            "commit timestamps");
    if (facts->has_key && !facts->way_back)
        sb_buf_put_str(evidence, "; a way back (reverse.enabled) would have recorded foreign writes");
    if (facts->has_key && facts->way_back_late)
        sb_buf_put_str(evidence, "; the way back has not seen all that was written on the target yet");
}

enum sb_fault_of sb_attribution_judge(const struct sb_attribution_facts *facts, struct sb_buf *evidence)
{
    if (facts->source_differs) {
        sb_buf_put_str(evidence, "the source's row is not what the stream says of it");
        return SB_FAULT_OF_CAPTURE;
    }
    if (facts->skipped_lsn != NULL) {
        sb_buf_putf(evidence, "a change of it was skipped on an operator's word: the transaction at %s",
            facts->skipped_lsn);
        return SB_FAULT_OF_APPLY;
    }
    if (facts->copied_at != NULL) /* whose origin is none that exists */
        return copied(facts, evidence);
    if (facts->rogue_op != NULL || facts->writer == SB_WRITER_OTHER || facts->writer == SB_WRITER_NONE)
        return foreign(facts, evidence);
    if (facts->writer != SB_WRITER_UNKNOWN)
        return ours(facts, evidence);
    say_unknown(facts, evidence);
    return SB_FAULT_OF_UNKNOWN;
}
