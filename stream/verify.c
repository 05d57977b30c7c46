#include "stream/verify.h"

#include "stream/tail.h"
#include "stream/walk.h"

#include <string.h>

struct verify {
    struct sb_stream *stream;
    struct sb_walk *walk;
    int64_t to;
    struct sb_verify_report *report;
};

struct pending { /* of the transaction in flight */
    uint64_t changes, messages;
};

/* Where a proof may begin: at an `open`, whose base is taken as given, or behind a `commit`. */
struct anchor {
    int64_t at;    /* the record itself; -1: none */
    int64_t begin; /* where the proof is fed from */
    struct sb_position position;
};

/* Errors of the log's content; anything else means that it cannot be read now. */
static bool is_damage(const struct sb_err *err)
{
    switch (err->code) {
    case SB_E_LOG_GAP:
    case SB_E_LOG_TRUNCATED:
    case SB_E_LOG_FOREIGN:
    case SB_E_LOG_CORRUPT:
    case SB_E_LOG_FORMAT:
    case SB_E_EPOCH_CLASH:
    case SB_E_SOURCE_REWOUND:
    case SB_E_SCHEMA_INVALID:
    case SB_E_SCHEMA_MISMATCH:
    case SB_E_VALUE_INVALID:
    case SB_E_LIMIT:
        return true;
    default:
        return false;
    }
}

static void anchor_open(const struct sb_walk_record *record, struct anchor *anchor)
{
    const struct sb_open *open = &record->open;
    anchor->at = anchor->begin = record->offset;
    anchor->position = (struct sb_position){0};
    if (open->base_commit_lsn != 0) /* of an epoch before: whichever, the open supersedes it */
        anchor->position = (struct sb_position){.epoch = open->epoch - 1,
            .sequence = open->base_sequence,
            .commit_lsn = open->base_commit_lsn,
            .chain = open->base_chain};
}

static void anchor_commit(const struct sb_walk_record *record, struct anchor *anchor)
{
    anchor->at = record->offset;
    anchor->begin = record->offset + 1;
    anchor->position = (struct sb_position){.epoch = record->frame.epoch,
        .sequence = record->frame.sequence,
        .commit_lsn = record->commit.commit_lsn,
        .chain = record->commit.chain};
}

struct damage { /* the first met on the way to an anchor */
    bool met;
    int64_t at; /* -1: could not be read */
    struct sb_err err;
};

/* The first open or commit at or behind from. What cannot be read on the way is stepped over. */
static int find_anchor(struct verify *verify, int64_t from, struct anchor *ret_anchor,
    struct damage *ret_damage, struct sb_err *err)
{
    struct sb_walk_record record;
    *ret_anchor = (struct anchor){.at = -1};
    *ret_damage = (struct damage){.at = -1};
    while (from < verify->to) {
        int result = sb_walk_look(verify->walk, from, err);
        sb_walk_limit(verify->walk, verify->to);
        while (result == 0 && (result = sb_walk_next(verify->walk, &record, err)) == 0) {
            from = record.offset + 1;
            if (record.verdict == SB_VERDICT_DROP)
                continue;
            if (record.frame.kind == SB_KIND_OPEN && record.open.epoch > 0)
                anchor_open(&record, ret_anchor);
            else if (record.frame.kind == SB_KIND_COMMIT)
                anchor_commit(&record, ret_anchor);
            if (ret_anchor->at >= 0)
                return 0;
        }
        if (result > 0)
            return 0;
        if (!is_damage(err))
            return -1;
        int64_t at = sb_walk_offset(verify->walk);
        if (!ret_damage->met)
            *ret_damage = (struct damage){.met = true, .at = at, .err = *err};
        from = (at >= 0 ? at : from) + 1;
    }
    return 0;
}

/* A transaction counts with its commit. */
static void count_commit(
    struct sb_verify_report *report, struct pending *pending, const struct sb_walk_record *record)
{
    if (record->verdict == SB_VERDICT_REPEAT) {
        report->repeated++;
        return;
    }
    report->transactions++;
    report->changes += pending->changes;
    report->messages += pending->messages;
    if (report->first_commit_lsn == 0)
        report->first_commit_lsn = record->commit.commit_lsn;
}

static void count_opens(struct sb_verify_report *report, const struct sb_walk_record *record)
{
    if (record->frame.epoch != report->last_epoch)
        report->epochs++;
    report->last_epoch = record->frame.epoch;
    if (report->first_epoch == 0)
        report->first_epoch = record->frame.epoch;
    report->holes += record->open.hole_from_lsn != 0;
    report->abandoned += record->verdict == SB_VERDICT_ABANDON;
}

static void count(
    struct sb_verify_report *report, struct pending *pending, const struct sb_walk_record *record)
{
    if (record->verdict == SB_VERDICT_DROP) {
        report->dropped++;
        return;
    }
    report->records++;
    switch (record->frame.kind) {
    case SB_KIND_OPEN:
        count_opens(report, record);
        *pending = (struct pending){0};
        break;
    case SB_KIND_SCHEMA:
        report->schemas++;
        break;
    case SB_KIND_CHANGE:
        pending->changes++;
        break;
    case SB_KIND_MESSAGE:
        pending->messages++;
        break;
    case SB_KIND_COMMIT:
        count_commit(report, pending, record);
        *pending = (struct pending){0};
        break;
    case SB_KIND_IMAGE:
    case SB_KIND_PART:
        break;
    }
}

