/*
 * The reader's proof. Three pieces of state, each moved in one place only:
 *
 *   read   epoch and sequence of the newest record accepted: moves with every frame that is not dropped;
 *   line   the commit at which the current epoch's chain stands: set by an `open` to its base, moved by every
 *          proven commit;
 *   held   the reader's own position: what it has, or is about to have, in effect. Never moves back.
 *
 * Normally line and held are the same commit. After an `open` whose base lies behind held, the line runs over
 * commits again (repeats) until it meets held exactly: same commit LSN, same chain. Since the chain joins
 * everything before it, that one comparison proves that the repeated history is ours. If the line passes held
 * without meeting it, the source told another story the second time.
 *
 * Nothing is undone on failure: a reader whose proof has failed stops, and begins anew at its position.
 */
#include "stream/proof.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line { /* a commit in the chain; all zero: before the first */
    uint64_t lsn;
    struct sb_digest chain;
};

struct sb_proof {
    struct sb_uuid stream;
    uint16_t lane;
    struct sb_position held;
    struct line line;
    uint64_t epoch; /* read; 0: nothing yet, and held is all zero */
    uint64_t sequence;
    /* Hash of the body of the epoch's `open`; 0 if the reader began behind it. */
    uint64_t open_hash;
    enum sb_kind due;    /* a whole record was accepted whose sb_proof_* call has not come; 0: none */
    uint32_t parts_left; /* of the record in parts being read */
    /* The transaction in flight. */
    uint64_t txn_lsn; /* 0: none */
    uint64_t txn_xid;
    uint64_t txn_count;
    struct sb_digester *digester;
};

static const struct sb_digest no_digest;

static bool repeating(const struct sb_proof *proof)
{
    return proof->line.lsn < proof->held.commit_lsn;
}

struct sb_proof *sb_proof_new(
    const struct sb_uuid *stream, uint16_t lane, const struct sb_position *start, struct sb_err *err)
{
    bool nothing = start->epoch == 0 && start->sequence == 0 && start->commit_lsn == 0 &&
                   sb_digest_eq(&start->chain, &no_digest);
    if (!nothing && (start->epoch == 0 || start->sequence == 0 || start->commit_lsn == 0)) {
        sb_err_set(err, SB_E_PROGRESS_LOST,
            "the position to start at is neither behind a commit nor the beginning (epoch %" PRIu64
            ", sequence %" PRIu64 ", commit %X/%X)",
            start->epoch, start->sequence, (unsigned)(start->commit_lsn >> 32), (unsigned)start->commit_lsn);
        return NULL;
    }
    struct sb_proof *proof = calloc(1, sizeof *proof);
    struct sb_digester *digester = sb_digester_new();
    if (!proof || !digester) {
        free(proof);
        sb_digester_free(digester);
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for the proof of the stream");
        return NULL;
    }
    proof->stream = *stream;
    proof->lane = lane;
    proof->held = *start;
    proof->line = (struct line){.lsn = start->commit_lsn, .chain = start->chain};
    proof->epoch = start->epoch;
    proof->sequence = start->sequence;
    proof->digester = digester;
    return proof;
}

void sb_proof_free(struct sb_proof *proof)
{
    if (!proof)
        return;
    sb_digester_free(proof->digester);
    free(proof);
}

struct sb_position sb_proof_position(const struct sb_proof *proof)
{
    return proof->held;
}

uint64_t sb_proof_in_flight(const struct sb_proof *proof)
{
    return proof->txn_count;
}

/* -- frames ------------------------------------------------------------------------------------------- */

#define LSN_FMT       "%X/%X"
#define LSN_ARGS(lsn) (unsigned)((lsn) >> 32), (unsigned)(lsn)

/* What a frame carries in the end: its own kind, or that of which it is a part. */
static enum sb_kind frame_kind(const struct sb_frame *frame)
{
    return frame->kind == SB_KIND_PART ? frame->part_of : frame->kind;
}

