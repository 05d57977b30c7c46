#include "stream/kafka_topics.h"

#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADMIN_MS = 10000 };

struct config {
    const char *name;
    const char *value;
};

static const struct config log_configs[] = {
    {"cleanup.policy", "delete"},
    {"message.timestamp.type", "LogAppendTime"},
    {"unclean.leader.election.enable", "false"},
    {"retention.ms", "604800000"},
    {NULL, NULL},
};
static const struct config control_configs[] = {
    {"cleanup.policy", "compact"},
    {"unclean.leader.election.enable", "false"},
    {NULL, NULL},
};

void sb_topics_names(
    const struct sb_stream_options *options, char ret_log[SB_TOPIC_BYTES], char ret_control[SB_TOPIC_BYTES])
{
    snprintf(ret_log, SB_TOPIC_BYTES, "%s.%s", options->migration, options->direction);
    snprintf(ret_control, SB_TOPIC_BYTES, "%s.control", options->migration);
}

/* Run one admin request whose event comes to queue; NULL with err set if it does not come. */
static rd_kafka_event_t *answer(
    const struct sb_kafka_client *client, rd_kafka_queue_t *queue, const char *what, struct sb_err *err)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ADMIN_MS + 1000);
    rd_kafka_resp_err_t code = event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return event;
    sb_kafka_error(client, code, what, err);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    return NULL;
}

