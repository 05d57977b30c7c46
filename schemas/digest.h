/*
 * Digests: what the source said, and nothing else. The only door to xxHash.
 *
 * A transaction's digest is XXH3-128 over its changes and messages in order; the chain joins every commit to
 * all before it. Both cover relation, op, column states and values, commit LSN, xid, ordinal: never epoch,
 * sequence, schema id, wall time, so that the same WAL captured twice has the same chain. Canonical bytes,
 * big-endian:
 *
 *     change:   'C' ordinal:u64 op:u8 len:u32 schema len:u32 name  row(before) row(after)
 *     row:      0:u8 if there is none, else 1:u8 count:u16 then per column state:u8 [len:u32 text if TEXT]
 *     truncate: 'T' ordinal:u64 cascade:u8 restart:u8 count:u16 then (len:u32 schema len:u32 name)*
 *     message:  'M' ordinal:u64 len:u32 prefix len:u32 content
 *     chain:    XXH3-128( previous chain:16 digest:16 commit_lsn:u64 xid:u64 count:u64 )
 *
 * XXH3 is for faults, not for forgery.
 */
#ifndef SB_SCHEMAS_DIGEST_H
#define SB_SCHEMAS_DIGEST_H

#include "schemas/change.h"

struct sb_digester; /* of one transaction at a time */

struct sb_digester *sb_digester_new(void); /* NULL if there is no memory */
void sb_digester_free(struct sb_digester *digester);
void sb_digester_reset(struct sb_digester *digester); /* a transaction begins */
void sb_digester_change(struct sb_digester *digester, uint64_t ordinal, const struct sb_change *chg);
void sb_digester_message(struct sb_digester *digester, uint64_t ordinal, const struct sb_message *msg);
struct sb_digest sb_digester_result(const struct sb_digester *digester);
/* The chain after commit, whose count, lsn, xid and digest are set. */
struct sb_digest sb_digest_chain(const struct sb_digest *previous, const struct sb_commit *commit);
bool sb_digest_eq(const struct sb_digest *a, const struct sb_digest *b);
bool sb_uuid_eq(const struct sb_uuid *a, const struct sb_uuid *b);

/* XXH3-128 of bytes that come in pieces. */
struct sb_hasher;
struct sb_hasher *sb_hasher_new(void);         /* NULL if there is no memory */
void sb_hasher_free(struct sb_hasher *hasher); /* NULL is fine */
void sb_hasher_reset(struct sb_hasher *hasher);
void sb_hasher_put(struct sb_hasher *hasher, struct sb_view bytes);
struct sb_digest sb_hasher_result(const struct sb_hasher *hasher);

uint64_t sb_hash64(struct sb_view bytes); /* XXH3-64 */
struct sb_digest sb_hash128(struct sb_view bytes);

enum { SB_UUID_TEXT_BYTES = 37, SB_DIGEST_TEXT_BYTES = 33 };
const char *sb_uuid_text(const struct sb_uuid *uuid, char out[SB_UUID_TEXT_BYTES]);
bool sb_uuid_parse(const char *text, struct sb_uuid *ret_uuid);
bool sb_uuid_random(struct sb_uuid *ret_uuid); /* version 4, from the kernel; false if it gives none */
const char *sb_digest_text(const struct sb_digest *digest, char out[SB_DIGEST_TEXT_BYTES]);

#endif
