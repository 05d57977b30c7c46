#include "stream/tail.h"

#include "stream/range.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TAIL_OPEN_MAX_BYTES = 1 << 16 }; /* bodies of open and commit are a few hundred */

/* -- the tail ----------------------------------------------------------------------------------------- */

/* An `open`, decoded; present false: none. */
struct known_open {
    bool present;
    int64_t offset;
    struct sb_open open; /* its program is not kept */
};

static int open_decode(struct sb_codec *codec, struct sb_view body, int64_t offset,
    struct known_open *ret_known, struct sb_err *err)
{
    struct sb_arena *arena = sb_arena_new("tail", TAIL_OPEN_MAX_BYTES);
    if (!arena)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory to read an open record");
    struct known_open known = {.present = true, .offset = offset};
    int result = sb_codec_read_open(codec, body, arena, &known.open, err);
    sb_arena_free(arena);
    if (result != 0)
        return -1;
    known.open.program = sb_view(NULL, 0);
    *ret_known = known;
    return 0;
}

struct control_search {
    struct sb_codec *codec;
    struct known_open best;
};

static int control_entry(void *arg, struct sb_view key, struct sb_view value, struct sb_err *err)
{
    struct control_search *search = arg;
    if (!sb_view_eq_str(key, SB_CONTROL_OPEN))
        return 0;
    struct sb_cursor cur = sb_cursor(value);
    int64_t offset = (int64_t)sb_cursor_u64(&cur);
    struct sb_view body = sb_cursor_bytes(&cur, sb_cursor_left(&cur));
    struct known_open known;
    if (cur.failed)
        return sb_err_set(err, SB_E_LOG_CORRUPT, "the control entry \"" SB_CONTROL_OPEN "\" is cut short");
    if (open_decode(search->codec, body, offset, &known, err) != 0)
        return sb_err_add(err, "control entry \"" SB_CONTROL_OPEN "\"");
    if (!search->best.present || known.open.epoch > search->best.open.epoch)
        search->best = known;
    return 0;
}

/* What one pass over a window saw of the highest epoch in it. */
struct scan {
    uint64_t epoch;     /* 0: no record at all */
    uint64_t sequence;  /* up to which nothing of it is missing in the window */
    bool torn;          /* and something is behind that */
    uint64_t lost;      /* an epoch whose open is not where it was written: nothing of it counts; 0: none */
    struct sb_buf open; /* body of its open, empty if it lies before the window */
    int64_t open_offset;
    struct sb_buf commit; /* body of its newest commit, empty if none */
    struct sb_frame commit_frame;
    int64_t commit_offset;
};

static void scan_clear(struct scan *scan)
{
    sb_buf_clear(&scan->open);
    sb_buf_clear(&scan->commit);
}

static void scan_record(struct scan *scan, const struct sb_record *record)
{
    if (record->frame.epoch < scan->epoch || record->frame.epoch == scan->lost)
        return; /* a zombie's, or behind a hole */
    if (record->frame.epoch > scan->epoch) {
        scan->epoch = record->frame.epoch;
        scan->sequence = record->frame.sequence - 1;
        scan->torn = false;
        sb_buf_reset(&scan->open);
        sb_buf_reset(&scan->commit);
        if (record->frame.kind == SB_KIND_OPEN) {
            sb_buf_put_view(&scan->open, record->body);
            scan->open_offset = record->offset;
        }
    }
    /* A store that lost records it had acknowledged takes the next ones all the same: they prove nothing. */
    scan->torn = scan->torn || record->frame.sequence > scan->sequence + 1;
    if (scan->torn || record->frame.sequence <= scan->sequence)
        return;
    scan->sequence = record->frame.sequence;
    if (record->frame.kind == SB_KIND_COMMIT) {
        sb_buf_reset(&scan->commit);
        sb_buf_put_view(&scan->commit, record->body);
        scan->commit_frame = record->frame;
        scan->commit_offset = record->offset;
    }
}

static int scan_window(
    struct scan *scan, struct sb_stream *stream, int64_t from, int64_t to, struct sb_err *err)
{
    scan->epoch = 0;
    scan->torn = false;
    sb_buf_reset(&scan->open);
    sb_buf_reset(&scan->commit);
    struct sb_range range;
    struct sb_record record;
    int result = sb_range_open(&range, stream, from, to, err);
    while (result == 0 && (result = sb_range_next(&range, &record, err)) == 0)
        scan_record(scan, &record);
    if (result < 0)
        return -1;
    if (scan->open.failed || scan->commit.failed)
        return sb_err_set(
            err, SB_E_LIMIT, "an open or commit record is larger than %d bytes", (int)TAIL_OPEN_MAX_BYTES);
    return 0;
}

