#include "capture/pgoutput.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/map.h"
#include "pg/ident.h"

#include <stdlib.h>
#include <string.h>

enum {
    RELATIONS_MAX = 1 << 20,
    TYPES_MAX = 1 << 20,
    TRUNCATED_MAX = UINT16_MAX, /* what struct sb_change counts */
    TRUNCATE_CASCADE = 1,
    TRUNCATE_RESTART = 2,
};

/* The position of every relation in the server's tuples is the order of its columns here. One block of memory
 * holds it whole: columns and every name follow the struct. */
struct relation_entry {
    struct sb_relation rel;
    struct sb_column cols[];
};

struct sb_pgoutput {
    struct sb_pgoutput_options options;
    struct sb_map *relations; /* oid -> struct relation_entry */
    struct sb_map *types;     /* oid -> "schema.name", those announced by Y */
    struct relation_entry *replaced;
    struct relation_entry *latest; /* most rows are of the relation of the row before */
    bool in_txn;
    uint64_t commit_lsn; /* of the transaction, or of the newest one */
    uint32_t xid;
    uint64_t aborts_ignored;
    struct sb_err failure; /* SB_OK until the first error */
    const struct sb_relation **truncated;
    size_t truncated_cap;
    struct sb_value before[SB_COLS_MAX];
    struct sb_value after[SB_COLS_MAX];
};

struct sb_pgoutput *sb_pgoutput_new(const struct sb_pgoutput_options *options)
{
    struct sb_pgoutput *dec = calloc(1, sizeof *dec);
    if (dec == NULL)
        return NULL;
    dec->options = *options;
    dec->relations = sb_map_new(RELATIONS_MAX);
    dec->types = sb_map_new(TYPES_MAX);
    if (dec->relations == NULL || dec->types == NULL) {
        sb_pgoutput_free(dec);
        return NULL;
    }
    return dec;
}

static void free_values(struct sb_map *map)
{
    size_t pos = 0;
    struct sb_view key;
    void *value;
    while (map != NULL && sb_map_next(map, &pos, &key, &value))
        free(value);
    sb_map_free(map);
}

void sb_pgoutput_free(struct sb_pgoutput *dec)
{
    if (dec == NULL)
        return;
    free_values(dec->relations);
    free_values(dec->types);
    free(dec->replaced);
    free(dec->truncated);
    free(dec);
}

uint64_t sb_pgoutput_aborts_ignored(const struct sb_pgoutput *dec)
{
    return dec->aborts_ignored;
}

struct sb_relation *sb_pgoutput_relation(const struct sb_pgoutput *dec, uint32_t oid)
{
    struct relation_entry *entry = sb_map_get(dec->relations, sb_map_key_u32(&oid));
    return entry == NULL ? NULL : &entry->rel;
}

struct sb_relation *sb_pgoutput_next_relation(const struct sb_pgoutput *dec, size_t *pos)
{
    struct sb_view key;
    void *value;
    return sb_map_next(dec->relations, pos, &key, &value) ? &((struct relation_entry *)value)->rel : NULL;
}

/* Microseconds since 1970; unsigned, for the sum of a hostile value may wrap. */
static int64_t read_time(struct sb_cursor *cur)
{
    return (int64_t)(sb_cursor_u64(cur) + (uint64_t)SB_PG_EPOCH_US);
}

/* -- checks ------------------------------------------------------------------------------------------------
 */

/* The cursor tells too little and too much at once; every message ends here. */
static int check_end(const struct sb_cursor *cur, const char *what, struct sb_err *err)
{
    if (cur->failed)
        return sb_err_set(
            err, SB_E_PROTOCOL, "the %s message is cut short or has a wrong length in it", what);
    if (!sb_cursor_done(cur))
        return sb_err_set(
            err, SB_E_PROTOCOL, "the %s message has %zu bytes left over", what, sb_cursor_left(cur));
    return 0;
}

static int check_name(struct sb_view name, const char *what, struct sb_err *err)
{
    return sb_utf8_valid(name) ? 0 : sb_err_set(err, SB_E_ENCODING, "the name of a %s is not UTF-8", what);
}

