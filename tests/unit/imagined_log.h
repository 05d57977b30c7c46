/*
 * A log imagined for tests of the proof: what the source said, capture incarnations that write it down, and a
 * reader that does with the proof what apply does. A failing check ends the test.
 */
#ifndef IMAGINED_LOG_H
#define IMAGINED_LOG_H

#include "stream/proof.h"

enum { LOG_MAX = 4096, EFFECTS_MAX = 512 };

extern const struct sb_uuid our_stream;

/* Transaction i (from 1) of the source's history: where it committed, how many rows it changed (0 to 3). */
uint64_t txn_lsn(unsigned i);
unsigned txn_changes(unsigned i);

struct item { /* a record of the log, before it is cut into parts */
    struct sb_frame frame;
    unsigned txn, ordinal, telling;
    struct sb_open open;
    struct sb_commit commit;
};

struct log {
    unsigned count;
    struct item items[LOG_MAX];
};

void log_put(struct log *log, struct item item);
void log_delete(struct log *log, unsigned at);

/* A capture incarnation. telling: two sources that tell different histories write different rows. */
struct writer {
    uint64_t epoch;
    unsigned telling;
    /* base */
    unsigned base; /* the transaction; 0: the beginning */
    uint64_t base_sequence;
    struct sb_digest base_chain;
    uint64_t hole_from;
    /* where it is */
    bool opened;
    uint64_t sequence;
    unsigned txn; /* in which it is, or which it has finished if ordinal is 0 */
    unsigned ordinal;
    unsigned part; /* parts of the current change written */
    struct sb_digest chain;
};

struct item writer_open(struct writer *w);
/* The writer's next record: its open, then transaction by transaction from its base on. Every fifth change
 * travels in three parts; a schema now and then. */
struct item writer_next(struct writer *w);
/* Everything up to and with the commit of transaction `until`. */
void write_until(struct log *log, struct writer *w, unsigned until);
/* next takes what w has written last as its base. */
void writer_based_on(struct writer *next, const struct writer *w);

/* Checks of itself that a transaction arrives whole and in order. */
struct reader {
    struct sb_proof *proof;
    unsigned parts; /* of a record in parts, read so far */
    unsigned changes[8], change_count;
    unsigned effects[EFFECTS_MAX], effect_count;
    struct sb_position positions[EFFECTS_MAX]; /* behind each effect */
    unsigned dropped, repeated, abandoned;
    struct sb_err err;
};

void reader_init(struct reader *reader, const struct sb_position *start);
void reader_clear(struct reader *reader);
/* Feed log[from..]: 0, or -1 and where it was refused (ret_at may be NULL). */
int reader_run(struct reader *reader, const struct log *log, unsigned from, unsigned *ret_at);

#endif
