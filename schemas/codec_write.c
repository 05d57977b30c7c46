/*
 * Writing rows. Room for the longest form of a row is had once, so that the columns are written without
 * looking at the buffer again.
 */
#include "schemas/codec.h"

#include "pg/ident.h"
#include "schemas/avro_bytes.h"
#include "schemas/codec_parts.h"
#include "schemas/twin.h"

#include <inttypes.h>

/* A column without its text: branch, inner branch, length; a scalar twin is not longer. */
enum { COLUMN_MAX_BYTES = 2 + SB_AVRO_LONG_MAX_BYTES };
/* The envelope without rows and source names: two branches, lsn, txId, op, ts_ms. */
enum { ENVELOPE_MAX_BYTES = 4 + 3 * SB_AVRO_LONG_MAX_BYTES };

enum text_kind { TEXT_UTF8, TEXT_BYTES, TEXT_INVALID };

/* Most text is ASCII: eight bytes at a time, a high bit sends it to the full check, a NUL ends it. */
static enum text_kind text_kind(struct sb_view text)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
    uint64_t high = 0, zero = 0, word;
    size_t i = 0;
    for (; i + sizeof word <= text.len; i += sizeof word) {
        memcpy(&word, text.ptr + i, sizeof word);
        high |= word;
        zero |= (word - ones) & ~word;
    }
    if (i < text.len) {
        word = ones; /* what is not text must not look like a NUL */
        memcpy(&word, text.ptr + i, text.len - i);
        high |= word;
        zero |= (word - ones) & ~word;
    }
    if ((zero & highs) != 0 && memchr(text.ptr, 0, text.len) != NULL)
        return TEXT_INVALID;
    return (high & highs) == 0 || sb_utf8_valid(text) ? TEXT_UTF8 : TEXT_BYTES;
}

/* NULL if the text has a NUL byte: no text of PostgreSQL has, and it would end there on the way back. */
static unsigned char *put_text(unsigned char *at, enum sb_twin twin, struct sb_view text)
{
    enum text_kind kind = text_kind(text);
    if (kind == TEXT_INVALID)
        return NULL;
    if (twin == SB_TWIN_TEXT) { /* [null, string, bytes, unchanged] */
        at = sb_avro_put_long(at, kind == TEXT_UTF8 ? SB_BRANCH_TWIN : SB_BRANCH_TEXT);
    } else { /* [null, twin, {text: [string, bytes]}, unchanged] */
        at = sb_avro_put_long(at, SB_BRANCH_TEXT);
        at = sb_avro_put_long(at, kind == TEXT_BYTES);
    }
    return sb_avro_put_bytes(at, text);
}

/* NULL if the text has no twin. */
static unsigned char *put_twin(unsigned char *at, enum sb_twin twin, struct sb_view text)
{
    int64_t whole;
    double real;
    unsigned char *value = sb_avro_put_long(at, SB_BRANCH_TWIN);
    switch (twin) {
    case SB_TWIN_BOOL:
        if (!sb_twin_parse_long(twin, text, &whole))
            return NULL;
        *value = (unsigned char)whole;
        return value + 1;
    case SB_TWIN_INT2:
    case SB_TWIN_INT4:
    case SB_TWIN_INT8:
    case SB_TWIN_DATE:
    case SB_TWIN_TIMESTAMP:
    case SB_TWIN_TIMESTAMPTZ:
        return sb_twin_parse_long(twin, text, &whole) ? sb_avro_put_long(value, whole) : NULL;
    case SB_TWIN_FLOAT4:
        return sb_twin_parse_double(twin, text, &real) ? sb_avro_put_float(value, (float)real) : NULL;
    case SB_TWIN_FLOAT8:
        return sb_twin_parse_double(twin, text, &real) ? sb_avro_put_double(value, real) : NULL;
    case SB_TWIN_BYTEA:
        if (text.len < 2)
            return NULL;
        value = sb_avro_put_long(value, (int64_t)(text.len - 2) / 2);
        return sb_twin_parse_bytea(text, value) ? value + (text.len - 2) / 2 : NULL;
    case SB_TWIN_UUID:
        return sb_twin_is_uuid(text) ? sb_avro_put_bytes(value, text) : NULL;
    case SB_TWIN_TEXT:
    case SB_TWIN_COUNT:
        break;
    }
    return NULL;
}