/* Printable ASCII in most cases: eight bytes at a time, and only what is left over the slow way. */
static bool text_valid(struct sb_view text)
{
    static const uint64_t high = UINT64_C(0x8080808080808080);
    static const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t i = 0;
    if (text.len == 0)
        return true; /* a failed cursor's view has no address */
    for (; i + sizeof(uint64_t) <= text.len; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, text.ptr + i, sizeof word);
        if (((word | (word - ones)) & high) != 0) /* a byte over 127, or a zero somewhere below a borrow */
            break;
    }
    struct sb_view rest = sb_view(text.ptr + i, text.len - i);
    if (rest.len < sizeof(uint64_t)) {
        size_t k = 0;
        while (k < rest.len && (signed char)rest.ptr[k] > 0)
            k++;
        if (k == rest.len)
            return true;
    }
    return memchr(rest.ptr, '\0', rest.len) == NULL && sb_utf8_valid(rest);
}

static int in_transaction(const struct sb_pgoutput *dec, const char *what, struct sb_err *err)
{
    return dec->in_txn ? 0 : sb_err_set(err, SB_E_PROTOCOL, "a %s message outside a transaction", what);
}

static int find_relation(
    struct sb_pgoutput *dec, uint32_t oid, struct relation_entry **ret_entry, struct sb_err *err)
{
    struct relation_entry *entry = dec->latest;
    if (entry == NULL || entry->rel.oid != oid)
        entry = sb_map_get(dec->relations, sb_map_key_u32(&oid));
    if (entry == NULL)
        return sb_err_set(err, SB_E_PROTOCOL, "a change of relation %u, which was never described", oid);
    dec->latest = entry;
    *ret_entry = entry;
    return 0;
}

/* -- rows --------------------------------------------------------------------------------------------------
 */

enum row_kind { ROW_NEW, ROW_NEW_OF_UPDATE, ROW_OLD, ROW_KEY };

