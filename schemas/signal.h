/*
 * What our own logical messages mean. Everything of ours that travels in the source's WAL beside the rows is
 * a transactional message whose prefix says what it is:
 *
 *     switchback.heartbeat   migration direction epoch                  a commit on an idle source
 *     switchback.canary      migration direction epoch number sent_us   sent through the stream to be echoed
 *     switchback.echo        as the canary it answers                   in the transaction that wrote it
 *     switchback.ddl         body                                       a command that the event trigger saw
 *     switchback.image       body                                       stamped rows (schemas/image.h)
 *
 * Words are ASCII, one space apart; numbers are decimal. Whoever may connect to the database may send such
 * messages, so nothing in one is believed beyond its form: what is not exactly of this form means nothing
 * (SB_SIGNAL_NONE) and travels as any other message. Pure; views are into the message.
 */
#ifndef SB_SCHEMAS_SIGNAL_H
#define SB_SCHEMAS_SIGNAL_H

#include "schemas/change.h"

enum sb_signal_kind {
    SB_SIGNAL_NONE,
    SB_SIGNAL_HEARTBEAT,
    SB_SIGNAL_CANARY,
    SB_SIGNAL_ECHO,
    SB_SIGNAL_FLUSH,
    SB_SIGNAL_DDL,
    SB_SIGNAL_IMAGE,
};

struct sb_signal {
    enum sb_signal_kind kind;
    struct sb_view migration; /* empty for flush, ddl and image, as everything below but body */
    struct sb_view direction;
    uint64_t epoch;      /* of the capture that sent it (the canary, for an echo) */
    uint64_t number;     /* canary, echo: from 1, ascending within the epoch */
    int64_t sent_us;     /* canary, echo: wall clock of the machine that sent the canary, since 1970 */
    struct sb_view body; /* ddl, image: the message's content, which apply reads; empty for the others */
};

enum { SB_SIGNAL_BYTES = 192 }; /* room for the content of any without a body, with its NUL */

const char *sb_signal_prefix(enum sb_signal_kind kind); /* "switchback.canary"; NULL for SB_SIGNAL_NONE */

/* The meaning of a message; kind is SB_SIGNAL_NONE if it has none for us. */
struct sb_signal sb_signal_read(const struct sb_message *msg);
/* The content of a heartbeat, canary or echo, with a NUL behind it. False if it does not fit. */
bool sb_signal_write(const struct sb_signal *signal, char ret_content[SB_SIGNAL_BYTES]);

#endif
