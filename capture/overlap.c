#include "capture/overlap.h"

#include "core/clock.h"
#include "core/log.h"
#include "schemas/digest.h"
#include "stream/tail.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

enum {
    PATIENCE_MS = 20000, /* a store that says it has records must give one within this time */
    POLL_MS = 20,
    BODY_ARENA_BYTES = 1 << 16,
};

struct sb_overlap {
    struct sb_overlap_facts facts;
    struct sb_codec *codec;
    struct sb_stream *reader; /* NULL: all of it is a hole */
    struct sb_arena *arena;
    int64_t next;              /* offset of the next record to be read */
    int64_t limit;             /* what was there when the overlap began */
    uint64_t epoch;            /* highest seen: records of lower ones are a zombie's */
    struct sb_commit expected; /* the stream's next commit; its commit_lsn 0: none left */
    uint64_t expected_before;  /* LSN of the one before it, 0 if none was read */
    uint64_t pass_below;       /* commits below this position are not retained: passed over */
    bool chain_known;          /* chain is that after the commit delivered last */
    struct sb_digest chain;
    bool started;
    bool done;
    uint64_t compared;
};

/* -- the stream's commits, in order ------------------------------------------------------------------------
 */

static int read_patiently(struct sb_overlap *over, struct sb_record *ret_record, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + PATIENCE_MS;
    for (;;) {
        int rc = sb_stream_read(over->reader, ret_record, err);
        if (rc != SB_STREAM_END)
            return rc;
        if (sb_clock_mono_ms() >= deadline_ms)
            return sb_err_set(err, SB_E_STREAM_UNAVAILABLE,
                "the stream ends at offset %" PRId64 " but gives nothing from %" PRId64, over->limit,
                over->next);
        struct pollfd file = {.fd = sb_stream_fd(over->reader), .events = POLLIN};
        poll(&file, file.fd >= 0, POLL_MS);
    }
}

enum { NO_MORE = 1 };

static int next_record(struct sb_overlap *over, struct sb_record *ret_record, struct sb_err *err)
{
    if (over->next >= over->limit)
        return NO_MORE;
    if (read_patiently(over, ret_record, err) != 0)
        return -1;
    over->next = ret_record->offset + 1;
    return ret_record->offset < over->limit ? 0 : NO_MORE;
}

/* A hole that an `open` declares cannot be compared, only passed. */
static int note_open(struct sb_overlap *over, const struct sb_record *record, struct sb_err *err)
{
    struct sb_open open;
    sb_arena_reset(over->arena);
    if (sb_codec_read_open(over->codec, record->body, over->arena, &open, err) != 0)
        return sb_err_add(err, "open record at offset %" PRId64, record->offset);
    if (open.hole_from_lsn != 0 && open.base_commit_lsn >= over->pass_below)
        over->pass_below = open.base_commit_lsn + 1;
    return 0;
}

/* Advance `expected`: past what a zombie wrote late, and past repeats of what was expected before. */
static int next_expected(struct sb_overlap *over, struct sb_err *err)
{
    struct sb_record record;
    int rc;
    over->expected_before = over->expected.commit_lsn > 0 ? over->expected.commit_lsn : over->expected_before;
    over->expected = (struct sb_commit){0};
    while ((rc = next_record(over, &record, err)) == 0) {
        const struct sb_frame *frame = &record.frame;
        if (frame->epoch < over->epoch)
            continue;
        over->epoch = frame->epoch;
        if (frame->kind == SB_KIND_OPEN && note_open(over, &record, err) != 0)
            return -1;
        if (frame->kind != SB_KIND_COMMIT || frame->commit_lsn <= over->expected_before ||
            frame->commit_lsn < over->facts.confirmed)
            continue;
        if (frame->commit_lsn > over->facts.until)
            return 0; /* behind the tail: none of ours */
        if (sb_codec_read_commit(over->codec, record.body, &over->expected, err) != 0)
            return sb_err_add(err, "commit record at offset %" PRId64, record.offset);
        return 0;
    }
    return rc < 0 ? -1 : 0;
}

/* -- beginning ---------------------------------------------------------------------------------------------
 */

/*
 * The stream has no commit at C, where the slot stands. Either it does not hold that stretch, then it is
 * passed over up to the first commit there is; or it does, and the slot was never confirmed there by us.
 */
static int judge_first(struct sb_overlap *over, int64_t oldest, int64_t found, struct sb_err *err)
{
    int64_t from = found - oldest > SB_TAIL_WINDOW ? found - SB_TAIL_WINDOW : oldest;
    int64_t first_next = over->next, limit = over->limit;
    uint64_t epoch = over->epoch, pass_before = over->pass_below;
    bool held = false;
    struct sb_record record;
    int rc = from < found ? sb_stream_seek(over->reader, from, err) : 0;
    over->next = from;
    over->limit = found;
    while (rc == 0 && (rc = next_record(over, &record, err)) == 0) {
        bool beginning = record.frame.kind == SB_KIND_OPEN && record.frame.sequence == 1;
        held = held || beginning || record.frame.commit_lsn != 0;
        if (record.frame.kind == SB_KIND_OPEN && note_open(over, &record, err) != 0)
            return -1;
    }
    over->next = first_next;
    over->limit = limit;
    over->epoch = epoch;
    if (rc < 0 || (over->next < over->limit && sb_stream_seek(over->reader, over->next, err) != 0))
        return -1;
    bool hole = over->pass_below > pass_before && over->facts.confirmed < over->pass_below;
    if (held && !hole && over->facts.confirmed > over->facts.slot_began) {
        char lsn[SB_LSN_TEXT_BYTES];
        return sb_err_set(err, SB_E_SLOT_MOVED,
            "the slot stands at %s, where the stream, which holds that stretch, has no commit",
            sb_lsn_text(over->facts.confirmed, lsn));
    }
    if (!held) {
        uint64_t below = over->expected.commit_lsn > 0 ? over->expected.commit_lsn : over->facts.until;
        over->pass_below = below > over->pass_below ? below : over->pass_below;
    }
    return 0;
}

