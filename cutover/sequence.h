/*
 * How far a sequence must be ahead of its twin on the other side. Pure: two positions in, one move out.
 *
 * Sequences are not in the stream. The side that owns the data uses its own; the twin on the other side is
 * moved from time to time, so that whoever takes over never gives a value out twice. Only ever forward:
 * setval is not transactional, and a value once given cannot be taken back.
 *
 * The twin is moved when it is less than `need` values ahead, to twice as far, so that between two moves it
 * is at least `need` ahead as long as no more than `need` values are used from one look to the next. Near the
 * end of what it can count, both shrink with what is left (an eighth, a quarter): being ahead must not use up
 * the rest. A cycle counts round and round; there "ahead" is up to half of it.
 *
 * All arithmetic is in 128 bits: the last step before the end of bigint must not overflow.
 */
#ifndef SB_CUTOVER_SEQUENCE_H
#define SB_CUTOVER_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

struct sb_sequence_rules {
    int64_t increment; /* never 0 */
    int64_t min, max;  /* of the sequence, cut to what the columns it feeds can hold */
    int64_t cache;
    bool cycle;
};

struct sb_sequence_place {
    int64_t last;
    bool called;     /* false: last is the next value */
    bool edge_known; /* a column that it feeds has been looked at */
    int64_t edge;    /* the furthest value in there: the highest, or lowest if the increment is negative */
};

enum sb_sequence_verdict {
    SB_SEQUENCE_FINE,    /* far enough ahead */
    SB_SEQUENCE_MOVE,    /* setval(value, called) */
    SB_SEQUENCE_SPENT,   /* no value is left that the owner has not used */
    SB_SEQUENCE_CONTRARY /* they count in different directions, or in different circles */
};

struct sb_sequence_answer {
    enum sb_sequence_verdict verdict;
    int64_t value; /* of a move */
    bool called;
    int64_t ahead;    /* values the twin is ahead, after the move if there is one; negative: behind */
    int64_t headroom; /* values it can still give out, then; INT64_MAX at most, and for a cycle */
    bool tight;       /* less than need is left for it */
    bool edge_left;   /* a value in a column lies so near the end that it was left out of account */
};

/* need: values, at least 1. owner NULL: only its columns' edge is known, in owner_place (edge_known). */
struct sb_sequence_answer sb_sequence_judge(const struct sb_sequence_rules *owner,
    const struct sb_sequence_place *owner_place, const struct sb_sequence_rules *twin,
    const struct sb_sequence_place *twin_place, int64_t need);

/* How many values lie between two places of one sequence; negative: it has gone back. Round a cycle: always
 * forward. Saturates. */
int64_t sb_sequence_used(const struct sb_sequence_rules *rules, const struct sb_sequence_place *before,
    const struct sb_sequence_place *now);

/* need: what is used in margin_s at the rate measured (values a second), and what sessions hold in their
 * caches; least at least. */
int64_t sb_sequence_need(double rate, int64_t margin_s, int64_t cache, int64_t least);

#endif
