#include "schemas/sha256.h"

#include <openssl/evp.h>
#include <string.h>

const char *sb_sha256_text(struct sb_view bytes, char out[SB_SHA256_TEXT_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    if (EVP_Digest(bytes.ptr, bytes.len, digest, NULL, EVP_sha256(), NULL) != 1)
        return NULL;
    sb_hex_encode(digest, SB_SHA256_BYTES, out);
    return out;
}
