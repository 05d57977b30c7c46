#include "stream/kafka_topics.h"

#include "core/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_MIN_BYTES = 65536, /* parts get too many below */
    DESCRIBED_BYTES = 4096,
    REPLICAS = 3,
    LOOK_AGAIN_MS = 50,
};

struct config {
    const char *name;
    const char *value;
};

static const struct config log_configs[] = {
    {"cleanup.policy", "delete"},
    {"message.timestamp.type",
        "LogAppendTime"}, /* retention goes by it, and a commit may be dated years back */
    {"unclean.leader.election.enable", "false"},
    {"retention.ms", "604800000"},
    {NULL, NULL},
};
/* Small segments: only closed ones are compacted, and every start reads all there is. */
static const struct config control_configs[] = {
    {"cleanup.policy", "compact"},
    {"unclean.leader.election.enable", "false"},
    {"segment.bytes", "16777216"},
    {"min.cleanable.dirty.ratio", "0.1"},
    {NULL, NULL},
};

struct topic {
    char name[SB_TOPIC_BYTES];
    const struct config *configs;
    bool is_log;
    bool found;
    int partitions;
    int replicas;
    int brokers;
};

struct topics {
    struct topic log, control;
};

void sb_topics_names(
    const struct sb_stream_options *options, char ret_log[SB_TOPIC_BYTES], char ret_control[SB_TOPIC_BYTES])
{
    snprintf(ret_log, SB_TOPIC_BYTES, "%s.%s", options->migration, options->direction);
    snprintf(ret_control, SB_TOPIC_BYTES, "%s.control", options->migration);
}

static struct topics topics_of(const struct sb_stream_options *options)
{
    struct topics topics = {
        .log = {.configs = log_configs, .is_log = true}, .control = {.configs = control_configs}};
    sb_topics_names(options, topics.log.name, topics.control.name);
    return topics;
}

int sb_topics_looker(
    const struct sb_stream_options *options, struct sb_kafka_client *client, struct sb_err *err)
{
    char group[SB_TOPIC_BYTES + 16];
    snprintf(group, sizeof group, "%s.control-reader", options->migration);
    return sb_kafka_consumer(client, options, group, err);
}

static int topic_error(const struct topic *topic, struct sb_err *err)
{
    return sb_err_add(err, "topic \"%s\"", topic->name);
}

/* Run one admin request whose event comes to queue; NULL with err set if it does not come. */
static rd_kafka_event_t *answer(
    const struct sb_kafka_client *client, rd_kafka_queue_t *queue, const char *what, struct sb_err *err)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, SB_STREAM_ASK_MS);
    rd_kafka_resp_err_t code = event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return event;
    sb_kafka_error(client, code, what, err);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    return NULL;
}

/* Is it there, and what is it like? */
static int look(const struct sb_kafka_client *client, struct topic *topic, struct sb_err *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client->rk, topic->name, NULL);
    rd_kafka_resp_err_t code = rd_kafka_metadata(client->rk, 0, handle, &metadata, SB_STREAM_ASK_MS);
    rd_kafka_topic_destroy(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        sb_kafka_error(client, code, "the brokers do not say what it is like", err);
        return topic_error(topic, err);
    }
    int rc = 0;
    const struct rd_kafka_metadata_topic *found = metadata->topic_cnt == 1 ? &metadata->topics[0] : NULL;
    topic->found = found != NULL && found->err == RD_KAFKA_RESP_ERR_NO_ERROR && found->partition_cnt > 0;
    topic->brokers = metadata->broker_cnt;
    if (topic->found) {
        topic->partitions = found->partition_cnt;
        topic->replicas = found->partitions[0].replica_cnt;
    } else if (found != NULL && found->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
               found->err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        sb_kafka_error(NULL, found->err, "the brokers do not say what it is like", err);
        rc = topic_error(topic, err);
    }
    rd_kafka_metadata_destroy(metadata);
    return rc;
}

static int look_at_both(const struct sb_kafka_client *client, struct topics *topics, struct sb_err *err)
{
    return look(client, &topics->log, err) != 0 ? -1 : look(client, &topics->control, err);
}