static int broker_count(const struct sb_kafka_client *client, struct sb_err *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(client->rk, 0, NULL, &metadata, ADMIN_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return sb_kafka_error(client, code, "could not ask the brokers who they are", err);
    int count = metadata->broker_cnt;
    rd_kafka_metadata_destroy(metadata);
    return count;
}

static void describe(struct sb_buf *statements, const char *topic, const struct config *configs)
{
    sb_buf_putf(statements,
        "kafka-topics.sh --create --topic %s --partitions 1 --replication-factor 3 --config "
        "min.insync.replicas=2",
        topic);
    for (; configs->name != NULL; configs++)
        sb_buf_putf(statements, " --config %s=%s", configs->name, configs->value);
    sb_buf_put_str(statements, "\n");
}

static int create_one(const struct sb_kafka_client *client, const char *topic, const struct config *configs,
    int brokers, struct sb_err *err)
{
    char why[256];
    int replicas = brokers < 3 ? brokers : 3;
    rd_kafka_NewTopic_t *request = rd_kafka_NewTopic_new(topic, 1, replicas, why, sizeof why);
    if (request == NULL)
        return sb_err_set(err, SB_E_STREAM_CONFIG, "topic \"%s\": %s", topic, why);
    for (; configs->name != NULL; configs++)
        rd_kafka_NewTopic_set_config(request, configs->name, configs->value);
    rd_kafka_NewTopic_set_config(request, "min.insync.replicas", replicas >= 3 ? "2" : "1");
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client->rk);
    rd_kafka_CreateTopics(client->rk, &request, 1, NULL, queue);
    rd_kafka_event_t *event = answer(client, queue, "could not create topics", err);
    int rc = event == NULL ? -1 : 0;
    if (event != NULL) {
        size_t count;
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
        rd_kafka_resp_err_t code =
            count == 1 ? rd_kafka_topic_result_error(results[0]) : RD_KAFKA_RESP_ERR__FAIL;
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            rc = sb_kafka_error(NULL, code, "could not create a topic", err);
            sb_err_add(err, "topic \"%s\"", topic);
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(request);
    return rc;
}

int sb_topics_create(const struct sb_stream_options *options, struct sb_buf *statements, struct sb_err *err)
{
    char log[SB_TOPIC_BYTES], control[SB_TOPIC_BYTES];
    sb_topics_names(options, log, control);
    if (statements != NULL) {
        describe(statements, log, log_configs);
        describe(statements, control, control_configs);
        return 0;
    }
    struct sb_kafka_client client = {0};
    if (sb_kafka_producer(&client, options, NULL, NULL, err) != 0)
        return -1;
    int brokers = broker_count(&client, err);
    int rc = brokers < 0 || create_one(&client, log, log_configs, brokers, err) != 0 ||
                     create_one(&client, control, control_configs, brokers, err) != 0
                 ? -1
                 : 0;
    sb_kafka_client_close(&client);
    return rc;
}

int sb_topics_destroy(const struct sb_stream_options *options, bool with_control, struct sb_err *err)
{
    char log[SB_TOPIC_BYTES], control[SB_TOPIC_BYTES];
    struct sb_kafka_client client = {0};
    sb_topics_names(options, log, control);
    if (sb_kafka_producer(&client, options, NULL, NULL, err) != 0)
        return -1;
    rd_kafka_DeleteTopic_t *requests[2] = {rd_kafka_DeleteTopic_new(log), rd_kafka_DeleteTopic_new(control)};
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client.rk);
    rd_kafka_DeleteTopics(client.rk, requests, with_control ? 2 : 1, NULL, queue);
    rd_kafka_event_t *event = answer(&client, queue, "could not delete topics", err);
    int rc = event == NULL ? -1 : 0;
    if (event != NULL) {
        size_t count;
        const rd_kafka_topic_result_t **results =
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
        for (size_t i = 0; i < count; i++) {
            rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
            if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
                rc = sb_kafka_error(NULL, code, "could not delete a topic", err);
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteTopic_destroy_array(requests, 2);
    sb_kafka_client_close(&client);
    return rc;
}

/* -- verifying
 * ------------------------------------------------------------------------------------------------- */

static int verify_partitions(rd_kafka_t *rk, const char *topic, struct sb_err *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(rk, topic, NULL);
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, handle, &metadata, ADMIN_MS);
    rd_kafka_topic_destroy(handle);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return sb_kafka_error(NULL, code, "could not look at a topic", err);
    int rc = 0;
    const struct rd_kafka_metadata_topic *found = metadata->topic_cnt == 1 ? &metadata->topics[0] : NULL;
    if (found == NULL || found->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        rc = sb_err_set(err, SB_E_NOT_PREPARED, "there is no topic \"%s\"", topic);
    else if (found->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        rc = sb_kafka_error(NULL, found->err, "could not look at a topic", err);
    else if (found->partition_cnt != 1)
        rc = sb_err_set(err, SB_E_STREAM_CONFIG, "topic \"%s\" has %d partitions and must have one", topic,
            found->partition_cnt);
    else if (found->partitions[0].replica_cnt < 2 && metadata->broker_cnt > 1)
        rc = sb_err_set(err, SB_E_STREAM_CONFIG, "topic \"%s\" has one replica although there are %d brokers",
            topic, metadata->broker_cnt);
    rd_kafka_metadata_destroy(metadata);
    return rc;
}

static int verify_config(const char *topic, const char *name, const char *value, bool is_log,
    int64_t *max_bytes, struct sb_err *err)
{
    if (strcmp(name, "max.message.bytes") == 0 && is_log)
        *max_bytes = strtoll(value, NULL, 10);
    if (strcmp(name, "cleanup.policy") == 0 && strcmp(value, is_log ? "delete" : "compact") != 0)
        return sb_err_set(err, SB_E_STREAM_CONFIG, "topic \"%s\" has %s=%s and must have %s", topic, name,
            value, is_log ? "delete" : "compact");
    if (strcmp(name, "unclean.leader.election.enable") == 0 && strcmp(value, "false") != 0)
        return sb_err_set(err, SB_E_STREAM_CONFIG,
            "topic \"%s\" allows unclean leader election, which loses acknowledged records", topic);
    if (strcmp(name, "message.timestamp.type") == 0 && is_log && strcmp(value, "LogAppendTime") != 0)
        return sb_err_set(err, SB_E_STREAM_CONFIG,
            "topic \"%s\" has %s=%s and must have LogAppendTime: retention goes by it", topic, name, value);
    if (strcmp(name, "max.message.bytes") == 0 && strtoll(value, NULL, 10) < 65536)
        return sb_err_set(
            err, SB_E_STREAM_CONFIG, "topic \"%s\" has %s=%s; 65536 is the least", topic, name, value);
    return 0;
}

static int verify_configs(
    rd_kafka_t *rk, const char *topic, bool is_log, int64_t *max_bytes, struct sb_err *err)
{
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DescribeConfigs(rk, &resource, 1, NULL, queue);
    rd_kafka_event_t *event = answer(NULL, queue, "could not read a topic's settings", err);
    int rc = event == NULL ? -1 : 0;
    if (event != NULL) {
        size_t resources, entries = 0;
        const rd_kafka_ConfigResource_t **results = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &resources);
        const rd_kafka_ConfigEntry_t **configs =
            resources == 1 ? rd_kafka_ConfigResource_configs(results[0], &entries) : NULL;
        for (size_t i = 0; rc == 0 && i < entries; i++) {
            const char *value = rd_kafka_ConfigEntry_value(configs[i]);
            rc = verify_config(topic, rd_kafka_ConfigEntry_name(configs[i]), value == NULL ? "" : value,
                is_log, max_bytes, err);
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    return rc;
}

int sb_topics_verify(
    const struct sb_stream_options *options, rd_kafka_t *rk, int64_t *ret_max_bytes, struct sb_err *err)
{
    char log[SB_TOPIC_BYTES], control[SB_TOPIC_BYTES];
    int64_t max_bytes = 1000012; /* Kafka's default, should describing be forbidden */
    sb_topics_names(options, log, control);
    if (verify_partitions(rk, log, err) != 0 || verify_partitions(rk, control, err) != 0 ||
        verify_configs(rk, log, true, &max_bytes, err) != 0 ||
        verify_configs(rk, control, false, &max_bytes, err) != 0)
        return -1;
    if (ret_max_bytes != NULL)
        *ret_max_bytes = max_bytes;
    return 0;
}
