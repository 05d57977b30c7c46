/*
 * Records what a real walsender sends: `wire_record DSN SLOT PUBLICATION...` writes every pgoutput message of
 * the slot to stdout, each as a big-endian u32 length and its bytes, until the transaction that holds the
 * message "wire.end" is over. Used by tests/wire/record to make the corpora, not by the tests.
 */
#include "capture/walsender.h"
#include "core/log.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { RECORD_TIMEOUT_MS = 20000 };

static int put_frame(struct sb_view payload)
{
    unsigned char len[4] = {(unsigned char)(payload.len >> 24), (unsigned char)(payload.len >> 16),
        (unsigned char)(payload.len >> 8), (unsigned char)payload.len};
    return fwrite(len, 1, sizeof len, stdout) == sizeof len &&
                   fwrite(payload.ptr, 1, payload.len, stdout) == payload.len
               ? 0
               : -1;
}

static int record(struct sb_walsender *sender, struct sb_err *err)
{
    bool end_seen = false;
    for (;;) {
        struct sb_walsender_frame frame;
        int rc = sb_walsender_next(sender, &frame, err);
        if (rc < 0)
            return -1;
        if (rc == SB_WALSENDER_EMPTY) {
            struct pollfd file = {.fd = sb_walsender_fd(sender), .events = POLLIN};
            if (poll(&file, 1, RECORD_TIMEOUT_MS) <= 0)
                return sb_err_set(err, SB_E_SOURCE_UNAVAILABLE, "the end message did not come");
            continue;
        }
        if (frame.kind != SB_WALSENDER_DATA)
            continue;
        if (put_frame(frame.payload) != 0)
            return sb_err_errno(err, SB_E_IO, "could not write");
        end_seen = end_seen || memmem(frame.payload.ptr, frame.payload.len, "wire.end", 8) != NULL;
        if (end_seen && frame.payload.ptr[0] == 'C')
            return 0;
    }
}

int main(int argc, char **argv)
{
    struct sb_err err = {0};
    struct sb_walsender *sender = NULL;
    if (argc < 4) {
        fprintf(stderr, "usage: wire_record DSN SLOT PUBLICATION...\n");
        return 64;
    }
    struct sb_endpoint endpoint = {.side = SB_SIDE_SOURCE, .dsn = argv[1]};
    struct sb_walsender_options options = {.slot = argv[2],
        .publications = (const char *const *)&argv[3],
        .publication_count = (size_t)(argc - 3)};
    int rc = sb_walsender_open(&endpoint, "wire_record", &sender, &err);
    if (rc == 0)
        rc = sb_walsender_start(sender, &options, &err);
    if (rc == 0)
        rc = record(sender, &err);
    if (rc != 0)
        sb_log_err(SB_LOG_ERROR, &err, "giving up");
    sb_walsender_close(sender);
    return rc == 0 ? 0 : 1;
}