static int begin(struct sb_overlap *over, struct sb_err *err)
{
    struct sb_stream_bounds bounds;
    int64_t found;
    if (sb_stream_bounds(over->reader, &bounds, err) != 0 ||
        sb_tail_locate_lsn(over->reader, over->facts.confirmed, &found, err) != 0)
        return -1;
    over->next = found;
    over->limit = bounds.next;
    if (found < over->limit && sb_stream_seek(over->reader, found, err) != 0)
        return -1;
    if (next_expected(over, err) != 0)
        return -1;
    return over->expected.commit_lsn == over->facts.confirmed ? 0
                                                              : judge_first(over, bounds.oldest, found, err);
}

int sb_overlap_new(const struct sb_stream_options *stream, struct sb_codec *codec,
    const struct sb_overlap_facts *facts, struct sb_overlap **ret_overlap, struct sb_err *err)
{
    struct sb_overlap *over = calloc(1, sizeof *over);
    if (over == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory to compare the overlap");
    over->facts = *facts;
    over->codec = codec;
    over->arena = sb_arena_new("overlap", BODY_ARENA_BYTES);
    if (over->arena == NULL) {
        sb_overlap_free(over);
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory to compare the overlap");
    }
    if (stream == NULL)
        over->pass_below = facts->until;
    else if (sb_stream_open(stream, SB_STREAM_READ, &over->reader, err) != 0 || begin(over, err) != 0) {
        sb_overlap_free(over);
        return sb_err_add(err, "reading what the stream holds of the overlap");
    }
    *ret_overlap = over;
    return 0;
}

void sb_overlap_free(struct sb_overlap *over)
{
    if (over == NULL)
        return;
    sb_stream_close(over->reader);
    sb_arena_free(over->arena);
    free(over);
}

/* -- comparing ---------------------------------------------------------------------------------------------
 */

static int rewound(uint64_t lsn, const char *what, struct sb_err *err)
{
    char text[SB_LSN_TEXT_BYTES];
    return sb_err_set(
        err, SB_E_SOURCE_REWOUND, "the commit at %s, captured before, %s", sb_lsn_text(lsn, text), what);
}

static int compare(struct sb_overlap *over, const struct sb_commit *commit, struct sb_err *err)
{
    const struct sb_commit *want = &over->expected;
    if (commit->xid != want->xid)
        return rewound(want->commit_lsn, "is another transaction on the source now", err);
    if (commit->count != want->count || !sb_digest_eq(&commit->digest, &want->digest))
        return rewound(want->commit_lsn, "has other content on the source now", err);
    if (over->chain_known) {
        struct sb_digest chain = sb_digest_chain(&over->chain, commit);
        if (!sb_digest_eq(&chain, &want->chain)) {
            char text[SB_LSN_TEXT_BYTES];
            return sb_err_set(err, SB_E_LOG_CORRUPT,
                "the chain that the stream states for its commit at %s does not follow from the one before",
                sb_lsn_text(want->commit_lsn, text));
        }
    }
    over->chain = want->chain;
    over->chain_known = true;
    over->compared++;
    return want->commit_lsn == over->facts.until ? 0 : next_expected(over, err);
}

/* A commit that the stream cannot say anything about. */
static int pass_over(struct sb_overlap *over, const struct sb_commit *commit, struct sb_err *err)
{
    bool last = commit->commit_lsn == over->facts.until;
    if (commit->commit_lsn >= over->pass_below && !last)
        return rewound(
            commit->commit_lsn, "is on the source now, but was not when the stream passed it", err);
    over->chain_known = last;
    over->chain = over->facts.until_chain;
    return 0;
}

static int check_order(struct sb_overlap *over, const struct sb_commit *commit, struct sb_err *err)
{
    bool first = !over->started;
    over->started = true;
    if (over->expected.commit_lsn != 0 && over->expected.commit_lsn < commit->commit_lsn)
        return rewound(over->expected.commit_lsn, "is not on the source any more", err);
    if (first && over->facts.confirmed > over->facts.slot_began &&
        commit->commit_lsn != over->facts.confirmed)
        return rewound(over->facts.confirmed, "is not on the source any more", err);
    if (commit->commit_lsn > over->facts.until)
        return rewound(over->facts.until, "is not on the source any more", err);
    return 0;
}

int sb_overlap_commit(struct sb_overlap *over, const struct sb_commit *commit, struct sb_digest *ret_chain,
    bool *ret_known, bool *ret_done, struct sb_err *err)
{
    if (check_order(over, commit, err) != 0)
        return -1;
    bool known = over->expected.commit_lsn == commit->commit_lsn;
    if ((known ? compare(over, commit, err) : pass_over(over, commit, err)) != 0)
        return -1;
    over->done = commit->commit_lsn == over->facts.until;
    if (over->done && known && !sb_digest_eq(&over->chain, &over->facts.until_chain))
        return sb_err_set(err, SB_E_LOG_CORRUPT, "the stream states two chains for its last commit");
    *ret_chain = over->chain;
    *ret_known = over->chain_known;
    *ret_done = over->done;
    return 0;
}

int sb_overlap_reached(const struct sb_overlap *over, uint64_t wal_lsn, struct sb_err *err)
{
    if (over->done || wal_lsn <= over->facts.until)
        return 0;
    return rewound(over->facts.until, "is not on the source any more", err);
}

uint64_t sb_overlap_compared(const struct sb_overlap *over)
{
    return over->compared;
}