/* NULL if the value cannot be written. */
static unsigned char *put_column(unsigned char *at, enum sb_twin twin, const struct sb_value *value)
{
    switch (value->state) {
    case SB_COL_NULL:
        return sb_avro_put_long(at, SB_BRANCH_NULL);
    case SB_COL_UNCHANGED:
        at = sb_avro_put_long(at, SB_BRANCH_UNCHANGED);
        return sb_avro_put_long(at, 0); /* the enum's only symbol */
    case SB_COL_TEXT:
        break;
    case SB_COL_ABSENT:
    default:
        return NULL;
    }
    unsigned char *end = put_twin(at, twin, value->text);
    return end != NULL ? end : put_text(at, twin, value->text);
}

/* The columns of a row, or only those of the key; NULL with the column at fault. */
static unsigned char *put_row(unsigned char *at, const struct sb_shape *shape, const struct sb_value *row,
    bool key_only, size_t *ret_fault)
{
    for (size_t i = 0; i < shape->rel.col_count; i++) {
        if (key_only && !shape->rel.cols[i].key)
            continue;
        at = put_column(at, (enum sb_twin)shape->twins[i], &row[i]);
        if (at == NULL) {
            *ret_fault = i;
            return NULL;
        }
    }
    return at;
}

/* SIZE_MAX if a text is beyond what a body can hold, so that sums cannot overflow. */
static size_t row_max(const struct sb_shape *shape, const struct sb_value *row)
{
    size_t most = 0;
    for (size_t i = 0; row != NULL && i < shape->rel.col_count; i++) {
        most += COLUMN_MAX_BYTES;
        if (row[i].state != SB_COL_TEXT)
            continue;
        if (row[i].text.len > INT32_MAX)
            return SIZE_MAX / 4;
        most += row[i].text.len;
    }
    return most;
}

