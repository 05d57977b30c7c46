#include "core/sha256.h"

#include <string.h>

enum { BLOCK_BYTES = 64, WORDS = 8, ROUNDS = 64, LENGTH_BYTES = 8 };

static const uint32_t first[WORDS] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
static const uint32_t constants[ROUNDS] = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b,
    0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74,
    0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
    0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3,
    0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354,
    0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
    0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3,
    0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa,
    0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t word, unsigned by)
{
    return word >> by | word << (32 - by);
}

static void schedule(const uint8_t *block, uint32_t w[ROUNDS])
{
    for (size_t i = 0; i < BLOCK_BYTES / 4; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (size_t i = BLOCK_BYTES / 4; i < ROUNDS; i++)
        w[i] = w[i - 16] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
               (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
}

static void block_take(uint32_t state[WORDS], const uint8_t *block)
{
    uint32_t w[ROUNDS], s[WORDS];
    schedule(block, w);
    memcpy(s, state, sizeof s);
    for (size_t i = 0; i < ROUNDS; i++) {
        uint32_t one = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) +
                       ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[i] + w[i];
        uint32_t two = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) +
                       ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, (WORDS - 1) * sizeof *s);
        s[4] += one;
        s[0] = one + two;
    }
    for (size_t i = 0; i < WORDS; i++)
        state[i] += s[i];
}

/* The last bytes, a one bit, zeros, and the length in bits. */
static void end_take(uint32_t state[WORDS], struct sb_view rest, size_t len)
{
    uint8_t block[2 * BLOCK_BYTES] = {0};
    size_t size = rest.len + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    if (rest.len > 0)
        memcpy(block, rest.ptr, rest.len);
    block[rest.len] = 0x80;
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        block[size - 1 - i] = (uint8_t)((uint64_t)len * 8 >> 8 * i);
    for (size_t at = 0; at < size; at += BLOCK_BYTES)
        block_take(state, block + at);
}

void sb_sha256(struct sb_view bytes, uint8_t out[SB_SHA256_BYTES])
{
    uint32_t state[WORDS];
    size_t at = 0;
    memcpy(state, first, sizeof state);
    for (; bytes.len - at >= BLOCK_BYTES; at += BLOCK_BYTES)
        block_take(state, (const uint8_t *)bytes.ptr + at);
    end_take(state, sb_view(bytes.len == at ? NULL : bytes.ptr + at, bytes.len - at), bytes.len);
    for (size_t i = 0; i < SB_SHA256_BYTES; i++)
        out[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

const char *sb_sha256_text(struct sb_view bytes, char out[SB_SHA256_TEXT_BYTES])
{
    uint8_t digest[SB_SHA256_BYTES];
    sb_sha256(bytes, digest);
    sb_hex_encode(digest, sizeof digest, out);
    return out;
}
