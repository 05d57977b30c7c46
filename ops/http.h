/*
 * The read-only HTTP server, in somebody's loop: the door to libmicrohttpd, which runs without threads of its
 * own; its epoll descriptor is one more file of the loop.
 *
 * Whatever is asked for, these hold: GET and HEAD only (405), the exact path or nothing (404), a Host that is
 * a loopback name or the address we listen on (421; a browser lured here by DNS rebinding sends its own), no
 * body (413, and both lengths 400), headers up to 8 KiB (431 or 414), 32 connections at once (the rest waits
 * in the backlog), ten seconds in all from accept to the last byte, one request a connection. No CORS header.
 */
#ifndef SB_OPS_HTTP_H
#define SB_OPS_HTTP_H

#include "core/bytes.h"
#include "core/loop.h"

enum { SB_HTTP_BODY_MAX = 256 * 1024 };

struct sb_http_reply {
    unsigned status;          /* 200 when the answer function is called */
    const char *content_type; /* a constant; "text/plain; charset=utf-8" when it is called */
    struct sb_buf body;
};
/* Fill the reply for path ("/metrics", query cut off); false: there is no such path. */
typedef bool sb_http_answer_fn(void *arg, const char *path, struct sb_http_reply *reply);

struct sb_http;
/* listen: "127.0.0.1:9187", "[::1]:9187", "localhost:9187"; port 0 takes a free one, which the log names.
 * SB-CONFIG if it is no address, SB-IO if it cannot be listened on. */
int sb_http_new(const char *listen, struct sb_loop *loop, sb_http_answer_fn *answer, void *arg,
    struct sb_http **ret_http, struct sb_err *err);
void sb_http_free(struct sb_http *http); /* NULL is fine */

/* "host:port" or "[host]:port" in two halves. False if it is neither, or the port is no number to 65535. */
enum { SB_HTTP_HOST_BYTES = 256 };
bool sb_http_split(const char *listen, char ret_host[SB_HTTP_HOST_BYTES], unsigned *ret_port);
/* Is this Host header one of ours? listen_host as sb_http_split gives it. Behind a wildcard address every
 * literal address is ours: DNS rebinding needs a name. */
bool sb_http_host_ok(const char *host, const char *listen_host);

#endif