/* Does the window that began at from tell everything, or must it reach further back? */
static bool scan_suffices(const struct scan *scan, const struct known_open *control, int64_t from)
{
    if (scan->epoch == 0)
        return false;
    if (control->present && control->open.epoch > scan->epoch && control->offset < from)
        return false; /* nothing but a zombie's records so far, perhaps */
    if (scan->open.len > 0)
        return true;
    bool incarnation_known = control->present && control->open.epoch >= scan->epoch;
    return scan->commit.len > 0 && incarnation_known;
}

/* The open of the highest epoch must be in this window, if control has it: it is not before the offset
 * written there.
 */
static bool open_is_lost(const struct scan *scan, const struct known_open *control, int64_t from)
{
    return scan->epoch != 0 && scan->open.len == 0 && control->present &&
           control->open.epoch == scan->epoch && control->offset >= from;
}

static int scan_back(
    struct scan *scan, struct sb_stream *stream, const struct known_open *control, struct sb_err *err)
{
    struct sb_stream_bounds bounds;
    if (sb_stream_bounds(stream, &bounds, err) != 0)
        return -1;
    int64_t window = SB_TAIL_WINDOW;
    for (;;) {
        int64_t from = bounds.next - bounds.oldest > window ? bounds.next - window : bounds.oldest;
        if (scan_window(scan, stream, from, bounds.next, err) != 0)
            return -1;
        if (open_is_lost(scan, control, from)) {
            scan->lost = scan->epoch; /* the same window again, without it */
            continue;
        }
        if (from == bounds.oldest || scan_suffices(scan, control, from))
            return 0;
        window *= 4;
    }
}

static struct sb_position base_position(const struct sb_open *open)
{
    if (open->base_commit_lsn == 0)
        return (struct sb_position){0};
    return (struct sb_position){.epoch = open->epoch,
        .sequence = open->base_sequence,
        .commit_lsn = open->base_commit_lsn,
        .chain = open->base_chain};
}

static int commit_position(
    const struct scan *scan, struct sb_codec *codec, struct sb_position *ret_position, struct sb_err *err)
{
    struct sb_commit commit;
    if (sb_codec_read_commit(codec, sb_buf_view(&scan->commit), &commit, err) != 0)
        return sb_err_add(err, "commit record at offset %" PRId64, scan->commit_offset);
    *ret_position = (struct sb_position){.epoch = scan->commit_frame.epoch,
        .sequence = scan->commit_frame.sequence,
        .commit_lsn = commit.commit_lsn,
        .chain = commit.chain};
    return 0;
}

static int tail_from(const struct scan *scan, const struct known_open *control, struct sb_codec *codec,
    struct sb_tail *ret_tail, struct sb_err *err)
{
    struct known_open opened = {0}; /* the open of the log's highest epoch, wherever it is known from */
    if (scan->open.len > 0) {
        if (open_decode(codec, sb_buf_view(&scan->open), scan->open_offset, &opened, err) != 0)
            return sb_err_add(err, "open record at offset %" PRId64, scan->open_offset);
    } else if (control->present && (control->open.epoch == scan->epoch || scan->epoch == 0)) {
        opened = *control;
    }
    struct sb_tail tail = {.empty = scan->epoch == 0 && !control->present,
        .highest_epoch = scan->epoch,
        .offset = -1,
        .incarnation = opened.open.incarnation,
        .position = base_position(&opened.open)};
    if (control->present && control->open.epoch > scan->epoch) {
        tail.highest_epoch = control->open.epoch;
        tail.incarnation = control->open.incarnation;
    }
    tail.position_known = tail.empty || scan->open.len > 0 || scan->commit.len > 0;
    if (scan->commit.len > 0) {
        if (commit_position(scan, codec, &tail.position, err) != 0)
            return -1;
        tail.offset = scan->commit_offset;
    }
    *ret_tail = tail;
    return 0;
}

int sb_tail_find(
    struct sb_stream *stream, struct sb_codec *codec, struct sb_tail *ret_tail, struct sb_err *err)
{
    struct control_search search = {.codec = codec};
    if (sb_stream_control_each(stream, sb_view_str(SB_CONTROL_OPEN), control_entry, &search, err) != 0)
        return -1;
    struct scan scan = {0};
    sb_buf_init(&scan.open, TAIL_OPEN_MAX_BYTES);
    sb_buf_init(&scan.commit, TAIL_OPEN_MAX_BYTES);
    int result = scan_back(&scan, stream, &search.best, err);
    if (result == 0)
        result = tail_from(&scan, &search.best, codec, ret_tail, err);
    scan_clear(&scan);
    return result;
}

/* -- positions ---------------------------------------------------------------------------------------- */

static bool is_commit_of(const struct sb_frame *frame, const struct sb_position *position)
{
    return frame->kind == SB_KIND_COMMIT && frame->epoch == position->epoch &&
           frame->sequence == position->sequence && frame->commit_lsn == position->commit_lsn;
}

