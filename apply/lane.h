/*
 * A lane: records of the stream in, target transactions out. It proves what it is given (stream/proof),
 * decodes it, gathers whole transactions into batches, writes them in sets or, where that does not come out
 * as planned, change by change, and moves the progress row with them. One lane is one progress row. There is
 * the main lane, and while tables are set aside (apply/aside) the side reader's, which proves the same
 * records and writes what the main lane leaves out.
 *
 * A transaction larger than a batch is written as it arrives in one open target transaction, in bounded
 * memory, and rolled back if its commit never comes.
 *
 * The lane never waits for the stream and never looks at a clock: the stage around it (apply/apply) does.
 * Until the stream is beyond the initial copy's stamps (apply/stamps), every change is judged by them: what
 * the copied rows show already is proven and counted as progress like everything else, and not written.
 *
 * A row that moved between chunks with values that did not travel ends the writing, too: the rest of the
 * stream is surveyed, and what was found is asked for again.
 *
 * After an error the lane is finished: free it and build a new one, which starts from the progress row.
 */
#ifndef SB_APPLY_LANE_H
#define SB_APPLY_LANE_H

#include "apply/progress.h"
#include "config/wiring.h"
#include "stream/stream.h"

struct sb_lane;

/* Over an open target session (the caller's). Reads progress and poison, takes the lane's replication origin.
 */
int sb_lane_new(const struct sb_config *config, enum sb_direction direction, enum sb_lane_number number,
    struct sb_conn *conn, struct sb_lane **ret_lane, struct sb_err *err);
void sb_lane_free(struct sb_lane *lane); /* rolls back what is open */

/* Where to read from: the position applied, with its hint. */
const struct sb_progress *sb_lane_progress(const struct sb_lane *lane);
/* The record right before the place where reading begins. If it is the commit that progress names, its chain
 * must be the one that progress has: else SB-PROGRESS-LOST. */
int sb_lane_prove(struct sb_lane *lane, const struct sb_record *before, struct sb_err *err);
/* A schema known beside the log (control table). */
int sb_lane_learn(struct sb_lane *lane, struct sb_view body, struct sb_err *err);

/* What to do while the target works (apply/writer): nothing that takes records. */
void sb_lane_meanwhile(struct sb_lane *lane, bool (*fn)(void *arg), void *arg);
/* The next record of the stream. Writes to the target when a batch is full. */
int sb_lane_take(struct sb_lane *lane, const struct sb_record *record, struct sb_err *err);
/* Write the whole transactions gathered so far; nothing if there are none. */
int sb_lane_flush(struct sb_lane *lane, struct sb_err *err);

/* It has met a row with values that are nowhere (apply/suspects): from here on nothing is written, the stream
 * is only looked through for more of them. */
bool sb_lane_surveys(const struct sb_lane *lane);
/* There is nothing more to look for: it is full; or all of it is asked for, because the source has failed
 * over while stamps were in force; or a table was met that has to be copied first (apply/strangers). */
bool sb_lane_survey_is_over(const struct sb_lane *lane);
/* About once a second: does somebody repair, so that touched keys are to be remembered (apply/repair)? */
int sb_lane_follow_repair(struct sb_lane *lane, struct sb_err *err);
/* Beyond the last stamp: write down, once, that they are passed. */
int sb_lane_pass(struct sb_lane *lane, struct sb_err *err);
/* Ask for what was found to be copied again (apply/recopy); the lane is finished then. */
int sb_lane_ask_again(struct sb_lane *lane, struct sb_err *err);

/* Tables are to be copied again, and no transaction is in flight: nothing more is to be taken. */
bool sb_lane_stops_for_copy(const struct sb_lane *lane);

/* Before it lies DDL that may concern a table set aside: what came before is written, and nothing more is to
 * be taken until these tables are given back. */
bool sb_lane_stands(const struct sb_lane *lane);
/* Tables set aside when it was made. */
size_t sb_lane_aside(const struct sb_lane *lane);
bool sb_lane_observes(const struct sb_lane *lane); /* the target owns: nothing is written */
/* Nothing is gathered, and no transaction in flight: it is where its progress says. */
bool sb_lane_is_still(const struct sb_lane *lane);

bool sb_lane_has_whole(const struct sb_lane *lane); /* there are transactions to flush */
bool sb_lane_is_large(const struct sb_lane *lane);  /* a target transaction is open for one in flight */
/* The newest commit that is applied or gathered. */
uint64_t sb_lane_gathered_lsn(const struct sb_lane *lane);
uint64_t sb_lane_taken(
    const struct sb_lane *lane); /* records taken so far: tells whether a large one moves */

#endif
