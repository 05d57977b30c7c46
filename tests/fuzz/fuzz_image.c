/*
 * An image of rows as a message carries it: signature, space, record. What must hold beside not crashing: a
 * refusal has a name, and what is read can be written and reads as the same.
 */
#include "schemas/image.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MAX_BYTES = 16 << 20 };

static void must(int fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

/* What was written of bytes that were read; empty: they were refused. */
static void rewrite(struct sb_view record, struct sb_arena *arena, struct sb_buf *out)
{
    struct sb_image image;
    struct sb_err err;
    int result = sb_image_read(record, arena, &image, &err);
    must(result == 0 || err.code == SB_E_VALUE_INVALID || err.code == SB_E_LIMIT,
        "a refusal without a fitting name");
    if (result == 0)
        must(sb_image_write(&image, out, &err) == 0, "what was read cannot be written");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sb_arena *arena = sb_arena_new("fuzz", MAX_BYTES);
    struct sb_buf first SB_CLEANUP(sb_buf_clear), second SB_CLEANUP(sb_buf_clear);
    struct sb_view signature, record = sb_view(data, len);
    sb_buf_init(&first, MAX_BYTES);
    sb_buf_init(&second, MAX_BYTES);
    must(arena != NULL, "memory");
    if (sb_image_split(record, &signature, &record))
        must(signature.len == SB_IMAGE_SIGNATURE_CHARS, "a signature of another length");
    rewrite(record, arena, &first);
    if (first.len > 0) {
        rewrite(sb_buf_view(&first), arena, &second);
        must(sb_view_eq(sb_buf_view(&first), sb_buf_view(&second)), "an image changed by being written");
    }
    sb_arena_free(arena);
    return 0;
}