static bool is_next_of(const struct sb_frame *frame, const struct sb_position *position)
{
    return frame->epoch == position->epoch && frame->sequence == position->sequence + 1;
}

static int any_entry(void *arg, struct sb_view key, struct sb_view value, struct sb_err *err)
{
    (void)value, (void)err;
    if (sb_view_eq_str(key, SB_CONTROL_OPEN))
        *(bool *)arg = true;
    return 0;
}

/* The beginning: the very first record, or an empty log into which nothing was ever written. */
static int locate_beginning(
    struct sb_stream *stream, const struct sb_stream_bounds *bounds, int64_t *ret_offset, struct sb_err *err)
{
    struct sb_range range;
    struct sb_record record;
    bool opened = false;
    if (sb_range_open(&range, stream, bounds->oldest, bounds->next, err) != 0)
        return -1;
    int result = sb_range_next(&range, &record, err);
    if (result < 0)
        return -1;
    if (result == 0 && (record.frame.kind != SB_KIND_OPEN || record.frame.sequence != 1))
        return sb_err_set(err, SB_E_LOG_GAP,
            "the oldest record retained (offset %" PRId64 ", epoch %" PRIu64 ", sequence %" PRIu64
            ") is not the stream's first",
            record.offset, record.frame.epoch, record.frame.sequence);
    if (result == SB_RANGE_END) {
        if (sb_stream_control_each(stream, sb_view_str(SB_CONTROL_OPEN), any_entry, &opened, err) != 0)
            return -1;
        if (opened)
            return sb_err_set(
                err, SB_E_LOG_GAP, "the stream was written, but none of its records is retained");
    }
    *ret_offset = bounds->oldest;
    return 0;
}

enum { HINT_WRONG = 1 };

static int locate_by_hint(struct sb_stream *stream, const struct sb_stream_bounds *bounds,
    const struct sb_position *position, int64_t hint, int64_t *ret_offset, struct sb_err *err)
{
    int64_t from = hint > bounds->oldest ? hint - 1 : bounds->oldest;
    struct sb_range range;
    struct sb_record record;
    if (hint < 0 || from >= bounds->next)
        return HINT_WRONG;
    if (sb_range_open(&range, stream, from, bounds->next, err) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        int result = sb_range_next(&range, &record, err);
        if (result != 0)
            return result < 0 ? -1 : HINT_WRONG;
        if (is_commit_of(&record.frame, position)) {
            *ret_offset = record.offset + 1;
            return 0;
        }
    }
    return HINT_WRONG;
}

/*
 * Whichever comes first: the commit record itself, what followed it (retention may have taken just the
 * commit), or an open of a higher epoch. A copy of the commit behind such an open is a zombie's, and a reader
 * that began behind it would have missed the open.
 */
static int locate_by_reading(struct sb_stream *stream, const struct sb_stream_bounds *bounds,
    const struct sb_position *position, int64_t hint, int64_t *ret_offset, struct sb_err *err)
{
    struct sb_range range;
    struct sb_record record;
    bool ends_before = hint > bounds->next; /* all that is there was written before the position was */
    int result = sb_range_open(&range, stream, bounds->oldest, bounds->next, err);
    while (result == 0 && (result = sb_range_next(&range, &record, err)) == 0) {
        bool behind = is_commit_of(&record.frame, position);
        if (behind || is_next_of(&record.frame, position) ||
            (record.frame.kind == SB_KIND_OPEN && record.frame.epoch > position->epoch)) {
            *ret_offset = behind ? record.offset + 1 : record.offset;
            return 0;
        }
        ends_before = record.frame.epoch < position->epoch ||
                      (record.frame.epoch == position->epoch && record.frame.sequence < position->sequence);
    }
    if (result < 0)
        return -1;
    return sb_err_set(err, ends_before ? SB_E_LOG_TRUNCATED : SB_E_LOG_GAP,
        "the commit at %X/%X (epoch %" PRIu64 ", sequence %" PRIu64
        ") is not among the records retained (offsets %" PRId64 " to %" PRId64 ")",
        (unsigned)(position->commit_lsn >> 32), (unsigned)position->commit_lsn, position->epoch,
        position->sequence, bounds->oldest, bounds->next - 1);
}

int sb_tail_locate_position(struct sb_stream *stream, const struct sb_position *position, int64_t hint,
    int64_t *ret_offset, struct sb_err *err)
{
    struct sb_stream_bounds bounds;
    if (sb_stream_bounds(stream, &bounds, err) != 0)
        return -1;
    if (position->commit_lsn == 0)
        return locate_beginning(stream, &bounds, ret_offset, err);
    if (bounds.oldest == bounds.next && (hint == bounds.next || hint + 1 == bounds.next)) {
        *ret_offset = bounds.next; /* retention took all of it; the next record must follow the position */
        return 0;
    }
    int result = locate_by_hint(stream, &bounds, position, hint, ret_offset, err);
    return result == HINT_WRONG ? locate_by_reading(stream, &bounds, position, hint, ret_offset, err)
                                : result;
}

