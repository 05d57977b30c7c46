/*
 * How what travels as a message is known to be ours: the truth side of a direction has a key
 * (switchback.signing_key), the follower a copy of it (switchback.signature), which prepare makes. Messages
 * that apply acts on (DDL, images of rows) are signed with it, because whoever may connect to a database may
 * send messages. The key is shown to nobody, and no other role is given a right to it.
 */
#ifndef SB_SETUP_SIGNING_H
#define SB_SETUP_SIGNING_H

#include "config/wiring.h"
#include "core/bytes.h"
#include "pg/conn.h"

struct sb_signing {
    bool there;      /* the table */
    bool may_read;   /* our role, the table */
    char secret[80]; /* empty: none, or none that we may read */
};
int sb_signing_read(struct sb_conn *source, struct sb_signing *ret_signing, struct sb_err *err);
/* Has the target this key of the migration's source? */
int sb_signing_known(struct sb_conn *target, const char *migration, enum sb_direction direction,
    const char *secret, bool *ret_known, struct sb_err *err);
/* The statement that writes the copy. */
void sb_signing_put(
    const char *migration, enum sb_direction direction, const char *secret, struct sb_buf *sql);

#endif
