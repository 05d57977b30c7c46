/*
 * Sums of digests mod 2^128: what two multisets of rows have in common whatever their order. For faults, not
 * for forgery, as the digests are.
 */
#ifndef SB_RECONCILE_SUM_H
#define SB_RECONCILE_SUM_H

#include "schemas/change.h"

#include <stdint.h>

__extension__ typedef unsigned __int128 sb_sum;

enum { SB_SUM_TEXT_BYTES = 33 };

/* The digest as a number: the first byte is the highest, as in its text. */
static inline sb_sum sb_sum_of(const struct sb_digest *digest)
{
    sb_sum sum = 0;
    for (size_t i = 0; i < sizeof digest->bytes; i++)
        sum = sum << 8 | digest->bytes[i];
    return sum;
}
static inline const char *sb_sum_text(sb_sum sum, char out[SB_SUM_TEXT_BYTES])
{
    struct sb_digest digest;
    for (size_t i = sizeof digest.bytes; i > 0; i--, sum >>= 8)
        digest.bytes[i - 1] = (uint8_t)sum;
    sb_hex_encode(digest.bytes, sizeof digest.bytes, out);
    return out;
}

#endif
