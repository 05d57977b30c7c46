#include "stream/kafka_client.h"

#include "core/clock.h"
#include "core/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct setting {
    const char *name;
    const char *value;
};

/*
 * Ours: correctness rests on them. Each is set first, the user's settings come after it, and none of ours may
 * have moved then: so a setting of librdkafka that is another name for one of ours is caught as well. NULL:
 * not to be set.
 */
static const struct setting fixed_settings[] = {
    {"allow.auto.create.topics", "false"}, /* a topic that somebody deleted must not come back empty */
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"message.timeout.ms", "0"}, /* a message given up would be a hole; our own watchdog looks at progress */
    {"transactional.id", NULL},  /* no transactions: see kafka.c */
    {"auto.offset.reset", "error"},
    {"check.crcs", "true"},
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"enable.partition.eof", "true"},
    {"client.rack", NULL}, /* a follower may lag */
    {"socket.keepalive.enable", "true"},
    {"socket.nagle.disable", "true"},
    {"enable.ssl.certificate.verification", "true"},
    {"ssl.endpoint.identification.algorithm", "https"},
    {NULL, NULL},
};
/* Not there in every version of librdkafka. */
static const struct setting fixed_if_known[] = {
    {"enable.metrics.push", "false"},
    {NULL, NULL},
};
/* Made from options of ours: a value of the user's would be lost without a word. */
static const struct setting replaced_settings[] = {
    {"group.id", "named after the migration"},
    {"queue.buffering.max.kbytes", "stream.queue_max_bytes"},
    {"queue.buffering.max.messages", "stream.queue_max_bytes"},
    {"message.max.bytes", "taken from the topic's max.message.bytes"},
    {NULL, NULL},
};
/* Ours by default: a user may know better. */
static const struct setting default_settings[] = {
    {"linger.ms", "5"},
    {"compression.codec", "lz4"},
    {"batch.num.messages", "100000"},
    {"batch.size", "1000000"},
    {"retry.backoff.ms", "200"},
    {"reconnect.backoff.ms", "50"},
    {"reconnect.backoff.max.ms", "1000"},
    {"queued.max.messages.kbytes", "32768"},
    {"fetch.error.backoff.ms", "100"},
    {"fetch.wait.max.ms", "100"}, /* whatever is asked while a fetch waits at the end waits behind it */
    {"log_level", "0"}, /* errors come to us by a callback; this is what librdkafka prints by itself */
    {NULL, NULL},
};

enum { VALUE_BYTES = 512, FIXED_MAX = sizeof fixed_settings / sizeof *fixed_settings };

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, struct sb_err *err)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
        return 0;
    return sb_err_set(err, SB_E_STREAM_CONFIG, "kafka setting %s: %s", name, why);
}

static int set_all(rd_kafka_conf_t *conf, const struct setting *settings, struct sb_err *err)
{
    for (; settings->name != NULL; settings++)
        if (settings->value != NULL && set(conf, settings->name, settings->value, err) != 0)
            return -1;
    return 0;
}

static void set_if_known(rd_kafka_conf_t *conf)
{
    for (const struct setting *one = fixed_if_known; one->name != NULL; one++) {
        struct sb_err ignored;
        set(conf, one->name, one->value, &ignored);
    }
}

/* A setting's value in librdkafka's own words; empty if it has none. */
static void value_of(const rd_kafka_conf_t *conf, const char *name, char ret_value[VALUE_BYTES])
{
    size_t size = VALUE_BYTES;
    ret_value[0] = '\0';
    if (rd_kafka_conf_get(conf, name, ret_value, &size) != RD_KAFKA_CONF_OK)
        ret_value[0] = '\0';
}

static int check_replaced(const struct sb_kafka_setting *user, struct sb_err *err)
{
    for (const struct setting *one = replaced_settings; one->name != NULL; one++)
        if (strcmp(one->name, user->name) == 0)
            return sb_err_set(
                err, SB_E_STREAM_CONFIG, "kafka setting %s is switchback's own (%s)", user->name, one->value);
    return 0;
}

static int set_users(rd_kafka_conf_t *conf, const struct sb_stream_options *options, struct sb_err *err)
{
    char before[FIXED_MAX][VALUE_BYTES], after[VALUE_BYTES];
    for (size_t f = 0; fixed_settings[f].name != NULL; f++)
        value_of(conf, fixed_settings[f].name, before[f]);
    for (size_t i = 0; i < options->kafka_count; i++) {
        const struct sb_kafka_setting *user = &options->kafka[i];
        if (check_replaced(user, err) != 0 || set(conf, user->name, user->value, err) != 0)
            return -1;
        for (size_t f = 0; fixed_settings[f].name != NULL; f++) {
            value_of(conf, fixed_settings[f].name, after);
            if (strcmp(before[f], after) != 0)
                return sb_err_set(err, SB_E_STREAM_CONFIG,
                    "kafka setting %s: %s must be %s, the stream is not safe otherwise", user->name,
                    fixed_settings[f].name,
                    fixed_settings[f].value == NULL ? "left out" : fixed_settings[f].value);
        }
    }
    return 0;
}