static int frame_fail(const struct sb_frame *frame, enum sb_code code, const char *why, struct sb_err *err)
{
    return sb_err_set(err, code, "record of epoch %" PRIu64 ", sequence %" PRIu64 " (%s): %s", frame->epoch,
        frame->sequence, sb_kind_name(frame_kind(frame)), why);
}

/* Is it of this log at all, and of a kind that this reader can prove? */
static int check_home(const struct sb_proof *proof, const struct sb_frame *frame, struct sb_err *err)
{
    if (!sb_uuid_eq(&frame->stream, &proof->stream)) {
        char ours[SB_UUID_TEXT_BYTES], theirs[SB_UUID_TEXT_BYTES];
        return sb_err_set(err, SB_E_LOG_FOREIGN,
            "record of epoch %" PRIu64 ", sequence %" PRIu64 " is of stream %s, not of %s", frame->epoch,
            frame->sequence, sb_uuid_text(&frame->stream, theirs), sb_uuid_text(&proof->stream, ours));
    }
    if (frame->lane != proof->lane)
        return sb_err_set(err, SB_E_LOG_FOREIGN,
            "record of epoch %" PRIu64 ", sequence %" PRIu64 " is of lane %u, not of %u", frame->epoch,
            frame->sequence, frame->lane, proof->lane);
    if (frame->epoch == 0 || frame->sequence == 0)
        return frame_fail(frame, SB_E_LOG_CORRUPT, "epochs and sequences begin at 1", err);
    if (frame_kind(frame) == SB_KIND_IMAGE)
        return frame_fail(frame, SB_E_LOG_FORMAT, "this program cannot read images yet", err);
    return 0;
}

/* Two incarnations that claimed the same epoch show themselves by their `open` records. */
static int check_clash(const struct sb_proof *proof, const struct sb_frame *frame, struct sb_err *err)
{
    if (frame->kind == SB_KIND_OPEN && proof->open_hash != 0 && frame->body_hash != proof->open_hash)
        return frame_fail(
            frame, SB_E_EPOCH_CLASH, "another incarnation opened this epoch with other content before", err);
    return 0;
}

/* A change, message or commit: does it belong to the transaction in flight, or begin the next one? */
static int check_transaction(const struct sb_proof *proof, const struct sb_frame *frame, struct sb_err *err)
{
    bool commit = frame_kind(frame) == SB_KIND_COMMIT;
    if (proof->txn_lsn != 0) {
        if (frame->commit_lsn != proof->txn_lsn || frame->xid != proof->txn_xid)
            return sb_err_set(err, SB_E_LOG_CORRUPT,
                "record of epoch %" PRIu64 ", sequence %" PRIu64 " (%s) is of the transaction at " LSN_FMT
                ", xid %" PRIu64 ", inside that at " LSN_FMT ", xid %" PRIu64,
                frame->epoch, frame->sequence, sb_kind_name(frame_kind(frame)), LSN_ARGS(frame->commit_lsn),
                frame->xid, LSN_ARGS(proof->txn_lsn), proof->txn_xid);
    } else if (frame->commit_lsn <= proof->line.lsn) {
        return sb_err_set(err, SB_E_LOG_CORRUPT,
            "record of epoch %" PRIu64 ", sequence %" PRIu64 " (%s) begins the transaction at " LSN_FMT
            " behind the commit at " LSN_FMT " that precedes it",
            frame->epoch, frame->sequence, sb_kind_name(frame_kind(frame)), LSN_ARGS(frame->commit_lsn),
            LSN_ARGS(proof->line.lsn));
    } else if (repeating(proof) && frame->commit_lsn > proof->held.commit_lsn) {
        return sb_err_set(err, SB_E_SOURCE_REWOUND,
            "captured anew from " LSN_FMT ", the source goes on at " LSN_FMT
            " and leaves out the commit at " LSN_FMT " that was taken before",
            LSN_ARGS(proof->line.lsn), LSN_ARGS(frame->commit_lsn), LSN_ARGS(proof->held.commit_lsn));
    }
    uint64_t ordinal = commit ? 0 : proof->txn_count + 1;
    if (frame->ordinal != ordinal)
        return sb_err_set(err, SB_E_LOG_CORRUPT,
            "record of epoch %" PRIu64 ", sequence %" PRIu64 " (%s) has ordinal %" PRIu64
            " in its transaction where %" PRIu64 " is due",
            frame->epoch, frame->sequence, sb_kind_name(frame_kind(frame)), frame->ordinal, ordinal);
    return 0;
}

