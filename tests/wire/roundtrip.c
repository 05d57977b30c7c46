/*
 * `wire_roundtrip FRAMES`: what a real walsender sent goes the whole way (decoder, recorder, codec, embedded
 * store) and comes back proven and decoded by the reader's side; the two must say the same. Then the same
 * frames are delivered again, as after a reconnect, and must pass as the overlap; and again with one
 * transaction left out, which must not.
 */
#include "capture/flow.h"
#include "stream/tail.h"
#include "stream/walk.h"
#include "tests/wire/dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX_BYTES = 16 << 20, OPEN_MS = 5000, LEDGER_COMMITS = 1024, NEXT_XID = 100000 };

static struct sb_err err;

static void need(bool fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, sb_err_id(&err), err.text);
    exit(1);
}

/* -- what the frames say -----------------------------------------------------------------------------------
 */

/* Changes and messages of transactions that are not ours, in order; skip: leave the n-th such transaction
 * out. */
struct wanted {
    struct sb_buf text;
    int transactions; /* those that have any */
    int first;        /* of all transactions, the first that has any */
};

struct source {
    struct sb_pgoutput *decoder;
    struct sb_cursor cur;
};

static bool source_next(struct source *source, struct sb_view *ret_frame, struct sb_pgoutput_event *ret_event)
{
    if (sb_cursor_left(&source->cur) == 0)
        return false;
    *ret_frame = sb_cursor_bytes(&source->cur, sb_cursor_u32(&source->cur));
    need(sb_pgoutput_decode(source->decoder, *ret_frame, ret_event, &err) == 0, "decoding");
    return true;
}

static struct source source_open(struct sb_view frames)
{
    struct sb_pgoutput_options options = {.type_name = wire_type_name};
    return (struct source){.decoder = sb_pgoutput_new(&options), .cur = sb_cursor(frames)};
}

static void collect(struct sb_view frames, struct wanted *wanted)
{
    struct source source = source_open(frames);
    struct sb_pgoutput_event event;
    struct sb_view frame;
    bool own = false;
    size_t before = 0;
    int number = -1;
    while (source_next(&source, &frame, &event)) {
        if (event.kind == SB_PGOUTPUT_BEGIN) {
            number++;
            own = false;
            before = wanted->text.len;
        }
        if (event.kind == SB_PGOUTPUT_ORIGIN)
            own = strncmp(event.origin.name.ptr, "switchback_", 11) == 0;
        if (event.kind == SB_PGOUTPUT_CHANGE && !own)
            wire_dump_change(&wanted->text, &event.change);
        if (event.kind == SB_PGOUTPUT_MESSAGE && !own && event.message.transactional)
            wire_dump_message(&wanted->text, &event.message.msg);
        if (event.kind == SB_PGOUTPUT_COMMIT && wanted->text.len > before && wanted->transactions++ == 0)
            wanted->first = number;
    }
    sb_pgoutput_free(source.decoder);
}

/* -- there -------------------------------------------------------------------------------------------------
 */

struct rig {
    struct sb_stream_options options;
    struct sb_stream *stream;
    struct sb_codec *codec;
    struct sb_ledger *ledger;
    struct sb_flow *flow;
};

static struct rig rig_open(const struct sb_stream_options *options, struct sb_overlap *overlap)
{
    struct rig rig = {.options = *options};
    need(sb_stream_open(options, SB_STREAM_WRITE, &rig.stream, &err) == 0, "opening the store");
    need(sb_codec_new(&rig.codec, &err) == 0, "the codec");
    rig.ledger = sb_ledger_new(SB_LEDGER_STREAM, LEDGER_COMMITS, 1);
    struct sb_flow_parts parts = {.migration = "shop",
        .direction = SB_REVERSE,
        .stream = rig.stream,
        .codec = rig.codec,
        .ledger = rig.ledger,
        .overlap = overlap,
        .decoder = {.type_name = wire_type_name}};
    need(sb_flow_new(&parts, &rig.flow, &err) == 0, "the flow");
    sb_flow_next_xid(rig.flow, NEXT_XID);
    return rig;
}

static void rig_close(struct rig *rig)
{
    sb_flow_free(rig->flow);
    sb_ledger_free(rig->ledger);
    sb_codec_free(rig->codec);
    sb_stream_close(rig->stream);
}

static void record(const struct sb_stream_options *options, struct sb_view frames)
{
    struct rig rig = rig_open(options, NULL);
    struct sb_open open = {.epoch = 1, .timeline = 1, .program = sb_view_str("wire_roundtrip")};
    struct sb_cursor cur = sb_cursor(frames);
    need(sb_flow_open(rig.flow, &open, OPEN_MS, &err) == 0, "opening the epoch");
    while (sb_cursor_left(&cur) > 0) {
        struct sb_view frame = sb_cursor_bytes(&cur, sb_cursor_u32(&cur));
        need(sb_flow_take(rig.flow, frame, 1, &err) == 0, "recording");
    }
    need(sb_stream_flush(rig.stream, OPEN_MS, &err) == 0, "flushing");
    sb_flow_acknowledge(rig.flow);
    need(sb_flow_all_durable(rig.flow), "durable");
    rig_close(&rig);
}