/* Brokers hear of what was made or deleted a moment later. */
static int await(const struct sb_kafka_client *client, struct topic *topic, bool there, struct sb_err *err)
{
    int64_t deadline_ms = sb_clock_mono_ms() + SB_STREAM_ASK_MS;
    for (;;) {
        if (look(client, topic, err) != 0)
            return -1;
        if (topic->found == there)
            return 0;
        if (sb_clock_mono_ms() >= deadline_ms)
            return sb_err_set(err, SB_E_STREAM_UNAVAILABLE,
                "topic \"%s\": the brokers say that it is %s, but it is not yet", topic->name,
                there ? "made" : "deleted");
        poll(NULL, 0, LOOK_AGAIN_MS);
    }
}

/* -- making ---------------------------------------------------------------------------------------------- */

static const char *servers_of(const struct sb_stream_options *options)
{
    for (size_t i = 0; i < options->kafka_count; i++)
        if (strcmp(options->kafka[i].name, "bootstrap.servers") == 0)
            return options->kafka[i].value;
    return "HOST:PORT";
}

static int replicas_for(const struct topic *topic)
{
    return topic->brokers > 0 && topic->brokers < REPLICAS ? topic->brokers : REPLICAS;
}

static const char *min_isr_for(int replicas)
{
    return replicas >= REPLICAS ? "2" : "1";
}

static void describe(
    struct sb_buf *statements, const struct sb_stream_options *options, const struct topic *topic)
{
    int replicas = replicas_for(topic);
    sb_buf_putf(statements,
        "kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 1 --replication-factor %d "
        "--config min.insync.replicas=%s",
        servers_of(options), topic->name, replicas, min_isr_for(replicas));
    for (const struct config *config = topic->configs; config->name != NULL; config++)
        sb_buf_putf(statements, " --config %s=%s", config->name, config->value);
    sb_buf_put_str(statements, "\n");
}

static void describe_missing(
    struct sb_buf *statements, const struct sb_stream_options *options, const struct topics *topics)
{
    if (!topics->log.found)
        describe(statements, options, &topics->log);
    if (!topics->control.found)
        describe(statements, options, &topics->control);
}

static int create_result(const struct topic *topic, const rd_kafka_event_t *event, struct sb_err *err)
{
    size_t count;
    const rd_kafka_topic_result_t **results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result((rd_kafka_event_t *)event), &count);
    rd_kafka_resp_err_t code = count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return 0;
    sb_kafka_error(NULL, code, "the brokers do not make it", err);
    return topic_error(topic, err);
}

static int create_one(const struct sb_kafka_client *client, const struct topic *topic, struct sb_err *err)
{
    char why[256];
    int replicas = replicas_for(topic);
    if (topic->found)
        return 0;
    rd_kafka_NewTopic_t *request = rd_kafka_NewTopic_new(topic->name, 1, replicas, why, sizeof why);
    if (request == NULL)
        return sb_err_set(err, SB_E_STREAM_CONFIG, "topic \"%s\": %s", topic->name, why);
    for (const struct config *config = topic->configs; config->name != NULL; config++)
        rd_kafka_NewTopic_set_config(request, config->name, config->value);
    rd_kafka_NewTopic_set_config(request, "min.insync.replicas", min_isr_for(replicas));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client->rk);
    rd_kafka_CreateTopics(client->rk, &request, 1, NULL, queue);
    rd_kafka_event_t *event = answer(client, queue, "could not create topics", err);
    int rc = event == NULL ? -1 : create_result(topic, event, err);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(request);
    return rc;
}

/* Whoever may create topics can do it for us. */
static int hint_commands(
    const struct sb_stream_options *options, const struct topics *topics, struct sb_err *err)
{
    struct sb_buf said;
    sb_buf_init(&said, DESCRIBED_BYTES);
    describe_missing(&said, options, topics);
    sb_err_hint(err, "Have them made, then run this again: %s", sb_buf_str(&said));
    sb_buf_clear(&said);
    return -1;
}

int sb_topics_create(const struct sb_stream_options *options, struct sb_buf *statements, struct sb_err *err)
{
    struct topics topics = topics_of(options);
    struct sb_kafka_client client = {0};
    if (sb_topics_looker(options, &client, err) != 0)
        return -1;
    int rc = look_at_both(&client, &topics, err);
    if (rc == 0 && statements != NULL)
        describe_missing(statements, options, &topics);
    else if (rc == 0 &&
             (create_one(&client, &topics.log, err) != 0 || create_one(&client, &topics.control, err) != 0))
        rc = err->code == SB_E_STREAM_AUTH ? hint_commands(options, &topics, err) : -1;
    else if (rc == 0)
        rc = await(&client, &topics.log, true, err) != 0 ? -1 : await(&client, &topics.control, true, err);
    sb_kafka_client_close(&client);
    return rc;
}

