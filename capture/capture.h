/*
 * The capture stage: PostgreSQL -> stream, one direction, one incarnation.
 *
 *     source identity; the slot is free                 whoever held it appends no more
 *     stream tail, target progress                      what is known
 *     START_REPLICATION                                 holds the slot; nobody has had it in between
 *     the slot's confirmed position, start.h            where to go on, or why not
 *     epoch claimed by compare-and-set                  nobody else has it
 *     overlap.h                                         the source tells the same story again
 *     `open` durable                                    consumers drop whoever wrote before
 *     records, durable, applied                         ledger.h says what is confirmed
 *
 * Nothing is kept between incarnations but what stream, source and target hold: start is recovery.
 */
#ifndef SB_CAPTURE_CAPTURE_H
#define SB_CAPTURE_CAPTURE_H

#include "config/config.h"
#include "config/wiring.h"

/* 0: stopped by SIGTERM or SIGINT, which the caller has blocked; -1: error. Reports to the attached metrics
 * page.
 */
int sb_capture_run(const struct sb_config *config, enum sb_direction direction, struct sb_err *err);

#endif
