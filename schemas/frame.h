/*
 * The identity frame: who a record is, in a fixed binary form outside its Avro body (a Kafka header named
 * "switchback", columns of the embedded store), so that a record can be judged, skipped and checked without
 * decoding. Format 1, big-endian, 112 bytes:
 *
 *     0  magic "SBF" and the format number 1
 *     4  u8  kind             5  u8  part_of: the kind in parts, 0 if whole     6  u16 lane
 *     8  16  stream uuid
 *    24  u64 epoch           32  u64 sequence, gapless per lane
 *    40  u64 commit LSN      48  u64 end LSN: known at commit, else 0
 *    56  u64 ordinal in the transaction, from 1; 0 for open, schema and commit
 *    64  u64 xid             72  u32 timeline
 *    76  u32 part index      80  u32 part count, 0 if whole       84  u32 reserved, 0
 *    88  u64 XXH3 of the body (of this part)      96  u64 XXH3 of the whole body if in parts, else 0
 *   104  u64 XXH3 of bytes 0..103
 *
 * A reader refuses: wrong length or magic (SB-LOG-CORRUPT), a higher format (SB-LOG-FORMAT), unknown kinds, a
 * non-zero reserved field, parts that do not add up, a wrong checksum (SB-LOG-CORRUPT).
 */
#ifndef SB_SCHEMAS_FRAME_H
#define SB_SCHEMAS_FRAME_H

#include "core/err.h"
#include "schemas/change.h"

enum { SB_FRAME_BYTES = 112, SB_FRAME_FORMAT = 1 };

struct sb_frame {
    enum sb_kind kind;
    enum sb_kind part_of; /* 0 unless kind is SB_KIND_PART */
    uint16_t lane;
    struct sb_uuid stream;
    uint64_t epoch;
    uint64_t sequence;
    uint64_t commit_lsn;
    uint64_t end_lsn;
    uint64_t ordinal;
    uint64_t xid;
    uint32_t timeline;
    uint32_t part_index;
    uint32_t part_count;
    uint64_t body_hash;
    uint64_t whole_hash;
};

void sb_frame_encode(const struct sb_frame *frame, unsigned char out[SB_FRAME_BYTES]);
/* 0, or -1 with ret_frame untouched. */
int sb_frame_decode(struct sb_view bytes, struct sb_frame *ret_frame, struct sb_err *err);
/* SB-LOG-CORRUPT unless the body hashes to what the frame says. */
int sb_frame_check_body(const struct sb_frame *frame, struct sb_view body, struct sb_err *err);
const char *sb_kind_name(enum sb_kind kind); /* "change"; "?" if unknown */

#endif
