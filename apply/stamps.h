/*
 * Stamps: is a change newer than the copied image of its row? Pure.
 *
 * The rule. A chunk of the initial copy holds the rows of a key range as they were under a snapshot S of the
 * source. A change in the stream is newer than the chunk if and only if its transaction is not visible in S:
 * then it is applied; if it is visible, the image has it already and it is skipped. LSNs cannot say that: the
 * stream may deliver a commit that new snapshots do not show yet (docs/COPY.md).
 *
 * Why it is exact, key by key. Two transactions that touch one key follow each other: the second waits for
 * the first one's row (or unique index entry, or table lock) until the first has left the list of running
 * transactions, so whatever sees the second sees the first. Thus the transactions of a key that S sees are a
 * beginning of that key's history, in the order of the stream: skipping them and applying the rest, onto the
 * image that consists of exactly them, gives the key's end state, whatever the order in which *different*
 * keys became visible. What holds for a key holds for rows without a key (one stamp for the whole table: each
 * row version is a key) and for the values of a unique constraint (so tables with a second one have one
 * stamp).
 *
 * Why S may be believed. (1) Chunks enter the ledger only once the source has flushed its WAL past H, which
 * was read after S: everything S shows, and every xid below its xmax that ended, lies below H and survives a
 * crash, so no xid that S takes for ended is ever given away again. (2) The table was locked before S was
 * taken and stayed locked until its rows were read: a TRUNCATE or rewrite is visible in S and in the rows, or
 * in neither. (3) No S is taken before all transactions that had an xid when the slot stood are visible in
 * it: what is invisible in S is in the stream. (4) Never from a standby. (5) xids have 64 bits.
 *
 * Until when. A commit visible in S begins below H. So the first commit at or beyond the highest H is newer
 * than every chunk, and so is all that follows: the stamps are dropped there and never consulted again. The
 * target's progress row says whether that point has been passed, so a restart knows.
 *
 * Forks. LSNs and xids are comparable within a timeline. A commit of another timeline while stamps are in
 * force means that the source was failed over to a server that may have lost what the images show: what they
 * are in force for has to be copied again. Judging a change of such a table is SB-COPY-INCOMPLETE. What was
 * passed before stays passed.
 *
 * A key change has two halves, each in a chunk of its own: both are judged. If only the new half is newer,
 * the change becomes the insert of the new row, for which every value must have travelled; an unchanged TOAST
 * value is in neither chunk. Then the new key is suspect: it has to be read again, under a stamp that sees
 * everything read of the stream so far, and from there the row may have moved on by changes that this stamp
 * sees. So the survey goes on through the stream and gathers the keys that will be suspect once these are
 * read again.
 */
#ifndef SB_APPLY_STAMPS_H
#define SB_APPLY_STAMPS_H

#include "apply/suspects.h"
#include "core/arena.h"
#include "core/err.h"
#include "schemas/change.h"
#include "schemas/key.h"

struct sb_stamps;

struct sb_stamps *sb_stamps_new(void);         /* NULL: no memory */
void sb_stamps_free(struct sb_stamps *stamps); /* NULL is fine */

/* relation: "schema"."table", quoted (pg/ident.h). kind NONE: one stamp for the whole table, no column. */
int sb_stamps_table(struct sb_stamps *stamps, struct sb_view relation, enum sb_key_kind kind,
    struct sb_view key_column, struct sb_err *err);
struct sb_stamp_chunk {
    struct sb_key_range range;
    const char *snapshot;  /* pg_current_snapshot()'s text */
    uint64_t flushed_past; /* H */
    uint32_t timeline;
    bool passed; /* all that comes is newer, on whatever timeline; the others do not count then */
};
/* A chunk of the table named last. Everything is copied. */
int sb_stamps_chunk(struct sb_stamps *stamps, const struct sb_stamp_chunk *chunk, struct sb_err *err);
/* All is in: SB-COPY-INCOMPLETE unless each table's chunks hold every key exactly once. */
int sb_stamps_seal(struct sb_stamps *stamps, struct sb_err *err);

/* Commits from here on are newer than every chunk. */
uint64_t sb_stamps_last(const struct sb_stamps *stamps);
/* The newest that a chunk was read on that is not passed. */
uint32_t sb_stamps_timeline(const struct sb_stamps *stamps);
/* Is this one beyond them all, on their timeline? Then the stamps need not be asked any more. */
bool sb_stamps_passed(const struct sb_stamps *stamps, uint64_t commit_lsn, uint32_t timeline);

enum sb_stamp_verdict {
    SB_STAMP_NEWER,    /* apply it as it is; also what belongs to no copied table */
    SB_STAMP_SEEN,     /* the image has it: skip */
    SB_STAMP_OLD_HALF, /* of a key change: only the old key's half is newer: delete the old key */
    SB_STAMP_NEW_HALF, /* only the new key's half is newer: insert the new row */
};
/* An insert, update or delete by transaction xid on this timeline. */
int sb_stamps_judge(struct sb_stamps *stamps, const struct sb_change *chg, uint64_t xid, uint32_t timeline,
    enum sb_stamp_verdict *ret_verdict, struct sb_err *err);

/* Would the new key of this change be suspect, once the suspects so far are read again? Then it is one. */
int sb_stamps_survey(struct sb_stamps *stamps, const struct sb_change *chg, uint64_t xid, uint32_t timeline,
    struct sb_suspects *suspects, struct sb_err *err);

/* A TRUNCATE of one table: the ranges it has to empty. */
struct sb_stamp_cut {
    const struct sb_relation *rel;
    enum sb_key_kind kind;
    struct sb_view key_column;   /* belongs to the stamps */
    bool whole;                  /* all of the table: no chunk sees it; count is 1 then */
    size_t count;                /* 0: every chunk sees it */
    struct sb_key_range *ranges; /* in arena; bounds belong to the stamps; not for whole */
};
int sb_stamps_truncate(struct sb_stamps *stamps, const struct sb_relation *rel, uint64_t xid,
    uint32_t timeline, struct sb_arena *arena, struct sb_stamp_cut *ret_cut, struct sb_err *err);

#endif
