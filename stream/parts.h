/*
 * Records larger than the store takes travel as numbered parts under one ordinal (kind `part`, part_of the
 * true kind), each a record of its own sequence number, with a hash over the whole. The key goes with part 0.
 */
#ifndef SB_STREAM_PARTS_H
#define SB_STREAM_PARTS_H

#include "stream/stream.h"

/*
 * Split: how many records a body of body_len needs, and the i-th of them. frame is the whole record's, its
 * sequence that of part 0; parts take sequence, sequence+1, ... A body that fits needs 1 and is sent as it
 * is. Body and whole hashes are filled in here; with frame->whole_hash set (to sb_hash64 of the body) a large
 * body is not hashed anew for each of its parts. record_max is at least 1; a body of more than 2^32-1 parts
 * cannot be.
 */
uint32_t sb_parts_count(size_t body_len, size_t record_max);
void sb_parts_make(const struct sb_frame *frame, struct sb_view key, struct sb_view body, size_t record_max,
    uint32_t index, struct sb_record *ret_record);

/* Join: feed records in order (those the proof takes). max_bytes bounds a joined body: SB-LIMIT. */
struct sb_joiner;
struct sb_joiner *sb_joiner_new(size_t max_bytes);
void sb_joiner_free(struct sb_joiner *joiner);
void sb_joiner_reset(struct sb_joiner *joiner); /* forget a half-joined record (abandoned transaction) */
enum { SB_JOINER_MORE = 1 };
/* 0: ret_whole is a whole record, its frame with the true kind and the last part's sequence; its views are
 * valid until the next feed (or those of record, if it was whole already). SB_JOINER_MORE: wait for the next
 * part. -1: parts missing, repeated, reordered, mixed or not matching their hash: SB-LOG-CORRUPT. */
int sb_joiner_feed(struct sb_joiner *joiner, const struct sb_record *record, struct sb_record *ret_whole,
    struct sb_err *err);

#endif