static int value_error(
    const struct sb_relation *rel, size_t i, enum sb_code code, const char *what, struct sb_err *err)
{
    struct sb_view name = rel->cols[i].name;
    return sb_err_set(err, code, "column %.*s of %.*s.%.*s: %s", (int)name.len, name.ptr,
        (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr, what);
}

static int read_value(const struct sb_pgoutput *dec, struct sb_cursor *cur, const struct sb_relation *rel,
    size_t i, enum row_kind kind, struct sb_value *ret_value, struct sb_err *err)
{
    uint8_t state = sb_cursor_u8(cur);
    struct sb_value value = {.state = SB_COL_NULL};
    switch (state) {
    case 'n':
        break;
    case 'u':
        if (kind != ROW_NEW_OF_UPDATE)
            return value_error(rel, i, SB_E_PROTOCOL, "an unchanged value where there is no row before", err);
        value.state = SB_COL_UNCHANGED;
        break;
    case 't':
        value.state = SB_COL_TEXT;
        value.text = sb_cursor_bytes(cur, sb_cursor_u32(cur));
        if (!dec->options.any_encoding && !text_valid(value.text))
            return value_error(rel, i, SB_E_ENCODING, "a value that is not UTF-8 text", err);
        break;
    case 'b':
        return value_error(rel, i, SB_E_PROTOCOL, "a binary value, but text was asked for", err);
    default:
        if (cur->failed)
            return 0; /* said once, at the end of the message */
        return value_error(rel, i, SB_E_PROTOCOL, "an unknown kind of value", err);
    }
    /* The server fills the columns outside the key with NULLs; what it means is that they are not there. */
    if (kind == ROW_KEY && !rel->cols[i].key)
        value = (struct sb_value){.state = SB_COL_ABSENT};
    *ret_value = value;
    return 0;
}

static int read_row(const struct sb_pgoutput *dec, struct sb_cursor *cur, const struct sb_relation *rel,
    enum row_kind kind, struct sb_value *values, struct sb_err *err)
{
    uint16_t count = sb_cursor_u16(cur);
    if (cur->failed)
        return 0;
    if (count != rel->col_count)
        return sb_err_set(err, SB_E_PROTOCOL, "a row of %.*s.%.*s has %u columns, the relation has %u",
            (int)rel->schema.len, rel->schema.ptr, (int)rel->name.len, rel->name.ptr, count, rel->col_count);
    for (size_t i = 0; i < count; i++)
        if (read_value(dec, cur, rel, i, kind, &values[i], err) != 0)
            return -1;
    return 0;
}

static int row_tag(uint8_t tag, const char *what, struct sb_err *err)
{
    return sb_err_set(err, SB_E_PROTOCOL, "the %s message has a row of unknown kind 0x%02x", what, tag);
}

static int read_insert(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_change *chg, struct sb_err *err)
{
    struct relation_entry *entry;
    if (find_relation(dec, sb_cursor_u32(cur), &entry, err) != 0)
        return -1;
    uint8_t tag = sb_cursor_u8(cur);
    if (!cur->failed && tag != 'N')
        return row_tag(tag, "insert", err);
    if (read_row(dec, cur, &entry->rel, ROW_NEW, dec->after, err) != 0)
        return -1;
    *chg = (struct sb_change){.op = SB_OP_INSERT, .rel = &entry->rel, .after = dec->after};
    return 0;
}

static int read_update(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_change *chg, struct sb_err *err)
{
    struct relation_entry *entry;
    if (find_relation(dec, sb_cursor_u32(cur), &entry, err) != 0)
        return -1;
    *chg = (struct sb_change){.op = SB_OP_UPDATE, .rel = &entry->rel, .after = dec->after};
    uint8_t tag = sb_cursor_u8(cur);
    if (tag == 'K' || tag == 'O') {
        chg->old_is_key = tag == 'K';
        chg->before = dec->before;
        if (read_row(dec, cur, &entry->rel, tag == 'K' ? ROW_KEY : ROW_OLD, dec->before, err) != 0)
            return -1;
        tag = sb_cursor_u8(cur);
    }
    if (!cur->failed && tag != 'N')
        return row_tag(tag, "update", err);
    return read_row(dec, cur, &entry->rel, ROW_NEW_OF_UPDATE, dec->after, err);
}

static int read_delete(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_change *chg, struct sb_err *err)
{
    struct relation_entry *entry;
    if (find_relation(dec, sb_cursor_u32(cur), &entry, err) != 0)
        return -1;
    uint8_t tag = sb_cursor_u8(cur);
    if (!cur->failed && tag != 'K' && tag != 'O')
        return row_tag(tag, "delete", err);
    if (read_row(dec, cur, &entry->rel, tag == 'K' ? ROW_KEY : ROW_OLD, dec->before, err) != 0)
        return -1;
    *chg = (struct sb_change){
        .op = SB_OP_DELETE, .rel = &entry->rel, .before = dec->before, .old_is_key = tag == 'K'};
    return 0;
}

static int room_for_truncated(struct sb_pgoutput *dec, size_t count, struct sb_err *err)
{
    if (count <= dec->truncated_cap)
        return 0;
    void *grown = realloc(dec->truncated, count * sizeof(*dec->truncated));
    if (grown == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a truncation of %zu tables", count);
    dec->truncated = grown;
    dec->truncated_cap = count;
    return 0;
}

static int read_truncate(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_change *chg, struct sb_err *err)
{
    uint32_t count = sb_cursor_u32(cur);
    uint8_t flags = sb_cursor_u8(cur);
    if (cur->failed || count > sb_cursor_left(cur) / sizeof(uint32_t)) {
        sb_cursor_fail(cur);
        return 0;
    }
    if (count == 0 || (flags & ~(TRUNCATE_CASCADE | TRUNCATE_RESTART)) != 0)
        return sb_err_set(err, SB_E_PROTOCOL, "a truncate message of %u tables with flags %u", count, flags);
    if (count > TRUNCATED_MAX)
        return sb_err_set(
            err, SB_E_LIMIT, "a truncation of %u tables; at most %d are handled", count, TRUNCATED_MAX);
    if (room_for_truncated(dec, count, err) != 0)
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        struct relation_entry *entry;
        if (find_relation(dec, sb_cursor_u32(cur), &entry, err) != 0)
            return -1;
        dec->truncated[i] = &entry->rel;
    }
    *chg = (struct sb_change){.op = SB_OP_TRUNCATE,
        .truncated = dec->truncated,
        .truncated_count = (uint16_t)count,
        .cascade = (flags & TRUNCATE_CASCADE) != 0,
        .restart_identity = (flags & TRUNCATE_RESTART) != 0};
    return 0;
}

typedef int read_change_fn(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_change *chg, struct sb_err *err);

static int decode_change(struct sb_pgoutput *dec, struct sb_cursor *cur, read_change_fn *read,
    const char *what, struct sb_pgoutput_event *event, struct sb_err *err)
{
    event->kind = SB_PGOUTPUT_CHANGE;
    if (in_transaction(dec, what, err) != 0 || read(dec, cur, &event->change, err) != 0)
        return -1;
    return check_end(cur, what, err);
}

/* -- relations and types -----------------------------------------------------------------------------------
 */

static const char *const catalog_schema = "pg_catalog";

static struct sb_view schema_name(struct sb_view sent)
{
    return sent.len == 0 ? sb_view_str(catalog_schema) : sent;
}

static int decode_type(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_pgoutput_event *event, struct sb_err *err)
{
    uint32_t oid = sb_cursor_u32(cur);
    struct sb_view schema = schema_name(sb_cursor_cstr(cur));
    struct sb_view name = sb_cursor_cstr(cur);
    if (in_transaction(dec, "type", err) != 0 || check_end(cur, "type", err) != 0 ||
        check_name(schema, "schema", err) != 0 || check_name(name, "type", err) != 0)
        return -1;
    char *full = malloc(schema.len + name.len + 2);
    if (full == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the name of a type");
    memcpy(full, schema.ptr, schema.len);
    full[schema.len] = '.';
    memcpy(full + schema.len + 1, name.ptr, name.len);
    full[schema.len + 1 + name.len] = '\0';
    void *old;
    if (!sb_map_put(dec->types, sb_map_key_u32(&oid), full, &old)) {
        free(full);
        return sb_err_set(err, SB_E_LIMIT, "more than %d types", TYPES_MAX);
    }
    free(old);
    event->kind = SB_PGOUTPUT_TYPE;
    event->type.oid = oid;
    event->type.name = sb_view_str(full);
    return 0;
}

/* Lasts as long as the decoder for built-in types; others are copied into the relation, for a later Y may
 * rename them. */
static const char *type_name(const struct sb_pgoutput *dec, uint32_t oid)
{
    const char *name = sb_map_get(dec->types, sb_map_key_u32(&oid));
    if (name == NULL && dec->options.type_name != NULL)
        name = dec->options.type_name(dec->options.type_arg, oid);
    return name == NULL ? "pg_catalog.unknown" : name;
}

struct block { /* the memory behind an entry's columns */
    char *at;
};

static struct sb_view block_put(struct block *block, struct sb_view text)
{
    char *start = block->at;
    if (text.len > 0)
        memcpy(start, text.ptr, text.len);
    start[text.len] = '\0';
    block->at = start + text.len + 1;
    return sb_view(start, text.len);
}

/* The columns; with block NULL only checked and measured. */
static size_t read_columns(const struct sb_pgoutput *dec, struct sb_cursor *cur, uint16_t count,
    struct sb_column *cols, struct block *block, bool *ret_flags_known)
{
    size_t bytes = 0;
    bool known = true;
    for (uint16_t i = 0; i < count && !cur->failed; i++) {
        uint8_t flags = sb_cursor_u8(cur);
        struct sb_view name = sb_cursor_cstr(cur);
        uint32_t type_oid = sb_cursor_u32(cur);
        int32_t typmod = (int32_t)sb_cursor_u32(cur);
        struct sb_view type = sb_view_str(type_name(dec, type_oid));
        known = known && flags <= 1;
        bytes += name.len + type.len + 2;
        if (block != NULL)
            cols[i] = (struct sb_column){.name = block_put(block, name),
                .type_name = block_put(block, type),
                .type_oid = type_oid,
                .typmod = typmod,
                .key = flags == 1};
    }
    *ret_flags_known = known;
    return bytes;
}

static int check_relation(
    const struct relation_entry *entry, const struct sb_relation *rel, bool flags_known, struct sb_err *err)
{
    if (!flags_known)
        return sb_err_set(err, SB_E_PROTOCOL, "relation %u has a column with unknown flags", rel->oid);
    if (check_name(rel->schema, "schema", err) != 0 || check_name(rel->name, "table", err) != 0)
        return -1;
    for (size_t i = 0; i < rel->col_count; i++)
        if (check_name(entry->cols[i].name, "column", err) != 0 ||
            check_name(entry->cols[i].type_name, "type", err) != 0)
            return -1;
    return 0;
}

static int keep_relation(struct sb_pgoutput *dec, struct relation_entry *entry,
    struct sb_pgoutput_event *event, struct sb_err *err)
{
    void *old;
    if (!sb_map_put(dec->relations, sb_map_key_u32(&entry->rel.oid), entry, &old)) {
        free(entry);
        return sb_err_set(err, SB_E_LIMIT, "more than %d relations", RELATIONS_MAX);
    }
    dec->replaced = old;
    dec->latest = entry;
    event->kind = SB_PGOUTPUT_RELATION;
    event->relation.rel = &entry->rel;
    event->relation.old = old == NULL ? NULL : &dec->replaced->rel;
    return 0;
}

static int decode_relation(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_pgoutput_event *event, struct sb_err *err)
{
    uint32_t oid = sb_cursor_u32(cur);
    struct sb_view schema = schema_name(sb_cursor_cstr(cur));
    struct sb_view name = sb_cursor_cstr(cur);
    uint8_t identity = sb_cursor_u8(cur);
    uint16_t count = sb_cursor_u16(cur);
    if (in_transaction(dec, "relation", err) != 0)
        return -1;
    if (!cur->failed && (identity == 0 || strchr("dnfi", identity) == NULL))
        return sb_err_set(
            err, SB_E_PROTOCOL, "relation %u has an unknown replica identity 0x%02x", oid, identity);
    if (count > SB_COLS_MAX)
        return sb_err_set(err, SB_E_PROTOCOL, "relation %u has %u columns; a table has at most %d", oid,
            count, SB_COLS_MAX);

    struct sb_cursor again = *cur;
    bool flags_known;
    size_t bytes = read_columns(dec, cur, count, NULL, NULL, &flags_known);
    if (check_end(cur, "relation", err) != 0)
        return -1;
    struct relation_entry *entry =
        malloc(sizeof *entry + count * sizeof(struct sb_column) + bytes + schema.len + name.len + 2);
    if (entry == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for a relation of %u columns", count);
    struct block block = {(char *)&entry->cols[count]};
    read_columns(dec, &again, count, entry->cols, &block, &flags_known);
    entry->rel = (struct sb_relation){.oid = oid,
        .schema = block_put(&block, schema),
        .name = block_put(&block, name),
        .identity = (char)identity,
        .col_count = count,
        .cols = entry->cols};
    if (check_relation(entry, &entry->rel, flags_known, err) != 0) {
        free(entry);
        return -1;
    }
    return keep_relation(dec, entry, event, err);
}

/* -- transactions and messages -----------------------------------------------------------------------------
 */

static int decode_begin(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_pgoutput_event *event, struct sb_err *err)
{
    uint64_t commit_lsn = sb_cursor_u64(cur);
    int64_t commit_us = read_time(cur);
    uint32_t xid = sb_cursor_u32(cur);
    if (check_end(cur, "begin", err) != 0)
        return -1;
    if (dec->in_txn)
        return sb_err_set(err, SB_E_PROTOCOL, "transaction %u begins inside transaction %u", xid, dec->xid);
    if (commit_lsn <= dec->commit_lsn) {
        char now[SB_LSN_TEXT_BYTES], before[SB_LSN_TEXT_BYTES];
        return sb_err_set(err, SB_E_PROTOCOL, "the transaction committed at %s was sent after the one at %s",
            sb_lsn_text(commit_lsn, now), sb_lsn_text(dec->commit_lsn, before));
    }
    dec->in_txn = true;
    dec->commit_lsn = commit_lsn;
    dec->xid = xid;
    event->kind = SB_PGOUTPUT_BEGIN;
    event->begin = (struct sb_pgoutput_begin){.commit_lsn = commit_lsn, .commit_us = commit_us, .xid = xid};
    return 0;
}

static int decode_commit(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_pgoutput_event *event, struct sb_err *err)
{
    uint8_t flags = sb_cursor_u8(cur);
    uint64_t commit_lsn = sb_cursor_u64(cur);
    uint64_t end_lsn = sb_cursor_u64(cur);
    int64_t commit_us = read_time(cur);
    if (check_end(cur, "commit", err) != 0 || in_transaction(dec, "commit", err) != 0)
        return -1;
    if (flags != 0 || commit_lsn != dec->commit_lsn || end_lsn < commit_lsn) {
        char got[SB_LSN_TEXT_BYTES], begun[SB_LSN_TEXT_BYTES];
        return sb_err_set(err, SB_E_PROTOCOL, "the commit at %s does not fit its transaction, begun for %s",
            sb_lsn_text(commit_lsn, got), sb_lsn_text(dec->commit_lsn, begun));
    }
    dec->in_txn = false;
    event->kind = SB_PGOUTPUT_COMMIT;
    event->commit =
        (struct sb_pgoutput_commit){.commit_lsn = commit_lsn, .end_lsn = end_lsn, .commit_us = commit_us};
    return 0;
}

static int decode_origin(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_pgoutput_event *event, struct sb_err *err)
{
    event->kind = SB_PGOUTPUT_ORIGIN;
    event->origin.lsn = sb_cursor_u64(cur);
    event->origin.name = sb_cursor_cstr(cur);
    if (in_transaction(dec, "origin", err) != 0 || check_end(cur, "origin", err) != 0)
        return -1;
    return check_name(event->origin.name, "replication origin", err);
}

static int decode_message(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_pgoutput_event *event, struct sb_err *err)
{
    uint8_t flags = sb_cursor_u8(cur);
    event->kind = SB_PGOUTPUT_MESSAGE;
    event->message.transactional = flags == 1;
    event->message.msg.lsn = sb_cursor_u64(cur);
    event->message.msg.prefix = sb_cursor_cstr(cur);
    event->message.msg.content = sb_cursor_bytes(cur, sb_cursor_u32(cur));
    if (check_end(cur, "logical message", err) != 0)
        return -1;
    if (flags > 1)
        return sb_err_set(err, SB_E_PROTOCOL, "a logical message with unknown flags %u", flags);
    if (flags == 1 && in_transaction(dec, "transactional logical message", err) != 0)
        return -1;
    return check_name(event->message.msg.prefix, "logical message's prefix", err);
}

static int decode_abort(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_pgoutput_event *event, struct sb_err *err)
{
    event->kind = SB_PGOUTPUT_ABORT;
    event->abort.xid = sb_cursor_u32(cur);
    event->abort.subxid = sb_cursor_u32(cur);
    if (sb_cursor_left(cur) > 0) { /* protocol 4 with streaming 'parallel' adds them */
        sb_cursor_u64(cur);
        sb_cursor_u64(cur);
    }
    if (check_end(cur, "stream abort", err) != 0)
        return -1;
    if (dec->in_txn && event->abort.xid == dec->xid)
        return sb_err_set(err, SB_E_PROTOCOL, "an abort inside its own transaction %u", dec->xid);
    dec->aborts_ignored++;
    return 0;
}

static int unknown_kind(uint8_t kind, struct sb_err *err)
{
    if (strchr("SEc", kind) != NULL && kind != 0)
        return sb_err_set(
            err, SB_E_PROTOCOL, "a message of in-progress streaming ('%c'), which was not asked for", kind);
    if (strchr("bPKrp", kind) != NULL && kind != 0)
        return sb_err_set(
            err, SB_E_PROTOCOL, "a message of two-phase commit ('%c'), which was not asked for", kind);
    return sb_err_set(err, SB_E_PROTOCOL, "a message of unknown kind 0x%02x", kind);
}

static int decode(
    struct sb_pgoutput *dec, struct sb_cursor *cur, struct sb_pgoutput_event *event, struct sb_err *err)
{
    uint8_t kind = sb_cursor_u8(cur);
    if (cur->failed)
        return sb_err_set(err, SB_E_PROTOCOL, "an empty replication message");
    switch (kind) {
    case 'I':
        return decode_change(dec, cur, read_insert, "insert", event, err);
    case 'U':
        return decode_change(dec, cur, read_update, "update", event, err);
    case 'D':
        return decode_change(dec, cur, read_delete, "delete", event, err);
    case 'T':
        return decode_change(dec, cur, read_truncate, "truncate", event, err);
    case 'B':
        return decode_begin(dec, cur, event, err);
    case 'C':
        return decode_commit(dec, cur, event, err);
    case 'O':
        return decode_origin(dec, cur, event, err);
    case 'R':
        return decode_relation(dec, cur, event, err);
    case 'Y':
        return decode_type(dec, cur, event, err);
    case 'M':
        return decode_message(dec, cur, event, err);
    case 'A':
        return decode_abort(dec, cur, event, err);
    default:
        return unknown_kind(kind, err);
    }
}

int sb_pgoutput_decode(
    struct sb_pgoutput *dec, struct sb_view frame, struct sb_pgoutput_event *ret_event, struct sb_err *err)
{
    if (dec->failure.code != SB_OK) {
        *err = dec->failure;
        return -1;
    }
    if (dec->replaced != NULL) {
        free(dec->replaced);
        dec->replaced = NULL;
    }
    struct sb_cursor cur = sb_cursor(frame);
    struct sb_pgoutput_event event;
    if (decode(dec, &cur, &event, &dec->failure) != 0) {
        *err = dec->failure;
        return -1;
    }
    *ret_event = event;
    return 0;
}
