/* SHA-256, for what others can recompute: a certificate's body. The only door to libcrypto. */
#ifndef SB_SCHEMAS_SHA256_H
#define SB_SCHEMAS_SHA256_H

#include "core/bytes.h"

enum { SB_SHA256_BYTES = 32, SB_SHA256_TEXT_BYTES = 65 };

/* Lower-case hex; NULL: the library has no memory, or may not (FIPS of another kind). */
const char *sb_sha256_text(struct sb_view bytes, char out[SB_SHA256_TEXT_BYTES]);

#endif
