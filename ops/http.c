#include "ops/http.h"

#include "core/log.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HTTP_CONNECTIONS_MAX = 32, HTTP_HEADER_MAX = 8 * 1024, HTTP_LIFE_MS = 10000, HTTP_SWEEP_MS = 500 };

struct connection {
    int fd; /* -1: the slot is free */
    int64_t since_ms;
};

struct sb_http {
    struct sb_loop *loop;
    sb_http_answer_fn *answer;
    void *arg;
    char host[SB_HTTP_HOST_BYTES];
    struct MHD_Daemon *daemon;
    struct sb_watch *file;
    struct sb_watch *timer;
    struct sb_watch *sweep;
    struct connection connections[HTTP_CONNECTIONS_MAX];
};

/* -- addresses ------------------------------------------------------------------------------------------- */

static bool port_parse(const char *text, unsigned *ret_port)
{
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return false;
    unsigned long port = strtoul(text, NULL, 10);
    if (port > 65535)
        return false;
    *ret_port = (unsigned)port;
    return true;
}

bool sb_http_split(const char *listen, char ret_host[SB_HTTP_HOST_BYTES], unsigned *ret_port)
{
    const char *from = listen, *to, *colon;
    if (listen[0] == '[') {
        from = listen + 1;
        to = strchr(from, ']');
        colon = to == NULL ? NULL : to + 1;
    } else {
        to = colon = strrchr(listen, ':');
        if (colon != NULL && memchr(listen, ':', (size_t)(colon - listen)) != NULL)
            return false; /* an IPv6 address without brackets */
    }
    if (to == NULL || colon[0] != ':' || to == from || (size_t)(to - from) >= SB_HTTP_HOST_BYTES ||
        !port_parse(colon + 1, ret_port))
        return false;
    memcpy(ret_host, from, (size_t)(to - from));
    ret_host[to - from] = '\0';
    return true;
}

static bool is_literal(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool is_loopback(const char *host)
{
    struct in_addr four;
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
}

bool sb_http_host_ok(const char *host, const char *listen_host)
{
    char bare[SB_HTTP_HOST_BYTES], with_port[SB_HTTP_HOST_BYTES + 8];
    unsigned port;
    if (!sb_http_split(host, bare, &port)) {
        if (snprintf(with_port, sizeof with_port, "%s:0", host) >= (int)sizeof with_port ||
            !sb_http_split(with_port, bare, &port))
            return false;
    }
    bool wildcard = strcmp(listen_host, "0.0.0.0") == 0 || strcmp(listen_host, "::") == 0;
    return is_loopback(bare) || strcasecmp(bare, listen_host) == 0 || (wildcard && is_literal(bare));
}

static int listen_on(const struct addrinfo *at)
{
    int on = 1;
    int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, HTTP_CONNECTIONS_MAX) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int listen_open(const char *listen, char ret_host[SB_HTTP_HOST_BYTES], int *ret_fd, struct sb_err *err)
{
    unsigned port;
    char service[8];
    struct addrinfo *found = NULL;
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    if (!sb_http_split(listen, ret_host, &port)) {
        sb_err_set(err, SB_E_CONFIG, "http.listen \"%s\" is not an address with a port", listen);
        return sb_err_hint(err, "Write it like 127.0.0.1:9187 or [::1]:9187, or leave it empty for no HTTP.");
    }
    snprintf(service, sizeof service, "%u", port);
    int failed = getaddrinfo(ret_host, service, &want, &found);
    if (failed != 0)
        return sb_err_set(err, SB_E_CONFIG, "http.listen \"%s\" does not resolve: %s", listen,
            failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed));
    int fd = listen_on(found);
    int saved = errno;
    freeaddrinfo(found);
    if (fd < 0) {
        errno = saved;
        sb_err_errno(err, SB_E_IO, "could not listen on http.listen \"%s\"", listen);
        return sb_err_hint(
            err, "Stop what uses the port, or set http.listen to another one (empty: no HTTP).");
    }
    *ret_fd = fd;
    return 0;
}

/* -- requests -------------------------------------------------------------------------------------------- */

static enum MHD_Result send_reply(struct MHD_Connection *connection, unsigned status,
    const char *content_type, const char *body, size_t len)
{
    /* MUST_COPY: the caller's buffer ends with the call. */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO; /* closes the connection */
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *words)
{
    return send_reply(connection, status, "text/plain; charset=utf-8", words, strlen(words));
}

struct lengths {
    unsigned content_lengths;
    unsigned encodings;
    unsigned hosts;
    bool body;
};

static enum MHD_Result count_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct lengths *seen = arg;
    (void)kind;
    if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        seen->content_lengths++;
        seen->body = seen->body || value == NULL || strcmp(value, "0") != 0;
    } else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        seen->encodings++;
        seen->body = true;
    } else if (strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0) {
        seen->hosts++;
    }
    return MHD_YES;
}

