/*
 * Clocks. The monotonic clock drives time-outs and intervals; the wall clock is only ever shown to people and
 * stored beside data. No correctness rule uses wall time.
 */
#ifndef SB_CORE_CLOCK_H
#define SB_CORE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t sb_clock_mono_ms(void);
int64_t sb_clock_mono_us(void);
int64_t sb_clock_wall_us(void); /* since 1970-01-01 UTC */

/* PostgreSQL counts microseconds from 2000-01-01 (docs: protocol-logicalrep-message-formats). */
#define SB_PG_EPOCH_US INT64_C(946684800000000)

enum { SB_TIME_TEXT_BYTES = 32 };
/* "2026-11-24T03:27:00.123456Z"; returns out. */
const char *sb_clock_text(int64_t wall_us, char out[SB_TIME_TEXT_BYTES]);
/* Reads "2026-11-24 03:27:00[.ffffff][Z]" with 'T' or blank between; false if it is not that. */
int sb_clock_parse(const char *text, int64_t *ret_wall_us);

#endif
