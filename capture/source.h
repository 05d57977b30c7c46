/*
 * The SQL session with the source beside the replication session: a pulse every two seconds (where the WAL
 * and the slot stand, the next xid, whose epoch it is; then the publications, SB-PUBLICATION), the signals,
 * and the names of the built-in types.
 * Never blocks after it was opened: statements are sent and polled. A failure of the session ends the
 * incarnation, for a server that is shutting down must see all our connections closed at once.
 */
#ifndef SB_CAPTURE_SOURCE_H
#define SB_CAPTURE_SOURCE_H

#include "config/wiring.h"
#include "schemas/signal.h"

struct sb_source;

enum { SB_SOURCE_PULSE_MS = 2000 };

/* conn is taken over: closed with the source. Strings and names belong to the caller. */
int sb_source_new(struct sb_conn *conn, const char *migration, const char *direction,
    const struct sb_names *names, struct sb_source **ret_source, struct sb_err *err);
void sb_source_free(struct sb_source *source);            /* NULL is fine */
struct sb_conn *sb_source_conn(struct sb_source *source); /* for blocking statements before the loop runs */

/* An sb_pgoutput_type_fn; arg is the struct sb_source. */
const char *sb_source_type_name(void *arg, uint32_t type_oid);

struct sb_pulse {
    uint64_t next_xid;
    uint64_t wal_lsn;
    uint64_t restart_lsn;
    uint64_t confirmed_lsn;
    int64_t safe_bytes; /* -1: no limit */
    bool unreserved;
    bool waited_for; /* commits of the source wait until we confirm them: we count as a synchronous standby */
    uint64_t epoch;
    struct sb_uuid incarnation;
};

enum { SB_SOURCE_PULSE = 1 };
/* Turn: polls what is under way and sends what is due. 0, SB_SOURCE_PULSE with ret_pulse, or -1. */
int sb_source_turn(struct sb_source *source, int64_t now_ms, struct sb_pulse *ret_pulse, struct sb_err *err);
/* Ask for a signal of ours (schemas/signal.h): a transactional message, committed locally, sent at the next
 * turn. One that is asked for while another is under way is left out; there will be more. */
void sb_source_signal(struct sb_source *source, const struct sb_signal *signal);

bool sb_source_is_silent(
    const struct sb_source *source, int64_t now_ms); /* asked a second ago, no answer yet */

/* Does the claim still stand? Asked once, waiting at most wait_ms; 0 if it does or the session cannot say. */
int sb_source_check_claim(struct sb_source *source, uint64_t epoch, const struct sb_uuid *incarnation,
    int64_t wait_ms, struct sb_err *err);

#endif
