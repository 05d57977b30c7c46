/*
 * Writes a log into a new embedded store, as capture incarnations would have, so that the reading verbs are
 * tested on a log whose every record is known:
 *
 *     log_writer FILE UUID [small]
 *
 *   epoch 1   open, schema of public.account, transactions 1 to 5; transaction 3 has a row in parts (unless
 * small), 4 is a TRUNCATE and a message; then two changes of transaction 6, whose commit never comes epoch 2
 * open on transaction 4 (it read the tail before 5 was there): 5 again, then 6 to 8 epoch 1   a zombie's late
 * record epoch 2   transactions 9 and 10, and one change of 11
 *
 * Transaction i is at LSN 0/1000 + i * 0x100, xid 700 + i, and inserts rows with id i * 10 + ordinal.
 */
#include "schemas/codec.h"
#include "schemas/digest.h"
#include "stream/parts.h"
#include "stream/stream.h"
#include "stream/tail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sb_err err;
static struct sb_stream *store;
static struct sb_codec *codec;
static struct sb_uuid uuid;
static bool small;
static struct sb_column columns[] = {
    {.name = {"id", 2}, .type_name = {"pg_catalog.int4", 15}, .type_oid = 23, .typmod = -1, .key = true},
    {.name = {"body", 4}, .type_name = {"pg_catalog.text", 15}, .type_oid = 25, .typmod = -1}};
static struct sb_relation account = {.oid = 16400,
    .schema = {"public", 6},
    .name = {"account", 7},
    .identity = 'd',
    .col_count = 2,
    .cols = columns};

struct writer {
    uint64_t epoch, sequence, ordinal, lsn, xid;
    struct sb_digest chain;
    struct sb_digester *digester;
};

static void must(int result)
{
    if (result == 0)
        return;
    fprintf(stderr, "log_writer: %s: %s\n", sb_err_id(&err), err.text);
    exit(1);
}

static void append(
    struct writer *w, enum sb_kind kind, uint64_t ordinal, struct sb_view key, struct sb_view body)
{
    size_t max = sb_stream_record_max(store);
    struct sb_frame frame = {
        .kind = kind, .stream = uuid, .epoch = w->epoch, .sequence = w->sequence + 1, .timeline = 1};
    if (kind != SB_KIND_OPEN && kind != SB_KIND_SCHEMA) {
        frame.commit_lsn = w->lsn;
        frame.xid = w->xid;
        frame.ordinal = ordinal;
        frame.end_lsn = kind == SB_KIND_COMMIT ? w->lsn + 0x30 : 0;
    }
    uint32_t count = sb_parts_count(body.len, max);
    for (uint32_t i = 0; i < count; i++) {
        struct sb_record record;
        sb_parts_make(&frame, key, body, max, i, &record);
        must(sb_stream_append(store, &record, NULL, &err));
        must(sb_stream_flush(store, 5000, &err));
    }
    w->sequence += count;
}

static void put_open(struct writer *w, const struct writer *base)
{
    struct sb_view body;
    struct sb_open open = {.epoch = w->epoch,
        .incarnation = {{(unsigned char)w->epoch}},
        .base_commit_lsn = base->lsn,
        .base_sequence = base->sequence,
        .base_chain = base->chain,
        .timeline = 1,
        .program = sb_view_str("log_writer")};
    struct sb_digester *digester = w->digester;
    uint64_t epoch = w->epoch;
    *w = *base;
    w->digester = digester;
    w->epoch = epoch;
    must(sb_codec_open(codec, &open, &body, &err));
    append(w, SB_KIND_OPEN, 0, sb_view(NULL, 0), body);
    struct sb_buf value;
    struct sb_stream_bounds bounds;
    must(sb_stream_bounds(store, &bounds, &err));
    must(sb_codec_open(codec, &open, &body, &err));
    sb_buf_init(&value, 1 << 16);
    sb_buf_put_u64(&value, (uint64_t)bounds.next - 1);
    sb_buf_put_view(&value, body);
    must(sb_stream_control_put(store, sb_view_str(SB_CONTROL_OPEN), sb_buf_view(&value), &err));
    sb_buf_clear(&value);
}

static void put_schema(struct writer *w)
{
    struct sb_view body;
    char key[32];
    must(sb_codec_relation(codec, &account, &body, &err));
    append(w, SB_KIND_SCHEMA, 0, sb_view(NULL, 0), body);
    must(sb_codec_relation(codec, &account, &body, &err));
    snprintf(key, sizeof key, SB_CONTROL_SCHEMA "%u", account.schema_id);
    must(sb_stream_control_put(store, sb_view_str(key), body, &err));
}