/* Room at the end of buf that is given back unused; NULL with err. */
static unsigned char *take_room(
    struct sb_buf *buf, size_t most, const struct sb_relation *rel, struct sb_err *err)
{
    size_t len = buf->len;
    unsigned char *room = (unsigned char *)sb_buf_grow(buf, most);
    if (room == NULL) {
        sb_err_set(err, most > buf->max - len ? SB_E_LIMIT : SB_E_NO_MEMORY,
            "a change of table %.*s.%.*s may need %zu bytes; the bound of a record is %zu",
            (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr, most, buf->max);
        return NULL;
    }
    buf->len = len;
    return room;
}

static void give_back(struct sb_buf *buf, const unsigned char *end)
{
    buf->len = (size_t)((const char *)end - buf->ptr);
    buf->ptr[buf->len] = '\0';
}

static int refuse_column(
    const struct sb_shape *shape, const struct sb_value *row, size_t i, struct sb_err *err)
{
    const struct sb_relation *rel = &shape->rel;
    const struct sb_column *col = &rel->cols[i];
    bool text = row[i].state == SB_COL_TEXT;
    return sb_err_set(err, text ? SB_E_ENCODING : SB_E_INTERNAL, "table %.*s.%.*s, column %.*s: %s",
        (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr, (int)col->name.len,
        col->name.ptr, text ? "the text has a NUL byte" : "a column is absent where all must be there");
}

/* Which rows an op has, and what key-only old rows are. */
static int check_change(const struct sb_shape *shape, const struct sb_change *chg, struct sb_err *err)
{
    bool fine = (chg->op == SB_OP_INSERT && chg->before == NULL && chg->after != NULL) ||
                (chg->op == SB_OP_UPDATE && chg->after != NULL) ||
                (chg->op == SB_OP_DELETE && chg->before != NULL && chg->after == NULL);
    if (chg->old_is_key) {
        fine = fine && shape->has_key && chg->before != NULL;
        for (size_t i = 0; fine && i < shape->rel.col_count; i++)
            fine = shape->rel.cols[i].key || chg->before[i].state == SB_COL_ABSENT;
    }
    if (!fine)
        return sb_err_set(err, SB_E_INTERNAL, "table %.*s.%.*s: a change '%c' with rows that do not fit it",
            (int)shape->rel.schema.len, shape->rel.schema.ptr, (int)shape->rel.name.len, shape->rel.name.ptr,
            chg->op);
    return 0;
}

static int write_key(
    struct sb_codec *codec, const struct sb_shape *shape, const struct sb_change *chg, struct sb_err *err)
{
    const struct sb_value *row = chg->before != NULL ? chg->before : chg->after;
    size_t fault;
    sb_codec_renew(&codec->key);
    if (!shape->has_key)
        return 0;
    sb_codec_put_header(&codec->key, shape->rel.schema_id + 1);
    unsigned char *at = take_room(&codec->key, row_max(shape, row), &shape->rel, err);
    if (at == NULL)
        return -1;
    at = put_row(at, shape, row, /* key_only= */ true, &fault);
    if (at == NULL)
        return refuse_column(shape, row, fault, err);
    give_back(&codec->key, at);
    return 0;
}

static unsigned char *put_tail(
    unsigned char *at, const struct sb_shape *shape, enum sb_op op, const struct sb_change_meta *meta)
{
    memcpy(at, shape->source.ptr, shape->source.len);
    at = sb_avro_put_long(at + shape->source.len, (int64_t)meta->lsn);
    at = sb_avro_put_long(at, (int64_t)meta->xid);
    at = sb_avro_put_long(at, 1); /* op is a string of one letter */
    *at++ = (unsigned char)op;
    return sb_avro_put_long(at, sb_us_to_ms(meta->commit_us));
}

static int write_body(struct sb_codec *codec, const struct sb_shape *shape, const struct sb_change *chg,
    const struct sb_change_meta *meta, struct sb_err *err)
{
    size_t fault;
    size_t most =
        ENVELOPE_MAX_BYTES + shape->source.len + row_max(shape, chg->before) + row_max(shape, chg->after);
    sb_codec_renew(&codec->body);
    sb_codec_put_header(&codec->body, shape->rel.schema_id);
    unsigned char *at = take_room(&codec->body, most, &shape->rel, err);
    if (at == NULL)
        return -1;
    at = sb_avro_put_long(at, chg->before == NULL ? SB_BEFORE_NONE
                              : chg->old_is_key   ? SB_BEFORE_KEY
                                                  : SB_BEFORE_ROW);
    if (chg->before != NULL && (at = put_row(at, shape, chg->before, chg->old_is_key, &fault)) == NULL)
        return refuse_column(shape, chg->before, fault, err);
    at = sb_avro_put_long(at, chg->after != NULL);
    if (chg->after != NULL && (at = put_row(at, shape, chg->after, /* key_only= */ false, &fault)) == NULL)
        return refuse_column(shape, chg->after, fault, err);
    give_back(&codec->body, put_tail(at, shape, chg->op, meta));
    return 0;
}

static int write_truncate(struct sb_codec *codec, const struct sb_change *chg,
    const struct sb_change_meta *meta, struct sb_err *err)
{
    for (size_t i = 0; i < chg->truncated_count; i++)
        if (chg->truncated[i]->codec == NULL)
            return sb_err_set(err, SB_E_INTERNAL, "a truncated table was never made known to the codec");
    sb_codec_renew(&codec->key);
    sb_codec_renew(&codec->body);
    sb_codec_put_header(&codec->body, SB_SCHEMA_ID_TRUNCATE);
    return sb_fixed_put_truncate(codec->fixed, chg, meta, &codec->body, err);
}

int sb_codec_change(struct sb_codec *codec, const struct sb_change *chg, const struct sb_change_meta *meta,
    struct sb_view *ret_key, struct sb_view *ret_body, struct sb_err *err)
{
    if (chg->op == SB_OP_TRUNCATE) {
        if (write_truncate(codec, chg, meta, err) < 0)
            return -1;
    } else {
        const struct sb_shape *shape = chg->rel->codec;
        if (shape == NULL)
            return sb_err_set(err, SB_E_INTERNAL, "a changed table was never made known to the codec");
        if (check_change(shape, chg, err) < 0 || write_key(codec, shape, chg, err) < 0 ||
            write_body(codec, shape, chg, meta, err) < 0)
            return -1;
    }
    *ret_key = sb_buf_view(&codec->key);
    *ret_body = sb_buf_view(&codec->body);
    return 0;
}