static int find_superseding(struct sb_stream *stream, struct sb_codec *codec,
    const struct sb_position *position, int64_t from, int64_t *ret_offset, struct sb_err *err)
{
    struct sb_stream_bounds bounds;
    struct sb_range range;
    struct sb_record record;
    if (sb_stream_bounds(stream, &bounds, err) != 0)
        return -1;
    int result = sb_range_open(&range, stream, from > bounds.oldest ? from : bounds.oldest, bounds.next, err);
    while (result == 0 && (result = sb_range_next(&range, &record, err)) == 0) {
        struct known_open known;
        if (record.frame.kind != SB_KIND_OPEN || record.frame.epoch <= position->epoch)
            continue;
        if (open_decode(codec, record.body, record.offset, &known, err) != 0)
            return sb_err_add(err, "open record at offset %" PRId64, record.offset);
        *ret_offset = record.offset;
        if (known.open.base_commit_lsn <= position->commit_lsn)
            return 0;
    }
    if (result < 0)
        return -1;
    return sb_err_set(err, SB_E_LOG_GAP, "nothing writes anew what is missing before offset %" PRId64, from);
}

int sb_tail_locate_superseding(struct sb_stream *stream, const struct sb_position *position, int64_t from,
    int64_t *ret_offset, struct sb_err *err)
{
    struct sb_codec *codec = NULL;
    if (sb_codec_new(&codec, err) != 0)
        return -1;
    int result = find_superseding(stream, codec, position, from, ret_offset, err);
    sb_codec_free(codec);
    return result;
}

/* -- LSN and time ------------------------------------------------------------------------------------- */

enum side { SIDE_UNKNOWN, SIDE_BELOW, SIDE_REACHED };
typedef enum side side_fn(const struct sb_record *record, int64_t want);

static enum side lsn_side(const struct sb_record *record, int64_t want)
{
    if (record->frame.commit_lsn == 0)
        return SIDE_UNKNOWN; /* open, schema */
    return record->frame.commit_lsn >= (uint64_t)want ? SIDE_REACHED : SIDE_BELOW;
}

static enum side time_side(const struct sb_record *record, int64_t want)
{
    return record->append_ms >= want ? SIDE_REACHED : SIDE_BELOW;
}

/* The first record in [from, to) that takes a side (only that it reached it, if so asked). */
static int first_side(struct sb_stream *stream, int64_t from, int64_t to, side_fn *side_of, int64_t want,
    bool reached_only, enum side *ret_side, int64_t *ret_offset, struct sb_err *err)
{
    struct sb_range range;
    struct sb_record record;
    int result = sb_range_open(&range, stream, from, to, err);
    *ret_side = SIDE_UNKNOWN;
    while (result == 0 && (result = sb_range_next(&range, &record, err)) == 0) {
        enum side side = side_of(&record, want);
        if (side == SIDE_REACHED || (side == SIDE_BELOW && !reached_only)) {
            *ret_side = side;
            *ret_offset = record.offset;
            return 0;
        }
    }
    return result < 0 ? -1 : 0;
}

static int locate(
    struct sb_stream *stream, side_fn *side_of, int64_t want, int64_t *ret_offset, struct sb_err *err)
{
    struct sb_stream_bounds bounds;
    if (sb_stream_bounds(stream, &bounds, err) != 0)
        return -1;
    int64_t low = bounds.oldest, high = bounds.next, best = bounds.next, offset = 0;
    enum side side;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (first_side(stream, middle, high, side_of, want, false, &side, &offset, err) != 0)
            return -1;
        if (side == SIDE_BELOW) {
            low = offset + 1;
            continue;
        }
        if (side == SIDE_REACHED)
            best = offset;
        high = middle;
    }
    int64_t back = best - bounds.oldest > SB_TAIL_WINDOW ? best - SB_TAIL_WINDOW : bounds.oldest;
    if (first_side(stream, back, best, side_of, want, true, &side, &offset, err) != 0)
        return -1;
    *ret_offset = side == SIDE_REACHED ? offset : best;
    return 0;
}

int sb_tail_locate_lsn(struct sb_stream *stream, uint64_t lsn, int64_t *ret_offset, struct sb_err *err)
{
    return locate(stream, lsn_side, (int64_t)lsn, ret_offset, err);
}

int sb_tail_locate_time(struct sb_stream *stream, int64_t wall_ms, int64_t *ret_offset, struct sb_err *err)
{
    return locate(stream, time_side, wall_ms, ret_offset, err);
}
