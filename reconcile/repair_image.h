/*
 * Images on their way: rows of one table, read on the truth side under a snapshot S and put into the stream
 * by the very transaction that read them (schemas/image.h says what apply does with them).
 *
 *     BEGIN REPEATABLE READ, LOCK ... ACCESS SHARE, then S, then the rows of the keys, then the signed
 * message, COMMIT
 *
 * The commit of the image is behind every commit that S shows, so an image that no transaction beyond S has
 * touched is the truth at its place in the stream. A table's items go in their order; a body holds so many of
 * them as fit into about SB_IMAGE_BODY_BYTES, at least one.
 */
#ifndef SB_RECONCILE_REPAIR_IMAGE_H
#define SB_RECONCILE_REPAIR_IMAGE_H

#include "reconcile/repair_book.h"
#include "reconcile/table.h"

enum { SB_IMAGE_BODY_BYTES = 1024 * 1024 };

struct sb_imager;

struct sb_imager_options { /* strings and session are the caller's */
    struct sb_conn *truth;
    const char *migration, *direction;
    uint32_t timeline; /* of the truth side */
    int64_t repair;
    uint64_t ownership_epoch;
};
int sb_imager_new(const struct sb_imager_options *options, struct sb_imager **ret_imager, struct sb_err *err);
void sb_imager_free(struct sb_imager *imager); /* NULL is fine */

enum sb_imager_answer {
    SB_IMAGER_LOCKED = 1, /* somebody holds the table: ask again */
    SB_IMAGER_ALTERED,    /* it has not the shape that it was planned with */
};
/* One image of the first items, which are at most SB_IMAGE_ROWS_MAX. 0 with ret_done of them in the stream;
 * an answer, or -1, with none. SB-NOT-PREPARED without a signing key. floor_lsn: see schemas/image.h. */
int sb_imager_send(struct sb_imager *imager, const struct sb_verify_table *table, uint64_t floor_lsn,
    const struct sb_repair_item *const *items, size_t count, size_t *ret_done, struct sb_err *err);
/* The same unstamped, of rows as they are given: rows[i] of items[i], NULL where there is to be none. */
int sb_imager_send_rows(struct sb_imager *imager, const struct sb_verify_table *table,
    const struct sb_repair_item *const *items, const struct sb_value *const *rows, size_t count,
    size_t *ret_done, struct sb_err *err);

#endif