static int destroy_result(const rd_kafka_event_t *event, struct sb_err *err)
{
    size_t count;
    const rd_kafka_topic_result_t **results = rd_kafka_DeleteTopics_result_topics(
        rd_kafka_event_DeleteTopics_result((rd_kafka_event_t *)event), &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            sb_kafka_error(NULL, code, "the brokers do not delete it", err);
            return sb_err_add(err, "topic \"%s\"", rd_kafka_topic_result_name(results[i]));
        }
    }
    return 0;
}

int sb_topics_destroy(const struct sb_stream_options *options, struct sb_err *err)
{
    bool forward = strcmp(options->direction, "forward") == 0;
    struct topics topics = topics_of(options);
    struct topic other = {.is_log = true};
    struct sb_kafka_client client = {0};
    snprintf(other.name, sizeof other.name, "%s.%s", options->migration, forward ? "reverse" : "forward");
    if (sb_topics_looker(options, &client, err) != 0)
        return -1;
    int rc = look(&client, &other, err);
    if (rc == 0) {
        rd_kafka_DeleteTopic_t *requests[2] = {
            rd_kafka_DeleteTopic_new(topics.log.name), rd_kafka_DeleteTopic_new(topics.control.name)};
        rd_kafka_queue_t *queue = rd_kafka_queue_new(client.rk);
        rd_kafka_DeleteTopics(client.rk, requests, other.found ? 1 : 2, NULL, queue);
        rd_kafka_event_t *event = answer(&client, queue, "could not delete topics", err);
        rc = event == NULL ? -1 : destroy_result(event, err);
        if (event != NULL)
            rd_kafka_event_destroy(event);
        rd_kafka_queue_destroy(queue);
        rd_kafka_DeleteTopic_destroy_array(requests, 2);
        if (rc == 0)
            rc = await(&client, &topics.log, false, err);
        if (rc == 0 && !other.found)
            rc = await(&client, &topics.control, false, err);
    }
    sb_kafka_client_close(&client);
    return rc;
}

/* -- verifying ------------------------------------------------------------------------------------------- */

struct verify {
    const struct sb_stream_options *options;
    sb_stream_finding_fn *fn;
    void *arg;
    struct sb_err first; /* the first that is unsafe; code SB_OK: none */
    int64_t max_bytes;
};

static int find(struct verify *verify, bool unsafe, const char *what, const char *command, struct sb_err *err)
{
    struct sb_stream_finding finding = {.unsafe = unsafe, .what = what, .command = command};
    if (unsafe && verify->first.code == SB_OK) {
        sb_err_set(&verify->first, SB_E_STREAM_CONFIG, "%s", what);
        sb_err_hint(&verify->first, "%s", command);
    }
    return verify->fn == NULL ? 0 : verify->fn(verify->arg, &finding, err);
}

static int verify_shape(struct verify *verify, const struct topic *topic, struct sb_err *err)
{
    char what[512], command[512];
    const char *servers = servers_of(verify->options);
    if (topic->partitions != 1) {
        snprintf(what, sizeof what, "topic \"%s\" has %d partitions and must have one", topic->name,
            topic->partitions);
        snprintf(command, sizeof command,
            "kafka-topics.sh --bootstrap-server %s --delete --topic %s   # partitions cannot be taken away: "
            "`switchback remove` and prepare anew",
            servers, topic->name);
        if (find(verify, true, what, command, err) != 0)
            return -1;
    }
    if (topic->replicas < 2 && topic->brokers > 1) {
        snprintf(what, sizeof what, "topic \"%s\" has one replica although there are %d brokers", topic->name,
            topic->brokers);
        snprintf(command, sizeof command,
            "kafka-reassign-partitions.sh --bootstrap-server %s --execute --reassignment-json-file FILE   # "
            "with %d replicas of %s-0",
            servers, replicas_for(topic), topic->name);
        if (find(verify, false, what, command, err) != 0)
            return -1;
    }
    return 0;
}