/* Is every bootstrap server this machine? */
static bool is_local(const char *servers)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
    while (*servers != '\0') {
        const char *host = servers, *scheme = strstr(servers, "://");
        size_t len = strcspn(servers, ",");
        if (scheme != NULL && scheme < servers + len)
            host = scheme + 3;
        bool local = false;
        for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
            size_t host_len = strlen(hosts[i]);
            local = local || (strncmp(host, hosts[i], host_len) == 0 && strchr(":,", host[host_len]) != NULL);
        }
        if (!local)
            return false;
        servers += len + (servers[len] == ',');
    }
    return true;
}

/* librdkafka speaks plaintext unless told otherwise; across a network that must have been said. */
static int check_security(const struct sb_stream_options *options, struct sb_err *err)
{
    const char *servers = "";
    for (size_t i = 0; i < options->kafka_count; i++) {
        if (strcmp(options->kafka[i].name, "security.protocol") == 0)
            return 0;
        if (strcmp(options->kafka[i].name, "bootstrap.servers") == 0)
            servers = options->kafka[i].value;
    }
    if (is_local(servers))
        return 0;
    sb_err_set(err, SB_E_STREAM_CONFIG,
        "kafka setting security.protocol is not given, and brokers on other machines are named");
    return sb_err_hint(err, "Give security.protocol: sasl_ssl or ssl (or plaintext, if that is meant).");
}

enum sb_kafka_version sb_kafka_version_judge(int version)
{
    if (version >= 0x02020000 && version < 0x02040000)
        return SB_KAFKA_VERSION_REFUSED;
    return version >= 0x02010000 && version < 0x020a0100 ? SB_KAFKA_VERSION_DOUBTFUL : SB_KAFKA_VERSION_GOOD;
}

static int check_version(struct sb_err *err)
{
    static bool warned;
    enum sb_kafka_version verdict = sb_kafka_version_judge(rd_kafka_version());
    if (verdict == SB_KAFKA_VERSION_REFUSED)
        return sb_err_set(err, SB_E_UNSUPPORTED,
            "librdkafka %s has a fault that ends producers; use 2.0, or 2.4 and newer",
            rd_kafka_version_str());
    if (verdict == SB_KAFKA_VERSION_DOUBTFUL && !warned)
        SB_WARN("this librdkafka has known faults; 2.12 or newer is better",
            SB_STR("version", rd_kafka_version_str()));
    warned = true;
    return 0;
}

/* -- background errors
 * ----------------------------------------------------------------------------------------- */

struct holder { /* what the opaque of a client points to: first member of sb_kafka_client's owner is not ours
                   to know */
    struct sb_kafka_client *client;
    sb_kafka_delivered_fn *delivered;
    void *owner;
};

static bool is_auth(rd_kafka_resp_err_t code);

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct holder *holder = opaque;
    /* Who refuses us is down as well, and says so last; the refusal is the news. */
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && is_auth(holder->client->last))
        return;
    (void)rk;
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        holder->client->fatal = true;
    holder->client->last = (rd_kafka_resp_err_t)code;
    snprintf(holder->client->last_text, sizeof holder->client->last_text, "%s", reason);
}

static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct holder *holder = opaque;
    (void)rk;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        holder->client->last = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (holder->delivered != NULL)
        holder->delivered(holder->owner, message);
}

static bool is_auth(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return true;
    default:
        return false;
    }
}

int sb_kafka_error(
    const struct sb_kafka_client *client, rd_kafka_resp_err_t code, const char *what, struct sb_err *err)
{
    enum sb_code id = SB_E_STREAM_UNAVAILABLE;
    const char *why = rd_kafka_err2str(code);
    /* What the background has to say about it may still wait in the queue. */
    if (client != NULL && client->rk != NULL)
        rd_kafka_poll(client->rk, 0);
    if (client != NULL && client->last != RD_KAFKA_RESP_ERR_NO_ERROR && !is_auth(code)) {
        code = is_auth(client->last) ? client->last : code;
        why = client->last_text;
    }
    if (is_auth(code))
        id = SB_E_STREAM_AUTH;
    else if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
             code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        id = SB_E_NOT_PREPARED;
    else if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        id = SB_E_RECORD_TOO_LARGE;
    else if (code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE || code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        id = SB_E_LOG_GAP;
    else if (code == RD_KAFKA_RESP_ERR__BAD_MSG || code == RD_KAFKA_RESP_ERR_INVALID_MSG)
        id = SB_E_LOG_CORRUPT;
    sb_err_set(err, id, "%s: %s", what, why);
    err->lib_code = (int)code;
    return -1;
}

/* -- bounds ------------------------------------------------------------------------------------------------
 */

/* One end of partition 0. (rd_kafka_query_watermark_offsets does not keep its time-out before 2.12.) */
static int ask_end(const struct sb_kafka_client *client, const char *topic, int64_t which,
    int64_t deadline_ms, int64_t *ret_offset, struct sb_err *err)
{
    int64_t left_ms = deadline_ms - sb_clock_mono_ms();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *partition = rd_kafka_topic_partition_list_add(list, topic, 0);
    partition->offset = which;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(client->rk, list, left_ms > 1 ? (int)left_ms : 1);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = partition->err;
    /* The client's own view, for a moment, behind a broker that was away: it knows the topic and none of its
     * partitions. Opening has seen that they are there. */
    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    *ret_offset = partition->offset;
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && *ret_offset >= 0)
        return 0;
    sb_kafka_error(client, code == RD_KAFKA_RESP_ERR_NO_ERROR ? RD_KAFKA_RESP_ERR__TIMED_OUT : code,
        "could not find the ends of a topic", err);
    return sb_err_add(err, "topic \"%s\"", topic);
}

