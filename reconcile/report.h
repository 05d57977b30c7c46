/*
 * What a compare found, table by table. A record of values; the run puts it together, the verb shows it.
 */
#ifndef SB_RECONCILE_REPORT_H
#define SB_RECONCILE_REPORT_H

#include "reconcile/chunk_record.h"
#include "reconcile/finding.h"
#include "reconcile/plan.h"
#include "reconcile/verdict.h"

enum { SB_VERIFY_DIFFERENCES_KEPT = 100 /* of a table; all are counted */ };

struct sb_difference {
    enum sb_verdict_kind kind;
    int64_t rows;                 /* of a table without a key: so many of the same */
    const char *key;              /* a JSON object; NULL: the table has no key */
    char row[33];                 /* the key's digest, of a table without a key: the row's, as hex */
    int64_t id;                   /* switchback.difference */
    const char *fault, *evidence; /* who is at fault, and why so; NULL: it was not asked */
    const char *columns; /* which differ, as SQL names them, if both sides have the row; NULL: not known */
    bool by_stream;      /* proven by what the stream says of the key */
    bool source_differs; /* the source is not what the stream says */
    uint64_t h, applied_lsn; /* the cut it was proven at */
};

enum sb_verify_state { SB_TABLE_EQUAL, SB_TABLE_DIFFERS, SB_TABLE_UNDECIDED, SB_TABLE_NOT_COMPARED };
const char *sb_verify_state_name(enum sb_verify_state state); /* "equal" */

/* Why a table is not compared, for programs. */
enum sb_verify_stop {
    SB_STOP_NOT,
    SB_STOP_PLAN,    /* it is not to be compared at all */
    SB_STOP_ALTERED, /* since it was planned */
    SB_STOP_COPYING,
    SB_STOP_BUSY,   /* locked, or emptied on one side and not yet on the other */
    SB_STOP_LATE,   /* it would have held a snapshot for too long */
    SB_STOP_STREAM, /* the stream does not get on */
    SB_STOP_MEMORY,
};

struct sb_verify_result {
    const struct sb_verify_table *table;
    enum sb_verify_state state;
    enum sb_verify_stop stop;
    const char *why;                  /* not compared, undecided: in words; else "" */
    bool whole;                       /* every chunk was judged; undecided keys are counted below */
    int64_t source_rows, target_rows; /* read by the scans that count */
    int64_t chunks, retaken;
    int64_t sums_tried, sums_equal;  /* chunks of which the servers' sums were asked for; were equal */
    bool *bad;                       /* of each of the table's ranges: a difference was found in it */
    int64_t dirty;                   /* keys that the window touched */
    int64_t by_reread;               /* of these, decided by reading them again */
    int64_t by_stream;               /* decided by the stream */
    int64_t undecided;               /* not decided */
    int64_t rounds;                  /* most rounds a key took */
    int64_t differences;             /* rows */
    struct sb_chunk_record *records; /* of its chunks, the first first, if they were asked for */
    struct sb_chunk_record *last_record;
    struct sb_difference *kept;
    size_t kept_count;
};

struct sb_verify_sample {
    bool taken;
    uint64_t seed;
    int64_t population, drawn, bad; /* chunks */
    int64_t bound;                  /* so many of them may differ at the most (reconcile/sample.h) */
};
#define SB_VERIFY_SAMPLE_CONFIDENCE 0.95

enum sb_invariant_state { SB_INVARIANT_HOLDS, SB_INVARIANT_BROKEN, SB_INVARIANT_NOT_EVALUATED };
const char *sb_invariant_state_name(enum sb_invariant_state state); /* "holds" */

struct sb_invariant {
    const char *name;
    bool same; /* the same rows on both sides; else no row on either */
    enum sb_invariant_state state;
    const char *why; /* it was not evaluated; else "" */
    int64_t source_rows, target_rows;
    int64_t differing; /* of the same: rows that the other side has not */
    int64_t took_ms;
};

struct sb_invariants {
    struct sb_invariant *results;
    size_t count;
    uint64_t commit_lsn; /* both sides were as of this commit; 0: there was no barrier */
    int64_t held_ms;     /* apply stood for it */
    int64_t snapshots;   /* of the source that were taken */
};

enum sb_verify_verdict { SB_VERIFY_EQUAL, SB_VERIFY_DIFFERENT, SB_VERIFY_INCOMPLETE };
const char *sb_verify_verdict_name(enum sb_verify_verdict verdict); /* "equal" */

struct sb_verify_server {
    struct sb_server_id id;
    int version; /* 150020 */
};

struct sb_self_test {
    bool done;
    int64_t columns, planted; /* all of them found, and nothing else */
};

struct sb_verify_outcome {
    struct sb_self_test self_test;
    struct sb_verify_server servers[2]; /* by enum sb_side */
    struct sb_uuid stream;
    uint64_t ownership_epoch;
    int64_t run; /* switchback.verify_run; 0: nothing was to be compared but the plan */
    enum sb_verify_verdict verdict;
    const char *why; /* incomplete as a whole, in words; else "" */
    struct sb_verify_result *results;
    size_t count;
    struct sb_verify_sample sample;
    struct sb_invariants invariants;
    const struct sb_rule_use *rules; /* of the configuration */
    size_t rule_count;
    uint64_t
        first_applied_lsn;    /* everything compared was so at this position or later; 0: nothing was read */
    int64_t first_applied_us; /* its commit time on the source */
    int64_t started_us, ended_us;
    int64_t oldest_ms;     /* the longest that a snapshot was held */
    uint64_t transactions; /* of the stream that were looked at */
    uint64_t held_back_by; /* the window begins before this transaction, which no snapshot shows; 0: none */
    size_t window_peak_bytes, tally_peak_bytes;
};
/* A difference of the result's table, for people; counted elsewhere, and kept if there is room. In arena;
 * scratch is used during the call. SB-LIMIT. */
int sb_verify_keep(struct sb_verify_result *result, const struct sb_finding *found, struct sb_arena *arena,
    struct sb_buf *scratch, struct sb_err *err);
/* From what the tables came to: nothing read at all is incomplete. */
void sb_verify_conclude(struct sb_verify_outcome *outcome);
int64_t sb_verify_total(
    const struct sb_verify_outcome *outcome, int64_t (*of)(const struct sb_verify_result *));
int64_t sb_verify_keys_compared(const struct sb_verify_result *result);

#endif
