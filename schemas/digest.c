/*
 * A row's canonical bytes are assembled in a small buffer and given to XXH3 in few updates: each update has a
 * fixed cost far above that of hashing five bytes. Text longer than the buffer goes in directly.
 */
#include "schemas/digest.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

enum { DIGEST_BUFFER_BYTES = 4096 };

struct sb_digester {
    XXH3_state_t *state;
    size_t used;
    unsigned char bytes[DIGEST_BUFFER_BYTES];
};

struct sb_digester *sb_digester_new(void)
{
    struct sb_digester *digester = malloc(sizeof *digester);
    if (digester == NULL)
        return NULL;
    digester->state = XXH3_createState();
    if (digester->state == NULL) {
        free(digester);
        return NULL;
    }
    sb_digester_reset(digester);
    return digester;
}

void sb_digester_free(struct sb_digester *digester)
{
    if (digester == NULL)
        return;
    XXH3_freeState(digester->state);
    free(digester);
}

void sb_digester_reset(struct sb_digester *digester)
{
    XXH3_128bits_reset(digester->state);
    digester->used = 0;
}

static void digest_flush(struct sb_digester *digester)
{
    XXH3_128bits_update(digester->state, digester->bytes, digester->used);
    digester->used = 0;
}

/* Room for len bytes, at most the fixed part of a column or record. */
static unsigned char *digest_room(struct sb_digester *digester, size_t len)
{
    if (len > DIGEST_BUFFER_BYTES - digester->used)
        digest_flush(digester);
    unsigned char *room = digester->bytes + digester->used;
    digester->used += len;
    return room;
}

static void digest_u8(struct sb_digester *digester, uint8_t value)
{
    *digest_room(digester, 1) = value;
}

static void digest_u16(struct sb_digester *digester, uint16_t value)
{
    value = htobe16(value);
    memcpy(digest_room(digester, sizeof value), &value, sizeof value);
}

static void digest_u64(struct sb_digester *digester, uint64_t value)
{
    value = htobe64(value);
    memcpy(digest_room(digester, sizeof value), &value, sizeof value);
}

static void digest_view(struct sb_digester *digester, struct sb_view view)
{
    uint32_t len = htobe32((uint32_t)view.len);
    memcpy(digest_room(digester, sizeof len), &len, sizeof len);
    if (view.len > DIGEST_BUFFER_BYTES / 2) {
        digest_flush(digester);
        XXH3_128bits_update(digester->state, view.ptr, view.len);
    } else if (view.len > 0) {
        memcpy(digest_room(digester, view.len), view.ptr, view.len);
    }
}

static void digest_row(
    struct sb_digester *digester, const struct sb_relation *rel, const struct sb_value *row)
{
    digest_u8(digester, row != NULL);
    if (row == NULL)
        return;
    digest_u16(digester, rel->col_count);
    for (size_t i = 0; i < rel->col_count; i++) {
        digest_u8(digester, (uint8_t)row[i].state);
        if (row[i].state == SB_COL_TEXT)
            digest_view(digester, row[i].text);
    }
}

static void digest_truncate(struct sb_digester *digester, uint64_t ordinal, const struct sb_change *chg)
{
    digest_u8(digester, 'T');
    digest_u64(digester, ordinal);
    digest_u8(digester, chg->cascade);
    digest_u8(digester, chg->restart_identity);
    digest_u16(digester, chg->truncated_count);
    for (size_t i = 0; i < chg->truncated_count; i++) {
        digest_view(digester, chg->truncated[i]->schema);
        digest_view(digester, chg->truncated[i]->name);
    }
}

void sb_digester_change(struct sb_digester *digester, uint64_t ordinal, const struct sb_change *chg)
{
    if (chg->op == SB_OP_TRUNCATE) {
        digest_truncate(digester, ordinal, chg);
    } else {
        digest_u8(digester, 'C');
        digest_u64(digester, ordinal);
        digest_u8(digester, (uint8_t)chg->op);
        digest_view(digester, chg->rel->schema);
        digest_view(digester, chg->rel->name);
        digest_row(digester, chg->rel, chg->before);
        digest_row(digester, chg->rel, chg->after);
    }
    digest_flush(digester);
}

void sb_digester_message(struct sb_digester *digester, uint64_t ordinal, const struct sb_message *msg)
{
    digest_u8(digester, 'M');
    digest_u64(digester, ordinal);
    digest_view(digester, msg->prefix);
    digest_view(digester, msg->content);
    digest_flush(digester);
}