int sb_kafka_ends(const struct sb_kafka_client *client, const char *topic, int64_t timeout_ms,
    int64_t *ret_oldest, int64_t *ret_next, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + timeout_ms;
    /* The oldest last: it can only have moved towards next meanwhile. */
    if (ask_end(client, topic, RD_KAFKA_OFFSET_END, deadline_ms, ret_next, err) != 0)
        return -1;
    if (ask_end(client, topic, RD_KAFKA_OFFSET_BEGINNING, deadline_ms, ret_oldest, err) != 0)
        return -1;
    if (*ret_next < *ret_oldest)
        *ret_next = *ret_oldest;
    return 0;
}

/* -- making
 * ---------------------------------------------------------------------------------------------------- */

static int make(struct sb_kafka_client *client, rd_kafka_type_t type, rd_kafka_conf_t *conf,
    struct holder *holder, struct sb_err *err)
{
    char why[256];
    rd_kafka_conf_set_opaque(conf, holder);
    rd_kafka_conf_set_error_cb(conf, on_error);
    client->rk = rd_kafka_new(type, conf, why, sizeof why);
    if (client->rk != NULL)
        return 0;
    rd_kafka_conf_destroy(conf);
    free(holder);
    return sb_err_set(err, SB_E_STREAM_CONFIG, "could not make a Kafka client: %s", why);
}

/* Producer's and consumer's settings in one: librdkafka takes both, and so both are checked wherever one is
 * made. */
static rd_kafka_conf_t *base_conf(const struct sb_stream_options *options, struct sb_err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set_if_known(conf);
    if (check_version(err) == 0 && check_security(options, err) == 0 &&
        set_all(conf, default_settings, err) == 0 && set_all(conf, fixed_settings, err) == 0 &&
        set_users(conf, options, err) == 0)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

static struct holder *holder_new(
    struct sb_kafka_client *client, sb_kafka_delivered_fn *delivered, void *owner, struct sb_err *err)
{
    struct holder *holder = malloc(sizeof *holder);
    if (holder == NULL)
        sb_err_set(err, SB_E_NO_MEMORY, "no memory for a Kafka client");
    else
        *holder = (struct holder){.client = client, .delivered = delivered, .owner = owner};
    return holder;
}

int sb_kafka_producer(struct sb_kafka_client *client, const struct sb_stream_options *options,
    int64_t message_max_bytes, sb_kafka_delivered_fn *delivered, void *owner, struct sb_err *err)
{
    char kbytes[24], max_bytes[24];
    int64_t budget = options->queue_max_bytes > 0 ? options->queue_max_bytes : 64 << 20;
    snprintf(kbytes, sizeof kbytes, "%" PRId64, budget / 1024 + 1);
    snprintf(max_bytes, sizeof max_bytes, "%" PRId64, message_max_bytes);
    rd_kafka_conf_t *conf = base_conf(options, err);
    struct holder *holder = conf == NULL ? NULL : holder_new(client, delivered, owner, err);
    if (holder == NULL || set(conf, "queue.buffering.max.kbytes", kbytes, err) != 0 ||
        set(conf, "queue.buffering.max.messages", "1000000", err) != 0 ||
        set(conf, "message.max.bytes", max_bytes, err) != 0) {
        if (conf != NULL)
            rd_kafka_conf_destroy(conf);
        free(holder);
        return -1;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    return make(client, RD_KAFKA_PRODUCER, conf, holder, err);
}

int sb_kafka_consumer(struct sb_kafka_client *client, const struct sb_stream_options *options,
    const char *group, struct sb_err *err)
{
    rd_kafka_conf_t *conf = base_conf(options, err);
    struct holder *holder = conf == NULL ? NULL : holder_new(client, NULL, NULL, err);
    if (holder == NULL || set(conf, "group.id", group, err) != 0) {
        if (conf != NULL)
            rd_kafka_conf_destroy(conf);
        free(holder);
        return -1;
    }
    if (make(client, RD_KAFKA_CONSUMER, conf, holder, err) != 0)
        return -1;
    rd_kafka_poll_set_consumer(client->rk);
    return 0;
}

void sb_kafka_client_close(struct sb_kafka_client *client)
{
    if (client->rk == NULL)
        return;
    struct holder *holder = rd_kafka_opaque(client->rk);
    /* Whatever is still queued is not durable, and nobody was told it was. */
    rd_kafka_purge(
        client->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    holder->delivered = NULL;
    rd_kafka_destroy_flags(client->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(holder);
    *client = (struct sb_kafka_client){0};
}
