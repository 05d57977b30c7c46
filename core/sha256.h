/* SHA-256 (FIPS 180-4), for what others can recompute: a certificate's body. Nothing secret goes in. */
#ifndef SB_CORE_SHA256_H
#define SB_CORE_SHA256_H

#include "core/bytes.h"

enum { SB_SHA256_BYTES = 32, SB_SHA256_TEXT_BYTES = 65 };

void sb_sha256(struct sb_view bytes, uint8_t out[SB_SHA256_BYTES]);
const char *sb_sha256_text(struct sb_view bytes, char out[SB_SHA256_TEXT_BYTES]); /* lower-case hex */

#endif
