/*
 * An image: rows of one table as the truth side showed them under a snapshot, on their way to the follower
 * through the stream (docs/RECONCILE.md). The content of a transactional message with the prefix
 * switchback.image (schemas/signal.h), emitted in the very transaction that read S and the rows:
 *
 *     64 hex digits, a space, the record in Avro binary (schemas/avro/image.avsc)
 *
 * The digits are the SHA-256 of the truth side's signing key followed by the record: whoever may connect to
 * the source may send a message, and only one that bears the signature is obeyed. Who obeys verifies it
 * first.
 *
 * What apply does with a row of an image that comes at commit L:
 *
 *  - stamped (snapshot is not empty): the row is the truth at L unless a transaction with a position at or
 *    before L, which S does not show, touched its key. Every commit at or before floor_lsn is visible in S
 * (the repair's own window knows that), so only those in (floor_lsn, L] have to be known: apply's ring of
 * touched keys (apply/ring). A ring that does not reach back to the floor decides nothing: skipped_ring.
 *  - unstamped (snapshot is empty): the undo of a repair. Only its guard protects it.
 *  - guard: the follower's row must still be the one that was found, by its digest (schemas/rowform) over the
 *    image's columns in their order, or there must be none still.
 *
 * Pure. Everything read lives in the arena or in the body.
 */
#ifndef SB_SCHEMAS_IMAGE_H
#define SB_SCHEMAS_IMAGE_H

#include "core/arena.h"
#include "core/err.h"
#include "schemas/change.h"

enum {
    SB_IMAGE_SIGNATURE_CHARS = 64,
    SB_IMAGE_ROWS_MAX = 1000,
    SB_IMAGE_BODY_MAX_BYTES =
        256 * 1024 * 1024, /* the server gets it in hex to verify it, in less than 1 GB */
};

struct sb_image_row {
    int64_t item;                  /* of the repair */
    bool present;                  /* on the truth side, under S */
    const struct sb_value *values; /* one for each column of the image; not present: only the key's, the
                                      others SB_COL_ABSENT */
    bool guard_present;            /* the follower had a row */
    struct sb_digest guard;        /* if so: its digest */
};

struct sb_image {
    int64_t repair;
    uint64_t ownership_epoch;
    struct sb_view direction; /* "forward" */
    struct sb_view migration;
    struct sb_view snapshot; /* S as text; empty: unstamped */
    uint64_t floor_lsn;      /* every commit at or before it is visible in S */
    uint32_t timeline;       /* of the truth side */
    struct sb_view schema, table;
    uint16_t column_count;
    const struct sb_view *columns; /* the compared ones, in the source's order */
    uint16_t key_count;            /* at least 1 */
    const uint16_t *key_cols;      /* indexes into columns, in the order of the key's bytes */
    uint32_t row_count;
    const struct sb_image_row *rows; /* in the order in which they are to be done: deletes first */
};

/* The record alone, to be signed. SB-LIMIT. */
int sb_image_write(const struct sb_image *image, struct sb_buf *out, struct sb_err *err);
/* The two parts of a body; false if it has not this form. */
bool sb_image_split(struct sb_view body, struct sb_view *ret_signature, struct sb_view *ret_record);
/* SB-VALUE-INVALID, SB-LIMIT. Any bytes may come. */
int sb_image_read(
    struct sb_view record, struct sb_arena *arena, struct sb_image *ret_image, struct sb_err *err);

#endif