static int judge_open(const struct sb_proof *proof, const struct sb_frame *frame,
    enum sb_verdict *ret_verdict, struct sb_err *err)
{
    if (frame->epoch == proof->epoch)
        return frame_fail(frame, SB_E_LOG_CORRUPT, "an open record inside its own epoch", err);
    *ret_verdict = proof->txn_lsn != 0 || proof->parts_left != 0 ? SB_VERDICT_ABANDON : SB_VERDICT_TAKE;
    return 0;
}

/* The frame is the next of its epoch, or the first of a higher one. */
static int judge_next(const struct sb_proof *proof, const struct sb_frame *frame,
    enum sb_verdict *ret_verdict, struct sb_err *err)
{
    switch (frame_kind(frame)) {
    case SB_KIND_OPEN:
        return judge_open(proof, frame, ret_verdict, err);
    case SB_KIND_SCHEMA:
        *ret_verdict = SB_VERDICT_TAKE; /* learned even while repeating: later records need it */
        return 0;
    case SB_KIND_CHANGE:
    case SB_KIND_MESSAGE:
    case SB_KIND_COMMIT:
        if (check_transaction(proof, frame, err) != 0)
            return -1;
        *ret_verdict = repeating(proof) ? SB_VERDICT_REPEAT : SB_VERDICT_TAKE;
        return 0;
    case SB_KIND_IMAGE:
    case SB_KIND_PART:
        break;
    }
    return frame_fail(frame, SB_E_LOG_CORRUPT, "unknown kind", err);
}

/* Nothing may be missing: not in an epoch, and not at the beginning of one. */
static int check_sequence(const struct sb_proof *proof, const struct sb_frame *frame, struct sb_err *err)
{
    if (frame->epoch > proof->epoch) {
        if (frame->kind == SB_KIND_OPEN)
            return 0;
        return sb_err_set(err, SB_E_LOG_GAP,
            "epoch %" PRIu64 " begins at sequence %" PRIu64 " (%s) without its open record", frame->epoch,
            frame->sequence, sb_kind_name(frame_kind(frame)));
    }
    if (frame->sequence != proof->sequence + 1)
        return sb_err_set(err, SB_E_LOG_GAP,
            "records %" PRIu64 " to %" PRIu64 " of epoch %" PRIu64 " are missing", proof->sequence + 1,
            frame->sequence - 1, frame->epoch);
    return 0;
}

static void accept_frame(struct sb_proof *proof, const struct sb_frame *frame)
{
    if (frame->kind == SB_KIND_PART)
        proof->parts_left =
            frame->part_index < frame->part_count ? frame->part_count - 1 - frame->part_index : 0;
    else
        proof->parts_left = 0;
    enum sb_kind kind = frame_kind(frame);
    proof->due = proof->parts_left == 0 && kind != SB_KIND_SCHEMA ? kind : 0;
    proof->epoch = frame->epoch;
    proof->sequence = frame->sequence;
    if (kind == SB_KIND_OPEN)
        proof->open_hash = frame->body_hash;
}