/* From the anchor to the end or the next break: 0, or -1 with why. */
static int prove(struct verify *verify, const struct anchor *anchor, struct sb_err *err)
{
    struct sb_verify_report *report = verify->report;
    struct sb_walk_record record;
    struct pending pending = {0};
    if (sb_walk_prove(verify->walk, anchor->begin, &anchor->position, err) != 0)
        return -1;
    sb_walk_limit(verify->walk, verify->to);
    if (anchor->begin != anchor->at) { /* behind a commit: in the midst of its epoch */
        report->epochs += anchor->position.epoch != report->last_epoch;
        report->last_epoch = anchor->position.epoch;
        if (report->first_epoch == 0)
            report->first_epoch = anchor->position.epoch;
    }
    int result;
    while ((result = sb_walk_next(verify->walk, &record, err)) == 0) {
        count(report, &pending, &record);
        report->proven_to = record.offset;
    }
    report->position = sb_proof_position(sb_walk_proof(verify->walk));
    report->in_flight = result < 0 ? 0 : sb_proof_in_flight(sb_walk_proof(verify->walk));
    return result < 0 ? -1 : 0;
}

/* Does the log still begin at its beginning, and does `from` ask for it? */
static int at_beginning(struct verify *verify, int64_t from, bool *ret_beginning, struct sb_err *err)
{
    struct sb_walk_record record;
    *ret_beginning = false;
    if (from > verify->report->oldest)
        return 0;
    if (sb_walk_look(verify->walk, verify->report->oldest, err) != 0)
        return is_damage(err) ? 0 : -1;
    sb_walk_limit(verify->walk, verify->report->next);
    int result = sb_walk_next(verify->walk, &record, err);
    if (result < 0)
        return is_damage(err) ? 0 : -1;
    *ret_beginning =
        result == SB_STREAM_END || (record.frame.kind == SB_KIND_OPEN && record.frame.sequence == 1);
    return 0;
}

static void note_break(struct sb_verify_report *report, const struct sb_verify_break *one)
{
    if (report->break_count < SB_VERIFY_BREAKS_MAX)
        report->breaks[report->break_count] = *one;
    report->break_count++;
    report->mended_count += one->mended;
}

/* A hole that an open of a later epoch mends: the walk goes on there from where the proof stands. */
static bool find_mending(struct verify *verify, const struct sb_verify_break *hole, struct anchor *ret_anchor)
{
    const struct sb_position *position = &verify->report->position;
    struct sb_err ignored;
    int64_t offset;
    if (hole->err.code != SB_E_LOG_GAP || position->commit_lsn == 0 ||
        sb_tail_locate_superseding(verify->stream, position, hole->after + 1, &offset, &ignored) != 0 ||
        offset >= verify->to)
        return false;
    *ret_anchor = (struct anchor){.at = offset, .begin = offset, .position = *position};
    return true;
}

/* Where to look for the next anchor, after a break in what followed this one. */
static int64_t behind_break(const struct anchor *anchor, int64_t after, int64_t at)
{
    int64_t onward = at >= 0 ? at : (after > anchor->begin ? after : anchor->begin) + 1;
    return onward > anchor->at ? onward : anchor->at + 1;
}

/* Where the walk goes on behind a break; at -1: nowhere. */
static int behind(
    struct verify *verify, struct sb_verify_break *one, struct anchor *anchor, struct sb_err *err)
{
    struct anchor last = *anchor;
    struct damage ignored;
    one->mended = find_mending(verify, one, anchor);
    if (!one->mended &&
        find_anchor(verify, behind_break(&last, one->after, one->at), anchor, &ignored, err) != 0)
        return -1;
    one->resume = anchor->at;
    return 0;
}

static int run(struct verify *verify, int64_t from, struct sb_err *err)
{
    struct sb_verify_report *report = verify->report;
    struct anchor anchor;
    struct damage damage;
    if (at_beginning(verify, from, &report->from_beginning, err) != 0 ||
        find_anchor(verify, from, &anchor, &damage, err) != 0)
        return -1;
    if (damage.met)
        note_break(report,
            &(struct sb_verify_break){.after = -1, .at = damage.at, .resume = anchor.at, .err = damage.err});
    report->anchor = anchor.at;
    while (anchor.at >= 0 && report->break_count < SB_VERIFY_BREAKS_MAX) {
        if (prove(verify, &anchor, err) == 0)
            return 0;
        if (!is_damage(err))
            return -1;
        struct sb_verify_break one = {
            .after = report->proven_to, .at = sb_walk_offset(verify->walk), .err = *err};
        if (behind(verify, &one, &anchor, err) != 0)
            return -1;
        note_break(report, &one);
    }
    return 0;
}

int sb_verify(struct sb_stream *stream, int64_t from, int64_t to, struct sb_verify_report *ret_report,
    struct sb_err *err)
{
    struct sb_stream_bounds bounds;
    struct verify verify = {.stream = stream, .report = ret_report};
    memset(ret_report, 0, sizeof *ret_report);
    ret_report->anchor = ret_report->proven_to = -1;
    if (sb_stream_bounds(stream, &bounds, err) != 0)
        return -1;
    ret_report->oldest = bounds.oldest;
    ret_report->next = bounds.next;
    verify.to = to >= 0 && to < bounds.next ? to : bounds.next;
    if (sb_walk_new(stream, &verify.walk, err) != 0)
        return -1;
    int result = run(&verify, from > bounds.oldest ? from : bounds.oldest, err);
    sb_walk_free(verify.walk);
    return result;
}