static struct sb_digest digest_of(XXH128_hash_t hash)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    struct sb_digest digest;
    memcpy(digest.bytes, canonical.digest, sizeof digest.bytes);
    return digest;
}

struct sb_digest sb_digester_result(const struct sb_digester *digester)
{
    return digest_of(XXH3_128bits_digest(digester->state));
}

struct sb_digest sb_digest_chain(const struct sb_digest *previous, const struct sb_commit *commit)
{
    uint64_t numbers[3] = {htobe64(commit->commit_lsn), htobe64(commit->xid), htobe64(commit->count)};
    unsigned char link[2 * sizeof *previous + sizeof numbers];
    memcpy(link, previous->bytes, sizeof previous->bytes);
    memcpy(link + 16, commit->digest.bytes, sizeof commit->digest.bytes);
    memcpy(link + 32, numbers, sizeof numbers);
    return sb_hash128(sb_view(link, sizeof link));
}

bool sb_digest_eq(const struct sb_digest *a, const struct sb_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool sb_uuid_eq(const struct sb_uuid *a, const struct sb_uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

uint64_t sb_hash64(struct sb_view bytes)
{
    return XXH3_64bits(bytes.ptr, bytes.len);
}

struct sb_digest sb_hash128(struct sb_view bytes)
{
    return digest_of(XXH3_128bits(bytes.ptr, bytes.len));
}

struct sb_hasher {
    XXH3_state_t *state;
};

struct sb_hasher *sb_hasher_new(void)
{
    struct sb_hasher *hasher = malloc(sizeof *hasher);
    if (hasher == NULL)
        return NULL;
    hasher->state = XXH3_createState();
    if (hasher->state == NULL) {
        free(hasher);
        return NULL;
    }
    sb_hasher_reset(hasher);
    return hasher;
}

void sb_hasher_free(struct sb_hasher *hasher)
{
    if (hasher == NULL)
        return;
    XXH3_freeState(hasher->state);
    free(hasher);
}

void sb_hasher_reset(struct sb_hasher *hasher)
{
    XXH3_128bits_reset(hasher->state);
}

void sb_hasher_put(struct sb_hasher *hasher, struct sb_view bytes)
{
    XXH3_128bits_update(hasher->state, bytes.ptr, bytes.len);
}

struct sb_digest sb_hasher_result(const struct sb_hasher *hasher)
{
    return digest_of(XXH3_128bits_digest(hasher->state));
}

/* -- uuid
 * ---------------------------------------------------------------------------------------------------- */

/* Bytes before each dash of 8-4-4-4-12. */
static bool uuid_dash_before(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

const char *sb_uuid_text(const struct sb_uuid *uuid, char out[SB_UUID_TEXT_BYTES])
{
    char *at = out;
    for (size_t i = 0; i < sizeof uuid->bytes; i++) {
        if (uuid_dash_before(i))
            *at++ = '-';
        sb_hex_encode(uuid->bytes + i, 1, at);
        at += 2;
    }
    return out;
}

bool sb_uuid_parse(const char *text, struct sb_uuid *ret_uuid)
{
    struct sb_uuid uuid;
    if (text == NULL || strlen(text) != SB_UUID_TEXT_BYTES - 1)
        return false;
    for (size_t i = 0; i < sizeof uuid.bytes; i++) {
        if (uuid_dash_before(i) && *text++ != '-')
            return false;
        if (!sb_hex_decode(sb_view(text, 2), uuid.bytes + i, 1))
            return false;
        text += 2;
    }
    *ret_uuid = uuid;
    return true;
}

bool sb_uuid_random(struct sb_uuid *ret_uuid)
{
    struct sb_uuid uuid;
    if (getrandom(uuid.bytes, sizeof uuid.bytes, 0) != (ssize_t)sizeof uuid.bytes)
        return false;
    uuid.bytes[6] = (unsigned char)((uuid.bytes[6] & 0x0f) | 0x40);
    uuid.bytes[8] = (unsigned char)((uuid.bytes[8] & 0x3f) | 0x80);
    *ret_uuid = uuid;
    return true;
}

const char *sb_digest_text(const struct sb_digest *digest, char out[SB_DIGEST_TEXT_BYTES])
{
    sb_hex_encode(digest->bytes, sizeof digest->bytes, out);
    return out;
}