/* Zero if the request may be answered, else the status that refuses it, with words. */
static unsigned check_request(const struct sb_http *http, struct MHD_Connection *connection,
    const char *method, const char *version, const char **ret_words)
{
    struct lengths seen = {0};
    MHD_get_connection_values(connection, MHD_HEADER_KIND, count_header, &seen);
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    if (seen.content_lengths + seen.encodings > 1 || seen.hosts > 1) {
        *ret_words = "conflicting headers\n";
        return MHD_HTTP_BAD_REQUEST;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        *ret_words = "only GET and HEAD\n";
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    if (seen.body) {
        *ret_words = "no request body is accepted\n";
        return MHD_HTTP_CONTENT_TOO_LARGE;
    }
    if (host == NULL && strcmp(version, MHD_HTTP_VERSION_1_0) == 0)
        return 0; /* a plain health check; browsers always send one */
    if (host == NULL || !sb_http_host_ok(host, http->host)) {
        *ret_words = "this server is not known by that name\n";
        return MHD_HTTP_MISDIRECTED_REQUEST;
    }
    return 0;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *upload, size_t *upload_len, void **request)
{
    struct sb_http *http = arg;
    const char *words = NULL;
    (void)upload, (void)upload_len, (void)request;
    unsigned refused = check_request(http, connection, method, version, &words);
    if (refused != 0)
        return refuse(connection, refused, words);
    struct sb_http_reply reply = {.status = MHD_HTTP_OK, .content_type = "text/plain; charset=utf-8"};
    sb_buf_init(&reply.body, SB_HTTP_BODY_MAX);
    enum MHD_Result result;
    if (!http->answer(http->arg, url, &reply))
        result = refuse(connection, MHD_HTTP_NOT_FOUND, "no such path\n");
    else if (reply.body.failed)
        result = refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "the answer did not fit\n");
    else
        result =
            send_reply(connection, reply.status, reply.content_type, sb_buf_str(&reply.body), reply.body.len);
    sb_buf_clear(&reply.body);
    return result;
}

/* Our paths have no escapes: what is escaped stays so, and is no path of ours ("/metrics%00" least of all).
 */
static size_t on_unescape(void *arg, struct MHD_Connection *connection, char *text)
{
    (void)arg, (void)connection;
    return strlen(text);
}

/* -- connections: libmicrohttpd's time-out starts anew with every byte, ours does not ----------------------
 */

static void on_connection(
    void *arg, struct MHD_Connection *connection, void **slot, enum MHD_ConnectionNotificationCode what)
{
    struct sb_http *http = arg;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*slot != NULL)
            ((struct connection *)*slot)->fd = -1;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    for (size_t i = 0; info != NULL && i < HTTP_CONNECTIONS_MAX; i++) {
        if (http->connections[i].fd >= 0)
            continue;
        http->connections[i] =
            (struct connection){.fd = info->connect_fd, .since_ms = sb_loop_now_ms(http->loop)};
        *slot = &http->connections[i];
        return;
    }
}

static void http_turn(struct sb_http *http)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    MHD_run(http->daemon);
    if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES)
        sb_loop_timer_set(http->loop, http->timer, wait_ms > 1000 ? 1000 : (int64_t)wait_ms, 0);
}

static void on_file(void *arg, unsigned events)
{
    (void)events;
    http_turn(arg);
}

static void on_timer(void *arg)
{
    http_turn(arg);
}

static void on_sweep(void *arg)
{
    struct sb_http *http = arg;
    bool any = false;
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        const struct connection *one = &http->connections[i];
        if (one->fd < 0 || sb_loop_now_ms(http->loop) - one->since_ms < HTTP_LIFE_MS)
            continue;
        shutdown(one->fd, SHUT_RDWR); /* libmicrohttpd sees the end and closes it */
        any = true;
    }
    if (any)
        http_turn(http);
}

/* -- life ------------------------------------------------------------------------------------------------ */

static int http_watch(struct sb_http *http, struct sb_err *err)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || info->epoll_fd < 0)
        return sb_err_set(err, SB_E_INTERNAL, "libmicrohttpd gives no epoll descriptor");
    http->timer = sb_loop_timer(http->loop, 0, on_timer, http, err);
    http->sweep = sb_loop_timer(http->loop, HTTP_SWEEP_MS, on_sweep, http, err);
    if (http->timer == NULL || http->sweep == NULL)
        return -1;
    http->file = sb_loop_file(http->loop, info->epoll_fd, SB_LOOP_READ, on_file, http, err);
    return http->file == NULL ? -1 : 0;
}

static void log_listening(const struct sb_http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    SB_INFO("HTTP listens", SB_STR("host", http->host), SB_NUM("port", info == NULL ? 0 : info->port));
}

int sb_http_new(const char *listen, struct sb_loop *loop, sb_http_answer_fn *answer, void *arg,
    struct sb_http **ret_http, struct sb_err *err)
{
    int fd = -1;
    struct sb_http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return sb_err_set(err, SB_E_NO_MEMORY, "no memory for the HTTP server");
    http->loop = loop;
    http->answer = answer;
    http->arg = arg;
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
        http->connections[i].fd = -1;
    if (listen_open(listen, http->host, &fd, err) != 0)
        goto failed;
    /* Owns fd from here on. */
    http->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET,
        fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(HTTP_LIFE_MS / 1000), MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_HEADER_MAX,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
        MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_END);
    if (http->daemon == NULL) {
        close(fd);
        sb_err_set(err, SB_E_IO, "could not start the HTTP server on http.listen \"%s\"", listen);
        goto failed;
    }
    if (http_watch(http, err) != 0)
        goto failed;
    log_listening(http);
    *ret_http = http;
    return 0;
failed:
    sb_http_free(http);
    return -1;
}

void sb_http_free(struct sb_http *http)
{
    if (http == NULL)
        return;
    sb_loop_remove(http->loop, http->file);
    sb_loop_remove(http->loop, http->timer);
    sb_loop_remove(http->loop, http->sweep);
    if (http->daemon != NULL)
        MHD_stop_daemon(http->daemon);
    free(http);
}