/* What a setting must be; NULL: it may be as it is. ret_unsafe: otherwise it is only unwise. */
static const char *wanted(const struct topic *topic, const char *name, const char *value, bool *ret_unsafe)
{
    *ret_unsafe = true;
    if (strcmp(name, "cleanup.policy") == 0)
        return strcmp(value, topic->is_log ? "delete" : "compact") == 0 ? NULL
               : topic->is_log                                          ? "delete"
                                                                        : "compact";
    if (strcmp(name, "unclean.leader.election.enable") == 0)
        return strcmp(value, "false") == 0 ? NULL : "false";
    if (strcmp(name, "message.timestamp.type") == 0 && topic->is_log)
        return strcmp(value, "LogAppendTime") == 0 ? NULL : "LogAppendTime";
    if (strcmp(name, "max.message.bytes") == 0)
        return strtoll(value, NULL, 10) >= MESSAGE_MIN_BYTES ? NULL : "1048588";
    *ret_unsafe = false;
    if (strcmp(name, "min.insync.replicas") == 0 && topic->replicas >= 2)
        return strtol(value, NULL, 10) >= 2 ? NULL : "2";
    return NULL;
}

static int verify_config(
    struct verify *verify, const struct topic *topic, const char *name, const char *value, struct sb_err *err)
{
    char what[512], command[512];
    bool unsafe;
    const char *must = wanted(topic, name, value, &unsafe);
    if (topic->is_log && strcmp(name, "max.message.bytes") == 0)
        verify->max_bytes = strtoll(value, NULL, 10);
    if (must == NULL)
        return 0;
    snprintf(what, sizeof what, "topic \"%s\" has %s=%s and %s be %s", topic->name, name, value,
        unsafe ? "must" : "should", must);
    snprintf(command, sizeof command,
        "kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config "
        "%s=%s",
        servers_of(verify->options), topic->name, name, must);
    return find(verify, unsafe, what, command, err);
}

static int verify_entries(struct verify *verify, const struct topic *topic,
    const rd_kafka_ConfigResource_t *resource, struct sb_err *err)
{
    size_t count;
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resource);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        sb_kafka_error(NULL, code, "its settings cannot be verified (operation DescribeConfigs)", err);
        return topic_error(topic, err);
    }
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (verify_config(
                verify, topic, rd_kafka_ConfigEntry_name(entries[i]), value == NULL ? "" : value, err) != 0)
            return -1;
    }
    return 0;
}

static int verify_configs(struct verify *verify, const struct sb_kafka_client *client,
    const struct topics *topics, struct sb_err *err)
{
    const struct topic *both[2] = {&topics->log, &topics->control};
    rd_kafka_ConfigResource_t *resources[2];
    for (int i = 0; i < 2; i++)
        resources[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, both[i]->name);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client->rk);
    rd_kafka_DescribeConfigs(client->rk, resources, 2, NULL, queue);
    rd_kafka_event_t *event = answer(client, queue, "could not read the topics' settings", err);
    int rc = event == NULL ? -1 : 0, seen = 0;
    size_t count = 0;
    const rd_kafka_ConfigResource_t **results =
        event == NULL
            ? NULL
            : rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &count);
    for (size_t r = 0; rc == 0 && r < count; r++)
        for (int i = 0; rc == 0 && i < 2; i++)
            if (strcmp(rd_kafka_ConfigResource_name(results[r]), both[i]->name) == 0) {
                seen++;
                rc = verify_entries(verify, both[i], results[r], err);
            }
    if (rc == 0 && seen != 2)
        rc = sb_err_set(err, SB_E_STREAM_UNAVAILABLE, "the brokers did not tell both topics' settings");
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy_array(resources, 2);
    return rc;
}

int sb_topics_verify(const struct sb_stream_options *options, const struct sb_kafka_client *client,
    sb_stream_finding_fn *fn, void *arg, int64_t *ret_max_bytes, struct sb_err *err)
{
    struct topics topics = topics_of(options);
    struct verify verify = {.options = options, .fn = fn, .arg = arg};
    if (look_at_both(client, &topics, err) != 0)
        return -1;
    if (!topics.log.found || !topics.control.found)
        return sb_err_set(err, SB_E_NOT_PREPARED, "there is no topic \"%s\"",
            topics.log.found ? topics.control.name : topics.log.name);
    if (verify_shape(&verify, &topics.log, err) != 0 || verify_shape(&verify, &topics.control, err) != 0 ||
        verify_configs(&verify, client, &topics, err) != 0)
        return -1;
    if (verify.first.code != SB_OK) {
        *err = verify.first;
        return -1;
    }
    if (ret_max_bytes != NULL)
        *ret_max_bytes = verify.max_bytes;
    return 0;
}