int sb_proof_frame(
    struct sb_proof *proof, const struct sb_frame *frame, enum sb_verdict *ret_verdict, struct sb_err *err)
{
    if (proof->due != 0)
        return sb_err_set(err, SB_E_INTERNAL,
            "the %s of epoch %" PRIu64 ", sequence %" PRIu64 " was read but not proven",
            sb_kind_name(proof->due), proof->epoch, proof->sequence);
    if (check_home(proof, frame, err) != 0)
        return -1;
    if (frame->epoch < proof->epoch) {
        *ret_verdict = SB_VERDICT_DROP;
        return 0;
    }
    if (frame->epoch == proof->epoch) {
        if (check_clash(proof, frame, err) != 0)
            return -1;
        if (frame->sequence <= proof->sequence) {
            *ret_verdict = SB_VERDICT_DROP;
            return 0;
        }
    }
    enum sb_verdict verdict = SB_VERDICT_DROP;
    if (check_sequence(proof, frame, err) != 0 || judge_next(proof, frame, &verdict, err) != 0)
        return -1;
    accept_frame(proof, frame);
    *ret_verdict = verdict;
    return 0;
}

/* -- records ------------------------------------------------------------------------------------------ */

/* The record handed in is the one whose frame was accepted last. */
static int take_due(
    struct sb_proof *proof, const struct sb_frame *frame, enum sb_kind kind, struct sb_err *err)
{
    if (proof->due != kind || frame->kind != kind || frame->epoch != proof->epoch ||
        frame->sequence != proof->sequence)
        return sb_err_set(err, SB_E_INTERNAL,
            "the %s of epoch %" PRIu64 ", sequence %" PRIu64 " was not judged before it was proven",
            sb_kind_name(kind), frame->epoch, frame->sequence);
    proof->due = 0;
    return 0;
}

static void transaction_forget(struct sb_proof *proof)
{
    proof->txn_lsn = 0;
    proof->txn_xid = 0;
    proof->txn_count = 0;
}

static void transaction_enter(struct sb_proof *proof, const struct sb_frame *frame)
{
    if (proof->txn_lsn != 0)
        return;
    proof->txn_lsn = frame->commit_lsn;
    proof->txn_xid = frame->xid;
    proof->txn_count = 0;
    sb_digester_reset(proof->digester);
}

/* Does what the `open` says hold together? */
static int check_open(const struct sb_frame *frame, const struct sb_open *open, struct sb_err *err)
{
    if (open->epoch != frame->epoch)
        return frame_fail(frame, SB_E_LOG_CORRUPT, "its body names another epoch", err);
    bool from_zero = open->base_commit_lsn == 0;
    if (from_zero != (open->base_sequence == 0) ||
        (from_zero && !sb_digest_eq(&open->base_chain, &no_digest)))
        return frame_fail(
            frame, SB_E_LOG_CORRUPT, "its base is neither a commit nor the stream's beginning", err);
    if (frame->sequence != open->base_sequence + 1)
        return frame_fail(frame, SB_E_LOG_CORRUPT, "its sequence does not follow its base", err);
    if (open->hole_from_lsn > open->base_commit_lsn)
        return frame_fail(frame, SB_E_LOG_CORRUPT, "the hole it declares ends before it begins", err);
    return 0;
}

int sb_proof_open(
    struct sb_proof *proof, const struct sb_frame *frame, const struct sb_open *open, struct sb_err *err)
{
    if (take_due(proof, frame, SB_KIND_OPEN, err) != 0 || check_open(frame, open, err) != 0)
        return -1;
    if (open->base_commit_lsn > proof->held.commit_lsn)
        return sb_err_set(err, SB_E_LOG_GAP,
            "epoch %" PRIu64 " goes on behind the commit at " LSN_FMT ", this reader stands at " LSN_FMT "%s",
            open->epoch, LSN_ARGS(open->base_commit_lsn), LSN_ARGS(proof->held.commit_lsn),
            open->hole_from_lsn != 0 ? ", and the commits between are declared as not retained" : "");
    if (open->base_commit_lsn == proof->held.commit_lsn &&
        !sb_digest_eq(&open->base_chain, &proof->held.chain))
        return sb_err_set(err, SB_E_SOURCE_REWOUND,
            "epoch %" PRIu64 " goes on behind the commit at " LSN_FMT
            " with another history before it than this reader has",
            open->epoch, LSN_ARGS(open->base_commit_lsn));
    transaction_forget(proof);
    proof->line = (struct line){.lsn = open->base_commit_lsn, .chain = open->base_chain};
    return 0;
}