/* -- and back ----------------------------------------------------------------------------------------------
 */

static struct sb_position read_back(const struct sb_stream_options *options, struct wanted *got)
{
    struct sb_stream *stream;
    struct sb_walk *walk;
    struct sb_walk_record record;
    struct sb_position start = {0};
    int64_t offset;
    int rc;
    need(sb_stream_open(options, SB_STREAM_READ, &stream, &err) == 0, "opening the store to read");
    need(sb_tail_locate_position(stream, &start, -1, &offset, &err) == 0, "the beginning");
    need(sb_walk_new(stream, &walk, &err) == 0 && sb_walk_prove(walk, offset, &start, &err) == 0, "the walk");
    while ((rc = sb_walk_next(walk, &record, &err)) == 0) {
        if (record.frame.kind == SB_KIND_CHANGE)
            wire_dump_change(&got->text, &record.chg);
        if (record.frame.kind == SB_KIND_MESSAGE)
            wire_dump_message(&got->text, &record.msg);
        got->transactions += record.frame.kind == SB_KIND_COMMIT;
    }
    need(rc == SB_STREAM_END, "proving");
    struct sb_position end = sb_proof_position(sb_walk_proof(walk));
    sb_walk_free(walk);
    sb_stream_close(stream);
    return end;
}

/* -- and again ---------------------------------------------------------------------------------------------
 */

/* Deliver everything once more as the overlap up to `end`; left_out: this transaction does not come. Returns
 * whether it was proven. */
static bool deliver_again(const struct sb_stream_options *options, struct sb_view frames,
    const struct sb_position *end, int left_out, struct sb_err *ret_err)
{
    struct sb_overlap_facts facts = {
        .slot_began = 1, .confirmed = 1, .until = end->commit_lsn, .until_chain = end->chain};
    struct sb_codec *codec;
    struct sb_overlap *overlap;
    need(sb_codec_new(&codec, &err) == 0, "the codec");
    need(sb_overlap_new(options, codec, &facts, &overlap, &err) == 0, "the overlap");
    struct rig rig = rig_open(options, overlap);
    struct source source = source_open(frames);
    struct sb_pgoutput_event event;
    struct sb_view frame;
    int transaction = -1, rc = 0;
    while ((rc == 0 || rc == SB_FLOW_PROVEN) && source_next(&source, &frame, &event)) {
        transaction += event.kind == SB_PGOUTPUT_BEGIN;
        bool described = event.kind == SB_PGOUTPUT_RELATION || event.kind == SB_PGOUTPUT_TYPE;
        if (rc == 0 && (transaction != left_out || described || event.kind == SB_PGOUTPUT_BEGIN ||
                           event.kind == SB_PGOUTPUT_COMMIT))
            rc = sb_flow_take(rig.flow, frame, 1, ret_err);
    }
    sb_pgoutput_free(source.decoder);
    rig_close(&rig);
    sb_overlap_free(overlap);
    sb_codec_free(codec);
    return rc == SB_FLOW_PROVEN;
}

static int check(const char *path, const char *folder)
{
    char file[256];
    struct sb_uuid uuid;
    struct wanted want = {.first = 0}, got = {.first = 0};
    struct sb_view frames = wire_read_file(path);
    need(frames.len > 0, path);
    sb_buf_init(&want.text, TEXT_MAX_BYTES);
    sb_buf_init(&got.text, TEXT_MAX_BYTES);
    snprintf(file, sizeof file, "%s/forward.db", folder);
    struct sb_stream_options options = {.store = SB_STORE_EMBEDDED,
        .migration = "wire",
        .direction = "forward",
        .path = file,
        .retention_max_bytes = INT64_C(1) << 30,
        .queue_max_bytes = 1 << 24};
    need(sb_uuid_random(&uuid) && sb_stream_create(&options, &uuid, NULL, &err) == 0, "making the store");

    collect(frames, &want);
    record(&options, frames);
    struct sb_position end = read_back(&options, &got);
    bool same =
        sb_view_eq(sb_buf_view(&want.text), sb_buf_view(&got.text)) && want.transactions == got.transactions;
    if (!same)
        fprintf(stderr, "sent:\n%sread back:\n%s", sb_buf_str(&want.text), sb_buf_str(&got.text));

    need(deliver_again(&options, frames, &end, -1, &err), "the overlap");
    struct sb_err why = {0};
    bool noticed =
        !deliver_again(&options, frames, &end, want.first, &why) && why.code == SB_E_SOURCE_REWOUND;
    if (!noticed)
        fprintf(stderr, "a transaction left out was not noticed: %s %s\n", sb_err_id(&why), why.text);

    need(sb_stream_destroy(&options, &err) == 0, "removing the store");
    sb_buf_clear(&want.text);
    sb_buf_clear(&got.text);
    free((char *)frames.ptr);
    return same && noticed ? 0 : 1;
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/wire-roundtrip-XXXXXX";
    if (argc < 2 || mkdtemp(folder) == NULL)
        return 64;
    int rc = check(argv[1], folder);
    rmdir(folder);
    return rc;
}
