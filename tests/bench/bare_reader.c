/*
 * What capture is measured against: the least a pgoutput reader can do. Opens the slot, takes every frame,
 * answers keepalives, counts, throws everything away; ends when the commit at or past the given LSN has been
 * read.
 *
 *     bare_reader CONNINFO SLOT PUBLICATIONS END_LSN      prints: changes commits bytes seconds
 */
#include <libpq-fe.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t be64(const char *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | (unsigned char)bytes[i];
    return value;
}

static void die(PGconn *conn, const char *what)
{
    fprintf(stderr, "bare_reader: %s: %s", what, PQerrorMessage(conn));
    exit(1);
}

static void reply(PGconn *conn)
{
    char message[34] = {'r'}; /* positions of zero: nothing is confirmed */
    if (PQputCopyData(conn, message, sizeof message) != 1 || PQflush(conn) != 0)
        die(conn, "could not send status");
}

int main(int argc, char **argv)
{
    unsigned high, low;
    if (argc != 5 || sscanf(argv[4], "%X/%X", &high, &low) != 2) {
        fprintf(stderr, "usage: bare_reader CONNINFO SLOT PUBLICATIONS END_LSN\n");
        return 64;
    }
    uint64_t end = (uint64_t)high << 32 | low;
    char conninfo[2048], sql[1024];
    snprintf(conninfo, sizeof conninfo, "%s replication=database", argv[1]);
    PGconn *conn = PQconnectdb(conninfo);
    if (PQstatus(conn) != CONNECTION_OK)
        die(conn, "could not connect");
    snprintf(sql, sizeof sql,
        "START_REPLICATION SLOT \"%s\" LOGICAL 0/0 (proto_version '1', publication_names '%s', messages "
        "'true')",
        argv[2], argv[3]);
    double began = now_s();
    PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_COPY_BOTH)
        die(conn, "could not start replication");
    PQclear(result);
    uint64_t changes = 0, commits = 0, bytes = 0;
    for (;;) {
        char *frame = NULL;
        int len = PQgetCopyData(conn, &frame, 1);
        if (len == 0) {
            struct pollfd ready = {.fd = PQsocket(conn), .events = POLLIN};
            if (poll(&ready, 1, 30000) <= 0 || PQconsumeInput(conn) != 1)
                die(conn, "the stream ended");
            continue;
        }
        if (len < 0)
            die(conn, "could not read the stream");
        if (frame[0] == 'k' && frame[17] == 1)
            reply(conn);
        if (frame[0] == 'w' && len > 25) {
            bytes += (uint64_t)len;
            changes += strchr("IUDT", frame[25]) != NULL;
            commits += frame[25] == 'C';
            if (frame[25] == 'C' && be64(frame + 27) >= end)
                break;
        }
        PQfreemem(frame);
    }
    printf("%llu %llu %llu %.3f\n", (unsigned long long)changes, (unsigned long long)commits,
        (unsigned long long)bytes, now_s() - began);
    PQfinish(conn);
    return 0;
}