static void begin(struct writer *w, unsigned i)
{
    w->lsn = 0x1000 + i * 0x100;
    w->xid = 700 + i;
    w->ordinal = 0;
    sb_digester_reset(w->digester);
}

static void put_change(struct writer *w, const struct sb_change *chg)
{
    struct sb_view key, body;
    struct sb_change_meta meta = {.lsn = w->lsn, .xid = w->xid, .commit_us = 1700000000000000};
    must(sb_codec_change(codec, chg, &meta, &key, &body, &err));
    w->ordinal++;
    sb_digester_change(w->digester, w->ordinal, chg);
    append(w, SB_KIND_CHANGE, w->ordinal, key, body);
}

static void put_row(struct writer *w, unsigned id, struct sb_view body)
{
    char text[16];
    snprintf(text, sizeof text, "%u", id);
    struct sb_value row[] = {
        {.state = SB_COL_TEXT, .text = sb_view_str(text)}, {.state = SB_COL_TEXT, .text = body}};
    put_change(w, &(struct sb_change){.op = SB_OP_INSERT, .rel = &account, .after = row});
}

static void put_message(struct writer *w)
{
    struct sb_view body;
    struct sb_message msg = {
        .prefix = sb_view_str("switchback.heartbeat"), .content = sb_view_str("\xff\x01"), .lsn = w->lsn};
    must(sb_codec_message(codec, &msg, &body, &err));
    w->ordinal++;
    sb_digester_message(w->digester, w->ordinal, &msg);
    append(w, SB_KIND_MESSAGE, w->ordinal, sb_view(NULL, 0), body);
}

static void put_commit(struct writer *w)
{
    struct sb_view body;
    struct sb_commit commit = {.commit_lsn = w->lsn,
        .end_lsn = w->lsn + 0x30,
        .xid = w->xid,
        .commit_us = 1700000000000000,
        .count = w->ordinal,
        .digest = sb_digester_result(w->digester)};
    commit.chain = sb_digest_chain(&w->chain, &commit);
    must(sb_codec_commit(codec, &commit, &body, &err));
    append(w, SB_KIND_COMMIT, 0, sb_view(NULL, 0), body);
    w->chain = commit.chain;
}

static void put_transaction(struct writer *w, unsigned i)
{
    begin(w, i);
    if (i == 4) {
        const struct sb_relation *truncated[] = {&account};
        put_change(
            w, &(struct sb_change){.op = SB_OP_TRUNCATE, .truncated = truncated, .truncated_count = 1});
        put_message(w);
    } else {
        put_row(w, i * 10 + 1, sb_view_str("one"));
        put_row(w, i * 10 + 2, sb_view_str("two"));
    }
    if (i == 3 && !small) {
        size_t len = sb_stream_record_max(store) + 100;
        char *large = malloc(len);
        memset(large, 'x', len);
        put_row(w, i * 10 + 3, sb_view(large, len));
        free(large);
    }
    put_commit(w);
}

static void write_log(void)
{
    struct writer first = {.epoch = 1, .digester = sb_digester_new()};
    struct writer second = {.epoch = 2, .digester = sb_digester_new()};
    put_open(&first, &(struct writer){0});
    put_schema(&first);
    for (unsigned i = 1; i <= 4; i++)
        put_transaction(&first, i);
    struct writer base = first;
    put_transaction(&first, 5);
    begin(&first, 6);
    put_row(&first, 61, sb_view_str("one"));
    put_row(&first, 62, sb_view_str("two"));
    put_open(&second, &base);
    for (unsigned i = 5; i <= 8; i++)
        put_transaction(&second, i);
    put_commit(&first);
    for (unsigned i = 9; i <= 10; i++)
        put_transaction(&second, i);
    begin(&second, 11);
    put_row(&second, 111, sb_view_str("one"));
    sb_digester_free(first.digester);
    sb_digester_free(second.digester);
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4 || !sb_uuid_parse(argv[2], &uuid)) {
        fprintf(stderr, "usage: log_writer FILE UUID [small]\n");
        return 64;
    }
    small = argc == 4;
    struct sb_stream_options options = {.store = SB_STORE_EMBEDDED,
        .migration = "shop",
        .direction = "forward",
        .path = argv[1],
        .retention_max_bytes = INT64_C(1) << 40};
    must(sb_stream_create(&options, &uuid, NULL, &err));
    must(sb_stream_open(&options, SB_STREAM_WRITE, &store, &err));
    must(sb_codec_new(&codec, &err));
    write_log();
    sb_codec_forget(codec, &account);
    sb_codec_free(codec);
    sb_stream_close(store);
    return 0;
}