int sb_proof_change(
    struct sb_proof *proof, const struct sb_frame *frame, const struct sb_change *chg, struct sb_err *err)
{
    if (take_due(proof, frame, SB_KIND_CHANGE, err) != 0)
        return -1;
    transaction_enter(proof, frame);
    proof->txn_count++;
    sb_digester_change(proof->digester, proof->txn_count, chg);
    return 0;
}

int sb_proof_message(
    struct sb_proof *proof, const struct sb_frame *frame, const struct sb_message *msg, struct sb_err *err)
{
    if (take_due(proof, frame, SB_KIND_MESSAGE, err) != 0)
        return -1;
    transaction_enter(proof, frame);
    proof->txn_count++;
    sb_digester_message(proof->digester, proof->txn_count, msg);
    return 0;
}

static int commit_fail(const struct sb_frame *frame, const char *why, struct sb_err *err)
{
    return sb_err_set(err, SB_E_LOG_CORRUPT,
        "transaction at " LSN_FMT ", xid %" PRIu64 " (its commit: epoch %" PRIu64 ", sequence %" PRIu64
        "): %s",
        LSN_ARGS(frame->commit_lsn), frame->xid, frame->epoch, frame->sequence, why);
}

/* The commit record against what was read of its transaction. */
static int check_commit(const struct sb_proof *proof, const struct sb_frame *frame,
    const struct sb_commit *commit, struct sb_err *err)
{
    if (commit->commit_lsn != frame->commit_lsn || commit->xid != frame->xid)
        return commit_fail(frame, "the commit's body names another transaction than its frame", err);
    if (commit->count != proof->txn_count) {
        char why[96];
        snprintf(why, sizeof why, "%" PRIu64 " changes were read, its commit counts %" PRIu64,
            proof->txn_count, commit->count);
        return commit_fail(frame, why, err);
    }
    struct sb_digest digest = sb_digester_result(proof->digester);
    if (!sb_digest_eq(&digest, &commit->digest))
        return commit_fail(frame, "the digest of its changes is not the one its commit states", err);
    struct sb_digest chain = sb_digest_chain(&proof->line.chain, commit);
    if (!sb_digest_eq(&chain, &commit->chain))
        return commit_fail(frame, "the chain over all commits is not the one its commit states", err);
    return 0;
}

int sb_proof_commit(struct sb_proof *proof, const struct sb_frame *frame, const struct sb_commit *commit,
    bool *ret_repeat, struct sb_err *err)
{
    if (take_due(proof, frame, SB_KIND_COMMIT, err) != 0)
        return -1;
    transaction_enter(proof, frame); /* a transaction without changes */
    if (check_commit(proof, frame, commit, err) != 0)
        return -1;
    bool repeat = repeating(proof);
    bool meets = repeat && commit->commit_lsn == proof->held.commit_lsn;
    if (meets && !sb_digest_eq(&commit->chain, &proof->held.chain))
        return sb_err_set(err, SB_E_SOURCE_REWOUND,
            "captured anew, the source tells another history up to the commit at " LSN_FMT
            " than the one taken before",
            LSN_ARGS(commit->commit_lsn));
    transaction_forget(proof);
    proof->line = (struct line){.lsn = commit->commit_lsn, .chain = commit->chain};
    if (!repeat || meets)
        proof->held = (struct sb_position){.epoch = frame->epoch,
            .sequence = frame->sequence,
            .commit_lsn = commit->commit_lsn,
            .chain = commit->chain};
    *ret_repeat = repeat;
    return 0;
}
