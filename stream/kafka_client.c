#include "stream/kafka_client.h"

#include "core/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct setting {
    const char *name;
    const char *value;
};

/* Ours: correctness rests on them. */
static const struct setting both_settings[] = {
    {"allow.auto.create.topics", "false"},
    {"socket.keepalive.enable", "true"},
    {"socket.nagle.disable", "true"},
    {"log_level", "0"},
    {NULL, NULL},
};
static const struct setting producer_settings[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"message.timeout.ms",
        "0"}, /* for ever: a message given up would be a hole; our own watchdog looks at progress */
    {NULL, NULL},
};
static const struct setting consumer_settings[] = {
    {"auto.offset.reset", "error"},
    {"check.crcs", "true"},
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"enable.partition.eof", "true"},
    {NULL, NULL},
};
/* Ours by default: a user may know better. */
static const struct setting producer_defaults[] = {
    {"linger.ms", "5"},
    {"compression.codec", "lz4"},
    {"batch.num.messages", "100000"},
    {"batch.size", "1000000"},
    {"retry.backoff.ms", "200"},
    {NULL, NULL},
};
static const struct setting consumer_defaults[] = {
    {"queued.max.messages.kbytes", "32768"},
    {"fetch.error.backoff.ms", "100"},
    {NULL, NULL},
};

static bool same_value(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0 || (strcmp(b, "all") == 0 && strcmp(a, "-1") == 0);
}

static const struct setting *find(const struct setting *settings, const char *name)
{
    for (; settings->name != NULL; settings++)
        if (strcmp(settings->name, name) == 0)
            return settings;
    return NULL;
}

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
        if (set(conf, settings->name, settings->value, err) != 0)
            return -1;
    return 0;
}

/* A user's producer setting means nothing to a consumer and the other way round: librdkafka accepts both. */
static int set_users(rd_kafka_conf_t *conf, const struct sb_stream_options *options, struct sb_err *err)
{
    static const struct setting *const ours[] = {both_settings, producer_settings, consumer_settings};
    for (size_t i = 0; i < options->kafka_count; i++) {
        const struct sb_kafka_setting *user = &options->kafka[i];
        for (size_t t = 0; t < sizeof ours / sizeof *ours; t++) {
            const struct setting *fixed = find(ours[t], user->name);
            if (fixed != NULL && !same_value(user->value, fixed->value))
                return sb_err_set(err, SB_E_STREAM_CONFIG,
                    "kafka setting %s must be %s: the stream is not safe otherwise", user->name,
                    fixed->value);
        }
        if (set(conf, user->name, user->value, err) != 0)
            return -1;
    }
    return 0;
}

static int check_version(struct sb_err *err)
{
    static bool warned;
    int version = rd_kafka_version();
    if (version >= 0x02020000 && version < 0x02040000)
        return sb_err_set(err, SB_E_UNSUPPORTED,
            "librdkafka %s has a fault that ends producers; use 2.0, or 2.4 and newer",
            rd_kafka_version_str());
    if (version >= 0x02010000 && version < 0x020a0100 && !warned)
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
    holder->client->last = (rd_kafka_resp_err_t)code;
    snprintf(holder->client->last_text, sizeof holder->client->last_text, "%s", reason);
}

static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct holder *holder = opaque;
    (void)rk;
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

static rd_kafka_conf_t *base_conf(const struct sb_stream_options *options, const struct setting *fixed,
    const struct setting *defaults, struct sb_err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (check_version(err) == 0 && set_all(conf, defaults, err) == 0 && set_users(conf, options, err) == 0 &&
        set_all(conf, both_settings, err) == 0 && set_all(conf, fixed, err) == 0)
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
    sb_kafka_delivered_fn *delivered, void *owner, struct sb_err *err)
{
    char kbytes[24];
    int64_t budget = options->queue_max_bytes > 0 ? options->queue_max_bytes : 64 << 20;
    snprintf(kbytes, sizeof kbytes, "%" PRId64, budget / 1024 + 1);
    rd_kafka_conf_t *conf = base_conf(options, producer_settings, producer_defaults, err);
    struct holder *holder = conf == NULL ? NULL : holder_new(client, delivered, owner, err);
    if (holder == NULL || set(conf, "queue.buffering.max.kbytes", kbytes, err) != 0 ||
        set(conf, "queue.buffering.max.messages", "1000000", err) != 0) {
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
    rd_kafka_conf_t *conf = base_conf(options, consumer_settings, consumer_defaults, err);
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
