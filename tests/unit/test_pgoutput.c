/* capture/pgoutput: every message as the documentation writes it, and everything that is not. */
#include "capture/pgoutput.h"
#include "core/log.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { T_INT4 = 23, T_TEXT = 25, T_MOOD = 16400, ITEMS = 16385, EMPTY = 16390 };

static const char *type_name(void *arg, uint32_t oid)
{
    (void)arg;
    return oid == T_INT4 ? "pg_catalog.int4" : oid == T_TEXT ? "pg_catalog.text" : NULL;
}

static struct sb_pgoutput *decoder_new(bool any_encoding)
{
    struct sb_pgoutput_options options = {.type_name = type_name, .any_encoding = any_encoding};
    struct sb_pgoutput *dec = sb_pgoutput_new(&options);
    ck_assert_ptr_nonnull(dec);
    return dec;
}

/* -- frames by hand ----------------------------------------------------------------------------------------
 */

static struct sb_buf frame;

static void put_cstr(const char *text)
{
    sb_buf_put(&frame, text, strlen(text) + 1);
}

static void begin_frame(char kind)
{
    sb_buf_reset(&frame);
    sb_buf_put_u8(&frame, (uint8_t)kind);
}

static void put_text(const char *text)
{
    sb_buf_put_u8(&frame, 't');
    sb_buf_put_u32(&frame, (uint32_t)strlen(text));
    sb_buf_put_str(&frame, text);
}

static void frame_begin(uint64_t lsn, uint32_t xid)
{
    begin_frame('B');
    sb_buf_put_u64(&frame, lsn);
    sb_buf_put_u64(&frame, 5000000);
    sb_buf_put_u32(&frame, xid);
}

static void frame_commit(uint64_t lsn, uint64_t end)
{
    begin_frame('C');
    sb_buf_put_u8(&frame, 0);
    sb_buf_put_u64(&frame, lsn);
    sb_buf_put_u64(&frame, end);
    sb_buf_put_u64(&frame, 5000000);
}

/* items(id int4 key, mood, note text) */
static void frame_relation(char identity)
{
    begin_frame('R');
    sb_buf_put_u32(&frame, ITEMS);
    put_cstr("public");
    put_cstr("items");
    sb_buf_put_u8(&frame, (uint8_t)identity);
    sb_buf_put_u16(&frame, 3);
    static const struct {
        const char *name;
        uint32_t type;
    } cols[] = {{"id", T_INT4}, {"mood", T_MOOD}, {"note", T_TEXT}};
    for (size_t i = 0; i < 3; i++) {
        sb_buf_put_u8(&frame, identity == 'f' || i == 0);
        put_cstr(cols[i].name);
        sb_buf_put_u32(&frame, cols[i].type);
        sb_buf_put_u32(&frame, UINT32_MAX);
    }
}

static void frame_type(void)
{
    begin_frame('Y');
    sb_buf_put_u32(&frame, T_MOOD);
    put_cstr("public");
    put_cstr("mood");
}

static void frame_empty_relation(void)
{
    begin_frame('R');
    sb_buf_put_u32(&frame, EMPTY);
    put_cstr("");
    put_cstr("empty");
    sb_buf_put_u8(&frame, 'd');
    sb_buf_put_u16(&frame, 0);
}

/* A row of three: each word is "n", "u", or "=text". */
static void put_row(char tag, const char *id, const char *mood, const char *note)
{
    const char *words[] = {id, mood, note};
    sb_buf_put_u8(&frame, (uint8_t)tag);
    sb_buf_put_u16(&frame, 3);
    for (size_t i = 0; i < 3; i++) {
        if (words[i][0] == '=')
            put_text(words[i] + 1);
        else
            sb_buf_put_u8(&frame, (uint8_t)words[i][0]);
    }
}

static void frame_row(char kind)
{
    begin_frame(kind);
    sb_buf_put_u32(&frame, ITEMS);
}

