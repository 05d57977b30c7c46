/*
 * A recorded walsender stream as text: one line an event, without what differs from run to run (positions,
 * times, transaction ids, oids), so that the same topic reads the same on every server version.
 */
#ifndef SB_TESTS_WIRE_DUMP_H
#define SB_TESTS_WIRE_DUMP_H

#include "core/bytes.h"
#include "core/err.h"
#include "schemas/change.h"

/* frames: u32 length and bytes, as often as there are; 0, or -1 with what the decoder said. */
int wire_dump(struct sb_view frames, struct sb_buf *out, struct sb_err *err);

/* One change or transactional message, as a line of that dump. */
void wire_dump_change(struct sb_buf *out, const struct sb_change *chg);
void wire_dump_message(struct sb_buf *out, const struct sb_message *msg);
/* The name of a built-in type; an sb_pgoutput_type_fn. */
const char *wire_type_name(void *arg, uint32_t oid);

/* A whole file, to be freed; an empty view that is not NULL if it could not be read. */
struct sb_view wire_read_file(const char *path);

#endif
