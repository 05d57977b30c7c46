/*
 * Attribution: who is at fault for a difference, from what the servers and the stream know of it. Pure.
 *
 * Nothing is guessed: where no fact speaks, it is unknown, and the evidence says what would have told. The
 * evidence names positions, times and origins, never values.
 */
#ifndef SB_RECONCILE_ATTRIBUTION_H
#define SB_RECONCILE_ATTRIBUTION_H

#include "core/bytes.h"

enum sb_fault_of {
    SB_FAULT_OF_UNKNOWN,
    SB_FAULT_OF_CAPTURE, /* the source has what the stream never said */
    SB_FAULT_OF_APPLY,   /* the stream said it, and the target has it not */
    SB_FAULT_OF_COPY,    /* the initial copy brought it */
    SB_FAULT_OF_FOREIGN, /* somebody else wrote on the target */
};
const char *sb_fault_of_name(enum sb_fault_of fault); /* "capture" */
enum sb_fault_of sb_fault_of_find(const char *name);  /* unknown, if there is none of that name */

enum sb_writer_is {
    SB_WRITER_UNKNOWN,
    SB_WRITER_NONE,
    /* a session of the target's own */ SB_WRITER_APPLY,
    SB_WRITER_COPY,
    SB_WRITER_OTHER
};

struct sb_attribution_facts { /* texts: NULL: there is none */
    bool has_key;
    bool source_differs;      /* from the stream */
    bool row_there;           /* on the target, now */
    bool timestamps;          /* track_commit_timestamp is on there */
    enum sb_writer_is writer; /* of the target's row, by its commit's origin */
    const char *origin, *written_at;
    bool copy_saw;           /* the source's row is one that the copy's snapshot showed; of copied_at alone */
    const char *copied_at;   /* the row's writer is the transaction of the initial copy that ended then */
    const char *change_lsn;  /* newest change of the key in the stream that is known */
    const char *skipped_lsn; /* its transaction was skipped: a debt */
    const char *rogue_op, *rogue_lsn, *rogue_at; /* a foreign write that the way back saw */
    bool way_back;                               /* there is one that would have seen it */
    bool way_back_late;                          /* but it has not seen everything yet */
};
/* Puts the evidence. */
enum sb_fault_of sb_attribution_judge(const struct sb_attribution_facts *facts, struct sb_buf *evidence);

#endif