static void frame_truncate(uint8_t flags)
{
    begin_frame('T');
    sb_buf_put_u32(&frame, 2);
    sb_buf_put_u8(&frame, flags);
    sb_buf_put_u32(&frame, ITEMS);
    sb_buf_put_u32(&frame, EMPTY);
}

static void frame_message(uint8_t flags, const char *content)
{
    begin_frame('M');
    sb_buf_put_u8(&frame, flags);
    sb_buf_put_u64(&frame, 77);
    put_cstr("app.prefix");
    sb_buf_put_u32(&frame, (uint32_t)strlen(content));
    sb_buf_put_str(&frame, content);
}

/* -- decoding ----------------------------------------------------------------------------------------------
 */

static struct sb_pgoutput_event event;
static struct sb_err err;

static void decode_ok(struct sb_pgoutput *dec, enum sb_pgoutput_kind kind)
{
    int rc = sb_pgoutput_decode(dec, sb_buf_view(&frame), &event, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
    ck_assert_int_eq(event.kind, kind);
}

static void decode_fails(struct sb_pgoutput *dec, enum sb_code code)
{
    sb_err_clear(&err);
    ck_assert_int_eq(sb_pgoutput_decode(dec, sb_buf_view(&frame), &event, &err), -1);
    ck_assert_msg(err.code == code, "%s: %s", sb_err_id(&err), err.text);
}

/* A decoder inside a transaction that knows both relations. */
static struct sb_pgoutput *decoder_ready(void)
{
    struct sb_pgoutput *dec = decoder_new(false);
    frame_begin(100, 7);
    decode_ok(dec, SB_PGOUTPUT_BEGIN);
    frame_type();
    decode_ok(dec, SB_PGOUTPUT_TYPE);
    frame_relation('d');
    decode_ok(dec, SB_PGOUTPUT_RELATION);
    frame_empty_relation();
    decode_ok(dec, SB_PGOUTPUT_RELATION);
    return dec;
}

static void check_value(const struct sb_value *value, enum sb_col_state state, const char *text)
{
    ck_assert_int_eq(value->state, state);
    ck_assert(sb_view_eq_str(value->text, text));
}

START_TEST(transaction_and_its_positions)
{
    struct sb_pgoutput *dec = decoder_new(false);
    frame_begin(0x1000, 741);
    decode_ok(dec, SB_PGOUTPUT_BEGIN);
    ck_assert_uint_eq(event.begin.commit_lsn, 0x1000);
    ck_assert_uint_eq(event.begin.xid, 741);
    ck_assert_int_eq(event.begin.commit_us, INT64_C(946684805000000));
    frame_commit(0x1000, 0x1030);
    decode_ok(dec, SB_PGOUTPUT_COMMIT);
    ck_assert_uint_eq(event.commit.end_lsn, 0x1030);
    /* The end of one is where the next begins. */
    frame_begin(0x1030, 742);
    decode_ok(dec, SB_PGOUTPUT_BEGIN);
    begin_frame('O');
    sb_buf_put_u64(&frame, 55);
    put_cstr("switchback_shop_forward");
    decode_ok(dec, SB_PGOUTPUT_ORIGIN);
    ck_assert(sb_view_eq_str(event.origin.name, "switchback_shop_forward"));
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(relation_carries_key_types_and_identity)
{
    struct sb_pgoutput *dec = decoder_ready();
    const struct sb_relation *rel = sb_pgoutput_relation(dec, ITEMS);
    ck_assert_ptr_nonnull(rel);
    ck_assert(sb_view_eq_str(rel->schema, "public"));
    ck_assert(sb_view_eq_str(rel->name, "items"));
    ck_assert_int_eq(rel->identity, 'd');
    ck_assert_uint_eq(rel->col_count, 3);
    ck_assert(rel->cols[0].key && !rel->cols[1].key);
    ck_assert(sb_view_eq_str(rel->cols[0].type_name, "pg_catalog.int4"));
    ck_assert(sb_view_eq_str(rel->cols[1].type_name, "public.mood"));
    ck_assert_int_eq(rel->cols[2].typmod, -1);
    ck_assert(sb_view_eq_str(sb_pgoutput_relation(dec, EMPTY)->schema, "pg_catalog"));
    size_t pos = 0;
    ck_assert_ptr_nonnull(sb_pgoutput_next_relation(dec, &pos));
    ck_assert_ptr_nonnull(sb_pgoutput_next_relation(dec, &pos));
    ck_assert_ptr_null(sb_pgoutput_next_relation(dec, &pos));
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(new_relation_replaces_and_the_old_one_lives_one_call)
{
    struct sb_pgoutput *dec = decoder_ready();
    struct sb_relation *first = sb_pgoutput_relation(dec, ITEMS);
    frame_relation('f');
    decode_ok(dec, SB_PGOUTPUT_RELATION);
    ck_assert_ptr_eq(event.relation.old, first);
    ck_assert_int_eq(first->identity, 'd'); /* still readable */
    ck_assert_int_eq(event.relation.rel->identity, 'f');
    ck_assert(event.relation.rel->cols[2].key);
    ck_assert_ptr_eq(sb_pgoutput_relation(dec, ITEMS), event.relation.rel);
    frame_row('I');
    put_row('N', "=1", "n", "n");
    decode_ok(dec, SB_PGOUTPUT_CHANGE);
    ck_assert_int_eq(event.change.rel->identity, 'f');
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(unknown_type_travels_as_text)
{
    struct sb_pgoutput *dec = decoder_new(false);
    frame_begin(100, 7);
    decode_ok(dec, SB_PGOUTPUT_BEGIN);
    frame_relation('d'); /* no Y before it */
    decode_ok(dec, SB_PGOUTPUT_RELATION);
    ck_assert(sb_view_eq_str(event.relation.rel->cols[1].type_name, "pg_catalog.unknown"));
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(insert_of_null_text_and_empty_text)
{
    struct sb_pgoutput *dec = decoder_ready();
    frame_row('I');
    put_row('N', "=42", "n", "=");
    decode_ok(dec, SB_PGOUTPUT_CHANGE);
    ck_assert_int_eq(event.change.op, SB_OP_INSERT);
    ck_assert_ptr_null(event.change.before);
    check_value(&event.change.after[0], SB_COL_TEXT, "42");
    check_value(&event.change.after[1], SB_COL_NULL, "");
    check_value(&event.change.after[2], SB_COL_TEXT, "");
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(insert_of_zero_columns)
{
    struct sb_pgoutput *dec = decoder_ready();
    begin_frame('I');
    sb_buf_put_u32(&frame, EMPTY);
    sb_buf_put_u8(&frame, 'N');
    sb_buf_put_u16(&frame, 0);
    decode_ok(dec, SB_PGOUTPUT_CHANGE);
    ck_assert_ptr_nonnull(event.change.after);
    ck_assert_uint_eq(event.change.rel->col_count, 0);
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(update_in_its_three_forms)
{
    struct sb_pgoutput *dec = decoder_ready();
    frame_row('U');
    put_row('N', "=1", "=ok", "u");
    decode_ok(dec, SB_PGOUTPUT_CHANGE);
    ck_assert_int_eq(event.change.op, SB_OP_UPDATE);
    ck_assert_ptr_null(event.change.before);
    check_value(&event.change.after[2], SB_COL_UNCHANGED, "");

    frame_row('U');
    put_row('K', "=1", "n", "n");
    put_row('N', "=2", "=ok", "u");
    decode_ok(dec, SB_PGOUTPUT_CHANGE);
    ck_assert(event.change.old_is_key);
    check_value(&event.change.before[0], SB_COL_TEXT, "1");
    check_value(&event.change.before[1], SB_COL_ABSENT, "");
    check_value(&event.change.after[0], SB_COL_TEXT, "2");

    frame_row('U');
    put_row('O', "=1", "n", "=long");
    put_row('N', "=1", "=ok", "u");
    decode_ok(dec, SB_PGOUTPUT_CHANGE);
    ck_assert(!event.change.old_is_key);
    check_value(&event.change.before[1], SB_COL_NULL, "");
    check_value(&event.change.before[2], SB_COL_TEXT, "long");
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(delete_by_key_and_by_row)
{
    struct sb_pgoutput *dec = decoder_ready();
    frame_row('D');
    put_row('K', "=9", "n", "n");
    decode_ok(dec, SB_PGOUTPUT_CHANGE);
    ck_assert_int_eq(event.change.op, SB_OP_DELETE);
    ck_assert(event.change.old_is_key);
    ck_assert_ptr_null(event.change.after);
    check_value(&event.change.before[2], SB_COL_ABSENT, "");
    frame_row('D');
    put_row('O', "=9", "n", "=x");
    decode_ok(dec, SB_PGOUTPUT_CHANGE);
    ck_assert(!event.change.old_is_key);
    check_value(&event.change.before[1], SB_COL_NULL, "");
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(truncate_is_one_change_for_all_its_tables)
{
    struct sb_pgoutput *dec = decoder_ready();
    frame_truncate(2);
    decode_ok(dec, SB_PGOUTPUT_CHANGE);
    ck_assert_int_eq(event.change.op, SB_OP_TRUNCATE);
    ck_assert_ptr_null(event.change.rel);
    ck_assert_uint_eq(event.change.truncated_count, 2);
    ck_assert_ptr_eq(event.change.truncated[0], sb_pgoutput_relation(dec, ITEMS));
    ck_assert_ptr_eq(event.change.truncated[1], sb_pgoutput_relation(dec, EMPTY));
    ck_assert(!event.change.cascade && event.change.restart_identity);
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(messages_inside_and_outside_a_transaction)
{
    struct sb_pgoutput *dec = decoder_ready();
    frame_message(1, "hello");
    decode_ok(dec, SB_PGOUTPUT_MESSAGE);
    ck_assert(event.message.transactional);
    ck_assert_uint_eq(event.message.msg.lsn, 77);
    ck_assert(sb_view_eq_str(event.message.msg.prefix, "app.prefix"));
    ck_assert(sb_view_eq_str(event.message.msg.content, "hello"));
    frame_commit(100, 110);
    decode_ok(dec, SB_PGOUTPUT_COMMIT);
    frame_message(0, "");
    decode_ok(dec, SB_PGOUTPUT_MESSAGE);
    ck_assert(!event.message.transactional);
    frame_message(1, "late");
    decode_fails(dec, SB_E_PROTOCOL);
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(abort_of_an_unseen_transaction_is_ignored)
{
    struct sb_pgoutput *dec = decoder_ready();
    begin_frame('A');
    sb_buf_put_u32(&frame, 999);
    sb_buf_put_u32(&frame, 1000);
    decode_ok(dec, SB_PGOUTPUT_ABORT);
    sb_buf_put_u64(&frame, 1);
    sb_buf_put_u64(&frame, 2);
    decode_ok(dec, SB_PGOUTPUT_ABORT);
    ck_assert_uint_eq(sb_pgoutput_aborts_ignored(dec), 2);
    begin_frame('A');
    sb_buf_put_u32(&frame, 7); /* the one we are in */
    sb_buf_put_u32(&frame, 7);
    decode_fails(dec, SB_E_PROTOCOL);
    sb_pgoutput_free(dec);
}
END_TEST

/* -- what is refused ---------------------------------------------------------------------------------------
 */

typedef void make_frame(void);

static void make_begin(void)
{
    frame_begin(200, 8);
}
static void make_commit(void)
{
    frame_commit(100, 110);
}
static void make_origin(void)
{
    begin_frame('O');
    sb_buf_put_u64(&frame, 55);
    put_cstr("elsewhere");
}
static void make_relation(void)
{
    frame_relation('d');
}
static void make_insert(void)
{
    frame_row('I');
    put_row('N', "=42", "n", "=abc");
}
static void make_update(void)
{
    frame_row('U');
    put_row('K', "=1", "n", "n");
    put_row('N', "=2", "=ok", "u");
}
static void make_delete(void)
{
    frame_row('D');
    put_row('O', "=9", "n", "=x");
}
static void make_truncate(void)
{
    frame_truncate(3);
}
static void make_message(void)
{
    frame_message(1, "content");
}
static void make_abort(void)
{
    begin_frame('A');
    sb_buf_put_u32(&frame, 999);
    sb_buf_put_u32(&frame, 1000);
}

static make_frame *const every_frame[] = {make_begin, make_commit, make_origin, frame_type, make_relation,
    make_insert, make_update, make_delete, make_truncate, make_message, make_abort};
enum { FRAMES = sizeof every_frame / sizeof every_frame[0] };

/* Where the frame is right only outside a transaction. */
static struct sb_pgoutput *decoder_for(make_frame *make)
{
    struct sb_pgoutput *dec = decoder_ready();
    if (make == make_begin) {
        frame_commit(100, 110);
        decode_ok(dec, SB_PGOUTPUT_COMMIT);
    }
    return dec;
}

START_TEST(a_frame_cut_at_any_byte_is_refused)
{
    make_frame *make = every_frame[_i];
    make();
    size_t whole = frame.len;
    for (size_t len = 0; len <= whole; len++) {
        struct sb_pgoutput *dec = decoder_for(make);
        make();
        char *cut = malloc(len > 0 ? len : 1); /* exactly as long, so that a sanitizer sees a read past it */
        ck_assert_ptr_nonnull(cut);
        memcpy(cut, frame.ptr, len);
        int rc = sb_pgoutput_decode(dec, sb_view(cut, len), &event, &err);
        ck_assert_msg((rc == 0) == (len == whole), "frame %d cut at %zu of %zu", _i, len, whole);
        ck_assert(rc == 0 || err.code == SB_E_PROTOCOL);
        free(cut);
        sb_pgoutput_free(dec);
    }
}
END_TEST

START_TEST(a_frame_with_bytes_left_over_is_refused)
{
    struct sb_pgoutput *dec = decoder_for(every_frame[_i]);
    every_frame[_i]();
    sb_buf_put_u8(&frame, 0);
    decode_fails(dec, SB_E_PROTOCOL);
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(a_wrong_byte_anywhere_never_reads_beyond_the_frame)
{
    make_frame *make = every_frame[_i];
    make();
    size_t whole = frame.len;
    for (size_t at = 0; at < whole; at++) {
        for (int flip = 1; flip < 256; flip <<= 1) {
            struct sb_pgoutput *dec = decoder_for(make);
            make();
            char *copy = malloc(whole);
            memcpy(copy, frame.ptr, whole);
            copy[at] = (char)(copy[at] ^ flip);
            sb_pgoutput_decode(dec, sb_view(copy, whole), &event, &err);
            sb_pgoutput_free(dec);
            free(copy);
        }
    }
}
END_TEST

/* Runs body to make a frame in `frame`; the ready decoder uses the same buffer, so it is made first. */
#define REFUSED(code, body)                                                                                  \
    do {                                                                                                     \
        struct sb_pgoutput *dec_ = decoder_ready();                                                          \
        body;                                                                                                \
        decode_fails(dec_, (code));                                                                          \
        sb_pgoutput_free(dec_);                                                                              \
    } while (0)

START_TEST(unknown_kinds_are_refused)
{
    static const char kinds[] = "SEcbPKrpXx\x01";
    for (size_t i = 0; i < sizeof kinds; i++) /* NUL too */
        REFUSED(SB_E_PROTOCOL, begin_frame(kinds[i]));
}
END_TEST

START_TEST(wrong_lengths_are_refused)
{
    static const uint32_t lengths[] = {4, 1000, 0x7fffffff, 0x80000000, 0xffffffff};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        REFUSED(SB_E_PROTOCOL, {
            frame_row('I');
            sb_buf_put_u8(&frame, 'N');
            sb_buf_put_u16(&frame, 3);
            sb_buf_put_str(&frame, "nnt");
            sb_buf_put_u32(&frame, lengths[i]);
            sb_buf_put_str(&frame, "abc");
        });
        REFUSED(SB_E_PROTOCOL, {
            begin_frame('M');
            sb_buf_put_u8(&frame, 1);
            sb_buf_put_u64(&frame, 1);
            put_cstr("p");
            sb_buf_put_u32(&frame, lengths[i]);
            sb_buf_put_str(&frame, "abc");
        });
        REFUSED(SB_E_PROTOCOL, {
            begin_frame('T');
            sb_buf_put_u32(&frame, lengths[i]);
            sb_buf_put_u8(&frame, 0);
            sb_buf_put_u32(&frame, ITEMS);
        });
    }
}
END_TEST

static void put_bad_insert(const char *states, uint16_t count)
{
    frame_row('I');
    sb_buf_put_u8(&frame, 'N');
    sb_buf_put_u16(&frame, count);
    sb_buf_put_str(&frame, states);
}

START_TEST(rows_that_do_not_fit_are_refused)
{
    REFUSED(SB_E_PROTOCOL, put_bad_insert("nn", 2));
    REFUSED(SB_E_PROTOCOL, put_bad_insert("nnnn", 4));
    REFUSED(SB_E_PROTOCOL, put_bad_insert("", UINT16_MAX));
    REFUSED(SB_E_PROTOCOL, put_bad_insert("nnx", 3));
    REFUSED(SB_E_PROTOCOL, put_bad_insert("nnu", 3)); /* unchanged, but from what? */
    REFUSED(SB_E_PROTOCOL, {                          /* binary, not asked for */
        put_bad_insert("nnb", 3);
        sb_buf_put_u32(&frame, 1);
        sb_buf_put_u8(&frame, 1);
    });
    REFUSED(SB_E_PROTOCOL, { /* 'u' in a key */
        frame_row('D');
        put_row('K', "u", "n", "n");
    });
    REFUSED(SB_E_PROTOCOL, { /* and in an old row */
        frame_row('D');
        put_row('O', "=1", "n", "u");
    });
    REFUSED(SB_E_PROTOCOL, { /* 'N' in a delete */
        frame_row('D');
        put_row('N', "=1", "n", "n");
    });
    REFUSED(SB_E_PROTOCOL, { /* 'K' in an insert */
        frame_row('I');
        put_row('K', "=1", "n", "n");
    });
    REFUSED(SB_E_PROTOCOL, { /* two new rows */
        frame_row('U');
        put_row('N', "=1", "n", "n");
        put_row('N', "=1", "n", "n");
    });
    REFUSED(SB_E_PROTOCOL, { /* an old row and no new one */
        frame_row('U');
        put_row('K', "=1", "n", "n");
        put_row('K', "=1", "n", "n");
    });
}
END_TEST

START_TEST(unknown_relations_are_refused)
{
    REFUSED(SB_E_PROTOCOL, {
        begin_frame('I');
        sb_buf_put_u32(&frame, 4711);
        sb_buf_put_u8(&frame, 'N');
        sb_buf_put_u16(&frame, 0);
    });
    REFUSED(SB_E_PROTOCOL, {
        begin_frame('T');
        sb_buf_put_u32(&frame, 1);
        sb_buf_put_u8(&frame, 0);
        sb_buf_put_u32(&frame, 4711);
    });
}
END_TEST

static void put_relation_head(char identity, uint16_t count)
{
    begin_frame('R');
    sb_buf_put_u32(&frame, 5);
    put_cstr("s");
    put_cstr("t");
    sb_buf_put_u8(&frame, (uint8_t)identity);
    sb_buf_put_u16(&frame, count);
}

START_TEST(relations_that_cannot_be_are_refused)
{
    REFUSED(SB_E_PROTOCOL, put_relation_head('q', 0));
    REFUSED(SB_E_PROTOCOL, put_relation_head('\0', 0));
    REFUSED(SB_E_PROTOCOL, put_relation_head('d', SB_COLS_MAX + 1));
    REFUSED(SB_E_PROTOCOL, {
        put_relation_head('d', 1);
        sb_buf_put_u8(&frame, 2); /* column flags */
        put_cstr("c");
        sb_buf_put_u32(&frame, T_INT4);
        sb_buf_put_u32(&frame, 0);
    });
    REFUSED(SB_E_ENCODING, {
        put_relation_head('d', 1);
        sb_buf_put_u8(&frame, 0);
        put_cstr("c\xff");
        sb_buf_put_u32(&frame, T_INT4);
        sb_buf_put_u32(&frame, 0);
    });
    REFUSED(SB_E_PROTOCOL, { /* missing NUL */
        begin_frame('Y');
        sb_buf_put_u32(&frame, 5);
        sb_buf_put_str(&frame, "public");
    });
}
END_TEST

START_TEST(unknown_flags_are_refused)
{
    REFUSED(SB_E_PROTOCOL, frame_truncate(4));
    REFUSED(SB_E_PROTOCOL, frame_message(2, ""));
    REFUSED(SB_E_PROTOCOL, {
        frame_commit(100, 110);
        frame.ptr[1] = 1;
    });
    REFUSED(SB_E_PROTOCOL, {
        begin_frame('T');
        sb_buf_put_u32(&frame, 0);
        sb_buf_put_u8(&frame, 0);
    });
}
END_TEST

START_TEST(transactions_out_of_order_are_refused)
{
    REFUSED(SB_E_PROTOCOL, frame_begin(200, 8));    /* nested */
    REFUSED(SB_E_PROTOCOL, frame_commit(101, 110)); /* of another transaction */
    REFUSED(SB_E_PROTOCOL, frame_commit(100, 99));  /* ends before it starts */

    struct sb_pgoutput *dec = decoder_new(false);
    frame_commit(100, 110); /* without begin */
    decode_fails(dec, SB_E_PROTOCOL);
    sb_pgoutput_free(dec);

    dec = decoder_ready();
    frame_commit(100, 110);
    decode_ok(dec, SB_PGOUTPUT_COMMIT);
    decode_fails(dec, SB_E_PROTOCOL); /* twice */
    sb_pgoutput_free(dec);

    for (uint64_t lsn = 99; lsn <= 100; lsn++) { /* an LSN that goes back, or stays */
        dec = decoder_ready();
        frame_commit(100, 110);
        decode_ok(dec, SB_PGOUTPUT_COMMIT);
        frame_begin(lsn, 8);
        decode_fails(dec, SB_E_PROTOCOL);
        sb_pgoutput_free(dec);
    }
}
END_TEST

START_TEST(changes_outside_a_transaction_are_refused)
{
    static make_frame *const inner[] = {make_origin, frame_type, make_relation, make_insert, make_update,
        make_delete, make_truncate, make_message};
    struct sb_pgoutput *dec = decoder_ready();
    frame_commit(100, 110);
    decode_ok(dec, SB_PGOUTPUT_COMMIT);
    inner[_i]();
    decode_fails(dec, SB_E_PROTOCOL);
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(text_must_be_utf8_without_nul)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool good;
    } cases[] = {
        {"plain ascii, longer than a word", 31, true},
        {"gr\xc3\xbc\xc3\x9f", 6, true},
        {"0123456789 \xf0\x9f\x98\x80", 15, true},
        {"\xff", 1, false},
        {"01234567\xc3", 9, false},
        {"\xc0\x80", 2, false},     /* overlong NUL */
        {"\xed\xa0\x80", 3, false}, /* surrogate */
        {"a\0b", 3, false},
        {"0123456\0"
         "89",
            10, false},
        {"\xc3\xbc 0123456\0", 11, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int any = 0; any < 2; any++) {
            struct sb_pgoutput *dec = decoder_new(any == 1);
            frame_begin(100, 7);
            decode_ok(dec, SB_PGOUTPUT_BEGIN);
            frame_relation('d');
            decode_ok(dec, SB_PGOUTPUT_RELATION);
            put_bad_insert("nnt", 3);
            sb_buf_put_u32(&frame, (uint32_t)cases[i].len);
            sb_buf_put(&frame, cases[i].bytes, cases[i].len);
            if (cases[i].good || any == 1)
                decode_ok(dec, SB_PGOUTPUT_CHANGE);
            else
                decode_fails(dec, SB_E_ENCODING);
            sb_pgoutput_free(dec);
        }
    }
}
END_TEST

START_TEST(an_error_is_sticky)
{
    struct sb_pgoutput *dec = decoder_ready();
    begin_frame('X');
    decode_fails(dec, SB_E_PROTOCOL);
    make_insert();
    decode_fails(dec, SB_E_PROTOCOL);
    sb_pgoutput_free(dec);
}
END_TEST

START_TEST(errors_name_the_place_and_never_the_value)
{
    struct sb_pgoutput *dec = decoder_ready();
    put_bad_insert("nnt", 3);
    sb_buf_put_u32(&frame, 7);
    sb_buf_put(&frame, "secret\xff", 7);
    decode_fails(dec, SB_E_ENCODING);
    ck_assert_ptr_nonnull(strstr(err.text, "note"));
    ck_assert_ptr_nonnull(strstr(err.text, "public.items"));
    ck_assert_ptr_null(strstr(err.text, "secret"));
    sb_pgoutput_free(dec);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("pgoutput");
    TCase *good = tcase_create("messages");
    tcase_add_test(good, transaction_and_its_positions);
    tcase_add_test(good, relation_carries_key_types_and_identity);
    tcase_add_test(good, new_relation_replaces_and_the_old_one_lives_one_call);
    tcase_add_test(good, unknown_type_travels_as_text);
    tcase_add_test(good, insert_of_null_text_and_empty_text);
    tcase_add_test(good, insert_of_zero_columns);
    tcase_add_test(good, update_in_its_three_forms);
    tcase_add_test(good, delete_by_key_and_by_row);
    tcase_add_test(good, truncate_is_one_change_for_all_its_tables);
    tcase_add_test(good, messages_inside_and_outside_a_transaction);
    tcase_add_test(good, abort_of_an_unseen_transaction_is_ignored);
    suite_add_tcase(s, good);
    TCase *bad = tcase_create("refusals");
    tcase_add_loop_test(bad, a_frame_cut_at_any_byte_is_refused, 0, FRAMES);
    tcase_add_loop_test(bad, a_frame_with_bytes_left_over_is_refused, 0, FRAMES);
    tcase_add_loop_test(bad, a_wrong_byte_anywhere_never_reads_beyond_the_frame, 0, FRAMES);
    tcase_add_test(bad, unknown_kinds_are_refused);
    tcase_add_test(bad, wrong_lengths_are_refused);
    tcase_add_test(bad, rows_that_do_not_fit_are_refused);
    tcase_add_test(bad, unknown_relations_are_refused);
    tcase_add_test(bad, relations_that_cannot_be_are_refused);
    tcase_add_test(bad, unknown_flags_are_refused);
    tcase_add_test(bad, transactions_out_of_order_are_refused);
    tcase_add_loop_test(bad, changes_outside_a_transaction_are_refused, 0, 8);
    tcase_add_test(bad, text_must_be_utf8_without_nul);
    tcase_add_test(bad, an_error_is_sticky);
    tcase_add_test(bad, errors_name_the_place_and_never_the_value);
    tcase_set_timeout(bad, 60);
    suite_add_tcase(s, bad);
    return s;
}

int main(void)
{
    sb_buf_init(&frame, 1 << 20);
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    sb_buf_clear(&frame);
    return failed == 0 ? 0 : 1;
}
